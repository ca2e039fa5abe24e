//! What the book of hosts hands on to the next run, and what it takes from the last.

use std::collections::BTreeMap;
use std::time::Duration;

use super::breaker::Breaker;
use super::health::{HealthBook, HostHealth, MAX_HOSTS, MAX_LATENCY};
use super::rtt::RttEstimate;
use crate::host_snapshot::{HostSnapshot, RttSnapshot};
use crate::time::Timestamp;
use crate::tracker::TrackerHost;

/// A moment further ahead than this was noted by a clock that was wrong.
const CLOCK_ERROR: u64 = 5 * 60;

impl HealthBook {
    /// How long a host is remembered that nothing is heard of: by then the odds are as good as unknown.
    pub const MEMORY: Duration = Duration::from_secs(7 * 24 * 3600);

    /// Goes up whenever something is learned: to see whether there is something to be kept.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What is worth keeping for the next run, the host heard of last first. `calendar` is the present moment in
    /// seconds since 1970.
    pub fn remembered(&self, calendar: u64, now: Timestamp) -> Vec<HostSnapshot> {
        let then = |moment: Timestamp| calendar.saturating_sub(now.since(moment).as_secs());
        let hosts = self.hosts.iter().map(|(host, health)| health.remembered(host.clone(), then));
        Self::worth_keeping(hosts, calendar)
    }

    /// Takes over what an earlier run knew. Hosts that are known already stay as they are.
    ///
    /// What is older than [`MEMORY`](Self::MEMORY) is dropped; counts fade on. A host that was being left alone
    /// may be tried at once, by one. Of moments that lie ahead only the clock is known, and that it was wrong: they
    /// count as the present, and failures in a row with them as none.
    ///
    /// Moments before [`Timestamp::ZERO`] can't be told and are dropped as well: to recall everything, the
    /// engine's clock has to start at `MEMORY` or later.
    pub fn recall(&mut self, hosts: impl IntoIterator<Item = HostSnapshot>, calendar: u64, now: Timestamp) {
        for remembered in Self::worth_keeping(hosts, calendar) {
            if self.hosts.len() >= MAX_HOSTS {
                return;
            }
            if let Some(health) = HostHealth::recalled(&remembered, calendar, now) {
                self.hosts.entry(remembered.host).or_insert(health);
            }
        }
    }

    /// Each host once, as it was heard of last, the latest host first: what to write where several have
    /// something to remember. Drops what is older than [`MEMORY`](Self::MEMORY), and hosts beyond 4096.
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
    fn remembered(&self, host: TrackerHost, then: impl Fn(Timestamp) -> u64) -> HostSnapshot {
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
            consecutive_failures: self.consecutive,
            openings: self.breaker.openings(),
            is_backed_off: self.is_backed_off(),
        }
    }

    /// `None` where nothing of it can be told in the engine's time.
    fn recalled(remembered: &HostSnapshot, calendar: u64, now: Timestamp) -> Option<Self> {
        let moment = |at: u64| {
            let age = Duration::from_secs(calendar.saturating_sub(at));
            let tellable = age <= HealthBook::MEMORY && age <= now.since(Timestamp::ZERO);
            tellable.then(|| now.before(age))
        };
        let estimate = |time: RttSnapshot| {
            let (srtt, rttvar) = (time.srtt.min(MAX_LATENCY), time.rttvar.min(MAX_LATENCY));
            moment(time.at).map(|at| RttEstimate::recalled(srtt, rttvar, at, time.samples))
        };
        let answered_at = remembered.answered_at.and_then(moment);
        let mut failed_at = remembered.failed_at.and_then(moment);
        let consecutive = if is_ahead(remembered, calendar) { 0 } else { remembered.consecutive_failures };
        if consecutive > 0 && failed_at.is_some() {
            // Both may have been in the same second, and which came first matters.
            failed_at = failed_at.max(answered_at.map(|answered_at| answered_at + Duration::from_micros(1)));
        }
        let health = Self {
            connect: remembered.connect.and_then(estimate),
            reply: remembered.reply.and_then(estimate),
            successes: f64::from(remembered.successes) / 1000.0,
            failures: f64::from(remembered.failures) / 1000.0,
            // Whatever is counted is counted in the moment of an answer or a failure.
            counted_at: answered_at.max(failed_at)?,
            consecutive,
            answered_at,
            failed_at,
            breaker: Breaker::recalled(remembered.openings, remembered.is_backed_off, now),
            ..Self::default()
        };
        Some(health)
    }
}

/// Whether a clock that was wrong has noted any of it.
fn is_ahead(host: &HostSnapshot, calendar: u64) -> bool {
    host.heard_at().is_some_and(|at| at > calendar.saturating_add(CLOCK_ERROR))
}

/// When a host was heard of, as far as its clock can be trusted.
fn trusted_at(host: &HostSnapshot, calendar: u64) -> Option<u64> {
    host.heard_at().filter(|_| !is_ahead(host, calendar))
}

fn is_recent(host: &HostSnapshot, calendar: u64) -> bool {
    host.heard_at().is_some_and(|at| calendar.saturating_sub(at) <= HealthBook::MEMORY.as_secs())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds of u32")]
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

    /// This many seconds after the start of an engine that can tell everything.
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

    fn recalled(hosts: impl IntoIterator<Item = HostSnapshot>) -> HealthBook {
        let mut book = HealthBook::default();
        book.recall(hosts, CALENDAR, at(0));
        book
    }

    #[test]
    fn the_next_run_knows_what_the_last_one_knew() {
        let mut book = HealthBook::default();
        measured(&mut book, "a", sample(5, 7), at(10));
        measured(&mut book, "a", sample(6, 9), at(3000));
        fail(&mut book, "a", at(3500));
        fail(&mut book, "b", at(3600));
        let remembered = book.remembered(CALENDAR, at(4000));
        assert_eq!(remembered.iter().map(|host| host.host.host()).collect::<Vec<_>>(), ["b.test", "a.test"]);
        let next = recalled(remembered.clone());
        assert_eq!(next.remembered(CALENDAR, at(0)), remembered, "and so does the one after it");
        let scores = |book: &HealthBook, now| ["a", "b"].map(|name| cost(book, name, now));
        assert_eq!(
            scores(&next, at(0)).map(|score| score.as_millis()),
            scores(&book, at(4000)).map(|score| score.as_millis())
        );
    }

    #[test]
    fn a_latency_stays_fresh_for_as_long_as_within_a_run() {
        let book = recalled([answered("new", 5 * HOUR), answered("old", 7 * HOUR)]);
        assert_eq!(fresh(&book, "new", at(0)), Some(millis(12)));
        assert_eq!(fresh(&book, "new", at(HOUR)), Some(millis(12)));
        assert_eq!(fresh(&book, "new", at(HOUR + 1)), None);
        assert_eq!(fresh(&book, "old", at(0)), None);
        assert_eq!(book.host(&host("old")).unwrap().latency(), Some(millis(12)), "it orders all the same");
    }

    #[test]
    fn what_is_older_than_a_week_is_dropped() {
        let book = recalled([answered("a", 7 * DAY), answered("b", 7 * DAY + 1)]);
        assert!(book.host(&host("a")).is_some() && book.host(&host("b")).is_none());
        let partly = HostSnapshot { failed_at: Some(CALENDAR - HOUR), ..answered("a", 8 * DAY) };
        let mut book = HealthBook::default();
        book.recall([partly], CALENDAR, at(30 * DAY));
        let health = book.host(&host("a")).unwrap();
        assert_eq!((health.latency(), health.answered_at()), (None, None));
        assert!(health.failed_at().is_some());
        let mut book = HealthBook::default();
        measured(&mut book, "a", sample(5, 7), at(0));
        assert_eq!(book.remembered(CALENDAR, at(7 * DAY)).len(), 1);
        assert_eq!(book.remembered(CALENDAR, at(7 * DAY + 1)), []);
    }

    /// A clock that was ahead when the file was written, or is behind now.
    #[test]
    fn moments_ahead_count_as_the_present_and_failures_in_a_row_as_none() {
        let ahead = |secs: u64| HostSnapshot {
            failed_at: Some(CALENDAR + secs),
            consecutive_failures: 4,
            failures: 4000,
            is_backed_off: true,
            openings: 3,
            ..answered("a", DAY)
        };
        let consecutive = |secs| recalled([ahead(secs)]).host(&host("a")).unwrap().consecutive;
        assert_eq!((consecutive(CLOCK_ERROR), consecutive(CLOCK_ERROR + 1), consecutive(1 << 60)), (4, 0, 0));
        let book = recalled([ahead(1 << 40)]);
        let health = book.host(&host("a")).unwrap();
        assert_eq!(health.failed_at(), Some(at(0)));
        assert!(health.is_backed_off(), "what is counted in the other way stays");
    }

    #[test]
    fn a_host_that_was_left_alone_may_be_tried_at_once_by_one() {
        let mut book = HealthBook::default();
        for second in 0..5 {
            fail(&mut book, "a", at(second));
        }
        let is_free = |book: &HealthBook, now| earliest(book, "a", now) <= now;
        assert!(!is_free(&book, at(5)));
        let mut book = recalled(book.remembered(CALENDAR, at(5)));
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
            let next = recalled(book.remembered(CALENDAR, at(1)));
            assert_eq!(fresh(&next, "a", at(0)).is_some(), is_fresh);
        }
    }

    #[test]
    fn counts_fade_on() {
        let counted = HostSnapshot { successes: 90_000, failures: 0, ..answered("a", DAY) };
        let book = recalled([counted]);
        let odds = book.host(&host("a")).unwrap().odds_of_failure(at(0));
        let expected = PRIOR_FAILURES / (90.0 * (-1.0_f64).exp() + 1.0);
        assert!((odds - expected).abs() < 1e-6, "{odds} {expected}");
    }

    /// An engine whose clock starts at zero can't tell what was before: it starts cold instead of taking the old
    /// for new.
    #[test]
    fn what_was_before_the_engines_time_is_dropped() {
        let mut book = HealthBook::default();
        let now = Timestamp::ZERO + Duration::from_secs(HOUR);
        book.recall([answered("a", HOUR), answered("b", HOUR + 1)], CALENDAR, now);
        assert_eq!(fresh(&book, "a", now), Some(millis(12)));
        assert!(book.host(&host("b")).is_none());
    }

    #[test]
    fn the_one_heard_of_last_is_kept() {
        let older = HostSnapshot { failed_at: Some(CALENDAR - 60), ..answered("a", DAY) };
        let newer = answered("a", 59);
        let ahead = HostSnapshot { failed_at: Some(CALENDAR + DAY), ..answered("a", DAY) };
        for hosts in [[&older, &newer, &ahead], [&newer, &ahead, &older], [&ahead, &older, &newer]] {
            let kept = HealthBook::worth_keeping(hosts.map(Clone::clone), CALENDAR);
            assert_eq!(kept, std::slice::from_ref(&newer));
        }
        let mut book = recalled([newer]);
        book.recall([answered("a", 0)], CALENDAR, at(0));
        assert_eq!(book.remembered(CALENDAR, at(0))[0].heard_at(), Some(CALENDAR - 59), "known already");
    }

    #[test]
    fn of_too_many_the_latest_are_taken() {
        let hosts = (0..100_000).map(|number| answered(&format!("h{number}"), number));
        let book = recalled(hosts);
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
            openings: u32::MAX,
            is_backed_off: true,
            ..HostSnapshot::new(host("a"))
        };
        for moment in [0, CALENDAR, u64::MAX] {
            for calendar in [0, CALENDAR, u64::MAX] {
                let mut book = HealthBook::default();
                book.recall([huge(moment)], calendar, at(0));
                if let Some(host) = book.host(&host("a")) {
                    assert!(host.cost(&Config::default(), at(0)) < Duration::from_secs(1_000_000));
                }
                measured(&mut book, "a", sample(1, 1), at(1));
                fail(&mut book, "a", at(2));
                fail(&mut book, "a", at(3));
                book.remembered(calendar, at(4));
            }
        }
    }
}
