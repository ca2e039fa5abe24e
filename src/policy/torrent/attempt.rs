//! One attempt at one tracker, from its opening to its end.

use std::time::Duration;

use crate::announce::{Event, Transfer};
use crate::error::TimeoutPhase;
use crate::policy::config::Config;
use crate::policy::hosts::Slot;
use crate::policy::io::AttemptId;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// One attempt at one tracker.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) tracker: TrackerUrl,
    pub(super) tier: usize,
    /// Gives the place at the host back when the attempt ends.
    pub(crate) slot: Slot,
    /// Until when its opening may be silent before the next one starts.
    pub(super) patience_until: Timestamp,
    /// The user knows that its opening is silent.
    pub(super) reported_silent: bool,
    pub(crate) stage: Stage,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The channel is being opened.
    Opening,
    /// The channel is open since `at`, and nothing was sent on it.
    Open { at: Timestamp },
    /// The announce was sent.
    Announcing(SentAnnounce),
}

/// An announce that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentAnnounce {
    pub(crate) at: Timestamp,
    /// How long the opening took.
    pub(crate) opening: Duration,
    pub(crate) event: Option<Event>,
    pub(crate) transfer: Transfer,
    /// From when another tracker may be announced to beside it; `None` if none may.
    pub(super) patience_until: Option<Timestamp>,
    pub(super) stalled: bool,
}

impl Attempt {
    /// When it began.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.slot.started_at()
    }

    /// The announce, if it was sent.
    pub(crate) fn sent(&self) -> Option<SentAnnounce> {
        match self.stage {
            Stage::Announcing(sent) => Some(sent),
            Stage::Opening | Stage::Open { .. } => None,
        }
    }

    /// Whether its opening has been silent for longer than its patience, or its announce so that another tracker was
    /// announced to.
    pub(crate) fn is_silent(&self) -> bool {
        match self.stage {
            Stage::Opening => self.reported_silent,
            Stage::Open { .. } => false,
            Stage::Announcing(sent) => sent.stalled,
        }
    }

    /// Doesn't count a time in which this process stood still: neither as silence, nor towards a limit or a latency.
    pub(crate) fn extend(&mut self, gap: Duration) {
        self.slot.extend(gap);
        self.patience_until = self.patience_until + gap;
        match &mut self.stage {
            Stage::Opening => {}
            Stage::Open { at } => *at = *at + gap,
            Stage::Announcing(sent) => {
                sent.at = sent.at + gap;
                sent.patience_until = sent.patience_until.map(|until| until + gap);
            }
        }
    }

    /// When its time is up. The last attempt that is left gets longer.
    pub(super) fn limit(&self, config: &Config, last: bool) -> Option<(Timestamp, TimeoutPhase)> {
        match self.stage {
            Stage::Opening => {
                let limit = if last { config.limits.last_open_limit } else { config.limits.open_limit };
                Some((self.started_at() + limit, TimeoutPhase::Open))
            }
            Stage::Open { .. } => None,
            Stage::Announcing(sent) => {
                let limit = if last { config.limits.last_reply_limit } else { config.limits.reply_limit };
                Some((sent.at + limit, TimeoutPhase::Reply))
            }
        }
    }
}
