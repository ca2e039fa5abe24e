//! What is known of one tracker host, and of all of them together: latency, reliability, back-off.

use std::collections::BTreeMap;
use std::time::Duration;

use super::breaker::Breaker;
use super::rtt::RttEstimate;
use crate::policy::config::Config;
use crate::policy::io::TorrentId;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// How many hosts are remembered; the one heard of longest ago makes room.
pub(super) const MAX_HOSTS: usize = 4096;

/// Counts of success and failure weigh 1/e after this long.
const COUNTS_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// What a host is assumed to have failed beside one success: little, or the one in use, with its many successes, goes
/// before nearer ones that were probed once.
pub(super) const PRIOR_FAILURES: f64 = 0.2;

/// A host without a success in this long is no longer trusted: its first failure counts as definite.
const TRUST: Duration = Duration::from_secs(24 * 3600);

/// The latency that a host is taken to have before it was ever measured (close to Unbound's 376 ms).
const UNKNOWN_LATENCY: Duration = Duration::from_millis(400);

/// How soon another announce may be tried elsewhere beside one that stalls on the same host.
const HEDGE_GAP: Duration = Duration::from_secs(10);

/// From so many answers on their time is known well enough to tell one that is late. A single sample takes every
/// lost packet for a stalled tracker, and then two hear of us.
const KNOWN_REPLIES: u32 = 3;

/// Taking a connection that stands out of a pool takes less.
const REUSED: Duration = Duration::from_millis(5);

/// No announce waits longer than this, so no true latency is longer.
pub(super) const MAX_LATENCY: Duration = Duration::from_secs(60);

/// Latency, reliability and back-off of each tracker host.
#[derive(Debug, Clone, Default)]
pub struct HealthBook {
    pub(super) hosts: BTreeMap<TrackerHost, HostHealth>,
    /// When the network last changed: no latency from before is fresh.
    changed_at: Option<Timestamp>,
    pub(super) changes: u64,
}

/// What is known of one host.
#[derive(Debug, Clone, Default)]
pub struct HostHealth {
    pub(super) connect: Option<RttEstimate>,
    pub(super) reply: Option<RttEstimate>,
    pub(super) successes: f64,
    pub(super) failures: f64,
    /// When successes and failures were last faded.
    pub(super) counted_at: Timestamp,
    /// Failures since the last success.
    pub(super) consecutive: u32,
    pub(super) answered_at: Option<Timestamp>,
    pub(super) failed_at: Option<Timestamp>,
    /// Attempts whose openings are silent past their patience just now.
    pub(super) silent: u32,
    /// When the last of them became so.
    pub(super) silent_since: Timestamp,
    /// When an announce was last tried elsewhere beside one that stalled here.
    pub(super) hedged_at: Option<Timestamp>,
    /// Who got no tracker's answer here since the last success: another with that is needed to doubt the host.
    pub(super) doubted_by: Option<(TorrentId, TrackerUrl)>,
    /// How many failures in a row weren't held against it.
    pub(super) withheld: u32,
    pub(super) breaker: Breaker,
}

/// How much a torrent wants its announce: someone waits for it, or nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// `started`, asked for by the user, or peers are wanted.
    Urgent,
    /// A regular announce of a session that is well: half a second more harms nobody, a needless second
    /// announce harms a tracker.
    Relaxed,
}

impl HealthBook {
    /// What is known of a host.
    pub fn host(&self, host: &TrackerHost) -> Option<&HostHealth> {
        self.hosts.get(host)
    }

    /// How many hosts are known.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The latency of a host, where it was heard within `lifetime` and hasn't failed since.
    pub fn fresh_latency(&self, host: &TrackerHost, lifetime: Duration, now: Timestamp) -> Option<Duration> {
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

    /// Whether a host answered when it was last heard of; `None` where that was before `since`.
    pub(crate) fn heard_since(&self, host: &TrackerHost, since: Timestamp) -> Option<bool> {
        let health = self.hosts.get(host)?;
        let heard_at = health.answered_at.max(health.failed_at).filter(|at| *at >= since)?;
        Some(health.answered_at == Some(heard_at))
    }

    /// The network has changed: who was unreachable may be reached, and what was measured holds no longer.
    pub(super) fn network_changed(&mut self, now: Timestamp) {
        self.changed_at = Some(now);
        for health in self.hosts.values_mut() {
            health.breaker.forgive(now);
            health.withheld = 0;
            for estimate in [&mut health.connect, &mut health.reply].into_iter().flatten() {
                estimate.doubt();
            }
        }
    }

    /// How long an opening may be silent before the next begins beside it, and the least that may become of it
    /// in a race that hurries.
    pub(super) fn open_patience(
        &self,
        host: &TrackerHost,
        urgency: Urgency,
        config: &Config,
    ) -> (Duration, Duration) {
        let connect = self.hosts.get(host).and_then(|health| health.connect);
        let (patience, least) = match connect {
            Some(connect) => {
                let learned =
                    connect.patience().clamp(config.open_patience_floor, config.open_patience_ceiling);
                (learned, connect.srtt().clamp(config.open_patience_floor, learned))
            }
            None => (config.open_patience, config.open_patience_floor),
        };
        match urgency {
            Urgency::Urgent => (patience, least),
            Urgency::Relaxed => (patience.max(config.relaxed_open_patience), least),
        }
    }

    /// How long an answer may take before another tracker is tried beside it.
    pub(super) fn reply_patience(&self, host: &TrackerHost, urgency: Urgency, config: &Config) -> Duration {
        let reply = self.hosts.get(host).and_then(|health| health.reply);
        let known = reply.filter(|reply| reply.samples() >= KNOWN_REPLIES);
        let learned = known
            .map(|reply| reply.patience().clamp(config.reply_patience_floor, config.reply_patience_ceiling));
        if self.hosts.get(host).is_some_and(|health| health.breaker.is_doubted()) {
            // Others wait for what comes of it, and what is slow is still waited for.
            return learned.unwrap_or(config.reply_patience_floor);
        }
        match (urgency, learned) {
            (Urgency::Urgent, learned) => learned.unwrap_or(config.reply_patience),
            // As long as for an opening: its answers are known, and one that lasts longer isn't merely slow.
            (Urgency::Relaxed, Some(learned)) => learned.max(config.relaxed_open_patience),
            (Urgency::Relaxed, None) => config.reply_patience.max(config.relaxed_reply_patience),
        }
    }

    /// What is known of a host, to be changed.
    pub(super) fn entry(&mut self, host: &TrackerHost) -> &mut HostHealth {
        self.changes += 1;
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(host) {
            let oldest = self.hosts.iter().min_by_key(|(_, health)| health.answered_at.max(health.failed_at));
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                self.hosts.remove(&oldest);
            }
        }
        self.hosts.entry(host.clone()).or_default()
    }
}

impl HostHealth {
    /// What an announce on a fresh connection takes, where it was ever measured.
    pub fn latency(&self) -> Option<Duration> {
        Some(self.connect?.srtt() + self.reply?.srtt())
    }

    /// When it last answered.
    pub fn answered_at(&self) -> Option<Timestamp> {
        self.answered_at
    }

    /// When it last failed to.
    pub fn failed_at(&self) -> Option<Timestamp> {
        self.failed_at
    }

    /// Whether it is backed off after failures.
    pub fn is_backed_off(&self) -> bool {
        !self.breaker.is_closed()
    }

    /// Whether an attempt is silent just now, and nothing was heard since.
    pub(super) fn is_silent(&self) -> bool {
        self.silent > 0 && self.answered_at.is_none_or(|answered_at| answered_at <= self.silent_since)
    }

    /// Notes a measured answer. An opening that was much too quick for its host reused a connection, and says nothing
    /// about connecting.
    pub(super) fn measured(&mut self, sample: Measurement, now: Timestamp) {
        let (connect, first_byte) = (sample.connect.min(MAX_LATENCY), sample.first_byte.min(MAX_LATENCY));
        let reused = self.connect.is_some_and(|known| connect < (known.srtt() / 4).min(REUSED));
        if !reused {
            RttEstimate::update(&mut self.connect, connect, now);
        }
        RttEstimate::update(&mut self.reply, first_byte, now);
        self.succeeded(now);
    }

    /// Notes an answer, or another proof that the host works.
    pub(super) fn succeeded(&mut self, now: Timestamp) {
        self.decay(now);
        self.successes += 1.0;
        self.consecutive = 0;
        self.withheld = 0;
        self.doubted_by = None;
        self.answered_at = Some(now);
        self.breaker.succeeded(now);
    }

    /// Notes that a connection came to be that took `opening`. One that took longer than a kept one is a sign of life.
    pub(super) fn opened(&mut self, opening: Duration) {
        if opening >= REUSED && self.breaker.is_lifeless() {
            self.breaker.close();
        }
    }

    /// Notes that a connection came to be after its host was taken for silent.
    pub(super) fn opened_late(&mut self, opening: Duration, now: Timestamp) {
        RttEstimate::update(&mut self.connect, opening.min(MAX_LATENCY), now);
        self.opened(opening);
    }

    /// Notes that an attempt has become silent.
    pub(super) fn fell_silent(&mut self, now: Timestamp) {
        self.silent = self.silent.saturating_add(1);
        self.silent_since = now;
    }

    /// Notes that a silent attempt has come to something, or to nothing.
    pub(super) fn silence_ended(&mut self) {
        self.silent = self.silent.saturating_sub(1);
    }

    /// Whether an attempt that began at `started_at` is no news: the host has answered or failed since.
    pub(super) fn is_old_news(&self, started_at: Timestamp) -> bool {
        self.answered_at.max(self.failed_at).is_some_and(|heard_at| heard_at > started_at)
    }

    /// Notes a failure that is the host's own. `definite` is one that silence isn't: a host that answered within a day
    /// may have lost a packet.
    pub(super) fn failed(&mut self, definite: bool, config: &Config, random: f64, now: Timestamp) {
        let trusted = self.answered_at.is_some_and(|answered_at| now.since(answered_at) < TRUST);
        self.count_failure(now);
        let opens = definite || !trusted || self.consecutive >= 2 || !self.breaker.is_closed();
        if config.breaker && opens {
            self.breaker.open(config, random, now);
        }
    }

    /// Notes that this torrent got no tracker's answer at this address. The host is doubted when two different ones
    /// did, with no success between. Gives whether it has just come to be doubted.
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
            // It lives, or this machine could ask it at any rate: nothing is held against it yet.
            self.breaker.close();
        }
        let was_closed = self.breaker.is_closed();
        let mut others = self.doubted_by.iter();
        let is_another = others.any(|(other, address)| *other != torrent || address != tracker);
        if was_closed && !is_another {
            self.doubted_by = Some((torrent, tracker.clone()));
        }
        // A torrent that met this before says nothing new.
        let news = if was_closed { is_another } else { !failed_before };
        if news {
            self.count_failure(now);
            if config.breaker {
                self.breaker.doubt(random, now);
            }
        }
        news && was_closed && config.breaker
    }

    /// Whether a stalled announce may be tried elsewhere beside it, which is then noted. Rarely at a host that works:
    /// one that stalls under load would have everybody announce twice.
    pub(super) fn may_hedge(&mut self, now: Timestamp) -> bool {
        let allowed = self.breaker.is_doubted()
            || self.hedged_at.is_none_or(|hedged_at| now.since(hedged_at) >= HEDGE_GAP);
        if allowed {
            self.hedged_at = Some(now);
        }
        allowed
    }

    /// Takes back the last failure: it wasn't the host's.
    pub(super) fn pardon(&mut self) {
        self.consecutive = 0;
        self.failures = (self.failures - 1.0).max(0.0);
        self.doubted_by = None;
        self.breaker.pardon();
    }

    fn count_failure(&mut self, now: Timestamp) {
        self.decay(now);
        self.failures += 1.0;
        self.consecutive = self.consecutive.saturating_add(1);
        self.failed_at = Some(now);
    }

    /// The cost of asking this host first: its latency, and the patience that is lost where it fails, weighed by the
    /// odds.
    pub(super) fn cost(&self, config: &Config, now: Timestamp) -> Duration {
        let latency = self.latency().unwrap_or(UNKNOWN_LATENCY);
        latency.saturating_add(config.open_patience.mul_f64(self.odds_of_failure(now).min(1e6)))
    }

    /// The cost of asking a host of which nothing is known.
    pub(super) fn unknown_cost(config: &Config) -> Duration {
        UNKNOWN_LATENCY.saturating_add(config.open_patience)
    }

    fn decay(&mut self, now: Timestamp) {
        let kept = decayed(now.since(self.counted_at), COUNTS_MEMORY);
        self.successes *= kept;
        self.failures *= kept;
        self.counted_at = now;
    }

    /// (1 - p) / p, with p the chance that it answers: the counts of about a day, with a prior. A host that has just
    /// failed is in back-off, which puts it behind all others.
    pub(super) fn odds_of_failure(&self, now: Timestamp) -> f64 {
        let kept = decayed(now.since(self.counted_at), COUNTS_MEMORY);
        (self.failures * kept + PRIOR_FAILURES) / (self.successes * kept + 1.0)
    }
}

/// What is left of a weight of one after this time.
fn decayed(elapsed: Duration, memory: Duration) -> f64 {
    (-elapsed.as_secs_f64() / memory.as_secs_f64()).exp()
}
