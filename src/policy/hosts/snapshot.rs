//! Snapshots of the health of hosts: what one run leaves to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use super::breaker::Breaker;
use super::health::{HealthBook, HostHealth, MAX_HOSTS, MAX_LATENCY};
use super::rtt::RttEstimate;
use crate::host_snapshot::{HostSnapshot, RttSnapshot};
use crate::time::Timestamp;
use crate::tracker::TrackerHost;

/// How far ahead of the calendar a moment may be, in seconds: a clock may be adjusted by a little between two runs. One
/// further ahead was noted by a clock that was wrong.
const CLOCK_ERROR: u64 = 5 * 60;

impl HealthBook {
    /// How long a snapshot of a host counts after the last answer or failure: by then its counts have faded to a
    /// thousandth.
    pub const MEMORY: Duration = Duration::from_secs(7 * 24 * 3600);

    /// A number that grows with each change, to see whether there is something new to be kept.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What is worth keeping for the next run, the host with the latest answer or failure first. `calendar` is the
    /// present moment in seconds since 1970.
    pub fn snapshot(&self, calendar: u64, now: Timestamp) -> Vec<HostSnapshot> {
        let then = |moment: Timestamp| calendar.saturating_sub(now.since(moment).as_secs());
        let hosts = self.hosts.iter().map(|(host, health)| health.snapshot(host.clone(), then));
        Self::worth_keeping(hosts, calendar)
    }

    /// Restores what an earlier run knew. Hosts that are known already stay as they are.
    ///
    /// What is older than [`MEMORY`](Self::MEMORY) is dropped; counts fade on. A host that was backed off may be tried
    /// at once, by one torrent, and its next back-off continues the earlier ones. Moments in the future come from a
    /// clock that was wrong: they count as the present, and failures in a row noted with them as none.
    ///
    /// A [`Timestamp`] can't express moments before [`Timestamp::ZERO`], and those are dropped as well: to restore
    /// everything, the engine's clock has to start at `MEMORY` or later.
    pub fn restore(&mut self, hosts: impl IntoIterator<Item = HostSnapshot>, calendar: u64, now: Timestamp) {
        for snapshot in Self::worth_keeping(hosts, calendar) {
            if self.hosts.len() >= MAX_HOSTS {
                return;
            }
            if let Some(health) = HostHealth::restored(&snapshot, calendar, now) {
                self.hosts.entry(snapshot.host).or_insert(health);
            }
        }
    }

    /// Merges the snapshots of several runs or processes: each host once, with its latest snapshot, the latest host
    /// first. Drops what is older than [`MEMORY`](Self::MEMORY), and hosts beyond 4096.
    pub fn worth_keeping(hosts: impl IntoIterator<Item = HostSnapshot>, calendar: u64) -> Vec<HostSnapshot> {
        let mut by_host: BTreeMap<TrackerHost, HostSnapshot> = BTreeMap::new();
        for host in hosts.into_iter().filter(|host| is_recent(host, calendar)) {
            match by_host.get(&host.host) {
                Some(known) if trusted_at(known, calendar) >= trusted_at(&host, calendar) => {}
                _ => {
                    by_host.insert(host.host.clone(), host);
                }
            }
        }
        let mut hosts: Vec<_> = by_host.into_values().collect();
        hosts.sort_by_key(|host| std::cmp::Reverse(trusted_at(host, calendar)));
        hosts.truncate(MAX_HOSTS);
        hosts
    }
}

impl HostHealth {
    fn snapshot(&self, host: TrackerHost, then: impl Fn(Timestamp) -> u64) -> HostSnapshot {
        let time = |estimate: RttEstimate| RttSnapshot {
            srtt: estimate.srtt(),
            rttvar: estimate.rttvar(),
            at: then(estimate.at()),
            samples: estimate.samples(),
        };
        HostSnapshot {
            host,
            connect: self.connect.map(time),
            reply: self.reply.map(time),
            answered_at: self.answered_at.map(&then),
            failed_at: self.failed_at.map(&then),
            successes: thousandths(self.successes),
            failures: thousandths(self.failures),
            consecutive_failures: self.consecutive_failures,
            trips: self.breaker.trips(),
            is_backed_off: self.is_backed_off(),
        }
    }

    /// `None` if none of its moments can be expressed in the engine's time.
    fn restored(snapshot: &HostSnapshot, calendar: u64, now: Timestamp) -> Option<Self> {
        let moment = |at: u64| {
            let age = Duration::from_secs(calendar.saturating_sub(at));
            let is_expressible = age <= HealthBook::MEMORY && age <= now.since(Timestamp::ZERO);
            is_expressible.then(|| now.before(age))
        };
        let estimate = |time: RttSnapshot| {
            let (srtt, rttvar) = (time.srtt.min(MAX_LATENCY), time.rttvar.min(MAX_LATENCY));
            moment(time.at).map(|at| RttEstimate::restored(srtt, rttvar, at, time.samples))
        };
        let answered_at = snapshot.answered_at.and_then(moment);
        let mut failed_at = snapshot.failed_at.and_then(moment);
        let consecutive_failures =
            if is_ahead(snapshot, calendar) { 0 } else { snapshot.consecutive_failures };
        if consecutive_failures > 0 && failed_at.is_some() {
            // Snapshots are in whole seconds. Where both moments are in the same one the failure was later, or it would
            // not count in a row: a latency from before it isn't fresh.
            failed_at = failed_at.max(answered_at.map(|answered_at| answered_at + Duration::from_micros(1)));
        }
        let health = Self {
            connect: snapshot.connect.and_then(estimate),
            reply: snapshot.reply.and_then(estimate),
            successes: f64::from(snapshot.successes) / 1000.0,
            failures: f64::from(snapshot.failures) / 1000.0,
            // Counts change only with an answer or a failure.
            counted_at: answered_at.max(failed_at)?,
            consecutive_failures,
            answered_at,
            failed_at,
            breaker: Breaker::restored(snapshot.trips, snapshot.is_backed_off, now),
            ..Self::default()
        };
        Some(health)
    }
}

/// Whether any of it was noted by a clock that was wrong.
fn is_ahead(host: &HostSnapshot, calendar: u64) -> bool {
    host.heard_at().is_some_and(|at| at > calendar.saturating_add(CLOCK_ERROR))
}

/// The latest answer or failure, unless the clock that noted it was wrong.
fn trusted_at(host: &HostSnapshot, calendar: u64) -> Option<u64> {
    host.heard_at().filter(|_| !is_ahead(host, calendar))
}

/// Whether a snapshot is young enough to be of use.
fn is_recent(host: &HostSnapshot, calendar: u64) -> bool {
    host.heard_at().is_some_and(|at| calendar.saturating_sub(at) <= HealthBook::MEMORY.as_secs())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds of u32")]
/// A count in thousandths: snapshots hold integers only.
fn thousandths(count: f64) -> u32 {
    (count * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::super::health::PRIOR_FAILURES;
    use super::super::slot::SlotId;
    use super::*;
    use crate::policy::config::Config;
    use crate::policy::hosts::Demand;
    use crate::policy::io::TorrentId;
    use crate::prober::Measurement;
    use crate::tracker::TrackerUrl;

    /// The present moment in most tests.
    const CALENDAR: u64 = 1_800_000_000;
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    fn host(name: &str) -> TrackerHost {
        format!("http://{name}.test/a").parse::<TrackerUrl>().unwrap().tracker_host()
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// This many seconds after the start, in an engine whose time can express a week before it.
    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO + HealthBook::MEMORY + Duration::from_secs(secs)
    }

    fn sample(connect: u64, first_byte: u64) -> Measurement {
        Measurement { connect: millis(connect), first_byte: millis(first_byte) }
    }

    fn measured(book: &mut HealthBook, name: &str, sample: Measurement, now: Timestamp) {
        book.entry(&host(name)).measured(sample, now);
    }

    fn fail(book: &mut HealthBook, name: &str, now: Timestamp) {
        book.entry(&host(name)).failed(true, &Config::default(), 0.5, now);
    }

    fn cost(book: &HealthBook, name: &str, now: Timestamp) -> Duration {
        book.host(&host(name)).unwrap().cost(&Config::default(), now)
    }

    /// When a torrent may try a host.
    fn earliest(book: &HealthBook, name: &str, now: Timestamp) -> Timestamp {
        let demand = Demand { needs_peers: false, failed_here: false, answered_at: None };
        book.host(&host(name)).unwrap().breaker.earliest(TorrentId::new(1), demand, millis(250), now)
    }

    fn fresh(book: &HealthBook, name: &str, now: Timestamp) -> Option<Duration> {
        book.fresh_latency(&host(name), Config::default().measurement_lifetime, now)
    }

    /// A host that answered this long ago.
    fn answered(name: &str, secs_ago: u64) -> HostSnapshot {
        let at = CALENDAR - secs_ago;
        let time = |srtt| Some(RttSnapshot { srtt: millis(srtt), rttvar: millis(1), at, samples: 1 });
        HostSnapshot {
            connect: time(5),
            reply: time(7),
            answered_at: Some(at),
            successes: 1000,
            ..HostSnapshot::new(host(name))
        }
    }

    fn restored(hosts: impl IntoIterator<Item = HostSnapshot>) -> HealthBook {
        let mut book = HealthBook::default();
        book.restore(hosts, CALENDAR, at(0));
        book
    }

    #[test]
    fn the_next_run_knows_what_the_last_one_knew() {
        let mut book = HealthBook::default();
        measured(&mut book, "a", sample(5, 7), at(10));
        measured(&mut book, "a", sample(6, 9), at(3000));
        fail(&mut book, "a", at(3500));
        fail(&mut book, "b", at(3600));
        let snapshot = book.snapshot(CALENDAR, at(4000));
        assert_eq!(snapshot.iter().map(|host| host.host.host()).collect::<Vec<_>>(), ["b.test", "a.test"]);
        let next = restored(snapshot.clone());
        assert_eq!(next.snapshot(CALENDAR, at(0)), snapshot, "and so does the one after it");
        let scores = |book: &HealthBook, now| ["a", "b"].map(|name| cost(book, name, now));
        assert_eq!(
            scores(&next, at(0)).map(|score| score.as_millis()),
            scores(&book, at(4000)).map(|score| score.as_millis())
        );
    }

    #[test]
    fn a_latency_stays_fresh_for_as_long_as_within_a_run() {
        let book = restored([answered("new", 5 * HOUR), answered("old", 7 * HOUR)]);
        assert_eq!(fresh(&book, "new", at(0)), Some(millis(12)));
        assert_eq!(fresh(&book, "new", at(HOUR)), Some(millis(12)));
        assert_eq!(fresh(&book, "new", at(HOUR + 1)), None);
        assert_eq!(fresh(&book, "old", at(0)), None);
        assert_eq!(book.host(&host("old")).unwrap().latency(), Some(millis(12)), "it still ranks the host");
    }

    #[test]
    fn what_is_older_than_a_week_is_dropped() {
        let book = restored([answered("a", 7 * DAY), answered("b", 7 * DAY + 1)]);
        assert!(book.host(&host("a")).is_some() && book.host(&host("b")).is_none());
        let partly = HostSnapshot { failed_at: Some(CALENDAR - HOUR), ..answered("a", 8 * DAY) };
        let mut book = HealthBook::default();
        book.restore([partly], CALENDAR, at(30 * DAY));
        let health = book.host(&host("a")).unwrap();
        assert_eq!((health.latency(), health.answered_at()), (None, None));
        assert!(health.failed_at().is_some());
        let mut book = HealthBook::default();
        measured(&mut book, "a", sample(5, 7), at(0));
        assert_eq!(book.snapshot(CALENDAR, at(7 * DAY)).len(), 1);
        assert_eq!(book.snapshot(CALENDAR, at(7 * DAY + 1)), []);
    }

    /// A clock that was ahead when the file was written, or is behind now.
    #[test]
    fn moments_ahead_count_as_the_present_and_failures_in_a_row_as_none() {
        let ahead = |secs: u64| HostSnapshot {
            failed_at: Some(CALENDAR + secs),
            consecutive_failures: 4,
            failures: 4000,
            is_backed_off: true,
            trips: 3,
            ..answered("a", DAY)
        };
        let consecutive_failures =
            |secs| restored([ahead(secs)]).host(&host("a")).unwrap().consecutive_failures;
        assert_eq!(
            (
                consecutive_failures(CLOCK_ERROR),
                consecutive_failures(CLOCK_ERROR + 1),
                consecutive_failures(1 << 60)
            ),
            (4, 0, 0)
        );
        let book = restored([ahead(1 << 40)]);
        let health = book.host(&host("a")).unwrap();
        assert_eq!(health.failed_at(), Some(at(0)));
        assert!(health.is_backed_off(), "the breaker counts no moments");
    }

    #[test]
    fn a_host_that_was_backed_off_may_be_tried_at_once_by_one_torrent() {
        let mut book = HealthBook::default();
        for second in 0..5 {
            fail(&mut book, "a", at(second));
        }
        let is_free = |book: &HealthBook, now| earliest(book, "a", now) <= now;
        assert!(!is_free(&book, at(5)));
        let mut book = restored(book.snapshot(CALENDAR, at(5)));
        assert!(book.host(&host("a")).unwrap().is_backed_off() && is_free(&book, at(0)));
        book.entry(&host("a")).breaker.tried(SlotId(1), TorrentId::new(1), false, at(0));
        assert!(!is_free(&book, at(0)), "one at a time");
        fail(&mut book, "a", at(1));
        let wait = earliest(&book, "a", at(1)).since(at(1));
        assert!(wait > Duration::from_secs(900), "it goes on where it was: {wait:?}");
    }

    /// Moments are kept in whole seconds.
    #[test]
    fn an_answer_and_a_failure_in_the_same_second_keep_their_order() {
        let moment = |millis| at(0) + Duration::from_millis(millis);
        let (mut failed, mut recovered) = (HealthBook::default(), HealthBook::default());
        measured(&mut failed, "a", sample(5, 5), moment(100));
        fail(&mut failed, "a", moment(900));
        fail(&mut recovered, "a", moment(100));
        measured(&mut recovered, "a", sample(5, 5), moment(900));
        for (book, is_fresh) in [(failed, false), (recovered, true)] {
            let next = restored(book.snapshot(CALENDAR, at(1)));
            assert_eq!(fresh(&next, "a", at(0)).is_some(), is_fresh);
        }
    }

    #[test]
    fn counts_fade_on() {
        let counted = HostSnapshot { successes: 90_000, failures: 0, ..answered("a", DAY) };
        let book = restored([counted]);
        let odds = book.host(&host("a")).unwrap().odds_of_failure(at(0));
        let expected = PRIOR_FAILURES / (90.0 * (-1.0_f64).exp() + 1.0);
        assert!((odds - expected).abs() < 1e-6, "{odds} {expected}");
    }

    /// An engine whose clock starts at zero starts cold, instead of taking an old snapshot for a new one.
    #[test]
    fn moments_before_the_engines_time_are_dropped() {
        let mut book = HealthBook::default();
        let now = Timestamp::ZERO + Duration::from_secs(HOUR);
        book.restore([answered("a", HOUR), answered("b", HOUR + 1)], CALENDAR, now);
        assert_eq!(fresh(&book, "a", now), Some(millis(12)));
        assert!(book.host(&host("b")).is_none());
    }

    #[test]
    fn of_several_snapshots_of_a_host_the_latest_is_kept() {
        let older = HostSnapshot { failed_at: Some(CALENDAR - 60), ..answered("a", DAY) };
        let newer = answered("a", 59);
        let ahead = HostSnapshot { failed_at: Some(CALENDAR + DAY), ..answered("a", DAY) };
        for hosts in [[&older, &newer, &ahead], [&newer, &ahead, &older], [&ahead, &older, &newer]] {
            let kept = HealthBook::worth_keeping(hosts.map(Clone::clone), CALENDAR);
            assert_eq!(kept, std::slice::from_ref(&newer));
        }
        let mut book = restored([newer]);
        book.restore([answered("a", 0)], CALENDAR, at(0));
        assert_eq!(book.snapshot(CALENDAR, at(0))[0].heard_at(), Some(CALENDAR - 59), "known already");
    }

    #[test]
    fn of_too_many_hosts_the_latest_are_kept() {
        let hosts = (0..100_000).map(|number| answered(&format!("h{number}"), number));
        let book = restored(hosts);
        assert_eq!(book.len(), MAX_HOSTS);
        assert!(book.host(&host("h0")).is_some() && book.host(&host("h4096")).is_none());
    }

    #[test]
    fn numbers_of_any_size_are_harmless() {
        let time =
            |at| Some(RttSnapshot { srtt: Duration::MAX, rttvar: Duration::MAX, at, samples: u32::MAX });
        let huge = |at: u64| HostSnapshot {
            connect: time(at),
            reply: time(at),
            answered_at: Some(at),
            failed_at: Some(at),
            successes: u32::MAX,
            failures: u32::MAX,
            consecutive_failures: u32::MAX,
            trips: u32::MAX,
            is_backed_off: true,
            ..HostSnapshot::new(host("a"))
        };
        for moment in [0, CALENDAR, u64::MAX] {
            for calendar in [0, CALENDAR, u64::MAX] {
                let mut book = HealthBook::default();
                book.restore([huge(moment)], calendar, at(0));
                if let Some(host) = book.host(&host("a")) {
                    assert!(host.cost(&Config::default(), at(0)) < Duration::from_secs(1_000_000));
                }
                measured(&mut book, "a", sample(1, 1), at(1));
                fail(&mut book, "a", at(2));
                fail(&mut book, "a", at(3));
                book.snapshot(calendar, at(4));
            }
        }
    }
}
