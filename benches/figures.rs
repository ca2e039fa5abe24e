//! A few figures in plain words: `cargo bench --bench figures`, or one of them by its name behind `--`.
//!
//! `memory`: of an idle torrent and tracker. `decision`: the time of one, with 10,000 torrents. `start`: the time
//! to read and add a torrent with a thousand trackers. `overhead`: of a failover from a tracker that refuses
//! connections, beside the same two requests on bare hyper. `million`: memory and time with a million torrents.

#[path = "support/idle.rs"]
mod idle;
#[path = "support/loopback.rs"]
mod loopback;

use std::fs;
use std::time::{Duration, Instant};

use idle::Idle;
use loopback::Loopback;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` gives none, and `-- --test` wants no more than a look.
    let test = arguments.iter().any(|argument| argument == "--test")
        || !arguments.iter().any(|argument| argument == "--bench");
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.contains(&name);
    let (torrents, rounds) = if test { (100, 10) } else { (10_000, 2000) };
    // First, while the memory is still as it was.
    if wanted("memory") {
        memory(torrents);
    }
    if wanted("decision") {
        decision(torrents);
    }
    if wanted("start") {
        start();
    }
    if wanted("overhead") {
        overhead(rounds);
    }
    // Two minutes and two gigabytes, so only if it is asked for.
    if named.contains(&"million") {
        million(if test { 1000 } else { 1_000_000 });
    }
}

/// The memory and the time of so many torrents with eight trackers each on a thousand hosts.
fn million(torrents: u64) {
    let before = resident();
    let mut idle = Idle::new();
    for number in 0..torrents {
        idle.add(number, 8, 1000);
    }
    idle.announce(torrents * 2);
    let bytes = resident().saturating_sub(before) / torrents;
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..SLICES {
        let calls = idle.calls;
        let began = now();
        idle.announce((torrents / 50).max(20));
        times.push(micros(now() - began) / floating(idle.calls - calls));
    }
    let call = median(times);
    println!(
        "million: {torrents} torrents with 8 trackers on 1000 hosts: {call:.3} µs a call, {bytes} B a torrent registered at one"
    );
}

/// The resident memory of engines with many torrents that have announced and wait.
fn memory(torrents: u64) {
    let mut engines = Vec::new();
    for own_passkeys in [false, true] {
        let passkeys = if own_passkeys { "a passkey for each torrent" } else { "one passkey" };
        for trackers in [1, 2, 5, 10] {
            let before = resident();
            engines.push(settled(torrents, trackers, own_passkeys));
            let bytes = resident().saturating_sub(before) / torrents;
            let each = bytes / trackers as u64;
            println!(
                "memory: {torrents} idle torrents with {trackers} trackers, {passkeys}: {bytes} B a torrent, {each} B a tracker"
            );
        }
    }
}

/// The time of a regular announce and of each call that it takes.
fn decision(torrents: u64) {
    for (torrents, trackers) in [(torrents, 1), (torrents, 3), (torrents, 10), (torrents / 100, 1000)] {
        let mut idle = settled(torrents, trackers, false);
        let mut times: Vec<f64> = Vec::new();
        let mut calls = 0.0;
        for _ in 0..SLICES {
            let (calls_before, announces_before) = (idle.calls, idle.announces);
            let began = now();
            idle.announce((torrents / 10).max(20));
            let took = micros(now() - began);
            let announces = floating(idle.announces - announces_before);
            times.push(took / announces);
            calls = floating(idle.calls - calls_before) / announces;
        }
        // Other processes take some of the slices.
        let announce = median(times);
        println!(
            "decision: {torrents} torrents with {trackers} trackers: {:.3} µs a decision (poll or handle), {:.2} µs an announce",
            announce / calls,
            announce,
        );
    }
}

/// The time to read the addresses of a torrent and to add it, for each of its trackers: the same however many
/// there are.
fn start() {
    for trackers in [10, 100, 1000, 10_000] {
        let times = (0..SLICES).map(|_| {
            let mut idle = Idle::new();
            let began = now();
            idle.add(1, trackers, trackers as u64);
            micros(now() - began) / floating(trackers as u64)
        });
        let each = median(times.collect());
        println!("start: a torrent with {trackers} trackers: {each:.2} µs a tracker");
    }
}

/// The median of many failovers on loopback, in turn with those of bare hyper.
fn overhead(rounds: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (mut ours, mut hyper) = (Vec::new(), Vec::new());
    runtime.expect("a runtime can be had").block_on(async {
        let trackers = Loopback::start().await;
        for _ in 0..rounds {
            ours.push(micros(trackers.ours().await));
            hyper.push(micros(trackers.hyper().await));
        }
    });
    let [ours, hyper] = [ours, hyper].map(median);
    println!(
        "overhead: refused, then ok: {ours:.0} µs here, {hyper:.0} µs on bare hyper: {:.2} times (median of {rounds})",
        ours / hyper
    );
}

/// Parts of a measurement, of which the median counts.
const SLICES: usize = 21;

/// So many torrents that have all announced, on a hundred hosts, or more where they have more trackers.
fn settled(torrents: u64, trackers: usize, own_passkeys: bool) -> Idle {
    let mut idle = Idle::new();
    idle.own_passkeys = own_passkeys;
    for number in 0..torrents {
        idle.add(number, trackers, (trackers as u64).max(100));
    }
    idle.announce(torrents * 2);
    idle
}

/// Bytes of memory this process has, by the page.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn floating(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
