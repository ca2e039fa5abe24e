//! Streams through the proxy, which resolves names itself.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;

use super::error::ProxyFault;
use super::socks::{self, Command, Target};
use super::{Protocol, Way, tunnel};
use crate::error::AnnounceError;
use crate::net::http::{Connected, Connector, Stream};

/// Connects through a proxy.
pub(in crate::net) struct ProxyConnector(Arc<Way>);

impl ProxyConnector {
    pub(in crate::net) fn new(way: Arc<Way>) -> Self {
        Self(way)
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Stream>, AnnounceError> {
        match self.0.proxy.protocol {
            Protocol::Socks5 => {
                let mut stream = self.0.negotiate().await?;
                let request = socks::request(Command::Connect, target);
                stream.write_all(&request).await.map_err(ProxyFault::Closed)?;
                socks::read_reply(&mut stream).await?;
                Ok(Box::new(stream))
            }
            Protocol::Http => tunnel::open(self.0.connect().await?, &self.0.proxy, target).await,
        }
    }
}

#[async_trait]
impl Connector for ProxyConnector {
    /// Connects to the first address. There is only one, that of the URL, because names are not looked up on this side.
    async fn connect(&self, _host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError> {
        let address = *addresses.first().ok_or(AnnounceError::Cancelled)?;
        Ok(Connected::new(self.open(&Target::Address(address)).await?, address))
    }

    fn resolves_names(&self) -> bool {
        true
    }

    async fn connect_by_name(&self, host: &str, port: u16) -> Result<Connected, AnnounceError> {
        Ok(Connected::by_name(self.open(&Target::name(host, port)?).await?))
    }
}
