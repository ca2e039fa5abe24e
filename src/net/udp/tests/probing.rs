//! Probes, and the connection id that is left for the announce.

use std::time::Duration;

use super::*;
use crate::error::AnnounceError;
use crate::net::udp::UdpProber;
use crate::prober::{Measurement, Prober};

const AT: &str = "8.1.1.1:6969";
const URL: &str = "udp://t.test:6969/announce";

#[tokio::test(start_paused = true)]
async fn a_probe_is_a_connect_whose_id_the_announce_uses() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    let prober = UdpProber::new(&transport);
    let measured = prober.probe(&url(URL)).await.unwrap();
    assert_eq!(measured, Measurement { connect: 2 * WAY, first_byte: 2 * WAY });
    let (channel, took) = timed(transport.open(&url(URL))).await;
    assert_eq!(took, Duration::ZERO);
    channel.unwrap().announce(&request()).await.unwrap();
    assert_eq!((heard(&tracker).as_str(), internet.sockets().opened), ("ca", 1));
    // A second one measures again, though there is a connection id.
    assert!(prober.probe(&url(URL)).await.is_ok());
    assert_eq!(heard(&tracker), "cac");
}

#[tokio::test(start_paused = true)]
async fn a_lost_packet_does_not_lengthen_the_measured_round_trip() {
    let internet = Internet::new();
    internet.host("t.test", AT, UdpBehaviour::LosesFirst(1));
    let prober = UdpProber::new(&internet.transport(UdpConfig::new()));
    let (measured, took) = timed(prober.probe(&url(URL))).await;
    assert_eq!((measured.unwrap().latency(), took), (4 * WAY, Duration::from_secs(1) + 2 * WAY));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_meets_an_opening_shares_its_packet() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    let prober = UdpProber::new(&transport);
    let (one, other) = (url(URL), url("udp://t.test:6969/other"));
    let (opened, measured) = tokio::join!(transport.open(&one), prober.probe(&other));
    assert!(opened.is_ok() && measured.unwrap().connect == 2 * WAY);
    assert_eq!(heard(&tracker), "c");
}

#[tokio::test(start_paused = true)]
async fn a_probe_ends_after_three_seconds() {
    let internet = Internet::new();
    internet.host("t.test", AT, UdpBehaviour::Silent);
    internet.name("nobody.test", "8.1.1.2:1".parse().unwrap());
    let prober = UdpProber::new(&internet.transport(UdpConfig::new()));
    let (result, took) = timed(prober.probe(&url(URL))).await;
    assert_eq!(result.unwrap_err().to_string(), "timed out while being probed");
    assert_eq!(took, UdpProber::PATIENCE);
    let (result, took) = timed(prober.probe(&url("udp://nobody.test:1"))).await;
    assert!(matches!(result, Err(AnnounceError::Connect(_))) && took == 2 * WAY);
    let unsupported = prober.probe(&url("http://t.test/a")).await;
    assert!(matches!(unsupported, Err(AnnounceError::NotMeasured)));
}
