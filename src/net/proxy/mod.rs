//! The proxy through which trackers are reached: its address, and what it carries.

mod association;
mod connector;
mod error;
mod socks;
mod tunnel;
mod way;

pub(super) use self::association::ProxyDatagrams;
pub(super) use self::connector::ProxyConnector;
pub(super) use self::way::Way;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

/// The longest user name and password of SOCKS 5, in bytes (RFC 1929).
const MAX_CREDENTIAL_LEN: usize = 255;

/// The longest host name in bytes (RFC 1035).
const MAX_NAME_LEN: usize = 253;

/// The address of a proxy, with the user name and password that it asks for. Its debug output shows neither.
///
/// It is read from a URL, as [`AnnouncerBuilder::proxy`](crate::AnnouncerBuilder::proxy) takes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    protocol: Protocol,
    host: ProxyHost,
    port: u16,
    credentials: Option<Credentials>,
}

/// What is spoken with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// SOCKS 5 (RFC 1928), for TCP and UDP.
    Socks5,
    /// `CONNECT` of HTTP (RFC 9110), for TCP alone.
    Http,
}

/// Where a proxy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProxyHost {
    Address(IpAddr),
    Name(String),
}

#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

/// A text isn't the address of a proxy: what was expected. Holds nothing of the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a proxy: expected {0}")]
pub struct ProxyError(&'static str);

impl Proxy {
    /// Whether datagrams can go through it.
    pub(super) fn carries_udp(&self) -> bool {
        self.protocol == Protocol::Socks5
    }

    /// Whether its own name has to be looked up. `localhost` needn't (RFC 6761).
    pub fn needs_resolver(&self) -> bool {
        matches!(&self.host, ProxyHost::Name(name) if !is_localhost(name))
    }
}

/// Whether a name is that of this machine.
fn is_localhost(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case("localhost")
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(text).map_err(|_| ProxyError("a URL such as socks5://host:1080"))?;
        let (protocol, default_port) = match url.scheme() {
            "socks5" | "socks5h" => (Protocol::Socks5, 1080),
            "http" => (Protocol::Http, 80),
            _ => return Err(ProxyError("socks5://, socks5h:// or http://")),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError("nothing behind host and port"));
        }
        let host = url.host_str().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let host = match bare.parse() {
            Ok(address) => ProxyHost::Address(address),
            Err(_) if bare.is_empty() || bare.len() > MAX_NAME_LEN || !bare.bytes().all(is_name) => {
                return Err(ProxyError("a host of letters, digits, dashes and dots, or an IP address"));
            }
            Err(_) => ProxyHost::Name(bare.to_owned()),
        };
        let port = url.port().unwrap_or(default_port);
        if port == 0 {
            return Err(ProxyError("a port of 1 to 65535"));
        }
        let credentials = Credentials::of(&url)?;
        let has_colon = credentials.as_ref().is_some_and(|credentials| credentials.user.contains(&b':'));
        if protocol == Protocol::Http && has_colon {
            return Err(ProxyError("a user name without a colon"));
        }
        Ok(Self { protocol, host, port, credentials })
    }
}

impl Credentials {
    fn of(url: &Url) -> Result<Option<Self>, ProxyError> {
        let user: Vec<u8> = percent_decode_str(url.username()).collect();
        let password: Vec<u8> = percent_decode_str(url.password().unwrap_or_default()).collect();
        if user.is_empty() && password.is_empty() {
            return Ok(None);
        }
        if user.is_empty() {
            return Err(ProxyError("a user name before the password"));
        }
        if user.len() > MAX_CREDENTIAL_LEN || password.len() > MAX_CREDENTIAL_LEN {
            return Err(ProxyError("a user name and a password of at most 255 bytes"));
        }
        Ok(Some(Self { user, password }))
    }
}

/// Without user name and password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("protocol", &self.protocol)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_proxy_is_read() {
        use Protocol::{Http, Socks5};
        let name = |name: &str| ProxyHost::Name(name.to_owned());
        let address = |address: &str| ProxyHost::Address(address.parse().unwrap());
        for (text, protocol, host, port) in [
            ("socks5://127.0.0.1", Socks5, address("127.0.0.1"), 1080),
            ("socks5h://[::1]:9050/", Socks5, address("::1"), 9050),
            ("SOCKS5://p.example:1", Socks5, name("p.example"), 1),
            ("http://p.example", Http, name("p.example"), 80),
            ("http://192.0.2.7:3128/", Http, address("192.0.2.7"), 3128),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!((proxy.protocol, proxy.host, proxy.port), (protocol, host, port), "{text}");
            assert!(proxy.credentials.is_none());
        }
        for (text, needs) in [
            ("socks5://p.example", true),
            ("socks5://LOCALHOST.", false),
            ("socks5://xlocalhost", true),
            ("http://[::1]", false),
        ] {
            assert_eq!(text.parse::<Proxy>().unwrap().needs_resolver(), needs, "{text}");
        }
    }

    #[test]
    fn credentials_are_unescaped_and_shown_nowhere() {
        let proxy: Proxy = "socks5://us%40er:s3cret%3A%00@h:1".parse().unwrap();
        let credentials = proxy.credentials.clone().unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), (&b"us@er"[..], &b"s3cret:\0"[..]));
        let shown = format!("{proxy:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("er"), "{shown}");
        let long = "s3cret".repeat(50);
        for text in [
            format!("socks5://u:{long}@h"),
            format!("socks5://{long}@h"),
            "socks5://:s3cret@h".to_owned(),
            "http://s3cret%3A:s3cret@h".to_owned(),
            "ftp://u:s3cret@h".to_owned(),
            "socks5://u:s3cret@".to_owned(),
            "u:s3cret@h:1080".to_owned(),
        ] {
            let error = text.parse::<Proxy>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{text}");
        }
        let longest = "x".repeat(255);
        assert!(format!("socks5://{longest}:{longest}@h").parse::<Proxy>().is_ok());
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for text in [
            "",
            "127.0.0.1:1080",
            "socks4://h",
            "https://h",
            "socks5://",
            "socks5://h:0",
            "socks5://h:65536",
            "socks5://h/path",
            "socks5://h?x",
            "socks5://h#x",
            "socks5://h%20x",
            "socks5://h\u{e4}",
            &format!("socks5://{}", "h".repeat(254)),
        ] {
            assert!(text.parse::<Proxy>().is_err(), "{text}");
        }
    }
}
