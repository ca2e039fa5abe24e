//! How many attempts a host gets in a second.

use std::time::Duration;

use crate::time::Timestamp;

/// How many attempts a host gets: those of this minute, and of the minute before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meter {
    /// When the minute began.
    since: Timestamp,
    this: u32,
    before: u32,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Meter {
    /// Counts an attempt.
    pub(super) fn count(&mut self, now: Timestamp) {
        *self = self.at(now);
        self.this = self.this.saturating_add(1);
    }

    /// How many attempts a second there were.
    pub(super) fn rate(&self, now: Timestamp) -> f64 {
        let Self { since, this, before } = self.at(now);
        let time = MINUTE + now.since(since);
        (f64::from(this) + f64::from(before)) / time.as_secs_f64()
    }

    /// The counts at this moment.
    fn at(&self, now: Timestamp) -> Self {
        match now.since(self.since) {
            passed if passed < MINUTE => *self,
            passed if passed < 2 * MINUTE => Self { since: self.since + MINUTE, this: 0, before: self.this },
            _ => Self { since: now, this: 0, before: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(secs))
    }

    #[test]
    fn the_rate_is_that_of_the_last_minutes() {
        let mut meter = Meter::default();
        (0..90).for_each(|second| meter.count(at(second)));
        assert!((meter.rate(at(90)) - 1.0).abs() < 0.01, "{}", meter.rate(at(90)));
        assert!(meter.rate(at(119)) < 0.8 && meter.rate(at(150)) < 0.4);
        assert!(meter.rate(at(300)).abs() < 1e-9);
        meter.count(Timestamp::NEVER);
        assert!(meter.rate(Timestamp::NEVER) > 0.0);
    }
}
