//! Figures of an engine with a thousand to a million torrents, each measured in a process of its own.

use std::env;
use std::path::Path;
use std::process::Command;

use tracker_failover::AnnounceTo;

use crate::idle::Idle;
use crate::process::{now, resident, write_results};
use crate::{floating, median, micros};

/// The argument by which this program measures one engine and prints its figures.
pub(crate) const ENGINE: &str = "engine";

/// Trackers of each torrent, and the hosts they are on.
const TRACKERS: usize = 8;
const HOSTS: u64 = 1000;

/// Parts of a measurement, of which the median counts.
const SLICES: u64 = 21;

/// What an engine takes with so many torrents that have announced and wait.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Microseconds a call of `poll` or `handle`.
    call: f64,
    /// Calls a regular announce.
    calls: f64,
    /// Microseconds to read the addresses of a torrent and to add it, with so many there.
    add: f64,
    /// Bytes a torrent by which the process has grown, what the allocator keeps included.
    resident: f64,
}

/// Time and memory with ten times as many torrents from row to row.
pub(crate) fn growth(sizes: &[u64], results: Option<&Path>) {
    let mut rows = Vec::new();
    for torrents in sizes {
        let found = measured(*torrents, 1);
        println!(
            "growth: {torrents} torrents with {TRACKERS} trackers on {HOSTS} hosts: {:.3} µs a call, {:.2} calls an announce, \
             {:.0} B a torrent, {:.1} µs to add one",
            found.call, found.calls, found.resident, found.add
        );
        rows.push(vec![
            torrents.to_string(),
            format!("{:.3}", found.call),
            format!("{:.2}", found.calls),
            format!("{:.0}", found.resident),
            format!("{:.1}", found.add),
        ]);
    }
    if let Some(folder) = results {
        let columns = ["torrents", "us_per_call", "calls_per_announce", "bytes_per_torrent", "us_to_add"];
        let command = "cargo bench --bench figures -- growth --results FOLDER";
        write_results(folder, "growth", command, &columns, &rows);
    }
}

/// Time and memory of so many torrents, beside what is wanted.
pub(crate) fn million(torrents: u64, results: Option<&Path>) {
    let one = measured(torrents, 1);
    let two = measured(torrents, 2);
    println!("million: {torrents} torrents with {TRACKERS} trackers on {HOSTS} hosts");
    let mut rows = Vec::new();
    for (figure, value, digits, unit, goal) in [
        ("a call", one.call, 3, "µs", Some(1)),
        ("resident memory, a torrent registered at one tracker", one.resident, 0, "B", None),
        ("resident memory, a further registration", two.resident - one.resident, 0, "B", None),
        ("to add a torrent", one.add, 1, "µs", None),
    ] {
        let (value_text, goal_text) =
            (format!("{value:.digits$}"), goal.map_or(String::new(), |goal: u32| goal.to_string()));
        let beside = match goal {
            Some(goal) if value <= f64::from(goal) => format!(" (wanted: at most {goal})"),
            Some(goal) => format!(" (wanted: at most {goal}: missed)"),
            None => String::new(),
        };
        println!("million: {figure}: {value_text} {unit}{beside}");
        rows.push(vec![figure.to_owned(), value_text, unit.to_owned(), goal_text]);
    }
    if let Some(folder) = results {
        let command = "cargo bench --bench figures -- million --results FOLDER";
        write_results(folder, "million", command, &["figure", "value", "unit", "goal"], &rows);
    }
}

/// Measures in another process, so that no memory is there before. Each torrent is registered at so many trackers.
///
/// # Panics
/// When that process fails.
fn measured(torrents: u64, registrations: u64) -> Figures {
    let program = env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args([ENGINE, &torrents.to_string(), &registrations.to_string()])
        .output()
        .expect("this program can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let mut numbers = text.split_whitespace().map(|number| number.parse().expect("a number"));
    let mut next = || numbers.next().expect("four numbers");
    Figures { call: next(), calls: next(), add: next(), resident: next() }
}

/// Measures in this process, and prints.
pub(crate) fn engine(arguments: &[String]) {
    let mut numbers = arguments.iter().map(|argument| argument.parse::<u64>().expect("a number"));
    let (torrents, registrations) =
        (numbers.next().expect("torrents"), numbers.next().expect("registrations"));
    let found = measure(torrents, registrations);
    println!("{} {} {} {}", found.call, found.calls, found.add, found.resident);
}

fn measure(torrents: u64, registrations: u64) -> Figures {
    let before = resident();
    let to = if registrations == 1 { AnnounceTo::One } else { AnnounceTo::EachTier };
    let mut idle = Idle::announcing_to(to);
    // The same two tiers in any case, so that nothing but the registrations differs.
    idle.tiers = Some(2);
    let mut adds = Vec::new();
    let slice = (torrents / 10 / SLICES).max(1);
    let first = torrents - slice * SLICES;
    for number in 0..first {
        idle.add(number, TRACKERS, HOSTS);
    }
    for part in 0..SLICES {
        let began = now();
        for number in 0..slice {
            idle.add(first + part * slice + number, TRACKERS, HOSTS);
        }
        adds.push(micros(now() - began) / floating(slice));
    }
    // The first announce of each, and about one more.
    idle.announce(torrents * registrations * 2);
    let grown = resident().saturating_sub(before);

    let (mut times, mut calls, mut announces) = (Vec::new(), 0, 0);
    for _ in 0..SLICES {
        let (calls_before, announces_before) = (idle.calls, idle.announces);
        let began = now();
        idle.announce((torrents / 50).max(20));
        times.push(micros(now() - began) / floating(idle.calls - calls_before));
        calls += idle.calls - calls_before;
        announces += idle.announces - announces_before;
    }
    Figures {
        call: median(times),
        calls: floating(calls) / floating(announces),
        add: median(adds),
        resident: floating(grown) / floating(torrents),
    }
}
