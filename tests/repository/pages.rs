//! What the pages lead to exists: files, headings, and the programs of commands. And the README stays short.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::{page, root};

const README: &str = "README.md";
const RESULTS: &str = "benches/RESULTS.md";

/// The pages whose links are followed.
fn pages() -> Vec<String> {
    let mut pages = vec![README.to_owned(), RESULTS.to_owned(), "tests/interop/README.md".to_owned()];
    for (folder, suffix) in [("src/manual", ""), ("examples", "/README.md")] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let paths = names.map(|name| format!("{folder}/{name}{suffix}"));
        pages.extend(paths.filter(|path| {
            Path::new(path).extension() == Some("md".as_ref()) && root().join(path).is_file()
        }));
    }
    assert!(pages.len() >= 12, "{pages:?}");
    pages
}

#[test]
fn the_readme_is_read_in_a_minute() {
    let lines = page(README).lines().count();
    assert!(lines <= 120, "{lines} lines: what a user needs on the second day stands in the manual");
}

/// The text without its blocks of code, and with empty code spans: what looks like a link there is none.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        if !is_code && !is_fence {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    assert!(!is_code, "a block of code has no end");
    prose
}

/// Where links and pictures of a page lead, but for addresses and the items of rustdoc.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let starts = [("](", ')'), (" src=\"", '"'), (" srcset=\"", '"')];
    let all = starts.iter().flat_map(|(start, end)| {
        prose.split(start).skip(1).filter_map(|rest| rest.split_once(*end)).map(|(target, _)| target)
    });
    let local = |target: &&str| !target.contains("://") && !target.contains("::");
    all.filter(local).map(str::to_owned).collect()
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut anchors = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        let Some((_, title)) = line.split_once("# ").filter(|(marks, _)| marks.chars().all(|c| c == '#'))
        else {
            continue;
        };
        if is_code {
            continue;
        }
        let kept = title.to_lowercase().replace(' ', "-");
        let kept: String = kept.chars().filter(|c| c.is_alphanumeric() || ['-', '_'].contains(c)).collect();
        let times = seen.entry(kept.clone()).and_modify(|times| *times += 1).or_insert(0);
        anchors.push(if *times == 0 { kept } else { format!("{kept}-{times}") });
    }
    anchors
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} leads out of the repository", path.display()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// What is wrong with the target of a link, if anything.
fn fault(from: &str, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let folder = Path::new(from).parent().unwrap();
    let path = if path.is_empty() { PathBuf::from(from) } else { plain(&folder.join(path)) };
    if !root().join(&path).exists() {
        return Some(format!("{from}: no file {}", path.display()));
    }
    let anchor = anchor?;
    let there = anchors(&page(path.to_str().unwrap()));
    (!there.iter().any(|known| known == anchor)).then(|| format!("{from}: no heading {target}, of {there:?}"))
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut followed = 0;
    let mut faults = Vec::new();
    for from in pages() {
        let targets = targets(&page(&from));
        followed += targets.len();
        faults.extend(targets.iter().filter_map(|target| fault(&from, target)));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(followed >= 20, "the links were not understood: {followed}");
}

#[test]
fn links_to_nowhere_are_found() {
    let text = "# One `two`, three\n# One `two`, three\n[a](x.md)\n`[b](y.md)` [c\nd](#e) [f](https://g.h) [i](super::j)\n\
        ```text\n[k](z.md)\n# No heading\n```\n<img alt=\"\" src=\"p.svg\">\n";
    assert_eq!(targets(text), ["x.md", "#e", "p.svg"]);
    assert_eq!(anchors(text), ["one-two-three", "one-two-three-1"]);
    assert_eq!(fault(README, "LICENSE-MIT"), None);
    assert_eq!(fault("src/manual/usage.md", "../../README.md#set-up"), None);
    assert!(fault("src/manual/usage.md", "README.md").is_some());
    assert!(fault(README, "#nowhere").is_some() && fault(README, "src/manual/usage.md#nowhere").is_some());
}

/// The commands in blocks of a shell, and in code spans.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block = "";
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            block = if block.is_empty() { if kind.is_empty() { "text" } else { kind } } else { "" };
        } else if block == "sh" {
            found.push(line.split(" #").next().unwrap().trim().to_owned());
        } else if block.is_empty() {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let is_command = |text: &String| {
        let first = text.split(' ').next().unwrap_or_default();
        ["cargo", "bash"].contains(&first) || first.contains('/') && text.contains(' ')
    };
    found.retain(is_command);
    found
}

/// What of a command doesn't exist, if anything.
fn missing(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "--").collect();
    // A script by its path.
    let script = if words[0] == "bash" { words[1] } else { words[0] };
    if words[0] != "cargo" {
        return (!root().join(script).is_file()).then(|| script.to_owned());
    }
    if !["bench", "build", "install", "run", "test"].contains(&words[1]) {
        return Some(format!("cargo {}", words[1]));
    }
    let manifests = manifests();
    let names = |name: &str| manifests.values().any(|text| text.contains(&format!("\nname = \"{name}\"\n")));
    for pair in words.windows(2) {
        let [option, name] = pair else { unreachable!("windows of two") };
        let exists = match *option {
            "-p" | "--package" => manifests.contains_key(*name),
            "--bin" => names(name),
            "--bench" | "--example" | "--test" => {
                let folder = match *option {
                    "--bench" => "benches",
                    "--example" => "examples",
                    _ => "tests",
                };
                let files = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/main.rs")];
                files.iter().any(|file| root().join(file).is_file())
            }
            _ => true,
        };
        if !exists {
            return Some(format!("{option} {name}"));
        }
    }
    None
}

/// The manifests of the workspace, by the names of their packages.
fn manifests() -> BTreeMap<String, String> {
    let own = page("Cargo.toml");
    let members = own.split_once("members = [").unwrap().1.split_once(']').unwrap().0.to_owned();
    let members = members.split('"').skip(1).step_by(2).map(|member| page(&format!("{member}/Cargo.toml")));
    let name = |text: &String| text.split("name = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    std::iter::once(own).chain(members).map(|text| (name(&text), text)).collect()
}

#[test]
fn every_command_of_a_page_exists() {
    for from in [README, RESULTS, "tests/interop/README.md"] {
        let commands = commands(&page(from));
        assert!(commands.len() >= 4, "{from} was not understood: {commands:?}");
        for command in commands {
            assert_eq!(missing(&command), None, "{from}: {command}");
        }
    }
}

#[test]
fn commands_of_nothing_are_found() {
    let text =
        "`cargo run -p nothing` and `Config`\n```sh\ncargo test   # all\n```\n```text\ncargo run\n```\n";
    assert_eq!(commands(text), ["cargo run -p nothing", "cargo test"]);
    for command in
        ["cargo run -p nothing", "cargo run --example nothing", "cargo frob", "bash nothing", "a/b --c"]
    {
        assert!(missing(command).is_some(), "{command}");
    }
    for command in
        ["cargo run --release --example demo -- -p x", "cargo run -p interop --bin compare", ".ci/run lint"]
    {
        assert_eq!(missing(command), None, "{command}");
    }
}
