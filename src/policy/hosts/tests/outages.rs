//! Failures that our own network or machine causes.

use super::*;
use crate::tracker::AddressFamily;

/// R80: three dead hosts of one torrent look like a dead network. That withholds blame, and delays no torrent.
#[test]
fn an_outage_delays_no_torrent_whose_host_has_not_failed() {
    for error in [no_name(), silent()] {
        let mut hosts = hosts();
        answers(&mut hosts, 1, "well", (5, 5), 0);
        let mut news = Vec::new();
        for (number, name) in (10..).zip(["x", "y", "z"]) {
            news.extend(fails(&mut hosts, number, name, &error, (100, 101)).outage);
        }
        assert_eq!(news, [OutageNews::Began], "{error}");
        assert!(hosts.is_outage() && may(&hosts, 1, "well", answered(0), 101), "{error}");
        assert!(may(&hosts, 1, "unknown", NEW, 101), "{error}");
        assert_eq!(["x", "y", "z"].map(|name| may(&hosts, 1, name, NEW, 101)), [false; 3], "{error}");
        let looks = ["x", "y", "z"].map(|name| wait(&hosts, 1, name, SEED, 101));
        assert!(looks.iter().all(|look| *look <= 5), "{error}: {looks:?}");
        let trial = tries(&mut hosts, 1, "x", 110);
        assert!(!may(&hosts, 2, "x", NEW, 110), "{error}: one attempt a look at each host");
        assert!(fails_with(&mut hosts, trial, "x", &error, false, 111).withheld);
        assert!(wait(&hosts, 1, "x", SEED, 111) <= 10, "{error}");
        let slot = slot(&mut hosts, 1, "well", 112);
        let ended = hosts.finished(slot, Outcome::Answered(sample(5, 5)), at(112));
        assert_eq!(ended.outage, Some(OutageNews::Ended), "{error}");
        assert!(["x", "y", "z"].into_iter().all(|name| may(&hosts, 1, name, SEED, 112)), "{error}");
    }
}

/// A captive portal answers in place of all hosts with a page. An answer to one torrent backs the host off for no
/// other.
#[test]
fn pages_of_three_hosts_are_an_outage_that_delays_no_torrent() {
    let mut hosts = hosts();
    let mut news = Vec::new();
    for (number, name) in (10..).zip(["x", "y", "z"]) {
        news.extend(fails(&mut hosts, number, name, &page(), (100, 101)).outage);
    }
    assert_eq!(news, [OutageNews::Began]);
    for torrent in 1..5 {
        let ended = fails(&mut hosts, torrent, "x", &page(), (110, 111));
        assert!(ended.withheld && may(&hosts, 9, "x", NEW, 111));
    }
}

/// R102: no host is blamed for what this machine lacks. It is tried again soon, but not without pause.
#[test]
fn errors_of_this_machine_back_no_host_off() {
    let mut hosts = hosts();
    answers(&mut hosts, 1, "a", (5, 5), 0);
    let mut waits = Vec::new();
    let mut now = 100;
    for _ in 0..6 {
        let trial = tries(&mut hosts, 1, "a", now);
        let ended = fails_with(
            &mut hosts,
            trial,
            "a",
            &AnnounceError::Local(Cause::new("no descriptor")),
            false,
            now,
        );
        assert!(ended.withheld);
        waits.push(wait(&hosts, 2, "a", SEED, now));
        now += 60;
    }
    assert_eq!(waits, [3, 7, 15, 22, 22, 22]);
    assert_eq!(hosts.health().host(&host("a")).unwrap().failed_at(), None);
}

/// R81: one torrent alone makes no host doubted, and its trial ends with it, also if this machine failed at the host
/// before.
#[test]
fn one_torrent_without_an_answer_keeps_no_other_from_a_host_that_was_not_blamed() {
    for failed_before in [false, true] {
        for error in [mute(), page(), broken()] {
            let mut hosts = hosts();
            let local = AnnounceError::Local(Cause::new("no descriptor"));
            fails(&mut hosts, 1, "a", &local, (0, 0));
            let slot = slot(&mut hosts, 2, "a", 60);
            hosts.tried(&slot, failed_before, at(60));
            fails_with(&mut hosts, slot, "a", &error, failed_before, 61);
            assert!(!hosts.is_backed_off(&host("a")), "{error}, {failed_before}");
            assert!(may(&hosts, 3, "a", SEED, 61), "{error}, {failed_before}");
        }
    }
}

/// R100: an attempt from before a gap in which this process didn't run may have timed out only because of the gap.
#[test]
fn no_host_is_blamed_for_attempts_from_before_a_gap() {
    for error in [refused(), silent(), mute(), broken()] {
        let mut hosts = hosts();
        let mut slots: Vec<Slot> = (1..=2).map(|torrent| slot(&mut hosts, torrent, "a", 90)).collect();
        for slot in &mut slots {
            slot.extend(Duration::from_secs(10));
        }
        hosts.resumed(at(100));
        for slot in slots {
            assert!(fails_with(&mut hosts, slot, "a", &error, false, 103).withheld, "{error}");
        }
        assert!(may(&hosts, 3, "a", NEW, 103), "{error}");
        for torrent in 1..=2 {
            fails(&mut hosts, torrent, "a", &error, (104, 105));
        }
        assert!(hosts.is_backed_off(&host("a")), "{error}");
    }
}

/// Many machines have no way to IPv6, and trackers with both address families have two hosts.
#[test]
fn trackers_that_are_dead_over_a_second_address_family_are_no_outage() {
    let over_ipv6 = |name: &str| url(name).over(AddressFamily::Ipv6);
    let mut hosts = hosts();
    for (number, name) in (10..).zip(["x", "y", "z"]) {
        let tracker = over_ipv6(name);
        let slot = hosts.admit(tracker.host_key(), id(number), Priority::Beside, at(100)).unwrap();
        let failed =
            Failed { verdict: Verdict::of(&silent()), tracker: &tracker, before: false, random: 0.0 };
        assert_eq!(hosts.finished(slot, Outcome::Failed(failed), at(101)), Ended::default(), "{name}");
        assert!(hosts.is_backed_off(tracker.host_key()) && !hosts.is_backed_off(&host(name)), "{name}");
    }
    fails(&mut hosts, 1, "x", &silent(), (100, 101));
    let ended = fails(&mut hosts, 2, "y", &silent(), (100, 101));
    assert_eq!(ended.outage, Some(OutageNews::Began), "of the two that are known");
}
