//! Asks a tracker what it believes, over raw HTTP: the library under test has no part in it.

pub(crate) mod udp;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bencode::Value;

/// How long a real tracker on loopback may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The port under which [`peers`] looks, and which it leaves at once.
const OBSERVERS_PORT: u16 = 50_099;

/// What a tracker counts of a swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) complete: i64,
    pub(crate) incomplete: i64,
    pub(crate) downloaded: i64,
}

impl Counts {
    pub(crate) fn new(complete: i64, incomplete: i64, downloaded: i64) -> Self {
        Self { complete, incomplete, downloaded }
    }
}

/// What a tracker counts, by scrape.
pub(crate) async fn counts(tracker: SocketAddr, torrent: [u8; 20]) -> io::Result<Counts> {
    let reply = ask(tracker, &format!("/scrape?info_hash={}", escaped(&torrent))).await?;
    let files = reply.get("files").ok_or_else(|| unexpected(&reply))?;
    // bittorrent-tracker takes the hash for text and writes it as UTF-8.
    let as_text: String = torrent.iter().copied().map(char::from).collect();
    let Some(file) = files.get(torrent).or(files.get(as_text)) else { return Ok(Counts::default()) };
    let count = |key| file.integer(key).unwrap_or_default();
    Ok(Counts::new(count("complete"), count("incomplete"), count("downloaded")))
}

/// Makes a peer known, as its own client would: with something left a leech, with nothing a seed.
pub(crate) async fn add_peer(tracker: SocketAddr, torrent: [u8; 20], port: u16, left: u64) -> io::Result<()> {
    announce(tracker, torrent, port, left, "started").await.map(drop)
}

/// The peers a tracker hands out, of both families: a further peer comes, asks, and goes again.
pub(crate) async fn peers(tracker: SocketAddr, torrent: [u8; 20]) -> io::Result<BTreeSet<SocketAddr>> {
    let reply = announce(tracker, torrent, OBSERVERS_PORT, 1, "started").await?;
    announce(tracker, torrent, OBSERVERS_PORT, 1, "stopped").await?;
    let (v4, v6) = (reply.bytes("peers"), reply.bytes("peers6"));
    let v4 = if v6.is_some() { v4.or(Some(&[])) } else { v4 };
    let peers = compact::<6>(v4.unwrap_or(b"?")).and_then(|mut peers| {
        peers.extend(compact::<18>(v6.unwrap_or_default())?);
        Some(peers)
    });
    let peers = peers.ok_or_else(|| unexpected(&reply))?;
    Ok(peers.into_iter().filter(|peer| peer.port() != OBSERVERS_PORT).collect())
}

/// Reads compact peers (BEP 23, BEP 7): the address and the port of each, `N` bytes together. `None` where one is cut.
pub(crate) fn compact<const N: usize>(bytes: &[u8]) -> Option<BTreeSet<SocketAddr>> {
    let (peers, rest) = bytes.as_chunks::<N>();
    let peer = |peer: &[u8; N]| {
        let (ip, port) = peer.split_last_chunk::<2>()?;
        let ip = match ip.len() {
            4 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
            _ => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
    };
    rest.is_empty().then(|| peers.iter().filter_map(peer).collect())
}

/// The body of an answer, whatever it is.
pub(crate) async fn get(tracker: SocketAddr, target: &str) -> io::Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(tracker).await?;
        stream.write_all(format!("GET {target} HTTP/1.0\r\nHost: {tracker}\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let answer: io::Result<Vec<u8>> = timeout(PATIENCE, exchange).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{tracker} did not answer the observer")))
    });
    let answer = answer?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other(format!("{tracker} sent no HTTP head")))?;
    Ok(answer[end + 4..].to_vec())
}

async fn announce(
    tracker: SocketAddr,
    torrent: [u8; 20],
    port: u16,
    left: u64,
    event: &str,
) -> io::Result<Value> {
    let target = format!(
        "/announce?info_hash={}&peer_id=-OB0001-{port:012}&port={port}&uploaded=0&downloaded=0&left={left}\
         &compact=1&numwant=50&event={event}",
        escaped(&torrent)
    );
    let reply = ask(tracker, &target).await?;
    if reply.get("failure reason").is_some() { Err(unexpected(&reply)) } else { Ok(reply) }
}

async fn ask(tracker: SocketAddr, target: &str) -> io::Result<Value> {
    let body = get(tracker, target).await?;
    Value::read(&body)
        .ok_or_else(|| io::Error::other(format!("{tracker} sent no bencode: {}", body.escape_ascii())))
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}

fn unexpected(reply: &Value) -> io::Error {
    io::Error::other(format!("an unexpected reply: {reply:?}"))
}
