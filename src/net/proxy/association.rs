//! Datagrams through a SOCKS proxy: an association (RFC 1928, `UDP ASSOCIATE`) for each tracker, which lasts as long as the
//! connection that asked for it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::Way;
use super::error::ProxyFault;
use super::socks::{self, Command, Refusal, Target};
use super::way::limited;
use crate::error::AnnounceError;
use crate::net::udp::{DatagramConnector, DatagramSocket};

/// Opens associations.
pub(in crate::net) struct ProxyDatagrams(Arc<Way>);

/// The datagrams of one tracker.
struct ProxySocket {
    way: Arc<Way>,
    association: OnceCell<Association>,
    state: Mutex<State>,
}

/// What is known of the tracker.
struct State {
    /// Where datagrams are to go.
    target: Target,
    /// The source of the last datagram.
    source: Option<SocketAddr>,
}

/// An association: the connection that keeps it, and the socket to the relay.
struct Association {
    control: TcpStream,
    relay: Box<dyn DatagramSocket>,
}

impl ProxyDatagrams {
    pub(in crate::net) fn new(way: Arc<Way>) -> Self {
        Self(way)
    }

    fn socket(&self, target: Target) -> Box<dyn DatagramSocket> {
        let state = Mutex::new(State { target, source: None });
        Box::new(ProxySocket { way: Arc::clone(&self.0), association: OnceCell::new(), state })
    }
}

impl DatagramConnector for ProxyDatagrams {
    fn connect(&self, remote: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        Ok(self.socket(Target::Address(remote)))
    }

    fn resolves_names(&self) -> bool {
        true
    }

    fn connect_by_name(&self, host: &str, port: u16) -> Result<Box<dyn DatagramSocket>, AnnounceError> {
        Ok(self.socket(Target::name(host, port)?))
    }
}

impl ProxySocket {
    async fn associate(&self) -> Result<Association, AnnounceError> {
        let mut control = self.way.negotiate().await?;
        // The address from which we will send isn't known to be the one that the proxy sees.
        let from = Target::Address((Ipv4Addr::UNSPECIFIED, 0).into());
        let request = socks::request(Command::Associate, &from);
        control.write_all(&request).await.map_err(ProxyFault::Closed)?;
        let reply = limited(async { Ok(socks::read_reply(&mut control).await) }).await?;
        let port = reply.map_err(|refusal| match refusal {
            // Some proxies hang up in place of an answer.
            Refusal::Code(_) | Refusal::Fault(ProxyFault::Closed(_)) => AnnounceError::ProxyWithoutUdp,
            Refusal::Fault(fault) => fault.into(),
        })?;
        let relay = self.way.relay(&control, port).map_err(AnnounceError::connecting)?;
        Ok(Association { control, relay })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn association(&self) -> io::Result<&Association> {
        self.association.get().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// The payload of a datagram from the tracker; `None` for any other.
    fn payload_of(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let (source, payload) = socks::unwrap(datagram)?;
        let mut state = self.lock();
        let is_tracker = match &state.target {
            Target::Address(address) => source == *address,
            Target::Name(_, port) => source.port() == *port,
        };
        if !is_tracker {
            return None;
        }
        state.source = Some(source);
        Some(payload.to_vec())
    }
}

#[async_trait]
impl DatagramSocket for ProxySocket {
    async fn ready(&self) -> Result<(), AnnounceError> {
        self.association.get_or_try_init(|| self.associate()).await.map(drop)
    }

    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let datagram = socks::wrap(&self.lock().target, datagram);
        self.association()?.relay.send(&datagram).await.map_err(|_| ended())
    }

    async fn receive(&self) -> io::Result<Vec<u8>> {
        let Association { control, relay } = self.association()?;
        loop {
            tokio::select! {
                biased;
                received = relay.receive() => {
                    if let Some(payload) = self.payload_of(&received.map_err(|_| ended())?) {
                        return Ok(payload);
                    }
                }
                () = end_of(control) => return Err(ended()),
            }
        }
    }

    fn answered(&self) -> Option<SocketAddr> {
        let mut state = self.lock();
        let source = state.source?;
        state.target = Target::Address(source);
        Some(source)
    }
}

/// Waits until the proxy ends an association: by hanging up, or by sending something where nothing is due.
async fn end_of(control: &TcpStream) {
    loop {
        let readable = control.readable().await;
        match readable.and_then(|()| control.try_read(&mut [0; 1])) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

/// An error of this side, and not of the tracker's.
fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::NetworkDown, ProxyFault::AssociationEnded)
}
