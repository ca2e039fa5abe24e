//! Long lives: months of ordinary failures, trackers that come and go, and latency that drifts.

use super::Effort;
use super::common::{oracle, random};
use crate::clients::Client;
use crate::life::Plan;
use crate::metrics::{Study, count, live_announces, mean, quantile, uncovered, wait};
use crate::script::{Script, State};
use crate::table::Row;
use crate::time::{DAY, HOUR, MINUTE};
use crate::world::{Pace, Tracker, World};

const SWITCHES: &str = "switches per day";

/// The steady state: 5 trackers, up for 36 h on average and down for 30 min.
pub(super) fn months(effort: Effort) -> Vec<Row> {
    let until = 30 * DAY;
    let plan = |seed| {
        let mut world = World::drawn(seed, 5, 0.01);
        let mut random = random(seed);
        for tracker in &mut world.trackers {
            tracker.script = Script::up_and_down(36 * HOUR, 30 * MINUTE, until, &mut random);
        }
        Plan::one_torrent(world, until)
    };
    let study = Study::new(&Client::ALL, plan, (effort.0 / 20).max(5), |plan, history| {
        let life = &history.torrents[0];
        let rounds = count(life.answers.len());
        [
            life.delays(0, until - HOUR).into_iter().map(wait).collect(),
            vec![count(live_announces(history, 0, until)) / rounds],
            vec![count(life.switches(0)) / 30.0],
            vec![uncovered(&plan.world, history, until)],
        ]
    });
    let delay = "from due to accepted, s";
    let what = "share of time without a living registration";
    let uncovered = study.row(3, "0 months, uncovered", what, mean);
    let limit = oracle(&uncovered) + 0.001;
    vec![
        study.row(0, "0 months, mean", delay, mean),
        study.row(0, "0 months, p99", delay, quantile(0.99)).goal("G4", 2.6),
        study.row(0, "0 months, p99.9", delay, quantile(0.999)),
        study.row(1, "0 months, load", "announces at live trackers per round", mean).goal("G3", 1.004),
        study.row(2, "0 months, switches", SWITCHES, mean).goal("G6", 8.0),
        uncovered.goal("0.999 of the oracle's coverage", limit),
    ]
}

/// 7: the nearest tracker comes and goes.
pub(super) fn flapping(effort: Effort) -> Vec<Row> {
    let until = 10 * DAY;
    let mut rows = Vec::new();
    for (name, period) in
        [("5 min", 5 * MINUTE), ("20 min", 20 * MINUTE), ("1 h", HOUR), ("6 h", 6 * HOUR), ("24 h", DAY)]
    {
        for order in ["nearest", "BEP 12"] {
            let plan = |seed: u64| {
                let trackers = [20.0, 60.0, 90.0].map(Tracker::new);
                let mut world = World::new(seed, trackers.to_vec());
                let down = [State::SILENT, State::REFUSED][usize::from(seed.is_multiple_of(2))];
                let offset = seed * period / 20;
                world.trackers[0].script = Script::flapping(period, offset, down, until);
                let plan = Plan::one_torrent(world, until).in_tiers();
                if order == "BEP 12" { plan.bep12() } else { plan }
            };
            let study =
                Study::new(&Client::ONE_AT_A_TIME, plan, (effort.0 / 50).clamp(4, 20), |_, history| {
                    [vec![count(history.torrents[0].switches(0)) / 10.0]]
                });
            let row = study.row(0, format!("7 {order}, period {name}"), SWITCHES, mean);
            // BEP 12's order goes back at each announce: that is the order's own cost.
            let bound = order == "nearest" && period <= HOUR;
            rows.push(if bound { row.goal("G6", 8.0) } else { row });
        }
    }
    rows
}

/// 8: the nearest tracker gets slow, and nothing fails.
pub(super) fn drift(effort: Effort) -> Vec<Row> {
    let (until, start) = (4 * DAY, 2 * HOUR);
    let mut rows = Vec::new();
    for (name, pace) in [
        ("50 to 800 ms in 6 h", Pace::Linear(start, start + 6 * HOUR, 16.0)),
        ("×10 at once", Pace::Step(start, 10.0)),
        ("×10 every noon", Pace::Diurnal(10.0)),
    ] {
        let plan = |seed| {
            let trackers = [50.0, 80.0, 120.0].map(Tracker::new);
            let mut world = World::new(seed, trackers.to_vec());
            world.trackers[0].pace = pace;
            Plan::one_torrent(world, until)
        };
        let study = Study::new(&Client::ONE_AT_A_TIME, plan, (effort.0 / 20).max(10), |_, history| {
            [vec![count(history.torrents[0].switches(0)) / 4.0]]
        });
        rows.push(study.row(0, format!("8 {name}, switches"), SWITCHES, mean).goal("G6", 0.0));
    }
    rows
}
