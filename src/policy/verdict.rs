//! What one error is evidence of: a row for each error, and the only place that judges them.

use crate::error::{AnnounceError, TimeoutPhase};

/// What a failed attempt says, and about what. An error is evidence about one thing: this machine, the tracker's host,
/// or this torrent at this tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What it says about the host, which all torrents share.
    pub(crate) host: HostNews,
    /// What it says about this torrent at this tracker.
    pub(crate) tracker: TrackerNews,
    /// Whether the tracker may have taken this torrent in all the same.
    pub(crate) registered: Registered,
}

/// What an error says about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostNews {
    /// It can't be reached, definitely: no such name, refused, TLS.
    Unreachable {
        /// Whether a dead network on our side would look the same.
        could_be_local: bool,
    },
    /// It gave no sign of life. One lost packet too many, a dead network on our side, or a dead host.
    Silent,
    /// It brought no tracker's answer. That may be the trouble of this address or torrent alone.
    Doubtful {
        /// Whether it answered something, so that it lives.
        shows_life: bool,
        /// Whether a captive portal on our side would look the same.
        could_be_local: bool,
    },
    /// It answered as a tracker does.
    Alive,
    /// Nothing: this machine couldn't ask it.
    Local,
    /// Nothing: it wasn't asked, or not to the end.
    Nothing,
}

/// What an error says about a torrent at a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackerNews {
    /// No more than what it says about the host, whose back-off is enough.
    OfTheHost,
    /// The tracker doesn't serve this torrent: it comes last in failover, and has a back-off of the torrent's own.
    Refuses,
    /// Nothing. The torrent's own back-off keeps it from asking without pause.
    Nothing,
}

/// Whether a tracker may know a torrent by an announce that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    /// It answered, or was never sent anything.
    No,
    /// It was sent an announce, and what became of that is unknown.
    Maybe,
}

impl Verdict {
    pub(crate) fn of(error: &AnnounceError) -> Self {
        use HostNews::{Alive, Doubtful, Local, Nothing, Silent, Unreachable};
        use Registered::{Maybe, No};
        use TrackerNews::{OfTheHost, Refuses};

        let row = |host, tracker, registered| Self { host, tracker, registered };
        // A captive portal answers for everybody, with a page of its own.
        let page = Doubtful { shows_life: true, could_be_local: true };
        let broken = Doubtful { shows_life: true, could_be_local: false };
        let mute = Doubtful { shows_life: false, could_be_local: false };
        match error {
            AnnounceError::Local(_) => row(Local, TrackerNews::Nothing, No),
            AnnounceError::Connect(cause) | AnnounceError::Resolve(cause) if cause.is_local() => {
                row(Local, TrackerNews::Nothing, No)
            }
            AnnounceError::Broken(cause) if cause.is_local() => row(Local, TrackerNews::Nothing, Maybe),
            AnnounceError::Resolve(_) => row(Unreachable { could_be_local: true }, OfTheHost, No),
            AnnounceError::Connect(_) | AnnounceError::Tls(_) => {
                row(Unreachable { could_be_local: false }, OfTheHost, No)
            }
            AnnounceError::TimedOut(TimeoutPhase::Open | TimeoutPhase::Probe) => row(Silent, OfTheHost, No),
            AnnounceError::TimedOut(TimeoutPhase::Reply) => row(mute, Refuses, Maybe),
            AnnounceError::Broken(_) => row(broken, Refuses, Maybe),
            AnnounceError::Status { status: 400..=499, .. } | AnnounceError::Rejected(_) => {
                row(Alive, Refuses, No)
            }
            AnnounceError::Status { .. } | AnnounceError::TooLarge { .. } => row(broken, Refuses, No),
            AnnounceError::NotAReply(_) | AnnounceError::Redirect(_) => row(page, Refuses, No),
            AnnounceError::Blocked | AnnounceError::Unsupported => row(Nothing, Refuses, No),
            AnnounceError::Suspended => row(Nothing, TrackerNews::Nothing, No),
            AnnounceError::Cancelled => row(Nothing, TrackerNews::Nothing, Maybe),
        }
    }
}

impl TrackerNews {
    /// The same where our own network is to blame: not held against the tracker.
    pub(crate) fn withheld(self) -> Self {
        match self {
            Self::Refuses | Self::Nothing => Self::Nothing,
            Self::OfTheHost => Self::OfTheHost,
        }
    }
}

impl HostNews {
    /// Whether a dead network or a captive portal on our side would look the same.
    pub(crate) fn could_be_local(self) -> bool {
        match self {
            Self::Unreachable { could_be_local } | Self::Doubtful { could_be_local, .. } => could_be_local,
            Self::Silent | Self::Local => true,
            Self::Alive | Self::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::error::{Cause, RedirectError, Rejection, ReplyError, Retry};

    fn cause() -> Cause {
        Cause::new("broken")
    }

    /// The four kinds of evidence: about this machine, the host, this torrent there, nothing.
    #[test]
    fn every_error_is_evidence_of_one_thing() {
        let local = || Cause::new(io::Error::from(io::ErrorKind::NetworkUnreachable));
        let kind = |error: &AnnounceError| match Verdict::of(error) {
            Verdict { host: HostNews::Local, tracker: TrackerNews::Nothing, .. } => "machine",
            Verdict {
                host: HostNews::Unreachable { .. } | HostNews::Silent,
                tracker: TrackerNews::OfTheHost,
                ..
            } => "host",
            Verdict {
                host: HostNews::Doubtful { .. } | HostNews::Alive,
                tracker: TrackerNews::Refuses,
                ..
            } => "torrent",
            Verdict { host: HostNews::Nothing, tracker: TrackerNews::Nothing, .. } => "nothing",
            Verdict { host: HostNews::Nothing, tracker: TrackerNews::Refuses, .. } => "not to be asked",
            other => panic!("{error}: {other:?}"),
        };
        let status = |status| AnnounceError::Status { status, retry: Retry::Unsaid };
        let rows = [
            (AnnounceError::Local(cause()), "machine"),
            (AnnounceError::Connect(local()), "machine"),
            (AnnounceError::Resolve(local()), "machine"),
            (AnnounceError::Broken(local()), "machine"),
            (AnnounceError::Resolve(cause()), "host"),
            (AnnounceError::Connect(cause()), "host"),
            (AnnounceError::Tls(cause()), "host"),
            (AnnounceError::TimedOut(TimeoutPhase::Open), "host"),
            (AnnounceError::TimedOut(TimeoutPhase::Probe), "host"),
            (AnnounceError::TimedOut(TimeoutPhase::Reply), "torrent"),
            (AnnounceError::Broken(cause()), "torrent"),
            (status(302), "torrent"),
            (status(404), "torrent"),
            (status(500), "torrent"),
            (status(503), "torrent"),
            (AnnounceError::NotAReply(ReplyError::new("a dictionary", 0)), "torrent"),
            (AnnounceError::Redirect(RedirectError::NoTarget), "torrent"),
            (AnnounceError::TooLarge { limit: 1 }, "torrent"),
            (AnnounceError::Rejected(Rejection::new("no")), "torrent"),
            (AnnounceError::Blocked, "not to be asked"),
            (AnnounceError::Unsupported, "not to be asked"),
            (AnnounceError::Suspended, "nothing"),
            (AnnounceError::Cancelled, "nothing"),
        ];
        for (error, expected) in rows {
            assert_eq!(kind(&error), expected, "{error}");
        }
    }
}
