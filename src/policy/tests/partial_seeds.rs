//! Partial seeds (BEP 21): which announces say so, and trackers that refuse the event.

use super::*;

fn wants_no_more(left: u64) -> Transfer {
    Transfer { partial_seed: true, ..super::left(left) }
}

/// A torrent with one tracker at each address, whose announces are made on request.
fn torrent(trackers: &[&str]) -> Played {
    let mut played = Played::new(&[], on_request());
    let add = |list: &mut TrackerSet| {
        for (tier, tracker) in trackers.iter().enumerate() {
            assert!(list.add(tier, tracker.parse().unwrap()));
        }
    };
    played.engine.change_trackers(played.torrent, add, played.now);
    played.engine.update(played.torrent, left(1000), played.now);
    played
}

/// One announce after the counters were set, and what was sent for it.
fn sent(played: &mut Played, transfer: Transfer) -> Vec<String> {
    played.engine.update(played.torrent, transfer, played.now);
    played.announce();
    let sent = std::mem::take(&mut played.sent);
    sent.iter().map(|line| line.split(" numwant").next().unwrap().to_owned()).collect()
}

fn refusal() -> AnnounceError {
    AnnounceError::Rejected(Rejection::new("unknown event"))
}

#[test]
fn a_partial_seed_says_so_in_each_regular_announce() {
    let mut played = torrent(&["http://a.test/announce"]);
    assert_eq!(sent(&mut played, wants_no_more(400)), ["a:started left=400"], "which goes before it");
    for _ in 0..2 {
        assert_eq!(sent(&mut played, wants_no_more(400)), ["a:paused left=400"]);
    }
    assert_eq!(sent(&mut played, left(400)), ["a:none left=400"], "further files were selected");
    assert_eq!(sent(&mut played, wants_no_more(300)), ["a:paused left=300"]);
    assert_eq!(sent(&mut played, wants_no_more(0)), ["a:completed left=0"]);
    assert_eq!(sent(&mut played, wants_no_more(0)), ["a:none left=0"], "it is a seed");
    played.engine.stop(played.torrent, played.now);
    played.settle();
    assert_eq!(played.sent, ["a:stopped left=0 numwant=0"]);
}

#[test]
fn there_is_no_such_event_over_udp_and_none_without_a_size() {
    let mut played = torrent(&["udp://a.test:80"]);
    let unknown = Transfer { partial_seed: true, ..Transfer::default() };
    sent(&mut played, left(400));
    assert_eq!(sent(&mut played, wants_no_more(400)), ["a:none left=400"]);
    let mut played = torrent(&["http://a.test/announce"]);
    sent(&mut played, left(400));
    assert_eq!(sent(&mut played, unknown), ["a:none left=?"]);
}

/// Some trackers refuse events that they don't know. One announce is lost to each, once.
#[test]
fn a_tracker_that_refuses_the_event_is_announced_to_without_it() {
    let mut played = torrent(&["http://a.test/announce", "http://b.test/announce"]);
    sent(&mut played, left(400));
    played.refuses_paused.insert(url("a"));
    assert_eq!(sent(&mut played, wants_no_more(400)), ["a:paused left=400", "a:none left=400"]);
    assert_eq!(played.rounds.last().unwrap().as_ref().unwrap().tracker, url("a"), "which stays in use");
    assert_eq!(sent(&mut played, wants_no_more(400)), ["a:none left=400"]);
    played.fails("a", refused());
    assert_eq!(sent(&mut played, wants_no_more(400)), ["a:none left=400", "b:started left=400"]);
    assert_eq!(sent(&mut played, wants_no_more(400)).last().unwrap(), "b:paused left=400", "each for itself");
}

/// What else a tracker refuses stays refused.
#[test]
fn a_refusal_for_another_reason_costs_one_more_announce() {
    let mut played = torrent(&["http://a.test/announce"]);
    sent(&mut played, left(400));
    played.fails("a", refusal());
    assert_eq!(sent(&mut played, wants_no_more(400)), ["a:paused left=400", "a:none left=400"]);
    assert_eq!(sent(&mut played, wants_no_more(400)), ["a:none left=400"]);
    let mut played = torrent(&["http://a.test/announce"]);
    sent(&mut played, left(400));
    let never = AnnounceError::Rejected(Rejection { retry: Retry::Never, ..Rejection::new("gone") });
    played.fails("a", never);
    assert_eq!(sent(&mut played, wants_no_more(400)), ["a:paused left=400"], "it asked for no further one");
}
