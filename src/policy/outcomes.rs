//! What comes of attempts: answers, late answers, failures, and the end of a round.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::hosts::{Failed, HostHealth, Outcome};
use super::io::{AttemptId, Output};
use super::returning::Home;
use super::round::{Attempt, Stage, Told};
use super::session::{Context, Session, TrackerFailure};
use super::stopping::Phase;
use super::verdict::{Registered, TrackerNews, Verdict};
use crate::alert::{Alert, Announced};
use crate::announce::{AnnounceResponse, Event};
use crate::error::{AnnounceError, FailedAttempt, Retry, RoundError, TimeoutPhase as TimedPhase};
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// How soon a round follows one that failed, where hosts are guarded by their own back-off.
const ROUND_GAP: Duration = Duration::from_secs(1);

impl Session {
    pub(super) fn answered(
        &mut self,
        attempt: Attempt,
        told: Told,
        response: AnnounceResponse,
        context: &mut Context<'_>,
    ) {
        let Attempt { id, tracker, slot, .. } = attempt;
        let now = context.now;
        let sample = Measurement { connect: told.opening, first_byte: now.since(told.at) };
        context.finish(self.id, id, slot, Outcome::Answered(sample));
        let in_use = self.trackers.in_use().filter(|in_use| **in_use != tracker);
        let moved_from = in_use.cloned();
        if let Some(left) = &moved_from {
            // Whether it failed, was silent for too long or is left alone by others: it was the better one.
            let random = context.random.random();
            match self.home.as_mut().filter(|home| *home.tracker() == tracker) {
                Some(home) => home.returned(now),
                None => self.home = Some(Home::left(self.home.take(), left.clone(), random, now)),
            }
        }
        if let Some(latency) = context.hosts.health().host(tracker.host_key()).and_then(HostHealth::latency) {
            self.trackers.record_latency(&tracker, latency);
        }
        self.wants_peers = false;
        self.trackers.record_success(&tracker);
        self.own_back_off = Timestamp::ZERO;
        self.failures.remove(&tracker);
        let random = context.random.random();
        let interval = self.schedule.succeeded(&tracker, &response, &self.config, random, now);
        self.accept(&tracker, told, &response, interval, now);
        let free_to_check = self.checking.is_none() && self.wanted_check.is_none() && self.once.is_none();
        if free_to_check && self.measures_hosts() {
            self.wanted_check = self.stale(context.hosts, now);
        }

        let Some(round) = self.round.take() else { return };
        let attempts = round.tried();
        let (others, failed) = round.end();
        for other in others {
            if matches!(other.stage, Stage::Announcing(_)) || other.is_silent() {
                // What comes of it still says something: an answer, or that the host is dead.
                self.late.push(other);
            } else {
                context.give_up(self.id, other);
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
        self.warn(&tracker, announced.response.warning.as_deref(), context);
        self.round_ended(Ok(announced), context);
    }

    /// Passes a warning on, unless it is the last one again: some trackers send theirs at each announce.
    pub(super) fn warn(&mut self, tracker: &TrackerUrl, text: Option<&str>, context: &mut Context<'_>) {
        let Some(text) = text else { return };
        let known = self.warned.as_deref().is_some_and(|(of, last)| of == tracker && last == text);
        if !known {
            self.warned = Some(Box::new((tracker.clone(), text.to_owned())));
            context.alert(self.id, Alert::Warning { tracker: tracker.clone(), text: text.to_owned() });
        }
    }

    /// R15: whatever a late one says, its round is settled.
    pub(super) fn answered_late(
        &mut self,
        attempt: Attempt,
        told: Told,
        response: AnnounceResponse,
        context: &mut Context<'_>,
    ) {
        let Attempt { id, tracker, slot, .. } = attempt;
        // It is no measurement that a patience could be learned from, but the host works.
        context.finish(self.id, id, slot, Outcome::Alive);
        let interval = response.interval.unwrap_or(self.config.interval_default);
        self.failures.remove(&tracker);
        self.accept(&tracker, told, &response, interval, context.now);
        self.schedule.heard(&tracker, &response, &self.config, context.now);
        context.alert(self.id, Alert::LateResponse { tracker, response: Arc::new(response) });
    }

    pub(super) fn accept(
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
    pub(super) fn fail_attempt(&mut self, id: AttemptId, error: AnnounceError, context: &mut Context<'_>) {
        let Some(attempt) = self.round.as_mut().and_then(|round| round.failed(id, error.clone())) else {
            return;
        };
        let tracker = attempt.tracker.clone();
        self.note_failure(attempt, &error, context);
        if self.failures.get(&tracker).is_some_and(|failure| failure.news != TrackerNews::Nothing) {
            self.trackers.record_failure(&tracker);
        }
        context.alert(self.id, Alert::Failed { tracker, error });
    }

    /// Gives an attempt of the round under way up, because its tracker isn't to be asked any more. That says nothing
    /// about the tracker.
    pub(super) fn skip_attempt(&mut self, id: AttemptId, error: AnnounceError, context: &mut Context<'_>) {
        let Some(attempt) = self.round.as_mut().and_then(|round| round.failed(id, error.clone())) else {
            return;
        };
        let tracker = attempt.tracker.clone();
        if matches!(attempt.stage, Stage::Announcing(_)) {
            self.ledger.failed(&tracker, false);
        }
        context.give_up(self.id, attempt);
        context.alert(self.id, Alert::Failed { tracker, error });
    }

    /// What a failed attempt says of the tracker and its host, whether its round has been settled or not.
    pub(super) fn note_failure(
        &mut self,
        attempt: Attempt,
        error: &AnnounceError,
        context: &mut Context<'_>,
    ) {
        let Attempt { id, tracker, slot, stage, .. } = attempt;
        let verdict = Verdict::of(error);
        let failed = Failed {
            verdict,
            tracker: &tracker,
            before: self.is_refused_by(&tracker),
            random: context.random.random(),
        };
        let ended = context.finish(self.id, id, slot, Outcome::Failed(failed));
        if matches!(stage, Stage::Announcing(_)) {
            self.ledger.failed(&tracker, verdict.registered == Registered::No);
        }
        self.schedule.failed(&tracker, error, &self.config, context.now);
        let news = if ended.withheld { verdict.tracker.withheld() } else { verdict.tracker };
        self.failures.insert(tracker, TrackerFailure { error: error.clone(), news });
    }

    pub(super) fn round_failed(&mut self, context: &mut Context<'_>) {
        let Some(round) = self.round.take() else { return };
        let (_, attempts) = round.end();
        let error = Arc::new(RoundError::failed(attempts));
        self.trackers.begin_round();
        if self.phase == Phase::Running {
            let is_outage = context.hosts.is_outage();
            if is_outage {
                // What failed just before that was known fell to the same cause, where that could be.
                for failure in self.failures.values_mut() {
                    if Verdict::of(&failure.error).host.could_be_local() {
                        failure.news = failure.news.withheld();
                    }
                }
            }
            // A round within the back-off didn't ask those that refuse, and doesn't lengthen it.
            if self.own_back_off <= context.now {
                self.own_back_off = if is_outage {
                    self.schedule.round_withheld(context.now)
                } else {
                    self.next_own_back_off(&error, context)
                };
            }
            self.needy_back_off = context.now + self.config.needy_wait(context.random.random());
            // With every tracker at "never" there is nobody to ask; the list may still change.
            let first = self.first_earliest(context.hosts, context.now);
            self.wait_in_line(context.hosts, context.now);
            self.schedule.put_off(first.map(|first| first.max(context.now + ROUND_GAP)));
            if self.again {
                self.schedule.force(context.now);
            }
            let retry_in = self.schedule.due().map(|due| due.since(context.now));
            context.alert(self.id, Alert::RoundFailed { error: Arc::clone(&error), retry_in });
        }
        self.round_ended(Err(error), context);
    }

    /// Until when trackers that don't serve this torrent aren't asked, after a round in which all failed.
    fn next_own_back_off(&mut self, error: &RoundError, context: &mut Context<'_>) -> Timestamp {
        let refused = |attempt: &FailedAttempt| {
            matches!(&attempt.error, AnnounceError::Rejected(rejection)
                if rejection.retry == Retry::Unsaid && rejection.interval.is_none())
        };
        let retry = if error.attempts().iter().any(refused) {
            self.schedule.new_torrent_refused(context.now.since(self.added_at), context.now)
        } else {
            None
        };
        retry.unwrap_or_else(|| {
            let random = context.random.random();
            self.schedule.round_failed(&self.config, random, context.now)
        })
    }

    /// Gives up what is left of the round: the session ends.
    pub(super) fn abandon_round(&mut self, context: &mut Context<'_>) {
        let Some(round) = self.round.take() else { return };
        let (attempts, mut failed) = round.end();
        for attempt in attempts {
            failed.push(FailedAttempt { tracker: attempt.tracker.clone(), error: AnnounceError::Cancelled });
            context.give_up(self.id, attempt);
        }
        self.round_ended(Err(Arc::new(RoundError::failed(failed))), context);
    }

    pub(super) fn round_ended(
        &mut self,
        result: Result<Arc<Announced>, Arc<RoundError>>,
        context: &mut Context<'_>,
    ) {
        context.outputs.push_back(Output::RoundEnded { torrent: self.id, round: self.round_number, result });
        if self.once.is_some() {
            self.drop_late(context);
            self.phase = Phase::ended();
        }
    }

    pub(super) fn expire_late(&mut self, context: &mut Context<'_>) {
        let (open_limit, reply_limit) = (self.config.open_limit, self.config.reply_limit);
        let until = |attempt: &Attempt| match attempt.stage {
            Stage::Announcing(told) => (told.at + reply_limit, TimedPhase::Reply),
            _ => (attempt.started_at() + open_limit, TimedPhase::Open),
        };
        let (expired, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|attempt| until(attempt).0 <= context.now);
        let wake = running.iter().map(|attempt| until(attempt).0).min();
        self.late = running;
        self.wake_at(wake);
        for attempt in expired {
            let error = AnnounceError::TimedOut(until(&attempt).1);
            context.close(attempt.id);
            self.note_failure(attempt, &error, context);
        }
    }

    /// Gives attempts up that nobody waits for any more.
    pub(super) fn drop_late(&mut self, context: &mut Context<'_>) {
        for attempt in std::mem::take(&mut self.late) {
            context.give_up(self.id, attempt);
        }
    }
}
