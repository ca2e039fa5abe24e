//! The connections of a download, each a task: handshake, then frames in and bytes out until one side closes it.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::adopted::Adopted;
use super::handshake;
use super::link::Link;
use super::registry::Host;
use super::shell::Shell;
use crate::swarm::PeerKey;
use crate::wire::Why;
use crate::wire::greeting::Greeted;
use crate::wire::handshake::LENGTH;
use crate::wire::message::{Limits, next_frame};
use crate::wire::mse::{Cipher, Ciphers};

/// Dials the peers that are due, each in a task of its own, for ever.
pub(crate) async fn dial(shell: Rc<Shell>) {
    loop {
        let address = shell.next_due().await;
        tokio::task::spawn_local(outgoing(Rc::clone(&shell), address));
    }
}

/// Goes on with connections on which the metadata was fetched.
pub(crate) fn adopt(shell: &Rc<Shell>, connections: Vec<Adopted>) {
    for connection in connections {
        tokio::task::spawn_local(adopted(Rc::clone(shell), connection));
    }
}

/// Dials a peer and talks to it.
async fn outgoing(shell: Rc<Shell>, address: SocketAddr) {
    match handshake::dial(address, shell.info_hash, shell.own_handshake(), shell.encryption).await {
        Ok((stream, greeted)) => talk(&shell, stream, address, true, greeted).await,
        Err(why) => shell.update(|swarm, now| swarm.not_connected(address, true, why, now)),
    }
}

impl Host for Shell {
    fn admits(&self, address: SocketAddr) -> bool {
        self.swarm.borrow().admits(address)
    }

    fn connected(&self) -> usize {
        self.swarm.borrow().peer_counts().connected as usize
    }

    fn handshake(&self) -> [u8; LENGTH] {
        self.own_handshake()
    }

    fn welcome(self: Rc<Self>, stream: TcpStream, address: SocketAddr, greeted: Greeted) {
        tokio::task::spawn_local(async move { talk(&self, stream, address, false, greeted).await });
    }

    fn not_connected(&self, address: SocketAddr, why: Why) {
        self.update(|swarm, now| swarm.not_connected(address, false, why, now));
    }
}

/// Goes on with a connection on which the metadata was fetched.
async fn adopted(shell: Rc<Shell>, adopted: Adopted) {
    let Adopted { stream, address, dialled, handshake, ciphers, unread } = adopted;
    let connected = shell.swarm.borrow_mut().adopted(address, dialled, handshake, shell.now());
    go_on(&shell, connected, Stream { stream, ciphers }, address, dialled, &unread).await;
}

async fn talk(shell: &Rc<Shell>, stream: TcpStream, address: SocketAddr, dialled: bool, greeted: Greeted) {
    let Greeted { handshake, ciphers, unread, .. } = greeted;
    let connected = shell.swarm.borrow_mut().connected(address, dialled, handshake, shell.now());
    go_on(shell, connected, Stream { stream, ciphers }, address, dialled, &unread).await;
}

/// A connection after the greeting.
struct Stream {
    stream: TcpStream,
    ciphers: Ciphers,
}

async fn go_on(
    shell: &Rc<Shell>,
    connected: Result<PeerKey, Why>,
    stream: Stream,
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
        Err(why) => shell.update(|swarm, now| swarm.not_connected(address, dialled, why, now)),
    }
}

/// Reads and writes until one side has enough.
async fn exchange(shell: &Rc<Shell>, key: PeerKey, link: &Link, stream: Stream, unread: &[u8]) -> Why {
    let Stream { mut stream, ciphers: Ciphers { mut incoming, mut outgoing } } = stream;
    let limits = shell.swarm.borrow().limits();
    let (mut reader, mut writer) = stream.split();
    let mut carry = Vec::new();
    if let Err(why) = take_frames(shell, key, unread, &mut carry, limits) {
        return why;
    }
    shell.act();
    loop {
        if let Some(why) = link.closing() {
            if why == Why::Redundant {
                // A super-seeding peer waits for the `have` of the last piece.
                let _ = flush(shell, key, &mut writer, outgoing.as_mut());
            }
            return why;
        }
        let blocked = match flush(shell, key, &mut writer, outgoing.as_mut()) {
            Ok(blocked) => blocked,
            Err(why) => return why,
        };
        let mut read = Reading { reader: &mut reader, cipher: incoming.as_mut(), carry: &mut carry };
        let read = poll_fn(|context| read.poll(shell, key, limits, context));
        tokio::select! {
            taken = read => {
                if let Err(why) = taken {
                    return why;
                }
                shell.act();
            }
            () = link.woken() => {}
            _ = writer.writable(), if blocked => {}
        }
    }
}

/// Writes the waiting bytes to the peer, and returns whether the socket accepts no more for now.
fn flush(
    shell: &Rc<Shell>,
    key: PeerKey,
    writer: &mut WriteHalf<'_>,
    mut cipher: Option<&mut Cipher>,
) -> Result<bool, Why> {
    let mut wrote = false;
    let blocked = loop {
        let mut swarm = shell.swarm.borrow_mut();
        let front = match (swarm.outgoing(key), &mut cipher) {
            (Some(out), Some(cipher)) => out.front_through(|bytes| cipher.apply(bytes)),
            (Some(out), None) => out.front(),
            (None, _) => &[],
        };
        if front.is_empty() {
            break false;
        }
        match writer.try_write(front) {
            Ok(bytes) => swarm.written(key, bytes, shell.now()),
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

/// The side of a connection on which bytes come in.
struct Reading<'a, 'b> {
    reader: &'a mut ReadHalf<'b>,
    cipher: Option<&'a mut Cipher>,
    /// The start of a frame that isn't whole, in clear.
    carry: &'a mut Vec<u8>,
}

impl Reading<'_, '_> {
    /// Reads once into the buffer that all connections share, and takes every whole frame.
    fn poll(
        &mut self,
        shell: &Shell,
        key: PeerKey,
        limits: Limits,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Why>> {
        let carried = self.carry.len();
        let mut scratch = shell.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch[carried..]);
        let read = ready!(Pin::new(&mut *self.reader).poll_read(context, &mut buffer));
        let bytes = buffer.filled().len();
        match read {
            Ok(()) if bytes > 0 => {}
            Ok(()) => return Poll::Ready(Err(Why::Eof)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Poll::Ready(Err(Why::Eof)),
            Err(_) => return Poll::Ready(Err(Why::Io)),
        }
        scratch[..carried].copy_from_slice(self.carry);
        let whole = &mut scratch[..carried + bytes];
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(&mut whole[carried..]);
        }
        Poll::Ready(take_frames(shell, key, whole, self.carry, limits))
    }
}

/// Takes every whole frame; the rest is carried to the next read.
fn take_frames(
    shell: &Shell,
    key: PeerKey,
    whole: &[u8],
    carry: &mut Vec<u8>,
    limits: Limits,
) -> Result<(), Why> {
    let mut swarm = shell.swarm.borrow_mut();
    let now = shell.now();
    swarm.heard(key, now);
    let mut at = 0;
    let taken = loop {
        match next_frame(&whole[at..], limits) {
            Ok(Some((message, length))) => {
                at += length;
                if let Err(why) = swarm.message(key, message, now) {
                    break Err(why);
                }
            }
            Ok(None) => break Ok(()),
            Err(why) => break Err(why),
        }
    };
    swarm.read_taken(key, now);
    carry.clear();
    carry.extend_from_slice(&whole[at..]);
    taken
}
