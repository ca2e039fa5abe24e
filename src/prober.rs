//! The distance to trackers: the [`Prober`], which a client can implement itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::AnnounceError;
use crate::tracker::TrackerUrl;

/// Measures trackers without announcing anything to them.
///
/// Implementing it takes `async-trait = "0.1"` among the dependencies, and
/// [`#[async_trait]`](https://docs.rs/async-trait) on the `impl`:
///
/// ```
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use tracker_failover::{AnnounceError, Measurement, Prober, Scheme, TrackerUrl};
///
/// # async fn ping(host: &str) -> std::io::Result<Duration> { Ok(Duration::from_millis(7)) }
/// /// Takes the distance of a tracker's host for that of the tracker.
/// struct Ping;
///
/// #[async_trait]
/// impl Prober for Ping {
///     async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
///         if tracker.scheme() == Scheme::Udp {
///             return Err(AnnounceError::NotMeasured);
///         }
///         let round_trip = ping(tracker.host()).await.map_err(AnnounceError::connecting)?;
///         Ok(Measurement { connect: round_trip, first_byte: round_trip })
///     }
/// }
/// ```
///
/// # Cancel safety
/// Dropping a future of [`probe`](Self::probe) has to give the probe up, and close what it opened.
#[async_trait]
pub trait Prober: Send + Sync {
    /// Measures one tracker once.
    ///
    /// # Errors
    /// When the tracker didn't answer; [`AnnounceError::NotMeasured`] where trackers of its kind aren't measured, which is
    /// reported as no failure.
    ///
    /// # Cancel safety
    /// Dropping the future gives the probe up.
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError>;
}

/// How long a tracker took to answer. The name look-up is in neither figure: it depends on the name server, and the next
/// announce finds its result cached.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Measurement {
    /// From dialling to an open connection: one round trip for TCP.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of"))]
    pub connect: Duration,
    /// From the request to the first byte of its answer: one round trip, and the tracker's work.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::of"))]
    pub first_byte: Duration,
}

impl Measurement {
    /// What an announce over a new connection takes, which is what trackers are ordered by.
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
