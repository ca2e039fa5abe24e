//! Several torrents in one process.

use std::collections::BTreeSet;

#[cfg(unix)]
use fake_tracker::{Behaviour, FakeTracker};

use super::screen::events;
#[cfg(unix)]
use super::trackers::runtime;
use super::*;

/// Files and their torrents, all of other content.
struct Many {
    folder: TempDir,
    torrents: Vec<(String, String)>,
}

impl Many {
    fn new(count: usize, trackers: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("seed")).unwrap();
        let torrents = (0..count).map(|number| {
            let (path, torrent) = (format!("seed/{number}.bin"), format!("{number}.torrent"));
            let [path, torrent] = [path, torrent].map(|name| folder.path().join(name));
            fs::write(&path, data(number)).unwrap();
            let mut made = create::Source::at(&path).unwrap().hash(Some(16_384), |_, _| {}).unwrap();
            made.tiers = create::tiers(trackers);
            let bytes = create::encode(&made).unwrap();
            fs::write(&torrent, &bytes).unwrap();
            let read = Torrent::parse(&bytes, NameRules::HERE).unwrap().0;
            (torrent.to_str().unwrap().to_owned(), read.info_hash.to_string())
        });
        let torrents = torrents.collect();
        Self { folder, torrents }
    }

    fn paths(&self) -> Vec<&str> {
        self.torrents.iter().map(|(path, _)| path.as_str()).collect()
    }

    fn start(&self, own: &str, more: &[&str]) -> Client {
        self.start_with(&self.paths(), own, more)
    }

    fn start_with(&self, torrents: &[&str], own: &str, more: &[&str]) -> Client {
        let out = self.folder.path().join(own);
        Client::start(&[torrents, &["--out", out.to_str().unwrap()], more].concat())
    }

    fn is_whole(&self, own: &str, number: usize) -> bool {
        is_content(&self.folder.path().join(own).join(format!("{number}.bin")), &data(number))
    }
}

fn data(number: usize) -> Vec<u8> {
    let mut data = content(20_000 + number);
    data[0] = u8::try_from(number % 256).unwrap();
    data
}

/// The events of a kind, by their info-hashes, of which none has two.
fn of_each(said: &str, event: &str) -> BTreeSet<String> {
    let found: Vec<_> = events(said).into_iter().filter(|line| line["event"] == event).collect();
    let hashes =
        found.iter().map(|line| line["info_hash"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(hashes.len(), found.len(), "{event} of each once: {said}");
    hashes
}

/// Fifty torrents in one process from fifty in another, by two trackers of which one is dead.
#[cfg(unix)]
#[test]
fn fifty_torrents_are_downloaded_by_one_process() {
    const COUNT: usize = 50;
    let runtime = runtime();
    let (dead, tracker) = runtime.block_on(async {
        let dead = FakeTracker::start(Behaviour::ok()).await;
        dead.kill().await;
        (dead, FakeTracker::start(Behaviour::ok()).await)
    });
    let many = Many::new(COUNT, &[dead.announce_url(), tracker.announce_url()]);
    let all: BTreeSet<String> = many.torrents.iter().map(|(_, info_hash)| info_hash.clone()).collect();
    let seed = many.start("seed", &["--allow-loopback"]);
    let id = seed.process.id().to_string();
    // So much is said by fifty that it has to be read meanwhile.
    let seed = thread::spawn(|| seed.end());
    runtime.block_on(tracker.wait_for_announces(COUNT));
    let (code, said) =
        many.start("leech", &["--allow-loopback", "--exit-when-done", "--deadline-s", "60"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!((0..COUNT).all(|number| many.is_whole("leech", number)));
    for event in ["added", "checked", "complete", "summary"] {
        assert_eq!(of_each(&said, event), all, "{event}");
    }
    assert_eq!(said.matches("\"event\":\"piece_ok\"").count(), 2 * COUNT, "{said}");
    assert_eq!(said.matches("\"event\":\"listening\"").count(), 1, "one port for all: {said}");
    let last = events(&said).pop().unwrap();
    assert_eq!(
        last,
        serde_json::json!({"event": "all_ended", "torrents": COUNT, "complete": COUNT, "exit_code": 0})
    );
    assert!(Command::new("kill").arg(id).status().unwrap().success());
    let (code, said) = seed.join().unwrap();
    assert_eq!(code, Some(0), "{said}");
    // Everything was announced, and by two ids and two ports only.
    let heard = tracker.announces();
    let events = |event: &str| heard.iter().filter(|heard| heard.event() == Some(event)).count();
    assert_eq!((events("started"), events("completed"), events("stopped")), (2 * COUNT, COUNT, 2 * COUNT));
    let ids: BTreeSet<_> = heard.iter().map(fake_tracker::Heard::peer_id).collect();
    let ports: BTreeSet<_> = heard.iter().map(fake_tracker::Heard::port).collect();
    assert_eq!((ids.len(), ports.len()), (2, 2));
    let uploaded: u64 = heard
        .iter()
        .filter(|heard| heard.event() == Some("stopped"))
        .filter_map(fake_tracker::Heard::uploaded)
        .sum();
    let total: u64 = (0..COUNT).map(|number| data(number).len() as u64).sum();
    assert_eq!(uploaded, total, "each byte once");
}

/// One that can't be read, one that is refused, one that is given twice, one whose file another has: the others go on.
#[test]
fn one_that_fails_does_not_end_the_others() {
    let many = Many::new(3, &[]);
    let folder = many.folder.path();
    fs::write(folder.join("page"), "<html>").unwrap();
    // Another torrent of the same file name.
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/1.BIN"), content(30_000)).unwrap();
    let made =
        create::Source::at(&folder.join("other/1.BIN")).unwrap().hash(Some(16_384), |_, _| {}).unwrap();
    fs::write(folder.join("same-file"), create::encode(&made).unwrap()).unwrap();
    let more: Vec<_> =
        ["absent", "page", "same-file", "0.torrent"].map(|name| folder.join(name)).into_iter().collect();
    let more: Vec<&str> = more.iter().map(|path| path.to_str().unwrap()).collect();
    let mut seed = many.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let torrents = [&many.paths()[..], &more[..]].concat();
    let options = ["--no-trackers", "--exit-when-done", "--peer", &peer, "--deadline-s", "60"];
    let (code, said) = many.start_with(&torrents, "leech", &options).end();
    assert_eq!(code, Some(4), "the worst of 0, 1 and 4: {said}");
    assert!((0..3).all(|number| many.is_whole("leech", number)), "{said}");
    for expected in ["\"event\":\"refused\"", "absent: ", "1.BIN is a file of another torrent as well"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(of_each(&said, "complete").len(), 3, "{said}");
    assert!(said.contains("\"torrents\":7,\"complete\":4,\"exit_code\":4"), "{said}");
}

#[test]
fn what_is_about_one_torrent_is_refused_for_several() {
    let many = Many::new(2, &[]);
    for (torrents, more, expected) in [
        (many.paths(), &["--select", "1"][..], "--select: expected one torrent"),
        (vec!["-", "-"], &[], "can't be given twice"),
    ] {
        let (code, said) = many.start_with(&torrents, "leech", more).end();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn each_torrent_seeds_as_long_as_it_has_to() {
    let many = Many::new(2, &[]);
    let (code, said) = many.start("seed", &["--no-trackers", "--seed-time", "0"]).end();
    assert_eq!((code, of_each(&said, "complete").len()), (Some(0), 2), "{said}");
    // The one that is fetched once has given its size, and the other waits for its time.
    let mut seed = many.start("seed", &["--no-trackers", "--seed-ratio", "1.0", "--seed-time", "1h"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let fetch = |number: usize, own: &str| {
        let options = ["--no-trackers", "--exit-when-done", "--peer", &peer, "--deadline-s", "60"];
        let (code, said) = many.start_with(&[many.torrents[number].0.as_str()], own, &options).end();
        assert_eq!(code, Some(0), "{said}");
    };
    fetch(1, "leech");
    let line = seed.wait_for("summary");
    assert!(line.contains(&many.torrents[1].1), "{line}");
    fetch(0, "leech");
    let (code, said) = seed.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(of_each(&said, "summary").into_iter().collect::<Vec<_>>(), [many.torrents[0].1.clone()]);
}

/// `--check` and `--list` of several, and that each line names its torrent.
#[test]
fn several_are_checked_and_listed() {
    let many = Many::new(3, &[]);
    fs::write(many.folder.path().join("seed/1.bin"), data(0)).unwrap();
    let (code, said) = many.start("seed", &["--check"]).end();
    assert_eq!((code, of_each(&said, "complete").len()), (Some(6), 2), "{said}");
    assert_eq!(of_each(&said, "incomplete").into_iter().collect::<Vec<_>>(), [many.torrents[1].1.clone()]);
    let (code, said) = many.start("seed", &["--list", "--no-trackers"]).end();
    assert_eq!((code, of_each(&said, "file").len()), (Some(0), 3), "{said}");
}
