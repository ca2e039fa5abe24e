//! How far away a UDP tracker is: the connecting of BEP 15, which tells it nothing about us.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::client::UdpClient;
use super::{UdpTransport, supports};
use crate::error::{AnnounceError, Phase};
use crate::net::clock::timeout;
use crate::prober::{Measurement, Prober};
use crate::tracker::TrackerUrl;
use crate::wire::udp::{Answer, Question};

/// Measures UDP trackers by asking for a connection id. The announce that follows within a minute uses it.
///
/// What counts is the packet that was answered, so that a lost one doesn't make a near tracker look far. An
/// announce takes a second round trip, which is reckoned to take as long: both figures of the [`Measurement`]
/// are the same. Everything together, name look-up included, takes at most [`PATIENCE`](Self::PATIENCE).
#[derive(Clone)]
pub struct UdpProber {
    client: Arc<UdpClient>,
    patience: Duration,
}

impl UdpProber {
    /// How long a probe may take: 3 s, beyond which a tracker isn't near whatever it says.
    pub const PATIENCE: Duration = Duration::from_secs(3);

    /// A prober that leaves its connection ids to the transport.
    pub fn new(transport: &UdpTransport) -> Self {
        Self { client: Arc::clone(&transport.0), patience: Self::PATIENCE }
    }

    /// The same prober, with another limit.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn measure(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        let addresses = self.client.addresses(tracker).await?;
        let (address, answer) = self.client.ask_first(&addresses, &Question::Probe).await?;
        self.client.families.worked(tracker.tracker_host(), address);
        let Answer::Connected { round_trip: Some(round_trip) } = answer else {
            return Err(AnnounceError::Cancelled);
        };
        Ok(Measurement { connect: round_trip, first_byte: round_trip })
    }
}

#[async_trait]
impl Prober for UdpProber {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        if !supports(tracker.scheme()) {
            return Err(AnnounceError::Unsupported);
        }
        let measured = timeout(self.patience, self.measure(tracker)).await;
        measured.unwrap_or(Err(AnnounceError::TimedOut(Phase::Probe)))
    }
}

impl fmt::Debug for UdpProber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpProber").field("patience", &self.patience).finish_non_exhaustive()
    }
}
