//! What one tracker asked for: when it may be announced to again.

use std::time::Duration;

use crate::error::{AnnounceError, Retry};
use crate::policy::config::Config;
use crate::time::Timestamp;

/// When one tracker may be announced to, by its own answers. A hint binds the tracker that gave it and no other
/// (R42).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hint {
    /// It asked never to be announced to again in this session (BEP 31).
    never: bool,
    /// It asked for no announce at all before this: BEP 31's `retry in`, or `Retry-After`.
    suspended_until: Timestamp,
    /// When it gets its next announce after the last failure, if that named a time: by a hint, or by the interval beside
    /// a refusal.
    retry_at: Timestamp,
    /// It asked for no regular announce before this: `min interval`.
    min_interval_until: Timestamp,
}

impl Hint {
    /// When the tracker may be announced to; `None` if it asked for no further announce. An announce that carries an
    /// event doesn't wait for the min interval, which is about regular announces (R84).
    pub(crate) fn allowed_at(&self, carries_event: bool) -> Option<Timestamp> {
        let min_interval_until = if carries_event { Timestamp::ZERO } else { self.min_interval_until };
        (!self.never).then_some(self.retry_at.max(self.suspended_until).max(min_interval_until))
    }

    /// Whether the tracker asked for no announce at all at this moment, not even one that the user requests.
    pub(crate) fn is_suspended(&self, now: Timestamp) -> bool {
        self.never || self.suspended_until > now
    }

    /// Whether a regular announce would come too early.
    pub(crate) fn is_early(&self, now: Timestamp) -> bool {
        self.min_interval_until > now
    }

    /// Until when it asked for no regular announce.
    pub(crate) fn min_interval_until(&self) -> Timestamp {
        self.min_interval_until
    }

    /// Replaces the hint by what an answer asks for.
    pub(crate) fn answered(&mut self, min_interval: Duration, now: Timestamp) {
        *self = Self::default();
        if !min_interval.is_zero() {
            self.min_interval_until = now + min_interval;
        }
    }

    /// Takes in what a failure asks for: no announce for a while, none in this session, or one at the interval beside
    /// it.
    pub(crate) fn failed(&mut self, error: &AnnounceError, config: &Config, now: Timestamp) {
        // Only BEP 31 and `Retry-After` forbid announces. The interval beside a refusal is a wish: a user who
        // overrides intervals overrides it too.
        let is_explicit = error.retry() != Retry::Unsaid;
        match config.retry_after(error) {
            Retry::Never => self.never = true,
            Retry::After(wait) if is_explicit => {
                self.suspended_until = now + wait;
                self.retry_at = now + wait;
            }
            Retry::After(wait) if config.overriding_interval().is_none() => self.retry_at = now + wait,
            Retry::After(_) | Retry::Unsaid => self.retry_at = Timestamp::ZERO,
        }
    }

    /// Drops the min interval, because the user has set an interval of their own.
    pub(crate) fn drop_min_interval(&mut self) {
        self.min_interval_until = Timestamp::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Rejection;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(secs(seconds))
    }

    /// R43: "never" is for the session.
    #[test]
    fn retry_in_and_never_suspend_a_tracker() {
        let (mut hint, config) = (Hint::default(), Config::default());
        let later =
            AnnounceError::Rejected(Rejection { retry: Retry::After(secs(3600)), ..Rejection::new("busy") });
        let never = AnnounceError::Status { status: 410, retry: Retry::Never };
        assert_eq!(hint.allowed_at(false), Some(at(0)));
        hint.failed(&later, &config, at(0));
        assert!(hint.is_suspended(at(3599)) && !hint.is_suspended(at(3600)));
        assert_eq!(hint.allowed_at(false), Some(at(3600)));
        hint.failed(&never, &config, at(0));
        assert!(hint.is_suspended(at(1_000_000)));
        assert_eq!(hint.allowed_at(false), None);
    }

    /// While an announce was being answered with `retry in`, another connection to the same tracker failed.
    #[test]
    fn a_failure_without_a_time_ends_no_suspension() {
        let (mut hint, config) = (Hint::default(), Config::default());
        let later =
            AnnounceError::Rejected(Rejection { retry: Retry::After(secs(3600)), ..Rejection::new("busy") });
        hint.failed(&later, &config, at(0));
        hint.failed(&AnnounceError::Cancelled, &config, at(1));
        assert!(hint.is_suspended(at(3599)) && !hint.is_suspended(at(3600)));
        assert_eq!((hint.allowed_at(false), hint.allowed_at(true)), (Some(at(3600)), Some(at(3600))));
        hint.answered(Duration::ZERO, at(2));
        assert_eq!(hint.allowed_at(false), Some(at(0)), "an answer does");
    }

    #[test]
    fn an_interval_beside_a_failure_sets_the_next_announce() {
        let (mut hint, config) = (Hint::default(), Config::default());
        let error =
            AnnounceError::Rejected(Rejection { interval: Some(secs(5400)), ..Rejection::new("busy") });
        hint.failed(&error, &config, at(0));
        assert!(!hint.is_suspended(at(0)));
        assert_eq!(hint.allowed_at(false), Some(at(5400)));
        hint.failed(&AnnounceError::Cancelled, &config, at(1));
        assert_eq!(hint.allowed_at(false), Some(at(0)), "the last failure counts");
    }

    #[test]
    fn a_min_interval_holds_regular_announces_back_and_survives_a_failure() {
        let (mut hint, config) = (Hint::default(), Config::default());
        hint.answered(secs(900), at(0));
        hint.failed(&AnnounceError::Cancelled, &config, at(10));
        assert_eq!((hint.allowed_at(false), hint.allowed_at(true)), (Some(at(900)), Some(at(0))));
        assert!(hint.is_early(at(899)) && !hint.is_early(at(900)));
        hint.drop_min_interval();
        assert!(!hint.is_early(at(0)));
    }
}
