//! Which trackers may be announced to now, in which order, and from when on the others may.

use std::collections::BTreeSet;

use super::config::Order;
use super::hosts::{Demand, HostHealth, Hosts, Urgency};
use super::round::{Candidate, Candidates};
use super::session::Session;
use super::verdict::TrackerNews;
use crate::alert::Deferral;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

impl Session {
    /// The trackers that may be announced to now.
    pub(super) fn candidates<'a>(&'a self, hosts: &'a Hosts, now: Timestamp) -> impl Candidates + 'a {
        Eligible { session: self, needs_peers: self.needs_peers(hosts, now), hosts, now }
    }

    /// The order of failover, by what is known of hosts.
    pub(super) fn failover_order(&self, hosts: &Hosts, now: Timestamp) -> Vec<&TrackerUrl> {
        self.trackers.order_by(|tracker| self.rank(tracker, hosts, now), self.stays(hosts))
    }

    /// Whether the tracker in use is asked before all others: not where its host is backed off. Whether that is back a
    /// probe sees, and no torrent has to wait for it.
    fn stays(&self, hosts: &Hosts) -> bool {
        let in_use = self.trackers.in_use();
        !(self.measures_hosts() && in_use.is_some_and(|in_use| hosts.is_backed_off(in_use.host_key())))
    }

    /// Trackers that don't serve this torrent come last.
    fn rank(&self, tracker: &TrackerUrl, hosts: &Hosts, now: Timestamp) -> impl Ord + use<> {
        (self.is_refused_by(tracker), hosts.rank(tracker.host_key(), now))
    }

    /// When this torrent may announce to a tracker of its own accord; `None` where the tracker said "never". This is the
    /// only place that says so. What keeps it away: the tracker's hints, its `min interval` (which an owed event passes),
    /// the torrent's own back-off where the tracker failed it, and the back-off of the host.
    pub(super) fn earliest(
        &self,
        tracker: &TrackerUrl,
        needs_peers: bool,
        hosts: &Hosts,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let hinted = self.allowed_at(tracker)?;
        let own = self.own_earliest(tracker, needs_peers);
        Some(hinted.max(own).max(self.host_earliest(tracker, needs_peers, hosts, now)))
    }

    /// When some tracker may be announced to: of moments that have passed any will do.
    pub(super) fn first_earliest(&self, hosts: &Hosts, now: Timestamp) -> Option<Timestamp> {
        let needs_peers = self.needs_peers(hosts, now);
        let mut first: Option<Timestamp> = None;
        for tracker in self.trackers.supported_trackers() {
            let Some(earliest) = self.earliest(tracker, needs_peers, hosts, now) else { continue };
            first = Some(first.map_or(earliest, |first| first.min(earliest)));
            if earliest <= now {
                break;
            }
        }
        first
    }

    /// Gives this torrent a place in line at each host that keeps it waiting.
    pub(super) fn wait_in_line(&self, hosts: &mut Hosts, now: Timestamp) {
        let needs_peers = self.needs_peers(hosts, now);
        for tracker in self.trackers.supported_trackers() {
            let host = tracker.host_key();
            if hosts.is_backed_off(host) {
                hosts.wait(host, self.id, self.demand(tracker, needs_peers));
            }
        }
    }

    /// Why no tracker may be announced to now.
    pub(super) fn deferral(&self, hosts: &Hosts, now: Timestamp) -> Deferral {
        if hosts.is_outage() {
            Deferral::NetworkDown
        } else if !self.trackers.supported_trackers().any(|tracker| self.is_allowed(tracker, now)) {
            Deferral::AskedToWait
        } else {
            Deferral::BackingOff
        }
    }

    /// Whether a round may announce to a tracker although it isn't the time: somebody wants it, and nothing but the
    /// tracker's own word keeps us from it.
    fn insists(&self) -> bool {
        self.forced || self.once.is_some()
    }

    pub(super) fn may_be_asked(&self, tracker: &TrackerUrl, now: Timestamp) -> bool {
        if self.insists() {
            return !self.schedule.is_suspended(tracker, now);
        }
        self.is_allowed(tracker, now)
    }

    /// Whether nothing that a tracker said keeps us from asking it.
    fn is_allowed(&self, tracker: &TrackerUrl, now: Timestamp) -> bool {
        self.allowed_at(tracker).is_some_and(|allowed| allowed <= now)
    }

    /// When what a tracker said lets us ask it; `None` where it said "never".
    fn allowed_at(&self, tracker: &TrackerUrl) -> Option<Timestamp> {
        self.schedule.allowed_at(tracker, self.ledger.event_for(tracker).is_some())
    }

    /// When a tracker's host may be tried by this torrent.
    fn host_earliest(
        &self,
        tracker: &TrackerUrl,
        needs_peers: bool,
        hosts: &Hosts,
        now: Timestamp,
    ) -> Timestamp {
        if !self.config.breaker {
            return Timestamp::ZERO;
        }
        let host = tracker.host_key();
        let earliest = hosts.earliest(host, self.id, self.demand(tracker, needs_peers), now);
        // Whoever sets the interval sets the pace.
        let Some(interval) = self.config.overriding_interval() else { return earliest };
        let failed_at = hosts.health().host(host).and_then(HostHealth::failed_at);
        failed_at.map_or(earliest, |failed_at| earliest.min(failed_at + interval))
    }

    fn demand(&self, tracker: &TrackerUrl, needs_peers: bool) -> Demand {
        Demand {
            needs_peers,
            failed_here: self.is_refused_by(tracker),
            answered_at: self.ledger.accepted_at(tracker),
        }
    }

    /// Whether a tracker doesn't serve this torrent, whatever its host does for others.
    pub(super) fn is_refused_by(&self, tracker: &TrackerUrl) -> bool {
        self.failures.get(tracker).is_some_and(|failure| failure.news == TrackerNews::Refuses)
    }

    /// Until when the torrent's own back-off keeps it from a tracker: where that of the host says nothing of it, or
    /// hosts have none.
    fn own_earliest(&self, tracker: &TrackerUrl, needs_peers: bool) -> Timestamp {
        match self.failures.get(tracker).map(|failure| failure.news) {
            None => Timestamp::ZERO,
            Some(TrackerNews::OfTheHost) if self.config.breaker => Timestamp::ZERO,
            Some(TrackerNews::OfTheHost) if needs_peers => self.needy_back_off,
            Some(_) => self.own_back_off,
        }
    }

    /// Whether peers are wanted, and no tracker could name any: each has failed this torrent, asked to be asked later, or
    /// its host is backed off.
    fn needs_peers(&self, hosts: &Hosts, now: Timestamp) -> bool {
        let is_no_help = |tracker: &TrackerUrl| {
            let failed = self.failures.get(tracker);
            hosts.is_backed_off(tracker.host_key())
                || failed
                    .is_some_and(|failure| failure.news != TrackerNews::OfTheHost || !self.config.breaker)
                || !self.is_allowed(tracker, now)
        };
        self.torrent.transfer.left != Some(0) && self.trackers.supported_trackers().all(is_no_help)
    }

    pub(super) fn urgency(&self) -> Urgency {
        let is_well = self.trackers.in_use().is_some() && !self.schedule.is_troubled();
        let nobody_waits = !self.forced && !self.wants_peers && self.once.is_none();
        if is_well && nobody_waits { Urgency::Relaxed } else { Urgency::Urgent }
    }
}

/// The trackers that a torrent may announce to at a moment.
struct Eligible<'a> {
    session: &'a Session,
    hosts: &'a Hosts,
    needs_peers: bool,
    now: Timestamp,
}

impl Eligible<'_> {
    fn is_eligible(&self, tracker: &TrackerUrl, tried: &BTreeSet<TrackerUrl>) -> bool {
        if tried.contains(tracker) {
            return false;
        }
        if self.session.insists() {
            return self.session.may_be_asked(tracker, self.now);
        }
        let earliest = self.session.earliest(tracker, self.needs_peers, self.hosts, self.now);
        earliest.is_some_and(|earliest| earliest <= self.now)
    }
}

impl Candidates for Eligible<'_> {
    fn is_any(&self, tried: &BTreeSet<TrackerUrl>) -> bool {
        self.session.trackers.supported_trackers().any(|tracker| self.is_eligible(tracker, tried))
    }

    fn first(&self, tried: &BTreeSet<TrackerUrl>) -> Option<Candidate> {
        let trackers = &self.session.trackers;
        let rank = |tracker: &TrackerUrl| self.session.rank(tracker, self.hosts, self.now);
        let stays = self.session.stays(self.hosts);
        let tracker = trackers.first_by(rank, stays, |tracker| self.is_eligible(tracker, tried))?;
        let tier = match trackers.order() {
            Order::Bep12 => trackers.tier_of(tracker).unwrap_or_default(),
            Order::Nearest => 0,
        };
        Some(Candidate { tracker: tracker.clone(), tier })
    }

    fn count(&self, tried: &BTreeSet<TrackerUrl>) -> usize {
        self.session.trackers.supported_trackers().filter(|tracker| self.is_eligible(tracker, tried)).count()
    }
}
