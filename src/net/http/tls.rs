//! HTTPS: which certificates are trusted, and the handshake. No request is sent to a tracker without a trusted one.

use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::connect::{Connected, Stream};
use super::error::HttpConfigError;
use super::verifier::Verifier;
use crate::error::{AnnounceError, Cause, TlsMissing};

/// How HTTPS trackers are authenticated: TLS 1.2 or later, and certificates and names are always checked (POL-23).
///
/// The checks can't be turned off. For a tracker with a self-signed certificate, add that certificate to the roots
/// ([`with_roots`](Self::with_roots)). It is trusted whatever signed it, if it names the tracker as a subject alternative
/// name and hasn't expired.
///
/// **Roots** are those that the features bring, and those that are added: Mozilla's with the feature `webpki-roots`, the
/// system's with `tls-native-roots`. With neither, only the added ones are trusted.
///
/// **The provider** of the cryptography is the one given to [`provider`](Self::provider), else that of a feature
/// (`tls-aws-lc-rs` before `tls-ring`), else the default of the process as it is when the first HTTPS tracker is announced
/// to. This crate never sets that default, and asks for it only if no feature brings a provider: a second provider in a
/// program makes rustls panic where it has to guess.
///
/// An HTTPS tracker fails with [`AnnounceError::TlsMissing`], before anything is sent, if there is no provider or no root.
///
/// ```
/// use std::sync::Arc;
/// use tracker_failover::net::http::{HttpConfig, TlsConfig, rustls::crypto::CryptoProvider};
///
/// // In a program with a provider of its own, the feature `tls` is enough.
/// fn config(provider: Arc<CryptoProvider>) -> HttpConfig {
///     HttpConfig::new().tls(TlsConfig::new().provider(provider))
/// }
/// ```
#[derive(Clone)]
pub struct TlsConfig(Kind);

#[derive(Clone)]
enum Kind {
    /// A complete configuration of the caller.
    Given(Arc<ClientConfig>),
    /// One of ours.
    Ours {
        /// The certificates that are trusted beside those of the features.
        added: Vec<CertificateDer<'static>>,
        /// The provider that was given.
        provider: Option<Arc<CryptoProvider>>,
        /// Made for the first handshake: the roots of the system are files, and the process may set its provider later.
        config: Arc<OnceCell<Arc<ClientConfig>>>,
    },
}

impl TlsConfig {
    /// Trusts the roots of the features: Mozilla's, the system's, both, or none.
    pub fn new() -> Self {
        Self::trusting(Vec::new())
    }

    /// Trusts these certificates beside the roots of the features: one or more in PEM form.
    ///
    /// # Errors
    /// When the text holds no certificate, or one that can't be read.
    pub fn with_roots(pem: &[u8]) -> Result<Self, HttpConfigError> {
        let unreadable = HttpConfigError::new("expected certificates in PEM form");
        let mut added = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| unreadable.clone())?;
            RootCertStore::empty().add(certificate.clone()).map_err(|_| unreadable.clone())?;
            added.push(certificate);
        }
        if added.is_empty() { Err(unreadable) } else { Ok(Self::trusting(added)) }
    }

    /// Sets the provider of the cryptography, such as the one that the rest of the program uses. By default it is that of a
    /// feature, or of the process. A configuration [`from_rustls`](Self::from_rustls) keeps its own.
    #[must_use]
    pub fn provider(self, provider: impl Into<Arc<CryptoProvider>>) -> Self {
        Self(match self.0 {
            given @ Kind::Given(_) => given,
            Kind::Ours { added, .. } => {
                Kind::Ours { added, provider: Some(provider.into()), config: Arc::default() }
            }
        })
    }

    /// Uses a complete configuration of rustls, with other roots, client certificates or another provider. Its version has to
    /// be the [re-exported one](super::rustls). Its protocols (ALPN) are replaced by HTTP/1.1, which is all that is spoken
    /// here.
    pub fn from_rustls(config: impl Into<Arc<ClientConfig>>) -> Self {
        Self(Kind::Given(http1(Arc::unwrap_or_clone(config.into()))))
    }

    fn trusting(added: Vec<CertificateDer<'static>>) -> Self {
        Self(Kind::Ours { added, provider: None, config: Arc::default() })
    }

    /// The configuration for a handshake, or what it lacks.
    pub(super) async fn client_config(&self) -> Result<Arc<ClientConfig>, AnnounceError> {
        let (added, provider, config) = match &self.0 {
            Kind::Given(config) => return Ok(Arc::clone(config)),
            Kind::Ours { added, provider, config } => (added, provider, config),
        };
        let make = || async {
            let provider = provider.clone().or_else(default_provider);
            let provider = provider.ok_or(AnnounceError::TlsMissing(TlsMissing::Provider))?;
            #[cfg(feature = "tls-native-roots")]
            let added = &[system_roots().await?, added.clone()].concat();
            client_config(provider, added.clone())
        };
        config.get_or_try_init(make).await.cloned()
    }

    /// Puts TLS on top of an open stream.
    pub(super) async fn secure(&self, host: &str, connected: Connected) -> Result<Connected, AnnounceError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned());
        let name = name.map_err(|error| AnnounceError::Tls(Cause::new(error)))?;
        let connector = TlsConnector::from(self.client_config().await?);
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

/// The provider of a feature. With both, aws-lc-rs: ring may be on only because it is on by default.
#[cfg(feature = "tls-aws-lc-rs")]
#[expect(clippy::unnecessary_wraps, reason = "without such a feature there may be none")]
fn default_provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// The provider of a feature.
#[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc-rs")))]
#[expect(clippy::unnecessary_wraps, reason = "without such a feature there may be none")]
fn default_provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::ring::default_provider()))
}

/// The provider of the process.
#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc-rs")))]
fn default_provider() -> Option<Arc<CryptoProvider>> {
    CryptoProvider::get_default().cloned()
}

/// The roots of the system, as far as they can be read.
#[cfg(feature = "tls-native-roots")]
async fn system_roots() -> Result<Vec<CertificateDer<'static>>, AnnounceError> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    loaded.map(|loaded| loaded.certs).map_err(|error| AnnounceError::Local(Cause::new(error)))
}

/// A configuration that trusts these certificates, and Mozilla's roots by feature.
fn client_config(
    provider: Arc<CryptoProvider>,
    trusted: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, AnnounceError> {
    let mut roots = RootCertStore::empty();
    #[cfg(feature = "webpki-roots")]
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots.add_parsable_certificates(trusted.iter().cloned());
    if roots.is_empty() {
        return Err(AnnounceError::TlsMissing(TlsMissing::Roots));
    }
    let by_authority =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let by_authority = by_authority.map_err(|error| AnnounceError::Local(Cause::new(error)))?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config
        .map_err(|error| AnnounceError::Local(Cause::new(error)))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(by_authority, trusted)))
        .with_no_client_auth();
    Ok(http1(config))
}

/// HTTP/1.1 is all that is spoken here.
fn http1(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
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
