//! The beginning of a connection: dialling, and the exchange of handshakes (BEP 3).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracker_failover::InfoHash;

use crate::way_out;
use crate::wire::Why;
use crate::wire::handshake::{self, Handshake};

/// Connects to a peer and exchanges handshakes with it, of which `ours` is the one that is sent.
///
/// # Errors
/// When it can't be reached, or the handshake fails.
pub(super) async fn dial(
    address: SocketAddr,
    info_hash: InfoHash,
    ours: [u8; handshake::LENGTH],
) -> Result<(TcpStream, Handshake), Why> {
    let mut stream = match tokio::time::timeout(CONNECT_TIMEOUT, way_out::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return Err(Why::Io),
        Err(_) => return Err(Why::Timeout),
    };
    let handshake = greet(info_hash, ours, &mut stream, true).await?;
    Ok((stream, handshake))
}

/// Exchanges handshakes, within [`HANDSHAKE_TIMEOUT`]. The side that accepted the connection waits for the info-hash before
/// it sends its own (BEP 3).
///
/// # Errors
/// When the connection breaks, or what comes isn't the handshake of a peer of the torrent.
pub(super) async fn greet(
    info_hash: InfoHash,
    ours: [u8; handshake::LENGTH],
    stream: &mut TcpStream,
    dialled: bool,
) -> Result<Handshake, Why> {
    let greeting = exchange_handshakes(info_hash, ours, stream, dialled);
    tokio::time::timeout(HANDSHAKE_TIMEOUT, greeting).await.unwrap_or(Err(Why::Timeout))
}

async fn exchange_handshakes(
    info_hash: InfoHash,
    ours: [u8; handshake::LENGTH],
    stream: &mut TcpStream,
    dialled: bool,
) -> Result<Handshake, Why> {
    // Requests are small and urgent.
    stream.set_nodelay(true).map_err(|_| Why::Io)?;
    let mut said = false;
    let mut bytes = [0; handshake::LENGTH];
    let mut filled = 0;
    loop {
        if !said && (dialled || filled >= handshake::UP_TO_INFO_HASH) {
            stream.write_all(&ours).await.map_err(|_| Why::Io)?;
            said = true;
        }
        match stream.read(&mut bytes[filled..]).await {
            Ok(0) => return Err(Why::Eof),
            Ok(read) => filled += read,
            Err(_) => return Err(Why::Io),
        }
        if let Some(handshake) = handshake::read(&bytes[..filled], info_hash)? {
            if !said {
                stream.write_all(&ours).await.map_err(|_| Why::Io)?;
            }
            return Ok(handshake);
        }
    }
}

/// A connection that doesn't stand within this time is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A handshake takes no longer than this in all (P-07).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
