//! What one torrent knows of one of its trackers.

use super::hint::Hint;
use super::registration::Registration;
use crate::error::AnnounceError;
use crate::policy::verdict::TrackerNews;

/// Everything that one torrent has learned of one tracker in this session. What is known of the tracker's host, which
/// other torrents use as well, is kept elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrackerRecord {
    /// Whether the tracker lists us.
    pub(crate) registration: Registration,
    /// When it wants the next announce.
    pub(crate) hint: Hint,
    /// The last failure; `None` after an answer.
    pub(crate) failure: Option<TrackerFailure>,
}

/// The last failure of a tracker.
#[derive(Debug, Clone)]
pub(crate) struct TrackerFailure {
    /// The error, which the status and a failed round show.
    pub(crate) error: AnnounceError,
    /// What it means for this torrent there; weaker than the verdict on the error if our own network was down.
    pub(crate) news: TrackerNews,
}
