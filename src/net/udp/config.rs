//! The settings of the UDP transport.

use std::net::IpAddr;

use crate::address::AddressPolicy;
use crate::net::sockets::Sockets;
use crate::wire::compact::MAX_PEERS;
use crate::wire::udp::Times;

/// How [`UdpTransport`](super::UdpTransport) speaks with trackers, and what it accepts from them. Made with
/// [`new`](Self::new), and changed by chained calls.
///
/// ```
/// use std::time::Duration;
/// use tracker_failover::net::udp::UdpConfig;
/// use tracker_failover::wire::udp::Times;
///
/// let mut times = Times::default();
/// times.sends = [0, 15, 45].map(Duration::from_secs).to_vec(); // as in BEP 15
/// times.limit = Duration::from_secs(105);
/// let config = UdpConfig::new().times(times);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UdpConfig {
    pub(super) times: Times,
    pub(in crate::net) addresses: AddressPolicy,
    pub(super) max_peers: usize,
    pub(in crate::net) sockets: Sockets,
}

impl UdpConfig {
    /// The defaults, which stand with each setter.
    pub fn new() -> Self {
        Self {
            times: Times::default(),
            addresses: AddressPolicy::ALLOW_ALL,
            max_peers: MAX_PEERS,
            sockets: Sockets::new(),
        }
    }

    /// Sets when packets are sent and given up, for connecting and for announcing each. At 0, 1 and 3 s by default, given
    /// up after 10 s, and a connection id is used for 60 s. A caller of the transport may give up earlier.
    #[must_use]
    pub fn times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }

    /// Sets at which addresses trackers may be. [`AddressPolicy::ALLOW_ALL`] by default: announce addresses are the user's.
    #[must_use]
    pub fn addresses(mut self, policy: AddressPolicy) -> Self {
        self.addresses = policy;
        self
    }

    /// Sets how many peers of one answer are handed out. 2000 by default, which is also the most that are read (POL-21).
    #[must_use]
    pub fn max_peers(mut self, count: usize) -> Self {
        self.max_peers = count;
        self
    }

    /// Sets the address of this machine to send from. The system chooses by default.
    #[must_use]
    pub fn local_address(mut self, local: IpAddr) -> Self {
        self.sockets = self.sockets.local_address(local);
        self
    }

    /// Sets the sockets: their interface, their local address, or a closure that prepares them. The system's defaults by
    /// default. Names are looked up by the transport's own [`Resolver`](crate::net::resolver::Resolver), which has to use
    /// the same interface.
    #[must_use]
    pub fn sockets(mut self, sockets: Sockets) -> Self {
        self.sockets = sockets;
        self
    }
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self::new()
    }
}
