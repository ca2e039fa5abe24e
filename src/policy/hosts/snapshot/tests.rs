//! What one run leaves to the next.

use super::*;
use crate::policy::config::Config;
use crate::policy::hosts::Demand;
use crate::policy::hosts::slot::SlotId;
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
    book.entry(&host(name)).failed(&Config::default(), 0.5, now);
}

fn cost(book: &HealthBook, name: &str) -> Duration {
    book.host(&host(name)).unwrap().cost()
}

/// When a torrent may try a host.
fn earliest(book: &HealthBook, name: &str, now: Timestamp) -> Timestamp {
    let demand = Demand { needs_peers: false, failed_here: false, answered_at: None };
    book.host(&host(name)).unwrap().breaker.earliest(TorrentId::new(1), demand, millis(250), now)
}

fn fresh(book: &HealthBook, name: &str, now: Timestamp) -> Option<Duration> {
    book.fresh_latency(&host(name), Duration::from_secs(6 * 3600), now)
}

/// A host that answered this long ago.
fn answered(name: &str, secs_ago: u64) -> HostSnapshot {
    let at = CALENDAR - secs_ago;
    let time = |srtt| Some(RttSnapshot { srtt: millis(srtt), rttvar: millis(1), at, samples: 1 });
    HostSnapshot { connect: time(5), reply: time(7), answered_at: Some(at), ..HostSnapshot::new(host(name)) }
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
    let costs = |book: &HealthBook| ["a", "b"].map(|name| cost(book, name));
    assert_eq!(costs(&next), costs(&book));
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
        is_backed_off: true,
        trips: 3,
        ..answered("a", DAY)
    };
    let consecutive_failures = |secs| restored([ahead(secs)]).host(&host("a")).unwrap().consecutive_failures;
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
    let time = |at| Some(RttSnapshot { srtt: Duration::MAX, rttvar: Duration::MAX, at, samples: u32::MAX });
    let huge = |at: u64| HostSnapshot {
        connect: time(at),
        reply: time(at),
        answered_at: Some(at),
        failed_at: Some(at),
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
                assert!(host.cost() < Duration::from_secs(1_000_000));
            }
            measured(&mut book, "a", sample(1, 1), at(1));
            fail(&mut book, "a", at(2));
            fail(&mut book, "a", at(3));
            book.snapshot(calendar, at(4));
        }
    }
}
