//! How far away an HTTP tracker is, without telling it anything.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Method;
use tokio::time::Instant;

use super::HttpTransport;
use super::client::HttpClient;
use super::config::HttpConfig;
use super::connection::HttpConnection;
use super::request::{self, TrackerRequest};
use crate::error::{AnnounceError, Phase};
use crate::net::clock::{self, timeout_at};
use crate::prober::{Measurement, Prober};
use crate::tracker::TrackerUrl;

/// Measures HTTP trackers by `HEAD`, and by `GET` where that brought no HTTP answer.
///
/// Requested is the announce address as it is, with its own query, since that is where a tracker with passkeys
/// lives, but with nothing of an announce: no torrent, no client. Any status is a sign of life, an error or a
/// redirect as well; only an announce can tell whether a tracker is behind it.
///
/// A probe opens a connection of its own, so that what it measures is what a first announce takes. Where the
/// tracker keeps it open it is kept for that announce, which then costs one round trip. Everything together,
/// name look-up included, takes at most [`PATIENCE`](Self::PATIENCE); `HEAD` gets half of what is left when the
/// connection stands, so that `GET` has a chance with a tracker that ignores the former.
#[derive(Clone)]
pub struct HttpProber {
    client: Arc<HttpClient>,
    patience: Duration,
}

impl HttpProber {
    /// How long a probe may take: 3 s, beyond which a tracker isn't near whatever it says.
    pub const PATIENCE: Duration = Duration::from_secs(3);

    /// A prober that leaves its connections to the transport.
    pub fn new(transport: &HttpTransport) -> Self {
        Self { client: Arc::clone(&transport.0), patience: Self::PATIENCE }
    }

    /// The same prober, with another limit.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn measure(&self, tracker: &TrackerUrl, deadline: Instant) -> Result<Measurement, AnnounceError> {
        let target = request::target_of(tracker);
        let asked = TrackerRequest::new(tracker.clone(), &target, tracker)?;
        let addresses = self.client.addresses(tracker, None).await?;

        let started = clock::now();
        let connection = self.client.connect(tracker, &addresses).await?;
        let connected = clock::now();
        let half = connected + deadline.saturating_duration_since(connected) / 2;
        let head = timeout_at(half, self.first_byte(&asked, Method::HEAD, connection)).await;
        if let Ok(Ok(first_byte)) = head {
            return Ok(Measurement { connect: connected - started, first_byte });
        }
        // Whatever came, nothing can follow it on that connection.
        let started = clock::now();
        let connection = self.client.connect(tracker, &addresses).await?;
        let connect = clock::now() - started;
        let first_byte = self.first_byte(&asked, Method::GET, connection).await?;
        Ok(Measurement { connect, first_byte })
    }

    /// From sending a request to the first byte of its answer, once that has turned out to be one.
    async fn first_byte(
        &self,
        asked: &TrackerRequest,
        method: Method,
        mut connection: HttpConnection,
    ) -> Result<Duration, AnnounceError> {
        let sent = clock::now();
        let answer = connection.send(asked.write(method, &self.client.config)).await;
        let answer = answer.map_err(super::connection::SendError::into_error)?;
        let first = connection.first_byte().unwrap_or_else(clock::now);
        // A body isn't waited for. Where it isn't there already, `hyper` closes the connection.
        drop(answer);
        self.client.pool.put(asked.url.tracker_host(), connection, self.client.config.keep_idle);
        Ok(first.saturating_duration_since(sent))
    }
}

#[async_trait]
impl Prober for HttpProber {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        if !HttpConfig::supports(tracker.scheme()) {
            return Err(AnnounceError::Unsupported);
        }
        let deadline = clock::after(self.patience);
        let measured = timeout_at(deadline, self.measure(tracker, deadline)).await;
        measured.unwrap_or(Err(AnnounceError::TimedOut(Phase::Probe)))
    }
}

impl fmt::Debug for HttpProber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProber").field("patience", &self.patience).finish_non_exhaustive()
    }
}
