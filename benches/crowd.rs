//! Ten thousand torrents over fifty trackers on loopback, half of them silent, from the start to the end:
//! `cargo bench --bench crowd`, or with a number of torrents behind `--`.
//!
//! The trackers live in another process, so that memory and time shown are the announcer's.

#[path = "support/crowd.rs"]
mod crowd;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crowd::{Crowd, HOSTS, Report};
use tokio::time::timeout;
use tracker_failover::net::http::{HttpConfig, HttpProber, HttpTransport};
use tracker_failover::net::resolver::SystemResolver;
use tracker_failover::{
    Alert, Alerts, AnnounceHandle, AnnounceTo, Announcer, AnnouncerBuilder, Config, InfoHash, PeerId,
    Torrent, TrackerSet,
};

/// How long the torrents get to be announced.
const START: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "trackers") {
        return crowd::serve().await;
    }
    // `cargo test --benches` gives none, and `-- --test` wants no more than a look.
    let test = arguments.iter().any(|argument| argument == "--test")
        || !arguments.iter().any(|argument| argument == "--bench");
    let torrents = arguments.iter().find_map(|argument| argument.parse().ok());
    let torrents = torrents.unwrap_or(if test { 200 } else { 10_000 });
    play(torrents).await;
}

async fn play(torrents: u64) {
    let mut trackers = Crowd::start();
    let announcer = announcer();
    let before = resident();
    let (began, cpu) = (now(), cpu());
    let sessions: Vec<(AnnounceHandle, Alerts)> = (0..torrents)
        .map(|number| announcer.add(set(&trackers.addresses, number), torrent(number)))
        .collect();
    let sessions = started(sessions).await;
    let (took, worked) = (now() - began, cpu_since(cpu));
    let grown = resident().saturating_sub(before);
    let start = trackers.report();

    let ending = now();
    announcer.shutdown(Duration::from_secs(30)).await;
    let ended = now() - ending;
    drop(sessions);
    let end = trackers.report();
    print(torrents, took, worked, grown, &start, ended, &end);
}

/// Waits until each has been announced once, as far as there is time.
async fn started(mut sessions: Vec<(AnnounceHandle, Alerts)>) -> Vec<(AnnounceHandle, Alerts)> {
    let all = async {
        for (_, alerts) in &mut sessions {
            while let Some(alert) = alerts.next().await {
                if matches!(alert, Alert::Announced(_)) {
                    break;
                }
            }
        }
    };
    if timeout(START, all).await.is_err() {
        println!("not all were announced within {START:?}");
    }
    sessions
}

fn print(
    torrents: u64,
    took: Duration,
    worked: Duration,
    grown: u64,
    start: &Report,
    ended: Duration,
    end: &Report,
) {
    println!("| {torrents} torrents over {HOSTS} hosts, half of them silent | |");
    println!("|---|---|");
    println!("| until the last was announced | {:.1} s |", took.as_secs_f64());
    println!("| CPU of the announcer until then | {:.2} s |", worked.as_secs_f64());
    println!("| memory, a torrent with 4 trackers | {} B |", grown / torrents);
    println!("| announces heard | {} |", start.announces);
    println!("| most announces a host heard in a second | {} |", start.busiest);
    println!("| most connections a host had at once | {} |", start.connections);
    println!(
        "| seeds in the first half of what the hosts heard | {} of {} |",
        start.seeds_first, start.first_half
    );
    println!("| connections that silent hosts got | {} |", start.silent_connections);
    println!("| shutdown | {:.2} s |", ended.as_secs_f64());
    println!("| `stopped` heard, of registrations | {} of {} |", end.stopped, end.registered);
    println!("| most `stopped` a host heard in a second | {} |", end.busiest_end);
}

fn announcer() -> Announcer {
    let transport = HttpTransport::new(HttpConfig::new(), Arc::new(SystemResolver::new()));
    let prober = HttpProber::new(&transport);
    let one = Config::default().announce_to(AnnounceTo::One);
    AnnouncerBuilder::new(transport).prober(prober).config(one).seed(7).spawn()
}

/// Two living and two silent trackers for each, each in its own tier: those of even number live.
fn set(addresses: &[SocketAddr], number: u64) -> TrackerSet {
    let host = |offset: usize| (usize::try_from(number).unwrap_or_default() + offset) % HOSTS;
    TrackerSet::new([0, 7, 20, 31].map(|offset| {
        let url = format!("http://{}/announce", addresses[host(offset)]);
        [url.parse().expect("an address makes a good URL")]
    }))
}

/// Every fourth has all, and is in no hurry.
fn torrent(number: u64) -> Torrent {
    let mut hash = [0; 20];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    let mut torrent = Torrent::new(InfoHash::new(hash), PeerId::with_prefix(*b"-XX0001-", [7; 12]), 6881);
    torrent.transfer.left = Some(if number.is_multiple_of(4) { 0 } else { 1 << 30 });
    torrent
}

/// Bytes of memory this process has, by the page.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}

/// Clock ticks of a hundredth of a second this process has worked.
fn cpu() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn cpu_since(before: u64) -> Duration {
    Duration::from_millis(10 * cpu().saturating_sub(before))
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
