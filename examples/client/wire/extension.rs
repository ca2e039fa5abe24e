//! The extension handshake (BEP 10): writes ours, reads a peer's.

use std::net::IpAddr;

use bendy::decoding::Decoder;
use bendy::encoding::{Encoder, Error};
use tracker_failover::wire::clean_text;

/// How many requests of a peer's we keep, sent as `reqq`; what goes beyond is dropped (P-12). As many as libtorrent
/// takes: some clients ask once a second for as much as they may, which makes this their speed (R152).
pub(crate) const MAX_QUEUED_REQUESTS: usize = 2000;
/// Nesting allowed in a peer's handshake; a real one has two levels.
const MAX_DEPTH: usize = 8;
/// Characters kept of a client's name.
const MAX_NAME: usize = 64;

/// What we read of a peer's extension handshake. Everything in it is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ExtensionHandshake {
    /// How many requests it queues.
    pub(crate) reqq: Option<u32>,
    /// The port on which it takes connections.
    pub(crate) port: Option<u16>,
    /// What it calls itself, fit to be shown.
    pub(crate) client: Option<String>,
}

/// The handshake we send: no extensions of ours, our port, our queue, and how the peer looks from here.
pub(crate) fn write(port: u16, peer: IpAddr) -> Vec<u8> {
    encode(port, peer).unwrap_or_else(|_| b"de".to_vec())
}

fn encode(port: u16, peer: IpAddr) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder::new();
    encoder.emit_dict(|mut dict| {
        dict.emit_pair_with(b"m", |m| m.emit_dict(|_| Ok(())))?;
        dict.emit_pair(b"p", port)?;
        dict.emit_pair(b"reqq", MAX_QUEUED_REQUESTS)?;
        dict.emit_pair(b"v", concat!("tracker-failover ", env!("CARGO_PKG_VERSION")))?;
        dict.emit_pair_with(b"yourip", |value| match peer {
            IpAddr::V4(ip) => value.emit_bytes(&ip.octets()),
            IpAddr::V6(ip) => value.emit_bytes(&ip.octets()),
        })
    })?;
    encoder.get_output()
}

/// Reads a peer's handshake; what can't be read counts as missing (R10-01).
pub(crate) fn read(bytes: &[u8]) -> ExtensionHandshake {
    let mut found = ExtensionHandshake::default();
    // An error leaves what was read before it, which is as good as it gets.
    let _ = read_into(bytes, &mut found);
    found
}

fn read_into(bytes: &[u8], found: &mut ExtensionHandshake) -> Result<(), bendy::decoding::Error> {
    let mut decoder = Decoder::new(bytes).with_max_depth(MAX_DEPTH);
    let Some(object) = decoder.next_object()? else { return Ok(()) };
    let mut dict = object.try_into_dictionary()?;
    while let Some((key, value)) = dict.next_pair()? {
        match key {
            b"reqq" => found.reqq = value.try_into_integer()?.parse().ok(),
            b"p" => found.port = value.try_into_integer()?.parse().ok().filter(|&port| port != 0),
            b"v" => {
                let name = clean_text(value.try_into_bytes()?);
                found.client = Some(name.chars().take(MAX_NAME).collect());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_handshake_can_be_read() {
        let bytes = write(6881, IpAddr::from([127, 0, 0, 1]));
        let read = read(&bytes);
        assert_eq!((read.port, read.reqq), (Some(6881), Some(2000)));
        assert!(read.client.is_some_and(|name| name.starts_with("tracker-failover")));
        assert!(bytes.windows(12).any(|part| part == b"6:yourip4:\x7f\0"));
    }

    /// P-13, R10-01: bombs and malformed handshakes count as empty.
    #[test]
    fn malformed_handshakes_are_ignored() {
        let bombs = [
            vec![],
            b"le".to_vec(),
            b"d4:reqqi-5ee".to_vec(),
            b"d4:reqqi99999999999ee".to_vec(),
            b"d1:pi0ee".to_vec(),
            b"d1:pi65536ee".to_vec(),
            b"d4:reqqle".to_vec(),
            b"l".repeat(60_000),
            [b"d1:m".to_vec(), b"d1:a".repeat(10_000)].concat(),
            b"d1:v99999999999:".to_vec(),
        ];
        for bomb in bombs {
            assert_eq!(read(&bomb), ExtensionHandshake::default(), "{:?}", &bomb[..bomb.len().min(20)]);
        }
    }

    /// A client's name is a stranger's text: neither controls nor turned letters, and not too much of it.
    #[test]
    fn a_clients_name_is_made_fit_to_be_shown() {
        for (name, shown) in [
            ("a\x1b[2mb", "a\u{fffd}[2mb".to_owned()),
            ("a\u{202e}gpj.exe", "a\u{fffd}gpj.exe".into()),
            ("a\u{2066}b\u{200f}c", "a\u{fffd}b\u{fffd}c".into()),
            ("a\nb", "a b".into()),
            (&"é".repeat(200), "é".repeat(MAX_NAME)),
        ] {
            let said = format!("d1:v{}:{name}e", name.len());
            assert_eq!(read(said.as_bytes()).client, Some(shown), "{name:?}");
        }
    }
}
