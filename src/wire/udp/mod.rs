//! UDP trackers (BEP 15) without the sockets: the packets, and when they are sent.
//!
//! A client with its own sockets drives an [`Endpoint`], the conversation with one address and port: it takes the time and
//! the received datagrams, and gives the packets to send and the time of the next call. The packets themselves are
//! [`connect_request`], [`announce_request`] with the URL data of BEP 41, [`scrape_request`], and [`Reply`] for all that
//! trackers send.

mod endpoint;
mod exchange;
mod reply;
mod request;

pub use endpoint::Endpoint;
pub use exchange::{Answer, EndpointOutput, ExchangeError, ExchangeId, Question, Times};
pub use reply::{Reply, names_connection_id, scrape_response, transaction_of};
pub use request::{MAX_SCRAPED, announce_request, connect_request, scrape_request};

use std::fmt;
use std::net::SocketAddr;

/// The number of a packet, which is repeated in its answer. The only protection against forged answers, so it has to be
/// random, and different for each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u32);

/// The id that a tracker gives out on connecting, as a proof that the client receives at its address. Any value is valid:
/// trackers send 0 and the magic number of the protocol too.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// The address family of the socket to a tracker. It decides the length of the peer records in an answer; the length of the
/// answer never does (BEP 15, IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4: 6 bytes for each peer.
    V4,
    /// IPv6: 18 bytes for each peer.
    V6,
}

impl Family {
    /// The family of the packets to this address. For an IPv4 address mapped into IPv6 that is IPv4, as the tracker
    /// sees it.
    pub fn of(address: SocketAddr) -> Self {
        if address.ip().to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Without the value: it allows others to announce in our name.
impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionId")
    }
}

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;

#[cfg(test)]
mod tests;
