//! Moments of the engine's time. They are plain numbers, so that a test or a simulation can make any of them.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A moment, in microseconds since the engine was made. The caller supplies the clock. It has to be monotonic, and may
/// stop while the machine sleeps. It may start later than at zero, and has to if a
/// [snapshot of an earlier run is restored](crate::policy::HealthBook::restore).
///
/// ```
/// use std::time::Duration;
/// use tracker_failover::policy::Timestamp;
///
/// let later = Timestamp::ZERO + Duration::from_secs(2);
/// assert_eq!(later.since(Timestamp::ZERO), Duration::from_secs(2));
/// assert_eq!(Timestamp::ZERO.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment the engine was made.
    pub const ZERO: Self = Self(0);

    /// The last moment, at which arithmetic saturates. It never comes.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The moment this many microseconds after [`ZERO`](Self::ZERO).
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment this long after [`ZERO`](Self::ZERO); the last moment if it is longer than 584,000 years.
    pub fn from_start(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    /// Microseconds since [`ZERO`](Self::ZERO).
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The moment this long before, not before [`ZERO`](Self::ZERO).
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(Self::from_start(duration).0))
    }

    /// How long after `earlier` this is; zero if it is before that.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Saturates instead of overflowing: a tracker may send any interval.
impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_start(duration).0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:?}", Duration::from_micros(self.0))
    }
}
