//! The settings of the HTTP transport. Texts are checked where they are set, so that none can add lines to a request.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

use super::error::HttpConfigError;
#[cfg(feature = "tls")]
use super::tls::TlsConfig;
use crate::address::AddressPolicy;
use crate::net::sockets::Sockets;
use crate::tracker::Scheme;
use crate::wire::compact::MAX_PEERS;
use crate::wire::http::MAX_BODY_LEN;

/// Trackers refuse longer user agents (Q-48, POL-25).
const MAX_USER_AGENT_LEN: usize = 64;

/// Headers that the transport writes itself, or that would change what a request is.
const OWN_HEADERS: &[HeaderName] = &[
    ACCEPT_ENCODING,
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    USER_AGENT,
];

/// How [`HttpTransport`](super::HttpTransport) speaks with trackers, and what it accepts from them. Made with
/// [`new`](Self::new), and changed by chained calls.
///
/// ```
/// use tracker_failover::net::http::HttpConfig;
///
/// let config = HttpConfig::new().max_redirects(2).user_agent("example-client/1.0")?;
/// assert!(HttpConfig::new().user_agent("one\r\ntwo: three").is_err());
/// # Ok::<(), tracker_failover::net::http::HttpConfigError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpConfig {
    pub(super) max_body: usize,
    pub(super) max_head: usize,
    pub(super) max_headers: usize,
    pub(super) max_redirects: usize,
    pub(super) max_peers: usize,
    pub(in crate::net) addresses: AddressPolicy,
    /// Whether redirects are kept from leading out of the internet, whatever `addresses` allows.
    pub(in crate::net) guard_redirects: bool,
    pub(in crate::net) sockets: Sockets,
    pub(super) keep_idle: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: TlsConfig,
    user_agent: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl HttpConfig {
    /// The defaults, which stand with each setter.
    pub fn new() -> Self {
        Self {
            max_body: MAX_BODY_LEN,
            max_head: 64 << 10,
            max_headers: 100,
            max_redirects: 5,
            max_peers: MAX_PEERS,
            addresses: AddressPolicy::ALLOW_ALL,
            guard_redirects: true,
            sockets: Sockets::new(),
            keep_idle: Duration::from_secs(60),
            #[cfg(feature = "tls")]
            tls: TlsConfig::new(),
            user_agent: HeaderValue::from_static(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            )),
            headers: Vec::new(),
        }
    }

    /// Sets the largest body that is read, in bytes, before and after decompression. 2 MiB by default; 2000 peers take
    /// 12 kB (POL-21).
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the largest head of an answer, in bytes. 64 KiB by default (POL-21).
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.max_head = bytes;
        self
    }

    /// Sets how many headers an answer may have. 100 by default, and at most 1000 (POL-21).
    #[must_use]
    pub fn max_headers(mut self, count: usize) -> Self {
        self.max_headers = count;
        self
    }

    /// Sets how many redirects one announce follows. 5 by default (POL-17).
    #[must_use]
    pub fn max_redirects(mut self, count: usize) -> Self {
        self.max_redirects = count;
        self
    }

    /// Sets how many peers of one answer are handed out. 2000 by default, which is also the most that are read (POL-21).
    #[must_use]
    pub fn max_peers(mut self, count: usize) -> Self {
        self.max_peers = count;
        self
    }

    /// Sets at which addresses trackers may be, at every hop of a redirect too. [`AddressPolicy::ALLOW_ALL`] by default:
    /// announce addresses are the user's.
    #[must_use]
    pub fn addresses(mut self, policy: AddressPolicy) -> Self {
        self.addresses = policy;
        self
    }

    /// Lets redirects lead from a host on the internet to one that isn't, as far as [`addresses`](Self::addresses) allows.
    /// By default they may not, whatever that allows: where a redirect leads is the tracker's choice and not the user's
    /// (POL-17).
    #[must_use]
    pub fn without_redirect_guard(mut self) -> Self {
        self.guard_redirects = false;
        self
    }

    /// Sets the address of this machine to connect from. The system chooses by default.
    #[must_use]
    pub fn local_address(mut self, local: IpAddr) -> Self {
        self.sockets = self.sockets.local_address(local);
        self
    }

    /// Sets the sockets: their interface, their local address, or a closure that prepares them. The system's defaults by
    /// default. Names are looked up by the transport's own [`Resolver`](crate::net::resolver::Resolver), which has to use
    /// the same interface.
    #[must_use]
    pub fn sockets(mut self, sockets: Sockets) -> Self {
        self.sockets = sockets;
        self
    }

    /// Sets how long a connection is kept open for the next request, after a probe or an announce. 60 s by default; zero
    /// keeps none.
    #[must_use]
    pub fn keep_idle(mut self, time: Duration) -> Self {
        self.keep_idle = time;
        self
    }

    /// Sets how HTTPS trackers are authenticated. By the roots and the provider of the features by default, see
    /// [`TlsConfig`].
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.tls = config;
        self
    }

    /// Sets the `User-Agent` header: this crate's name and version by default. Private trackers keep lists of the clients
    /// that they accept.
    ///
    /// # Errors
    /// When it isn't 1 to 64 printable ASCII characters.
    pub fn user_agent(mut self, name: &str) -> Result<Self, HttpConfigError> {
        if name.is_empty() || name.len() > MAX_USER_AGENT_LEN {
            return Err(HttpConfigError::new("expected a user agent of 1 to 64 characters"));
        }
        self.user_agent = printable(name)?;
        Ok(self)
    }

    /// Adds a header to every request that goes to a tracker's own scheme, host and port. A redirect to elsewhere carries
    /// none of them, so that no cookie or key gets to another host. None by default: trackers refuse clients for headers
    /// that only browsers send (Q-49).
    ///
    /// # Errors
    /// When the name isn't a header's, the value isn't printable ASCII, or the transport writes that header itself.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HttpConfigError> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| HttpConfigError::new("expected a header name of letters, digits and dashes"))?;
        if OWN_HEADERS.contains(&name) {
            return Err(HttpConfigError::new("the transport writes this header itself"));
        }
        let value = printable(value)?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// Whether this build speaks with trackers of a scheme.
    pub(super) fn supports(scheme: Scheme) -> bool {
        scheme == Scheme::Http || (cfg!(feature = "tls") && scheme == Scheme::Https)
    }

    pub(super) fn agent(&self) -> &HeaderValue {
        &self.user_agent
    }

    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

fn printable(value: &str) -> Result<HeaderValue, HttpConfigError> {
    let wrong = HttpConfigError::new("expected printable ASCII characters");
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(wrong);
    }
    HeaderValue::from_str(value).map_err(|_| wrong)
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Added headers are left out: their values may be secrets.
impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig")
            .field("user_agent", &self.user_agent)
            .field("max_body", &self.max_body)
            .field("max_redirects", &self.max_redirects)
            .field("addresses", &self.addresses)
            .field("keep_idle", &self.keep_idle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-08.
    #[test]
    fn a_setting_that_could_add_lines_to_a_request_is_refused() {
        for agent in ["", "a\r\nb: c", "a\nb", "a\0b", "ä", &"x".repeat(65)] {
            assert!(HttpConfig::new().user_agent(agent).is_err(), "{agent:?}");
        }
        for (name, value) in [
            ("X-Y", "a\r\nb: c"),
            ("X-Y", "a\0"),
            ("X Y", "a"),
            ("X-Y\r\nZ", "a"),
            ("X:Y", "a"),
            ("", "a"),
            ("Host", "a"),
            ("content-length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("authorization", "Basic x"),
        ] {
            assert!(HttpConfig::new().header(name, value).is_err(), "{name:?}: {value:?}");
        }
        assert!(HttpConfig::new().header("Accept", "*/*").is_ok());
    }

    #[test]
    fn debug_output_shows_no_added_headers() {
        let config = HttpConfig::new().header("X-Key", "hidden").unwrap();
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
