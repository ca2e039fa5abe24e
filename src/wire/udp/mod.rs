//! BEP 15 without the sockets: the packets of a UDP tracker, and when which of them goes out.
//!
//! A client with sockets of its own needs two things. [`Endpoint`] is the conversation with one address and
//! port: it is told the time and what arrived, and says what to send and when to look again. Below it are the
//! packets: [`connect_request`], [`announce_request`] with the address data of BEP 41, [`scrape_request`], and
//! [`Reply`] for all that comes back.

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

/// A number that only the tracker we asked can know, because it was in the question: the one guard against
/// forged answers, so it has to be random, and another for each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u32);

/// What a tracker gives out on connecting, as a proof that a client receives at the address it sends from. Any
/// value is one: trackers give 0 and the magic number of the protocol too.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// The family of the socket over which a tracker is spoken with. It decides how long the peers in an answer
/// are; their length never does (BEP 15, IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Six bytes a peer.
    V4,
    /// Eighteen bytes a peer.
    V6,
}

impl Family {
    /// The family of the packets that go to this address. An IPv4 address mapped into IPv6 is IPv4: so the
    /// tracker sees it, and so it answers.
    pub fn of(address: SocketAddr) -> Self {
        if address.ip().to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Whoever knows it can announce in our name, so it stays out of logs.
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
