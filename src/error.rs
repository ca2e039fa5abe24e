//! What can go wrong, sorted by what the policy does about it.
//!
//! No message holds a path or a query of a tracker's address, because passkeys live there; errors of the
//! libraries below are reachable through [`source`](std::error::Error::source) only.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::text::fit;
use crate::tracker::TrackerUrl;

/// Why one attempt at one tracker brought no good answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// The tracker's name has no address, or looking it up failed.
    #[error("its name could not be resolved")]
    Resolve(#[source] Cause),
    /// No connection: refused, reset or unreachable. Definitive, the next tracker is tried at once.
    #[error("could not connect: {0}")]
    Connect(#[source] Cause),
    /// This machine couldn't: no route, no permission, no descriptors or memory left, or a bound of our own. Says
    /// nothing about the tracker.
    #[error("this machine could not connect: {0}")]
    Local(#[source] Cause),
    /// The TLS handshake or the certificate failed. Definitive, and never a reason to fall back to plain HTTP.
    #[error("TLS failed: {0}")]
    Tls(#[source] Cause),
    /// Time ran out.
    #[error("timed out {0}")]
    TimedOut(TimeoutPhase),
    /// The connection broke before the answer was whole.
    #[error("the connection broke: {0}")]
    Broken(#[source] Cause),
    /// The answer has a status other than 2xx, and no failure reason of the tracker's in its body.
    #[error("HTTP status {status}")]
    Status {
        /// The status code.
        status: u16,
        /// When to come back, where the tracker said so (`Retry-After`), or 410's "never".
        retry: Retry,
    },
    /// What came back is not a tracker's reply, such as an HTML page or broken bencode.
    #[error("not a tracker's reply: {0}")]
    NotAReply(#[source] ReplyError),
    /// The tracker itself said no (BEP 3, `failure reason`).
    #[error("rejected: {0}")]
    Rejected(Rejection),
    /// More redirects than allowed, or one to where none may lead.
    #[error("redirected {0}")]
    Redirect(RedirectError),
    /// The answer is larger than the limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The tracker's address is one that the caller's address policy forbids.
    #[error("its address is not allowed here")]
    Blocked,
    /// Nothing here speaks this address's scheme, or it has no address for what is asked.
    #[error("not supported")]
    Unsupported,
    /// The tracker asked not to be asked yet, or not again in this session; it wasn't.
    #[error("not to be asked yet")]
    Suspended,
    /// The attempt was given up by our side.
    #[error("cancelled")]
    Cancelled,
}

/// Where in an attempt time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutPhase {
    /// While the name was looked up or the connection opened.
    Open,
    /// While the tracker's answer was awaited or read.
    Reply,
    /// While it was probed.
    Probe,
}

/// Why a redirect was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// More hops than the limit.
    #[error("more than {0} times")]
    TooMany(usize),
    /// From https to http, which would hand the passkey to everybody on the way.
    #[error("from https to http")]
    Downgrade,
    /// From a public host to a loopback, link-local or private address.
    #[error("from a public host to a private address")]
    PrivateTarget,
    /// No `Location`, or one that is no http or https address.
    #[error("to no usable address")]
    NoTarget,
}

/// A tracker's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The tracker's `failure reason`, control and invisible characters replaced, at most 1024 characters.
    pub reason: String,
    /// When it may be asked again (BEP 31).
    pub retry: Retry,
    /// The interval sent beside the reason, which some trackers mean.
    pub interval: Option<Duration>,
}

/// When a tracker that said no may be asked again. Binds the tracker that said it and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// It didn't say: the usual back-off.
    #[default]
    Unsaid,
    /// Not before this time has passed.
    After(Duration),
    /// Not again in this session (BEP 31 "never", HTTP 410).
    Never,
}

/// Why bytes are not a tracker's reply: what was expected, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected} at byte {offset}")]
pub struct ReplyError {
    pub(crate) expected: String,
    pub(crate) offset: usize,
}

/// Why a latency cache wasn't used. Costs a cold start, and never an announce.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// It is there, and can't be read.
    #[error("it could not be read: {0}")]
    Unreadable(#[source] Cause),
    /// A directory, a device, or something else that isn't to be replaced.
    #[error("it is not a file")]
    NotAFile,
    /// No latency cache: somebody else's file.
    #[error("it is not a latency cache")]
    Foreign,
    /// A latency cache of another version than this one reads.
    #[error("it is of version {0}, expected version 1")]
    Version(u64),
    /// A latency cache that holds more than one ever does.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A latency cache, and broken as a whole.
    #[error("it is damaged: expected {0}")]
    Damaged(&'static str),
    /// A latency cache, and broken in one of its hosts.
    #[error("it is damaged: expected {expected} in host number {number}")]
    DamagedHost {
        /// What was expected.
        expected: &'static str,
        /// The number of the host in the file, from 1.
        number: usize,
    },
    /// It couldn't be written.
    #[error("it could not be written: {0}")]
    Unwritable(#[source] Cause),
}

/// Why one announce with failover brought no answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RoundError {
    /// Every tracker failed: each attempt, in the order they ended.
    Failed(Vec<FailedAttempt>),
    /// There was no tracker to ask.
    NoTrackers,
    /// The announcer that was to make it has ended. Nothing was sent.
    Ended(AnnouncerEnded),
}

/// Why an `Announcer` announces nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnouncerEnded {
    /// It was shut down.
    #[error("the announcer has ended")]
    ShutDown,
    /// The runtime in which it was started has ended.
    #[error("the announcer has ended together with its runtime")]
    RuntimeEnded,
    /// Its task panicked, which is a fault of this crate. This is what the panic said.
    #[error("the announcer has ended because its task panicked: {0}")]
    Panicked(String),
}

/// One failed attempt of a round.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// Who was asked.
    pub tracker: TrackerUrl,
    /// What came of it.
    pub error: AnnounceError,
}

/// An error of a library below, kept for whoever asks for [`source`](Error::source).
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl AnnounceError {
    /// When the tracker may be asked again, where it said so.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Rejected(rejection) => rejection.retry,
            Self::Status { retry, .. } => *retry,
            _ => Retry::Unsaid,
        }
    }

    /// How many bytes it takes beside its own size, without what is shared.
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
    /// A connection that came to nothing: [`Local`](Self::Local) where this machine is the reason, anywhere in the
    /// chain of [`source`](Error::source), else [`Connect`](Self::Connect).
    pub fn connecting(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = Cause::new(error);
        if cause.is_local() { Self::Local(cause) } else { Self::Connect(cause) }
    }

    /// As [`connecting`](Self::connecting), of a look-up: [`Local`](Self::Local), else [`Resolve`](Self::Resolve).
    pub fn resolving(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = Cause::new(error);
        if cause.is_local() { Self::Local(cause) } else { Self::Resolve(cause) }
    }
}

impl RoundError {
    /// A round with these attempts, none of which brought an answer.
    pub fn failed(attempts: Vec<FailedAttempt>) -> Self {
        if attempts.is_empty() { Self::NoTrackers } else { Self::Failed(attempts) }
    }

    /// The attempts that were made, in the order they ended.
    pub fn attempts(&self) -> &[FailedAttempt] {
        match self {
            Self::Failed(attempts) => attempts,
            Self::NoTrackers | Self::Ended(_) => &[],
        }
    }
}

impl Rejection {
    /// A refusal with this reason, made fit for a terminal, and nothing said of when to come back.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: fit(&reason.into()), retry: Retry::Unsaid, interval: None }
    }
}

impl ReplyError {
    /// An error that says what was expected, and at which byte of the reply.
    pub fn new(expected: impl Into<String>, offset: usize) -> Self {
        Self { expected: expected.into(), offset }
    }
}

impl Cause {
    /// Keeps an error. Its text is shown in ours, so it must hold no path or query of an address.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The error itself, to be told apart by its type.
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    /// Whether this machine is the reason: an [`io::Error`] in the chain says that it has no route, no permission, or
    /// none of its own resources left.
    pub(crate) fn is_local(&self) -> bool {
        let first: &(dyn Error + 'static) = &*self.0;
        std::iter::successors(Some(first), |error| below(*error))
            .take(MAX_CHAIN_LEN)
            .filter_map(|error| error.downcast_ref::<io::Error>())
            .any(is_local)
    }
}

/// How many errors of a chain are looked at: one that leads back to itself would never end.
const MAX_CHAIN_LEN: usize = 32;

/// The error below this one. An `io::Error` and a [`Cause`] give the source of what they wrap as theirs, and would
/// hide the wrapped error itself.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(Cause(wrapped)) = error.downcast_ref() {
        return Some(&**wrapped);
    }
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// Whether the operating system speaks of itself. `EHOSTUNREACH` is among them: routers on the way send it too, but
/// far more often it is our own neighbour table or a tunnel that is down, and a host that is gone stays silent as well.
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

/// Error codes without an [`io::ErrorKind`] of their own: `ENFILE`, `EMFILE`, `EAFNOSUPPORT`, `ENOBUFS`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LOCAL_CODES: &[i32] = &[23, 24, 97, 105];
/// Error codes without an [`io::ErrorKind`] of their own: `ENFILE`, `EMFILE`, `EAFNOSUPPORT`, `ENOBUFS`.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const LOCAL_CODES: &[i32] = &[23, 24, 47, 55];
/// Error codes without an [`io::ErrorKind`] of their own: `WSAEMFILE`, `WSAEAFNOSUPPORT`, `WSAENETDOWN`, `WSAENOBUFS`.
#[cfg(windows)]
const LOCAL_CODES: &[i32] = &[10_024, 10_047, 10_050, 10_055];
/// Error codes without an [`io::ErrorKind`] of their own.
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

impl fmt::Display for RoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = match self {
            Self::Failed(attempts) => attempts,
            Self::NoTrackers => return f.write_str("no tracker to announce to"),
            Self::Ended(ended) => return ended.fmt(f),
        };
        match attempts.len() {
            1 => f.write_str("the only tracker failed: ")?,
            all => write!(f, "all {all} trackers failed: ")?,
        }
        for (index, attempt) in attempts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {}", attempt.tracker, attempt.error)?;
        }
        Ok(())
    }
}

impl Error for RoundError {}

/// Fit for a terminal, because libraries quote what they got: the names in a stranger's certificate, for instance.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fit(&self.0.to_string()))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    /// R102: what this machine lacks isn't held against a tracker, however deep the chain.
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

    /// R97: a transport of one's own hands over what its tracker wrote.
    #[test]
    fn the_reason_of_a_rejection_is_fit_for_a_terminal() {
        let rejection = Rejection::new(format!("no\u{e0041}\u{1b}\n{}", "x".repeat(5000)));
        assert!(rejection.reason.starts_with("no\u{fffd}\u{fffd} x"), "{rejection}");
        assert_eq!(rejection.reason.chars().count(), 1024);
    }

    /// S-20, S-21.
    #[test]
    fn what_a_library_quotes_is_neutralised_and_cut() {
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
