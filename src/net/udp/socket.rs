//! Datagrams to and from one address: the traits that a client can implement for a proxy, and the system's sockets.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::io::Interest;

use crate::error::AnnounceError;
use crate::net::sockets::Sockets;

/// The largest datagram of UDP in bytes, so that none is cut (R69).
const LARGEST_DATAGRAM: usize = 64 << 10;

thread_local! {
    /// One buffer for all sockets of a thread. It is only used while a datagram is copied out of the kernel.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGEST_DATAGRAM]);
}

/// Opens sockets, each for one remote address.
pub trait DatagramConnector: Send + Sync {
    /// A socket that sends to this address, and receives from this address only.
    ///
    /// # Errors
    /// When the address can't be reached from here: no network of its family, no local address to send from.
    fn connect(&self, remote: SocketAddr) -> io::Result<Box<dyn DatagramSocket>>;

    /// Whether its sockets send straight to the address that they are opened for, and not to a proxy. Only then are two
    /// trackers at one address taken for one. False, unless it is overridden.
    fn is_direct(&self) -> bool {
        false
    }

    /// Whether it opens sockets for names, as a proxy does that resolves them itself. Then no name is looked up on this side:
    /// [`connect_by_name`](Self::connect_by_name) is called for names, and [`connect`](Self::connect) for the literal
    /// addresses of URLs alone. These are held to the address policy; where names lead is for the proxy alone to judge.
    /// False, unless it is overridden.
    fn resolves_names(&self) -> bool {
        false
    }

    /// A socket that sends to a name. It is called where [`resolves_names`](Self::resolves_names) is true.
    ///
    /// # Errors
    /// When no such name can be sent to; [`AnnounceError::Unsupported`], unless it is overridden.
    fn connect_by_name(&self, host: &str, port: u16) -> Result<Box<dyn DatagramSocket>, AnnounceError> {
        let _ = (host, port);
        Err(AnnounceError::Unsupported)
    }
}

/// A socket for datagrams to and from one address.
///
/// Implementing it takes `async-trait = "0.1"` among the dependencies, and
/// [`#[async_trait]`](https://docs.rs/async-trait) on the `impl`:
///
/// ```
/// use std::io;
///
/// use async_trait::async_trait;
/// use tokio::net::UdpSocket;
/// use tracker_failover::net::udp::DatagramSocket;
///
/// /// A socket that is connected to its address, and was opened by the client.
/// struct Own(UdpSocket);
///
/// #[async_trait]
/// impl DatagramSocket for Own {
///     async fn send(&self, datagram: &[u8]) -> io::Result<()> {
///         self.0.send(datagram).await.map(drop)
///     }
///
///     async fn receive(&self) -> io::Result<Vec<u8>> {
///         let mut datagram = vec![0; 64 << 10];
///         let length = self.0.recv(&mut datagram).await?;
///         datagram.truncate(length);
///         Ok(datagram)
///     }
/// }
/// ```
#[async_trait]
pub trait DatagramSocket: Send + Sync {
    /// Prepares the socket, such as by an association with a proxy. It is awaited once, before the first datagram is sent, and
    /// needs a time limit of its own. Does nothing, unless it is overridden.
    ///
    /// # Errors
    /// When nothing can be sent: [`AnnounceError::Local`] where the proxy or this machine is the cause,
    /// [`AnnounceError::ProxyWithoutUdp`] where the proxy carries no datagrams.
    ///
    /// # Cancel safety
    /// Dropping the future gives the preparation up.
    async fn ready(&self) -> Result<(), AnnounceError> {
        Ok(())
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// When it couldn't be sent, or an earlier one was refused.
    ///
    /// # Cancel safety
    /// After dropping the future, the datagram may have been sent or not.
    async fn send(&self, datagram: &[u8]) -> io::Result<()>;

    /// Waits for a datagram.
    ///
    /// # Errors
    /// When the network reports that the host or its port can't be reached.
    ///
    /// # Cancel safety
    /// Dropping the future loses no datagram.
    async fn receive(&self) -> io::Result<Vec<u8>>;

    /// The address of the tracker, where the socket was opened for its name. It is called when the tracker has given a
    /// connection id: the source of the last datagram is that address, and all further datagrams go to it and are taken from
    /// it alone. A name with several addresses would otherwise lead to another tracker each time. `None`, unless it is
    /// overridden.
    fn answered(&self) -> Option<SocketAddr> {
        None
    }
}

/// Opens sockets of the system. They are connected, so the kernel drops datagrams from other addresses, and reports a
/// closed port.
#[derive(Debug, Clone, Default)]
pub struct UdpConnector {
    sockets: Sockets,
}

struct SystemSocket(tokio::net::UdpSocket);

impl UdpConnector {
    /// A connector whose local address the system chooses.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connector that sends from this address, and so to addresses of its family only.
    pub fn from_address(local: IpAddr) -> Self {
        Self::over(Sockets::new().local_address(local))
    }

    /// A connector of such sockets: that leave by an interface, or are prepared by the client.
    pub fn over(sockets: Sockets) -> Self {
        Self { sockets }
    }
}

impl DatagramConnector for UdpConnector {
    fn connect(&self, remote: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        Ok(Box::new(SystemSocket(self.sockets.connect_udp(remote)?)))
    }

    fn is_direct(&self) -> bool {
        true
    }
}

#[async_trait]
impl DatagramSocket for SystemSocket {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).await.map(drop)
    }

    async fn receive(&self) -> io::Result<Vec<u8>> {
        loop {
            // A refusal alone makes a socket ready for errors and not for reading, so a wait for the latter alone would
            // miss it.
            let ready = self.0.ready(Interest::READABLE | Interest::ERROR).await?;
            let received = if ready.is_error() {
                self.0.try_io(Interest::ERROR, || self.refusal())
            } else {
                BUFFER.with_borrow_mut(|buffer| {
                    self.0.try_recv(buffer).map(|length| buffer.get(..length).unwrap_or_default().to_vec())
                })
            };
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received.map_err(as_refused),
            }
        }
    }
}

/// Windows reports a closed port as a reset, though there is no connection that could be reset.
fn as_refused(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::ConnectionReset {
        io::ErrorKind::ConnectionRefused.into()
    } else {
        error
    }
}

impl SystemSocket {
    /// The pending error of the socket; `WouldBlock` where a concurrent call has taken it.
    fn refusal(&self) -> io::Result<Vec<u8>> {
        Err(self.0.take_error()?.unwrap_or_else(|| io::ErrorKind::WouldBlock.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R120.
    #[test]
    fn a_reset_of_a_socket_without_connections_is_a_refusal() {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, NetworkUnreachable};
        for (kind, expected) in [
            (ConnectionReset, ConnectionRefused),
            (ConnectionRefused, ConnectionRefused),
            (NetworkUnreachable, NetworkUnreachable),
        ] {
            assert_eq!(as_refused(kind.into()).kind(), expected);
        }
        // WSAECONNRESET
        #[cfg(windows)]
        assert_eq!(as_refused(io::Error::from_raw_os_error(10_054)).kind(), ConnectionRefused);
    }
}
