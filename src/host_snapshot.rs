//! What is remembered of a tracker host from one run to the next: the values that go into a latency cache.

use std::time::Duration;

use crate::tracker::TrackerHost;

/// What is remembered of one tracker host.
///
/// Moments are those of the calendar, in seconds since 1970, because the engine's own time ends with the process.
/// Of an announce address only scheme, host and port are in here: nothing that is secret, and nothing that
/// says which torrents there were.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostSnapshot {
    /// Which host.
    pub host: TrackerHost,
    /// How long it takes to connect.
    pub connect: Option<RttSnapshot>,
    /// How long it takes to answer.
    pub reply: Option<RttSnapshot>,
    /// When it last answered.
    pub answered_at: Option<u64>,
    /// When it last failed to.
    pub failed_at: Option<u64>,
    /// Successes in thousandths, faded to what they weighed at the later of the two moments.
    pub successes: u32,
    /// Failures, likewise.
    pub failures: u32,
    /// How many of its last attempts failed.
    pub consecutive_failures: u32,
    /// How many times in a row it has come to be left alone, for longer each time.
    pub openings: u32,
    /// Whether it is being left alone.
    pub is_backed_off: bool,
}

/// A smoothed time as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttSnapshot {
    /// The smoothed time, to the microsecond.
    pub srtt: Duration,
    /// Its rttvar, to the microsecond.
    pub rttvar: Duration,
    /// When the last sample came.
    pub at: u64,
    /// How many there were.
    pub samples: u32,
}

impl HostSnapshot {
    /// A host of which nothing is known.
    pub fn new(host: TrackerHost) -> Self {
        Self {
            host,
            connect: None,
            reply: None,
            answered_at: None,
            failed_at: None,
            successes: 0,
            failures: 0,
            consecutive_failures: 0,
            openings: 0,
            is_backed_off: false,
        }
    }

    /// When the host was last heard of, for good or ill; `None` where nothing is known.
    pub fn heard_at(&self) -> Option<u64> {
        let sampled = [self.connect, self.reply].map(|time| time.map(|time| time.at));
        sampled.into_iter().chain([self.answered_at, self.failed_at]).flatten().max()
    }
}
