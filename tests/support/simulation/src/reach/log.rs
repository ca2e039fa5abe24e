//! What came of a world: what trackers heard, and which clients learned of each other when.

use std::collections::BTreeMap;
use std::fmt;

use tracker_failover::Event;

use super::world::World;
use crate::time::{Millis, seconds};

/// What happened in a world.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The announces that trackers received and answered, by time.
    pub heard: Vec<Heard>,
    /// When one of two clients (the smaller number is first) was first named to the other.
    pub named: BTreeMap<(usize, usize), Millis>,
    /// When two clients first connected.
    pub connected: BTreeMap<(usize, usize), Millis>,
    /// When each client had its first answer.
    pub first_answer: Vec<Option<Millis>>,
}

/// An announce that a living tracker received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// When it arrived.
    pub at: Millis,
    /// The number of the client.
    pub member: usize,
    /// The number of the tracker.
    pub tracker: usize,
    /// What it carried.
    pub event: Option<Event>,
    /// How many other peers were named.
    pub named: usize,
    /// How many seeds were counted.
    pub complete: u64,
}

impl Log {
    /// When one of two clients was named to the other.
    pub fn meeting(&self, a: usize, b: usize) -> Option<Millis> {
        self.named.get(&(a.min(b), a.max(b))).copied()
    }

    /// The announces of one client from one moment until before another.
    pub fn announces(&self, member: usize, from: Millis, to: Millis) -> impl Iterator<Item = &Heard> {
        self.heard.iter().filter(move |heard| heard.member == member && (from..to).contains(&heard.at))
    }

    /// How often one client announced in one interval, on average from one moment to another.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    pub fn rate(&self, world: &World, member: usize, from: Millis, to: Millis) -> f64 {
        let interval = world.trackers[0].interval as f64;
        self.announces(member, from, to).count() as f64 * interval / (to - from) as f64
    }

    /// The swarm of each client at a moment: two that are connected, through others or not, have the same number.
    pub fn swarms(&self, at: Millis) -> Vec<usize> {
        let mut swarms: Vec<usize> = (0..self.first_answer.len()).collect();
        for ((a, b), _) in self.connected.iter().filter(|(_, since)| **since <= at) {
            let (from, to) = (swarms[*a], swarms[*b]);
            if from != to {
                for swarm in swarms.iter_mut().filter(|swarm| **swarm == from) {
                    *swarm = to;
                }
            }
        }
        swarms
    }

    /// Announces at a tracker sooner after the one before than this share of its interval, by one client.
    #[expect(clippy::cast_precision_loss, reason = "no interval has 2^52 ms")]
    pub fn early(&self, world: &World, member: usize, share: f64) -> usize {
        let early = |tracker: usize| {
            let at: Vec<Millis> = self
                .announces(member, 0, Millis::MAX)
                .filter(|heard| heard.tracker == tracker)
                .map(|heard| heard.at)
                .collect();
            let least = world.trackers[tracker].interval as f64 * share;
            at.windows(2).filter(|pair| ((pair[1] - pair[0]) as f64) < least).count()
        };
        (0..world.trackers.len()).map(early).sum()
    }
}

/// One line for each announce, for a look at a world that missed its goal.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Heard { at, member, tracker, event, named, complete } in &self.heard {
            let event = event.map_or(String::new(), |event| format!("{event} "));
            writeln!(
                f,
                "{:>10.3} client {member} → tracker {tracker}: {event}({named} named, {complete} seeds)",
                seconds(*at)
            )?;
        }
        for ((a, b), at) in &self.named {
            writeln!(f, "{:>10.3} {a} and {b} learn of each other", seconds(*at))?;
        }
        Ok(())
    }
}
