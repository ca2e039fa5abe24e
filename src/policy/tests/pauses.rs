//! Sessions that pause, and clients whose counters are asked for.

use super::*;

/// Plays until this second, answering each question for the counters with `left`, and gives what trackers were sent.
fn play(played: &mut Played, to: u64, left_now: u64) -> Vec<String> {
    let end = at(to);
    let mut opened = BTreeMap::new();
    loop {
        match played.engine.poll(played.now) {
            Output::CountTransfer { torrent } => {
                played.engine.update(torrent, left(left_now), played.now);
            }
            Output::Open { attempt, tracker } => {
                opened.insert(attempt, tracker);
                played.engine.handle(Input::Opened(attempt), played.now);
            }
            Output::Announce { attempt, request } => {
                let event = request.event.map_or("none", crate::Event::name);
                played.sent.push(format!("{event} {}", request.transfer.left.unwrap_or(u64::MAX)));
                played.engine.handle(Input::Replied(attempt, Box::new(played.response.clone())), played.now);
            }
            Output::Wait(Some(wake)) if wake < end => played.now = wake,
            Output::Wait(_) => break,
            _ => {}
        }
    }
    played.now = end;
    std::mem::take(&mut played.sent)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

/// A download with one tracker, before its first announce.
fn download() -> Played {
    let mut played = Played::new(&[], Config { probing: Probing::Off, ..one_at_a_time() });
    let torrent = played.torrent;
    played.engine.count_transfer_on_demand(torrent);
    played.engine.update(torrent, left(1000), played.now);
    played.engine.change_trackers(torrent, |trackers| assert!(trackers.add(0, url("a"))), played.now);
    played
}

#[test]
fn the_counters_of_each_announce_are_those_of_its_moment() {
    let mut played = download();
    assert_eq!(play(&mut played, 10, 700), ["started 1000"], "they were given in the same moment");
    for (second, left) in [(10, 600), (11, 500)] {
        played.engine.reannounce(played.torrent, at(second));
        assert_eq!(play(&mut played, second + 1, left), [format!("none {left}")]);
    }
    let torrent = played.torrent;
    played.engine.reannounce(torrent, played.now);
    let first = play(&mut played, 12, 400);
    played.engine.stop(torrent, played.now);
    assert_eq!((first, play(&mut played, 13, 300)), (vec!["none 400".into()], vec!["stopped 300".into()]));
}

#[test]
fn a_paused_session_sends_nothing_until_it_is_resumed() {
    let mut played = download();
    assert_eq!(play(&mut played, 10, 1000), ["started 1000"]);
    let torrent = played.torrent;
    played.engine.pause(torrent, played.now);
    assert!(played.engine.is_paused(torrent));
    assert_eq!(play(&mut played, 20, 900), ["stopped 900"]);
    played.engine.want_peers(torrent, played.now);
    played.engine.complete(torrent, played.now);
    played.engine.network_changed(played.now);
    played.engine.set_port(torrent, 7000, played.now);
    assert_eq!(played.engine.reannounce(torrent, played.now), None);
    assert!(play(&mut played, 100_000, 0).is_empty());
    played.engine.resume(torrent, played.now);
    assert!(!played.engine.is_paused(torrent));
    assert_eq!(play(&mut played, 100_010, 0), ["started 0"], "which stands for `completed`");
}
