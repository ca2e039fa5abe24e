//! A world of trackers: where they are, how fast, and what becomes of each packet.

use std::collections::HashMap;

use rand::rngs::{SmallRng, StdRng};
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal};
use tracker_failover::{Scheme, TrackerUrl};

use crate::script::{Script, State};
use crate::time::{HOUR, MINUTE, Millis, SECOND, rounded, seconds};

/// Trackers with their scripts. The same seed and the same moment give the same packet the same fate, whichever client
/// sends it: clients that are compared live in the very same world.
#[derive(Debug, Clone)]
pub struct World {
    /// Decides everything that the scripts leave open.
    pub seed: u64,
    /// The trackers, known by their number.
    pub trackers: Vec<Tracker>,
}

/// One tracker.
#[derive(Debug, Clone)]
pub struct Tracker {
    /// What it is spoken with.
    pub scheme: Scheme,
    /// Its mean round trip, in milliseconds.
    pub rtt: f64,
    /// How the round trip changes.
    pub pace: Pace,
    /// The median of its work for an announce, in milliseconds.
    pub work: f64,
    /// The share of announces whose work takes one to three seconds.
    pub slow: f64,
    /// The share of exchanges in which a packet is lost.
    pub loss: f64,
    /// What it answers as interval.
    pub interval: Millis,
    /// What it answers as min interval.
    pub min_interval: Option<Millis>,
    /// What it does when.
    pub script: Script,
}

/// How a tracker's round trip changes over time, as a factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Not at all.
    Steady,
    /// Evenly from 1 to this factor between two moments.
    Linear(Millis, Millis, f64),
    /// To this factor, at once.
    Step(Millis, f64),
    /// Up to this factor at noon, and back to 1 at midnight.
    Diurnal(f64),
}

/// The round trip of a world drawn at random: log-normal, median 80 ms.
const RTT: (f64, f64) = (80.0, 0.7);
const RTT_LIMITS: (f64, f64) = (10.0, 400.0);

/// How many announces are slow in a world drawn at random.
const SLOW: f64 = 0.01;

/// How much one exchange differs from the next.
const JITTER: f64 = 0.15;

/// What is drawn for one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet {
    Syn,
    Request,
    Work,
}

impl Tracker {
    /// A tracker at this distance in milliseconds, always up, without loss and slowness.
    pub fn new(rtt: f64) -> Self {
        Self {
            scheme: Scheme::Http,
            rtt,
            pace: Pace::Steady,
            work: 15.0,
            slow: 0.0,
            loss: 0.0,
            interval: 30 * MINUTE,
            min_interval: None,
            script: Script::always(State::UP),
        }
    }

    /// The round trip at this moment without jitter, in milliseconds.
    pub fn rtt_at(&self, at: Millis) -> f64 {
        let factor = match self.pace {
            Pace::Steady => 1.0,
            Pace::Linear(from, to, factor) => {
                let done = seconds(at.clamp(from, to) - from) / seconds(to - from);
                1.0 + (factor - 1.0) * done
            }
            Pace::Step(from, factor) => {
                if at < from {
                    1.0
                } else {
                    factor
                }
            }
            Pace::Diurnal(factor) => {
                let hour = seconds(at % (24 * HOUR)) / seconds(HOUR);
                1.0 + (factor - 1.0) * (1.0 - (hour - 12.0).abs() / 12.0)
            }
        };
        self.rtt * factor
    }

    /// What an announce takes on a new connection, without loss and jitter: what an oracle knows.
    pub fn latency(&self, at: Millis) -> f64 {
        self.rtt_at(at) * f64::from(1 + round_trips(self.scheme)) + self.work
    }
}

impl World {
    /// A world of these trackers.
    pub fn new(seed: u64, trackers: Vec<Tracker>) -> Self {
        Self { seed, trackers }
    }

    /// As many trackers, drawn at random: 70 % UDP, 15 % HTTP, 15 % HTTPS, log-normal round
    /// trips, and this share of exchanges with a loss.
    pub fn drawn(seed: u64, trackers: usize, loss: f64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let trackers = (0..trackers).map(|_| {
            let scheme = match random.random_range(0..20) {
                0..14 => Scheme::Udp,
                14..17 => Scheme::Http,
                _ => Scheme::Https,
            };
            let rtt = log_normal(RTT.0, RTT.1, &mut random).clamp(RTT_LIMITS.0, RTT_LIMITS.1);
            Tracker { scheme, loss, slow: SLOW, ..Tracker::new(rtt) }
        });
        Self { seed, trackers: trackers.collect() }
    }

    /// As [`drawn`](Self::drawn), HTTP only.
    pub fn drawn_http(seed: u64, trackers: usize, loss: f64) -> Self {
        let mut world = Self::drawn(seed, trackers, loss);
        for tracker in &mut world.trackers {
            tracker.scheme = Scheme::Http;
        }
        world
    }

    /// The address of a tracker.
    ///
    /// # Panics
    /// Where there is no tracker of this number.
    pub fn url(&self, tracker: usize) -> TrackerUrl {
        let scheme = self.trackers[tracker].scheme.name();
        let url = format!("{scheme}://t{tracker}.test:7000/announce").parse();
        url.expect("the address of a simulated tracker is one")
    }

    /// The addresses of all trackers, and their numbers.
    pub(crate) fn numbers(&self) -> HashMap<TrackerUrl, usize> {
        (0..self.trackers.len()).map(|tracker| (self.url(tracker), tracker)).collect()
    }

    /// Whether an announce to this tracker would be accepted.
    pub fn lives(&self, tracker: usize, at: Millis) -> bool {
        self.trackers[tracker].script.at(at).lives()
    }

    /// One round trip, and whether a packet was lost on the way. `nth` tells apart what happens to a tracker at
    /// the same moment.
    pub(crate) fn round_trip(&self, tracker: usize, at: Millis, packet: Packet, nth: u32) -> (Millis, bool) {
        let mut random = self.fate(tracker, at, packet, nth);
        let lost = random.random_bool(self.trackers[tracker].loss);
        let rtt = self.trackers[tracker].rtt_at(at) * log_normal(1.0, JITTER, &mut random);
        (rounded(rtt).max(1), lost)
    }

    /// How long a tracker works for an announce.
    pub(crate) fn work(&self, tracker: usize, at: Millis, nth: u32) -> Millis {
        let mut random = self.fate(tracker, at, Packet::Work, nth);
        if random.random_bool(self.trackers[tracker].slow) {
            return random.random_range(SECOND..3 * SECOND);
        }
        rounded(self.trackers[tracker].work * log_normal(1.0, 0.5, &mut random))
    }

    fn fate(&self, tracker: usize, at: Millis, packet: Packet, nth: u32) -> SmallRng {
        let parts = [tracker as u64, at, packet as u64, u64::from(nth)];
        let seed = parts.into_iter().fold(self.seed, |seed, part| {
            // Knuth's MMIX generator, which is mixing enough before the seed is expanded.
            (seed ^ part)
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407)
                .rotate_left(29)
        });
        SmallRng::seed_from_u64(seed)
    }
}

/// How many round trips stand before the request: one for TCP or UDP's connect, one more for TLS.
pub(crate) fn round_trips(scheme: Scheme) -> u32 {
    if scheme == Scheme::Https { 2 } else { 1 }
}

fn log_normal(median: f64, sigma: f64, random: &mut impl Rng) -> f64 {
    LogNormal::new(median.ln(), sigma).map_or(median, |distribution| distribution.sample(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fate_depends_on_seed_and_moment_only() {
        let world = World::drawn(7, 3, 0.1);
        let trips = |world: &World| -> Vec<_> {
            (0..200).map(|at| world.round_trip(1, at, Packet::Syn, 0)).collect()
        };
        assert_eq!(trips(&world), trips(&world.clone()));
        assert_ne!(trips(&world), trips(&World { seed: 8, ..world.clone() }));
        let lost = trips(&world).iter().filter(|(_, lost)| *lost).count();
        assert!((8..40).contains(&lost), "{lost} of 200 at 10 %");
    }

    #[test]
    fn round_trips_are_drawn_as_the_model_has_them() {
        let mut rtts: Vec<f64> =
            (0..400).flat_map(|seed| World::drawn(seed, 8, 0.0).trackers).map(|t| t.rtt).collect();
        rtts.sort_by(f64::total_cmp);
        assert!((70.0..90.0).contains(&rtts[rtts.len() / 2]), "{}", rtts[rtts.len() / 2]);
        assert!(rtts[0] >= 10.0 && rtts[rtts.len() - 1] <= 400.0);
    }

    #[test]
    fn paces() {
        let at = |pace, at| rounded(Tracker { pace, ..Tracker::new(100.0) }.rtt_at(at));
        assert_eq!([0, 5, 10, 20].map(|t| at(Pace::Linear(0, 10, 3.0), t)), [100, 200, 300, 300]);
        assert_eq!([4, 5].map(|t| at(Pace::Step(5, 10.0), t)), [100, 1000]);
        assert_eq!([0, 6, 12, 18].map(|h| at(Pace::Diurnal(3.0), h * HOUR)), [100, 200, 300, 200]);
    }
}
