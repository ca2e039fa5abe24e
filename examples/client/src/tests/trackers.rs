//! The program with trackers: how it finds its peers, and what it announces.

use fake_tracker::{Behaviour, FakeTracker, SwarmPeer};

use super::*;

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A dead tracker and a broken one stand before the working one, where all peers find each other.
#[cfg(unix)]
#[test]
fn peers_are_found_through_the_tracker_that_lives() {
    let runtime = runtime();
    let (dead, broken, alive) = runtime.block_on(async {
        let dead = FakeTracker::start(Behaviour::ok()).await;
        dead.kill().await;
        (dead, FakeTracker::start(Behaviour::status(500)).await, FakeTracker::start(Behaviour::ok()).await)
    });
    let urls = [format!("{},{}", dead.announce_url(), broken.announce_url()), alive.announce_url()];
    let shared = Shared::new(200_000, &urls);
    let mut seed = shared.start("seed", &[]);
    seed.port();
    runtime.block_on(alive.wait_for_announces(1));
    let (code, said) = shared.start("leech", &["--exit-when-done"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("leech"));
    seed.terminate();
    let (code, said_by_seed) = seed.end();
    assert_eq!(code, Some(0), "{said_by_seed}");
    let heard = alive.announces();
    let events: Vec<_> = heard.iter().map(|heard| (heard.event(), heard.left())).collect();
    assert_eq!(
        events,
        [
            (Some("started"), Some(0)),
            (Some("started"), Some(200_000)),
            (Some("completed"), Some(0)),
            (Some("stopped"), Some(0)),
            (Some("stopped"), Some(0)),
        ],
        "{said}"
    );
    let stopped = &heard[3];
    assert_eq!(stopped.downloaded(), Some(200_000));
    assert_eq!(heard[4].uploaded(), Some(200_000));
    assert!(said.contains("\"tag\":\"TRACKER\"") && said.contains("\"tag\":\"ANNOUNCE\""), "{said}");
}

/// The swarm's size is asked for once at the start of a download, and by `--list` of every tracker at once.
#[test]
fn trackers_tell_how_large_the_swarm_is() {
    let runtime = runtime();
    let (dead, alive) = runtime.block_on(async {
        let dead = FakeTracker::start(Behaviour::Refused).await;
        (dead, FakeTracker::start(Behaviour::ok()).await)
    });
    let shared = Shared::new(100_000, &[dead.announce_url(), alive.announce_url()]);
    let seeder = SocketAddr::from(([127, 0, 0, 1], 1));
    let peer = SwarmPeer { peer_id: [1; 20], address: seeder, left: Some(0) };
    alive.add_peer(*shared.torrent.info_hash.as_bytes(), peer);
    let (code, said) = shared.start("leech", &["--list"]).end();
    assert_eq!(code, Some(0), "{said}");
    let address = alive.address();
    for line in [
        "{\"event\":\"file\",\"index\":1,\"length\":100000,\"path\":\"x.bin\"}".to_owned(),
        format!(
            "{{\"event\":\"tracker\",\"tier\":2,\"tracker\":\"http://{address}\",\"seeders\":1,\"leechers\":0,\
             \"error\":null}}"
        ),
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is not in\n{said}");
    }
    assert!(said.contains("\"seeders\":null,\"leechers\":null,\"error\":\"could not connect"), "{said}");
    let (code, said) = shared.start("leech", &["--list", "--no-trackers"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(alive.heard().len(), 1, "--no-trackers announces to none");
    let mut leech = shared.start("leech", &[]);
    let line = leech.wait_for("swarm");
    let swarm = format!("\"tracker\":\"http://{address}\",\"seeders\":1,\"leechers\":1}}");
    assert!(line.trim_end().ends_with(&swarm), "{line}");
}

/// BEP 27: only a private torrent drops its peers when it moves to another tracker.
#[test]
fn a_public_torrent_keeps_its_peers_when_the_tracker_changes() {
    let runtime = runtime();
    let trackers = runtime.block_on(async {
        [FakeTracker::start(Behaviour::ok()).await, FakeTracker::start(Behaviour::ok()).await]
    });
    let shared = Shared::new(100_000, &trackers.each_ref().map(FakeTracker::announce_url));
    let info_hash = shared.torrent.info_hash;
    let peer = Scripted::new(shared.torrent.pieces(), 1, move |_, wire| {
        wire.greet(info_hash, b"-XX0001-a-quiet-peer");
        wire.drain();
    });
    let address = peer.address.to_string();
    let mut leech =
        shared.start("leech", &["--announce-interval", "1", "--announce-to", "one", "--peer", &address]);
    leech.wait_for("peer_connected");
    let in_use = loop {
        let announced = trackers.iter().position(|tracker| !tracker.announces().is_empty());
        match announced {
            Some(announced) => break announced,
            None => leech.wait_for("alert"),
        };
    };
    runtime.block_on(trackers[in_use].kill());
    while !leech.wait_for("alert").contains("succeeded after 2 attempts") {}
    leech.wait_for("progress");
    let line = leech.wait_for("progress");
    assert!(line.contains("\"peers\":1,"), "{line}");
    drop(leech);
    peer.join();
}

/// Two trackers are alive and know no peer, the third is farther away and knows the seed. The first two are announced to
/// once, and receive completed if they list us.
#[test]
fn an_empty_tracker_hides_no_peer() {
    let runtime = runtime();
    let trackers = runtime.block_on(async {
        let start = || FakeTracker::start(Behaviour::ok());
        [start().await, start().await, start().await]
    });
    let urls = trackers.each_ref().map(FakeTracker::announce_url);
    for tiers in [urls.to_vec(), vec![urls.join(",")]] {
        let shared = Shared::new(100_000, &tiers);
        let mut seed = shared.start("seed", &["--no-trackers"]);
        let address = SocketAddr::from(([127, 0, 0, 1], seed.port()));
        trackers[2].set_latency(Duration::from_millis(50));
        let peer = SwarmPeer { peer_id: [1; 20], address, left: Some(0) };
        trackers[2].add_peer(*shared.torrent.info_hash.as_bytes(), peer);
        trackers.iter().for_each(FakeTracker::forget);
        let (code, said) = shared.start("leech", &["--exit-when-done", "--deadline-s", "30"]).end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("✓ also registered at "), "{said}");
        for tracker in &trackers[..2] {
            let events: Vec<_> =
                tracker.announces().iter().map(|heard| heard.event().map(str::to_owned)).collect();
            let events: Vec<_> = events.iter().map(Option::as_deref).collect();
            let allowed: [&[_]; 3] = [
                &[Some("started"), Some("completed"), Some("stopped")],
                &[Some("started"), Some("stopped")],
                &[],
            ];
            assert!(allowed.contains(&&events[..]), "{events:?}: {said}");
        }
    }
}

/// Of a single tracker there is nothing to count.
#[test]
fn the_progress_shows_at_how_many_trackers_we_are_registered() {
    let runtime = runtime();
    let trackers = runtime.block_on(async {
        [FakeTracker::start(Behaviour::ok()).await, FakeTracker::start(Behaviour::ok()).await]
    });
    let urls = trackers.each_ref().map(FakeTracker::announce_url);
    for (urls, shown) in [(&urls[..], ", registered at 1 of 2\""), (&urls[..1], " ms\"")] {
        let shared = Shared::new(100_000, urls);
        let mut leech = shared.start("leech", &["--announce-to", "one"]);
        while !leech.wait_for("alert").contains("succeeded after 1 attempt") {}
        let line = (0..2).map(|_| leech.wait_for("progress")).last().unwrap_or_default();
        assert!(line.contains(shown), "{line}");
    }
}

/// Two runs with one `--latency-cache`: the second announces to the nearest at once, and probes no tracker. A file that
/// can't be read is reported, and all trackers are probed again.
#[cfg(all(feature = "cache", unix))]
#[test]
fn the_latency_cache_is_kept() {
    use fake_tracker::Asked;
    let runtime = runtime();
    let (far, near) = runtime.block_on(async {
        (FakeTracker::start(Behaviour::ok()).await, FakeTracker::start(Behaviour::ok()).await)
    });
    far.set_latency(Duration::from_millis(150));
    let shared = Shared::new(100_000, &[far.announce_url(), near.announce_url()]);
    let cache = shared.path("trackers.cache");
    let run = |last: &str| {
        let mut client =
            shared.start("seed", &["--announce-to", "one", "--latency-cache", cache.to_str().unwrap()]);
        let mut said = String::new();
        while !said.contains(last) {
            said += &client.wait_for("alert");
        }
        client.terminate();
        let (code, rest) = client.end();
        assert_eq!(code, Some(0), "{rest}");
        said + &rest
    };
    let probes = |tracker: &FakeTracker| {
        tracker.heard().iter().filter(|heard| matches!(heard.asked(), Asked::Head | Asked::Other)).count()
    };
    let said = run("failover order");
    assert!(!said.contains("latency cache"), "{said}");
    assert_eq!((probes(&far), probes(&near)), (1, 1));
    let (asked_far, asked_near) = (far.announces().len(), near.announces().len());

    let said = run("succeeded after 1 attempt");
    assert_eq!((probes(&far), probes(&near)), (1, 1), "{said}");
    assert_eq!((far.announces().len(), near.announces().len()), (asked_far, asked_near + 2), "{said}");

    for spoilt in ["not a cache", "d3:app16:tracker-failover6:formati99e5:hostsde7:writteni1ee"] {
        fs::write(&cache, spoilt).unwrap();
        let before = (probes(&far), probes(&near));
        let said = run("failover order");
        assert!(said.contains("latency cache not used"), "{spoilt:?}: {said}");
        assert_eq!((probes(&far), probes(&near)), (before.0 + 1, before.1 + 1), "{spoilt:?}");
    }
}
