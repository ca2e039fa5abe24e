//! The repository's own rules: what its pages claim is so, and its modules import only what they may.

mod algorithm;
mod anatomy;
mod features;
mod imports;
#[path = "../../examples/lines/mod.rs"]
mod lines;
mod manual;
mod mutations;
mod pages;
mod requirements;
mod sources;

use std::path::{Path, PathBuf};

/// The text of a file of the repository.
fn page(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder of the repository, with their texts, in order.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut folders = vec![root().join(folder)];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "nothing below {folder}");
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        (name.clone(), page(&name))
    };
    files.iter().map(read).collect()
}

/// A file's program and its tests.
fn split<'a>(file: &str, text: &'a str) -> (&'a str, &'a str) {
    if file.starts_with("tests/") || file.contains("/tests/") || file.ends_with("/tests.rs") {
        return ("", text);
    }
    text.split_once("\n#[cfg(test)]\nmod tests {").unwrap_or((text, ""))
}
