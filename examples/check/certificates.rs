//! HTTPS: which certificates are trusted, and when that of a tracker ends, as it is seen in the handshake of a probe.

#[cfg(feature = "tls")]
pub(crate) use self::seen::Certificates;

#[cfg(feature = "tls")]
mod seen {
    use std::fmt;
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    use tokio_rustls::rustls::client::danger::{
        HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
    };
    use tokio_rustls::rustls::crypto::CryptoProvider;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
    use tracker_failover::net::http::TlsConfig;

    /// The certificates that are trusted, as those of the library are: no check is left out.
    #[derive(Debug, Clone)]
    pub(crate) struct Certificates {
        inner: Arc<WebPkiServerVerifier>,
        provider: Arc<CryptoProvider>,
    }

    /// Passes every question on, and keeps when the certificate in question ends.
    struct Watch {
        inner: Arc<WebPkiServerVerifier>,
        end: End,
    }

    /// When the last certificate that was shown ends, in seconds since 1970.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct End(Arc<Mutex<Option<i64>>>);

    impl Certificates {
        /// Trusts the roots of this build, and those of a file in PEM form.
        ///
        /// # Errors
        /// When the file holds no certificate, or this build brings neither roots nor cryptography.
        pub(crate) fn new(added: Option<&[u8]>) -> Result<Self, String> {
            let provider =
                provider().ok_or("this build has no cryptography: turn on the feature tls-ring")?;
            let mut roots = RootCertStore::empty();
            #[cfg(feature = "webpki-roots")]
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            #[cfg(feature = "tls-native-roots")]
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if let Some(pem) = added {
                let before = roots.len();
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| error.to_string())?;
                    roots.add(certificate).map_err(|error| error.to_string())?;
                }
                if roots.len() == before {
                    return Err("expected certificates in PEM form".into());
                }
            }
            let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            Ok(Self { inner: inner.build().map_err(|error| error.to_string())?, provider })
        }

        /// The settings for one tracker, and where the end of its certificate is found after a probe.
        ///
        /// # Errors
        /// When the cryptography of this build supports no version of TLS.
        pub(crate) fn watch(&self) -> Result<(TlsConfig, End), String> {
            let end = End::default();
            let watch = Watch { inner: Arc::clone(&self.inner), end: end.clone() };
            let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(watch))
                .with_no_client_auth();
            Ok((TlsConfig::from_rustls(config), end))
        }
    }

    impl End {
        /// In seconds since 1970; `None` if no certificate was shown.
        pub(crate) fn get(&self) -> Option<i64> {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[expect(unreachable_code, reason = "which line is reached depends on the features")]
    fn provider() -> Option<Arc<CryptoProvider>> {
        #[cfg(feature = "tls-aws-lc-rs")]
        return Some(Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider()));
        #[cfg(feature = "tls-ring")]
        return Some(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()));
        None
    }

    /// When a certificate ends.
    fn end_of(certificate: &CertificateDer<'_>) -> Option<i64> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        Some(parsed.validity().not_after.timestamp())
    }

    impl ServerCertVerifier for Watch {
        fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            ocsp: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            // Before it is judged: that it has ended is what a user wants to know then.
            if let Some(end) = end_of(end_entity) {
                *self.end.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
            }
            self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now)
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.inner.verify_tls12_signature(message, certificate, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.inner.verify_tls13_signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.inner.supported_verify_schemes()
        }
    }

    impl fmt::Debug for Watch {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Watch").field("end", &self.end).finish_non_exhaustive()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_end_of_a_certificate_is_read() {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(vec!["t.test".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(2031, 2, 3);
            let certificate = params.self_signed(&key).unwrap();
            // date -u -d 2031-02-03 +%s
            assert_eq!(end_of(certificate.der()), Some(1_927_843_200));
            assert_eq!(end_of(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])), None);
        }

        #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc-rs"))]
        #[test]
        fn a_file_without_certificates_is_refused() {
            assert!(Certificates::new(Some(b"no certificate")).is_err());
        }
    }
}
