//! Permission to use a host for one attempt, and what came of the attempt.

use std::time::Duration;

use super::outage::OutageNews;
use crate::policy::io::TorrentId;
use crate::policy::verdict::Verdict;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// The number of a slot. A torrent may have two slots at one host, because it may list two trackers there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotId(pub(super) u64);

/// Permission for one attempt at a host, and the duty to report its outcome. It can't be copied, and reporting consumes
/// it, so each attempt ends once: the place of one that didn't end would be lost.
#[derive(Debug)]
#[must_use]
pub(crate) struct Slot {
    /// Its number, by which the breaker knows the trial.
    pub(super) id: SlotId,
    /// The host.
    pub(super) host: TrackerHost,
    /// The torrent that makes the attempt.
    pub(super) torrent: TorrentId,
    /// When it was given out. Extended by gaps in which this process didn't run.
    pub(super) started_at: Timestamp,
    /// Whether its opening is silent for longer than the patience. Counted in the health of the host until it ends.
    pub(super) silent: bool,
    /// Whether it got no answer in time and its place at the host was given to another.
    pub(super) yielded: bool,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// The announce was answered, with the times that it took.
    Answered(Measurement),
    /// It was answered, and its times are no sample.
    Alive,
    /// The connection came, after this long, when the round was already won by another tracker.
    OpenedLate(Duration),
    /// It failed.
    Failed(Failed<'a>),
    /// It was cancelled by us, after it began.
    GaveUp,
    /// It was admitted and never began.
    Unused,
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failed<'a> {
    /// What its error is evidence of.
    pub(crate) verdict: Verdict,
    /// The tracker that was announced to.
    pub(crate) tracker: &'a TrackerUrl,
    /// Whether the torrent had failed at this tracker before, since it was last answered there.
    pub(crate) before: bool,
    /// A random number from [0, 1), which spreads the back-offs.
    pub(crate) random: f64,
}

/// What the end of an attempt means for its torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ended {
    /// Whether the blame is withheld: our own network or machine is the reason, so neither host nor tracker is blamed.
    pub(crate) withheld: bool,
    /// Whether an outage of our own network began or ended with it.
    pub(crate) outage: Option<OutageNews>,
}

impl Slot {
    pub(super) fn new(id: SlotId, host: TrackerHost, torrent: TorrentId, now: Timestamp) -> Self {
        Self { id, host, torrent, started_at: now, silent: false, yielded: false }
    }

    /// A slot that no limiter gave out.
    #[cfg(test)]
    pub(crate) fn unlimited(host: &TrackerHost, now: Timestamp) -> Self {
        Self::new(SlotId(0), host.clone(), TorrentId::new(0), now)
    }

    /// The host.
    pub(crate) fn host(&self) -> &TrackerHost {
        &self.host
    }

    /// When it was given out.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Extends it by a gap in which this process didn't run.
    pub(crate) fn extend(&mut self, gap: Duration) {
        self.started_at = self.started_at + gap;
    }
}
