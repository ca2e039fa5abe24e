//! Tracker hosts, shared by all torrents: one torrent finds a dead one, and the others skip it.
//!
//! This is the one door to what is known of hosts. A torrent asks when and in which order it may try them, takes a
//! [`Slot`] for each attempt, and gives it back with what came of it.

mod admission;
mod breaker;
mod failures;
mod health;
mod line;
mod outage;
mod probes;
mod rtt;
mod slot;
mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::admission::HostLimiter;
pub(crate) use self::admission::Priority;
pub(crate) use self::breaker::Demand;
pub use self::health::{HealthBook, HostHealth, Urgency};
use self::outage::Outage;
pub(crate) use self::outage::OutageNews;
pub(crate) use self::probes::Probes;
pub use self::rtt::RttEstimate;
use self::slot::SlotId;
pub(crate) use self::slot::{Ended, Failed, Outcome, Slot};
use super::config::Config;
use super::io::TorrentId;
use super::verdict::Verdict;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::TrackerHost;

/// How often a torrent that could use a silent host looks whether it is dead.
const VERDICT_LOOK: Duration = Duration::from_secs(1);

/// All tracker hosts: their health, their limits, and whether our own network is down.
#[derive(Debug)]
pub(crate) struct Hosts {
    config: Arc<Config>,
    health: HealthBook,
    outage: Outage,
    limiter: HostLimiter,
    /// When this process last ran again after it had stood still: attempts from before say nothing.
    resumed_at: Option<Timestamp>,
    /// How many slots were given out.
    slots: u64,
}

/// In which order hosts are asked: the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostRank {
    is_backed_off: bool,
    /// The first to answer a probe is the nearest, however long it took: the others may be silent.
    is_unmeasured: bool,
    cost: Duration,
}

impl Hosts {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            health: HealthBook::default(),
            outage: Outage::default(),
            limiter: HostLimiter::default(),
            resumed_at: None,
            slots: 0,
        }
    }

    /// What is known of hosts.
    pub(crate) fn health(&self) -> &HealthBook {
        &self.health
    }

    /// The same, to take over what an earlier run knew.
    pub(crate) fn health_mut(&mut self) -> &mut HealthBook {
        &mut self.health
    }

    /// When a torrent may try a host: in the past where it may now.
    pub(crate) fn earliest(
        &self,
        host: &TrackerHost,
        torrent: TorrentId,
        demand: Demand,
        now: Timestamp,
    ) -> Timestamp {
        let Some(health) = self.health.host(host) else { return Timestamp::ZERO };
        if health.is_silent() && self.config.breaker {
            // Another torrent is finding out whether it is dead.
            return now + VERDICT_LOOK;
        }
        health.breaker.earliest(torrent, demand, self.config.open_patience, now)
    }

    /// Notes that a torrent waits for a host that is backed off, so that its place in line is kept.
    pub(crate) fn wait(&mut self, host: &TrackerHost, torrent: TorrentId, demand: Demand) {
        if let Some(health) = self.health.hosts.get_mut(host) {
            health.breaker.wait(torrent, demand);
        }
    }

    /// Whether a host is backed off after failures.
    pub(crate) fn is_backed_off(&self, host: &TrackerHost) -> bool {
        self.health.host(host).is_some_and(HostHealth::is_backed_off)
    }

    /// Where a host stands in the order of failover. The wait for its pace is part of its cost, so that a start of
    /// thousands spreads over all hosts.
    pub(crate) fn rank(&self, host: &TrackerHost, now: Timestamp) -> HostRank {
        let known = self.health.host(host);
        let cost = known
            .map_or_else(|| HostHealth::unknown_cost(&self.config), |known| known.cost(&self.config, now));
        HostRank {
            is_backed_off: known.is_some_and(HostHealth::is_backed_off),
            is_unmeasured: known.and_then(HostHealth::latency).is_none(),
            cost: cost.saturating_add(self.limiter.expected_wait(host, &self.config, now)),
        }
    }

    /// How long an opening may be silent before the next begins beside it, and the least that may become of it in a
    /// race that hurries.
    pub(crate) fn open_patience(
        &self,
        host: &TrackerHost,
        urgency: Urgency,
        _now: Timestamp,
    ) -> (Duration, Duration) {
        self.health.open_patience(host, urgency, &self.config)
    }

    /// How long an answer may take before another tracker is tried beside it.
    pub(crate) fn reply_patience(&self, host: &TrackerHost, urgency: Urgency) -> Duration {
        self.health.reply_patience(host, urgency, &self.config)
    }

    /// Lets an attempt at a host in, or has its torrent queue for it.
    pub(crate) fn admit(
        &mut self,
        host: &TrackerHost,
        torrent: TorrentId,
        priority: Priority,
        now: Timestamp,
    ) -> Option<Slot> {
        let admitted = self.limiter.admit(host, torrent, priority, &self.config, now);
        admitted.then(|| self.slot(host.clone(), torrent, now))
    }

    /// Takes a torrent out of the queue of a host.
    pub(crate) fn leave_queue(&mut self, host: &TrackerHost, torrent: TorrentId, now: Timestamp) {
        self.limiter.leave(host, torrent, &self.config, now);
    }

    /// The next torrent in a queue whose turn has come.
    pub(crate) fn next_admitted(&mut self, now: Timestamp) -> Option<(TorrentId, Slot)> {
        let (torrent, host) = self.limiter.next_admitted(&self.config, now)?;
        Some((torrent, self.slot(host, torrent, now)))
    }

    /// The next torrent that was sent out of a queue, because its host has fallen silent or is doubted.
    pub(crate) fn next_evicted(&mut self) -> Option<(TorrentId, TrackerHost)> {
        self.limiter.next_evicted()
    }

    /// When a torrent in a queue may be admitted next.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.limiter.wake()
    }

    /// Notes that an attempt begins.
    pub(crate) fn tried(&mut self, slot: &Slot, failed_here: bool, now: Timestamp) {
        if let Some(health) = self.health.hosts.get_mut(&slot.host) {
            health.breaker.tried(slot.id, slot.torrent, failed_here, now);
        }
    }

    /// Notes that an opening is silent for too long. Until it is settled the other torrents had better ask elsewhere.
    pub(crate) fn silent(&mut self, slot: &mut Slot, now: Timestamp) {
        if !std::mem::replace(&mut slot.silent, true) {
            self.health.entry(&slot.host).fell_silent(now);
            self.limiter.evict(&slot.host, &self.config, now);
        }
    }

    /// Notes that a connection came to be.
    pub(crate) fn opened(&mut self, slot: &mut Slot, now: Timestamp) {
        self.end_silence(slot);
        if let Some(health) = self.health.hosts.get_mut(&slot.host) {
            health.opened(now.since(slot.started_at));
        }
    }

    /// Notes that an announce isn't answered in time, and tells whether another tracker may be tried beside it. It is
    /// evidence about this torrent there, as its failure will be, only sooner.
    pub(crate) fn stalled(&mut self, slot: &mut Slot, failed: &Failed<'_>, now: Timestamp) -> bool {
        let health = self.health.entry(&slot.host);
        // Whether a lifeless host lives its answer has to show.
        if !health.is_old_news(slot.started_at) && !health.breaker.is_lifeless() {
            self.doubt(slot, failed, now);
        }
        let health = self.health.entry(&slot.host);
        if health.breaker.is_doubted() && !slot.yielded {
            // A few torrents that a host is mute to would hold its places from all that it serves.
            slot.yielded = self.limiter.yield_place(&slot.host, &self.config, now);
        }
        health.may_hedge(now)
    }

    /// The end of an attempt.
    pub(crate) fn finished(&mut self, mut slot: Slot, outcome: Outcome<'_>, now: Timestamp) -> Ended {
        self.end_silence(&mut slot);
        self.limiter.release(&slot.host, slot.yielded, &self.config, now);
        let ended = match outcome {
            Outcome::Answered(measurement) => {
                self.health.entry(&slot.host).measured(measurement, now);
                self.alive(now)
            }
            Outcome::Alive => {
                self.health.entry(&slot.host).succeeded(now);
                self.alive(now)
            }
            Outcome::OpenedLate(opening) => {
                self.health.entry(&slot.host).opened_late(opening, now);
                Ended::default()
            }
            Outcome::GaveUp | Outcome::Unused => Ended::default(),
            Outcome::Failed(failed) => self.failed(&slot, &failed, now),
        };
        // A trial ends with its attempt, whatever that said: one that never ended would keep all others out.
        if let Some(health) = self.health.hosts.get_mut(&slot.host) {
            health.breaker.ended(slot.id, now);
        }
        ended
    }

    /// The end of a probe, which no torrent makes. A host that answers it and no announce isn't doubted for it.
    pub(crate) fn probed(
        &mut self,
        host: &TrackerHost,
        result: Result<Measurement, Verdict>,
        began: Timestamp,
        random: f64,
        now: Timestamp,
    ) -> Ended {
        match result {
            Ok(measurement) => {
                self.health.entry(host).measured(measurement, now);
                self.alive(now)
            }
            Err(verdict) => self.host_failed(host, verdict.host, (began, random), now),
        }
    }

    /// The network has changed: hosts that were unreachable may be reached, and what was measured holds no longer.
    pub(crate) fn network_changed(&mut self, now: Timestamp) {
        self.outage.forget();
        self.health.network_changed(now);
    }

    /// This process has run again from now on, after it had stood still.
    pub(crate) fn resumed(&mut self, now: Timestamp) {
        self.resumed_at = Some(now);
    }

    /// Whether everything fails, so that our own network is to blame and no host.
    pub(crate) fn is_outage(&self) -> bool {
        self.outage.is_on()
    }

    fn slot(&mut self, host: TrackerHost, torrent: TorrentId, now: Timestamp) -> Slot {
        self.slots += 1;
        Slot::new(SlotId(self.slots), host, torrent, now)
    }

    fn end_silence(&mut self, slot: &mut Slot) {
        if std::mem::take(&mut slot.silent)
            && let Some(health) = self.health.hosts.get_mut(&slot.host)
        {
            health.silence_ended();
        }
    }
}
