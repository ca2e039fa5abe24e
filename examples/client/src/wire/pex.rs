//! Messages of peer exchange (BEP 11): which peers another peer is connected to, and which it has lost.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bendy::decoding::Decoder;
use bendy::encoding::{Encoder, Error};

/// The most peers that one message adds, and the most that it drops (BEP 11). What goes beyond isn't read.
pub(crate) const MAX_PEERS: usize = 50;
/// The flag of a peer that has everything.
pub(crate) const SEED: u8 = 0x02;
/// The flag of a peer that takes connections: the sender has made one to it.
pub(crate) const REACHABLE: u8 = 0x10;
/// Nesting allowed in a message; a real one has one level.
const MAX_DEPTH: usize = 4;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PeerChanges {
    /// The peers that the sender has connected to since its last message.
    pub(crate) added: Vec<ExchangedPeer>,
    /// Those that it isn't connected to any more.
    pub(crate) dropped: Vec<SocketAddr>,
}

/// A peer of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExchangedPeer {
    /// Where it takes connections.
    pub(crate) address: SocketAddr,
    /// What is known of it: [`SEED`], [`REACHABLE`], and others that mean nothing here.
    pub(crate) flags: u8,
}

impl PeerChanges {
    /// Reads the body of a message. Peers beyond [`MAX_PEERS`] are left out, and flags that are missing are 0.
    ///
    /// `None` if it is malformed.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let lists = Lists::read(bytes).ok()?;
        let flags = |flags: &[u8], at: usize| flags.get(at).copied().unwrap_or(0);
        let v4 = v4_addresses(lists.added)?.enumerate();
        let v4 = v4.map(|(at, address)| ExchangedPeer { address, flags: flags(lists.added_flags, at) });
        let v6 = v6_addresses(lists.added6)?.enumerate();
        let v6 = v6.map(|(at, address)| ExchangedPeer { address, flags: flags(lists.added6_flags, at) });
        let dropped = v4_addresses(lists.dropped)?.chain(v6_addresses(lists.dropped6)?);
        Some(Self {
            added: v4.chain(v6).take(MAX_PEERS).collect(),
            dropped: dropped.take(MAX_PEERS).collect(),
        })
    }

    /// The body of this message; of more than [`MAX_PEERS`] the first ones.
    pub(crate) fn write(&self) -> Vec<u8> {
        self.encode().unwrap_or_else(|_| b"de".to_vec())
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }

    fn encode(&self) -> Result<Vec<u8>, Error> {
        let added = &self.added[..self.added.len().min(MAX_PEERS)];
        let dropped = &self.dropped[..self.dropped.len().min(MAX_PEERS)];
        let of = |v6: bool| added.iter().filter(move |peer| peer.address.is_ipv6() == v6);
        let addresses = |v6| compact(of(v6).map(|peer| &peer.address));
        let flags = |v6| of(v6).map(|peer| peer.flags).collect::<Vec<u8>>();
        let gone = |v6: bool| compact(dropped.iter().filter(move |address| address.is_ipv6() == v6));
        let mut encoder = Encoder::new();
        encoder.emit_dict(|mut dict| {
            dict.emit_pair_with(b"added", |value| value.emit_bytes(&addresses(false)))?;
            dict.emit_pair_with(b"added.f", |value| value.emit_bytes(&flags(false)))?;
            dict.emit_pair_with(b"added6", |value| value.emit_bytes(&addresses(true)))?;
            dict.emit_pair_with(b"added6.f", |value| value.emit_bytes(&flags(true)))?;
            dict.emit_pair_with(b"dropped", |value| value.emit_bytes(&gone(false)))?;
            dict.emit_pair_with(b"dropped6", |value| value.emit_bytes(&gone(true)))
        })?;
        encoder.get_output()
    }
}

/// The lists of a message as they stand in it.
#[derive(Default)]
struct Lists<'a> {
    added: &'a [u8],
    added_flags: &'a [u8],
    added6: &'a [u8],
    added6_flags: &'a [u8],
    dropped: &'a [u8],
    dropped6: &'a [u8],
}

impl<'a> Lists<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, bendy::decoding::Error> {
        let mut lists = Self::default();
        let mut decoder = Decoder::new(bytes).with_max_depth(MAX_DEPTH);
        let Some(object) = decoder.next_object()? else {
            return Err(bendy::decoding::Error::missing_field("added"));
        };
        let mut dict = object.try_into_dictionary()?;
        while let Some((key, value)) = dict.next_pair()? {
            let list = match key {
                b"added" => &mut lists.added,
                b"added.f" => &mut lists.added_flags,
                b"added6" => &mut lists.added6,
                b"added6.f" => &mut lists.added6_flags,
                b"dropped" => &mut lists.dropped,
                b"dropped6" => &mut lists.dropped6,
                _ => continue,
            };
            *list = value.try_into_bytes()?;
        }
        Ok(lists)
    }
}

/// IPv4 addresses, each of 4 bytes with 2 of a port; `None` if a part of one is left over.
fn v4_addresses(bytes: &[u8]) -> Option<impl Iterator<Item = SocketAddr>> {
    let (addresses, rest) = bytes.as_chunks::<6>();
    rest.is_empty().then(|| {
        addresses.iter().map(|&[a, b, c, d, high, low]| {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), u16::from_be_bytes([high, low]))
        })
    })
}

/// IPv6 addresses, each of 16 bytes with 2 of a port; `None` if a part of one is left over.
fn v6_addresses(bytes: &[u8]) -> Option<impl Iterator<Item = SocketAddr>> {
    let (addresses, rest) = bytes.as_chunks::<18>();
    rest.is_empty().then(|| {
        addresses.iter().map(|bytes| {
            let mut ip = [0; 16];
            ip.copy_from_slice(&bytes[..16]);
            SocketAddr::new(IpAddr::V6(Ipv6Addr::from(ip)), u16::from_be_bytes([bytes[16], bytes[17]]))
        })
    })
}

fn compact<'a>(addresses: impl Iterator<Item = &'a SocketAddr>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in addresses {
        match address.ip() {
            IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
        }
        bytes.extend_from_slice(&address.port().to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str, flags: u8) -> ExchangedPeer {
        ExchangedPeer { address: address.parse().unwrap(), flags }
    }

    #[test]
    fn a_message_reads_what_it_writes() {
        let changes = PeerChanges {
            added: vec![peer("192.0.2.1:6881", SEED), peer("[2001:db8::1]:1", REACHABLE)],
            dropped: vec!["192.0.2.2:65535".parse().unwrap(), "[2001:db8::2]:0".parse().unwrap()],
        };
        assert_eq!(PeerChanges::read(&changes.write()), Some(changes));
        let nothing = PeerChanges::default();
        assert!(nothing.is_empty());
        assert_eq!(PeerChanges::read(&nothing.write()), Some(nothing));
    }

    /// As libtorrent and Transmission write it, with keys that mean nothing here.
    #[test]
    fn a_message_of_another_client_is_read() {
        let bytes = b"d5:added6:\xc0\0\x02\x01\x1a\xe17:added.f1:\x126:addedX0:7:dropped0:e";
        let read = PeerChanges::read(bytes).unwrap();
        assert_eq!(read, PeerChanges { added: vec![peer("192.0.2.1:6881", 0x12)], dropped: vec![] });
        // Flags that are missing, and too many of them.
        for flags in ["", "7:added.f0:", "7:added.f9:\0\0\0\0\0\0\0\0\0"] {
            let bytes = format!("d5:added6:\0\0\x02\x01\x1a\x10{flags}e");
            let read = PeerChanges::read(bytes.as_bytes()).unwrap();
            assert_eq!(read.added, [peer("0.0.2.1:6672", 0)]);
        }
    }

    #[test]
    fn a_malformed_message_is_none() {
        for bytes in [
            &b""[..],
            b"le",
            b"d5:addedi1ee",
            b"d5:added5:\0\0\0\0\0e",
            b"d6:added617:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0e",
            b"d7:dropped1:\0e",
            b"d8:dropped61:\0e",
            b"d5:added999999999:",
            &b"d1:a".repeat(1000),
        ] {
            assert_eq!(PeerChanges::read(bytes), None, "{:?}", &bytes[..bytes.len().min(20)]);
        }
    }

    #[test]
    fn more_than_fifty_are_left_out() {
        let many = "\0\0\x02\x01\x1a\x10".repeat(10_000);
        let bytes = format!("d5:added{}:{many}7:dropped{}:{many}e", many.len(), many.len());
        let read = PeerChanges::read(bytes.as_bytes()).unwrap();
        assert_eq!((read.added.len(), read.dropped.len()), (50, 50));
        let read = PeerChanges { added: vec![read.added[0]; 99], dropped: vec![read.dropped[0]; 99] };
        let again = PeerChanges::read(&read.write()).unwrap();
        assert_eq!((again.added.len(), again.dropped.len()), (50, 50));
    }
}
