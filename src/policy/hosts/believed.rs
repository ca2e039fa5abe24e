//! How often reports of other processes about a host are believed, and what they left.

use std::time::Duration;

use crate::host_snapshot::SnapshotRank;
use crate::time::Timestamp;

/// How many reports that a host is dead are believed within [`PERIOD`], and as many that it answers again. The back-off after
/// each of the former ends within a minute, so that wrong reports without end cost less than a third of the time; each of the
/// latter costs one connection. A host that dies more often costs this process failed attempts of its own.
const MAX_BELIEVED: u32 = 3;

/// The time in which they are counted.
const PERIOD: Duration = Duration::from_secs(10 * 60);

/// What other processes reported of a host.
#[derive(Debug, Clone, Default)]
pub(super) struct Reported {
    /// The rank of the newest report, or of the snapshot from an earlier run.
    pub(super) rank: SnapshotRank,
    /// The reports that it is dead which were believed.
    pub(super) dead: Believed,
    /// The reports that it answers again which were believed.
    pub(super) alive: Believed,
    /// Whether a report is the only reason for the present back-off.
    pub(super) is_reason: bool,
}

/// How many reports of one kind were believed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Believed {
    /// When the first of them came.
    since: Timestamp,
    /// How many of them there were since then.
    count: u32,
}

impl Reported {
    /// What a snapshot of an earlier run leaves; one from a clock that was ahead leaves nothing, or it would outrank all
    /// reports to come.
    pub(super) fn of(rank: SnapshotRank, is_ahead: bool) -> Self {
        Self { rank: if is_ahead { SnapshotRank::default() } else { rank }, ..Self::default() }
    }
}

impl Believed {
    /// Whether one more is believed, which is counted.
    pub(super) fn one_more(&mut self, now: Timestamp) -> bool {
        if self.count == 0 || now.since(self.since) >= PERIOD {
            *self = Self { since: now, count: 0 };
        }
        let is_believed = self.count < MAX_BELIEVED;
        self.count += u32::from(is_believed);
        is_believed
    }
}
