//! Permission to use a host for one attempt, and what came of the attempt.

use std::time::Duration;

use super::outage::OutageNews;
use crate::policy::io::TorrentId;
use crate::policy::verdict::Verdict;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// Tells one attempt from another. A torrent may have two at one host, where it lists two trackers of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotId(pub(super) u64);

/// Permission to use a host, and the duty to report: it can't be copied, so an attempt ends exactly once.
#[derive(Debug)]
#[must_use]
pub(crate) struct Slot {
    pub(super) id: SlotId,
    pub(super) host: TrackerHost,
    pub(super) torrent: TorrentId,
    pub(super) started_at: Timestamp,
    /// Its opening is silent past the patience with it.
    pub(super) silent: bool,
    /// Nothing answers it, and another attempt has its place.
    pub(super) yielded: bool,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// An announce was answered, and it took so long.
    Answered(Measurement),
    /// It was answered, and not measured.
    Alive,
    /// Its round had been won when the connection came to be, after so long.
    OpenedLate(Duration),
    /// It failed.
    Failed(Failed<'a>),
    /// It was given up by our side.
    GaveUp,
    /// It was let in, and never begun.
    Unused,
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failed<'a> {
    pub(crate) verdict: Verdict,
    /// The address that was asked.
    pub(crate) tracker: &'a TrackerUrl,
    /// Whether this torrent had failed there before, since it was last answered there.
    pub(crate) before: bool,
    /// From [0, 1).
    pub(crate) random: f64,
}

/// What the end of an attempt means to its torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ended {
    /// Our network or machine is to blame, so nothing is held against host or tracker.
    pub(crate) withheld: bool,
    /// What it says about our own network.
    pub(crate) outage: Option<OutageNews>,
}

impl Slot {
    pub(super) fn new(id: SlotId, host: TrackerHost, torrent: TorrentId, now: Timestamp) -> Self {
        Self { id, host, torrent, started_at: now, silent: false, yielded: false }
    }

    /// A slot that no limit stands behind.
    #[cfg(test)]
    pub(crate) fn unlimited(host: &TrackerHost, now: Timestamp) -> Self {
        Self::new(SlotId(0), host.clone(), TorrentId::new(0), now)
    }

    /// The host.
    pub(crate) fn host(&self) -> &TrackerHost {
        &self.host
    }

    /// Since when it is used.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Counts a time in which this process stood still as none.
    pub(crate) fn extend(&mut self, gap: Duration) {
        self.started_at = self.started_at + gap;
    }
}
