//! HTTP trackers over `hyper`: [`HttpTransport`] announces and scrapes, [`HttpProber`] measures.
//!
//! One call is one attempt. The transport has no time limits, because its callers have: dropping a
//! future ends what it does, down to the socket. There are three exceptions: idle connections expire, the end of a complete
//! reply is waited for 50 ms, and a probe takes at most three seconds. Sizes, counts, redirects and addresses are bounded
//! here. The peers of an answer are those that the tracker named: the `Announcer` filters them, and so does
//! [`usable_peers`](crate::usable_peers) for other callers.
//!
//! Proxy settings of the environment are ignored. [`AnnouncerBuilder::proxy`](crate::AnnouncerBuilder::proxy) sets one for all
//! trackers; a [`Connector`] of the client's own leads HTTP alone elsewhere.

mod body;
mod client;
mod config;
mod connect;
mod connection;
mod error;
#[cfg(feature = "gzip")]
mod inflate;
mod pool;
mod prober;
mod redirect;
mod request;
mod response;
mod scrape;
mod status_line;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod verifier;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::config::HttpConfig;
pub use self::connect::{Connected, Connector, Stream, TcpConnector};
pub use self::error::HttpConfigError;
pub use self::prober::HttpProber;
#[cfg(feature = "tls")]
pub use self::tls::TlsConfig;
/// The version of rustls whose configurations [`TlsConfig::from_rustls`] takes.
#[cfg(feature = "tls")]
#[doc(no_inline)]
pub use tokio_rustls::rustls;

use self::client::HttpClient;
use self::connection::HttpConnection;
use self::pool::Pool;
use super::families::Families;
use super::resolver::Resolver;
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash};
use crate::error::AnnounceError;
use crate::scrape::ScrapeResponse;
use crate::tracker::{AddressFamily, Scheme, TrackerUrl};
use crate::transport::{Channel, Transport};
use crate::wire;

/// Speaks HTTP with trackers, with the requests that they expect of a BitTorrent client.
///
/// An idle connection is kept for a minute, so that a probe, its announce and the requests after that share one. Where a
/// kept connection turns out to be closed, or to carry something else than an answer, the
/// request is sent once more over a new one; no other request is ever sent twice. Dropping the transport, its probers and
/// its channels closes all connections.
///
/// Cloning is cheap, and the clones share their connections.
///
/// ```no_run
/// use std::sync::Arc;
/// use tracker_failover::net::http::{HttpConfig, HttpTransport};
/// use tracker_failover::net::resolver::SystemResolver;
/// use tracker_failover::{AnnounceRequest, InfoHash, PeerId, Transport};
///
/// # async fn announce() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = HttpTransport::new(HttpConfig::new(), Arc::new(SystemResolver::new()));
/// let mut channel = transport.open(&"http://tracker.example/announce".parse()?).await?;
/// let torrent = InfoHash::new(*b"twenty bytes of hash");
/// let request = AnnounceRequest::new(torrent, PeerId::with_prefix(*b"-XX0001-", [7; 12]), 6881);
/// println!("{:?}", channel.announce(&request).await?.peers);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HttpTransport(Arc<HttpClient>);

struct HttpChannel {
    client: Arc<HttpClient>,
    tracker: TrackerUrl,
    connection: Option<HttpConnection>,
}

impl HttpTransport {
    /// A transport over TCP.
    pub fn new(config: HttpConfig, resolver: Arc<dyn Resolver>) -> Self {
        let connector = TcpConnector::over(config.sockets.clone());
        Self::with_connector(config, resolver, Arc::new(connector))
    }

    /// A transport over the connections of `connector`.
    pub fn with_connector(
        config: HttpConfig,
        resolver: Arc<dyn Resolver>,
        connector: Arc<dyn Connector>,
    ) -> Self {
        Self(Arc::new(HttpClient {
            config,
            resolver,
            connector,
            pool: Pool::default(),
            families: Families::default(),
        }))
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        if !HttpConfig::supports(tracker.scheme()) {
            return Err(AnnounceError::Unsupported);
        }
        let connection = self.0.open(tracker, None).await?;
        Ok(Box::new(HttpChannel {
            client: Arc::clone(&self.0),
            tracker: tracker.clone(),
            connection: Some(connection),
        }))
    }

    fn supports(&self, scheme: Scheme) -> bool {
        HttpConfig::supports(scheme)
    }
}

#[async_trait]
impl Channel for HttpChannel {
    async fn announce(&mut self, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        let target = wire::http::announce_target(&self.tracker, request);
        let answer = self.client.ask(&self.tracker, &target, self.connection.take()).await?;
        let config = &self.client.config;
        let mut response = answer.into_announce(request.event)?;
        let beyond = response.peers.len().saturating_sub(config.max_peers);
        response.peers.truncate(config.max_peers);
        response.dropped_peers = response.dropped_peers.saturating_add(beyond);
        Ok(response)
    }

    fn lookup_time(&self) -> Duration {
        self.connection.as_ref().map_or(Duration::ZERO, |connection| connection.lookup_time)
    }

    fn address(&self) -> Option<SocketAddr> {
        let connection = self.connection.as_ref().filter(|_| self.client.connector.is_direct())?;
        let remote = connection.remote.address()?;
        Some(SocketAddr::new(remote.ip().to_canonical(), remote.port()))
    }

    fn other_family(&self) -> Option<AddressFamily> {
        self.connection.as_ref()?.other_family
    }

    async fn scrape(&mut self, torrents: &[InfoHash]) -> Result<ScrapeResponse, AnnounceError> {
        self.client.scrape(&self.tracker, torrents, self.connection.take()).await
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("config", &self.0.config).finish_non_exhaustive()
    }
}
