//! Certificates, as the check of an HTTPS tracker sees them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use fake_tracker::{Behaviour, FakeTracker};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tracker_failover::net::resolver::SystemResolver;

use crate::certificates::Certificates;
use crate::finding::Finding;
use crate::probing::Checker;

/// 2031-02-03 and 2020-01-01, at midnight.
const END: i64 = 1_927_843_200;
const ENDED: i64 = 1_577_836_800;

/// A tracker over HTTPS whose certificate ends in this year, and the authority that signed it.
async fn serve(year: i32, month: u8, day: u8) -> (String, String, JoinHandle<()>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let key = KeyPair::generate().unwrap();
    let chain = params.signed_by(&key, &authority).unwrap().pem();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let serving = tokio::spawn(async move {
        let tracker = FakeTracker::in_memory(Behaviour::ok());
        while let Ok((stream, from)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(tracker.serve_stream(stream, from));
            }
        }
    });
    (format!("https://{address}/announce"), authority.pem(), serving)
}

async fn check(url: &str, trusted: Option<&str>) -> Finding {
    let certificates = Some(Certificates::new(trusted.map(str::as_bytes)).unwrap());
    let checker = Checker { resolver: Arc::new(SystemResolver::new()), certificates, announces: false };
    checker.check(&[url.parse().unwrap()]).await.remove(0)
}

#[tokio::test]
async fn a_trusted_certificate_shows_its_end() {
    let (url, authority, _serving) = serve(2031, 2, 3).await;
    let finding = check(&url, Some(&authority)).await;
    assert!(finding.is_alive(), "{finding:?}");
    assert_eq!(finding.certificate_end, Some(END));
}

#[tokio::test]
async fn one_that_is_not_trusted_is_a_dead_tracker_whose_end_is_shown() {
    let (url, _, _serving) = serve(2031, 2, 3).await;
    let finding = check(&url, None).await;
    assert!(!finding.is_alive() && finding.certificate_end == Some(END), "{finding:?}");
    assert!(finding.reason().unwrap().starts_with("TLS failed: "), "{finding:?}");
}

#[tokio::test]
async fn one_that_has_ended_is_a_dead_tracker() {
    let (url, authority, _serving) = serve(2020, 1, 1).await;
    let finding = check(&url, Some(&authority)).await;
    assert!(!finding.is_alive() && finding.certificate_end == Some(ENDED), "{finding:?}");
}
