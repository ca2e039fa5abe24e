//! The tracker in use dies, in all ways: what the next announce costs.

use std::sync::Arc;

use rand::RngExt;

use super::Effort;
use super::common::{
    WAIT, by_latency, change, dies, in_use, next_need, oracle, quiet, random, settled, waits,
};
use crate::clients::Client;
use crate::life::{History, Plan, What};
use crate::metrics::{Study, count, largest, quantile, wait};
use crate::script::{Answer, Connection, Name, Retry, State};
use crate::table::Row;
use crate::time::{HOUR, MINUTE, Millis, SECOND, seconds};
use crate::world::{Tracker, World};

/// How soon after the death the user wants an announce, where it is urgent.
const URGENT: Millis = 2 * MINUTE;

/// Every scenario here is over by then.
const END: Millis = 12 * HOUR;

/// 4: it dies silently, refuses, or goes mute.
pub(super) fn in_use_dies(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, state) in [("refused", State::REFUSED), ("silent", State::SILENT), ("mute", State::STALLED)] {
        for urgency in ["urgent", "periodic"] {
            // Over UDP refused is silent, so that would be the next row again.
            let plan = |seed| match name {
                "refused" => Plan::one_torrent(World::drawn_http(seed, 5, 0.01), END),
                _ => drawn(seed),
            };
            let study = death(effort, |_| state, urgency == "urgent", plan);
            let [p50, p95] = waits(&study, &format!("4 {name}, {urgency}"), WAIT);
            let limit = match (name, urgency) {
                // Half a second for one that is known, after the way to it and before the way to the next.
                ("mute", "urgent") => 0.7 + oracle(&p95),
                ("mute", _) => 4.2 + oracle(&p95),
                (_, "urgent") => 0.5,
                _ => 2.6,
            };
            rows.extend([p50, p95.goal("G4", limit)]);
        }
    }
    rows.extend(once_per_host());
    rows
}

/// 4, with many torrents: who pays when their host dies.
fn once_per_host() -> Vec<Row> {
    const TORRENTS: usize = 300;
    let trackers = [30.0, 60.0, 90.0].map(|rtt| Tracker { slow: 0.0, ..Tracker::new(rtt) });
    let mut plan = Plan::one_torrent(World::new(1, trackers.to_vec()), 5 * HOUR);
    let mut random = random(1);
    for torrent in 1..TORRENTS {
        plan = plan.and_to(torrent, random.random_range(0..30 * MINUTE), What::Add);
    }
    let dead = 3 * HOUR;
    let plan = plan.in_world(|world| change(world, 0, |script| script.then(dead, State::SILENT)));
    let history = Client::Ours.play(&plan);
    // The next tracker answers within a quarter of a second; a client that took longer has waited for the dead one.
    let waited = history.torrents.iter().filter(|life| {
        life.delays(dead, dead + HOUR).first().is_none_or(|delay| delay.is_none_or(|delay| delay > 300))
    });
    let waited = vec![(Client::Ours, count(waited.count()))];
    vec![
        Row::new("4 silent, of 300 torrents", "torrents that waited for the dead host", waited)
            .goal("G4", 3.0),
    ]
}

/// 5: bytes trickle, or none come.
pub(super) fn slow_loris(effort: Effort) -> Vec<Row> {
    let plan = |seed| {
        let mut world = World::drawn(seed, 5, 0.01);
        let nearest = by_latency(&world)[0];
        change(&mut world, nearest, |script| script.then(0, State::STALLED));
        Plan::one_torrent(world, 5 * MINUTE)
    };
    let study = Study::new(&Client::ALL, plan, effort.0, |_, history| {
        let first = history.torrents[0].answers.first().map(|answer| answer.at);
        [vec![wait(first)], vec![seconds(history.longest_attempt)]]
    });
    let [p50, p95] = waits(&study, "5 the nearest stalls, cold", "time to first peers, s");
    // The way to it, the patience with it, and the way to the next.
    let limit = 1.5 + 2.0 * oracle(&p95);
    let longest = study.row(1, "5 longest attempt", "s until its connection is closed", largest);
    let figures = longest.figures.into_iter().filter(|(client, _)| client.is_ours()).collect();
    let longest = Row { figures, ..longest };
    vec![p50, p95.goal("1.5 s + 2 × the oracle's", limit), longest.goal("target", 16.5)]
}

/// 29: three of five accept connections and answer probes for a tracker that is dead behind them: fronts, proxies.
pub(super) fn lying_life(effort: Effort) -> Vec<Row> {
    let plan = |seed| {
        let mut world = World::drawn(seed, 5, 0.0);
        for tracker in by_latency(&world).into_iter().take(3) {
            change(&mut world, tracker, |script| script.then(0, State::STALLED));
        }
        Plan::one_torrent(world, HOUR)
    };
    let study = Study::new(&Client::ALL, plan, effort.0, |_, history| {
        let life = &history.torrents[0];
        let first = life.answers.first().map(|answer| answer.at);
        let second = life.delays(10 * MINUTE, HOUR).first().copied().flatten();
        [vec![wait(first)], vec![wait(second)]]
    });
    let [p50, p95] = waits(&study, "29 three of five lie, cold", "time to first peers, s");
    // The patience with each of the three, the way to it, and the way to the next.
    let limit = 3.0 * 1.5 + 4.0 * oracle(&p95);
    let later = study.row(1, "29 three of five lie, regular, p95", WAIT, quantile(0.95));
    let way = 2.0 * oracle(&later);
    vec![p50, p95.goal("1.5 s for each", limit), later.goal("2 × the oracle's", way)]
}

/// 6: its front answers for it.
pub(super) fn server_errors(effort: Effort) -> Vec<Row> {
    let study = death(
        effort,
        |seed| {
            let status = [500, 502, 503][usize::try_from(seed % 3).unwrap_or(0)];
            State::answering(Answer::Status(status, Retry::Unsaid))
        },
        true,
        drawn,
    );
    at_once("6 5xx, urgent", &study)
}

/// 9: three of five hosts at once.
pub(super) fn correlated(effort: Effort) -> Vec<Row> {
    let study = Study::with(
        &Client::ALL,
        |client, seed| {
            let plan = drawn(seed);
            let at = quiet(&plan, client, seed);
            let first = in_use(&plan, client, at);
            let world = Arc::clone(&plan.world);
            let others = by_latency(&world).into_iter().filter(|tracker| *tracker != first).take(2);
            let dead: Vec<usize> = others.chain([first]).collect();
            plan.and(at + URGENT, What::Reannounce).in_world(|world| {
                for tracker in &dead {
                    change(world, *tracker, |script| script.then(at, State::SILENT));
                }
            })
        },
        effort.0,
        first_wait_after_death,
    );
    let [p50, p95] = waits(&study, "9 three of five die, urgent", WAIT);
    let limit = 0.6 + oracle(&p95);
    vec![p50, p95.goal("0.6 s + the oracle's", limit)]
}

/// 10: the name of the tracker in use.
pub(super) fn names(effort: Effort) -> Vec<Row> {
    let (mut rows, mut way) = (Vec::new(), None);
    let silent = State { name: Name::Silent, ..State::UP };
    let slow = State { name: Name::Found(2000), ..State::UP };
    for (name, state, cost) in
        [("is gone", State::NAMELESS, 0.1), ("is silent", silent, 0.3), ("takes 2 s", slow, 0.3)]
    {
        let study = death(effort, |_| state, true, drawn);
        let [p50, p95] = waits(&study, &format!("10 its name {name}, urgent"), WAIT);
        // The first of the three is the oracle's way without the name.
        let limit = cost + *way.get_or_insert(oracle(&p95));
        rows.extend([p50, p95.goal("stagger + the oracle's", limit)]);
    }
    rows
}

/// 12: a failure that is definitive, and needs no patience.
pub(super) fn definitive(effort: Effort) -> Vec<Row> {
    let bad = State { connection: Connection::BadCertificate, ..State::UP };
    let https = |seed| {
        let mut plan = drawn(seed);
        plan = plan.in_world(|world| {
            for tracker in &mut world.trackers {
                tracker.scheme = tracker_failover::Scheme::Https;
            }
        });
        plan
    };
    at_once("12 its certificate is bad, urgent", &death(effort, |_| bad, true, https))
}

/// 17: tier 1 dies, tier 2 takes over, tier 1 returns.
pub(super) fn tiers(effort: Effort) -> Vec<Row> {
    const DEAD: Millis = 2 * HOUR;
    let mut rows = Vec::new();
    for order in ["BEP 12", "nearest"] {
        let plan = |client, seed| {
            let mut world = World::drawn(seed, 4, 0.01);
            // The tiers are in the order of distance, so that both orders want the same.
            world.trackers.sort_by(|a, b| a.latency(0).total_cmp(&b.latency(0)));
            let plan = Plan::one_torrent(world, END).in_tiers();
            let plan = if order == "BEP 12" { plan.bep12() } else { plan };
            let at = quiet(&plan, client, seed);
            // Mostly tier 1. Where latency decides it is who came first at the start, and only one that was in
            // use can be returned to.
            let first = in_use(&plan, client, at);
            plan.and(at + URGENT, What::Reannounce).in_world(|world| {
                change(world, first, |script| script.outage(at, at + DEAD, State::SILENT));
            })
        };
        let study = Study::with(&Client::ALL, plan, (effort.0 / 2).max(50), |plan, history| {
            let life = &history.torrents[0];
            let changes = plan.world.trackers.iter().map(|tracker| tracker.script.last_change());
            let (first, back) =
                changes.enumerate().find_map(|(tracker, at)| Some((tracker, at?))).unwrap_or_default();
            let crossing = life.delays(back - DEAD, back).first().copied().flatten();
            let returned = life.answers.iter().find(|answer| answer.at >= back && answer.tracker == first);
            [vec![wait(crossing)], vec![wait(returned.map(|answer| answer.at - back))]]
        });
        let [p50, p95] = waits(&study, &format!("17 {order}, crossing"), WAIT);
        let limit = 1.1 + oracle(&p95);
        let back =
            study.row(1, format!("17 {order}, return, p95"), "s from its return to its use", quantile(0.95));
        rows.extend([p50, p95.goal("1.1 s + the oracle's", limit)]);
        rows.push(back.goal("one interval", 1800.0 + 5.0));
    }
    rows
}

fn at_once<const N: usize>(case: &str, study: &Study<N>) -> Vec<Row> {
    let [p50, p95] = waits(study, case, WAIT);
    // The dead one's answer takes as long as a good one's, then comes the next tracker's.
    let limit = 2.2 * oracle(&p95);
    vec![p50, p95.goal("2.2 × the oracle's", limit)]
}

fn drawn(seed: u64) -> Plan {
    Plan::one_torrent(World::drawn(seed, 5, 0.01), END)
}

/// The tracker in use dies at a random moment; either the user wants an announce soon after, or the next
/// regular one finds out.
fn death(effort: Effort, state: impl Fn(u64) -> State, urgent: bool, plan: impl Fn(u64) -> Plan) -> Study<1> {
    let plans = |client, seed| {
        let plan = plan(seed);
        if urgent {
            let at = quiet(&plan, client, seed);
            return dies(plan.and(at + URGENT, What::Reannounce), client, at, state(seed));
        }
        // Longer ago than connections are kept.
        let at = next_need(&plan, client, settled(seed)).saturating_sub(MINUTE + SECOND);
        dies(plan, client, at, state(seed))
    };
    Study::with(&Client::ALL, plans, effort.0, first_wait_after_death)
}

/// What the first announce after the death has to wait.
fn first_wait_after_death(plan: &Plan, history: &History) -> [Vec<f64>; 1] {
    let death = plan.world.trackers.iter().filter_map(|tracker| tracker.script.last_change());
    let death = death.max().unwrap_or(0);
    let first = history.torrents[0].delays(death, END).first().copied().flatten();
    [vec![wait(first)]]
}
