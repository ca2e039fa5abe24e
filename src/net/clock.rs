//! Time: the one file that reads the clocks.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::policy::{HealthBook, Timestamp};

/// The engine's clock: tokio's, which tests can pause, plus the time for which the machine slept, which tokio's doesn't
/// count. It begins late enough to express moments of earlier runs.
///
/// It also notices when nothing ran: the machine slept, or the process was stopped or frozen, or something
/// blocked its runtime. None of this uses the calendar, which may be set ahead and back.
pub(super) struct Clock {
    start: Instant,
    sleep_meter: SleepMeter,
    /// How much sleep is in the engine's time.
    slept: Duration,
    /// The wait of the loop: since when, and until when.
    waiting: Option<(Instant, Instant)>,
    /// Reads the calendar.
    calendar: fn() -> SystemTime,
}

/// For how long the machine has slept since some fixed moment.
pub(super) type SleepMeter = Box<dyn Fn() -> Duration + Send + Sync>;

/// A period in which nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standstill {
    /// How long it was, at most: counted from the loop's last look at the clock.
    pub(super) gap: Duration,
    /// Whether it was longer than delays of a busy machine are.
    pub(super) is_long: bool,
}

/// How late a wait may end before what has arrived is read first. As long as the patience with an unknown tracker, so
/// that a shorter standstill fails none.
const MIN_STANDSTILL: Duration = Duration::from_millis(250);

/// From this length on, announces that have become due are spread. No merely busy machine stands still for so long, and
/// a shorter standstill takes at most half of a limit, which is 10 s or more.
const LONG_STANDSTILL: Duration = Duration::from_secs(5);

impl Clock {
    /// The engine's time when the clock starts.
    const BEGIN: Timestamp = Timestamp::from_micros(HealthBook::MEMORY.as_secs() * 1_000_000);

    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self::with(sleep_meter())
    }

    /// A clock that starts now, with another meter of the machine's sleep.
    pub(super) fn with(sleep_meter: SleepMeter) -> Self {
        let slept = sleep_meter();
        Self { start: now(), sleep_meter, slept, waiting: None, calendar }
    }

    /// The same clock with another calendar.
    #[cfg(test)]
    pub(super) fn with_calendar(mut self, calendar: fn() -> SystemTime) -> Self {
        self.calendar = calendar;
        self
    }

    /// The present second of the calendar, counted from 1970, and the moment of the engine's time at which it began.
    pub(super) fn dated(&self) -> (u64, Timestamp) {
        let since = (self.calendar)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (since.as_secs(), self.now().before(Duration::from_nanos(since.subsec_nanos().into())))
    }

    /// The present moment in the engine's time. It includes sleep that [`woke`](Self::woke) has noticed.
    pub(super) fn now(&self) -> Timestamp {
        Self::BEGIN + (now() - self.start) + self.slept
    }

    /// A moment of the engine's time on tokio's clock.
    pub(super) fn instant(&self, moment: Timestamp) -> Instant {
        self.start + moment.since(Self::BEGIN).saturating_sub(self.slept).min(FAR)
    }

    /// Notes that the loop waits until then; `None` where only an event ends the wait.
    pub(super) fn waits(&mut self, until: Option<Instant>) {
        let now = now();
        self.waiting = until.map(|until| (now, until.max(now)));
    }

    /// Notes that the wait is over. Gives the standstill, if nothing ran for longer than it should.
    pub(super) fn woke(&mut self) -> Option<Standstill> {
        let total = (self.sleep_meter)();
        let slept = total.saturating_sub(self.slept);
        self.slept += slept;
        let now = now();
        let (since, until) = self.waiting.take().unwrap_or((now, now));
        let longest = slept.max(now.saturating_duration_since(until));
        let gap = slept.saturating_add(now.saturating_duration_since(since));
        (longest >= MIN_STANDSTILL).then_some(Standstill { gap, is_long: longest >= LONG_STANDSTILL })
    }
}

/// Measures sleep as the difference of two clocks, of which one counts it and the other doesn't.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
#[expect(clippy::disallowed_methods, reason = "the shell reads the clocks here only")]
fn sleep_meter() -> SleepMeter {
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
    // A delay between the two readings makes sleep look shorter, and never longer.
    let awake_at_first = Instant::now();
    let all_at_first = counting_sleep();
    Box::new(move || {
        let all = counting_sleep().saturating_sub(all_at_first);
        all.saturating_sub(awake_at_first.elapsed())
    })
}

/// Measures nothing: other systems count sleep in the clock by which we wait (Windows), so that the loop wakes late, or
/// have no clock for it.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn sleep_meter() -> SleepMeter {
    Box::new(|| Duration::ZERO)
}

/// As tokio's `timeout_at`, which prefers an answer to the limit. But where nothing ran when the limit passed, the tasks
/// that read what has arrived get their turn first (R100).
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

/// Whether a timer that was to fire at this moment fires so late that nothing can have run. After a standstill timers fire
/// before sockets are read.
pub(super) fn stood_still(since: Instant) -> bool {
    now().saturating_duration_since(since) >= MIN_STANDSTILL
}

/// As [`timeout_at`], counted from now.
pub(super) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(after(limit), future).await
}

/// After a standstill: when nothing has come for so long, everything that had arrived has been read.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// The longest wait, about 30 years: callers and trackers name durations of any size.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The present moment on tokio's monotonic clock, which measures probes and the age of idle connections.
#[expect(clippy::disallowed_methods, reason = "the shell reads the clock here only")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The moment that is so far from now.
pub(super) fn after(duration: Duration) -> Instant {
    now() + duration.min(FAR)
}

/// The calendar: for a `Retry-After` that names a date, and for what is kept from one run to the next. No duration is
/// measured by it, because it may be set at any moment.
#[expect(clippy::disallowed_methods, reason = "the shell reads the calendar here only")]
pub(super) fn calendar() -> SystemTime {
    SystemTime::now()
}

/// The calendar in seconds since 1970, for what is kept from one run to the next.
#[cfg(any(feature = "cache", feature = "redis"))]
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

    /// R101: sleep before the start doesn't count, and later sleep is in the engine's time once it is noticed.
    #[tokio::test(start_paused = true)]
    async fn sleep_counts_as_time() {
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
    async fn a_wait_that_ends_late_is_a_standstill() {
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
        // A wait for a moment in the past doesn't end late.
        let past = now();
        pass(60 * SECOND).await;
        clock.waits(Some(past));
        assert_eq!(clock.woke(), None);
    }

    /// R100: a limit that passes during a standstill isn't judged before what arrived is read.
    #[tokio::test(start_paused = true)]
    async fn a_limit_that_passed_while_nothing_ran_waits_for_what_arrived() {
        for (stood_still, is_heard) in [(Duration::ZERO, false), (42 * SECOND, true)] {
            let (sender, answer) = tokio::sync::oneshot::channel();
            let limited = tokio::spawn(timeout(10 * SECOND, answer));
            tokio::task::yield_now().await;
            // The answer came in time, and other tasks need a few turns to read it.
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

    /// The clocks of this system: the machine doesn't sleep while this runs.
    #[test]
    fn a_machine_that_is_awake_has_not_slept() {
        let slept = sleep_meter();
        for _ in 0..1000 {
            assert!(slept() < SECOND);
        }
    }
}
