//! One request to one tracker, and its answer: connection, redirects, and one retry where a kept connection was stale.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{DATE, HeaderName, LOCATION, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};

use super::body::{self, Body};
use super::config::HttpConfig;
use super::connect::{Connector, Remote};
use super::connection::{HttpConnection, SendError};
use super::pool::Pool;
use super::redirect;
use super::request::{self, TrackerRequest};
use crate::address::AddressKind;
use crate::error::{AnnounceError, RedirectError};
use crate::net::clock;
use crate::net::families::{self, Families};
use crate::net::happy_eyeballs;
use crate::net::resolver::{self, FoundAddresses, Resolver};
#[cfg(feature = "tls")]
use crate::tracker::Scheme;
use crate::tracker::TrackerUrl;

/// What a transport, its channels and its probers share.
pub(super) struct HttpClient {
    pub(super) config: HttpConfig,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) pool: Pool,
    pub(super) families: Families,
}

/// The answer of a tracker, not interpreted yet.
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    /// The server's own time (`Date`).
    pub(super) date: Option<String>,
    pub(super) body: Body,
    /// Where it came from.
    pub(super) remote: Remote,
}

impl HttpClient {
    /// A connection to a tracker: a kept one, or else a new one.
    pub(super) async fn open(
        &self,
        url: &TrackerUrl,
        redirected_by: Option<Remote>,
    ) -> Result<HttpConnection, AnnounceError> {
        match self.pool.take(&url.tracker_host()) {
            Some(kept) if may_lead(redirected_by, kept.remote) => Ok(kept),
            _ => self.dial(url, redirected_by).await,
        }
    }

    /// A new connection to a tracker.
    pub(super) async fn dial(
        &self,
        url: &TrackerUrl,
        redirected_by: Option<Remote>,
    ) -> Result<HttpConnection, AnnounceError> {
        let begun = clock::now();
        let addresses = self.addresses(url, redirected_by).await?;
        let lookup_time = clock::now() - begun;
        let mut connection = self.connect(url, addresses).await?;
        connection.lookup_time = lookup_time;
        Ok(connection)
    }

    /// The addresses at which a tracker may be dialled. None where the connector resolves its name.
    pub(super) async fn addresses(
        &self,
        url: &TrackerUrl,
        redirected_by: Option<Remote>,
    ) -> Result<FoundAddresses, AnnounceError> {
        // Without a provider or roots there is no handshake, so nothing is sent at all.
        #[cfg(feature = "tls")]
        if url.scheme() == Scheme::Https {
            self.config.tls.client_config().await?;
        }
        if self.connector.resolves_names() && url.is_named() {
            families::restrict_name(url)?;
            return Ok(FoundAddresses::from(Vec::new()));
        }
        let policy = &self.config.addresses;
        let found = resolver::find_allowed(&*self.resolver, policy, url.host(), url.port()).await?;
        let tracker = url.clone();
        let usable = found.choose(move |mut addresses| {
            families::restrict(&tracker, &mut addresses)?;
            addresses.retain(|address| may_lead(redirected_by, Remote::Address(*address)));
            if addresses.is_empty() {
                return Err(AnnounceError::Redirect(RedirectError::PrivateTarget));
            }
            Ok(addresses)
        });
        let usable = usable.await?;
        Ok(usable.sort(|addresses| self.families.prefer(&url.tracker_host(), addresses)))
    }

    /// A new connection to one of these addresses; if there are none, to the name.
    pub(super) async fn connect(
        &self,
        url: &TrackerUrl,
        addresses: FoundAddresses,
    ) -> Result<HttpConnection, AnnounceError> {
        let (known, later) = addresses.into_parts();
        let others = known.clone();
        let connected = if known.is_empty() && self.connector.resolves_names() {
            self.connector.connect_by_name(url.host(), url.port()).await?
        } else {
            // A connector takes all addresses of a name at once, so each part of a look-up is one attempt.
            let later = async { Some(later.await).filter(|found| !found.is_empty()).into_iter().collect() };
            let connect = |addresses: Vec<SocketAddr>| async move {
                self.connector.connect(url.host(), &addresses).await
            };
            happy_eyeballs::in_turn(vec![known], later, connect).await?.1
        };
        if let Remote::Address(address) = connected.remote {
            self.families.worked(url.tracker_host(), address);
        }
        #[cfg(feature = "tls")]
        let connected = match url.scheme() {
            Scheme::Https => self.config.tls.secure(url.host(), connected).await?,
            _ => connected,
        };
        let remote = connected.remote;
        let mut connection = HttpConnection::open(connected, &self.config).await?;
        // Through a proxy the address isn't the tracker's.
        if let Some(reached) = remote.address().filter(|_| self.connector.is_direct()) {
            connection.other_family = families::other_family(reached, &others, &self.config.sockets);
        }
        Ok(connection)
    }

    /// Requests `target` from a tracker, over `connection` if there is one, and follows redirects.
    pub(super) async fn ask(
        &self,
        tracker: &TrackerUrl,
        target: &str,
        connection: Option<HttpConnection>,
    ) -> Result<HttpResponse, AnnounceError> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.open(tracker, None).await?,
        };
        let mut request = TrackerRequest::new(tracker.clone(), target, tracker)?;
        let mut redirected_by = None;
        let mut hops_left = self.config.max_redirects;
        loop {
            let (response, used) = self.send(&request, connection, redirected_by).await?;
            if !redirect::is_redirect(response.status().as_u16()) {
                return Ok(self.finish(&request, response, used).await);
            }
            let next = redirect::next(&request.url, response.headers().get(LOCATION));
            let mut next = next.map_err(AnnounceError::Redirect)?;
            if let Some(family) = tracker.family() {
                next = next.over(family);
            }
            let too_many = AnnounceError::Redirect(RedirectError::TooMany(self.config.max_redirects));
            hops_left = hops_left.checked_sub(1).ok_or(too_many)?;
            // Without the guard a target of a redirect is dialled like any other tracker.
            redirected_by = self.config.guard_redirects.then_some(used.remote);
            // The body of the redirect isn't waited for: it isn't needed, and may never end. Where it isn't
            // there already, `hyper` closes the connection.
            drop(response);
            self.pool.put(request.url.tracker_host(), used, self.config.keep_idle);
            connection = self.open(&next, redirected_by).await?;
            // `Location` is used as it is. Nothing of the announce is added to it, so the tracker id isn't sent elsewhere.
            let target = request::target_of(&next);
            request = TrackerRequest::new(next, &target, tracker)?;
        }
    }

    /// Sends a request, and once more over a new connection where a kept one turns out to be stale: closed before
    /// a byte of an answer came, with bytes on it that are no answer (such as the body of a `HEAD`), or idle for
    /// longer than the server waits (408). No other request is sent twice.
    async fn send(
        &self,
        request: &TrackerRequest,
        mut connection: HttpConnection,
        redirected_by: Option<Remote>,
    ) -> Result<(Response<Incoming>, HttpConnection), AnnounceError> {
        let get = || request.to_http(Method::GET, &self.config);
        let mut outcome = connection.send(get()).await;
        let is_stale = match &outcome {
            Ok(response) => response.status() == StatusCode::REQUEST_TIMEOUT,
            Err(error) => matches!(error, SendError::Stale(_)),
        };
        if is_stale && connection.reused {
            drop((outcome, connection));
            connection = self.dial(&request.url, redirected_by).await?;
            outcome = connection.send(get()).await;
        }
        outcome.map(|response| (response, connection)).map_err(SendError::into_error)
    }

    /// Reads the rest of an answer, and keeps the connection for the next request.
    async fn finish(
        &self,
        request: &TrackerRequest,
        response: Response<Incoming>,
        used: HttpConnection,
    ) -> HttpResponse {
        let (head, incoming) = response.into_parts();
        let body = body::read(incoming, self.config.max_body).await;
        let remote = used.remote;
        if body.ended {
            self.pool.put(request.url.tracker_host(), used, self.config.keep_idle);
        }
        let header = |name: HeaderName| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (retry_after, date) = (header(RETRY_AFTER), header(DATE));
        HttpResponse { status: head.status.as_u16(), retry_after, date, body, remote }
    }
}

/// Whether a redirect may lead from one address to another (R74): never from the internet into a private network, where it
/// would reach what only this machine can. A name that a proxy resolved counts as a host on the internet.
fn may_lead(redirected_by: Option<Remote>, to: Remote) -> bool {
    let global = |remote: Remote| {
        remote.address().is_none_or(|address| AddressKind::of(address.ip()) == AddressKind::Global)
    };
    redirected_by.is_none_or(|from| !global(from) || global(to))
}
