//! The errors of announces, sorted by what the policy does about them.
//!
//! No message holds the path or query of a tracker's address, because they hold passkeys. A message names all its causes, so
//! no error here has a [`source`](std::error::Error::source): each cause is shown once. Printers of chains repeat nothing. The errors
//! of libraries are reached through [`AnnounceError::cause`].

mod cache;
mod round;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use self::cache::CacheError;
pub use self::round::{AnnouncerEnded, FailedAttempt, RoundError};
use crate::text::{MAX_TEXT_LEN, fit, without_secrets};

/// Why an attempt at a tracker failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// The tracker's host name has no address, or the look-up failed.
    #[error("its name could not be resolved: {0}")]
    Resolve(Cause),
    /// No connection: refused, reset or unreachable. The next tracker is tried at once.
    #[error("could not connect: {0}")]
    Connect(Cause),
    /// No connection for a reason on this machine: no route, no permission, no descriptors or memory left, or a bound of
    /// this crate. Doesn't count against the tracker.
    #[error("this machine could not connect: {0}")]
    Local(Cause),
    /// The TLS handshake failed, or the certificate isn't valid. Never a reason to fall back to plain HTTP.
    #[error("TLS failed: {0}")]
    Tls(Cause),
    /// HTTPS can't be spoken in this program, so nothing was sent. Doesn't count against the tracker's host.
    #[error("HTTPS needs {0}")]
    TlsMissing(TlsMissing),
    /// A time limit was reached.
    #[error("timed out {0}")]
    TimedOut(TimeoutPhase),
    /// The connection was closed or lost before the answer was complete.
    #[error("the connection broke: {0}")]
    Broken(Cause),
    /// The HTTP status isn't 2xx, and the body holds no `failure reason`.
    #[error("HTTP status {status}")]
    Status {
        /// The status code.
        status: u16,
        /// When the tracker may be announced to again: `Retry-After`, or never after 410.
        retry: Retry,
    },
    /// The answer isn't a tracker's reply: an HTML page, for example, or damaged bencode.
    #[error("not a tracker's reply: {0}")]
    NotAReply(ReplyError),
    /// The tracker refused the announce (BEP 3, `failure reason`).
    #[error("rejected: {0}")]
    Rejected(Rejection),
    /// Too many redirects, or one to a forbidden target.
    #[error("redirected {0}")]
    Redirect(RedirectError),
    /// The answer is larger than the limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The [`AddressPolicy`](crate::AddressPolicy) forbids the tracker's address.
    #[error("its address is not allowed here")]
    Blocked,
    /// The tracker's host says in its DNS that no tracker runs there which could be used in its place (BEP 34). Nothing was
    /// sent.
    #[error("its host says that no tracker runs there")]
    Denied,
    /// No transport supports the scheme of the tracker's address.
    #[error("no transport supports its scheme")]
    Unsupported,
    /// The tracker speaks UDP, and the proxy carries none. Such a tracker is never reached past the proxy.
    #[error("the proxy carries no UDP")]
    ProxyWithoutUdp,
    /// The tracker has no scrape address (BEP 48), or its transport doesn't scrape.
    #[error("it can't be scraped")]
    NotScraped,
    /// No prober measures trackers of its scheme. That is no failure of the tracker's.
    #[error("it isn't measured")]
    NotMeasured,
    /// Nothing was sent, because the tracker asked us to wait, or not to come back in this session.
    #[error("the tracker asked us to wait")]
    Suspended,
    /// The attempt was cancelled by this side.
    #[error("cancelled")]
    Cancelled,
}

/// The part of an attempt in which a time limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutPhase {
    /// Looking the name up and opening the connection.
    Open,
    /// Waiting for the answer and reading it.
    Reply,
    /// Measuring the tracker.
    Probe,
}

/// What a program lacks for HTTPS trackers. The texts say how to add it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TlsMissing {
    /// No feature brings a provider of cryptography, none was given, and the process has no default.
    #[error(
        "a provider of cryptography: give one to TlsConfig, install one as rustls's default, or turn on the feature \
         tls-ring or tls-aws-lc-rs"
    )]
    Provider,
    /// No feature brings root certificates, none could be read from the system, and none were added.
    #[error(
        "root certificates: add some to TlsConfig, or turn on the feature webpki-roots or tls-native-roots"
    )]
    Roots,
}

/// Why a redirect was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// More redirects than this limit.
    #[error("more than {0} times")]
    TooMany(usize),
    /// From https to http, which would show the passkey to everyone on the network path.
    #[error("from https to http")]
    Downgrade,
    /// From a public host to a loopback, link-local or private address.
    #[error("from a public host to a private address")]
    PrivateTarget,
    /// No `Location`, or one that isn't an http or https address.
    #[error("to no usable address")]
    NoTarget,
}

/// A tracker's refusal (BEP 3, `failure reason`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The tracker's `failure reason`, control and invisible characters replaced, at most 1024 characters.
    pub reason: String,
    /// When the tracker may be announced to again (BEP 31, `retry in`).
    pub retry: Retry,
    /// The interval sent with the reason: some trackers send it in place of `retry in`.
    pub interval: Option<Duration>,
}

/// When a tracker that refused may be announced to again. Binds the tracker that sent it, and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// The tracker didn't specify it: the usual back-off applies.
    #[default]
    Unsaid,
    /// After this time, at the earliest.
    After(Duration),
    /// Never again in this session (BEP 31 "never", HTTP 410).
    Never,
}

/// Why bytes aren't a tracker's reply: what was expected, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected} at byte {offset}")]
pub struct ReplyError {
    pub(crate) expected: String,
    pub(crate) offset: usize,
}

/// An error of a library, kept as the cause of ours.
///
/// Its text is the library's with those of all errors below it, each once, made fit for a terminal. Addresses in it are cut
/// to scheme, host and port: libraries quote what they requested, and paths and queries hold passkeys.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl AnnounceError {
    /// When the tracker may be announced to again, if it specified that.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Rejected(rejection) => rejection.retry,
            Self::Status { retry, .. } => *retry,
            _ => Retry::Unsaid,
        }
    }

    /// A word for its variant, which stays the same from version to version: for metrics, and to look for in a log.
    ///
    /// | Word | Variant | Word | Variant |
    /// |---|---|---|---|
    /// | `resolve` | [`Resolve`](Self::Resolve) | `redirect` | [`Redirect`](Self::Redirect) |
    /// | `connect` | [`Connect`](Self::Connect) | `too_large` | [`TooLarge`](Self::TooLarge) |
    /// | `local` | [`Local`](Self::Local) | `blocked` | [`Blocked`](Self::Blocked) |
    /// | `tls` | [`Tls`](Self::Tls) | `unsupported` | [`Unsupported`](Self::Unsupported) |
    /// | `tls_missing` | [`TlsMissing`](Self::TlsMissing) | `not_scraped` | [`NotScraped`](Self::NotScraped) |
    /// | `timed_out` | [`TimedOut`](Self::TimedOut) | `not_measured` | [`NotMeasured`](Self::NotMeasured) |
    /// | `broken` | [`Broken`](Self::Broken) | `suspended` | [`Suspended`](Self::Suspended) |
    /// | `status` | [`Status`](Self::Status) | `cancelled` | [`Cancelled`](Self::Cancelled) |
    /// | `not_a_reply` | [`NotAReply`](Self::NotAReply) | `rejected` | [`Rejected`](Self::Rejected) |
    /// | `denied` | [`Denied`](Self::Denied) | `proxy_without_udp` | [`ProxyWithoutUdp`](Self::ProxyWithoutUdp) |
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::Connect(_) => "connect",
            Self::Local(_) => "local",
            Self::Tls(_) => "tls",
            Self::TlsMissing(_) => "tls_missing",
            Self::TimedOut(_) => "timed_out",
            Self::Broken(_) => "broken",
            Self::Status { .. } => "status",
            Self::NotAReply(_) => "not_a_reply",
            Self::Rejected(_) => "rejected",
            Self::Redirect(_) => "redirect",
            Self::TooLarge { .. } => "too_large",
            Self::Blocked => "blocked",
            Self::Unsupported => "unsupported",
            Self::NotScraped => "not_scraped",
            Self::NotMeasured => "not_measured",
            Self::Suspended => "suspended",
            Self::Denied => "denied",
            Self::ProxyWithoutUdp => "proxy_without_udp",
            Self::Cancelled => "cancelled",
        }
    }

    /// The error of a library that it was caused by, if it was.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Resolve(cause)
            | Self::Connect(cause)
            | Self::Local(cause)
            | Self::Tls(cause)
            | Self::Broken(cause) => Some(cause),
            _ => None,
        }
    }

    /// The memory it takes beyond its own size, in bytes, without what is shared.
    #[cfg(feature = "tokio")]
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Rejected(rejection) => rejection.reason.capacity(),
            Self::NotAReply(error) => error.expected.capacity(),
            _ => 0,
        }
    }
}

impl AnnounceError {
    /// An error of connecting: [`Local`](Self::Local) if an error in the chain of [`source`](Error::source) is about this
    /// machine, else [`Connect`](Self::Connect).
    pub fn connecting(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = Cause::new(error);
        if cause.is_local() { Self::Local(cause) } else { Self::Connect(cause) }
    }

    /// An error of a name look-up: [`Local`](Self::Local) as in [`connecting`](Self::connecting), else
    /// [`Resolve`](Self::Resolve).
    pub fn resolving(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = Cause::new(error);
        if cause.is_local() { Self::Local(cause) } else { Self::Resolve(cause) }
    }

    /// An error of a client that makes a whole request, from the name look-up to the end of the answer:
    /// [`Connect`](Self::Connect) if an error in the chain of [`source`](Error::source) says that the connection was refused,
    /// [`TimedOut`](Self::TimedOut) if one says that time ran out, else [`Broken`](Self::Broken), as the tracker may have
    /// received the announce. Where the client itself tells that it couldn't connect, [`connecting`](Self::connecting) is the
    /// better call: the next tracker is tried at once then.
    ///
    /// Clients quote the address in their errors, and with it the passkey. The texts of our errors hold none (see [`Cause`]),
    /// but [`Cause::get_ref`] gives the client's error as it is. One that can be had without the address, as by
    /// `reqwest::Error::without_url`, should be passed so.
    ///
    /// ```
    /// use std::io;
    /// use tracker_failover::AnnounceError;
    ///
    /// let error = io::Error::other("error for url (http://t.example:8080/announce?passkey=abc)");
    /// let error = AnnounceError::requesting(error);
    /// assert_eq!(error.to_string(), "the connection broke: error for url (http://t.example:8080/\u{2026})");
    /// ```
    pub fn requesting(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = Cause::new(error);
        let has = |kind| cause.io_errors().any(|error| error.kind() == kind);
        if has(io::ErrorKind::ConnectionRefused) {
            Self::Connect(cause)
        } else if has(io::ErrorKind::TimedOut) {
            Self::TimedOut(TimeoutPhase::Reply)
        } else {
            Self::Broken(cause)
        }
    }
}

impl Rejection {
    /// A refusal with this reason, made fit for a terminal, without a time at which to come back.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: fit(&reason.into()), retry: Retry::Unsaid, interval: None }
    }
}

impl ReplyError {
    /// An error with what was expected, and at which byte of the reply, counted from 0.
    pub fn new(expected: impl Into<String>, offset: usize) -> Self {
        Self { expected: expected.into(), offset }
    }
}

impl Cause {
    /// Wraps an error. Its text is shown in ours.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The wrapped error, which can be downcast to its type.
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    /// Whether this machine is the cause: an [`io::Error`] in the chain reports a missing route, permission or resource of
    /// this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.io_errors().any(is_local)
    }

    fn io_errors(&self) -> impl Iterator<Item = &io::Error> {
        self.chain().filter_map(|error| error.downcast_ref::<io::Error>())
    }

    /// The wrapped error, and those below it.
    fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = &*self.0;
        std::iter::successors(Some(first), |error| below(*error)).take(MAX_CHAIN_LEN)
    }
}

/// How many errors of a chain are examined: a chain that leads back to itself would never end.
const MAX_CHAIN_LEN: usize = 32;

/// The error below this one. Ours have no source, as their text names it, and `io::Error` gives the source of the error that
/// it wraps as its own, which would skip the wrapped error itself.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let ours = error.downcast_ref::<AnnounceError>().and_then(AnnounceError::cause);
    if let Some(Cause(wrapped)) = ours.or_else(|| error.downcast_ref()) {
        return Some(&**wrapped);
    }
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// Whether the operating system reports a condition of this machine. `EHOSTUNREACH` is among them: routers on the path
/// send it too, but far more often the cause is the local neighbour table or a tunnel that is down.
fn is_local(error: &io::Error) -> bool {
    use io::ErrorKind;
    let by_kind = matches!(
        error.kind(),
        ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::HostUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::AddrInUse
            | ErrorKind::PermissionDenied
            | ErrorKind::OutOfMemory
    );
    by_kind || error.raw_os_error().is_some_and(|code| LOCAL_CODES.contains(&code))
}

/// Error codes for which there is no [`io::ErrorKind`]: `ENFILE`, `EMFILE`, `EAFNOSUPPORT`, `ENOBUFS`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LOCAL_CODES: &[i32] = &[23, 24, 97, 105];
/// Error codes for which there is no [`io::ErrorKind`]: `ENFILE`, `EMFILE`, `EAFNOSUPPORT`, `ENOBUFS`.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const LOCAL_CODES: &[i32] = &[23, 24, 47, 55];
/// Error codes for which there is no [`io::ErrorKind`]: `WSAEMFILE`, `WSAEAFNOSUPPORT`, `WSAENETDOWN`, `WSAENOBUFS`.
#[cfg(windows)]
const LOCAL_CODES: &[i32] = &[10_024, 10_047, 10_050, 10_055];
/// Error codes for which there is no [`io::ErrorKind`].
#[cfg(not(any(unix, windows)))]
const LOCAL_CODES: &[i32] = &[];

impl fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "while connecting",
            Self::Reply => "waiting for the reply",
            Self::Probe => "while being probed",
        })
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.reason)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for error in self.chain() {
            let below = error.to_string();
            // Many errors show the one below them in their own text.
            if !text.contains(&below) {
                let joiner = if text.is_empty() { "" } else { ": " };
                text.push_str(joiner);
                text.push_str(&below);
            }
            if text.len() > MAX_TEXT_LEN {
                break;
            }
        }
        f.write_str(&fit(&without_secrets(&text)))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    /// They are labels of metrics, so they stay what they are.
    #[test]
    fn kinds_are_words_of_lower_case() {
        let text = include_str!("error.rs");
        let table = text.split_once("/// | Word | Variant | Word | Variant |").unwrap().1;
        let table = table.split_once("pub fn kind").unwrap().0;
        let words: Vec<&str> = table.split("| `").skip(1).map(|row| row.split('`').next().unwrap()).collect();
        let arms = text.split_once("fn kind(&self)").unwrap().1.split_once("\n    }\n").unwrap().0;
        let mut kinds: Vec<&str> = arms.split('"').skip(1).step_by(2).collect();
        assert_eq!(kinds.len(), 20);
        assert!(kinds.iter().all(|kind| words.contains(kind)), "each stands in the table: {words:?}");
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), words.len());
        assert!(kinds.iter().all(|kind| kind.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())));
        let error = AnnounceError::TlsMissing(TlsMissing::Roots);
        assert_eq!((error.kind(), AnnounceError::Cancelled.kind()), ("tls_missing", "cancelled"));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    /// R102: what this machine lacks doesn't count against a tracker, however deep the chain.
    #[test]
    fn errors_of_this_machine_are_found_through_the_chain() {
        let kinds = [
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::OutOfMemory,
            io::ErrorKind::AddrNotAvailable,
        ];
        let local = kinds.into_iter().map(io::Error::from);
        let local = local.chain(LOCAL_CODES.iter().map(|code| io::Error::from_raw_os_error(*code)));
        for error in local {
            let text = error.to_string();
            let (kind, code) = (error.kind(), error.raw_os_error());
            let again = || code.map_or_else(|| io::Error::from(kind), io::Error::from_raw_os_error);
            for nested in [
                AnnounceError::connecting(error),
                AnnounceError::connecting(Outer(again())),
                AnnounceError::connecting(io::Error::other(again())),
                AnnounceError::connecting(io::Error::other(Outer(again()))),
                AnnounceError::connecting(Cause::new(Outer(io::Error::other(again())))),
            ] {
                assert!(matches!(nested, AnnounceError::Local(_)), "{text}: {nested:?}");
            }
        }
        for kind in
            [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut, io::ErrorKind::ConnectionReset]
        {
            let error = AnnounceError::connecting(Outer(io::Error::from(kind)));
            assert!(matches!(error, AnnounceError::Connect(_)), "{error:?}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0} in a wrapper")]
    struct Repeating(#[source] io::Error);

    /// The text of an error, and those of all its sources, as printers of chains show it.
    fn chain_of(error: &dyn Error) -> String {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            text = format!("{text}: {error}");
            next = error.source();
        }
        text
    }

    #[test]
    fn each_cause_is_shown_once() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let broken = |cause: Cause| AnnounceError::Broken(cause);
        let rows: [(&dyn Error, &str); 8] = [
            (&AnnounceError::Connect(Cause::new(refused())), "could not connect: connection refused"),
            (
                &AnnounceError::Connect(Cause::new(Outer(refused()))),
                "could not connect: outer: connection refused",
            ),
            (
                &AnnounceError::Resolve(Cause::new(io::Error::other("no such name"))),
                "its name could not be resolved: no such name",
            ),
            (
                &AnnounceError::Tls(Cause::new(Repeating(refused()))),
                "TLS failed: connection refused in a wrapper",
            ),
            (
                &broken(Cause::new(io::Error::other(Outer(io::Error::other("cut"))))),
                "the connection broke: outer: cut",
            ),
            (
                &broken(Cause::new(broken(Cause::new("cut")))),
                "the connection broke: the connection broke: cut",
            ),
            (
                &AnnounceError::NotAReply(ReplyError::new("expected a dictionary", 0)),
                "not a tracker's reply: expected a dictionary at byte 0",
            ),
            (
                &CacheError::Unreadable(Cause::new(Outer(refused()))),
                "it could not be read: outer: connection refused",
            ),
        ];
        for (error, expected) in rows {
            assert_eq!(chain_of(error), expected);
        }
    }

    #[test]
    fn an_error_of_a_client_is_sorted_by_what_is_below_it_and_shows_no_passkey() {
        let kind = |kind| AnnounceError::requesting(Outer(io::Error::from(kind)));
        assert!(matches!(kind(io::ErrorKind::ConnectionRefused), AnnounceError::Connect(_)));
        assert!(matches!(kind(io::ErrorKind::TimedOut), AnnounceError::TimedOut(TimeoutPhase::Reply)));
        assert!(matches!(kind(io::ErrorKind::ConnectionReset), AnnounceError::Broken(_)));
        let quoting = "error sending request for url (http://u:s3cret@t.test:8080/s3cret/a?k=s3cret)";
        let nested = io::Error::other(Outer(io::Error::other(quoting)));
        for error in [
            AnnounceError::requesting(quoting),
            AnnounceError::connecting(quoting),
            AnnounceError::resolving(nested),
            AnnounceError::Tls(Cause::new("GET /announce?passkey=s3cret failed")),
        ] {
            let shown = format!("{error} {error:?} {}", chain_of(&error));
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        let error = AnnounceError::requesting(quoting).to_string();
        assert_eq!(
            error,
            "the connection broke: error sending request for url (http://t.test:8080/\u{2026})"
        );
    }

    /// R97: a transport outside this crate passes on what its tracker sent.
    #[test]
    fn the_reason_of_a_rejection_is_fit_for_a_terminal() {
        let rejection = Rejection::new(format!("no\u{e0041}\u{1b}\n{}", "x".repeat(5000)));
        assert!(rejection.reason.starts_with("no\u{fffd}\u{fffd} x"), "{rejection}");
        assert_eq!(rejection.reason.chars().count(), 1024);
    }

    /// S-20, S-21.
    #[test]
    fn the_text_of_a_library_is_neutralised_and_cut() {
        let error =
            AnnounceError::Tls(Cause::new(format!("for \u{1b}[31m\u{202e}\u{200b}\n{}", "x".repeat(5000))));
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(
                !shown.contains(['\u{1b}', '\u{202e}', '\u{200b}', '\n']) && shown.chars().count() < 1100,
                "{shown}"
            );
        }
    }
}
