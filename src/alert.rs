//! What happens to a torrent's announces, as alerts with a line of text each.

mod level;
#[cfg(feature = "serde")]
mod serialised;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tokio")]
use crate::announce::PeerAddress;
use crate::announce::{AnnounceResponse, Event, InfoHash, Peer};
use crate::error::{AnnounceError, AnnouncerEnded, CacheError, FailedAttempt, RoundError};
use crate::prober::Measurement;
use crate::tracker::TrackerUrl;

pub use self::level::AlertLevel;

/// Something that happened to a torrent's announces.
///
/// `Display` gives one line of plain text, and [`tag`](Self::tag) a word by which lines can be filtered. Trackers are
/// shown without path and query.
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "alert", rename_all = "snake_case"))]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Alert {
    /// A torrent was added. The first alert of its session.
    TrackersFound {
        /// The trackers that can be announced to.
        trackers: Vec<TrackerUrl>,
        /// The trackers with unsupported schemes: kept in the list, never tried.
        unsupported: Vec<TrackerUrl>,
    },
    /// A probe was answered.
    Probed {
        /// The tracker that was probed.
        tracker: TrackerUrl,
        /// How long connection and answer took.
        measurement: Measurement,
    },
    /// A probe failed.
    ProbeFailed {
        /// The tracker that was probed.
        tracker: TrackerUrl,
        /// The cause.
        error: AnnounceError,
    },
    /// The tracker for the first announce was selected.
    Selected {
        /// The selected tracker.
        tracker: TrackerUrl,
        /// Its latency, if it was measured.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of_some"))]
        latency: Option<Duration>,
    },
    /// The last probe has ended, so the order of failover is known.
    FailoverOrder {
        /// The trackers in the order in which they are tried, each with its latency if it was measured.
        #[cfg_attr(feature = "serde", serde(serialize_with = "serialised::with_latencies"))]
        trackers: Vec<(TrackerUrl, Option<Duration>)>,
    },
    /// A round begins: one announce with all its attempts.
    Announcing {
        /// The event that is due. A tracker at which we aren't registered receives `started` in its place.
        event: Option<Event>,
        /// How many bytes are missing; `None` if the size isn't known.
        left: Option<u64>,
    },
    /// An attempt begins.
    AttemptStarted {
        /// The tracker that is tried.
        tracker: TrackerUrl,
        /// The number of the attempt in its round, from 1.
        attempt: usize,
        /// The number of trackers that the round can try.
        of: usize,
    },
    /// A tracker is tried beside the one in use, which stays the one in use.
    AttemptBeside {
        /// The tracker that is tried.
        tracker: TrackerUrl,
        /// Why.
        reason: AnnounceReason,
    },
    /// A tracker hasn't responded in time. It may still answer, but the next one is tried beside it.
    NoResponse {
        /// The silent tracker.
        tracker: TrackerUrl,
        /// How long it has been waited for.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of"))]
        waited: Duration,
    },
    /// An attempt failed.
    Failed {
        /// The tracker that was tried.
        tracker: TrackerUrl,
        /// The cause.
        error: AnnounceError,
    },
    /// The round fails over to the next tracker.
    Switching {
        /// The tracker that failed or is silent.
        from: TrackerUrl,
        /// The tracker that is tried next.
        to: TrackerUrl,
    },
    /// An announce was answered, which ends its round. A regular announce has no [`event`](Announced::event).
    Announced(Arc<Announced>),
    /// A tracker answered after another had won the round. Its peers are usable, and we are registered there as well.
    LateResponse {
        /// The tracker that answered late.
        tracker: TrackerUrl,
        /// Its answer.
        response: Arc<AnnounceResponse>,
    },
    /// A tracker's answer holds a message for the user. One alert, though the same message may come with each answer.
    Warning {
        /// The tracker that sent it.
        tracker: TrackerUrl,
        /// The message, with control and invisible characters replaced.
        text: String,
    },
    /// All trackers failed.
    RoundFailed {
        /// Each attempt with its cause.
        error: Arc<RoundError>,
        /// How long until the next round begins; `None` if no tracker may be announced to again in this session.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of_some"))]
        retry_in: Option<Duration>,
    },
    /// An announce is due, and no tracker may be announced to yet.
    Deferred {
        /// What the announce waits for.
        reason: Deferral,
        /// How long until the first tracker may be announced to.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of"))]
        retry_in: Duration,
    },
    /// Attempts at all trackers fail, so the local network seems to be down. Until a tracker answers, failures don't count
    /// against trackers; announces go on as before. This concerns all torrents, and only the one that noticed it gets the
    /// alert.
    NetworkDown,
    /// A tracker has answered after [`NetworkDown`](Self::NetworkDown).
    NetworkUp,
    /// The session ends: `stopped` is announced.
    Stopping {
        /// How many trackers `stopped` is announced to.
        trackers: usize,
    },
    /// An announce of `stopped` has ended.
    Stopped {
        /// The tracker it was announced to.
        tracker: TrackerUrl,
        /// Whether the tracker acknowledged it, or the cause of the failure.
        #[cfg_attr(feature = "serde", serde(rename = "error", serialize_with = "serialised::error_of"))]
        result: Result<(), AnnounceError>,
    },
    /// The latency cache couldn't be read or written, so what is known about tracker hosts isn't kept. The cache is one
    /// file for a whole `Announcer`: only its first session gets this alert, once for each failure.
    CacheFailed {
        /// The cause.
        reason: CacheError,
    },
    /// The announcer has ended without announcing `stopped`, so no torrent is announced any more. The last alert of every
    /// session then; a session that was stopped doesn't get it.
    AnnouncerEnded {
        /// The cause.
        reason: AnnouncerEnded,
    },
    /// The listener read too slowly, and alerts were dropped.
    Lagged {
        /// How many alerts were dropped.
        count: u64,
        /// The newest peers of the dropped alerts, each once and without its id: as many as one answer holds, if the
        /// listener has read before.
        peers: Vec<Peer>,
    },
}

/// Why an announce that is due has to wait.
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deferral {
    /// All trackers are backing off after failures of this torrent or of others.
    BackingOff,
    /// The trackers asked us to wait: `retry in`, `Retry-After`, `min interval`.
    AskedToWait,
    /// The local network seems to be down.
    NetworkDown,
}

/// Why a tracker is announced to.
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum AnnounceReason {
    /// It is the tracker in use, or it is tried because that one failed.
    #[default]
    InUse,
    /// It is the head of the list: the first living tracker, where clients that follow BEP 12 are.
    Head,
    /// Peers are short, and it may know further ones.
    MorePeers,
    /// It is asked because of [`AnnounceTo::EachTier`](crate::AnnounceTo::EachTier) or
    /// [`AnnounceTo::All`](crate::AnnounceTo::All).
    Configured,
    /// It is sent an event that is due, as [`Event::Completed`].
    Event,
}

/// An answered announce, with the attempts it took.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Announced {
    /// The tracker that answered. Its [`family`](TrackerUrl::family) is set if it was announced to over a second address
    /// family: the list has it without.
    pub tracker: TrackerUrl,
    /// The event that was sent to it; `None` for a regular announce.
    pub event: Option<Event>,
    /// Why this tracker was announced to.
    pub reason: AnnounceReason,
    /// Its answer.
    pub response: AnnounceResponse,
    /// How long it took from the beginning of the round until the answer, trackers that failed before included.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of"))]
    pub took: Duration,
    /// The number of trackers that were tried, this one included.
    pub attempts: usize,
    /// The attempts that failed before, with their causes; trackers that may not be announced to yet are among them.
    pub failed: Vec<FailedAttempt>,
    /// The tracker that answered the previous announce, if it is another one. A client has to drop the peers of a private
    /// torrent then (BEP 27).
    pub moved_from: Option<TrackerUrl>,
    /// The interval between regular announces, after bounds and overrides.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of"))]
    pub interval: Duration,
    /// How long until the next regular announce.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of"))]
    pub next_announce: Duration,
}

/// What became of [`stopped`](Event::Stopped) at one tracker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StopResult {
    /// The tracker it was announced to.
    pub tracker: TrackerUrl,
    /// Whether the tracker acknowledged it, or the cause of the failure.
    pub result: Result<(), AnnounceError>,
}

/// What became of [`stopped`](Event::Stopped) when an `Announcer` was shut down: every tracker it was due at, for each
/// torrent.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The trackers that acknowledged it.
    pub acknowledged: Vec<TorrentStopped>,
    /// The trackers that failed or rejected it. They drop us when our registration expires.
    pub failed: Vec<TorrentStopped>,
    /// The trackers that weren't reached or didn't answer in time. They drop us when our registration expires.
    pub unanswered: Vec<TorrentStopped>,
    /// Whether the lists are complete. They aren't if the announcer had ended before, or couldn't report in time.
    pub complete: bool,
    /// Why the announcer had ended before, if it had.
    pub ended: Option<AnnouncerEnded>,
}

/// What became of [`stopped`](Event::Stopped) for one torrent at one tracker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TorrentStopped {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The tracker it was announced to.
    pub tracker: TrackerUrl,
    /// Whether the tracker acknowledged it, or the cause of the failure.
    pub result: Result<(), AnnounceError>,
}

#[cfg(feature = "tokio")]
impl ShutdownReport {
    /// Adds the results of one session.
    pub(crate) fn add(&mut self, info_hash: InfoHash, stopped: &[StopResult]) {
        for StopResult { tracker, result } in stopped {
            let list = match result {
                Ok(()) => &mut self.acknowledged,
                Err(AnnounceError::TimedOut(_)) => &mut self.unanswered,
                Err(_) => &mut self.failed,
            };
            list.push(TorrentStopped { info_hash, tracker: tracker.clone(), result: result.clone() });
        }
    }
}

impl Alert {
    /// A word by which lines can be filtered: `CONFIG`, `TRACKER`, `ANNOUNCE` or `INFO`.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::TrackersFound { .. } => "CONFIG",
            Self::Probed { .. }
            | Self::ProbeFailed { .. }
            | Self::Selected { .. }
            | Self::FailoverOrder { .. }
            | Self::Switching { .. }
            | Self::Warning { .. } => "TRACKER",
            Self::NetworkDown
            | Self::NetworkUp
            | Self::CacheFailed { .. }
            | Self::AnnouncerEnded { .. }
            | Self::Lagged { .. } => "INFO",
            _ => "ANNOUNCE",
        }
    }

    /// The peers of an answer, or of the answers among dropped alerts; empty for all other alerts.
    pub fn peers(&self) -> &[Peer] {
        match self {
            Self::Announced(announced) => &announced.response.peers,
            Self::LateResponse { response, .. } => &response.peers,
            Self::Lagged { peers, .. } => peers,
            _ => &[],
        }
    }

    /// Roughly the memory it takes in a queue, in bytes. Tracker addresses and the errors of libraries are shared, and
    /// don't count.
    #[cfg(feature = "tokio")]
    pub(crate) fn weight(&self) -> usize {
        let below = match self {
            Self::TrackersFound { trackers, unsupported } => {
                (trackers.capacity() + unsupported.capacity()) * size_of::<TrackerUrl>()
            }
            Self::FailoverOrder { trackers } => {
                trackers.capacity() * size_of::<(TrackerUrl, Option<Duration>)>()
            }
            Self::Announced(announced) => {
                size_of::<Announced>()
                    + weight_of_response(&announced.response)
                    + weight_of(&announced.failed)
            }
            Self::LateResponse { response, .. } => {
                size_of::<AnnounceResponse>() + weight_of_response(response)
            }
            Self::Warning { text, .. } => text.capacity(),
            Self::RoundFailed { error, .. } => size_of::<RoundError>() + weight_of(error.attempts()),
            Self::Failed { error, .. }
            | Self::ProbeFailed { error, .. }
            | Self::Stopped { result: Err(error), .. } => error.weight(),
            Self::Lagged { peers, .. } => peers.capacity() * size_of::<Peer>(),
            _ => 0,
        };
        size_of::<Self>() + below
    }
}

#[cfg(feature = "tokio")]
fn weight_of(failed: &[FailedAttempt]) -> usize {
    failed.iter().map(|failed| size_of::<FailedAttempt>() + failed.error.weight()).sum()
}

#[cfg(feature = "tokio")]
fn weight_of_response(response: &AnnounceResponse) -> usize {
    let names = response.peers.iter().map(|peer| match &peer.address {
        PeerAddress::Name(name, _) => name.capacity(),
        PeerAddress::Ip(_) => 0,
    });
    response.peers.capacity() * size_of::<Peer>()
        + names.sum::<usize>()
        + response.tracker_id.as_ref().map_or(0, Vec::capacity)
        + response.warning.as_ref().map_or(0, String::capacity)
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrackersFound { trackers, unsupported } => {
                write!(f, "{} found", Count(trackers.len(), "tracker"))?;
                unsupported.iter().try_for_each(|tracker| write!(f, ", {tracker} is not supported"))
            }
            Self::Probed { tracker, measurement } => {
                write!(f, "{tracker} {}", Latency(Some(measurement.latency())))
            }
            Self::ProbeFailed { tracker, error } => write!(f, "{tracker} did not answer the probe: {error}"),
            Self::Selected { tracker, latency: None } => write!(f, "selected {tracker}"),
            Self::Selected { tracker, latency } => write!(f, "selected {tracker} ({})", Latency(*latency)),
            Self::FailoverOrder { trackers } => {
                f.write_str("failover order:")?;
                trackers.iter().enumerate().try_for_each(|(index, (tracker, latency))| {
                    write!(f, " {}. {tracker} ({})", index + 1, Latency(*latency))
                })
            }
            Self::Announcing { event, left } => {
                write!(f, "event={}, left=", event.map_or("none", Event::name))?;
                match left {
                    Some(left) => write!(f, "{left}"),
                    None => f.write_str("unknown"),
                }
            }
            Self::AttemptStarted { tracker, attempt, of } => {
                write!(f, "trying {tracker} (attempt {attempt}/{of})")
            }
            Self::AttemptBeside { tracker, reason } => write!(f, "trying {tracker} as well: {reason}"),
            Self::NoResponse { tracker, waited } => {
                write!(f, "{tracker}: no answer for {} ms", waited.as_millis())
            }
            Self::Failed { tracker, error } | Self::Stopped { tracker, result: Err(error) } => {
                write!(f, "{tracker}: {error}")
            }
            Self::Switching { from, to } => write!(f, "switching {from} -> {to}"),
            Self::Announced(announced) => announced.fmt(f),
            Self::LateResponse { tracker, response } => {
                write!(f, "{tracker} answered late, {}", Count(response.peers.len(), "peer"))
            }
            Self::Warning { tracker, text } => write!(f, "{tracker} warns: {text}"),
            Self::RoundFailed { error, retry_in: Some(wait) } => {
                write!(f, "{error}; next attempt in {} s", wait.as_secs())
            }
            Self::RoundFailed { error, retry_in: None } => error.fmt(f),
            Self::Deferred { reason, retry_in } => {
                let reason = match reason {
                    Deferral::BackingOff => "all trackers are backing off",
                    Deferral::AskedToWait => "all trackers asked us to wait",
                    Deferral::NetworkDown => "the local network seems to be down",
                };
                write!(f, "{reason}; next attempt in {} s", retry_in.as_secs())
            }
            Self::NetworkDown => f.write_str("all trackers fail, so the local network seems to be down"),
            Self::NetworkUp => f.write_str("a tracker has answered, so the local network works again"),
            Self::Stopping { trackers } => {
                write!(f, "event=stopped, announcing to {}", Count(*trackers, "tracker"))
            }
            Self::Stopped { tracker, result: Ok(()) } => write!(f, "{tracker} acknowledged stopped"),
            Self::CacheFailed { reason } => write!(f, "latency cache not used: {reason}"),
            Self::AnnouncerEnded { reason } => reason.fmt(f),
            Self::Lagged { count, .. } => {
                write!(f, "{} missed", Count(usize::try_from(*count).unwrap_or(usize::MAX), "alert"))
            }
        }
    }
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason == AnnounceReason::Event {
            let event = self.event.map_or("none", Event::name);
            return write!(f, "event={event} announced to {} as well", self.tracker);
        }
        if self.reason != AnnounceReason::InUse {
            let peers = Count(self.response.peers.len(), "peer");
            return write!(f, "also registered at {} ({}): {peers}", self.tracker, self.reason);
        }
        write!(
            f,
            "succeeded after {}: {}, {}, next announce in {} s",
            Count(self.attempts, "attempt"),
            self.tracker,
            Count(self.response.peers.len(), "peer"),
            self.next_announce.as_secs()
        )
    }
}

impl fmt::Display for AnnounceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "in use",
            Self::Head => "head of the list",
            Self::MorePeers => "more peers wanted",
            Self::Configured => "as configured",
            Self::Event => "an event is due",
        })
    }
}

/// A number with its noun, in the plural unless it is 1.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

/// A latency for display, in milliseconds: whole ones, with tenths below ten.
struct Latency(Option<Duration>);

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("not measured"),
            Some(latency) if latency < Duration::from_millis(10) => {
                write!(f, "{:.1} ms", latency.as_secs_f64() * 1000.0)
            }
            Some(latency) => write!(f, "{} ms", latency.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_one_is_singular() {
        let alerts = |count| {
            let trackers = vec!["http://t.test/a".parse().unwrap(); count];
            let found = Alert::TrackersFound { trackers, unsupported: Vec::new() };
            let missed = Alert::Lagged { count: count as u64, peers: Vec::new() };
            format!("{found}; {}; {missed}", Alert::Stopping { trackers: count })
        };
        assert_eq!(alerts(1), "1 tracker found; event=stopped, announcing to 1 tracker; 1 alert missed");
        assert_eq!(alerts(0), "0 trackers found; event=stopped, announcing to 0 trackers; 0 alerts missed");
    }

    #[test]
    fn an_announce_beside_the_tracker_in_use_shows_its_reason() {
        let line = |event, reason| {
            let tracker = "http://b.example/announce?passkey=7".parse().unwrap();
            let announced = Announced {
                tracker,
                event: Some(event),
                reason,
                response: AnnounceResponse::default(),
                took: Duration::from_millis(40),
                attempts: 1,
                failed: Vec::new(),
                moved_from: None,
                interval: Duration::from_secs(1800),
                next_announce: Duration::from_secs(1795),
            };
            Alert::Announced(Arc::new(announced)).to_string()
        };
        let used = "succeeded after 1 attempt: http://b.example, 0 peers, next announce in 1795 s";
        assert_eq!(line(Event::Started, AnnounceReason::InUse), used);
        let completed = "event=completed announced to http://b.example as well";
        assert_eq!(line(Event::Completed, AnnounceReason::Event), completed);
        for (reason, text) in [
            (AnnounceReason::Head, "head of the list"),
            (AnnounceReason::MorePeers, "more peers wanted"),
            (AnnounceReason::Configured, "as configured"),
        ] {
            assert_eq!(
                line(Event::Started, reason),
                format!("also registered at http://b.example ({text}): 0 peers")
            );
        }
    }

    #[test]
    fn a_latency_has_tenths_below_ten() {
        let shown = |micros| Latency(Some(Duration::from_micros(micros))).to_string();
        assert_eq!((shown(4_260), shown(10_900)), ("4.3 ms".into(), "10 ms".into()));
    }
}
