//! How much an alert matters.

use super::Alert;
use crate::error::AnnouncerEnded;

/// How much an alert matters to who reads a log. In the order of `tracing`'s levels, and converted to them by the feature
/// `tracing`.
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AlertLevel {
    /// One torrent can't be announced any more, or none can.
    Error,
    /// Something failed or is unusual. Announces go on.
    Warn,
    /// What a user wants to know: trackers, answers, switches, the end.
    Info,
    /// Each step on the way there.
    Debug,
}

impl Alert {
    /// How much it matters.
    ///
    /// | Level | Alerts |
    /// |---|---|
    /// | error | `RoundFailed` without a next attempt, `AnnouncerEnded` but for a shutdown |
    /// | warn | `Failed`, `Warning`, `RoundFailed`, `NetworkDown`, `CacheFailed`, `Lagged`, a failed `Stopped` |
    /// | info | `TrackersFound`, `Selected`, `Switching`, `Announced`, `Deferred`, `NetworkUp`, `Stopping`, `Stopped`, the shutdown |
    /// | debug | all others |
    pub fn level(&self) -> AlertLevel {
        match self {
            Self::AnnouncerEnded { reason: AnnouncerEnded::ShutDown | AnnouncerEnded::TorrentEnded } => {
                AlertLevel::Info
            }
            Self::RoundFailed { retry_in: None, .. } | Self::AnnouncerEnded { .. } => AlertLevel::Error,
            Self::Failed { .. }
            | Self::Warning { .. }
            | Self::RoundFailed { .. }
            | Self::NetworkDown
            | Self::CacheFailed { .. }
            | Self::Lagged { .. }
            | Self::Stopped { result: Err(_), .. } => AlertLevel::Warn,
            Self::TrackersFound { .. }
            | Self::Selected { .. }
            | Self::Switching { .. }
            | Self::Announced(_)
            | Self::Deferred { .. }
            | Self::NetworkUp
            | Self::Stopping { .. }
            | Self::Stopped { .. } => AlertLevel::Info,
            _ => AlertLevel::Debug,
        }
    }
}

#[cfg(feature = "tracing")]
impl From<AlertLevel> for tracing::Level {
    fn from(level: AlertLevel) -> Self {
        match level {
            AlertLevel::Error => Self::ERROR,
            AlertLevel::Warn => Self::WARN,
            AlertLevel::Info => Self::INFO,
            AlertLevel::Debug => Self::DEBUG,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::error::{AnnounceError, RoundError};

    #[test]
    fn a_failure_matters_more_than_an_answer_and_less_than_the_end() {
        let failed = |retry_in| Alert::RoundFailed { error: Arc::new(RoundError::NoTrackers), retry_in };
        let ended = |reason| Alert::AnnouncerEnded { reason };
        let tracker: crate::TrackerUrl = "http://t.test/a".parse().unwrap();
        let stopped = |result| Alert::Stopped { tracker: tracker.clone(), result };
        let rows = [
            (failed(None), AlertLevel::Error),
            (failed(Some(Duration::from_secs(30))), AlertLevel::Warn),
            (ended(AnnouncerEnded::RuntimeEnded), AlertLevel::Error),
            (ended(AnnouncerEnded::ShutDown), AlertLevel::Info),
            (stopped(Ok(())), AlertLevel::Info),
            (stopped(Err(AnnounceError::Cancelled)), AlertLevel::Warn),
            (Alert::NetworkUp, AlertLevel::Info),
            (Alert::AttemptStarted { tracker: tracker.clone(), attempt: 1, of: 2 }, AlertLevel::Debug),
        ];
        for (alert, level) in rows {
            assert_eq!(alert.level(), level, "{alert:?}");
        }
        assert!(AlertLevel::Error < AlertLevel::Warn && AlertLevel::Info < AlertLevel::Debug);
    }
}
