//! Why an announce with failover failed, or couldn't be made.

use std::error::Error;
use std::fmt;

use super::AnnounceError;
use crate::tracker::TrackerUrl;

/// Why an announce with failover failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RoundError {
    /// All trackers failed: each attempt, in the order in which they ended.
    Failed(Vec<FailedAttempt>),
    /// There is no tracker to announce to.
    NoTrackers,
    /// The torrent is paused. Nothing was sent.
    Paused,
    /// The announcer or the torrent has ended. Nothing was sent.
    Ended(AnnouncerEnded),
}

/// Why an `Announcer` has ended, or one of its torrents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnouncerEnded {
    /// It was shut down.
    #[error("the announcer has ended")]
    ShutDown,
    /// The runtime it was started in has ended.
    #[error("the announcer has ended together with its runtime")]
    RuntimeEnded,
    /// Its task panicked, which is a defect of this crate. Holds the message of the panic.
    #[error("the announcer has ended because its task panicked: {0}")]
    Panicked(String),
    /// The torrent was stopped or forgotten. The announcer goes on.
    #[error("the torrent's announces have ended")]
    TorrentEnded,
}

/// One failed attempt of a round.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// The tracker that was tried.
    pub tracker: TrackerUrl,
    /// The cause of the failure.
    pub error: AnnounceError,
}

impl RoundError {
    /// The error of a round with these attempts, all of which failed: [`NoTrackers`](Self::NoTrackers) if there are none.
    pub fn failed(attempts: Vec<FailedAttempt>) -> Self {
        if attempts.is_empty() { Self::NoTrackers } else { Self::Failed(attempts) }
    }

    /// The attempts that were made, in the order in which they ended.
    pub fn attempts(&self) -> &[FailedAttempt] {
        match self {
            Self::Failed(attempts) => attempts,
            Self::NoTrackers | Self::Paused | Self::Ended(_) => &[],
        }
    }
}

impl fmt::Display for RoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = match self {
            Self::Failed(attempts) => attempts,
            Self::NoTrackers => return f.write_str("no tracker to announce to"),
            Self::Paused => return f.write_str("the torrent is paused"),
            Self::Ended(ended) => return ended.fmt(f),
        };
        match attempts.len() {
            1 => f.write_str("the only tracker failed: ")?,
            all => write!(f, "all {all} trackers failed: ")?,
        }
        for (index, attempt) in attempts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {}", attempt.tracker, attempt.error)?;
        }
        Ok(())
    }
}

impl Error for RoundError {}
