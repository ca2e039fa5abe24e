//! What several scenarios need: a moment in a life that has to be found first, and rows that share a goal.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clients::Client;
use crate::life::Plan;
use crate::metrics::{Study, quantile};
use crate::script::{Script, State};
use crate::table::Row;
use crate::time::{HOUR, MINUTE, Millis};
use crate::world::World;

pub(super) const WAIT: &str = "from due to accepted, s";

/// Something random that belongs to a seed and to nothing else.
pub(super) fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ 0x5eed)
}

/// A moment when a client has long been at home in its world.
pub(super) fn settled(seed: u64) -> Millis {
    random(seed).random_range(3 * HOUR..6 * HOUR)
}

/// As [`settled`], shortly after an announce of this client's, so that none is due for a while.
pub(super) fn quiet(plan: &Plan, client: Client, seed: u64) -> Millis {
    next_need(plan, client, settled(seed)) + random(!seed).random_range(MINUTE..20 * MINUTE)
}

/// The tracker that this client uses at this moment. Played to find it: the world is the same the second time.
pub(super) fn in_use(plan: &Plan, client: Client, at: Millis) -> usize {
    let until = Plan { until: at, ..plan.clone() };
    client.play(&until).torrents[0].in_use_at(at).unwrap_or(0)
}

/// When this client announces next after this moment.
pub(super) fn next_need(plan: &Plan, client: Client, at: Millis) -> Millis {
    let until = Plan { until: at + HOUR, ..plan.clone() };
    let history = client.play(&until);
    history.torrents[0].needs.iter().copied().find(|need| *need > at).unwrap_or(at)
}

/// The same plan, but from `at` on the tracker that this client uses is in this state.
pub(super) fn dies(plan: Plan, client: Client, at: Millis, state: State) -> Plan {
    let tracker = in_use(&plan, client, at);
    plan.in_world(|world| change(world, tracker, |script| script.then(at, state)))
}

/// Changes the script of a tracker.
pub(super) fn change(world: &mut World, tracker: usize, change: impl FnOnce(Script) -> Script) {
    let script = &mut world.trackers[tracker].script;
    *script = change(script.clone());
}

/// The trackers of a world, the nearest first.
pub(super) fn by_latency(world: &World) -> Vec<usize> {
    let mut order: Vec<usize> = (0..world.trackers.len()).collect();
    order.sort_by(|a, b| world.trackers[*a].latency(0).total_cmp(&world.trackers[*b].latency(0)));
    order
}

/// Median and 95th percentile of the first figure.
pub(super) fn waits<const N: usize>(study: &Study<N>, case: &str, what: &'static str) -> [Row; 2] {
    [
        study.row(0, format!("{case}, p50"), what, quantile(0.5)),
        study.row(0, format!("{case}, p95"), what, quantile(0.95)),
    ]
}

/// What the oracle has, as the base of a goal.
pub(super) fn oracle(row: &Row) -> f64 {
    row.of(Client::Oracle).unwrap_or(f64::NAN)
}
