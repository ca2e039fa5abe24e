//! Lists of peers in the compact forms of BEP 23 and BEP 7.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::announce::{Peer, PeerAddress};

/// How many peers of one reply are kept, at most. No client dials more of them.
pub const MAX_PEERS: usize = 2000;

/// The peers of one reply: each address once, in the tracker's order, at most [`MAX_PEERS`].
///
/// Unusable entries are counted. The caller chooses the length of a record by the key's name or the socket's address family;
/// it is never guessed from the number of bytes.
///
/// ```
/// use tracker_failover::wire::compact::PeerList;
///
/// let mut list = PeerList::new();
/// list.add_v4(&[203, 0, 113, 10, 0x1a, 0xe1]);
/// assert_eq!(list.peers()[0].address.to_string(), "203.0.113.10:6881");
/// ```
#[derive(Debug, Clone, Default)]
pub struct PeerList {
    peers: Vec<Peer>,
    places: HashMap<PeerAddress, usize>,
    dropped: usize,
}

impl PeerList {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds records of six bytes (BEP 23): an IPv4 address and a port.
    pub fn add_v4(&mut self, bytes: &[u8]) {
        let (records, rest) = bytes.as_chunks::<6>();
        for [a, b, c, d, port @ ..] in records {
            self.add_ip(Ipv4Addr::new(*a, *b, *c, *d).into(), u16::from_be_bytes(*port));
        }
        self.add_unusable(usize::from(!rest.is_empty()));
    }

    /// Adds records of eighteen bytes (BEP 7): an IPv6 address and a port.
    pub fn add_v6(&mut self, bytes: &[u8]) {
        let (records, rest) = bytes.as_chunks::<18>();
        for record in records {
            let (ip, port) = record.split_at(16);
            if let (Ok(ip), Ok(port)) = (<[u8; 16]>::try_from(ip), <[u8; 2]>::try_from(port)) {
                self.add_ip(Ipv6Addr::from(ip).into(), u16::from_be_bytes(port));
            }
        }
        self.add_unusable(usize::from(!rest.is_empty()));
    }

    /// Adds a peer. A port of 0 is unusable. An IPv4 address mapped into IPv6 is converted, so that the two forms of one
    /// address are recognised as one peer.
    pub fn add(&mut self, mut peer: Peer) {
        if let PeerAddress::Ip(address) = &mut peer.address {
            // Rebuilt, because flow label and scope would make equal addresses differ.
            *address = SocketAddr::new(address.ip().to_canonical(), address.port());
        }
        let port = match &peer.address {
            PeerAddress::Ip(address) => address.port(),
            PeerAddress::Name(_, port) => *port,
        };
        if port == 0 || (self.peers.len() >= MAX_PEERS && !self.places.contains_key(&peer.address)) {
            return self.add_unusable(1);
        }
        match self.places.entry(peer.address.clone()) {
            Entry::Vacant(place) => {
                place.insert(self.peers.len());
                self.peers.push(peer);
            }
            Entry::Occupied(place) => {
                if let Some(known) = self.peers.get_mut(*place.get()) {
                    known.id = known.id.or(peer.id);
                }
            }
        }
    }

    /// Counts unusable entries.
    pub fn add_unusable(&mut self, entries: usize) {
        self.dropped = self.dropped.saturating_add(entries);
    }

    /// The peers, in the order in which they were added.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// How many entries were dropped as unusable: without a port, incomplete, or beyond the limit. Duplicates aren't counted.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// The peers, and how many entries were dropped.
    pub fn into_parts(self) -> (Vec<Peer>, usize) {
        (self.peers, self.dropped)
    }

    fn add_ip(&mut self, ip: IpAddr, port: u16) {
        self.add(Peer { address: PeerAddress::Ip(SocketAddr::new(ip, port)), id: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::PeerId;

    fn shown(list: &PeerList) -> Vec<String> {
        list.peers().iter().map(|peer| peer.address.to_string()).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// TV-2.
    #[test]
    fn compact_records_are_read() {
        let rows: [(&str, bool, &[&str], usize); 10] = [
            ("cb00710a1ae1", false, &["203.0.113.10:6881"], 0),
            ("c63364010001c63364ffffff", false, &["198.51.100.1:1", "198.51.100.255:65535"], 0),
            ("c63364010000c6336402c8d5", false, &["198.51.100.2:51413"], 1),
            ("", false, &[], 0),
            ("c63364011a", false, &[], 1),
            ("c63364011ae100", false, &["198.51.100.1:6881"], 1),
            ("20010db80000000000000000000000011ae1", true, &["[2001:db8::1]:6881"], 0),
            ("00000000000000000000ffffc63364071ae1", true, &["198.51.100.7:6881"], 0),
            ("696969697070", false, &["105.105.105.105:28784"], 0),
            (
                "696969696969696969696969696969697070",
                true,
                &["[6969:6969:6969:6969:6969:6969:6969:6969]:28784"],
                0,
            ),
        ];
        for (hex, six, expected, dropped) in rows {
            let mut list = PeerList::new();
            if six {
                list.add_v6(&bytes(hex));
            } else {
                list.add_v4(&bytes(hex));
            }
            assert_eq!(
                (shown(&list), list.dropped()),
                (expected.iter().map(ToString::to_string).collect(), dropped),
                "{hex}"
            );
        }
    }

    /// POL-10.
    #[test]
    fn one_endpoint_is_listed_once() {
        let mut list = PeerList::new();
        list.add_v4(&bytes("c63364071ae1c63364071ae1"));
        list.add_v6(&bytes("00000000000000000000ffffc63364071ae1"));
        let id = Some(PeerId::new([7; 20]));
        list.add(Peer { address: PeerAddress::Ip("198.51.100.7:6881".parse().unwrap()), id });
        assert_eq!((shown(&list), list.dropped()), (vec!["198.51.100.7:6881".to_string()], 0));
        assert_eq!(list.peers()[0].id, id);
    }

    /// S-18.
    #[test]
    fn a_list_is_cut_at_the_limit() {
        let mut list = PeerList::new();
        let record = |n: u16| [[10, 0], n.to_be_bytes(), [1, 1]].concat();
        let flood: Vec<u8> = (0..5000).flat_map(record).collect();
        list.add_v4(&flood);
        list.add_v4(&flood[..60]);
        assert_eq!((list.peers().len(), list.dropped()), (MAX_PEERS, 3000));
    }
}
