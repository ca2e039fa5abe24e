//! Cold starts: nothing is known, and peers are wanted now.

use rand::seq::SliceRandom;
use tracker_failover::Scheme;

use super::Effort;
use super::common::{oracle, random, settled};
use crate::clients::Client;
use crate::life::{Deed, Plan, What};
use crate::metrics::{Study, count, live_announces, mean, quantile, time_to_first_peers, wait};
use crate::script::{Script, State};
use crate::table::Row;
use crate::time::{MINUTE, Millis};
use crate::world::World;

/// No client's start takes longer than this; what comes after it is no start.
const LONG_ENOUGH: Millis = 20 * MINUTE;

/// Within this an announce belongs to the start.
const START: Millis = MINUTE;

/// 1: all are well, and nothing is known. Beside it what is known already, of trackers that are well or not.
pub(super) fn healthy_or_warm(effort: Effort) -> Vec<Row> {
    let mut rows = all_healthy(effort);
    rows.extend(warm(effort));
    rows
}

fn all_healthy(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (trackers, loss) in [(1, 0.01), (4, 0.0), (8, 0.01), (8, 0.05), (16, 0.01)] {
        let case = format!("1 {trackers} trackers, {:.0} % loss", loss * 100.0);
        let study = starts(effort, |seed| World::drawn(seed, trackers, loss));
        rows.push(study.row(0, format!("{case}, p50"), TIME, quantile(0.5)));
        rows.push(study.row(0, format!("{case}, p95"), TIME, quantile(0.95)));
        rows.push(study.row(1, format!("{case}, load"), LOAD, mean));
    }
    rows.into_iter().map(goals).collect()
}

/// 2: some refuse.
pub(super) fn refused(effort: Effort) -> Vec<Row> {
    down(effort, "2", State::REFUSED, &[2, 4, 7])
}

/// 3: some are silent.
pub(super) fn silent(effort: Effort) -> Vec<Row> {
    down(effort, "3", State::SILENT, &[2, 4, 6, 7])
}

/// 19: UDP only, and this share of packets is lost each way.
pub(super) fn udp_loss(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (lost, goal) in [(0.05, 1.2), (0.2, 1.7)] {
        for trackers in [1, 4] {
            let study = starts(effort, |seed| {
                // An exchange fails with either of its packets.
                let mut world = World::drawn(seed, trackers, 1.0 - (1.0 - lost) * (1.0 - lost));
                for tracker in &mut world.trackers {
                    (tracker.scheme, tracker.slow) = (Scheme::Udp, 0.0);
                }
                world
            });
            let case = format!("19 {:.0} % of packets lost, {trackers} trackers", lost * 100.0);
            let p95 = study.row(0, format!("{case}, p95"), TIME, quantile(0.95));
            // With one tracker nothing but the packets' own times helps: a figure beside the goal.
            rows.push(if trackers == 1 { p95 } else { p95.goal("target", goal) });
            rows.push(study.row(1, format!("{case}, load"), LOAD, mean));
        }
    }
    rows
}

/// A second torrent is added when the first has been at home for hours: its hosts are known.
fn warm(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for dead in [0, 4, 7] {
        let plan = |client: Client, seed| {
            let plan = Plan::one_torrent(with_dead(seed, dead, State::SILENT), 0);
            let at = settled(seed);
            if client.is_ours() {
                return Plan { until: at + LONG_ENOUGH, ..plan.and_to(1, at, What::Add) };
            }
            let add = Deed { at, torrent: 0, what: What::Add };
            Plan { deeds: vec![add], until: at + LONG_ENOUGH, ..plan }
        };
        let study = Study::with(&Client::ALL, plan, starts_of(effort), |plan, history| {
            let start = plan.deeds.last().map_or(0, |deed| deed.at);
            let first = history.torrents.last().and_then(|life| life.answer_after(start));
            [vec![wait(first.map(|first| first.at - start))]]
        });
        let case = format!("1 warm, {dead} of 8 silent");
        for (name, share) in [("p50", 0.5), ("p95", 0.95)] {
            let row = study.row(0, format!("{case}, {name}"), TIME, quantile(share));
            let limit = 1.1 * oracle(&row);
            rows.push(row.goal("G2", limit));
        }
    }
    rows
}

/// 1.01, to two places.
const LOAD_GOAL: f64 = 1.0149;

const TIME: &str = "time to first peers, s";
const LOAD: &str = "announces at live trackers per start";

/// So many of eight are down, in random places.
fn down(effort: Effort, number: &str, state: State, dead: &[usize]) -> Vec<Row> {
    let mut rows = Vec::new();
    for dead in dead {
        let study = starts(effort, |seed| with_dead(seed, *dead, state));
        let case = format!("{number} {dead} of 8");
        rows.push(study.row(0, format!("{case}, p50"), TIME, quantile(0.5)));
        rows.push(study.row(0, format!("{case}, p95"), TIME, quantile(0.95)));
        rows.push(study.row(1, format!("{case}, load"), LOAD, mean));
    }
    rows.into_iter().map(goals).collect()
}

/// Starts are short, and what is measured in them is rare: one announce in a hundred is slow.
fn starts_of(effort: Effort) -> u64 {
    4 * effort.0
}

/// Eight trackers, of which so many are down, in random places.
fn with_dead(seed: u64, dead: usize, state: State) -> World {
    let mut world = World::drawn(seed, 8, 0.01);
    let mut order: Vec<usize> = (0..8).collect();
    order.shuffle(&mut random(seed));
    for tracker in &order[..dead] {
        world.trackers[*tracker].script = Script::always(state);
    }
    world
}

fn starts(effort: Effort, world: impl Fn(u64) -> World) -> Study<2> {
    let plan = |seed| Plan::one_torrent(world(seed), LONG_ENOUGH);
    Study::new(&Client::ALL, plan, starts_of(effort), |_, history| {
        [vec![time_to_first_peers(history)], vec![count(live_announces(history, 0, START))]]
    })
}

fn goals(row: Row) -> Row {
    match row.id.rsplit_once(", ") {
        // Loss costs the oracle as much, and more trackers are more slow ones: figures beside the goals.
        Some((case, _)) if case.contains("5 % loss") || case.contains("16 trackers") => row,
        Some((case, "p95")) => match case {
            "3 2 of 8" => row.goal("target", 0.7),
            "3 6 of 8" => row.goal("target", 1.2),
            "2 7 of 8" | "3 7 of 8" => row.goal("G1", 1.6),
            _ => row.goal("G1", 1.0),
        },
        Some((_, "load")) => row.goal("G3", LOAD_GOAL),
        _ => row,
    }
}
