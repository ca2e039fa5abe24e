//! Cold starts: nothing is known, and peers are wanted now.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::Effort;
use crate::clients::Client;
use crate::life::Plan;
use crate::metrics::{Study, count, live_announces, mean, quantile, time_to_first_peers};
use crate::script::{Script, State};
use crate::table::Row;
use crate::time::{MINUTE, Millis};
use crate::world::World;

/// Nobody's start takes longer than this; what comes after it is no start.
const LONG_ENOUGH: Millis = 20 * MINUTE;

/// Within this an announce belongs to the start.
const START: Millis = MINUTE;

pub(super) fn all_healthy(effort: Effort) -> Vec<Row> {
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

pub(super) fn refused(effort: Effort) -> Vec<Row> {
    down(effort, "2", State::REFUSED, &[2, 4, 7])
}

pub(super) fn silent(effort: Effort) -> Vec<Row> {
    down(effort, "3", State::SILENT, &[2, 4, 6, 7])
}

const TIME: &str = "time to first peers, s";
const LOAD: &str = "announces at live trackers per start";

/// So many of eight are down, in random places.
fn down(effort: Effort, number: &str, state: State, dead: &[usize]) -> Vec<Row> {
    let mut rows = Vec::new();
    for dead in dead {
        let study = starts(effort, |seed| {
            let mut world = World::drawn(seed, 8, 0.01);
            let mut random = StdRng::seed_from_u64(!seed);
            let mut order: Vec<usize> = (0..8).collect();
            order.shuffle(&mut random);
            for tracker in &order[..*dead] {
                world.trackers[*tracker].script = Script::always(state);
            }
            world.seed ^= random.random::<u64>() << 32;
            world
        });
        let case = format!("{number} {dead} of 8");
        rows.push(study.row(0, format!("{case}, p50"), TIME, quantile(0.5)));
        rows.push(study.row(0, format!("{case}, p95"), TIME, quantile(0.95)));
        rows.push(study.row(1, format!("{case}, load"), LOAD, mean));
    }
    rows.into_iter().map(goals).collect()
}

fn starts(effort: Effort, world: impl Fn(u64) -> World) -> Study<2> {
    let plan = |seed| Plan::one_torrent(world(seed), LONG_ENOUGH);
    Study::new(&Client::ALL, plan, effort.0, |_, history| {
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
        Some((_, "load")) => row.goal("G3", 1.01),
        _ => row,
    }
}
