//! What a failover costs: in virtual time what is waited for, in real time what is worked.

#[path = "support/loopback.rs"]
mod loopback;
#[expect(dead_code, reason = "the tests look at more of it")]
#[path = "../tests/it/world.rs"]
mod world;

use std::future::Future;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use fake_tracker::Behaviour;
use tracker_failover::{Alert, Probing};

use loopback::Loopback;
use world::{AddSession, World, alerts_until, is_announced, now, one_at_a_time, torrent};

/// A way to be dead, and its name.
type Kind = (&'static str, fn() -> Behaviour);

const KINDS: [Kind; 6] = [
    ("refused", || Behaviour::Refused),
    ("silent", || Behaviour::SynDropped),
    ("mute", || Behaviour::Silent),
    ("500", || Behaviour::status(500)),
    ("HTML", Behaviour::html),
    ("header drip", || Behaviour::HeadDrip(Duration::from_secs(5))),
];

const LATENCY: Duration = Duration::from_millis(5);

fn world(behaviours: impl IntoIterator<Item = Behaviour>) -> World {
    let world = World::new(behaviours);
    for number in 0..3 {
        world.tracker(number).set_latency(LATENCY);
    }
    world
}

/// From nothing to the first answer: two dead trackers in front of a live one, each in its own tier.
async fn start(dead: Behaviour, probing: Probing) -> Duration {
    let world = world([dead.clone(), dead, Behaviour::ok()]);
    let config = one_at_a_time().probing(probing);
    let mut session = world.announcer(config).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    world.elapsed()
}

/// The tracker in use dies and the next regular announce finds out, or (`urgent`) an urgent one does.
async fn in_use(dead: Behaviour, urgent: bool) -> Duration {
    let world = world([Behaviour::ok(), Behaviour::ok(), Behaviour::ok()]);
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    let mut in_use = None;
    // Twice, so that it is known how fast it answers.
    for _ in 0..2 {
        let alerts = alerts_until(&mut session, is_announced).await;
        let Some(Alert::Announced(announced)) = alerts.last() else { continue };
        in_use = Some(world.number(&announced.tracker));
    }
    world.tracker(in_use.expect("two announces were answered")).set_behaviour(dead);
    if urgent {
        let began = now();
        session.announce_now().await.expect("two trackers live");
        return now() - began;
    }
    alerts_until(&mut session, |alert| matches!(alert, Alert::Announcing { .. })).await;
    let began = now();
    alerts_until(&mut session, is_announced).await;
    now() - began
}

/// Plays a scenario so many times and gives the virtual time it took.
fn play<F: Future<Output = Duration>>(times: u64, scenario: impl Fn() -> F) -> Duration {
    let one = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime can be had");
        runtime.block_on(scenario())
    };
    (0..times).map(|_| one()).sum()
}

fn virtual_time(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("virtual");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(20)).measurement_time(Duration::from_millis(200));
    for (name, dead) in KINDS {
        group.bench_function(format!("start, probed/{name}"), |bencher| {
            bencher.iter_custom(|times| play(times, || start(dead(), Probing::default())));
        });
        group.bench_function(format!("start, not probed/{name}"), |bencher| {
            bencher.iter_custom(|times| play(times, || start(dead(), Probing::Off)));
        });
        for (what, urgent) in [("regular", false), ("a caller waits", true)] {
            group.bench_function(format!("in use, {what}/{name}"), |bencher| {
                bencher.iter_custom(|times| play(times, || in_use(dead(), urgent)));
            });
        }
    }
}

fn loopback(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be had");
    let trackers = runtime.block_on(Loopback::start());
    let mut group = criterion.benchmark_group("refused, then ok");
    let total = async |times, hyper: bool| {
        let mut total = Duration::ZERO;
        for _ in 0..times {
            total += if hyper { trackers.hyper().await } else { trackers.ours().await };
        }
        total
    };
    group.bench_function("here", |bencher| {
        bencher.to_async(&runtime).iter_custom(|times| total(times, false));
    });
    group.bench_function("bare hyper", |bencher| {
        bencher.to_async(&runtime).iter_custom(|times| total(times, true));
    });
}

criterion_group!(failover, virtual_time, loopback);
criterion_main!(failover);
