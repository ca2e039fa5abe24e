//! The port on which peers connect to us, over IPv4 and IPv6.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(unix)]
use std::os::fd::AsFd as _;
#[cfg(windows)]
use std::os::windows::io::AsSocket as _;
use std::rc::Rc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::incoming;
use super::registry::Registry;
use crate::way_out;

/// The sockets, one for each family that the machine has, all on one port.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// The port.
    pub(crate) port: u16,
    /// The sockets.
    sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Listens on the port, 0 for any; without one on the first free port from 6881 on. Through a proxy there are no sockets,
    /// as no peer can connect to us.
    ///
    /// # Errors
    /// When the port is taken, or nothing can be listened on.
    pub(crate) fn bind(port: Option<u16>) -> io::Result<Self> {
        if !way_out::listens() {
            // The port is announced all the same: an announce has to hold one, and none of 0 is taken.
            let port = port.filter(|&port| port != 0).unwrap_or(FIRST_PORT);
            return Ok(Self { port, sockets: Vec::new() });
        }
        if let Some(port) = port {
            return Self::on(port).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => {
                    io::Error::new(error.kind(), format!("port {port} is in use, try --port 0"))
                }
                _ => error,
            });
        }
        (FIRST_PORT..=LAST_PORT).find_map(|port| Self::on(port).ok()).map_or_else(|| Self::on(0), Ok)
    }

    /// Takes connections from now on, for the torrents of this registry.
    pub(crate) fn serve(self, registry: &Rc<Registry>) {
        for socket in self.sockets {
            tokio::task::spawn_local(incoming::listen(Rc::clone(registry), socket));
        }
    }

    fn on(port: u16) -> io::Result<Self> {
        let v4 = socket(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))?;
        let port = v4.local_addr()?.port();
        let mut sockets = vec![v4];
        match socket(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)) {
            Ok(v6) => sockets.push(v6),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // No IPv6 on this machine.
            Err(_) => {}
        }
        Ok(Self { port, sockets })
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Windows gives this option another meaning: there it lets a second program take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    way_out::bind(socket.as_fd(), address)?;
    #[cfg(windows)]
    way_out::bind(socket.as_socket(), address)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The ports that BitTorrent clients traditionally use (BEP 3).
const FIRST_PORT: u16 = 6881;
const LAST_PORT: u16 = 6899;
const BACKLOG: i32 = 64;
