//! The attempts under way, and the torrents that made them.

use std::collections::BTreeMap;

use super::io::{AttemptId, TorrentId};

/// The attempts under way and their torrents. Probes get ids from here as well, and belong to no torrent: one probe
/// serves all torrents that ask for a host.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// The torrent of each attempt under way.
    owners: BTreeMap<AttemptId, TorrentId>,
    /// The id given out last.
    last: u64,
}

impl Attempts {
    /// Gives an id to a probe.
    pub(crate) fn begin_probe(&mut self) -> AttemptId {
        self.last += 1;
        AttemptId::new(self.last)
    }

    /// Gives an id to an attempt of a torrent.
    pub(crate) fn begin(&mut self, torrent: TorrentId) -> AttemptId {
        let id = self.begin_probe();
        self.owners.insert(id, torrent);
        id
    }

    /// Ends an attempt: what is answered to it later is ignored.
    pub(crate) fn end(&mut self, id: AttemptId) {
        self.owners.remove(&id);
    }

    /// The torrent that made an attempt; `None` if it isn't under way.
    pub(crate) fn owner(&self, id: AttemptId) -> Option<TorrentId> {
        self.owners.get(&id).copied()
    }
}
