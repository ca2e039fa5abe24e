//! The bytes that an engine allocates for torrents that have announced and wait: `cargo bench --bench allocated`.
//!
//! With `million` behind `--` those of a million torrents with eight trackers each on a thousand hosts, registered at one
//! tracker and at two (four minutes, three gigabytes). Nothing is timed here, because counting takes time.

#[path = "support/idle.rs"]
mod idle;

use std::alloc::System;

use idle::Idle;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tracker_failover::AnnounceTo;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    // `cargo test --benches` gives none, and `-- --test` wants no more than a look.
    let test = has("--test") || !has("--bench");
    if has("million") || test {
        million(if test { 300 } else { 1_000_000 });
    }
    if !has("million") {
        idle_torrents(if test { 300 } else { 10_000 });
    }
}

/// What a torrent and each of its trackers take, where torrents share their addresses and where they don't.
fn idle_torrents(torrents: u64) {
    for own_passkeys in [false, true] {
        let passkeys = if own_passkeys { "a passkey for each torrent" } else { "one passkey" };
        for trackers in [1, 2, 5, 10] {
            let region = Region::new(ALLOCATOR);
            let mut idle = Idle::new();
            idle.own_passkeys = own_passkeys;
            for number in 0..torrents {
                idle.add(number, trackers, 100);
            }
            idle.announce(torrents * 2);
            let bytes = allocated(&region) / torrents;
            let each = bytes / trackers as u64;
            println!(
                "allocated: {torrents} idle torrents with {trackers} trackers, {passkeys}: {bytes} B a torrent, {each} B a tracker"
            );
        }
    }
}

/// The same with many trackers of which one or two are announced to, beside what is wanted.
fn million(torrents: u64) {
    let [one, two] = [(AnnounceTo::One, 1), (AnnounceTo::EachTier, 2)].map(|(to, registrations)| {
        let region = Region::new(ALLOCATOR);
        let mut idle = Idle::announcing_to(to);
        // The same two tiers in both, so that nothing but the registrations differs.
        idle.tiers = Some(2);
        for number in 0..torrents {
            idle.add(number, 8, 1000);
        }
        idle.announce(torrents * registrations * 2);
        allocated(&region) / torrents
    });
    let further = two.saturating_sub(one);
    println!("allocated: {torrents} torrents with 8 trackers on 1000 hosts");
    for (figure, bytes, wanted) in
        [("a torrent registered at one tracker", one, 1300), ("a further registration", further, 200)]
    {
        let missed = if bytes > wanted { ": missed" } else { "" };
        println!("allocated: {figure}: {bytes} B (wanted: at most {wanted}{missed})");
    }
}

fn allocated(region: &Region<'_, System>) -> u64 {
    let change = region.change();
    (change.bytes_allocated - change.bytes_deallocated) as u64
}
