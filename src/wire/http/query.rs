//! The request targets of HTTP trackers: path and query of announces (BEP 3) and scrapes (BEP 48).
//!
//! Built as text, because trackers compare bytes: a library that normalises addresses would break info-hashes and
//! passkeys.

use std::fmt::Write as _;

use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode,
};

use crate::announce::{AnnounceRequest, Event, InfoHash};
use crate::tracker::{Scheme, TrackerUrl};

/// All characters but the unreserved ones of RFC 3986. Some trackers don't accept a bare `*` or `!`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// `left` if the size isn't known. Trackers take 0 for a seed and -1 for an error, and some refuse larger numbers.
const UNKNOWN_LEFT: u64 = i64::MAX as u64;

/// The longest query of a scrape, in bytes, that trackers and their proxies are known to accept.
const MAX_SCRAPE_QUERY_LEN: usize = 2000;

/// The most that one info-hash takes in a query: the separator, the name, and every byte escaped.
const MAX_INFO_HASH_LEN: usize = "&info_hash=".len() + 60;

/// The request target (path and query) of an announce.
///
/// The query of the announce address comes first, byte for byte, because it holds passkeys, and some trackers insist on
/// that place. If it already has one of our parameters, ours replaces it, so that each comes once with the right value. The
/// exception is `key`, the name of the passkey at several trackers: theirs stays and ours is left out.
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
        ("port", request.announced_port().to_string()),
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
    // An event in the announce address would be sent with every announce.
    let ours = |name: &str| name == "event" || parameters.iter().any(|(our_name, _)| *our_name == name);
    let mut target = own_target(tracker, ours);
    for (name, value) in &parameters {
        // Writing to a string doesn't fail.
        let _ = write!(target, "{}{name}={value}", joiner(&target));
    }
    target
}

/// The URL to `GET` for an announce: the tracker's scheme, user name, host and port with [`announce_target`].
///
/// It holds the passkey and the torrent, so it doesn't belong into a log, and neither does an error of a library that shows
/// it ([`AnnounceError::requesting`](crate::AnnounceError::requesting) takes such errors). Libraries that parse it into a
/// [`url::Url`] may escape a few unusual characters of the tracker's own path and query; what is added here stays as it is.
///
/// ```
/// use tracker_failover::wire::http::announce_url;
/// use tracker_failover::{AnnounceRequest, InfoHash, PeerId};
///
/// let request = AnnounceRequest::new(InfoHash::new([0xff; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// let url = announce_url(&"http://t.example:8080/announce?passkey=abc".parse()?, &request);
/// assert!(url.starts_with("http://t.example:8080/announce?passkey=abc&info_hash=%FF%FF"));
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
pub fn announce_url(tracker: &TrackerUrl, request: &AnnounceRequest) -> String {
    absolute(tracker, &announce_target(tracker, request))
}

/// The URL to `GET` for a scrape: the tracker's scheme, user name, host and port with [`scrape_target`], and `None` where
/// that is.
pub fn scrape_url(tracker: &TrackerUrl, torrents: &[InfoHash]) -> Option<String> {
    scrape_target(tracker, torrents).map(|target| absolute(tracker, &target))
}

/// The request target (path and query) of a scrape. `None` if the tracker has no scrape address, or if `torrents` is empty:
/// a scrape without info-hashes asks for all torrents of the tracker.
///
/// All torrents go into one query: see [`scrape_batches`].
pub fn scrape_target(tracker: &TrackerUrl, torrents: &[InfoHash]) -> Option<String> {
    if torrents.is_empty() || tracker.scheme() == Scheme::Udp {
        return None;
    }
    let mut target = own_target(&scrape_address(tracker)?, |name| name == "info_hash");
    for torrent in torrents {
        let _ = write!(target, "{}info_hash={}", joiner(&target), escaped(torrent.as_bytes()));
    }
    Some(target)
}

/// Cuts a list of torrents into the batches for single scrapes: a query of at most 2000 bytes, which trackers and their
/// proxies are known to accept. It holds 28 torrents.
pub fn scrape_batches<'t>(
    tracker: &TrackerUrl,
    torrents: &'t [InfoHash],
) -> impl Iterator<Item = &'t [InfoHash]> + use<'t> {
    let own = split_target(tracker).1.map_or(0, str::len);
    let room = MAX_SCRAPE_QUERY_LEN.saturating_sub(own) / MAX_INFO_HASH_LEN;
    torrents.chunks(room.max(1))
}

/// The scrape address of a tracker; `None` if it has none.
///
/// By the old convention, the text after the last slash of the path has to begin with `announce`, which is replaced by
/// `scrape`. BEP 48 would replace the word anywhere in the path, also in passkeys and folders. Over UDP (BEP 15) the
/// address is the same.
///
/// ```
/// use tracker_failover::wire::http::scrape_address;
///
/// let scrape = scrape_address(&"http://t.example/k/announce.php?key=1".parse()?);
/// assert_eq!(scrape.unwrap().as_str(), "http://t.example/k/scrape.php?key=1");
/// assert_eq!(scrape_address(&"http://t.example/a".parse()?), None);
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
pub fn scrape_address(tracker: &TrackerUrl) -> Option<TrackerUrl> {
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

fn absolute(tracker: &TrackerUrl, target: &str) -> String {
    let user = tracker.userinfo().map_or_else(String::new, |user| format!("{user}@"));
    let port = tracker.explicit_port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{user}{}{port}{target}", tracker.scheme_name(), tracker.host())
}

/// Path and query of the address as they were written, without the replaced parameters.
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

/// A request line is ASCII: other characters are sent as their UTF-8 bytes, escaped, as browsers do.
fn sendable(text: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(text, CONTROLS)
}

fn escaped(bytes: &[u8]) -> String {
    percent_encode(bytes, ESCAPED).to_string()
}

fn joiner(target: &str) -> &'static str {
    match target.find('?') {
        None => "?",
        Some(at) if at + 1 == target.len() || target.ends_with('&') => "",
        // A second question mark belongs to the last parameter.
        Some(_) => "&",
    }
}

/// Trackers read signed 64-bit numbers.
fn bounded(bytes: u64) -> String {
    bytes.min(UNKNOWN_LEFT).to_string()
}

fn num_want(request: &AnnounceRequest) -> u32 {
    match request.event {
        // A client that leaves needs no peers, but some trackers would send a full list.
        Some(Event::Stopped) => 0,
        _ => request.num_want.unwrap_or(AnnounceRequest::DEFAULT_NUM_WANT),
    }
}

#[cfg(test)]
mod tests;
