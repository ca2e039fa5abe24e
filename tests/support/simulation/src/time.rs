//! Virtual time: whole milliseconds since the world began.

use std::time::Duration;

use tracker_failover::policy::Timestamp;

/// A moment or a span in milliseconds. Worlds know nothing finer, so that two ways of playing one agree.
pub type Millis = u64;

/// In milliseconds.
pub const SECOND: Millis = 1000;
/// In milliseconds.
pub const MINUTE: Millis = 60 * SECOND;
/// In milliseconds.
pub const HOUR: Millis = 60 * MINUTE;
/// In milliseconds.
pub const DAY: Millis = 24 * HOUR;

/// The engine's name for a moment.
pub(crate) fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_micros(at.saturating_mul(1000))
}

/// A moment of the engine's, which is a whole millisecond.
pub(crate) fn millis(at: Timestamp) -> Millis {
    at.as_micros() / 1000
}

/// A span as the crate takes it.
pub(crate) fn span(millis: Millis) -> Duration {
    Duration::from_millis(millis)
}

/// In seconds, for people.
#[expect(clippy::cast_precision_loss, reason = "no simulation lasts 2^52 ms")]
pub fn seconds(span: Millis) -> f64 {
    span as f64 / 1000.0
}

/// Half of a round trip that is given in milliseconds.
pub fn rounded_half(millis: f64) -> Millis {
    rounded(millis / 2.0)
}

/// A random figure in milliseconds as a span.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cut to what the type holds, which is what `as` does"
)]
pub(crate) fn rounded(millis: f64) -> Millis {
    millis.round() as Millis
}
