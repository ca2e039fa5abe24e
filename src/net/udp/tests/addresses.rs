//! Hosts with several addresses, of both families, and addresses that are forbidden.

use std::time::Duration;

use super::*;
use crate::address::AddressPolicy;

const V4: &str = "8.1.1.1:6969";
const V6: &str = "[2600::1]:6969";
const URL: &str = "udp://t.test:6969/announce";

/// A host with an address of each family, the IPv6 one first.
fn both(internet: &Internet, v6: UdpBehaviour, v4: UdpBehaviour) -> [Arc<FakeUdpTracker>; 2] {
    [internet.host("t.test", V6, v6), internet.host("t.test", V4, v4)]
}

/// C35, R15-09.
#[tokio::test(start_paused = true)]
async fn over_ipv6_peers_have_eighteen_bytes() {
    let internet = Internet::new();
    let [v6, v4] = both(&internet, UdpBehaviour::Ok, UdpBehaviour::Ok);
    let (response, took) = timed(announce(&internet.transport(UdpConfig::new()), URL)).await;
    let response = response.unwrap();
    assert_eq!(peers(&response), ["[2600:9000::a]:6881"]);
    assert_eq!((response.tracker_address, took), (Some(V6.parse().unwrap()), 4 * WAY));
    assert_eq!((heard(&v6).as_str(), heard(&v4).as_str()), ("ca", ""));
}

/// R8, R75.
#[tokio::test(start_paused = true)]
async fn a_silent_family_costs_250_ms_once_and_one_announce() {
    let internet = Internet::new();
    let [v6, v4] = both(&internet, UdpBehaviour::Silent, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    let (response, took) = timed(announce(&transport, URL)).await;
    assert_eq!(
        (peers(&response.unwrap()), took),
        (vec!["8.8.4.4:6881".to_owned()], Duration::from_millis(250) + 4 * WAY)
    );
    let (response, took) = timed(announce(&transport, URL)).await;
    assert!(response.is_ok() && took == 2 * WAY, "the one with a connection id is preferred: {took:?}");
    assert_eq!((heard(&v6).as_str(), heard(&v4).as_str()), ("c", "caa"));
}

/// R75.
#[tokio::test(start_paused = true)]
async fn an_unreachable_family_costs_no_time() {
    let internet = Internet::without_v6();
    both(&internet, UdpBehaviour::Ok, UdpBehaviour::Ok);
    let (response, took) = timed(announce(&internet.transport(UdpConfig::new()), URL)).await;
    assert!(response.is_ok() && took == 4 * WAY, "{took:?}");

    let internet = Internet::new();
    internet.name("t.test", V6.parse().unwrap());
    internet.host("t.test", V4, UdpBehaviour::Ok);
    let (response, took) = timed(announce(&internet.transport(UdpConfig::new()), URL)).await;
    assert!(response.is_ok() && took == 6 * WAY, "as soon as the refusal is here: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn both_dead_is_one_failed_attempt_that_names_the_better_cause() {
    let internet = Internet::without_v6();
    both(&internet, UdpBehaviour::Ok, UdpBehaviour::Silent);
    let (error, took) = timed(open_error(&internet.transport(UdpConfig::new()), URL)).await;
    assert_eq!((error.to_string().as_str(), took), ("timed out while connecting", Duration::from_secs(10)));

    let internet = Internet::without_v6();
    internet.name("t.test", V6.parse().unwrap());
    internet.name("t.test", V4.parse().unwrap());
    let (error, took) = timed(open_error(&internet.transport(UdpConfig::new()), URL)).await;
    assert!(matches!(error, AnnounceError::Connect(_)) && took == 2 * WAY, "{error} {took:?}");
}

/// R102: unless another address gives evidence about the tracker.
#[tokio::test(start_paused = true)]
async fn a_missing_resource_of_this_machine_is_a_local_error() {
    let internet = Internet::without_v6();
    internet.name("t.test", V6.parse().unwrap());
    let error = open_error(&internet.transport(UdpConfig::new()), URL).await;
    assert!(matches!(error, AnnounceError::Local(_)), "no way to IPv6: {error}");

    let internet = Internet::new();
    let transport = internet.transport(UdpConfig::new());
    let mut asking = tokio::task::JoinSet::new();
    for host in 0..513_u16 {
        let [high, low] = host.to_be_bytes();
        let address = format!("8.2.{high}.{low}:1");
        internet.host("t.test", &address, UdpBehaviour::Silent);
        let transport = transport.clone();
        asking.spawn(async move { open_error(&transport, &format!("udp://{address}")).await });
    }
    let errors = asking.join_all().await;
    let local = errors.iter().filter(|error| matches!(error, AnnounceError::Local(_))).count();
    assert_eq!((errors.len(), local), (513, 1), "our own bound on sockets");
}

/// R102: when a packet is sent, or its answer awaited.
#[tokio::test(start_paused = true)]
async fn an_error_of_this_machine_is_a_local_error() {
    use std::io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, PermissionDenied};
    for kind in [HostUnreachable, NetworkDown, NetworkUnreachable, PermissionDenied] {
        let internet = Internet::new();
        internet.host("t.test", V4, UdpBehaviour::Ok);
        let transport = internet.transport(UdpConfig::new());
        internet.fails(Some(kind));
        let error = open_error(&transport, URL).await;
        assert!(matches!(error, AnnounceError::Local(_)), "{kind}: {error}");
        internet.fails(None);
        let mut channel = transport.open(&url(URL)).await.unwrap();
        internet.fails(Some(kind));
        let error = channel.announce(&request()).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Local(_)), "{kind}: {error}");
    }
}

/// R111: the announce goes to another address.
#[tokio::test(start_paused = true)]
async fn a_kept_connection_id_whose_address_died_costs_no_announce() {
    for dead in [Some(UdpBehaviour::Silent), None] {
        let internet = Internet::new();
        let [v6, v4] = both(&internet, UdpBehaviour::Ok, UdpBehaviour::Ok);
        let transport = internet.transport(UdpConfig::new());
        let first = announce(&transport, URL).await.unwrap();
        assert_eq!(first.tracker_address, Some(V6.parse().unwrap()));
        match &dead {
            Some(behaviour) => v6.set_behaviour(behaviour.clone()),
            None => internet.remove(V6),
        }
        let (response, took) = timed(announce(&transport, URL)).await;
        assert_eq!(response.unwrap().tracker_address, Some(V4.parse().unwrap()), "{dead:?}");
        assert!(took <= Duration::from_millis(500) + 4 * WAY, "{dead:?}: {took:?}");
        let (response, took) = timed(announce(&transport, URL)).await;
        assert!(response.is_ok() && took == 2 * WAY, "it stays there: {took:?}");
        assert_eq!(heard(&v4), "caa");
    }
}

/// R14: an address that answers connects isn't dead.
#[tokio::test(start_paused = true)]
async fn a_slow_or_refusing_address_is_announced_to_alone() {
    for (behaviour, delay) in [
        (UdpBehaviour::Ok, Duration::from_millis(200)),
        (UdpBehaviour::ConnectsOnly, Duration::ZERO),
        (UdpBehaviour::Error("no".into()), Duration::ZERO),
    ] {
        let internet = Internet::new();
        let [v6, v4] = both(&internet, UdpBehaviour::Ok, UdpBehaviour::Ok);
        let transport = internet.transport(UdpConfig::new());
        announce(&transport, URL).await.unwrap();
        v6.set_behaviour(behaviour);
        v6.set_delay(delay);
        let _ = announce(&transport, URL).await;
        assert_eq!(heard(&v4), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_by_the_tracker_is_the_better_cause() {
    let internet = Internet::new();
    both(&internet, UdpBehaviour::RefusesConnects("go away".into()), UdpBehaviour::Silent);
    let error = open_error(&internet.transport(UdpConfig::new()), URL).await;
    assert_eq!(error.to_string(), "rejected: \"go away\"");
}

#[tokio::test(start_paused = true)]
async fn a_mapped_address_is_an_ipv4_one() {
    let internet = Internet::new();
    let tracker = internet.host("v4.test", V4, UdpBehaviour::Ok);
    internet.name("t.test", "[::ffff:8.1.1.1]:6969".parse().unwrap());
    internet.name("t.test", V4.parse().unwrap());
    let transport = internet.transport(UdpConfig::new());
    let response = announce(&transport, URL).await.unwrap();
    assert_eq!(
        (peers(&response), response.tracker_address),
        (vec!["8.8.4.4:6881".to_owned()], Some(V4.parse().unwrap()))
    );
    announce(&transport, "udp://[::ffff:8.1.1.1]:6969").await.unwrap();
    assert_eq!((heard(&tracker).as_str(), internet.sockets().opened), ("caa", 1));
}

/// POL-18, S-10.
#[tokio::test(start_paused = true)]
async fn forbidden_addresses_are_never_sent_to() {
    let internet = Internet::new();
    internet.host("t.test", "10.0.0.1:6969", UdpBehaviour::Ok);
    let mut config = UdpConfig::new();
    config.addresses = AddressPolicy::PUBLIC_ONLY;
    let transport = internet.transport(config);
    for tracker in
        [URL, "udp://127.0.0.1:6969", "udp://[::ffff:169.254.169.254]:6969", "udp://2130706433:6969"]
    {
        assert!(matches!(open_error(&transport, tracker).await, AnnounceError::Blocked), "{tracker}");
    }
    assert!(matches!(open_error(&transport, "udp://nobody.test:1").await, AnnounceError::Resolve(_)), "R67");
    assert_eq!(internet.sockets().opened, 0);
    assert!(announce(&internet.transport(UdpConfig::new()), URL).await.is_ok());
}

/// R96: under every policy.
#[tokio::test(start_paused = true)]
async fn no_packet_goes_to_an_unspecified_address() {
    let internet = Internet::new();
    internet.host("sink.test", "0.0.0.0:6969", UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    for tracker in ["udp://sink.test:6969", "udp://0:6969", "udp://[::]:6969", "udp://224.0.0.1:6969"] {
        assert!(matches!(open_error(&transport, tracker).await, AnnounceError::Blocked), "{tracker}");
    }
    assert_eq!(internet.sockets().opened, 0);
}

#[tokio::test(start_paused = true)]
async fn sockets_are_bounded() {
    let internet = Internet::new();
    let mut config = UdpConfig::new();
    config.times.connection_lifetime = Duration::from_secs(3600);
    let transport = internet.transport(config);
    for host in 0..600_u16 {
        let [high, low] = host.to_be_bytes();
        let address = format!("8.2.{high}.{low}:1");
        internet.host("t.test", &address, UdpBehaviour::Ok);
        announce(&transport, &format!("udp://{address}")).await.unwrap();
    }
    tokio::task::yield_now().await;
    assert_eq!((internet.sockets().opened, internet.sockets().open), (600, 512));
}

/// R103.
#[tokio::test(start_paused = true)]
async fn the_look_up_time_is_separate_from_the_opening() {
    let internet = Internet::new();
    internet.host("t.test", V4, UdpBehaviour::Ok);
    let (resolver, connector) = (Arc::new(SlowResolver), Arc::new(internet));
    let transport = UdpTransport::with_connector(UdpConfig::new(), resolver, connector);
    let (channel, took) = timed(transport.open(&url(URL))).await;
    assert_eq!((channel.unwrap().lookup_time(), took), (SlowResolver::TAKES, SlowResolver::TAKES + 2 * WAY));
}

#[tokio::test(start_paused = true)]
async fn a_channel_through_a_proxy_has_no_address() {
    let internet = Internet::new();
    internet.host("t.test", V4, UdpBehaviour::Ok);
    let resolver = Arc::new(internet.0.resolver.lock().unwrap().clone());
    let proxied = UdpTransport::with_connector(UdpConfig::new(), resolver, Arc::new(Proxy(internet.clone())));
    assert_eq!(proxied.open(&url(URL)).await.unwrap().address(), None);
    let direct = internet.transport(UdpConfig::new());
    assert_eq!(direct.open(&url(URL)).await.unwrap().address(), Some(V4.parse().unwrap()));
}

/// A connector that leaves open whether it is direct, as every connector did before there was the question.
pub(super) struct Proxy(pub(super) Internet);

impl DatagramConnector for Proxy {
    fn connect(&self, remote: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        self.0.connect(remote)
    }
}

struct SlowResolver;

impl SlowResolver {
    const TAKES: Duration = Duration::from_secs(4);
}

#[async_trait]
impl crate::net::resolver::Resolver for SlowResolver {
    async fn resolve(&self, _: &str, _: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
        sleep(Self::TAKES).await;
        Ok(vec![V4.parse().unwrap()])
    }
}
