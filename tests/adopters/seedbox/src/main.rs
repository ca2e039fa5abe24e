//! Five thousand torrents whose alerts are read by one task, or not at all: what each costs in memory, and a page of metrics.
//!
//! The trackers are played in memory and the clock is tokio's paused one, so that a hundred announces of each torrent take
//! seconds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracker_failover::{
    Alert, Alerts, AnnounceHandle, AnnounceResponse, Announcer, AnnouncerBuilder, Config, InfoHash, Peer,
    PeerAddress, PeerId, Torrent, TrackerSet, transport,
};

const TORRENTS: u32 = 5_000;
const TRACKERS: u32 = 50;
const ANNOUNCES: u32 = 100;
const PEERS: u32 = 200;
const INTERVAL: Duration = Duration::from_secs(600);

/// What a torrent may cost, in bytes.
const LIMIT: u64 = 4 << 10;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    let announcer = announcer();
    let mut all = announcer.alerts();
    let counts = tokio::spawn(async move {
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        while let Some((_, alert)) = all.next().await {
            let outcome = match &alert {
                Alert::Announced(_) => "announced",
                Alert::RoundFailed { .. } => "failed",
                Alert::Lagged { .. } => "lagged",
                _ => continue,
            };
            *counts.entry(outcome).or_default() += 1;
        }
        counts
    });
    // What an announcer and its first torrents cost isn't each torrent's.
    let warm = add(&announcer, 0..100);
    tokio::time::sleep(INTERVAL * 3).await;

    let before = resident();
    let mut dropped: Vec<AnnounceHandle> = Vec::new();
    for (handle, alerts) in add(&announcer, 100..TORRENTS) {
        drop(alerts);
        dropped.push(handle);
    }
    tokio::time::sleep(INTERVAL * ANNOUNCES).await;
    let without = resident().saturating_sub(before) / u64::from(TORRENTS - 100);

    let before = resident();
    let unread: Vec<(AnnounceHandle, Alerts)> = add(&announcer, TORRENTS..2 * TORRENTS);
    tokio::time::sleep(INTERVAL * ANNOUNCES).await;
    let with = resident().saturating_sub(before) / u64::from(TORRENTS);

    print!("{}", metrics(&announcer));
    let announced = dropped.iter().filter_map(AnnounceHandle::status).all(|status| status.in_use.is_some());
    drop((warm, dropped, unread));
    announcer.shutdown(Duration::from_secs(60)).await;
    let counts = counts.await.unwrap_or_default();
    println!("{counts:?}");
    println!("{without} bytes a torrent whose alerts were dropped, {with} where they are kept and not read");
    let all_announced =
        counts.get("announced").is_some_and(|count| *count >= u64::from(2 * TORRENTS * ANNOUNCES * 9 / 10));
    if without <= LIMIT && with <= LIMIT && announced && all_announced {
        ExitCode::SUCCESS
    } else {
        println!("expected at most {LIMIT} bytes, and every torrent announced");
        ExitCode::FAILURE
    }
}

/// An announcer with trackers that answer at once, each time with other peers.
fn announcer() -> Announcer {
    let answers = AtomicU32::new(0);
    let transport = transport::from_fn(move |_, _| {
        let first = 0x0800_0000 + answers.fetch_add(1, Ordering::Relaxed).wrapping_mul(PEERS) % 0x00ff_ff00;
        let peer =
            |of: u32| Peer { address: PeerAddress::Ip((Ipv4Addr::from(first + of), 6881).into()), id: None };
        let mut response = AnnounceResponse::default();
        response.peers = (0..PEERS).map(peer).collect();
        async move { Ok(response) }
    });
    AnnouncerBuilder::new(transport).config(Config::default().interval_override(INTERVAL)).spawn()
}

fn add(announcer: &Announcer, torrents: std::ops::Range<u32>) -> Vec<(AnnounceHandle, Alerts)> {
    let torrent = |number: u32| {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        let mut torrent = Torrent::new(InfoHash::new(hash), PeerId::new([1; 20]), 6881);
        torrent.transfer.left = Some(0);
        let tracker = format!("http://{}.test/announce", number % TRACKERS);
        announcer.add(TrackerSet::new([[tracker.parse().expect("a tracker's address")]]), torrent)
    };
    torrents.map(torrent).collect()
}

/// A page as monitoring reads it.
fn metrics(announcer: &Announcer) -> String {
    let mut page = String::new();
    for host in announcer.hosts().iter().take(3) {
        let labels = format!("{{host=\"{}\"}}", host.host);
        // Writing to a string doesn't fail.
        let _ = writeln!(page, "tracker_torrents{labels} {}", host.torrents);
        let _ = writeln!(page, "tracker_answers_total{labels} {}", host.successes);
        let _ = writeln!(page, "tracker_failures_in_a_row{labels} {}", host.failures_in_a_row);
        let _ = writeln!(page, "tracker_requests_per_second{labels} {:.2}", host.requests_per_second);
    }
    page
}

/// What the process takes, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() * 1024
}
