//! The health of a tracker host as it is kept from one run to the next: the values in a latency cache.

use std::time::Duration;

use crate::tracker::TrackerHost;

/// What one run leaves to the next about a tracker host.
///
/// Moments are those of the calendar, in seconds since 1970, because the engine's own time ends with the process.
/// Of an announce address it holds scheme, host and port only: no passkey, and nothing that shows which torrents there
/// were.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostSnapshot {
    /// The host.
    pub host: TrackerHost,
    /// How long it takes to connect.
    pub connect: Option<RttSnapshot>,
    /// How long it takes to answer.
    pub reply: Option<RttSnapshot>,
    /// When it last answered.
    pub answered_at: Option<u64>,
    /// When an attempt at it last failed.
    pub failed_at: Option<u64>,
    /// How many of its last attempts failed.
    pub consecutive_failures: u32,
    /// How many times in a row it was backed off: the back-off doubles each time.
    pub trips: u32,
    /// Whether it is backed off after failures.
    pub is_backed_off: bool,
}

/// A smoothed round-trip time (RFC 6298) in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttSnapshot {
    /// The smoothed time, to the microsecond.
    pub srtt: Duration,
    /// Its variation, to the microsecond.
    pub rttvar: Duration,
    /// When the last sample was taken, in seconds since 1970.
    pub at: u64,
    /// How many samples were taken.
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
            consecutive_failures: 0,
            trips: 0,
            is_backed_off: false,
        }
    }

    /// When it last answered, failed or was measured; `None` if nothing is known.
    pub fn heard_at(&self) -> Option<u64> {
        let sampled = [self.connect, self.reply].map(|time| time.map(|time| time.at));
        sampled.into_iter().chain([self.answered_at, self.failed_at]).flatten().max()
    }
}
