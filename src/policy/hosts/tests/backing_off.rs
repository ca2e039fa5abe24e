//! When a host in back-off may be tried, and by which torrents.

use super::*;

#[test]
fn a_failure_backs_the_host_off_and_attempts_that_overlap_count_once() {
    for error in [refused(), silent()] {
        let mut hosts = hosts();
        answers(&mut hosts, 1, "a", (5, 5), 0);
        fails(&mut hosts, 1, "a", &error, (10, 11));
        assert!(!may(&hosts, 2, "a", NEW, 12), "{error}");
        let trips = |hosts: &Hosts| hosts.health().host(&host("a")).unwrap().breaker.trips();
        fails(&mut hosts, 2, "a", &error, (10, 12));
        assert_eq!(trips(&hosts), 1, "{error}");
    }
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
fn the_back_off_starts_anew_after_an_answer() {
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
    assert_eq!(longest(&mut hosts, 10_000), 1800);
    answers(&mut hosts, 1, "a", (5, 5), 20_000);
    assert_eq!(longest(&mut hosts, 20_001), 60);
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
