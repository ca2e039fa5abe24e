//! The life of one torrent: its rounds, what comes of their attempts, and when the next one is due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::config::{Announcing, Config, Probing};
use super::engine::{AttemptId, Attempts, Output, RoundNumber, TorrentId};
use super::health::HealthBook;
use super::ledger::Ledger;
use super::round::{Attempt, Candidate, Round, Stage, Step, Told};
use super::schedule::Schedule;
use super::status::{Standing, Status, TrackerStatus};
use super::stopping::Phase;
use super::time::Timestamp;
use super::tracker_set::{Order, TrackerSet};
use crate::alert::{Alert, Announced, ToldStopped};
use crate::announce::{AnnounceRequest, AnnounceResponse, Event, Torrent, Transfer};
use crate::error::{AnnounceError, FailedAttempt, ProbeError, RoundError};
use crate::prober::Measurement;
use crate::tracker::TrackerUrl;

/// One torrent of the engine: owns its trackers, its ledger and its schedule, and drives its rounds.
#[derive(Debug)]
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
    forced: bool,
    /// Another round is wanted right after the one under way.
    again: bool,
    /// Told and unanswered when their round was won by another.
    late: Vec<Attempt>,
    /// The one announce to be made, as it stands; no session around it.
    once: Option<AnnounceRequest>,
    probing: BTreeSet<TrackerUrl>,
    selected: bool,
    errors: BTreeMap<TrackerUrl, AnnounceError>,
    complete: Option<u64>,
    incomplete: Option<u64>,
}

/// What a session needs of the engine around it.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) random: &'a mut StdRng,
    pub(crate) health: &'a mut HealthBook,
    pub(crate) attempts: &'a mut Attempts,
    pub(crate) outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    pub(super) fn alert(&mut self, torrent: TorrentId, alert: Alert) {
        self.outputs.push_back(Output::Alert { torrent, alert });
    }

    /// Gives an attempt up.
    pub(super) fn close(&mut self, attempt: AttemptId) {
        self.attempts.end(attempt);
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
            again: false,
            late: Vec::new(),
            once: None,
            probing: BTreeSet::new(),
            selected: false,
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
        if self.once.is_some() || self.is_automatic() {
            self.schedule.force(context.now);
        }
    }

    pub(crate) fn update(&mut self, transfer: Transfer) {
        let known = self.torrent.transfer;
        if known.left.is_none() && transfer.left == Some(0) {
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
            self.schedule.force(now);
        }
    }

    pub(crate) fn want_peers(&mut self, now: Timestamp) {
        self.schedule.want_peers(self.trackers.in_use(), &self.config, now);
    }

    pub(crate) fn reannounce(&mut self, now: Timestamp) -> Option<RoundNumber> {
        if self.phase != Phase::Running {
            return None;
        }
        self.announce_again(now);
        Some(self.round_number + 1)
    }

    pub(crate) fn override_interval(&mut self, interval: Option<Duration>, now: Timestamp) {
        Arc::make_mut(&mut self.config).interval_override = interval;
        let interval = self.config.overriding_interval();
        if let Some(interval) = interval {
            self.schedule.due_within(interval, now);
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

    pub(crate) fn knows(&mut self, tracker: &TrackerUrl, measurement: Measurement) {
        self.trackers.record_latency(tracker, measurement.latency());
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
        if !self.probing.remove(tracker) {
            return;
        }
        match result {
            Ok(measurement) => {
                self.knows(tracker, *measurement);
                let (tracker, measurement) = (tracker.clone(), *measurement);
                context.alert(self.id, Alert::Measured { tracker, measurement });
            }
            Err(error) => {
                self.trackers.record_failure(tracker);
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

    pub(crate) fn opened(&mut self, id: AttemptId, now: Timestamp) {
        if let Some(round) = &mut self.round {
            round.opened(id, now);
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
            context.attempts.end(id);
            self.ledger.failed(&attempt.tracker, is_an_answer(&error));
            self.schedule.failed(&attempt.tracker, &error, &self.config, context.now);
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

    /// Every attempt that is under way.
    pub(crate) fn attempt_ids(&self) -> Vec<AttemptId> {
        let round = self.round.iter().flat_map(Round::attempts);
        round.chain(&self.late).map(|attempt| attempt.id).chain(self.phase.attempt_ids()).collect()
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
        if self.round.is_some() || !self.is_due(context.now) {
            return;
        }
        self.forced = self.schedule.begun();
        self.again = false;
        self.round_number += 1;
        self.trackers.begin_round();
        for attempt in std::mem::take(&mut self.late) {
            context.close(attempt.id);
        }
        let measuring = !self.probing.is_empty() && !self.trackers.has_answer();
        self.round = Some(Round::new(measuring.then(|| context.now + self.config.probe_head_start)));
        let event = match &self.once {
            Some(request) => request.event,
            None => {
                self.candidates(context.now).first().and_then(|next| self.ledger.event_for(&next.tracker))
            }
        };
        context.alert(self.id, Alert::Announcing { event, left: self.torrent.transfer.left });
    }

    fn candidates(&self, now: Timestamp) -> Vec<Candidate> {
        let tiered = self.trackers.order() == Order::Bep12;
        let order = self.trackers.failover_order().into_iter();
        order
            .filter(|tracker| self.may_be_asked(tracker, now))
            .map(|tracker| Candidate {
                tier: if tiered { self.trackers.tier_of(tracker).unwrap_or_default() } else { 0 },
                tracker: tracker.clone(),
            })
            .collect()
    }

    /// Whether nothing that a tracker said keeps us from asking it in this round.
    fn may_be_asked(&self, tracker: &TrackerUrl, now: Timestamp) -> bool {
        let early =
            !self.forced && self.schedule.is_early(tracker, now) && self.ledger.event_for(tracker).is_none();
        !early && !self.schedule.is_suspended(tracker, now)
    }

    fn run_round(&mut self, context: &mut Context<'_>) {
        loop {
            let candidates = self.candidates(context.now);
            let Some(round) = &mut self.round else { return };
            match round.next_step(&candidates, &self.config, context.now) {
                Step::Open(candidate) => {
                    self.note_suspended(Some(&candidate.tracker), context.now);
                    self.open(candidate, candidates.len(), context);
                }
                Step::Announce(id) => self.announce(id, context),
                Step::Silent(id) => {
                    if let Some(attempt) = round.attempt(id) {
                        let waited = context.now.since(attempt.started_at);
                        let tracker = attempt.tracker.clone();
                        context.alert(self.id, Alert::Silent { tracker, waited });
                    }
                }
                Step::Expired(id, phase) => {
                    context.close(id);
                    self.fail_attempt(id, AnnounceError::TimedOut(phase), context);
                }
                Step::Wait(wake) => return self.wake_at(wake),
                Step::Exhausted => {
                    self.note_suspended(None, context.now);
                    return self.round_failed(context);
                }
            }
        }
    }

    /// Notes in the round those trackers that would have been asked before `next` (or at all) and may not be.
    fn note_suspended(&mut self, next: Option<&TrackerUrl>, now: Timestamp) {
        let order = self.trackers.failover_order().into_iter();
        let before = order.take_while(|tracker| Some(*tracker) != next);
        let skipped: Vec<TrackerUrl> =
            before.filter(|tracker| !self.may_be_asked(tracker, now)).cloned().collect();
        let Some(round) = &mut self.round else { return };
        for tracker in &skipped {
            round.skipped(tracker);
        }
    }

    fn open(&mut self, candidate: Candidate, candidates: usize, context: &mut Context<'_>) {
        let Some(round) = &mut self.round else { return };
        let tracker = candidate.tracker.clone();
        let from = round.last_tried().cloned();
        let attempt = context.attempts.begin(Some(self.id));
        round.start(attempt, candidate, &self.config, context.now);
        let number = round.tried();
        self.trackers.point_at(&tracker);
        if !std::mem::replace(&mut self.selected, true) {
            let latency = self.trackers.latency(&tracker);
            context.alert(self.id, Alert::Selected { tracker: tracker.clone(), latency });
        }
        if let Some(from) = from {
            context.alert(self.id, Alert::Switching { from, to: tracker.clone() });
        }
        let of = candidates.max(number);
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
        let patient = matches!(request.event, Some(Event::Completed | Event::Stopped));
        self.ledger.sent(&tracker, context.now);
        if let Some(round) = &mut self.round {
            round.announced(id, request.event, request.transfer, patient, context.now);
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
        context.attempts.end(attempt.id);
        let in_use = self.trackers.in_use().filter(|in_use| **in_use != tracker);
        let moved_from = in_use.cloned();
        let sample = Measurement { connect: told.opening, first_byte: now.since(told.at) };
        let measurement = context.health.answered(tracker.tracker_host(), sample, now);
        self.trackers.record_latency(&tracker, measurement.latency());
        self.trackers.record_success(&tracker);
        self.errors.remove(&tracker);
        let random = context.random.random();
        let interval = self.schedule.succeeded(&tracker, &response, &self.config, random, now);
        self.accept(&tracker, told, &response, interval, now);

        let Some(round) = self.round.take() else { return };
        let attempts = round.tried();
        let (others, failed) = round.end();
        for other in others {
            match other.stage {
                Stage::Announcing(_) => self.late.push(other),
                _ => context.close(other.id),
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
        context.attempts.end(attempt.id);
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
        context.attempts.end(id);
        let tracker = attempt.tracker;
        if matches!(attempt.stage, Stage::Announcing(_)) {
            self.ledger.failed(&tracker, is_an_answer(&error));
        }
        if !matches!(error, AnnounceError::Suspended | AnnounceError::Cancelled) {
            self.trackers.record_failure(&tracker);
        }
        self.schedule.failed(&tracker, &error, &self.config, context.now);
        if is_the_hosts_fault(&error) {
            context.health.failed(tracker.tracker_host(), context.now);
        }
        self.errors.insert(tracker.clone(), error.clone());
        context.alert(self.id, Alert::Failed { tracker, error });
    }

    fn round_failed(&mut self, context: &mut Context<'_>) {
        let Some(round) = self.round.take() else { return };
        let (_, attempts) = round.end();
        let error = Arc::new(RoundError { attempts });
        self.trackers.begin_round();
        if self.phase == Phase::Running {
            let random = context.random.random();
            self.schedule.round_failed(self.trackers.supported_trackers(), &self.config, random, context.now);
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
            context.close(attempt.id);
            failed.push(FailedAttempt { tracker: attempt.tracker, error: AnnounceError::Cancelled });
        }
        self.round_ended(Err(Arc::new(RoundError { attempts: failed })), context);
    }

    pub(super) fn abandon_late(&mut self, context: &mut Context<'_>) {
        for attempt in std::mem::take(&mut self.late) {
            context.close(attempt.id);
        }
    }

    fn round_ended(&mut self, result: Result<Arc<Announced>, Arc<RoundError>>, context: &mut Context<'_>) {
        context.outputs.push_back(Output::RoundEnded { torrent: self.id, round: self.round_number, result });
        if self.once.is_some() {
            self.abandon_late(context);
            self.phase = Phase::ended();
        }
    }

    fn expire_late(&mut self, context: &mut Context<'_>) {
        let limit = self.config.reply_limit;
        let until = |attempt: &Attempt| match attempt.stage {
            Stage::Announcing(told) => told.at + limit,
            _ => context.now,
        };
        let (expired, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|attempt| until(attempt) <= context.now);
        let wake = running.iter().map(until).min();
        self.late = running;
        self.wake_at(wake);
        for attempt in expired {
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

/// Whether a tracker has certainly not taken us in: it answered, or was never told anything.
pub(super) fn is_an_answer(error: &AnnounceError) -> bool {
    !matches!(error, AnnounceError::TimedOut(_) | AnnounceError::Broken(_) | AnnounceError::Cancelled)
}

/// Whether a failure says something of the host, and not of this torrent or of our side.
fn is_the_hosts_fault(error: &AnnounceError) -> bool {
    !matches!(
        error,
        AnnounceError::Rejected(_)
            | AnnounceError::Blocked
            | AnnounceError::Unsupported
            | AnnounceError::Suspended
            | AnnounceError::Cancelled
    )
}
