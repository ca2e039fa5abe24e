//! Tracker hosts, shared by all torrents: one torrent finds a dead one, and the others skip it.
//!
//! [`Hosts`] is the only access to them. A torrent asks when it may try a host and in which order, takes a [`Slot`] for
//! each attempt, and returns it with the outcome.

mod admission;
mod believed;
mod breaker;
mod failures;
mod health;
mod meter;
mod outage;
mod patience;
mod probes;
mod reports;
mod rtt;
mod slot;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod trial_queue;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::admission::HostLimiter;
pub(crate) use self::admission::Priority;
pub(crate) use self::breaker::Demand;
pub(crate) use self::breaker::needs_peers_wait;
pub(crate) use self::health::OPEN_PATIENCE;
pub use self::health::{HealthBook, HostHealth};
use self::outage::OutageDetector;
pub(crate) use self::outage::OutageNews;
#[cfg(test)]
pub(crate) use self::patience::OPEN_PATIENCE_FLOOR;
pub(crate) use self::patience::{REPLY_PATIENCE, REPLY_PATIENCE_FLOOR, Urgency};
pub(crate) use self::probes::Probes;
use self::slot::SlotId;
pub(crate) use self::slot::{Ended, Failed, Outcome, Slot};
pub use self::status::HostStatus;
use super::config::Config;
use super::io::TorrentId;
use super::verdict::Verdict;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::TrackerHost;

/// A longer queue makes a host come after farther ones only in steps of this. With less, fifty torrents that start
/// together would spread over far trackers for the time that one second takes, and stay there.
const QUEUE_STEP: Duration = Duration::from_secs(2);

/// How often a torrent asks again for a host at which another torrent's opening is silent.
const VERDICT_LOOK: Duration = Duration::from_secs(1);

/// All tracker hosts: their health, their limits, and whether our own network is down.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// The settings of the engine.
    config: Arc<Config>,
    /// Latency, last answer and failure, and back-off of each host.
    health: HealthBook,
    /// Whether our own network is down.
    outage: OutageDetector,
    /// How many attempts each host gets at once, and how fast.
    limiter: HostLimiter,
    /// When this process last ran again after a gap such as the machine's sleep: failures of attempts from before are
    /// no evidence.
    resumed_at: Option<Timestamp>,
    /// How many slots were given out so far: the number of the last one.
    slots: u64,
}

/// The order in which hosts are tried: the least first. The fields are compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostRank {
    /// Hosts in back-off come last.
    is_backed_off: bool,
    /// How many times [`QUEUE_STEP`] an announce is expected to wait in its queue.
    queue_steps: u64,
    /// Measured hosts come first. Hosts that haven't answered their probes yet may be silent, and that costs more than
    /// the longest way.
    is_unmeasured: bool,
    /// The expected time until an answer.
    cost: Duration,
}

impl Hosts {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            health: HealthBook::default(),
            outage: OutageDetector::default(),
            limiter: HostLimiter::default(),
            resumed_at: None,
            slots: 0,
        }
    }

    /// The health of all hosts.
    pub(crate) fn health(&self) -> &HealthBook {
        &self.health
    }

    /// The same, to restore a snapshot.
    pub(crate) fn health_mut(&mut self) -> &mut HealthBook {
        &mut self.health
    }

    /// The state of each host, with how many torrents each has.
    pub(crate) fn statuses(
        &self,
        torrents: &BTreeMap<&TrackerHost, usize>,
        now: Timestamp,
    ) -> Vec<HostStatus> {
        status::statuses(&self.health, &self.limiter, torrents, now)
    }

    /// When a torrent may try a host; a moment in the past if it may now.
    pub(crate) fn earliest(
        &self,
        host: &TrackerHost,
        torrent: TorrentId,
        demand: Demand,
        now: Timestamp,
    ) -> Timestamp {
        let Some(health) = self.health.host(host) else { return Timestamp::ZERO };
        if health.is_silent() && self.config.back_off.of_hosts {
            // Another torrent's attempt will show whether it is dead. Without this each of 300 torrents would wait for
            // it.
            return now + VERDICT_LOOK;
        }
        health.breaker.earliest(torrent, demand, OPEN_PATIENCE, now)
    }

    /// Notes that a torrent waits for a host that is backed off, so that it keeps its place in the queue for the trial.
    pub(crate) fn wait(&mut self, host: &TrackerHost, torrent: TorrentId, demand: Demand) {
        if let Some(health) = self.health.hosts.get_mut(host) {
            health.breaker.wait(torrent, demand);
        }
    }

    /// Whether a host is backed off after failures.
    pub(crate) fn is_backed_off(&self, host: &TrackerHost) -> bool {
        self.health.host(host).is_some_and(HostHealth::is_backed_off)
    }

    /// Whether an opening at a host has been silent for longer than the patience, and still is.
    pub(crate) fn is_silent(&self, host: &TrackerHost) -> bool {
        self.health.host(host).is_some_and(HostHealth::is_silent)
    }

    /// The place of a host in the order of failover. The wait for its pace is part of its cost, so that a start of
    /// thousands of torrents spreads over all hosts (R85).
    pub(crate) fn rank(&self, host: &TrackerHost, now: Timestamp) -> HostRank {
        let known = self.health.host(host);
        let cost = known.map_or_else(HostHealth::unknown_cost, HostHealth::cost);
        let wait = self.limiter.expected_wait(host, cost, &self.config, now);
        HostRank {
            is_backed_off: known.is_some_and(HostHealth::is_backed_off),
            queue_steps: wait.as_secs() / QUEUE_STEP.as_secs(),
            is_unmeasured: known.and_then(HostHealth::latency).is_none(),
            cost,
        }
    }

    /// How long an opening may be silent before the next begins beside it, and the shortest time to which a race with
    /// many silent openings may reduce that.
    pub(crate) fn open_patience(&self, host: &TrackerHost, urgency: Urgency) -> (Duration, Duration) {
        self.health.open_patience(host, urgency)
    }

    /// How long an answer may take before another tracker is tried beside it.
    pub(crate) fn reply_patience(&self, host: &TrackerHost, urgency: Urgency) -> Duration {
        self.health.reply_patience(host, urgency)
    }

    /// Admits an attempt at a host, or puts its torrent into the queue for it.
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

    /// The next torrent in a queue whose turn has come, with its slot.
    pub(crate) fn next_admitted(&mut self, now: Timestamp) -> Option<(TorrentId, Slot)> {
        let (torrent, host) = self.limiter.next_admitted(&self.config, now)?;
        Some((torrent, self.slot(host, torrent, now)))
    }

    /// The next torrent that was taken out of a queue because its host has fallen silent or is doubted.
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

    /// Notes that an opening has been silent for longer than the patience. Until it ends, other torrents try other
    /// hosts, and those in the queue are taken out of it.
    pub(crate) fn silent(&mut self, slot: &mut Slot, now: Timestamp) {
        if !std::mem::replace(&mut slot.silent, true) {
            self.health.entry(&slot.host).fell_silent(now);
            self.limiter.evict(&slot.host, &self.config, now);
        }
    }

    /// Notes that the connection of an attempt was established.
    pub(crate) fn opened(&mut self, slot: &mut Slot, now: Timestamp) {
        self.end_silence(slot);
        if let Some(health) = self.health.hosts.get_mut(&slot.host) {
            health.opened(now.since(slot.started_at));
        }
    }

    /// Notes that an announce isn't answered in time. Gives whether it may be hedged: sent to another tracker beside
    /// it. A stall is the same evidence as the time-out that may follow, only earlier: at a mute host the queue would
    /// otherwise stand for the whole time limit.
    pub(crate) fn stalled(&mut self, slot: &mut Slot, failed: &Failed<'_>, now: Timestamp) -> bool {
        let health = self.health.entry(&slot.host);
        // Only an answer shows that a host without a sign of life lives: on a kept connection an announce stalls as
        // well.
        if !health.is_old_news(slot.started_at) && !health.breaker.is_lifeless() {
            self.doubt(slot, failed, now);
        }
        let health = self.health.entry(&slot.host);
        if health.breaker.is_doubted() && !slot.yielded {
            // Otherwise a few torrents without answers would hold all places from those that the host serves.
            slot.yielded = self.limiter.yield_place(&slot.host, &self.config, now);
        }
        health.may_hedge(now)
    }

    /// Takes the outcome of an attempt. Every slot that was given out ends here.
    pub(crate) fn finished(&mut self, mut slot: Slot, outcome: Outcome<'_>, now: Timestamp) -> Ended {
        self.end_silence(&mut slot);
        self.limiter.release(&slot.host, slot.yielded, &self.config, now);
        let has_begun = !matches!(outcome, Outcome::Unused);
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
        // A trial ends with its attempt whatever the outcome: one that never ended would keep all other torrents out.
        if let Some(health) = self.health.hosts.get_mut(&slot.host) {
            health.breaker.ended(slot.id, now);
            if has_begun {
                health.meter.count(now);
            }
        }
        ended
    }

    /// Takes the result of a probe. Its failure is evidence about the host only, since no torrent makes it: it never
    /// makes the host doubted.
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

    /// Notes that the network has changed: hosts that were unreachable may be reached, and latencies are other ones.
    pub(crate) fn network_changed(&mut self, now: Timestamp) {
        self.outage.forget();
        self.health.network_changed(now);
    }

    /// Notes that this process runs again after a gap such as the machine's sleep.
    pub(crate) fn resumed(&mut self, now: Timestamp) {
        self.resumed_at = Some(now);
    }

    /// Whether everything fails, so that our own network is blamed and no host.
    pub(crate) fn is_outage(&self) -> bool {
        self.outage.is_on()
    }

    /// Makes a slot with the next number.
    fn slot(&mut self, host: TrackerHost, torrent: TorrentId, now: Timestamp) -> Slot {
        self.slots += 1;
        Slot::new(SlotId(self.slots), host, torrent, now)
    }

    /// Ends the silence of an opening, if it was silent.
    fn end_silence(&mut self, slot: &mut Slot) {
        if std::mem::take(&mut slot.silent)
            && let Some(health) = self.health.hosts.get_mut(&slot.host)
        {
            health.silence_ended();
        }
    }
}
