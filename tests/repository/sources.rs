//! Which module may import which, and what the pure parts may not touch.

use std::fmt::Write as _;

use crate::{page, rust_files, split};

/// A line without its comment: what prose mentions isn't used by that.
fn code(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") { "" } else { line }
}

/// Fails where the program (not its tests) below a folder has one of these words.
#[track_caller]
fn nowhere(folder: &str, words: &[&str], why: &str) {
    let mut found = String::new();
    for (file, text) in rust_files(folder) {
        for (number, line) in split(&file, &text).0.lines().enumerate() {
            for word in words.iter().filter(|word| code(line).contains(**word)) {
                write!(found, "\n{file}:{}: {word}", number + 1).unwrap();
            }
        }
    }
    assert!(found.is_empty(), "{why}, but:{found}");
}

/// Sockets, clocks, entropy and runtimes belong to the shell.
#[test]
fn policy_and_wire_are_pure() {
    let impure = [
        "tokio::",
        "hyper::",
        "async fn",
        "async move",
        ".await",
        "std::net::Tcp",
        "std::net::Udp",
        "TcpStream",
        "UdpSocket",
        "Instant::now",
        "SystemTime::now",
        "std::thread",
        "rand::rng(",
        "rand::rng;",
        "rand::random",
        "std::fs",
        "std::env",
    ];
    for folder in ["src/policy", "src/wire"] {
        nowhere(folder, &impure, "time and entropy are arguments, and nothing here acts");
    }
}

#[test]
fn policy_and_wire_do_not_know_each_other_nor_the_shell() {
    nowhere("src/policy", &["crate::wire", "crate::net"], "policy imports the values and nothing else");
    nowhere("src/wire", &["crate::policy", "crate::net"], "wire imports the values and nothing else");
}

#[test]
fn the_values_know_none_of_the_parts() {
    let joints = ["src/lib.rs", "src/from_metainfo.rs", "src/manual.rs"];
    for (file, text) in rust_files("src") {
        let is_value = file.matches('/').count() == 1 && !joints.contains(&file.as_str());
        for part in ["crate::policy", "crate::wire", "crate::net"] {
            let known = is_value && text.lines().any(|line| code(line).contains(part));
            assert!(!known, "{file} knows {part}: values are what the parts share");
        }
    }
}

/// Iterating a hash map gives another order in each run, and the same seed would not give the same run.
#[test]
fn the_policy_keeps_ordered_collections() {
    nowhere("src/policy", &["HashMap", "HashSet"], "the same seed gives the same run");
}

#[test]
fn every_file_says_what_it_is_about() {
    for folder in ["src", "tests", "examples", "benches", "fuzz/src", "fuzz/fuzz_targets"] {
        for (file, text) in rust_files(folder) {
            let first = text.lines().next().unwrap_or_default();
            assert!(first.starts_with("//! "), "{file} begins with {first:?}");
        }
    }
}

/// The oldest compiler is named in several places, and in all of them alike.
#[test]
fn the_oldest_compiler_is_the_same_everywhere() {
    let manifest = page("Cargo.toml");
    let version = value(&manifest, "rust-version").expect("Cargo.toml has a rust-version");
    let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    assert!(!members.is_empty(), "Cargo.toml has members");
    for member in members {
        assert_eq!(value(&page(&format!("{member}/Cargo.toml")), "rust-version"), Some(version), "{member}");
    }
    if let Some(msrv) = value(&page(".clippy.toml"), "msrv") {
        assert_eq!(msrv, version, ".clippy.toml");
    }
    let readme = page("README.md");
    let named: Vec<&str> = readme
        .match_indices("1.")
        .filter(|(at, _)| readme[..*at].ends_with("Rust ") || readme[..*at].ends_with("Rust ("))
        .map(|(at, _)| readme[at..].split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap())
        .collect();
    assert!(named.len() >= 2 && named.iter().all(|named| *named == version), "README.md names {named:?}");
}

/// The value of the first `key = "value"` line.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix("= \"")?.strip_suffix('"'))
}
