//! When a failing host may be tried again, and by how many at once.

use std::time::Duration;

use super::config::Config;
use super::time::Timestamp;

/// A host that failed is left alone for a while that grows with each failure, then tried by one announce alone;
/// its success lets everybody back.
///
/// Torrents that want peers need not wait for a long while to end: a host that couldn't even be reached is tried
/// again within little more than a minute for their sake, which costs it one connection and tells it nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    state: State,
    /// How many times it has opened in a row.
    openings: u32,
    /// When it last closed: two successes a minute apart forget the past.
    closed_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Timestamp,
        /// For those that want peers.
        starving_until: Timestamp,
    },
    /// Somebody is trying, since then.
    Trying { since: Timestamp },
}

/// What a failure says of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nobody could connect, definitely: refused, no such name, TLS.
    Unreachable,
    /// No sign of life.
    Silent,
    /// Reached, and no tracker's answer.
    Broken,
    /// Our own side: no route, no interface. Says nothing of the host.
    Local,
}

/// A failure, and whether a dead network on our side would look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blame {
    /// What it says of the host, if the network is well.
    pub kind: Failure,
    /// Whether it may be our network.
    pub may_be_ours: bool,
}

impl Breaker {
    /// As an earlier run left it. A host that was being left alone may be tried at once, by one: what kept us
    /// away may be over.
    pub(super) fn recalled(openings: u32, is_left_alone: bool, now: Timestamp) -> Self {
        let half_open = State::Open { until: now, starving_until: now };
        let state = if is_left_alone { half_open } else { State::Closed };
        Self { state, openings, closed_at: None }
    }

    /// How many times it has opened in a row.
    pub(super) fn openings(&self) -> u32 {
        self.openings
    }

    /// Whether the host counts as working.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// When the host may be tried; a moment that has passed where it may be now. While somebody else is trying,
    /// a verdict is at most `patience` away.
    pub fn free_at(&self, starving: bool, patience: Duration, now: Timestamp) -> Timestamp {
        match self.state {
            State::Closed => Timestamp::ZERO,
            State::Open { starving_until, .. } if starving => starving_until,
            State::Open { until, .. } => until,
            State::Trying { since } => {
                let verdict = since + patience;
                if verdict > now { verdict } else { now + patience }
            }
        }
    }

    /// Notes that somebody tries the host.
    pub fn tried(&mut self, now: Timestamp) {
        if let State::Open { .. } = self.state {
            self.state = State::Trying { since: now };
        }
    }

    /// Notes that a try which began at `started_at` came to nothing that says anything of the host, such as one that
    /// was given up. One that began before the present try leaves that alone.
    pub fn gave_up(&mut self, started_at: Timestamp, now: Timestamp) {
        if let State::Trying { since } = self.state
            && started_at >= since
        {
            self.state = State::Open { until: now, starving_until: now };
        }
    }

    /// Notes an answer: the host works.
    pub fn succeeded(&mut self, now: Timestamp) {
        let settled = self.closed_at.is_some_and(|closed_at| now.since(closed_at) >= SETTLED);
        if self.is_closed() && settled {
            self.openings = 0;
        } else if !self.is_closed() || self.closed_at.is_none() {
            self.closed_at = Some(now);
        }
        self.state = State::Closed;
    }

    /// Notes a failure: it opens where `opens`, or where this was the one try. `random` is from [0, 1).
    pub fn failed(&mut self, failure: Failure, opens: bool, config: &Config, random: f64, now: Timestamp) {
        if self.is_closed() && !opens {
            return;
        }
        self.openings = self.openings.saturating_add(1);
        self.closed_at = None;
        let floor = config.retry_floor;
        let longest =
            config.retry_first.saturating_mul(1 << (self.openings - 1).min(16)).min(config.retry_ceiling);
        let until = now + floor + longest.saturating_sub(floor).mul_f64(random);
        let starving_until = match failure {
            Failure::Broken | Failure::Local => until,
            Failure::Unreachable | Failure::Silent => {
                let spread = config.starving_ceiling.saturating_sub(config.starving_floor);
                until.min(now + config.starving_floor + spread.mul_f64(random))
            }
        };
        self.state = State::Open { until, starving_until };
    }

    /// Counts a sleep during which the clock stood still as time that has passed.
    pub(crate) fn slept(&mut self, gap: Duration) {
        self.closed_at = self.closed_at.map(|closed_at| closed_at.before(gap));
        match &mut self.state {
            State::Closed => {}
            State::Open { until, starving_until } => {
                (*until, *starving_until) = (until.before(gap), starving_until.before(gap));
            }
            State::Trying { since } => *since = since.before(gap),
        }
    }

    /// Lets everybody try again: the network has changed, and with it the reason.
    pub fn forgive(&mut self, now: Timestamp) {
        if !self.is_closed() {
            self.state = State::Open { until: now, starving_until: now };
        }
    }
}

/// How long a host has to have worked before its past failures are forgotten.
const SETTLED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);
    const ALMOST: f64 = 0.999_999_999;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(secs))
    }

    fn free_after(breaker: &Breaker, starving: bool, now: u64) -> u64 {
        let wait = breaker.free_at(starving, PATIENCE, at(now)).since(at(now));
        (wait + Duration::from_millis(1)).as_secs()
    }

    #[test]
    fn it_opens_at_once_or_not_at_all_and_waits_longer_each_time() {
        let (mut breaker, config) = (Breaker::default(), Config::default());
        breaker.failed(Failure::Silent, false, &config, 0.5, at(0));
        assert!(breaker.is_closed());
        for longest in [60, 120, 240, 480, 960, 1920, 3840, 7200, 7200] {
            breaker.failed(Failure::Silent, true, &config, ALMOST, at(0));
            assert_eq!(free_after(&breaker, false, 0), longest);
        }
        breaker.failed(Failure::Silent, true, &config, 0.0, at(0));
        assert_eq!(free_after(&breaker, false, 0), 30, "full jitter, with a floor");
    }

    #[test]
    fn those_who_starve_wait_little_unless_the_host_answers_nonsense() {
        let (mut breaker, config) = (Breaker::default(), Config::default());
        for _ in 0..5 {
            breaker.failed(Failure::Unreachable, true, &config, ALMOST, at(0));
        }
        assert_eq!((free_after(&breaker, true, 0), free_after(&breaker, false, 0)), (75, 960));
        breaker.failed(Failure::Broken, true, &config, ALMOST, at(0));
        assert_eq!(free_after(&breaker, true, 0), 1920);
    }

    #[test]
    fn one_tries_and_the_others_wait_for_the_verdict() {
        let (mut breaker, config) = (Breaker::default(), Config::default());
        breaker.failed(Failure::Silent, true, &config, 0.0, at(0));
        breaker.tried(at(30));
        assert_eq!(free_after(&breaker, false, 30), 1);
        breaker.gave_up(at(29), at(31));
        assert_eq!(free_after(&breaker, false, 31), 1, "it began before");
        breaker.gave_up(at(30), at(31));
        assert_eq!(free_after(&breaker, false, 31), 0, "the next may try");
        breaker.tried(at(31));
        breaker.failed(Failure::Silent, false, &config, 0.0, at(32));
        assert!(!breaker.is_closed(), "the one try failed");
        breaker.tried(at(62));
        breaker.succeeded(at(62));
        assert!(breaker.is_closed());
    }

    #[test]
    fn the_past_is_forgotten_when_it_has_worked_for_a_minute() {
        let (mut breaker, config) = (Breaker::default(), Config::default());
        for _ in 0..5 {
            breaker.failed(Failure::Silent, true, &config, ALMOST, at(0));
        }
        breaker.succeeded(at(1000));
        breaker.succeeded(at(1030));
        breaker.failed(Failure::Silent, true, &config, ALMOST, at(1040));
        assert_eq!(free_after(&breaker, false, 1040), 1920, "it flaps");
        breaker.succeeded(at(5000));
        breaker.succeeded(at(5061));
        breaker.failed(Failure::Silent, true, &config, ALMOST, at(6000));
        assert_eq!(free_after(&breaker, false, 6000), 60);
    }
}
