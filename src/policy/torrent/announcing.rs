//! A round under way: which trackers it opens and announces to, how it queues at hosts, and how it ends.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, SentAnnounce, Stage};
use super::book::TorrentBook;
use super::candidates::{Candidate, Candidates};
use super::idle::wait_in_line;
use super::peer_supply::address_number;
use super::queue::Queue;
use super::round::{Round, Step};
use super::round_kind::RoundKind;
use super::shared::Shared;
use super::stragglers::Stragglers;
use crate::alert::{Alert, Announced};
use crate::announce::{AnnounceResponse, Event};
use crate::error::{AnnounceError, FailedAttempt, RoundError, TimeoutPhase};
use crate::policy::hosts::{Failed, Priority, REPLY_PATIENCE, REPLY_PATIENCE_FLOOR, Slot, Urgency};
use crate::policy::io::{AttemptId, Output};
use crate::policy::tracker_set::Listed;
use crate::policy::url_interner::UrlInterner;
use crate::policy::verdict::{TrackerNews, Verdict};
use crate::time::Timestamp;
use crate::tracker::{AddressFamily, Scheme, TrackerHost, TrackerUrl};

/// How long the first announce waits for a probe to be answered before it goes by the list. Living trackers mostly answer
/// within 0.4 s. With seven of eight silent, 95 of 100 starts took 1.6 s; with 1 s it was 2.5 s.
const PROBE_HEAD_START: Duration = Duration::from_millis(500);

/// How often a round that queues at a host checks what else it has under way.
const QUEUE_CHECK: Duration = Duration::from_secs(1);

/// How soon a round may follow one that failed, even if hosts allow more: their own back-off is what limits rounds.
const ROUND_GAP: Duration = Duration::from_secs(1);

/// A round under way.
#[derive(Debug)]
pub(super) struct Announcing {
    /// Its attempts, and what to do next.
    round: Round,
    /// Why it is made.
    kind: RoundKind,
    /// When it began.
    began_at: Timestamp,
    /// The busy hosts that it waits for.
    queue: Queue,
    /// Whether another announce follows at once, because the user requested one meanwhile.
    announce_again: bool,
    /// The attempts that were still under way when the round ended; `None` until then.
    ended: Option<Vec<Attempt>>,
}

/// How a round goes on.
#[derive(Debug)]
pub(super) enum Progress {
    /// It waits until this moment, or until something happens.
    Waits(Option<Timestamp>),
    /// It has ended, and these attempts are still under way.
    Ended(Vec<Attempt>),
    /// It was cancelled before its first attempt, and the announce deferred.
    Cancelled,
}

impl Announcing {
    /// Begins a round, at the tracker in use or at the one that the torrent goes back to.
    pub(super) fn begin(kind: RoundKind, book: &mut TorrentBook, shared: &mut Shared<'_>) -> Self {
        book.rounds += 1;
        book.trackers.begin_round();
        if matches!(kind, RoundKind::Scheduled) {
            // Only a scheduled round goes back: if the tracker fails after all, no user waits.
            book.fail_back(shared.now);
        }
        // The first tracker to answer its probe is the nearest one, so a start waits for it for a moment instead of
        // going by the list. If a tracker is known to answer there is nothing to wait for.
        let is_measuring = book.trackers.is_any_probing() && !book.trackers.has_answer();
        let hold_until = is_measuring.then(|| shared.now + PROBE_HEAD_START);
        // For the alert only. Which event is sent is decided when a channel is open, since another tracker may win.
        let event = match kind.one_shot() {
            Some(request) => request.event,
            None => Candidates::new(book, &kind, shared.hosts, shared.now)
                .first(&BTreeSet::new())
                .and_then(|first| book.sent_event_for(&first.tracker)),
        };
        shared.alert(Alert::Announcing { event, left: book.torrent.transfer.left });
        let round = Round::new(hold_until);
        Self::new(round, kind, shared.now)
    }

    /// Begins a round beside the tracker in use.
    pub(super) fn begin_beside(now: Timestamp) -> Self {
        Self::new(Round::new(None), RoundKind::Beside, now)
    }

    fn new(round: Round, kind: RoundKind, began_at: Timestamp) -> Self {
        Self { round, kind, began_at, queue: Queue::default(), announce_again: false, ended: None }
    }

    /// Whether it is beside the tracker in use.
    pub(super) fn is_beside(&self) -> bool {
        self.kind.is_beside()
    }

    /// Ends a round beside the tracker in use, because that one is due. Gives the announces that were sent: they may be
    /// answered all the same.
    pub(super) fn give_way(&mut self, shared: &mut Shared<'_>) -> Vec<Attempt> {
        self.close(shared);
        self.queue.end(shared);
        self.round.end().0
    }

    /// Takes all steps that can be taken now. An earlier announce to the same tracker that is still unanswered is given
    /// up for the one that this round sends.
    pub(super) fn run(
        &mut self,
        book: &mut TorrentBook,
        earlier: &mut Stragglers,
        shared: &mut Shared<'_>,
    ) -> Progress {
        let progress = self.take_steps(book, earlier, shared);
        // A slot that isn't used would hold a place at its host for ever, and a queue that isn't left would admit an
        // attempt that isn't made any more.
        self.queue.give_back(shared);
        if !matches!(progress, Progress::Waits(_)) {
            self.queue.leave(shared);
        }
        progress
    }

    /// Makes another announce follow this one.
    pub(super) fn announce_again(&mut self) {
        self.announce_again = true;
    }

    /// Whether it is the one announce of a torrent that has no session.
    pub(super) fn is_one_shot(&self) -> bool {
        self.kind.one_shot().is_some()
    }

    /// How many trackers were tried.
    pub(super) fn tried(&self) -> usize {
        self.round.tried()
    }

    /// Whether a tracker is being contacted.
    pub(super) fn is_contacting(&self, tracker: &TrackerUrl) -> bool {
        self.round.attempts().iter().any(|attempt| attempt.tracker == *tracker)
    }

    /// Notes that probes were answered, or that all have ended: the first opening waits no longer.
    pub(super) fn release(&mut self) {
        self.round.release();
    }

    /// Notes that a channel is open.
    pub(super) fn opened(&mut self, id: AttemptId, shared: &mut Shared<'_>) {
        if let Some(attempt) = self.round.attempt_mut(id) {
            shared.hosts.opened(&mut attempt.slot, shared.now);
        }
        self.round.opened(id, shared.now);
    }

    /// Takes in the answer to an announce, which ends the round.
    pub(super) fn replied(
        &mut self,
        id: AttemptId,
        response: AnnounceResponse,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) {
        let Some((attempt, sent)) = self.round.take_announced(id) else { return };
        let (tracker, reason) = (attempt.tracker.clone(), attempt.reason);
        let (moved_from, interval) = if self.is_beside() {
            (None, book.answered_beside(attempt, sent, &response, shared))
        } else {
            book.answered(attempt, sent, &response, shared)
        };
        let attempts = self.round.tried();
        let (others, failed) = self.round.end();
        // An announce that was sent may still register us there, so that `stopped` is due (R21); a silent opening
        // shows whether its host is dead. An opening within its patience shows nothing, and is closed.
        let is_straggler = |other: &Attempt| other.sent().is_some() || other.is_silent();
        let (stragglers, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_straggler);
        for other in others {
            shared.give_up(other.id, other.slot);
        }
        // BEP 3 sends `completed` when the download completes: it waits for no interval (R84).
        if !self.is_beside() && (self.announce_again || is_completed_due(book, &tracker, sent)) {
            book.schedule.request(shared.now);
        }
        let due = match book.trackers.record(&tracker).filter(|_| self.is_beside()) {
            Some(record) => Some(record.answers.due()),
            None => book.schedule.due(),
        };
        let next_announce = due.map_or(Duration::ZERO, |due| due.since(shared.now));
        let announced = Arc::new(Announced {
            tracker: tracker.clone(),
            event: sent.event,
            reason,
            response,
            took: shared.now.since(self.began_at),
            attempts,
            failed,
            moved_from,
            interval,
            next_announce,
        });
        shared.alert(Alert::Announced(Arc::clone(&announced)));
        book.warn(&tracker, announced.response.warning.as_deref(), shared);
        if self.is_beside() {
            self.ended = Some(stragglers);
        } else {
            self.end(Ok(announced), stragglers, book, shared);
        }
    }

    /// Takes in the failure of an attempt.
    pub(super) fn failed(
        &mut self,
        id: AttemptId,
        error: AnnounceError,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) {
        let Some(attempt) = self.round.failed(id, error.clone()) else { return };
        let tracker = attempt.tracker.clone();
        if book.failed(attempt, &error, shared) {
            self.round.try_again(&tracker);
        }
        // A tracker that was cancelled, or failed because of this machine, keeps its place in the order (R86).
        if book.trackers.failure(&tracker).is_some_and(|failure| failure.news != TrackerNews::Nothing) {
            book.trackers.record_failure(&tracker);
        }
        shared.alert(Alert::Failed { tracker, error });
    }

    /// Takes in that a host has admitted the round, which queued for it.
    pub(super) fn admitted(&mut self, slot: Slot) {
        // Its trackers may have been passed by since.
        self.round.come_back_to(slot.host());
        self.queue.granted(slot);
    }

    /// Takes in that a host has removed the round from its queue, because it is silent or doubted.
    pub(super) fn evicted(&mut self, host: &TrackerHost) {
        self.queue.evicted(host);
    }

    /// Gives up the attempts at trackers that were removed from the list.
    pub(super) fn drop_removed(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) {
        let attempts = self.round.attempts().iter();
        let removed = attempts.filter(|attempt| book.trackers.tier_of(&attempt.tracker).is_none());
        for id in removed.map(|attempt| attempt.id).collect::<Vec<_>>() {
            self.skip(id, AnnounceError::Cancelled, book, shared);
        }
    }

    /// Gives up all openings, and begins anew by the order in force. Announces that were sent go on.
    pub(super) fn end_race(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) {
        self.queue.end(shared);
        for attempt in self.round.restart() {
            shared.give_up(attempt.id, attempt.slot);
        }
        book.trackers.begin_round();
    }

    /// Starts no further attempts, because the session ends. Announces that were sent may still be answered.
    pub(super) fn close(&mut self, shared: &mut Shared<'_>) {
        // Nothing was sent on these channels, so no tracker lists us because of them.
        for attempt in self.round.close() {
            shared.give_up(attempt.id, attempt.slot);
        }
    }

    /// Gives up everything that is under way, and ends the round without an answer.
    pub(super) fn abandon(&mut self, book: &TorrentBook, shared: &mut Shared<'_>) {
        self.queue.end(shared);
        if self.is_beside() {
            for attempt in self.round.end().0 {
                shared.give_up(attempt.id, attempt.slot);
            }
            self.ended = Some(Vec::new());
            return;
        }
        let (attempts, mut failed) = self.round.end();
        for attempt in attempts {
            failed.push(FailedAttempt { tracker: attempt.tracker.clone(), error: AnnounceError::Cancelled });
            shared.give_up(attempt.id, attempt.slot);
        }
        self.end(Err(Arc::new(RoundError::failed(failed))), Vec::new(), book, shared);
    }

    /// Leaves out of account a time in which this process stood still.
    pub(super) fn extend(&mut self, gap: Duration) {
        self.round.extend(gap);
    }

    /// Takes in the address to which the channel of an attempt leads.
    pub(super) fn reached(&mut self, id: AttemptId, address: SocketAddr) {
        if let Some(attempt) = self.round.attempt_mut(id)
            && attempt.tracker.scheme() == Scheme::Udp
        {
            attempt.address = Some(address_number(address.ip(), address.port()));
        }
    }

    /// Takes in that the tracker of an attempt has addresses of another family than the one that its channel uses.
    pub(super) fn reachable_over(&mut self, id: AttemptId, family: AddressFamily, urls: &mut UrlInterner) {
        if let Some(attempt) = self.round.attempt_mut(id)
            && attempt.tracker.family().is_none()
        {
            attempt.second = Some(urls.shared(&attempt.tracker.over(family)));
        }
    }

    /// The opening with this id.
    pub(super) fn opening_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        self.round.attempt_mut(id).filter(|attempt| attempt.stage == Stage::Opening)
    }

    /// Takes step after step until the round has to wait or has ended.
    fn take_steps(
        &mut self,
        book: &mut TorrentBook,
        earlier: &mut Stragglers,
        shared: &mut Shared<'_>,
    ) -> Progress {
        loop {
            if let Some(stragglers) = self.ended.take() {
                return Progress::Ended(stragglers);
            }
            let candidates = Candidates::new(book, &self.kind, shared.hosts, shared.now);
            match self.round.next_step(&candidates, &book.config, shared.now) {
                Step::Open(first) => {
                    // A slot that was granted is used, whatever the order has become meanwhile. A round that returned
                    // it, to queue at a better tracker, could go from queue to queue for ever.
                    let granted = self.queue.granted_by();
                    let granted = granted.and_then(|host| self.round.candidate_at(host, &candidates));
                    let candidate = granted.unwrap_or(first);
                    let of = self.round.total(&candidates);
                    let is_idle = self.round.attempts().is_empty();
                    let priority = self.priority(&candidate.tracker, book, shared.now);
                    if let Some(slot) = self.queue.admit(candidate.tracker.host_key(), priority, shared) {
                        self.queue.leave(shared);
                        self.open(candidate, slot, of, book, shared);
                    } else if !self.pass_by(&candidate.tracker, book, shared) {
                        // Attempts under way may reach their limits meanwhile, and another tracker may become a
                        // candidate.
                        let check = shared.now + QUEUE_CHECK;
                        let limit = self.queue_limit(book).map(|limit| limit.max(check));
                        return Progress::Waits(if is_idle { limit } else { Some(check) });
                    }
                }
                Step::Announce(id) => {
                    if let Some(until) = book.counters_awaited(shared) {
                        return Progress::Waits(Some(until));
                    }
                    self.announce(id, book, earlier, shared);
                }
                Step::Silent(id) => self.silent(id, shared),
                Step::Stalled(id) => self.stalled(id, book, shared),
                Step::Expired(id, phase) => {
                    shared.close(id);
                    self.failed(id, AnnounceError::TimedOut(phase), book, shared);
                }
                Step::Wait(wake) => return Progress::Waits(wake),
                Step::Exhausted if self.is_beside() => {
                    // The tracker in use works, so this is no failed round, and no back-off grows.
                    self.round.end();
                    return Progress::Ended(Vec::new());
                }
                Step::Exhausted if self.is_untimely(book, shared) => {
                    // A round without an attempt is no failed round: the back-off doesn't grow, and its number is
                    // free.
                    book.rounds -= 1;
                    return Progress::Cancelled;
                }
                Step::Exhausted => self.fail(book, shared),
            }
        }
    }

    /// How urgent an attempt is, if others queue at its host.
    fn priority(&self, tracker: &TrackerUrl, book: &TorrentBook, now: Timestamp) -> Priority {
        // A tracker at which we aren't registered gets `started` in place of `completed`, with the priority of that.
        // A torrent that its tracker refuses goes behind those that are served, unless the user requested the
        // announce.
        let is_requested = matches!(self.kind, RoundKind::Requested | RoundKind::OneShot(_));
        match book.urgency(&self.kind, now) {
            _ if book.event_for(tracker) == Some(Event::Completed) => Priority::Completed,
            _ if self.is_beside() => Priority::Beside,
            _ if book.is_refused_by(tracker) && !is_requested => Priority::Retry,
            Urgency::Urgent if book.wants_to_download() || is_requested => Priority::WantsPeers,
            _ => Priority::Regular,
        }
    }

    /// Opens a channel to a tracker.
    fn open(
        &mut self,
        candidate: Candidate,
        slot: Slot,
        of: usize,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) {
        let tracker = candidate.tracker.clone();
        if !self.is_beside() && book.is_any_held_back(shared.now) {
            // Only then: the whole order costs more than the rest of the decision.
            self.note_forbidden(Some(&tracker), book, shared);
        }
        let from = self.round.last_tried().cloned();
        let id = shared.begin_attempt();
        let patience = shared.hosts.open_patience(slot.host(), book.urgency(&self.kind, shared.now));
        // If the host is in back-off this attempt is the trial, and the other torrents wait for its outcome.
        shared.hosts.tried(&slot, book.is_refused_by(&tracker), shared.now);
        let reason = candidate.reason;
        self.round.start(id, candidate, slot, patience, shared.now);
        if self.is_beside() {
            shared.alert(Alert::AttemptBeside { tracker: tracker.clone(), reason });
            shared.open(id, tracker);
            return;
        }
        book.trackers.point_at(&tracker);
        if !std::mem::replace(&mut book.reported_first, true) {
            let latency = book.trackers.latency(&tracker);
            shared.alert(Alert::Selected { tracker: tracker.clone(), latency });
        }
        if let Some(from) = from {
            shared.alert(Alert::Switching { from, to: tracker.clone() });
        }
        shared.alert(Alert::AttemptStarted { tracker: tracker.clone(), attempt: self.round.tried(), of });
        shared.open(id, tracker);
    }

    /// Passes by a tracker if the round has queued at its host for as long as an opening may take: the host is
    /// overrun, or announces that it doesn't answer hold its slots. The round keeps its place in that queue, and
    /// takes whichever host admits it first. Without that hosts stood idle in a start of 5,000 torrents (R85).
    fn pass_by(&mut self, tracker: &TrackerUrl, book: &TorrentBook, shared: &Shared<'_>) -> bool {
        if self.queue_limit(book).is_none_or(|limit| limit > shared.now) {
            return false;
        }
        let candidates = Candidates::new(book, &self.kind, shared.hosts, shared.now);
        self.round.pass_by(tracker, &candidates)
    }

    /// Until when the round waits in its last queue before it tries another tracker as well.
    fn queue_limit(&self, book: &TorrentBook) -> Option<Timestamp> {
        self.queue.joined_at().map(|joined_at| joined_at + book.config.limits.open_limit)
    }

    /// Announces on a channel that is open.
    fn announce(
        &mut self,
        id: AttemptId,
        book: &mut TorrentBook,
        earlier: &mut Stragglers,
        shared: &mut Shared<'_>,
    ) {
        let Some(attempt) = self.round.attempt(id) else { return };
        let tracker = attempt.tracker.clone();
        earlier.give_up_at(&tracker, shared);
        if !self.is_one_shot()
            && !Candidates::new(book, &self.kind, shared.hosts, shared.now).is_allowed(&tracker)
        {
            // While its channel opened, a late answer of this tracker to an earlier announce has asked us to wait.
            return self.skip(id, AnnounceError::Suspended, book, shared);
        }
        if let Some(address) = attempt.address {
            if self.is_beside() && book.is_known_address(&tracker, address, shared.now) {
                // The same tracker under another name would count us twice.
                if let Some(record) = book.trackers.record_mut(&tracker) {
                    record.answers.is_alias(shared.now);
                }
                if let Some(attempt) = self.round.take(id) {
                    shared.give_up(id, attempt.slot);
                }
                return;
            }
            if let Some(record) = book.trackers.record_mut(&tracker) {
                record.answers.keep_address(address);
            }
        }
        let request = match self.kind.one_shot() {
            Some(request) => request.clone(),
            None => book.request(&tracker, book.sent_event_for(&tracker)),
        };
        // Trackers that share their peers would count a second `completed` or `stopped` beside the first.
        // Without a race (private torrents, BEP 12 as written) no second tracker is announced to either.
        let may_hedge = book.config.race && !matches!(request.event, Some(Event::Completed | Event::Stopped));
        let urgency = book.urgency(&self.kind, shared.now);
        let patience = shared.hosts.reply_patience(tracker.host_key(), urgency);
        let patience = may_hedge.then_some((patience, REPLY_PATIENCE_FLOOR));
        // From here on the tracker may list us, even if no answer ever comes.
        book.ledger.sent(&mut book.trackers, &tracker, shared.now);
        book.counting.written();
        self.round.announced(id, &request, patience, shared.now);
        shared.announce(id, request);
    }

    /// Notes that an opening has been silent for longer than its patience.
    fn silent(&mut self, id: AttemptId, shared: &mut Shared<'_>) {
        if let Some(attempt) = self.round.attempt_mut(id) {
            // Until it ends, other torrents go elsewhere: one waits for a dead host, not three hundred.
            shared.hosts.silent(&mut attempt.slot, shared.now);
            let waited = shared.now.since(attempt.started_at());
            let tracker = attempt.tracker.clone();
            shared.alert(Alert::NoResponse { tracker, waited });
        }
    }

    /// Notes that an announce isn't answered in time. Another tracker is tried beside it, unless that was done at
    /// this host seconds ago: if a host stalls under load, all its torrents would announce twice.
    fn stalled(&mut self, id: AttemptId, book: &TorrentBook, shared: &mut Shared<'_>) {
        let random = shared.random();
        let Some(attempt) = self.round.attempt_mut(id) else { return };
        let tracker = attempt.tracker.clone();
        let failed = Failed {
            verdict: Verdict::of(&AnnounceError::TimedOut(TimeoutPhase::Reply)),
            tracker: &tracker,
            before: book.is_refused_by(&tracker),
            random,
        };
        // The same evidence as the time-out that may follow, only earlier.
        let may_hedge = shared.hosts.stalled(&mut attempt.slot, &failed, shared.now);
        let waited = shared.now.since(attempt.started_at());
        if may_hedge {
            self.round.hedge(id);
            shared.alert(Alert::NoResponse { tracker, waited });
        } else {
            self.round.wait_on(id, shared.now + REPLY_PATIENCE);
        }
    }

    /// Gives up an attempt because its tracker may not be announced to any more. That is no evidence about it.
    fn skip(&mut self, id: AttemptId, error: AnnounceError, book: &mut TorrentBook, shared: &mut Shared<'_>) {
        let Some(attempt) = self.round.failed(id, error.clone()) else { return };
        let tracker = attempt.tracker.clone();
        if attempt.sent().is_some() {
            // It may list us all the same, so it is sent `stopped` at the end.
            book.ledger.failed(&mut book.trackers, &tracker, false);
        }
        shared.give_up(id, attempt.slot);
        shared.alert(Alert::Failed { tracker, error });
    }

    /// Whether a round has to be cancelled in which no tracker could be tried, because all hosts went into back-off
    /// while it was queued.
    fn is_untimely(&self, book: &TorrentBook, shared: &Shared<'_>) -> bool {
        if self.round.tried() > 0 || self.kind.ignores_intervals() || self.round.is_closing() {
            return false;
        }
        // If the probes at the start found all hosts dead, they were this round's attempts, and the user waits for
        // its result.
        let has_failed = |(_, record): Listed<'_>| record.is_some_and(|record| record.failure.is_some());
        if book.rounds == 1 && book.trackers.supported_with_records().all(has_failed) {
            return false;
        }
        let first = Candidates::new(book, &self.kind, shared.hosts, shared.now).first_earliest();
        first.is_some_and(|first| first > shared.now)
    }

    /// Ends the round because every tracker failed, and plans the next one.
    fn fail(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) {
        self.note_forbidden(None, book, shared);
        // The error names every tracker, those too whose hosts are in back-off after an earlier failure.
        for (tracker, record) in book.trackers.supported_with_records() {
            let failure =
                record.and_then(|record| record.failure.as_ref()).map(|failure| failure.error.clone());
            self.round.skipped(tracker.clone(), failure.unwrap_or(AnnounceError::Suspended));
        }
        let (_, attempts) = self.round.end();
        let error = Arc::new(RoundError::failed(attempts));
        book.trackers.begin_round();
        if !self.round.is_closing() {
            // First, because the torrent's own back-off decides when each tracker may be announced to again. If every
            // tracker asked for no further announce, none is due until the list changes.
            book.round_failed(error.attempts(), shared);
            let candidates = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, shared.now);
            let first = candidates.first_earliest();
            wait_in_line(book, shared);
            book.schedule.defer(first.map(|first| first.max(shared.now + ROUND_GAP)));
            if self.announce_again {
                book.schedule.request(shared.now);
            }
            let retry_in = book.schedule.due().map(|due| due.since(shared.now));
            shared.alert(Alert::RoundFailed { error: Arc::clone(&error), retry_in });
        }
        self.end(Err(error), Vec::new(), book, shared);
    }

    /// Notes, for the round's error, which trackers are left out because of their hints: those before `next` in
    /// failover order, or all without it.
    fn note_forbidden(&mut self, next: Option<&TrackerUrl>, book: &TorrentBook, shared: &Shared<'_>) {
        let candidates = Candidates::new(book, &self.kind, shared.hosts, shared.now);
        for tracker in candidates.forbidden_before(next) {
            self.round.skipped(tracker, AnnounceError::Suspended);
        }
    }

    /// Ends the round with its result.
    fn end(
        &mut self,
        result: Result<Arc<Announced>, Arc<RoundError>>,
        stragglers: Vec<Attempt>,
        book: &TorrentBook,
        shared: &mut Shared<'_>,
    ) {
        shared.outputs.push_back(Output::RoundEnded { torrent: shared.torrent, round: book.rounds, result });
        self.ended = Some(stragglers);
    }
}

/// Whether the download became complete during the round, so that its tracker has to be sent `completed`.
fn is_completed_due(book: &TorrentBook, tracker: &TrackerUrl, sent: SentAnnounce) -> bool {
    book.event_for(tracker) == Some(Event::Completed)
        && sent.event != Some(Event::Completed)
        && book.is_automatic()
}
