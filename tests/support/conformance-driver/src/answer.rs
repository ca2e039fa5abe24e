//! What the crate returns, as the cases read it: replies, errors with their kinds, attempts.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tracker_failover::Config;
use tracker_failover::{
    AnnounceError, AnnounceResponse, Announced, FailedAttempt, Peer, PeerAddress, RedirectError, Retry,
    RoundError, ScrapeResponse, TrackerUrl,
};

/// Why an operation has no `ok`.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The crate doesn't do that.
    Unsupported,
    /// The `err` of the answer.
    Error(Value),
}

impl Failure {
    pub(crate) fn new(kind: &str, reason: &str) -> Self {
        Self::Error(json!({ "kind": kind, "reason": reason, "retry": null, "attempts": [] }))
    }

    /// One tracker's error.
    pub(crate) fn of(error: &AnnounceError, config: &Config) -> Self {
        Self::Error(json!({ "kind": kind(error), "reason": reason(error), "retry": retry(error, config) }))
    }

    /// The error of a whole round: the tracker's own where exactly one was asked.
    pub(crate) fn of_round(error: &RoundError, config: &Config) -> Self {
        let asked: Vec<&AnnounceError> = error
            .attempts()
            .iter()
            .map(|attempt| &attempt.error)
            .filter(|error| !matches!(error, AnnounceError::Suspended))
            .collect();
        let attempts: Vec<Value> = error.attempts().iter().map(attempt).collect();
        Self::Error(match asked[..] {
            [only] => json!({
                "kind": kind(only), "reason": reason(only), "retry": retry(only, config), "attempts": attempts,
            }),
            _ => json!({
                "kind": if attempts.is_empty() { "no_trackers" } else { "all_failed" },
                "reason": error.to_string(), "retry": null, "attempts": attempts,
            }),
        })
    }
}

/// A tracker's answer on its own.
pub(crate) fn reply(response: &AnnounceResponse, config: &Config) -> Value {
    let mut fields = Map::new();
    fields.insert("interval_s".into(), config.interval_after(response).as_secs().into());
    fields.insert("min_interval_s".into(), json!(response.min_interval.map(|interval| interval.as_secs())));
    fields.insert("peers".into(), response.peers.iter().map(peer).collect());
    fields.insert("complete".into(), json!(response.complete));
    fields.insert("incomplete".into(), json!(response.incomplete));
    fields.insert("downloaded".into(), json!(response.downloaded));
    fields.insert("tracker_id_hex".into(), json!(response.tracker_id.as_deref().map(hex::encode)));
    fields.insert("warning".into(), json!(response.warning));
    fields.insert("external_ip".into(), json!(response.external_ip.map(|ip| ip.to_string())));
    fields.insert("dropped_peers".into(), response.dropped_peers.into());
    Value::Object(fields)
}

/// The answer to an announce with failover.
pub(crate) fn announced(announced: &Announced, private: bool, config: &Config) -> Value {
    let mut reply = reply(&announced.response, config);
    let mut attempts: Vec<Value> = announced.failed.iter().map(attempt).collect();
    attempts.push(ok_attempt(&announced.tracker));
    reply["interval_s"] = announced.interval.as_secs().into();
    reply["tracker"] = announced.tracker.as_str().into();
    reply["attempts"] = attempts.into();
    reply["next_announce_s"] = json!(whole_seconds(announced.next_announce));
    // BEP 27 asks it of private torrents only.
    reply["drop_existing_peers"] = (private && announced.moved_from.is_some()).into();
    reply
}

/// Rounded up: a client shouldn't come back a moment too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

pub(crate) fn scraped(response: &ScrapeResponse, asked: &[tracker_failover::InfoHash]) -> Value {
    let mut files = Map::new();
    for hash in asked {
        let counts = response.files.get(hash).map(|counts| {
            json!({
                "complete": counts.complete, "incomplete": counts.incomplete, "downloaded": counts.downloaded,
            })
        });
        files.insert(hash.to_string(), json!(counts));
    }
    let min_interval = response.min_request_interval.map(|interval| interval.as_secs());
    json!({ "files": files, "min_request_interval_s": min_interval })
}

pub(crate) fn ok_attempt(tracker: &TrackerUrl) -> Value {
    json!({ "tracker": tracker.as_str(), "result": "ok", "reason": null })
}

pub(crate) fn failed_attempt(tracker: &TrackerUrl, error: &AnnounceError) -> Value {
    json!({ "tracker": tracker.as_str(), "result": kind(error), "reason": reason(error) })
}

fn attempt(failed: &FailedAttempt) -> Value {
    failed_attempt(&failed.tracker, &failed.error)
}

fn peer(peer: &Peer) -> Value {
    let id = peer.id.map(|id| hex::encode(id.as_bytes()));
    match &peer.address {
        PeerAddress::Ip(address) => json!({ "addr": address.to_string(), "id_hex": id }),
        _ => json!({ "host": peer.address.to_string(), "id_hex": id }),
    }
}

fn kind(error: &AnnounceError) -> &'static str {
    match error {
        AnnounceError::Resolve(_) => "dns",
        AnnounceError::Connect(_) | AnnounceError::Local(_) | AnnounceError::Broken(_) => "io",
        AnnounceError::Tls(_) => "tls",
        AnnounceError::TimedOut(_) => "timeout",
        AnnounceError::Status { .. } => "http_status",
        AnnounceError::NotAReply(_) => "malformed",
        AnnounceError::Rejected(_) => "failure",
        AnnounceError::Redirect(RedirectError::PrivateTarget) | AnnounceError::Blocked => "blocked",
        AnnounceError::Redirect(_) => "redirect",
        AnnounceError::TooLarge { .. } => "too_large",
        AnnounceError::Unsupported | AnnounceError::NotScraped | AnnounceError::NotMeasured => {
            "unsupported_scheme"
        }
        AnnounceError::Suspended => "suspended",
        AnnounceError::Cancelled => "cancelled",
        _ => "other",
    }
}

fn reason(error: &AnnounceError) -> String {
    match error {
        AnnounceError::Rejected(rejection) => rejection.reason.clone(),
        _ => error.to_string(),
    }
}

fn retry(error: &AnnounceError, config: &Config) -> Value {
    match config.retry_after(error) {
        Retry::After(wait) => json!({ "after_s": wait.as_secs() }),
        Retry::Never => "never".into(),
        _ => Value::Null,
    }
}
