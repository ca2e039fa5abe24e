//! Latency, patience and the order of failover.

use super::*;

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

/// R118: a relaxed announce waits for a stall no longer than for a silent opening.
#[test]
fn patience_follows_what_was_measured() {
    let mut hosts = hosts();
    let open = |hosts: &Hosts, urgency| hosts.open_patience(&host("a"), urgency).0;
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
    assert!(cost(&hosts, "near") < cost(&hosts, "used"));
}

#[test]
fn the_nearer_goes_first_and_hosts_in_back_off_come_last() {
    let mut hosts = hosts();
    for (name, latency) in [("near", 10), ("far", 100)] {
        answers(&mut hosts, 1, name, (latency, latency), 0);
    }
    assert!(cost(&hosts, "near") < cost(&hosts, "far") && cost(&hosts, "far") < cost(&hosts, "unknown"));
    fails(&mut hosts, 1, "near", &refused(), (1, 1));
    let rank = |name| hosts.rank(&host(name), at(1));
    assert!(rank("near") > rank("far") && rank("near") > rank("unknown"));
}

/// R85: a host at which many torrents queue comes after one that is free. Below two seconds the nearest stays first.
#[test]
fn a_host_with_a_long_queue_comes_after_a_farther_one() {
    let mut hosts = hosts();
    answers(&mut hosts, 1, "near", (5, 5), 0);
    answers(&mut hosts, 1, "far", (20, 20), 0);
    let nearest_is_first =
        |hosts: &Hosts| hosts.rank(&host("near"), at(10)) < hosts.rank(&host("far"), at(10));
    assert!(nearest_is_first(&hosts));
    // Twenty at once, and then twenty a second.
    let admit = |hosts: &mut Hosts, torrent| {
        let _ = hosts.admit(&host("near"), id(torrent), Priority::WantsPeers, at(10));
    };
    (0..58).for_each(|torrent| admit(&mut hosts, torrent));
    assert!(nearest_is_first(&hosts));
    admit(&mut hosts, 58);
    assert!(!nearest_is_first(&hosts));
    assert!(hosts.rank(&host("near"), at(10)) > hosts.rank(&host("unknown"), at(10)));
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

/// A slot that was given back before its attempt began sent nothing to the host.
#[test]
fn a_slot_that_was_not_used_is_no_request() {
    let mut hosts = hosts();
    let rate = |hosts: &Hosts| hosts.statuses(&BTreeMap::new(), at(60))[0].requests_per_second;
    answers(&mut hosts, 1, "a", (5, 5), 50);
    let one = rate(&hosts);
    for number in 0..20 {
        let unused = slot(&mut hosts, number, "a", 50);
        hosts.finished(unused, Outcome::Unused, at(50));
    }
    assert!((rate(&hosts) - one).abs() < 1e-9, "{} requests a second", rate(&hosts));
    let begun = slot(&mut hosts, 2, "a", 50);
    hosts.finished(begun, Outcome::GaveUp, at(50));
    assert!((rate(&hosts) - 2.0 * one).abs() < 1e-9, "{} requests a second", rate(&hosts));
}
