//! How things stand: for the user, for trackers, and for what runs the swarm.

use tracker_failover::{PeerCounts, Transfer};

use super::Swarm;

/// How things stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) connected: usize,
    pub(crate) known: usize,
    pub(crate) down_speed: u64,
    pub(crate) up_speed: u64,
    /// Missing bytes of what is wanted, and all of its bytes.
    pub(crate) left: u64,
    pub(crate) total: u64,
    /// Whether more peers would help.
    pub(crate) wants_peers: bool,
}

impl Swarm {
    /// The counters for trackers (BEP 3). Only what turned out to be good was downloaded: neither second copies
    /// of the end-game nor pieces that failed count, as libtorrent has it. So it never goes back, and with `left`
    /// makes what was missing at the start.
    pub(crate) fn transfer(&self) -> Transfer {
        let (uploaded, downloaded) = (self.uploads.total(), self.pieces.downloaded());
        Transfer { uploaded, downloaded, left: Some(self.pieces.left()), ..Transfer::default() }
    }

    /// How many peers there are, by which the library decides whether further trackers are asked.
    pub(crate) fn peer_counts(&self) -> PeerCounts {
        let seeds = self.peers.iter().filter(|peer| peer.has.is_full()).count();
        let [connected, connecting, seeds] = [self.peers.len(), self.book.dialling(), seeds]
            .map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        PeerCounts { connected, connecting, seeds }
    }

    /// How things stand.
    pub(crate) fn stats(&self) -> Stats {
        let (left, total) = self.pieces.wanted_bytes();
        Stats {
            connected: self.peers.len(),
            known: self.book.len(),
            down_speed: self.requests.speed(),
            up_speed: self.uploads.speed(),
            left,
            total,
            wants_peers: !self.is_complete() && self.peers.len() < FEW_PEERS,
        }
    }

    /// Whether everything that is wanted is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.pieces.is_complete()
    }

    /// Whether the whole torrent is here, which is what trackers call complete.
    pub(crate) fn is_whole(&self) -> bool {
        self.pieces.have().is_full()
    }

    /// Whether no peer is left and none may be dialled any more, and nothing of theirs is still being checked.
    pub(crate) fn is_out_of_peers(&self) -> bool {
        self.peers.is_empty() && self.book.is_exhausted() && !self.pieces.is_checking()
    }

    /// Whether a peer is connected, or one is known that may be dialled, now or later.
    pub(crate) fn has_peers(&self) -> bool {
        !self.peers.is_empty() || self.book.len() > 0 && !self.book.is_exhausted()
    }
}

/// With fewer connections we ask trackers for more peers.
const FEW_PEERS: usize = 10;
