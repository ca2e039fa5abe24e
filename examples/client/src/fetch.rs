//! Fetches the .torrent of an `http` or `https` URL. Such URLs hold passkeys, so no error has more of them than the host.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_LENGTH, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::{Position, Url};

use crate::way_out;

/// Why no torrent came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// It is no URL, or not one that can be asked.
    #[error("expected an http or https URL")]
    Url,
    /// The name would be looked up past the proxy or the interface.
    #[error("with --proxy or --interface expected an IP address: the name would be looked up past them")]
    Name,
    /// No connection, or it broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something else than HTTP came.
    #[error("the server's answer isn't HTTP")]
    Http,
    /// The server has no torrent there.
    #[error("the server answered {0}: expected 200 and a .torrent")]
    Status(u16),
    /// One redirect led to the next.
    #[error("more than {MAX_REDIRECTS} redirects")]
    Redirects,
    /// What was asked for by TLS would go over the wire in the clear.
    #[error("redirected from https to http, which isn't followed")]
    Downgrade,
    /// It has too many bytes.
    #[error("more than {} MiB, which no .torrent has", MAX_SIZE >> 20)]
    TooLarge,
    /// It took too long.
    #[error("no .torrent within {} s", LIMIT.as_secs())]
    Timeout,
}

/// The bytes behind a URL, redirects followed, within [`LIMIT`].
///
/// # Errors
/// When there are none, or too many.
pub(crate) async fn torrent(url: &str) -> Result<Vec<u8>, FetchError> {
    let url = Url::parse(url).map_err(|_| FetchError::Url)?;
    tokio::time::timeout(LIMIT, follow(url)).await.unwrap_or(Err(FetchError::Timeout))
}

async fn follow(mut url: Url) -> Result<Vec<u8>, FetchError> {
    for _ in 0..=MAX_REDIRECTS {
        let answer = ask(&url).await?;
        let status = answer.status();
        if status.is_success() {
            return body(answer).await;
        }
        let location = answer.headers().get(LOCATION).filter(|_| status.is_redirection());
        let Some(location) = location.and_then(|location| location.to_str().ok()) else {
            return Err(FetchError::Status(status.as_u16()));
        };
        let next = url.join(location).map_err(|_| FetchError::Status(status.as_u16()))?;
        if url.scheme() == "https" && next.scheme() == "http" {
            return Err(FetchError::Downgrade);
        }
        url = next;
    }
    Err(FetchError::Redirects)
}

/// Asks the server of a URL.
async fn ask(url: &Url) -> Result<Response<Incoming>, FetchError> {
    let host = url.host_str().ok_or(FetchError::Url)?;
    let port = url.port_or_known_default().ok_or(FetchError::Url)?;
    let stream = connect(host.trim_matches(['[', ']']), port).await?;
    match url.scheme() {
        "http" => send(url, stream).await,
        "https" => {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| FetchError::Url)?;
            send(url, TlsConnector::from(Arc::new(tls()?)).connect(name, stream).await?).await
        }
        _ => Err(FetchError::Url),
    }
}

/// Connects to a host, by the way out of the process.
async fn connect(host: &str, port: u16) -> Result<TcpStream, FetchError> {
    if let Ok(ip) = host.parse() {
        return Ok(way_out::connect(SocketAddr::new(ip, port)).await?);
    }
    if !way_out::looks_up() {
        return Err(FetchError::Name);
    }
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match way_out::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed.into())
}

async fn send(
    url: &Url,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<Response<Incoming>, FetchError> {
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, concat!("tracker-failover-client/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/x-bittorrent, */*")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Url)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| fault(&error))?;
    // It ends with the body.
    tokio::task::spawn_local(connection);
    sender.send_request(request).await.map_err(|error| fault(&error))
}

async fn body(answer: Response<Incoming>) -> Result<Vec<u8>, FetchError> {
    let length =
        answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_SIZE as u64) {
        return Err(FetchError::TooLarge);
    }
    match Limited::new(answer.into_body(), MAX_SIZE).collect().await {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => fault(&error),
            Err(_) => FetchError::TooLarge,
        }),
    }
}

/// Hyper's errors may have parts of the request.
fn fault(error: &hyper::Error) -> FetchError {
    if error.is_parse() {
        return FetchError::Http;
    }
    FetchError::Io(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection broke"))
}

fn tls() -> Result<ClientConfig, FetchError> {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<RootCertStore>();
    // By name: with a second provider in the program the default would be ambiguous.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Bytes of a torrent; those of thousands of files have less.
const MAX_SIZE: usize = 10 << 20;
const MAX_REDIRECTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(30);
