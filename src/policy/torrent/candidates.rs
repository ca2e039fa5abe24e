//! Which trackers may be announced to at a moment, in which order, and from when on the others may.

use std::collections::BTreeSet;

use super::book::TorrentBook;
use super::reach::{self, Wanted};
use super::round_kind::RoundKind;
use crate::alert::{AnnounceReason, Deferral};
use crate::policy::config::Order;
use crate::policy::hosts::{Demand, HostHealth, HostRank, Hosts};
use crate::policy::tracker_set::{Listed, TrackerRecord, move_to_front};
use crate::policy::verdict::TrackerNews;
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// One torrent's trackers at one moment: the only place that decides which of them may be announced to, and which
/// first.
pub(crate) struct Candidates<'a> {
    /// The torrent.
    book: &'a TorrentBook,
    /// The round that asks: one that the user requested ignores intervals and back-offs.
    kind: &'a RoundKind,
    /// What all torrents know of hosts.
    hosts: &'a Hosts,
    /// The present moment.
    now: Timestamp,
    /// Whether the torrent wants peers and no tracker can name any. Computed once: it looks at all trackers, and is
    /// used for each of them.
    needs_peers: bool,
}

/// A tracker that may be announced to.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// The tracker.
    pub(crate) tracker: TrackerUrl,
    /// Its tier, whose trackers are tried before those of the next; 0 for all if latency decides across tiers.
    pub(crate) tier: usize,
    /// Why it is announced to.
    pub(crate) reason: AnnounceReason,
}

impl<'a> Candidates<'a> {
    /// The candidates of a torrent for a round of this kind.
    pub(crate) fn new(book: &'a TorrentBook, kind: &'a RoundKind, hosts: &'a Hosts, now: Timestamp) -> Self {
        let mut candidates = Self { book, kind, hosts, now, needs_peers: false };
        // A torrent that announces beside the tracker in use has one that works.
        candidates.needs_peers = !kind.is_beside() && candidates.needs_peers();
        candidates
    }

    /// Whether any tracker but those tried may be announced to. Most steps of a round need no more than this, which
    /// for a thousand trackers costs a thousandth of their order.
    pub(crate) fn is_any(&self, tried: &BTreeSet<TrackerUrl>) -> bool {
        if self.kind.is_beside() {
            return self.wanted(tried).next().is_some();
        }
        self.listed().any(|listed| self.is_eligible(listed, tried))
    }

    /// How many trackers but those tried may be announced to.
    pub(crate) fn count(&self, tried: &BTreeSet<TrackerUrl>) -> usize {
        if self.kind.is_beside() {
            return self.wanted(tried).count();
        }
        self.listed().filter(|listed| self.is_eligible(*listed, tried)).count()
    }

    /// The first tracker in failover order, but for those tried, that may be announced to.
    pub(crate) fn first(&self, tried: &BTreeSet<TrackerUrl>) -> Option<Candidate> {
        if self.kind.is_beside() {
            let first = self.wanted(tried).min_by_key(|wanted| self.rank_beside(wanted));
            return first.map(|wanted| self.candidate_beside(&wanted));
        }
        let is_eligible = |listed: &Listed<'_>| self.is_eligible(*listed, tried);
        // The tracker that works stays first. By latency alone, one whose distance drifts would move all its torrents
        // to and fro, with a new registration each time.
        let front = self.front().map(|front| (front, self.book.trackers.record(front)));
        let (tracker, _) = front.filter(is_eligible).or_else(|| {
            let mut eligible = self.listed().filter(is_eligible);
            match self.book.trackers.order() {
                Order::Nearest => eligible.min_by_key(|listed| self.rank(*listed)),
                Order::Bep12 => eligible.next(),
            }
        })?;
        Some(self.candidate(tracker))
    }

    /// The first tracker of a host, but for those tried, that may be announced to.
    pub(crate) fn first_at(&self, host: &TrackerHost, tried: &BTreeSet<TrackerUrl>) -> Option<Candidate> {
        if self.kind.is_beside() {
            let mut there = self.wanted(tried).filter(|wanted| wanted.listed.0.host_key() == host);
            return there.next().map(|wanted| self.candidate_beside(&wanted));
        }
        let mut there = self.listed().filter(|(tracker, _)| tracker.host_key() == host);
        there.find(|listed| self.is_eligible(*listed, tried)).map(|(tracker, _)| self.candidate(tracker))
    }

    /// All trackers in failover order, whether they may be announced to now or not.
    pub(crate) fn failover_order(&self) -> Vec<&'a TrackerUrl> {
        let mut order: Vec<Listed<'a>> = self.listed().collect();
        if self.book.trackers.order() == Order::Nearest {
            order.sort_by_cached_key(|listed| self.rank(*listed));
        }
        let mut order: Vec<&TrackerUrl> = order.into_iter().map(|(tracker, _)| tracker).collect();
        move_to_front(&mut order, self.front());
        order
    }

    /// When the first tracker may be announced to; a moment in the past if one may now. `None` if all of them asked
    /// for no further announce.
    pub(crate) fn first_earliest(&self) -> Option<Timestamp> {
        let mut first: Option<Timestamp> = None;
        for listed in self.listed() {
            let Some(earliest) = self.earliest(listed) else { continue };
            first = Some(first.map_or(earliest, |first| first.min(earliest)));
            if earliest <= self.now {
                // One is enough. This is asked for each idle torrent that waits, with up to a thousand trackers.
                break;
            }
        }
        first
    }

    /// When the first tracker is to be announced to beside the one in use; `None` if none is.
    pub(crate) fn first_beside(&self) -> Option<Timestamp> {
        self.all_beside().iter().map(|wanted| wanted.at).min()
    }

    /// The trackers that are to be announced to beside the one in use, now or later.
    pub(crate) fn all_beside(&self) -> Vec<Wanted<'a>> {
        self.beside(&BTreeSet::new())
    }

    /// When the next of the trackers that weren't tried may be announced to; `None` if none is to come.
    pub(crate) fn next_at(&self, tried: &BTreeSet<TrackerUrl>) -> Option<Timestamp> {
        if self.kind.is_beside() {
            let wanted = self.beside(tried).into_iter();
            return wanted.map(|wanted| wanted.at).filter(|at| *at > self.now).min();
        }
        let untried = self.listed().filter(|(tracker, _)| !tried.contains(*tracker));
        untried.filter_map(|listed| self.earliest(listed)).filter(|at| *at > self.now).min()
    }

    /// When this torrent may announce to a tracker on schedule; `None` if the tracker asked for no further announce.
    /// Three things hold it back: the hints of the tracker (its `min interval` for a regular announce only), the
    /// torrent's own back-off from a tracker that doesn't serve it, and the back-off of the host, which all torrents
    /// share.
    fn earliest(&self, listed: Listed<'_>) -> Option<Timestamp> {
        let hinted = self.book.allowed_at(listed)?;
        Some(hinted.max(self.own_earliest(listed)).max(self.host_earliest(listed)))
    }

    /// What decides this torrent's place among those that wait to try a tracker's host.
    fn demand(&self, (_, record): Listed<'_>) -> Demand {
        Demand {
            needs_peers: self.needs_peers,
            failed_here: record.is_some_and(TrackerRecord::is_refused),
            answered_at: record.and_then(|record| record.registration.accepted_at()),
        }
    }

    /// The trackers whose hosts are in back-off, each with this torrent's demand.
    pub(crate) fn demands(&self) -> Vec<(TrackerUrl, Demand)> {
        let backed_off = self.listed().filter(|(tracker, _)| self.hosts.is_backed_off(tracker.host_key()));
        backed_off.map(|listed| (listed.0.clone(), self.demand(listed))).collect()
    }

    /// Why no tracker may be announced to now.
    pub(crate) fn deferral(&self) -> Deferral {
        // The reason that explains the others comes first: without a network every tracker fails.
        if self.hosts.is_outage() {
            Deferral::NetworkDown
        } else if !self.listed().any(|listed| self.book.is_allowed(listed, self.now)) {
            Deferral::AskedToWait
        } else {
            Deferral::BackingOff
        }
    }

    /// Whether the hints of a tracker allow an announce of this round.
    pub(crate) fn is_allowed(&self, tracker: &TrackerUrl) -> bool {
        self.is_listed_allowed((tracker, self.book.trackers.record(tracker)))
    }

    /// The same for a tracker whose record is at hand.
    fn is_listed_allowed(&self, listed: Listed<'_>) -> bool {
        // A user may know better than an interval, and not better than a tracker that asked for no announce (BEP 31).
        if self.kind.ignores_intervals() {
            return listed.1.is_none_or(|record| !record.hint.is_suspended(self.now));
        }
        self.book.is_allowed(listed, self.now)
    }

    /// The trackers before `next` in failover order, or all without it, whose hints forbid an announce of this round.
    pub(crate) fn forbidden_before(&self, next: Option<&TrackerUrl>) -> Vec<TrackerUrl> {
        let order = self.failover_order().into_iter();
        let before = order.take_while(|tracker| Some(*tracker) != next);
        before.filter(|tracker| !self.is_allowed(tracker)).cloned().collect()
    }

    /// A tracker as a candidate.
    fn candidate(&self, tracker: &TrackerUrl) -> Candidate {
        let tier = match self.book.trackers.order() {
            Order::Bep12 => self.book.trackers.tier_of(tracker).unwrap_or_default(),
            Order::Nearest => 0,
        };
        Candidate { tracker: tracker.clone(), tier, reason: AnnounceReason::InUse }
    }

    /// A further tracker as a candidate.
    fn candidate_beside(&self, wanted: &Wanted<'_>) -> Candidate {
        Candidate { reason: wanted.reason, ..self.candidate(wanted.listed.0) }
    }

    /// The trackers that are to be announced to beside the one in use, now or later, but for those tried.
    fn beside(&self, tried: &BTreeSet<TrackerUrl>) -> Vec<Wanted<'a>> {
        let (earliest, is_well) = (|listed| self.earliest(listed), |listed| self.is_well(listed));
        reach::wanted(self.book, tried, earliest, is_well, self.now)
    }

    /// The trackers that are to be announced to now beside the one in use.
    fn wanted(&self, tried: &BTreeSet<TrackerUrl>) -> impl Iterator<Item = Wanted<'a>> {
        let wanted = self.beside(tried).into_iter();
        wanted.filter(|wanted| wanted.at <= self.now)
    }

    /// The place of a further tracker, the least first: what is due for another reason than peers goes before the next
    /// in failover order.
    fn rank_beside(&self, wanted: &Wanted<'_>) -> (bool, Option<(bool, HostRank)>) {
        let widens = wanted.reason == AnnounceReason::MorePeers;
        let is_by_rank = widens && self.book.trackers.order() == Order::Nearest;
        (widens, is_by_rank.then(|| self.rank(wanted.listed)))
    }

    /// Whether nothing shows that a tracker may not answer: its host isn't in back-off or silent, and it hasn't asked
    /// us to stay away.
    fn is_well(&self, (tracker, record): Listed<'_>) -> bool {
        let host = tracker.host_key();
        let is_suspended = record.is_some_and(|record| record.hint.is_suspended(self.now));
        !is_suspended && !self.hosts.is_backed_off(host) && !self.hosts.is_silent(host)
    }

    /// The trackers whose schemes are supported, in list order, each with its record: to look up the record of each of
    /// a thousand trackers would take a millisecond.
    fn listed(&self) -> impl Iterator<Item = Listed<'a>> {
        self.book.trackers.supported_with_records()
    }

    /// Whether a tracker that wasn't tried may be announced to now.
    fn is_eligible(&self, listed: Listed<'_>, tried: &BTreeSet<TrackerUrl>) -> bool {
        if tried.contains(listed.0) {
            return false;
        }
        if self.kind.ignores_intervals() {
            // No back-off either: what kept us away may be over, and the user may know that.
            return self.is_listed_allowed(listed);
        }
        self.earliest(listed).is_some_and(|earliest| earliest <= self.now)
    }

    /// The tracker before all others: the one in use. If latency decides it loses that place while its host is in
    /// back-off, because a probe finds out whether it is alive and no announce has to. Under BEP 12 only a private
    /// torrent stays on it: the others begin each round at the first tier.
    fn front(&self) -> Option<&'a TrackerUrl> {
        let trackers = &self.book.trackers;
        let in_use = trackers.in_use().filter(|in_use| trackers.is_supported(in_use))?;
        let is_lost = self.book.measures_hosts() && self.hosts.is_backed_off(in_use.host_key());
        let is_first = match trackers.order() {
            Order::Nearest => !is_lost,
            Order::Bep12 => trackers.is_private(),
        };
        is_first.then_some(in_use)
    }

    /// The place of a tracker under [`Order::Nearest`], the least first. Trackers that don't serve this torrent come
    /// last: their hosts are well, which makes them no help to it.
    fn rank(&self, (tracker, record): Listed<'_>) -> (bool, HostRank) {
        let is_refused = record.is_some_and(TrackerRecord::is_refused);
        (is_refused, self.hosts.rank(tracker.host_key(), self.now))
    }

    /// When the host of a tracker may be tried by this torrent.
    fn host_earliest(&self, listed: Listed<'_>) -> Timestamp {
        let config = &self.book.config;
        // Without back-off of hosts, a torrent's own back-off keeps it from trackers that failed.
        if !config.back_off.of_hosts {
            return Timestamp::ZERO;
        }
        let host = listed.0.host_key();
        let earliest = self.hosts.earliest(host, self.book.id, self.demand(listed), self.now);
        // A user who sets the interval sets the pace, also of tries at a host that failed.
        let Some(interval) = config.overriding_interval() else { return earliest };
        let failed_at = self.hosts.health().host(host).and_then(HostHealth::failed_at);
        failed_at.map_or(earliest, |failed_at| earliest.min(failed_at + interval))
    }

    /// Until when the torrent's own back-off keeps it from a tracker that failed.
    fn own_earliest(&self, (_, record): Listed<'_>) -> Timestamp {
        if self.kind.is_beside() {
            return self.own_earliest_beside(record);
        }
        let schedule = &self.book.schedule;
        let Some(failure) = record.and_then(|record| record.failure.as_deref()) else {
            return Timestamp::ZERO;
        };
        match failure.news {
            // A failure of the host is covered by the host's back-off, which one trial ends for all torrents. With one of
            // its own on top a torrent would stay away from a host that another has found alive.
            TrackerNews::OfTheHost if self.book.config.back_off.of_hosts => Timestamp::ZERO,
            TrackerNews::OfTheHost if self.needs_peers => schedule.needs_peers_until(),
            _ => schedule.refused_until(failure.at),
        }
    }

    /// The same for a further tracker. No user waits for it, so it isn't asked again sooner than one that answers.
    fn own_earliest_beside(&self, record: Option<&TrackerRecord>) -> Timestamp {
        let Some((record, failure)) = record.and_then(|record| Some((record, record.failure.as_deref()?)))
        else {
            return Timestamp::ZERO;
        };
        let config = &self.book.config;
        let is_covered = failure.news == TrackerNews::OfTheHost && config.back_off.of_hosts;
        let wait = if is_covered {
            config.back_off.retry_floor
        } else {
            record.answers.retry_wait(config.intervals.interval_default)
        };
        failure.at + wait
    }

    /// Whether the torrent wants peers and no tracker can name any: each has failed it, asked for no announce yet, or
    /// has a host in back-off. Such a torrent may try lifeless hosts much sooner.
    fn needs_peers(&self) -> bool {
        // A tracker that refuses this torrent names no peers either. When it counted as help, torrents found a
        // returned tracker after 80 minutes in place of one, if another answered 502 (simulation).
        let is_no_help = |listed: Listed<'_>| {
            let (tracker, record) = listed;
            let failure = record.and_then(|record| record.failure.as_deref());
            self.hosts.is_backed_off(tracker.host_key())
                || failure.is_some_and(|failure| {
                    failure.news != TrackerNews::OfTheHost || !self.book.config.back_off.of_hosts
                })
                || !self.book.is_allowed(listed, self.now)
        };
        self.book.wants_to_download() && self.listed().all(is_no_help)
    }
}
