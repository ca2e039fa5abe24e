//! The errors of announces, sorted by what the policy does about them.
//!
//! No message holds the path or query of a tracker's address, because they hold passkeys. The errors of libraries are
//! reached through [`source`](std::error::Error::source) only.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::text::fit;
use crate::tracker::TrackerUrl;

/// Why an attempt at a tracker failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// The tracker's host name has no address, or the look-up failed.
    #[error("its name could not be resolved")]
    Resolve(#[source] Cause),
    /// No connection: refused, reset or unreachable. The next tracker is tried at once.
    #[error("could not connect: {0}")]
    Connect(#[source] Cause),
    /// No connection for a reason on this machine: no route, no permission, no descriptors or memory left, or a bound of
    /// this crate. Doesn't count against the tracker.
    #[error("this machine could not connect: {0}")]
    Local(#[source] Cause),
    /// The TLS handshake failed, or the certificate isn't valid. Never a reason to fall back to plain HTTP.
    #[error("TLS failed: {0}")]
    Tls(#[source] Cause),
    /// A time limit was reached.
    #[error("timed out {0}")]
    TimedOut(TimeoutPhase),
    /// The connection was closed or lost before the answer was complete.
    #[error("the connection broke: {0}")]
    Broken(#[source] Cause),
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
    NotAReply(#[source] ReplyError),
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
    /// No transport supports the scheme of the tracker's address, or the tracker has no scrape address.
    #[error("not supported")]
    Unsupported,
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

/// Why a latency cache wasn't used. It costs a cold start, and never an announce.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The file exists and can't be read.
    #[error("it could not be read: {0}")]
    Unreadable(#[source] Cause),
    /// The path is a directory, a device, or something else that must not be replaced.
    #[error("it is not a file")]
    NotAFile,
    /// The file isn't a latency cache.
    #[error("it is not a latency cache")]
    Foreign,
    /// The file has a version that this crate can't read.
    #[error("it is of version {0}, expected version 1")]
    Version(u64),
    /// The file is larger than any latency cache.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The file is damaged as a whole.
    #[error("it is damaged: expected {0}")]
    Damaged(&'static str),
    /// The record of a host is damaged.
    #[error("it is damaged: expected {expected} in host number {number}")]
    DamagedHost {
        /// What was expected.
        expected: &'static str,
        /// The number of the host in the file, from 1.
        number: usize,
    },
    /// The file couldn't be written.
    #[error("it could not be written: {0}")]
    Unwritable(#[source] Cause),
}

/// Why an announce with failover failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RoundError {
    /// All trackers failed: each attempt, in the order in which they ended.
    Failed(Vec<FailedAttempt>),
    /// There is no tracker to announce to.
    NoTrackers,
    /// The torrent is paused. Nothing was sent.
    Paused,
    /// The announcer or the torrent has ended. Nothing was sent.
    Ended(AnnouncerEnded),
}

/// Why an `Announcer` has ended, or one of its torrents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnouncerEnded {
    /// It was shut down.
    #[error("the announcer has ended")]
    ShutDown,
    /// The runtime it was started in has ended.
    #[error("the announcer has ended together with its runtime")]
    RuntimeEnded,
    /// Its task panicked, which is a defect of this crate. Holds the message of the panic.
    #[error("the announcer has ended because its task panicked: {0}")]
    Panicked(String),
    /// The torrent was stopped or forgotten. The announcer goes on.
    #[error("the torrent's announces have ended")]
    TorrentEnded,
}

/// One failed attempt of a round.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// The tracker that was tried.
    pub tracker: TrackerUrl,
    /// The cause of the failure.
    pub error: AnnounceError,
}

/// An error of a library, kept as the [`source`](Error::source) of ours.
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
}

impl RoundError {
    /// The error of a round with these attempts, all of which failed: [`NoTrackers`](Self::NoTrackers) if there are none.
    pub fn failed(attempts: Vec<FailedAttempt>) -> Self {
        if attempts.is_empty() { Self::NoTrackers } else { Self::Failed(attempts) }
    }

    /// The attempts that were made, in the order in which they ended.
    pub fn attempts(&self) -> &[FailedAttempt] {
        match self {
            Self::Failed(attempts) => attempts,
            Self::NoTrackers | Self::Paused | Self::Ended(_) => &[],
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
    /// Wraps an error. Its text is shown in ours, so it must not hold the path or query of an address.
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
        let first: &(dyn Error + 'static) = &*self.0;
        std::iter::successors(Some(first), |error| below(*error))
            .take(MAX_CHAIN_LEN)
            .filter_map(|error| error.downcast_ref::<io::Error>())
            .any(is_local)
    }
}

/// How many errors of a chain are examined: a chain that leads back to itself would never end.
const MAX_CHAIN_LEN: usize = 32;

/// The error below this one. `io::Error` and [`Cause`] give the source of the error that they wrap as their own source,
/// which would skip the wrapped error itself.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(Cause(wrapped)) = error.downcast_ref() {
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

impl fmt::Display for RoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = match self {
            Self::Failed(attempts) => attempts,
            Self::NoTrackers => return f.write_str("no tracker to announce to"),
            Self::Paused => return f.write_str("the torrent is paused"),
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

/// Made fit for a terminal, because libraries quote what they received: the names in a certificate, for instance.
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
