//! Liveness as a rule: by when a torrent has an answer, given what the world does.
//!
//! A tracker *serves* a torrent at a moment if an attempt begun then is answered within a second, which all trackers
//! of these worlds do that are well. From the latest of these moments on,
//!
//! - the tracker serves the torrent, and goes on to,
//! - the torrent runs and lists it, and our process and network are well,
//! - the torrent is due: at once where it is new, owes an event or has no tracker in use left, else by its schedule,
//! - the tracker's `retry in` and `Retry-After` are over, and its `min interval` unless an event is owed,
//!
//! the torrent has an answer, from any tracker, within a bound of [`BOUNDS`], the allowances for those before it, and
//! what the queue at the tracker's host takes.

use std::time::Duration;

use tracker_failover::Scheme;
use tracker_failover::policy::Timestamp;

use super::facts::{Failing, HostFacts, Listed, Member};
use super::world::World;

/// Why a torrent may have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It didn't fail at the tracker since its last answer there, and the host isn't in back-off.
    Clean,
    /// The host gave no sign of life, and the torrent needs peers.
    NoLife,
    /// It failed there in another way, or is a seed.
    Failed,
    /// The host is in back-off for the errors of other torrents.
    InLine,
}

/// A bound, and its reason.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// What it is for.
    pub class: Class,
    /// Its name in tables.
    pub name: &'static str,
    /// How long at most, for each place in a line where there is one.
    pub at_most: Duration,
    /// Why.
    pub reason: &'static str,
}

/// The bounds of liveness.
pub const BOUNDS: [Bound; 4] = [
    Bound {
        class: Class::Clean,
        name: "clean",
        at_most: Duration::from_secs(60),
        reason: "nothing speaks against an attempt: a round through dead trackers, a look during an outage (at most \
                 60 s apart), four silent answers to their limit of 15 s",
    },
    Bound {
        class: Class::NoLife,
        name: "no sign of life",
        at_most: Duration::from_secs(120),
        reason: "hosts that can't be reached are tried again at most 75 s apart, an opening that hangs takes 20 s, and \
                 the round around it some more",
    },
    Bound {
        class: Class::Failed,
        name: "failed there",
        at_most: Duration::from_secs(35 * 60),
        reason: "the longest back-off is 30 min, and one attempt begun just before ends after 50 s",
    },
    Bound {
        class: Class::InLine,
        name: "in line",
        at_most: Duration::from_secs(120),
        reason: "one at a time, at most 75 s apart, each with up to 45 s to fail; for each place in the line",
    },
];

/// What each tracker before the one that serves costs where they are asked one after the other.
const ONE_BY_ONE: Duration = Duration::from_secs(20);

/// What ten silent ones cost that are opened beside each other.
const TEN_SILENT: Duration = Duration::from_secs(10);

/// How long an announce holds a place of its host's that is never answered.
const HELD_AT_MOST: Duration = Duration::from_secs(30);

/// Attempts that a host gets at once over HTTP and over UDP, and announces in a second.
const PLACES: (u32, u32) = (4, 16);
const PER_SECOND: u32 = 20;

/// So many times of being well are looked at in advance; after that the torrent is looked at again.
const LOOK_AHEAD: usize = 16;

/// A moment by which a torrent has an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    /// Since when a tracker could have served it.
    pub(super) since: Timestamp,
    pub(super) class: Class,
    pub(super) tracker: usize,
}

/// The first deadline of a torrent, and when to look again if what comes isn't known yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outlook {
    pub(super) deadline: Option<Deadline>,
    pub(super) look_again: Option<Timestamp>,
}

impl Outlook {
    pub(super) fn check_at(&self) -> Option<Timestamp> {
        [self.deadline.map(|deadline| deadline.at), self.look_again].into_iter().flatten().min()
    }
}

/// What a torrent can expect at `now`, by facts as they are. `well_since` is when our process last came to itself.
pub(super) fn outlook(
    world: &World,
    hosts: &[HostFacts],
    member: &Member,
    well_since: Timestamp,
    now: Timestamp,
) -> Outlook {
    let mut outlook = Outlook::default();
    if !member.runs {
        return outlook;
    }
    let due = member.due().max(well_since);
    for listed in member.listed.iter().filter(|listed| listed.on_list && !listed.never) {
        let mut may = due.max(listed.since).max(listed.suspended_until);
        if listed.accepted {
            // An event lifts the min interval from the moment on at which it is owed.
            may =
                may.max(member.owes_since.map_or(listed.early_until, |since| listed.early_until.min(since)));
        }
        let fate = world.fate(listed.tracker, listed.own.as_ref());
        let (mut from, mut looks) = (may.max(now), 0);
        while let Some(run) = fate.run_from(from) {
            let since = may.max(run.start);
            let (class, at) = deadline(world, hosts, member, listed, since);
            if run.end.is_none_or(|end| at < end) {
                if outlook.deadline.is_none_or(|first| at < first.at) {
                    outlook.deadline = Some(Deadline { at, since, class, tracker: listed.tracker });
                }
                break;
            }
            (from, looks) = (run.end.unwrap_or(at), looks + 1);
            if looks == LOOK_AHEAD {
                let again = from + BOUNDS[0].at_most;
                outlook.look_again = Some(outlook.look_again.map_or(again, |first| first.min(again)));
                break;
            }
        }
    }
    outlook
}

/// When a torrent has an answer that a tracker could serve since then.
fn deadline(
    world: &World,
    hosts: &[HostFacts],
    member: &Member,
    listed: &Listed,
    since: Timestamp,
) -> (Class, Timestamp) {
    let of = &world.trackers[listed.tracker];
    let host = &hosts[of.host];
    let others =
        u32::try_from(member.listed.iter().filter(|listed| listed.on_list).count()).unwrap_or(u32::MAX);
    let others = others.saturating_sub(1);
    let before = if member.races { TEN_SILENT * (others / 10) } else { ONE_BY_ONE * others };
    let allowance = before + queue(world, host, of.host);
    // Without the breaker nothing is known of hosts, and the back-off is the torrent's own.
    let needs_peers = !member.complete && member.breaker;
    let bound = |class: Class| BOUNDS[class as usize].at_most;
    let line = |places: usize| bound(Class::InLine) * u32::try_from(places.max(1)).unwrap_or(u32::MAX);
    let lifeless = if needs_peers { Class::NoLife } else { Class::Failed };
    let (class, wait) = match listed.failed {
        Some(Failing::NoLife) if needs_peers && !host.is_doubted() => (Class::NoLife, bound(Class::NoLife)),
        Some(_) => (Class::Failed, bound(Class::Failed)),
        None if host.is_doubted() => {
            let ahead = host.listed.saturating_sub(host.failed_torrents.len());
            let wait = if host.is_lifeless { bound(lifeless) } else { Duration::ZERO };
            (Class::InLine, wait.max(line(ahead + 1)))
        }
        None if host.is_lifeless => (lifeless, bound(lifeless)),
        None => (Class::Clean, bound(Class::Clean)),
    };
    // Until a moment ago the host may have been in another back-off, which was judged by its own bound while it lasted:
    // a wait for the present state begins with that state. But the ups and downs of others don't go on for ever.
    let longest = since + bound(Class::Failed).max(line(host.listed));
    let at = (since.max(host.cleared_at) + wait).min(longest).max(since + wait);
    (class, at + allowance)
}

/// What the announces before ours need at the gate of a host: all that are listed there, at once.
fn queue(world: &World, facts: &HostFacts, host: usize) -> Duration {
    let host = &world.hosts[host];
    let places = if host.scheme == Scheme::Udp { PLACES.1 } else { PLACES.0 };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let held = 2 * host.round_trip + host.work;
    let paced = Duration::from_secs(1) / PER_SECOND * count(facts.listed);
    // Those that were let in before the host came back hold their places to their limit, once.
    let slow = count(facts.slow).div_ceil(places) + u32::from(facts.is_slow);
    paced + held * count(facts.listed).div_ceil(places) + HELD_AT_MOST * slow
}

#[cfg(test)]
mod tests {
    use super::super::commands::{Listing, Newcomer};
    use super::super::life::Life;
    use super::super::world::Script;
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(secs))
    }

    #[test]
    fn each_class_finds_its_own_bound() {
        for (number, bound) in BOUNDS.iter().enumerate() {
            assert_eq!(bound.class as usize, number);
        }
    }

    /// World 2337: a seed waited for a silent host, for which it has 35 minutes. Another torrent was answered there, and
    /// a moment later two more were refused. The doubt is the host's new state, and has its own time from then on.
    #[test]
    fn a_new_state_of_a_host_does_not_shorten_the_wait_for_the_state_before() {
        type State = (&'static str, &'static [(usize, Failing)]);
        let states: [State; 4] = [
            ("no back-off", &[]),
            ("no sign of life", &[(1, Failing::NoLife)]),
            ("doubted", &[(1, Failing::Answer), (2, Failing::Answer)]),
            ("both", &[(1, Failing::NoLife), (2, Failing::Answer), (1, Failing::Answer)]),
        ];
        for (before, failures_before) in states {
            for (after, failures_after) in states {
                for seed in [false, true] {
                    let mut world = World::default();
                    let host = world.near(Scheme::Http, Script::well());
                    let tracker = world.tracker(host, Script::well());
                    let mut life = Life::new(world, tracker_failover::Config::default(), 7);
                    let tiers = vec![vec![Listing { tracker, own: None }]];
                    let torrent = life.add(Newcomer { tiers, seed, ..Newcomer::default() });
                    let facts = &mut life.hosts[host];
                    for (of, failing) in failures_before {
                        facts.failed(Some(*of), tracker, *failing);
                    }
                    facts.answered(at(1000));
                    for (of, failing) in failures_after {
                        facts.failed(Some(*of), tracker, *failing);
                    }
                    let was_backed_off = !failures_before.is_empty();
                    let deadline = life.outlook(torrent, at(1000)).deadline.expect("it is well");
                    let least = if was_backed_off { at(1060) } else { at(60) };
                    assert!(deadline.at >= least, "seed: {seed}, {before}, then {after}: {deadline:?}");
                    assert!(deadline.at < at(36 * 60), "seed: {seed}, {before}, then {after}: {deadline:?}");
                }
            }
        }
    }
}
