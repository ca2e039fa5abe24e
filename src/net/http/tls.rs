//! HTTPS: which certificates are trusted, and the handshake. No request is sent to a tracker without a trusted one.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, version};

use super::connect::{Connected, Stream};
use super::error::HttpConfigError;
use super::verifier::Verifier;
use crate::error::{AnnounceError, Cause};

/// How HTTPS trackers are authenticated: TLS 1.2 or later, and certificates and names are always checked (POL-23).
///
/// The checks can't be turned off. For a tracker with a self-signed certificate, add that certificate to the roots
/// ([`with_roots`](Self::with_roots)). It is trusted whatever signed it, if it names the tracker as a subject alternative
/// name and hasn't expired.
#[derive(Clone)]
pub struct TlsConfig(Arc<ClientConfig>);

impl TlsConfig {
    /// Trusts the roots of Mozilla.
    pub fn new() -> Self {
        Self::trusting(mozilla(), Vec::new())
    }

    /// Trusts the roots of Mozilla and these certificates: one or more in PEM form.
    ///
    /// # Errors
    /// When the text holds no certificate, or one that can't be read.
    pub fn with_roots(pem: &[u8]) -> Result<Self, HttpConfigError> {
        let unreadable = HttpConfigError::new("expected certificates in PEM form");
        let (mut roots, mut added) = (mozilla(), Vec::new());
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| unreadable.clone())?;
            roots.add(certificate.clone()).map_err(|_| unreadable.clone())?;
            added.push(certificate);
        }
        if added.is_empty() { Err(unreadable) } else { Ok(Self::trusting(roots, added)) }
    }

    /// Trusts the roots of Mozilla and those of the system, as far as they can be read.
    #[cfg(feature = "tls-native-roots")]
    pub fn with_native_roots() -> Self {
        let mut roots = mozilla();
        let added = rustls_native_certs::load_native_certs().certs;
        roots.add_parsable_certificates(added.iter().cloned());
        Self::trusting(roots, added)
    }

    /// Uses a complete configuration of rustls, with other roots, client certificates or another provider. Its version has to
    /// be the [re-exported one](super::rustls). Its protocols (ALPN) are replaced by HTTP/1.1, which is all that is spoken
    /// here.
    pub fn from_rustls(config: impl Into<Arc<ClientConfig>>) -> Self {
        let mut config = Arc::unwrap_or_clone(config.into());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    fn trusting(roots: RootCertStore, added: Vec<CertificateDer<'static>>) -> Self {
        // Named, because choosing the default provider panics where another crate of the program has enabled a second one.
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let by_authority =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .expect("Mozilla's roots are among them");
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("ring has the cipher suites of both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(by_authority, added)))
            .with_no_client_auth();
        Self::from_rustls(config)
    }

    /// Puts TLS on top of an open stream.
    pub(super) async fn secure(&self, host: &str, connected: Connected) -> Result<Connected, AnnounceError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned());
        let name = name.map_err(|error| AnnounceError::Tls(Cause::new(error)))?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        let stream = connector.connect(name, connected.stream).await.map_err(|error| match error
            .downcast::<rustls::Error>()
        {
            Ok(error) => AnnounceError::Tls(Cause::new(error)),
            Err(error) => AnnounceError::Tls(Cause::new(error)),
        })?;
        let stream: Box<dyn Stream> = Box::new(stream);
        Ok(Connected { stream, remote: connected.remote })
    }
}

fn mozilla() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows nothing of the configuration, which may hold client keys.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfig")
    }
}
