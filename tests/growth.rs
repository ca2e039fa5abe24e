//! What a torrent costs doesn't depend on how many others there are, measured in a process without other tests.

use std::alloc::System;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "../benches/support/idle.rs"]
mod idle;

use idle::Idle;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FEW: u64 = 100;
const MANY: u64 = 50 * FEW;

/// What one regular announce, and one torrent, take.
struct Cost {
    calls: f64,
    allocations: f64,
    /// Bytes a torrent.
    bytes: f64,
    announce: Duration,
    add: Duration,
}

/// The counts are the same on every machine. Where a call walked over all torrents its time would be fifty times as
/// long, or nearly; it grows by less than half here.
#[test]
fn no_cost_of_a_torrent_grows_with_their_number() {
    let (few, many) = (cost(FEW), cost(MANY));
    assert!(many.calls < few.calls * 1.2, "calls an announce: {} to {}", few.calls, many.calls);
    assert!(
        many.allocations < few.allocations * 1.2,
        "allocations an announce: {} to {}",
        few.allocations,
        many.allocations
    );
    assert!(many.bytes < few.bytes * 1.2, "bytes a torrent: {} to {}", few.bytes, many.bytes);
    assert!(
        many.announce < few.announce * 10,
        "time of an announce: {:?} to {:?}",
        few.announce,
        many.announce
    );
    assert!(many.add < few.add * 10, "time to add one: {:?} to {:?}", few.add, many.add);
}

fn cost(torrents: u64) -> Cost {
    let region = Region::new(ALLOCATOR);
    let mut idle = Idle::new();
    for number in 0..torrents {
        idle.add(number, 2, 10);
    }
    idle.announce(torrents * 2);
    let change = region.change();
    let bytes = change.bytes_allocated - change.bytes_deallocated;

    let region = Region::new(ALLOCATOR);
    let (calls, announces) = (idle.calls, idle.announces);
    let announce = fastest(|| {
        let before = idle.announces;
        // All that are due at one moment are played, which may be more.
        idle.announce(FEW);
        idle.announces - before
    });
    let change = region.change();
    let announces = float(idle.announces - announces);
    let mut number = torrents;
    let add = fastest(|| {
        idle.add(number, 2, 10);
        number += 1;
        1
    });
    Cost {
        calls: float(idle.calls - calls) / announces,
        allocations: float((change.allocations + change.reallocations) as u64) / announces,
        bytes: float(bytes as u64) / float(torrents),
        announce,
        add,
    }
}

/// The shortest time of one of those that a call does, of several calls: other processes take least of it.
#[expect(clippy::disallowed_methods, reason = "times are compared with each other")]
fn fastest(mut does: impl FnMut() -> u64) -> Duration {
    let times = (0..20).map(|_| {
        let began = Instant::now();
        let done = does();
        began.elapsed() / u32::try_from(done).unwrap()
    });
    times.min().unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn float(count: u64) -> f64 {
    count as f64
}
