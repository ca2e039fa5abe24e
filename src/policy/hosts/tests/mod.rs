//! Hosts as torrents use them: what one learns, and which torrent may try next.

mod model;

use super::*;
use crate::error::{AnnounceError, Cause, Phase, Rejection, ReplyError, Retry};
use crate::tracker::TrackerUrl;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn url(name: &str) -> TrackerUrl {
    format!("http://{name}.test/a").parse().unwrap()
}

fn host(name: &str) -> TrackerHost {
    url(name).tracker_host()
}

fn id(number: u64) -> TorrentId {
    TorrentId::new(number)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(secs))
}

fn sample(connect: u64, first_byte: u64) -> Measurement {
    Measurement { connect: millis(connect), first_byte: millis(first_byte) }
}

fn hosts() -> Hosts {
    Hosts::new(Arc::new(Config::default()))
}

fn refused() -> AnnounceError {
    AnnounceError::Connect(Cause::new("connection refused"))
}

fn no_name() -> AnnounceError {
    AnnounceError::Resolve(Cause::new("no such name"))
}

fn silent() -> AnnounceError {
    AnnounceError::TimedOut(Phase::Open)
}

fn mute() -> AnnounceError {
    AnnounceError::TimedOut(Phase::Reply)
}

fn page() -> AnnounceError {
    AnnounceError::NotAReply(ReplyError::new("a dictionary", 0))
}

fn broken() -> AnnounceError {
    AnnounceError::Status { status: 502, retry: Retry::Unsaid }
}

/// The demand of a torrent that was never answered anywhere.
const NEW: Demand = Demand { needs_peers: true, failed_here: false, answered_at: None };
const SEED: Demand = Demand { needs_peers: false, ..NEW };
const FAILED: Demand = Demand { failed_here: true, ..SEED };

fn answered(secs: u64) -> Demand {
    Demand { answered_at: Some(at(secs)), ..SEED }
}

/// An attempt of a torrent at a host that began at one moment and failed at another, in seconds.
fn fails(
    hosts: &mut Hosts,
    torrent: u64,
    name: &str,
    error: &AnnounceError,
    (began, now): (u64, u64),
) -> Ended {
    let slot = slot(hosts, torrent, name, began);
    fails_with(hosts, slot, name, error, false, now)
}

fn fails_with(
    hosts: &mut Hosts,
    slot: Slot,
    name: &str,
    error: &AnnounceError,
    failed_before: bool,
    now: u64,
) -> Ended {
    let tracker = &url(name);
    let failed = Failed { verdict: Verdict::of(error), tracker, before: failed_before, random: 0.0 };
    hosts.finished(slot, Outcome::Failed(failed), at(now))
}

fn slot(hosts: &mut Hosts, torrent: u64, name: &str, now: u64) -> Slot {
    hosts.admit(&host(name), id(torrent), Priority::Stopped, at(now)).unwrap()
}

fn answers(hosts: &mut Hosts, torrent: u64, name: &str, took: (u64, u64), now: u64) {
    let slot = slot(hosts, torrent, name, now);
    hosts.finished(slot, Outcome::Answered(sample(took.0, took.1)), at(now));
}

/// The trial of a torrent whose turn it is.
fn tries(hosts: &mut Hosts, torrent: u64, name: &str, now: u64) -> Slot {
    let slot = slot(hosts, torrent, name, now);
    hosts.tried(&slot, false, at(now));
    slot
}

fn may(hosts: &Hosts, torrent: u64, name: &str, demand: Demand, now: u64) -> bool {
    hosts.earliest(&host(name), id(torrent), demand, at(now)) <= at(now)
}

/// How many seconds a torrent has to wait.
fn wait(hosts: &Hosts, torrent: u64, name: &str, demand: Demand, now: u64) -> u64 {
    let wait = hosts.earliest(&host(name), id(torrent), demand, at(now)).since(at(now));
    (wait + millis(1)).as_secs()
}

fn cost(hosts: &Hosts, name: &str, now: u64) -> Duration {
    hosts.rank(&host(name), at(now)).cost
}

#[test]
fn a_latency_is_fresh_until_it_is_old_or_the_host_fails() {
    let (mut hosts, lifetime) = (hosts(), Duration::from_secs(10));
    answers(&mut hosts, 1, "a", (5, 7), 1);
    let fresh = |hosts: &Hosts, now| hosts.health().fresh_latency(&host("a"), lifetime, at(now));
    assert_eq!((fresh(&hosts, 11), fresh(&hosts, 12)), (Some(millis(12)), None));
    fails(&mut hosts, 1, "a", &silent(), (2, 2));
    assert_eq!(fresh(&hosts, 3), None);
    answers(&mut hosts, 1, "a", (0, 7), 4);
    assert_eq!(fresh(&hosts, 5), Some(millis(12)), "the connection was reused");
    hosts.network_changed(at(5));
    assert_eq!(fresh(&hosts, 5), None, "in another network");
}

#[test]
fn a_definite_failure_counts_at_once_and_silence_of_a_trusted_host_twice() {
    let mut hosts = hosts();
    for name in ["refuses", "silent", "works"] {
        answers(&mut hosts, 1, name, (5, 5), 0);
    }
    fails(&mut hosts, 1, "refuses", &refused(), (10, 10));
    fails(&mut hosts, 1, "silent", &silent(), (10, 11));
    assert_eq!(["refuses", "silent"].map(|name| may(&hosts, 2, name, NEW, 12)), [false, true]);
    fails(&mut hosts, 2, "silent", &silent(), (10, 12));
    assert!(may(&hosts, 2, "silent", NEW, 12), "attempts that overlap count once");
    answers(&mut hosts, 1, "works", (5, 5), 12);
    fails(&mut hosts, 1, "silent", &silent(), (12, 13));
    assert!(!may(&hosts, 2, "silent", NEW, 13));
}

#[test]
fn a_failure_of_an_attempt_from_before_the_last_answer_does_not_count() {
    for error in [refused(), broken()] {
        let mut hosts = hosts();
        fails(&mut hosts, 7, "a", &broken(), (8, 8));
        answers(&mut hosts, 1, "a", (5, 5), 10);
        fails(&mut hosts, 1, "a", &error, (9, 11));
        assert!(may(&hosts, 2, "a", NEW, 11), "{error}");
    }
}

#[test]
fn a_lifeless_host_is_tried_later_each_time_and_sooner_by_those_that_need_peers() {
    let mut hosts = hosts();
    let mut now = 0;
    for longest in [60, 120, 240, 480, 960, 1800, 1800] {
        let slot = tries(&mut hosts, 1, "a", now);
        let tracker = &url("a");
        let failed =
            Failed { verdict: Verdict::of(&refused()), tracker, before: false, random: 0.999_999_999 };
        hosts.finished(slot, Outcome::Failed(failed), at(now));
        assert_eq!(wait(&hosts, 1, "a", SEED, now), longest);
        assert_eq!(wait(&hosts, 1, "a", NEW, now), longest.min(75));
        now += longest;
    }
}

/// R81: one torrent that a host doesn't serve is evidence about that torrent.
#[test]
fn one_torrent_without_an_answer_backs_no_host_off_and_two_do_until_an_answer() {
    for error in [page(), broken(), mute(), AnnounceError::Broken(Cause::new("reset"))] {
        let mut hosts = hosts();
        for round in 0..20 {
            fails(&mut hosts, 1, "a", &error, (round * 100, round * 100));
            assert!(may(&hosts, 2, "a", NEW, round * 100), "{error}");
        }
        answers(&mut hosts, 2, "a", (5, 5), 3000);
        fails(&mut hosts, 3, "a", &error, (3001, 3001));
        assert!(may(&hosts, 2, "a", NEW, 3001), "{error}: an answer between them");
        fails(&mut hosts, 1, "a", &error, (3002, 3002));
        assert!(hosts.is_backed_off(&host("a")), "{error}");
        answers(&mut hosts, 2, "a", (5, 5), 3003);
        assert!(!hosts.is_backed_off(&host("a")), "{error}");
    }
}

#[test]
fn a_refusal_of_a_torrent_shows_that_the_host_works() {
    let mut hosts = hosts();
    fails(&mut hosts, 1, "a", &refused(), (0, 0));
    fails(&mut hosts, 2, "a", &AnnounceError::Rejected(Rejection::new("unregistered")), (1, 1));
    assert!(may(&hosts, 3, "a", NEW, 1));
}

/// R81: the torrent that was answered there last has the first trial, then it goes round.
#[test]
fn torrents_that_have_not_failed_at_a_doubted_host_try_one_by_one() {
    let mut hosts = hosts();
    for torrent in [8, 9] {
        fails(&mut hosts, torrent, "a", &broken(), (0, 0));
    }
    let waiting = [(1, NEW), (2, answered(5)), (3, answered(6))];
    for (torrent, demand) in waiting {
        hosts.wait(&host("a"), id(torrent), demand);
    }
    let mut order = Vec::new();
    let mut now = Timestamp::ZERO;
    for _ in 0..3 {
        let (turn, torrent, _) = waiting
            .iter()
            .filter(|(torrent, _)| !order.contains(torrent))
            .map(|(torrent, demand)| {
                (hosts.earliest(&host("a"), id(*torrent), *demand, now), *torrent, demand.needs_peers)
            })
            .min()
            .unwrap();
        assert!(turn.since(now) <= Duration::from_secs(2), "{turn:?}");
        now = now.max(turn);
        order.push(torrent);
        let slot = hosts.admit(&host("a"), id(torrent), Priority::Stopped, now).unwrap();
        hosts.tried(&slot, false, now);
        for (other, demand) in waiting.iter().filter(|(other, _)| !order.contains(other)) {
            assert!(hosts.earliest(&host("a"), id(*other), *demand, now) > now, "one at a time");
        }
        let failed =
            Failed { verdict: Verdict::of(&broken()), tracker: &url("a"), before: false, random: 0.5 };
        hosts.finished(slot, Outcome::Failed(failed), now);
    }
    assert_eq!(order, [3, 2, 1]);
    assert!(may(&hosts, 9, "a", FAILED, 0), "torrents that failed there have their own back-off");
}

#[test]
fn one_torrent_tries_a_lifeless_host_and_the_others_wait_for_the_outcome() {
    let mut hosts = hosts();
    fails(&mut hosts, 1, "a", &refused(), (0, 0));
    let trial = tries(&mut hosts, 2, "a", 30);
    assert!((1..=2).contains(&(wait(&hosts, 3, "a", NEW, 31))));
    let stale = slot(&mut hosts, 3, "a", 29);
    hosts.finished(stale, Outcome::GaveUp, at(31));
    assert!(!may(&hosts, 3, "a", NEW, 31), "that wasn't the trial");
    hosts.finished(trial, Outcome::GaveUp, at(32));
    assert!(may(&hosts, 3, "a", NEW, 32), "the next may try");
    let trial = tries(&mut hosts, 3, "a", 32);
    fails_with(&mut hosts, trial, "a", &silent(), false, 33);
    assert!(!may(&hosts, 1, "a", NEW, 33));
    let trial = tries(&mut hosts, 1, "a", 70);
    hosts.finished(trial, Outcome::Answered(sample(5, 5)), at(70));
    assert!(may(&hosts, 2, "a", SEED, 70));
}

/// A torrent may list two trackers of one host. What ends without news beside its trial leaves the trial alone.
#[test]
fn a_trial_ends_with_its_own_attempt_and_with_no_other_of_its_torrent() {
    for outcome in [|| Outcome::Unused, || Outcome::GaveUp, || Outcome::OpenedLate(Duration::ZERO)] {
        for begins in [false, true] {
            let mut hosts = hosts();
            fails(&mut hosts, 1, "a", &refused(), (0, 0));
            let trial = tries(&mut hosts, 2, "a", 60);
            let other = slot(&mut hosts, 2, "a", 60);
            if begins {
                hosts.tried(&other, false, at(60));
            }
            hosts.finished(other, outcome(), at(61));
            assert!(!may(&hosts, 3, "a", NEW, 61), "{:?}, {begins}", outcome());
            hosts.finished(trial, Outcome::GaveUp, at(62));
            assert!(may(&hosts, 3, "a", NEW, 62), "{:?}, {begins}", outcome());
        }
    }
}

/// A host that shows life again lets all torrents in, whatever it answered to the one that tried.
#[test]
fn a_sign_of_life_ends_the_back_off_of_a_lifeless_host() {
    for (opening, error, lives) in [
        (20, mute(), true),
        (0, mute(), false),
        (0, page(), true),
        (0, broken(), true),
        (0, refused(), false),
    ] {
        let mut hosts = hosts();
        fails(&mut hosts, 1, "a", &refused(), (0, 0));
        let mut trial = tries(&mut hosts, 2, "a", 30);
        hosts.opened(&mut trial, at(30) + millis(opening));
        fails_with(&mut hosts, trial, "a", &error, false, 31);
        assert_eq!(may(&hosts, 3, "a", NEW, 31), lives, "{opening} {error}");
    }
}

#[test]
fn the_back_off_starts_anew_when_the_host_has_worked_for_a_minute() {
    let mut hosts = hosts();
    for round in 0..5 {
        let slot = tries(&mut hosts, 1, "a", round * 2000);
        fails_with(&mut hosts, slot, "a", &refused(), false, round * 2000);
    }
    let longest = |hosts: &mut Hosts, now| {
        let tracker = &url("a");
        let slot = slot(hosts, 1, "a", now);
        let failed =
            Failed { verdict: Verdict::of(&refused()), tracker, before: false, random: 0.999_999_999 };
        hosts.finished(slot, Outcome::Failed(failed), at(now));
        wait(hosts, 1, "a", SEED, now)
    };
    answers(&mut hosts, 1, "a", (5, 5), 10_000);
    answers(&mut hosts, 1, "a", (5, 5), 10_030);
    assert_eq!(longest(&mut hosts, 10_040), 1800, "it flaps");
    answers(&mut hosts, 1, "a", (5, 5), 20_000);
    answers(&mut hosts, 1, "a", (5, 5), 20_061);
    assert_eq!(longest(&mut hosts, 21_000), 60);
}

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

/// Only an answer shows that a lifeless host lives: on a kept connection an announce stalls at a dead one as well.
#[test]
fn a_stall_at_a_lifeless_host_is_no_evidence_before_the_attempt_ends() {
    let mut hosts = hosts();
    fails(&mut hosts, 1, "a", &refused(), (0, 0));
    let mut trial = tries(&mut hosts, 2, "a", 60);
    let tracker = url("a");
    let failed = Failed { verdict: Verdict::of(&mute()), tracker: &tracker, before: false, random: 0.0 };
    hosts.stalled(&mut trial, &failed, at(61));
    assert!(!may(&hosts, 3, "a", NEW, 61), "the trial goes on");
    hosts.finished(trial, Outcome::GaveUp, at(62));
    assert!(may(&hosts, 3, "a", NEW, 62));
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

#[test]
fn other_torrents_avoid_a_host_while_an_opening_is_silent() {
    let mut hosts = hosts();
    let mut waiting = slot(&mut hosts, 1, "a", 0);
    hosts.silent(&mut waiting, at(1));
    assert!(!may(&hosts, 2, "a", NEW, 1));
    hosts.opened(&mut waiting, at(2));
    assert!(may(&hosts, 2, "a", NEW, 2));
    hosts.silent(&mut waiting, at(3));
    answers(&mut hosts, 3, "a", (5, 5), 4);
    assert!(may(&hosts, 2, "a", NEW, 4), "it answers others");
    hosts.finished(waiting, Outcome::GaveUp, at(5));
    assert!(may(&hosts, 2, "a", NEW, 5));
}

/// Stalls of two torrents are evidence at once, and the torrents that queue behind them are taken out of the queue.
#[test]
fn a_host_where_two_torrents_stall_is_doubted_before_they_fail() {
    let mut hosts = hosts();
    let mut slots: Vec<Slot> = (1..=4)
        .map(|torrent| hosts.admit(&host("a"), id(torrent), Priority::Regular, at(0)).unwrap())
        .collect();
    assert!(hosts.admit(&host("a"), id(5), Priority::Regular, at(0)).is_none());
    let tracker = url("a");
    let failed = Failed { verdict: Verdict::of(&mute()), tracker: &tracker, before: false, random: 0.0 };
    assert!(hosts.stalled(&mut slots[0], &failed, at(2)) && !hosts.is_backed_off(&host("a")));
    assert!(hosts.stalled(&mut slots[1], &failed, at(3)) && hosts.is_backed_off(&host("a")));
    assert_eq!(hosts.next_evicted(), Some((id(5), host("a"))));
    for slot in slots {
        hosts.finished(slot, Outcome::Answered(sample(5, 5)), at(4));
    }
    assert!(!hosts.is_backed_off(&host("a")), "they were only slow");
}

#[test]
fn announces_that_stall_at_a_working_host_are_hedged_once_in_ten_seconds() {
    let mut hosts = hosts();
    let tracker = url("a");
    let failed = Failed { verdict: Verdict::of(&mute()), tracker: &tracker, before: false, random: 0.0 };
    let mut may_hedge = |now| {
        let mut slot = slot(&mut hosts, 1, "a", now);
        let may = hosts.stalled(&mut slot, &failed, at(now));
        hosts.finished(slot, Outcome::Alive, at(now));
        may
    };
    assert_eq!([0, 9, 10].map(&mut may_hedge), [true, false, true]);
}

/// R118: a relaxed announce waits for a stall no longer than for a silent opening.
#[test]
fn patience_follows_what_was_measured() {
    let mut hosts = hosts();
    let open = |hosts: &Hosts, urgency| hosts.open_patience(&host("a"), urgency, at(0)).0;
    let reply = |hosts: &Hosts, name, urgency| hosts.reply_patience(&host(name), urgency);
    assert_eq!(open(&hosts, Urgency::Urgent), millis(250));
    answers(&mut hosts, 1, "b", (320, 1), 0);
    assert_eq!(open(&hosts, Urgency::Urgent), millis(250), "another host is slow");
    answers(&mut hosts, 1, "a", (50, 400), 0);
    assert_eq!(open(&hosts, Urgency::Urgent), millis(150));
    assert_eq!(open(&hosts, Urgency::Relaxed), millis(2200));
    assert_eq!(reply(&hosts, "a", Urgency::Urgent), millis(1500), "one sample is not enough");
    assert_eq!(reply(&hosts, "a", Urgency::Relaxed), millis(4000));
    for _ in 0..2 {
        answers(&mut hosts, 1, "a", (50, 400), 0);
    }
    assert_eq!(reply(&hosts, "a", Urgency::Urgent), millis(850));
    assert_eq!(reply(&hosts, "a", Urgency::Relaxed), millis(2200));
    assert_eq!(reply(&hosts, "x", Urgency::Urgent), millis(1500));
}

/// G2: a host that answers is a good one, however few times it was tried.
#[test]
fn a_nearer_host_that_was_probed_once_goes_before_one_with_many_answers() {
    let mut hosts = hosts();
    for number in 0..20 {
        answers(&mut hosts, 1, "used", (60, 60), number);
    }
    answers(&mut hosts, 1, "near", (40, 40), 20);
    assert!(cost(&hosts, "near", 20) < cost(&hosts, "used", 20));
}

#[test]
fn the_cost_weighs_latency_and_reliability() {
    let mut hosts = hosts();
    for minute in 0..20 {
        for (name, latency) in [("near", 10), ("far", 100), ("flaky", 5)] {
            answers(&mut hosts, 1, name, (latency, latency), minute * 60);
        }
        if minute % 2 == 0 {
            fails(&mut hosts, 1, "flaky", &refused(), (minute * 60 + 1, minute * 60 + 1));
            answers(&mut hosts, 1, "flaky", (5, 5), minute * 60 + 2);
        }
    }
    let now = 20 * 60;
    let costs = |hosts: &Hosts, now| ["near", "far", "flaky"].map(|name| cost(hosts, name, now));
    let [near, far, flaky] = costs(&hosts, now);
    assert!(near < flaky && near < far && far < cost(&hosts, "unknown", now));
    fails(&mut hosts, 1, "near", &refused(), (now, now));
    assert!(cost(&hosts, "near", now) < far, "one failure says little of it");
    let rank = |name| hosts.rank(&host(name), at(now));
    assert!(
        rank("near") > rank("flaky") && rank("near") > rank("unknown"),
        "its back-off puts it behind all others"
    );
}

/// R85: the cost of a host at which many torrents queue includes the wait.
#[test]
fn the_wait_for_a_busy_host_is_part_of_its_cost() {
    let mut hosts = hosts();
    answers(&mut hosts, 1, "near", (5, 5), 0);
    answers(&mut hosts, 1, "far", (20, 20), 0);
    assert!(hosts.rank(&host("near"), at(10)) < hosts.rank(&host("far"), at(10)));
    for torrent in 0..25 {
        let _ = hosts.admit(&host("near"), id(torrent), Priority::WantsPeers, at(10));
    }
    assert!(hosts.rank(&host("near"), at(10)) > hosts.rank(&host("far"), at(10)));
}

#[test]
fn failures_of_days_ago_count_little() {
    let mut hosts = hosts();
    for minute in 0..20 {
        fails(&mut hosts, 1, "was-flaky", &refused(), (minute * 60, minute * 60));
        answers(&mut hosts, 1, "was-flaky", (10, 10), minute * 60 + 1);
    }
    for name in ["was-flaky", "new"] {
        answers(&mut hosts, 1, name, (10, 10), 5 * DAY);
    }
    let [was_flaky, new] = ["was-flaky", "new"].map(|name| cost(&hosts, name, 5 * DAY));
    assert!(was_flaky < new + millis(20), "{was_flaky:?}, {new:?}");
}

#[test]
fn in_another_network_the_first_sample_replaces_what_was_measured() {
    let mut hosts = hosts();
    for second in 0..5 {
        answers(&mut hosts, 1, "a", (10, 10), 5 * HOUR - 5 + second);
    }
    hosts.network_changed(at(5 * HOUR));
    answers(&mut hosts, 1, "a", (200, 200), 5 * HOUR + 1);
    let latency = hosts.health().host(&host("a")).and_then(HostHealth::latency);
    assert!(latency > Some(millis(390)), "{latency:?}");
}

/// R91: a prober may report any time.
#[test]
fn measurements_are_bounded() {
    let mut hosts = hosts();
    for took in [Duration::MAX, Duration::ZERO, Duration::MAX] {
        let measurement = Measurement { connect: took, first_byte: took };
        hosts.probed(&host("a"), Ok(measurement), at(0), 0.0, at(1));
        assert!(
            hosts.health().host(&host("a")).and_then(HostHealth::latency) <= Some(Duration::from_secs(120))
        );
        assert!(hosts.rank(&host("a"), at(1)) < hosts.rank(&host("unknown"), at(1)));
    }
}

#[test]
fn the_number_of_hosts_is_bounded() {
    let mut book = HealthBook::default();
    for n in 0..health::MAX_HOSTS + 10 {
        book.entry(&host(&format!("h{n}"))).succeeded(Timestamp::from_micros(n as u64));
    }
    assert_eq!(book.len(), health::MAX_HOSTS);
    assert!(book.host(&host("h0")).is_none() && book.host(&host("h20")).is_some());
}
