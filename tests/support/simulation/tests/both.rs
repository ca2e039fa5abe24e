//! The engine alone and the whole crate over HTTP decide the same in the same worlds.

use std::fmt::Write;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use simulation::clients::ours;
use simulation::life::{Plan, What};
use simulation::script::{Answer, Name, Retry, Script, State};
use simulation::shell;
use simulation::time::{DAY, HOUR, MINUTE, Millis, SECOND};
use simulation::trace::Trace;
use simulation::world::World;

/// Plays a plan both ways, and gives what was compared.
fn assert_same(case: &str, plan: &Plan, seed: u64) -> Vec<(Millis, String)> {
    let (alone, whole) = (ours::play(plan, seed).1, shell::play(plan, seed));
    let until = alone.tie.unwrap_or(Millis::MAX);
    let (alone, whole) = (in_order(alone, until), in_order(whole, until));
    assert!(!alone.is_empty(), "{case}: nothing happened");
    if let Some(place) = alone
        .iter()
        .zip(&whole)
        .position(|(a, b)| a != b)
        .or_else(|| (alone.len() != whole.len()).then(|| alone.len().min(whole.len())))
    {
        let mut text = String::new();
        for line in place.saturating_sub(5)..place + 5 {
            let _ = writeln!(text, "{:?}\t{:?}", alone.get(line), whole.get(line));
        }
        panic!("{case}, seed {seed}: the engine alone and the whole crate differ at line {place}:\n{text}");
    }
    alone
}

/// Until a moment at which the order of things is a scheduler's. What is noted within one millisecond has no
/// order.
fn in_order(trace: Trace, until: Millis) -> Vec<(Millis, String)> {
    let lines = trace.lines.into_iter().filter(|(at, _)| *at < until);
    let mut lines: Vec<_> = lines.map(|(at, step)| (at, format!("{step:?}"))).collect();
    lines.sort();
    lines
}

#[test]
fn the_same_decisions_in_quiet_worlds() {
    for seed in 0..20 {
        let world = World::drawn_http(seed, 4, 0.0);
        let plan =
            Plan::one_torrent(world, DAY).and(HOUR + 7, What::WantPeers).and(10 * HOUR, What::Reannounce);
        assert_same("quiet", &plan.and(20 * HOUR, What::Complete).and(23 * HOUR, What::Stop), seed);
    }
}

/// Trackers that fail in every way there is, and come back.
#[test]
fn the_same_decisions_in_hard_worlds() {
    let (mut lines, mut failed) = (0, 0);
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::drawn_http(seed, random.random_range(1..=5), 0.02);
        for tracker in &mut world.trackers {
            tracker.interval = random.random_range(2..40) * MINUTE;
            tracker.min_interval = random.random_bool(0.3).then_some(MINUTE);
            let mut at = 0;
            while at < DAY {
                let state = STATES.choose(&mut random).copied().unwrap_or(State::UP);
                tracker.script = tracker.script.clone().then(at, state);
                at += random.random_range(SECOND..3 * HOUR);
            }
        }
        let mut plan = Plan::one_torrent(world, DAY);
        for _ in 0..20 {
            let what = [What::WantPeers, What::Reannounce, What::Complete];
            let what = what.choose(&mut random).copied().unwrap_or(What::WantPeers);
            plan = plan.and(random.random_range(1..20 * HOUR), what);
        }
        plan = plan.and(22 * HOUR, What::Stop);
        plan = match seed % 3 {
            0 => plan,
            1 => plan.in_tiers().bep12(),
            _ => plan.in_tiers(),
        };
        let trace = assert_same("hard", &plan, seed);
        lines += trace.len();
        failed += trace.iter().filter(|(_, step)| step == "Failed").count();
    }
    assert!(lines > 7_000 && failed > 200, "the worlds are too quiet: {lines} lines, {failed} failed rounds");
}

/// Several torrents share their hosts' measurements and connections.
#[test]
fn the_same_decisions_of_many_torrents() {
    for seed in 0..10 {
        let mut world = World::drawn_http(seed, 4, 0.0);
        world.trackers[1].script = Script::always(State::UP).outage(3 * HOUR, 5 * HOUR, State::SILENT);
        world.trackers[2].script = Script::always(State::REFUSED).then(HOUR, State::UP);
        let mut plan = Plan::one_torrent(world, 8 * HOUR);
        for torrent in 1..10 {
            plan = plan.and_to(torrent, torrent as u64 * 700_001, What::Add);
        }
        assert_same("many", &plan, seed);
    }
}

const STATES: [State; 14] = [
    State::UP,
    State::UP,
    State::UP,
    State::UP,
    State::SILENT,
    State::REFUSED,
    State::MUTE,
    State::NAMELESS,
    State::BROKEN,
    State { name: Name::Silent, ..State::UP },
    State { name: Name::Found(1700), ..State::UP },
    State::answering(Answer::Html),
    State::answering(Answer::Status(503, Retry::After(600_000))),
    State::answering(Answer::Failure(Retry::After(300_000))),
];
