//! Every knob of the HTTP transport, checked where it is set, so that nothing can be smuggled into a request.

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
use crate::tracker::Scheme;
use crate::wire::compact::MAX_PEERS;

/// Trackers refuse longer ones (Q-48, POL-25).
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

/// How [`HttpTransport`](super::HttpTransport) speaks and what it puts up with.
///
/// ```
/// use tracker_failover::net::http::HttpConfig;
///
/// let mut config = HttpConfig::new().user_agent("example-client/1.0")?;
/// config.max_redirects = 2;
/// assert!(HttpConfig::new().user_agent("one\r\ntwo: three").is_err());
/// # Ok::<(), tracker_failover::net::http::HttpConfigError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpConfig {
    /// 2 MiB. The largest body taken, before and after decompression; 2000 peers are 12 kB (POL-21).
    pub max_body: usize,
    /// 64 KiB. The largest head of an answer (POL-21).
    pub max_head: usize,
    /// 100. The most headers in an answer (POL-21); never more than 1000.
    pub max_headers: usize,
    /// 5. How many redirects one announce follows (POL-17).
    pub max_redirects: usize,
    /// [`AddressPolicy::ALLOW_ALL`]. Where trackers may be, at every hop: announce addresses are the user's.
    pub addresses: AddressPolicy,
    /// 2000. How many peers of one answer are handed out, which is also the most there can be (POL-21).
    pub max_peers: usize,
    /// On. A redirect never leads from a host on the internet to one that isn't, whatever `addresses` allows:
    /// the address in a redirect is the tracker's, not the user's.
    pub guard_redirects: bool,
    /// The system's choice. The address of this machine to connect from.
    pub local_address: Option<IpAddr>,
    /// 60 s. How long a connection is kept open for the next request (after a probe, an announce). Zero keeps
    /// none.
    pub keep_idle: Duration,
    /// The roots of Mozilla. How HTTPS trackers are recognised.
    #[cfg(feature = "tls")]
    pub tls: TlsConfig,
    user_agent: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl HttpConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            max_body: 2 << 20,
            max_head: 64 << 10,
            max_headers: 100,
            max_redirects: 5,
            addresses: AddressPolicy::ALLOW_ALL,
            max_peers: MAX_PEERS,
            guard_redirects: true,
            local_address: None,
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

    /// Calls the client by this name; private trackers keep lists of those they know.
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

    /// Adds a header to every request that goes to a tracker's own scheme, host and port: a redirect to elsewhere takes
    /// no cookie and no key along. None is needed; trackers refuse clients for headers that only browsers send (Q-49).
    ///
    /// # Errors
    /// When the name isn't one, the value isn't printable ASCII, or the transport writes that header itself.
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

/// The values of added headers may be secrets and stay out of logs.
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
    fn nothing_is_smuggled_into_a_request() {
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
    fn added_headers_stay_out_of_debug() {
        let config = HttpConfig::new().header("X-Key", "hidden").unwrap();
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
