//! The end of an announcer: until when its torrents may send `stopped`, and who waits for the report.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::alert::ShutdownReport;
use crate::net::clock;

/// How much of a shutdown's time is kept for the cache's file and the report, at most; a tenth of a short one.
const MAX_MARGIN: Duration = Duration::from_millis(250);

/// A shutdown that has begun.
pub(super) struct Shutdown {
    /// When the torrents that haven't ended are ended all the same.
    pub(super) end: Instant,
    pub(super) report: ShutdownReport,
    waiters: Vec<oneshot::Sender<ShutdownReport>>,
}

impl Shutdown {
    /// A shutdown that isn't limited yet.
    pub(super) fn new() -> Self {
        Self { end: clock::after(Duration::MAX), report: ShutdownReport::default(), waiters: Vec::new() }
    }

    /// Limits it, where it isn't limited to less already. Gives the time that torrents have for `stopped`.
    pub(super) fn limit(&mut self, limit: Duration, waiter: oneshot::Sender<ShutdownReport>) -> Duration {
        let margin = (limit / 10).min(MAX_MARGIN);
        // Half of the margin after that time: an answer that comes at the last moment is still read.
        self.end = self.end.min(clock::after(limit.saturating_sub(margin / 2)));
        self.waiters.push(waiter);
        limit.saturating_sub(margin)
    }

    /// Sends the report.
    pub(super) fn finish(mut self) {
        self.report.complete = true;
        for waiter in self.waiters {
            // The caller may have left.
            let _ = waiter.send(self.report.clone());
        }
    }
}
