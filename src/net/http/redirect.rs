//! The target of a redirect, and which targets are refused (POL-17).

use hyper::header::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use url::Url;

use super::config::HttpConfig;
use crate::error::RedirectError;
use crate::tracker::{Scheme, TrackerUrl};

/// Characters that occur in a `Location` but not in a URL, besides those that aren't ASCII.
const ESCAPED_IN_LOCATION: &AsciiSet = &CONTROLS.add(b' ');

/// Whether a status means that the answer is at another address. 300, 304 and 305 don't name one for the same request.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Whether two URLs have the same origin, and so may get the same secrets.
pub(super) fn same_origin(one: &TrackerUrl, other: &TrackerUrl) -> bool {
    one.tracker_host() == other.tracker_host()
}

/// The URL in a `Location`, read as browsers do.
pub(super) fn next(from: &TrackerUrl, location: Option<&HeaderValue>) -> Result<TrackerUrl, RedirectError> {
    let location =
        location.and_then(|value| escaped_location(value.as_bytes())).filter(|text| !text.is_empty());
    let to = location.and_then(|location| resolved(from, &location)).ok_or(RedirectError::NoTarget)?;
    match (from.scheme(), to.scheme()) {
        (Scheme::Https, Scheme::Http) => Err(RedirectError::Downgrade),
        (_, scheme) if HttpConfig::supports(scheme) => Ok(to),
        _ => Err(RedirectError::NoTarget),
    }
}

/// A `Location` as text: blanks and bytes that aren't ASCII, of any encoding, are escaped; in the host they have to be
/// UTF-8. Tabs are left out. Everything else stays as it is.
fn escaped_location(location: &[u8]) -> Option<String> {
    let bytes: Vec<u8> = location.trim_ascii().iter().copied().filter(|byte| *byte != b'\t').collect();
    let after = |start: usize| {
        let rest = bytes.get(start..).unwrap_or_default();
        rest.iter().position(|byte| b"/?#".contains(byte)).map_or(bytes.len(), |at| start + at)
    };
    let (scheme, rest) = bytes.split_at(after(0));
    let names_host = rest.starts_with(b"//") && scheme.last().is_none_or(|last| *last == b':');
    let (host, target) = bytes.split_at(if names_host { after(scheme.len() + 2) } else { 0 });
    Some(format!("{}{}", std::str::from_utf8(host).ok()?, percent_encode(target, ESCAPED_IN_LOCATION)))
}

/// A reference, resolved (RFC 3986, 5.2). The two forms that occur in practice are joined as text, because `Url` would
/// normalise them, and trackers compare bytes.
fn resolved(from: &TrackerUrl, location: &str) -> Option<TrackerUrl> {
    let scheme = location.split_once(':').map_or("", |(scheme, _)| scheme);
    let absolute = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let text = if absolute {
        location.to_owned()
    } else if location.starts_with('/') && !location.starts_with("//") {
        let port = from.explicit_port().map_or_else(String::new, |port| format!(":{port}"));
        format!("{}://{}{port}{location}", from.scheme().name(), from.host())
    } else {
        Url::parse(from.as_str()).ok()?.join(location).ok()?.into()
    };
    TrackerUrl::parse_redirect(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "http://t.test:8080/dir/announce?passkey=own";

    fn follow(from: &str, location: impl AsRef<[u8]>) -> Result<String, RedirectError> {
        let location = HeaderValue::from_bytes(location.as_ref()).unwrap();
        next(&from.parse().unwrap(), Some(&location)).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn a_location_is_used_as_it_stands() {
        for (location, leads_to) in [
            ("http://o.test/x|y?a={1}&b=%zz", "http://o.test/x|y?a={1}&b=%zz"),
            ("HTTP://O.test:80/A?", "HTTP://O.test:80/A?"),
            ("/x/announce?a=1", "http://t.test:8080/x/announce?a=1"),
            ("/a/../b?\"", "http://t.test:8080/a/../b?\""),
            ("//o.test/x", "http://o.test/x"),
            ("other", "http://t.test:8080/dir/other"),
            ("../up?x", "http://t.test:8080/up?x"),
            ("?x", "http://t.test:8080/dir/announce?x"),
            (" /blank ", "http://t.test:8080/blank"),
        ] {
            assert_eq!(follow(FROM, location).as_deref(), Ok(leads_to), "{location}");
        }
        assert_eq!(follow("http://u:p@t.test/a", "/b").as_deref(), Ok("http://t.test/b"), "names no user");
    }

    /// R114: blanks, tabs, and letters of any encoding.
    #[test]
    fn characters_that_no_url_holds_are_escaped_in_a_location() {
        let rows: [(&[u8], &str); 16] = [
            (b"/my announce?x=1 2", "http://t.test:8080/my%20announce?x=1%202"),
            (b"  /a b  ", "http://t.test:8080/a%20b"),
            (b"http://o.test/a b#c d", "http://o.test/a%20b#c%20d"),
            (b"HTTPS://o.test?a b", "HTTPS://o.test?a%20b"),
            (b"//o.test/a b", "http://o.test/a%20b"),
            (b"?a b", "http://t.test:8080/dir/announce?a%20b"),
            (b"my announce", "http://t.test:8080/dir/my%20announce"),
            (b"/stra\xdfe", "http://t.test:8080/stra%DFe"),
            (b"/stra\xc3\x9fe", "http://t.test:8080/stra%C3%9Fe"),
            (b"/\xff\xa0\x80", "http://t.test:8080/%FF%A0%80"),
            (b"http://o.test/?k=\xe4", "http://o.test/?k=%E4"),
            (b"/x?to=http://\xe4 b/", "http://t.test:8080/x?to=http://%E4%20b/"),
            (b"/\ta\tb", "http://t.test:8080/ab"),
            (b"ht\ttp://o.test/", "http://o.test/"),
            ("//\u{e4}.test/\u{e4}".as_bytes(), "http://xn--4ca.test/%C3%A4"),
            ("http://\u{e4}.test/a".as_bytes(), "http://\u{e4}.test/a"),
        ];
        for (location, leads_to) in rows {
            assert_eq!(follow(FROM, location).as_deref(), Ok(leads_to), "{}", location.escape_ascii());
        }
    }

    /// R114: tokens of object stores and firewalls take several kilobytes. What bounds it is the head.
    #[test]
    fn a_long_location_is_followed() {
        for length in [2048, 2049, 8000, 60_000] {
            let token = "x".repeat(length);
            let from = FROM.replace("own", &"y".repeat(1900));
            assert_eq!(follow(&from, format!("/a?t={token}")), Ok(format!("http://t.test:8080/a?t={token}")));
            assert_eq!(
                follow(FROM, format!("?{token}")),
                Ok(format!("http://t.test:8080/dir/announce?{token}"))
            );
        }
        assert_eq!(follow(FROM, format!("/{}", "x".repeat(70_000))), Err(RedirectError::NoTarget));
        assert_eq!(
            follow(FROM, [b"/".as_slice(), &b"\xe4".repeat(30_000)].concat()),
            Err(RedirectError::NoTarget)
        );
    }

    /// S-12, S-08.
    #[test]
    fn invalid_targets_of_redirects_are_refused() {
        for location in [
            "",
            "ftp://t.test/",
            "file:///etc/passwd",
            "javascript:x",
            "udp://t.test:80/",
            "http:/x",
            "http://",
            "http://t.test:0/",
            "http://u@/",
            "http://t test/",
            "//t\u{a0}.test/x",
            "//[::1/",
            "\t",
        ] {
            assert_eq!(follow(FROM, location), Err(RedirectError::NoTarget), "{location}");
        }
        assert_eq!(follow("https://t.test/a", "http://t.test/a"), Err(RedirectError::Downgrade));
        assert_eq!(next(&FROM.parse().unwrap(), None), Err(RedirectError::NoTarget));
        assert_eq!(follow(FROM, b"http://t\xe4st.test/"), Err(RedirectError::NoTarget));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let one: TrackerUrl = FROM.parse().unwrap();
        for (other, same) in [
            ("http://T.test:8080/x", true),
            ("http://t.test/x", false),
            ("https://t.test:8080/x", false),
            ("http://o.test:8080/x", false),
        ] {
            assert_eq!(same_origin(&one, &other.parse().unwrap()), same, "{other}");
        }
    }
}
