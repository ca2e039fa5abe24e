//! The one place that reads the clock.

use std::time::{Duration, Instant};

/// Time since the start, which is all the time the swarm knows of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since its start.
    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }
}
