//! Peers as a list of dictionaries (BEP 3), the older form, which some trackers send in spite of `compact=1`.

use std::net::IpAddr;

use bendy::decoding::Object;

use crate::announce::{Peer, PeerAddress, PeerId};
use crate::wire::bencode::{Fields, Value, decoder};
use crate::wire::compact::PeerList;

/// Reads `peers` or `peers6`. The type of the value decides the form. Values of other types hold no peers: some trackers
/// send an empty dictionary.
pub(super) fn read_peers(value: Value<'_>, add_compact: impl Fn(&mut PeerList, &[u8]), list: &mut PeerList) {
    match value {
        Value::Bytes(bytes) => add_compact(list, bytes),
        Value::List(bytes) => read_list(bytes, list),
        Value::Integer(_) | Value::Dict(_) => {}
    }
}

/// Reads a list of dictionaries. The bytes are a canonical list of a document that was read before, so bendy accepts them.
fn read_list(bytes: &[u8], list: &mut PeerList) {
    let mut decoder = decoder(bytes);
    let Ok(Some(Object::List(mut entries))) = decoder.next_object() else { return };
    while let Ok(Some(entry)) = entries.next_object() {
        match read_peer(entry) {
            Some(peer) => list.add(peer),
            None => list.add_unusable(1),
        }
    }
}

fn read_peer(entry: Object<'_, '_>) -> Option<Peer> {
    let fields = Fields::read(entry.try_into_dictionary().ok()?, &["ip", "peer id", "port"]).ok()?;
    let port = u16::try_from(fields.number("port")?).ok().filter(|port| *port != 0)?;
    let text = std::str::from_utf8(fields.bytes("ip")?).ok()?;
    let address = match ip_address(text) {
        Some(ip) => PeerAddress::Ip((ip, port).into()),
        None if is_host_name(text) => PeerAddress::Name(text.to_ascii_lowercase(), port),
        None => return None,
    };
    let id = fields.bytes("peer id").and_then(|id| id.try_into().ok()).map(PeerId::new);
    Some(Peer { address, id })
}

/// Parses an IP address. Brackets are removed, and so is a zone, which is only valid on the peer's machine.
fn ip_address(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let text = text.split_once('%').map_or(text, |(address, _zone)| address);
    text.parse().ok()
}

/// Whether a text is a host name (RFC 1123, and underscores, which are in use). It isn't if its last label is a number:
/// resolvers take `2130706433` and `0x7f000001` for addresses.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_number =
        last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    name.len() <= 253 && !is_number && name.split('.').all(label_is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// POL-10.
    #[test]
    fn names_must_look_like_host_names() {
        for good in ["t.test", "a-b.example.", "xn--e1aybc.test", "peer_1", "1e2.test"] {
            assert!(is_host_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            ".",
            "a..b",
            "-a.test",
            "a-.test",
            "a b",
            "a\n",
            "t.test/x",
            "2130706433",
            "0x7f000001",
            "1.2.3",
            "\u{e4}.test",
            "a:1",
            &long,
        ] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }

    /// R7-06.
    #[test]
    fn addresses_may_be_text() {
        let rows = [
            ("203.0.113.9", Some("203.0.113.9")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%25eth0]", Some("fe80::1")),
            ("203.0.113", None),
            ("[", None),
            ("%", None),
        ];
        for (text, expected) in rows {
            assert_eq!(ip_address(text), expected.map(|ip| ip.parse().unwrap()), "{text}");
        }
    }
}
