//! What has to happen: announces that nothing may hold back for long.

use super::*;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A torrent that was deferred because its only host failed follows once that host answers another torrent, long before
/// its own back-off is over.
#[test]
fn an_answer_to_one_torrent_brings_a_deferred_one_back_within_a_minute() {
    let config = Config { probing: Probing::Off, ..one_at_a_time() };
    let mut played = Played::new(&[&["a"]], config);
    let deferred = played.and_another();
    for torrent in [played.torrent, deferred] {
        // Seeds, which wait for the whole back-off of a host.
        played.engine.update(torrent, left(0), played.now);
    }
    played.fails("a", refused());
    played.play_until(played.now + secs(2 * 3600));
    while played.due(deferred) < played.now + secs(600) {
        played.play_until(played.due(deferred) + secs(1));
    }
    played.play_until(played.now + secs(60));
    played.failing.clear();
    played.announce();
    assert_eq!(played.answered_at("a"), Some(played.now));
    played.opened.clear();
    played.play_until(played.now + secs(60));
    assert_eq!(played.opened, [url("a")], "of the deferred torrent: the other one has been answered");
}

/// R84: an interval that the tracker asked for holds regular announces back, and no event.
#[test]
fn completed_passes_the_min_interval() {
    let mut played = Played::new(&[&["a"]], Config { probing: Probing::Off, ..one_at_a_time() });
    played.engine.update(played.torrent, left(1000), played.now);
    played.response.min_interval = Some(secs(972));
    played.announce();
    played.sent.clear();
    played.engine.want_peers(played.torrent, played.now);
    played.play_until(played.now + secs(120));
    assert!(played.sent.is_empty(), "{:?}", played.sent);
    played.engine.complete(played.torrent, played.now);
    played.settle();
    assert_eq!(played.sent, ["a:completed left=0 numwant=?"]);
}
