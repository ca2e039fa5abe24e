//! The program with trackers: how it finds its peers, and what trackers hear of it.

use fake_tracker::{Behaviour, FakeTracker};

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A dead tracker and one that is broken stand before the one that lives; everybody finds everybody there.
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
