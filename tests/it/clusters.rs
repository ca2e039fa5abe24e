//! Clients of a synchronised cluster: each settles on one of its trackers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fake_tracker::{Behaviour, Cluster, Reply};
use tracker_failover::{Announcer, Config, InfoHash, PeerId, Torrent};

use super::world::{AddSession, INFO_HASH, Session, World, now};

const HOUR: Duration = Duration::from_secs(3600);

/// The interval of the trackers. A cluster of some peers is recognised by two answers in a row that agree with the tracker in use. The first
/// ones don't while clients arrive, and the next may come before that of the tracker in use: so it takes three intervals
/// at most.
const INTERVAL: Duration = Duration::from_secs(900);

/// A client, and the port that it announces.
fn start(world: &World, number: u8, left: u64) -> (Announcer, Session) {
    let announcer = world.builder().config(Config::default()).seed(number.into()).spawn();
    let peer_id = PeerId::with_prefix(*b"-XX0001-", [number; 12]);
    let mut torrent = Torrent::new(InfoHash::new(INFO_HASH), peer_id, 7000 + u16::from(number));
    torrent.transfer.left = Some(left);
    let handle = announcer.session(world.in_tiers(), torrent);
    (announcer, handle)
}

/// Which trackers heard each client from `from` on, by the number of the tracker, and how often.
fn heard(world: &World, from: tokio::time::Instant) -> BTreeMap<Option<u16>, Vec<usize>> {
    let mut heard: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for number in 0..3 {
        for announce in world.tracker(number).announces().iter().filter(|announce| announce.at >= from) {
            heard.entry(announce.port()).or_default().push(number);
        }
    }
    heard
}

/// Runs so many clients for four hours, each started 20 s after the one before. Every fourth is a seed, the first one
/// among them.
async fn four_hours(clients: u8) -> (World, tokio::time::Instant) {
    let behaviour = Behaviour::Ok(Reply { interval: INTERVAL, ..Reply::default() });
    let trackers = Cluster::in_memory(3, Duration::from_secs(1), behaviour).into_trackers();
    for (tracker, millis) in trackers.iter().zip([30, 5, 15]) {
        tracker.set_latency(Duration::from_millis(millis));
    }
    let world = World::of(trackers);
    let born = now();
    let mut running = Vec::new();
    for number in 0..clients {
        running.push(start(&world, number, if number % 4 == 0 { 0 } else { 1000 }));
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    tokio::time::sleep_until(born + HOUR * 4).await;
    (world, born)
}

/// By the trackers' own logs. Beside the one that it settled on, a client looks at another one once more in these hours.
#[tokio::test(start_paused = true)]
async fn each_client_of_a_cluster_settles_on_one_tracker_within_an_hour() {
    for clients in [2, 20] {
        let (world, born) = four_hours(clients).await;
        let in_all = heard(&world, born);
        let most = in_all.values().map(|trackers| trackers.iter().collect::<BTreeSet<_>>().len()).max();
        assert!(most > Some(1), "{clients}: some look at further trackers, or there is nothing to recognise");
        let settled = heard(&world, born + HOUR);
        assert_eq!(settled.len(), usize::from(clients), "all announce");
        for (port, trackers) in &settled {
            let count = |number| trackers.iter().filter(|tracker| **tracker == number).count();
            let mut counts = [count(0), count(1), count(2)];
            counts.sort_unstable();
            let [fewest, second, most] = counts;
            assert!(fewest <= 1 && second <= 1, "{clients}: {port:?} announces to {trackers:?}");
            assert!((11..=13).contains(&most), "{clients}: {port:?} announces to {trackers:?}");
        }
    }
}
