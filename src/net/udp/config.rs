//! Every knob of the UDP transport.

use std::net::IpAddr;

use crate::address::AddressPolicy;
use crate::wire::compact::MAX_PEERS;
use crate::wire::udp::Times;

/// How [`UdpTransport`](super::UdpTransport) speaks and what it puts up with.
///
/// ```
/// use std::time::Duration;
/// use tracker_failover::net::udp::UdpConfig;
///
/// let mut config = UdpConfig::new();
/// config.times.sends = [0, 15, 45].map(Duration::from_secs).to_vec(); // as BEP 15 has them
/// config.times.limit = Duration::from_secs(105);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UdpConfig {
    /// Packets at 0, 1 and 3 s, given up after 10 s, and a connection id for 60 s. Opening and announcing have
    /// these times each. Whoever calls the transport may give up sooner.
    pub times: Times,
    /// [`AddressPolicy::ALLOW_ALL`]. Where trackers may be: announce addresses are the user's.
    pub addresses: AddressPolicy,
    /// 2000. How many peers of one answer are handed out; more than these are never kept.
    pub max_peers: usize,
    /// The system's choice. The address of this machine to send from.
    pub local_address: Option<IpAddr>,
}

impl UdpConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            times: Times::default(),
            addresses: AddressPolicy::ALLOW_ALL,
            max_peers: MAX_PEERS,
            local_address: None,
        }
    }
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self::new()
    }
}
