//! The beginning of a connection: dialling, and the greeting of both sides, encrypted or not.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracker_failover::InfoHash;

use crate::way_out;
use crate::wire::Why;
use crate::wire::greeting::{Greeted, Greeting};
use crate::wire::handshake::LENGTH;
use crate::wire::mse::Policy;

/// Connects to a peer and exchanges handshakes with it, of which `ours` is the one that is sent.
///
/// Where both ways will do, it is encrypted first, as libtorrent, Transmission and uTorrent do: peers that require encryption answer
/// nothing else, and almost all others can do it. One that can't hangs up, and is dialled again in plain text.
///
/// # Errors
/// When it can't be reached, or the handshake fails.
pub(super) async fn dial(
    address: SocketAddr,
    info_hash: InfoHash,
    ours: [u8; LENGTH],
    policy: Policy,
) -> Result<(TcpStream, Greeted), Why> {
    let mut stream = connect(address).await?;
    if policy != Policy::Off {
        let mut greeting = Greeting::encrypted(info_hash, ours, policy, randomness());
        let limit = if policy == Policy::Require { HANDSHAKE_TIMEOUT } else { FIRST_TRY_TIMEOUT };
        match greet(&mut greeting, &mut stream, limit).await {
            Ok(greeted) => return Ok((stream, greeted)),
            Err(why) if policy == Policy::Require || greeting.is_secured() => return Err(why),
            Err(_) => stream = connect(address).await?,
        }
    }
    let greeted = greet(&mut Greeting::plain(info_hash, ours), &mut stream, HANDSHAKE_TIMEOUT).await?;
    Ok((stream, greeted))
}

/// Exchanges handshakes with a peer that has connected to us and wants one of these torrents, to each of which our handshake
/// is given.
///
/// # Errors
/// When the connection breaks, or what comes isn't the greeting of a peer of such a torrent.
pub(super) async fn accept(
    ours: impl IntoIterator<Item = (InfoHash, [u8; LENGTH])>,
    policy: Policy,
    stream: &mut TcpStream,
) -> Result<Greeted, Why> {
    greet(&mut Greeting::awaited(ours, policy, randomness()), stream, HANDSHAKE_TIMEOUT).await
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Why> {
    match tokio::time::timeout(CONNECT_TIMEOUT, way_out::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => Err(Why::Io),
        Err(_) => Err(Why::Timeout),
    }
}

async fn greet(greeting: &mut Greeting, stream: &mut TcpStream, limit: Duration) -> Result<Greeted, Why> {
    tokio::time::timeout(limit, exchange(greeting, stream)).await.unwrap_or(Err(Why::Timeout))
}

async fn exchange(greeting: &mut Greeting, stream: &mut TcpStream) -> Result<Greeted, Why> {
    // Requests are small and urgent.
    stream.set_nodelay(true).map_err(|_| Why::Io)?;
    let mut bytes = [0; READ];
    let mut greeted = None;
    loop {
        stream.write_all(&greeting.take_outgoing()).await.map_err(|_| Why::Io)?;
        if let Some(greeted) = greeted {
            return Ok(greeted);
        }
        let read = match stream.read(&mut bytes).await {
            Ok(0) => return Err(Why::Eof),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(Why::Eof),
            Err(_) => return Err(Why::Io),
        };
        greeted = greeting.receive(&bytes[..read])?;
    }
}

fn randomness() -> StdRng {
    StdRng::from_rng(&mut rand::rng())
}

/// A connection that doesn't stand within this time is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A greeting takes no longer than this in all (P-07).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that waits for more of what it takes for a plain handshake is dialled in plain text after this time.
const FIRST_TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read at a time: a public key and most of what follows it.
const READ: usize = 1024;
