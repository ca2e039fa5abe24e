//! A way out that the client sets: proxies that work, connectors, sockets and what contradicts them, over real sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fake_tracker::{Behaviour, FakeProxy, FakeTracker, FakeUdpTracker, ProxyRules, UdpAsked, UdpBehaviour};
use tokio::time::sleep;
use tracker_failover::net::http::{HttpConfig, TcpConnector};
use tracker_failover::net::resolver::{Resolver, StaticResolver};
use tracker_failover::net::sockets::Sockets;
use tracker_failover::net::udp::{UdpConfig, UdpConnector};
use tracker_failover::{
    AddressPolicy, Alert, AnnounceError, AnnounceRequest, AnnounceResponse, Announcer, AnnouncerBuilder,
    BuildError, InfoHash, PeerId, Prober, Scheme, TrackerSet, TrackerUrl, Transport, transport,
};

use super::world::{AddSession, INFO_HASH, alerts_until, torrent};

/// Fails the test when it is asked: with a proxy, no name is looked up on this side.
struct NeverAsked;

#[async_trait]
impl Resolver for NeverAsked {
    async fn resolve(&self, host: &str, _: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
        panic!("{host} was looked up")
    }
}

async fn proxy(rules: ProxyRules) -> FakeProxy {
    let loopback: IpAddr = [127, 0, 0, 1].into();
    let names = ["t.test", "other.test"].map(|name| (name.to_owned(), loopback));
    FakeProxy::start_at("127.0.0.1:0".parse().unwrap(), ProxyRules { names: names.into(), ..rules }).await
}

fn through(url: &str) -> AnnouncerBuilder {
    Announcer::builder().proxy(url).unwrap().resolver(NeverAsked)
}

fn request() -> AnnounceRequest {
    AnnounceRequest::new(InfoHash::new(INFO_HASH), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881)
}

/// Probes, announces and scrapes.
async fn visit(builder: AnnouncerBuilder, url: &str) -> Result<AnnounceResponse, AnnounceError> {
    let transports = builder.transports().unwrap();
    let tracker: TrackerUrl = url.parse().unwrap();
    transports.probe(&tracker).await?;
    let mut channel = transports.open(&tracker).await?;
    let response = channel.announce(&request()).await?;
    channel.scrape(&[InfoHash::new(INFO_HASH)]).await?;
    Ok(response)
}

#[tokio::test]
async fn http_trackers_are_reached_through_both_kinds_of_proxy() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let port = tracker.address().port();
    for scheme in ["socks5", "socks5h", "http"] {
        let proxy = proxy(ProxyRules::default()).await;
        let way = format!("{scheme}://{}", proxy.address());
        for host in ["t.test", "127.0.0.1"] {
            let response = visit(through(&way), &format!("http://{host}:{port}/announce")).await.unwrap();
            let known = (host == "127.0.0.1").then(|| tracker.address());
            assert_eq!(response.tracker_address, known, "the address of a name is the proxy's to know");
        }
        let asked: Vec<_> = proxy.requests();
        assert_eq!(asked.len(), 2, "each tracker's probe, announce and scrape share a connection: {asked:?}");
        assert_eq!(asked, [format!("tcp t.test:{port}"), format!("tcp 127.0.0.1:{port}")]);
    }
    assert_eq!(tracker.announces().len(), 6);
}

#[tokio::test]
async fn redirects_go_through_the_proxy_as_well() {
    let end = FakeTracker::start(Behaviour::ok()).await;
    let location = format!("http://other.test:{}/announce", end.address().port());
    let tracker = FakeTracker::start(Behaviour::redirect(302, location.clone())).await;
    for scheme in ["socks5", "http"] {
        let proxy = proxy(ProxyRules::default()).await;
        let builder = through(&format!("{scheme}://{}", proxy.address())).without_prober();
        let channel = builder.transports().unwrap();
        let url = format!("http://t.test:{}/announce", tracker.address().port()).parse().unwrap();
        // What a `Location` names is requested as it stands, here without a torrent.
        let error = channel.open(&url).await.unwrap().announce(&request()).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Rejected(_)), "{error}");
        assert_eq!(proxy.requests()[1], format!("tcp other.test:{}", end.address().port()));
    }
    // A name counts as a host on the internet: its redirect may not lead into the network behind the proxy.
    tracker.set_behaviour(Behaviour::redirect(302, end.announce_url()));
    let proxy = proxy(ProxyRules::default()).await;
    let transports = through(&format!("socks5://{}", proxy.address())).transports().unwrap();
    let url = format!("http://t.test:{}/announce", tracker.address().port()).parse().unwrap();
    let error = transports.open(&url).await.unwrap().announce(&request()).await.unwrap_err();
    assert!(matches!(error, AnnounceError::Redirect(_)), "{error}");
}

#[tokio::test]
async fn udp_trackers_are_reached_by_an_association() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let port = tracker.address().port();
    for host in ["t.test", "127.0.0.1"] {
        let proxy = proxy(ProxyRules::default()).await;
        let way = format!("socks5://{}", proxy.address());
        visit(through(&way), &format!("udp://{host}:{port}")).await.unwrap();
        // Once the tracker has answered, its name leads to one address.
        let mut expected = vec!["udp".to_owned(), format!("udp {host}:{port}")];
        if host == "t.test" {
            expected.push(format!("udp 127.0.0.1:{port}"));
        }
        assert_eq!(proxy.requests(), expected);
    }
    let from: Vec<_> = tracker.heard().iter().map(|heard| heard.from.ip()).collect();
    assert!(from.len() >= 6 && tracker.heard_of(UdpAsked::Announce).len() == 2, "{from:?}");
}

#[tokio::test]
async fn an_ipv6_tracker_behind_a_name_names_ipv6_peers() {
    let tracker = FakeUdpTracker::start_at("[::1]:0".parse().unwrap(), UdpBehaviour::Ok);
    let peers: [SocketAddr; 2] =
        ["[2001:db8::7]:6881", "[2001:db8::8]:6882"].map(|peer| peer.parse().unwrap());
    tracker.set_peers(peers);
    let names = BTreeMap::from([("six.test".to_owned(), "::1".parse().unwrap())]);
    let rules = ProxyRules { names, ..ProxyRules::default() };
    let proxy = FakeProxy::start_at("127.0.0.1:0".parse().unwrap(), rules).await;
    let way = format!("socks5://{}", proxy.address());
    let response =
        visit(through(&way), &format!("udp://six.test:{}", tracker.address().port())).await.unwrap();
    let found: Vec<_> = response.peers.iter().map(|peer| peer.address.to_string()).collect();
    assert_eq!(found, peers.map(|peer| peer.to_string()));
}

#[tokio::test]
async fn an_association_that_ends_is_made_anew_at_the_next_attempt() {
    let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
    let proxy = proxy(ProxyRules::default()).await;
    let transports = through(&format!("socks5://{}", proxy.address())).transports().unwrap();
    let url: TrackerUrl = format!("udp://t.test:{}", tracker.address().port()).parse().unwrap();
    for round in 1..=3 {
        transports.open(&url).await.unwrap().announce(&request()).await.unwrap();
        assert_eq!(proxy.requests().iter().filter(|request| *request == "udp").count(), round);
        proxy.hang_up();
        // The end reaches this side before the next attempt.
        sleep(Duration::from_millis(50)).await;
    }
    // In the middle of an exchange it is an error of this side's.
    tracker.set_behaviour(UdpBehaviour::Silent);
    tracker.forget_connections();
    let mut channel = transports.open(&url).await;
    if let Ok(channel) = &mut channel {
        let request = request();
        let announcing = channel.announce(&request);
        let (error, ()) = tokio::join!(announcing, async {
            sleep(Duration::from_millis(50)).await;
            proxy.hang_up();
        });
        let error = error.unwrap_err();
        assert!(matches!(error, AnnounceError::Local(_)), "{error}");
    }
}

/// Alerts say why, and nothing goes past the proxy.
#[tokio::test]
async fn without_udp_at_the_proxy_udp_trackers_are_unsupported() {
    let udp = FakeUdpTracker::start(UdpBehaviour::Ok);
    let http = FakeTracker::start(Behaviour::ok()).await;
    let urls = [udp.announce_url(), http.announce_url()];
    for scheme in ["socks5", "http"] {
        let proxy = proxy(ProxyRules { without_udp: true, ..ProxyRules::default() }).await;
        let announcer = through(&format!("{scheme}://{}", proxy.address())).try_spawn().unwrap();
        let trackers = TrackerSet::new([urls.each_ref().map(|url| url.parse::<TrackerUrl>().unwrap())]);
        let mut session = announcer.session(trackers, torrent());
        let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::Announced(_))).await;
        let status = session.status().unwrap();
        let state = format!("{:?}", status.tiers[0].iter().map(|tracker| &tracker.state).collect::<Vec<_>>());
        if scheme == "http" {
            assert!(state.contains("Unsupported"), "{state}");
        } else {
            let says_so = alerts.iter().any(|alert| alert.to_string().contains("the proxy carries no UDP"));
            assert!(says_so, "{alerts:#?}");
        }
        session.stop().await.unwrap();
    }
    assert_eq!(udp.heard().len(), 0);
    let transports = through("http://127.0.0.1:9").transports().unwrap();
    assert!(transports.supports(Scheme::Http) && !transports.supports(Scheme::Udp));
}

#[tokio::test]
async fn user_and_password_open_the_way_and_are_shown_nowhere() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let udp = FakeUdpTracker::start(UdpBehaviour::Ok);
    let credentials = Some(("us er".to_owned(), "s3cret:%".to_owned()));
    let proxy = proxy(ProxyRules { credentials, ..ProxyRules::default() }).await;
    let urls = [tracker.announce_url(), udp.announce_url()];
    for scheme in ["socks5", "http"] {
        for url in &urls[..if scheme == "http" { 1 } else { 2 }] {
            let right = format!("{scheme}://us%20er:s3cret%3A%25@{}", proxy.address());
            visit(through(&right), url).await.unwrap();
            for (credentials, reason) in [
                ("us%20er:s3cretx@", "the proxy refuses the user name or password"),
                ("", "the proxy asks for a user name and password"),
            ] {
                let wrong = format!("{scheme}://{credentials}{}", proxy.address());
                let builder = through(&wrong);
                assert!(!format!("{builder:?}").contains("s3cret"));
                let error = visit(builder, url).await.unwrap_err();
                assert_eq!(error.to_string(), format!("this machine could not connect: {reason}"), "{wrong}");
                assert!(!format!("{error:?}").contains("s3cret"));
            }
        }
    }
}

/// A dead proxy blames no tracker; a dead tracker behind a living proxy is blamed.
#[tokio::test]
async fn whose_fault_it_is_is_told_apart() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["socks5", "http"] {
        for url in ["http://t.test/announce", "udp://t.test:6969"] {
            if scheme == "http" && url.starts_with("udp") {
                continue;
            }
            let error = visit(through(&format!("{scheme}://{closed}")), url).await.unwrap_err();
            assert!(matches!(error, AnnounceError::Local(_)), "{error}");
            assert!(error.to_string().contains("the proxy can't be reached"), "{error}");
        }
        let proxy = proxy(ProxyRules::default()).await;
        let way = format!("{scheme}://{}", proxy.address());
        for url in [format!("http://t.test:{}/a", closed.port()), "http://unknown.test/a".to_owned()] {
            let error = visit(through(&way), &url).await.unwrap_err();
            assert!(matches!(error, AnnounceError::Connect(_)), "{url}: {error}");
        }
    }
}

/// Names are the proxy's to judge.
#[tokio::test]
async fn literal_addresses_are_held_to_the_address_policy() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let proxy = proxy(ProxyRules::default()).await;
    let builder =
        || through(&format!("socks5://{}", proxy.address())).tracker_addresses(AddressPolicy::PUBLIC_ONLY);
    let error = visit(builder(), &tracker.announce_url()).await.unwrap_err();
    assert!(matches!(error, AnnounceError::Blocked), "{error}");
    assert!(visit(builder(), "udp://127.0.0.1:6969").await.is_err());
    assert!(proxy.requests().is_empty());
    visit(builder(), &format!("http://t.test:{}/announce", tracker.address().port())).await.unwrap();
}

#[tokio::test]
async fn the_name_of_a_proxy_is_looked_up_by_the_clients_resolver_alone() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let proxy = proxy(ProxyRules::default()).await;
    let port = proxy.address().port();
    let named = || Announcer::builder().proxy(&format!("socks5://p.test:{port}")).unwrap();
    assert_eq!(named().try_spawn().unwrap_err(), BuildError::NoResolverForProxy);
    let resolver = StaticResolver::new().with("p.test", [[127, 0, 0, 1].into()]);
    visit(named().resolver(resolver), &tracker.announce_url()).await.unwrap();
    let local = Announcer::builder().proxy(&format!("http://localhost:{port}")).unwrap();
    visit(local, &tracker.announce_url()).await.unwrap();
    assert_eq!(proxy.requests().len(), 2);
}

#[tokio::test]
async fn sockets_of_the_client_are_used_for_everything_and_for_the_way_to_a_proxy() {
    let http = FakeTracker::start(Behaviour::ok()).await;
    let udp = FakeUdpTracker::start(UdpBehaviour::Ok);
    let proxy = proxy(ProxyRules::default()).await;
    let seen: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let builder = || {
        let seen = Arc::clone(&seen);
        Announcer::builder().resolver(StaticResolver::new()).sockets(move |_, remote| {
            seen.lock().unwrap().push(remote);
            Ok(())
        })
    };
    visit(builder(), &http.announce_url()).await.unwrap();
    visit(builder(), &udp.announce_url()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [http.address(), udp.address()]);
    seen.lock().unwrap().clear();
    let builder = || builder().proxy(&format!("socks5://{}", proxy.address())).unwrap();
    visit(builder(), &http.announce_url()).await.unwrap();
    visit(builder(), &udp.announce_url()).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..2], [proxy.address(); 2]);
    assert_eq!((seen.len(), seen[2].ip()), (3, proxy.address().ip()), "the relay");
}

#[tokio::test]
async fn connectors_of_the_client_lead_to_what_they_are_for_and_nothing_else() {
    let http = FakeTracker::start(Behaviour::ok()).await;
    let udp = FakeUdpTracker::start(UdpBehaviour::Ok);
    let names = || StaticResolver::new().with("t.test", [[127, 0, 0, 1].into()]);
    let url = |port: u16| format!("http://t.test:{port}/announce");
    let one = || Announcer::builder().connector(TcpConnector::new());
    assert_eq!(one().transports().unwrap_err(), BuildError::NoResolver);
    visit(one().resolver(names()), &url(http.address().port())).await.unwrap();
    let transports = one().resolver(names()).transports().unwrap();
    assert!(!transports.supports(Scheme::Udp), "not past the connector");
    let other = Announcer::builder().datagrams(UdpConnector::new()).resolver(names());
    visit(other, &udp.announce_url()).await.unwrap();
    let both = || one().datagrams(UdpConnector::new()).resolver(names());
    visit(both(), &udp.announce_url()).await.unwrap();
    visit(both(), &url(http.address().port())).await.unwrap();
}

#[test]
fn what_contradicts_is_refused_by_name() {
    let socks = || Announcer::builder().proxy("socks5://127.0.0.1:9").unwrap();
    let refuse = |_: tracker_failover::net::sockets::BorrowedSocket<'_>, _| Ok(());
    let own = || transport::from_fn(|_, _| async { Ok(AnnounceResponse::default()) });
    let set_for_http = HttpConfig::new().sockets(Sockets::new().prepare(refuse));
    let set_for_udp = UdpConfig::new().sockets(Sockets::new().local_address([127, 0, 0, 1].into()));
    for (builder, expected) in [
        (socks().connector(TcpConnector::new()), BuildError::ProxyAndConnector),
        (socks().datagrams(UdpConnector::new()), BuildError::ProxyAndConnector),
        (Announcer::builder().datagrams(UdpConnector::new()), BuildError::NoResolver),
        (
            Announcer::builder().sockets(refuse).datagrams(UdpConnector::new()),
            BuildError::SocketsAndConnector,
        ),
        (
            Announcer::builder().udp(set_for_udp).connector(TcpConnector::new()),
            BuildError::SocketsAndConnector,
        ),
        (socks().transport(own()), BuildError::TransportIsOwn),
        (AnnouncerBuilder::new(own()).local_address([127, 0, 0, 1].into()), BuildError::TransportIsOwn),
    ] {
        assert_eq!(builder.transports().unwrap_err(), expected);
    }
    // With `hickory`, names are looked up over the same sockets.
    for builder in [Announcer::builder().sockets(refuse), Announcer::builder().http(set_for_http)] {
        assert_eq!(
            builder.transports().err(),
            (!cfg!(feature = "hickory")).then_some(BuildError::NoResolver)
        );
    }
}

/// Setting everything of a transport takes back no interface and no proxy.
#[tokio::test]
async fn a_way_out_outlasts_the_settings_of_a_transport() {
    let builder = || Announcer::builder().sockets(|_, _| Err(std::io::Error::other("closed")));
    let reset = |builder: AnnouncerBuilder| builder.http(HttpConfig::new()).udp(UdpConfig::new());
    for url in ["http://127.0.0.1:9/a", "udp://127.0.0.1:9"] {
        let error = visit(reset(builder().resolver(StaticResolver::new())), url).await.unwrap_err();
        assert!(error.to_string().contains("the client refused the socket: closed"), "{error}");
        let error = visit(reset(through("socks5://127.0.0.1:9")), url).await.unwrap_err();
        assert!(error.to_string().contains("the proxy can't be reached"), "{error}");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[tokio::test]
async fn an_interface_that_is_missing_sends_nothing() {
    let http = FakeTracker::start(Behaviour::ok()).await;
    let udp = FakeUdpTracker::start(UdpBehaviour::Ok);
    let builder = || Announcer::builder().interface("no-such-0").unwrap().resolver(StaticResolver::new());
    for url in [http.announce_url(), udp.announce_url()] {
        let error = visit(builder(), &url).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Local(_)), "{error}");
    }
    assert_eq!((http.connections(), udp.heard().len()), (0, 0));
    let without_resolver = Announcer::builder().interface("no-such-0").unwrap().transports();
    assert_eq!(without_resolver.err(), (!cfg!(feature = "hickory")).then_some(BuildError::NoResolver));
}
