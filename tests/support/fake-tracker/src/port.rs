//! A TCP port that can be open, refuse, or drop what comes, and is never lost to anybody else meanwhile.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::behaviour::Opening;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port that stays ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    door: Door,
    /// On Linux a second socket is bound to the port and never listens: it neither refuses nor admits a client,
    /// but keeps the kernel from giving the port to another test while the door is shut. Elsewhere two
    /// sockets can't be bound to one port, so there the port may be lost.
    _reservation: Option<TcpSocket>,
}

#[derive(Debug)]
enum Door {
    Open(TcpListener),
    /// No socket listens, so the kernel answers a SYN with a reset.
    Shut,
    /// The queue of the listener is filled by a connection of our own, so the kernel drops a SYN.
    Jammed {
        _listener: TcpListener,
        _filler: std::net::TcpStream,
    },
}

impl Port {
    /// Binds to this address; port 0 takes a free one. The door is shut.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let first = socket(address)?;
        let address = first.local_addr()?;
        let reservation = cfg!(target_os = "linux").then_some(first);
        Ok(Self { address, door: Door::Shut, _reservation: reservation })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What becomes of a SYN.
    pub(crate) fn opening(&self) -> Opening {
        match self.door {
            Door::Open(_) => Opening::Accepted,
            Door::Shut => Opening::Refused,
            Door::Jammed { .. } => Opening::Dropped,
        }
    }

    /// Makes the next SYN meet this. Connections that wait to be accepted are reset.
    pub(crate) fn set(&mut self, opening: Opening) -> io::Result<()> {
        if self.opening() == opening {
            return Ok(());
        }
        // Two can't listen at a time.
        self.door = Door::Shut;
        self.door = match opening {
            Opening::Refused => Door::Shut,
            Opening::Accepted => Door::Open(socket(self.address)?.listen(BACKLOG)?),
            Opening::Dropped => jam(self.address)?,
        };
        Ok(())
    }

    /// A connection that has come; pending also while the door isn't open.
    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        match &self.door {
            Door::Open(listener) => listener.poll_accept(context),
            Door::Shut | Door::Jammed { .. } => Poll::Pending,
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Old connections of the port are no obstacle, and neither is the reservation.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens with a backlog of 0, which holds one connection, and makes that connection. It is complete in the
/// accept queue as soon as `connect` returns, since loopback handles all three packets within the call.
fn jam(address: SocketAddr) -> io::Result<Door> {
    if !cfg!(target_os = "linux") {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "only Linux drops a SYN when the queue is full",
        ));
    }
    let listener = socket(address)?.listen(0)?;
    let filler = std::net::TcpStream::connect(address)?;
    Ok(Door::Jammed { _listener: listener, _filler: filler })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn connect(address: SocketAddr) -> Result<(), io::ErrorKind> {
        // Long for loopback, short for the first retransmission of a SYN (1 s).
        let connected = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(150));
        connected.map(drop).map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn a_port_can_be_opened_and_shut_and_stays_the_same() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let mut port = Port::bind(any.parse().unwrap()).unwrap();
            assert_eq!(connect(port.address()), Err(io::ErrorKind::ConnectionRefused));
            for _ in 0..3 {
                port.set(Opening::Accepted).unwrap();
                assert_eq!(connect(port.address()), Ok(()));
                port.set(Opening::Refused).unwrap();
                assert_eq!(connect(port.address()), Err(io::ErrorKind::ConnectionRefused));
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_jammed_port_drops_every_syn() {
        let mut port = Port::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        port.set(Opening::Dropped).unwrap();
        for _ in 0..3 {
            assert_eq!(connect(port.address()), Err(io::ErrorKind::TimedOut));
        }
        port.set(Opening::Accepted).unwrap();
        assert_eq!(connect(port.address()), Ok(()));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_shut_port_is_given_to_no_other_tracker() {
        let port = Port::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // Asking for the port by name is a stricter form of what the kernel does when it looks for a free one.
        let bound = TcpSocket::new_v4().unwrap().bind(port.address());
        assert_eq!(bound.map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse));
    }
}
