//! A limit of bytes per second: a token bucket that takes the time as an argument.
//!
//! What is taken may be more than what is there, as long as there is something; the debt is waited off. So a block
//! passes whatever the limit, and the bytes of a long time add up to the limit all the same.

use std::time::Duration;

use crate::wire::message::BLOCK;

/// A limit for all peers together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Bytes a second.
    rate: u64,
    /// Millionths of bytes that may be taken; below zero while a debt is waited off.
    tokens: i128,
    at: Duration,
}

impl Limit {
    /// A limit of so many bytes a second.
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, tokens: 0, at: Duration::ZERO }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).min(LONGEST);
        self.at = self.at.max(now);
        let more = i128::from(self.rate) * i128::try_from(passed.as_micros()).unwrap_or(0);
        let most = i128::from(self.rate) * i128::try_from(BURST.as_micros()).unwrap_or(0);
        self.tokens = (self.tokens + more).min(most.max(MILLION));
    }

    /// How many bytes may be taken; 0 while nothing may.
    pub(crate) fn available(&self) -> u64 {
        u64::try_from(self.tokens / MILLION).unwrap_or(0)
    }

    /// For how many blocks that is, the last of which may be the one that makes a debt.
    pub(crate) fn blocks(&self) -> usize {
        usize::try_from(self.available().div_ceil(BLOCK.into())).unwrap_or(usize::MAX)
    }

    /// Takes bytes, more than there are if need be.
    pub(crate) fn take(&mut self, bytes: u64) {
        self.tokens -= i128::from(bytes) * MILLION;
    }

    /// Bytes that were taken won't flow.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.tokens += i128::from(bytes) * MILLION;
    }
}

const MILLION: i128 = 1_000_000;
/// What isn't used is kept for so long, so that a late tick loses nothing.
const BURST: Duration = Duration::from_millis(500);
/// After a longer pause time counts for no more: the machine slept.
const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes blocks whenever it can for so many seconds; gives what was taken in each.
    fn flow(limit: &mut Limit, block: u64, every: Duration, seconds: u64) -> Vec<u64> {
        let mut taken = vec![0; usize::try_from(seconds).unwrap()];
        let mut now = Duration::ZERO;
        while now < Duration::from_secs(seconds) {
            limit.tick(now);
            while limit.available() > 0 {
                limit.take(block);
                taken[usize::try_from(now.as_secs()).unwrap()] += block;
            }
            now += every;
        }
        taken
    }

    #[test]
    fn the_flow_of_a_long_time_is_the_limit() {
        for (rate, every) in [(1000, 250), (16_384, 50), (500_000, 50), (50_000_000, 10)] {
            let taken = flow(&mut Limit::new(rate), 16_384, Duration::from_millis(every), 100);
            let total: u64 = taken.iter().sum();
            let off = total.abs_diff(rate * 100);
            assert!(off <= (rate / 2).max(16_384), "{rate} B/s every {every} ms: {total}");
        }
    }

    #[test]
    fn no_second_has_more_than_the_limit_and_a_burst() {
        let mut limit = Limit::new(100_000);
        limit.tick(Duration::from_secs(1000));
        let taken = flow(&mut limit, 100, Duration::from_millis(50), 10);
        assert!(taken.iter().all(|&taken| taken <= 150_100), "{taken:?}");
    }

    #[test]
    fn a_debt_is_waited_off_and_what_will_not_flow_comes_back() {
        let mut limit = Limit::new(1000);
        limit.tick(Duration::from_secs(1));
        assert_eq!(limit.available(), 500);
        limit.take(16_384);
        limit.tick(Duration::from_secs(16));
        assert_eq!(limit.available(), 0);
        limit.tick(Duration::from_secs(17));
        assert!(limit.available() > 0);
        limit.take(16_384);
        assert_eq!(limit.available(), 0);
        limit.give_back(16_384);
        assert!(limit.available() > 0);
        // A clock that goes back gives nothing.
        let before = limit.available();
        limit.tick(Duration::from_secs(1));
        assert_eq!(limit.available(), before);
    }
}
