//! The way to trackers: the two-phase [`Transport`], which a client can implement itself.

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
/// The trait is made by [`async-trait`](https://docs.rs/async-trait), so implementing it takes `async-trait = "0.1"` among
/// the dependencies, and `#[async_trait]` on the `impl`:
///
/// ```
/// use std::collections::BTreeSet;
///
/// use async_trait::async_trait;
/// use tracker_failover::{AnnounceError, Channel, Scheme, TrackerUrl, Transport};
///
/// /// Another transport, for these hosts only.
/// struct Only<T>(BTreeSet<String>, T);
///
/// #[async_trait]
/// impl<T: Transport> Transport for Only<T> {
///     async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
///         if !self.0.contains(tracker.host()) {
///             return Err(AnnounceError::Blocked);
///         }
///         self.1.open(tracker).await
///     }
///
///     fn supports(&self, scheme: Scheme) -> bool {
///         self.1.supports(scheme)
///     }
/// }
/// ```
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
///
/// Implementing it takes `async-trait = "0.1"`, as with [`Transport`]. A channel of a tracker that is asked over a connection
/// of a client's own:
///
/// ```
/// # use std::io;
/// use std::time::SystemTime;
///
/// use async_trait::async_trait;
/// use tracker_failover::wire::http::{announce_target, read_answer, read_scrape_answer, scrape_target};
/// use tracker_failover::{
///     AnnounceError, AnnounceRequest, AnnounceResponse, Channel, InfoHash, ScrapeResponse, TrackerUrl,
/// };
///
/// # struct Answer { status: u16, retry_after: Option<String>, body: Vec<u8> }
/// # struct Connection;
/// # impl Connection {
/// #     async fn get(&mut self, target: &str) -> io::Result<Answer> { Err(io::ErrorKind::BrokenPipe.into()) }
/// # }
/// struct Open {
///     tracker: TrackerUrl,
///     connection: Connection,
/// }
///
/// #[async_trait]
/// impl Channel for Open {
///     async fn announce(&mut self, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
///         let target = announce_target(&self.tracker, request);
///         let answer = self.connection.get(&target).await.map_err(AnnounceError::requesting)?;
///         let retry_after = answer.retry_after.as_deref();
///         read_answer(request, answer.status, retry_after, &answer.body, SystemTime::now())
///     }
///
///     // Optional.
///     async fn scrape(&mut self, torrents: &[InfoHash]) -> Result<ScrapeResponse, AnnounceError> {
///         let target = scrape_target(&self.tracker, torrents).ok_or(AnnounceError::NotScraped)?;
///         let answer = self.connection.get(&target).await.map_err(AnnounceError::requesting)?;
///         read_scrape_answer(answer.status, answer.retry_after.as_deref(), &answer.body, SystemTime::now())
///     }
/// }
/// ```
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
    /// When no good answer came; [`AnnounceError::NotScraped`] where the tracker has no scrape address, or the transport
    /// doesn't scrape. The latter is what this gives unless it is overridden.
    ///
    /// # Cancel safety
    /// Dropping the future gives the scrape up.
    async fn scrape(&mut self, torrents: &[InfoHash]) -> Result<ScrapeResponse, AnnounceError> {
        let _ = torrents;
        Err(AnnounceError::NotScraped)
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
