//! Other clients, reduced to their rules of time as they were read from their sources.
//!
//! What isn't about time is left out: they get everything else for free. DNS counts into their limits.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tracker_failover::Scheme;

use super::group::Group;
use crate::life::{Life, Plan};
use crate::network::{Network, Resends};
use crate::time::{MINUTE, Millis, SECOND};

/// A client whose rules are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// Tiers in order, 30 s for a silent HTTP tracker and 10 s for UDP; each tracker that failed backs off by
    /// itself.
    Libtorrent,
    /// One tracker per tier, all tiers at once; 45 s for a silent HTTP tracker and 30 s for UDP.
    Transmission,
    /// Tiers in order, each shuffled; 60 s twice for a silent HTTP tracker, 15 s for UDP.
    Aria2,
    /// All trackers at once, each for itself.
    Rqbit,
    /// Where this crate comes from: probes all trackers, waits up to 3 s until the last probe has ended, then
    /// announces to the nearest with 3 s for each.
    Original,
}

/// The rules of a client.
pub(super) struct Rules {
    /// How trackers are grouped: each group is looked after by itself.
    pub(super) groups: Groups,
    pub(super) shuffles: bool,
    /// How long an attempt over TCP takes at most, and how often it is made.
    pub(super) tcp: (Millis, u32),
    /// When UDP packets are sent again, and how long an exchange takes at most.
    pub(super) udp: (Resends, Millis),
    pub(super) then: Then,
    /// Whether `retry in` and `Retry-After` are minded.
    pub(super) minds_hints: bool,
    /// Whether all trackers are probed before the first announce.
    pub(super) probes: bool,
}

pub(super) enum Groups {
    One,
    PerTier,
    PerTracker,
}

/// What follows a failure.
pub(super) enum Then {
    /// The first tracker of the order whose own back-off (by the number of its failures) is over.
    OwnBackOff(fn(Scheme, u32) -> Millis),
    /// The next tracker, after the back-off which that one has from its own failures.
    NextsBackOff(fn(u32) -> Millis),
    /// The next tracker at once, and after the last one this long.
    Lap(Millis),
}

impl Model {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Libtorrent => "libtorrent",
            Self::Transmission => "Transmission",
            Self::Aria2 => "aria2",
            Self::Rqbit => "rqbit",
            Self::Original => "the original",
        }
    }

    fn rules(self) -> Rules {
        match self {
            Self::Libtorrent => Rules {
                groups: Groups::One,
                shuffles: false,
                tcp: (30 * SECOND, 1),
                udp: (&[0], 10 * SECOND),
                then: Then::OwnBackOff(|_, failures| {
                    let n = u64::from(failures);
                    (5 * SECOND + 12_500 * n * n).min(60 * MINUTE)
                }),
                minds_hints: true,
                probes: false,
            },
            Self::Transmission => Rules {
                groups: Groups::PerTier,
                shuffles: false,
                tcp: (45 * SECOND, 1),
                udp: (&[0, 15 * SECOND], 30 * SECOND),
                then: Then::NextsBackOff(transmission_back_off),
                minds_hints: false,
                probes: false,
            },
            Self::Aria2 => Rules {
                groups: Groups::One,
                shuffles: true,
                tcp: (60 * SECOND, 2),
                udp: (&[0, 5 * SECOND], 15 * SECOND),
                then: Then::Lap(2 * MINUTE),
                minds_hints: false,
                probes: false,
            },
            Self::Rqbit => Rules {
                groups: Groups::PerTracker,
                shuffles: false,
                tcp: (60 * SECOND, 1),
                udp: (&[0, 15 * SECOND], 60 * SECOND),
                then: Then::OwnBackOff(|scheme, failures| match scheme {
                    Scheme::Udp => MINUTE,
                    _ => ((10 * SECOND) << (failures - 1).min(6)).min(10 * MINUTE),
                }),
                minds_hints: false,
                probes: false,
            },
            Self::Original => Rules {
                groups: Groups::One,
                shuffles: false,
                tcp: (3 * SECOND, 1),
                udp: (&[0], 3 * SECOND),
                then: Then::Lap(30 * MINUTE),
                minds_hints: false,
                probes: true,
            },
        }
    }

    pub(super) fn play(self, plan: &Plan, network: &mut Network) -> Life {
        let rules = self.rules();
        let mut random = StdRng::seed_from_u64(plan.world.seed);
        let mut tiers = plan.tiers.clone();
        if rules.shuffles {
            for tier in &mut tiers {
                tier.shuffle(&mut random);
            }
        }
        let groups: Vec<Vec<Vec<usize>>> = match rules.groups {
            Groups::One => vec![tiers],
            Groups::PerTier => tiers.into_iter().map(|tier| vec![tier]).collect(),
            Groups::PerTracker => tiers.into_iter().flatten().map(|tracker| vec![vec![tracker]]).collect(),
        };
        let mut life = Life::default();
        for tiers in groups {
            Group::new(&rules, tiers, network).play(plan, &mut life);
        }
        life.needs.sort_unstable();
        life.answers.sort_unstable_by_key(|answer| answer.at);
        life
    }
}

/// How long Transmission waits after so many failures in a row (announcer.cc).
pub(crate) fn transmission_back_off(failures: u32) -> Millis {
    match failures {
        0 => 0,
        1 => 20 * SECOND,
        2 => 5 * MINUTE + 30 * SECOND,
        3 => 15 * MINUTE + 30 * SECOND,
        4 => 30 * MINUTE + 30 * SECOND,
        5 => 60 * MINUTE + 30 * SECOND,
        _ => 120 * MINUTE + 30 * SECOND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Script, State};
    use crate::time::HOUR;
    use crate::world::{Tracker, World};
    use std::sync::Arc;

    /// Two silent trackers in one tier before a good one: what each client needs for its first answer.
    fn first_answer(model: Model, scheme: Scheme) -> Millis {
        let dead = Tracker { scheme, script: Script::always(State::SILENT), ..Tracker::new(10.0) };
        let live = Tracker { scheme, work: 0.0, ..Tracker::new(10.0) };
        let world = World::new(4, vec![dead.clone(), dead, live]);
        let plan = Plan { tiers: vec![vec![0, 1, 2]], ..Plan::one_torrent(world, HOUR) };
        let mut network = Network::new(Arc::clone(&plan.world));
        model.play(&plan, &mut network).answers[0].at / SECOND
    }

    /// As measured with the clients themselves, except aria2, whose shuffle decides.
    #[test]
    fn silent_trackers_cost_what_they_cost_these_clients() {
        let http = [Model::Libtorrent, Model::Transmission, Model::Rqbit, Model::Original];
        assert_eq!(http.map(|model| first_answer(model, Scheme::Http)), [60, 90, 0, 3]);
        assert_eq!(http.map(|model| first_answer(model, Scheme::Udp)), [20, 60, 0, 3]);
        assert_eq!(first_answer(Model::Aria2, Scheme::Http) % 120, 0);
    }

    #[test]
    fn regular_announces_stay_regular() {
        let world = World::new(3, vec![Tracker::new(50.0), Tracker::new(20.0)]);
        let plan = Plan::one_torrent(world, 10 * HOUR);
        for (model, answers) in [
            (Model::Libtorrent, 20),
            (Model::Transmission, 20),
            (Model::Aria2, 20),
            (Model::Rqbit, 40),
            (Model::Original, 20),
        ] {
            let life = model.play(&plan, &mut Network::new(Arc::clone(&plan.world)));
            assert_eq!(life.answers.len(), answers, "{model:?}");
        }
    }
}
