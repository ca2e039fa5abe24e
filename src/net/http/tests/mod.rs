//! Scripted trackers behind pipes in memory, so that every byte and every moment is determined.

mod announcing;
mod anything;
mod connections;
mod dialling;
mod ending;
mod probing;
mod redirecting;
mod scraping;
#[cfg(feature = "tls-ring")]
mod securing;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{Connected, Connector, HttpConfig, HttpTransport, Stream};
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, PeerId};
use crate::error::{AnnounceError, Cause};
use crate::net::clock;
use crate::net::resolver::StaticResolver;
use crate::tracker::TrackerUrl;
use crate::transport::Transport;

pub(super) const REPLY: &[u8] = b"d8:intervali1800e5:peers6:\x08\x08\x04\x04\x1a\xe1e";

/// What a scripted tracker does on a connection, one after the other.
#[derive(Clone)]
pub(super) enum Step {
    /// Reads a request and writes this.
    Reply(Vec<u8>),
    /// Reads a request and writes nothing.
    Hang,
    /// Reads a request and writes this byte by byte, so far apart.
    Drip(Vec<u8>, Duration),
    /// Reads a request, writes the first part once and the second for ever.
    Endless(&'static str, &'static str),
    /// Writes this without being asked.
    Unasked(&'static [u8]),
    /// Writes this without being asked, after so long.
    Late(&'static [u8], Duration),
    /// Reads a request and closes.
    ReadAndClose,
    /// Closes without waiting for a request. So does the end of a script.
    Close,
    /// Keeps the connection open and reads no more.
    Keep,
}

/// The hosts, with their scripts, and the requests that they got.
#[derive(Clone, Default)]
pub(super) struct Internet(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    hosts: BTreeMap<SocketAddr, VecDeque<Vec<Step>>>,
    resolver: StaticResolver,
    asked: Vec<String>,
    dialled: Vec<SocketAddr>,
    latency: Duration,
    players: JoinSet<()>,
    #[cfg(feature = "tls-ring")]
    tls: Option<tokio_rustls::TlsAcceptor>,
}

impl Internet {
    /// Adds a host: a script for each connection that is opened to it. Further connections are refused.
    pub(super) fn with(self, name: &str, address: &str, connections: &[&[Step]]) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        {
            let mut inside = self.0.lock().unwrap();
            inside.resolver = inside.resolver.clone().with(name, [address.ip()]);
            inside.hosts.insert(address, connections.iter().map(|script| script.to_vec()).collect());
        }
        self
    }

    /// How long opening a connection takes, and how long a byte takes each way.
    pub(super) fn latency(self, latency: Duration) -> Self {
        self.0.lock().unwrap().latency = latency;
        self
    }

    /// Port 443 is served with this certificate from now on.
    #[cfg(feature = "tls-ring")]
    pub(super) fn secured(self, config: tokio_rustls::rustls::ServerConfig) -> Self {
        self.0.lock().unwrap().tls = Some(Arc::new(config).into());
        self
    }

    pub(super) fn transport(&self, config: HttpConfig) -> HttpTransport {
        let resolver = Arc::new(self.0.lock().unwrap().resolver.clone());
        HttpTransport::with_connector(config, resolver, Arc::new(self.clone()))
    }

    /// The heads of all requests, as they were sent.
    pub(super) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    /// The first lines of all requests, without the parameters of an announce.
    pub(super) fn targets(&self) -> Vec<String> {
        let line = |head: &String| {
            let line = head.lines().next().unwrap_or_default();
            let line = line.strip_suffix(" HTTP/1.1").unwrap_or(line);
            line.find("info_hash=").map_or(line, |at| &line[..at]).to_owned()
        };
        self.asked().iter().map(line).collect()
    }

    /// Waits until this many requests have come in.
    pub(super) async fn until_asked(&self, requests: usize) {
        while self.asked().len() < requests {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until every connection has been closed, by either side.
    pub(super) async fn all_closed(&self) {
        let players = std::mem::take(&mut self.0.lock().unwrap().players);
        players.join_all().await;
    }

    /// How many connections were opened.
    pub(super) fn dialled(&self) -> usize {
        self.0.lock().unwrap().dialled.len()
    }
}

#[async_trait]
impl Connector for Internet {
    async fn connect(&self, _host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError> {
        let latency = self.0.lock().unwrap().latency;
        tokio::time::sleep(latency).await;
        let mut inside = self.0.lock().unwrap();
        for address in addresses {
            if let Some(script) = inside.hosts.get_mut(address).and_then(VecDeque::pop_front) {
                inside.dialled.push(*address);
                let (ours, theirs) = tokio::io::duplex(64 << 10);
                let internet = self.clone();
                #[cfg(feature = "tls-ring")]
                if let Some(tls) = inside.tls.clone().filter(|_| address.port() == 443) {
                    inside.players.spawn(async move {
                        tokio::time::sleep(latency * 2).await;
                        if let Ok(stream) = tls.accept(theirs).await {
                            play(internet, stream, script, latency).await;
                        }
                    });
                    return Ok(Connected::new(ours, *address));
                }
                inside.players.spawn(play(internet, theirs, script, latency));
                return Ok(Connected::new(ours, *address));
            }
        }
        Err(AnnounceError::Connect(Cause::new(io::Error::from(io::ErrorKind::ConnectionRefused))))
    }
}

async fn play(internet: Internet, mut stream: impl Stream, script: Vec<Step>, latency: Duration) {
    for step in script {
        if !matches!(step, Step::Close | Step::Keep | Step::Unasked(_) | Step::Late(..)) {
            let Some(head) = read_head(&mut stream).await else { return };
            internet.0.lock().unwrap().asked.push(head);
            tokio::time::sleep(latency * 2).await;
        }
        let mut written = match step {
            Step::Reply(bytes) => stream.write_all(&bytes).await,
            Step::Unasked(bytes) => stream.write_all(bytes).await,
            Step::Late(bytes, after) => {
                tokio::time::sleep(after).await;
                stream.write_all(bytes).await
            }
            Step::Drip(bytes, pause) => drip(&mut stream, &bytes, pause).await,
            Step::Endless(first, then) => endless(&mut stream, first.as_bytes(), then.as_bytes()).await,
            Step::Hang | Step::Keep => stream.read_u8().await.map(drop),
            Step::ReadAndClose | Step::Close => return,
        };
        if written.is_ok() {
            written = stream.flush().await;
        }
        if written.is_err() {
            return;
        }
    }
}

async fn read_head(stream: &mut impl Stream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn drip(stream: &mut impl Stream, bytes: &[u8], pause: Duration) -> io::Result<()> {
    for byte in bytes {
        stream.write_u8(*byte).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

async fn endless(stream: &mut impl Stream, first: &[u8], then: &[u8]) -> io::Result<()> {
    stream.write_all(first).await?;
    loop {
        stream.write_all(then).await?;
    }
}

/// A reply with a length, which leaves the connection open.
pub(super) fn ok(body: &[u8]) -> Step {
    answer("200 OK", "", body)
}

/// An answer with a length.
pub(super) fn answer(status: &str, headers: &str, body: &[u8]) -> Step {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Step::Reply(bytes)
}

/// A redirect without a body.
pub(super) fn redirect(location: &str) -> Step {
    answer("302 Found", &format!("Location: {location}\r\n"), b"")
}

/// An answer of any bytes.
pub(super) fn raw(parts: &[&[u8]]) -> Step {
    Step::Reply(parts.concat())
}

pub(super) fn request() -> AnnounceRequest {
    AnnounceRequest::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881)
}

/// Opens a channel and announces once.
pub(super) async fn announce(
    transport: &HttpTransport,
    tracker: &str,
) -> Result<AnnounceResponse, AnnounceError> {
    let tracker: TrackerUrl = tracker.parse().unwrap();
    transport.open(&tracker).await?.announce(&request()).await
}
