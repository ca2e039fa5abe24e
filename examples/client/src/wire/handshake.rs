//! The 68 bytes with which a connection between peers begins (BEP 3), and the bits for BEP 10, BEP 5 and BEP 6.

use tracker_failover::{InfoHash, PeerId};

use super::Why;
use super::mse::Method;

/// Length of a handshake in bytes.
pub(crate) const LENGTH: usize = 68;
/// After so many bytes of a handshake its info-hash is known.
pub(crate) const UP_TO_INFO_HASH: usize = 48;

pub(crate) const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
/// BEP 10: bit 20 from the right of the reserved bytes.
const EXTENDED: u8 = 0x10;
/// BEP 5: the last bit of the reserved bytes.
const DHT: u8 = 0x01;
/// BEP 6: the third bit from the right of the reserved bytes.
const FAST: u8 = 0x04;

/// A peer's handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// Its id.
    pub(crate) peer_id: PeerId,
    /// Whether it speaks the extension protocol.
    pub(crate) extended: bool,
    /// Whether it has a node of the DHT.
    pub(crate) dht: bool,
    /// Whether it speaks the fast extension.
    pub(crate) fast: bool,
    /// How the connection goes on if its beginning was encrypted, which the handshake itself doesn't say.
    pub(crate) method: Option<Method>,
}

/// Our side of it. `dht` says that we have a node of the DHT.
pub(crate) fn write(info_hash: InfoHash, peer_id: PeerId, dht: bool) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..20].copy_from_slice(PROTOCOL);
    bytes[25] = EXTENDED;
    bytes[27] = if dht { FAST | DHT } else { FAST };
    bytes[28..48].copy_from_slice(info_hash.as_bytes());
    bytes[48..].copy_from_slice(peer_id.as_bytes());
    bytes
}

/// Reads as much of a handshake as is here; `None` while it may still become one.
///
/// # Errors
/// As soon as a byte is wrong, so that another protocol doesn't keep us waiting.
pub(crate) fn read(bytes: &[u8], info_hash: InfoHash) -> Result<Option<Handshake>, Why> {
    let known = bytes.len().min(PROTOCOL.len());
    if bytes[..known] != PROTOCOL[..known] {
        return Err(Why::Handshake);
    }
    if let Some(named) = bytes.get(28..)
        && !info_hash.as_bytes().starts_with(&named[..named.len().min(20)])
    {
        return Err(Why::InfoHash);
    }
    let Some(whole) = bytes.first_chunk::<LENGTH>() else { return Ok(None) };
    let mut id = [0; 20];
    id.copy_from_slice(&whole[48..]);
    let (extended, dht, fast) = (whole[25] & EXTENDED != 0, whole[27] & DHT != 0, whole[27] & FAST != 0);
    Ok(Some(Handshake { peer_id: PeerId::new(id), extended, dht, fast, method: None }))
}

/// The torrent that a handshake names, as soon as that is here.
pub(super) fn info_hash(bytes: &[u8]) -> Option<InfoHash> {
    Some(InfoHash::new(*bytes.get(28..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: InfoHash = InfoHash::new([7; 20]);

    #[test]
    fn a_handshake_reads_what_it_writes() {
        let id = PeerId::new(*b"-XX0001-abcdefghijkl");
        for dht in [false, true] {
            let bytes = write(HASH, id, dht);
            assert_eq!(bytes[20..28], [0, 0, 0, 0, 0, 0x10, 0, 4 + u8::from(dht)]);
            let handshake = Handshake { peer_id: id, extended: true, dht, fast: true, method: None };
            assert_eq!(read(&bytes, HASH), Ok(Some(handshake)));
            for cut in 0..LENGTH {
                assert_eq!(read(&bytes[..cut], HASH), Ok(None), "cut at {cut}");
            }
        }
    }

    /// P-02: the first wrong byte ends it.
    #[test]
    fn a_handshake_for_another_torrent_is_refused_early() {
        let good = write(HASH, PeerId::new([1; 20]), false);
        let rows: [(usize, u8, usize, Why); 4] = [
            (0, 18, 1, Why::Handshake),
            (19, b'L', 20, Why::Handshake),
            (28, 8, 29, Why::InfoHash),
            (47, 8, 48, Why::InfoHash),
        ];
        for (at, byte, enough, expected) in rows {
            let mut bytes = good;
            bytes[at] = byte;
            assert_eq!(read(&bytes[..enough - 1], HASH), Ok(None), "byte {at}");
            assert_eq!(read(&bytes[..enough], HASH), Err(expected), "byte {at}");
        }
    }
}
