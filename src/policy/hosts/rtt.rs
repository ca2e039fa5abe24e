//! A smoothed round-trip time with its variation, by RFC 6298.

use std::time::Duration;

use crate::time::Timestamp;

/// The weight of a new sample in the smoothed time: RFC 6298's alpha.
const SRTT_GAIN: f64 = 1.0 / 8.0;

/// The weight of a new deviation in the variation: RFC 6298's beta.
const RTTVAR_GAIN: f64 = 1.0 / 4.0;

/// The second sample replaces a first that took more than this many times as long.
const LATE: u32 = 3;

/// RFC 6298's smoothed round-trip time and its variation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RttEstimate {
    /// The smoothed round-trip time.
    srtt: Duration,
    /// The smoothed deviation of samples from it.
    rttvar: Duration,
    /// When the last sample was taken.
    at: Timestamp,
    /// How many samples were taken.
    samples: u32,
    /// Whether the last sample was late and waits for a second one to confirm it.
    is_doubted: bool,
}

impl RttEstimate {
    /// The first sample, with half of it as the variation (RFC 6298, 2.2).
    pub(super) fn first(sample: Duration, now: Timestamp) -> Self {
        Self { srtt: sample, rttvar: sample / 2, at: now, samples: 1, is_doubted: false }
    }

    /// The state after an earlier run.
    pub(super) fn restored(srtt: Duration, rttvar: Duration, at: Timestamp, samples: u32) -> Self {
        Self { srtt, rttvar, at, samples, is_doubted: false }
    }

    /// Adds a sample, unless it is later than the patience and the one before wasn't: a packet that was lost and sent
    /// again says nothing about the path (Karn's rule, without asking the transport what it sent again). Without this,
    /// one lost packet more than doubled the time of an urgent failover. Of the first two samples the shorter is
    /// believed.
    pub(super) fn add(&mut self, sample: Duration, now: Timestamp) {
        let is_late = sample > self.patience();
        if is_late && !self.is_doubted {
            self.is_doubted = true;
            return;
        }
        if self.samples == 1 && sample * LATE < self.srtt {
            *self = Self::first(sample, now);
            return;
        }
        self.is_doubted = is_late;
        self.rttvar = blend(self.rttvar, sample.abs_diff(self.srtt), RTTVAR_GAIN);
        self.srtt = blend(self.srtt, sample, SRTT_GAIN);
        self.at = now;
        self.samples = self.samples.saturating_add(1);
    }

    /// Adds a sample to an estimate that may have none yet.
    pub(super) fn update(estimate: &mut Option<Self>, sample: Duration, now: Timestamp) {
        match estimate {
            Some(estimate) => estimate.add(sample, now),
            None => *estimate = Some(Self::first(sample, now)),
        }
    }

    /// The smoothed time.
    pub(super) fn srtt(&self) -> Duration {
        self.srtt
    }

    /// The smoothed deviation of samples from it.
    pub(super) fn rttvar(&self) -> Duration {
        self.rttvar
    }

    /// How long to wait before silence counts as one: the smoothed time and four times its variation, as the
    /// retransmission timeout in RFC 6298.
    pub(super) fn patience(&self) -> Duration {
        self.srtt + self.rttvar * 4
    }

    /// How many samples were taken. The variation after one is a guess.
    pub(super) fn samples(&self) -> u32 {
        self.samples
    }

    /// When the last sample was taken.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }
}

/// The weighted mean of two times, in whole microseconds.
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

    /// RFC 6298, 2.3. The time between the samples doesn't matter.
    #[test]
    fn a_sample_weighs_an_eighth_and_its_deviation_a_quarter() {
        for minutes in [0, 30, 24 * 60] {
            let mut estimate = RttEstimate::first(millis(160), at(0));
            estimate.add(millis(240), at(minutes));
            assert_eq!((estimate.srtt(), estimate.rttvar()), (millis(170), millis(80)), "{minutes} min");
        }
    }

    #[test]
    fn one_late_sample_is_ignored_and_two_in_a_row_count() {
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
