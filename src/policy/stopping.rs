//! The end of a session: an announce in flight may finish, then everybody who knows us is told, in bounded time.

use super::asking::is_an_answer;
use super::engine::{AttemptId, Output, TorrentId};
use super::gates::Class;
use super::session::{Context, Session};
use super::time::Timestamp;
use crate::alert::{Alert, ToldStopped};
use crate::announce::{AnnounceResponse, Event};
use crate::error::{AnnounceError, Phase as TimedPhase};
use crate::tracker::{TrackerHost, TrackerUrl};

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
    /// Telling everybody.
    Farewells(Box<Farewells>),
    Ended(Vec<ToldStopped>),
}

#[derive(Debug)]
pub(crate) struct Farewells {
    deadline: Timestamp,
    pending: Vec<Farewell>,
    results: Vec<ToldStopped>,
}

/// `stopped` on its way to one tracker, or the `completed` it is still owed before that.
#[derive(Debug)]
struct Farewell {
    /// `None` while it queues at its host's gate.
    id: Option<AttemptId>,
    tracker: TrackerUrl,
    event: Event,
    stage: FarewellStage,
}

#[derive(Debug, PartialEq, Eq)]
enum FarewellStage {
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

    pub(crate) fn into_results(self) -> Vec<ToldStopped> {
        match self {
            Self::Ended(results) => results,
            _ => Vec::new(),
        }
    }

    pub(crate) fn is_farewell(&self, id: AttemptId) -> bool {
        self.attempt_ids().any(|other| other == id)
    }

    pub(crate) fn attempt_ids(&self) -> impl Iterator<Item = AttemptId> {
        let pending = match self {
            Self::Farewells(farewells) => &farewells.pending[..],
            _ => &[],
        };
        pending.iter().filter_map(|farewell| farewell.id)
    }

    /// Notes that a channel for a farewell is open.
    pub(crate) fn opened(&mut self, id: AttemptId) {
        if let Self::Farewells(farewells) = self
            && let Some(farewell) = farewells.pending.iter_mut().find(|farewell| farewell.id == Some(id))
            && farewell.stage == FarewellStage::Opening
        {
            farewell.stage = FarewellStage::Open;
        }
    }
}

impl Session {
    /// Begins the end.
    pub(crate) fn stop(&mut self, context: &mut Context<'_>) {
        if self.phase != Phase::Running {
            return;
        }
        for attempt in self.round.as_mut().map(|round| round.close()).unwrap_or_default() {
            context.drop_attempt(&attempt);
        }
        let patience = self.config.reply_patience.min(self.config.stop_limit / 2);
        let (until, deadline) = (context.now + patience, context.now + self.config.stop_limit);
        self.phase = Phase::Draining { until, deadline };
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
            for farewell in farewells.pending.drain(..) {
                let phase = match farewell.stage {
                    FarewellStage::Announcing => TimedPhase::Reply,
                    _ => TimedPhase::Open,
                };
                let error = AnnounceError::TimedOut(phase);
                match farewell.id {
                    Some(id) => context.close(id),
                    None => context.gates.give_up(&farewell.tracker.tracker_host(), self.id),
                }
                self.ledger.stopped(&farewell.tracker);
                farewells
                    .results
                    .push(ToldStopped { tracker: farewell.tracker.clone(), result: Err(error.clone()) });
                context.alert(self.id, Alert::Stopped { tracker: farewell.tracker, result: Err(error) });
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
            .owed_stopped(context.now)
            .into_iter()
            .filter(|tracker| !self.schedule.is_suspended(tracker, context.now))
            .collect();
        if !owed.is_empty() {
            context.alert(self.id, Alert::Stopping { trackers: owed.len() });
        }
        let pending = owed.into_iter().map(|tracker| {
            // The debt of `completed` is paid to the tracker in use before we leave it.
            let in_use = self.trackers.in_use() == Some(&tracker) && self.ledger.knows_us(&tracker);
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
        for farewell in farewells.pending.iter_mut().filter(|farewell| farewell.stage == FarewellStage::Open)
        {
            farewell.stage = FarewellStage::Announcing;
            opened.extend(farewell.id.map(|id| (id, farewell.tracker.clone(), farewell.event)));
        }
        for (attempt, tracker, event) in opened {
            let request = Box::new(self.request(&tracker, Some(event)));
            context.outputs.push_back(Output::Announce { attempt, request });
        }
    }

    /// The gate of a host has let us in for a farewell.
    pub(super) fn farewell_called(&mut self, host: &TrackerHost, context: &mut Context<'_>) {
        if let Phase::Farewells(farewells) = &mut self.phase
            && let Some(farewell) = farewells
                .pending
                .iter_mut()
                .find(|farewell| farewell.id.is_none() && farewell.tracker.tracker_host() == *host)
        {
            farewell.open(self.id, context);
        } else {
            context.gates.leave(host, context.config, context.now);
        }
    }

    /// A farewell was answered or failed: one try each, whatever came of it.
    pub(super) fn farewell_ended(
        &mut self,
        id: AttemptId,
        result: Result<&AnnounceResponse, AnnounceError>,
        context: &mut Context<'_>,
    ) {
        context.end(id);
        let Phase::Farewells(farewells) = &mut self.phase else { return };
        let Some(place) = farewells.pending.iter().position(|farewell| farewell.id == Some(id)) else {
            return;
        };
        let Farewell { tracker, event, .. } = farewells.pending.remove(place);
        if result.is_ok() {
            context.health.alive(tracker.tracker_host(), context.now);
        }
        if event == Event::Completed {
            match &result {
                Ok(response) => {
                    let interval = response.interval.unwrap_or(self.config.interval_default);
                    self.ledger.accepted(&tracker, Some(event), Some(0), interval, context.now);
                }
                Err(error) => {
                    self.ledger.failed(&tracker, is_an_answer(error));
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
        farewells.results.push(ToldStopped { tracker: tracker.clone(), result: result.clone() });
        context.alert(self.id, Alert::Stopped { tracker, result });
    }
}

impl Farewell {
    fn new(torrent: TorrentId, tracker: TrackerUrl, event: Event, context: &mut Context<'_>) -> Self {
        let mut farewell = Self { id: None, tracker, event, stage: FarewellStage::Opening };
        let host = farewell.tracker.tracker_host();
        if context.gates.enter(&host, torrent, Class::Stopped, context.config, context.now) {
            farewell.open(torrent, context);
        }
        farewell
    }

    fn open(&mut self, torrent: TorrentId, context: &mut Context<'_>) {
        let attempt = context.attempts.begin(torrent, self.tracker.tracker_host());
        self.id = Some(attempt);
        context.outputs.push_back(Output::Open { attempt, tracker: self.tracker.clone() });
    }
}
