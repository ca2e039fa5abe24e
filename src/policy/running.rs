//! What a round does next: when it begins, whom it asks, and how it waits for a gate.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;

use super::hosts::{Failed, Outcome, Priority, Slot, Urgency};
use super::io::{AttemptId, Output};
use super::round::{Candidate, Candidates, Round, Step};
use super::session::{Context, Queueing, Session};
use super::stopping::Phase;
use super::verdict::Verdict;
use crate::alert::Alert;
use crate::announce::{AnnounceRequest, Event};
use crate::error::{AnnounceError, TimeoutPhase as TimedPhase};
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// How often a session that queues looks after what else it has under way.
const QUEUE_LOOK: Duration = Duration::from_secs(1);

impl Session {
    pub(super) fn begin_due_round(&mut self, context: &mut Context<'_>) {
        if self.round.is_some() || !self.is_due(context.now) || self.is_put_off(context) {
            return;
        }
        self.forced = self.schedule.begun();
        self.told_put_off = false;
        self.again = false;
        self.round_number += 1;
        self.trackers.begin_round();
        if let Some(home) = self.home.as_mut().filter(|home| home.is_ready())
            && !self.forced
            && self.trackers.tier_of(home.tracker()).is_some()
        {
            // The one in use until now is the next in line.
            self.trackers.return_to(home.tracker());
            home.returned(context.now);
        }
        self.drop_late(context);
        let measuring = !self.probing.is_empty() && !self.trackers.has_answer();
        self.round =
            Some(Box::new(Round::new(measuring.then(|| context.now + self.config.probe_head_start))));
        let next = || self.candidates(context.hosts, context.now).first(&BTreeSet::new());
        let due = || next().and_then(|next| self.ledger.event_for(&next.tracker));
        let event = self.once.as_ref().map_or_else(due, |request| request.event);
        context.alert(self.id, Alert::Announcing { event, left: self.torrent.transfer.left });
    }

    /// Puts the round that is due off where no tracker may be announced to yet.
    pub(super) fn is_put_off(&mut self, context: &mut Context<'_>) -> bool {
        let now = context.now;
        if self.schedule.is_forced() || self.once.is_some() {
            return false;
        }
        let first = self.first_earliest(context.hosts, now).filter(|first| *first > now);
        let Some(first) = first else { return false };
        let first = self.defer(context).unwrap_or(first);
        if !std::mem::replace(&mut self.told_put_off, true) {
            let reason = self.deferral(context.hosts, now);
            context.alert(self.id, Alert::Deferred { reason, retry_in: first.since(now) });
        }
        true
    }

    /// Puts the announce off until some tracker may be announced to, which is when its place in line allows.
    fn defer(&mut self, context: &mut Context<'_>) -> Option<Timestamp> {
        self.wait_in_line(context.hosts, context.now);
        let first = self.first_earliest(context.hosts, context.now);
        self.schedule.put_off(first);
        first
    }

    /// Brings an announce forward that was put off, where a tracker may be asked sooner than was known then.
    pub(super) fn look_again(&mut self, context: &mut Context<'_>) {
        let Some(due) = self.schedule.due().filter(|_| self.schedule.is_deferred()) else { return };
        if due > context.now
            && let Some(first) = self.first_earliest(context.hosts, context.now)
            && first < due
        {
            self.schedule.put_off(Some(first.max(context.now)));
        }
    }

    pub(super) fn run_round(&mut self, context: &mut Context<'_>) {
        loop {
            let Some(mut round) = self.round.take() else {
                return self.give_up_queueing(context);
            };
            let (step, of) = {
                let candidates = self.candidates(context.hosts, context.now);
                let step = round.next_step(&candidates, &self.config, context.now);
                let of = if let Step::Open(_) = step { round.total(&candidates) } else { 0 };
                (step, of)
            };
            let round = self.round.insert(round);
            match step {
                Step::Open(candidate) => {
                    let under_way = !round.attempts().is_empty();
                    if let Some(slot) = self.slot(&candidate.tracker, context) {
                        self.give_up_queueing(context);
                        self.note_suspended(Some(&candidate.tracker), context.now);
                        self.open(candidate, slot, of, context);
                    } else if !self.pass_by(&candidate.tracker, context) {
                        // Whatever else is under way has limits that may pass meanwhile, and another tracker may
                        // become eligible.
                        let look = context.now + QUEUE_LOOK;
                        let limit = self.queue_limit().map(|limit| limit.max(look));
                        return self.wake_at(if under_way { Some(look) } else { limit });
                    }
                }
                Step::Announce(id) => self.announce(id, context),
                Step::Silent(id) => {
                    if let Some(attempt) = round.attempt_mut(id) {
                        context.hosts.silent(&mut attempt.slot, context.now);
                        let waited = context.now.since(attempt.started_at());
                        let tracker = attempt.tracker.clone();
                        context.alert(self.id, Alert::NoResponse { tracker, waited });
                    }
                }
                Step::Stalled(id) => self.stalled(id, context),
                Step::Expired(id, phase) => {
                    context.close(id);
                    self.fail_attempt(id, AnnounceError::TimedOut(phase), context);
                }
                Step::Wait(wake) => return self.wake_at(wake),
                Step::Exhausted if self.is_postponed(context) => return,
                Step::Exhausted => {
                    self.note_suspended(None, context.now);
                    return self.round_failed(context);
                }
            }
        }
    }

    /// Goes on to another tracker where we have queued for this one for as long as an opening may take: its host is
    /// overrun, or its places are held by announces that nothing answers. Our place in that queue is kept.
    fn pass_by(&mut self, tracker: &TrackerUrl, context: &mut Context<'_>) -> bool {
        if self.queue_limit().is_none_or(|limit| limit > context.now) {
            return false;
        }
        let Some(mut round) = self.round.take() else { return false };
        let passes = round.pass_by(tracker, &self.candidates(context.hosts, context.now));
        self.round = Some(round);
        passes
    }

    /// Until when we queue at one host more.
    fn queue_limit(&self) -> Option<Timestamp> {
        self.queueing.as_ref().map(|queueing| queueing.since + self.config.open_limit)
    }

    /// An announce isn't answered in time: another tracker is tried beside it, but not too often at one host.
    fn stalled(&mut self, id: AttemptId, context: &mut Context<'_>) {
        let attempt = self.round.as_ref().and_then(|round| round.attempt(id));
        let Some(tracker) = attempt.map(|attempt| attempt.tracker.clone()) else { return };
        let failed = Failed {
            verdict: Verdict::of(&AnnounceError::TimedOut(TimedPhase::Reply)),
            tracker: &tracker,
            before: self.is_refused_by(&tracker),
            random: context.random.random(),
        };
        let Some(round) = &mut self.round else { return };
        let Some(attempt) = round.attempt_mut(id) else { return };
        let may_hedge = context.hosts.stalled(&mut attempt.slot, &failed, context.now);
        let waited = context.now.since(attempt.started_at());
        if may_hedge {
            round.hedge(id);
            context.alert(self.id, Alert::NoResponse { tracker, waited });
        } else {
            round.wait_on(id, context.now + self.config.reply_patience);
        }
    }

    /// Permission to try a tracker's host. Where there is none yet we queue, and are called when it is our turn.
    fn slot(&mut self, tracker: &TrackerUrl, context: &mut Context<'_>) -> Option<Slot> {
        let host = tracker.host_key();
        if let Some(slot) = self.admitted.take_if(|slot| slot.host() == host) {
            return Some(*slot);
        }
        if self.queueing.as_ref().is_some_and(|queueing| queueing.hosts.contains(host)) {
            return None;
        }
        let priority = match self.urgency() {
            _ if self.ledger.owes_completed() && self.ledger.is_registered(tracker) => Priority::Completed,
            _ if self.is_refused_by(tracker) && !self.forced => Priority::Retry,
            Urgency::Urgent if self.torrent.transfer.left != Some(0) || self.forced => Priority::WantsPeers,
            _ => Priority::Regular,
        };
        let slot = context.hosts.admit(host, self.id, priority, context.now);
        if slot.is_none() {
            let mut hosts = self.queueing.take().map(|queueing| queueing.hosts).unwrap_or_default();
            hosts.push(host.clone());
            self.queueing = Some(Box::new(Queueing { hosts, since: context.now }));
        }
        slot
    }

    /// Takes a round back in which no tracker could be tried, because all hosts went into back-off while we queued.
    pub(super) fn is_postponed(&mut self, context: &mut Context<'_>) -> bool {
        let untouched = self.round.as_ref().is_some_and(|round| round.tried() == 0);
        if !untouched || self.forced || self.once.is_some() || self.phase != Phase::Running {
            return false;
        }
        // Where the probes of the start found all hosts dead, they were this round's tries, and somebody waits
        // for what came of it.
        let has_failed = |tracker| self.failures.contains_key(tracker);
        if self.round_number == 1 && self.trackers.supported_trackers().all(has_failed) {
            return false;
        }
        let postponed =
            self.first_earliest(context.hosts, context.now).is_some_and(|first| first > context.now);
        if postponed {
            self.round = None;
            self.round_number -= 1;
            self.defer(context);
        }
        postponed
    }

    /// A host in whose queue we were has fallen silent, or is doubted.
    pub(crate) fn evicted(&mut self, host: &TrackerHost) {
        if let Some(queueing) = &mut self.queueing {
            queueing.hosts.retain(|other| other != host);
        }
    }

    /// It is our turn at a host.
    pub(crate) fn admitted(&mut self, slot: Slot, context: &mut Context<'_>) {
        self.evicted(slot.host());
        if let Some(round) = self.round.as_mut().filter(|_| self.phase == Phase::Running) {
            round.come_back_to(slot.host());
            self.admitted = Some(Box::new(slot));
            self.run_round(context);
            if let Some(slot) = self.admitted.take() {
                // It isn't wanted any more.
                context.hosts.finished(*slot, Outcome::Unused, context.now);
            }
        } else {
            self.farewell_admitted(slot, context);
        }
    }

    pub(super) fn give_up_queueing(&mut self, context: &mut Context<'_>) {
        for host in self.queueing.take().map(|queueing| queueing.hosts).unwrap_or_default() {
            context.hosts.leave_queue(&host, self.id, context.now);
        }
    }

    /// Notes in the round those trackers that would have been asked before `next` (or at all) and may not be.
    pub(super) fn note_suspended(&mut self, next: Option<&TrackerUrl>, now: Timestamp) {
        if next.is_some() && !self.schedule.binds_anybody(now) {
            return; // As nearly always, and the order of all costs more than the rest of a decision.
        }
        let order = self.trackers.failover_order().into_iter();
        let before = order.take_while(|tracker| Some(*tracker) != next);
        let skipped: Vec<TrackerUrl> =
            before.filter(|tracker| !self.may_be_asked(tracker, now)).cloned().collect();
        let Some(round) = &mut self.round else { return };
        for tracker in skipped {
            round.skipped(tracker, AnnounceError::Suspended);
        }
        if next.is_none() {
            // Everybody is named, those too whose hosts are left alone after an earlier failure.
            for tracker in self.trackers.supported_trackers() {
                let failure = self.failures.get(tracker).map(|failure| failure.error.clone());
                let error = failure.unwrap_or(AnnounceError::Suspended);
                round.skipped(tracker.clone(), error);
            }
        }
    }

    pub(super) fn open(&mut self, candidate: Candidate, slot: Slot, of: usize, context: &mut Context<'_>) {
        let urgency = self.urgency();
        let is_refused = self.is_refused_by(&candidate.tracker);
        let Some(round) = &mut self.round else { return };
        let tracker = candidate.tracker.clone();
        let from = round.last_tried().cloned();
        let attempt = context.attempts.begin(self.id);
        let patience = context.hosts.open_patience(slot.host(), urgency, context.now);
        context.hosts.tried(&slot, is_refused, context.now);
        round.start(attempt, candidate, slot, patience, context.now);
        let number = round.tried();
        self.trackers.point_at(&tracker);
        if !std::mem::replace(&mut self.selected, true) {
            let latency = self.trackers.latency(&tracker);
            context.alert(self.id, Alert::Selected { tracker: tracker.clone(), latency });
        }
        if let Some(from) = from {
            context.alert(self.id, Alert::Switching { from, to: tracker.clone() });
        }
        context.alert(self.id, Alert::AttemptStarted { tracker: tracker.clone(), attempt: number, of });
        context.outputs.push_back(Output::Open { attempt, tracker });
    }

    pub(super) fn announce(&mut self, id: AttemptId, context: &mut Context<'_>) {
        let Some(attempt) = self.round.as_ref().and_then(|round| round.attempt(id)) else { return };
        let tracker = attempt.tracker.clone();
        if self.once.is_none() && !self.may_be_asked(&tracker, context.now) {
            // A late answer has changed what is due to it while its channel opened.
            return self.skip_attempt(id, AnnounceError::Suspended, context);
        }
        let request = match &self.once {
            Some(request) => (**request).clone(),
            None => self.request(&tracker, self.ledger.event_for(&tracker)),
        };
        // A second announce beside one of these would be counted twice by trackers that share their peers.
        let patient = !self.config.race || matches!(request.event, Some(Event::Completed | Event::Stopped));
        let patience = context.hosts.reply_patience(tracker.host_key(), self.urgency());
        let patience = (!patient).then_some((patience, self.config.reply_patience_floor));
        self.ledger.sent(&tracker, context.now);
        if let Some(round) = &mut self.round {
            round.announced(id, request.event, request.transfer, patience, context.now);
        }
        context.outputs.push_back(Output::Announce { attempt: id, request: Box::new(request) });
    }

    pub(super) fn request(&self, tracker: &TrackerUrl, event: Option<Event>) -> AnnounceRequest {
        let torrent = &self.torrent;
        let mut request = AnnounceRequest::new(torrent.info_hash, torrent.peer_id, torrent.port);
        request.transfer = torrent.transfer;
        request.event = event;
        request.num_want = if event == Some(Event::Stopped) { Some(0) } else { torrent.num_want };
        request.key = torrent.key;
        request.ip = torrent.ip;
        request.tracker_id = self.ledger.tracker_id(tracker).map(Vec::from);
        request
    }
}
