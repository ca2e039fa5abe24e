//! The one place that reads the clocks.

use std::time::Duration;

use tokio::time::Instant;

use crate::policy::Timestamp;

/// The engine's clock: tokio's, so that tests can pause it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self { start: now() }
    }

    /// The present moment.
    pub(super) fn now(self) -> Timestamp {
        Timestamp::from_start(now() - self.start)
    }

    /// When a moment of the engine's is.
    pub(super) fn instant(self, moment: Timestamp) -> Instant {
        self.start + moment.since(Timestamp::ZERO).min(FAR)
    }
}

/// As far as the clock reaches: callers and trackers bring durations of any size.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The monotonic clock by which probes are measured and idle connections age.
#[expect(clippy::disallowed_methods, reason = "the shell reads the clock here only")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The moment after this time.
#[cfg(feature = "http")]
pub(super) fn after(duration: Duration) -> Instant {
    now() + duration.min(FAR)
}

/// The calendar, for a `Retry-After` that names a date.
#[cfg(feature = "http")]
#[expect(clippy::disallowed_methods, reason = "the shell reads the calendar here only")]
pub(super) fn calendar() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
