//! The end of a session: an announce in flight may be answered, then `stopped` goes to every tracker that may list
//! us, in bounded time.

use std::time::Duration;

use super::announcing::{Announcing, Progress};
use super::book::TorrentBook;
use super::shared::Shared;
use super::stragglers::Stragglers;
use crate::alert::{Alert, StopResult};
use crate::announce::{AnnounceResponse, Event};
use crate::error::{AnnounceError, TimeoutPhase};
use crate::policy::config::AnnounceTo;
use crate::policy::hosts::{Failed, Outcome, Priority, REPLY_PATIENCE, Slot};
use crate::policy::io::AttemptId;
use crate::policy::verdict::{Registered, Verdict};
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// A session that ends.
#[derive(Debug)]
pub(super) struct Stopping {
    /// When it ends at the latest, whatever has been acknowledged.
    deadline: Timestamp,
    /// The announce in flight, which `stopped` must not overtake.
    in_flight: Option<InFlight>,
    /// Whether it is known which trackers are sent `stopped`.
    has_begun: bool,
    /// The announces of `stopped` that have no result yet.
    pending: Vec<StopAnnounce>,
    /// The trackers that were sent `stopped`, each with its result.
    results: Vec<StopResult>,
}

/// An announce that is still under way when the session ends.
#[derive(Debug)]
struct InFlight {
    /// Its round.
    announcing: Box<Announcing>,
    /// Until when its answer is awaited.
    until: Timestamp,
}

/// `stopped` on its way to one tracker, or the `completed` that it has to be sent before that.
#[derive(Debug)]
struct StopAnnounce {
    /// The tracker.
    tracker: TrackerUrl,
    /// `stopped`, or the `completed` before it.
    event: Event,
    /// The attempt; `None` while it queues at its host.
    attempt: Option<StopAttempt>,
}

/// The one attempt at a tracker.
#[derive(Debug)]
struct StopAttempt {
    /// Its id.
    id: AttemptId,
    /// The permission to use the host.
    slot: Slot,
    /// How far it is.
    stage: StopStage,
}

/// How far the attempt at a tracker is.
#[derive(Debug, PartialEq, Eq)]
enum StopStage {
    /// The channel is being opened.
    Opening,
    /// The channel is open, and nothing was sent on it.
    Open,
    /// The announce was sent.
    Announcing,
}

impl Stopping {
    /// Begins the end of a session, which takes at most `limit`.
    pub(super) fn begin(
        announcing: Option<Box<Announcing>>,
        limit: Duration,
        shared: &mut Shared<'_>,
    ) -> Self {
        let in_flight = announcing.map(|mut announcing| {
            // A tracker that reads `stopped` before the announce lists us until our entry expires. So the announce gets
            // as long as trackers that work need to answer, and half of the time is left for `stopped` itself.
            announcing.close(shared);
            InFlight { announcing, until: shared.now + REPLY_PATIENCE.min(limit / 2) }
        });
        let deadline = shared.now + limit;
        Self { deadline, in_flight, has_begun: false, pending: Vec::new(), results: Vec::new() }
    }

    /// Ends by this moment at the latest. Never later than was set before: an earlier caller may wait for that.
    pub(super) fn hurry(&mut self, deadline: Timestamp) {
        self.deadline = self.deadline.min(deadline);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.until = in_flight.until.min(deadline);
        }
    }

    /// Goes on as far as possible, and gives when to go on; `None` once the session has ended.
    pub(super) fn run(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) -> Option<Timestamp> {
        if let Some(in_flight) = &mut self.in_flight {
            match in_flight.announcing.run(book, &mut Stragglers::default(), shared) {
                Progress::Waits(wake) if shared.now < in_flight.until => {
                    return Some(wake.map_or(in_flight.until, |wake| wake.min(in_flight.until)));
                }
                // Not answered in its time. The tracker may list us because of it, and is sent `stopped` as well.
                Progress::Waits(_) => in_flight.announcing.abandon(book, shared),
                Progress::Ended(attempts) => {
                    // Their trackers are sent `stopped` all the same, since they may list us.
                    for attempt in attempts {
                        shared.give_up(attempt.id, attempt.slot);
                    }
                    if in_flight.announcing.is_one_shot() {
                        // Its caller decides which events are sent.
                        return None;
                    }
                }
                // No tracker was sent anything.
                Progress::Cancelled => {}
            }
            self.in_flight = None;
        }
        if !self.has_begun || self.has_open() {
            // The counters of the last announce are those that trackers keep.
            match book.counters_awaited(shared) {
                Some(until) if shared.now < self.deadline => return Some(until.min(self.deadline)),
                _ => {}
            }
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            self.send(book, shared);
        }
        self.announce(book, shared);
        if shared.now >= self.deadline {
            self.expire(book, shared);
        }
        (!self.pending.is_empty()).then_some(self.deadline)
    }

    /// Takes the results of `stopped` out.
    pub(super) fn results(&mut self) -> Vec<StopResult> {
        std::mem::take(&mut self.results)
    }

    /// The announce that is still under way.
    pub(super) fn announcing(&mut self) -> Option<&mut Announcing> {
        self.in_flight.as_mut().map(|in_flight| &mut *in_flight.announcing)
    }

    /// Notes that the channel of a `stopped` is open.
    pub(super) fn opened(&mut self, id: AttemptId) {
        let attempts = self.pending.iter_mut().filter_map(|pending| pending.attempt.as_mut());
        for attempt in attempts.filter(|attempt| attempt.id == id && attempt.stage == StopStage::Opening) {
            attempt.stage = StopStage::Open;
        }
    }

    /// Takes in the answer to a `stopped`, or its failure. Each tracker gets one attempt, whatever its result: there
    /// is no time for more, and a tracker drops by itself a peer that doesn't announce again.
    pub(super) fn finished(
        &mut self,
        id: AttemptId,
        result: Result<&AnnounceResponse, AnnounceError>,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) {
        let Some(place) = self.pending.iter().position(|pending| pending.is(id)) else { return };
        let StopAnnounce { tracker, event, attempt } = self.pending.remove(place);
        let Some(StopAttempt { slot, .. }) = attempt else { return };
        let verdict = result.as_ref().err().map(Verdict::of);
        // The other torrents learn from it (R89). Its times are no sample, since they weren't kept.
        let outcome = match verdict {
            None => Outcome::Alive,
            Some(verdict) => Outcome::Failed(Failed {
                verdict,
                tracker: &tracker,
                before: book.is_refused_by(&tracker),
                random: shared.random(),
            }),
        };
        shared.finish(id, slot, outcome);
        if event == Event::Completed {
            completed_finished(&tracker, &result, book, shared);
            // Whatever came of `completed`, the tracker lists us, unless it has just asked for no announce (BEP 31).
            if !book.is_suspended(&tracker, shared.now) {
                self.pending.push(StopAnnounce::new(tracker, Event::Stopped, shared));
            }
            return;
        }
        book.ledger.stopped(&mut book.trackers, &tracker);
        let result = result.map(|_| ());
        self.results.push(StopResult { tracker: tracker.clone(), result: result.clone() });
        shared.alert(Alert::Stopped { tracker, result });
    }

    /// Takes in that a host has admitted a `stopped` that queued for it. Returns the slot if there is none any more.
    pub(super) fn admitted(&mut self, slot: Slot, shared: &mut Shared<'_>) {
        let is_queued = |pending: &&mut StopAnnounce| {
            pending.attempt.is_none() && pending.tracker.host_key() == slot.host()
        };
        match self.pending.iter_mut().find(is_queued) {
            Some(pending) => pending.open(slot, shared),
            None => {
                let _ = shared.hosts.finished(slot, Outcome::Unused, shared.now);
            }
        }
    }

    /// Takes in that a host has removed the torrent from its queue.
    pub(super) fn evicted(&mut self, host: &TrackerHost) {
        // `stopped` is never removed: it has no other tracker to go to.
        if let Some(announcing) = self.announcing() {
            announcing.evicted(host);
        }
    }

    /// Gives up everything that is under way.
    pub(super) fn give_up(&mut self, book: &TorrentBook, shared: &mut Shared<'_>) {
        if let Some(mut in_flight) = self.in_flight.take() {
            in_flight.announcing.abandon(book, shared);
        }
        for pending in std::mem::take(&mut self.pending) {
            pending.give_up(shared);
        }
    }

    /// Leaves out of account a time in which this process stood still.
    pub(super) fn extend(&mut self, gap: Duration) {
        self.deadline = self.deadline + gap;
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.until = in_flight.until + gap;
            in_flight.announcing.extend(gap);
        }
        for attempt in self.pending.iter_mut().filter_map(|pending| pending.attempt.as_mut()) {
            attempt.slot.extend(gap);
        }
    }

    /// Opens a channel to each tracker that may list us, in parallel: one dead tracker delays no other (R49).
    fn send(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) {
        let mut recipients = book.ledger.stop_recipients(&book.trackers, shared.now);
        // A tracker that asked for no announce (BEP 31, `Retry-After`) gets none, `stopped` included.
        recipients.retain(|tracker| !book.is_suspended(tracker, shared.now));
        if !recipients.is_empty() {
            shared.alert(Alert::Stopping { trackers: recipients.len() });
        }
        for tracker in recipients {
            // The tracker in use is sent the `completed` that is still due before `stopped`, or it would never count
            // the download. Others only if each counts for itself: trackers that share their peers would count it twice.
            // One that was removed from the list is sent none: what it asks for isn't kept any more.
            let is_listed = book.trackers.tier_of(&tracker).is_some();
            let is_meant = book.trackers.in_use() == Some(&tracker)
                || is_listed && book.announce_to() != AnnounceTo::One;
            let owes_completed = is_meant && book.event_for(&tracker) == Some(Event::Completed);
            let event = if owes_completed { Event::Completed } else { Event::Stopped };
            self.pending.push(StopAnnounce::new(tracker, event, shared));
        }
    }

    /// Whether there is a channel to announce on.
    fn has_open(&self) -> bool {
        let mut attempts = self.pending.iter().filter_map(|pending| pending.attempt.as_ref());
        attempts.any(|attempt| attempt.stage == StopStage::Open)
    }

    /// Announces on the channels that are open.
    fn announce(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) {
        let is_any_open = self.has_open();
        for StopAnnounce { tracker, event, attempt } in &mut self.pending {
            if let Some(attempt) = attempt.as_mut().filter(|attempt| attempt.stage == StopStage::Open) {
                attempt.stage = StopStage::Announcing;
                shared.announce(attempt.id, book.request(tracker, Some(*event)));
            }
        }
        if is_any_open {
            book.counting.written();
        }
    }

    /// Gives up what isn't acknowledged at the deadline. The limit is ours, so it is no evidence about the hosts.
    fn expire(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) {
        for pending in std::mem::take(&mut self.pending) {
            let is_sent =
                pending.attempt.as_ref().is_some_and(|attempt| attempt.stage == StopStage::Announcing);
            let error =
                AnnounceError::TimedOut(if is_sent { TimeoutPhase::Reply } else { TimeoutPhase::Open });
            let tracker = pending.tracker.clone();
            pending.give_up(shared);
            book.ledger.stopped(&mut book.trackers, &tracker);
            self.results.push(StopResult { tracker: tracker.clone(), result: Err(error.clone()) });
            shared.alert(Alert::Stopped { tracker, result: Err(error) });
        }
    }
}

impl StopAnnounce {
    /// An announce that begins at once, or queues at its host before all others.
    fn new(tracker: TrackerUrl, event: Event, shared: &mut Shared<'_>) -> Self {
        // Without pace, because the process may end in three seconds, and the host gets nothing from this torrent
        // after it.
        let mut announce = Self { tracker, event, attempt: None };
        let host = announce.tracker.host_key();
        if let Some(slot) = shared.hosts.admit(host, shared.torrent, Priority::Stopped, shared.now) {
            announce.open(slot, shared);
        }
        announce
    }

    /// Whether its attempt has this id.
    fn is(&self, id: AttemptId) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.id == id)
    }

    /// Opens its channel.
    fn open(&mut self, slot: Slot, shared: &mut Shared<'_>) {
        let id = shared.begin_attempt();
        self.attempt = Some(StopAttempt { id, slot, stage: StopStage::Opening });
        shared.open(id, self.tracker.clone());
    }

    /// Gives up its attempt, or its place in the queue.
    fn give_up(self, shared: &mut Shared<'_>) {
        match self.attempt {
            Some(StopAttempt { id, slot, .. }) => shared.give_up(id, slot),
            None => shared.hosts.leave_queue(self.tracker.host_key(), shared.torrent, shared.now),
        }
    }
}

/// Takes in the result of the `completed` that goes before `stopped`.
fn completed_finished(
    tracker: &TrackerUrl,
    result: &Result<&AnnounceResponse, AnnounceError>,
    book: &mut TorrentBook,
    shared: &Shared<'_>,
) {
    match result {
        Ok(response) => {
            let interval = response.interval.unwrap_or(book.config.intervals.interval_default);
            let announced = (Some(Event::Completed), Some(0));
            book.ledger.accepted(&mut book.trackers, tracker, announced, interval, shared.now);
        }
        Err(error) => {
            // Not sent again: there is no time for a second attempt.
            let answered = Verdict::of(error).registered == Registered::No;
            book.ledger.failed(&mut book.trackers, tracker, answered);
            if let Some(record) = book.trackers.record_mut(tracker) {
                record.hint.failed(error, &book.config, shared.now);
            }
        }
    }
}
