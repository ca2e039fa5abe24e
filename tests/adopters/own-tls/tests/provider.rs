//! HTTPS with what the program brings, and a text that says what is missing.

#[path = "../../https.rs"]
mod https;

use https::HttpsTracker;
use own_tls::announce;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tracker_failover::net::http::TlsConfig;

/// In one test, because the default provider is one for the process.
#[tokio::test]
async fn a_provider_comes_from_the_program() {
    let tracker = HttpsTracker::start(aws_lc_rs::default_provider());
    let url = || tracker.url().parse().unwrap();
    let own = || TlsConfig::with_roots(tracker.pem().as_bytes()).unwrap();

    let error = announce(url(), own()).await.unwrap_err();
    for part in ["HTTPS needs a provider", "TlsConfig", "tls-ring", "tls-aws-lc-rs"] {
        assert!(error.contains(part) && !error.contains("5ec2e7"), "{error}");
    }
    let given = own().provider(aws_lc_rs::default_provider());
    assert_eq!(announce(url(), given).await, Ok(1));
    assert!(CryptoProvider::get_default().is_none(), "the default is the program's to set");

    aws_lc_rs::default_provider().install_default().unwrap();
    assert_eq!(announce(url(), own()).await, Ok(1));
    let error = announce(url(), TlsConfig::new()).await.unwrap_err();
    assert!(error.contains("HTTPS needs root certificates") && error.contains("webpki-roots"), "{error}");
    assert_eq!(tracker.events(), ["started", "stopped", "started", "stopped"]);
}
