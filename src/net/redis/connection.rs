//! Connections to a Redis server: what comes over them is bounded, and their errors show nothing secret.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection, PubSub, PubSubSink, PubSubStream};
use ::redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, RedisError, Value};
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::error::{CacheError, Cause};
use crate::net::clock;
use crate::net::resolver::{Resolver, SystemResolver};
use crate::text::fit;

/// How many bytes are read for one command, or between two looks at the news.
const MAX_READ: usize = 1 << 20;

/// How often a connection without news is tried: one whose other end has gone is silent as well.
const PING_GAP: Duration = Duration::from_secs(15);

/// How long the answer to that may take.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// How many characters of a server's error code are shown.
const MAX_CODE_LEN: usize = 32;

/// A connection for commands, one at a time.
pub(super) struct Commands {
    connection: MultiplexedConnection,
    budget: Budget,
    driver: JoinHandle<()>,
}

/// A connection on which messages of a channel come.
pub(super) struct Subscription {
    messages: PubSubStream,
    sink: PubSubSink,
    budget: Budget,
}

/// How many bytes may still be read.
#[derive(Clone, Default)]
struct Budget(Arc<AtomicUsize>);

/// A socket from which no more is read than its budget allows.
struct Bounded {
    socket: Box<dyn Socket>,
    budget: Budget,
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

impl Commands {
    pub(super) async fn connect(server: &ConnectionInfo) -> Result<Self, CacheError> {
        let (socket, budget) = dial(server).await?;
        // The caller has a time limit of its own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(server.redis_settings(), socket, config).await;
        let (connection, driver) = made.map_err(|error| failure(&error))?;
        Ok(Self { connection, budget, driver: tokio::spawn(driver) })
    }

    pub(super) async fn run(&mut self, command: &Cmd) -> Result<Value, CacheError> {
        self.budget.renew();
        let value = self.connection.req_packed_command(command).await;
        value.and_then(Value::extract_error).map_err(|error| failure(&error))
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Subscription {
    pub(super) async fn connect(server: &ConnectionInfo, channel: &str) -> Result<Self, CacheError> {
        let (socket, budget) = dial(server).await?;
        let connection = PubSub::new(server.redis_settings(), socket).await;
        let (mut sink, messages) = connection.map_err(|error| failure(&error))?.split();
        sink.subscribe(channel).await.map_err(|error| failure(&error))?;
        Ok(Self { messages, sink, budget })
    }

    /// Waits for messages, and gives those that are there, at most so many.
    pub(super) async fn next(&mut self, most: usize) -> Result<Vec<Vec<u8>>, CacheError> {
        self.budget.renew();
        let first = loop {
            tokio::select! {
                biased;
                message = poll_fn(|context| Pin::new(&mut self.messages).poll_next(context)) => break message,
                () = sleep(PING_GAP) => {
                    self.budget.renew();
                    let pong = clock::timeout(PING_LIMIT, self.sink.ping::<Value>()).await;
                    pong.map_err(|_| CacheError::TimedOut(PING_LIMIT))?.map_err(|error| failure(&error))?;
                }
            }
        };
        let lost = || CacheError::Store(Cause::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        let mut found = vec![first.ok_or_else(lost)?.get_payload_bytes().to_vec()];
        while found.len() < most {
            let next = poll_fn(|context| Poll::Ready(Pin::new(&mut self.messages).poll_next(context))).await;
            let Poll::Ready(Some(message)) = next else { break };
            found.push(message.get_payload_bytes().to_vec());
        }
        Ok(found)
    }
}

/// Connects to the first address of a server that takes the connection.
async fn dial(server: &ConnectionInfo) -> Result<(Bounded, Budget), CacheError> {
    let socket: Box<dyn Socket> = match server.addr() {
        ConnectionAddr::Tcp(host, port) => Box::new(dial_tcp(host, *port).await?),
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => Box::new(
            tokio::net::UnixStream::connect(path)
                .await
                .map_err(|error| CacheError::Store(Cause::new(error)))?,
        ),
        _ => return Err(CacheError::Store(Cause::new(io::Error::from(io::ErrorKind::Unsupported)))),
    };
    let budget = Budget::default();
    budget.renew();
    Ok((Bounded { socket, budget: budget.clone() }, budget))
}

async fn dial_tcp(host: &str, port: u16) -> Result<TcpStream, CacheError> {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = match plain.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => SystemResolver::new()
            .resolve(plain, port)
            .await
            .map_err(|error| CacheError::Store(Cause::new(error)))?,
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A command is one small packet.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(CacheError::Store(Cause::new(last)))
}

/// An error of the library as it is shown: its kind and the server's code. The rest is text of the server, or of who set it
/// up, and may hold anything.
pub(super) fn failure(error: &RedisError) -> CacheError {
    let code = error.code().map(|code| fit(&code.chars().take(MAX_CODE_LEN).collect::<String>()));
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    CacheError::Store(Cause::new(format!("{}{code}", error.category())))
}

impl Budget {
    fn renew(&self) {
        self.0.store(MAX_READ, Ordering::Relaxed);
    }

    /// Takes out so many bytes.
    fn spend(&self, bytes: usize) -> io::Result<()> {
        let take = |left: usize| left.checked_sub(bytes);
        let spent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        spent.map(drop).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the server sends too much"))
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        Poll::Ready(self.budget.spend(buffer.filled().len() - before))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
