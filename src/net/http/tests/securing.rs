//! HTTPS: which certificates are trusted, and that no request is sent to any other server.

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::*;
use crate::net::http::{HttpProber, TlsConfig};
use crate::prober::Prober;

const AT: &str = "8.1.1.1:443";
const URL: &str = "https://user:s3cret@t.test/s3cret/announce?passkey=s3cret";

/// An unknown authority, its certificate in PEM form, and a server with a certificate from it.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Self::named("an authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn server(&self, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut params = CertificateParams::new(vec!["t.test".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress([8, 1, 1, 1].into()));
        change(&mut params);
        let (certificate, key) = self.signed(&params);
        server_with(&certificate, &key)
    }

    fn signed(&self, params: &CertificateParams) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn believed(&self) -> HttpConfig {
        let mut config = HttpConfig::new();
        config.tls = TlsConfig::with_roots(self.0.pem().as_bytes()).unwrap();
        config
    }
}

/// A self-signed certificate for `t.test` and its address, as `openssl req -x509` makes it, and its server.
fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> (Certificate, ServerConfig) {
    let mut params = CertificateParams::new(vec!["t.test".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::IpAddress([8, 1, 1, 1].into()));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let server = server_with(&certificate, &key);
    (certificate, server)
}

fn server_with(certificate: &Certificate, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

fn believing(certificates: &[&Certificate]) -> HttpConfig {
    let pem: String = certificates.iter().map(|certificate| certificate.pem()).collect();
    let mut config = HttpConfig::new();
    config.tls = TlsConfig::with_roots(pem.as_bytes()).unwrap();
    config
}

fn tracker(server: ServerConfig, connections: &[&[Step]]) -> Internet {
    Internet::default().with("t.test", AT, connections).secured(server)
}

#[tokio::test]
async fn a_tracker_with_a_trusted_certificate_is_announced_to() {
    let authority = Authority::new();
    let internet =
        tracker(authority.server(|_| ()), &[&[ok(REPLY), ok(REPLY), Step::Keep], &[ok(REPLY)], &[ok(REPLY)]]);
    let transport = internet.transport(authority.believed());
    for _ in 0..2 {
        let response = announce(&transport, URL).await.unwrap();
        assert_eq!((response.peers.len(), response.tracker_address), (1, Some(AT.parse().unwrap())));
    }
    assert_eq!(internet.dialled(), 1, "kept connections are kept under TLS as well");
    assert!(internet.asked()[0].contains("\r\nHost: t.test\r\n"));
    announce(&transport, "https://8.1.1.1/a").await.unwrap();
    let resolver = StaticResolver::new().with("t.test.", [[8, 1, 1, 1].into()]);
    let transport =
        HttpTransport::with_connector(authority.believed(), Arc::new(resolver), Arc::new(internet.clone()));
    announce(&transport, "https://t.test./a").await.unwrap();
}

/// R117: `openssl req -x509` marks it as an authority, which by the standard is no server.
#[tokio::test]
async fn an_added_certificate_is_trusted_whatever_signed_it() {
    let leaf_of = |authority: &Authority| {
        let names = vec!["t.test".to_owned(), "8.1.1.1".to_owned()];
        let (certificate, key) = authority.signed(&CertificateParams::new(names).unwrap());
        let server = server_with(&certificate, &key);
        (certificate, server)
    };
    let unknown = leaf_of(&Authority::new());
    // Both are self-signed, and have the name that rcgen gives.
    let namesake = leaf_of(&Authority::named("rcgen self signed cert"));
    let other = self_signed(|_| ()).0;
    for (name, (certificate, server)) in [
        ("as openssl makes it", self_signed(|_| ())),
        ("no authority", self_signed(|params| params.is_ca = IsCa::ExplicitNoCa)),
        ("nothing said of it", self_signed(|params| params.is_ca = IsCa::NoCa)),
        ("of an unknown authority", unknown),
        ("of one that has the name of another", namesake),
    ] {
        let scripts = vec![vec![ok(REPLY)]; 2];
        let scripts: Vec<&[Step]> = scripts.iter().map(Vec::as_slice).collect();
        let internet = tracker(server, &scripts);
        let transport = internet.transport(believing(&[&other, &certificate]));
        announce(&transport, URL).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        announce(&transport, "https://8.1.1.1/a").await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// R117: byte for byte, until it expires, and for its name.
#[tokio::test]
async fn an_added_certificate_is_trusted_for_its_own_name_and_time_only() {
    let (past, future) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2999, 1, 1));
    let elsewhere = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::DnsName("o.test".try_into().unwrap())];
    };
    let nameless = |params: &mut CertificateParams| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(rcgen::DnType::CommonName, "t.test");
    };
    let stranger = self_signed(|_| ()).0;
    for (name, (certificate, server), expected) in [
        ("expired", self_signed(|params| params.not_after = past), "expired"),
        ("not yet valid", self_signed(|params| params.not_before = future), "not valid yet"),
        ("for another name", self_signed(elsewhere), "not valid for name"),
        ("for no name", self_signed(nameless), "not valid for"),
        (
            "a leaf, expired",
            self_signed(|params| (params.is_ca, params.not_after) = (IsCa::NoCa, past)),
            "expired",
        ),
        ("made again", (stranger, self_signed(|_| ()).1), "CaUsedAsEndEntity"),
    ] {
        let internet = tracker(server, &[&[ok(REPLY)]]);
        let error = announce(&internet.transport(believing(&[&certificate])), URL).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Tls(_)), "{name}: {error}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(internet.asked().is_empty(), "{name}");
    }
}

/// S-13, POL-23.
#[tokio::test]
async fn no_request_is_sent_without_a_trusted_certificate() {
    let authority = Authority::new();
    let past = rcgen::date_time_ymd(2020, 1, 1);
    let servers: [(&str, ServerConfig, HttpConfig, &str); 4] = [
        ("unknown issuer", authority.server(|_| ()), HttpConfig::new(), "UnknownIssuer"),
        ("another authority", Authority::new().server(|_| ()), authority.believed(), "BadSignature"),
        (
            "wrong name",
            authority.server(|params| {
                params.subject_alt_names = vec![SanType::DnsName("o.test".try_into().unwrap())];
            }),
            authority.believed(),
            "not valid for name",
        ),
        ("expired", authority.server(|params| params.not_after = past), authority.believed(), "expired"),
    ];
    for (name, server, config, expected) in servers {
        let internet = tracker(server, &[&[ok(REPLY)], &[ok(REPLY)]]);
        let transport = internet.transport(config);
        let error = announce(&transport, URL).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Tls(_)), "{name}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(expected) && !shown.contains("s3cret"), "{name}: {shown}");
        let error = HttpProber::new(&transport).probe(&URL.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Tls(_)), "{name}");
        assert!(internet.asked().is_empty(), "{name}");
    }
}

/// S-13.
#[tokio::test]
async fn a_port_without_tls_is_an_error_and_gets_no_plain_request() {
    for step in [Step::Unasked(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Step::Close] {
        let internet = Internet::default().with("t.test", AT, &[&[step, Step::Keep]]).with(
            "t.test",
            "8.1.1.1:80",
            &[&[ok(REPLY)]],
        );
        let error = announce(&internet.transport(HttpConfig::new()), URL).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Tls(_)), "{error}");
        assert_eq!((internet.asked().len(), internet.dialled()), (0, 1));
    }
}

/// S-12.
#[tokio::test]
async fn a_redirect_may_lead_to_https_and_not_back() {
    let authority = Authority::new();
    let plain = "8.1.1.1:80";
    let internet = tracker(authority.server(|_| ()), &[&[redirect("http://t.test/x")], &[ok(REPLY)]]).with(
        "t.test",
        plain,
        &[&[redirect("https://t.test/x")]],
    );
    let transport = internet.transport(authority.believed());
    let error = announce(&transport, URL).await.unwrap_err();
    assert_eq!(error.to_string(), "redirected from https to http");
    assert_eq!(internet.dialled(), 1);
    announce(&transport, "http://user:s3cret@t.test/a").await.unwrap();
    let credentials: Vec<_> = internet.asked().iter().map(|head| head.contains("Authorization")).collect();
    assert_eq!(credentials, [true, true, false], "another scheme is another origin");
}

/// S-07.
#[tokio::test]
async fn a_complete_reply_counts_without_close_notify() {
    let authority = Authority::new();
    let internet = tracker(authority.server(|_| ()), &[&[raw(&[b"HTTP/1.0 200 OK\r\n\r\n", REPLY])]]);
    announce(&internet.transport(authority.believed()), URL).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_handshake_is_part_of_opening() {
    let authority = Authority::new();
    let latency = Duration::from_millis(20);
    let internet =
        tracker(authority.server(|_| ()), &[&[answer("200 OK", "", b""), ok(REPLY)]]).latency(latency);
    let transport = internet.transport(authority.believed());
    let measured = HttpProber::new(&transport).probe(&URL.parse().unwrap()).await.unwrap();
    assert_eq!((measured.connect, measured.first_byte), (latency * 3, latency * 2));
    announce(&transport, URL).await.unwrap();
    assert_eq!(internet.dialled(), 1);
}

/// Except about the protocol.
#[tokio::test]
async fn a_configuration_of_rustls_decides_which_certificates_are_trusted() {
    let (believed, other) = (Authority::new(), Authority::new());
    let mut roots = RootCertStore::empty();
    roots.add(believed.0.der().clone()).unwrap();
    let mut own = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    own.alpn_protocols = vec![b"h2".to_vec()];
    let mut config = HttpConfig::new();
    config.tls = TlsConfig::from_rustls(own);
    for (authority, good) in [(believed, true), (other, false)] {
        let mut server = authority.server(|_| ());
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let internet = tracker(server, &[&[ok(REPLY)]]);
        assert_eq!(announce(&internet.transport(config.clone()), URL).await.is_ok(), good);
        assert_eq!(internet.asked().len(), usize::from(good));
    }
}

/// One without cipher suites is of no use, and that is found before anything is sent.
#[tokio::test]
async fn a_provider_that_is_given_goes_before_those_of_the_features() {
    let authority = Authority::new();
    let useless = CryptoProvider { cipher_suites: Vec::new(), ..ring::default_provider() };
    let trusted = TlsConfig::with_roots(authority.0.pem().as_bytes()).unwrap();
    for (provider, works) in [(useless, false), (ring::default_provider(), true)] {
        let config = HttpConfig::new().tls(trusted.clone().provider(provider));
        let internet = tracker(authority.server(|_| ()), &[&[ok(REPLY)]]);
        let announced = announce(&internet.transport(config), URL).await;
        assert_eq!((announced.is_ok(), internet.dialled()), (works, usize::from(works)), "{announced:?}");
    }
}

/// POL-23: whatever roots this machine has.
#[cfg(feature = "tls-native-roots")]
#[tokio::test]
async fn the_roots_of_the_system_do_not_trust_every_certificate() {
    let mut config = HttpConfig::new();
    config.tls = TlsConfig::new();
    let internet = tracker(Authority::new().server(|_| ()), &[&[ok(REPLY)]]);
    let error = announce(&internet.transport(config), URL).await.unwrap_err();
    assert!(matches!(error, AnnounceError::Tls(_)) && internet.asked().is_empty(), "{error}");
}

#[test]
fn roots_are_certificates() {
    for pem in [b"".as_slice(), b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(TlsConfig::with_roots(pem).is_err());
    }
}
