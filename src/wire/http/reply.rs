//! Reads the body of an announce's answer (BEP 3, 7, 23, 24, 31) as trackers really write it.

use std::net::IpAddr;
use std::time::Duration;

use super::peers::read_peers;
use crate::announce::AnnounceResponse;
use crate::error::{AnnounceError, Rejection, ReplyError, Retry};
use crate::wire::bencode::{BencodeError, Document, Fields, Rules, Value};
use crate::wire::clean_text;
use crate::wire::compact::PeerList;

/// A dictionary with none of these keys isn't a tracker's reply.
const KEYS_OF_A_REPLY: [&str; 8] = [
    "complete",
    "incomplete",
    "interval",
    "min interval",
    "peers",
    "peers6",
    "tracker id",
    "warning message",
];

const OTHER_KEYS: [&str; 3] = ["downloaded", "external ip", "failure reason"];

/// The keys of a refusal.
pub(super) const KEYS_OF_A_FAILURE: [&str; 4] = ["failure reason", "interval", "min interval", "retry in"];

/// The longest `retry in`, in minutes: a day.
const MAX_RETRY_IN: u64 = 1440;

/// The longest tracker id, in bytes: it is sent back in every query, which has to fit into a request line.
const MAX_TRACKER_ID_LEN: usize = 1024;

/// Reads the body of a 2xx answer to an announce.
///
/// Accepts what trackers are known to send: keys in any order or twice, fields of a wrong type (which count as missing),
/// peers in any form or none, bytes after the reply. Intervals are passed on as the tracker sent them; one that isn't a
/// positive number of 64 bits counts as missing.
///
/// # Errors
/// [`AnnounceError::Rejected`] if there is a `failure reason`, even an empty one, whatever else is there;
/// [`AnnounceError::NotAReply`] if the body isn't a well-formed dictionary, or has none of the keys of a reply.
pub fn read_announce(body: &[u8]) -> Result<AnnounceResponse, AnnounceError> {
    let document = read_document(body)?;
    let names: Vec<&str> =
        KEYS_OF_A_REPLY.iter().chain(&OTHER_KEYS).chain(&KEYS_OF_A_FAILURE).copied().collect();
    let fields = document.fields(&names).map_err(not_a_reply)?;
    if let Some(rejection) = rejection(&fields) {
        return Err(AnnounceError::Rejected(rejection));
    }
    if KEYS_OF_A_REPLY.iter().all(|key| fields.get(key).is_none()) {
        let expected = "expected a key of a reply, such as interval or peers";
        return Err(AnnounceError::NotAReply(ReplyError::new(expected, 0)));
    }
    let mut list = PeerList::new();
    if let Some(peers) = fields.get("peers") {
        read_peers(peers, PeerList::add_v4, &mut list);
    }
    if let Some(peers) = fields.get("peers6") {
        read_peers(peers, PeerList::add_v6, &mut list);
    }
    let (peers, dropped_peers) = list.into_parts();
    Ok(AnnounceResponse {
        interval: seconds(&fields, "interval"),
        min_interval: seconds(&fields, "min interval"),
        peers,
        complete: fields.number("complete"),
        incomplete: fields.number("incomplete"),
        downloaded: fields.number("downloaded"),
        tracker_id: fields
            .bytes("tracker id")
            .filter(|id| (1..=MAX_TRACKER_ID_LEN).contains(&id.len()))
            .map(<[u8]>::to_vec),
        warning: fields.bytes("warning message").map(clean_text),
        external_ip: fields.bytes("external ip").and_then(external_ip),
        dropped_peers,
        trailing_bytes: body.len().saturating_sub(document.consumed()),
        tracker_address: None,
    })
}

/// The tracker's refusal in the body of an answer that isn't 2xx, if there is one: trackers and their proxies send it with
/// 4xx and 5xx too.
pub fn failure_in(body: &[u8]) -> Option<Rejection> {
    let document = Document::read(body, Rules::REPLY).ok()?;
    rejection(&document.fields(&KEYS_OF_A_FAILURE).ok()?)
}

/// The first value of a body, or an error with what was expected and where.
pub(super) fn read_document(body: &[u8]) -> Result<Document<'_>, AnnounceError> {
    Document::read(body, Rules::REPLY).map_err(|error| match body {
        [b'<', ..] => {
            AnnounceError::NotAReply(ReplyError::new("expected a dictionary, found markup such as HTML", 0))
        }
        [0x1f, 0x8b, ..] => {
            AnnounceError::NotAReply(ReplyError::new("expected a dictionary, found compressed data", 0))
        }
        _ => not_a_reply(error),
    })
}

pub(super) fn not_a_reply(error: BencodeError) -> AnnounceError {
    AnnounceError::NotAReply(ReplyError::new(error.expected, error.offset))
}

/// A `failure reason` of any type is a refusal (BEP 3).
pub(super) fn rejection(fields: &Fields<'_>) -> Option<Rejection> {
    let reason = match fields.get("failure reason")? {
        Value::Bytes(text) => clean_text(text),
        Value::Integer(digits) => clean_text(digits.as_bytes()),
        Value::List(_) | Value::Dict(_) => String::new(),
    };
    let retry = fields.get("retry in").map_or(Retry::Unsaid, retry_in);
    let interval = seconds(fields, "interval").max(seconds(fields, "min interval"));
    Some(Rejection { reason, retry, interval })
}

/// BEP 31: minutes as a number or as text, or "never".
fn retry_in(value: Value<'_>) -> Retry {
    if let Value::Bytes(text) = value
        && text.trim_ascii().eq_ignore_ascii_case(b"never")
    {
        return Retry::Never;
    }
    match value.digits().map(|digits| digits.parse().unwrap_or(u64::MAX)) {
        None | Some(0) => Retry::Unsaid,
        Some(minutes) => Retry::After(Duration::from_secs(60 * minutes.min(MAX_RETRY_IN))),
    }
}

fn seconds(fields: &Fields<'_>, name: &str) -> Option<Duration> {
    fields.number(name).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// BEP 24: 4 or 16 bytes; some trackers send an IPv4 address in the long form.
fn external_ip(bytes: &[u8]) -> Option<IpAddr> {
    match *bytes {
        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_canonical()),
    }
}

#[cfg(test)]
mod tests;
