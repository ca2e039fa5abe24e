//! A client's downloads, as far as trackers are concerned: one task reads the alerts, and any part of the program holds the
//! handle.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracker_failover::{
    AnnounceHandle, Announcer, InfoHash, PeerAddress, PeerId, Torrent, TrackerSet, Transfer,
};

/// One download.
pub struct Download {
    pub handle: AnnounceHandle,
    pub peers: Arc<Mutex<BTreeSet<SocketAddr>>>,
    left: Arc<AtomicU64>,
}

/// `left` while a magnet's size isn't known.
const UNKNOWN: u64 = u64::MAX;

impl Download {
    /// Starts a magnet: its size isn't known yet.
    pub fn magnet(announcer: &Announcer, info_hash: [u8; 20], trackers: TrackerSet, port: u16) -> Self {
        let peer_id = PeerId::random(*b"-AD0001-");
        Self::start(announcer, Torrent::new(InfoHash::new(info_hash), peer_id, port), trackers)
    }

    /// Starts a torrent. It may be added twice, such as by two windows of one program.
    pub fn start(announcer: &Announcer, torrent: Torrent, trackers: TrackerSet) -> Self {
        let left = Arc::new(AtomicU64::new(torrent.transfer.left.unwrap_or(UNKNOWN)));
        let (handle, mut alerts) = announcer.add(trackers, torrent);
        let counted = Arc::clone(&left);
        handle.count_with(move || {
            let left = counted.load(Ordering::Relaxed);
            Transfer { left: (left != UNKNOWN).then_some(left), ..Transfer::default() }
        });
        let peers = Arc::new(Mutex::new(BTreeSet::new()));
        let found = Arc::clone(&peers);
        tokio::spawn(async move {
            while let Some(alert) = alerts.next().await {
                println!("[{}] {alert}", alert.tag());
                let addresses = alert.peers().iter().filter_map(|peer| match &peer.address {
                    PeerAddress::Ip(address) => Some(*address),
                    _ => None,
                });
                found.lock().unwrap_or_else(PoisonError::into_inner).extend(addresses);
            }
        });
        Self { handle, peers, left }
    }

    /// The metadata of a magnet has come.
    pub fn metadata(&self, size: u64, private: bool) {
        self.left.store(size, Ordering::Relaxed);
        if private {
            self.handle.set_private();
        }
    }

    /// Pieces have come. Trackers hear of it with the next announce.
    pub fn progress(&self, left: u64) {
        self.left.store(left, Ordering::Relaxed);
        if left == 0 {
            self.handle.complete();
        }
    }
}
