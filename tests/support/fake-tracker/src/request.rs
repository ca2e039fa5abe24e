//! Reads what a client asked over HTTP: tolerant, since a test wants to see what came, but bounded.

use std::net::SocketAddr;

use tokio::time::Instant;

use crate::log::now;

/// How long a request head may be; a longer one is answered with status 431.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;

/// A request as a tracker heard it.
///
/// Nothing is interpreted that a test may want to judge: values keep the bytes they were percent-decoded to,
/// parameters and headers keep their order and repetitions, and [`raw`](Self::raw) is the head as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The place among everything that all fake trackers of this process heard; it only grows, so it tells the
    /// order of requests to different trackers.
    pub sequence: u64,
    /// When it was heard, on tokio's clock: exact where that clock is paused.
    pub at: Instant,
    /// The address of the tracker that heard it.
    pub tracker: SocketAddr,
    /// Whence it came.
    pub from: SocketAddr,
    /// The connection it came on: the tracker's first is 1. Equal numbers mean a kept connection.
    pub connection: usize,
    /// The method, such as `GET`; empty where the first line could not be read.
    pub method: String,
    /// The path, as it was written.
    pub path: String,
    /// The query without its question mark, as it was written; `None` where there was no question mark.
    pub query: Option<String>,
    /// The names and values of the query, percent-decoded. A plus sign stays one, since trackers differ on it;
    /// a broken escape stays as it was written; a name without `=` has an empty value.
    pub parameters: Vec<(String, Vec<u8>)>,
    /// The minor version of HTTP/1: 1, or 0.
    pub minor_version: u8,
    /// The headers, as they were written, without blanks around values.
    pub headers: Vec<(String, String)>,
    /// The whole head, up to and with its empty line.
    pub raw: Vec<u8>,
}

/// What kind of thing a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// An announce: a `GET` with an `info_hash`, and not of a scrape address.
    Announce,
    /// A scrape: a `GET` of a path whose last segment begins with `scrape` (BEP 48).
    Scrape,
    /// A `HEAD`, as sent by a client that measures latency.
    Head,
    /// Anything else, such as a `GET` without parameters.
    Other,
}

impl Heard {
    /// What kind of request it is.
    pub fn asked(&self) -> Asked {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        match self.method.as_str() {
            "HEAD" => Asked::Head,
            "GET" if last.starts_with("scrape") => Asked::Scrape,
            "GET" if self.parameter("info_hash").is_some() => Asked::Announce,
            _ => Asked::Other,
        }
    }

    /// The first value of this name.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.all(name).first().copied()
    }

    /// All values of this name, in order: a scrape may have several `info_hash`.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let named = self.parameters.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.as_slice()).collect()
    }

    /// The first value of this name as a text, where it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.parameter(name)?).ok()
    }

    /// The first value of this name as a number, where it is one.
    pub fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        text.parse().ok().filter(|_| text.starts_with(|first: char| first.is_ascii_digit()))
    }

    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The torrent, where it is named by 20 bytes as it must be.
    pub fn info_hash(&self) -> Option<[u8; 20]> {
        self.parameter("info_hash")?.try_into().ok()
    }

    /// The client, where it is named by 20 bytes as it must be.
    pub fn peer_id(&self) -> Option<[u8; 20]> {
        self.parameter("peer_id")?.try_into().ok()
    }

    /// The `port` on which the client listens.
    pub fn port(&self) -> Option<u16> {
        self.number("port").and_then(|port| port.try_into().ok())
    }

    /// `uploaded`, in bytes.
    pub fn uploaded(&self) -> Option<u64> {
        self.number("uploaded")
    }

    /// `downloaded`, in bytes.
    pub fn downloaded(&self) -> Option<u64> {
        self.number("downloaded")
    }

    /// `left`, in bytes; `None` also if it isn't a number of 64 bits.
    pub fn left(&self) -> Option<u64> {
        self.number("left")
    }

    /// The event, `None` where there is none. An empty one is `Some("")`: BEP 3 calls that the same, but a test
    /// may want to know.
    pub fn event(&self) -> Option<&str> {
        self.text("event")
    }

    /// How many peers are wanted.
    pub fn num_want(&self) -> Option<u64> {
        self.number("numwant")
    }

    /// The client's `key`.
    pub fn key(&self) -> Option<&[u8]> {
        self.parameter("key")
    }

    /// The `trackerid` echoed to us.
    pub fn tracker_id(&self) -> Option<&[u8]> {
        self.parameter("trackerid")
    }

    /// Whether the compact form was asked for (BEP 23); `None` if the client leaves it out.
    pub fn compact(&self) -> Option<bool> {
        self.parameter("compact").map(|value| value == b"1")
    }

    /// Whether the client lets the connection be used again.
    pub(crate) fn keeps_alive(&self) -> bool {
        let has = |token| {
            self.header("connection")
                .is_some_and(|tokens| tokens.split(',').any(|other| other.trim().eq_ignore_ascii_case(token)))
        };
        if self.minor_version == 0 { has("keep-alive") } else { !has("close") }
    }
}

/// The length of the request head at the start of these bytes, with its empty line; `None` while it isn't all
/// there.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    let line_ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    line_ends.into_iter().find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Where a request came from, which isn't in its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) tracker: SocketAddr,
    pub(crate) from: SocketAddr,
    pub(crate) connection: usize,
}

/// Reads a request head. What can't be read is left empty, so that it can be shown all the same.
pub(crate) fn read(head: &[u8], origin: Origin, sequence: u64) -> Heard {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let (method, target, minor_version) = read_first_line(lines.next().unwrap_or_default());
    // A client that talks to a proxy, or follows a redirect carelessly, writes the whole address.
    let target =
        target.split_once("://").map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let headers = lines.filter_map(|line| line.split_once(':'));
    Heard {
        sequence,
        at: now(),
        tracker: origin.tracker,
        from: origin.from,
        connection: origin.connection,
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        parameters: query.map(read_query).unwrap_or_default(),
        minor_version,
        headers: headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect(),
        raw: head.to_vec(),
    }
}

/// Method, target and minor version; empty texts where it isn't a request line of HTTP/1.
fn read_first_line(line: &str) -> (&str, &str, u8) {
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some("HTTP/1.1"), None) => (method, target, 1),
        (Some(method), Some(target), Some("HTTP/1.0"), None) => (method, target, 0),
        _ => ("", "", 1),
    }
}

fn read_query(query: &str) -> Vec<(String, Vec<u8>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (String::from_utf8_lossy(&percent_decode(name)).into_owned(), percent_decode(value))
        })
        .collect()
}

/// The bytes a text with percent escapes stands for; a broken escape stands for itself.
pub fn percent_decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, after @ ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = escaped.map_or((*first, after), |((high, low), after)| (high << 4 | low, after));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

/// These bytes as a query value: everything escaped that is not an unreserved character of RFC 3986.
pub fn percent_encode(bytes: &[u8]) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape =
        |byte: u8| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    bytes.iter().map(|byte| escape(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(head: &str) -> Heard {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        read(head.as_bytes(), Origin { tracker: nowhere, from: nowhere, connection: 1 }, 7)
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        for (bytes, length) in [
            ("", None),
            ("GET / HTTP/1.1\r\n", None),
            ("GET / HTTP/1.1\r\n\r", None),
            ("GET / HTTP/1.1\r\n\r\n", Some(18)),
            ("GET / HTTP/1.1\n\n", Some(16)),
            ("GET / HTTP/1.1\r\nA: b\r\n\r\nrest", Some(24)),
        ] {
            assert_eq!(head_length(bytes.as_bytes()), length, "{bytes:?}");
        }
    }

    #[test]
    fn escapes_become_bytes_and_broken_ones_stay() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("%00%fF~", b"\x00\xff~"),
            ("a+b", b"a+b"),
            ("%", b"%"),
            ("%4", b"%4"),
            ("%zz%41", b"%zzA"),
        ] {
            assert_eq!(percent_decode(text), bytes, "{text}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(percent_decode(&percent_encode(&all)), all);
        assert_eq!(percent_encode(b"aZ0-._~ &\x01"), "aZ0-._~%20%26%01");
    }

    #[test]
    fn an_announce_is_read() {
        let request = heard(
            "GET /key/announce?info_hash=%01aaaaaaaaaaaaaaaaaaa&peer_id=-XX0001-abcdefghijkl&port=6881&uploaded=1\
             &downloaded=2&left=3&event=started&numwant=0&key=ab&compact=1&trackerid=t%20&flag HTTP/1.1\r\n\
             Host: localhost:80\r\nX-Thing:   spaced  \r\n\r\n",
        );
        assert_eq!(request.asked(), Asked::Announce);
        assert_eq!((request.path.as_str(), request.sequence), ("/key/announce", 7));
        assert_eq!(request.info_hash(), Some(*b"\x01aaaaaaaaaaaaaaaaaaa"));
        assert_eq!(request.peer_id(), Some(*b"-XX0001-abcdefghijkl"));
        assert_eq!(
            (request.port(), request.uploaded(), request.downloaded(), request.left(), request.num_want()),
            (Some(6881), Some(1), Some(2), Some(3), Some(0))
        );
        assert_eq!((request.event(), request.compact()), (Some("started"), Some(true)));
        assert_eq!((request.key(), request.tracker_id()), (Some(&b"ab"[..]), Some(&b"t "[..])));
        assert_eq!(request.parameter("flag"), Some(&b""[..]));
        assert_eq!(
            (request.header("HOST"), request.header("x-thing")),
            (Some("localhost:80"), Some("spaced"))
        );
        assert!(request.keeps_alive());
    }

    #[test]
    fn the_kind_of_a_request_shows_in_method_path_and_hash() {
        for (line, asked) in [
            ("GET /announce?info_hash=a HTTP/1.1", Asked::Announce),
            ("GET /announce HTTP/1.1", Asked::Other),
            ("GET /x/scrape.php?info_hash=a HTTP/1.1", Asked::Scrape),
            ("GET http://127.0.0.1:1/scrape HTTP/1.1", Asked::Scrape),
            ("HEAD /announce?info_hash=a HTTP/1.1", Asked::Head),
            ("POST /announce?info_hash=a HTTP/1.1", Asked::Other),
            ("nonsense", Asked::Other),
            ("GET /announce?info_hash=a HTTP/2.0", Asked::Other),
        ] {
            assert_eq!(heard(&format!("{line}\r\n\r\n")).asked(), asked, "{line}");
        }
        assert_eq!(heard("nonsense\r\n\r\n").method, "");
    }

    #[test]
    fn numbers_must_be_numbers() {
        for (value, number) in
            [("0", Some(0)), ("18446744073709551615", Some(u64::MAX)), ("+1", None), ("-1", None), ("", None)]
        {
            assert_eq!(heard(&format!("GET /?left={value} HTTP/1.1\r\n\r\n")).left(), number, "{value}");
        }
    }

    #[test]
    fn keeping_the_connection_depends_on_version_and_header() {
        for (version, header, keeps) in [
            ("1.1", "", true),
            ("1.1", "Connection: Close\r\n", false),
            ("1.1", "connection: te, close\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: keep-alive\r\n", true),
        ] {
            let request = heard(&format!("GET / HTTP/{version}\r\n{header}\r\n"));
            assert_eq!(request.keeps_alive(), keeps, "{version} {header}");
        }
    }
}
