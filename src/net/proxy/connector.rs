//! Streams through the proxy, which resolves names itself.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::error::ProxyFault;
use super::socks::{self, Command, Target};
use super::{Protocol, Proxy, Way, tunnel};
use crate::error::AnnounceError;
use crate::net::http::{Connected, Connector, Stream};
use crate::net::sockets::Sockets;

/// Connects through a proxy.
pub(in crate::net) struct ProxyConnector(Arc<Way>);

impl ProxyConnector {
    pub(in crate::net) fn new(way: Arc<Way>) -> Self {
        Self(way)
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Stream>, AnnounceError> {
        let way = &self.0;
        Ok(match way.proxy.protocol {
            Protocol::Socks5 => Box::new(socks_tunnel(way, target).await?),
            Protocol::Http => {
                let tunnel = tunnel::open(way.connect().await?, &way.proxy, target).await?;
                Box::new(TokioIo::new(tunnel))
            }
        })
    }
}

async fn socks_tunnel(way: &Way, target: &Target) -> Result<TcpStream, AnnounceError> {
    let mut stream = way.negotiate().await?;
    let request = socks::request(Command::Connect, target);
    stream.write_all(&request).await.map_err(ProxyFault::Closed)?;
    socks::read_reply(&mut stream).await?;
    Ok(stream)
}

impl Proxy {
    /// A connection through the proxy to an address, for a client's peers. `sockets` open the one to the proxy.
    ///
    /// The proxy has to be given by its IP address, or as `localhost`. The other side mustn't be the one that speaks first.
    ///
    /// ```no_run
    /// use tracker_failover::net::proxy::Proxy;
    /// use tracker_failover::net::sockets::Sockets;
    ///
    /// # async fn dial() -> Result<(), Box<dyn std::error::Error>> {
    /// let proxy: Proxy = "socks5://127.0.0.1:1080".parse()?;
    /// let peer = proxy.connect(&Sockets::new(), "192.0.2.7:6881".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`AnnounceError::Local`] where the proxy or this machine is the cause, [`AnnounceError::Connect`] where the proxy can't
    /// reach the address.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect(&self, sockets: &Sockets, remote: SocketAddr) -> Result<TcpStream, AnnounceError> {
        let way = Way::new(self.clone(), sockets.clone(), None);
        let target = Target::Address(remote);
        if self.protocol == Protocol::Socks5 {
            return socks_tunnel(&way, &target).await;
        }
        let tunnel = tunnel::open(way.connect().await?, self, &target).await?;
        match tunnel.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) if parts.read_buf.is_empty() => Ok(parts.io.into_inner()),
            _ => Err(ProxyFault::OtherProtocol.into()),
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
