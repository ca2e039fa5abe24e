//! The end of a session: an announce in flight may be answered, then `stopped` goes to every tracker that may list us,
//! in bounded time.

use std::time::Duration;

use super::announcing::{Announcing, Progress};
use super::book::TorrentBook;
use super::shared::Shared;
use crate::alert::{Alert, StopResult};
use crate::announce::{AnnounceResponse, Event};
use crate::error::{AnnounceError, TimeoutPhase};
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
    pending: Vec<StopAnnounce>,
    results: Vec<StopResult>,
}

/// An announce that is still under way when the session ends.
#[derive(Debug)]
struct InFlight {
    announcing: Box<Announcing>,
    /// Until when its answer is awaited.
    until: Timestamp,
}

/// `stopped` on its way to one tracker, or the `completed` that it has to be sent before that.
#[derive(Debug)]
struct StopAnnounce {
    tracker: TrackerUrl,
    event: Event,
    /// `None` while it queues at its host.
    attempt: Option<StopAttempt>,
}

#[derive(Debug)]
struct StopAttempt {
    id: AttemptId,
    slot: Slot,
    stage: StopStage,
}

#[derive(Debug, PartialEq, Eq)]
enum StopStage {
    Opening,
    Open,
    Announcing,
}

impl Stopping {
    /// Begins the end of a session, which takes at most `limit`.
    pub(super) fn begin(
        announcing: Option<Box<Announcing>>,
        limit: Duration,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) -> Self {
        let mut stopping =
            Self { deadline: shared.now + limit, in_flight: None, pending: Vec::new(), results: Vec::new() };
        match announcing {
            Some(mut announcing) => {
                announcing.close(shared);
                // Half of the time is left for `stopped` itself.
                let until = shared.now + REPLY_PATIENCE.min(limit / 2);
                stopping.in_flight = Some(InFlight { announcing, until });
            }
            None => stopping.send(book, shared),
        }
        stopping
    }

    /// Ends by this moment at the latest, if it would end later.
    pub(super) fn hurry(&mut self, deadline: Timestamp) {
        self.deadline = self.deadline.min(deadline);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.until = in_flight.until.min(deadline);
        }
    }

    /// Goes on as far as possible, and gives how long it waits; `None` once the session has ended.
    pub(super) fn run(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) -> Option<Timestamp> {
        if let Some(in_flight) = &mut self.in_flight {
            match in_flight.announcing.run(book, shared) {
                Progress::Waits(wake) if shared.now < in_flight.until => {
                    return Some(wake.map_or(in_flight.until, |wake| wake.min(in_flight.until)));
                }
                Progress::Waits(_) => in_flight.announcing.abandon(book, shared),
                Progress::Ended(attempts) => {
                    for attempt in attempts {
                        shared.give_up(attempt.id, attempt.slot);
                    }
                    if in_flight.announcing.is_one_shot() {
                        return None;
                    }
                }
                Progress::Cancelled => {}
            }
            self.in_flight = None;
            self.send(book, shared);
        }
        self.announce(book, shared);
        if shared.now >= self.deadline {
            self.expire(book, shared);
        }
        (!self.pending.is_empty()).then_some(self.deadline)
    }

    /// The results of `stopped`, by tracker.
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

    /// Takes in the answer to a `stopped`, or its failure. There is one attempt for each, whatever its result.
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

    /// Takes in that a host grants the place that a `stopped` queued for. Gives it back if none did.
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

    /// Takes in that a host has removed us from its queue.
    pub(super) fn evicted(&mut self, host: &TrackerHost) {
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

    /// Doesn't count a time in which this process stood still.
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

    /// Opens a channel to each tracker that may list us.
    fn send(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) {
        let mut recipients = book.ledger.stop_recipients(&book.trackers, shared.now);
        recipients.retain(|tracker| !book.is_suspended(tracker, shared.now));
        if !recipients.is_empty() {
            shared.alert(Alert::Stopping { trackers: recipients.len() });
        }
        for tracker in recipients {
            // The tracker in use is sent the `completed` that is still due before `stopped`.
            let is_in_use = book.trackers.in_use() == Some(&tracker) && book.is_registered(&tracker);
            let owes_completed = is_in_use && book.ledger.owes_completed();
            let event = if owes_completed { Event::Completed } else { Event::Stopped };
            self.pending.push(StopAnnounce::new(tracker, event, shared));
        }
    }

    /// Announces on the channels that are open.
    fn announce(&mut self, book: &TorrentBook, shared: &mut Shared<'_>) {
        for StopAnnounce { tracker, event, attempt } in &mut self.pending {
            if let Some(attempt) = attempt.as_mut().filter(|attempt| attempt.stage == StopStage::Open) {
                attempt.stage = StopStage::Announcing;
                shared.announce(attempt.id, book.request(tracker, Some(*event)));
            }
        }
    }

    /// Gives up what isn't acknowledged at the deadline. The limit is ours, so nothing is learned about the hosts.
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
    fn new(tracker: TrackerUrl, event: Event, shared: &mut Shared<'_>) -> Self {
        let mut announce = Self { tracker, event, attempt: None };
        let host = announce.tracker.host_key();
        if let Some(slot) = shared.hosts.admit(host, shared.torrent, Priority::Stopped, shared.now) {
            announce.open(slot, shared);
        }
        announce
    }

    fn is(&self, id: AttemptId) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.id == id)
    }

    fn open(&mut self, slot: Slot, shared: &mut Shared<'_>) {
        let id = shared.begin_attempt();
        self.attempt = Some(StopAttempt { id, slot, stage: StopStage::Opening });
        shared.open(id, self.tracker.clone());
    }

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
            let answered = Verdict::of(error).registered == Registered::No;
            book.ledger.failed(&mut book.trackers, tracker, answered);
            if let Some(record) = book.trackers.record_mut(tracker) {
                record.hint.failed(error, &book.config, shared.now);
            }
        }
    }
}
