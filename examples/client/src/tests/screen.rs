//! What the program prints: for people, and as events that follow the schema.

use serde_json::Value;

use super::*;

/// Runs the program without `--json`; gives its exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "tests::child", "--nocapture", "--quiet"])
        .env(ARGUMENTS, [&["client", "--port", "0"], arguments].concat().join("\n"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Why a line is no event of the schema, if it is none. Holds for schemas that use what ours uses.
fn fault(schema: &Value, line: &Value) -> Option<String> {
    let kinds = schema["oneOf"].as_array().unwrap();
    let Some(kind) = kinds.iter().find(|kind| kind["title"] == line["event"]) else {
        return Some(format!("unknown event {line}"));
    };
    let (properties, fields) = (kind["properties"].as_object().unwrap(), line.as_object().unwrap());
    let required = kind["required"].as_array().unwrap();
    if let Some(missing) = required.iter().find(|name| !fields.contains_key(name.as_str().unwrap())) {
        return Some(format!("no {missing} in {line}"));
    }
    fields.iter().find_map(|(name, value)| {
        let Some(rule) = properties.get(name) else { return Some(format!("{name} isn't described: {line}")) };
        let is = |word: &str| match word {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64(),
            "number" => value.as_f64().is_some_and(|number| number >= 0.0),
            "null" => value.is_null(),
            word => panic!("{word} isn't known here"),
        };
        let fits = match &rule["type"] {
            Value::String(word) => is(word),
            Value::Array(words) => words.iter().any(|word| is(word.as_str().unwrap())),
            _ => rule["const"] == *value,
        };
        (!fits).then(|| format!("{name} is not as {rule} in {line}"))
    })
}

/// The events of an output, each of which has to follow the schema.
pub(super) fn events(output: &str) -> Vec<Value> {
    let schema: Value = serde_json::from_str(include_str!("../../events.schema.json")).unwrap();
    let lines = output.lines().filter(|line| line.starts_with('{'));
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in &events {
        assert_eq!(fault(&schema, event), None);
    }
    events
}

#[test]
fn every_event_follows_the_schema() {
    let shared = Shared::new(100_000, &[]);
    let torrent = shared.path("x.torrent");
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let more = ["--no-trackers", "--peer", &peer, "--exit-when-done", "--down", "10M", "--select", "1"];
    let (code, said) = shared.start("leech", &more).end();
    assert_eq!(code, Some(0), "{said}");
    let found = events(&said);
    let of =
        |kind: &str| found.iter().find(|event| event["event"] == kind).unwrap_or_else(|| panic!("{said}"));
    // R161
    assert_eq!(found[0]["event"], "added");
    assert_eq!(found[0]["info_hash"], shared.torrent.info_hash.to_string());
    assert_eq!((&found[0]["length"], &found[0]["private"]), (&100_000.into(), &false.into()));
    // R162
    assert_eq!((&of("summary")["downloaded"], &of("summary")["peers"]), (&100_000.into(), &1.into()));
    for kind in ["limits", "listening", "peer_connected", "piece_ok", "complete"] {
        of(kind);
    }
    let (_, listed) = Client::start(&["--list", "--no-trackers", torrent.to_str().unwrap()]).end();
    assert_eq!(events(&listed)[0]["event"], "added");
    let nothing = shared.path("nothing");
    let (code, refused) = {
        fs::write(&nothing, "<html>").unwrap();
        Client::start(&[nothing.to_str().unwrap()]).end()
    };
    assert_eq!((code, events(&refused)[0]["event"].as_str()), (Some(4), Some("refused")));
}

#[test]
fn the_check_of_events_finds_what_is_wrong() {
    let schema: Value = serde_json::from_str(include_str!("../../events.schema.json")).unwrap();
    let of = |line: &str| fault(&schema, &serde_json::from_str(line).unwrap());
    assert_eq!(of(r#"{"event":"listening","port":1}"#), None);
    for line in [
        r#"{"event":"other"}"#,
        r#"{"event":"listening"}"#,
        r#"{"event":"listening","port":"1"}"#,
        r#"{"event":"listening","port":-1}"#,
        r#"{"event":"listening","port":1,"more":1}"#,
    ] {
        assert!(of(line).is_some(), "{line}");
    }
}

/// R159
#[cfg(unix)]
#[test]
fn a_folder_that_can_not_be_written_is_an_error() {
    let shared = Shared::new(100_000, &[]);
    // A file where the folder should be: also for root, who may write everywhere.
    fs::write(shared.path("leech"), "").unwrap();
    let (torrent, out) = (shared.path("x.torrent"), shared.path("leech"));
    let arguments = [torrent.to_str().unwrap(), "--out", out.to_str().unwrap(), "--no-trackers"];
    let (code, said, errors) = run(&arguments);
    assert_eq!(code, Some(5), "{said}{errors}");
    assert!(errors.contains("[ERROR] ") && !said.contains("directory"), "{said}{errors}");
    let (code, said) = Client::start(&arguments).end();
    assert_eq!(code, Some(5), "{said}");
    assert!(events(&said).iter().any(|event| event["event"] == "error"), "{said}");
}

/// R159: the disk is full while pieces come in.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let shared = Shared::new(100_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let torrent = shared.path("x.torrent");
    // The limit on the size of a file stands for the full disk.
    let script = "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "tests::child", "--nocapture", "--quiet"])
        .env(
            ARGUMENTS,
            ["client", "--json", "--port", "0", torrent.to_str().unwrap(), "--no-trackers", "--peer", &peer]
                .into_iter()
                .chain(["--out", shared.path("leech").to_str().unwrap()])
                .collect::<Vec<_>>()
                .join("\n"),
        )
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(5), "{said}{errors}");
    assert!(errors.contains("[ERROR] "), "{said}{errors}");
    let kinds: Vec<_> = events(&said).iter().map(|event| event["event"].to_string()).collect();
    assert!(kinds.contains(&"\"error\"".into()) && kinds.contains(&"\"incomplete\"".into()), "{said}");
}

/// R160
#[test]
fn what_is_no_torrent_gets_a_text_that_says_what_to_do() {
    for (arguments, expected) in [
        (["http://127.0.0.1:1/secret.torrent"].as_slice(), "http://127.0.0.1: "),
        (&["/"], "a folder"),
        (&["-"], "it is empty"),
    ] {
        let (code, said, errors) = run(arguments);
        assert!(code != Some(0) && errors.contains("[ERROR]"), "{said}{errors}");
        assert!(errors.contains(expected) && !errors.contains("secret"), "{errors}");
    }
}

/// R161
#[test]
fn a_list_shows_the_info_hash_the_size_and_trackers_that_are_left_out() {
    let shared = Shared::new(100_000, &[]);
    let path = shared.path("x.torrent");
    let whole = fs::read(&path).unwrap();
    let info = whole.windows(6).position(|at| at == b"4:info").unwrap();
    let mut changed = b"d8:announce".to_vec();
    let tracker = "no-scheme/secret";
    changed.extend_from_slice(format!("{}:{tracker}", tracker.len()).as_bytes());
    changed.extend_from_slice(&whole[info..]);
    fs::write(&path, changed).unwrap();
    let (code, said, errors) = run(&[path.to_str().unwrap(), "--list", "--no-trackers"]);
    assert_eq!(code, Some(0), "{errors}");
    let info_hash = format!("info-hash {}\n", shared.torrent.info_hash);
    for expected in [info_hash.as_str(), "97.7 KiB in 1 file, 7 pieces of 16.0 KiB\n", "left out  "] {
        assert!(said.contains(expected), "{expected} isn't in\n{said}");
    }
    assert!(!said.contains("secret"), "{said}");
}

/// R162
#[cfg(unix)]
#[test]
fn seeding_is_said_once_and_ends_with_a_summary() {
    let shared = Shared::new(100_000, &[]);
    let (torrent, out) = (shared.path("x.torrent"), shared.path("seed"));
    let arguments = [torrent.to_str().unwrap(), "--out", out.to_str().unwrap(), "--no-trackers"];
    let (code, said, errors) = run(&[&arguments[..], &["--deadline-s", "12"]].concat());
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(said.matches("seeding, Ctrl+C ends it").count(), 1, "{said}");
    assert_eq!(said.matches("100% ").count(), 1, "progress is shown when it changes:\n{said}");
    assert!(
        said.contains("[INFO] downloaded 0 B at 0 B/s, uploaded 0 B in 12s, 0 peers, 0 trackers\n"),
        "{said}"
    );
    assert!(said.trim_end().ends_with("[INFO] complete"), "{said}");
    let (_, said, _) = run(&[&arguments[..], &["--exit-when-done"]].concat());
    assert!(!said.contains("seeding"), "{said}");
}
