//! What a decision costs, by the number of trackers and of torrents.

#[path = "support/idle.rs"]
mod idle;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tracker_failover::TrackerSet;

use idle::Idle;

/// One regular announce of one torrent, from its timer to the next wait: nothing fails.
fn regular(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a regular announce");
    for trackers in [1, 10, 1000] {
        let mut idle = Idle::new();
        idle.add(1, trackers, 1 << 20);
        idle.announce(3);
        let before = idle.calls;
        idle.announce(1);
        group.throughput(Throughput::Elements(idle.calls - before));
        group.bench_function(format!("{trackers} trackers"), |bencher| bencher.iter(|| idle.announce(1)));
    }
}

/// The same where the tracker in use has died: one attempt fails, the next is good.
fn failing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("an announce that fails over");
    for trackers in [10, 1000] {
        let fresh = || {
            let mut idle = Idle::new();
            idle.add(1, trackers, 1 << 20);
            idle.announce(3);
            let torrent = idle.engine.torrents().next().expect("it was added");
            idle.refuses = idle.engine.trackers(torrent).and_then(TrackerSet::in_use).cloned();
            idle
        };
        group.bench_function(format!("{trackers} trackers"), |bencher| {
            bencher.iter_batched_ref(fresh, |idle| idle.announce(1), BatchSize::LargeInput);
        });
    }
}

/// Ten thousand torrents with three trackers each on a hundred hosts, in turn.
fn many(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("10,000 torrents");
    let mut idle = Idle::new();
    for number in 0..10_000 {
        idle.add(number, 3, 100);
    }
    idle.announce(20_000);
    let before = idle.calls;
    idle.announce(1000);
    group.throughput(Throughput::Elements((idle.calls - before) / 1000));
    group.bench_function("a regular announce", |bencher| bencher.iter(|| idle.announce(1)));
}

criterion_group!(policy, regular, failing, many);
criterion_main!(policy);
