//! Where a redirect leads, and where none may (POL-17).

use hyper::header::HeaderValue;
use url::Url;

use crate::error::RedirectError;
use crate::tracker::{Scheme, TrackerUrl};

/// Whether a status says that the answer is elsewhere. 300, 304 and 305 name no place to ask the same again.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Whether two addresses have one origin, so that what is secret to one is known to the other.
pub(super) fn same_origin(one: &TrackerUrl, other: &TrackerUrl) -> bool {
    one.tracker_host() == other.tracker_host()
}

/// The address in a `Location`, its bytes as they stand.
pub(super) fn next(from: &TrackerUrl, location: Option<&HeaderValue>) -> Result<TrackerUrl, RedirectError> {
    let location = location.and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let location = location.map(str::trim).filter(|text| !text.is_empty()).ok_or(RedirectError::NoTarget)?;
    let to = resolved(from, location).ok_or(RedirectError::NoTarget)?;
    match (from.scheme(), to.scheme()) {
        (Scheme::Https, Scheme::Http) => Err(RedirectError::Downgrade),
        (_, scheme) if super::supports(scheme) => Ok(to),
        _ => Err(RedirectError::NoTarget),
    }
}

/// RFC 3986, 5.2. The two forms that occur in the field are put together as text: `Url` would rewrite them, and
/// trackers compare bytes.
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
    TrackerUrl::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "http://t.test:8080/dir/announce?passkey=own";

    fn follow(from: &str, location: &str) -> Result<String, RedirectError> {
        let location = HeaderValue::from_bytes(location.as_bytes()).unwrap();
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

    #[test]
    fn where_no_redirect_may_lead_s12_s08() {
        for location in [
            "",
            "ftp://t.test/",
            "file:///etc/passwd",
            "javascript:x",
            "udp://t.test:80/",
            "http:/x",
            "http://",
            "http://t.test:0/",
            "/a b",
            "http://u@/",
            "http://t.test/\u{9}x",
            "//[::1/",
        ] {
            assert_eq!(follow(FROM, location), Err(RedirectError::NoTarget), "{location}");
        }
        assert_eq!(follow("https://t.test/a", "http://t.test/a"), Err(RedirectError::Downgrade));
        assert_eq!(next(&FROM.parse().unwrap(), None), Err(RedirectError::NoTarget));
        let not_text = HeaderValue::from_bytes(b"/\xff").unwrap();
        assert_eq!(next(&FROM.parse().unwrap(), Some(&not_text)), Err(RedirectError::NoTarget));
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
