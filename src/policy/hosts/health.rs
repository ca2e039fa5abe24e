//! The health of each tracker host: latency, answers and failures, back-off.

use std::collections::BTreeMap;
use std::time::Duration;

use super::believed::Reported;
use super::breaker::Breaker;
use super::meter::Meter;
use super::rtt::RttEstimate;
use crate::policy::config::Config;
use crate::policy::io::TorrentId;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// How long an opening to a host that was never reached may be silent: the connection attempt delay of RFC 8305. It is three median round trips, so a
/// living tracker is rarely doubted.
pub(crate) const OPEN_PATIENCE: Duration = Duration::from_millis(250);

/// How many hosts are kept. A further one replaces the one whose last answer or failure is the oldest, of those that this
/// process hasn't heard from if there are any.
pub(super) const MAX_HOSTS: usize = 4096;

/// The assumed latency of a host that was never measured (close to Unbound's 376 ms).
const UNKNOWN_LATENCY: Duration = Duration::from_millis(400);

/// The shortest time between two hedges at one host that works, see [`HostHealth::may_hedge`].
const HEDGE_GAP: Duration = Duration::from_secs(10);

/// An opening shorter than this took a kept connection out of a pool: no packet went over the network.
const REUSED: Duration = Duration::from_millis(5);

/// The greatest latency that is believed. No announce waits longer, so a longer one is a prober's mistake.
pub(super) const MAX_LATENCY: Duration = Duration::from_secs(60);

/// Latency, last answer and failure, and back-off of each tracker host.
#[derive(Debug, Clone, Default)]
pub struct HealthBook {
    /// The hosts that were heard of, at most [`MAX_HOSTS`].
    pub(super) hosts: BTreeMap<TrackerHost, HostHealth>,
    /// When the network last changed: no latency from before is fresh.
    changed_at: Option<Timestamp>,
    /// How many changes there were, see [`changes`](Self::changes).
    pub(super) changes: u64,
}

/// The health of one host.
#[derive(Debug, Clone, Default)]
pub struct HostHealth {
    /// How long a new connection takes: TCP and TLS, or the UDP connect exchange.
    pub(super) connect: Option<RttEstimate>,
    /// How long an answer takes on a connection that stands.
    pub(super) reply: Option<RttEstimate>,
    /// Failures since the last answer.
    pub(super) consecutive_failures: u32,
    /// How many announces and probes it has answered.
    pub(super) successes: u64,
    /// How many attempts it gets.
    pub(super) meter: Meter,
    /// When it last answered.
    pub(super) answered_at: Option<Timestamp>,
    /// When it last failed.
    pub(super) failed_at: Option<Timestamp>,
    /// Attempts whose trips are silent past their patience just now.
    pub(super) silent: u32,
    /// When the last of them fell silent.
    pub(super) silent_since: Timestamp,
    /// When the last hedge was allowed: an announce at another tracker beside one that stalled here.
    pub(super) hedged_at: Option<Timestamp>,
    /// The torrent and address that got no tracker's answer since the last success. A second one is needed to doubt the
    /// host.
    pub(super) doubted_by: Option<(TorrentId, TrackerUrl)>,
    /// How many failures in a row it wasn't blamed for. The time until the next look at it grows with them.
    pub(super) withheld: u32,
    /// When it may be tried.
    pub(super) breaker: Breaker,
    /// What other processes reported.
    pub(super) reported: Reported,
    /// Whether this process has heard from it. What is only known from an earlier run or another process gives way first.
    pub(super) is_own: bool,
    /// The number of its last change, as in [`HealthBook::changes`]; 0 if this process hasn't heard from it.
    pub(super) changed: u64,
}

impl HealthBook {
    /// The health of a host, if anything is known of it.
    pub fn host(&self, host: &TrackerHost) -> Option<&HostHealth> {
        self.hosts.get(host)
    }

    /// How many hosts are known, each once, whether it is announced to over a second address family or not.
    pub(super) fn len(&self) -> usize {
        self.hosts.keys().filter(|host| host.family().is_none()).count()
    }

    /// The latency of a host that answered within `lifetime`, in this network, and hasn't failed since.
    pub(crate) fn fresh_latency(
        &self,
        host: &TrackerHost,
        lifetime: Duration,
        now: Timestamp,
    ) -> Option<Duration> {
        let health = self.hosts.get(host)?;
        let answered_at = health.answered_at?;
        let failed_since = health.failed_at.is_some_and(|failed_at| failed_at > answered_at);
        let in_another_network = self.changed_at.is_some_and(|changed_at| answered_at <= changed_at);
        if failed_since || in_another_network || now.since(answered_at) > lifetime {
            None
        } else {
            health.latency()
        }
    }

    /// Whether the last news of a host was an answer; `None` if it has neither answered nor failed after `since`.
    pub(crate) fn heard_since(&self, host: &TrackerHost, since: Timestamp) -> Option<bool> {
        let health = self.hosts.get(host)?;
        let heard_at = health.answered_at.max(health.failed_at).filter(|at| *at >= since)?;
        Some(health.answered_at == Some(heard_at))
    }

    /// Notes that the network has changed: hosts that were unreachable may be reached, and no latency is fresh.
    pub(super) fn network_changed(&mut self, now: Timestamp) {
        self.changed_at = Some(now);
        for health in self.hosts.values_mut() {
            health.breaker.forgive(now);
            health.withheld = 0;
        }
    }

    /// The health of a host, to be changed.
    pub(super) fn entry(&mut self, host: &TrackerHost) -> &mut HostHealth {
        self.changes += 1;
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(host) {
            let oldest = self
                .hosts
                .iter()
                .min_by_key(|(_, health)| (health.is_own, health.answered_at.max(health.failed_at)));
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                self.hosts.remove(&oldest);
            }
        }
        let health = self.hosts.entry(host.clone()).or_default();
        (health.is_own, health.changed) = (true, self.changes);
        health
    }
}

impl HostHealth {
    /// How long an announce on a new connection takes, if it was ever measured.
    pub fn latency(&self) -> Option<Duration> {
        Some(self.connect?.srtt() + self.reply?.srtt())
    }

    /// When it last answered.
    pub fn answered_at(&self) -> Option<Timestamp> {
        self.answered_at
    }

    /// When it last failed.
    pub fn failed_at(&self) -> Option<Timestamp> {
        self.failed_at
    }

    /// Whether it is backed off after failures.
    pub fn is_backed_off(&self) -> bool {
        !self.breaker.is_closed()
    }

    /// Whether an opening is silent at present and the host has answered no other torrent since.
    pub(super) fn is_silent(&self) -> bool {
        self.silent > 0 && self.answered_at.is_none_or(|answered_at| answered_at <= self.silent_since)
    }

    /// Notes a measured answer. An opening that was much too short for its host used a kept connection, and is no
    /// sample of connecting: with those, every new connection would pass for a slow one.
    pub(super) fn measured(&mut self, sample: Measurement, now: Timestamp) {
        let (connect, first_byte) = (sample.connect.min(MAX_LATENCY), sample.first_byte.min(MAX_LATENCY));
        let is_reused = self.connect.is_some_and(|known| connect < (known.srtt() / 4).min(REUSED));
        if !is_reused {
            RttEstimate::update(&mut self.connect, connect, now);
        }
        RttEstimate::update(&mut self.reply, first_byte, now);
        self.succeeded(now);
    }

    /// Notes a tracker's answer, measured or not.
    pub(super) fn succeeded(&mut self, now: Timestamp) {
        self.consecutive_failures = 0;
        self.successes = self.successes.saturating_add(1);
        self.withheld = 0;
        self.doubted_by = None;
        self.answered_at = Some(now);
        self.breaker.succeeded();
    }

    /// Notes a connection that took `opening`. One that wasn't taken out of a pool is a sign of life.
    pub(super) fn opened(&mut self, opening: Duration) {
        if opening >= REUSED && self.breaker.is_lifeless() {
            self.breaker.close();
        }
    }

    /// Notes a connection that came after its round was won.
    pub(super) fn opened_late(&mut self, opening: Duration, now: Timestamp) {
        RttEstimate::update(&mut self.connect, opening.min(MAX_LATENCY), now);
        self.opened(opening);
    }

    /// Notes that an opening has been silent for longer than the patience.
    pub(super) fn fell_silent(&mut self, now: Timestamp) {
        self.silent = self.silent.saturating_add(1);
        self.silent_since = now;
    }

    /// Notes that a silent opening has ended, in whatever way.
    pub(super) fn silence_ended(&mut self) {
        self.silent = self.silent.saturating_sub(1);
    }

    /// Whether the failure of an attempt that began at `started_at` is no news, because the host has answered or failed
    /// since. Ten attempts that began together and fail count once.
    pub(super) fn is_old_news(&self, started_at: Timestamp) -> bool {
        self.answered_at.max(self.failed_at).is_some_and(|heard_at| heard_at > started_at)
    }

    /// Notes a failure of the host itself, which backs it off. Silence is one as well: it is noted at the limit of an
    /// attempt, and several packets would have to be lost until then. `random` is from [0, 1).
    pub(super) fn failed(&mut self, config: &Config, random: f64, now: Timestamp) {
        self.count_failure(now);
        self.reported.is_reason = false;
        if config.back_off.of_hosts {
            self.breaker.open(config, random, now);
        }
    }

    /// Notes that a torrent got no tracker's answer at an address. The host is doubted once two different torrents or
    /// addresses failed so with no success between: one may have the reason in itself (R81). Gives whether the host is
    /// doubted from now on.
    pub(super) fn doubt(
        &mut self,
        by: (TorrentId, &TrackerUrl),
        failed_before: bool,
        config: &Config,
        random: f64,
        now: Timestamp,
    ) -> bool {
        let (torrent, tracker) = by;
        if !self.breaker.is_doubted() {
            // The attempt reached it, so that no reason for a back-off stands.
            self.breaker.close();
        }
        let was_closed = self.breaker.is_closed();
        let mut others = self.doubted_by.iter();
        let is_another = others.any(|(other, address)| *other != torrent || address != tracker);
        if was_closed && !is_another {
            self.doubted_by = Some((torrent, tracker.clone()));
        }
        // A torrent that has failed here before is no new evidence.
        let is_news = if was_closed { is_another } else { !failed_before };
        if is_news {
            self.count_failure(now);
            if config.back_off.of_hosts {
                self.breaker.doubt(random, now);
            }
        }
        is_news && was_closed && config.back_off.of_hosts
    }

    /// Whether an announce that stalls may be hedged: sent to another tracker beside it. If so that is noted. At a host
    /// that works at most once in [`HEDGE_GAP`]: if it stalls under load, all its torrents would announce twice.
    pub(super) fn may_hedge(&mut self, now: Timestamp) -> bool {
        let allowed = self.breaker.is_doubted()
            || self.hedged_at.is_none_or(|hedged_at| now.since(hedged_at) >= HEDGE_GAP);
        if allowed {
            self.hedged_at = Some(now);
        }
        allowed
    }

    /// Takes back the last failure: our own network caused it.
    pub(super) fn pardon(&mut self) {
        self.consecutive_failures = 0;
        self.doubted_by = None;
        self.breaker.pardon();
    }

    /// Counts a failure.
    fn count_failure(&mut self, now: Timestamp) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.failed_at = Some(now);
    }

    /// The cost of trying this host first: its latency, or what a host that was never measured is expected to take.
    pub(super) fn cost(&self) -> Duration {
        self.latency().unwrap_or_else(Self::unknown_cost)
    }

    /// The cost of trying a host of which nothing is known: it may be silent, which costs the patience.
    pub(super) fn unknown_cost() -> Duration {
        UNKNOWN_LATENCY.saturating_add(OPEN_PATIENCE)
    }
}
