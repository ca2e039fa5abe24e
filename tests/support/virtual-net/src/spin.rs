//! Notices an engine that is polled again and again without ever coming to rest.

use std::time::Duration;

use tracker_failover::policy::{Output, Timestamp};

/// How many polls at one moment, and within one second, are no spin: a start of thousands of torrents takes some ten
/// thousand at once.
const AT_ONCE: usize = 100_000;
const A_SECOND: usize = 200_000;

/// Counts polls. An engine may spin without time passing, or in steps so small that time hardly does.
#[derive(Debug)]
pub(crate) struct Spin {
    limits: (usize, usize),
    moment: (Timestamp, usize),
    second: (Timestamp, usize),
}

impl Default for Spin {
    fn default() -> Self {
        Self { limits: (AT_ONCE, A_SECOND), moment: (Timestamp::ZERO, 0), second: (Timestamp::ZERO, 0) }
    }
}

impl Spin {
    pub(crate) fn limit(&mut self, at_once: usize, a_second: usize) {
        self.limits = (at_once, a_second);
    }

    pub(crate) fn polled(&mut self, now: Timestamp, output: &Output) {
        if now > self.moment.0 {
            self.moment = (now, 0);
        }
        if now.since(self.second.0) >= Duration::from_secs(1) {
            self.second = (now, 0);
        }
        self.moment.1 += 1;
        self.second.1 += 1;
        assert!(
            self.moment.1 <= self.limits.0,
            "the engine spins: {} polls at {now:?}, the last gave {output:?}",
            self.moment.1
        );
        assert!(
            self.second.1 <= self.limits.1,
            "the engine spins: {} polls in the second from {:?}, the last gave {output:?}",
            self.second.1,
            self.second.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polls(count: u64, apart: u64) {
        let mut spin = Spin::default();
        spin.limit(10, 100);
        for number in 0..count {
            spin.polled(Timestamp::from_micros(number * apart), &Output::Wait(None));
        }
    }

    #[test]
    fn an_engine_that_comes_to_rest_is_polled_for_ever() {
        polls(10_000, 20_000);
    }

    #[test]
    #[should_panic = "the engine spins: 11 polls at +0ns"]
    fn polls_without_time_passing_are_a_spin() {
        polls(11, 0);
    }

    #[test]
    #[should_panic = "the engine spins: 101 polls in the second"]
    fn polls_a_microsecond_apart_are_a_spin() {
        polls(101, 1);
    }
}
