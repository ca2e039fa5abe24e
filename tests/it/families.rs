//! Trackers with addresses of both families, over real sockets: each family is announced to by itself.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use async_trait::async_trait;
use fake_tracker::{Behaviour, FakeTracker, FakeUdpTracker, UdpAsked, UdpBehaviour};
use tracker_failover::net::http::{Connected, Connector, HttpConfig, HttpTransport, TcpConnector};
use tracker_failover::net::resolver::StaticResolver;
use tracker_failover::{
    AddressFamily, Alert, AnnounceError, AnnounceReason, Announcer, TrackerSet, TrackerUrl, Transport,
};

use super::world::{AddSession, alerts_until, torrent};

const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];

/// The name `t.test` with an address of each family.
fn both_addresses() -> StaticResolver {
    StaticResolver::new().with("t.test", LOOPBACK.map(|ip| ip.parse::<IpAddr>().unwrap()))
}

/// An address of each family with one port that is free at both.
fn addresses() -> [SocketAddr; 2] {
    let on = |port: u16| LOOPBACK.map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
    let is_free =
        |address: &SocketAddr| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
    let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let free = std::iter::repeat_with(any).take(100).map(on).find(|both| both.iter().all(is_free));
    free.expect("a port over IPv4 and IPv6; for the latter: sysctl net.ipv6.conf.lo.disable_ipv6=0")
}

/// Plays a session at a tracker until it was announced to over both families, completes it and stops it. Gives how the
/// tracker was shown in the two announces.
async fn session(url: &str) -> [String; 2] {
    let client = Announcer::builder().resolver(both_addresses()).seed(7).spawn();
    let trackers = TrackerSet::new([[url.parse::<TrackerUrl>().unwrap()]]);
    let mut session = client.session(trackers, torrent());
    let is_beside = |alert: &Alert| match alert {
        Alert::Announced(announced) => announced.reason == AnnounceReason::MorePeers,
        _ => false,
    };
    let alerts = alerts_until(&mut session, is_beside).await;
    let announced = alerts.iter().filter_map(|alert| match alert {
        Alert::Announced(announced) => Some(announced.tracker.to_string()),
        _ => None,
    });
    let shown: Vec<_> = announced.collect();
    session.complete();
    let is_completed =
        |alert: &Alert| matches!(alert, Alert::Announced(announced) if announced.event.is_some());
    for _ in 0..2 {
        alerts_until(&mut session, is_completed).await;
    }
    let stopped = session.stop().await;
    assert_eq!(stopped.map(|stopped| stopped.results.len()).ok(), Some(2));
    shown.try_into().unwrap()
}

#[tokio::test]
async fn an_http_tracker_is_announced_to_over_both_address_families() {
    let [v4, v6] = addresses();
    let trackers =
        [FakeTracker::start_at(v4, Behaviour::ok()).await, FakeTracker::start_at(v6, Behaviour::ok()).await];
    let [first, second] = session(&format!("http://t.test:{}/announce", v4.port())).await;
    assert_eq!(first, format!("http://t.test:{}", v4.port()));
    assert!(second == format!("{first} (IPv6)") || second == format!("{first} (IPv4)"), "{second}");
    for tracker in &trackers {
        let events: Vec<_> =
            tracker.announces().iter().map(|heard| heard.event().unwrap_or("none").to_owned()).collect();
        assert_eq!(events, ["started", "completed", "stopped"], "{}", tracker.address());
    }
}

#[tokio::test]
async fn a_udp_tracker_is_announced_to_over_both_address_families() {
    let [v4, v6] = addresses();
    // An interval, and no peer.
    let empty = || UdpBehaviour::Raw([[0, 0, 7, 8], [0, 0, 0, 1], [0; 4]].concat());
    let trackers = [v4, v6].map(|address| FakeUdpTracker::start_at(address, empty()));
    let [first, second] = session(&format!("udp://t.test:{}", v4.port())).await;
    assert!(second == format!("{first} (IPv6)") || second == format!("{first} (IPv4)"), "{second}");
    for tracker in &trackers {
        assert_eq!(tracker.heard_of(UdpAsked::Announce).len(), 3, "{}", tracker.address());
    }
}

/// Connects as the system does, and doesn't say that it is no proxy.
struct Proxy(TcpConnector);

#[async_trait]
impl Connector for Proxy {
    async fn connect(&self, host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError> {
        self.0.connect(host, addresses).await
    }
}

#[tokio::test]
async fn through_a_proxy_no_address_family_is_known() {
    let [v4, v6] = addresses();
    let _trackers =
        [FakeTracker::start_at(v4, Behaviour::ok()).await, FakeTracker::start_at(v6, Behaviour::ok()).await];
    let url = format!("http://t.test:{}/announce", v4.port()).parse().unwrap();
    let resolver = Arc::new(both_addresses());
    let proxy = Arc::new(Proxy(TcpConnector::new()));
    let direct = HttpTransport::new(HttpConfig::new(), Arc::clone(&resolver) as _);
    let proxied = HttpTransport::with_connector(HttpConfig::new(), resolver, proxy);
    let channel = direct.open(&url).await.unwrap();
    let reached = AddressFamily::of(channel.address().unwrap().ip());
    assert!(channel.other_family().is_some_and(|other| other != reached));
    assert_eq!(proxied.open(&url).await.unwrap().other_family(), None);
}
