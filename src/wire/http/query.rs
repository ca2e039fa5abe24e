//! What is asked of an HTTP tracker: the path and query of announces (BEP 3) and scrapes (BEP 48).
//!
//! Built as text, because trackers compare bytes: a library that normalises addresses breaks info-hashes and
//! passkeys alike.

use std::fmt::Write as _;

use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode,
};

use crate::announce::{AnnounceRequest, Event, InfoHash};
use crate::tracker::{Scheme, TrackerUrl};

/// Everything but the unreserved characters of RFC 3986. Some trackers don't take a bare `*` or `!`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// `left` where the size isn't known. Trackers take 0 for a seed and -1 for an error, and some refuse more.
const UNKNOWN_LEFT: u64 = i64::MAX as u64;

/// How many torrents one scrape asks for, and how long its query may get: what trackers are known to take.
const MOST_SCRAPED: usize = 50;
const LONGEST_SCRAPE_QUERY: usize = 2000;

/// What one info-hash takes in a query at most: every byte escaped, its name and a joiner.
const LONGEST_INFO_HASH: usize = "&info_hash=".len() + 60;

/// The request target (path and query) of an announce.
///
/// The tracker's own query goes in front, byte for byte, because passkeys live there and some trackers insist
/// on the place. Only where it already holds one of the parameters below does ours take its place, so that
/// each comes once and tells the truth; `key` is the exception, since several trackers call their passkey so:
/// theirs stays and ours is left out.
///
/// ```
/// use tracker_failover::{AnnounceRequest, InfoHash, PeerId};
/// use tracker_failover::wire::http::announce_target;
///
/// let request = AnnounceRequest::new(InfoHash::new([0xff; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// let target = announce_target(&"http://t.example/announce?passkey=abc".parse()?, &request);
/// assert!(target.starts_with("/announce?passkey=abc&info_hash=%FF%FF"));
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
pub fn announce_target(tracker: &TrackerUrl, request: &AnnounceRequest) -> String {
    let mut parameters: Vec<(&str, String)> = vec![
        ("info_hash", escaped(request.info_hash.as_bytes())),
        ("peer_id", escaped(request.peer_id.as_bytes())),
        ("port", request.port.to_string()),
        ("uploaded", bounded(request.transfer.uploaded)),
        ("downloaded", bounded(request.transfer.downloaded)),
        ("left", bounded(request.transfer.left.unwrap_or(UNKNOWN_LEFT))),
        ("compact", "1".to_owned()),
        ("numwant", num_want(request).to_string()),
    ];
    if !has_parameter(tracker, "key") {
        parameters.push(("key", format!("{:08X}", request.key)));
    }
    if let Some(event) = request.event {
        parameters.push(("event", event.name().to_owned()));
    }
    if let Some(id) = request.tracker_id.as_deref().filter(|id| !id.is_empty()) {
        parameters.push(("trackerid", escaped(id)));
    }
    if let Some(ip) = request.ip {
        parameters.push(("ip", escaped(ip.to_string().as_bytes())));
    }
    // An event that was baked into the address would tell a new `started` at every announce.
    let ours = |name: &str| name == "event" || parameters.iter().any(|(our_name, _)| *our_name == name);
    let mut target = own_target(tracker, ours);
    for (name, value) in &parameters {
        // Writing to a string doesn't fail.
        let _ = write!(target, "{}{name}={value}", joiner(&target));
    }
    target
}

/// The request target (path and query) of a scrape, `None` where the tracker has no scrape address, or where
/// there is no torrent to ask for: a scrape without any asks for all that the tracker has.
///
/// Takes as many torrents as it is given: see [`scrape_batches`].
pub fn scrape_target(tracker: &TrackerUrl, torrents: &[InfoHash]) -> Option<String> {
    if torrents.is_empty() || tracker.scheme() == Scheme::Udp {
        return None;
    }
    let mut target = own_target(&scrape_url(tracker)?, |name| name == "info_hash");
    for torrent in torrents {
        let _ = write!(target, "{}info_hash={}", joiner(&target), escaped(torrent.as_bytes()));
    }
    Some(target)
}

/// Cuts a list of torrents into the pieces that one scrape each may ask for: at most 50 torrents and a query
/// of at most 2000 bytes, which is what trackers and the proxies before them are known to take.
pub fn scrape_batches<'t>(
    tracker: &TrackerUrl,
    torrents: &'t [InfoHash],
) -> impl Iterator<Item = &'t [InfoHash]> + use<'t> {
    let own = split_target(tracker).1.map_or(0, str::len);
    let room = LONGEST_SCRAPE_QUERY.saturating_sub(own) / LONGEST_INFO_HASH;
    torrents.chunks(room.clamp(1, MOST_SCRAPED))
}

/// The address for scrapes that belongs to an announce address, `None` where there is none.
///
/// By the old convention: the text after the path's last slash has to begin with `announce`, which becomes
/// `scrape`. BEP 48 would replace the word anywhere in the path, which hits passkeys and folders. Over UDP
/// (BEP 15) the address is the same.
///
/// ```
/// use tracker_failover::wire::http::scrape_url;
///
/// let scrape = scrape_url(&"http://t.example/k/announce.php?key=1".parse()?);
/// assert_eq!(scrape.unwrap().as_str(), "http://t.example/k/scrape.php?key=1");
/// assert_eq!(scrape_url(&"http://t.example/a".parse()?), None);
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
pub fn scrape_url(tracker: &TrackerUrl) -> Option<TrackerUrl> {
    match tracker.scheme() {
        Scheme::Udp => Some(tracker.clone()),
        Scheme::Other => None,
        Scheme::Http | Scheme::Https => {
            let text = tracker.as_str();
            let text = text.split_once('#').map_or(text, |(before, _fragment)| before);
            let target = tracker.path_and_query();
            let front = text.strip_suffix(target)?;
            let (path, query) = target.find('?').map_or((target, ""), |at| target.split_at(at));
            let (folders, last) = path.rsplit_once('/')?;
            let rest = last.strip_prefix("announce")?;
            TrackerUrl::parse(&format!("{front}{folders}/scrape{rest}{query}")).ok()
        }
    }
}

/// Path and query as they stand in the address, without the parameters that are to be replaced.
fn own_target(tracker: &TrackerUrl, replaced: impl Fn(&str) -> bool) -> String {
    let (path, query) = split_target(tracker);
    let mut target = if path.starts_with('/') { String::new() } else { "/".to_owned() };
    target.extend(sendable(path));
    if let Some(query) = query {
        target.push('?');
        if query.split('&').any(|parameter| replaced(&name_of(parameter))) {
            let kept: Vec<&str> =
                query.split('&').filter(|parameter| !replaced(&name_of(parameter))).collect();
            target.extend(sendable(&kept.join("&")));
        } else {
            target.extend(sendable(query));
        }
    }
    target
}

fn split_target(tracker: &TrackerUrl) -> (&str, Option<&str>) {
    let target = tracker.path_and_query();
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

fn has_parameter(tracker: &TrackerUrl, name: &str) -> bool {
    split_target(tracker).1.is_some_and(|query| query.split('&').any(|parameter| name_of(parameter) == name))
}

fn name_of(parameter: &str) -> String {
    let name = parameter.split_once('=').map_or(parameter, |(name, _value)| name);
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

/// A request line is ASCII; anything else is sent as its UTF-8 bytes, escaped, as browsers do.
fn sendable(text: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(text, CONTROLS)
}

fn escaped(bytes: &[u8]) -> String {
    percent_encode(bytes, ESCAPED).to_string()
}

fn joiner(target: &str) -> &'static str {
    match target.contains('?') {
        true if target.ends_with(['?', '&']) => "",
        true => "&",
        false => "?",
    }
}

/// Trackers read signed numbers of 64 bits.
fn bounded(bytes: u64) -> String {
    bytes.min(UNKNOWN_LEFT).to_string()
}

fn num_want(request: &AnnounceRequest) -> u32 {
    match request.event {
        // Nobody who leaves wants peers, yet some trackers answer with a full list.
        Some(Event::Stopped) => 0,
        _ => request.num_want.unwrap_or(AnnounceRequest::DEFAULT_NUM_WANT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::{PeerId, Transfer};

    fn url(text: &str) -> TrackerUrl {
        text.parse().unwrap()
    }

    fn request() -> AnnounceRequest {
        let hash = InfoHash::new([0; 20]);
        let mut request = AnnounceRequest::new(hash, PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
        request.key = 0x00fe_babe;
        request
    }

    /// All that comes before the parameters of ours.
    fn front(address: &str) -> String {
        let target = announce_target(&url(address), &request());
        target[..target.find("info_hash=").unwrap()].to_owned()
    }

    fn value<'t>(target: &'t str, name: &str) -> Vec<&'t str> {
        let query = target.split_once('?').unwrap().1;
        query
            .split('&')
            .filter_map(|p| p.split_once('=').filter(|(n, _)| *n == name))
            .map(|(_, v)| v)
            .collect()
    }

    #[test]
    fn info_hashes_are_escaped_tv1() {
        let rows = [
            ("123456789abcdef123456789abcdef123456789a", "%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A"),
            ("415a617a30392d5f2e7e4142434445464748494a", "AZaz09-_.~ABCDEFGHIJ"),
            ("202b252f3f263d237e4142434445464748494a4b", "%20%2B%25%2F%3F%26%3D%23~ABCDEFGHIJK"),
            ("000a0d7f80ff3031323334353637383961626364", "%00%0A%0D%7F%80%FF0123456789abcd"),
            ("0000000000000000000000000000000000000000", &"%00".repeat(20)),
            ("ffffffffffffffffffffffffffffffffffffffff", &"%FF".repeat(20)),
            ("a2a15537542b22925ad10486bf7a8b2a9c42f0d1", "%A2%A1U7T%2B%22%92Z%D1%04%86%BFz%8B%2A%9CB%F0%D1"),
            ("2b760aa178932030c847dcdf8eaebf560a1bd16c", "%2Bv%0A%A1x%93%200%C8G%DC%DF%8E%AE%BFV%0A%1B%D1l"),
            ("2534312534322534332534342534352534362534", "%2541%2542%2543%2544%2545%2546%254"),
        ];
        for (hex, expected) in rows {
            let mut request = request();
            request.info_hash = hex.parse().unwrap();
            let target = announce_target(&url("http://t.test/announce"), &request);
            assert_eq!(value(&target, "info_hash"), [expected], "{hex}");
            let scrape = scrape_target(&url("http://t.test/announce"), &[request.info_hash]).unwrap();
            assert_eq!(value(&scrape, "info_hash"), [expected], "{hex}");
        }
    }

    #[test]
    fn parameters_come_once_in_order_pol24_r3_06() {
        let mut request = request();
        request.transfer = Transfer { uploaded: 1, downloaded: 2, left: Some(777) };
        request.num_want = Some(33);
        request.event = Some(Event::Started);
        request.tracker_id = Some(b"a b&".to_vec());
        request.ip = Some("2001:db8::7".parse().unwrap());
        assert_eq!(
            announce_target(&url("http://t.test/x/announce.php?passkey=abc"), &request),
            format!(
                "/x/announce.php?passkey=abc&info_hash={}&peer_id=-XX0001-abcdefghijkl&port=6881&uploaded=1\
                 &downloaded=2&left=777&compact=1&numwant=33&key=00FEBABE&event=started&trackerid=a%20b%26\
                 &ip=2001%3Adb8%3A%3A7",
                "%00".repeat(20)
            )
        );
    }

    #[test]
    fn nothing_is_sent_without_a_value_pol19_q46() {
        let mut request = request();
        request.tracker_id = Some(Vec::new());
        let target = announce_target(&url("http://t.test/a"), &request);
        for absent in ["event", "trackerid", "ip", "no_peer_id", "supportcrypto", "corrupt"] {
            assert!(value(&target, absent).is_empty(), "{absent}");
        }
        assert_eq!(value(&target, "left"), ["9223372036854775807"], "Q-43");
        assert_eq!(value(&target, "numwant"), ["50"]);
        request.event = Some(Event::Stopped);
        request.num_want = Some(80);
        request.transfer = Transfer { uploaded: u64::MAX, downloaded: 0, left: Some(u64::MAX) };
        let target = announce_target(&url("http://t.test/a"), &request);
        assert_eq!(
            (value(&target, "numwant"), value(&target, "event")),
            (vec!["0"], vec!["stopped"]),
            "Q-88"
        );
        assert_eq!(
            (value(&target, "left"), value(&target, "uploaded")),
            (vec!["9223372036854775807"], vec!["9223372036854775807"])
        );
    }

    #[test]
    fn own_query_stays_in_front_byte_for_byte_r3_07() {
        let rows = [
            ("http://h/a", "/a?"),
            ("http://h/a?k=1", "/a?k=1&"),
            ("http://h/a?", "/a?"),
            ("http://h/a?k=1&", "/a?k=1&"),
            ("http://h/a#f", "/a?"),
            ("http://h", "/?"),
            ("http://h?k=1", "/?k=1&"),
            ("http://h/a/", "/a/?"),
            ("http://h//a/../b?x=%zz&&y=+%2f", "//a/../b?x=%zz&&y=+%2f&"),
            ("http://h/a?b?c=d/announce", "/a?b?c=d/announce&"),
            ("http://h/a|{}\"?q=[1]'", "/a|{}\"?q=[1]'&"),
            ("http://h/\u{e4}?k=\u{e4}", "/%C3%A4?k=%C3%A4&"),
            ("http://u:p@h:81/announce", "/announce?"),
        ];
        for (address, expected) in rows {
            assert_eq!(front(address), expected, "{address}");
        }
    }

    #[test]
    fn parameters_baked_into_the_address_dont_come_twice() {
        let rows = [
            ("http://h/a?info_hash=evil&k=1", "/a?k=1&"),
            ("http://h/a?k=1&event=started&port=1&", "/a?k=1&"),
            ("http://h/a?%69nfo_hash=x&left=0", "/a?"),
            ("http://h/a?info_hash", "/a?"),
            ("http://h/a?Event=x&myport=7&xport=1", "/a?Event=x&myport=7&xport=1&"),
        ];
        for (address, expected) in rows {
            assert_eq!(front(address), expected, "{address}");
        }
        // Several trackers call their passkey `key`.
        let target = announce_target(&url("http://h/a?key=passkey"), &request());
        assert_eq!(
            (front("http://h/a?key=passkey").as_str(), value(&target, "key")),
            ("/a?key=passkey&", vec!["passkey"])
        );
        let mut with_id = request();
        with_id.tracker_id = Some(b"new".to_vec());
        let target = announce_target(&url("http://h/a?trackerid=old"), &with_id);
        assert_eq!(value(&target, "trackerid"), ["new"]);
    }

    #[test]
    fn scrape_addresses_r48_01() {
        let rows = [
            ("http://t.test/announce", Some("http://t.test/scrape")),
            ("http://t.test/x/announce", Some("http://t.test/x/scrape")),
            ("http://t.test/x/announce.php", Some("http://t.test/x/scrape.php")),
            ("http://t.test/k/announce.php?key=1", Some("http://t.test/k/scrape.php?key=1")),
            ("http://t.test/announce?x2%0644", Some("http://t.test/scrape?x2%0644")),
            ("http://t.test/announce?x=2/4", Some("http://t.test/scrape?x=2/4")),
            (
                "http://announce.test/announce?announce=/announce",
                Some("http://announce.test/scrape?announce=/announce"),
            ),
            ("https://u:p@t.test:8443/announce#x", Some("https://u:p@t.test:8443/scrape")),
            ("udp://t.test:80/announce", Some("udp://t.test:80/announce")),
            ("udp://t.test:80", Some("udp://t.test:80")),
            ("http://t.test/a", None),
            ("http://t.test/x%064announce", None),
            ("http://t.test/Announce", None),
            ("http://t.test/announce/", None),
            ("http://t.test/announce/KEY", None),
            ("http://announce", None),
            ("http://t.test", None),
            ("http://t.test?announce", None),
            ("http://t.test/a?b=/announce", None),
            ("wss://t.test/announce", None),
        ];
        for (announce, expected) in rows {
            assert_eq!(scrape_url(&url(announce)).as_ref().map(TrackerUrl::as_str), expected, "{announce}");
        }
    }

    #[test]
    fn a_scrape_names_its_torrents_r48_03() {
        let tracker = url("http://t.test/announce?passkey=abc&info_hash=evil");
        let target = scrape_target(&tracker, &[InfoHash::new([0xff; 20]), InfoHash::new([b'a'; 20])]);
        assert_eq!(
            target.unwrap(),
            format!("/scrape?passkey=abc&info_hash={}&info_hash={}", "%FF".repeat(20), "a".repeat(20))
        );
        assert_eq!(scrape_target(&tracker, &[]), None, "without a torrent it means all of them");
        assert_eq!(scrape_target(&url("udp://t.test:80/announce"), &[InfoHash::new([0; 20])]), None);
    }

    #[test]
    fn a_scrape_is_cut_into_batches_r48_03() {
        let torrents: Vec<InfoHash> = (0..=255).map(|n| InfoHash::new([n; 20])).collect();
        let long = format!("http://t.test/announce?k={}", "k".repeat(1900));
        for address in ["http://t.test/announce", "http://t.test/announce?k=1", &long] {
            let batches: Vec<_> = scrape_batches(&url(address), &torrents).collect();
            assert_eq!(batches.concat(), torrents);
            for batch in batches {
                let target = scrape_target(&url(address), batch).unwrap();
                assert!(
                    batch.len() <= 50 && target.len() <= "/scrape?".len() + 2000,
                    "{} bytes",
                    target.len()
                );
            }
        }
    }
}
