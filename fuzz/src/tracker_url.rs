//! Announce addresses: what is read can be written, asked and shown without giving anything away.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use percent_encoding::percent_decode_str;
use tracker_failover::wire::http::{announce_target, scrape_address, scrape_target};
use tracker_failover::wire::udp::{ConnectionId, Family, TransactionId, announce_request};
use tracker_failover::{AnnounceRequest, Event, InfoHash, PeerId, Scheme, TrackerUrl};

use super::check_text;

/// Each of them once, and with a value (R3-06, POL-19). `key` isn't among them: some trackers call their passkey so.
const OURS: [&str; 9] =
    ["info_hash", "peer_id", "port", "uploaded", "downloaded", "left", "compact", "numwant", "event"];

/// Reads the input as an announce address, where it is text.
///
/// # Panics
/// Where something does not hold.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let url = match TrackerUrl::parse(text) {
        Ok(url) => url,
        Err(error) => return check_text(&error.to_string()),
    };
    check_reading(text, &url);
    check_shown(&url);
    match url.scheme() {
        Scheme::Http | Scheme::Https => check_http(&url),
        Scheme::Udp => check_udp(&url),
        _ => assert_eq!(scrape_address(&url), None),
    }
}

fn check_reading(text: &str, url: &TrackerUrl) {
    assert!(text.contains(url.as_str()), "it is kept as it was written");
    let again = TrackerUrl::parse(url.as_str()).expect("what was kept is an address");
    assert_eq!(&again, url);
    assert_eq!((again.host(), again.port(), again.as_str()), (url.host(), url.port(), url.as_str()));
    // Written with its scheme and host in their normalised forms it is the same tracker.
    if url.scheme() != Scheme::Other {
        let userinfo = url.userinfo().map_or(String::new(), |userinfo| format!("{userinfo}@"));
        let (scheme, host, port) = (url.scheme().name(), url.host(), url.port());
        let normalised = format!("{scheme}://{userinfo}{host}:{port}{}", url.path_and_query());
        // The port may make it too long.
        if let Ok(other) = TrackerUrl::parse(&normalised) {
            assert_eq!(&other, url);
            assert_eq!(hash(&other), hash(url));
            assert_eq!(other.cmp(url), std::cmp::Ordering::Equal);
        } else {
            assert!(normalised.len() > 2048, "{normalised:?}");
        }
    }
}

/// What is shown has scheme, host and port, and nothing else of it (POL-20).
fn check_shown(url: &TrackerUrl) {
    let shown = url.to_string();
    assert!(!shown.chars().any(char::is_control));
    assert_eq!(format!("{url:?}"), format!("TrackerUrl({shown})"));
    let (_, host) = shown.split_once("://").expect("scheme and host");
    if url.scheme() == Scheme::Other {
        return assert!(host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)), "{shown}");
    }
    let port = url.explicit_port().map_or(String::new(), |port| format!(":{port}"));
    assert_eq!(shown, format!("{}://{}{port}", url.scheme().name(), url.host()));
    assert!(!host.contains(['/', '?', '#', '@', '\\']), "{shown}");
    let again = TrackerUrl::parse(&shown).expect("what is shown is an address");
    assert_eq!(again.tracker_host(), url.tracker_host());
    assert_eq!((again.path_and_query(), again.userinfo()), ("", None));
}

fn check_http(url: &TrackerUrl) {
    let mut request = AnnounceRequest::new(InfoHash::new([b'h'; 20]), PeerId::new([b'p'; 20]), 6881);
    request.event = Some(Event::Started);
    let target = announce_target(url, &request);
    check_target(&target);
    let (path, _) = target.split_once('?').expect("parameters");
    let own_path = url.path_and_query().split('?').next().unwrap_or_default();
    if own_path.is_ascii() {
        assert_eq!(path, if own_path.is_empty() { "/" } else { own_path }, "the path is sent as it stands");
    }
    let values = parameters(&target);
    for name in OURS {
        let values = values.get(name).map(Vec::as_slice).unwrap_or_default();
        assert!(values.len() == 1 && !values[0].is_empty(), "{name} in {target}");
    }
    assert!(values.contains_key("key"));
    if let Some(scrape) = scrape_address(url) {
        assert_eq!((scrape.tracker_host(), scrape.userinfo()), (url.tracker_host(), url.userinfo()));
        let target = scrape_target(url, &[InfoHash::new([b'h'; 20])]).expect("one torrent is asked for");
        check_target(&target);
        let hash = "h".repeat(20);
        assert_eq!(parameters(&target).get("info_hash"), Some(&vec![hash.as_str()]), "{target}");
    }
}

/// The parameters of a query by their names, as a server reads them.
fn parameters(target: &str) -> BTreeMap<String, Vec<&str>> {
    let mut values: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let (_, query) = target.split_once('?').unwrap_or((target, ""));
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        values.entry(percent_decode_str(name).decode_utf8_lossy().into_owned()).or_default().push(value);
    }
    values
}

/// Nothing of an address can end a request line (S-08).
fn check_target(target: &str) {
    assert!(target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic()), "{target:?}");
}

/// Path and query travel as options of BEP 41, all of them, and nothing else follows byte 98.
fn check_udp(url: &TrackerUrl) {
    let request = AnnounceRequest::new(InfoHash::new([b'h'; 20]), PeerId::new([b'p'; 20]), 6881);
    let packet = announce_request(ConnectionId(1), TransactionId(2), url, &request, Family::V4);
    let (mut options, mut address) = (&packet[98..], Vec::new());
    while let [kind, length, rest @ ..] = options {
        let (part, rest) = rest.split_at(usize::from(*length));
        assert!(*kind == 2 && !part.is_empty());
        address.extend_from_slice(part);
        options = rest;
    }
    assert!(options.is_empty());
    assert_eq!(address, url.path_and_query().as_bytes());
    assert_eq!(scrape_address(url).as_ref(), Some(url));
}

fn hash(url: &TrackerUrl) -> u64 {
    let mut hasher = DefaultHasher::new();
    url.hash(&mut hasher);
    hasher.finish()
}
