//! The pages hold what they promise: every setting with its reason, every row with its test, every feature.

use std::collections::BTreeSet;

use tracker_failover::Config;

use crate::{page, rust_files, split};

/// What each feature adds, and the code for another HTTP client.
const FEATURES: &str = "src/manual/features.md";

/// The settings and their defaults, from the debug form of the configuration; the values of parts without the parts.
fn settings() -> Vec<(String, String)> {
    let shown = format!("{:#?}", Config::default());
    let fields = shown.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(": "));
    fields.map(|(name, value)| (name.to_owned(), as_written(value))).collect()
}

/// A debug form as people write it: `250ms` is 250 ms, `1800s` is 30 min.
fn as_written(value: &str) -> String {
    if let Some(millis) = value.strip_suffix("ms") {
        return format!("{millis} ms");
    }
    let Some(seconds) = value.strip_suffix('s').filter(|number| number.parse::<f64>().is_ok()) else {
        return if value == "None" { "none".to_owned() } else { value.to_owned() };
    };
    match seconds.parse::<u64>() {
        Ok(whole) if whole >= 3600 && whole % 3600 == 0 => format!("{} h", whole / 3600),
        Ok(whole) if whole > 60 && whole % 60 == 0 => format!("{} min", whole / 60),
        _ => format!("{seconds} s"),
    }
}

/// The doc comments of the setters of `Config`, by name.
fn docs_of_setters(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut doc = String::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if let Some(rest) = line.strip_prefix("pub fn ").filter(|rest| rest.contains("(mut self")) {
            found.push((rest.split('(').next().unwrap_or_default().to_owned(), std::mem::take(&mut doc)));
        } else if !line.starts_with("#[") {
            doc.clear();
        }
    }
    found
}

/// Each setting has a setter whose doc names its default, and why.
#[test]
fn the_doc_of_each_setting_names_its_default() {
    // Switches are on by default, and the setter that turns one off says what is on.
    let switches = ["http", "https", "udp", "shuffle", "race", "of_hosts"];
    let (settings, docs) = (settings(), docs_of_setters(&page("src/policy/config.rs")));
    assert!(settings.len() > 20 && docs.len() > 20, "not understood: {settings:?} {docs:?}");
    for (name, value) in settings.iter().filter(|(name, _)| !switches.contains(&name.as_str())) {
        let doc = docs.iter().find(|(setter, _)| setter == name);
        let (_, doc) = doc.unwrap_or_else(|| panic!("no setter for {name} ({value})"));
        let (_, default) = doc.split_once("Default: ").unwrap_or_else(|| panic!("{name} names no default"));
        let default = default.trim_start_matches('`');
        assert!(default.starts_with(value.as_str()), "{name} is {value}, and its doc says {default}");
    }
    for (setter, doc) in docs.iter().filter(|(setter, _)| setter.starts_with("without")) {
        assert!(doc.contains("Default: "), "{setter} doesn't say what is on by default");
    }
}

#[test]
fn the_readme_has_two_commands_to_set_up() {
    let readme = page("README.md");
    let marked = readme.split_once("<!-- set-up").expect("README.md marks its set-up commands").1;
    let block = marked.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let commands: Vec<&str> = block.lines().collect();
    assert_eq!(commands, ["cargo run --release --example demo", "cargo test --workspace --all-features"]);
}

/// The code for another HTTP client is compiled and run in a crate of its own.
#[test]
fn the_manuals_other_http_client_is_the_one_that_is_run() {
    let program = page("tests/adopters/own-http/src/announce.rs");
    let (_, code) = program.split_once("\n\n").unwrap();
    let manual = page(FEATURES);
    let marked = manual.split_once("<!-- the code of tests/adopters/own-http").expect("the page marks it").1;
    let shown = marked.split_once("```rust,ignore\n").unwrap().1.split_once("```").unwrap().0;
    assert_eq!(shown, code);
    assert!(page(".ci/run").contains("tests/adopters/run"), "and it is run");
}

#[test]
fn every_feature_is_in_the_manual() {
    let (manifest, manual, docs) = (page("Cargo.toml"), page(FEATURES), page("src/lib.rs"));
    let section = manifest.split_once("[features]\n").unwrap().1.split_once("\n[").unwrap().0;
    let features: Vec<&str> =
        section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert!(features.contains(&"http"), "{features:?}");
    for feature in features.iter().filter(|feature| **feature != "default") {
        assert!(
            manual.contains(&format!("\n| `{feature}` | ")),
            "{FEATURES} has no row for the feature {feature}"
        );
        assert!(docs.contains(&format!("`{feature}`")), "src/lib.rs doesn't name the feature {feature}");
    }
}

/// The numbers of the rows that the comments of a text name. `R3-07` is a requirement of a BEP, not a row.
fn rows_named(text: &str) -> BTreeSet<u32> {
    let comments = text.lines().filter_map(|line| line.split_once("//")).map(|(_, comment)| comment);
    let words = comments.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    let numbers = words.filter_map(|word| word.strip_prefix('R')?.parse::<u32>().ok());
    numbers.filter(|number| *number < 1000).collect()
}

/// Whether the name of a function holds the number of a row, which means nothing to a reader.
fn names_a_row(line: &str) -> bool {
    let Some((_, rest)) = line.split_once("fn ") else { return false };
    let name = rest.split(['(', '<']).next().unwrap_or_default();
    let is_number = |token: &str| {
        let letters = token.trim_end_matches(|c: char| c.is_ascii_digit());
        letters.len() < token.len() && ["r", "q", "s", "c", "f", "g", "pol", "tv"].contains(&letters)
    };
    let mut tokens = name.split('_');
    tokens.next().is_some_and(is_number) || tokens.next_back().is_some_and(is_number)
}

#[test]
fn numbers_of_rows_stand_in_comments_and_not_in_names() {
    assert!(names_a_row("fn r21_r22_stopped() {") && names_a_row("    async fn a_flood_is_cut_s18() {"));
    assert!(!names_a_row("fn stopped_goes_to_2_trackers() {") && !names_a_row("/// R21: `stopped`"));
    for folder in ["src", "tests", "examples", "benches"] {
        for (file, text) in rust_files(folder) {
            let named: Vec<&str> = text.lines().filter(|line| names_a_row(line)).collect();
            assert!(named.is_empty() || file.starts_with("tests/repository/"), "{file}: {named:?}");
        }
    }
}

#[test]
fn every_row_of_the_regressions_has_a_test() {
    let page = page("src/manual/regressions.md");
    let row = |line: &str| line.strip_prefix("| R")?.split(' ').next()?.parse::<u32>().ok();
    let rows: BTreeSet<u32> = page.lines().filter_map(row).collect();
    assert!(rows.len() > 40, "src/manual/regressions.md was not understood");
    let mut named = BTreeSet::new();
    for folder in ["src", "tests", "examples"] {
        for (file, text) in rust_files(folder) {
            if !file.starts_with("tests/repository/") {
                named.extend(rows_named(split(&file, &text).1));
            }
        }
    }
    let missing: Vec<&u32> = rows.difference(&named).collect();
    assert!(missing.is_empty(), "no test names these rows of src/manual/regressions.md: {missing:?}");
    let unlisted: Vec<&u32> = named.difference(&rows).collect();
    println!("rows that tests name and the page doesn't: {unlisted:?}");
}

#[test]
fn rows_and_requirements_are_distinguished() {
    let rows = |text: &str| rows_named(text).into_iter().collect::<Vec<_>>();
    assert_eq!(rows("/// R20 and R29: `started`, see R3-07 and BEP 12 (R74)."), [20, 29, 74]);
    assert!(rows("fn r48_scrapes() {").is_empty());
    assert!(rows("let r5 = 1;").is_empty());
}
