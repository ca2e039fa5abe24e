//! Which server certificates are trusted: those of known authorities, and those that were added themselves.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// Checks as rustls does, but trusts a certificate that was added to the roots when the server itself presents it. webpki
/// refuses that: it only accepts what an authority has signed. But `openssl req -x509` makes a certificate that is both
/// authority and server, and a user may have nothing of a server but its certificate (R117).
#[derive(Debug)]
pub(super) struct Verifier {
    by_authority: Arc<WebPkiServerVerifier>,
    added: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(by_authority: Arc<WebPkiServerVerifier>, added: Vec<CertificateDer<'static>>) -> Self {
        Self { by_authority, added }
    }
}

/// Whether this error only means that no known authority has signed the certificate: there is none of that name, none of
/// that name with that key, or the certificate is an authority's itself. webpki checks the dates before any of these.
fn lacks_an_authority(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => true,
        // rustls has no variant for it.
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.to_string() == "CaUsedAsEndEntity"
        }
        _ => false,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let added = self.added.contains(certificate);
        // Intermediates that the server sends can't disprove a certificate that was added.
        let intermediates = if added { &[] } else { intermediates };
        match self.by_authority.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            Err(error) if added && lacks_an_authority(&error) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}
