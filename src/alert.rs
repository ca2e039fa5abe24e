//! What the user hears: one alert for everything that happens, each with its line of text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tokio")]
use crate::announce::PeerAddress;
use crate::announce::{AnnounceResponse, Event, InfoHash, Peer};
use crate::error::{AnnounceError, AnnouncerEnded, CacheError, FailedAttempt, RoundError};
use crate::prober::Measurement;
use crate::tracker::TrackerUrl;

/// Something that happened to a torrent's announces.
///
/// `Display` gives the line a user reads; [`tag`](Self::tag) the word it can be searched by. Trackers are shown
/// without path and query.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Alert {
    /// The trackers of the torrent, as it was added.
    TrackersFound {
        /// Those that can be asked.
        trackers: Vec<TrackerUrl>,
        /// Those whose scheme isn't spoken here: kept in the list, never tried.
        unsupported: Vec<TrackerUrl>,
    },
    /// A probe was answered.
    Probed {
        /// The tracker.
        tracker: TrackerUrl,
        /// How long it took.
        measurement: Measurement,
    },
    /// A probe was not.
    ProbeFailed {
        /// The tracker.
        tracker: TrackerUrl,
        /// Why not.
        error: AnnounceError,
    },
    /// The tracker the first announce goes to.
    Selected {
        /// The tracker.
        tracker: TrackerUrl,
        /// Its latency, where it was measured.
        latency: Option<Duration>,
    },
    /// The order in which trackers are tried, when the last probe has ended.
    FailoverOrder {
        /// The trackers with what was measured of them.
        trackers: Vec<(TrackerUrl, Option<Duration>)>,
    },
    /// A round begins.
    Announcing {
        /// The event that is due; a tracker that never heard of us hears `started` in its place.
        event: Option<Event>,
        /// How much is missing.
        left: Option<u64>,
    },
    /// An attempt begins.
    AttemptStarted {
        /// The tracker.
        tracker: TrackerUrl,
        /// The number of the attempt in its round, from 1.
        attempt: usize,
        /// How many there may be.
        of: usize,
    },
    /// A tracker shows no life; it may still, but the next one is tried beside it.
    NoResponse {
        /// The tracker.
        tracker: TrackerUrl,
        /// For how long it has been silent.
        waited: Duration,
    },
    /// An attempt failed.
    Failed {
        /// The tracker.
        tracker: TrackerUrl,
        /// Why.
        error: AnnounceError,
    },
    /// The round moves on.
    Switching {
        /// From the tracker that failed or is silent.
        from: TrackerUrl,
        /// To the one that is tried next.
        to: TrackerUrl,
    },
    /// An announce was answered.
    Announced(Arc<Announced>),
    /// A tracker answered after its round had been won by another: its peers are welcome, and it knows us.
    LateResponse {
        /// The tracker.
        tracker: TrackerUrl,
        /// What it said.
        response: Arc<AnnounceResponse>,
    },
    /// A tracker has something to say to the user. Said once, though it may come with each answer.
    Warning {
        /// The tracker.
        tracker: TrackerUrl,
        /// Its words, control characters neutralised.
        text: String,
    },
    /// Every tracker failed.
    RoundFailed {
        /// Each with its cause.
        error: Arc<RoundError>,
        /// When the next round begins; `None` where no tracker may be asked again in this session.
        retry_in: Option<Duration>,
    },
    /// An announce is due, and no tracker may be asked yet.
    Deferred {
        /// Why not.
        reason: Deferral,
        /// When one of them may be.
        retry_in: Duration,
    },
    /// Everything fails, so our own network seems to be down. Until a tracker answers, failures are held against none;
    /// trackers are announced to as before. It concerns all torrents; the one that found out has this alert.
    NetworkDown,
    /// A tracker has answered after [`NetworkDown`](Self::NetworkDown).
    NetworkUp,
    /// The session ends.
    Stopping {
        /// How many trackers are told.
        trackers: usize,
    },
    /// A tracker was told that the session ends.
    Stopped {
        /// The tracker.
        tracker: TrackerUrl,
        /// What came of it.
        result: Result<(), AnnounceError>,
    },
    /// What is known of tracker hosts is not kept: the latency cache couldn't be used, or not be written. It is
    /// one file for a whole `Announcer`, so the first session hears of it, once for each trouble.
    CacheFailed {
        /// Why.
        reason: CacheError,
    },
    /// The announcer can do nothing more for any torrent, and `stopped` was sent to nobody: the last alert. Sessions
    /// that end as they should don't have it.
    AnnouncerEnded {
        /// Why.
        reason: AnnouncerEnded,
    },
    /// The listener was too slow, and lost alerts.
    Lagged {
        /// How many.
        count: u64,
        /// The newest peers they brought, each once and without its id: of a listener that reads now and then as many as
        /// one answer has.
        peers: Vec<Peer>,
    },
}

/// Why an announce that is due has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deferral {
    /// All trackers are backing off after failures that this or another torrent saw.
    BackingOff,
    /// The trackers asked to be asked later: `retry in`, `Retry-After`, `min interval`.
    AskedToWait,
    /// Our own network seems to be down.
    NetworkDown,
}

/// An answered announce: by whom, and what it took.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Announced {
    /// The tracker that answered.
    pub tracker: TrackerUrl,
    /// The event it was told.
    pub event: Option<Event>,
    /// What it said.
    pub response: AnnounceResponse,
    /// How many trackers were tried, this one included.
    pub attempts: usize,
    /// Those that failed before, with their causes; trackers that couldn't be asked yet are among them.
    pub failed: Vec<FailedAttempt>,
    /// The tracker that answered the announce before, where it is another. A client with a private torrent has
    /// to drop its peers then (BEP 27).
    pub moved_from: Option<TrackerUrl>,
    /// The interval in force.
    pub interval: Duration,
    /// How long until the next regular announce.
    pub next_announce: Duration,
}

/// A tracker that was told `stopped`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StopResult {
    /// The tracker.
    pub tracker: TrackerUrl,
    /// What came of it.
    pub result: Result<(), AnnounceError>,
}

/// What came of [`stopped`](crate::Event::Stopped) when an `Announcer` was shut down: for each torrent every tracker that
/// was to have it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Trackers that acknowledged it.
    pub acknowledged: Vec<TorrentStopped>,
    /// Trackers that failed or refused it. They forget us by themselves.
    pub failed: Vec<TorrentStopped>,
    /// Trackers for which time ran out: they weren't reached, or didn't answer. They forget us by themselves.
    pub unanswered: Vec<TorrentStopped>,
    /// Whether this is all. It isn't where the announcer had ended before, or didn't come to write it.
    pub complete: bool,
    /// Why the announcer had ended before, where it had.
    pub ended: Option<AnnouncerEnded>,
}

/// A torrent that has been stopped, at one of its trackers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TorrentStopped {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The tracker.
    pub tracker: TrackerUrl,
    /// What came of it.
    pub result: Result<(), AnnounceError>,
}

#[cfg(feature = "tokio")]
impl ShutdownReport {
    /// Adds what came of one session's end.
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
    /// The word by which alerts of a kind can be searched for: `CONFIG`, `TRACKER`, `ANNOUNCE` or `INFO`.
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

    /// The peers it brings: those of an answer, or of answers that were missed.
    pub fn peers(&self) -> &[Peer] {
        match self {
            Self::Announced(announced) => &announced.response.peers,
            Self::LateResponse { response, .. } => &response.peers,
            Self::Lagged { peers, .. } => peers,
            _ => &[],
        }
    }

    /// How many bytes it takes while it waits to be heard, roughly: addresses of trackers are shared, and so are the
    /// errors of libraries.
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

/// So many of something.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

/// A latency as it is shown: whole milliseconds, tenths below ten.
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
    fn one_is_no_plural() {
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
    fn a_latency_has_tenths_below_ten() {
        let shown = |micros| Latency(Some(Duration::from_micros(micros))).to_string();
        assert_eq!((shown(4_260), shown(10_900)), ("4.3 ms".into(), "10 ms".into()));
    }
}
