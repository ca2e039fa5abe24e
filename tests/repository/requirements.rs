//! The page of requirements names all of them, and nothing that doesn't exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::{page, rust_files};

const PAGE: &str = "src/manual/requirements.md";
const CASES: &str = "tests/support/conformance-driver/cases.md";
const DEVIATIONS: &str = "src/manual/deviations.md";

/// The requirements that have to hold for a release.
const ROWS: &str = "
    R3-01 R3-02 R3-03 R3-04 R3-05 R3-06 R3-07 R3-08 R3-09 R3-10 R3-11 R3-12 R3-13 R3-14 R3-15 R3-16
    R3-17 R3-18 R3-20 R3-21 R3-22 R3-24 R23-01 R23-02 R23-03 R7-02 R7-05 R7-06 R24-02 R12-01 R12-02
    R12-03 R12-04 R12-05 R12-06 R12-07 R15-01 R15-02 R15-03 R15-04 R15-05 R15-06 R15-07 R15-08 R15-09
    R15-10 R15-11 R15-12 R15-13 R41-01 R41-02 R41-03 R41-04 R41-05 R27-01 R27-02 R27-03 R31-01 R31-02
    R31-03 R48-01 R48-02 R48-04 R48-05 R48-08 R52-01 R52-02 R52-03 R52-06 R5-01 R5-03 R6-01 R20-01
    R47-01 R28-02 R22-02 POL-01 POL-02 POL-03 POL-04 POL-05 POL-06 POL-08 POL-09 POL-10 POL-11 POL-12
    POL-13 POL-15 POL-16 POL-17 POL-18 POL-19 POL-20 POL-21 POL-22 POL-23 POL-24 POL-25 Q-01 Q-02 Q-03
    Q-04 Q-05 Q-06 Q-07 Q-08 Q-09 Q-10 Q-11 Q-12 Q-13 Q-14 Q-15 Q-16 Q-17 Q-18 Q-19 Q-20 Q-21 Q-61 Q-62
    Q-63 Q-64 Q-65 Q-69 Q-72 Q-73 Q-80 Q-81 Q-87 Q-22 Q-23 Q-24 Q-25 Q-26 Q-27 Q-28 Q-29 Q-30 Q-31 Q-32
    Q-33 Q-34 Q-35 Q-37 Q-38 Q-39 Q-70 Q-75 Q-76 Q-79 Q-36 Q-43 Q-44 Q-45 Q-46 Q-47 Q-48 Q-49 Q-50 Q-51
    Q-66 Q-67 Q-68 Q-71 Q-74 Q-77 Q-78 Q-82 Q-88 Q-89 Q-83 Q-40 Q-41 Q-42 Q-60 Q-52 Q-53 Q-54 Q-55 Q-56
    Q-57 Q-58 Q-59 Q-84 Q-85 Q-86 S-01 S-02 S-03 S-04 S-05 S-06 S-07 S-08 S-10 S-11 S-12 S-13 S-14 S-15
    S-16 S-17 S-18 S-19 S-20 S-21 S-22 S-23 S-24 S-26 S-27 S-30 S-31 S-32 P-00 P-01 P-02 P-03 P-04 P-05
    P-06 P-07 P-08 P-09 P-10 P-16 P-17 F-01 F-02 F-03 F-04 F-05 F-06 F-10 F-13
";

/// The rows of a page: what they are called, and what checks them.
fn rows(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut rows = Vec::new();
    for line in page.lines() {
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else { continue };
        let cells: Vec<&str> = cells.split(" | ").collect();
        let [name, _, checks] = cells[..] else { panic!("not three cells: {line}") };
        if name != "Row" {
            rows.push((name, checks.split("; ").collect()));
        }
    }
    rows
}

/// What is wrong with the name of a check, if anything.
fn fault(check: &str, files: &BTreeMap<String, String>, cases: &str, deviations: &str) -> Option<String> {
    if let Some(title) = check.strip_prefix("[*").and_then(|rest| rest.strip_suffix("*](super::deviations)"))
    {
        let forms = [format!("\n# {title}\n"), format!("**{title}.**"), format!("**{title}**")];
        let there = forms.iter().any(|form| deviations.contains(form));
        return (!there).then(|| format!("no paragraph of {DEVIATIONS} is called {title:?}"));
    }
    if check.starts_with("D-") {
        return (!cases.contains(&format!("\n#### {check} "))).then(|| format!("no case is called {check}"));
    }
    let Some(path) = check.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
        return Some(format!("neither a test, nor a case, nor a paragraph: {check}"));
    };
    let mut parts = path.split("::");
    let file = parts.next().unwrap_or_default();
    let Some(text) = files.get(file) else { return Some(format!("there is no file {file}")) };
    let mut modules: Vec<&str> = parts.collect();
    let name = modules.pop().unwrap_or_default();
    let missing = modules.iter().find(|module| !text.contains(&format!("\nmod {module} {{")));
    if let Some(module) = missing {
        return Some(format!("{file} has no module {module}"));
    }
    (!is_test(text, name)).then(|| format!("{file} has no test {name}"))
}

/// Whether a text has a function of this name with an attribute of a test in front of it.
pub(crate) fn is_test(text: &str, name: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    let above = before.rsplit_once('\n').map_or("", |(above, _)| above);
    let attributes = above.rsplit('\n').take_while(|line| !line.trim().is_empty());
    attributes.map(str::trim).any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
}

#[test]
fn every_check_that_is_named_exists() {
    let (page, cases, deviations) = (page(PAGE), page(CASES), page(DEVIATIONS));
    let files: BTreeMap<String, String> =
        ["src", "tests", "examples"].into_iter().flat_map(rust_files).collect();
    let mut faults = Vec::new();
    for (row, checks) in rows(&page) {
        faults.extend(
            checks
                .iter()
                .filter_map(|check| fault(check, &files, &cases, &deviations))
                .map(|fault| format!("{row}: {fault}")),
        );
    }
    assert!(faults.is_empty(), "{PAGE}:\n{}", faults.join("\n"));
}

#[test]
fn every_requirement_has_its_row() {
    let page = page(PAGE);
    let on_page: Vec<&str> = rows(&page).into_iter().map(|(name, _)| name).collect();
    let once: BTreeSet<&str> = on_page.iter().copied().collect();
    assert_eq!(once.len(), on_page.len(), "a row comes twice");
    let missing: Vec<&str> = ROWS.split_whitespace().filter(|row| !once.contains(row)).collect();
    assert!(missing.is_empty(), "{PAGE} has no row for {missing:?}");
}

#[test]
fn what_does_not_exist_is_noticed() {
    let text = "\n#[test]\nfn good() {\n}\n\nfn helper() {\n}\n\nmod tests {\n    #[tokio::test(flavor)]\n    async fn inside() {\n";
    let files = BTreeMap::from([("a.rs".to_owned(), text.to_owned())]);
    let fault = |check| fault(check, &files, "\n#### D-01 · x\n", "# Odd\n\n**We stay.** On it.\n# Not so\n");
    for good in [
        "`a.rs::good`",
        "`a.rs::tests::inside`",
        "D-01",
        "[*We stay*](super::deviations)",
        "[*Not so*](super::deviations)",
    ] {
        assert_eq!(fault(good), None);
    }
    for bad in [
        "`a.rs::helper`",
        "`a.rs::goo`",
        "`b.rs::good`",
        "`a.rs::test::inside`",
        "D-0",
        "D-02",
        "good",
        "[*We go*](super::deviations)",
        "",
    ] {
        assert!(fault(bad).is_some(), "{bad:?}");
    }
}
