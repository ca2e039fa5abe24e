//! Where a tracker is: its announce address, which of the schemes it speaks, and the host behind it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

/// The longest announce address accepted, in bytes; anything longer is an attack, not an address.
const MAX_ADDRESS_LEN: usize = 2048;

/// The longest address accepted in a redirect. What the parts of an address are found by holds no more.
const MAX_REDIRECT_LEN: usize = u16::MAX as usize;

/// The longest name that name servers know (RFC 1035). In punycode, a short text can become much longer than it was.
const MAX_NAME_LEN: usize = 253;

/// The announce address of a tracker.
///
/// Kept as it was written, because trackers compare paths and queries byte for byte; compared in its
/// normalised form (scheme and host without case, default port dropped), so that one tracker written twice
/// is recognised. `Display` and `Debug` print scheme, host and port only: paths and queries carry passkeys.
///
/// Cloning is cheap.
///
/// ```
/// use tracker_failover::TrackerUrl;
///
/// let url: TrackerUrl = "HTTP://Tracker.example:80/announce?passkey=secret".parse()?;
/// assert_eq!(url.to_string(), "http://tracker.example");
/// assert_eq!(url, "http://tracker.example/announce?passkey=secret".parse()?);
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
#[derive(Clone)]
pub struct TrackerUrl(Arc<Parts>);

/// The address as it was written, and where in it the parts are that are taken as they stand: clients hold
/// ten thousands of these.
struct Parts {
    text: Box<str>,
    host: TrackerHost,
    /// The name of a scheme that isn't spoken here.
    foreign_scheme: Option<Box<str>>,
    userinfo: Option<Range<u16>>,
    target: Range<u16>,
}

/// What an announce address is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Plain HTTP (BEP 3).
    Http,
    /// HTTP over TLS.
    Https,
    /// UDP (BEP 15).
    Udp,
    /// Anything else, such as `wss` or `dht`: kept in the list and shown, never tried.
    Other,
}

/// The host of a tracker: what health and connections are kept by, because one dead machine fails all the
/// announce addresses on it. Holds no path and no query, so it can be logged and stored.
///
/// Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerHost {
    scheme: Scheme,
    host: Arc<str>,
    port: u16,
}

/// Why a text is not the announce address of a tracker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tracker address: {0}")]
pub struct TrackerUrlError(&'static str);

impl TrackerUrl {
    /// Reads an announce address, white space at both ends trimmed.
    ///
    /// # Errors
    /// When the text is longer than 2048 bytes, holds blanks or control characters, has no scheme or host, a host
    /// of more than 253 bytes, a
    /// port outside 1 to 65535, or is `udp` without a port. A scheme this crate doesn't speak is no error:
    /// see [`Scheme::Other`].
    pub fn parse(text: &str) -> Result<Self, TrackerUrlError> {
        if text.trim_matches(is_trimmed).len() > MAX_ADDRESS_LEN {
            return Err(TrackerUrlError("longer than 2048 bytes"));
        }
        Self::parse_redirect(text)
    }

    /// Reads an address to which a tracker redirects: longer ones than a torrent may name, since it is the server's
    /// own query that is in there, and the limit of a head bounds it.
    pub(crate) fn parse_redirect(text: &str) -> Result<Self, TrackerUrlError> {
        let text = text.trim_matches(is_trimmed);
        if text.is_empty() {
            return Err(TrackerUrlError("expected scheme://host, found nothing"));
        }
        if text.len() > MAX_REDIRECT_LEN {
            return Err(TrackerUrlError("longer than 65535 bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(TrackerUrlError("a blank or control character inside"));
        }
        let (scheme_name, rest) =
            text.split_once("://").ok_or(TrackerUrlError("expected scheme://host, found no \"://\""))?;
        let scheme_name = scheme_name.to_ascii_lowercase();
        let starts_well = scheme_name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts_well || !scheme_name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            return Err(TrackerUrlError("expected a scheme of letters before \"://\""));
        }
        let rest = rest.split_once('#').map_or(rest, |(before, _fragment)| before);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('\\') {
            // Browsers read it as a slash, others as part of the user name: two readings, two hosts.
            return Err(TrackerUrlError("a backslash before the path, where the host should be"));
        }
        let (userinfo, address) = match authority.rsplit_once('@') {
            Some((userinfo, address)) => (Some(userinfo), address),
            None => (None, authority),
        };
        let scheme = match scheme_name.as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "udp" => Scheme::Udp,
            _ => Scheme::Other,
        };
        let (host, port) = match scheme {
            Scheme::Other => (address.to_ascii_lowercase(), None),
            _ => host_and_port(address, scheme)?,
        };
        let default_port = match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
            Scheme::Udp | Scheme::Other => 0,
        };
        let authority_at = scheme_name.len() + "://".len();
        Ok(Self(Arc::new(Parts {
            text: text.into(),
            host: TrackerHost { scheme, host: host.into(), port: port.unwrap_or(default_port) },
            foreign_scheme: (scheme == Scheme::Other).then(|| scheme_name.into()),
            userinfo: userinfo.map(|userinfo| span(authority_at, userinfo.len())),
            target: span(authority_at + end, target.len()),
        })))
    }

    /// What it is spoken with.
    pub fn scheme(&self) -> Scheme {
        self.0.host.scheme
    }

    /// The host: a name in lower case (punycode where it isn't ASCII), an IPv4 address, or an IPv6 address in
    /// brackets.
    pub fn host(&self) -> &str {
        &self.0.host.host
    }

    /// Whether the host is a name, and not an address.
    pub fn is_named(&self) -> bool {
        !self.host().starts_with('[') && self.host().parse::<std::net::Ipv4Addr>().is_err()
    }

    /// The port to connect to; the scheme's own where the address names none, 0 for [`Scheme::Other`].
    pub fn port(&self) -> u16 {
        self.0.host.port
    }

    /// The port as it belongs into a `Host` header: `None` where it is the scheme's own.
    pub fn explicit_port(&self) -> Option<u16> {
        let default = matches!((self.scheme(), self.port()), (Scheme::Http, 80) | (Scheme::Https, 443));
        if default || self.scheme() == Scheme::Other { None } else { Some(self.port()) }
    }

    /// The host as the key under which health and connections are kept.
    pub fn tracker_host(&self) -> TrackerHost {
        self.0.host.clone()
    }

    /// The same for whoever only looks something up.
    pub(crate) fn host_key(&self) -> &TrackerHost {
        &self.0.host
    }

    /// Whether there is another clone of this.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Whether this is a clone of the other, which is quicker to see than that they are equal.
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Path and query as they were written, empty where there are none. **A secret**: passkeys live here.
    pub fn path_and_query(&self) -> &str {
        self.part(&self.0.target)
    }

    /// User name and password as they were written. **A secret.**
    pub fn userinfo(&self) -> Option<&str> {
        self.0.userinfo.as_ref().map(|userinfo| self.part(userinfo))
    }

    /// The whole address as it was written. **A secret**: never log it.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    fn scheme_name(&self) -> &str {
        self.0.foreign_scheme.as_deref().unwrap_or(self.scheme().name())
    }

    fn part(&self, span: &Range<u16>) -> &str {
        self.0.text.get(usize::from(span.start)..usize::from(span.end)).unwrap_or_default()
    }

    fn normalised(&self) -> (&str, &str, u16, Option<&str>, &str) {
        let target = match self.scheme() {
            Scheme::Http | Scheme::Https if self.0.target.is_empty() => "/",
            _ => self.path_and_query(),
        };
        (self.scheme_name(), self.host(), self.port(), self.userinfo(), target)
    }
}

/// What is left out at both ends of an address.
fn is_trimmed(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// So many bytes of an address, which isn't longer than [`MAX_REDIRECT_LEN`].
fn span(start: usize, length: usize) -> Range<u16> {
    let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    place(start)..place(start + length)
}

impl TrackerHost {
    /// What it is spoken with.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, as in [`TrackerUrl::host`].
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Scheme {
    /// The scheme as it is written before `://`; `other` for what this crate doesn't speak.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Udp => "udp",
            Self::Other => "other",
        }
    }
}

/// Splits `host[:port]` and brings the host into its one normalised form. `udp` isn't a special scheme to the
/// `url` crate, which would leave its hosts as written; so every host goes through [`url::Host`] here.
fn host_and_port(address: &str, scheme: Scheme) -> Result<(String, Option<u16>), TrackerUrlError> {
    let (host, port) = if let Some(bracketed) = address.strip_prefix('[') {
        let (inside, after) =
            bracketed.split_once(']').ok_or(TrackerUrlError("an IPv6 host without its closing bracket"))?;
        let ip: Ipv6Addr =
            inside.parse().map_err(|_| TrackerUrlError("expected an IPv6 address in the brackets"))?;
        let port = match after.strip_prefix(':') {
            Some(port) => port,
            None if after.is_empty() => "",
            None => return Err(TrackerUrlError("expected a port after the brackets")),
        };
        (format!("[{ip}]"), port)
    } else {
        let (host, port) = address.split_once(':').unwrap_or((address, ""));
        if port.contains(':') {
            return Err(TrackerUrlError("an IPv6 host needs brackets"));
        }
        if host.is_empty() {
            return Err(TrackerUrlError("expected a host after \"://\""));
        }
        let host = url::Host::parse(host).map_err(|_| TrackerUrlError("not a host name"))?.to_string();
        if host.strip_suffix('.').unwrap_or(&host).len() > MAX_NAME_LEN {
            return Err(TrackerUrlError("a host name longer than 253 bytes"));
        }
        (host, port)
    };
    let port = match port {
        "" if scheme == Scheme::Udp => return Err(TrackerUrlError("a udp address needs a port")),
        "" => None,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse::<u16>() {
            Ok(0) | Err(_) => return Err(TrackerUrlError("expected a port from 1 to 65535")),
            Ok(port) => Some(port),
        },
        _ => return Err(TrackerUrlError("expected a port of digits")),
    };
    Ok((host, port))
}

impl FromStr for TrackerUrl {
    type Err = TrackerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl PartialEq for TrackerUrl {
    fn eq(&self, other: &Self) -> bool {
        self.is_clone_of(other) || self.normalised() == other.normalised()
    }
}

impl Eq for TrackerUrl {}

impl PartialOrd for TrackerUrl {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TrackerUrl {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.is_clone_of(other) { Ordering::Equal } else { self.normalised().cmp(&other.normalised()) }
    }
}

impl Hash for TrackerUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normalised().hash(state);
    }
}

impl fmt::Display for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme() == Scheme::Other {
            // The rest of an address we can't read could be anything, a passkey included.
            let host: String =
                self.host().chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
            return write!(f, "{}://{host}", self.scheme_name());
        }
        write!(f, "{}://{}", self.scheme_name(), self.host())?;
        self.explicit_port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrackerUrl({self})")
    }
}

impl fmt::Display for TrackerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.name(), self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_their_normalised_form() {
        let same = [
            ("http://t.test/announce", "HTTP://T.test:80/announce"),
            (" http://t.test/a\r\n", "http://t.test/a"),
            ("http://t.test", "http://t.test/"),
            ("https://t.test:443/a", "https://t.test/a"),
            ("udp://T.test:6969/a", "udp://t.test:6969/a"),
            ("http://t.test:/a", "http://t.test/a"),
            ("http://t.test/a#fragment", "http://t.test/a"),
            ("http://2130706433/a", "http://127.0.0.1/a"),
            ("http://B\u{fc}cher.test/a", "http://xn--bcher-kva.test/a"),
        ];
        for (one, other) in same {
            assert_eq!(TrackerUrl::parse(one), TrackerUrl::parse(other), "{one} and {other}");
        }
        let different = [
            "http://t.test/announce",
            "http://t.test/Announce",
            "http://t.test/announce/",
            "http://t.test/announce?",
            // Q-38: one machine, and a tracker for each scheme.
            "https://t.test:80/announce",
            "udp://t.test:80/announce",
        ];
        for (index, one) in different.iter().enumerate() {
            for other in &different[index + 1..] {
                assert_ne!(TrackerUrl::parse(one), TrackerUrl::parse(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn what_is_no_address_says_what_was_expected() {
        let refused = [
            ("", "found nothing"),
            ("udp://t.test/announce", "needs a port"),
            ("http://2001:db8::1/a", "needs brackets"),
            ("http://[::1%25eth0]/a", "IPv6 address in the brackets"),
            ("http://t.test:0/a", "1 to 65535"),
            ("http://t.test:65536/a", "1 to 65535"),
            ("http://t.test:-1/a", "port of digits"),
            ("http://t.test:8o/a", "port of digits"),
            ("http:///a", "expected a host"),
            ("//t.test/a", "no \"://\""),
            ("t.test/a", "no \"://\""),
            ("http://t.test/a b", "blank or control"),
            ("http://t.test/a\u{7f}", "blank or control"),
            ("http://t.test\\@evil.test/a", "host"),
        ];
        for (text, expected) in refused {
            match TrackerUrl::parse(text) {
                Ok(url) => panic!("{text} was read as {url:?}"),
                Err(error) => assert!(error.to_string().contains(expected), "{text}: {error}"),
            }
        }
        assert!(TrackerUrl::parse(&format!("http://t.test/{}", "a".repeat(2048))).is_err());
        let long = |part: &str, times| TrackerUrl::parse(&format!("http://{}t/a", part.repeat(times)));
        assert!(long("a.", 126).is_ok(), "253 bytes");
        for host in [long("a.", 127), long("\u{fc}.", 40)] {
            assert!(
                host.is_err_and(|error| error.to_string().ends_with("a host name longer than 253 bytes"))
            );
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        for text in [
            "http://user:pa55@tracker.test:8080/abcdef/announce?passkey=abcdef",
            "wss://user:pa55@tracker.test/abcdef?passkey=abcdef",
            "udp://tracker.test:8080/abcdef",
        ] {
            let url = TrackerUrl::parse(text).unwrap();
            let shown = format!("{url} {url:?} {} {:?}", url.tracker_host(), url.tracker_host());
            assert!(
                shown.contains("tracker.test") && !shown.contains("abcdef") && !shown.contains("pa55"),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_foreign_scheme_is_kept_as_such() {
        let url = TrackerUrl::parse("WSS://w.test/announce").unwrap();
        assert_eq!((url.scheme(), url.to_string().as_str()), (Scheme::Other, "wss://w.test"));
    }
}
