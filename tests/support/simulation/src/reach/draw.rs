//! Worlds drawn at random.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tracker_failover::Scheme;

use super::world::{Kind, Member, REGIONS, Residents, Tracker, World};
use crate::script::{Script, State};
use crate::time::{HOUR, MINUTE, Millis};

/// A kind of world. Each seed gives another one of it.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// How many clients there are, and how many of them are seeds.
    pub peers: (usize, usize),
    /// What the seeds are, and what the leechers are.
    pub kinds: (Kind, Kind),
    /// Whether every other client is one of ours instead.
    pub mixed: bool,
    /// How many trackers there are, and of how many a cluster is: 1 where they are independent.
    pub trackers: (usize, usize),
    /// How many of the trackers are dead, and how many come and go.
    pub sick: (usize, usize),
    /// Whether each tracker has a tier of its own.
    pub in_tiers: bool,
    /// The peers without a client that are listed in each set.
    pub residents: Residents,
    /// When the clients start.
    pub starts: Starts,
    /// How long it is played after the last start.
    pub then: Millis,
}

/// When the clients of a world start.
#[derive(Debug, Clone, Copy)]
pub enum Starts {
    /// Within this time, each at a moment of its own; one of them at the beginning.
    Within(Millis),
    /// The seeds within the first minute, the leechers within this time after that; or the other way round.
    SeedsFirst(Millis),
    /// The leechers first.
    LeechersFirst(Millis),
}

/// When the first client starts in a world of which trackers come and go: they have done so for a while.
const BEFORE: Millis = 12 * HOUR;

/// How long trackers that come and go are up on average, and down in the median.
const FLAPPING: (Millis, Millis) = (2 * HOUR, HOUR);

impl Draw {
    /// A world of ours in which all trackers are independent and well, in one tier, played for a minute after the last
    /// start.
    pub fn new(peers: (usize, usize), trackers: usize) -> Self {
        Self {
            peers,
            kinds: (Kind::OURS, Kind::OURS),
            mixed: false,
            trackers: (trackers, 1),
            sick: (0, 0),
            in_tiers: false,
            residents: Residents::default(),
            starts: Starts::Within(3 * HOUR),
            then: MINUTE,
        }
    }

    /// The world of a seed. Worlds of the same seed differ in nothing but what the draw says.
    pub fn world(&self, seed: u64) -> World {
        let mut random = StdRng::seed_from_u64(seed);
        let base = if self.sick.1 > 0 { BEFORE } else { 0 };
        let members = self.members(base, &mut random);
        let until = members.iter().map(|member| member.starts).max().unwrap_or(0) + self.then;
        let (count, of_cluster) = self.trackers;
        let mut places: Vec<usize> = (0..count).collect();
        places.shuffle(&mut random);
        let trackers = (0..count).map(|number| {
            let place = places[number];
            let script = if place < self.sick.0 {
                Script::always(State::down(&mut random))
            } else if place < self.sick.0 + self.sick.1 {
                Script::up_and_down(FLAPPING.0, FLAPPING.1, until, &mut random)
            } else {
                Script::always(State::UP)
            };
            tracker(number / of_cluster.max(1), script, &mut random)
        });
        let trackers: Vec<Tracker> = trackers.collect();
        let tiers = if self.in_tiers {
            (0..count).map(|tracker| vec![tracker]).collect()
        } else {
            vec![(0..count).collect()]
        };
        World {
            seed,
            tiers,
            residents: vec![self.residents; trackers.len()],
            trackers,
            members,
            until,
            reports_peers: seed.is_multiple_of(2),
            names_asker: (seed / 2).is_multiple_of(2),
        }
    }

    fn members(&self, base: Millis, random: &mut StdRng) -> Vec<Member> {
        let (peers, seeds) = self.peers;
        let mut members: Vec<Member> = (0..peers)
            .map(|number| {
                let is_seed = number < seeds;
                let kind = if is_seed { self.kinds.0 } else { self.kinds.1 };
                let kind = if self.mixed && !number.is_multiple_of(2) { Kind::OURS } else { kind };
                let (first, second) = (random.random_range(0..=MINUTE), random.random_range(0.0..1.0));
                let within = |span: Millis| {
                    #[expect(clippy::cast_precision_loss, reason = "no span has 2^52 ms")]
                    crate::time::rounded(second * span as f64)
                };
                let starts = match self.starts {
                    Starts::Within(span) => within(span),
                    Starts::SeedsFirst(span) if !is_seed => MINUTE + within(span),
                    Starts::LeechersFirst(span) if is_seed => MINUTE + within(span),
                    _ => first,
                };
                Member::new(kind, is_seed, random.random_range(0..REGIONS), base + starts)
            })
            .collect();
        if let (Starts::Within(_), false) = (self.starts, members.is_empty()) {
            let first = random.random_range(0..members.len());
            members[first].starts = base;
        }
        members
    }
}

/// A tracker somewhere: near to one region, far from the others.
pub(super) fn tracker(peer_set: usize, script: Script, random: &mut StdRng) -> Tracker {
    let home = random.random_range(0..REGIONS);
    let distances = std::array::from_fn(|region| {
        if region == home { random.random_range(8.0..60.0) } else { random.random_range(70.0..260.0) }
    });
    let scheme = match random.random_range(0..20) {
        0..14 => Scheme::Udp,
        14..17 => Scheme::Http,
        _ => Scheme::Https,
    };
    Tracker { scheme, distances, interval: 30 * MINUTE, peer_set, script, answers: Vec::new() }
}
