//! Stand-in for the HTTP forms of announce and scrape, so that the transport compiles alone.

use std::time::{Duration, SystemTime};

use bendy::decoding::{Decoder, Object};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, Peer, PeerAddress};
use crate::error::{AnnounceError, Rejection, ReplyError};
use crate::scrape::{ScrapeResponse, SwarmCounts};
use crate::tracker::TrackerUrl;

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The origin-form target of an announce.
pub fn announce_target(tracker: &TrackerUrl, request: &AnnounceRequest) -> String {
    let own = tracker.path_and_query();
    let slash = if own.starts_with('/') { "" } else { "/" };
    let joiner = if own.ends_with(['?', '&']) {
        ""
    } else if own.contains('?') {
        "&"
    } else {
        "?"
    };
    let mut target = format!(
        "{slash}{own}{joiner}info_hash={}&peer_id={}&port={}",
        percent_encode(request.info_hash.as_bytes(), ESCAPED),
        percent_encode(request.peer_id.as_bytes(), ESCAPED),
        request.port
    );
    if let Some(event) = request.event {
        target.push_str("&event=");
        target.push_str(event.name());
    }
    target
}

/// The origin-form target of a scrape.
pub fn scrape_target(tracker: &TrackerUrl, torrents: &[InfoHash]) -> Option<String> {
    let own = tracker.path_and_query();
    let (path, query) = own.split_once('?').map_or((own, ""), |(path, query)| (path, query));
    let (directory, file) = path.rsplit_once('/')?;
    let rest = file.strip_prefix("announce")?;
    let mut target = format!("{directory}/scrape{rest}?{query}");
    for torrent in torrents {
        if !target.ends_with(['?', '&']) {
            target.push('&');
        }
        target.push_str("info_hash=");
        target.extend(percent_encode(torrent.as_bytes(), ESCAPED));
    }
    Some(target)
}

/// Reads a reply to an announce.
///
/// # Errors
/// When it is none, or a refusal.
pub fn read_announce(body: &[u8]) -> Result<AnnounceResponse, AnnounceError> {
    if let Some(rejection) = failure_in(body) {
        return Err(AnnounceError::Rejected(rejection));
    }
    let mut response = AnnounceResponse::default();
    let mut known = false;
    each(body, |key, value| match (key, value) {
        (b"interval", Value::Integer(n)) => {
            known = true;
            response.interval = u64::try_from(n).ok().map(Duration::from_secs);
        }
        (b"peers", Value::Bytes(bytes)) => {
            known = true;
            for chunk in bytes.chunks_exact(6) {
                let Ok([a, b, c, d, high, low]) = <[u8; 6]>::try_from(chunk) else { continue };
                let address = ([a, b, c, d], u16::from_be_bytes([high, low])).into();
                response.peers.push(Peer { address: PeerAddress::Ip(address), id: None });
            }
        }
        (b"external ip", Value::Bytes(bytes)) => {
            response.external_ip = <[u8; 4]>::try_from(bytes).ok().map(Into::into);
        }
        _ => {}
    })
    .ok_or_else(malformed)?;
    if known { Ok(response) } else { Err(malformed()) }
}

/// Reads a reply to a scrape.
///
/// # Errors
/// When it is none, or a refusal.
pub fn read_scrape(body: &[u8]) -> Result<ScrapeResponse, AnnounceError> {
    if let Some(rejection) = failure_in(body) {
        return Err(AnnounceError::Rejected(rejection));
    }
    let mut response = ScrapeResponse::default();
    each(body, |key, value| {
        if let (b"interval", Value::Integer(_)) = (key, value) {
            response.files.insert(InfoHash::new([1; 20]), SwarmCounts::default());
        }
    })
    .ok_or_else(malformed)?;
    Ok(response)
}

/// The failure reason in a body, where there is one.
pub fn failure_in(body: &[u8]) -> Option<Rejection> {
    let mut found = None;
    each(body, |key, value| {
        if let (b"failure reason", Value::Bytes(reason)) = (key, value) {
            found = Some(Rejection::new(clean_text(reason)));
        }
    })?;
    found
}

/// Reads a `Retry-After`.
pub fn retry_after(value: &str, _now: SystemTime) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

/// A text for people.
pub fn clean_text(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(1024).collect()
}

enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Other,
}

fn each(body: &[u8], mut use_pair: impl FnMut(&[u8], Value<'_>)) -> Option<()> {
    let mut decoder = Decoder::new(body).with_max_depth(8);
    let Ok(Some(Object::Dict(mut dict))) = decoder.next_object() else { return None };
    while let Some((key, value)) = dict.next_pair().ok()? {
        let value = match value {
            Object::Integer(digits) => digits.parse().map_or(Value::Other, Value::Integer),
            Object::Bytes(bytes) => Value::Bytes(bytes),
            _ => Value::Other,
        };
        use_pair(key, value);
    }
    Some(())
}

fn malformed() -> AnnounceError {
    AnnounceError::NotAReply(ReplyError::new("expected a dictionary", 0))
}
