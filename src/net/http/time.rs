//! The one place of the HTTP transport that reads the clocks.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The clock by which probes are measured and idle connections age; it can be paused in tests.
#[expect(clippy::disallowed_methods, reason = "the HTTP transport reads the clock here only")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The moment after this time, as far as the clock reaches: callers bring durations of any size.
pub(super) fn after(duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    now() + duration.min(FAR)
}

/// The calendar, for a `Retry-After` that names a date.
#[expect(clippy::disallowed_methods, reason = "the HTTP transport reads the calendar here only")]
pub(super) fn calendar() -> SystemTime {
    SystemTime::now()
}
