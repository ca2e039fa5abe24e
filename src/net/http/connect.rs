//! Connections: the [`Connector`], which a client or a simulation can implement itself, and the system's TCP.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{AnnounceError, TimeoutPhase};
use crate::net::happy_eyeballs;
use crate::net::sockets::Sockets;

/// Opens a stream to one of the addresses of a host. Implement it for a proxy, another network, or a simulation. The
/// transport puts TLS on top of it.
///
/// Implementing it takes `async-trait = "0.1"` among the dependencies, and
/// [`#[async_trait]`](https://docs.rs/async-trait) on the `impl`:
///
/// ```
/// use std::net::SocketAddr;
///
/// use async_trait::async_trait;
/// use tokio::net::TcpStream;
/// use tracker_failover::AnnounceError;
/// use tracker_failover::net::http::{Connected, Connector};
///
/// /// Connects by a proxy that passes everything on to one server.
/// struct Relay(SocketAddr);
///
/// #[async_trait]
/// impl Connector for Relay {
///     async fn connect(&self, _host: &str, _addresses: &[SocketAddr]) -> Result<Connected, AnnounceError> {
///         let stream = TcpStream::connect(self.0).await.map_err(AnnounceError::connecting)?;
///         Ok(Connected::new(stream, self.0))
///     }
/// }
/// ```
///
/// # Cancel safety
/// Dropping the future has to give up every connection that it was opening.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects to one of the addresses, the first being preferred. They have been checked against the address policy; a
    /// connector that connects to another address bypasses it. `host` is the name that they were looked up for, or the
    /// address as it stands in the URL.
    ///
    /// # Errors
    /// [`AnnounceError::Connect`] when no address could be connected to, [`AnnounceError::Local`] where this machine is the
    /// cause; [`AnnounceError::connecting`] tells them apart.
    ///
    /// # Cancel safety
    /// Dropping the future gives up all connections that it was opening.
    async fn connect(&self, host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError>;

    /// Whether its streams lead straight to the address that [`Connected`] holds, and not through a proxy. False, unless it
    /// is overridden.
    fn is_direct(&self) -> bool {
        false
    }

    /// Whether it connects to names, as a proxy does that resolves them itself. Then no name is looked up on this side:
    /// [`connect_by_name`](Self::connect_by_name) is called for names, and [`connect`](Self::connect) for the literal
    /// addresses of URLs alone. These are held to the address policy; where names lead is for the proxy alone to judge.
    /// False, unless it is overridden.
    fn resolves_names(&self) -> bool {
        false
    }

    /// Connects to a name. It is called where [`resolves_names`](Self::resolves_names) is true.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`AnnounceError::Unsupported`], unless it is overridden.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    async fn connect_by_name(&self, host: &str, port: u16) -> Result<Connected, AnnounceError> {
        let _ = (host, port);
        Err(AnnounceError::Unsupported)
    }
}

/// An open stream, and the address to which it leads.
pub struct Connected {
    pub(super) stream: Box<dyn Stream>,
    pub(super) remote: Remote,
}

/// Where a stream leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote {
    Address(SocketAddr),
    /// To a name that was resolved on the other side.
    Name,
}

/// A stream of bytes in both directions, over which HTTP is spoken. Everything that reads and writes is one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects over TCP: every 250 ms it tries another address, the families in turns, until one connection stands (RFC 8305).
/// It has no time limit: callers drop the future when theirs has passed.
#[derive(Debug, Clone, Default)]
pub struct TcpConnector {
    sockets: Sockets,
}

impl Connected {
    /// A stream that leads to this address.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, remote: SocketAddr) -> Self {
        Self { stream: Box::new(stream), remote: Remote::Address(remote) }
    }

    /// A stream that leads to a name, which was resolved on the other side.
    pub fn by_name(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), remote: Remote::Name }
    }
}

impl Remote {
    /// The address, if it is known.
    pub(super) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Name => None,
        }
    }
}

impl TcpConnector {
    /// A connector whose local address the system chooses.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connector that connects from this address, and so to addresses of its family only.
    pub fn from_address(local: IpAddr) -> Self {
        Self::over(Sockets::new().local_address(local))
    }

    /// A connector that connects over these sockets: by an interface, or prepared by the client.
    pub fn over(sockets: Sockets) -> Self {
        Self { sockets }
    }
}

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, _host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError> {
        let connect = |address| async move { self.sockets.connect_tcp(address).await.map_err(failed) };
        let (remote, stream) = happy_eyeballs::first(addresses, connect).await?;
        Ok(Connected::new(stream, remote))
    }

    fn is_direct(&self) -> bool {
        true
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
