//! Real sockets on loopback, for what only the kernel does.

use std::time::Duration;

use super::*;

fn transport() -> UdpTransport {
    UdpTransport::new(UdpConfig::new(), Arc::new(StaticResolver::new()))
}

/// One packet, and little patience: for trackers that never answer.
fn hasty() -> UdpTransport {
    let mut config = UdpConfig::new();
    config.times.sends = vec![Duration::ZERO];
    config.times.limit = Duration::from_millis(100);
    UdpTransport::new(config, Arc::new(StaticResolver::new()))
}

#[tokio::test]
async fn announces_and_scrapes_over_ipv4() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let transport = transport();
    let response = announce(&transport, &tracker.announce_url()).await.unwrap();
    assert_eq!(
        (peers(&response), response.tracker_address),
        (vec!["8.8.4.4:6881".into()], Some(tracker.address()))
    );
    let mut channel = transport.open(&url(&tracker.announce_url())).await.unwrap();
    assert_eq!(channel.scrape(&[HASH]).await.unwrap().files[&HASH].downloaded, Some(100));
    assert_eq!(heard(&tracker), "cas");
    assert_eq!(tracker.heard()[1].url_data(), b"/announce");
}

/// With a new connection id and with a kept one, an IPv4-mapped address included.
#[tokio::test]
async fn all_names_of_a_tracker_lead_to_one_address() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let address = tracker.address();
    let std::net::IpAddr::V4(ip) = address.ip() else { panic!("{address}") };
    let names =
        StaticResolver::new().with("a.test", [ip.into()]).with("b.test", [ip.to_ipv6_mapped().into()]);
    let transport = UdpTransport::new(UdpConfig::new(), Arc::new(names));
    for host in ["a.test", "b.test", "a.test"] {
        let channel = transport.open(&url(&format!("udp://{host}:{}", address.port()))).await.unwrap();
        assert_eq!(channel.address(), Some(address), "{host}");
    }
    assert_eq!(heard(&tracker), "c");
}

/// C35.
#[tokio::test]
async fn announces_go_over_ipv6() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        return; // This machine has no IPv6.
    }
    let tracker = FakeUdpTracker::start_at("[::1]:0".parse().unwrap(), UdpBehaviour::Ok);
    let response = announce(&transport(), &tracker.announce_url()).await.unwrap();
    assert_eq!(peers(&response), ["[2600:9000::a]:6881"]);
}

#[tokio::test]
async fn a_closed_port_is_reported_by_the_kernel() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let transport = transport();
    announce(&transport, &tracker.announce_url()).await.unwrap();
    tracker.kill().await;
    // The connection id is still valid, so it is the announce that is refused.
    for phase in ["announce", "open"] {
        let error = announce(&transport, &tracker.announce_url()).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Connect(_)), "{phase}: {error}");
        assert!(error.to_string().to_lowercase().contains("connection refused"), "{phase}: {error}");
    }
    tracker.revive();
    announce(&transport, &tracker.announce_url()).await.unwrap();
    assert_eq!(heard(&tracker), "caca");
}

#[tokio::test]
async fn a_refusal_without_a_caller_has_no_effect() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Silent);
    let transport = hasty();
    open_error(&transport, &tracker.announce_url()).await;
    tracker.kill().await;
    // Given up before the refusal comes.
    drop(tokio::time::timeout(Duration::ZERO, transport.open(&url(&tracker.announce_url()))).await);
    tracker.set_behaviour(UdpBehaviour::Ok);
    tracker.revive();
    assert!(announce(&transport, &tracker.announce_url()).await.is_ok());
}

/// R68.
#[tokio::test]
async fn answers_from_another_port_are_dropped() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::FromAnotherPort);
    let error = open_error(&hasty(), &tracker.announce_url()).await;
    assert!(matches!(error, AnnounceError::TimedOut(_)), "{error}");
    assert_eq!(heard(&tracker), "c", "it was asked, and it answered");
}

/// R69.
#[tokio::test]
async fn the_largest_datagram_arrives_whole() {
    let records = (0..10_000_u16).flat_map(|n| [[8, 8], n.to_be_bytes(), [1, 1]].concat());
    let raw = [0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2].into_iter().chain(records).collect();
    let tracker = FakeUdpTracker::start(UdpBehaviour::Raw(raw));
    let response = announce(&transport(), &tracker.announce_url()).await.unwrap();
    assert_eq!((response.peers.len(), response.dropped_peers), (2000, 8000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_torrents_at_many_trackers_on_several_threads() {
    let trackers: Vec<_> = (0..4).map(|_| FakeUdpTracker::start(UdpBehaviour::Ok)).collect();
    let transport = transport();
    let mut announces = tokio::task::JoinSet::new();
    for number in 0..400 {
        let (transport, tracker) = (transport.clone(), trackers[number % 4].announce_url());
        announces.spawn(async move { announce(&transport, &tracker).await.map(drop) });
    }
    for result in announces.join_all().await {
        result.unwrap();
    }
    for tracker in &trackers {
        assert_eq!(tracker.heard_of(UdpAsked::Connect).len(), 1);
        assert!(tracker.heard_of(UdpAsked::Announce).len() >= 100);
    }
}

/// R105: the endpoints of another runtime may stand still or have ended with it.
#[test]
fn a_runtime_that_stands_still_holds_up_no_other() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (of_the_tracker, own, foreign) =
        (tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(), runtime(), runtime());
    let tracker = of_the_tracker.block_on(async { FakeUdpTracker::start(UdpBehaviour::Ok) });
    let (transport, tracker) = (transport(), tracker.announce_url());
    let announces = || {
        let announce =
            async { tokio::time::timeout(Duration::from_secs(5), announce(&transport, &tracker)).await };
        own.block_on(announce).expect("within five seconds").unwrap();
    };
    let scrapes = async {
        let mut channel = transport.open(&url(&tracker)).await.unwrap();
        channel.scrape(&[HASH]).await.unwrap();
    };
    foreign.block_on(scrapes);
    announces();
    drop(foreign);
    announces();
}
