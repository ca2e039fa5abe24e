//! A tunnel through an HTTP proxy by `CONNECT` (RFC 9110, 9.3.6), spoken by `hyper`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::Proxy;
use super::error::{ProxyFault, Reported};
use super::socks::Target;
use crate::error::AnnounceError;

/// The largest head of an answer, in bytes.
const MAX_HEAD_LEN: usize = 16 << 10;

/// The most headers of an answer.
const MAX_HEADERS: usize = 100;

/// The task that drives a connection until the tunnel stands. Dropping it closes the connection.
struct Driver(JoinHandle<()>);

/// Makes a tunnel of a connection to a proxy.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(super) async fn open(
    stream: TcpStream,
    proxy: &Proxy,
    target: &Target,
) -> Result<Upgraded, AnnounceError> {
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_LEN)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let driver = Driver(tokio::spawn(async move { drop(connection.with_upgrades().await) }));
    let answer = sender.send_request(request(proxy, target)?).await.map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        let tunnel = hyper::upgrade::on(answer).await.map_err(failed)?;
        drop(driver);
        return Ok(tunnel);
    }
    Err(match status.as_u16() {
        407 if proxy.credentials.is_some() => ProxyFault::WrongCredentials.into(),
        407 => ProxyFault::NoCredentials.into(),
        // Proxies answer so where the host or its name can't be reached: 500, 502, 503 and 504, each its own.
        status @ 500..=599 => Reported::Status(status).into(),
        status => ProxyFault::RefusesWith(status).into(),
    })
}

fn request(proxy: &Proxy, target: &Target) -> Result<Request<Empty<Bytes>>, AnnounceError> {
    let authority = match target {
        Target::Address(address) => address.to_string(),
        Target::Name(name, port) => format!("{name}:{port}"),
    };
    let request = Request::builder().method(Method::CONNECT).uri(&authority).header(HOST, &authority);
    let mut request =
        request.body(Empty::new()).map_err(|_| ProxyFault::Refuses("no URL holds such a name"))?;
    if let Some(credentials) = &proxy.credentials {
        let plain = [&*credentials.user, b":", &*credentials.password].concat();
        let basic = format!("Basic {}", BASE64_STANDARD.encode(plain));
        let mut value = HeaderValue::from_str(&basic).map_err(|_| ProxyFault::WrongCredentials)?;
        value.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    Ok(request)
}

/// A proxy that hangs up or sends something else than HTTP.
fn failed(error: hyper::Error) -> ProxyFault {
    if error.is_parse() {
        ProxyFault::OtherProtocol
    } else {
        ProxyFault::Closed(std::io::Error::other(error))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
