//! What alerts hold, for `serde`: trackers as they are displayed, errors by kind and text.

use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::announce::{InfoHash, PeerAddress, PeerId};
use crate::error::{AnnounceError, AnnouncerEnded, CacheError, FailedAttempt, RoundError};
use crate::tracker::TrackerUrl;

/// The failure of an attempt; nothing if it succeeded.
pub(super) fn error_of<S: Serializer>(
    result: &Result<(), AnnounceError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    result.as_ref().err().serialize(serializer)
}

/// Trackers with their latencies in seconds.
pub(super) fn with_latencies<S: Serializer>(
    trackers: &[(TrackerUrl, Option<Duration>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        trackers.iter().map(|(tracker, latency)| (tracker, latency.map(|latency| latency.as_secs_f64()))),
    )
}

/// Scheme, host and port, as it is displayed.
impl Serialize for TrackerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Forty hexadecimal digits.
impl Serialize for InfoHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Its bytes, those that aren't printable ASCII escaped.
impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.as_bytes().escape_ascii())
    }
}

/// As it is displayed.
impl Serialize for PeerAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Its [`kind`](AnnounceError::kind) and its text.
impl Serialize for AnnounceError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_struct("AnnounceError", 2)?;
        error.serialize_field("kind", self.kind())?;
        error.serialize_field("text", &self.to_string())?;
        error.end()
    }
}

impl Serialize for FailedAttempt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut failed = serializer.serialize_struct("FailedAttempt", 2)?;
        failed.serialize_field("tracker", &self.tracker)?;
        failed.serialize_field("error", &self.error)?;
        failed.end()
    }
}

/// Its text, and each attempt.
impl Serialize for RoundError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_struct("RoundError", 2)?;
        error.serialize_field("text", &self.to_string())?;
        error.serialize_field("attempts", self.attempts())?;
        error.end()
    }
}

/// Its text.
impl Serialize for CacheError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Its text.
impl Serialize for AnnouncerEnded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json, to_value};

    use super::*;
    use crate::alert::{Alert, AnnounceReason, Announced, Deferral};
    use crate::announce::{AnnounceResponse, Event, Peer};
    use crate::error::{Cause, Rejection};

    const SECRET: &str = "5ec2e7";

    fn url() -> TrackerUrl {
        format!("http://user:{SECRET}@t.test:8080/{SECRET}/announce?passkey={SECRET}").parse().unwrap()
    }

    fn shown(alert: &Alert) -> Value {
        let value = to_value(alert).unwrap();
        assert!(!value.to_string().contains(SECRET), "{value}");
        value
    }

    #[test]
    fn an_answer_is_written_without_secrets() {
        let second = Duration::from_secs(1);
        let mut response =
            AnnounceResponse { tracker_id: Some(SECRET.into()), ..AnnounceResponse::default() };
        response.interval = Some(1800 * second);
        response.complete = Some(2);
        let address = PeerAddress::Ip("8.1.1.1:6881".parse().unwrap());
        response.peers = vec![Peer {
            address,
            id: Some(PeerId::new(*b"-XX0001-\0\x01\x02\x03\x04\x05\x06\x07\x08\x09ab")),
        }];
        let quoting = format!("for url (http://t.test/{SECRET}?k={SECRET})");
        let failed = vec![FailedAttempt { tracker: url(), error: AnnounceError::requesting(quoting) }];
        let announced = Announced {
            tracker: url(),
            event: Some(Event::Started),
            reason: AnnounceReason::InUse,
            response,
            took: second / 4,
            attempts: 2,
            failed,
            moved_from: None,
            interval: 1800 * second,
            next_announce: 1795 * second,
        };
        let alert = shown(&Alert::Announced(Arc::new(announced)));
        assert_eq!(alert["alert"], "announced");
        assert_eq!((&alert["tracker"], &alert["event"]), (&json!("http://t.test:8080"), &json!("started")));
        assert_eq!((&alert["took"], &alert["reason"]), (&json!(0.25), &json!("in_use")));
        assert_eq!(alert["failed"][0]["error"]["kind"], "broken");
        assert_eq!(
            (&alert["response"]["interval"], &alert["response"]["complete"]),
            (&json!(1800.0), &json!(2))
        );
        assert_eq!(alert["response"]["peers"][0]["address"], "8.1.1.1:6881");
        assert!(alert["response"]["peers"][0]["id"].as_str().unwrap().starts_with("-XX0001-"));
    }

    #[test]
    fn other_alerts_are_written_by_name_and_fields() {
        let refused = || AnnounceError::Rejected(Rejection::new("no"));
        let rows = [
            (
                Alert::FailoverOrder {
                    trackers: vec![(url(), Some(Duration::from_millis(5))), (url(), None)],
                },
                json!({"alert": "failover_order", "trackers": [["http://t.test:8080", 0.005], ["http://t.test:8080", null]]}),
            ),
            (
                Alert::Stopped { tracker: url(), result: Ok(()) },
                json!({"alert": "stopped", "tracker": "http://t.test:8080", "error": null}),
            ),
            (
                Alert::Stopped { tracker: url(), result: Err(refused()) },
                json!({"alert": "stopped", "tracker": "http://t.test:8080",
                    "error": {"kind": "rejected", "text": "rejected: \"no\""}}),
            ),
            (
                Alert::Deferred { reason: Deferral::AskedToWait, retry_in: Duration::from_secs(30) },
                json!({"alert": "deferred", "reason": "asked_to_wait", "retry_in": 30.0}),
            ),
            (Alert::NetworkDown, json!({"alert": "network_down"})),
            (
                Alert::CacheFailed { reason: CacheError::Unreadable(Cause::new("cut")) },
                json!({"alert": "cache_failed", "reason": "it could not be read: cut"}),
            ),
            (
                Alert::RoundFailed { error: Arc::new(RoundError::NoTrackers), retry_in: None },
                json!({"alert": "round_failed", "error": {"text": "no tracker to announce to", "attempts": []}, "retry_in": null}),
            ),
        ];
        for (alert, expected) in rows {
            assert_eq!(shown(&alert), expected);
        }
    }
}
