//! What happens to the machine the client runs on: it sleeps, and it wakes in another network.

use rand::RngExt;

use super::Effort;
use super::common::{WAIT, next_need, oracle, quiet, random, settled, waits};
use crate::clients::Client;
use crate::life::{Plan, What};
use crate::metrics::{Study, count, live_announces, mean, quantile, wait};
use crate::table::Row;
use crate::time::{DAY, HOUR, MINUTE, Millis, SECOND};
use crate::world::{Pace, World};

const OVERDUE: &str = "from waking to accepted, s";

/// 13: the machine sleeps: between two announces, in the middle of one, and with hundreds of torrents.
pub(super) fn suspend(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, gap) in [("8 h", 8 * HOUR), ("3 d", 3 * DAY)] {
        for in_flight in [false, true] {
            let plan = |client: Client, seed| {
                let plan = Plan::one_torrent(World::drawn(seed, 4, 0.01), 0);
                let at = if in_flight {
                    next_need(&plan, client, settled(seed)) + random(seed).random_range(0..200)
                } else {
                    quiet(&plan, client, seed)
                };
                Plan { until: at + gap + HOUR, ..plan.and(at, What::Sleep(gap)) }
            };
            let study = Study::with(&Client::OURS, plan, (effort.0 / 4).max(50), |plan, history| {
                let woke = plan.until - HOUR;
                let answer = history.torrents[0].answer_after(woke);
                [vec![wait(answer.map(|answer| answer.at - woke))]]
            });
            let case = if in_flight { ", in the middle of an announce" } else { "" };
            // Two seconds for the network to come up, then an announce as any other.
            let row = study.row(0, format!("13 asleep for {name}{case}, p95"), OVERDUE, quantile(0.95));
            rows.push(row.goal("target", 65.0));
        }
    }
    rows.extend(everybody_wakes());
    rows
}

/// 13, with many torrents: all of them are overdue, and no tracker has to bear it in one second.
fn everybody_wakes() -> [Row; 2] {
    const TORRENTS: usize = 600;
    let (asleep, woke) = (4 * HOUR, 12 * HOUR);
    let mut random = random(1);
    let plan = Plan::one_torrent(World::drawn(1, 3, 0.0), woke + 5 * MINUTE);
    let plan = (1..TORRENTS)
        .fold(plan, |plan, torrent| plan.and_to(torrent, random.random_range(0..HOUR), What::Add))
        .and(asleep, What::Sleep(woke - asleep));
    let history = Client::Ours.play(&plan);
    let mut heard: Vec<Millis> = history.announces(woke, plan.until).map(|heard| heard.at).collect();
    heard.sort_unstable();
    let busiest = (0..heard.len()).map(|from| heard.partition_point(|at| *at < heard[from] + SECOND) - from);
    let busiest = count(busiest.max().unwrap_or(0));
    let last =
        history.torrents.iter().map(|life| wait(life.answer_after(woke).map(|answer| answer.at - woke)));
    let ours = |figure| vec![(Client::Ours, figure)];
    let id = format!("13 {TORRENTS} torrents asleep for 8 h");
    [
        Row::new(format!("{id}, last"), OVERDUE, ours(last.fold(0.0, f64::max))).goal("target", 65.0),
        Row::new(format!("{id}, peak"), "announces in the busiest second", ours(busiest)).goal("G9", 40.0),
    ]
}

/// 21: a tunnel: from one moment on everything takes four times as long. That is reported to the client, or it finds out.
pub(super) fn network_change(effort: Effort) -> Vec<Row> {
    const AFTER: Millis = 3 * HOUR;
    let mut rows = Vec::new();
    for reported in [true, false] {
        let plan = |client: Client, seed| {
            let plan = Plan::one_torrent(World::drawn(seed, 5, 0.0), 0);
            let at = quiet(&plan, client, seed);
            let plan = if reported && client.is_ours() { plan.and(at, What::ChangeNetwork) } else { plan };
            let plan = plan.and(at + 2 * MINUTE, What::Reannounce).in_world(|world| {
                for tracker in &mut world.trackers {
                    tracker.slow = 0.0;
                    tracker.pace = Pace::Step(at, 4.0);
                }
            });
            Plan { until: at + AFTER, ..plan }
        };
        let study = Study::with(
            &[Client::Ours, Client::AsNeeded, Client::Oracle],
            plan,
            (effort.0 / 2).max(100),
            |plan, history| {
                let (from, until) = (plan.until - AFTER, plan.until);
                let life = &history.torrents[0];
                let first = life.delays(from, until).first().copied().flatten();
                let accepted = life.answers.iter().filter(|answer| answer.at >= from).count();
                let announces = count(live_announces(history, from, until));
                [vec![wait(first)], vec![announces / count(accepted)]]
            },
        );
        let case = if reported { "21 ×4, reported" } else { "21 ×4, unreported" };
        let [p50, p95] = waits(&study, &format!("{case}, urgent"), WAIT);
        let limit = 2.0 * oracle(&p95);
        let load = study.row(1, format!("{case}, load"), "announces at live trackers per round", mean);
        rows.extend([p50, p95.goal("2 × the oracle's", limit), load.goal("G3", 1.0149)]);
    }
    rows
}
