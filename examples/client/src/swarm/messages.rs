//! The messages of peers, each led to the part that it is for.

use std::net::SocketAddr;
use std::time::Duration;

use super::actions::Actions;
use super::dial::DialBook;
use super::metadata::MetadataServer;
use super::peer::Peer;
use super::pex::{PeerExchange, Taken};
use super::requests::Requests;
use super::uploads::Uploads;
use super::{PeerKey, Swarm};
use crate::wire::message::{Block, Message};
use crate::wire::{Why, extension};

impl Swarm {
    /// Takes one message of a peer's. When a whole read has been taken, [`read_taken`](Self::read_taken) follows.
    ///
    /// # Errors
    /// When the peer broke the protocol and the connection is to be closed.
    pub(crate) fn message(&mut self, key: PeerKey, message: Message<'_>, now: Duration) -> Result<(), Why> {
        let is_first = self.peers.get_mut(key).is_some_and(|peer| peer.is_first(&message));
        if message.is_fast() {
            return self.fast_message(key, message, is_first, now);
        }
        let Self { actions, peers, pieces, requests, uploads, book, exchange, nodes, metadata, .. } = self;
        let Some(peer) = peers.get_mut(key) else { return Err(Why::Io) };
        match message {
            Message::Choke => requests.choked(peer, pieces, actions),
            Message::Unchoke => Requests::unchoked(peer, now),
            Message::Interested => uploads.interested(peer, true),
            Message::NotInterested => uploads.interested(peer, false),
            Message::Have(piece) => {
                if !pieces.announced(peer, piece)? {
                    return peer.count_pointless(true);
                }
                peer.reconsider(pieces.is_complete(), actions);
                Ok(())
            }
            Message::Bitfield(bytes) => {
                if is_first {
                    pieces.announced_at_first(peer, bytes)?;
                } else {
                    pieces.announced_late(peer, bytes, now)?;
                }
                peer.reconsider(pieces.is_complete(), actions);
                if is_first {
                    self.allow_fast(key);
                }
                Ok(())
            }
            Message::Request(block) => Uploads::requested(peer, block, pieces, actions),
            Message::Cancel(block) => Uploads::cancelled(peer, block, pieces, actions),
            Message::Piece { piece, begin, data } => {
                // The frame's limit keeps the length far below u32::MAX.
                let block = Block { piece, begin, length: u32::try_from(data.len()).unwrap_or(u32::MAX) };
                if !pieces.contains(block) {
                    return Err(Why::OutOfRange);
                }
                requests.received(peer, block, now)?;
                if pieces.received(key, block, data, actions) {
                    requests.cancel_elsewhere(key, block, peers, actions);
                }
                Ok(())
            }
            Message::Extended(0, payload) => {
                introduced(peer, payload, book, exchange, now);
                peer.count_pointless(true)
            }
            Message::Extended(extension::UT_PEX, payload) => {
                match exchange.received(key, peer.address, payload, pieces.is_complete(), now) {
                    Taken::Peers(named) => {
                        self.add_peers(named, now);
                        Ok(())
                    }
                    Taken::Pointless => peer.count_pointless(true),
                }
            }
            Message::Extended(extension::UT_METADATA, payload) => {
                let is_given = give_metadata(peer, payload, metadata, actions, now);
                peer.count_pointless(!is_given)
            }
            Message::Port(port) => {
                let is_new = nodes.learn(peer.address, port);
                peer.count_pointless(!is_new)
            }
            _ => Ok(()),
        }
    }

    /// Bytes came from a peer, whatever they were.
    pub(crate) fn heard(&mut self, key: PeerKey, now: Duration) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.heard = now;
        }
    }
}

/// Takes a peer's extension handshake (BEP 10).
fn introduced(
    peer: &mut Peer,
    payload: &[u8],
    book: &mut DialBook,
    exchange: &mut PeerExchange,
    now: Duration,
) {
    let said = extension::read(payload);
    if let Some(reqq) = said.reqq {
        peer.download.set_reqq(reqq);
    }
    if let (Some(port), None) = (said.port, peer.listens) {
        let listens = SocketAddr::new(peer.address.ip(), port);
        peer.listens = Some(listens);
        book.came_in(listens, now);
    }
    exchange.agreed(peer.key, said.ut_pex, peer.listens);
    peer.ut_metadata = said.ut_metadata;
}

/// Answers a request for metadata (BEP 9); returns whether there was one, and it was granted.
fn give_metadata(
    peer: &mut Peer,
    payload: &[u8],
    metadata: &MetadataServer,
    actions: &mut Actions,
    now: Duration,
) -> bool {
    let Some(id) = peer.ut_metadata else { return false };
    let Some(answer) = metadata.answer(&mut peer.metadata_sent, payload, now) else { return false };
    peer.out.push(&Message::Extended(id, &answer.body));
    actions.wake(peer.key);
    !answer.is_reject
}
