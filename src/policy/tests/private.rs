//! Torrents that turn out to be private while they run: a magnet's metadata says so after its trackers were added (BEP 27).

use super::*;
use crate::tracker_list::TrackerList;

/// What the engine wants done until it waits, by the names of trackers.
#[derive(Debug, Default)]
struct Wanted {
    probes: Vec<String>,
    opened: Vec<(String, crate::policy::AttemptId)>,
    announces: Vec<crate::policy::AttemptId>,
    closed: usize,
}

fn wanted(engine: &mut Engine, now: Timestamp) -> Wanted {
    let mut wanted = Wanted::default();
    let name = |tracker: &TrackerUrl| tracker.host().trim_end_matches(".test").to_owned();
    loop {
        match engine.poll(now) {
            Output::Probe { tracker, .. } => wanted.probes.push(name(&tracker)),
            Output::Open { attempt, tracker } => wanted.opened.push((name(&tracker), attempt)),
            Output::Announce { attempt, .. } => wanted.announces.push(attempt),
            Output::Close { .. } => wanted.closed += 1,
            Output::Wait(_) => return wanted,
            _ => {}
        }
    }
}

fn turn_private(engine: &mut Engine, torrent: TorrentId, now: Timestamp) {
    engine.change_trackers(torrent, |trackers| *trackers = std::mem::take(trackers).private(), now);
}

fn at(millis: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_millis(millis)
}

fn of_tiers(names: &[&str]) -> (Engine, TorrentId) {
    let mut engine = Engine::new(Config::default(), 7);
    let trackers = TrackerSet::new(names.iter().map(|name| [url(name)]));
    let torrent = engine.add(trackers, a_torrent(1), Timestamp::ZERO);
    (engine, torrent)
}

#[test]
fn probes_that_wait_are_not_made() {
    let names: Vec<String> = (0..30).map(|number| format!("t{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut engine, torrent) = of_tiers(&names);
    assert_eq!(wanted(&mut engine, at(0)).probes.len(), 16);
    turn_private(&mut engine, torrent, at(1));
    let then = wanted(&mut engine, at(1));
    assert_eq!(then.probes, [""; 0]);
    // No probe decides any more, so the first announce doesn't wait for one.
    assert_eq!(then.opened.len(), 1);
    assert_eq!(then.opened[0].0, "t00");
    let later = wanted(&mut engine, at(4000));
    assert_eq!((later.probes.len(), later.opened.len()), (0, 0), "no race: {later:?}");
}

#[test]
fn a_race_of_openings_becomes_one_opening() {
    let (mut engine, torrent) = of_tiers(&["a", "b", "c", "d"]);
    let mut opened = wanted(&mut engine, at(0)).opened;
    let mut now = 0;
    while opened.len() < 2 {
        now += 20;
        opened.extend(wanted(&mut engine, at(now)).opened);
    }
    turn_private(&mut engine, torrent, at(now));
    let then = wanted(&mut engine, at(now));
    assert_eq!(then.closed, opened.len(), "nothing was sent on any of them");
    assert_eq!(then.opened.len(), 1);
    assert_eq!(then.opened[0].0, "a", "by the list (BEP 12)");
    let mut others = Vec::new();
    for step in 1..50 {
        others.extend(wanted(&mut engine, at(now + 20 * step)).opened);
    }
    assert_eq!(others, [], "the next one only when this one has failed");
}

/// An announce that was sent may have registered us, so its answer counts.
#[test]
fn an_announce_that_was_sent_goes_on() {
    let (mut engine, torrent) = of_tiers(&["a", "b"]);
    wanted(&mut engine, at(0));
    let opened = wanted(&mut engine, at(500)).opened;
    engine.handle(Input::Opened(opened[0].1), at(510));
    assert_eq!(wanted(&mut engine, at(510)).announces.len(), 1);
    turn_private(&mut engine, torrent, at(520));
    let then = wanted(&mut engine, at(520));
    assert_eq!((then.opened.len(), then.closed), (0, 0));
    engine.handle(Input::Replied(opened[0].1, Box::default()), at(530));
    wanted(&mut engine, at(530));
    let status = engine.status(torrent, at(530)).unwrap();
    assert_eq!(status.in_use, Some(url(&opened[0].0)));
}

/// Of the trackers beside the one in use none is announced to any more, whatever peers are short of.
#[test]
fn rounds_beside_the_tracker_in_use_end() {
    let mut played = Played::new(&[&["b"], &["a"], &["c"], &["d"]], Config::default());
    played.play_until(at(100));
    turn_private(&mut played.engine, played.torrent, played.now);
    let before = played.sent.len();
    played.play_until(at(24 * 3_600_000));
    let after: BTreeSet<&str> =
        played.sent[before..].iter().filter_map(|sent| sent.split(':').next()).collect();
    assert_eq!(after.len(), 1, "one tracker: {after:?}");
}

#[test]
fn the_user_who_waits_for_an_announce_gets_its_result() {
    let (mut engine, torrent) = of_tiers(&["a", "b"]);
    wanted(&mut engine, at(0));
    let opened = wanted(&mut engine, at(500)).opened;
    assert_eq!(opened.len(), 1);
    engine.reannounce(torrent, at(600));
    turn_private(&mut engine, torrent, at(600));
    let (mut ended, mut now) = (0, 600);
    while ended == 0 && now < 300_000 {
        match engine.poll(at(now)) {
            Output::Open { attempt, .. } => engine.handle(Input::Opened(attempt), at(now)),
            Output::Announce { attempt, .. } => {
                engine.handle(Input::Replied(attempt, Box::default()), at(now));
            }
            Output::RoundEnded { result, .. } => {
                assert!(result.is_ok());
                ended += 1;
            }
            Output::Wait(_) => now += 100,
            _ => {}
        }
    }
    assert_eq!(ended, 1);
}

/// A list for all public torrents: what was announced there before is taken back by `stopped`, and nothing else is sent.
#[test]
fn the_trackers_of_a_list_are_announced_to_until_the_torrent_turns_private() {
    let mut played = Played::new(&[&["a"]], Config::default());
    let list = TrackerList::parse("http://list.test/announce\n");
    let torrent = played.torrent;
    played.engine.change_trackers(torrent, |trackers| assert_eq!(trackers.add_list(&list), 1), played.now);
    played.fails("a", refused());
    played.play_until(at(3_600_000));
    let at_list = |sent: &[String]| sent.iter().filter(|sent| sent.starts_with("list")).count();
    assert!(at_list(&played.sent) > 0, "{:?}", played.sent);
    turn_private(&mut played.engine, torrent, played.now);
    let before = played.sent.len();
    played.engine.change_trackers(torrent, |trackers| assert_eq!(trackers.add_list(&list), 0), played.now);
    played.play_until(at(24 * 3_600_000));
    assert_eq!(at_list(&played.sent[before..]), 0, "{:?}", &played.sent[before..]);
}
