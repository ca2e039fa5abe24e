//! What the auditor knows of torrents, trackers and hosts: what the world did, and what the engine was seen to do.

use std::collections::BTreeSet;
use std::time::Duration;

use tracker_failover::policy::{Timestamp, TorrentId};

use super::world::{Condition, Script, World};

/// A torrent as the auditor sees it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
pub(super) struct Member {
    pub(super) id: TorrentId,
    pub(super) runs: bool,
    pub(super) stopping_since: Option<Timestamp>,
    pub(super) private: bool,
    /// Whether several trackers are opened beside each other.
    pub(super) races: bool,
    /// Whether it is registered at further trackers as needed.
    pub(super) as_needed: bool,
    /// Whether hosts that fail are kept in mind.
    pub(super) breaker: bool,
    pub(super) complete: bool,
    pub(super) complete_from_start: bool,
    /// Since when a tracker is owed `completed`.
    pub(super) owes_since: Option<Timestamp>,
    pub(super) completed_accepted: bool,
    /// The tracker of the last answer, while it is listed.
    pub(super) in_use: Option<usize>,
    /// Since when there is no such tracker.
    pub(super) unused_since: Timestamp,
    pub(super) answered_at: Timestamp,
    /// When the last answer wants the next announce.
    pub(super) due: Timestamp,
    pub(super) listed: Vec<Listed>,
    /// Up to this round the user asked for one, so that intervals don't bind.
    pub(super) forced_until: u64,
    pub(super) rounds_ended: u64,
    /// When its deadline is looked at next.
    pub(super) check_at: Option<Timestamp>,
    /// Who answered when.
    pub(super) answers: Vec<(Timestamp, usize)>,
}

/// A tracker of a torrent, now or earlier.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
pub(super) struct Listed {
    pub(super) tracker: usize,
    pub(super) on_list: bool,
    pub(super) since: Timestamp,
    /// How the tracker is towards this torrent.
    pub(super) own: Option<Script>,
    /// The torrent failed there, and had no answer since.
    pub(super) failed: Option<Failing>,
    /// When its answers allow the next announce: at all, and without an event.
    pub(super) suspended_until: Timestamp,
    pub(super) early_until: Timestamp,
    pub(super) never: bool,
    /// The same as a promise to the tracker; an edit of the list takes it back.
    pub(super) not_before: Timestamp,
    pub(super) no_regular_before: Timestamp,
    pub(super) not_again: bool,
    pub(super) accepted: bool,
    /// Accepted `completed`.
    pub(super) completed: bool,
    /// Accepted an announce, and was never sent `stopped` since.
    pub(super) knows: bool,
    pub(super) may_know: bool,
    pub(super) last_accepted: Timestamp,
    pub(super) in_flight: u32,
    pub(super) uploaded: u64,
    pub(super) times_stopped: u32,
    pub(super) opened_in_round: u64,
    /// Announces without a request of the user, in the minute that began then.
    pub(super) minute: (Timestamp, u32),
    pub(super) announces: usize,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failing {
    /// Its host gave no sign of life: name, refused, silent, TLS.
    NoLife,
    /// A page, a status, a hang-up, silence on a channel that stood, a refusal.
    Answer,
}

/// A host as the auditor sees it.
#[derive(Debug, Default)]
pub(super) struct HostFacts {
    /// How often it is listed by torrents that run.
    pub(super) listed: usize,
    /// How many of these it keeps waiting at times, and whether at times it does so with all.
    pub(super) slow: usize,
    pub(super) is_slow: bool,
    /// It gave no sign of life, and no answer since.
    pub(super) is_lifeless: bool,
    /// Which addresses failed for which torrents after an opening, with no answer to anybody since.
    pub(super) failed: BTreeSet<(usize, usize)>,
    /// Torrents that failed in whichever way since the last answer to anybody.
    pub(super) failed_torrents: BTreeSet<usize>,
    /// When it last left back-off.
    pub(super) cleared_at: Timestamp,
}

impl HostFacts {
    /// Whether answers of other kinds than an answer were seen of two addresses or torrents.
    pub(super) fn is_doubted(&self) -> bool {
        self.failed.len() >= 2
    }

    pub(super) fn answered(&mut self, now: Timestamp) {
        if self.is_lifeless || !self.failed.is_empty() {
            self.cleared_at = now;
        }
        self.is_lifeless = false;
        self.failed.clear();
        self.failed_torrents.clear();
    }

    pub(super) fn failed(&mut self, torrent: Option<usize>, tracker: usize, failing: Failing) {
        match failing {
            Failing::NoLife => self.is_lifeless = true,
            Failing::Answer => {
                self.failed.extend(torrent.map(|torrent| (torrent, tracker)));
            }
        }
        self.failed_torrents.extend(torrent);
    }
}

impl Listed {
    pub(super) fn new(tracker: usize, own: Option<Script>, since: Timestamp) -> Self {
        Self {
            tracker,
            on_list: true,
            since,
            own,
            failed: None,
            suspended_until: Timestamp::ZERO,
            early_until: Timestamp::ZERO,
            never: false,
            not_before: Timestamp::ZERO,
            no_regular_before: Timestamp::ZERO,
            not_again: false,
            accepted: false,
            completed: false,
            knows: false,
            may_know: false,
            last_accepted: Timestamp::ZERO,
            in_flight: 0,
            uploaded: 0,
            times_stopped: 0,
            opened_in_round: 0,
            minute: (Timestamp::ZERO, 0),
            announces: 0,
        }
    }

    /// Whether the tracker keeps this torrent waiting at times.
    pub(super) fn is_slow(&self, world: &World) -> bool {
        let is_slow = |script: &Script| script.is_ever(|condition| waits(condition, world, self.tracker));
        is_slow(&world.trackers[self.tracker].script) || self.own.as_ref().is_some_and(is_slow)
    }
}

/// Whether an attempt waits for its time limit.
pub(super) fn waits(condition: Condition, world: &World, tracker: usize) -> bool {
    let over_udp = world.host_of(tracker).scheme == tracker_failover::Scheme::Udp;
    match condition {
        Condition::Silent | Condition::Mute | Condition::BadCertificate => true,
        Condition::Refused | Condition::Page | Condition::HangsUp => over_udp,
        _ => false,
    }
}

impl Member {
    pub(super) fn place(&self, tracker: usize) -> Option<usize> {
        self.listed.iter().position(|listed| listed.tracker == tracker)
    }

    /// Why one is due.
    pub(super) fn due_because(&self) -> &'static str {
        match (self.in_use, self.owes_since) {
            (None, _) if self.answers.is_empty() => "because it is new",
            (None, _) => "because the tracker in use is gone",
            (_, Some(_)) => "because it is complete",
            _ => "by its schedule",
        }
    }

    /// Since when an announce is due, or will be.
    pub(super) fn due(&self) -> Timestamp {
        match (self.in_use, self.owes_since) {
            (None, _) => self.unused_since,
            (_, Some(owes_since)) => self.due.min(owes_since.max(self.answered_at)),
            _ => self.due,
        }
    }
}

/// Trackers keep a peer for three quarters of an hour; `stopped` is owed to those who remember.
pub(super) const REMEMBERED: Duration = Duration::from_secs(44 * 60);
