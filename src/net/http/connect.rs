//! From addresses to an open stream: the [`Connector`] that a client or a simulation can bring itself.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use crate::error::{AnnounceError, TimeoutPhase};
use crate::net::happy_eyeballs::{self, local_address};

/// Opens a stream to one of the addresses of a host: a seam for proxies, other networks and simulations. TLS is
/// put on top by the transport.
///
/// # Cancel safety
/// Dropping the future gives up every connection it was opening.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects to whichever of the addresses answers, the first being preferred. The addresses have been
    /// judged by the address policy; a connector that goes elsewhere goes past it. `host` is for proxies that
    /// resolve names themselves; it has been looked up all the same, by the transport's
    /// [`Resolver`](crate::net::resolver::Resolver), so where nobody but the proxy may hear of it that has to be one that
    /// asks nobody.
    ///
    /// # Errors
    /// [`AnnounceError::Connect`] when no address could be connected to, [`AnnounceError::Local`] where that is this
    /// machine's fault; [`AnnounceError::connecting`] tells them apart.
    async fn connect(&self, host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError>;
}

/// An open stream and where it leads.
pub struct Connected {
    pub(super) stream: Box<dyn Stream>,
    pub(super) remote: SocketAddr,
}

/// What HTTP is spoken over: bytes both ways. Everything that reads and writes is one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects over TCP, to the next address beside the last one every 250 ms, the families in turns (RFC 8305). The limit
/// of the opening as a whole is the caller's.
#[derive(Debug, Clone, Default)]
pub struct TcpConnector {
    local_address: Option<IpAddr>,
}

impl Connected {
    /// A stream that leads to this address.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, remote: SocketAddr) -> Self {
        Self { stream: Box::new(stream), remote }
    }
}

impl TcpConnector {
    /// A connector that leaves the choice of the local address to the system.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connector that connects from this address, and so to its family only.
    pub fn from_address(local: IpAddr) -> Self {
        Self { local_address: Some(local) }
    }
}

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, _host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError> {
        let connect = |address| async move { self.dial(address).await.map_err(failed) };
        let (remote, stream) = happy_eyeballs::first(addresses, connect).await?;
        Ok(Connected::new(stream, remote))
    }
}

impl TcpConnector {
    async fn dial(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        // A mapped address is that of an IPv4 host, and is spoken with over IPv4.
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if self.local_address.is_some() {
            socket.bind((local_address(self.local_address, remote)?, 0).into())?;
        }
        let stream = socket.connect(remote).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn failed(error: io::Error) -> AnnounceError {
    match error.kind() {
        io::ErrorKind::TimedOut => AnnounceError::TimedOut(TimeoutPhase::Open),
        _ => AnnounceError::connecting(error),
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("remote", &self.remote).finish_non_exhaustive()
    }
}
