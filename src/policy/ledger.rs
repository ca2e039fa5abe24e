//! Which event each tracker is owed: `started` until one accepts it, `completed` once, `stopped` to all that
//! know us.

use std::time::Duration;

use super::by_tracker::ByTracker;
use crate::announce::Event;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// Trackers keep a peer 15 to 45 minutes beyond its last announce (torrust 15, opentracker 45): after the
/// longer of this and two intervals nobody remembers us, and nobody is owed `stopped`.
const REMEMBERED: Duration = Duration::from_secs(45 * 60);

/// What one torrent has told its trackers in this session, and what it owes them.
///
/// The rules are those of the manual's *anatomy of a failover*: a tracker's first announce is `started`, and
/// never again once it accepted one, because private trackers take a second one for a new baseline of the
/// counters; `completed` goes out once, and never when the download was complete from the start; `stopped` goes
/// to every tracker that accepted any announce, and to one that may have.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    private: bool,
    completed: Debt,
    standings: ByTracker<Standing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Debt {
    /// Still downloading.
    #[default]
    NotYet,
    /// Complete, and no tracker has accepted that.
    Owed,
    /// A tracker knows, or there was nothing to tell: complete from the start.
    Paid,
}

#[derive(Debug, Clone, Default)]
struct Standing {
    /// Accepted an announce of ours, and hasn't accepted `stopped`.
    accepted: Option<Acceptance>,
    /// An announce is on its way.
    sent_at: Option<Timestamp>,
    /// Was sent one and never answered it, whatever it said later to another.
    maybe_since: Option<Timestamp>,
    tracker_id: Option<Box<[u8]>>,
}

#[derive(Debug, Clone, Copy)]
struct Acceptance {
    at: Timestamp,
    interval: Duration,
}

impl Ledger {
    /// A session's ledger. `complete` says whether the download is complete from the start, in which case
    /// `completed` is never sent (BEP 3).
    pub fn new(private: bool, complete: bool) -> Self {
        Self { private, completed: if complete { Debt::Paid } else { Debt::NotYet }, ..Self::default() }
    }

    /// Notes that the download has become complete. False where it was already, which changes nothing.
    pub fn complete(&mut self) -> bool {
        let first = self.completed == Debt::NotYet;
        if first {
            self.completed = Debt::Owed;
        }
        first
    }

    /// Notes that the download was found to be complete before anybody was told of it.
    pub fn was_complete(&mut self) {
        if self.completed == Debt::NotYet {
            self.completed = Debt::Paid;
        }
    }

    /// Whether some tracker has to be told that the download is complete.
    pub fn owes_completed(&self) -> bool {
        self.completed == Debt::Owed
    }

    /// The event that belongs into the next announce to this tracker.
    pub fn event_for(&self, tracker: &TrackerUrl) -> Option<Event> {
        if self.is_registered(tracker) {
            return (self.completed == Debt::Owed).then_some(Event::Completed);
        }
        // Addresses of one host name are mostly one tracker, for which a second `started` is a new baseline; on
        // a private torrent every other tracker may share the accounts. All trackers insert an unknown peer on
        // a plain announce.
        let introduced = self.standings.iter().any(|(other, standing)| {
            let sibling = tracker.is_named() && other.host() == tracker.host();
            standing.accepted.is_some() && (self.private || sibling)
        });
        if introduced { None } else { Some(Event::Started) }
    }

    /// Whether this tracker accepted an announce of this session.
    pub fn is_registered(&self, tracker: &TrackerUrl) -> bool {
        self.standings.get(tracker).is_some_and(|standing| standing.accepted.is_some())
    }

    /// Takes over what another session of the same torrent has told its trackers: they know both as one peer. What both
    /// were told stays as it is here, where it is the later word.
    pub(crate) fn take_over(&mut self, other: &mut Self) {
        for (tracker, standing) in other.standings.take() {
            let known = self.standings.get(&tracker);
            if !known.is_some_and(|known| known.accepted.is_some() || known.sent_at.is_some()) {
                self.standings.insert(tracker, standing);
            }
        }
    }

    /// When this tracker last accepted an announce of this session.
    pub fn accepted_at(&self, tracker: &TrackerUrl) -> Option<Timestamp> {
        Some(self.standings.get(tracker)?.accepted?.at)
    }

    /// The `tracker id` to be echoed to this tracker, and to no other.
    pub fn tracker_id(&self, tracker: &TrackerUrl) -> Option<&[u8]> {
        self.standings.get(tracker)?.tracker_id.as_deref()
    }

    /// Notes that an announce other than `stopped` is on its way: from here on the tracker may know us.
    pub fn sent(&mut self, tracker: &TrackerUrl, now: Timestamp) {
        let standing = self.standings.or_default(tracker);
        standing.maybe_since = standing.sent_at.replace(now).or(standing.maybe_since);
    }

    /// Notes that a tracker accepted an announce with this event. `left` is what the announce said.
    pub fn accepted(
        &mut self,
        tracker: &TrackerUrl,
        event: Option<Event>,
        left: Option<u64>,
        interval: Duration,
        now: Timestamp,
    ) {
        let first = !self.is_registered(tracker);
        let standing = self.standings.or_default(tracker);
        (standing.sent_at, standing.maybe_since) = (None, None);
        if event == Some(Event::Stopped) {
            standing.accepted = None;
            return;
        }
        standing.accepted = Some(Acceptance { at: now, interval });
        let says_complete = event == Some(Event::Completed) || (first && left == Some(0));
        if says_complete && self.completed == Debt::Owed {
            self.completed = Debt::Paid;
        }
    }

    /// Keeps the `tracker id` of an answer; one without leaves the last in force.
    pub fn keep_tracker_id(&mut self, tracker: &TrackerUrl, tracker_id: Option<&[u8]>) {
        if let Some(tracker_id) = tracker_id {
            self.standings.or_default(tracker).tracker_id = Some(tracker_id.into());
        }
    }

    /// Notes that an announce came to nothing. `answered` tells a refusal, after which the tracker certainly
    /// doesn't know us by it, from silence, after which it may.
    pub fn failed(&mut self, tracker: &TrackerUrl, answered: bool) {
        if let Some(standing) = self.standings.get_mut(tracker) {
            let sent_at = standing.sent_at.take();
            if !answered {
                standing.maybe_since = sent_at.or(standing.maybe_since);
            }
        }
    }

    /// Who is owed `stopped` at the end of the session.
    pub fn stop_recipients(&self, now: Timestamp) -> Vec<TrackerUrl> {
        let owed = self.standings.iter().filter(|(_, standing)| {
            let accepted = standing.accepted.is_some_and(|accepted| {
                now.since(accepted.at) < REMEMBERED.max(accepted.interval.saturating_mul(2))
            });
            let told_at = standing.sent_at.max(standing.maybe_since);
            accepted || told_at.is_some_and(|told_at| now.since(told_at) < REMEMBERED)
        });
        owed.map(|(tracker, _)| tracker.clone()).collect()
    }

    /// Notes that `stopped` was sent: one try, whatever comes of it.
    pub fn stopped(&mut self, tracker: &TrackerUrl) {
        if let Some(standing) = self.standings.get_mut(tracker) {
            (standing.accepted, standing.sent_at, standing.maybe_since) = (None, None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1800);

    fn url(host: &str) -> TrackerUrl {
        format!("http://{host}/announce").parse().unwrap()
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(secs))
    }

    fn announce(ledger: &mut Ledger, tracker: &TrackerUrl, left: u64) -> Option<Event> {
        let event = ledger.event_for(tracker);
        ledger.sent(tracker, at(0));
        ledger.accepted(tracker, event, Some(left), INTERVAL, at(0));
        event
    }

    /// R20 and R29: `started` goes to the one that accepts it, and never twice to it.
    #[test]
    fn started_until_accepted_and_never_again() {
        let mut ledger = Ledger::new(false, false);
        assert_eq!(ledger.event_for(&url("a")), Some(Event::Started));
        ledger.sent(&url("a"), at(0));
        ledger.failed(&url("a"), false);
        assert_eq!(ledger.event_for(&url("a")), Some(Event::Started));
        assert_eq!(announce(&mut ledger, &url("b"), 10), Some(Event::Started));
        assert_eq!(announce(&mut ledger, &url("b"), 10), None);
        ledger.failed(&url("b"), true);
        assert_eq!(ledger.event_for(&url("b")), None, "not after a failure either");
        assert_eq!(ledger.event_for(&url("a")), Some(Event::Started), "independent trackers each hear it");
    }

    #[test]
    fn siblings_of_a_host_and_trackers_of_a_private_torrent_are_introduced_once() {
        let mut ledger = Ledger::new(false, false);
        announce(&mut ledger, &url("a:80"), 10);
        announce(&mut ledger, &url("127.0.0.1:80"), 10);
        assert_eq!(ledger.event_for(&url("a:81")), None);
        assert_eq!(ledger.event_for(&url("127.0.0.1:81")), Some(Event::Started), "an address is no name");
        assert_eq!(ledger.event_for(&url("b")), Some(Event::Started));
        let mut private = Ledger::new(true, false);
        announce(&mut private, &url("a"), 10);
        assert_eq!(private.event_for(&url("b")), None);
    }

    /// R23: `completed` once. R27: never when complete from the start.
    #[test]
    fn completed_once_and_never_from_the_start() {
        let mut ledger = Ledger::new(false, false);
        announce(&mut ledger, &url("a"), 10);
        assert!(ledger.complete() && !ledger.complete());
        assert_eq!(announce(&mut ledger, &url("a"), 0), Some(Event::Completed));
        assert_eq!(announce(&mut ledger, &url("a"), 0), None);
        assert!(!ledger.owes_completed() && !ledger.complete());
        let mut seed = Ledger::new(false, true);
        assert!(!seed.complete());
        assert_eq!(announce(&mut seed, &url("a"), 0), Some(Event::Started));
        assert_eq!(announce(&mut seed, &url("a"), 0), None);
    }

    #[test]
    fn a_fresh_tracker_hears_started_with_nothing_left_in_place_of_completed() {
        let mut ledger = Ledger::new(false, false);
        announce(&mut ledger, &url("a"), 10);
        ledger.complete();
        assert_eq!(announce(&mut ledger, &url("b"), 0), Some(Event::Started));
        assert!(!ledger.owes_completed());
        assert_eq!(ledger.event_for(&url("a")), None);
    }

    #[test]
    fn an_unanswered_completed_stays_owed() {
        let mut ledger = Ledger::new(false, false);
        announce(&mut ledger, &url("a"), 10);
        ledger.complete();
        ledger.sent(&url("a"), at(1));
        ledger.failed(&url("a"), false);
        assert_eq!(ledger.event_for(&url("a")), Some(Event::Completed));
    }

    /// R21 and R22: `stopped` to all that acknowledged or may have, to nobody else, and once.
    #[test]
    fn stopped_to_all_that_know_us() {
        let mut ledger = Ledger::new(false, false);
        announce(&mut ledger, &url("acked"), 10);
        announce(&mut ledger, &url("left"), 10);
        ledger.sent(&url("maybe"), at(0));
        ledger.failed(&url("maybe"), false);
        ledger.sent(&url("refused"), at(0));
        ledger.failed(&url("refused"), true);
        assert_eq!(ledger.stop_recipients(at(10)), [url("acked"), url("left"), url("maybe")]);
        assert_eq!(ledger.stop_recipients(at(3599)), [url("acked"), url("left")], "a maybe expires first");
        assert_eq!(ledger.stop_recipients(at(3600)), [], "after two intervals nobody remembers");
        ledger.stopped(&url("left"));
        assert_eq!(ledger.stop_recipients(at(10)), [url("acked"), url("maybe")]);
        ledger.sent(&url("maybe"), at(11));
        ledger.failed(&url("maybe"), true);
        assert_eq!(
            ledger.stop_recipients(at(12)),
            [url("acked"), url("maybe")],
            "a refusal takes back no other"
        );
    }

    /// R28: a tracker id goes back to the tracker that gave it.
    #[test]
    fn a_tracker_id_belongs_to_its_tracker() {
        let mut ledger = Ledger::new(false, false);
        ledger.keep_tracker_id(&url("a"), Some(b"one"));
        ledger.keep_tracker_id(&url("a"), None);
        assert_eq!(ledger.tracker_id(&url("a")), Some(&b"one"[..]));
        assert_eq!(ledger.tracker_id(&url("b")), None);
    }
}
