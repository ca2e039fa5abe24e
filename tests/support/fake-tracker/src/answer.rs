//! What answers are made of: good ones, failures, and everything else that HTTP can carry.

use std::net::SocketAddr;
use std::time::Duration;

use crate::bencode::Dictionary;

/// A good answer to an announce. By default: an interval of 1800 s, the peers of the swarm, in the compact form
/// (BEP 23), over a connection that stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The regular interval, in whole seconds on the wire.
    pub interval: Duration,
    /// The minimal interval; `None` sends none.
    pub min_interval: Option<Duration>,
    /// Which peers are named.
    pub peers: Peers,
    /// In which form.
    pub form: PeerForm,
    /// The `tracker id`; `None` sends none.
    pub tracker_id: Option<Vec<u8>>,
    /// A `warning message`; `None` sends none.
    pub warning: Option<String>,
    /// Whether the answer holds the client's own address (`external ip`, BEP 24).
    pub external_ip: bool,
    /// How the answer is laid into HTTP.
    pub framing: Framing,
}

/// Which peers an answer names. Never the asking one, and no more than it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Peers {
    /// Those that this tracker knows.
    #[default]
    Swarm,
    /// These.
    Fixed(Vec<SocketAddr>),
}

/// In which form peers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PeerForm {
    /// Strings of 6 bytes in `peers` (BEP 23) and 18 bytes in `peers6` (BEP 7).
    #[default]
    Compact,
    /// Dictionaries in `peers`, with the ids of the peers where they are known (BEP 3).
    Dictionaries,
}

/// How an answer is laid into HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// HTTP/1.1 with a length; the connection stays.
    #[default]
    KeepAlive,
    /// HTTP/1.1 with a length and `Connection: close`; the connection ends.
    Close,
    /// HTTP/1.1 with a length and no word about closing; the connection ends all the same.
    BrokenPromise,
    /// HTTP/1.0 without a length: the body ends with the connection.
    Http10,
    /// HTTP/1.1 in chunks; the connection stays.
    Chunked,
}

/// A failure reason, with what may come beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// The text.
    pub reason: Vec<u8>,
    /// When to ask again (BEP 31); `None` leaves it out.
    pub retry_in: Option<RetryIn>,
    /// The regular interval, which some trackers send along; `None` sends none.
    pub interval: Option<Duration>,
    /// The minimal interval; `None` sends none.
    pub min_interval: Option<Duration>,
}

/// The `retry in` of BEP 31.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryIn {
    /// After so many minutes, as an integer.
    Minutes(u64),
    /// Never, as the text `never`.
    Never,
    /// Another text; some trackers write the minutes as one.
    Text(String),
}

/// Any answer of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The reason phrase of the status line.
    pub phrase: String,
    /// Headers beside the length and the connection, which the framing decides.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How it is laid into HTTP.
    pub framing: Framing,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1800),
            min_interval: None,
            peers: Peers::default(),
            form: PeerForm::default(),
            tracker_id: None,
            warning: None,
            external_ip: false,
            framing: Framing::default(),
        }
    }
}

impl Failure {
    /// The reply as bencode, for an [`Answer`] that has a status other than 200 as well.
    pub fn encode(&self) -> Vec<u8> {
        let mut reply = Dictionary::new();
        reply.string("failure reason", &self.reason);
        match &self.retry_in {
            None => (),
            Some(RetryIn::Minutes(minutes)) => reply.integer("retry in", *minutes),
            Some(RetryIn::Never) => reply.string("retry in", "never"),
            Some(RetryIn::Text(text)) => reply.string("retry in", text),
        }
        for (key, interval) in [("interval", self.interval), ("min interval", self.min_interval)] {
            if let Some(interval) = interval {
                reply.integer(key, interval.as_secs());
            }
        }
        reply.encode()
    }
}

impl Answer {
    /// An answer with this status, its usual phrase, and nothing in it.
    pub fn new(status: u16) -> Self {
        let phrase = match status {
            200 => "OK",
            301 => "Moved Permanently",
            302 => "Found",
            307 => "Temporary Redirect",
            308 => "Permanent Redirect",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            410 => "Gone",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            _ => "Whatever",
        };
        let phrase = phrase.to_owned();
        Self { status, phrase, headers: Vec::new(), body: Vec::new(), framing: Framing::default() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets how it is laid into HTTP.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_failure_is_written_with_all_that_belongs_to_it() {
        let failure = |retry_in| Failure {
            reason: b"no".to_vec(),
            retry_in,
            interval: Some(SECOND * 9),
            min_interval: Some(SECOND),
        };
        let whole = |retry: &str| format!("d14:failure reason2:no8:intervali9e12:min intervali1e{retry}e");
        for (retry_in, written) in [
            (None, ""),
            (Some(RetryIn::Minutes(5)), "8:retry ini5e"),
            (Some(RetryIn::Never), "8:retry in5:never"),
            (Some(RetryIn::Text("7".to_owned())), "8:retry in1:7"),
        ] {
            assert_eq!(failure(retry_in).encode(), whole(written).into_bytes(), "{written}");
        }
    }
}
