//! The connection to the proxy itself, up to the request. Whatever fails here is the proxy's fault or this machine's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::error::ProxyFault;
use super::{Proxy, ProxyHost, is_localhost, socks};
use crate::error::AnnounceError;
use crate::net::resolver::Resolver;
use crate::net::sockets::Sockets;
use crate::net::udp::{DatagramConnector as _, DatagramSocket, UdpConnector};
use crate::net::{clock, happy_eyeballs};

/// How long the way to the proxy may take, with authentication. Less than openings may take, so that a silent proxy ends in
/// an error of this machine and not in a timeout of the tracker's.
const PROXY_LIMIT: Duration = Duration::from_secs(4);

/// How a proxy is reached.
pub(in crate::net) struct Way {
    pub(super) proxy: Proxy,
    sockets: Sockets,
    /// For the proxy's own name. Other names are looked up by the proxy.
    resolver: Option<Arc<dyn Resolver>>,
}

impl Way {
    pub(in crate::net) fn new(proxy: Proxy, sockets: Sockets, resolver: Option<Arc<dyn Resolver>>) -> Self {
        Self { proxy, sockets, resolver }
    }

    /// A connection to the proxy.
    ///
    /// # Cancel safety
    /// Dropping the future closes it.
    pub(super) async fn connect(&self) -> Result<TcpStream, AnnounceError> {
        limited(self.dial()).await
    }

    /// A connection to a SOCKS proxy that is ready for a request.
    ///
    /// # Cancel safety
    /// Dropping the future closes it.
    pub(super) async fn negotiate(&self) -> Result<TcpStream, AnnounceError> {
        limited(async {
            let mut stream = self.dial().await?;
            let credentials = self.proxy.credentials.as_ref();
            let greeting = socks::greeting(credentials.is_some());
            stream.write_all(greeting).await.map_err(ProxyFault::Closed)?;
            let asks = socks::read_method(&mut stream, credentials.is_some()).await?;
            if let Some(credentials) = credentials.filter(|_| asks) {
                let message = socks::password(&credentials.user, &credentials.password);
                stream.write_all(&message).await.map_err(ProxyFault::Closed)?;
                socks::read_welcome(&mut stream).await?;
            }
            Ok(stream)
        })
        .await
    }

    /// A UDP socket that is connected to a port of the proxy that `control` leads to. Datagrams from elsewhere are dropped by
    /// the system.
    pub(super) fn relay(&self, control: &TcpStream, port: u16) -> io::Result<Box<dyn DatagramSocket>> {
        let relay = SocketAddr::new(control.peer_addr()?.ip(), port);
        UdpConnector::over(self.sockets.clone()).connect(relay)
    }

    async fn dial(&self) -> Result<TcpStream, AnnounceError> {
        let addresses = self.addresses().await.map_err(ProxyFault::Unreachable)?;
        let connect = |address| async move {
            self.sockets.connect_tcp(address).await.map_err(AnnounceError::connecting)
        };
        let connected = happy_eyeballs::first(&addresses, connect).await;
        let (_, stream) = connected.map_err(ProxyFault::Unreachable)?;
        Ok(stream)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, AnnounceError> {
        let port = self.proxy.port;
        let local: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let addresses = match (&self.proxy.host, &self.resolver) {
            (ProxyHost::Address(ip), _) => vec![SocketAddr::new(*ip, port)],
            (ProxyHost::Name(name), _) if is_localhost(name) => {
                local.map(|ip| SocketAddr::new(ip, port)).to_vec()
            }
            (ProxyHost::Name(name), Some(resolver)) => resolver.resolve(name, port).await?,
            // The builder gives one to each proxy with a name.
            (ProxyHost::Name(_), None) => Vec::new(),
        };
        if addresses.is_empty() {
            let unknown = io::Error::new(io::ErrorKind::NotFound, "no address is known");
            return Err(AnnounceError::resolving(unknown));
        }
        Ok(addresses)
    }
}

/// Ends what takes too long, as a fault of the proxy.
pub(super) async fn limited<T>(
    step: impl Future<Output = Result<T, AnnounceError>>,
) -> Result<T, AnnounceError> {
    clock::timeout(PROXY_LIMIT, step).await.unwrap_or_else(|_| Err(ProxyFault::Silent.into()))
}
