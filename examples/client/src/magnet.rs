//! Magnet links (BEP 9, BEP 53): the info-hash of a torrent, and where to ask for the rest of it.

use std::fmt;
use std::str::FromStr;

use tracker_failover::wire::clean_text;
use tracker_failover::{InfoHash, PeerAddress, TrackerUrl};
use url::Url;

use crate::select::Selection;

/// A magnet link.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Magnet {
    info_hash: InfoHash,
    name: Option<String>,
    /// As they stand in the link, passkeys included.
    trackers: Vec<String>,
    peers: Vec<PeerAddress>,
    select: Option<Selection>,
}

/// Why a text is no magnet link that can be used. Holds nothing of the link's trackers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MagnetError {
    /// It is longer than [`MAX_LENGTH`].
    #[error("the magnet link is too long: expected at most {MAX_LENGTH} bytes, found {0}")]
    TooLong(usize),
    /// It doesn't begin with `magnet:?`.
    #[error("expected a link that begins with magnet:?")]
    NotMagnet,
    /// It has no `xt`.
    #[error("the magnet link names no torrent: expected xt=urn:btih: and an info-hash")]
    NoHash,
    /// Its `xt` is of BitTorrent v2 alone.
    #[error("a v2-only magnet is not supported: expected xt=urn:btih: besides xt=urn:btmh:")]
    V2Only,
    /// What follows `urn:btih:` is none.
    #[error("the magnet link's xt has no info-hash: expected 40 hexadecimal digits or 32 of base32")]
    BadHash,
    /// It has several.
    #[error("the magnet link names several torrents: expected one info-hash in xt=urn:btih:")]
    SeveralHashes,
    /// Its `so` can't be read.
    #[error("the magnet link's so is no selection: {0}")]
    BadSelection(String),
}

impl Magnet {
    /// Whether a text is meant to be a magnet link.
    pub(crate) fn is_magnet(text: &str) -> bool {
        text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// The info-hash (`xt`).
    pub(crate) fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The suggested name (`dn`), fit to be shown; what counts is that of the metadata.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The trackers (`tr`) in their order, each of which is a tier. Addresses that can't be used are left out.
    pub(crate) fn tiers(&self) -> Vec<Vec<TrackerUrl>> {
        self.trackers.iter().filter_map(|url| url.parse().ok()).map(|url| vec![url]).collect()
    }

    /// Peers to begin with (`x.pe`).
    pub(crate) fn peers(&self) -> &[PeerAddress] {
        &self.peers
    }

    /// The files that are wanted (`so`, BEP 53); `None` for all.
    pub(crate) fn selection(&self) -> Option<&Selection> {
        self.select.as_ref()
    }

    /// The torrent file of this link with the metadata: the bytes of `info` as they stand, and the link's trackers.
    pub(crate) fn torrent_file(&self, info: &[u8]) -> Vec<u8> {
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.extend_from_slice(format!("{}:{text}", text.len()).as_bytes());
        };
        let mut file = b"d".to_vec();
        if let Some(first) = self.trackers.first() {
            text(&mut file, "announce");
            text(&mut file, first);
            text(&mut file, "announce-list");
            file.push(b'l');
            for tracker in &self.trackers {
                file.push(b'l');
                text(&mut file, tracker);
                file.push(b'e');
            }
            file.push(b'e');
        }
        text(&mut file, "info");
        file.extend_from_slice(info);
        file.push(b'e');
        file
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, MagnetError> {
        if text.len() > MAX_LENGTH {
            return Err(MagnetError::TooLong(text.len()));
        }
        if !Self::is_magnet(text) {
            return Err(MagnetError::NotMagnet);
        }
        let link = Url::parse(text).map_err(|_| MagnetError::NotMagnet)?;
        let mut hash = None;
        let mut is_v2 = false;
        let mut found = Self {
            info_hash: InfoHash::new([0; 20]),
            name: None,
            trackers: vec![],
            peers: vec![],
            select: None,
        };
        for (key, value) in link.query_pairs() {
            // Several values of a key may be numbered, such as `tr.1`.
            let kind = key.split_once('.').filter(|(_, number)| number.bytes().all(|c| c.is_ascii_digit()));
            match kind.map_or(&*key, |(kind, _)| kind) {
                "xt" if starts_with(&value, BTIH) => {
                    let named = info_hash(&value[BTIH.len()..]).ok_or(MagnetError::BadHash)?;
                    if hash.is_some_and(|hash| hash != named) {
                        return Err(MagnetError::SeveralHashes);
                    }
                    hash = Some(named);
                }
                "xt" if starts_with(&value, BTMH) => is_v2 = true,
                "dn" if found.name.is_none() => found.name = Some(clean_text(value.as_bytes())),
                "tr" if found.trackers.len() < MAX_TRACKERS
                    && !found.trackers.iter().any(|url| *url == *value) =>
                {
                    found.trackers.push(value.into_owned());
                }
                "x.pe" if found.peers.len() < MAX_PEERS => found.peers.extend(peer(&value)),
                "so" if found.select.is_none() => {
                    found.select = Some(Selection::of_indices(&value).map_err(MagnetError::BadSelection)?);
                }
                _ => {}
            }
        }
        found.info_hash = hash.ok_or(if is_v2 { MagnetError::V2Only } else { MagnetError::NoHash })?;
        Ok(found)
    }
}

impl fmt::Debug for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Trackers have passkeys in their addresses, which is why only their number is shown.
        f.debug_struct("Magnet")
            .field("info_hash", &self.info_hash)
            .field("trackers", &self.trackers.len())
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

fn starts_with(value: &str, prefix: &str) -> bool {
    value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// An info-hash in hexadecimal digits, or in base32 as old links have it.
fn info_hash(text: &str) -> Option<InfoHash> {
    match text.len() {
        40 => text.parse().ok(),
        32 => base32(text).map(InfoHash::new),
        _ => None,
    }
}

/// 32 digits of base32 (RFC 4648), which are 20 bytes.
fn base32(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    for (group, out) in text.as_bytes().as_chunks::<8>().0.iter().zip(bytes.as_chunks_mut::<5>().0) {
        let mut bits = 0_u64;
        for digit in group {
            let value = match digit.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => letter - b'A',
                number @ b'2'..=b'7' => number - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u64::from(value);
        }
        out.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(bytes)
}

/// A peer as `host:port`; an IPv6 address stands in brackets.
fn peer(text: &str) -> Option<PeerAddress> {
    if let Ok(address) = text.parse() {
        return Some(PeerAddress::Ip(address));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let fits = !host.is_empty() && host.len() <= MAX_HOST && host.chars().all(is_name);
    fits.then(|| PeerAddress::Name(host.to_owned(), port))
}

const SCHEME: &str = "magnet:?";
const BTIH: &str = "urn:btih:";
const BTMH: &str = "urn:btmh:";
/// Bytes of a link, 64 KiB. Real ones have less than 4 KiB.
const MAX_LENGTH: usize = 64 << 10;
/// Real links have about 20.
const MAX_TRACKERS: usize = 100;
const MAX_PEERS: usize = 100;
/// Bytes of a host name (RFC 1035).
const MAX_HOST: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789ABCDEF01234567";
    const HASH: [u8; 20] = [
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01,
        0x23, 0x45, 0x67,
    ];

    fn read(rest: &str) -> Magnet {
        format!("magnet:?xt=urn:btih:{HEX}{rest}").parse().unwrap()
    }

    #[test]
    fn an_info_hash_is_read_in_both_forms() {
        for text in [
            format!("magnet:?xt=urn:btih:{HEX}"),
            format!("MAGNET:?dn=x&xt=URN:BTIH:{HEX}"),
            format!("magnet:?xt.1=urn:btih:{HEX}"),
            format!("magnet:?xt=urn%3Abtih%3A{HEX}"),
            // Base32, as Python's base64.b32encode gives it.
            "magnet:?xt=urn:btih:AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH".into(),
            "magnet:?xt=urn:btih:aerukz4jvpg66ajdivtytk6n54asgrlh".into(),
            // A hybrid torrent.
            format!("magnet:?xt=urn:btmh:1220{}&xt=urn:btih:{HEX}", "a".repeat(64)),
            format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{}&xt=urn:sha1:x", HEX.to_lowercase()),
        ] {
            let magnet: Magnet = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(magnet.info_hash(), InfoHash::new(HASH), "{text}");
        }
    }

    #[test]
    fn a_link_that_can_not_be_used_is_refused_by_name() {
        let other = "f".repeat(40);
        for (text, expected) in [
            (String::new(), MagnetError::NotMagnet),
            ("magnet:".into(), MagnetError::NotMagnet),
            ("http://x.test/?xt=urn:btih:0".into(), MagnetError::NotMagnet),
            ("magnet:?".into(), MagnetError::NoHash),
            ("magnet:?dn=x&xt=urn:sha1:abc".into(), MagnetError::NoHash),
            (format!("magnet:?xt=urn:btmh:1220{}", "a".repeat(64)), MagnetError::V2Only),
            ("magnet:?xt=urn:btih:".into(), MagnetError::BadHash),
            (format!("magnet:?xt=urn:btih:{HEX}0"), MagnetError::BadHash),
            (format!("magnet:?xt=urn:btih:{}", "g".repeat(40)), MagnetError::BadHash),
            (format!("magnet:?xt=urn:btih:{}", "1".repeat(32)), MagnetError::BadHash),
            (format!("magnet:?xt=urn:btih:{}", "é".repeat(20)), MagnetError::BadHash),
            (format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{other}"), MagnetError::SeveralHashes),
            (format!("magnet:?{}", "x".repeat(70_000)), MagnetError::TooLong(70_008)),
        ] {
            assert_eq!(
                text.parse::<Magnet>(),
                Err(expected),
                "{}",
                text.chars().take(80).collect::<String>()
            );
        }
        for so in ["x", "3-1", "-"] {
            let read = format!("magnet:?xt=urn:btih:{HEX}&so={so}").parse::<Magnet>();
            assert!(matches!(read, Err(MagnetError::BadSelection(_))), "{so}: {read:?}");
        }
    }

    #[test]
    fn trackers_peers_and_the_name_are_read() {
        let magnet = read(
            "&dn=a%1b%5b2m+b&tr=http%3A%2F%2Fa.test%2Fp%2Fannounce&tr.1=udp://b.test:1&tr=nonsense&tr=udp://b.test:1\
             &x.pe=192.0.2.1:6881&x.pe=[2001:db8::1]:1&x.pe=peer.test:2&x.pe=peer.test:0&x.pe=:1&x.pe=a/b:1&ws=http://w/",
        );
        assert_eq!(magnet.name(), Some("a\u{fffd}[2m b"));
        let tiers = magnet.tiers();
        let hosts: Vec<&str> = tiers.iter().map(|tier| tier[0].host()).collect();
        assert_eq!(hosts, ["a.test", "b.test"]);
        let expected = [
            PeerAddress::Ip("192.0.2.1:6881".parse().unwrap()),
            PeerAddress::Ip("[2001:db8::1]:1".parse().unwrap()),
            PeerAddress::Name("peer.test".into(), 2),
        ];
        assert_eq!(magnet.peers(), expected);
        assert_eq!(magnet.selection(), None);
        let chosen = read("&so=0,2-4");
        assert_eq!(chosen.selection(), Some(&"1,3-5".parse().unwrap()));
    }

    #[test]
    fn trackers_and_peers_are_bounded() {
        let many: Vec<String> =
            (0..1000).map(|n| format!("&tr=http://t{n}.test/&x.pe=192.0.2.1:{}", n + 1)).collect();
        let magnet = read(&many.concat());
        assert_eq!((magnet.trackers.len(), magnet.peers().len()), (MAX_TRACKERS, MAX_PEERS));
    }

    #[test]
    fn a_passkey_is_in_no_text_about_the_link() {
        let magnet = read("&tr=http://t.test/SECRET/announce");
        assert!(!format!("{magnet:?}").contains("SECRET"));
        for text in
            ["magnet:?tr=http://t.test/SECRET/announce", "magnet:?xt=urn:btih:1&tr=http://t.test/SECRET"]
        {
            let error = text.parse::<Magnet>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("SECRET"));
        }
    }

    #[test]
    fn the_torrent_file_has_the_metadata_and_the_trackers() {
        let info = b"d6:lengthi5e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
        let file = read("&tr=http://a.test/k&tr=udp://b.test:1").torrent_file(info);
        let metainfo = tracker_failover::Metainfo::parse(&file).unwrap();
        assert_eq!(metainfo.announce_tiers().len(), 2);
        assert!(file.ends_with(&[b"4:info", &info[..], b"e"].concat()));
        let metainfo = tracker_failover::Metainfo::parse(&read("").torrent_file(info)).unwrap();
        assert!(metainfo.announce_tiers().is_empty());
    }
}
