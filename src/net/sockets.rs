//! Sockets of the system that leave by one interface, from one local address, or as a closure of the client prepares them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::os::fd::AsFd;
/// A socket that a closure of the client prepares.
#[cfg(unix)]
pub use std::os::fd::BorrowedFd as BorrowedSocket;
#[cfg(windows)]
use std::os::windows::io::AsSocket;
/// A socket that a closure of the client prepares.
#[cfg(windows)]
pub use std::os::windows::io::BorrowedSocket;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
#[cfg(feature = "udp")]
use tokio::net::UdpSocket;
use tokio::net::{TcpSocket, TcpStream};

use super::clock;
use super::happy_eyeballs::local_address;

/// The longest name of an interface in bytes (`IFNAMSIZ` without the NUL).
const MAX_INTERFACE_LEN: usize = 15;

/// How sockets are opened: TCP and UDP, for requests, probes and name look-ups alike.
///
/// By default the system chooses the interface and the local address. With an interface, every packet leaves by it, whatever
/// the routes are; where it is missing or down, sockets fail as an error of this machine, and nothing leaves by another.
///
/// ```
/// use tracker_failover::net::sockets::Sockets;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sockets = Sockets::new().local_address("192.0.2.7".parse()?);
/// # #[cfg(target_os = "linux")]
/// let sockets = sockets.interface("tun0")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Sockets {
    interface: Option<Arc<str>>,
    local_address: Option<IpAddr>,
    prepare: Option<Arc<Prepare>>,
}

/// A closure of the client.
type Prepare = dyn Fn(BorrowedSocket<'_>, SocketAddr) -> io::Result<()> + Send + Sync;

/// Why sockets can't be bound to an interface of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// Its name isn't 1 to 15 bytes without blanks, slashes and control characters.
    #[error("no interface has such a name")]
    Name,
    /// This system can't bind a socket to an interface. A local address may serve.
    #[error("sockets can't be bound to an interface on this system")]
    Unsupported,
}

/// A socket was opened, and couldn't be prepared. That is a matter of this machine.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {error}")]
struct NotPrepared {
    what: String,
    error: io::Error,
}

impl Sockets {
    /// Sockets whose interface and local address the system chooses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds every socket to an interface, such as that of a VPN: `SO_BINDTODEVICE` on Linux and Android, `IP_BOUND_IF` on
    /// Apple's systems. It needn't exist yet: sockets fail until it does, and work from then on.
    ///
    /// # Errors
    /// When no interface can have this name, or the system can't bind sockets to one.
    pub fn interface(mut self, name: &str) -> Result<Self, InterfaceError> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if name.is_empty() || name.len() > MAX_INTERFACE_LEN || !name.bytes().all(is_plain) {
            return Err(InterfaceError::Name);
        }
        if !CAN_BIND {
            return Err(InterfaceError::Unsupported);
        }
        self.interface = Some(name.into());
        Ok(self)
    }

    /// Binds every socket to an address of this machine. Remote addresses of the other family can't be reached then.
    #[must_use]
    pub fn local_address(mut self, local: IpAddr) -> Self {
        self.local_address = Some(local);
        self
    }

    /// Calls this with each new socket and the address that it is for, before it is bound and connected: to set options such
    /// as `SO_MARK`, or to refuse it by an error. It is called on the tasks of the runtime, so it mustn't block.
    ///
    /// ```
    /// use tracker_failover::net::sockets::Sockets;
    ///
    /// let sockets = Sockets::new().prepare(|socket, _remote| {
    ///     let socket = socket2::SockRef::from(&socket);
    ///     socket.set_keepalive(true)
    /// });
    /// ```
    #[must_use]
    pub fn prepare(
        mut self,
        closure: impl Fn(BorrowedSocket<'_>, SocketAddr) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.prepare = Some(Arc::new(closure));
        self
    }

    /// Whether names have to be looked up over these sockets too. The system's resolver uses others.
    pub(super) fn are_own(&self) -> bool {
        self.interface.is_some() || self.prepare.is_some()
    }

    /// Whether the system chooses everything.
    pub(super) fn are_default(&self) -> bool {
        !self.are_own() && self.local_address.is_none()
    }

    /// These sockets, with what isn't set here as it is in `others`.
    #[must_use]
    pub(super) fn or(self, others: &Self) -> Self {
        Self {
            interface: self.interface.or_else(|| others.interface.clone()),
            local_address: self.local_address.or(others.local_address),
            prepare: self.prepare.or_else(|| others.prepare.clone()),
        }
    }

    /// The same without a local address.
    #[must_use]
    pub(super) fn without_local_address(mut self) -> Self {
        self.local_address = None;
        self
    }

    /// A connection over TCP, such as to a peer of a client.
    ///
    /// # Errors
    /// When the address can't be reached, or the socket can't be prepared.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket; one that is bound to an interface as soon as its connection stands or failed.
    pub async fn connect_tcp(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        let remote = canonical(remote);
        let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        self.apply(borrowed(&socket), remote)?;
        if self.local_address.is_some() {
            socket.bind((local_address(self.local_address, remote)?, 0).into())?;
        }
        let stream = if self.interface.is_some() {
            outlasting(socket, remote).await?
        } else {
            socket.connect(remote).await?
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A UDP socket that is connected to `remote`. It sends nothing, and waits for nothing.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(feature = "udp")]
    pub(crate) fn connect_udp(&self, remote: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::from_std(self.open_udp(remote)?.into())
    }

    /// Whether there is a way to `remote` by these sockets. Sends nothing.
    pub(crate) fn reach(&self, remote: SocketAddr) -> bool {
        self.open_udp(remote).is_ok()
    }

    fn open_udp(&self, remote: SocketAddr) -> io::Result<Socket> {
        let remote = canonical(remote);
        let socket = Socket::new(Domain::for_address(remote), Type::DGRAM, Some(Protocol::UDP))?;
        self.apply(borrowed(&socket), remote)?;
        socket.bind(&SocketAddr::new(local_address(self.local_address, remote)?, 0).into())?;
        socket.connect(&remote.into())?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Binds a socket of the client's own to the interface, and has it prepared: a listening one, or one for another protocol.
    /// `address` is where it is to be connected or bound. It isn't bound to the local address.
    ///
    /// # Errors
    /// When there is no such interface, or the closure refuses the socket.
    pub fn apply(&self, socket: BorrowedSocket<'_>, address: SocketAddr) -> io::Result<()> {
        if let Some(interface) = &self.interface {
            bind(&SockRef::from(&socket), interface, address)
                .map_err(|error| not_prepared(format!("interface {interface}"), error))?;
        }
        if let Some(prepare) = &self.prepare {
            prepare(socket, address)
                .map_err(|error| not_prepared("the client refused the socket".to_owned(), error))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn borrowed(socket: &impl AsFd) -> BorrowedSocket<'_> {
    socket.as_fd()
}

#[cfg(windows)]
fn borrowed(socket: &impl AsSocket) -> BorrowedSocket<'_> {
    socket.as_socket()
}

/// How long a connection goes on opening whose caller has left.
const OUTLASTS: Duration = Duration::from_secs(10);

/// Connects, and goes on to do so when the caller leaves, to close the connection in due form. Were the socket closed before,
/// the system would answer the other side by a reset of its own, which belongs to no socket, and follows the routes past the
/// interface.
async fn outlasting(socket: TcpSocket, remote: SocketAddr) -> io::Result<TcpStream> {
    let connecting = tokio::spawn(clock::timeout(OUTLASTS, socket.connect(remote)));
    match connecting.await {
        Ok(Ok(connected)) => connected,
        Ok(Err(_)) => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// An IPv4-mapped address belongs to an IPv4 host, and is reached over IPv4.
fn canonical(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(remote.ip().to_canonical(), remote.port())
}

/// An error of this machine, whatever the system calls it: no such interface has no kind of its own.
fn not_prepared(what: String, error: io::Error) -> io::Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::NetworkDown,
    };
    io::Error::new(kind, NotPrepared { what, error })
}

/// Whether this system can bind a socket to an interface.
const CAN_BIND: bool = cfg!(any(target_os = "linux", target_os = "android", target_vendor = "apple"));

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind(socket: &SockRef<'_>, interface: &str, _remote: SocketAddr) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}

#[cfg(target_vendor = "apple")]
fn bind(socket: &SockRef<'_>, interface: &str, remote: SocketAddr) -> io::Result<()> {
    let index = std::num::NonZeroU32::new(nix::net::if_::if_nametoindex(interface)?);
    // Without an index, this would remove the binding.
    let index = index.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    if remote.is_ipv4() {
        socket.bind_device_by_index_v4(Some(index))
    } else {
        socket.bind_device_by_index_v6(Some(index))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn bind(_socket: &SockRef<'_>, _interface: &str, _remote: SocketAddr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets")
            .field("interface", &self.interface)
            .field("local_address", &self.local_address)
            .field("prepared", &self.prepare.is_some())
            .finish()
    }
}

#[cfg(all(test, feature = "http", feature = "udp"))]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::error::AnnounceError;

    #[test]
    fn only_names_that_an_interface_can_have_are_taken() {
        for name in ["", "a b", "a/b", "sixteen-bytes-xx", "a\0", "a\n", "tün0"] {
            assert_eq!(Sockets::new().interface(name).unwrap_err(), InterfaceError::Name, "{name:?}");
        }
        let taken = Sockets::new().interface("fifteen-bytes-x");
        assert_eq!(taken.is_ok(), CAN_BIND);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn a_missing_interface_is_an_error_of_this_machine_and_nothing_goes_elsewhere() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let sockets = Sockets::new().interface("no-such-0").unwrap();
        for error in [sockets.connect_tcp(remote).await.err(), sockets.connect_udp(remote).err()] {
            let error = AnnounceError::connecting(error.unwrap());
            assert!(matches!(error, AnnounceError::Local(_)), "{error}");
            assert!(error.to_string().contains("interface no-such-0: No such device"), "{error}");
        }
        assert!(!sockets.reach(remote));
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn each_socket_is_shown_to_the_client_before_it_is_connected() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sockets = Sockets::new().prepare({
            let seen = Arc::clone(&seen);
            move |socket, remote| {
                let socket = SockRef::from(&socket);
                assert!(socket.peer_addr().is_err(), "not connected");
                socket.set_recv_buffer_size(8 << 10)?;
                seen.lock().unwrap().push((socket.r#type()?, remote));
                Ok(())
            }
        });
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", remote.port()).parse().unwrap();
        let tcp = sockets.connect_tcp(mapped).await.unwrap();
        let udp = sockets.connect_udp(remote).unwrap();
        assert!(sockets.reach(remote));
        assert_eq!(
            *seen.lock().unwrap(),
            [Type::STREAM, Type::DGRAM, Type::DGRAM].map(|kind| (kind, remote))
        );
        assert_eq!((tcp.peer_addr().unwrap(), udp.peer_addr().unwrap()), (remote, remote));
    }

    #[tokio::test]
    async fn a_socket_that_the_client_refuses_is_not_used() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let sockets = Sockets::new().prepare(|_, _| Err(io::Error::other("no mark")));
        for error in [sockets.connect_tcp(remote).await.err(), sockets.connect_udp(remote).err()] {
            let error = AnnounceError::connecting(error.unwrap());
            assert_eq!(
                error.to_string(),
                "this machine could not connect: the client refused the socket: no mark"
            );
        }
    }

    #[tokio::test]
    async fn a_local_address_is_sent_from() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let own: IpAddr = [127, 0, 0, 1].into();
        let sockets = Sockets::new().local_address(own);
        assert_eq!(sockets.connect_tcp(remote).await.unwrap().local_addr().unwrap().ip(), own);
        assert_eq!(sockets.connect_udp(remote).unwrap().local_addr().unwrap().ip(), own);
        assert!(!sockets.reach("[::1]:9".parse().unwrap()), "of the other family");
    }
}
