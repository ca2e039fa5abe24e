//! The one place that reads the clocks.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::policy::{HealthBook, Timestamp};

/// The engine's clock: tokio's, so that tests can pause it. It starts late enough for the engine to tell of moments
/// in earlier runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    /// Both clocks when they were last compared.
    compared: (Instant, SystemTime),
}

impl Clock {
    /// What the engine is told when the clock starts.
    const BEGIN: Timestamp = Timestamp::from_micros(HealthBook::MEMORY.as_secs() * 1_000_000);

    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self { start: now(), compared: (now(), calendar()) }
    }

    /// The present moment.
    pub(super) fn now(self) -> Timestamp {
        Self::BEGIN + (now() - self.start)
    }

    /// How long the machine slept since this was last asked: the calendar went on, and the monotonic clock didn't
    /// (Linux, macOS). Less than five seconds is the drift between the two.
    pub(super) fn slept(&mut self) -> Option<Duration> {
        let (monotonic, wall) = std::mem::replace(&mut self.compared, (now(), calendar()));
        let passed = self.compared.1.duration_since(wall).unwrap_or_default();
        passed.checked_sub(self.compared.0 - monotonic).filter(|gap| *gap > Duration::from_secs(5))
    }

    /// When to ask that again.
    pub(super) fn soon() -> Instant {
        now() + Duration::from_secs(30)
    }

    /// When a moment of the engine's is.
    pub(super) fn instant(self, moment: Timestamp) -> Instant {
        self.start + moment.since(Self::BEGIN).min(FAR)
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
pub(super) fn after(duration: Duration) -> Instant {
    now() + duration.min(FAR)
}

/// The calendar: for a `Retry-After` that names a date, and to notice that the machine slept.
#[expect(clippy::disallowed_methods, reason = "the shell reads the calendar here only")]
pub(super) fn calendar() -> SystemTime {
    SystemTime::now()
}

/// The calendar in seconds since 1970, for what is remembered from one run to the next.
#[cfg(feature = "cache")]
pub(super) fn seconds() -> u64 {
    calendar().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
