//! What a round does next: when it begins, whom it asks, and how it waits for a gate.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;

use super::engine::{AttemptId, Output};
use super::gates::Class;
use super::health::Urgency;
use super::round::{Candidate, Candidates, Round, Step};
use super::session::{Context, Session};
use super::stopping::Phase;
use super::time::Timestamp;
use crate::alert::Alert;
use crate::announce::{AnnounceRequest, Event};
use crate::error::AnnounceError;
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
        let next = || self.candidates(context.health, context.now).first(&BTreeSet::new());
        let due = || next().and_then(|next| self.ledger.event_for(&next.tracker));
        let event = self.once.as_ref().map_or_else(due, |request| request.event);
        context.alert(self.id, Alert::Announcing { event, left: self.torrent.transfer.left });
    }

    /// Puts the round that is due off where every host is left alone, until one is not: one torrent found that
    /// out, and the others need not.
    pub(super) fn is_put_off(&mut self, context: &mut Context<'_>) -> bool {
        let now = context.now;
        if self.schedule.is_forced() || self.once.is_some() {
            return false;
        }
        if let Some(next_look) = context.health.next_look() {
            // Everything is down, and no tracker is to blame: one round at a time looks, whosever it is.
            if next_look > now {
                let scatter = Duration::from_secs(1).mul_f64(context.random.random());
                self.schedule.put_off(Some(next_look + scatter));
                return true;
            }
            context.health.look(context.random.random(), now);
            return false;
        }
        let first_free = self.first_free(now, context.health, now).filter(|first_free| *first_free > now);
        if let Some(first_free) = first_free {
            self.schedule.put_off(Some(first_free));
            if !std::mem::replace(&mut self.told_put_off, true) {
                context.alert(self.id, Alert::PutOff { retry_in: first_free.since(now) });
            }
        }
        first_free.is_some()
    }

    pub(super) fn run_round(&mut self, context: &mut Context<'_>) {
        loop {
            let Some(mut round) = self.round.take() else {
                return self.give_up_queueing(context);
            };
            let (step, of) = {
                let candidates = self.candidates(context.health, context.now);
                let step = round.next_step(&candidates, &self.config, context.now);
                let of = if let Step::Open(_) = step { round.total(&candidates) } else { 0 };
                (step, of)
            };
            let round = self.round.insert(round);
            match step {
                Step::Open(candidate) => {
                    let under_way = !round.attempts().is_empty();
                    if !self.is_let_in(&candidate.tracker, context) {
                        // Whatever else is under way has limits that may pass meanwhile.
                        return self.wake_at(under_way.then(|| context.now + QUEUE_LOOK));
                    }
                    self.note_suspended(Some(&candidate.tracker), context.now);
                    self.open(candidate, of, context);
                }
                Step::Announce(id) => self.announce(id, context),
                Step::Silent(id) => {
                    if let Some(attempt) = round.attempt(id) {
                        let waited = context.now.since(attempt.started_at);
                        let tracker = attempt.tracker.clone();
                        context.falls_silent(&tracker.tracker_host());
                        context.alert(self.id, Alert::Silent { tracker, waited });
                    }
                }
                Step::Stalled(id) => {
                    if let Some(attempt) = round.attempt(id) {
                        let host = attempt.tracker.tracker_host();
                        if context.health.may_hedge(&host, context.now) {
                            round.hedge(id);
                            context.falls_silent(&host);
                        } else {
                            round.wait_on(id, context.now + self.config.reply_patience);
                        }
                    }
                }
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

    /// Whether the gate of a tracker's host lets an attempt in. Where it doesn't, we are called when it does.
    pub(super) fn is_let_in(&mut self, tracker: &TrackerUrl, context: &mut Context<'_>) -> bool {
        let host = tracker.tracker_host();
        if self.called_by.as_deref() == Some(&host) {
            self.called_by = None;
            return true;
        }
        if self.queues_at.as_deref() == Some(&host) {
            return false;
        }
        self.give_up_queueing(context);
        let class = match self.urgency() {
            _ if self.ledger.owes_completed() && self.ledger.knows_us(tracker) => Class::Completed,
            Urgency::Urgent if self.torrent.transfer.left != Some(0) || self.forced => Class::WantsPeers,
            _ => Class::Regular,
        };
        let entered = context.gates.enter(&host, self.id, class, context.config, context.now);
        if !entered {
            self.queues_at = Some(Box::new(host));
        }
        entered
    }

    /// Takes a round back in which nobody could be tried, because all hosts came to be left alone while we queued.
    pub(super) fn is_postponed(&mut self, context: &mut Context<'_>) -> bool {
        let untouched = self.round.as_ref().is_some_and(|round| round.tried() == 0);
        if !untouched || self.forced || self.once.is_some() || self.phase != Phase::Running {
            return false;
        }
        // Where the probes of the start found everybody dead, they were this round's tries, and somebody waits
        // for what came of it.
        let has_failed = |tracker| self.errors.contains_key(tracker);
        if self.round_number == 1 && self.trackers.supported_trackers().all(has_failed) {
            return false;
        }
        let first_free = self.first_free(context.now, context.health, context.now);
        let postponed = first_free.is_some_and(|first_free| first_free > context.now);
        if postponed {
            self.round = None;
            self.round_number -= 1;
            self.schedule.put_off(first_free);
        }
        postponed
    }

    /// The host we queued at has fallen silent.
    pub(crate) fn sent_off(&mut self) {
        self.queues_at = None;
    }

    /// It is our turn at a host.
    pub(crate) fn called(&mut self, host: TrackerHost, context: &mut Context<'_>) {
        self.queues_at = None;
        if self.phase == Phase::Running && self.round.is_some() {
            self.called_by = Some(Box::new(host));
            self.run_round(context);
            if let Some(host) = self.called_by.take() {
                // It isn't wanted any more.
                context.gates.leave(&host, context.config, context.now);
            }
        } else {
            self.farewell_called(&host, context);
        }
    }

    pub(super) fn give_up_queueing(&mut self, context: &mut Context<'_>) {
        if let Some(host) = self.queues_at.take() {
            context.gates.give_up(&host, self.id);
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
                let error = self.errors.get(tracker).cloned().unwrap_or(AnnounceError::Suspended);
                round.skipped(tracker.clone(), error);
            }
        }
    }

    pub(super) fn open(&mut self, candidate: Candidate, of: usize, context: &mut Context<'_>) {
        let urgency = self.urgency();
        let Some(round) = &mut self.round else { return };
        let tracker = candidate.tracker.clone();
        let from = round.last_tried().cloned();
        let host = tracker.tracker_host();
        let attempt = context.attempts.begin(self.id, host.clone());
        let patience = context.health.open_patience(&host, urgency, &self.config, context.now);
        round.start(attempt, candidate, patience, context.now);
        context.health.tried(&host, context.now);
        let number = round.tried();
        self.trackers.point_at(&tracker);
        if !std::mem::replace(&mut self.selected, true) {
            let latency = self.trackers.latency(&tracker);
            context.alert(self.id, Alert::Selected { tracker: tracker.clone(), latency });
        }
        if let Some(from) = from {
            context.alert(self.id, Alert::Switching { from, to: tracker.clone() });
        }
        context.alert(self.id, Alert::Trying { tracker: tracker.clone(), attempt: number, of });
        context.outputs.push_back(Output::Open { attempt, tracker });
    }

    pub(super) fn announce(&mut self, id: AttemptId, context: &mut Context<'_>) {
        let Some(attempt) = self.round.as_ref().and_then(|round| round.attempt(id)) else { return };
        let tracker = attempt.tracker.clone();
        if self.once.is_none() && !self.may_be_asked(&tracker, context.now) {
            // A late answer has changed what is due to it while its channel opened.
            context.close(id);
            return self.fail_attempt(id, AnnounceError::Suspended, context);
        }
        let request = match &self.once {
            Some(request) => (**request).clone(),
            None => self.request(&tracker, self.ledger.event_for(&tracker)),
        };
        // A second announce beside one of these would be counted twice by trackers that share their peers.
        let patient = !self.config.race || matches!(request.event, Some(Event::Completed | Event::Stopped));
        let patience = context.health.reply_patience(&tracker.tracker_host(), self.urgency(), &self.config);
        let patience = (!patient).then_some(patience);
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
