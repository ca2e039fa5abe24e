//! A smoothed time with its rttvar, for samples that come seconds or half an hour apart.

use std::time::Duration;

use crate::time::Timestamp;

/// After this long an old sample weighs 1/e beside a new one.
const MEMORY: Duration = Duration::from_secs(4 * 3600);

/// The second sample replaces a first that took so many times as long.
const LATE: u32 = 3;

/// RFC 6298's smoothed round-trip time and variation, with a gain that follows the time since the last sample:
/// 1/8 at the usual half hour between announces, nearly 1 after a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttEstimate {
    srtt: Duration,
    rttvar: Duration,
    at: Timestamp,
    samples: u32,
    /// The last sample was too far off to be believed alone.
    doubted: bool,
}

impl RttEstimate {
    /// The first sample: the rttvar is half of it, as in RFC 6298.
    pub fn first(sample: Duration, now: Timestamp) -> Self {
        Self { srtt: sample, rttvar: sample / 2, at: now, samples: 1, doubted: false }
    }

    /// What an earlier run knew.
    pub(super) fn recalled(srtt: Duration, rttvar: Duration, at: Timestamp, samples: u32) -> Self {
        Self { srtt, rttvar, at, samples, doubted: false }
    }

    /// Takes another sample in, unless it is the first that took longer than the patience: a lost packet that was
    /// sent again, or an answer that had to wait, says nothing of the way (Karn's rule). A second one is believed,
    /// and of the first two samples the shorter.
    pub fn add(&mut self, sample: Duration, now: Timestamp) {
        if self.samples == 0 {
            return *self = Self::first(sample, now);
        }
        let is_late = sample > self.patience();
        if is_late && !self.doubted {
            self.doubted = true;
            return;
        }
        if self.samples == 1 && sample * LATE < self.srtt {
            *self = Self::first(sample, now);
            return;
        }
        self.doubted = is_late;
        let elapsed = now.since(self.at).as_secs_f64() / MEMORY.as_secs_f64();
        let gain = (1.0 - (-elapsed).exp()).clamp(1.0 / 32.0, 1.0);
        let deviation = sample.abs_diff(self.srtt);
        self.rttvar = blend(self.rttvar, deviation, (2.0 * gain).clamp(1.0 / 16.0, 1.0));
        self.srtt = blend(self.srtt, sample, gain);
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
        self.rttvar = self.srtt / 2;
        self.samples = 0;
    }

    /// The smoothed time.
    pub fn srtt(&self) -> Duration {
        self.srtt
    }

    /// How far samples are from it, on average.
    pub fn rttvar(&self) -> Duration {
        self.rttvar
    }

    /// How long to wait before silence is suspicious: the srtt and four times its rttvar (RFC 6298).
    pub fn patience(&self) -> Duration {
        self.srtt + self.rttvar * 4
    }

    /// How many samples were taken in this network. One says nothing of the rttvar.
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
        assert_eq!(RttEstimate::first(millis(100), at(0)).patience(), millis(300));
    }

    #[test]
    fn the_gain_follows_the_time_between_samples() {
        // After these many minutes, a sample of 200 ms beside a srtt of 100 ms.
        for (minutes, low, high) in [(0, 103, 104), (30, 111, 112), (24 * 60, 199, 200)] {
            let mut estimate = RttEstimate::first(millis(100), at(0));
            estimate.add(millis(200), at(minutes));
            let srtt = estimate.srtt().as_millis();
            assert!((low..=high).contains(&srtt), "{minutes} min: {srtt}");
        }
    }

    #[test]
    fn a_resent_packet_is_no_sample_and_two_of_them_are() {
        let mut estimate = RttEstimate::first(millis(100), at(0));
        for round in 1..8 {
            estimate.add(millis(110), at(round * 30));
        }
        let before = estimate;
        estimate.add(millis(1100), at(240));
        assert_eq!((estimate.srtt(), estimate.patience()), (before.srtt(), before.patience()));
        estimate.add(millis(110), at(270));
        assert!(estimate.patience() < millis(250), "{:?}", estimate.patience());
        for round in [10, 11] {
            assert!(estimate.patience() < millis(1000));
            estimate.add(millis(1100), at(round * 30));
        }
        assert!(estimate.patience() > millis(1000), "{:?}", estimate.patience());
    }

    #[test]
    fn of_the_first_two_samples_the_shorter_is_believed() {
        for samples in [[100, 1100], [1100, 100]] {
            let mut estimate = RttEstimate::first(millis(samples[0]), at(0));
            estimate.add(millis(samples[1]), at(30));
            assert_eq!(estimate.patience(), millis(300), "{samples:?}");
        }
    }

    #[test]
    fn patience_follows_a_drift_within_two_samples() {
        let mut estimate = RttEstimate::first(millis(50), at(0));
        for round in 1..20 {
            estimate.add(millis(50), at(round * 30));
        }
        assert!(estimate.patience() < millis(100), "{:?}", estimate.patience());
        estimate.add(millis(500), at(20 * 30));
        estimate.add(millis(500), at(21 * 30));
        assert!(estimate.patience() > millis(500), "{:?}", estimate.patience());
    }
}
