//! One program, one provider: rustls finds its own beside this crate, whose HTTPS works as well.

#[path = "../../https.rs"]
mod https;

use https::HttpsTracker;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tracker_failover::net::http::{HttpConfig, TlsConfig};
use tracker_failover::{Alert, Announcer, InfoHash, PeerId, Torrent, TrackerSet};

/// Rustls panics here if the features of the program leave it a choice between two providers.
#[test]
fn rustls_finds_the_provider_of_the_program() {
    ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
}

#[tokio::test]
async fn the_crates_own_https_announces() {
    let tracker = HttpsTracker::start(aws_lc_rs::default_provider());
    let tls = TlsConfig::with_roots(tracker.pem().as_bytes()).unwrap();
    let announcer = Announcer::builder().http(HttpConfig::new().tls(tls)).spawn();
    let trackers = TrackerSet::new([[tracker.url().parse().unwrap()]]);
    let torrent = Torrent::new(InfoHash::from([7; 20]), PeerId::random(*b"-OH0001-"), 6881);
    let (handle, mut alerts) = announcer.add(trackers, torrent);
    let announced = loop {
        match alerts.next().await.unwrap() {
            Alert::Announced(announced) => break announced,
            Alert::RoundFailed { error, .. } => panic!("{error}"),
            _ => {}
        }
    };
    assert_eq!(announced.response.peers.len(), 1);
    let stopped = handle.stop().await.unwrap().results;
    assert!(stopped.len() == 1 && stopped[0].result.is_ok(), "{stopped:?}");
    assert_eq!(tracker.events(), ["started", "stopped"]);
}
