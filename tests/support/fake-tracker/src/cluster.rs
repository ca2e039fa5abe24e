//! Several trackers that gossip one swarm.

use std::iter::repeat_n;
use std::ops::Index;
use std::time::Duration;

use crate::behaviour::Behaviour;
use crate::request::{Asked, Heard};
use crate::swarm::Swarm;
use crate::tracker::FakeTracker;

/// Trackers with one swarm: what is announced to one the others know after the gossip delay. A single one is had by its
/// number, `cluster[0]`.
#[derive(Debug)]
pub struct Cluster {
    trackers: Vec<FakeTracker>,
}

impl Cluster {
    /// Starts so many trackers on free ports.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or where loopback gives no ports.
    #[expect(clippy::unused_async, reason = "as in `FakeTracker::start`")]
    pub async fn start(count: usize, gossip: Duration, behaviour: Behaviour) -> Self {
        let swarm = Swarm::new(gossip);
        Self {
            trackers: repeat_n(behaviour, count)
                .map(|script| FakeTracker::start_in(&swarm, script))
                .collect(),
        }
    }

    /// Makes so many trackers without ports.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn in_memory(count: usize, gossip: Duration, behaviour: Behaviour) -> Self {
        let swarm = Swarm::new(gossip);
        Self {
            trackers: repeat_n(behaviour, count)
                .map(|script| FakeTracker::in_memory_in(&swarm, script))
                .collect(),
        }
    }

    /// The trackers.
    pub fn trackers(&self) -> &[FakeTracker] {
        &self.trackers
    }

    /// The trackers, each on its own from here on; they go on sharing their swarm.
    pub fn into_trackers(self) -> Vec<FakeTracker> {
        self.trackers
    }

    /// Their announce addresses.
    pub fn announce_urls(&self) -> Vec<String> {
        self.trackers.iter().map(FakeTracker::announce_url).collect()
    }

    /// Everything that all of them heard, in the order in which they did.
    pub fn heard(&self) -> Vec<Heard> {
        let mut heard: Vec<_> = self.trackers.iter().flat_map(FakeTracker::heard).collect();
        heard.sort_by_key(|request| request.sequence);
        heard
    }

    /// The announces that all of them heard, in the order in which they did.
    pub fn announces(&self) -> Vec<Heard> {
        let mut heard = self.heard();
        heard.retain(|request| request.asked() == Asked::Announce);
        heard
    }
}

impl Index<usize> for Cluster {
    type Output = FakeTracker;

    fn index(&self, number: usize) -> &FakeTracker {
        &self.trackers[number]
    }
}
