//! Everything is down, and something returns: how soon that is found out.

use rand::RngExt;

use super::Effort;
use super::common::{next_need, random, settled};
use crate::clients::Client;
use crate::life::{History, Plan};
use crate::metrics::{Study, mean, quantile, wait};
use crate::script::{Answer, Script, State};
use crate::table::Row;
use crate::time::{HOUR, MINUTE, Millis, SECOND};
use crate::world::World;

const LAG: &str = "from its return to the first accepted, s";

/// 14: all dead, then one back. It begins when an announce is due, so that it is noticed, and lasts from ten
/// minutes to six hours.
pub(super) fn all_dead(effort: Effort) -> Vec<Row> {
    const OUTAGES: [Millis; 3] = [10 * MINUTE, HOUR, 6 * HOUR];
    let mut rows = Vec::new();
    for (name, trackers, refusing) in
        [("one tracker", 1, false), ("four trackers", 4, false), ("four, another answers 502", 4, true)]
    {
        let study = Study::with(
            &Client::ALL,
            |client, seed| {
                let outage = OUTAGES[random(seed).random_range(0..OUTAGES.len())];
                outages(client, seed, trackers, outage, refusing)
            },
            (effort.0 / 2).max(100),
            lag,
        );
        rows.push(study.row(0, format!("14 {name}, mean"), LAG, mean));
        rows.push(study.row(0, format!("14 {name}, p95"), LAG, quantile(0.95)).goal("G5", 95.0));
    }
    rows
}

/// No tracker can be reached until one returns; if one of the others refuses, it does so for ever.
fn outages(client: Client, seed: u64, trackers: usize, outage: Millis, refusing: bool) -> Plan {
    let back = random(!seed).random_range(0..trackers);
    everything_down(client, seed, trackers, outage, |tracker, from| {
        let down = match random(!seed ^ tracker as u64).random_range(0..20) {
            _ if refusing && tracker == (back + 1) % trackers => State::BROKEN,
            0..14 => State::SILENT,
            14..18 => State::REFUSED,
            _ => State::NAMELESS,
        };
        let script = Script::always(State::UP).then(from, down);
        if tracker == back { script.then(from + outage, State::UP) } else { script }
    })
}

/// 11: a captive portal for ten minutes. HTTP gets its page, UDP is dropped.
pub(super) fn captive_portal(effort: Effort) -> Vec<Row> {
    let study = Study::with(
        &Client::ALL,
        |client, seed| {
            let schemes: Vec<_> = World::drawn(seed, 3, 0.0).trackers.iter().map(|t| t.scheme).collect();
            everything_down(client, seed, 3, 10 * MINUTE, |tracker, from| {
                let portal = match schemes[tracker] {
                    tracker_failover::Scheme::Udp => State::SILENT,
                    _ => State::answering(Answer::Html),
                };
                Script::always(State::UP).outage(from, from + 10 * MINUTE, portal)
            })
        },
        effort.0,
        lag,
    );
    vec![study.row(0, "11 portal for 10 min, p95", LAG, quantile(0.95)).goal("target", 65.0)]
}

/// A world in which everything goes down just before this client's next announce, for this long.
fn everything_down(
    client: Client,
    seed: u64,
    trackers: usize,
    outage: Millis,
    script: impl Fn(usize, Millis) -> Script,
) -> Plan {
    let plan = Plan::one_torrent(World::drawn(seed, trackers, 0.0), 0);
    let from = next_need(&plan, client, settled(seed)).saturating_sub(5 * SECOND);
    // A client that hasn't found it by then never does.
    let plan = Plan { until: from + outage + 5 * HOUR, ..plan };
    plan.in_world(|world| {
        for (number, tracker) in world.trackers.iter_mut().enumerate() {
            tracker.script = script(number, from);
        }
    })
}

fn lag(plan: &Plan, history: &History) -> [Vec<f64>; 1] {
    let back = plan.world.trackers.iter().filter_map(|tracker| {
        let script = &tracker.script;
        script.last_change().filter(|at| script.at(*at).lives())
    });
    let back = back.max().unwrap_or(0);
    let answer = history.torrents[0].answer_after(back);
    [vec![wait(answer.map(|answer| answer.at - back))]]
}
