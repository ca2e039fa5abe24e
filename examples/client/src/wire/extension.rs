//! The extension handshake (BEP 10): which extensions of the protocol each side speaks, and under which ids.

use std::net::IpAddr;

use bendy::decoding::{Decoder, Object};
use bendy::encoding::{Encoder, Error};
use tracker_failover::wire::clean_text;

/// How many requests of a peer's we keep, sent as `reqq`; what goes beyond is dropped (P-12). As many as libtorrent
/// takes: some clients ask once a second for as much as they may, which makes this their speed (R152).
pub(crate) const MAX_QUEUED_REQUESTS: usize = 2000;
/// Nesting allowed in a peer's handshake; a real one has two levels.
const MAX_DEPTH: usize = 8;
/// Characters kept of a client's name.
const MAX_NAME: usize = 64;

/// The ids under which peers send us the messages of an extension.
pub(crate) const UT_PEX: u8 = 1;
pub(crate) const UT_METADATA: u8 = 2;

/// What we offer in our handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offer {
    /// The port on which we take connections.
    pub(crate) port: u16,
    /// Whether peers may tell us of others (BEP 11), which they may not for private torrents (BEP 27).
    pub(crate) pex: bool,
    /// The bytes of the metadata, where we have it (BEP 9).
    pub(crate) metadata_size: Option<usize>,
}

/// What we read of a peer's extension handshake. Everything in it is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ExtensionHandshake {
    /// How many requests it queues.
    pub(crate) reqq: Option<u32>,
    /// The port on which it takes connections.
    pub(crate) port: Option<u16>,
    /// What it calls itself, fit to be shown.
    pub(crate) client: Option<String>,
    /// The id under which it takes messages of peer exchange (BEP 11).
    pub(crate) ut_pex: Option<u8>,
    /// The id under which it takes messages about metadata (BEP 9).
    pub(crate) ut_metadata: Option<u8>,
    /// The bytes of the metadata, where it has it (BEP 9).
    pub(crate) metadata_size: Option<u32>,
}

/// The handshake we send: the extensions we speak, our port, our queue, and how the peer looks from here.
pub(crate) fn write(offer: Offer, peer: IpAddr) -> Vec<u8> {
    encode(offer, peer, false).unwrap_or_else(|_| b"de".to_vec())
}

/// The same on a connection on which peer exchange was offered before: where it isn't any more, it is withdrawn.
pub(crate) fn write_again(offer: Offer, peer: IpAddr) -> Vec<u8> {
    encode(offer, peer, true).unwrap_or_else(|_| b"de".to_vec())
}

fn encode(offer: Offer, peer: IpAddr, is_update: bool) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder::new();
    encoder.emit_dict(|mut dict| {
        dict.emit_pair_with(b"m", |m| {
            m.emit_dict(|mut m| {
                m.emit_pair(b"ut_metadata", UT_METADATA)?;
                if offer.pex || is_update {
                    // 0 withdraws an extension (BEP 10).
                    m.emit_pair(b"ut_pex", if offer.pex { UT_PEX } else { 0 })?;
                }
                Ok(())
            })
        })?;
        if let Some(size) = offer.metadata_size {
            dict.emit_pair(b"metadata_size", size)?;
        }
        dict.emit_pair(b"p", offer.port)?;
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
            b"m" => read_ids(value, found)?,
            b"metadata_size" => {
                found.metadata_size = value.try_into_integer()?.parse().ok().filter(|&size| size > 0);
            }
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

/// Reads which extensions a peer speaks; an id of 0 says that it doesn't (any more).
fn read_ids(value: Object<'_, '_>, found: &mut ExtensionHandshake) -> Result<(), bendy::decoding::Error> {
    let mut ids = value.try_into_dictionary()?;
    while let Some((name, id)) = ids.next_pair()? {
        let place = match name {
            b"ut_pex" => &mut found.ut_pex,
            b"ut_metadata" => &mut found.ut_metadata,
            _ => continue,
        };
        *place = id.try_into_integer()?.parse().ok().filter(|&id| id != 0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_handshake_can_be_read() {
        let offer = Offer { port: 6881, pex: true, metadata_size: Some(40_000) };
        let bytes = write(offer, IpAddr::from([127, 0, 0, 1]));
        let read = read(&bytes);
        assert_eq!((read.port, read.reqq), (Some(6881), Some(2000)));
        assert_eq!((read.ut_pex, read.ut_metadata), (Some(UT_PEX), Some(UT_METADATA)));
        assert_eq!(read.metadata_size, Some(40_000));
        assert!(read.client.is_some_and(|name| name.starts_with("tracker-failover")));
        assert!(bytes.windows(12).any(|part| part == b"6:yourip4:\x7f\0"));
    }

    #[test]
    fn peer_exchange_can_be_withdrawn() {
        let offer = Offer { port: 6881, pex: false, metadata_size: None };
        let has_pex = |bytes: &[u8]| bytes.windows(8).any(|part| part == b"6:ut_pex");
        assert!(!has_pex(&write(offer, IpAddr::from([127, 0, 0, 1]))));
        let bytes = write_again(offer, IpAddr::from([127, 0, 0, 1]));
        assert!(has_pex(&bytes));
        assert_eq!(read(&bytes).ut_pex, None);
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
            b"d1:md11:ut_metadatai0e6:ut_pexi256eee".to_vec(),
            b"d13:metadata_sizei-1ee".to_vec(),
            b"d13:metadata_sizei4294967296ee".to_vec(),
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
