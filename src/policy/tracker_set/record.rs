//! What one torrent knows of one of its trackers.

use super::answers::Answers;
use super::hint::Hint;
use super::registration::Registration;
use crate::error::AnnounceError;
use crate::policy::verdict::TrackerNews;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// What a torrent knows of a tracker of its list.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// What it knows of the tracker.
    pub(super) record: TrackerRecord,
    /// The same tracker over its other address family, if it has one.
    pub(super) second: Option<Box<SecondFamily>>,
}

/// A tracker over the address family that announces to it don't go over. Trackers keep a separate list of peers for each
/// family, so it is another registration.
#[derive(Debug, Clone)]
pub(super) struct SecondFamily {
    /// The announce URL, restricted to this family.
    pub(super) tracker: TrackerUrl,
    /// What the torrent knows of it.
    pub(super) record: TrackerRecord,
}

/// Everything that one torrent has learned of one tracker in this session. What is known of the tracker's host is
/// shared with all other torrents, and kept in `policy::hosts`.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrackerRecord {
    /// Whether the tracker lists us.
    pub(crate) registration: Registration,
    /// When it may be announced to again, by its own answers.
    pub(crate) hint: Hint,
    /// What its answers brought.
    pub(crate) answers: Answers,
    /// The last failure; `None` after an answer. Boxed, because most trackers that are announced to answer.
    pub(crate) failure: Option<Box<TrackerFailure>>,
    /// Whether it refused an announce with [`Event::Paused`](crate::Event::Paused), so that it is sent none.
    pub(crate) refuses_paused: bool,
}

/// A tracker of the list with its record. To look up the record of each of a thousand trackers by its URL takes a
/// millisecond, so loops over all of them have both.
pub(crate) type Listed<'a> = (&'a TrackerUrl, Option<&'a TrackerRecord>);

impl TrackerRecord {
    /// Whether the tracker doesn't serve this torrent, whatever its host does for others.
    pub(crate) fn is_refused(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.news == TrackerNews::Refuses)
    }
}

/// The last failure of a tracker.
#[derive(Debug, Clone)]
pub(crate) struct TrackerFailure {
    /// The error, which the status and a failed round show.
    pub(crate) error: AnnounceError,
    /// What it means for this torrent there; weaker than the verdict on the error if our own network was down.
    pub(crate) news: TrackerNews,
    /// When it failed.
    pub(crate) at: Timestamp,
}
