//! The way to trackers: the two-phase [`Transport`], which a client can implement itself.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash};
use crate::error::AnnounceError;
use crate::scrape::ScrapeResponse;
use crate::tracker::{AddressFamily, Scheme, TrackerUrl};

/// Opens channels to trackers.
///
/// Announcing has two phases because openings are raced and announces are not. A connection tells the tracker
/// nothing about the torrent, so several may be opened, and only the first that stands carries the announce. One call
/// is one attempt: it neither retries nor chooses, which is the policy's work.
///
/// # Cancel safety
/// Dropping a future of [`open`](Self::open) or of a [`Channel`] has to give the attempt up, close what it
/// opened, and lose nothing else.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Opens a channel: name look-up, connection, TLS. Sends nothing about a torrent.
    ///
    /// # Errors
    /// When the tracker can't be reached.
    ///
    /// # Cancel safety
    /// Dropping the future gives the opening up.
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError>;

    /// Whether this transport speaks a scheme. Trackers of other schemes are shown as unsupported, never tried, and
    /// never counted as failed.
    fn supports(&self, scheme: Scheme) -> bool;
}

/// An open way to one tracker, ready for one announce or scrape.
#[async_trait]
pub trait Channel: Send {
    /// Announces, and waits for the answer.
    ///
    /// # Errors
    /// When no good answer came.
    ///
    /// # Cancel safety
    /// Dropping the future gives the announce up. The tracker may have received it.
    async fn announce(&mut self, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError>;

    /// How much of the time for opening passed before the tracker was dialled: the name look-up, and the wait for it to
    /// begin. It isn't counted as the tracker's latency. Zero, unless it is overridden.
    fn lookup_time(&self) -> Duration {
        Duration::ZERO
    }

    /// The address of the tracker, if the channel leads there directly; `None` through a proxy, or where it isn't known.
    /// Two UDP trackers at one address are one tracker, and only one of them is announced to. `None`, unless it is overridden.
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// The other address family over which the tracker can be reached from here: it has addresses of both, and the channel
    /// leads straight to one of them. The tracker is announced to over both then, while peers are short: transports that
    /// give a family here have to use its addresses only for a [`TrackerUrl`] that is restricted to it
    /// ([`TrackerUrl::family`]). `None`, unless it is overridden.
    fn other_family(&self) -> Option<AddressFamily> {
        None
    }

    /// Asks how large the swarms of these torrents are (BEP 48), without joining them.
    ///
    /// # Errors
    /// When no good answer came; [`AnnounceError::Unsupported`] where the tracker's address has no scrape
    /// address, or the transport doesn't scrape. The latter is what this gives unless it is overridden.
    ///
    /// # Cancel safety
    /// Dropping the future gives the scrape up.
    async fn scrape(&mut self, torrents: &[InfoHash]) -> Result<ScrapeResponse, AnnounceError> {
        let _ = torrents;
        Err(AnnounceError::Unsupported)
    }
}

/// A [`Transport`] from a closure that makes a whole announce at once.
struct FromFn<F>(Arc<F>);

/// A [`Transport`] for `http` and `https` from a closure that makes a whole announce at once, such as a call of another
/// HTTP client. Its `open` returns at once, so openings can't be raced: a silent tracker costs the patience for a reply
/// (1.5 s by default) in place of that for a connection (250 ms).
///
/// ```
/// use tracker_failover::{AnnounceResponse, transport};
///
/// let transport = transport::from_fn(|tracker, request| async move {
///     // Request `tracker.as_str()` here; `wire::http` makes the query and reads the reply.
///     Ok(AnnounceResponse::default())
/// });
/// ```
pub fn from_fn<F, R>(announce: F) -> impl Transport + fmt::Debug + 'static
where
    F: Fn(TrackerUrl, AnnounceRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<AnnounceResponse, AnnounceError>> + Send + 'static,
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
