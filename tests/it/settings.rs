//! What a client sets on the builder, as trackers on loopback see it.

use std::net::{IpAddr, SocketAddr};

use fake_tracker::{Behaviour, FakeTracker, FakeUdpTracker, UdpAsked, UdpBehaviour};
use tracker_failover::net::http::HttpConfig;
use tracker_failover::net::resolver::StaticResolver;
use tracker_failover::net::udp::UdpConfig;
use tracker_failover::{
    AddressPolicy, AnnounceError, AnnounceRequest, Announced, Announcer, AnnouncerBuilder, InfoHash, PeerId,
    RoundError, TrackerSet,
};

use super::world::INFO_HASH;

async fn announce(
    builder: AnnouncerBuilder,
    tracker: &str,
) -> Result<std::sync::Arc<Announced>, std::sync::Arc<RoundError>> {
    let mut trackers = TrackerSet::new([[tracker.parse().unwrap()]]);
    let request = AnnounceRequest::new(InfoHash::new(INFO_HASH), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
    builder.spawn().announce(&mut trackers, request).await
}

#[tokio::test]
async fn trackers_see_the_name_the_headers_and_the_address_that_were_set() {
    let http = FakeTracker::start(Behaviour::ok()).await;
    let udp = FakeUdpTracker::start(UdpBehaviour::Ok);
    let local: IpAddr = [127, 0, 0, 9].into();
    let builder = || {
        Announcer::builder()
            .http(HttpConfig::new())
            .udp(UdpConfig::new())
            .resolver(StaticResolver::new().with("t.test", [[127, 0, 0, 1].into()]))
            .user_agent("example-client/1.0")
            .unwrap()
            .header("X-Example", "some")
            .unwrap()
            .local_address(local)
    };
    announce(builder(), &format!("http://t.test:{}/announce", http.address().port())).await.unwrap();
    announce(builder(), &format!("udp://t.test:{}/announce", udp.address().port())).await.unwrap();
    let heard = &http.announces()[0];
    assert_eq!(heard.header("user-agent"), Some("example-client/1.0"));
    assert_eq!((heard.header("x-example"), heard.from.ip()), (Some("some"), local));
    assert_eq!(udp.heard_of(UdpAsked::Announce)[0].from.ip(), local);
}

/// POL-18, S-10.
#[tokio::test]
async fn trackers_inside_a_network_can_be_forbidden() {
    let http = FakeTracker::start(Behaviour::ok()).await;
    let udp = FakeUdpTracker::start(UdpBehaviour::Ok);
    for url in [http.announce_url(), udp.announce_url()] {
        let error = announce(Announcer::builder().tracker_addresses(AddressPolicy::PUBLIC_ONLY), &url).await;
        let error = error.unwrap_err();
        assert!(matches!(error.attempts()[0].error, AnnounceError::Blocked), "{error}");
        let address: SocketAddr = url.split('/').nth(2).unwrap().parse().unwrap();
        let but_this = AddressPolicy::PUBLIC_ONLY.except([address]);
        announce(Announcer::builder().tracker_addresses(but_this), &url).await.unwrap();
    }
    assert_eq!((http.connections(), udp.kinds()), (1, vec![UdpAsked::Connect, UdpAsked::Announce]));
}
