//! The standing picture of one torrent's announces.

use std::time::Duration;

use crate::error::AnnounceError;
use crate::tracker::TrackerUrl;

/// How the announces of a torrent stand: what a client shows in its tracker list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The tiers with their trackers, in their present order.
    pub tiers: Vec<Vec<TrackerStatus>>,
    /// The tracker that answered last.
    pub in_use: Option<TrackerUrl>,
    /// The tracker that is asked, or will be asked first.
    pub current: Option<TrackerUrl>,
    /// Whether a round is under way.
    pub announcing: bool,
    /// How long until the next announce; `None` while a round is under way, or where nobody can be asked.
    pub next_announce: Option<Duration>,
    /// How many peers have the whole torrent, by the last answer that said so.
    pub complete: Option<u64>,
    /// How many are still downloading, by the last answer that said so.
    pub incomplete: Option<u64>,
}

/// How one tracker stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrackerStatus {
    /// The tracker.
    pub tracker: TrackerUrl,
    /// What is known of it.
    pub state: TrackerState,
    /// Its latency, where it was measured.
    pub latency: Option<Duration>,
    /// Whether it accepted an announce of this session.
    pub is_registered: bool,
}

/// What is known of a tracker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TrackerState {
    /// Nothing yet.
    NotContacted,
    /// It is being asked.
    Contacting,
    /// The last probe or announce was answered.
    Working,
    /// The last one wasn't.
    Failing(Option<AnnounceError>),
    /// It asked not to be asked for a while, or ever again in this session.
    Suspended,
    /// Its scheme isn't spoken here.
    Unsupported,
}
