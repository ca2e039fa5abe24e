//! The request that is sent: the target as the announce URL has it, a few headers, the credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri, Version};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::config::HttpConfig;
use super::redirect;
use crate::error::{AnnounceError, Cause};
use crate::tracker::TrackerUrl;

/// The value of `Accept-Encoding`. Some trackers search the whole request for the word `gzip`, so a build without it must
/// not send it anywhere.
const ENCODINGS: HeaderValue =
    HeaderValue::from_static(if cfg!(feature = "gzip") { "gzip" } else { "identity" });

/// What an HTTP request line can't carry in a path, or `hyper` doesn't. Everything else of an announce URL
/// is sent as it was written, because trackers compare bytes (R3-07, Q-39).
const NOT_IN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'<').add(b'>').add(b'`');

/// The same for a query.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// A request to one URL, from which HTTP requests are made as often as needed.
pub(super) struct TrackerRequest {
    /// The URL of the host to which it goes.
    pub(super) url: TrackerUrl,
    target: Uri,
    host: HeaderValue,
    /// Whether it goes to the tracker's own origin, and so may carry the headers that were configured for that.
    is_own_origin: bool,
    credentials: Option<HeaderValue>,
}

impl TrackerRequest {
    /// A request for `target` (path and query) at the host of `url`, which is `tracker` itself or the target of its redirect.
    /// Credentials and configured headers are only sent to the tracker's own origin.
    pub(super) fn new(url: TrackerUrl, target: &str, tracker: &TrackerUrl) -> Result<Self, AnnounceError> {
        let host = match url.explicit_port() {
            Some(port) => format!("{}:{port}", url.host()),
            None => url.host().to_owned(),
        };
        let host = HeaderValue::try_from(host).map_err(|_| unsendable("host"))?;
        let is_own_origin = redirect::same_origin(&url, tracker);
        let credentials = tracker.userinfo().filter(|_| is_own_origin).map(basic).transpose()?;
        Ok(Self { target: origin_form(target)?, url, host, is_own_origin, credentials })
    }

    /// The HTTP/1.1 request, with nothing in it that trackers don't expect (POL-25).
    pub(super) fn to_http(&self, method: Method, config: &HttpConfig) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = self.target.clone();
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(USER_AGENT, config.agent().clone());
        headers.insert(ACCEPT_ENCODING, ENCODINGS);
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.clone());
        }
        if self.is_own_origin {
            for (name, value) in config.headers() {
                headers.append(name, value.clone());
            }
        }
        request
    }
}

/// The path and query of an announce URL, as the target of a request.
pub(super) fn target_of(url: &TrackerUrl) -> String {
    let own = url.path_and_query();
    if own.starts_with('/') { own.to_owned() } else { format!("/{own}") }
}

fn origin_form(target: &str) -> Result<Uri, AnnounceError> {
    // Without a slash in front it would be read as an authority.
    if !target.starts_with('/') {
        return Err(unsendable("path"));
    }
    let target = match target.split_once('?') {
        Some((path, query)) => {
            let path = utf8_percent_encode(path, NOT_IN_PATH);
            format!("{path}?{}", utf8_percent_encode(query, NOT_IN_QUERY))
        }
        None => utf8_percent_encode(target, NOT_IN_PATH).to_string(),
    };
    Uri::builder().path_and_query(target).build().map_err(|_| unsendable("path or query"))
}

/// Basic credentials (RFC 7617). The name ends at the first literal colon, so it can hold an escaped one.
fn basic(userinfo: &str) -> Result<HeaderValue, AnnounceError> {
    let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let mut plain: Vec<u8> = percent_decode_str(name).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain)))
        .map_err(|_| unsendable("user name"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The error of a URL that can't be sent. It names the part, and shows nothing of its content.
fn unsendable(part: &str) -> AnnounceError {
    AnnounceError::Connect(Cause::new(format!("its {part} can't be sent in an HTTP request")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R3-07, Q-39.
    #[test]
    fn targets_are_sent_as_they_were_written() {
        for target in [
            "/announce",
            "/announce?",
            "/announce?passkey=%zz&a=b|c",
            "/a/../b;x=1/[y]'(z)*!$,~@:?q?r=/&&=",
            "/x?y={z}|",
            "/{z}|",
        ] {
            assert_eq!(origin_form(target).unwrap().to_string(), target);
        }
        for (target, sent) in [
            ("/ä?ö", "/%C3%A4?%C3%B6"),
            ("/a\"<>^`\\?\"<>^`\\", "/a\"%3C%3E^%60\\?%22%3C%3E^`\\"),
            ("/a b?c d", "/a%20b?c%20d"),
            ("/a\r\nb", "/a%0D%0Ab"),
            ("/a?b#c", "/a?b%23c"),
        ] {
            assert_eq!(origin_form(target).unwrap().to_string(), sent);
        }
        for target in ["", "announce", "host:80", &format!("/{}", "x".repeat(70_000))] {
            assert!(origin_form(target).is_err());
        }
    }

    #[test]
    fn credentials_are_decoded_before_they_are_encoded() {
        for (userinfo, plain) in
            [("user:pa%40ss", "user:pa@ss"), ("user", "user:"), ("us%3Aer:a:b", "us:er:a:b"), ("%00%FF:", "")]
        {
            let value = basic(userinfo).unwrap();
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            if !plain.is_empty() {
                assert_eq!(STANDARD.decode(encoded).unwrap(), plain.as_bytes());
            }
            assert_eq!(format!("{value:?}"), "Sensitive");
        }
    }
}
