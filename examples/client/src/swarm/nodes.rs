//! Nodes of the DHT in messages of peers (BEP 5): those of peers, for the next start, and our own, which peers are sent.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use tracker_failover::AddressPolicy;

/// The nodes of a torrent's peers, and our own. A private torrent has none (BEP 27).
#[derive(Debug)]
pub(crate) struct PeerNodes {
    is_private: bool,
    /// In the order in which they were named.
    learnt: VecDeque<SocketAddrV4>,
    own_port: Option<u16>,
}

impl PeerNodes {
    /// None yet.
    pub(crate) fn new(is_private: bool) -> Self {
        Self { is_private, learnt: VecDeque::new(), own_port: None }
    }

    /// A peer has named the port of its node, which is at the peer's own address. Gives whether the node wasn't known.
    ///
    /// Each host has one place, so that a peer can't fill all of them with ports of its own; on loopback a host is many
    /// peers. Nodes at IPv6 addresses are of no use here, because our own is IPv4 only.
    pub(super) fn learn(&mut self, peer: SocketAddr, port: u16) -> bool {
        let IpAddr::V4(ip) = peer.ip().to_canonical() else { return false };
        let node = SocketAddrV4::new(ip, port);
        if self.is_private || !AddressPolicy::ALLOW_ALL.allows(node.into()) {
            return false;
        }
        let is_new = !self.learnt.contains(&node);
        self.learnt.retain(|other| *other != node && (ip.is_loopback() || *other.ip() != ip));
        if self.learnt.len() >= MAX_LEARNT {
            self.learnt.pop_front();
        }
        self.learnt.push_back(node);
        is_new
    }

    /// Our own node listens on this port, or there is none.
    pub(super) fn set_own_port(&mut self, port: Option<u16>) {
        self.own_port = port;
    }

    /// The port of our own node, for peers.
    pub(super) fn own_port(&self) -> Option<u16> {
        self.own_port.filter(|_| !self.is_private)
    }

    /// The nodes of peers, the last one first.
    pub(super) fn learnt(&self) -> Vec<SocketAddrV4> {
        self.learnt.iter().rev().copied().collect()
    }
}

/// Nodes of peers that are kept, the newest.
const MAX_LEARNT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn learnt(nodes: &PeerNodes) -> Vec<String> {
        nodes.learnt.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_node_is_at_the_address_of_its_peer() {
        let mut nodes = PeerNodes::new(false);
        for (from, port) in
            [("192.0.2.1:50000", 6881), ("[::ffff:198.51.100.7]:1", 1), ("10.0.0.1:9", 65_535)]
        {
            assert!(nodes.learn(peer(from), port), "{from}");
            assert!(!nodes.learn(peer(from), port), "{from}");
        }
        assert_eq!(learnt(&nodes), ["192.0.2.1:6881", "198.51.100.7:1", "10.0.0.1:65535"]);
    }

    #[test]
    fn what_can_be_no_node_of_ours_is_refused() {
        let mut nodes = PeerNodes::new(false);
        let bad = [("192.0.2.1:1", 0), ("224.0.0.1:1", 1), ("0.0.0.0:1", 1), ("255.255.255.255:1", 1)];
        for (from, port) in [&bad[..], &[("[2001:db8::1]:1", 1)]].concat() {
            assert!(!nodes.learn(peer(from), port), "{from} {port}");
        }
        assert!(learnt(&nodes).is_empty());
    }

    #[test]
    fn the_newest_are_kept_and_one_of_each_host() {
        let mut nodes = PeerNodes::new(false);
        for host in 0..100 {
            nodes.learn(peer(&format!("192.0.2.{host}:1")), 7);
        }
        let expected: Vec<String> = (36..100).map(|host| format!("192.0.2.{host}:7")).collect();
        assert_eq!(learnt(&nodes), expected);
        for port in 1..1000 {
            nodes.learn(peer("192.0.2.36:1"), port);
        }
        let last = learnt(&nodes);
        assert_eq!((last.len(), &*last[0], &*last[63]), (64, "192.0.2.37:7", "192.0.2.36:999"));
        nodes.learn(peer("127.0.0.1:1"), 1);
        nodes.learn(peer("127.0.0.1:2"), 2);
        assert_eq!(learnt(&nodes)[62..], ["127.0.0.1:1", "127.0.0.1:2"]);
    }

    /// BEP 27.
    #[test]
    fn a_private_torrent_has_no_nodes() {
        let mut nodes = PeerNodes::new(true);
        assert!(!nodes.learn(peer("192.0.2.1:1"), 1) && learnt(&nodes).is_empty());
        nodes.own_port = Some(6881);
        assert_eq!(nodes.own_port(), None);
    }
}
