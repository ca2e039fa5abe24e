//! How peers are found: by the torrent's trackers, and by the DHT.

pub(crate) mod news;
pub(crate) mod node_file;
pub(crate) mod node_name;
pub(crate) mod overlay;
pub(crate) mod rule;
pub(crate) mod trackers;

use std::net::SocketAddrV4;
use std::time::Duration;

use tracker_failover::{PeerCounts, Transfer};

use news::News;
use overlay::Overlay;
use rule::Supply;
use trackers::Trackers;

/// Everything that names peers.
#[derive(Debug)]
pub(crate) struct Discovery {
    trackers: Option<Trackers>,
    overlay: Option<Overlay>,
    /// What the trackers have said, after which they name no peers in this session.
    are_trackers_gone: bool,
    has_said_none_left: bool,
}

/// What discovery has to know about the swarm, a few times a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SwarmState {
    /// The counters for announces.
    pub(crate) transfer: Transfer,
    /// How many peers there are.
    pub(crate) peers: PeerCounts,
    /// Whether a peer is connected, or known and may be dialled.
    pub(crate) has_peers: bool,
    /// Whether everything that is wanted is here.
    pub(crate) is_complete: bool,
    /// Whether more peers would help.
    pub(crate) wants_peers: bool,
}

impl Discovery {
    /// Discovery by these trackers and the DHT, by one of both, or by none.
    pub(crate) fn new(trackers: Option<Trackers>, overlay: Option<Overlay>) -> Self {
        let are_trackers_gone = trackers.is_none();
        Self { trackers, overlay, are_trackers_gone, has_said_none_left: false }
    }

    /// Whether nothing can name peers, so that there will be no others than those known already.
    pub(crate) fn is_empty(&self) -> bool {
        self.trackers.is_none() && self.overlay.is_none()
    }

    /// Time has passed. Gives a short description of the tracker in use, empty if there are none.
    pub(crate) fn tick(&mut self, swarm: SwarmState, now: Duration) -> &str {
        if let Some(overlay) = &mut self.overlay {
            let supply = Supply::of(swarm.peers.connected, swarm.has_peers, swarm.is_complete);
            overlay.tick(supply, now);
        }
        let Some(trackers) = &mut self.trackers else { return "" };
        trackers.set_peers(swarm.peers, now);
        if swarm.wants_peers {
            trackers.want_peers(now);
        }
        trackers.update(swarm.transfer)
    }

    /// How many trackers have answered.
    pub(crate) fn answered(&self) -> usize {
        self.trackers.as_ref().map_or(0, Trackers::answered)
    }

    /// The port of our own node of the DHT; `None` while there is none.
    pub(crate) fn node_port(&self) -> Option<u16> {
        self.overlay.as_ref().and_then(Overlay::node_port)
    }

    /// The nodes of the DHT that have answered ours.
    pub(crate) fn known_nodes(&self) -> Vec<SocketAddrV4> {
        self.overlay.as_ref().map_or(vec![], |overlay| overlay.known_nodes().to_vec())
    }

    /// From now on peers connect to us by this port.
    pub(crate) fn set_port(&self, port: u16) {
        if let Some(trackers) = &self.trackers {
            trackers.set_port(port);
        }
    }

    /// The download is complete.
    pub(crate) fn complete(&mut self, transfer: Transfer) {
        if let Some(trackers) = &mut self.trackers {
            trackers.complete(transfer);
        }
    }

    /// Whether all peers that it names come from the torrent's trackers, as those of a private torrent have to (BEP 27).
    pub(crate) fn names_peers_of_trackers_only(&self) -> bool {
        self.overlay.is_none()
    }

    /// The torrent has turned out to be private (BEP 27): the DHT is left at once, and its trackers keep its peers apart.
    pub(crate) async fn set_private(&mut self) {
        if let Some(trackers) = &mut self.trackers {
            trackers.set_private();
        }
        if let Some(overlay) = self.overlay.take() {
            overlay.stop().await;
        }
    }

    /// Waits for the next news; for ever if there is nothing that has any. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> News {
        loop {
            if self.are_trackers_gone && self.overlay.is_none() && !self.has_said_none_left {
                self.has_said_none_left = true;
                return News::NoneLeft;
            }
            let news = tokio::select! {
                news = next_of(&mut self.trackers, Trackers::next) => news,
                news = next_of(&mut self.overlay, Overlay::next) => news,
            };
            match news {
                // The DHT may still name peers.
                News::NoneLeft => self.are_trackers_gone = true,
                news => return news,
            }
        }
    }

    /// Leaves the DHT, announces `stopped` with these counters, and passes the lines about it to `line`.
    pub(crate) async fn stop(self, transfer: Transfer, mut line: impl FnMut(&str, &str)) {
        if let Some(overlay) = self.overlay {
            overlay.stop().await;
        }
        if let Some(mut trackers) = self.trackers {
            line("INFO", "stopping: telling the trackers (Ctrl+C again to quit now)");
            trackers.update(transfer);
            trackers.stop(line).await;
        }
    }
}

/// What a source says next; never if there is none.
async fn next_of<T>(source: &mut Option<T>, next: impl AsyncFnOnce(&mut T) -> News) -> News {
    match source {
        Some(source) => next(source).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
