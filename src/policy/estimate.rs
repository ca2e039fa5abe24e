//! A smoothed time with its spread, for samples that come seconds or half an hour apart.

use std::time::Duration;

use super::time::Timestamp;

/// After this long an old sample weighs 1/e beside a new one.
const MEMORY: Duration = Duration::from_secs(4 * 3600);

/// RFC 6298's smoothed round-trip time and variation, with a gain that follows the time since the last sample:
/// 1/8 at the usual half hour between announces, nearly 1 after a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    mean: Duration,
    spread: Duration,
    at: Timestamp,
    samples: u32,
}

impl Estimate {
    /// The first sample: the spread is half of it, as in RFC 6298.
    pub fn first(sample: Duration, now: Timestamp) -> Self {
        Self { mean: sample, spread: sample / 2, at: now, samples: 1 }
    }

    /// What an earlier run knew.
    pub(super) fn recalled(mean: Duration, spread: Duration, at: Timestamp, samples: u32) -> Self {
        Self { mean, spread, at, samples }
    }

    /// Takes another sample in.
    pub fn add(&mut self, sample: Duration, now: Timestamp) {
        let elapsed = now.since(self.at).as_secs_f64() / MEMORY.as_secs_f64();
        let gain = (1.0 - (-elapsed).exp()).clamp(1.0 / 32.0, 1.0);
        let deviation = sample.abs_diff(self.mean);
        self.spread = blend(self.spread, deviation, (2.0 * gain).clamp(1.0 / 16.0, 1.0));
        self.mean = blend(self.mean, sample, gain);
        self.at = now;
        self.samples = self.samples.saturating_add(1);
    }

    /// Takes another sample into what may be none yet.
    pub fn update(estimate: &mut Option<Self>, sample: Duration, now: Timestamp) {
        match estimate {
            Some(estimate) => estimate.add(sample, now),
            None => *estimate = Some(Self::first(sample, now)),
        }
    }

    /// Lets the next sample replace this one: it was taken in another network.
    pub(crate) fn doubt(&mut self) {
        self.spread = self.mean / 2;
        self.at = Timestamp::ZERO;
    }

    /// The smoothed time.
    pub fn mean(&self) -> Duration {
        self.mean
    }

    /// How far samples are from it, on average.
    pub fn spread(&self) -> Duration {
        self.spread
    }

    /// How long to wait before silence is suspicious: the mean and four times its spread (RFC 6298).
    pub fn patience(&self) -> Duration {
        self.mean + self.spread * 4
    }

    /// How many samples were taken. One says nothing of the spread.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// When the last sample came.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

fn blend(old: Duration, new: Duration, gain: f64) -> Duration {
    let micros =
        |duration: Duration| Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    micros(old.mul_f64(1.0 - gain) + new.mul_f64(gain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(minutes * 60))
    }

    #[test]
    fn the_first_sample_gives_three_times_itself_as_patience() {
        assert_eq!(Estimate::first(millis(100), at(0)).patience(), millis(300));
    }

    #[test]
    fn the_gain_follows_the_time_between_samples() {
        // After these many minutes, a sample of 200 ms beside a mean of 100 ms.
        for (minutes, low, high) in [(0, 103, 104), (30, 111, 112), (24 * 60, 199, 200)] {
            let mut estimate = Estimate::first(millis(100), at(0));
            estimate.add(millis(200), at(minutes));
            let mean = estimate.mean().as_millis();
            assert!((low..=high).contains(&mean), "{minutes} min: {mean}");
        }
    }

    #[test]
    fn patience_follows_a_drift_within_two_samples() {
        let mut estimate = Estimate::first(millis(50), at(0));
        for round in 1..20 {
            estimate.add(millis(50), at(round * 30));
        }
        assert!(estimate.patience() < millis(100), "{:?}", estimate.patience());
        estimate.add(millis(500), at(20 * 30));
        estimate.add(millis(500), at(21 * 30));
        assert!(estimate.patience() > millis(500), "{:?}", estimate.patience());
    }
}
