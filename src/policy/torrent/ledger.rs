//! Which event each tracker is sent: `started` until one accepts it, `completed` once, `stopped` to all that may list
//! us.

use std::time::Duration;

use crate::announce::{AnnounceResponse, Event};
use crate::policy::config::AnnounceTo;
use crate::policy::tracker_set::{Registration, TrackerSet};
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// The events that one torrent still has to send, and what its trackers accepted in this session (BEP 3).
///
/// Each tracker's first announce is `started`, until it accepts one, and never again: private trackers take a second
/// `started` as a new baseline of the counters (R29). `completed` is sent once, and never if the download was
/// complete from the start. `stopped` is sent to every tracker that accepted an announce or may have.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Whether the torrent is private (BEP 27).
    private: bool,
    /// Whether each tracker is sent `completed`, and not only one of them: each counts for itself.
    each: bool,
    /// Whether `completed` is still to be sent.
    completion: Completion,
    /// Trackers that were removed from the list and may list us: they are sent `stopped` as well.
    removed: Vec<(TrackerUrl, Registration)>,
}

/// Whether `completed` has to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Completion {
    /// The download isn't complete.
    #[default]
    NotYet,
    /// It is complete, and a tracker that is to be sent that hasn't accepted it.
    Due,
    /// All that are to be sent it have accepted it, or the download was complete from the start.
    Sent,
}

impl Ledger {
    /// The ledger of a session. With `left` 0 the download is complete from the start, so `completed` is never sent
    /// (BEP 3).
    pub fn new(trackers: &TrackerSet, left: Option<u64>) -> Self {
        let completion = if left == Some(0) { Completion::Sent } else { Completion::NotYet };
        let each = trackers.announce_to() != AnnounceTo::One;
        Self { private: trackers.is_private(), each, completion, removed: Vec::new() }
    }

    /// Notes that the torrent is private: one tracker at a time is announced to.
    pub(crate) fn become_private(&mut self) {
        (self.private, self.each) = (true, false);
    }

    /// Notes that the download has become complete. Changes nothing and gives `false` if it was already.
    pub fn complete(&mut self) -> bool {
        let is_first = self.completion == Completion::NotYet;
        if is_first {
            self.completion = Completion::Due;
        }
        is_first
    }

    /// Notes that the download was found to be complete before the first announce, so that `completed` is never sent.
    pub fn was_complete(&mut self) {
        if self.completion == Completion::NotYet {
            self.completion = Completion::Sent;
        }
    }

    /// Whether the download is complete and a tracker is still to be sent that.
    pub fn owes_any_completed(&self) -> bool {
        self.completion == Completion::Due
    }

    /// Whether this tracker is still to be sent `completed`. Of a cluster only one is: they would count it twice.
    pub fn owes_completed(&self, trackers: &TrackerSet, tracker: &TrackerUrl) -> bool {
        let registration = self.registration(trackers, tracker);
        let is_duplicate =
            || trackers.record(tracker).is_some_and(|record| record.answers.is_known_duplicate());
        self.completion == Completion::Due
            && registration.is_some_and(|known| known.is_registered() && !known.knows_completed())
            && !is_duplicate()
    }

    /// The event of the next announce to this tracker.
    pub fn event_for(&self, trackers: &TrackerSet, tracker: &TrackerUrl) -> Option<Event> {
        if self.is_registered(trackers, tracker) {
            return self.owes_completed(trackers, tracker).then_some(Event::Completed);
        }
        // URLs with one host name are mostly one tracker, for which a second `started` would be a new baseline (R29),
        // and all trackers of a private torrent may share their accounts. Trackers add an unknown peer on a plain
        // announce. Over another address family it is another list of peers, or another peer of one list.
        let is_known_there = trackers
            .records()
            .map(|(other, record)| (other, &record.registration))
            .chain(self.removed.iter().map(|(other, registration)| (other, registration)))
            .any(|(other, registration)| {
                let is_sibling = tracker.is_named()
                    && other.host() == tracker.host()
                    && other.family() == tracker.family();
                registration.is_registered() && (self.private || is_sibling)
            });
        if is_known_there { None } else { Some(Event::Started) }
    }

    /// Whether this tracker accepted an announce of this session.
    pub fn is_registered(&self, trackers: &TrackerSet, tracker: &TrackerUrl) -> bool {
        self.registration(trackers, tracker).is_some_and(Registration::is_registered)
    }

    /// The `tracker id` to be sent back to this tracker.
    pub fn tracker_id<'a>(&'a self, trackers: &'a TrackerSet, tracker: &TrackerUrl) -> Option<&'a [u8]> {
        self.registration(trackers, tracker)?.tracker_id()
    }

    /// Notes that an announce other than `stopped` is on its way: from here on the tracker may list us.
    pub fn sent(&mut self, trackers: &mut TrackerSet, tracker: &TrackerUrl, now: Timestamp) {
        self.registration_mut(trackers, tracker).sent(now);
    }

    /// Notes that a tracker accepted an announce with this event and this `left`.
    pub fn accepted(
        &mut self,
        trackers: &mut TrackerSet,
        tracker: &TrackerUrl,
        (event, left): (Option<Event>, Option<u64>),
        interval: Duration,
        now: Timestamp,
    ) {
        let is_first = !self.is_registered(trackers, tracker);
        self.registration_mut(trackers, tracker).accepted(event, interval, now);
        // A first announce with nothing left stands for `completed`, which trackers refuse from a peer that they
        // don't list.
        let says_complete = event == Some(Event::Completed) || (is_first && left == Some(0));
        if says_complete && event != Some(Event::Stopped) && self.completion == Completion::Due {
            self.registration_mut(trackers, tracker).keep_completed();
            let is_owed = |other: &TrackerUrl, registration: &Registration| {
                registration.needs_stopped(now) && self.owes_completed(trackers, other)
            };
            if !self.each || !trackers.records().any(|(other, record)| is_owed(other, &record.registration)) {
                self.completion = Completion::Sent;
            }
        }
    }

    /// Keeps the `tracker id` of an answer; one without leaves the last in force.
    pub fn keep_tracker_id(
        &mut self,
        trackers: &mut TrackerSet,
        tracker: &TrackerUrl,
        response: &AnnounceResponse,
    ) {
        if let Some(tracker_id) = response.tracker_id.as_deref() {
            self.registration_mut(trackers, tracker).keep_tracker_id(tracker_id);
        }
    }

    /// Notes that an announce failed. After a refusal (`answered`) the tracker certainly doesn't list us because of
    /// this announce; after silence it may.
    pub fn failed(&mut self, trackers: &mut TrackerSet, tracker: &TrackerUrl, answered: bool) {
        if self.registration(trackers, tracker).is_some() {
            self.registration_mut(trackers, tracker).failed(answered);
        }
    }

    /// The trackers that are sent `stopped` at the end of the session.
    pub fn stop_recipients(&self, trackers: &TrackerSet, now: Timestamp) -> Vec<TrackerUrl> {
        let listed = trackers.records().map(|(tracker, record)| (tracker, &record.registration));
        let removed = self.removed.iter().map(|(tracker, registration)| (tracker, registration));
        let recipients = listed.chain(removed).filter(|(_, registration)| registration.needs_stopped(now));
        let mut recipients: Vec<TrackerUrl> = recipients.map(|(tracker, _)| tracker.clone()).collect();
        recipients.sort();
        recipients.dedup();
        recipients
    }

    /// Notes that `stopped` was sent: one try, whatever its result.
    pub fn stopped(&mut self, trackers: &mut TrackerSet, tracker: &TrackerUrl) {
        if self.registration(trackers, tracker).is_some() {
            self.registration_mut(trackers, tracker).stopped();
        }
    }

    /// Changes the list of trackers, and remembers the registrations at those that are removed by it.
    pub fn change_trackers(&mut self, trackers: &mut TrackerSet, change: impl FnOnce(&mut TrackerSet)) {
        let known = trackers.records().filter(|(_, record)| !record.registration.is_empty());
        let mut known: Vec<(TrackerUrl, Registration)> =
            known.map(|(tracker, record)| (tracker.clone(), record.registration.clone())).collect();
        change(trackers);
        known.append(&mut self.removed);
        for (tracker, registration) in known {
            match trackers.record_mut(&tracker) {
                Some(record) => record.registration = registration,
                None => self.removed.push((tracker, registration)),
            }
        }
    }

    /// Takes over what another session of the same torrent and peer id has sent its trackers, because they know both
    /// as one peer. If both have announced to a tracker, this session's own state stays: it is the later one.
    pub(crate) fn take_over(&mut self, trackers: &mut TrackerSet, other: &mut Self, others: &mut TrackerSet) {
        let listed = others
            .records_mut()
            .map(|(tracker, record)| (tracker.clone(), std::mem::take(&mut record.registration)));
        let all: Vec<_> = listed.chain(other.removed.drain(..)).collect();
        for (tracker, registration) in all {
            let known = self.registration(trackers, &tracker);
            if !registration.is_empty() && !known.is_some_and(Registration::is_current) {
                *self.registration_mut(trackers, &tracker) = registration;
            }
        }
    }

    /// The registration at a tracker, also if the tracker was removed from the list.
    fn registration<'a>(
        &'a self,
        trackers: &'a TrackerSet,
        tracker: &TrackerUrl,
    ) -> Option<&'a Registration> {
        let removed = || self.removed.iter().find(|(other, _)| other == tracker);
        trackers
            .record(tracker)
            .map(|record| &record.registration)
            .or_else(|| removed().map(|(_, registration)| registration))
    }

    /// The same, to change it, made if there is none.
    fn registration_mut<'a>(
        &'a mut self,
        trackers: &'a mut TrackerSet,
        tracker: &TrackerUrl,
    ) -> &'a mut Registration {
        if let Some(record) = trackers.record_mut(tracker) {
            return &mut record.registration;
        }
        let place = self.removed.iter().position(|(other, _)| other == tracker).unwrap_or_else(|| {
            self.removed.push((tracker.clone(), Registration::default()));
            self.removed.len() - 1
        });
        &mut self.removed[place].1
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

    /// A ledger with its trackers, called by host.
    struct Books {
        ledger: Ledger,
        trackers: TrackerSet,
    }

    impl Books {
        fn new(hosts: &[&str], private: bool, left: u64) -> Self {
            let trackers = TrackerSet::new([hosts.iter().map(|host| url(host))]);
            let trackers = trackers.with_announce_to(AnnounceTo::One);
            let trackers = if private { trackers.private() } else { trackers };
            Self { ledger: Ledger::new(&trackers, Some(left)), trackers }
        }

        fn event_for(&self, host: &str) -> Option<Event> {
            self.ledger.event_for(&self.trackers, &url(host))
        }

        fn sent(&mut self, host: &str, now: Timestamp) {
            self.ledger.sent(&mut self.trackers, &url(host), now);
        }

        fn failed(&mut self, host: &str, answered: bool) {
            self.ledger.failed(&mut self.trackers, &url(host), answered);
        }

        fn announce(&mut self, host: &str, left: u64) -> Option<Event> {
            let event = self.event_for(host);
            self.sent(host, at(0));
            self.ledger.accepted(&mut self.trackers, &url(host), (event, Some(left)), INTERVAL, at(0));
            event
        }

        fn stop_recipients(&self, secs: u64) -> Vec<TrackerUrl> {
            self.ledger.stop_recipients(&self.trackers, at(secs))
        }
    }

    /// R20 and R29: `started` goes to the one that accepts it, and never twice to it.
    #[test]
    fn started_until_accepted_and_never_again() {
        let mut books = Books::new(&["a", "b"], false, 10);
        assert_eq!(books.event_for("a"), Some(Event::Started));
        books.sent("a", at(0));
        books.failed("a", false);
        assert_eq!(books.event_for("a"), Some(Event::Started));
        assert_eq!(books.announce("b", 10), Some(Event::Started));
        assert_eq!(books.announce("b", 10), None);
        books.failed("b", true);
        assert_eq!(books.event_for("b"), None, "not after a failure either");
        assert_eq!(books.event_for("a"), Some(Event::Started), "independent trackers each get it");
    }

    #[test]
    fn siblings_of_a_host_and_trackers_of_a_private_torrent_get_started_once() {
        let mut books = Books::new(&["a:80", "a:81", "127.0.0.1:80", "127.0.0.1:81", "b"], false, 10);
        books.announce("a:80", 10);
        books.announce("127.0.0.1:80", 10);
        assert_eq!(books.event_for("a:81"), None);
        assert_eq!(books.event_for("127.0.0.1:81"), Some(Event::Started), "an address is no name");
        assert_eq!(books.event_for("b"), Some(Event::Started));
        let mut private = Books::new(&["a", "b"], true, 10);
        private.announce("a", 10);
        assert_eq!(private.event_for("b"), None);
    }

    /// R23: `completed` once. R27: never when complete from the start.
    #[test]
    fn completed_once_and_never_from_the_start() {
        let mut books = Books::new(&["a"], false, 10);
        books.announce("a", 10);
        assert!(books.ledger.complete() && !books.ledger.complete());
        assert_eq!(books.announce("a", 0), Some(Event::Completed));
        assert_eq!(books.announce("a", 0), None);
        assert!(!books.ledger.owes_any_completed() && !books.ledger.complete());
        let mut seed = Books::new(&["a"], false, 0);
        assert!(!seed.ledger.complete());
        assert_eq!(seed.announce("a", 0), Some(Event::Started));
        assert_eq!(seed.announce("a", 0), None);
    }

    #[test]
    fn a_new_tracker_gets_started_with_nothing_left_in_place_of_completed() {
        let mut books = Books::new(&["a", "b"], false, 10);
        books.announce("a", 10);
        books.ledger.complete();
        assert_eq!(books.announce("b", 0), Some(Event::Started));
        assert!(!books.ledger.owes_any_completed());
        assert_eq!(books.event_for("a"), None);
    }

    #[test]
    fn each_tracker_is_sent_completed_if_each_counts_for_itself() {
        let mut books = Books::new(&["a", "b", "c"], false, 10);
        books.ledger = Ledger::new(&books.trackers.clone().with_announce_to(AnnounceTo::All), Some(10));
        books.announce("a", 10);
        books.announce("b", 10);
        books.ledger.complete();
        assert_eq!(books.announce("a", 0), Some(Event::Completed));
        assert_eq!((books.event_for("a"), books.event_for("b")), (None, Some(Event::Completed)));
        assert_eq!(books.announce("c", 0), Some(Event::Started));
        assert_eq!(books.announce("b", 0), Some(Event::Completed));
        assert!(!books.ledger.owes_any_completed());
    }

    #[test]
    fn an_unanswered_completed_is_sent_again() {
        let mut books = Books::new(&["a"], false, 10);
        books.announce("a", 10);
        books.ledger.complete();
        books.sent("a", at(1));
        books.failed("a", false);
        assert_eq!(books.event_for("a"), Some(Event::Completed));
    }

    /// R21 and R22: `stopped` to all that acknowledged or may have, to no other tracker, and once.
    #[test]
    fn stopped_goes_to_all_that_may_list_us() {
        let mut books = Books::new(&["acked", "left", "maybe", "refused"], false, 10);
        books.announce("acked", 10);
        books.announce("left", 10);
        books.sent("maybe", at(0));
        books.failed("maybe", false);
        books.sent("refused", at(0));
        books.failed("refused", true);
        assert_eq!(books.stop_recipients(10), [url("acked"), url("left"), url("maybe")]);
        assert_eq!(books.stop_recipients(3599), [url("acked"), url("left")], "a maybe expires first");
        assert_eq!(books.stop_recipients(3600), [], "after two intervals every tracker has dropped us");
        books.ledger.stopped(&mut books.trackers, &url("left"));
        assert_eq!(books.stop_recipients(10), [url("acked"), url("maybe")]);
        books.sent("maybe", at(11));
        books.failed("maybe", true);
        assert_eq!(books.stop_recipients(12), [url("acked"), url("maybe")], "a refusal takes back no other");
    }

    #[test]
    fn a_removed_tracker_is_sent_stopped_and_gets_no_second_started_when_it_returns() {
        let mut books = Books::new(&["a", "b"], false, 10);
        books.announce("a", 10);
        books.ledger.change_trackers(&mut books.trackers, |trackers| assert!(trackers.remove(&url("a"))));
        assert_eq!(books.stop_recipients(10), [url("a")]);
        books.ledger.change_trackers(&mut books.trackers, |trackers| assert!(trackers.add(0, url("a"))));
        assert_eq!((books.event_for("a"), books.stop_recipients(10)), (None, vec![url("a")]));
        assert!(books.ledger.removed.is_empty());
    }

    /// R28: a tracker id goes back to the tracker that gave it.
    #[test]
    fn a_tracker_id_belongs_to_its_tracker() {
        let Books { mut ledger, mut trackers } = Books::new(&["a", "b"], false, 10);
        for tracker_id in [Some(b"one".to_vec()), None] {
            let response = AnnounceResponse { tracker_id, ..AnnounceResponse::default() };
            ledger.keep_tracker_id(&mut trackers, &url("a"), &response);
        }
        assert_eq!(ledger.tracker_id(&trackers, &url("a")), Some(&b"one"[..]));
        assert_eq!(ledger.tracker_id(&trackers, &url("b")), None);
    }
}
