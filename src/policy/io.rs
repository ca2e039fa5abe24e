//! All that crosses the engine's border: what it wants done, what is reported to it, and the ids of torrents and
//! attempts.

use std::sync::Arc;

use super::tracker_set::TrackerSet;
use crate::alert::{Alert, Announced, StopResult};
use crate::announce::{AnnounceRequest, AnnounceResponse};
use crate::error::{AnnounceError, RoundError};
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// The id of a torrent in an [`Engine`](super::Engine). Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TorrentId(u64);

/// The id of one probe, or of one attempt at one tracker. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

/// The number of a torrent's round, counted from 1.
pub type RoundNumber = u64;

/// What the engine wants done.
#[derive(Debug)]
pub enum Output {
    /// Measure this tracker; answered by [`Input::Probed`].
    Probe {
        /// The id of the probe, which its answer carries.
        attempt: AttemptId,
        /// The tracker to probe.
        tracker: TrackerUrl,
    },
    /// Open a channel; answered by [`Input::Opened`] or [`Input::Failed`]. Nothing about the torrent is sent on it
    /// yet.
    Open {
        /// The id of the attempt, which its answers carry.
        attempt: AttemptId,
        /// The tracker to connect to.
        tracker: TrackerUrl,
    },
    /// Announce on the attempt's open channel; answered by [`Input::Replied`] or [`Input::Failed`].
    Announce {
        /// The attempt whose channel is open.
        attempt: AttemptId,
        /// The announce.
        request: Box<AnnounceRequest>,
    },
    /// Give this probe or attempt up: close what it opened. No answer is expected, a late one is ignored.
    Close {
        /// The probe or attempt to give up.
        attempt: AttemptId,
    },
    /// Report this to the torrent's user.
    Alert {
        /// The torrent this alert is about.
        torrent: TorrentId,
        /// What happened.
        alert: Alert,
    },
    /// Count the peers of this torrent, which was asked for by
    /// [`Engine::count_peers_on_demand`](super::Engine::count_peers_on_demand); answered by
    /// [`Engine::set_peers`](super::Engine::set_peers). Without an answer what was known before counts.
    CountPeers {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Read the counters of this torrent, which was asked for by
    /// [`Engine::count_transfer_on_demand`](super::Engine::count_transfer_on_demand), because an announce is about to be
    /// written; answered by [`Engine::update`](super::Engine::update). Without an answer the announce is delayed by a second,
    /// and the last counters stand.
    CountTransfer {
        /// The torrent.
        torrent: TorrentId,
    },
    /// A round has ended.
    RoundEnded {
        /// The torrent that made the round.
        torrent: TorrentId,
        /// The number of the round.
        round: RoundNumber,
        /// The answer that decided the round, or the failure of every tracker.
        result: Result<Arc<Announced>, Arc<RoundError>>,
    },
    /// A session has ended, or the one announce of [`Engine::announce_once`](super::Engine::announce_once). The
    /// engine has dropped the torrent.
    Ended {
        /// The torrent that has ended.
        torrent: TorrentId,
        /// Its trackers, with what is known of them.
        trackers: Box<TrackerSet>,
        /// The trackers that were sent `stopped`, each with its result.
        stopped: Vec<StopResult>,
    },
    /// Nothing to do until this moment, or until something happens. With `None` only the latter.
    Wait(Option<Timestamp>),
}

/// What happened to something the engine wanted done.
#[derive(Debug)]
pub enum Input {
    /// A probe has ended, with this result.
    Probed(AttemptId, Result<Measurement, AnnounceError>),
    /// A channel is open.
    Opened(AttemptId),
    /// An announce was answered.
    Replied(AttemptId, Box<AnnounceResponse>),
    /// An opening or an announce failed.
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
