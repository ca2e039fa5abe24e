//! How far away a tracker is: the [`Prober`] that a client can bring itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::AnnounceError;
use crate::tracker::TrackerUrl;

/// Measures trackers without announcing anything to them.
///
/// # Cancel safety
/// Dropping the future gives the probe up and closes what it opened.
#[async_trait]
pub trait Prober: Send + Sync {
    /// Measures one tracker once.
    ///
    /// # Errors
    /// When the tracker showed no life.
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError>;
}

/// How long a tracker took to show life. The name look-up is in neither figure: it says nothing about the
/// tracker, and the next announce finds it cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Measurement {
    /// Until the connection stood: one round trip for TCP.
    pub connect: Duration,
    /// From the request to the first byte of an answer: one round trip and the tracker's work.
    pub first_byte: Duration,
}

impl Measurement {
    /// The figure by which trackers are ordered: what an announce on a fresh connection takes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tracker_failover::Measurement;
    ///
    /// let measured = Measurement { connect: Duration::from_millis(5), first_byte: Duration::from_millis(7) };
    /// assert_eq!(measured.latency(), Duration::from_millis(12));
    /// ```
    pub fn latency(self) -> Duration {
        self.connect.saturating_add(self.first_byte)
    }
}

#[async_trait]
impl<P: Prober + ?Sized> Prober for Arc<P> {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        (**self).probe(tracker).await
    }
}
