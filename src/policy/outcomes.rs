//! What comes of attempts: answers, late answers, failures, and the end of a round.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::asking::{ROUND_GAP, failure, is_alive, is_an_answer};
use super::engine::{AttemptId, Output};
use super::returning::Home;
use super::round::{Attempt, Stage, Told};
use super::session::{Context, Session};
use super::stopping::Phase;
use super::time::Timestamp;
use crate::alert::{Alert, Announced};
use crate::announce::{AnnounceResponse, Event};
use crate::error::{AnnounceError, FailedAttempt, Phase as TimedPhase, RoundError};
use crate::prober::Measurement;
use crate::tracker::TrackerUrl;

impl Session {
    pub(super) fn answered(
        &mut self,
        attempt: &Attempt,
        told: Told,
        response: AnnounceResponse,
        context: &mut Context<'_>,
    ) {
        let (tracker, now) = (attempt.tracker.clone(), context.now);
        context.end(attempt.id);
        context.settle(attempt);
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
        let sample = Measurement { connect: told.opening, first_byte: now.since(told.at) };
        let latency = context.health.answered(tracker.tracker_host(), sample, now);
        self.trackers.record_latency(&tracker, latency);
        self.wants_peers = false;
        self.trackers.record_success(&tracker);
        self.refused_until = Timestamp::ZERO;
        self.errors.remove(&tracker);
        let random = context.random.random();
        let interval = self.schedule.succeeded(&tracker, &response, &self.config, random, now);
        self.accept(&tracker, told, &response, interval, now);
        let free_to_check = self.checking.is_none() && self.wanted_check.is_none() && self.once.is_none();
        if free_to_check && self.measures_hosts() {
            self.wanted_check = self.stale(context.health, now);
        }

        let Some(round) = self.round.take() else { return };
        let attempts = round.tried();
        let (others, failed) = round.end();
        for other in others {
            if matches!(other.stage, Stage::Announcing(_)) || other.is_silent() {
                // What comes of it still says something: an answer, or that the host is dead.
                self.late.push(other);
            } else {
                context.health.gave_up(&other.tracker.tracker_host(), other.started_at, now);
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
        self.warn(&tracker, announced.response.warning.as_deref(), context);
        if event.is_none() {
            context.alert(self.id, Alert::PeriodicSent { tracker });
        }
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
        attempt: &Attempt,
        told: Told,
        response: AnnounceResponse,
        context: &mut Context<'_>,
    ) {
        context.end(attempt.id);
        context.settle(attempt);
        let interval = response.interval.unwrap_or(self.config.interval_default);
        self.accept(&attempt.tracker, told, &response, interval, context.now);
        self.schedule.heard(&attempt.tracker, &response, &self.config, context.now);
        let (tracker, response) = (attempt.tracker.clone(), Arc::new(response));
        context.alert(self.id, Alert::AnsweredLate { tracker, response });
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
        self.note_failure(&attempt, &error, context);
        let tracker = attempt.tracker;
        if !matches!(error, AnnounceError::Suspended | AnnounceError::Cancelled) {
            self.trackers.record_failure(&tracker);
        }
        self.errors.insert(tracker.clone(), error.clone());
        context.alert(self.id, Alert::Failed { tracker, error });
    }

    /// What a failed attempt says of the tracker and its host, whether its round has been settled or not.
    pub(super) fn note_failure(
        &mut self,
        attempt: &Attempt,
        error: &AnnounceError,
        context: &mut Context<'_>,
    ) {
        let (tracker, now) = (&attempt.tracker, context.now);
        let host = tracker.tracker_host();
        context.end(attempt.id);
        context.settle(attempt);
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
            context.health.gave_up(&host, attempt.started_at, now);
        }
    }

    pub(super) fn round_failed(&mut self, context: &mut Context<'_>) {
        let Some(round) = self.round.take() else { return };
        let (_, attempts) = round.end();
        let error = Arc::new(RoundError { attempts });
        self.trackers.begin_round();
        if self.phase == Phase::Running {
            // A round within the back-off didn't ask those who refuse, and doesn't lengthen it.
            if self.refused_until <= context.now {
                let random = context.random.random();
                self.refused_until = self.schedule.round_failed(&self.config, random, context.now);
            }
            let backoff = self.refused_until;
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
            context.drop_attempt(&attempt);
            failed.push(FailedAttempt { tracker: attempt.tracker, error: AnnounceError::Cancelled });
        }
        self.round_ended(Err(Arc::new(RoundError { attempts: failed })), context);
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
            context.drop_attempt(&attempt);
        }
    }
}
