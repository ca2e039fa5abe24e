//! Transports that are made of closures, such as calls of another HTTP client. The traits are at the root of the crate.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash};
pub(crate) use crate::channel::{Channel, Transport};
use crate::error::AnnounceError;
use crate::scrape::ScrapeResponse;
use crate::tracker::{Scheme, TrackerUrl};

/// A [`Transport`] for `http` and `https` from a closure that makes a whole announce at once, such as a call of another
/// HTTP client. It doesn't scrape; [`from_fns`] makes one that does.
///
/// Its `open` returns at once, so openings can't be raced: a silent tracker costs the patience for a reply
/// (1.5 s by default) in place of that for a connection (250 ms). A client that can open a connection before it sends the
/// request implements [`Transport`] instead.
///
/// The future of the closure is dropped when its time has passed, so the client needs no time limit of its own. The peers of
/// its answers are judged as those of every transport.
///
/// ```
/// use std::time::SystemTime;
///
/// use tracker_failover::wire::http::{announce_url, read_answer};
/// use tracker_failover::{AnnounceError, transport};
///
/// # async fn get(url: String) -> Result<(u16, Option<String>, Vec<u8>), std::io::Error> {
/// #     Ok((200, None, Vec::new()))
/// # }
/// let transport = transport::from_fn(|tracker, request| async move {
///     let answer = get(announce_url(&tracker, &request)).await; // yours
///     let (status, retry_after, body) = answer.map_err(AnnounceError::requesting)?;
///     read_answer(&request, status, retry_after.as_deref(), &body, SystemTime::now())
/// });
/// ```
pub fn from_fn<A, R>(announce: A) -> impl Transport + fmt::Debug + 'static
where
    A: Fn(TrackerUrl, AnnounceRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<AnnounceResponse, AnnounceError>> + Send + 'static,
{
    from_fns(announce, |_, _| std::future::ready(Err(AnnounceError::NotScraped)))
}

/// A [`Transport`] as [`from_fn`] makes it, from two closures: one that announces and one that scrapes.
///
/// The latter gets all torrents that are asked for. More than fit into one request are for it to split
/// ([`scrape_batches`](crate::wire::http::scrape_batches)), and their answers to join ([`ScrapeResponse::merge`]):
///
/// ```
/// use std::time::SystemTime;
///
/// use tracker_failover::wire::http::{announce_url, read_answer, read_scrape_answer, scrape_batches, scrape_url};
/// use tracker_failover::{AnnounceError, AnnounceRequest, InfoHash, ScrapeResponse, TrackerUrl, transport};
///
/// # async fn get(url: String) -> Result<(u16, Option<String>, Vec<u8>), std::io::Error> {
/// #     Ok((200, None, Vec::new()))
/// # }
/// # async fn announce(
/// #     tracker: TrackerUrl,
/// #     request: AnnounceRequest,
/// # ) -> Result<tracker_failover::AnnounceResponse, AnnounceError> {
/// #     let answer = get(announce_url(&tracker, &request)).await;
/// #     let (status, retry_after, body) = answer.map_err(AnnounceError::requesting)?;
/// #     read_answer(&request, status, retry_after.as_deref(), &body, SystemTime::now())
/// # }
/// async fn scrape(tracker: TrackerUrl, torrents: Vec<InfoHash>) -> Result<ScrapeResponse, AnnounceError> {
///     let mut all = ScrapeResponse::default();
///     for batch in scrape_batches(&tracker, &torrents) {
///         let url = scrape_url(&tracker, batch).ok_or(AnnounceError::NotScraped)?;
///         let (status, retry_after, body) = get(url).await.map_err(AnnounceError::requesting)?;
///         all.merge(read_scrape_answer(status, retry_after.as_deref(), &body, SystemTime::now())?);
///     }
///     Ok(all)
/// }
///
/// let transport = transport::from_fns(announce, scrape);
/// ```
pub fn from_fns<A, R, S, Q>(announce: A, scrape: S) -> impl Transport + fmt::Debug + 'static
where
    A: Fn(TrackerUrl, AnnounceRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<AnnounceResponse, AnnounceError>> + Send + 'static,
    S: Fn(TrackerUrl, Vec<InfoHash>) -> Q + Send + Sync + 'static,
    Q: Future<Output = Result<ScrapeResponse, AnnounceError>> + Send + 'static,
{
    FromFns(Arc::new(Closures { announce, scrape }))
}

/// A [`Transport`] from closures.
struct FromFns<A, S>(Arc<Closures<A, S>>);

struct Closures<A, S> {
    announce: A,
    scrape: S,
}

struct FromFnsChannel<A, S> {
    closures: Arc<Closures<A, S>>,
    tracker: TrackerUrl,
}

#[async_trait]
impl<A, R, S, Q> Transport for FromFns<A, S>
where
    A: Fn(TrackerUrl, AnnounceRequest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<AnnounceResponse, AnnounceError>> + Send + 'static,
    S: Fn(TrackerUrl, Vec<InfoHash>) -> Q + Send + Sync + 'static,
    Q: Future<Output = Result<ScrapeResponse, AnnounceError>> + Send + 'static,
{
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        Ok(Box::new(FromFnsChannel { closures: Arc::clone(&self.0), tracker: tracker.clone() }))
    }

    fn supports(&self, scheme: Scheme) -> bool {
        matches!(scheme, Scheme::Http | Scheme::Https)
    }
}

#[async_trait]
impl<A, R, S, Q> Channel for FromFnsChannel<A, S>
where
    A: Fn(TrackerUrl, AnnounceRequest) -> R + Send + Sync,
    R: Future<Output = Result<AnnounceResponse, AnnounceError>> + Send,
    S: Fn(TrackerUrl, Vec<InfoHash>) -> Q + Send + Sync,
    Q: Future<Output = Result<ScrapeResponse, AnnounceError>> + Send,
{
    async fn announce(&mut self, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        (self.closures.announce)(self.tracker.clone(), request.clone()).await
    }

    async fn scrape(&mut self, torrents: &[InfoHash]) -> Result<ScrapeResponse, AnnounceError> {
        (self.closures.scrape)(self.tracker.clone(), torrents.to_vec()).await
    }
}

impl<A, S> fmt::Debug for FromFns<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFns")
    }
}
