//! Which trackers are announced to beside the one in use.

use super::*;
use crate::policy::torrent::TrackerRole;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A torrent with so much left, whose trackers name no peer, each in a separate tier: `a` is the
/// nearest, and its probe is answered first.
fn played(tiers: &[&[&str]], left_bytes: u64) -> Played {
    let mut engine = Engine::new(Config::default(), 7);
    let trackers = TrackerSet::new(tiers.iter().map(|tier| tier.iter().map(|name| url(name))));
    let mut torrent = a_torrent(1);
    torrent.transfer = left(left_bytes);
    let torrent = engine.add(trackers, torrent, Timestamp::ZERO);
    let mut probes = Vec::new();
    loop {
        match engine.poll(Timestamp::ZERO) {
            Output::Probe { attempt, tracker } => probes.push((tracker, attempt)),
            Output::Wait(_) => break,
            _ => {}
        }
    }
    probes.sort();
    for (number, (_, attempt)) in (1..).zip(probes) {
        let latency = Duration::from_millis(5 * number);
        let measured = Measurement { connect: latency, first_byte: latency };
        engine.handle(Input::Probed(attempt, Ok(measured)), Timestamp::ZERO);
    }
    let (failing, stalling, opened) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    let (sent, rounds) = (Vec::new(), Vec::new());
    let response = AnnounceResponse { complete: Some(0), incomplete: Some(1), ..AnnounceResponse::default() };
    let now = Timestamp::ZERO;
    let refuses_paused = BTreeSet::new();
    Played { engine, torrent, now, response, failing, refuses_paused, stalling, opened, sent, rounds }
}

/// The trackers that were announced to, in order, by name.
fn announced_to(played: &Played) -> String {
    let names: Vec<&str> = played.sent.iter().filter_map(|sent| sent.split(':').next()).collect();
    names.join(" ")
}

#[test]
fn a_leecher_without_peers_asks_one_further_tracker_after_the_other() {
    let mut played = played(&[&["b"], &["a"], &["c"], &["d"]], 1000);
    played.play_until(Timestamp::ZERO + secs(1));
    assert_eq!(
        announced_to(&played),
        "a b c d",
        "the nearest, the head, and the rest in the order of failover"
    );
}

#[test]
fn a_seed_is_registered_at_the_head_of_the_list() {
    let mut played = played(&[&["b"], &["a"], &["c"]], 0);
    played.response.incomplete = Some(5);
    played.play_until(Timestamp::ZERO + secs(1));
    assert_eq!(announced_to(&played), "a b");
    played.play_until(Timestamp::ZERO + secs(24 * 3600));
    let count = |name: &str| announced_to(&played).split(' ').filter(|to| *to == name).count();
    assert!(
        (48..=53).contains(&count("a")) && (48..=53).contains(&count("b")),
        "{}, {}",
        count("a"),
        count("b")
    );
    assert_eq!(count("c"), 0);
}

#[test]
fn one_tracker_is_one_tracker() {
    for private in [false, true] {
        let mut played = played(&[&["b"], &["a"], &["c"]], 1000);
        let trackers = TrackerSet::new([[url("b")], [url("a")], [url("c")]]);
        let trackers = if private { trackers.private() } else { trackers.with_announce_to(AnnounceTo::One) };
        played.engine.forget(played.torrent, Timestamp::ZERO);
        played.torrent = played.engine.add(trackers, a_torrent(2), Timestamp::ZERO);
        played.play_until(Timestamp::ZERO + secs(7200));
        let different: BTreeSet<&str> =
            played.sent.iter().filter_map(|sent| sent.split(':').next()).collect();
        assert_eq!(different.len(), 1, "private: {private}: {:?}", played.sent);
    }
}

/// What the user reads of it.
#[test]
fn the_status_shows_why_each_tracker_is_announced_to() {
    let mut played = played(&[&["b"], &["a"], &["c"]], 0);
    played.response.incomplete = Some(5);
    played.fails("c", AnnounceError::Rejected(Rejection::new("no")));
    played.play_until(Timestamp::ZERO + secs(60));
    let status = played.engine.status(played.torrent, played.now).unwrap();
    let roles: Vec<_> =
        status.tiers.iter().flatten().map(|tracker| (tracker.role, tracker.answered)).collect();
    assert_eq!(
        roles,
        [(TrackerRole::Beside(AnnounceReason::Head), 1), (TrackerRole::InUse, 1), (TrackerRole::Spare, 0)]
    );
    let head = &status.tiers[0][0];
    assert!(
        head.is_registered && head.next_announce > Some(secs(1500)) && head.last_answer == Some(secs(60))
    );
    assert_eq!((head.incomplete, head.peers), (Some(5), 0));
    let line = played.engine.explain(played.torrent, played.now).unwrap();
    assert!(line.contains("; asked beside it: http://b.test (head of the list), 3 of 3 peers"), "{line}");
}
