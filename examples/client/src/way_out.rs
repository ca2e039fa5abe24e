//! The way out of the process: directly, by an interface, or through a proxy. It is set once, before anything is sent, and
//! whatever opens a socket asks for it here, so that nothing passes it by.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

use tokio::net::TcpStream;
use tracker_failover::net::proxy::Proxy;
use tracker_failover::net::scheme_router::SchemeRouter;
use tracker_failover::net::sockets::{BorrowedSocket, Sockets};
use tracker_failover::{Announcer, BuildError};

static WAY_OUT: OnceLock<WayOut> = OnceLock::new();

struct WayOut {
    proxy: Option<Proxy>,
    sockets: Sockets,
    transports: SchemeRouter,
}

/// Sets the way out.
///
/// # Errors
/// When it can't hold, for the user to read.
pub(crate) fn set(proxy: Option<&str>, interface: Option<&str>) -> Result<(), String> {
    if proxy.is_none() && interface.is_none() {
        return Ok(());
    }
    let (mut builder, mut sockets) = (Announcer::builder(), Sockets::new());
    if let Some(name) = interface {
        sockets = sockets.interface(name).map_err(|error| format!("--interface: {error}"))?;
        builder = builder.interface(name).map_err(|error| format!("--interface: {error}"))?;
    }
    let mut parsed = None;
    if let Some(url) = proxy {
        parsed = Some(url.parse().map_err(|error| format!("--proxy: {error}"))?);
        builder = builder.proxy(url).map_err(|error| format!("--proxy: {error}"))?;
    }
    let transports = builder.transports().map_err(|error| match error {
        BuildError::NoResolverForProxy => "--proxy: expected the proxy's IP address, or localhost".to_owned(),
        BuildError::NoResolver => {
            "--interface: names can't be looked up by it, this program was built without the feature hickory"
                .to_owned()
        }
        error => format!("--interface: {error}"),
    })?;
    let set = WAY_OUT.set(WayOut { proxy: parsed, sockets, transports });
    set.map_err(|_| "the way out is set already".to_owned())
}

/// The library's transports for HTTP and UDP.
pub(crate) fn transports() -> SchemeRouter {
    WAY_OUT.get().map_or_else(SchemeRouter::all, |way| way.transports.clone())
}

/// A connection to a peer.
///
/// # Errors
/// When the peer, the proxy or the interface can't be reached.
pub(crate) async fn connect(peer: SocketAddr) -> io::Result<TcpStream> {
    let Some(way) = WAY_OUT.get() else { return TcpStream::connect(peer).await };
    match &way.proxy {
        Some(proxy) => proxy.connect(&way.sockets, peer).await.map_err(io::Error::other),
        None => way.sockets.connect_tcp(peer).await,
    }
}

/// Binds a listening socket to the interface.
///
/// # Errors
/// When there is none of this name.
pub(crate) fn bind(listener: BorrowedSocket<'_>, address: SocketAddr) -> io::Result<()> {
    WAY_OUT.get().map_or(Ok(()), |way| way.sockets.apply(listener, address))
}

/// Whether peers can connect to us. They can't through a proxy.
pub(crate) fn listens() -> bool {
    WAY_OUT.get().is_none_or(|way| way.proxy.is_none())
}

/// Whether the system's resolver may be asked. With a way out it would be passed by.
pub(crate) fn looks_up() -> bool {
    WAY_OUT.get().is_none()
}
