//! The beginning of a connection: dialling, and the greeting of both sides, encrypted or not.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
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

/// A way to greet a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Encrypted,
}

/// Connects to a peer and exchanges handshakes with it, of which `ours` is the one that is sent.
///
/// # Errors
/// When it can't be reached, or the handshake fails.
pub(super) async fn dial(
    address: SocketAddr,
    info_hash: InfoHash,
    ours: [u8; LENGTH],
    policy: Policy,
) -> Result<(TcpStream, Greeted), Why> {
    dial_in(ways(policy, address.ip()), address, info_hash, ours, policy).await
}

/// The ways in which a peer is greeted, one after the other, each on a connection of its own.
///
/// Where both will do, a peer on the internet is dialled encrypted first, as libtorrent, Transmission and uTorrent do: peers that
/// require encryption answer nothing else, and networks between us that slow `BitTorrent` down know its plain handshake. On
/// this machine and in our own network there is nothing in between, and RC4 costs more than all the rest of a transfer, so
/// the plain handshake comes first.
fn ways(policy: Policy, peer: IpAddr) -> &'static [Way] {
    match policy {
        Policy::Off => &[Way::Plain],
        Policy::Require => &[Way::Encrypted],
        Policy::Prefer if is_near(peer) => &[Way::Plain, Way::Encrypted],
        Policy::Prefer => &[Way::Encrypted, Way::Plain],
    }
}

/// Whether an address is on this machine or in our own network.
///
/// The library's `AddressKind` answers another question, which addresses are no hosts on the internet, and so counts the
/// shared address space of carriers (100.64/10) as private. A carrier is one of those in between, so here it isn't near.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

async fn dial_in(
    ways: &[Way],
    address: SocketAddr,
    info_hash: InfoHash,
    ours: [u8; LENGTH],
    policy: Policy,
) -> Result<(TcpStream, Greeted), Why> {
    let mut last = Why::Io;
    for (place, way) in ways.iter().enumerate() {
        let is_last = place + 1 == ways.len();
        let mut stream = connect(address).await?;
        let (mut greeting, limit) = match way {
            Way::Encrypted => {
                let limit = if is_last { HANDSHAKE_TIMEOUT } else { FIRST_TRY_TIMEOUT };
                (Greeting::encrypted(info_hash, ours, policy, randomness()), limit)
            }
            Way::Plain => (Greeting::plain(info_hash, ours), HANDSHAKE_TIMEOUT),
        };
        match greet(&mut greeting, &mut stream, limit).await {
            Ok(greeted) => return Ok((stream, greeted)),
            // One that hangs up on a plain handshake may require encryption. Any other answer is one.
            Err(why) if *way == Way::Plain && why != Why::Eof => return Err(why),
            Err(why) if greeting.is_secured() => return Err(why),
            Err(why) => last = why,
        }
    }
    Err(last)
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tracker_failover::PeerId;

    use super::*;
    use crate::wire::handshake;

    #[test]
    fn encryption_comes_first_on_the_internet_and_last_where_nothing_is_in_between() {
        for (peer, first) in [
            ("8.8.8.8", Way::Encrypted),
            ("2606:4700::1", Way::Encrypted),
            ("100.64.0.1", Way::Encrypted),
            ("127.0.0.1", Way::Plain),
            ("192.168.1.2", Way::Plain),
            ("169.254.1.2", Way::Plain),
            ("::1", Way::Plain),
            ("fd00::1", Way::Plain),
            ("fe80::1", Way::Plain),
            ("::ffff:10.0.0.1", Way::Plain),
        ] {
            let peer = peer.parse().unwrap();
            let both = ways(Policy::Prefer, peer);
            assert_eq!((both[0], both.len()), (first, 2), "{peer}");
            assert_eq!(ways(Policy::Require, peer), [Way::Encrypted]);
            assert_eq!(ways(Policy::Off, peer), [Way::Plain]);
        }
    }

    /// One that hangs up on our key, and one that takes it for the beginning of a long plain handshake and waits for more.
    #[tokio::test]
    async fn a_peer_that_cannot_encrypt_is_dialled_again_in_plain_text() {
        for is_silent in [false, true] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let (address, hash) = (listener.local_addr().unwrap(), InfoHash::new([7; 20]));
            let [ours, theirs] = [*b"-XX0001-aaaaaaaaaaaa", *b"-XX0001-bbbbbbbbbbbb"]
                .map(|id| handshake::write(hash, PeerId::new(id), false));
            let peer = std::thread::spawn(move || {
                let (first, _) = listener.accept().unwrap();
                let kept = is_silent.then_some(first);
                let (mut second, _) = listener.accept().unwrap();
                let mut read = [0; LENGTH];
                second.read_exact(&mut read).unwrap();
                second.write_all(&theirs).unwrap();
                drop(kept);
                read
            });
            let both = [Way::Encrypted, Way::Plain];
            let dialled = dial_in(&both, address, hash, ours, Policy::Prefer).await;
            assert!(dialled.is_ok(), "{is_silent}");
            assert_eq!(peer.join().unwrap(), ours);
        }
    }
}
