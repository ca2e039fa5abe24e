//! What trackers receive of a client's downloads, over real connections.

#[path = "../../tracker.rs"]
mod tracker;

use std::process::{Command, Stdio};
use std::time::Duration;

use client::Download;
use tracker::Tracker;
use tracker_failover::{Announcer, InfoHash, PeerId, Torrent, TrackerSet};

/// Two peers, one of them on loopback: a tracker that is there itself may name it.
const TWO_PEERS: &str = "d8:completei1e10:incompletei1e8:intervali1800e5:peers12:\x08\x08\x08\x08\x1a\x01\x7f\x00\x00\x01\x1a\x02e";

fn list(trackers: &[&Tracker]) -> TrackerSet {
    TrackerSet::new(trackers.iter().map(|tracker| [tracker.url().parse().expect("a tracker's address")]))
}

async fn wait_for(tracker: &Tracker, count: usize) -> Vec<String> {
    for _ in 0..1000 {
        if tracker.announces().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracker.announces()
}

#[tokio::test]
async fn a_magnet_that_turns_private_is_downloaded() {
    let tracker = Tracker::start(TWO_PEERS);
    let announcer = Announcer::new();
    let download = Download::magnet(&announcer, [1; 20], list(&[&tracker]), 6881);
    let unknown = i64::MAX;
    assert_eq!(wait_for(&tracker, 1).await, [format!("started left={unknown} port=6881")]);
    for _ in 0..1000 {
        if download.peers.lock().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(download.peers.lock().unwrap().len(), 2, "both are handed out");
    download.metadata(1000, true);
    download.progress(400);
    download.progress(0);
    assert_eq!(wait_for(&tracker, 2).await[1], "completed left=0 port=6881");
    let status = download.handle.status().expect("it runs");
    assert_eq!((status.complete, status.incomplete), (Some(1), Some(1)));
    assert_eq!(status.tiers[0][0].answered, 2);
    let stopped = download.handle.stop().await.expect("it runs");
    assert!(stopped.results.len() == 1 && stopped.trackers.is_private());
    assert_eq!(wait_for(&tracker, 3).await[2], "stopped left=0 port=6881");
}

#[tokio::test]
async fn a_download_is_moved_to_another_port_paused_and_resumed() {
    let tracker = Tracker::start(TWO_PEERS);
    let announcer = Announcer::new();
    let mut torrent = Torrent::new(InfoHash::new([2; 20]), PeerId::random(*b"-AD0001-"), 6881);
    torrent.transfer.left = Some(1000);
    let download = Download::start(&announcer, torrent, list(&[&tracker]));
    wait_for(&tracker, 1).await;
    download.handle.set_port(7000);
    wait_for(&tracker, 2).await;
    download.progress(600);
    download.handle.pause();
    wait_for(&tracker, 3).await;
    download.handle.resume();
    wait_for(&tracker, 4).await;
    announcer.shutdown(Duration::from_secs(5)).await;
    assert_eq!(
        tracker.announces(),
        [
            "started left=1000 port=6881",
            "none left=1000 port=7000",
            "stopped left=600 port=7000",
            "started left=600 port=7000",
            "stopped left=600 port=7000",
        ]
    );
}

#[tokio::test]
async fn a_torrent_that_is_added_twice_is_stopped_once() {
    let tracker = Tracker::start(TWO_PEERS);
    let announcer = Announcer::new();
    let mut torrent = Torrent::new(InfoHash::new([3; 20]), PeerId::random(*b"-AD0001-"), 6881);
    torrent.transfer.left = Some(1000);
    let first = Download::start(&announcer, torrent.clone(), list(&[&tracker]));
    wait_for(&tracker, 1).await;
    let second = Download::start(&announcer, torrent, list(&[&tracker]));
    wait_for(&tracker, 2).await;
    first.handle.stop().await.expect("it runs");
    second.handle.stop().await.expect("it runs");
    let events: Vec<_> =
        tracker.announces().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(events, ["started", "started", "stopped"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_sends_stopped() {
    let tracker = Tracker::start(TWO_PEERS);
    let program =
        Command::new(env!("CARGO_BIN_EXE_client")).arg(tracker.url()).stdout(Stdio::piped()).spawn();
    let program = program.expect("it was built");
    assert_eq!(tracker.wait_for(1).len(), 1);
    let kill = Command::new("kill").args(["-INT", &program.id().to_string()]).status();
    assert!(kill.expect("every Unix has kill").success());
    let output = program.wait_with_output().expect("it ends");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains("stopped: 1 acknowledged, 0 failed\n"), "{output}");
    assert!(tracker.announces()[1].starts_with("stopped "), "{:?}", tracker.announces());
}
