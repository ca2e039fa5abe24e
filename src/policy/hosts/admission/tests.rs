//! The limits of hosts: attempts at once, pace, and the order of the queue.

use super::*;
use crate::tracker::TrackerUrl;

fn host(url: &str) -> TrackerHost {
    url.parse::<TrackerUrl>().unwrap().tracker_host()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1000)
}

fn id(number: u64) -> TorrentId {
    TorrentId::new(number)
}

fn roomy() -> Config {
    Config::default().connections_per_host(1000)
}

#[test]
fn at_most_four_attempts_at_once_and_the_next_when_one_ends() {
    let (mut limiter, config, host) = (HostLimiter::default(), Config::default(), host("http://a.test/"));
    let admitted: Vec<bool> =
        (0..6).map(|n| limiter.admit(&host, id(n), Priority::Regular, &config, at(0))).collect();
    assert_eq!(admitted, [true, true, true, true, false, false]);
    assert_eq!((limiter.next_admitted(&config, at(0)), limiter.wake()), (None, None));
    limiter.release(&host, false, &config, at(7));
    assert_eq!(limiter.next_admitted(&config, at(7)), Some((id(4), host.clone())));
    assert_eq!(limiter.next_admitted(&config, at(7)), None);
    limiter.leave(&host, id(5), &config, at(7));
    limiter.release(&host, false, &config, at(8));
    assert_eq!(limiter.next_admitted(&config, at(8)), None, "it has left the queue");
}

#[test]
fn a_burst_of_twenty_and_then_twenty_a_second() {
    let (mut limiter, config, host) = (HostLimiter::default(), roomy(), host("http://a.test/"));
    let admit = |n| limiter.admit(&host, id(n), Priority::Regular, &config, at(0));
    assert_eq!((0..100).map(admit).filter(|admitted| *admitted).count(), 20);
    assert_eq!(limiter.expected_wait(&host, Duration::ZERO, &config, at(0)), Duration::from_millis(50 * 81));
    let mut admitted = Vec::new();
    while let Some(wake) = limiter.wake()
        && let Some((torrent, _)) = limiter.next_admitted(&config, wake)
    {
        admitted.push((wake.as_micros() / 1000, torrent));
    }
    assert_eq!(admitted.len(), 80);
    assert_eq!((admitted[0], admitted[1], admitted[79]), ((50, id(20)), (100, id(21)), (4000, id(99))));
}

/// With four places of a second each, four are admitted in a second.
#[test]
fn the_expected_wait_counts_places_that_are_held_for_long() {
    let (mut limiter, config, host) = (HostLimiter::default(), Config::default(), host("http://a.test/"));
    let expected = |limiter: &HostLimiter| {
        limiter.expected_wait(&host, Duration::from_secs(1), &config, at(0)).as_millis()
    };
    let mut waits = Vec::new();
    for number in 0..8 {
        waits.push(expected(&limiter));
        limiter.admit(&host, id(number), Priority::WantsPeers, &config, at(0));
    }
    assert_eq!(waits, [0, 0, 0, 0, 250, 500, 750, 1000]);
    assert_eq!(limiter.expected_wait(&host, Duration::MAX, &config, at(0)), Duration::MAX / 4);
    let before = expected(&limiter);
    for (number, priority) in (10..).zip([Priority::Beside, Priority::Retry]) {
        limiter.admit(&host, id(number), priority, &config, at(0));
    }
    assert_eq!(expected(&limiter), before, "these give way");
    limiter.leave(&host, id(10), &config, at(0));
    limiter.leave(&host, id(7), &config, at(0));
    assert_eq!(expected(&limiter), before - 250);
}

#[test]
fn those_that_want_peers_are_admitted_first() {
    let (mut limiter, host) = (HostLimiter::default(), host("http://a.test/"));
    let config = Config::default().connections_per_host(1);
    assert!(limiter.admit(&host, id(0), Priority::Regular, &config, at(0)));
    let priorities =
        [Priority::Retry, Priority::Regular, Priority::Completed, Priority::WantsPeers, Priority::Stopped];
    for (number, priority) in (1..).zip(priorities) {
        assert!(!limiter.admit(&host, id(number), priority, &config, at(0)));
    }
    let mut order = Vec::new();
    for _ in 0..5 {
        limiter.release(&host, false, &config, at(1000));
        order.extend(limiter.next_admitted(&config, at(1000)).map(|(torrent, _)| torrent));
    }
    assert_eq!(order, [id(5), id(4), id(3), id(2), id(1)]);
}

/// A stream of torrents that want peers, as fast as the host takes them, keeps no regular announce out.
#[test]
fn a_regular_announce_waits_for_a_bounded_time_beside_urgent_ones() {
    let (mut limiter, config, host) = (HostLimiter::default(), roomy(), host("http://a.test/"));
    for number in 0..30 {
        limiter.admit(&host, id(number), Priority::WantsPeers, &config, at(0));
    }
    limiter.admit(&host, id(1000), Priority::Regular, &config, at(0));
    let admitted = (1..600_u64).find(|turn| {
        let now = at(turn * 50);
        limiter.admit(&host, id(1000 + turn), Priority::WantsPeers, &config, now);
        limiter.next_admitted(&config, now).is_some_and(|(torrent, _)| torrent == id(1000))
    });
    assert!(admitted.is_some_and(|turn| (200..240).contains(&turn)), "{admitted:?}");
}

#[test]
fn a_full_host_delays_no_torrent_at_another() {
    let (mut limiter, config) = (HostLimiter::default(), Config::default());
    for number in 0..60 {
        limiter.admit(&host("http://stalled.test/"), id(number), Priority::WantsPeers, &config, at(0));
    }
    assert!(limiter.admit(&host("http://well.test/"), id(60), Priority::Regular, &config, at(0)));
    limiter.release(&host("http://well.test/"), false, &config, at(60_000));
    assert_eq!(limiter.wake(), None, "nothing happens at the stalled one by the passing of time");
}

/// R88: also if its last attempt ended before its pace allowed another.
#[test]
fn a_host_that_is_not_in_use_is_dropped() {
    for left_at in [0, 49, 60_000] {
        let (mut limiter, config) = (HostLimiter::default(), Config::default());
        for number in 0..50_000 {
            let host = host(&format!("http://h{number}.test/"));
            limiter.admit(&host, id(number), Priority::Regular, &config, at(number * 100));
            limiter.release(&host, false, &config, at(number * 100 + left_at));
        }
        assert!(limiter.by_host.len() <= FEW && limiter.due.is_empty(), "{left_at}");
    }
}

/// Announces without an answer don't keep the others out, and don't pile up without bound.
#[test]
fn an_attempt_without_an_answer_frees_its_place_up_to_a_bound() {
    let (mut limiter, config, host) = (HostLimiter::default(), Config::default(), host("http://a.test/"));
    let mut admitted = 0;
    for number in 0..100 {
        if limiter.admit(&host, id(number), Priority::Stopped, &config, at(0)) {
            admitted += 1;
            limiter.yield_place(&host, &config, at(0));
        }
    }
    assert_eq!(admitted, MAX_YIELDED + 4);
    limiter.release(&host, true, &config, at(1));
    assert_eq!(limiter.next_admitted(&config, at(1)), None, "its place was given away");
    assert!(limiter.yield_place(&host, &config, at(1)));
    assert!(limiter.next_admitted(&config, at(1)).is_some());
}
