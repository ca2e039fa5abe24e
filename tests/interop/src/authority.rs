//! Certificates for trackers, made when they are needed: nothing is kept that could expire.

use std::error::Error;
use std::net::IpAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};

/// An authority that no client trusts.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its own certificate, for those who believe it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a host.
    pub(crate) fn certificate(&self, host: IpAddr) -> Result<Certificate, Box<dyn Error>> {
        self.changed(host, |_| ())
    }

    /// A certificate for a host, with something about it changed.
    pub(crate) fn changed(
        &self,
        host: IpAddr,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Certificate, Box<dyn Error>> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.subject_alt_names = vec![SanType::IpAddress(host)];
        change(&mut params);
        let key = KeyPair::generate()?;
        let chain = params.signed_by(&key, &self.0)?.pem();
        Ok(Certificate { chain, key: key.serialize_pem() })
    }
}
