//! What is known of tracker hosts, shared by all torrents: one of them finds the dead one, the others skip it.

mod remembered;

use std::collections::BTreeMap;
use std::time::Duration;

use super::breaker::{Blame, Breaker, Failure};
use super::config::Config;
use super::estimate::Estimate;
use super::outage::Outage;
use super::time::Timestamp;
use crate::prober::Measurement;
use crate::tracker::TrackerHost;

/// How many hosts are remembered; the one heard of longest ago makes room.
const MOST_HOSTS: usize = 4096;

/// Counts of success and failure weigh 1/e after this long.
const COUNTS_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// What a host is assumed to have failed beside one success: little, or the one in use, with its many successes, goes
/// before nearer ones that were probed once.
const PRIOR_FAILURES: f64 = 0.2;

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

/// How often those who could use a silent host look whether it is dead.
const VERDICT_LOOK: Duration = Duration::from_secs(1);

/// Latency, reliability and back-off of each tracker host.
#[derive(Debug, Clone, Default)]
pub struct HealthBook {
    hosts: BTreeMap<TrackerHost, HostHealth>,
    outage: Outage,
    /// When the network last changed: no latency from before is fresh.
    changed_at: Option<Timestamp>,
    /// When the machine last woke from a sleep: attempts from before say nothing.
    woke_at: Option<Timestamp>,
    changes: u64,
}

/// What is known of one host.
#[derive(Debug, Clone, Default)]
pub struct HostHealth {
    connect: Option<Estimate>,
    reply: Option<Estimate>,
    successes: f64,
    failures: f64,
    counted_at: Timestamp,
    consecutive: u32,
    answered_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    /// Attempts that are silent past their patience just now.
    silent: u32,
    /// When the last of them became so.
    silent_since: Timestamp,
    hedged_at: Option<Timestamp>,
    breaker: Breaker,
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

    /// Notes a probe's measurement.
    pub fn measured(&mut self, host: TrackerHost, measurement: Measurement, now: Timestamp) {
        self.outage.alive(now);
        let health = self.entry(host);
        Estimate::update(&mut health.connect, measurement.connect, now);
        Estimate::update(&mut health.reply, measurement.first_byte, now);
        health.succeeded(now);
    }

    /// Whether everything fails, so that the network here is to blame and no host.
    pub fn is_outage(&self) -> bool {
        self.outage.is_on()
    }

    /// When a round may look whether the network is back; `None` where it isn't down.
    pub(crate) fn next_look(&self) -> Option<Timestamp> {
        self.outage.next_look()
    }

    /// Notes that a round looks. `random` is from [0, 1).
    pub(crate) fn look(&mut self, random: f64, now: Timestamp) {
        self.outage.look(random, now);
    }

    /// The network has changed: who was unreachable may be reached, and what was measured holds no longer.
    pub fn network_changed(&mut self, now: Timestamp) {
        self.outage.forget();
        self.changed_at = Some(now);
        for health in self.hosts.values_mut() {
            health.breaker.forgive(now);
            for estimate in [&mut health.connect, &mut health.reply].into_iter().flatten() {
                estimate.doubt();
            }
        }
    }

    /// The machine slept for `gap` while the clock stood still: everything that is known is older by that, as far as
    /// the clock reaches back. What fails now and began before that fell asleep with us, and blames nobody.
    pub fn slept(&mut self, gap: Duration, now: Timestamp) {
        self.woke_at = Some(now);
        self.changed_at = self.changed_at.map(|changed_at| changed_at.before(gap));
        self.outage.slept(gap);
        for health in self.hosts.values_mut() {
            health.slept(gap);
        }
    }

    /// Notes an answered announce, and gives the host's latency. An opening that was much too quick for its host
    /// reused a connection, and says nothing about connecting.
    pub fn answered(&mut self, host: TrackerHost, sample: Measurement, now: Timestamp) -> Duration {
        self.outage.alive(now);
        let health = self.entry(host);
        let reused = health.connect.is_some_and(|connect| sample.connect < (connect.mean() / 4).min(REUSED));
        if !reused {
            Estimate::update(&mut health.connect, sample.connect, now);
        }
        Estimate::update(&mut health.reply, sample.first_byte, now);
        health.succeeded(now);
        health.latency().unwrap_or_default()
    }

    /// Notes that a connection came to be, after its host was taken for silent.
    pub fn connected(&mut self, host: TrackerHost, connect: Duration, now: Timestamp) {
        let health = self.entry(host);
        Estimate::update(&mut health.connect, connect, now);
        health.breaker.gave_up(now.before(connect), now);
    }

    /// Notes that a host is alive without an answer that could be measured, such as a refusal of one torrent.
    pub fn alive(&mut self, host: TrackerHost, now: Timestamp) {
        self.outage.alive(now);
        self.entry(host).succeeded(now);
    }

    /// Notes a failure of an attempt that began at `started_at`. Attempts that ran beside each other fail
    /// together and count once. `random` is from [0, 1).
    pub fn failed(
        &mut self,
        host: TrackerHost,
        failure: Blame,
        started_at: Timestamp,
        config: &Config,
        random: f64,
        now: Timestamp,
    ) {
        if self.woke_at.is_some_and(|woke_at| started_at <= woke_at) {
            return self.gave_up(&host, started_at, now);
        }
        let before = self.entry(host.clone()).clone();
        if failure.may_be_ours {
            let known = self.hosts.len();
            if let Some(blameless) = self.outage.suspect(host.clone(), before, known, started_at, now) {
                self.restore(blameless, now);
            }
        }
        if self.outage.is_on() || failure.kind == Failure::Local {
            return self.gave_up(&host, started_at, now);
        }
        let health = self.entry(host);
        let failure = failure.kind;
        let answered_since = health.answered_at.is_some_and(|answered_at| answered_at > started_at);
        let counted = health.failed_at.is_some_and(|failed_at| failed_at > started_at);
        if answered_since || counted {
            return;
        }
        let trusted = health.answered_at.is_some_and(|answered_at| now.since(answered_at) < TRUST);
        health.decay(now);
        health.failures += 1.0;
        health.consecutive = health.consecutive.saturating_add(1);
        health.failed_at = Some(now);
        let opens = failure == Failure::Unreachable || !trusted || health.consecutive >= 2;
        if config.breaker {
            health.breaker.failed(failure, opens, config, random, now);
        }
    }

    /// Takes back what hosts were blamed for. What is under way at them is not what it was then.
    fn restore(&mut self, blameless: BTreeMap<TrackerHost, HostHealth>, now: Timestamp) {
        for (host, before) in blameless {
            let silent = self.hosts.get(&host).map(|health| (health.silent, health.silent_since));
            let (silent, silent_since) = silent.unwrap_or_default();
            let mut health = HostHealth { silent, silent_since, ..before };
            health.breaker.gave_up(now, now);
            self.hosts.insert(host, health);
        }
    }

    /// Notes that an attempt has become silent, or is so no longer.
    pub fn silent(&mut self, host: &TrackerHost, silent: bool, now: Timestamp) {
        if silent {
            let health = self.entry(host.clone());
            health.silent = health.silent.saturating_add(1);
            health.silent_since = now;
        } else if let Some(health) = self.hosts.get_mut(host) {
            health.silent = health.silent.saturating_sub(1);
        }
    }

    /// Notes that an attempt at a host begins.
    pub fn tried(&mut self, host: &TrackerHost, now: Timestamp) {
        if let Some(health) = self.hosts.get_mut(host) {
            health.breaker.tried(now);
        }
    }

    /// Notes that an attempt which began at `started_at` ended without a word about the host.
    pub fn gave_up(&mut self, host: &TrackerHost, started_at: Timestamp, now: Timestamp) {
        if let Some(health) = self.hosts.get_mut(host) {
            health.breaker.gave_up(started_at, now);
        }
    }

    /// When a host may be tried: in the past where it may be now. `starving` torrents want peers.
    pub fn free_at(&self, host: &TrackerHost, starving: bool, config: &Config, now: Timestamp) -> Timestamp {
        let Some(health) = self.hosts.get(host) else { return Timestamp::ZERO };
        let answers = health.answered_at.is_some_and(|answered_at| answered_at > health.silent_since);
        if health.silent > 0 && !answers && config.breaker {
            // Somebody is finding out whether it is dead.
            return now + VERDICT_LOOK;
        }
        health.breaker.free_at(starving, config.open_patience, now)
    }

    /// Whether a stalled announce at a host may be tried elsewhere beside it, which is then noted.
    pub fn may_hedge(&mut self, host: &TrackerHost, now: Timestamp) -> bool {
        let health = self.entry(host.clone());
        let allowed = health.hedged_at.is_none_or(|hedged_at| now.since(hedged_at) >= HEDGE_GAP);
        if allowed {
            health.hedged_at = Some(now);
        }
        allowed
    }

    /// The cost of asking a host first: its latency, and the patience that is lost where it fails, weighed by
    /// the odds. The least cost goes first.
    pub fn score(&self, host: &TrackerHost, config: &Config, now: Timestamp) -> Duration {
        let (latency, odds) = match self.hosts.get(host) {
            Some(health) => (health.latency().unwrap_or(UNKNOWN_LATENCY), health.odds_of_failure(now)),
            None => (UNKNOWN_LATENCY, 1.0),
        };
        latency + config.open_patience.mul_f64(odds.min(1e6))
    }

    /// How long an opening may be silent before the next begins beside it, and the least that may become of it
    /// in a race that hurries.
    pub fn open_patience(
        &self,
        host: &TrackerHost,
        urgency: Urgency,
        config: &Config,
        now: Timestamp,
    ) -> (Duration, Duration) {
        let connect = self.hosts.get(host).and_then(|health| health.connect);
        let (patience, least) = match connect {
            Some(connect) => {
                let learned =
                    connect.patience().clamp(config.open_patience_floor, config.open_patience_ceiling);
                (learned, connect.mean().clamp(config.open_patience_floor, learned))
            }
            None => (self.unknown_patience(config, now), config.open_patience_floor),
        };
        match urgency {
            Urgency::Urgent => (patience, least),
            Urgency::Relaxed => (patience.max(config.relaxed_open_patience), least),
        }
    }

    /// How long an answer may take before another tracker is tried beside it.
    pub fn reply_patience(&self, host: &TrackerHost, urgency: Urgency, config: &Config) -> Duration {
        let reply = self.hosts.get(host).and_then(|health| health.reply);
        let reply = reply.filter(|reply| reply.samples() >= KNOWN_REPLIES);
        let patience = reply.map_or(config.reply_patience, |reply| {
            reply.patience().clamp(config.reply_patience_floor, config.reply_patience_ceiling)
        });
        match urgency {
            Urgency::Urgent => patience,
            Urgency::Relaxed => patience.max(config.relaxed_reply_patience),
        }
    }

    /// The patience with a host that was never reached: twice what the others take, so that a slow network
    /// isn't taken for dead trackers.
    fn unknown_patience(&self, config: &Config, now: Timestamp) -> Duration {
        let recent = |estimate: &Estimate| now.since(estimate.at()) < TRUST;
        let mut connects: Vec<Duration> = self
            .hosts
            .values()
            .filter_map(|health| health.connect)
            .filter(recent)
            .map(|c| c.mean())
            .collect();
        if connects.is_empty() {
            return config.open_patience;
        }
        let middle = connects.len() / 2;
        let (_, median, _) = connects.select_nth_unstable(middle);
        (*median * 2).clamp(config.open_patience, config.unknown_patience_ceiling.max(config.open_patience))
    }

    fn entry(&mut self, host: TrackerHost) -> &mut HostHealth {
        self.changes += 1;
        if self.hosts.len() >= MOST_HOSTS && !self.hosts.contains_key(&host) {
            let oldest = self.hosts.iter().min_by_key(|(_, health)| health.answered_at.max(health.failed_at));
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                self.hosts.remove(&oldest);
            }
        }
        self.hosts.entry(host).or_default()
    }
}

impl HostHealth {
    /// What an announce on a fresh connection takes, where it was ever measured.
    pub fn latency(&self) -> Option<Duration> {
        Some(self.connect?.mean() + self.reply?.mean())
    }

    /// When it last answered.
    pub fn answered_at(&self) -> Option<Timestamp> {
        self.answered_at
    }

    /// When it last failed to.
    pub fn failed_at(&self) -> Option<Timestamp> {
        self.failed_at
    }

    /// Whether it is being left alone after failures.
    pub fn is_left_alone(&self) -> bool {
        !self.breaker.is_closed()
    }

    pub(super) fn slept(&mut self, gap: Duration) {
        for estimate in [&mut self.connect, &mut self.reply].into_iter().flatten() {
            estimate.slept(gap);
        }
        for moment in [&mut self.answered_at, &mut self.failed_at, &mut self.hedged_at].into_iter().flatten()
        {
            *moment = moment.before(gap);
        }
        for moment in [&mut self.counted_at, &mut self.silent_since] {
            *moment = moment.before(gap);
        }
        self.breaker.slept(gap);
    }

    fn succeeded(&mut self, now: Timestamp) {
        self.decay(now);
        self.successes += 1.0;
        self.consecutive = 0;
        self.answered_at = Some(now);
        self.breaker.succeeded(now);
    }

    fn decay(&mut self, now: Timestamp) {
        let kept = decayed(now.since(self.counted_at), COUNTS_MEMORY);
        self.successes *= kept;
        self.failures *= kept;
        self.counted_at = now;
    }

    /// (1 - p) / p, with p the chance that it answers: counts of a day with a prior, and an outage
    /// that has just been seen weighing more than history.
    fn odds_of_failure(&self, now: Timestamp) -> f64 {
        let kept = decayed(now.since(self.counted_at), COUNTS_MEMORY);
        let (successes, failures) = (self.successes * kept, self.failures * kept);
        let mut chance = (successes + 1.0) / (successes + failures + 1.0 + PRIOR_FAILURES);
        if let (1.., Some(failed_at)) = (self.consecutive, self.failed_at) {
            let doublings = self.consecutive.min(6) - 1;
            let memory = Duration::from_secs(600 << doublings);
            let outage = 1.0 - 0.25_f64.powi(i32::try_from(self.consecutive.min(30)).unwrap_or(30));
            chance *= 1.0 - outage * decayed(now.since(failed_at), memory);
        }
        (1.0 - chance) / chance
    }
}

/// What is left of a weight of one after this time.
fn decayed(elapsed: Duration, memory: Duration) -> f64 {
    (-elapsed.as_secs_f64() / memory.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::TrackerUrl;

    fn host(name: &str) -> TrackerHost {
        format!("http://{name}.test/a").parse::<TrackerUrl>().unwrap().tracker_host()
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn sample(connect: u64, first_byte: u64) -> Measurement {
        Measurement { connect: millis(connect), first_byte: millis(first_byte) }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(secs))
    }

    fn fail(book: &mut HealthBook, name: &str, failure: Failure, started: u64, now: u64) {
        book.failed(
            host(name),
            Blame { kind: failure, may_be_ours: false },
            at(started),
            &Config::default(),
            0.0,
            at(now),
        );
    }

    fn is_free(book: &HealthBook, name: &str, now: u64) -> bool {
        book.free_at(&host(name), false, &Config::default(), at(now)) <= at(now)
    }

    #[test]
    fn a_latency_is_fresh_until_it_is_old_or_the_host_fails() {
        let (mut book, lifetime) = (HealthBook::default(), Duration::from_secs(10));
        book.measured(host("a"), sample(5, 7), at(1));
        assert_eq!(book.fresh_latency(&host("a"), lifetime, at(11)), Some(millis(12)));
        assert_eq!(book.fresh_latency(&host("a"), lifetime, at(12)), None);
        fail(&mut book, "a", Failure::Silent, 2, 2);
        assert_eq!(book.fresh_latency(&host("a"), lifetime, at(3)), None);
        book.answered(host("a"), sample(0, 7), at(4));
        assert_eq!(
            book.fresh_latency(&host("a"), lifetime, at(5)),
            Some(millis(12)),
            "the connection was reused"
        );
    }

    #[test]
    fn a_definite_failure_counts_at_once_and_silence_of_a_trusted_host_twice() {
        let mut book = HealthBook::default();
        book.measured(host("refuses"), sample(5, 5), at(0));
        book.measured(host("silent"), sample(5, 5), at(0));
        fail(&mut book, "refuses", Failure::Unreachable, 10, 10);
        fail(&mut book, "silent", Failure::Silent, 10, 11);
        fail(&mut book, "unknown", Failure::Silent, 10, 11);
        assert_eq!(
            ["refuses", "silent", "unknown"].map(|name| is_free(&book, name, 12)),
            [false, true, false]
        );
        fail(&mut book, "silent", Failure::Silent, 10, 12);
        assert!(is_free(&book, "silent", 12), "attempts beside each other count once");
        fail(&mut book, "silent", Failure::Silent, 12, 13);
        assert!(!is_free(&book, "silent", 13));
    }

    #[test]
    fn a_failure_of_an_attempt_before_the_last_answer_says_nothing() {
        let mut book = HealthBook::default();
        book.measured(host("a"), sample(5, 5), at(10));
        fail(&mut book, "a", Failure::Unreachable, 9, 11);
        assert!(is_free(&book, "a", 11));
    }

    #[test]
    fn one_that_began_before_the_failure_says_nothing_while_another_tries() {
        let mut book = HealthBook::default();
        fail(&mut book, "a", Failure::Unreachable, 10, 10);
        book.tried(&host("a"), at(40));
        fail(&mut book, "a", Failure::Unreachable, 9, 41);
        book.gave_up(&host("a"), at(9), at(41));
        assert_eq!(book.free_at(&host("a"), false, &Config::default(), at(41)), at(41) + millis(250));
        fail(&mut book, "a", Failure::Unreachable, 40, 42);
        assert_eq!(book.free_at(&host("a"), false, &Config::default(), at(42)), at(72));
    }

    #[test]
    fn no_latency_of_another_network_is_fresh() {
        let (mut book, lifetime) = (HealthBook::default(), Duration::from_secs(10));
        book.measured(host("a"), sample(5, 7), at(4));
        book.network_changed(at(5));
        assert_eq!(book.fresh_latency(&host("a"), lifetime, at(5)), None);
        book.measured(host("a"), sample(50, 70), at(6));
        assert!(book.fresh_latency(&host("a"), lifetime, at(6)).is_some());
    }

    /// G2: what tells is that it answers, not how often it was asked.
    #[test]
    fn a_nearer_host_that_was_probed_once_goes_before_one_that_was_asked_often() {
        let mut book = HealthBook::default();
        for number in 0..20 {
            book.measured(host("used"), sample(60, 60), at(number));
        }
        book.measured(host("near"), sample(40, 40), at(20));
        let score = |name: &str| book.score(&host(name), &Config::default(), at(20));
        assert!(score("near") < score("used"));
    }

    /// R46: eight hours on a clock that stands still are eight hours.
    #[test]
    fn what_is_known_ages_while_the_machine_sleeps_r46() {
        const NIGHT: u64 = 8 * 3600;
        let (config, evening) = (Config::default(), 7 * 24 * 3600);
        let book = |slept: bool| {
            let mut book = HealthBook::default();
            book.measured(host("a"), sample(5, 7), at(evening));
            fail(&mut book, "b", Failure::Unreachable, evening, evening);
            let morning = if slept { evening } else { evening + NIGHT };
            if slept {
                book.slept(Duration::from_secs(NIGHT), at(evening));
            }
            (book, morning)
        };
        let known = |(mut book, morning): (HealthBook, u64)| {
            let fresh = book.fresh_latency(&host("a"), config.measurement_lifetime, at(morning));
            let scores = ["a", "b"].map(|name| book.score(&host(name), &config, at(morning)));
            let is_free = is_free(&book, "b", morning);
            book.measured(host("a"), sample(50, 70), at(morning));
            (fresh, scores, is_free, book.host(&host("a")).unwrap().latency())
        };
        assert_eq!(known(book(true)), known(book(false)));
        assert_eq!(known(book(true)).0, None);

        let (mut book, now) = book(true);
        fail(&mut book, "a", Failure::Unreachable, now, now + 3);
        assert!(is_free(&book, "a", now + 3), "it began before the sleep");
        fail(&mut book, "a", Failure::Unreachable, now + 4, now + 5);
        assert!(!is_free(&book, "a", now + 5));
    }

    #[test]
    fn a_host_that_is_silent_just_now_is_left_to_those_who_wait_already() {
        let mut book = HealthBook::default();
        book.silent(&host("a"), true, at(0));
        assert!(!is_free(&book, "a", 0));
        book.silent(&host("a"), false, at(0));
        assert!(is_free(&book, "a", 0));
        book.silent(&host("a"), true, at(1));
        book.measured(host("a"), sample(5, 5), at(2));
        assert!(is_free(&book, "a", 2), "it answers others");
    }

    /// A try or a silence that was under way when a host was first blamed is over when the blame is taken back.
    #[test]
    fn what_was_under_way_does_not_come_back_with_what_is_taken_back() {
        let config = Config::default();
        for is_silent in [true, false] {
            let mut book = HealthBook::default();
            fail(&mut book, "a", Failure::Unreachable, 0, 0);
            book.tried(&host("a"), at(100));
            book.silent(&host("a"), is_silent, at(100));
            for name in ["a", "b"] {
                let blame = Blame { kind: Failure::Silent, may_be_ours: true };
                book.failed(host(name), blame, at(100), &config, 0.0, at(110));
                if is_silent && name == "a" {
                    book.silent(&host("a"), false, at(0));
                }
            }
            assert!(book.is_outage());
            assert!(is_free(&book, "a", 111), "{is_silent}");
        }
    }

    #[test]
    fn patience_is_learned() {
        let (mut book, config) = (HealthBook::default(), Config::default());
        let patience = |book: &HealthBook, urgency| book.open_patience(&host("a"), urgency, &config, at(0)).0;
        assert_eq!(patience(&book, Urgency::Urgent), millis(250));
        book.measured(host("b"), sample(320, 1), at(0));
        assert_eq!(patience(&book, Urgency::Urgent), millis(640), "the network is slow");
        book.measured(host("a"), sample(50, 200), at(0));
        assert_eq!(patience(&book, Urgency::Urgent), millis(150));
        assert_eq!(patience(&book, Urgency::Relaxed), millis(2200));
        assert_eq!(
            book.reply_patience(&host("a"), Urgency::Urgent, &config),
            millis(1500),
            "one is not enough"
        );
        for _ in 0..2 {
            book.measured(host("a"), sample(50, 200), at(0));
        }
        assert_eq!(book.reply_patience(&host("a"), Urgency::Urgent, &config), Duration::from_micros(551_560));
        assert_eq!(book.reply_patience(&host("a"), Urgency::Relaxed, &config), millis(4000));
        assert_eq!(book.reply_patience(&host("x"), Urgency::Urgent, &config), millis(1500));
    }

    #[test]
    fn the_score_weighs_latency_and_reliability() {
        let (mut book, config) = (HealthBook::default(), Config::default());
        for minute in 0..20 {
            book.measured(host("near"), sample(10, 10), at(minute * 60));
            book.measured(host("far"), sample(100, 100), at(minute * 60));
            book.measured(host("flaky"), sample(5, 5), at(minute * 60));
            if minute % 2 == 0 {
                fail(&mut book, "flaky", Failure::Broken, minute * 60, minute * 60);
                book.alive(host("flaky"), at(minute * 60));
            }
        }
        let now = at(20 * 60);
        let score = |book: &HealthBook, name: &str| book.score(&host(name), &config, now);
        assert!(score(&book, "near") < score(&book, "flaky") && score(&book, "near") < score(&book, "far"));
        assert!(score(&book, "far") < score(&book, "unknown"));
        fail(&mut book, "near", Failure::Silent, 20 * 60, 20 * 60);
        assert!(score(&book, "near") > score(&book, "far"), "an outage that was just seen outweighs history");
        assert!(book.score(&host("near"), &config, at(3 * 3600)) < score(&book, "far"), "for a while");
    }

    #[test]
    fn what_a_host_was_days_ago_says_little() {
        let (mut book, config, day) = (HealthBook::default(), Config::default(), 24 * 3600);
        for minute in 0..20 {
            fail(&mut book, "was-flaky", Failure::Broken, minute * 60, minute * 60);
            book.alive(host("was-flaky"), at(minute * 60));
        }
        for name in ["was-flaky", "new"] {
            book.measured(host(name), sample(10, 10), at(5 * day));
        }
        let [was_flaky, new] = ["was-flaky", "new"].map(|name| book.score(&host(name), &config, at(5 * day)));
        assert!(was_flaky < new + millis(20), "{was_flaky:?}, {new:?}");
    }

    #[test]
    fn in_another_network_the_first_sample_replaces_what_was_measured() {
        let mut book = HealthBook::default();
        for second in 0..5 {
            book.measured(host("a"), sample(10, 10), at(5 * 3600 - 5 + second));
        }
        book.network_changed(at(5 * 3600));
        book.measured(host("a"), sample(200, 200), at(5 * 3600 + 1));
        let latency = book.host(&host("a")).and_then(HostHealth::latency);
        assert!(latency > Some(millis(390)), "{latency:?}");
    }

    #[test]
    fn one_hedge_in_ten_seconds() {
        let mut book = HealthBook::default();
        assert!(book.may_hedge(&host("a"), at(0)) && !book.may_hedge(&host("a"), at(9)));
        assert!(book.may_hedge(&host("b"), at(9)) && book.may_hedge(&host("a"), at(10)));
    }

    #[test]
    fn the_book_is_bounded() {
        let mut book = HealthBook::default();
        for n in 0..MOST_HOSTS + 10 {
            book.alive(host(&format!("h{n}")), Timestamp::from_micros(n as u64));
        }
        assert_eq!(book.len(), MOST_HOSTS);
        assert!(book.host(&host("h0")).is_none() && book.host(&host("h20")).is_some());
    }
}
