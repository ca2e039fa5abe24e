//! How fast bytes flow, smoothed over a few seconds.

use std::time::Duration;

/// A speed, fed with bytes and sampled at ticks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rate {
    total: u64,
    sampled: u64,
    since: Duration,
    per_second: f64,
}

impl Rate {
    /// A rate that begins at a time.
    pub(crate) fn new(now: Duration) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// Counts bytes.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.total += bytes;
    }

    /// All bytes ever counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Takes a sample when one is due, every half second; a sample weighs more the longer it is.
    #[expect(clippy::cast_precision_loss, reason = "a speed to a few digits is all that's needed")]
    pub(crate) fn tick(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since).as_secs_f64();
        if passed < 0.5 {
            return;
        }
        let sample = (self.total - self.sampled) as f64 / passed;
        let weight = (passed / SMOOTHING_SECONDS).min(1.0);
        self.per_second =
            if self.per_second == 0.0 { sample } else { self.per_second * (1.0 - weight) + sample * weight };
        self.sampled = self.total;
        self.since = now;
    }

    /// Bytes a second.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, never huge")]
    pub(crate) fn per_second(&self) -> u64 {
        self.per_second as u64
    }
}

const SMOOTHING_SECONDS: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_flow_and_fades() {
        let mut rate = Rate::new(Duration::ZERO);
        for second in 1..=10 {
            rate.add(1000);
            rate.tick(Duration::from_secs(second));
        }
        assert_eq!((rate.per_second(), rate.total()), (1000, 10_000));
        rate.tick(Duration::from_secs(11));
        assert!((600..700).contains(&rate.per_second()));
        rate.tick(Duration::from_secs(60));
        assert_eq!(rate.per_second(), 0);
    }
}
