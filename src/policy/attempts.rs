//! The attempts under way, and the torrents that made them.

use std::collections::BTreeMap;

use super::io::{AttemptId, TorrentId};

/// Who waits for which attempt, and the number of the next one.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    owners: BTreeMap<AttemptId, TorrentId>,
    last: u64,
}

impl Attempts {
    /// Begins a probe.
    pub(crate) fn begin_probe(&mut self) -> AttemptId {
        self.last += 1;
        AttemptId::new(self.last)
    }

    /// Begins a try of a torrent.
    pub(crate) fn begin(&mut self, torrent: TorrentId) -> AttemptId {
        let id = self.begin_probe();
        self.owners.insert(id, torrent);
        id
    }

    /// Ends a try.
    pub(crate) fn end(&mut self, id: AttemptId) {
        self.owners.remove(&id);
    }

    /// The torrent that made a try.
    pub(crate) fn owner(&self, id: AttemptId) -> Option<TorrentId> {
        self.owners.get(&id).copied()
    }
}
