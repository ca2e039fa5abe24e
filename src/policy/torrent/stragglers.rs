//! Attempts that are still under way after another tracker has won their round.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, Stage};
use super::book::TorrentBook;
use super::shared::Shared;
use crate::alert::{Alert, AnnounceReason};
use crate::announce::AnnounceResponse;
use crate::error::{AnnounceError, TimeoutPhase};
use crate::policy::hosts::Outcome;
use crate::policy::io::AttemptId;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// Announces still unanswered, and openings still silent, when another tracker won the round. A late answer brings
/// peers, and its tracker is sent `stopped` at the end. An opening shows whether its host is dead.
#[derive(Debug, Default)]
pub(super) struct Stragglers(Vec<Attempt>);

impl Stragglers {
    /// Notes that the channel of an attempt is open: its host is slow and not dead. Nothing is sent on it.
    pub(super) fn opened(&mut self, id: AttemptId, shared: &mut Shared<'_>) {
        if let Some(attempt) = self.take(id, |attempt| attempt.stage == Stage::Opening) {
            let opening = shared.now.since(attempt.started_at());
            shared.close(id);
            let _ = shared.finish(id, attempt.slot, Outcome::OpenedLate(opening));
        }
    }

    /// Takes in a late answer. It changes neither the tracker in use nor the schedule (R15).
    pub(super) fn replied(
        &mut self,
        id: AttemptId,
        response: AnnounceResponse,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) {
        let Some(attempt) = self.take(id, |attempt| attempt.sent().is_some()) else { return };
        let Some(sent) = attempt.sent() else { return };
        let Attempt { tracker, slot, .. } = attempt;
        // No sample: it took longer than the patience, and the next patience would be as long.
        let _ = shared.finish(id, slot, Outcome::Alive);
        let due = shared.now + book.config.interval_after(&response);
        book.accept(&tracker, sent, &response, due, shared.now);
        shared.alert(Alert::LateResponse { tracker, response: Arc::new(response) });
    }

    /// Takes in the failure of an attempt.
    pub(super) fn failed(
        &mut self,
        id: AttemptId,
        error: &AnnounceError,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) {
        if let Some(attempt) = self.take(id, |_| true) {
            book.failed(attempt, error, shared);
        }
    }

    /// Ends the attempts whose time limit is over, and gives when the next one ends.
    pub(super) fn expire(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) -> Option<Timestamp> {
        let (open_limit, reply_limit) = (book.config.limits.open_limit, book.config.limits.reply_limit);
        let limit = |attempt: &Attempt| match attempt.sent() {
            Some(sent) => (sent.at + reply_limit, TimeoutPhase::Reply),
            None => (attempt.started_at() + open_limit, TimeoutPhase::Open),
        };
        let (expired, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|attempt| limit(attempt).0 <= shared.now);
        let next = running.iter().map(|attempt| limit(attempt).0).min();
        self.0 = running;
        for attempt in expired {
            let error = AnnounceError::TimedOut(limit(&attempt).1);
            shared.close(attempt.id);
            book.failed(attempt, &error, shared);
        }
        next
    }

    /// Adds attempts that outlive another round.
    pub(super) fn add(&mut self, attempts: Vec<Attempt>) {
        self.0.extend(attempts);
    }

    /// Whether an attempt is among them.
    pub(super) fn contain(&self, id: AttemptId) -> bool {
        self.0.iter().any(|attempt| attempt.id == id)
    }

    /// Gives up the attempts of the last round, because the next one finds out by itself what they would have shown.
    /// Announces beside the tracker in use go on: their trackers would be asked again otherwise.
    pub(super) fn begin_round(&mut self, shared: &mut Shared<'_>) {
        let goes_on = |attempt: &Attempt| attempt.sent().is_some() && attempt.reason != AnnounceReason::InUse;
        self.give_up_if(|attempt| !goes_on(attempt), shared);
    }

    /// Gives up the attempts at a tracker, because another announce to it is about to be sent.
    pub(super) fn give_up_at(&mut self, tracker: &TrackerUrl, shared: &mut Shared<'_>) {
        self.give_up_if(|attempt| attempt.tracker == *tracker, shared);
    }

    /// Gives up all attempts.
    pub(super) fn give_up(&mut self, shared: &mut Shared<'_>) {
        self.give_up_if(|_| true, shared);
    }

    /// Gives up some attempts.
    fn give_up_if(&mut self, is_given_up: impl Fn(&Attempt) -> bool, shared: &mut Shared<'_>) {
        let (given_up, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(is_given_up);
        self.0 = others;
        for attempt in given_up {
            shared.give_up(attempt.id, attempt.slot);
        }
    }

    /// Leaves out of account a time in which this process stood still.
    pub(super) fn extend(&mut self, gap: Duration) {
        for attempt in &mut self.0 {
            attempt.extend(gap);
        }
    }

    /// The opening with this id.
    pub(super) fn opening_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        self.0.iter_mut().find(|attempt| attempt.id == id && attempt.stage == Stage::Opening)
    }

    /// Takes out an attempt, if it is in the state that is wanted.
    fn take(&mut self, id: AttemptId, is_wanted: impl Fn(&Attempt) -> bool) -> Option<Attempt> {
        let place = self.0.iter().position(|attempt| attempt.id == id && is_wanted(attempt))?;
        Some(self.0.remove(place))
    }
}
