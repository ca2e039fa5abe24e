//! `--select`: some files of a torrent, and the others another time.

use fake_tracker::{Behaviour, FakeTracker};

use super::*;

const FILES: [(&str, u64); 5] = [("a", 30_000), ("b", 100), ("c", 50_000), ("sub/d", 20_000), ("e", 0)];

/// A torrent of several files that share pieces, and a folder in which all of them are.
fn shared(trackers: &[String]) -> Shared {
    let folder = tempfile::tempdir().unwrap();
    let data = content(100_100);
    let mut at = 0;
    for (path, length) in FILES {
        let path = folder.path().join("seed/t").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let end = at + usize::try_from(length).unwrap();
        fs::write(path, &data[at..end]).unwrap();
        at = end;
    }
    // Its files in the order of the names, as --list shows them.
    let mut made =
        create::Source::at(&folder.path().join("seed/t")).unwrap().hash(Some(16_384), |_, _| {}).unwrap();
    made.tiers = create::tiers(trackers);
    let bytes = create::encode(&made).unwrap();
    fs::write(folder.path().join("x.torrent"), &bytes).unwrap();
    let torrent = Torrent::parse(&bytes, NameRules::HERE).unwrap().0;
    Shared { folder, data, torrent }
}

/// The files in a folder, hidden ones too but for the resume file, and whether those of the torrent have what they should.
fn files(shared: &Shared, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (path, _) in FILES {
        let at = shared.path(folder).join("t").join(path);
        if at.exists() {
            assert_eq!(fs::read(at).unwrap(), fs::read(shared.path("seed/t").join(path)).unwrap(), "{path}");
            found.push(path.to_owned());
        }
    }
    for entry in fs::read_dir(shared.path(folder)).unwrap().flatten() {
        let name = entry.file_name().into_string().ok();
        found.extend(name.filter(|name| name != "t" && !name.ends_with(".resume")));
    }
    found
}

#[test]
fn some_files_come_first_and_the_others_later() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tracker = runtime.block_on(FakeTracker::start(Behaviour::ok()));
    let shared = shared(&[tracker.announce_url()]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let mut fetched = 0;
    let mut run = |list: Option<&str>| {
        let select: Vec<&str> = list.iter().flat_map(|list| ["--select", list]).collect();
        let (code, said) =
            shared.start("leech", &[&["--exit-when-done", "--peer", &peer], &select[..]].concat()).end();
        assert_eq!(code, Some(0), "{said}");
        let heard: Vec<_> = tracker.announces();
        tracker.forget();
        let pieces = said.matches("\"piece_ok\"").count();
        fetched += pieces;
        let announced: Vec<_> =
            heard.iter().map(|heard| (heard.event().unwrap_or("").to_owned(), heard.left())).collect();
        (pieces, files(&shared, "leech"), announced, said)
    };
    let parts = format!(".{}.parts", shared.torrent.info_hash);
    let announce = |event: &str, left| (event.to_owned(), Some(left));
    let (pieces, there, heard, said) = run(Some("2,4"));
    // b lies within the second piece, which a and c share; e has no bytes.
    assert_eq!((pieces, there), (1, vec!["b".into(), "e".into(), parts.clone()]), "{said}");
    assert_eq!(heard, [announce("started", 100_100), announce("stopped", 100_100 - 16_384)]);
    assert!(said.contains("{\"event\":\"selected\",\"files\":2,\"of\":5,\"length\":100}"), "{said}");
    assert!(said.contains("{\"event\":\"complete\"}"), "{said}");

    let (pieces, there, heard, said) = run(Some("1"));
    assert_eq!((pieces, there), (1, vec!["a".into(), "b".into(), "e".into(), parts]), "{said}");
    assert_eq!(heard, [announce("started", 100_100 - 16_384), announce("stopped", 100_100 - 2 * 16_384)]);

    let (pieces, there, heard, said) = run(None);
    assert_eq!(there, ["a", "b", "c", "sub/d", "e"], "{said}");
    assert_eq!(pieces, 5, "nothing is fetched twice");
    let events: Vec<_> = heard.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(events, ["started", "completed", "stopped"]);
    assert_eq!(fetched, 7);
}

/// A client that has some files gives them, the pieces at their borders included.
#[test]
fn selected_files_are_seeded() {
    let shared = shared(&[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let options = ["--no-trackers", "--select", "2", "--peer", &peer];
    let mut first = shared.start("first", &options);
    let port = first.port();
    first.wait_for("complete");
    drop(seed);
    let peer = format!("127.0.0.1:{port}");
    let options = ["--no-trackers", "--select", "2", "--exit-when-done", "--peer", &peer];
    let (code, said) = shared.start("second", &options).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(files(&shared, "second").first(), Some(&"b".to_owned()));
}

#[test]
fn wrong_numbers_are_refused() {
    let shared = shared(&[]);
    let (code, said) = shared.start("leech", &["--select", "1,7", "--no-trackers"]).end();
    assert_eq!(code, Some(2));
    assert!(said.contains("--select: there are 5 files, 1 to 5; got 7"), "{said}");
    assert!(!shared.path("leech").exists());
}
