//! The patches that each take a rule out of the code: `.ci/run mutations` sees a test fail with each of them.

use std::collections::BTreeSet;

use crate::{page, root, rust_files};

const FOLDER: &str = "tests/mutations";

/// The names of the patches with their texts.
fn patches() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join(FOLDER)).unwrap();
    let names = entries.map(|entry| format!("{FOLDER}/{}", entry.unwrap().file_name().to_str().unwrap()));
    names.map(|name| (name.clone(), page(&name))).collect()
}

#[test]
fn each_mutation_names_its_rule_and_a_test_that_exists() {
    let sources = rust_files("src");
    let patches = patches();
    assert!(patches.len() >= 10, "{} patches", patches.len());
    let mut rules = BTreeSet::new();
    for (name, text) in &patches {
        assert!(name.strip_suffix(".patch").is_some(), "{name}");
        let mut lines = text.lines();
        let rule = lines.next().and_then(|line| line.strip_prefix("# Rule: "));
        assert!(rule.is_some_and(|rule| rule.ends_with('.') && rules.insert(rule)), "{name}: {rule:?}");
        let test = lines.next().and_then(|line| line.strip_prefix("# Red: "));
        let test = test.unwrap_or_else(|| panic!("the second line of {name} isn't '# Red: <test>'"));
        let function = format!("fn {}()", test.rsplit("::").next().unwrap());
        assert!(sources.iter().any(|(_, text)| text.contains(&function)), "{name}: there is no {test}");
    }
}

/// A change of the code that a patch changes as well fails here, before CI: the patch has to be renewed.
#[test]
fn each_mutation_still_applies() {
    for (name, text) in patches() {
        let file = text.lines().find_map(|line| line.strip_prefix("--- a/"));
        let source = page(file.unwrap_or_else(|| panic!("{name} is no unified diff")));
        let hunks = text.split("\n@@ ").skip(1);
        for hunk in hunks {
            let lines = hunk.lines().skip(1).filter(|line| !line.starts_with('+'));
            let before: Vec<&str> = lines.map(|line| line.get(1..).unwrap_or_default()).collect();
            let before = before.join("\n");
            assert!(source.contains(&before), "{name} doesn't apply any more. It expects\n{before}");
        }
    }
}

#[test]
fn mutations_are_a_step_of_ci() {
    let steps = page(".ci/run");
    let list = steps.lines().find(|line| line.starts_with("STEPS=(")).unwrap();
    assert!(list.split([' ', '(', ')']).any(|step| step == "mutations"), "{list}");
    assert!(steps.contains("\nstep_mutations() (\n"));
}
