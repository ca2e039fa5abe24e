//! The page of the algorithm names files and tests that exist.

use std::collections::BTreeSet;

use crate::requirements::is_test;
use crate::{page, root, rust_files};

const PAGE: &str = "src/manual/algorithm.md";

/// The words of a page between backticks.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The modules of a file, the crate's first: `src/policy/hosts/mod.rs` is `policy::hosts`.
fn modules(file: &str) -> String {
    file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::")
}

/// Whether a test named by its last modules exists: `hosts::tests::ranking::a_test`, or `schedule::a_test` if it is in
/// the module `tests` of that file.
fn exists(name: &str, files: &[(String, String)]) -> bool {
    let Some((path, test)) = name.rsplit_once("::") else { return false };
    files.iter().any(|(file, text)| {
        let modules = modules(file);
        (modules == path || modules.ends_with(&format!("::{path}"))) && is_test(text, test)
    })
}

#[test]
fn every_test_of_the_algorithm_exists() {
    let page = page(PAGE);
    let files: Vec<_> = ["src", "tests"].into_iter().flat_map(rust_files).collect();
    let named: BTreeSet<&str> = quoted(&page).filter(|word| word.contains("::")).collect();
    assert!(named.len() > 30, "{PAGE} was not understood: {named:?}");
    let missing: Vec<&&str> = named.iter().filter(|name| !exists(name, &files)).collect();
    assert!(missing.is_empty(), "{PAGE} names tests that don't exist: {missing:?}");
}

#[test]
fn every_file_of_the_algorithm_exists() {
    let page = page(PAGE);
    let is_file = |word: &&str| word.strip_suffix(".rs").is_some();
    let named: BTreeSet<&str> = quoted(&page).filter(is_file).collect();
    assert!(named.len() > 10, "{PAGE} was not understood: {named:?}");
    let folders = ["src/policy", "src"];
    let there = |file: &str| folders.iter().any(|folder| root().join(folder).join(file).is_file());
    let missing: Vec<&&str> = named.iter().filter(|file| !there(file)).collect();
    assert!(missing.is_empty(), "{PAGE} names files that don't exist: {missing:?}");
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    let text = "\n#[test]\nfn good() {\n}\n\nfn helper() {\n}\n".to_owned();
    let files = [("src/policy/hosts/tests/ranking.rs".to_owned(), text)];
    assert!(exists("ranking::good", &files) && exists("hosts::tests::ranking::good", &files));
    for bad in ["ranking::helper", "ranking::goo", "anking::good", "hosts::ranking::good", "good"] {
        assert!(!exists(bad, &files), "{bad}");
    }
}
