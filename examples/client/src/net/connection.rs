//! One connection: handshake, then frames in and bytes out until one side closes it.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tracker_failover::InfoHash;

use super::adopted::Adopted;
use super::greetings::Place;
use super::shell::{Link, Shell};
use crate::swarm::PeerKey;
use crate::wire::Why;
use crate::wire::handshake::{self, Handshake};
use crate::wire::message::{Limits, next_frame};

/// Dials a peer and talks to it.
pub(super) async fn outgoing(shell: Rc<Shell>, address: SocketAddr) {
    let greeted = async {
        let mut stream = Shell::connect(address).await?;
        let ours = shell.handshake();
        let handshake = greet(shell.info_hash, ours, &mut stream, true).await?;
        Ok((stream, handshake))
    };
    match greeted.await {
        Ok((stream, handshake)) => talk(&shell, stream, address, true, handshake).await,
        Err(why) => shell.update(|session, now| session.not_connected(address, true, why, now)),
    }
}

/// Talks to a peer that has connected to us.
pub(super) async fn incoming(shell: Rc<Shell>, mut stream: TcpStream, address: SocketAddr, place: Place) {
    let greeted = tokio::select! {
        greeted = greet(shell.info_hash, shell.handshake(), &mut stream, false) => greeted,
        () = place.revoked.notified() => Err(Why::Full),
    };
    shell.greetings.borrow_mut().leave(&place);
    match greeted {
        Ok(handshake) => talk(&shell, stream, address, false, handshake).await,
        Err(why) => shell.update(|session, now| session.not_connected(address, false, why, now)),
    }
}

/// Exchanges handshakes, of which `ours` is the one that is sent, within [`HANDSHAKE_TIMEOUT`]. The side that accepted the connection waits for the info-hash before
/// it sends its own (BEP 3).
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

/// Goes on with a connection on which the metadata was fetched.
pub(super) async fn adopted(shell: Rc<Shell>, adopted: Adopted) {
    let Adopted { stream, address, dialled, handshake, unread } = adopted;
    let connected = shell.session.borrow_mut().adopted(address, dialled, handshake, shell.now());
    go_on(&shell, connected, stream, address, dialled, &unread).await;
}

async fn talk(
    shell: &Rc<Shell>,
    stream: TcpStream,
    address: SocketAddr,
    dialled: bool,
    handshake: Handshake,
) {
    let connected = shell.session.borrow_mut().connected(address, dialled, handshake, shell.now());
    go_on(shell, connected, stream, address, dialled, &[]).await;
}

async fn go_on(
    shell: &Rc<Shell>,
    connected: Result<PeerKey, Why>,
    stream: TcpStream,
    address: SocketAddr,
    dialled: bool,
    unread: &[u8],
) {
    match connected {
        Ok(key) => {
            let link = shell.link(key);
            shell.act();
            let why = exchange(shell, key, &link, stream, unread).await;
            shell.unlink(key, why);
        }
        Err(why) => shell.update(|session, now| session.not_connected(address, dialled, why, now)),
    }
}

/// Reads and writes until one side has enough.
async fn exchange(shell: &Rc<Shell>, key: PeerKey, link: &Link, mut stream: TcpStream, unread: &[u8]) -> Why {
    let limits = shell.session.borrow().limits();
    let (mut reader, mut writer) = stream.split();
    let mut carry = Vec::new();
    if let Err(why) = take_frames(shell, key, unread, &mut carry, limits) {
        return why;
    }
    shell.act();
    loop {
        if let Some(why) = link.closing.get() {
            if why == Why::Redundant {
                // A super-seeding peer waits for the `have` of the last piece.
                let _ = flush(shell, key, &mut writer);
            }
            return why;
        }
        let blocked = match flush(shell, key, &mut writer) {
            Ok(blocked) => blocked,
            Err(why) => return why,
        };
        let read = poll_fn(|context| poll_read(shell, key, &mut reader, &mut carry, limits, context));
        tokio::select! {
            taken = read => {
                if let Err(why) = taken {
                    return why;
                }
                shell.act();
            }
            () = link.wake.notified() => {}
            _ = writer.writable(), if blocked => {}
        }
    }
}

/// Writes the waiting bytes to the peer, and returns whether the socket accepts no more for now.
fn flush(shell: &Rc<Shell>, key: PeerKey, writer: &mut WriteHalf<'_>) -> Result<bool, Why> {
    let mut wrote = false;
    let blocked = loop {
        let mut session = shell.session.borrow_mut();
        let front = session.outgoing(key).map_or(&[][..], |out| out.front());
        if front.is_empty() {
            break false;
        }
        match writer.try_write(front) {
            Ok(bytes) => session.written(key, bytes, shell.now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(Why::Io),
        }
        wrote = true;
    };
    if wrote {
        shell.act();
    }
    Ok(blocked)
}

/// Reads once into the buffer that all connections share, and takes every whole frame.
fn poll_read(
    shell: &Shell,
    key: PeerKey,
    reader: &mut ReadHalf<'_>,
    carry: &mut Vec<u8>,
    limits: Limits,
    context: &mut Context<'_>,
) -> Poll<Result<(), Why>> {
    let mut scratch = shell.scratch.borrow_mut();
    let mut buffer = ReadBuf::new(&mut scratch[carry.len()..]);
    let read = ready!(Pin::new(reader).poll_read(context, &mut buffer));
    let bytes = buffer.filled().len();
    match read {
        Ok(()) if bytes > 0 => {}
        Ok(()) => return Poll::Ready(Err(Why::Eof)),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Poll::Ready(Err(Why::Eof)),
        Err(_) => return Poll::Ready(Err(Why::Io)),
    }
    scratch[..carry.len()].copy_from_slice(carry);
    let whole = &scratch[..carry.len() + bytes];
    Poll::Ready(take_frames(shell, key, whole, carry, limits))
}

/// Takes every whole frame; the rest is carried to the next read.
fn take_frames(
    shell: &Shell,
    key: PeerKey,
    whole: &[u8],
    carry: &mut Vec<u8>,
    limits: Limits,
) -> Result<(), Why> {
    let mut session = shell.session.borrow_mut();
    let now = shell.now();
    session.heard(key, now);
    let mut at = 0;
    let taken = loop {
        match next_frame(&whole[at..], limits) {
            Ok(Some((message, length))) => {
                at += length;
                if let Err(why) = session.message(key, message, now) {
                    break Err(why);
                }
            }
            Ok(None) => break Ok(()),
            Err(why) => break Err(why),
        }
    };
    session.read_taken(key, now);
    carry.clear();
    carry.extend_from_slice(&whole[at..]);
    taken
}

/// A handshake takes no longer than this in all (P-07).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
