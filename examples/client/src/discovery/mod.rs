//! How peers are found: by the torrent's trackers.

pub(crate) mod news;
pub(crate) mod trackers;

use std::time::Duration;

use tracker_failover::{PeerCounts, Transfer};

use news::News;
use trackers::Trackers;

/// Everything that names peers.
#[derive(Debug)]
pub(crate) struct Discovery {
    trackers: Option<Trackers>,
}

/// What discovery has to know about the swarm, a few times a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SwarmState {
    /// The counters for announces.
    pub(crate) transfer: Transfer,
    /// How many peers there are.
    pub(crate) peers: PeerCounts,
    /// Whether more peers would help.
    pub(crate) wants_peers: bool,
}

impl Discovery {
    /// Discovery by these trackers, or none.
    pub(crate) fn new(trackers: Option<Trackers>) -> Self {
        Self { trackers }
    }

    /// Whether nothing can name peers, so that there will be no others than those known already.
    pub(crate) fn is_empty(&self) -> bool {
        self.trackers.is_none()
    }

    /// Time has passed. Gives a short description of the tracker in use, empty if there are none.
    pub(crate) fn tick(&mut self, swarm: SwarmState, now: Duration) -> &str {
        let Some(trackers) = &mut self.trackers else { return "" };
        trackers.set_peers(swarm.peers, now);
        if swarm.wants_peers {
            trackers.want_peers(now);
        }
        trackers.update(swarm.transfer)
    }

    /// The download is complete.
    pub(crate) fn complete(&mut self, transfer: Transfer) {
        if let Some(trackers) = &mut self.trackers {
            trackers.complete(transfer);
        }
    }

    /// Whether all peers that it names come from the torrent's trackers, as those of a private torrent have to (BEP 27).
    pub(crate) fn names_peers_of_trackers_only(&self) -> bool {
        true
    }

    /// The torrent has turned out to be private (BEP 27): its trackers keep its peers apart.
    pub(crate) fn set_private(&mut self) {
        if let Some(trackers) = &mut self.trackers {
            trackers.set_private();
        }
    }

    /// Waits for the next news; for ever if there is nothing that has any. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> News {
        match &mut self.trackers {
            Some(trackers) => trackers.next().await,
            None => std::future::pending().await,
        }
    }

    /// Announces `stopped` with these counters, and passes the lines about it to `line`.
    pub(crate) async fn stop(self, transfer: Transfer, mut line: impl FnMut(&str, &str)) {
        if let Some(mut trackers) = self.trackers {
            line("INFO", "stopping: telling the trackers (Ctrl+C again to quit now)");
            trackers.update(transfer);
            trackers.stop(line).await;
        }
    }
}
