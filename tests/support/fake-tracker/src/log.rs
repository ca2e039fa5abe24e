//! What a tracker received, and how many connections it had: kept, counted, and waited for by tests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::request::{Asked, Heard};

/// How many requests a tracker remembers. The counts go on beyond that, the oldest requests are forgotten.
pub const LOG_LIMIT: usize = 65_536;

/// One order for all trackers of the process.
static SEQUENCE: AtomicU64 = AtomicU64::new(1);

/// How much a tracker has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections accepted since the start.
    pub connections: usize,
    /// Connections that are open.
    pub open: usize,
    /// Requests heard since the start, of any kind.
    pub requests: usize,
    /// Announces heard since the start.
    pub announces: usize,
}

/// The log of one tracker.
#[derive(Debug)]
pub(crate) struct Log {
    heard: Mutex<VecDeque<Heard>>,
    counts: watch::Sender<Counts>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { heard: Mutex::default(), counts: watch::Sender::new(Counts::default()) }
    }

    /// A number greater than all given out before, for the next request.
    pub(crate) fn next_sequence() -> u64 {
        SEQUENCE.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes a request before the count wakes those that wait for it, so that they find it in the log.
    pub(crate) fn add(&self, request: Heard) {
        let announces = usize::from(request.asked() == Asked::Announce);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() == LOG_LIMIT {
            heard.pop_front();
        }
        heard.push_back(request);
        drop(heard);
        self.counts.send_modify(|counts| {
            counts.requests += 1;
            counts.announces += announces;
        });
    }

    /// Notes an accepted connection, and returns how many there were with it.
    pub(crate) fn opened(&self) -> usize {
        let mut number = 0;
        self.counts.send_modify(|counts| {
            counts.connections += 1;
            counts.open += 1;
            number = counts.connections;
        });
        number
    }

    /// Notes the end of a connection.
    pub(crate) fn closed(&self) {
        self.counts.send_modify(|counts| counts.open = counts.open.saturating_sub(1));
    }

    /// What was heard and passes the filter, oldest first.
    pub(crate) fn heard(&self, filter: impl Fn(&Heard) -> bool) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|request| filter(request)).cloned().collect()
    }

    /// Forgets what was heard, not how much it was.
    pub(crate) fn forget(&self) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Ends as soon as the counts are as wanted; at once where they are.
    pub(crate) async fn wait_for(&self, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.counts.subscribe();
        let found = counts.wait_for(wanted).await;
        // The sender is in `self`, so it can't be gone.
        found.map_or_else(|_| self.counts(), |counts| *counts)
    }
}

/// The time, on tokio's clock, which a test can pause.
#[expect(clippy::disallowed_methods, reason = "the library under test reads no clock by this; a tracker may")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
