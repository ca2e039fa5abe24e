//! The state of one torrent's announces, for a client's tracker list and in one line.

use std::fmt::{self, Write};
use std::time::Duration;

use super::announcing::Announcing;
use super::book::TorrentBook;
use super::candidates::Candidates;
use super::reach::Wanted;
use super::round_kind::RoundKind;
use crate::alert::AnnounceReason;
use crate::error::AnnounceError;
use crate::policy::config::{AnnounceTo, Order};
use crate::policy::hosts::{HostHealth, Hosts};
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// The state of a torrent's announces: what a client shows in its tracker list.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The tiers with their trackers, in their present order. A tracker that is announced to over a second address family
    /// is followed by an entry for that, whose [`family`](TrackerUrl::family) is set.
    pub tiers: Vec<Vec<TrackerStatus>>,
    /// The tracker that answered last.
    pub in_use: Option<TrackerUrl>,
    /// The tracker that is announced to, or will be first.
    pub current: Option<TrackerUrl>,
    /// Whether a round is under way.
    pub announcing: bool,
    /// How long until the next announce; `None` while a round is under way, or if no tracker may be announced to.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of_some"))]
    pub next_announce: Option<Duration>,
    /// How many peers have the whole torrent, by the last answer with that number.
    pub complete: Option<u64>,
    /// How many peers are still downloading, by the last answer with that number.
    pub incomplete: Option<u64>,
}

/// The state of one tracker.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrackerStatus {
    /// The tracker.
    pub tracker: TrackerUrl,
    /// What is known of it.
    pub state: TrackerState,
    /// Its latency, if it was measured.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of_some"))]
    pub latency: Option<Duration>,
    /// Whether it accepted an announce of this session, and lists us as far as we know.
    pub is_registered: bool,
    /// Why it is announced to, or why it isn't.
    pub role: TrackerRole,
    /// How many announces it has answered in this session.
    pub answered: u32,
    /// How many have failed since it last answered.
    pub failures_in_a_row: u32,
    /// How long ago it last answered; `None` if it hasn't in this session.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of_some"))]
    pub last_answer: Option<Duration>,
    /// How long until its next announce, as far as it is known; `None` if none is planned.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of_some"))]
    pub next_announce: Option<Duration>,
    /// How many usable peers its last answer named.
    pub peers: usize,
    /// How many of them no tracker had named within the last hour.
    pub new_peers: usize,
    /// How many peers have the whole torrent, by its last answer.
    pub complete: Option<u64>,
    /// How many peers are still downloading, by its last answer.
    pub incomplete: Option<u64>,
}

/// Why a tracker is announced to, or why it isn't.
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrackerRole {
    /// It is the tracker in use.
    InUse,
    /// It is announced to beside the one in use, for this reason.
    Beside(AnnounceReason),
    /// It isn't announced to: it is the tracker in use under another name, or knows the same peers.
    Duplicate,
    /// It isn't announced to: it is there for failover.
    Spare,
}

/// What is known of a tracker.
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TrackerState {
    /// Nothing yet.
    NotContacted,
    /// An announce or a probe is under way.
    Contacting,
    /// The last probe or announce was answered.
    Working,
    /// The last probe or announce failed, with this error if it was an announce.
    Failing(Option<AnnounceError>),
    /// It asked for no announce for a while, or for none in this session.
    Suspended,
    /// Its scheme isn't supported.
    Unsupported,
}

/// The status of a torrent.
pub(super) fn status(
    book: &TorrentBook,
    announcing: Option<&Announcing>,
    hosts: &Hosts,
    now: Timestamp,
) -> Status {
    let beside = wanted(book, hosts, now);
    let tracker_status = |tracker: &TrackerUrl| {
        let record = book.trackers.record(tracker);
        let answers = record.map(|record| record.answers).unwrap_or_default();
        let wanted = beside.iter().find(|wanted| wanted.listed.0 == tracker);
        let is_in_use = book.trackers.in_use() == Some(tracker);
        let next = if is_in_use { book.schedule.due() } else { wanted.map(|wanted| wanted.at) };
        TrackerStatus {
            tracker: tracker.clone(),
            state: tracker_state(tracker, book, announcing, now),
            latency: match tracker.family() {
                Some(_) => hosts.health().host(tracker.host_key()).and_then(HostHealth::latency),
                None => book.trackers.latency(tracker),
            },
            is_registered: record.is_some_and(|record| record.registration.lists_us(now)),
            role: match wanted {
                _ if is_in_use => TrackerRole::InUse,
                _ if answers.is_duplicate(now) => TrackerRole::Duplicate,
                Some(wanted) => TrackerRole::Beside(wanted.reason),
                None => TrackerRole::Spare,
            },
            answered: answers.successes(),
            failures_in_a_row: answers.failures(),
            last_answer: answers.answered_at().map(|at| now.since(at)),
            next_announce: next.map(|at| at.since(now)),
            peers: answers.named(),
            new_peers: answers.new_peers(),
            complete: answers.complete().map(u64::from),
            incomplete: answers.incomplete().map(u64::from),
        }
    };
    let with_second = |tracker| std::iter::once(tracker).chain(book.trackers.second_family_of(tracker));
    // Between rounds the cursor is where the last round left it, and says nothing about the next.
    let main = announcing.filter(|announcing| !announcing.is_beside());
    let current = main.and_then(|_| book.trackers.pointed_at());
    let first = || failover_order(book, hosts, now).first().copied();
    Status {
        tiers: book
            .trackers
            .tiers()
            .map(|tier| tier.flat_map(with_second).map(tracker_status).collect())
            .collect(),
        in_use: book.trackers.in_use().cloned(),
        current: current.or_else(first).cloned(),
        announcing: main.is_some(),
        next_announce: book.schedule.due().map(|due| due.since(now)),
        complete: book.complete,
        incomplete: book.incomplete,
    }
}

/// The trackers that are announced to beside the one in use, now or later.
fn wanted<'a>(book: &'a TorrentBook, hosts: &'a Hosts, now: Timestamp) -> Vec<Wanted<'a>> {
    if book.trackers.in_use().is_none() || book.announce_to() == AnnounceTo::One {
        return Vec::new();
    }
    Candidates::new(book, &RoundKind::Beside, hosts, now).all_beside()
}

/// What is known of a tracker, the most recent first: an attempt under way, what it asked for, how it last answered.
fn tracker_state(
    tracker: &TrackerUrl,
    book: &TorrentBook,
    announcing: Option<&Announcing>,
    now: Timestamp,
) -> TrackerState {
    let is_announced_to = announcing.is_some_and(|announcing| announcing.is_contacting(tracker));
    if !book.trackers.is_supported(tracker) {
        TrackerState::Unsupported
    } else if is_announced_to || book.trackers.is_probing(tracker) {
        TrackerState::Contacting
    } else if book.is_suspended(tracker, now) {
        TrackerState::Suspended
    } else if book.trackers.is_failing(tracker) {
        TrackerState::Failing(book.trackers.failure(tracker).map(|failure| failure.error.clone()))
    } else if book.is_registered(tracker) || book.trackers.latency(tracker).is_some() {
        TrackerState::Working
    } else {
        TrackerState::NotContacted
    }
}

/// All trackers in failover order.
fn failover_order<'a>(book: &'a TorrentBook, hosts: &'a Hosts, now: Timestamp) -> Vec<&'a TrackerUrl> {
    Candidates::new(book, &RoundKind::Scheduled, hosts, now).failover_order()
}

/// Which tracker is used and why, and what comes next, in one line.
pub(super) fn explain(
    book: &TorrentBook,
    announcing: Option<&Announcing>,
    hosts: &Hosts,
    now: Timestamp,
) -> String {
    let mut line = choice(book, hosts, now);
    besides(&mut line, book, hosts, now);
    let announcing = announcing.filter(|announcing| !announcing.is_beside());
    let trackers: Vec<&TrackerUrl> = book.trackers.supported_trackers().collect();
    let backed_off = trackers.iter().filter(|tracker| hosts.is_backed_off(tracker.host_key())).count();
    // Writing to a string doesn't fail.
    let _ = write!(line, "; {} of {} trackers backed off after failures", backed_off, trackers.len());
    let _ = match (announcing, book.schedule.due()) {
        (Some(announcing), _) => write!(line, "; announcing now, attempt {}", announcing.tried()),
        (None, Some(due)) if hosts.is_outage() => {
            write!(
                line,
                "; everything fails, so our own network seems to be down; next announce in {}",
                Span(due.since(now))
            )
        }
        (None, Some(due)) if book.schedule.is_failing() => {
            write!(line, "; the last round failed; next in {}", Span(due.since(now)))
        }
        (None, Some(due)) => write!(line, "; next announce in {}", Span(due.since(now))),
        (None, None) => write!(line, "; no tracker may be announced to any more"),
    };
    line
}

/// Which tracker is used, and for which reason. The reason is the one by which it was chosen (R87).
fn choice(book: &TorrentBook, hosts: &Hosts, now: Timestamp) -> String {
    let reason = |tracker: &TrackerUrl| match (book.trackers.order(), book.trackers.latency(tracker)) {
        (Order::Bep12, _) if book.trackers.is_private() => {
            "one tracker at a time, this one until it fails".to_owned()
        }
        (Order::Bep12, _) => "the tiers are tried in sequence".to_owned(),
        (Order::Nearest, Some(latency)) => format!("{} ms away", latency.as_millis()),
        (Order::Nearest, None) => why_unmeasured_first(tracker, book, hosts).to_owned(),
    };
    match (book.trackers.in_use(), failover_order(book, hosts, now).first()) {
        (Some(in_use), _) => {
            let left = book.failback.as_ref().filter(|failback| failback.tracker() != in_use);
            let left = left.map_or(String::new(), |left| format!(", since {} failed", left.tracker()));
            format!("using {in_use}: it answered last, {}{left}", reason(in_use))
        }
        (None, Some(first)) => format!("no tracker has answered; {first} is tried first: {}", reason(first)),
        (None, None) => "no tracker can be announced to".to_owned(),
    }
}

/// Which trackers are announced to beside the one in use, and why.
fn besides(line: &mut String, book: &TorrentBook, hosts: &Hosts, now: Timestamp) {
    let is_seed = !book.wants_to_download();
    let (known, enough) = book.supply.peers(is_seed, now);
    let wanted = wanted(book, hosts, now);
    for (number, wanted) in wanted.iter().take(SHOWN).enumerate() {
        let beside = if number == 0 { "; asked beside it:" } else { "," };
        // Writing to a string doesn't fail.
        let _ = write!(line, "{beside} {} ({})", wanted.listed.0, wanted.reason);
    }
    if wanted.len() > SHOWN {
        let _ = write!(line, " and {} more", wanted.len() - SHOWN);
    }
    if !wanted.is_empty() && book.announce_to() == AnnounceTo::AsNeeded {
        let _ = write!(line, ", {known} of {enough} peers");
    }
}

/// The reason for which a tracker that wasn't measured comes first.
fn why_unmeasured_first(tracker: &TrackerUrl, book: &TorrentBook, hosts: &Hosts) -> &'static str {
    let mut before = book.trackers.supported_trackers().take_while(|other| *other != tracker).peekable();
    if before.peek().is_none() {
        return "first of the list, not measured";
    }
    let has_failed =
        |other: &TrackerUrl| hosts.is_backed_off(other.host_key()) || book.trackers.failure(other).is_some();
    if before.all(has_failed) { "those before it in the list failed, not measured" } else { "not measured" }
}

/// How many further trackers a line names.
const SHOWN: usize = 3;

/// A duration as people write it.
struct Span(Duration);

impl fmt::Display for TrackerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("in use"),
            Self::Beside(reason) => write!(f, "announced to beside the one in use: {reason}"),
            Self::Duplicate => f.write_str("another name of the tracker in use"),
            Self::Spare => f.write_str("there for failover"),
        }
    }
}

impl fmt::Display for TrackerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotContacted => "not contacted",
            Self::Contacting => "being contacted",
            Self::Working => "working",
            Self::Failing(Some(error)) => return write!(f, "failing: {error}"),
            Self::Failing(None) => "failing",
            Self::Suspended => "asked us to wait",
            Self::Unsupported => "not supported",
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds @ 1..120 => write!(f, "{seconds} s"),
            seconds => write!(f, "{} min", seconds / 60),
        }
    }
}
