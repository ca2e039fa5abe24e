//! The life of one torrent: its rounds, what comes of their attempts, and when the next one is due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::asking::{ROUND_GAP, failure, is_alive, is_an_answer};
use super::config::{Announcing, Config, Probing};
use super::engine::{AttemptId, Attempts, Output, RoundNumber, TorrentId};
use super::gates::{Class, Gates};
use super::health::{HealthBook, Urgency};
use super::ledger::Ledger;
use super::returning::Home;
use super::round::{Attempt, Candidate, Round, Stage, Step, Told};
use super::schedule::Schedule;
use super::status::{Standing, Status, TrackerStatus};
use super::stopping::Phase;
use super::time::Timestamp;
use super::tracker_set::{Order, TrackerSet};
use crate::alert::{Alert, Announced, ToldStopped};
use crate::announce::{AnnounceRequest, AnnounceResponse, Event, Torrent, Transfer};
use crate::error::{AnnounceError, FailedAttempt, Phase as TimedPhase, ProbeError, RoundError};
use crate::prober::Measurement;
use crate::tracker::{TrackerHost, TrackerUrl};

/// One torrent of the engine: owns its trackers, its ledger and its schedule, and drives its rounds.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
pub(crate) struct Session {
    pub(super) id: TorrentId,
    pub(super) torrent: Torrent,
    pub(super) trackers: TrackerSet,
    pub(super) config: Arc<Config>,
    pub(super) ledger: Ledger,
    pub(super) schedule: Schedule,
    pub(super) round: Option<Round>,
    pub(super) phase: Phase,
    pub(super) wake: Option<Timestamp>,
    round_number: RoundNumber,
    /// The round under way was asked for, whatever the intervals say.
    pub(super) forced: bool,
    /// The user wants peers, and no round has ended since.
    pub(super) wants_peers: bool,
    /// The user has been told that the announce which is due is put off.
    told_put_off: bool,
    /// Another round is wanted right after the one under way.
    again: bool,
    /// The host whose gate we wait at.
    queues_at: Option<TrackerHost>,
    /// The host whose gate has just let us in.
    called_by: Option<TrackerHost>,
    /// Told and unanswered when their round was won by another.
    late: Vec<Attempt>,
    /// The one announce to be made, as it stands; no session around it.
    pub(super) once: Option<AnnounceRequest>,
    probing: BTreeSet<TrackerUrl>,
    selected: bool,
    /// The tracker that was left, to return to.
    pub(super) home: Option<Home>,
    /// A host that is measured again, without anybody waiting for it.
    checking: Option<TrackerUrl>,
    /// Such a measurement that is to be asked for.
    wanted_check: Option<TrackerUrl>,
    pub(super) errors: BTreeMap<TrackerUrl, AnnounceError>,
    complete: Option<u64>,
    incomplete: Option<u64>,
}

/// What a session needs of the engine around it.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) random: &'a mut StdRng,
    pub(crate) health: &'a mut HealthBook,
    pub(crate) attempts: &'a mut Attempts,
    pub(crate) gates: &'a mut Gates,
    /// The engine's own configuration, for what all torrents share.
    pub(crate) config: &'a Config,
    pub(crate) outputs: &'a mut VecDeque<Output>,
}

/// How often a session that queues looks after what else it has under way.
const QUEUE_LOOK: Duration = Duration::from_secs(1);

impl Context<'_> {
    pub(super) fn alert(&mut self, torrent: TorrentId, alert: Alert) {
        self.outputs.push_back(Output::Alert { torrent, alert });
    }

    /// Notes that an attempt has ended.
    pub(super) fn end(&mut self, attempt: AttemptId) {
        if let Some(host) = self.attempts.end(attempt) {
            self.gates.leave(&host, self.config, self.now);
        }
    }

    /// Gives an attempt up.
    pub(super) fn close(&mut self, attempt: AttemptId) {
        self.end(attempt);
        self.outputs.push_back(Output::Close { attempt });
    }
}

impl Session {
    pub(crate) fn new(id: TorrentId, trackers: TrackerSet, torrent: Torrent, config: Arc<Config>) -> Self {
        Self {
            id,
            ledger: Ledger::new(trackers.is_private(), torrent.transfer.left == Some(0)),
            torrent,
            trackers,
            config,
            schedule: Schedule::default(),
            round: None,
            phase: Phase::Running,
            wake: None,
            round_number: 0,
            forced: false,
            wants_peers: false,
            told_put_off: false,
            again: false,
            queues_at: None,
            called_by: None,
            late: Vec::new(),
            once: None,
            probing: BTreeSet::new(),
            selected: false,
            home: None,
            checking: None,
            wanted_check: None,
            errors: BTreeMap::new(),
            complete: None,
            incomplete: None,
        }
    }

    pub(crate) fn once(
        id: TorrentId,
        trackers: TrackerSet,
        request: AnnounceRequest,
        config: Arc<Config>,
    ) -> Self {
        let mut torrent = Torrent::new(request.info_hash, request.peer_id, request.port);
        torrent.transfer = request.transfer;
        Self { once: Some(request), ..Self::new(id, trackers, torrent, config) }
    }

    pub(crate) fn begin(&mut self, context: &mut Context<'_>) {
        let (trackers, unsupported): (Vec<_>, Vec<_>) =
            self.trackers.trackers().cloned().partition(|tracker| self.trackers.is_supported(tracker));
        context.alert(self.id, Alert::TrackersFound { trackers, unsupported });
        if self.once.is_some() {
            self.schedule.force(context.now);
        } else if self.is_automatic() {
            self.schedule.due_now(context.now);
        }
    }

    pub(crate) fn update(&mut self, transfer: Transfer) {
        let known = self.torrent.transfer;
        if self.round_number == 0 && known.left.is_none() && transfer.left == Some(0) {
            self.ledger.was_complete();
        }
        self.torrent.transfer = Transfer {
            uploaded: known.uploaded.max(transfer.uploaded),
            downloaded: known.downloaded.max(transfer.downloaded),
            left: transfer.left,
        };
    }

    pub(crate) fn set_num_want(&mut self, num_want: Option<u32>) {
        self.torrent.num_want = num_want;
    }

    pub(crate) fn complete(&mut self, now: Timestamp) {
        self.torrent.transfer.left = Some(0);
        // A round under way tells it, or is followed by one that does.
        let running = self.phase == Phase::Running && self.round.is_none();
        if self.ledger.complete() && running && self.is_automatic() {
            self.schedule.due_now(now);
        }
    }

    pub(crate) fn want_peers(&mut self, now: Timestamp) {
        self.wants_peers = true;
        self.schedule.want_peers(self.trackers.in_use(), &self.config, now);
    }

    pub(crate) fn reannounce(&mut self, now: Timestamp) -> Option<RoundNumber> {
        if self.phase != Phase::Running {
            return None;
        }
        self.announce_again(now);
        Some(self.round_number + 1)
    }

    pub(crate) fn network_changed(&mut self, now: Timestamp) {
        let troubled = self.schedule.is_troubled() || self.trackers.in_use().is_none();
        if troubled && self.round.is_none() && self.phase == Phase::Running && self.is_automatic() {
            self.schedule.due_now(now);
        }
    }

    /// The machine slept. What was under way is given up, and begins anew after `wait`.
    pub(crate) fn resumed(&mut self, gap: Duration, wait: Duration, context: &mut Context<'_>) {
        if self.phase != Phase::Running || self.once.is_some() {
            return;
        }
        self.drop_late(context);
        self.give_up_queueing(context);
        if self.round.is_some() {
            self.abandon_round(context);
            self.schedule.due_now(context.now);
        }
        self.schedule.slept(gap, wait, context.now);
    }

    pub(crate) fn override_interval(&mut self, interval: Option<Duration>, now: Timestamp) {
        Arc::make_mut(&mut self.config).interval_override = interval;
        let interval = self.config.overriding_interval();
        if let Some(interval) = interval {
            self.schedule.overridden(interval, now);
        }
    }

    pub(crate) fn change_trackers(
        &mut self,
        change: impl FnOnce(&mut TrackerSet),
        context: &mut Context<'_>,
    ) {
        change(&mut self.trackers);
        let trackers = &self.trackers;
        let is_gone = |tracker: &TrackerUrl| trackers.tier_of(tracker).is_none();
        self.probing.retain(|tracker| !is_gone(tracker));
        self.errors.retain(|tracker, _| !is_gone(tracker));
        self.schedule.forget_all(is_gone);
        let gone: Vec<AttemptId> = self
            .round
            .iter()
            .flat_map(Round::attempts)
            .filter(|attempt| is_gone(&attempt.tracker))
            .map(|attempt| attempt.id)
            .collect();
        for id in gone {
            context.close(id);
            self.fail_attempt(id, AnnounceError::Cancelled, context);
        }
        if self.round.is_none() && self.phase == Phase::Running {
            self.schedule.trackers_changed(context.now);
        }
    }

    /// The trackers whose latency decides and isn't known.
    pub(crate) fn unmeasured(&self) -> Vec<TrackerUrl> {
        let choice = self.trackers.supported_trackers().count() > 1;
        let asked_before = self.once.is_some() && self.trackers.is_known();
        let nearest = self.trackers.order() == Order::Nearest && self.config.probing == Probing::Parallel;
        if !choice || asked_before || !nearest {
            return Vec::new();
        }
        let unmeasured = self.trackers.supported_trackers().filter(|tracker| {
            let known = self.trackers.latency(tracker).is_some() || self.trackers.is_failing(tracker);
            !known && !self.probing.contains(*tracker)
        });
        unmeasured.cloned().collect()
    }

    pub(crate) fn knows(&mut self, tracker: &TrackerUrl, latency: Duration) {
        self.trackers.record_latency(tracker, latency);
    }

    pub(crate) fn probe_asked(&mut self, tracker: &TrackerUrl) {
        self.probing.insert(tracker.clone());
    }

    pub(crate) fn probed(
        &mut self,
        tracker: &TrackerUrl,
        result: &Result<Measurement, ProbeError>,
        context: &mut Context<'_>,
    ) {
        if self.checking.take_if(|checking| checking == tracker).is_some() {
            self.checked(tracker, result, context);
        }
        if !self.probing.remove(tracker) {
            return;
        }
        match result {
            Ok(measurement) => {
                self.knows(tracker, measurement.latency());
                let (tracker, measurement) = (tracker.clone(), *measurement);
                context.alert(self.id, Alert::Measured { tracker, measurement });
            }
            Err(error) => {
                self.trackers.record_failure(tracker);
                self.errors.insert(tracker.clone(), error.0.clone());
                context.alert(self.id, Alert::ProbeFailed { tracker: tracker.clone(), error: error.clone() });
            }
        }
        if self.probing.is_empty() {
            let order = self.trackers.failover_order().into_iter();
            let trackers = order.map(|tracker| (tracker.clone(), self.trackers.latency(tracker))).collect();
            context.alert(self.id, Alert::FailoverOrder { trackers });
        }
        if let Some(round) = &mut self.round
            && (result.is_ok() || self.probing.is_empty())
        {
            round.release();
        }
    }

    /// A host was measured again: it may be the one to return to.
    fn checked(
        &mut self,
        tracker: &TrackerUrl,
        result: &Result<Measurement, ProbeError>,
        context: &mut Context<'_>,
    ) {
        match result {
            Ok(measurement) => self.knows(tracker, measurement.latency()),
            Err(_) => self.trackers.record_failure(tracker),
        }
        if let Some(home) = self.home.as_mut().filter(|home| home.tracker() == tracker) {
            home.seen(result.is_ok(), context.random.random(), context.now);
        }
    }

    /// The tracker whose host is to be measured again.
    pub(crate) fn take_wanted_check(&mut self) -> Option<TrackerUrl> {
        let tracker = self.wanted_check.take()?;
        self.checking = Some(tracker.clone());
        Some(tracker)
    }

    /// Looks after the tracker that was left, and after hosts that weren't heard for long.
    fn check_hosts(&mut self, context: &mut Context<'_>) {
        let probes = self.config.probing == Probing::Parallel && self.trackers.order() == Order::Nearest;
        if self.phase != Phase::Running || self.once.is_some() || !probes || !self.is_automatic() {
            return;
        }
        let look_at = self.home.as_ref().and_then(Home::look_at);
        if self.checking.is_some() || self.wanted_check.is_some() {
            return;
        }
        match look_at {
            Some(at) if at <= context.now => {
                if let Some(home) = &mut self.home {
                    home.looks();
                    self.wanted_check = Some(home.tracker().clone());
                }
            }
            look_at => self.wake_at(look_at),
        }
    }

    /// A tracker beside the one in use whose host wasn't heard for so long that its latency is a guess.
    fn stale(&self, health: &HealthBook, now: Timestamp) -> Option<TrackerUrl> {
        let stale = |tracker: &&TrackerUrl| {
            let heard = health.host(&tracker.tracker_host()).filter(|health| !health.is_left_alone());
            let at = heard.and_then(|heard| heard.answered_at().max(heard.failed_at()));
            Some(*tracker) != self.trackers.in_use()
                && at.is_some_and(|at| now.since(at) > self.config.measurement_lifetime)
        };
        self.trackers.supported_trackers().find(stale).cloned()
    }

    pub(crate) fn opened(&mut self, id: AttemptId, context: &mut Context<'_>) {
        let late = self.late.iter().position(|attempt| attempt.id == id && attempt.stage == Stage::Opening);
        if let Some(place) = late {
            // Slow, and not dead. Its round is settled, so nothing is said on this channel.
            let attempt = self.late.remove(place);
            let host = attempt.tracker.tracker_host();
            context.health.silent(&host, false);
            context.health.connected(host, context.now.since(attempt.started_at), context.now);
            context.close(id);
        } else if let Some(round) = &mut self.round {
            if let Some(attempt) = round.attempt(id)
                && attempt.is_silent()
            {
                context.health.silent(&attempt.tracker.tracker_host(), false);
            }
            round.opened(id, context.now);
        }
        self.phase.opened(id);
    }

    pub(crate) fn replied(&mut self, id: AttemptId, response: AnnounceResponse, context: &mut Context<'_>) {
        if self.phase.is_farewell(id) {
            return self.farewell_ended(id, Ok(&response), context);
        }
        let told = |attempt: &Attempt| match attempt.stage {
            Stage::Announcing(told) => Some(told),
            _ => None,
        };
        if let Some(place) = self.late.iter().position(|attempt| attempt.id == id) {
            let attempt = self.late.remove(place);
            if let Some(told) = told(&attempt) {
                self.answered_late(&attempt, told, response, context);
            }
        } else if let Some(round) = &mut self.round
            && let Some(told) = round.attempt(id).and_then(told)
            && let Some(attempt) = round.take(id)
        {
            self.answered(&attempt, told, response, context);
        }
    }

    pub(crate) fn failed(&mut self, id: AttemptId, error: AnnounceError, context: &mut Context<'_>) {
        if self.phase.is_farewell(id) {
            self.farewell_ended(id, Err(error), context);
        } else if let Some(place) = self.late.iter().position(|attempt| attempt.id == id) {
            let attempt = self.late.remove(place);
            self.note_failure(&attempt, &error, context);
        } else {
            self.fail_attempt(id, error, context);
        }
    }

    pub(crate) fn trackers(&self) -> &TrackerSet {
        &self.trackers
    }

    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase.has_ended()
    }

    pub(crate) fn end(self) -> (TrackerSet, Vec<ToldStopped>) {
        (self.trackers, self.phase.into_results())
    }

    /// Drops everything that is under way, and tells nobody.
    pub(crate) fn forget(&mut self, context: &mut Context<'_>) {
        self.abandon_round(context);
        self.drop_late(context);
        self.give_up_queueing(context);
        let farewells: Vec<AttemptId> = self.phase.attempt_ids().collect();
        for attempt in farewells {
            context.close(attempt);
        }
        self.phase = Phase::ended();
    }

    /// Acts on what has changed, and decides when to look again.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        self.wake = None;
        loop {
            self.begin_due_round(context);
            self.run_round(context);
            if self.round.is_some() || !self.is_due(context.now) {
                break;
            }
        }
        self.expire_late(context);
        self.check_hosts(context);
        self.drive_stopping(context);
        if self.round.is_none() && self.phase == Phase::Running && self.is_automatic() {
            self.wake_at(self.schedule.due());
        }
    }

    fn is_automatic(&self) -> bool {
        self.config.announcing == Announcing::Automatic
    }

    /// Whether a round begins now.
    fn is_due(&self, now: Timestamp) -> bool {
        let due = self.schedule.due().is_some_and(|due| due <= now);
        due && (self.is_automatic() || self.schedule.is_forced()) && self.phase == Phase::Running
    }

    pub(super) fn wake_at(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
    }

    fn announce_again(&mut self, now: Timestamp) {
        if self.round.is_some() {
            self.again = true;
        } else {
            self.schedule.force(now);
        }
    }

    fn begin_due_round(&mut self, context: &mut Context<'_>) {
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
        self.round = Some(Round::new(measuring.then(|| context.now + self.config.probe_head_start)));
        let next = || self.candidates(context.health, context.now).into_iter().next();
        let due = || next().and_then(|next| self.ledger.event_for(&next.tracker));
        let event = self.once.as_ref().map_or_else(due, |request| request.event);
        context.alert(self.id, Alert::Announcing { event, left: self.torrent.transfer.left });
    }

    /// Puts the round that is due off where every host is left alone, until one is not: one torrent found that
    /// out, and the others need not.
    fn is_put_off(&mut self, context: &mut Context<'_>) -> bool {
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

    fn run_round(&mut self, context: &mut Context<'_>) {
        loop {
            // Whom to ask is asked of every tracker: not without need.
            if self.round.is_none() {
                return self.give_up_queueing(context);
            }
            let candidates = self.candidates(context.health, context.now);
            let Some(round) = &mut self.round else { return };
            match round.next_step(&candidates, &self.config, context.now) {
                Step::Open(candidate) => {
                    let (of, under_way) = (round.total(&candidates), !round.attempts().is_empty());
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
                        context.health.silent(&tracker.tracker_host(), true);
                        context.gates.send_off(&tracker.tracker_host());
                        context.alert(self.id, Alert::Silent { tracker, waited });
                    }
                }
                Step::Stalled(id) => {
                    if let Some(attempt) = round.attempt(id) {
                        if context.health.may_hedge(&attempt.tracker.tracker_host(), context.now) {
                            round.hedge(id);
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
    fn is_let_in(&mut self, tracker: &TrackerUrl, context: &mut Context<'_>) -> bool {
        let host = tracker.tracker_host();
        if self.called_by.as_ref() == Some(&host) {
            self.called_by = None;
            return true;
        }
        if self.queues_at.as_ref() == Some(&host) {
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
            self.queues_at = Some(host);
        }
        entered
    }

    /// Takes a round back in which nobody could be tried, because all hosts came to be left alone while we queued.
    fn is_postponed(&mut self, context: &mut Context<'_>) -> bool {
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
            self.called_by = Some(host);
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
    fn note_suspended(&mut self, next: Option<&TrackerUrl>, now: Timestamp) {
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

    fn open(&mut self, candidate: Candidate, of: usize, context: &mut Context<'_>) {
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

    fn announce(&mut self, id: AttemptId, context: &mut Context<'_>) {
        let Some(attempt) = self.round.as_ref().and_then(|round| round.attempt(id)) else { return };
        let tracker = attempt.tracker.clone();
        if self.once.is_none() && !self.may_be_asked(&tracker, context.now) {
            // A late answer has changed what is due to it while its channel opened.
            context.close(id);
            return self.fail_attempt(id, AnnounceError::Suspended, context);
        }
        let request = match &self.once {
            Some(request) => request.clone(),
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

    fn answered(
        &mut self,
        attempt: &Attempt,
        told: Told,
        response: AnnounceResponse,
        context: &mut Context<'_>,
    ) {
        let (tracker, now) = (attempt.tracker.clone(), context.now);
        context.end(attempt.id);
        let in_use = self.trackers.in_use().filter(|in_use| **in_use != tracker);
        let moved_from = in_use.cloned();
        if let Some(left) = moved_from.as_ref().filter(|left| self.trackers.is_failing(left)) {
            let random = context.random.random();
            self.home = Some(Home::left(self.home.take(), left.clone(), random, now));
        }
        let sample = Measurement { connect: told.opening, first_byte: now.since(told.at) };
        let latency = context.health.answered(tracker.tracker_host(), sample, now);
        self.trackers.record_latency(&tracker, latency);
        self.wants_peers = false;
        self.trackers.record_success(&tracker);
        self.errors.remove(&tracker);
        let random = context.random.random();
        let interval = self.schedule.succeeded(&tracker, &response, &self.config, random, now);
        self.accept(&tracker, told, &response, interval, now);
        if self.checking.is_none() && self.wanted_check.is_none() {
            let probes = self.config.probing == Probing::Parallel && self.trackers.order() == Order::Nearest;
            self.wanted_check = self.stale(context.health, now).filter(|_| probes && self.once.is_none());
        }

        let Some(round) = self.round.take() else { return };
        let attempts = round.tried();
        let (others, failed) = round.end();
        for other in others {
            if matches!(other.stage, Stage::Announcing(_)) || other.is_silent() {
                // What comes of it still says something: an answer, or that the host is dead.
                self.late.push(other);
            } else {
                context.health.gave_up(&other.tracker.tracker_host(), now);
                context.close(other.id);
            }
        }
        let owed = self.ledger.owes_completed() && told.event != Some(Event::Completed);
        if self.again || (owed && self.is_automatic()) {
            self.schedule.force(now);
        }
        let next_announce = self.schedule.due().map_or(Duration::ZERO, |due| due.since(now));
        let event = told.event;
        let announced = Arc::new(Announced {
            tracker: tracker.clone(),
            event,
            response,
            attempts,
            failed,
            moved_from,
            interval,
            next_announce,
        });
        context.alert(self.id, Alert::Announced(Arc::clone(&announced)));
        if let Some(text) = announced.response.warning.clone() {
            context.alert(self.id, Alert::Warning { tracker: tracker.clone(), text });
        }
        if event.is_none() {
            context.alert(self.id, Alert::PeriodicSent { tracker });
        }
        self.round_ended(Ok(announced), context);
    }

    /// R15: whatever a late one says, its round is settled.
    fn answered_late(
        &mut self,
        attempt: &Attempt,
        told: Told,
        response: AnnounceResponse,
        context: &mut Context<'_>,
    ) {
        context.end(attempt.id);
        let interval = response.interval.unwrap_or(self.config.interval_default);
        self.accept(&attempt.tracker, told, &response, interval, context.now);
        self.schedule.heard(&attempt.tracker, &response, &self.config, context.now);
        let (tracker, response) = (attempt.tracker.clone(), Arc::new(response));
        context.alert(self.id, Alert::AnsweredLate { tracker, response });
    }

    fn accept(
        &mut self,
        tracker: &TrackerUrl,
        told: Told,
        response: &AnnounceResponse,
        interval: Duration,
        now: Timestamp,
    ) {
        self.ledger.accepted(tracker, told.event, told.transfer.left, interval, now);
        self.ledger.keep_tracker_id(tracker, response.tracker_id.as_deref());
        self.complete = response.complete.or(self.complete);
        self.incomplete = response.incomplete.or(self.incomplete);
    }

    /// An attempt of the round under way came to nothing.
    fn fail_attempt(&mut self, id: AttemptId, error: AnnounceError, context: &mut Context<'_>) {
        let Some(attempt) = self.round.as_mut().and_then(|round| round.failed(id, error.clone())) else {
            return;
        };
        self.note_failure(&attempt, &error, context);
        let tracker = attempt.tracker;
        if !matches!(error, AnnounceError::Suspended | AnnounceError::Cancelled) {
            self.trackers.record_failure(&tracker);
        }
        self.errors.insert(tracker.clone(), error.clone());
        context.alert(self.id, Alert::Failed { tracker, error });
    }

    /// What a failed attempt says of the tracker and its host, whether its round has been settled or not.
    fn note_failure(&mut self, attempt: &Attempt, error: &AnnounceError, context: &mut Context<'_>) {
        let (tracker, now) = (&attempt.tracker, context.now);
        let host = tracker.tracker_host();
        context.end(attempt.id);
        if attempt.is_silent() {
            context.health.silent(&host, false);
        }
        if matches!(attempt.stage, Stage::Announcing(_)) {
            self.ledger.failed(tracker, is_an_answer(error));
        }
        self.schedule.failed(tracker, error, &self.config, now);
        if let Some(failure) = failure(error) {
            let random = context.random.random();
            context.health.failed(host, failure, attempt.started_at, &self.config, random, now);
        } else if is_alive(error) {
            context.health.alive(host, now);
        } else {
            context.health.gave_up(&host, now);
        }
    }

    fn round_failed(&mut self, context: &mut Context<'_>) {
        let Some(round) = self.round.take() else { return };
        let (_, attempts) = round.end();
        let error = Arc::new(RoundError { attempts });
        self.trackers.begin_round();
        if self.phase == Phase::Running {
            let random = context.random.random();
            let backoff = self.schedule.round_failed(&self.config, random, context.now);
            let soonest = if self.config.breaker { context.now + ROUND_GAP } else { backoff };
            // With every tracker at "never" there is nobody to ask; the list may still change.
            let first_free = self.first_free(backoff, context.health, context.now);
            let soonest = soonest.max(context.health.next_look().unwrap_or_default());
            self.schedule.put_off(first_free.map(|first_free| first_free.max(soonest)));
            if self.again {
                self.schedule.force(context.now);
            }
            let retry_in = self.schedule.due().map(|due| due.since(context.now));
            context.alert(self.id, Alert::RoundFailed { error: Arc::clone(&error), retry_in });
        }
        self.round_ended(Err(error), context);
    }

    /// Gives up what is left of the round: the session ends.
    pub(super) fn abandon_round(&mut self, context: &mut Context<'_>) {
        let Some(round) = self.round.take() else { return };
        let (attempts, mut failed) = round.end();
        for attempt in attempts {
            let host = attempt.tracker.tracker_host();
            if attempt.is_silent() {
                context.health.silent(&host, false);
            }
            context.health.gave_up(&host, context.now);
            context.close(attempt.id);
            failed.push(FailedAttempt { tracker: attempt.tracker, error: AnnounceError::Cancelled });
        }
        self.round_ended(Err(Arc::new(RoundError { attempts: failed })), context);
    }

    fn round_ended(&mut self, result: Result<Arc<Announced>, Arc<RoundError>>, context: &mut Context<'_>) {
        context.outputs.push_back(Output::RoundEnded { torrent: self.id, round: self.round_number, result });
        if self.once.is_some() {
            self.drop_late(context);
            self.phase = Phase::ended();
        }
    }

    fn expire_late(&mut self, context: &mut Context<'_>) {
        let (open_limit, reply_limit) = (self.config.open_limit, self.config.reply_limit);
        let until = |attempt: &Attempt| match attempt.stage {
            Stage::Announcing(told) => (told.at + reply_limit, TimedPhase::Reply),
            _ => (attempt.started_at + open_limit, TimedPhase::Open),
        };
        let (expired, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|attempt| until(attempt).0 <= context.now);
        let wake = running.iter().map(|attempt| until(attempt).0).min();
        self.late = running;
        self.wake_at(wake);
        for attempt in expired {
            let error = AnnounceError::TimedOut(until(&attempt).1);
            context.close(attempt.id);
            self.note_failure(&attempt, &error, context);
        }
    }

    /// Gives attempts up that nobody waits for any more.
    pub(super) fn drop_late(&mut self, context: &mut Context<'_>) {
        for attempt in std::mem::take(&mut self.late) {
            let host = attempt.tracker.tracker_host();
            if attempt.is_silent() {
                context.health.silent(&host, false);
            }
            context.health.gave_up(&host, context.now);
            context.close(attempt.id);
        }
    }

    pub(crate) fn status(&self, now: Timestamp) -> Status {
        let standing = |tracker: &TrackerUrl| {
            let contacting =
                self.round.iter().flat_map(Round::attempts).any(|attempt| attempt.tracker == *tracker);
            if !self.trackers.is_supported(tracker) {
                Standing::Unsupported
            } else if contacting || self.probing.contains(tracker) {
                Standing::Contacting
            } else if self.schedule.is_suspended(tracker, now) {
                Standing::Suspended
            } else if self.trackers.is_failing(tracker) {
                Standing::Failing(self.errors.get(tracker).cloned())
            } else if self.ledger.knows_us(tracker) || self.trackers.latency(tracker).is_some() {
                Standing::Working
            } else {
                Standing::NotContacted
            }
        };
        let tracker_status = |tracker: &TrackerUrl| TrackerStatus {
            tracker: tracker.clone(),
            standing: standing(tracker),
            latency: self.trackers.latency(tracker),
            knows_us: self.ledger.knows_us(tracker),
        };
        Status {
            tiers: self.trackers.tiers().map(|tier| tier.map(tracker_status).collect()).collect(),
            in_use: self.trackers.in_use().cloned(),
            current: self.trackers.current().cloned(),
            announcing: self.round.is_some(),
            next_announce: self.schedule.due().map(|due| due.since(now)),
            complete: self.complete,
            incomplete: self.incomplete,
        }
    }
}
