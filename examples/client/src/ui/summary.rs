//! What was transferred, and how fast.

use std::time::Duration;

/// What was transferred, at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    /// Bytes received and sent.
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    /// How long the program ran.
    pub(crate) time: Duration,
    /// Trackers that have answered.
    pub(crate) trackers: usize,
}

impl Summary {
    /// Uploaded for each byte that was downloaded, in thousandths.
    pub(super) fn ratio(self) -> Option<u64> {
        u128::from(self.uploaded)
            .saturating_mul(1000)
            .checked_div(u128::from(self.downloaded))
            .map(|ratio| u64::try_from(ratio).unwrap_or(u64::MAX))
    }
}

/// Bytes a second over this time.
pub(super) fn speed(bytes: u64, time: Duration) -> u64 {
    let millis = time.as_millis().max(1);
    u64::try_from(u128::from(bytes).saturating_mul(1000) / millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R162
    #[test]
    fn the_ratio_and_the_speed_are_of_what_was_transferred() {
        let summary =
            |downloaded, uploaded| Summary { downloaded, uploaded, time: Duration::ZERO, trackers: 0 };
        assert_eq!(summary(2000, 1000).ratio(), Some(500));
        assert_eq!(summary(0, 1000).ratio(), None);
        assert_eq!(summary(1, u64::MAX).ratio(), Some(u64::MAX));
        assert_eq!(speed(1000, Duration::from_millis(500)), 2000);
        assert_eq!(speed(0, Duration::ZERO), 0);
    }
}
