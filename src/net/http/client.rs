//! One question to one tracker: connection, request, answer, and on to where redirects lead.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{DATE, HeaderName, LOCATION, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};

use super::body::{self, Body};
use super::config::HttpConfig;
use super::connect::Connector;
use super::connection::{HttpConnection, SendError};
use super::pool::Pool;
use super::redirect;
use super::request::{self, TrackerRequest};
use crate::address::AddressKind;
use crate::error::{AnnounceError, RedirectError};
use crate::net::clock;
use crate::net::families::Families;
use crate::net::resolver::{self, Resolver};
#[cfg(feature = "tls")]
use crate::tracker::Scheme;
use crate::tracker::TrackerUrl;

/// What all channels of a transport share.
pub(super) struct HttpClient {
    pub(super) config: HttpConfig,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) pool: Pool,
    pub(super) families: Families,
}

/// What a tracker said, before anybody looks at what it means.
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    /// When the server says it is.
    pub(super) date: Option<String>,
    pub(super) body: Body,
    /// Where it came from.
    pub(super) remote: SocketAddr,
}

impl HttpClient {
    /// A connection to a tracker: a kept one, or else a new one.
    pub(super) async fn open(
        &self,
        url: &TrackerUrl,
        redirected_by: Option<SocketAddr>,
    ) -> Result<HttpConnection, AnnounceError> {
        match self.pool.take(&url.tracker_host()) {
            Some(kept) if self.may_lead(redirected_by, kept.remote) => Ok(kept),
            _ => self.dial(url, redirected_by).await,
        }
    }

    /// A new connection to a tracker.
    pub(super) async fn dial(
        &self,
        url: &TrackerUrl,
        redirected_by: Option<SocketAddr>,
    ) -> Result<HttpConnection, AnnounceError> {
        let begun = clock::now();
        let addresses = self.addresses(url, redirected_by).await?;
        let lookup_time = clock::now() - begun;
        let mut connection = self.connect(url, &addresses).await?;
        connection.lookup_time = lookup_time;
        Ok(connection)
    }

    /// The addresses at which a tracker may be dialled.
    pub(super) async fn addresses(
        &self,
        url: &TrackerUrl,
        redirected_by: Option<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, AnnounceError> {
        let policy = &self.config.addresses;
        let mut addresses =
            resolver::allowed_addresses(&*self.resolver, policy, url.host(), url.port()).await?;
        addresses.retain(|address| self.may_lead(redirected_by, *address));
        if addresses.is_empty() {
            return Err(AnnounceError::Redirect(RedirectError::PrivateTarget));
        }
        self.families.prefer(&url.tracker_host(), &mut addresses);
        Ok(addresses)
    }

    /// A new connection to one of these addresses.
    pub(super) async fn connect(
        &self,
        url: &TrackerUrl,
        addresses: &[SocketAddr],
    ) -> Result<HttpConnection, AnnounceError> {
        let connected = self.connector.connect(url.host(), addresses).await?;
        self.families.worked(url.tracker_host(), connected.remote);
        #[cfg(feature = "tls")]
        let connected = match url.scheme() {
            Scheme::Https => self.config.tls.secure(url.host(), connected).await?,
            _ => connected,
        };
        HttpConnection::open(connected, &self.config).await
    }

    /// Whether a redirect may lead from one address to another (R74): never out of the internet into a network
    /// that only we can reach.
    fn may_lead(&self, redirected_by: Option<SocketAddr>, to: SocketAddr) -> bool {
        let global = |address: SocketAddr| AddressKind::of(address.ip()) == AddressKind::Global;
        !self.config.guard_redirects || redirected_by.is_none_or(|from| !global(from) || global(to))
    }

    /// Asks for `target` at a tracker, over `connection` if there is one, and follows its redirects.
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
        let mut asked = TrackerRequest::new(tracker.clone(), target, tracker)?;
        let mut redirected_by = None;
        let mut hops_left = self.config.max_redirects;
        loop {
            let (response, used) = self.send(&asked, connection, redirected_by).await?;
            if !redirect::is_redirect(response.status().as_u16()) {
                return Ok(self.finish(&asked, response, used).await);
            }
            let next = redirect::next(&asked.url, response.headers().get(LOCATION));
            let next = next.map_err(AnnounceError::Redirect)?;
            let too_many = AnnounceError::Redirect(RedirectError::TooMany(self.config.max_redirects));
            hops_left = hops_left.checked_sub(1).ok_or(too_many)?;
            redirected_by = Some(used.remote);
            // A body beside the redirect isn't waited for: nobody needs it, and it may never end. Where it isn't
            // there already, `hyper` closes the connection.
            drop(response);
            self.pool.put(asked.url.tracker_host(), used, self.config.keep_idle);
            connection = self.open(&next, redirected_by).await?;
            // Location as it stands: nothing of the announce is added, so the tracker id stays behind as well.
            let target = request::target_of(&next);
            asked = TrackerRequest::new(next, &target, tracker)?;
        }
    }

    /// Sends a request, and once more over a new connection where a kept one turns out to be of no use: closed before
    /// a byte of an answer came, with bytes on it that are no answer (the body of a `HEAD`, say), or idle for
    /// longer than the server waits (408). Otherwise a request is never sent twice.
    async fn send(
        &self,
        asked: &TrackerRequest,
        mut connection: HttpConnection,
        redirected_by: Option<SocketAddr>,
    ) -> Result<(Response<Incoming>, HttpConnection), AnnounceError> {
        let request = || asked.write(Method::GET, &self.config);
        let mut outcome = connection.send(request()).await;
        let of_no_use = match &outcome {
            Ok(response) => response.status() == StatusCode::REQUEST_TIMEOUT,
            Err(error) => matches!(error, SendError::Stale(_)),
        };
        if of_no_use && connection.reused {
            drop((outcome, connection));
            connection = self.dial(&asked.url, redirected_by).await?;
            outcome = connection.send(request()).await;
        }
        outcome.map(|response| (response, connection)).map_err(SendError::into_error)
    }

    /// Reads the rest of an answer and keeps the connection for the next one.
    async fn finish(
        &self,
        asked: &TrackerRequest,
        response: Response<Incoming>,
        used: HttpConnection,
    ) -> HttpResponse {
        let (head, incoming) = response.into_parts();
        let body = body::read(incoming, self.config.max_body).await;
        let remote = used.remote;
        if body.ended {
            self.pool.put(asked.url.tracker_host(), used, self.config.keep_idle);
        }
        let header = |name: HeaderName| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (retry_after, date) = (header(RETRY_AFTER), header(DATE));
        HttpResponse { status: head.status.as_u16(), retry_after, date, body, remote }
    }
}
