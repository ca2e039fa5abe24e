//! The end of a session: an announce in flight may finish, then `stopped` goes to every tracker that may know us, in
//! bounded time.

use std::time::Duration;

use rand::RngExt;

use super::hosts::{Failed, Outcome, Priority, Slot};
use super::io::{AttemptId, Output, TorrentId};
use super::session::{Context, Session};
use super::verdict::{Registered, Verdict};
use crate::alert::{Alert, StopResult};
use crate::announce::{AnnounceResponse, Event};
use crate::error::{AnnounceError, TimeoutPhase as TimedPhase};
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// Where a session is in its life.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Announcing.
    Running,
    /// Waiting until `until` for an announce in flight, so that `stopped` can't overtake it.
    Draining {
        until: Timestamp,
        deadline: Timestamp,
    },
    /// Announcing `stopped`.
    Farewells(Box<Farewells>),
    Ended(Vec<StopResult>),
}

#[derive(Debug)]
pub(crate) struct Farewells {
    deadline: Timestamp,
    pending: Vec<Farewell>,
    results: Vec<StopResult>,
}

/// `stopped` on its way to one tracker, or the `completed` it is still owed before that.
#[derive(Debug)]
struct Farewell {
    tracker: TrackerUrl,
    event: Event,
    /// `None` while it queues for its host.
    attempt: Option<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    id: AttemptId,
    slot: Slot,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    Announcing,
}

impl PartialEq for Phase {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Phase {
    pub(crate) fn ended() -> Self {
        Self::Ended(Vec::new())
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    pub(crate) fn into_results(self) -> Vec<StopResult> {
        match self {
            Self::Ended(results) => results,
            _ => Vec::new(),
        }
    }

    pub(crate) fn is_farewell(&self, id: AttemptId) -> bool {
        let pending = match self {
            Self::Farewells(farewells) => &farewells.pending[..],
            _ => &[],
        };
        pending.iter().any(|farewell| farewell.is(id))
    }

    /// Notes that a channel for a farewell is open.
    pub(crate) fn opened(&mut self, id: AttemptId) {
        if let Self::Farewells(farewells) = self
            && let Some(farewell) = farewells.pending.iter_mut().find(|farewell| farewell.is(id))
            && let Some(attempt) = &mut farewell.attempt
            && attempt.stage == Stage::Opening
        {
            attempt.stage = Stage::Open;
        }
    }

    /// Counts a time in which this process stood still as none.
    pub(crate) fn extend(&mut self, gap: Duration) {
        match self {
            Self::Draining { until, deadline } => {
                *until = *until + gap;
                *deadline = *deadline + gap;
            }
            Self::Farewells(farewells) => {
                farewells.deadline = farewells.deadline + gap;
                for attempt in farewells.pending.iter_mut().filter_map(|farewell| farewell.attempt.as_mut()) {
                    attempt.slot.extend(gap);
                }
            }
            Self::Running | Self::Ended(_) => {}
        }
    }

    /// Gives up what is under way.
    pub(crate) fn give_up(self, torrent: TorrentId, context: &mut Context<'_>) {
        if let Self::Farewells(farewells) = self {
            for farewell in farewells.pending {
                farewell.give_up(torrent, context);
            }
        }
    }
}

impl Session {
    /// Begins the end, which takes no longer than `limit`, where it has begun as well.
    pub(crate) fn stop(&mut self, limit: Duration, context: &mut Context<'_>) {
        let strictest = context.now + limit;
        match &mut self.phase {
            Phase::Running => {}
            Phase::Draining { until, deadline } => {
                *deadline = (*deadline).min(strictest);
                *until = (*until).min(strictest);
                return;
            }
            Phase::Farewells(farewells) => {
                farewells.deadline = farewells.deadline.min(strictest);
                return;
            }
            Phase::Ended(_) => return,
        }
        for attempt in self.round.as_mut().map(|round| round.close()).unwrap_or_default() {
            context.give_up(self.id, attempt);
        }
        let patience = self.config.reply_patience.min(limit / 2);
        let (until, deadline) = (context.now + patience, context.now + limit);
        self.phase = Phase::Draining { until, deadline };
    }

    /// Ends at once and leaves all registrations to another session of the same torrent.
    pub(crate) fn leave_to(&mut self, other: &mut Self, context: &mut Context<'_>) {
        self.abandon_round(context);
        self.drop_late(context);
        self.give_up_queueing(context);
        other.ledger.take_over(&mut self.ledger);
        self.phase = Phase::ended();
    }

    /// Moves the end of the session on as far as it can go now.
    pub(super) fn drive_stopping(&mut self, context: &mut Context<'_>) {
        if let Phase::Draining { until, deadline } = self.phase {
            if self.round.is_some() && context.now < until {
                return self.wake_at(Some(until));
            }
            self.abandon_round(context);
            self.drop_late(context);
            self.give_up_queueing(context);
            self.say_farewell(deadline, context);
        }
        self.announce_farewells(context);
        let Phase::Farewells(farewells) = &mut self.phase else { return };
        let deadline = farewells.deadline;
        if context.now >= deadline {
            for farewell in std::mem::take(&mut farewells.pending) {
                let phase = match &farewell.attempt {
                    Some(Attempt { stage: Stage::Announcing, .. }) => TimedPhase::Reply,
                    _ => TimedPhase::Open,
                };
                let (tracker, error) = (farewell.tracker.clone(), AnnounceError::TimedOut(phase));
                // The limit is ours and not the tracker's, so nothing is learned about its host.
                farewell.give_up(self.id, context);
                self.ledger.stopped(&tracker);
                farewells.results.push(StopResult { tracker: tracker.clone(), result: Err(error.clone()) });
                context.alert(self.id, Alert::Stopped { tracker, result: Err(error) });
            }
        }
        if farewells.pending.is_empty() {
            self.phase = Phase::Ended(std::mem::take(&mut farewells.results));
        } else {
            self.wake_at(Some(deadline));
        }
    }

    fn say_farewell(&mut self, deadline: Timestamp, context: &mut Context<'_>) {
        let owed: Vec<TrackerUrl> = self
            .ledger
            .stop_recipients(context.now)
            .into_iter()
            .filter(|tracker| !self.schedule.is_suspended(tracker, context.now))
            .collect();
        if !owed.is_empty() {
            context.alert(self.id, Alert::Stopping { trackers: owed.len() });
        }
        let pending = owed.into_iter().map(|tracker| {
            // The debt of `completed` is paid to the tracker in use before we leave it.
            let in_use = self.trackers.in_use() == Some(&tracker) && self.ledger.is_registered(&tracker);
            let event =
                if in_use && self.ledger.owes_completed() { Event::Completed } else { Event::Stopped };
            Farewell::new(self.id, tracker, event, context)
        });
        let pending = pending.collect();
        self.phase = Phase::Farewells(Box::new(Farewells { deadline, pending, results: Vec::new() }));
    }

    fn announce_farewells(&mut self, context: &mut Context<'_>) {
        let Phase::Farewells(farewells) = &mut self.phase else { return };
        let mut opened = Vec::new();
        for farewell in &mut farewells.pending {
            if let Some(attempt) = farewell.attempt.as_mut().filter(|attempt| attempt.stage == Stage::Open) {
                attempt.stage = Stage::Announcing;
                opened.push((attempt.id, farewell.tracker.clone(), farewell.event));
            }
        }
        for (attempt, tracker, event) in opened {
            let request = Box::new(self.request(&tracker, Some(event)));
            context.outputs.push_back(Output::Announce { attempt, request });
        }
    }

    /// It is our turn at a host for a farewell.
    pub(super) fn farewell_admitted(&mut self, slot: Slot, context: &mut Context<'_>) {
        if let Phase::Farewells(farewells) = &mut self.phase
            && let Some(farewell) = farewells
                .pending
                .iter_mut()
                .find(|farewell| farewell.attempt.is_none() && farewell.tracker.host_key() == slot.host())
        {
            farewell.open(self.id, slot, context);
        } else {
            context.hosts.finished(slot, Outcome::Unused, context.now);
        }
    }

    /// A farewell was answered or failed: one try each, whatever came of it.
    pub(super) fn farewell_ended(
        &mut self,
        id: AttemptId,
        result: Result<&AnnounceResponse, AnnounceError>,
        context: &mut Context<'_>,
    ) {
        let Phase::Farewells(farewells) = &mut self.phase else { return };
        let Some(place) = farewells.pending.iter().position(|farewell| farewell.is(id)) else { return };
        let Farewell { tracker, event, attempt } = farewells.pending.remove(place);
        let Some(Attempt { slot, .. }) = attempt else { return };
        let verdict = result.as_ref().err().map(Verdict::of);
        let outcome = match verdict {
            None => Outcome::Alive,
            Some(verdict) => Outcome::Failed(Failed {
                verdict,
                tracker: &tracker,
                before: self.is_refused_by(&tracker),
                random: context.random.random(),
            }),
        };
        context.finish(self.id, id, slot, outcome);
        let Phase::Farewells(farewells) = &mut self.phase else { return };
        if event == Event::Completed {
            match &result {
                Ok(response) => {
                    let interval = response.interval.unwrap_or(self.config.interval_default);
                    self.ledger.accepted(&tracker, Some(event), Some(0), interval, context.now);
                }
                Err(error) => {
                    let answered = verdict.is_some_and(|verdict| verdict.registered == Registered::No);
                    self.ledger.failed(&tracker, answered);
                    self.schedule.failed(&tracker, error, &self.config, context.now);
                }
            }
            if self.schedule.is_suspended(&tracker, context.now) {
                return;
            }
            let next = Farewell::new(self.id, tracker, Event::Stopped, context);
            farewells.pending.push(next);
            return;
        }
        self.ledger.stopped(&tracker);
        let result = result.map(|_| ());
        farewells.results.push(StopResult { tracker: tracker.clone(), result: result.clone() });
        context.alert(self.id, Alert::Stopped { tracker, result });
    }
}

impl Farewell {
    fn new(torrent: TorrentId, tracker: TrackerUrl, event: Event, context: &mut Context<'_>) -> Self {
        let mut farewell = Self { tracker, event, attempt: None };
        let host = farewell.tracker.host_key();
        if let Some(slot) = context.hosts.admit(host, torrent, Priority::Stopped, context.now) {
            farewell.open(torrent, slot, context);
        }
        farewell
    }

    fn is(&self, id: AttemptId) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.id == id)
    }

    fn open(&mut self, torrent: TorrentId, slot: Slot, context: &mut Context<'_>) {
        let id = context.attempts.begin(torrent);
        self.attempt = Some(Attempt { id, slot, stage: Stage::Opening });
        context.outputs.push_back(Output::Open { attempt: id, tracker: self.tracker.clone() });
    }

    fn give_up(self, torrent: TorrentId, context: &mut Context<'_>) {
        match self.attempt {
            Some(Attempt { id, slot, .. }) => {
                context.close(id);
                context.finish(torrent, id, slot, Outcome::GaveUp);
            }
            None => context.hosts.leave_queue(self.tracker.host_key(), torrent, context.now),
        }
    }
}
