//! Whom a session may ask now, in which order, and what a failure says of whom.

use std::collections::BTreeSet;
use std::time::Duration;

use super::breaker::{Blame, Failure};
use super::health::{HealthBook, HostHealth, Urgency};
use super::round::{Candidate, Candidates};
use super::session::Session;
use super::time::Timestamp;
use super::tracker_set::Order;
use crate::error::{AnnounceError, Phase};
use crate::tracker::TrackerUrl;

impl Session {
    /// The trackers that may be asked now.
    pub(super) fn candidates<'a>(&'a self, health: &'a HealthBook, now: Timestamp) -> impl Candidates + 'a {
        Asking { session: self, starving: self.is_starving(health), health, now }
    }

    /// The order of failover as health has it.
    pub(super) fn asking_order(&self, health: &HealthBook, now: Timestamp) -> Vec<&TrackerUrl> {
        self.trackers.order_by(|tracker| self.rank(tracker, health, now), self.stays(health))
    }

    /// Whether the tracker in use is asked before all others: not where its host is being left alone. Whether that
    /// is back a probe sees, and no torrent has to wait for it.
    fn stays(&self, health: &HealthBook) -> bool {
        let in_use = self.trackers.in_use().and_then(|in_use| health.host(in_use.host_key()));
        !(self.measures_hosts() && in_use.is_some_and(HostHealth::is_left_alone))
    }

    /// Hosts that are left alone come after those that are not, trackers that don't want this torrent last.
    fn rank(&self, tracker: &TrackerUrl, health: &HealthBook, now: Timestamp) -> impl Ord + use<> {
        let host = tracker.host_key();
        let refuses_us = self.is_refused_by(tracker);
        let known = health.host(host);
        let left_alone = known.is_some_and(HostHealth::is_left_alone);
        // The first to answer a probe is the nearest, however long it took: the others may be silent.
        let unmeasured = known.and_then(HostHealth::latency).is_none();
        (refuses_us, left_alone, unmeasured, health.score(host, &self.config, now))
    }

    /// Whether nothing that a tracker said keeps us from asking it in this round.
    pub(super) fn may_be_asked(&self, tracker: &TrackerUrl, now: Timestamp) -> bool {
        let early =
            !self.forced && self.schedule.is_early(tracker, now) && self.ledger.event_for(tracker).is_none();
        !early && !self.schedule.is_suspended(tracker, now)
    }

    /// When a tracker's host may be tried by this session.
    fn free_at(
        &self,
        tracker: &TrackerUrl,
        starving: bool,
        health: &HealthBook,
        now: Timestamp,
    ) -> Timestamp {
        let host = tracker.host_key();
        let free_at = health.free_at(host, starving, &self.config, now);
        // Whoever sets the interval sets the pace.
        let Some(interval) = self.config.overriding_interval() else { return free_at };
        let failed_at = health.host(host).and_then(HostHealth::failed_at);
        failed_at.map_or(free_at, |failed_at| free_at.min(failed_at + interval))
    }

    /// Whether this round asks whoever can be asked, whatever is known of their health: somebody wanted it.
    fn disregards_health(&self) -> bool {
        self.forced || self.once.is_some() || !self.config.breaker
    }

    /// Whether a tracker answered that it doesn't want this torrent.
    fn is_refused_by(&self, tracker: &TrackerUrl) -> bool {
        self.errors.get(tracker).is_some_and(|error| failure(error).is_none())
    }

    /// Whether peers are wanted, and nobody could name some: each tracker refuses this torrent, or its host is
    /// being left alone.
    fn is_starving(&self, health: &HealthBook) -> bool {
        let is_no_help = |tracker: &TrackerUrl| {
            let left_alone = health.host(tracker.host_key()).is_some_and(HostHealth::is_left_alone);
            left_alone || self.is_refused_by(tracker)
        };
        self.torrent.transfer.left != Some(0) && self.trackers.supported_trackers().all(is_no_help)
    }

    pub(super) fn urgency(&self) -> Urgency {
        let is_well = self.trackers.in_use().is_some() && !self.schedule.is_troubled();
        let nobody_waits = !self.forced && !self.wants_peers && self.once.is_none();
        if is_well && nobody_waits { Urgency::Relaxed } else { Urgency::Urgent }
    }

    /// When some tracker may be asked again: by what it said, by the health of its host, or by our own back-off
    /// where it doesn't want this torrent. Of moments that have passed any will do. `backoff` is for all where
    /// health doesn't count.
    pub(super) fn first_free(
        &self,
        backoff: Timestamp,
        health: &HealthBook,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let starving = self.is_starving(health);
        let mut first_free = None;
        for tracker in self.trackers.supported_trackers() {
            let Some(allowed) = self.schedule.allowed_at(tracker) else { continue };
            let free_at = if !self.config.breaker {
                backoff
            } else if self.is_refused_by(tracker) {
                self.refused_until
            } else {
                self.free_at(tracker, starving, health, now)
            };
            let free_at = allowed.max(free_at);
            first_free = Some(first_free.map_or(free_at, |first: Timestamp| first.min(free_at)));
            if free_at <= now {
                break;
            }
        }
        first_free
    }
}

/// Whom a session may ask at a moment.
struct Asking<'a> {
    session: &'a Session,
    health: &'a HealthBook,
    starving: bool,
    now: Timestamp,
}

impl Asking<'_> {
    fn may(&self, tracker: &TrackerUrl, tried: &BTreeSet<TrackerUrl>) -> bool {
        let is_free = || {
            self.session.disregards_health()
                || (self.session.free_at(tracker, self.starving, self.health, self.now) <= self.now
                    && (!self.session.is_refused_by(tracker) || self.session.refused_until <= self.now))
        };
        !tried.contains(tracker) && self.session.may_be_asked(tracker, self.now) && is_free()
    }
}

impl Candidates for Asking<'_> {
    fn is_any(&self, tried: &BTreeSet<TrackerUrl>) -> bool {
        self.session.trackers.supported_trackers().any(|tracker| self.may(tracker, tried))
    }

    fn first(&self, tried: &BTreeSet<TrackerUrl>) -> Option<Candidate> {
        let trackers = &self.session.trackers;
        let rank = |tracker: &TrackerUrl| self.session.rank(tracker, self.health, self.now);
        let stays = self.session.stays(self.health);
        let tracker = trackers.first_by(rank, stays, |tracker| self.may(tracker, tried))?;
        let tier = match trackers.order() {
            Order::Bep12 => trackers.tier_of(tracker).unwrap_or_default(),
            Order::Nearest => 0,
        };
        Some(Candidate { tracker: tracker.clone(), tier })
    }

    fn count(&self, tried: &BTreeSet<TrackerUrl>) -> usize {
        self.session.trackers.supported_trackers().filter(|tracker| self.may(tracker, tried)).count()
    }
}

/// What an error says of the host; `None` where it is about this torrent.
pub(super) fn failure(error: &AnnounceError) -> Option<Blame> {
    let blame = |kind, may_be_ours| Some(Blame { kind, may_be_ours });
    match error {
        AnnounceError::Local(_) => blame(Failure::Local, true),
        AnnounceError::Connect(cause) if cause.is_local() => blame(Failure::Local, true),
        AnnounceError::Connect(_) | AnnounceError::Tls(_) => blame(Failure::Unreachable, false),
        AnnounceError::Resolve(_) => blame(Failure::Unreachable, true),
        AnnounceError::TimedOut(Phase::Open | Phase::Probe) => blame(Failure::Silent, true),
        // A captive portal answers for everybody, with a page of its own.
        AnnounceError::NotAReply(_) | AnnounceError::Redirect(_) => blame(Failure::Broken, true),
        AnnounceError::TimedOut(_) | AnnounceError::Broken(_) | AnnounceError::TooLarge { .. } => {
            blame(Failure::Broken, false)
        }
        AnnounceError::Status { status, .. } if *status >= 500 && *status != 503 => {
            blame(Failure::Broken, false)
        }
        AnnounceError::Status { .. }
        | AnnounceError::Rejected(_)
        | AnnounceError::Blocked
        | AnnounceError::Unsupported
        | AnnounceError::Suspended
        | AnnounceError::Cancelled => None,
    }
}

/// Whether a tracker has certainly not taken us in: it answered, or was never told anything.
pub(super) fn is_an_answer(error: &AnnounceError) -> bool {
    !matches!(error, AnnounceError::TimedOut(_) | AnnounceError::Broken(_) | AnnounceError::Cancelled)
}

/// Whether a failing tracker's host is alive all the same.
pub(super) fn is_alive(error: &AnnounceError) -> bool {
    matches!(error, AnnounceError::Rejected(_) | AnnounceError::Status { status: 400..=499, .. })
}

/// How soon after a failed round another may follow where hosts are guarded by their own back-off.
pub(super) const ROUND_GAP: Duration = Duration::from_secs(1);
