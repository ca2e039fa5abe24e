//! From addresses to an open stream: the [`Connector`] that a client or a simulation can bring itself.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use async_trait::async_trait;
use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::error::{AnnounceError, Cause, Phase};

/// Shared among the addresses of a host that has several of one family: a silent one must not use up the whole
/// opening. The limit of the opening as a whole is the caller's (RFC 8305 leaves it to the application, too).
const FOR_ALL_ADDRESSES: Duration = Duration::from_secs(10);

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
    /// [`AnnounceError::Connect`] when no address could be connected to.
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

/// Connects over TCP, to both families at once where the preferred one is slow (RFC 6555, 300 ms).
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
        let v4 = addresses.iter().filter(|address| address.is_ipv4()).count();
        let mut http = HttpConnector::new_with_resolver(Given(addresses.to_vec()));
        http.set_nodelay(true);
        http.set_local_address(self.local_address);
        if v4 > 1 || addresses.len() - v4 > 1 {
            http.set_connect_timeout(Some(FOR_ALL_ADDRESSES));
        }
        // Only the scheme of this address means anything: host and port come from the list of addresses.
        let stream = http.call(Uri::from_static("http://tracker/")).await.map_err(|error| failed(&error))?;
        let stream = stream.into_inner();
        let remote = stream.peer_addr().map_err(|error| AnnounceError::Connect(Cause::new(error)))?;
        Ok(Connected::new(stream, remote))
    }
}

/// Hands the connector of `hyper-util` the addresses that were judged already.
#[derive(Clone)]
struct Given(Vec<SocketAddr>);

impl Service<Name> for Given {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(self.0.clone().into_iter()))
    }
}

/// What the system said, which `hyper-util` keeps behind a type of its own.
fn failed(error: &(dyn Error + 'static)) -> AnnounceError {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let Some(io) = innermost.downcast_ref::<io::Error>() else {
        return AnnounceError::Connect(Cause::new(innermost.to_string()));
    };
    if io.kind() == io::ErrorKind::TimedOut {
        return AnnounceError::TimedOut(Phase::Open);
    }
    let io = io
        .raw_os_error()
        .map_or_else(|| io::Error::new(io.kind(), io.to_string()), io::Error::from_raw_os_error);
    AnnounceError::Connect(Cause::new(io))
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("remote", &self.remote).finish_non_exhaustive()
    }
}
