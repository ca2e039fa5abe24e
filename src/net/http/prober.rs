//! The distance to HTTP trackers, measured without announcing anything.

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
use crate::error::{AnnounceError, TimeoutPhase};
use crate::net::clock::{self, timeout_at};
use crate::prober::{Measurement, Prober};
use crate::tracker::TrackerUrl;

/// Measures HTTP trackers by `HEAD`, and by `GET` where that brought no HTTP answer.
///
/// It requests the announce address with its own query, because a tracker with passkeys may answer nothing else, but
/// without the parameters of an announce: no torrent, no client. Any status counts as a sign of life, errors and
/// redirects too; only an announce shows whether there is a tracker.
///
/// A probe always opens a new connection, so that it measures what a first announce takes. If the
/// tracker keeps the connection open, that announce uses it, and costs one round trip. The whole probe,
/// name look-up included, takes at most [`PATIENCE`](Self::PATIENCE). `HEAD` gets half of the time that is left when the
/// connection stands, so that there is time for `GET` with a tracker that ignores `HEAD`.
#[derive(Clone)]
pub struct HttpProber {
    client: Arc<HttpClient>,
    patience: Duration,
}

impl HttpProber {
    /// How long a probe may take: 3 s. A tracker that takes longer isn't near.
    pub const PATIENCE: Duration = Duration::from_secs(3);

    /// A prober that shares the connections of a transport.
    pub fn new(transport: &HttpTransport) -> Self {
        Self { client: Arc::clone(&transport.0), patience: Self::PATIENCE }
    }

    /// Sets how long a probe may take. [`PATIENCE`](Self::PATIENCE) by default.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn measure(&self, tracker: &TrackerUrl, deadline: Instant) -> Result<Measurement, AnnounceError> {
        let target = request::target_of(tracker);
        let request = TrackerRequest::new(tracker.clone(), &target, tracker)?;
        let addresses = self.client.addresses(tracker, None).await?;

        let started = clock::now();
        let connection = self.client.connect(tracker, addresses).await?;
        let connected = clock::now();
        let half = connected + deadline.saturating_duration_since(connected) / 2;
        let head = timeout_at(half, self.first_byte(&request, Method::HEAD, connection)).await;
        if let Ok(Ok(first_byte)) = head {
            return Ok(Measurement { connect: connected - started, first_byte });
        }
        // The first connection is out of step, or its answer is still to come.
        let addresses = self.client.addresses(tracker, None).await?;
        let started = clock::now();
        let connection = self.client.connect(tracker, addresses).await?;
        let connect = clock::now() - started;
        let first_byte = self.first_byte(&request, Method::GET, connection).await?;
        Ok(Measurement { connect, first_byte })
    }

    /// The time from sending a request to the first byte of its answer. Waits for the head, to be sure that it is one.
    async fn first_byte(
        &self,
        request: &TrackerRequest,
        method: Method,
        mut connection: HttpConnection,
    ) -> Result<Duration, AnnounceError> {
        let sent = clock::now();
        let answer = connection.send(request.to_http(method, &self.client.config)).await;
        let answer = answer.map_err(super::connection::SendError::into_error)?;
        let first = connection.first_byte().unwrap_or_else(clock::now);
        // The body isn't waited for. Where it isn't there already, `hyper` closes the connection.
        drop(answer);
        self.client.pool.put(request.url.tracker_host(), connection, self.client.config.keep_idle);
        Ok(first.saturating_duration_since(sent))
    }
}

#[async_trait]
impl Prober for HttpProber {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        if !HttpConfig::supports(tracker.scheme()) {
            return Err(AnnounceError::NotMeasured);
        }
        let deadline = clock::after(self.patience);
        let measured = timeout_at(deadline, self.measure(tracker, deadline)).await;
        measured.unwrap_or(Err(AnnounceError::TimedOut(TimeoutPhase::Probe)))
    }
}

impl fmt::Debug for HttpProber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProber").field("patience", &self.patience).finish_non_exhaustive()
    }
}
