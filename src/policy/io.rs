//! All that crosses the engine's border: what it wants done, what is reported to it, and the names of both.

use std::sync::Arc;

use super::tracker_set::TrackerSet;
use crate::alert::{Alert, Announced, StopResult};
use crate::announce::{AnnounceRequest, AnnounceResponse};
use crate::error::{AnnounceError, RoundError};
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// A torrent of an [`Engine`](super::Engine).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TorrentId(u64);

/// One probe or one try at one tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

/// The number of a torrent's round, from 1.
pub type RoundNumber = u64;

/// What the engine wants done.
#[derive(Debug)]
pub enum Output {
    /// Measure this tracker; answered by [`Input::Probed`].
    Probe {
        /// Names the probe in its answer.
        attempt: AttemptId,
        /// Whom.
        tracker: TrackerUrl,
    },
    /// Open a channel; answered by [`Input::Opened`] or [`Input::Failed`]. Tells the tracker nothing.
    Open {
        /// Names the attempt in its answers.
        attempt: AttemptId,
        /// To whom.
        tracker: TrackerUrl,
    },
    /// Announce on the attempt's open channel; answered by [`Input::Replied`] or [`Input::Failed`].
    Announce {
        /// The attempt.
        attempt: AttemptId,
        /// What to say.
        request: Box<AnnounceRequest>,
    },
    /// Give this probe or attempt up: close what it opened. No answer is expected, a late one is ignored.
    Close {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Tell the user.
    Alert {
        /// Of which torrent.
        torrent: TorrentId,
        /// What.
        alert: Alert,
    },
    /// A round has ended.
    RoundEnded {
        /// Of which torrent.
        torrent: TorrentId,
        /// Which round.
        round: RoundNumber,
        /// What came of it.
        result: Result<Arc<Announced>, Arc<RoundError>>,
    },
    /// A session has ended, or the one announce of [`Engine::announce_once`](super::Engine::announce_once): the torrent is gone, and this is
    /// what was its trackers.
    Ended {
        /// Which torrent.
        torrent: TorrentId,
        /// Its trackers, with what is known of them.
        trackers: Box<TrackerSet>,
        /// Who was told `stopped`, and what came of it.
        stopped: Vec<StopResult>,
    },
    /// Nothing to do before this moment, or (`None`) before something happens.
    Wait(Option<Timestamp>),
}

/// What happened to something the engine wanted done.
#[derive(Debug)]
pub enum Input {
    /// A probe ended.
    Probed(AttemptId, Result<Measurement, AnnounceError>),
    /// A channel is open.
    Opened(AttemptId),
    /// An announce was answered.
    Replied(AttemptId, Box<AnnounceResponse>),
    /// An opening or announce failed.
    Failed(AttemptId, AnnounceError),
}

impl TorrentId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl AttemptId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }
}
