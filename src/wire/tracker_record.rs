//! What the operator of a host says in its DNS about the trackers there (BEP 34).

use crate::tracker::{Scheme, TrackerUrl};

/// How many ports of a record are used, at most. Records in the wild name one or two.
const MAX_PORTS: usize = 4;

/// A TXT record that says on which ports of a host trackers run, or that there are none (BEP 34).
///
/// Operators publish one when a tracker has moved to another port or from HTTP to UDP, or when old torrents flood a website
/// with announces.
///
/// ```
/// use tracker_failover::wire::tracker_record::TrackerRecord;
///
/// # fn main() -> Result<(), tracker_failover::TrackerUrlError> {
/// let tracker = "http://tracker.example/announce".parse()?;
/// let record = TrackerRecord::parse(b"BITTORRENT UDP:1337 TCP:8080").unwrap_or_default();
/// let urls = record.urls(&tracker);
/// assert_eq!(urls[0], "udp://tracker.example:1337/announce".parse()?);
/// assert_eq!(urls[1], "http://tracker.example:8080/announce".parse()?);
///
/// let denied = TrackerRecord::parse(b"BITTORRENT DENY ALL").unwrap_or_default();
/// assert!(denied.urls(&tracker).is_empty());
/// assert_eq!(TrackerRecord::parse(b"v=spf1 -all"), None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackerRecord(Vec<(Protocol, u16)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

impl TrackerRecord {
    /// Parses the content of a TXT record, its strings joined; `None` where it says nothing about trackers, since its first
    /// word isn't `BITTORRENT`. Words that aren't known are skipped, as BEP 34 wants it: `DENY ALL` names no port, and so no
    /// tracker. At most four ports are used.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        if words.next()? != b"BITTORRENT" {
            return None;
        }
        let mut ports = Vec::new();
        for port in words.filter_map(parse_port) {
            if ports.len() < MAX_PORTS && !ports.contains(&port) {
                ports.push(port);
            }
        }
        Some(Self(ports))
    }

    /// Where a tracker of this host is to be announced to, in the operator's order of preference: the tracker's address with
    /// the protocols and ports of the record. None where no tracker runs there that could take its place.
    ///
    /// `https` is never given up for a protocol without TLS. A record isn't signed, and a forger of one would be sent passkeys.
    pub fn urls(&self, tracker: &TrackerUrl) -> Vec<TrackerUrl> {
        let scheme = |protocol| match (tracker.scheme(), protocol) {
            (Scheme::Https, Protocol::Tcp) => Some(Scheme::Https),
            (Scheme::Http | Scheme::Udp, Protocol::Tcp) => Some(Scheme::Http),
            (Scheme::Http | Scheme::Udp, Protocol::Udp) => Some(Scheme::Udp),
            (Scheme::Https, Protocol::Udp) | (Scheme::Other, _) => None,
        };
        self.0.iter().filter_map(|(protocol, port)| tracker.at(scheme(*protocol)?, *port)).collect()
    }
}

/// The port of a word like `UDP:1337`.
fn parse_port(word: &[u8]) -> Option<(Protocol, u16)> {
    let (protocol, port) = std::str::from_utf8(word).ok()?.split_once(':')?;
    let protocol = match protocol {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        _ => return None,
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port: u16 = port.parse().ok()?;
    (port != 0).then_some((protocol, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(record: &str, tracker: &str) -> Vec<String> {
        let record = TrackerRecord::parse(record.as_bytes()).unwrap();
        let urls = record.urls(&tracker.parse().unwrap());
        urls.iter().map(|url| url.as_str().to_owned()).collect()
    }

    /// The examples of BEP 34, and what isn't a record.
    #[test]
    fn the_first_word_decides_whether_it_is_a_record() {
        for (text, ports) in [
            ("BITTORRENT", vec![]),
            ("BITTORRENT DENY ALL", vec![]),
            ("BITTORRENT UDP:1337 TCP:80", vec![(Protocol::Udp, 1337), (Protocol::Tcp, 80)]),
            (
                "BITTORRENT TCP:80 TCP:443 UDP:80",
                vec![(Protocol::Tcp, 80), (Protocol::Tcp, 443), (Protocol::Udp, 80)],
            ),
            ("  BITTORRENT   UDP:1  ", vec![(Protocol::Udp, 1)]),
            ("BITTORRENT TCP:1 TCP:1", vec![(Protocol::Tcp, 1)]),
        ] {
            assert_eq!(TrackerRecord::parse(text.as_bytes()), Some(TrackerRecord(ports)), "{text:?}");
        }
        for text in ["", " ", "bittorrent UDP:1", "BITTORRENTUDP:1", "v=spf1 BITTORRENT", "UDP:1 BITTORRENT"]
        {
            assert_eq!(TrackerRecord::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(TrackerRecord::parse(b"\xff"), None);
    }

    #[test]
    fn words_that_name_no_port_are_skipped_and_the_number_of_ports_is_bounded() {
        let text = b"BITTORRENT UDP UDP: UDP:0 UDP:65536 UDP:+1 UDP:-1 UDP:1x udp:1 TCP:\xff X:1 UDP:65535";
        assert_eq!(TrackerRecord::parse(text), Some(TrackerRecord(vec![(Protocol::Udp, u16::MAX)])));
        let many = (1..100).fold("BITTORRENT".to_owned(), |text, port| format!("{text} UDP:{port}"));
        assert_eq!(TrackerRecord::parse(many.as_bytes()).unwrap().0.len(), MAX_PORTS);
    }

    #[test]
    fn a_tracker_keeps_its_path_and_user_and_gets_protocols_and_ports_of_the_record() {
        let record = "BITTORRENT UDP:1337 TCP:8080";
        for (tracker, expected) in [
            (
                "http://t.test/key/announce?a=1",
                vec!["udp://t.test:1337/key/announce?a=1", "http://t.test:8080/key/announce?a=1"],
            ),
            ("http://u:p@t.test:99/a", vec!["udp://u:p@t.test:1337/a", "http://u:p@t.test:8080/a"]),
            ("udp://t.test:6969", vec!["udp://t.test:1337", "http://t.test:8080/announce"]),
            ("udp://t.test:6969/x", vec!["udp://t.test:1337/x", "http://t.test:8080/x"]),
            ("https://t.test/key/announce", vec!["https://t.test:8080/key/announce"]),
            ("wss://t.test/announce", vec![]),
        ] {
            assert_eq!(urls(record, tracker), expected, "{tracker}");
        }
        assert!(urls("BITTORRENT UDP:1", "https://t.test/a").is_empty());
        assert!(urls("BITTORRENT DENY ALL", "http://t.test/a").is_empty());
    }

    #[test]
    fn a_restriction_to_a_family_stays() {
        use crate::tracker::AddressFamily;
        let tracker: TrackerUrl = "http://t.test/a".parse().unwrap();
        let record = TrackerRecord::parse(b"BITTORRENT UDP:1").unwrap();
        let urls = record.urls(&tracker.over(AddressFamily::Ipv6));
        assert_eq!(urls[0].family(), Some(AddressFamily::Ipv6));
    }
}
