//! The observer over UDP (BEP 15), for trackers that speak nothing else. Written by hand, as the other one is.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Counts, OBSERVERS_PORT, PATIENCE, compact};

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;

const STARTED: u32 = 2;
const STOPPED: u32 = 3;

/// What a tracker counts, by scrape.
pub(crate) async fn counts(tracker: SocketAddr, torrent: [u8; 20]) -> io::Result<Counts> {
    let answer = ask(tracker, SCRAPE, &torrent).await?;
    let count = |place: usize| answer.get(place..).and_then(|rest| rest.first_chunk()).copied();
    match [count(0), count(4), count(8)].map(|count| count.map(u32::from_be_bytes)) {
        [Some(complete), Some(downloaded), Some(incomplete)] => {
            Ok(Counts::new(complete.into(), incomplete.into(), downloaded.into()))
        }
        _ => Err(unexpected(tracker, &answer)),
    }
}

/// Makes a peer known.
pub(crate) async fn add_peer(tracker: SocketAddr, torrent: [u8; 20], port: u16, left: u64) -> io::Result<()> {
    announce(tracker, torrent, port, left, STARTED).await.map(drop)
}

/// The peers a tracker hands out: a further peer comes, asks, and goes again.
pub(crate) async fn peers(tracker: SocketAddr, torrent: [u8; 20]) -> io::Result<BTreeSet<SocketAddr>> {
    let answer = announce(tracker, torrent, OBSERVERS_PORT, 1, STARTED).await?;
    announce(tracker, torrent, OBSERVERS_PORT, 1, STOPPED).await?;
    // Interval, leechers and seeders come first.
    let peers = answer.get(12..).and_then(|peers| match tracker {
        SocketAddr::V4(_) => compact::<6>(peers),
        SocketAddr::V6(_) => compact::<18>(peers),
    });
    let peers = peers.ok_or_else(|| unexpected(tracker, &answer))?;
    Ok(peers.into_iter().filter(|peer| peer.port() != OBSERVERS_PORT).collect())
}

async fn announce(
    tracker: SocketAddr,
    torrent: [u8; 20],
    port: u16,
    left: u64,
    event: u32,
) -> io::Result<Vec<u8>> {
    let mut rest = torrent.to_vec();
    rest.extend(format!("-OB0001-{port:012}").bytes());
    for number in [0, left, 0] {
        rest.extend(number.to_be_bytes());
    }
    let (ip, key, num_want) = (0_u32, u32::from(port), 50_u32);
    for number in [event, ip, key, num_want] {
        rest.extend(number.to_be_bytes());
    }
    rest.extend(port.to_be_bytes());
    ask(tracker, ANNOUNCE, &rest).await
}

/// Connects and asks; gives what stands behind action and transaction of the answer.
async fn ask(tracker: SocketAddr, action: u32, rest: &[u8]) -> io::Result<Vec<u8>> {
    let exchange = async {
        let own = match tracker {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        let socket = UdpSocket::bind(own).await?;
        socket.connect(tracker).await?;
        let connection = answer(&socket, &0x0417_2710_1980_u64.to_be_bytes(), CONNECT, &[]).await?;
        let connection = connection.first_chunk::<8>().ok_or_else(|| unexpected(tracker, &connection))?;
        answer(&socket, connection, action, rest).await
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{tracker} did not answer the observer")))
    })
}

async fn answer(socket: &UdpSocket, connection: &[u8], action: u32, rest: &[u8]) -> io::Result<Vec<u8>> {
    let transaction = 0x0b5e_0000 + action;
    let head = [action.to_be_bytes(), transaction.to_be_bytes()].concat();
    socket.send(&[connection, &head, rest].concat()).await?;
    let mut buffer = vec![0; 64 << 10];
    let length = socket.recv(&mut buffer).await?;
    let bytes = buffer.get(..length).unwrap_or_default();
    let tracker = socket.peer_addr()?;
    bytes.strip_prefix(&*head).map(<[u8]>::to_vec).ok_or_else(|| unexpected(tracker, bytes))
}

fn unexpected(tracker: SocketAddr, bytes: &[u8]) -> io::Error {
    io::Error::other(format!("{tracker} sent an unexpected packet: {}", bytes.escape_ascii()))
}
