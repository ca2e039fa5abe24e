//! The distance to UDP trackers, measured by the connect request of BEP 15, which holds nothing of a torrent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::UdpTransport;
use super::client::UdpClient;
use crate::error::{AnnounceError, TimeoutPhase};
use crate::net::clock::timeout;
use crate::prober::{Measurement, Prober};
use crate::tracker::{Scheme, TrackerUrl};
use crate::wire::udp::{Answer, Question};

/// Measures UDP trackers by requesting a connection id. An announce that follows within a minute uses it.
///
/// The time is that from the answered packet to its answer, so that a lost packet doesn't make a near tracker look far. An
/// announce takes a second round trip, which is assumed to take as long: both figures of the [`Measurement`]
/// are the same. The whole probe, name look-up included, takes at most [`PATIENCE`](Self::PATIENCE).
#[derive(Clone)]
pub struct UdpProber {
    client: Arc<UdpClient>,
    patience: Duration,
}

impl UdpProber {
    /// How long a probe may take: 3 s. A tracker that takes longer isn't near.
    pub const PATIENCE: Duration = Duration::from_secs(3);

    /// A prober that shares the connection ids of a transport.
    pub fn new(transport: &UdpTransport) -> Self {
        Self { client: Arc::clone(&transport.0), patience: Self::PATIENCE }
    }

    /// Sets how long a probe may take. [`PATIENCE`](Self::PATIENCE) by default.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn measure(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        let answer = if let Some(name) = self.client.name(tracker)? {
            self.client.ask(&name, &Question::Probe, TimeoutPhase::Open).await?
        } else {
            let addresses = self.client.addresses(tracker).await?;
            let (address, answer) = self.client.ask_first(addresses, &Question::Probe).await?;
            self.client.families.worked(tracker.tracker_host(), address);
            answer
        };
        let Answer::Connected { round_trip: Some(round_trip) } = answer else {
            return Err(AnnounceError::Cancelled);
        };
        Ok(Measurement { connect: round_trip, first_byte: round_trip })
    }
}

#[async_trait]
impl Prober for UdpProber {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        if tracker.scheme() != Scheme::Udp {
            return Err(AnnounceError::NotMeasured);
        }
        let measured = timeout(self.patience, self.measure(tracker)).await;
        measured.unwrap_or(Err(AnnounceError::TimedOut(TimeoutPhase::Probe)))
    }
}

impl fmt::Debug for UdpProber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpProber").field("patience", &self.patience).finish_non_exhaustive()
    }
}
