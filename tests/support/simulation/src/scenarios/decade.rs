//! Ten real years: torrents made with the first trackers of a day's list, and played for years after that day.

use rand::RngExt;

use super::Effort;
use super::common::oracle;
use super::reach::{all_rules, missed_pairs};
use crate::clients::Client;
use crate::decade::{day, list_of, random};
use crate::life::{History, Plan};
use crate::metrics::{Study, count, mean};
use crate::reach::{Draw, Kind, World as Swarm};
use crate::script::{Script, State};
use crate::table::Row;
use crate::time::{DAY, HOUR, MINUTE, Millis, seconds};
use crate::world::World;

/// The days of a year.
const YEAR: u32 = 365;

/// The clients that announce to one tracker at a time, with what they are compared with.
const FEW: [Client; 3] = [Client::Ours, Client::AsNeeded, Client::Oracle];

/// 32: what real lists of trackers do to clients over the years.
pub(super) fn years(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (years, trackers) in [(1, 3), (1, 8), (1, 20), (3, 3), (3, 8), (3, 20)] {
        // A year is 17,500 announces of those who make the fewest.
        if effort.is_full() {
            rows.extend(lives(&Client::ALL, years, trackers, 10));
        } else if [(1, 20), (3, 3)].contains(&(years, trackers)) {
            rows.extend(lives(&FEW, years, trackers, 1));
        }
        rows.push(meetings(years, trackers, effort));
    }
    rows
}

/// One client for all that time.
fn lives(clients: &[Client], years: u32, trackers: usize, samples: u64) -> [Row; 4] {
    let days = years * YEAR;
    let plan = |seed| {
        let mut random = random(seed);
        let from = day(days, trackers, &mut random);
        let mut world = World::drawn(seed, trackers, 0.0);
        for (tracker, listed) in world.trackers.iter_mut().zip(list_of(from, trackers)) {
            tracker.scheme = listed.scheme;
            tracker.slow = 0.0;
            tracker.script = listed.script(from, days, &mut random);
        }
        Plan::one_torrent(world, Millis::from(days) * DAY).in_tiers()
    };
    let per_year = |figure: f64| figure / f64::from(years);
    let study = Study::new(clients, plan, samples, |plan, history| {
        [
            vec![per_year(hours_without(plan, history))],
            vec![per_year(count(history.wasted))],
            vec![per_year(count(history.torrents[0].switches(0)))],
            vec![per_year(count(history.torrents[0].answers.len()))],
        ]
    });
    let id = format!("32 {years} years, {trackers} trackers");
    let without = study.row(0, format!("{id}, without"), "hours a year without an answered announce", mean);
    let limit = 1.1 * oracle(&without) + 1.0;
    [
        without.goal("G20", limit),
        study.row(1, format!("{id}, wasted"), "attempts at dead trackers a year", mean),
        study.row(2, format!("{id}, switches"), "switches a year", mean),
        study.row(3, format!("{id}, answered"), "answered announces a year", mean),
    ]
}

/// The time in which the last answered announce is older than the interval of its tracker, and a few minutes.
fn hours_without(plan: &Plan, history: &History) -> f64 {
    const LATE: Millis = 5 * MINUTE;
    let answers = history.torrents[0].answers.iter().map(|answer| answer.at);
    let (mut last, mut without) = (0, 0);
    for at in answers.chain([plan.until]) {
        without += (at - last).saturating_sub(plan.world.trackers[0].interval + LATE);
        last = at;
    }
    seconds(without) / seconds(HOUR)
}

/// A seed and a leecher of the torrent on a random day after these years.
fn meetings(years: u32, trackers: usize, effort: Effort) -> Row {
    let swarm = |kind: Kind, seed: u64| -> Swarm {
        let mut random = random(seed);
        let from = day(years * YEAR, trackers, &mut random);
        let today = from + random.random_range(0..years * YEAR);
        let mut world =
            Draw { kinds: (kind, kind), in_tiers: true, ..Draw::new((2, 1), trackers) }.world(seed);
        for (tracker, listed) in world.trackers.iter_mut().zip(list_of(from, trackers)) {
            tracker.scheme = listed.scheme;
            let state = if listed.on(today) { State::UP } else { State::down(&mut random) };
            tracker.script = Script::always(state);
        }
        world
    };
    let of = |kind| missed_pairs((0..effort.0 / 4).map(|seed| swarm(kind, seed)), |_, _| true);
    let kinds = all_rules().take(if effort.is_full() { usize::MAX } else { 1 });
    let figures = kinds.map(|(client, kind)| (client, of(kind))).collect();
    let what = "pairs that don't meet in time, %";
    Row::new(format!("32 {years} years, {trackers} trackers, meetings"), what, figures).goal("G11", 1.0)
}
