//! Ten thousand torrents over fifty trackers on loopback, half of them silent, from the start to the end:
//! `cargo bench --bench crowd`. Behind `--` a number of torrents, and one of trackers if it is to be another than fifty, or
//! two hundred with more than 10,000 torrents: `-- 100000` takes three minutes. `--results FOLDER` writes `crowd.tsv`.
//!
//! The trackers live in another process, so that memory and time shown are the announcer's. It ends by itself, and fails
//! where torrents haven't been announced in time.

#[path = "support/crowd.rs"]
mod crowd;
#[path = "support/process.rs"]
mod process;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use crowd::{Crowd, Report};
use process::{now, resident, results_folder, write_results};
use tokio::time::sleep;
use tracker_failover::net::http::{HttpConfig, HttpProber, HttpTransport};
use tracker_failover::net::resolver::SystemResolver;
use tracker_failover::{
    Alert, Alerts, AnnounceHandle, AnnounceTo, Announcer, AnnouncerBuilder, Config, InfoHash, PeerId,
    ShutdownReport, Torrent, TrackerSet,
};

/// How long the torrents get to be announced.
const START: Duration = Duration::from_secs(300);

/// How long the announcer gets to end.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// When the whole is given up, whatever it hangs at.
const END: Duration = Duration::from_secs(420);

/// What became of it.
struct Played {
    torrents: u64,
    hosts: usize,
    /// Torrents that weren't announced in time.
    missing: u64,
    took: Duration,
    worked: Duration,
    /// Bytes by which the process has grown.
    grown: u64,
    start: Report,
    ended: Duration,
    shutdown: ShutdownReport,
    end: Report,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` gives none, and `-- --test` wants no more than a look.
    let test = arguments.iter().any(|argument| argument == "--test")
        || !arguments.iter().any(|argument| argument == "--bench");
    let (results, arguments) = results_folder(arguments);
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok());
    let (first, second) = (numbers.next(), numbers.next().and_then(|hosts| usize::try_from(hosts).ok()));
    if arguments.first().is_some_and(|argument| argument == crowd::TRACKERS) {
        crowd::serve(first.and_then(|hosts| usize::try_from(hosts).ok()).expect("a number of trackers"))
            .await;
        return ExitCode::SUCCESS;
    }
    let torrents = first.unwrap_or(if test { 200 } else { 10_000 });
    let hosts = second.unwrap_or(if torrents > 10_000 { 200 } else { 50 });
    assert!(
        hosts >= 4 && hosts.is_multiple_of(2),
        "every second tracker lives, so {hosts} is no number of them"
    );
    if let Some(lack) = lacking_files(hosts) {
        eprintln!("{lack}");
        return ExitCode::FAILURE;
    }
    thread::spawn(|| {
        thread::sleep(END);
        eprintln!("given up: not ended within {END:?}");
        exit(1);
    });
    let played = play(torrents, hosts).await;
    print(&played, results.as_deref());
    if played.missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn play(torrents: u64, hosts: usize) -> Played {
    let mut trackers = Crowd::start(hosts);
    let announcer = announcer();
    let before = resident();
    let (began, cpu) = (now(), cpu());
    let mut sessions: Vec<(AnnounceHandle, Alerts)> = (0..torrents)
        .map(|number| announcer.add(set(&trackers.addresses, number), torrent(number)))
        .collect();
    let missing = torrents - started(&mut sessions).await;
    let (took, worked) = (now() - began, cpu_since(cpu));
    let grown = resident().saturating_sub(before);
    let start = trackers.report();

    let ending = now();
    let shutdown = announcer.shutdown(SHUTDOWN).await;
    let ended = now() - ending;
    drop(sessions);
    let end = trackers.report();
    Played { torrents, hosts, missing, took, worked, grown, start, ended, shutdown, end }
}

/// Waits until each has been announced once, as far as there is time, and gives how many have been.
async fn started(sessions: &mut [(AnnounceHandle, Alerts)]) -> u64 {
    let end = now() + START;
    let mut announced = 0;
    for (_, alerts) in sessions {
        let first = async {
            while let Some(alert) = alerts.next().await {
                if matches!(alert, Alert::Announced(_)) {
                    return true;
                }
            }
            false
        };
        let left = end.saturating_duration_since(now());
        // After the end no timer is waited for: those that have been announced before are still counted.
        announced += u64::from(tokio::select! {
            biased;
            found = first => found,
            () = async { if !left.is_zero() { sleep(left).await } } => false,
        });
    }
    announced
}

fn print(played: &Played, results: Option<&Path>) {
    let Played { torrents, hosts, start, end, shutdown, .. } = played;
    let count = |number: usize| number.to_string();
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    let rows = [
        ("torrents", torrents.to_string(), ""),
        ("trackers, half of them silent", count(*hosts), ""),
        ("torrents not announced in time", played.missing.to_string(), ""),
        ("until the last was announced", format!("{:.1}", played.took.as_secs_f64()), "s"),
        ("CPU of the announcer until then", seconds(played.worked), "s"),
        ("memory, a torrent with 4 trackers", (played.grown / torrents).to_string(), "B"),
        ("announces heard", count(start.announces), ""),
        ("most announces a tracker heard in a second", count(start.busiest), ""),
        ("most connections a tracker had at once", count(start.connections), ""),
        ("announces heard in the first half of each tracker's queue", count(start.first_half), ""),
        ("seeds among them", count(start.seeds_first), ""),
        ("connections that silent trackers got", count(start.silent_connections), ""),
        ("shutdown", seconds(played.ended), "s"),
        ("registrations", count(end.registered), ""),
        ("`stopped` heard", count(end.stopped), ""),
        ("`stopped` acknowledged", count(shutdown.acknowledged.len()), ""),
        ("`stopped` not reached or answered in time", count(shutdown.unanswered.len()), ""),
        ("`stopped` failed", count(shutdown.failed.len()), ""),
        ("most `stopped` a tracker heard in a second", count(end.busiest_end), ""),
        ("memory of the trackers' process", count(end.resident >> 20), "MiB"),
    ];
    println!("| {torrents} torrents over {hosts} trackers | |\n|---|---|");
    for (figure, value, unit) in &rows {
        println!("| {figure} | {} |", format!("{value} {unit}").trim_end());
    }
    if !shutdown.complete {
        println!("the report of the shutdown isn't complete");
    }
    if let Some(folder) = results {
        let command = format!("cargo bench --bench crowd -- {torrents} {hosts} --results FOLDER");
        let rows: Vec<_> =
            rows.map(|(figure, value, unit)| vec![figure.to_owned(), value, unit.to_owned()]).into();
        write_results(folder, "crowd", &command, &["figure", "value", "unit"], &rows);
    }
}

fn announcer() -> Announcer {
    let transport = HttpTransport::new(HttpConfig::new(), Arc::new(SystemResolver::new()));
    let prober = HttpProber::new(&transport);
    let one = Config::default().announce_to(AnnounceTo::One);
    AnnouncerBuilder::new(transport).prober(prober).config(one).seed(7).spawn()
}

/// Two living and two silent trackers for each, each in its own tier: those of even number live.
fn set(addresses: &[SocketAddr], number: u64) -> TrackerSet {
    let host = |offset: usize| (usize::try_from(number).unwrap_or_default() + offset) % addresses.len();
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

/// What to do if this process may open too few files: a tracker has four announces, a probe, and connections that are just being
/// closed; twelve at once were counted.
fn lacking_files(hosts: usize) -> Option<String> {
    let wanted = 16 * hosts + 50;
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    let soft = line.split_whitespace().nth(3)?.parse::<usize>().ok()?;
    (soft < wanted).then(|| {
        format!("{hosts} trackers take {wanted} open files, and the limit is {soft}: first run `ulimit -n {wanted}`")
    })
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
