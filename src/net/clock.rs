//! The one place that reads the clocks.

use std::pin::pin;
use std::time::Duration;
#[cfg(any(feature = "http", feature = "cache"))]
use std::time::SystemTime;

use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::policy::{HealthBook, Timestamp};

/// The engine's clock: tokio's, so that tests can pause it, and the time for which the machine slept on top, during which
/// that stands still. It starts late enough for the engine to tell of moments in earlier runs.
///
/// It also notices when the loop stood still: the machine slept, or the process was stopped or frozen, or something
/// blocked its runtime. The calendar has no part in this, since it is set ahead and back.
pub(super) struct Clock {
    start: Instant,
    asleep: Asleep,
    /// How much of it is in the engine's time.
    slept: Duration,
    /// Since when, and until when, the loop has waited.
    waiting: Option<(Instant, Instant)>,
}

/// For how long the machine has slept since some moment.
pub(super) type Asleep = Box<dyn Fn() -> Duration + Send + Sync>;

/// A time in which nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standstill {
    /// How long it was at most, counted from when the loop last looked.
    pub(super) gap: Duration,
    /// Whether it was more than a busy machine has.
    pub(super) is_long: bool,
}

/// How late the loop may wake before it lets what has arrived be read first: as long as an unknown tracker is waited for.
const NOTICED: Duration = Duration::from_millis(250);

/// From here on a standstill is none of a machine that is merely busy, so announces that are due are spread. A limit is
/// ten seconds at least, and a shorter standstill uses no more than half of it.
const LONG: Duration = Duration::from_secs(5);

impl Clock {
    /// What the engine is told when the clock starts.
    const BEGIN: Timestamp = Timestamp::from_micros(HealthBook::MEMORY.as_secs() * 1_000_000);

    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self::with(asleep())
    }

    /// A clock that starts now, and hears of sleep from this.
    pub(super) fn with(asleep: Asleep) -> Self {
        let slept = asleep();
        Self { start: now(), asleep, slept, waiting: None }
    }

    /// The present moment. Sleep is in it once [`woke`](Self::woke) has noticed it.
    pub(super) fn now(&self) -> Timestamp {
        Self::BEGIN + (now() - self.start) + self.slept
    }

    /// When a moment of the engine's is.
    pub(super) fn instant(&self, moment: Timestamp) -> Instant {
        self.start + moment.since(Self::BEGIN).saturating_sub(self.slept).min(FAR)
    }

    /// The loop waits until then, if not for ever.
    pub(super) fn waits(&mut self, until: Option<Instant>) {
        let now = now();
        self.waiting = until.map(|until| (now, until.max(now)));
    }

    /// The loop has something to do. Says so where nothing ran for longer than it should.
    pub(super) fn woke(&mut self) -> Option<Standstill> {
        let total = (self.asleep)();
        let slept = total.saturating_sub(self.slept);
        self.slept += slept;
        let now = now();
        let (since, until) = self.waiting.take().unwrap_or((now, now));
        let longest = slept.max(now.saturating_duration_since(until));
        let gap = slept.saturating_add(now.saturating_duration_since(since));
        (longest >= NOTICED).then_some(Standstill { gap, is_long: longest >= LONG })
    }
}

/// How the machine's sleep is measured: one clock counts it and the other doesn't.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
#[expect(clippy::disallowed_methods, reason = "the shell reads the clocks here only")]
fn asleep() -> Asleep {
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Instant;

    #[cfg(not(target_vendor = "apple"))]
    const COUNTS_SLEEP: ClockId = ClockId::Boottime;
    #[cfg(target_vendor = "apple")]
    const COUNTS_SLEEP: ClockId = ClockId::Monotonic;

    let counting_sleep = || {
        let time = clock_gettime(COUNTS_SLEEP);
        let seconds = Duration::from_secs(time.tv_sec.try_into().unwrap_or_default());
        seconds + Duration::from_nanos(time.tv_nsec.try_into().unwrap_or_default())
    };
    // Where something comes between the two readings, sleep is taken for shorter and never for longer.
    let awake_at_first = Instant::now();
    let all_at_first = counting_sleep();
    Box::new(move || {
        let all = counting_sleep().saturating_sub(all_at_first);
        all.saturating_sub(awake_at_first.elapsed())
    })
}

/// Other systems either count sleep in the clock by which we wait (Windows), so that the loop wakes late, or have no
/// clock for it.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn asleep() -> Asleep {
    Box::new(|| Duration::ZERO)
}

/// As tokio's `timeout_at`, which prefers an answer to the limit; but where we stood still beyond the limit, what has
/// arrived meanwhile is read first, by whichever task that takes.
pub(super) async fn timeout_at<F: Future>(limit: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut limit = limit;
    loop {
        let result = tokio::time::timeout_at(limit, &mut future).await;
        if result.is_ok() || !stood_still(limit) {
            return result;
        }
        limit = after(QUIET);
    }
}

/// Whether nothing ran from this moment until now, for longer than a busy machine takes to wake somebody. Timers fire before
/// it is known what lies in the sockets then.
pub(super) fn stood_still(since: Instant) -> bool {
    now().saturating_duration_since(since) >= NOTICED
}

/// As [`timeout_at`], counted from now.
pub(super) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(after(limit), future).await
}

/// After a standstill, everything that had arrived has been read when nothing came for so long.
pub(super) const QUIET: Duration = Duration::from_millis(100);

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

/// The calendar: for a `Retry-After` that names a date, and for what is kept from one run to the next. It may be set at any
/// moment, so no time is measured by it.
#[cfg(any(feature = "http", feature = "cache"))]
#[expect(clippy::disallowed_methods, reason = "the shell reads the calendar here only")]
pub(super) fn calendar() -> SystemTime {
    SystemTime::now()
}

/// The calendar in seconds since 1970, for what is remembered from one run to the next.
#[cfg(feature = "cache")]
pub(super) fn seconds() -> u64 {
    calendar().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clock() -> (Clock, Arc<AtomicU64>) {
        let slept = Arc::new(AtomicU64::new(7_000));
        let meter = Arc::clone(&slept);
        (Clock::with(Box::new(move || Duration::from_millis(meter.load(Ordering::SeqCst)))), slept)
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    /// R101: what was slept before the start doesn't count, and what is slept is in the engine's time once it is noticed.
    #[tokio::test(start_paused = true)]
    async fn sleep_is_time_that_passes() {
        let (mut clock, slept) = clock();
        let start = clock.now();
        let due = start + 3600 * SECOND;
        let at = clock.instant(due);
        clock.waits(Some(now() + 30 * SECOND));
        pass(SECOND).await;
        slept.fetch_add(600_000, Ordering::SeqCst);
        assert_eq!(clock.now(), start + SECOND, "not before the loop has noticed");
        assert_eq!(clock.woke(), Some(Standstill { gap: 601 * SECOND, is_long: true }));
        assert_eq!(clock.now(), start + 601 * SECOND);
        assert_eq!(clock.instant(due), at - 600 * SECOND, "what is due comes sooner by the machine's clock");
        assert_eq!(clock.instant(start), clock.start, "and what was due is due at once");
        assert_eq!(clock.woke(), None, "once");
        slept.fetch_sub(1_000, Ordering::SeqCst);
        assert_eq!((clock.woke(), clock.now()), (None, start + 601 * SECOND), "it never goes back");
        slept.fetch_add(1_100, Ordering::SeqCst);
        assert_eq!((clock.woke(), clock.now()), (None, start + 601 * SECOND + SECOND / 10));
    }

    /// R100: a loop that wakes much later than it asked for stood still.
    #[tokio::test(start_paused = true)]
    async fn waking_late_is_a_standstill() {
        let (mut clock, _) = clock();
        for (asked, woke, found) in [
            (Some(10), 10_000, None),
            (Some(10), 9_000, None),
            (Some(10), 10_249, None),
            (Some(10), 10_250, Some((10_250, false))),
            (Some(10), 14_999, Some((14_999, false))),
            (Some(10), 15_000, Some((15_000, true))),
            (Some(10), 52_000, Some((52_000, true))),
            (Some(0), 5_000, Some((5_000, true))),
            (None, 100_000, None),
        ] {
            clock.waits(asked.map(|asked| now() + asked * SECOND));
            pass(Duration::from_millis(woke)).await;
            let found = found.map(|(gap, is_long)| Standstill { gap: Duration::from_millis(gap), is_long });
            assert_eq!(clock.woke(), found, "{asked:?}, {woke}");
        }
        // What is overdue when the loop begins to wait is no sign of anything.
        let past = now();
        pass(60 * SECOND).await;
        clock.waits(Some(past));
        assert_eq!(clock.woke(), None);
    }

    /// R100: a limit that passes at the moment at which we go on isn't judged before others had their turn.
    #[tokio::test(start_paused = true)]
    async fn a_limit_waits_for_what_came_while_nothing_ran() {
        for (stood_still, is_heard) in [(Duration::ZERO, false), (42 * SECOND, true)] {
            let (sender, answer) = tokio::sync::oneshot::channel();
            let limited = tokio::spawn(timeout(10 * SECOND, answer));
            tokio::task::yield_now().await;
            // It came in time, and takes a few turns of other tasks to be read.
            let reads = tokio::spawn(async move {
                tokio::time::sleep(9 * SECOND + SECOND / 2).await;
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                if stood_still.is_zero() {
                    std::future::pending::<()>().await;
                }
                let _ = sender.send(());
            });
            tokio::task::yield_now().await;
            pass(stood_still).await;
            assert_eq!(limited.await.unwrap().is_ok(), is_heard);
            reads.abort();
        }
    }

    /// The clocks of this system: the machine doesn't sleep while this runs, whatever the calendar says.
    #[test]
    fn a_machine_that_is_awake_has_not_slept() {
        let asleep = asleep();
        for _ in 0..1000 {
            assert!(asleep() < SECOND);
        }
    }
}
