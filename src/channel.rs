//! How an announce travels: the two-phase [`Transport`] that a client can bring itself.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash};
use crate::error::AnnounceError;
use crate::scrape::ScrapeResponse;
use crate::tracker::{Scheme, TrackerUrl};

/// Opens channels to trackers.
///
/// Announcing has two phases because openings are raced and announces are not: a connection tells the tracker
/// nothing about us, so several may be opened, and only the first that shows life is told anything. One call
/// is one attempt: no retries and no choices, those are the policy's.
///
/// # Cancel safety
/// Dropping a future of [`open`](Self::open) or of a [`Channel`] gives the attempt up and closes what it
/// opened; nothing else may be lost by it.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Opens a channel: name look-up, connection, TLS. Tells the tracker nothing about the torrent.
    ///
    /// # Errors
    /// When the tracker can't be reached.
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError>;

    /// Whether it speaks a scheme at all. A tracker with another one is shown as unsupported, never tried and
    /// never counted as failed.
    fn supports(&self, scheme: Scheme) -> bool;
}

/// An open way to one tracker, ready for one announce.
#[async_trait]
pub trait Channel: Send {
    /// Announces, and waits for the answer.
    ///
    /// # Errors
    /// When no good answer came.
    async fn announce(&mut self, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError>;

    /// How much of its opening passed before the tracker was dialled: looking its name up, and waiting for a place to do
    /// that. Nothing, unless it is overridden. It isn't counted as latency of the tracker.
    fn lookup_time(&self) -> Duration {
        Duration::ZERO
    }

    /// Asks how large the swarms of these torrents are (BEP 48), without taking part in them.
    ///
    /// # Errors
    /// When no good answer came; [`AnnounceError::Unsupported`] where the tracker's address has no scrape
    /// address, or the transport doesn't scrape, which is what this does unless it is overridden.
    async fn scrape(&mut self, torrents: &[InfoHash]) -> Result<ScrapeResponse, AnnounceError> {
        let _ = torrents;
        Err(AnnounceError::Unsupported)
    }
}

/// A [`Transport`] from a closure that does a whole announce at once, such as a call of somebody's own HTTP
/// client; made by [`from_fn`].
pub struct FromFn<F>(Arc<F>);

/// Makes a [`Transport`] for `http` and `https` of a one-phase client. Its `open` returns at once, so openings
/// can't be raced: a silent tracker then costs the patience for a reply, not that for a connection.
///
/// ```
/// use tracker_failover::{AnnounceResponse, transport};
///
/// let transport = transport::from_fn(|tracker, request| async move {
///     // Your own client asks `tracker.as_str()` here; `wire::http` makes the query and reads the reply.
///     Ok(AnnounceResponse::default())
/// });
/// ```
pub fn from_fn<F, R>(announce: F) -> FromFn<F>
where
    F: Fn(TrackerUrl, AnnounceRequest) -> R + Send + Sync,
    R: Future<Output = Result<AnnounceResponse, AnnounceError>> + Send,
{
    FromFn(Arc::new(announce))
}

struct FromFnChannel<F> {
    announce: Arc<F>,
    tracker: TrackerUrl,
}

#[async_trait]
impl<F, R> Transport for FromFn<F>
where
    F: Fn(TrackerUrl, AnnounceRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<AnnounceResponse, AnnounceError>> + Send + 'static,
{
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        Ok(Box::new(FromFnChannel { announce: Arc::clone(&self.0), tracker: tracker.clone() }))
    }

    fn supports(&self, scheme: Scheme) -> bool {
        matches!(scheme, Scheme::Http | Scheme::Https)
    }
}

#[async_trait]
impl<F, R> Channel for FromFnChannel<F>
where
    F: Fn(TrackerUrl, AnnounceRequest) -> R + Send + Sync,
    R: Future<Output = Result<AnnounceResponse, AnnounceError>> + Send,
{
    async fn announce(&mut self, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        (self.announce)(self.tracker.clone(), request.clone()).await
    }
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        (**self).open(tracker).await
    }

    fn supports(&self, scheme: Scheme) -> bool {
        (**self).supports(scheme)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}
