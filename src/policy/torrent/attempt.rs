//! One attempt at one tracker, from its opening to its end.

use std::net::IpAddr;
use std::time::Duration;

use crate::alert::AnnounceReason;
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
    /// Its id.
    pub(crate) id: AttemptId,
    /// The tracker.
    pub(crate) tracker: TrackerUrl,
    /// The tier of the tracker, under BEP 12; 0 if latency decides.
    pub(super) tier: usize,
    /// Why the tracker is announced to.
    pub(super) reason: AnnounceReason,
    /// The address to which its channel leads, as a number; `None` if it isn't known.
    pub(super) address: Option<u64>,
    /// The same tracker over the address family that its channel doesn't use; `None` if it has none.
    pub(super) second: Option<TrackerUrl>,
    /// The permission to use the host, returned when the attempt ends.
    pub(crate) slot: Slot,
    /// Until when its opening may be silent before the next one starts.
    pub(super) patience_until: Timestamp,
    /// Whether the user was sent an alert that its opening is silent.
    pub(super) reported_silent: bool,
    /// How far it is.
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
    /// When it was sent.
    pub(crate) at: Timestamp,
    /// How long the opening took.
    pub(crate) opening: Duration,
    /// The event that it carries.
    pub(crate) event: Option<Event>,
    /// The counters that it carries.
    pub(crate) transfer: Transfer,
    /// The port and the address of the client that it carries.
    pub(crate) address: (u16, Option<IpAddr>),
    /// From when another tracker may be announced to beside it; `None` if none may.
    pub(super) patience_until: Option<Timestamp>,
    /// Whether it wasn't answered in time, and another tracker is tried beside it.
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

    /// Whether its opening has been silent for longer than the patience, or its announce has stalled.
    pub(crate) fn is_silent(&self) -> bool {
        match self.stage {
            Stage::Opening => self.reported_silent,
            Stage::Open { .. } => false,
            Stage::Announcing(sent) => sent.stalled,
        }
    }

    /// Leaves a time in which this process stood still out of account: it is neither silence, nor part of a limit or
    /// a latency.
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

    /// When its time limit ends; `None` while its channel is open and unused. The last attempt of a round gets
    /// longer: a single slow tracker still has to work (R48).
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
