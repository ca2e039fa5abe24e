//! A session whose port or address changes while it runs: its trackers hear of it soon, by a plain announce.

use super::*;

/// When the trackers were sent announces, in seconds, with the port of each.
fn announces(engine: &mut Engine, from: u64, to: u64, response: &AnnounceResponse) -> Vec<(u64, u16, bool)> {
    let mut announces = Vec::new();
    for second in from..to {
        let now = at(second);
        loop {
            match engine.poll(now) {
                Output::Open { attempt, .. } => engine.handle(Input::Opened(attempt), now),
                Output::Announce { attempt, request } => {
                    announces.push((second, request.port, request.event.is_some()));
                    engine.handle(Input::Replied(attempt, Box::new(response.clone())), now);
                }
                Output::Wait(_) => break,
                _ => {}
            }
        }
    }
    announces
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

fn session() -> (Engine, TorrentId) {
    let mut engine = Engine::new(one_at_a_time(), 7);
    let torrent = engine.add(TrackerSet::new([[url("a")]]), a_torrent(1), Timestamp::ZERO);
    (engine, torrent)
}

#[test]
fn a_changed_port_is_announced_at_once_by_a_plain_announce() {
    let (mut engine, torrent) = session();
    let response = AnnounceResponse::default();
    assert_eq!(announces(&mut engine, 0, 100, &response), [(0, 6881, true)]);
    engine.set_port(torrent, 6882, at(100));
    assert_eq!(announces(&mut engine, 100, 400, &response), [(100, 6882, false)]);
    engine.set_port(torrent, 6882, at(400));
    assert_eq!(announces(&mut engine, 400, 500, &response), [], "it is the same");
    engine.set_ip(torrent, Some([192, 0, 2, 1].into()), at(500));
    assert_eq!(announces(&mut engine, 500, 600, &response), [(500, 6882, false)]);
}

#[test]
fn a_changed_port_waits_for_the_min_interval() {
    let (mut engine, torrent) = session();
    let response =
        AnnounceResponse { min_interval: Some(Duration::from_secs(300)), ..AnnounceResponse::default() };
    announces(&mut engine, 0, 100, &response);
    for port in [1, 2] {
        engine.set_port(torrent, port, at(100));
    }
    assert_eq!(announces(&mut engine, 100, 500, &response), [(300, 2, false)], "once, with the last one");
}

#[test]
fn a_port_that_changes_while_an_announce_is_under_way_is_announced_after_it() {
    let (mut engine, torrent) = session();
    let mut sent = None;
    while sent.is_none() {
        match engine.poll(at(0)) {
            Output::Open { attempt, .. } => engine.handle(Input::Opened(attempt), at(0)),
            Output::Announce { attempt, .. } => sent = Some(attempt),
            _ => {}
        }
    }
    engine.set_port(torrent, 6882, at(1));
    engine.handle(Input::Replied(sent.unwrap(), Box::default()), at(2));
    assert_eq!(announces(&mut engine, 2, 100, &AnnounceResponse::default()), [(2, 6882, false)]);
}

/// A tracker beside the one in use that lists us is one that sends us peers, too.
#[test]
fn each_tracker_that_lists_us_hears_of_the_port() {
    let config = Config::default().announce_to(AnnounceTo::All);
    let mut engine = Engine::new(config.probing(Probing::Off), 7);
    let trackers = TrackerSet::new([[url("a")], [url("b")], [url("c")]]);
    let torrent = engine.add(trackers, a_torrent(1), Timestamp::ZERO);
    let response = AnnounceResponse::default();
    assert_eq!(announces(&mut engine, 0, 100, &response).len(), 3);
    engine.set_port(torrent, 6882, at(100));
    let heard = announces(&mut engine, 100, 200, &response);
    assert_eq!(heard.iter().filter(|(_, port, event)| *port == 6882 && !event).count(), 3, "{heard:?}");
}

/// The single announce of a caller is about the address that it names.
#[test]
fn a_single_announce_with_an_address_is_one_announce() {
    let mut engine = Engine::new(one_at_a_time(), 7);
    let torrent = a_torrent(1);
    let mut request = crate::announce::AnnounceRequest::new(torrent.info_hash, torrent.peer_id, torrent.port);
    request.ip = Some([192, 0, 2, 1].into());
    engine.announce_once(TrackerSet::new([[url("a")]]), request, Timestamp::ZERO);
    assert_eq!(announces(&mut engine, 0, 3000, &AnnounceResponse::default()).len(), 1);
}
