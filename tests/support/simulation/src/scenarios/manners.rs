//! What tracker operators ask for: their hints, no storms, and a word when we leave.

use rand::RngExt;

use super::Effort;
use super::common::{WAIT, in_use, oracle, quiet, random, waits};
use crate::clients::{Client, ours};
use crate::life::{History, Life, Plan, What};
use crate::metrics::{REGISTERED, Study, count, largest, mean, seconds_of, wait};
use crate::script::{Answer, Retry, Script, State};
use crate::table::Row;
use crate::time::{DAY, HOUR, MINUTE, Millis, SECOND};
use crate::trace::{Step, Trace};
use crate::world::World;

const EARLY: &str = "announces before the tracker allowed one, per life";

/// 15: refusals that say when to come back, and a user who presses the button all the same.
pub(super) fn retry_hints(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, answer) in [
        ("429 for 2 h", Answer::Status(429, Retry::After(2 * HOUR))),
        ("retry in 30 min", Answer::Failure(Retry::After(30 * MINUTE))),
        ("never", Answer::Failure(Retry::Never)),
    ] {
        let study = Study::with(
            &Client::ALL,
            |client, seed| {
                let mut plan = Plan::one_torrent(World::drawn(seed, 4, 0.01), 14 * HOUR);
                let at = quiet(&plan, client, seed);
                let tracker = in_use(&plan, client, at);
                for press in 0..8 {
                    plan = plan.and(at + (1 + press) * 13 * MINUTE, What::Reannounce);
                }
                plan.in_world(|world| {
                    let script = &mut world.trackers[tracker].script;
                    *script = script.clone().then(at, State::answering(answer));
                })
            },
            // The 95th of a hundred is one of five, and says little.
            (effort.0 / 2).max(50),
            |plan, history| {
                let pressed = history.torrents[0].delays(plan.deeds[1].at, plan.until);
                [
                    pressed.first().map(|delay| wait(*delay)).into_iter().collect(),
                    vec![count(history.impolite)],
                ]
            },
        );
        let [_, p95] = waits(&study, &format!("15 {name}"), WAIT);
        let limit = 2.0 * oracle(&p95);
        rows.push(p95.goal("2 × the oracle's", limit));
        rows.push(study.row(1, format!("15 {name}, early"), EARLY, mean).goal("G8", 0.0));
    }
    rows.push(min_interval(effort));
    rows
}

/// 15: a min interval, and a user who would like more peers.
fn min_interval(effort: Effort) -> Row {
    let plan = |seed| {
        let mut world = World::drawn(seed, 4, 0.01);
        for tracker in &mut world.trackers {
            tracker.min_interval = Some(15 * MINUTE);
        }
        (1..40).fold(Plan::one_torrent(world, 8 * HOUR), |plan, press| {
            plan.and(press * 7 * MINUTE, What::WantPeers)
        })
    };
    let study =
        // What others do when their user would like more peers is no rule of time.
        Study::new(&Client::OURS, plan, (effort.0 / 4).max(50), |_, history| [vec![count(history.impolite)]]);
    study.row(0, "15 min interval, early", EARLY, mean).goal("G8", 0.0)
}

/// 24: intervals that no tracker means. The rest of a hostile reply is the wire's business.
pub(super) fn hostile_intervals(_: Effort) -> Vec<Row> {
    let gaps = |interval: Millis| {
        let mut world = World::drawn(1, 3, 0.0);
        for tracker in &mut world.trackers {
            tracker.interval = interval;
        }
        let history = Client::Ours.play(&Plan::one_torrent(world, 3 * DAY));
        let answers = history.torrents[0].answers.clone();
        (answers.len(), answers.windows(2).map(|pair| pair[1].at - pair[0].at).max())
    };
    let ours = |figure| vec![(Client::Ours, figure)];
    let hourly = |interval| ours(count(gaps(interval).0) / 72.0);
    let hours = [("0", 0), ("1 s", SECOND)].map(|(name, interval)| {
        let row = Row::new(format!("24 interval {name}"), "announces per hour", hourly(interval));
        row.goal("one a minute", 60.0 / 0.92)
    });
    let longest = ours(wait(gaps(1 << 63).1));
    let longest = Row::new("24 interval 2^63", "longest time between announces, s", longest);
    hours.into_iter().chain([longest.goal("8 h", 8.0 * 3600.0 + 5.0)]).collect()
}

/// 20: a thousand torrents at once. What the busiest host hears in its busiest second.
pub(super) fn storm(_: Effort) -> Vec<Row> {
    const TORRENTS: usize = 1000;
    let mut rows = Vec::new();
    for hosts in [1, 5] {
        let mut plan = Plan::one_torrent(World::drawn(1, hosts, 0.0), 20 * MINUTE);
        for torrent in 1..TORRENTS {
            plan = plan.and_to(torrent, 0, What::Add);
        }
        let (history, trace) = ours::play(&plan, plan.world.seed);
        let busiest = (0..hosts).map(|tracker| busiest_second(&heard_by(&history, tracker))).max();
        let opened = (0..hosts).map(|tracker| busiest_second(&opened_to(&trace, tracker))).max();
        let last = history.torrents.iter().map(|life| wait(life.answers.first().map(|answer| answer.at)));
        let of_ours = |figure| vec![(Client::Ours, figure)];
        let peak = of_ours(count(busiest.unwrap_or(0)));
        let id = format!("20 {TORRENTS} torrents on {hosts} hosts");
        rows.push(Row::new(format!("{id}, peak"), "announces in a host's busiest second", peak));
        // 20 a second, after a burst of as many. The ways to a far host bring some of them together.
        let opened = of_ours(count(opened.unwrap_or(0)));
        let what = "openings in a host's busiest second";
        rows.push(Row::new(format!("{id}, opened"), what, opened).goal("G9", 40.0));
        let last = of_ours(last.fold(0.0, f64::max));
        rows.push(Row::new(format!("{id}, last"), "s until the last torrent has peers", last));
    }
    rows
}

fn heard_by(history: &History, tracker: usize) -> Vec<Millis> {
    let heard = history.announces(0, Millis::MAX).filter(|heard| heard.tracker == tracker);
    heard.map(|heard| heard.at).collect()
}

fn opened_to(trace: &Trace, tracker: usize) -> Vec<Millis> {
    let opened = trace.lines.iter().filter(|(_, step)| *step == Step::Open(tracker));
    opened.map(|(at, _)| *at).collect()
}

fn busiest_second(moments: &[Millis]) -> usize {
    let within = |from: usize| moments[from..].iter().take_while(|at| **at < moments[from] + SECOND).count();
    (0..moments.len()).map(within).max().unwrap_or(0)
}

/// 23: everything is stopped, while some hosts are silent.
pub(super) fn shutdown(_: Effort) -> Vec<Row> {
    const TORRENTS: usize = 300;
    const HOSTS: usize = 6;
    let mut rows = Vec::new();
    for silent in [0, 3, 6] {
        let (asleep, end) = (4 * HOUR, 4 * HOUR + 10 * MINUTE);
        let mut world = World::drawn(1, HOSTS, 0.01);
        for tracker in &mut world.trackers {
            // A tracker that works for longer than any client waits doesn't get to confirm it.
            tracker.slow = 0.0;
        }
        for tracker in &mut world.trackers[..silent] {
            tracker.script = Script::always(State::UP).then(asleep, State::SILENT);
        }
        let mut plan = Plan::one_torrent(world, 5 * HOUR).and(end, What::Stop);
        let mut random = random(1);
        for torrent in 1..TORRENTS {
            plan = plan.and_to(torrent, random.random_range(0..HOUR), What::Add).and_to(
                torrent,
                end,
                What::Stop,
            );
        }
        let history = Client::Ours.play(&plan);
        let ends: Vec<f64> = history.torrents.iter().map(|life| seconds_of(life.stopped.as_ref())).collect();
        let missing = history.torrents.iter().map(|life| missed(&plan, life, end)).sum();
        let id = format!("23 {silent} of {HOSTS} hosts silent");
        let ours = |figure| vec![(Client::Ours, figure)];
        rows.push(
            Row::new(format!("{id}, time"), "s until all have ended", ours(largest(&ends))).goal("G9", 3.0),
        );
        let what = "living registrations without `stopped`";
        rows.push(Row::new(format!("{id}, not stopped"), what, ours(count(missing))).goal("target", 0.0));
    }
    rows
}

/// How many trackers have a registration, can be reached, and didn't acknowledge `stopped`.
fn missed(plan: &Plan, life: &Life, end: Millis) -> usize {
    let known = life.answers.iter().filter(|answer| answer.at + REGISTERED > end && answer.at < end);
    let mut known: Vec<usize> = known.map(|answer| answer.tracker).collect();
    known.sort_unstable();
    known.dedup();
    let acknowledged = life.stopped.as_ref().map(|stopped| &stopped.acknowledged[..]).unwrap_or_default();
    known.iter().filter(|tracker| plan.world.lives(**tracker, end) && !acknowledged.contains(tracker)).count()
}
