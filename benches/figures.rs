//! A few figures in plain words: `cargo bench --bench figures`, or one of them by its name behind `--`.
//!
//! `memory`: of an idle torrent and tracker. `decision`: the time of one, with 10,000 torrents. `start`: the time
//! to read and add a torrent with a thousand trackers. `overhead`: of a failover from a tracker that refuses
//! connections, beside the same two requests on bare hyper.
//!
//! Bytes that are allocated are counted by `allocated`, because counting takes time.
//!
//! Only by their names: `million`, memory and time of a million torrents (three minutes and three gigabytes), and
//! `growth`, the same of a thousand to a million (two minutes). With `--results FOLDER` they also write
//! `million.tsv` and `growth.tsv` there.

#[path = "support/growth.rs"]
mod growth;
#[path = "support/idle.rs"]
mod idle;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/process.rs"]
mod process;

use std::time::Duration;

use idle::Idle;
use loopback::Loopback;
use process::{now, resident};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = arguments.as_slice()
        && first == growth::ENGINE
    {
        return growth::engine(rest);
    }
    let (results, arguments) = process::results_folder(arguments);
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
    if named.contains(&"million") || test && wanted("million") {
        growth::million(if test { 300 } else { 1_000_000 }, results.as_deref());
    }
    if named.contains(&"growth") || test && wanted("growth") {
        let sizes: &[u64] = if test { &[100, 300] } else { &[1000, 10_000, 100_000, 1_000_000] };
        growth::growth(sizes, results.as_deref());
    }
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
