//! The announce address of a tracker, its scheme, its host and its address family.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use url::Url;

/// The longest announce address accepted, in bytes. Real ones are far shorter.
const MAX_ADDRESS_LEN: usize = 2048;

/// The longest address accepted in a redirect, in bytes: the parts of an address are found by `u16` positions.
const MAX_REDIRECT_LEN: usize = u16::MAX as usize;

/// The longest host name in the DNS, in bytes (RFC 1035). Checked after the conversion to punycode, which makes names longer.
const MAX_NAME_LEN: usize = 253;

/// The announce address of a tracker.
///
/// The address is kept as it was written, because trackers compare paths and queries byte for byte. Two addresses are
/// compared in their normalised form (scheme and host in lower case, without the default port), so that a tracker that is
/// written in two ways is recognised. `Display` and `Debug` show scheme, host and port only, because paths and queries hold
/// passkeys.
///
/// A tracker that is announced to over both address families has a second address, which is restricted to one of them
/// ([`family`](Self::family)) and shown with it: `http://tracker.example (IPv6)`. It isn't equal to the unrestricted one.
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

/// The address as it was written, and the positions of the parts that are used as they are. Ranges instead of strings,
/// because clients hold tens of thousands of addresses.
#[derive(Clone)]
struct Parts {
    text: Box<str>,
    host: TrackerHost,
    /// The name of the scheme for [`Scheme::Other`].
    foreign_scheme: Option<Box<str>>,
    userinfo: Option<Range<u16>>,
    target: Range<u16>,
}

/// The scheme of an announce address.
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

/// The host of a tracker: scheme, host and port. The key of health and connections, because a dead machine fails for all
/// announce addresses on it. Holds neither path nor query, so it can be logged and stored.
///
/// Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerHost {
    scheme: Scheme,
    host: Arc<str>,
    port: u16,
    /// The family that its addresses are restricted to: machines answer over one and are dead over the other.
    family: Option<AddressFamily>,
}

/// The family of an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// IPv4, also where an address is mapped into IPv6.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Why a text isn't the announce address of a tracker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tracker address: {0}")]
pub struct TrackerUrlError(&'static str);

impl TrackerUrl {
    /// Parses an announce address. White space at both ends is trimmed.
    ///
    /// # Errors
    /// If the text is longer than 2048 bytes, holds blanks or control characters, has no scheme or no host, a host of more
    /// than 253 bytes or a port outside 1 to 65535, or is `udp` without a port. An unsupported scheme is no error: see
    /// [`Scheme::Other`].
    pub fn parse(text: &str) -> Result<Self, TrackerUrlError> {
        if text.trim_matches(is_trimmed).len() > MAX_ADDRESS_LEN {
            return Err(TrackerUrlError("expected at most 2048 bytes"));
        }
        Self::parse_redirect(text)
    }

    /// Parses the target of a redirect. It may be longer than an address in a torrent, since it holds our query, and the
    /// limit of an HTTP head bounds it.
    pub(crate) fn parse_redirect(text: &str) -> Result<Self, TrackerUrlError> {
        let text = text.trim_matches(is_trimmed);
        if text.is_empty() {
            return Err(TrackerUrlError("expected scheme://host, found nothing"));
        }
        if text.len() > MAX_REDIRECT_LEN {
            return Err(TrackerUrlError("expected at most 65535 bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(TrackerUrlError("it holds a blank or control character"));
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
            // Browsers take it for a slash, other parsers for a part of the user name, which gives another host.
            return Err(TrackerUrlError("expected a host after \"://\", found a backslash"));
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
            host: TrackerHost { scheme, host: host.into(), port: port.unwrap_or(default_port), family: None },
            foreign_scheme: (scheme == Scheme::Other).then(|| scheme_name.into()),
            userinfo: userinfo.map(|userinfo| span(authority_at, userinfo.len())),
            target: span(authority_at + end, target.len()),
        })))
    }

    /// The scheme of the address.
    pub fn scheme(&self) -> Scheme {
        self.0.host.scheme
    }

    /// The host: a name in lower case (in punycode if it isn't ASCII), an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.0.host.host
    }

    /// Whether the host is a name and not an IP address.
    pub fn is_named(&self) -> bool {
        !self.host().starts_with('[') && self.host().parse::<std::net::Ipv4Addr>().is_err()
    }

    /// The port to connect to: the default port of the scheme if the address has none, 0 for [`Scheme::Other`].
    pub fn port(&self) -> u16 {
        self.0.host.port
    }

    /// The port for a `Host` header: `None` if it is the default port of the scheme.
    pub fn explicit_port(&self) -> Option<u16> {
        let default = matches!((self.scheme(), self.port()), (Scheme::Http, 80) | (Scheme::Https, 443));
        if default || self.scheme() == Scheme::Other { None } else { Some(self.port()) }
    }

    /// The address family that it is restricted to; `None` if it may be announced to over either.
    pub fn family(&self) -> Option<AddressFamily> {
        self.0.host.family
    }

    /// The same tracker over this address family only.
    pub(crate) fn over(&self, family: AddressFamily) -> Self {
        self.restricted(Some(family))
    }

    /// The same tracker over any address family.
    pub(crate) fn unrestricted(self) -> Self {
        if self.family().is_none() { self } else { self.restricted(None) }
    }

    /// The tracker that runs on another port of the same host, or by another protocol: path, query and user stay.
    pub(crate) fn at(&self, scheme: Scheme, port: u16) -> Option<Self> {
        let target = match scheme {
            // Over UDP the path is optional, and mostly left out.
            Scheme::Http if self.scheme() == Scheme::Udp && self.0.target.is_empty() => "/announce",
            _ => self.path_and_query(),
        };
        let (userinfo, at) = self.userinfo().map_or(("", ""), |userinfo| (userinfo, "@"));
        let moved = format!("{}://{userinfo}{at}{}:{port}{target}", scheme.name(), self.host());
        let moved = Self::parse_redirect(&moved).ok()?;
        Some(self.family().map_or_else(|| moved.clone(), |family| moved.over(family)))
    }

    fn restricted(&self, family: Option<AddressFamily>) -> Self {
        let host = TrackerHost { family, ..self.0.host.clone() };
        Self(Arc::new(Parts { host, ..Parts::clone(&self.0) }))
    }

    /// The tracker's host, the key of health and connections.
    pub fn tracker_host(&self) -> TrackerHost {
        self.0.host.clone()
    }

    /// The tracker's host by reference, for look-ups.
    pub(crate) fn host_key(&self) -> &TrackerHost {
        &self.0.host
    }

    /// Whether another clone of this address exists.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Whether this is a clone of the other. Faster than a comparison.
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Path and query as they were written, empty if there are none. **A secret**: they hold passkeys.
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

    /// The scheme as it was written, in lower case.
    pub(crate) fn scheme_name(&self) -> &str {
        self.0.foreign_scheme.as_deref().unwrap_or(self.scheme().name())
    }

    fn part(&self, span: &Range<u16>) -> &str {
        self.0.text.get(usize::from(span.start)..usize::from(span.end)).unwrap_or_default()
    }

    fn normalised(&self) -> (&str, &str, u16, Option<&str>, &str, Option<AddressFamily>) {
        let target = match self.scheme() {
            Scheme::Http | Scheme::Https if self.0.target.is_empty() => "/",
            _ => self.path_and_query(),
        };
        (self.scheme_name(), self.host(), self.port(), self.userinfo(), target, self.family())
    }
}

/// Whether a character is trimmed at both ends of an address.
fn is_trimmed(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// The range of a part in an address, which isn't longer than [`MAX_REDIRECT_LEN`].
fn span(start: usize, length: usize) -> Range<u16> {
    let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    place(start)..place(start + length)
}

impl TrackerHost {
    /// The scheme of the tracker's address.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, as in [`TrackerUrl::host`].
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, as in [`TrackerUrl::port`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address family, as in [`TrackerUrl::family`].
    pub fn family(&self) -> Option<AddressFamily> {
        self.family
    }
}

impl AddressFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

impl Scheme {
    /// The scheme as written before `://`; `other` for [`Scheme::Other`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Udp => "udp",
            Self::Other => "other",
        }
    }
}

/// Splits `host[:port]` and normalises the host by [`url::Host`]. The `url` crate itself would leave the hosts of `udp`
/// addresses as written, because that isn't one of its special schemes.
fn host_and_port(address: &str, scheme: Scheme) -> Result<(String, Option<u16>), TrackerUrlError> {
    let (host, port) = if let Some(bracketed) = address.strip_prefix('[') {
        let (inside, after) =
            bracketed.split_once(']').ok_or(TrackerUrlError("expected \"]\" after the IPv6 address"))?;
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
            return Err(TrackerUrlError("expected an IPv6 address in brackets"));
        }
        if host.is_empty() {
            return Err(TrackerUrlError("expected a host after \"://\""));
        }
        let host = url::Host::parse(host)
            .map_err(|_| TrackerUrlError("expected a valid host name after \"://\""))?
            .to_string();
        if host.strip_suffix('.').unwrap_or(&host).len() > MAX_NAME_LEN {
            return Err(TrackerUrlError("expected a host name of at most 253 bytes"));
        }
        (host, port)
    };
    let port = match port {
        "" if scheme == Scheme::Udp => return Err(TrackerUrlError("expected a port in a udp address")),
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

impl TryFrom<&Url> for TrackerUrl {
    type Error = TrackerUrlError;

    /// The address as the `Url` has it, which has normalised it already: where a tracker compares bytes, the text of the
    /// torrent is the better source.
    fn try_from(url: &Url) -> Result<Self, Self::Error> {
        Self::parse(url.as_str())
    }
}

impl TryFrom<Url> for TrackerUrl {
    type Error = TrackerUrlError;

    fn try_from(url: Url) -> Result<Self, Self::Error> {
        Self::try_from(&url)
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
            // The rest of an address with an unknown scheme may hold a passkey.
            let host: String =
                self.host().chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
            return write!(f, "{}://{host}", self.scheme_name());
        }
        write!(f, "{}://{}", self.scheme_name(), self.host())?;
        self.explicit_port().map_or(Ok(()), |port| write!(f, ":{port}"))?;
        self.family().map_or(Ok(()), |family| write!(f, " ({family})"))
    }
}

impl fmt::Debug for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrackerUrl({self})")
    }
}

/// As [`name`](Scheme::name) gives it.
impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TrackerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.name(), self.host, self.port)?;
        self.family.map_or(Ok(()), |family| write!(f, " ({family})"))
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for TrackerHost {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Of the form `scheme://host:port`, as it is displayed.
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for TrackerHost {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let families = [Some(AddressFamily::Ipv4), Some(AddressFamily::Ipv6), None];
        let suffix =
            |family: &Option<AddressFamily>| family.map_or(String::new(), |family| format!(" ({family})"));
        let family = families.into_iter().find(|family| text.ends_with(&suffix(family))).flatten();
        let url = text.strip_suffix(&suffix(&family)).and_then(|text| TrackerUrl::parse(text).ok());
        let host = url.map(|url| url.restricted(family).tracker_host());
        host.filter(|host| host.scheme != Scheme::Other && host.to_string() == *text)
            .ok_or_else(|| serde::de::Error::custom("expected scheme://host:port"))
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
            // Q-38: one machine, with one tracker for each scheme.
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
    fn an_invalid_address_is_refused_with_what_was_expected() {
        let refused = [
            ("", "found nothing"),
            ("udp://t.test/announce", "a port in a udp address"),
            ("http://2001:db8::1/a", "IPv6 address in brackets"),
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
            assert!(host.is_err_and(|error| error.to_string().ends_with("a host name of at most 253 bytes")));
        }
    }

    #[test]
    fn secrets_are_not_displayed() {
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
    fn an_address_of_one_family_is_another_address_and_shown_as_such() {
        let url = TrackerUrl::parse("http://t.test:8080/a?passkey=abcdef").unwrap();
        let [v4, v6] = [AddressFamily::Ipv4, AddressFamily::Ipv6].map(|family| url.over(family));
        assert_eq!(format!("{v4} {v6:?}"), "http://t.test:8080 (IPv4) TrackerUrl(http://t.test:8080 (IPv6))");
        assert_eq!(v6.tracker_host().to_string(), "http://t.test:8080 (IPv6)");
        assert_eq!((v4.as_str(), v4.path_and_query()), (url.as_str(), url.path_and_query()));
        assert!(url != v4 && v4 != v6 && url.tracker_host() != v4.tracker_host());
        assert_eq!((v4.over(AddressFamily::Ipv6), v6.unrestricted()), (url.over(AddressFamily::Ipv6), url));
        let mapped = AddressFamily::of("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!((mapped, v4.family()), (AddressFamily::Ipv4, Some(AddressFamily::Ipv4)));
    }

    #[test]
    fn a_parsed_url_is_an_address_under_the_same_rules() {
        let url = Url::parse("http://t.test:8080/a?passkey=1").unwrap();
        assert_eq!(TrackerUrl::try_from(&url), TrackerUrl::parse(url.as_str()));
        assert_eq!(TrackerUrl::try_from(url).unwrap().path_and_query(), "/a?passkey=1");
        let without_port = Url::parse("udp://t.test/a").unwrap();
        let error = TrackerUrl::try_from(without_port).unwrap_err();
        assert_eq!(error.to_string(), "not a tracker address: expected a port in a udp address");
    }

    #[test]
    fn a_scheme_is_shown_by_its_name() {
        let shown =
            [Scheme::Http, Scheme::Https, Scheme::Udp, Scheme::Other].map(|scheme| scheme.to_string());
        assert_eq!(shown, ["http", "https", "udp", "other"]);
    }

    #[test]
    fn an_unsupported_scheme_is_kept() {
        let url = TrackerUrl::parse("WSS://w.test/announce").unwrap();
        assert_eq!((url.scheme(), url.to_string().as_str()), (Scheme::Other, "wss://w.test"));
    }
}
