//! One HTTP/1.1 connection: sends a request, reads the head of its answer, and notes what arrives and when.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HeaderMap, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::config::HttpConfig;
use super::connect::{Connected, Remote, Stream};
use super::status_line::StatusLine;
use crate::error::{AnnounceError, Cause, ReplyError};
use crate::net::clock;
use crate::tracker::AddressFamily;

/// How many interim answers (1xx) may come before the real one (S-06).
const MAX_INTERIM: usize = 5;

/// The most headers of an answer: `hyper` allocates room for all of them for every answer.
const MAX_HEADERS: usize = 1000;

/// An open connection, for one request at a time. Dropping it closes it at once, whatever it is doing.
pub(super) struct HttpConnection {
    sender: http1::SendRequest<Empty<Bytes>>,
    watch: Arc<Watch>,
    max_head: usize,
    /// Where it leads.
    pub(super) remote: Remote,
    /// Whether it has carried an answer before, so that the server may have closed it since.
    pub(super) reused: bool,
    /// Whether the server closes it after the last answer.
    ends: bool,
    /// How long the name look-up took, where the connection was opened for its present use.
    pub(super) lookup_time: Duration,
    /// The other address family over which the tracker can be reached.
    pub(super) other_family: Option<AddressFamily>,
    driver: JoinHandle<()>,
}

/// Why there is no answer.
pub(super) enum SendError {
    /// Nothing came, or bytes that can't be the beginning of an answer. On a kept connection this means that the server had
    /// closed it, or that the bytes belong to the request before.
    Stale(AnnounceError),
    /// Anything else.
    Other(AnnounceError),
}

/// What has arrived since the last request was sent.
#[derive(Default)]
struct Watch(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    bytes: usize,
    first: Option<Instant>,
    status_line: StatusLine,
}

/// A stream that notes what is read from it, and rewrites HTTP/1.0 to HTTP/1.1.
struct Watched {
    stream: Box<dyn Stream>,
    watch: Arc<Watch>,
}

impl HttpConnection {
    /// Prepares HTTP over an open stream. Sends nothing.
    pub(super) async fn open(connected: Connected, config: &HttpConfig) -> Result<Self, AnnounceError> {
        let watch = Arc::new(Watch::default());
        let stream = Watched { stream: connected.stream, watch: Arc::clone(&watch) };
        let (sender, connection) = http1::Builder::new()
            // Many trackers write their heads by hand, and not by the standard.
            .ignore_invalid_headers_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .title_case_headers(true)
            .max_headers(config.max_headers.min(MAX_HEADERS))
            .max_header_size(config.max_head)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| AnnounceError::Broken(Cause::new(error)))?;
        // The error that ends a connection is also that of the request in progress, so it can be dropped here.
        let driver = tokio::spawn(async move { drop(connection.await) });
        let (max_head, remote) = (config.max_head, connected.remote);
        Ok(Self {
            sender,
            watch,
            max_head,
            remote,
            reused: false,
            ends: false,
            lookup_time: Duration::ZERO,
            other_family: None,
            driver,
        })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        self.sender
            .ready()
            .await
            .map_err(|error| SendError::Stale(AnnounceError::Broken(Cause::new(error))))?;
        *self.watch.lock() = Seen::default();
        let too_many = Arc::new(Notify::new());
        let (count, enough) = (AtomicUsize::new(0), Arc::clone(&too_many));
        hyper::ext::on_informational(&mut request, move |_| {
            if count.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM {
                enough.notify_one();
            }
        });
        let sent = self.sender.send_request(request);
        let answer = tokio::select! {
            biased;
            () = too_many.notified() => {
                let expected = format!("expected an answer after at most {MAX_INTERIM} interim ones");
                return Err(SendError::Other(AnnounceError::NotAReply(ReplyError::new(expected, 0))));
            }
            answer = sent => answer.map_err(|error| self.explain(error))?,
        };
        self.ends = self.watch.lock().status_line.is_1_0() && !stays_open(answer.headers());
        Ok(answer)
    }

    /// When the first byte of the answer arrived.
    pub(super) fn first_byte(&self) -> Option<Instant> {
        self.watch.lock().first
    }

    /// Whether no further request can be made on it.
    pub(super) fn is_closed(&self) -> bool {
        self.ends || self.sender.is_closed()
    }

    fn explain(&self, error: hyper::Error) -> SendError {
        let seen = self.watch.lock();
        if error.is_parse() {
            return SendError::Stale(if seen.bytes >= self.max_head {
                AnnounceError::TooLarge { limit: self.max_head }
            } else {
                AnnounceError::NotAReply(ReplyError::new("expected an HTTP answer", 0))
            });
        }
        // `hyper` cancels a request where bytes arrived before it was sent.
        let stale = error.is_canceled() || !seen.status_line.has_begun();
        let error = AnnounceError::Broken(Cause::new(error));
        if stale { SendError::Stale(error) } else { SendError::Other(error) }
    }
}

/// Whether a server of HTTP/1.0 leaves the connection open. Never after chunks: such a server doesn't define their end (RFC
/// 9112, 6.1).
fn stays_open(headers: &HeaderMap) -> bool {
    let has = |token: &str| {
        let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    has("keep-alive") && !has("close") && !headers.contains_key(TRANSFER_ENCODING)
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl SendError {
    pub(super) fn into_error(self) -> AnnounceError {
        match self {
            Self::Stale(error) | Self::Other(error) => error,
        }
    }
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len().saturating_sub(before);
        if read > 0 {
            let mut seen = self.watch.lock();
            if let Some(fresh) = buf.filled_mut().get_mut(before..) {
                seen.status_line.rewrite(fresh);
            }
            seen.bytes = seen.bytes.saturating_add(read);
            seen.first.get_or_insert_with(clock::now);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
