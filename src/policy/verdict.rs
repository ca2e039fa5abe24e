//! What each error is evidence of: one table with a row for each error. No other code judges errors.

use crate::error::{AnnounceError, TimeoutPhase};

/// What an error is evidence of: this machine, the tracker's host, or this torrent at this tracker. One thing each:
/// when a torrent's own trouble counted against the host, one old passkey backed the host off for all torrents (R81).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What it says about the host, which is shared by all torrents.
    pub(crate) host: HostNews,
    /// What it says about this torrent at this tracker.
    pub(crate) tracker: TrackerNews,
    /// Whether the torrent may be registered at the tracker in spite of it.
    pub(crate) registered: Registered,
}

/// What an error says about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostNews {
    /// It can't be reached, definitely: the name doesn't exist, the connection was refused, TLS failed.
    Unreachable {
        /// Whether a dead network on our side would look the same.
        could_be_local: bool,
    },
    /// It gave no sign of life: the host is dead, our own network is, or packets were lost.
    Silent,
    /// It gave no tracker's answer. The reason may be this address or torrent alone.
    Doubtful {
        /// Whether it sent anything, so that it lives.
        shows_life: bool,
        /// Whether a captive portal on our side would look the same.
        could_be_local: bool,
    },
    /// It answered as a tracker does, such as with a refusal.
    Alive,
    /// Nothing: the reason is this machine, such as no free descriptor.
    Local,
    /// Nothing: there was no announce, or it was cancelled.
    Nothing,
}

/// What an error says about a torrent at a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackerNews {
    /// Nothing beyond what it says about the host. The back-off of the host is enough.
    OfTheHost,
    /// The tracker doesn't serve this torrent. It comes last in the torrent's failover, and the torrent backs off from
    /// it.
    Refuses,
    /// Nothing. The torrent still waits before it tries again.
    Nothing,
}

/// Whether a torrent may be registered by an announce that failed. If so the tracker is sent `stopped` at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    /// The tracker answered with an error, or wasn't sent anything.
    No,
    /// The announce may have been sent, and no answer came.
    Maybe,
}

impl Verdict {
    /// The verdict on an error.
    pub(crate) fn of(error: &AnnounceError) -> Self {
        use HostNews::{Alive, Doubtful, Local, Nothing, Silent, Unreachable};
        use Registered::{Maybe, No};
        use TrackerNews::{OfTheHost, Refuses};

        let row = |host, tracker, registered| Self { host, tracker, registered };
        // A captive portal answers in place of every host, with its own page.
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
            AnnounceError::Blocked
            | AnnounceError::Denied
            | AnnounceError::Unsupported
            | AnnounceError::ProxyWithoutUdp
            | AnnounceError::TlsMissing(_)
            | AnnounceError::NotScraped => row(Nothing, Refuses, No),
            AnnounceError::Suspended | AnnounceError::NotMeasured => row(Nothing, TrackerNews::Nothing, No),
            AnnounceError::Cancelled => row(Nothing, TrackerNews::Nothing, Maybe),
        }
    }
}

impl TrackerNews {
    /// The same with the blame withheld, because our own network is the reason.
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
    use crate::error::{Cause, RedirectError, Rejection, ReplyError, Retry, TlsMissing};

    fn cause() -> Cause {
        Cause::new("broken")
    }

    /// The four kinds: evidence about this machine, the host, this torrent at the tracker, or nothing.
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
            Verdict { host: HostNews::Nothing, tracker: TrackerNews::Refuses, .. } => "no tracker to try",
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
            (AnnounceError::Blocked, "no tracker to try"),
            (AnnounceError::Unsupported, "no tracker to try"),
            (AnnounceError::TlsMissing(TlsMissing::Provider), "no tracker to try"),
            (AnnounceError::ProxyWithoutUdp, "no tracker to try"),
            (AnnounceError::NotScraped, "no tracker to try"),
            (AnnounceError::NotMeasured, "nothing"),
            (AnnounceError::Suspended, "nothing"),
            (AnnounceError::Cancelled, "nothing"),
        ];
        for (error, expected) in rows {
            assert_eq!(kind(&error), expected, "{error}");
        }
    }
}
