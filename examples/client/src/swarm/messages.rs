//! Handles the messages of peers.

use std::net::SocketAddr;
use std::time::Duration;

use super::PeerKey;
use super::bitfield::Bitfield;
use super::pex::Taken;
use super::session::Session;
use crate::wire::message::Message;
use crate::wire::{Why, extension};

impl Session {
    /// Takes one message of a peer's. When a whole read has been taken, [`settle`](Self::settle) follows.
    ///
    /// # Errors
    /// When the peer broke the protocol and the connection is to be closed.
    pub(crate) fn message(&mut self, key: PeerKey, message: Message<'_>, now: Duration) -> Result<(), Why> {
        let Some(peer) = self.peers.get_mut(&key) else { return Err(Why::Io) };
        let first = !peer.begun;
        // Extended messages may come before the bitfield, as several clients send them.
        peer.begun |= !matches!(message, Message::KeepAlive | Message::Extended(..) | Message::Unknown(_));
        match message {
            Message::Choke => self.choked_by(key),
            Message::Unchoke => {
                let pointless = !std::mem::replace(&mut peer.choking, false);
                peer.waiting_since = now;
                self.count_pointless(key, pointless)
            }
            Message::Interested => {
                let pointless = std::mem::replace(&mut peer.interested, true);
                self.judge_now |= !pointless;
                self.count_pointless(key, pointless)
            }
            Message::NotInterested => {
                let pointless = !std::mem::replace(&mut peer.interested, false);
                self.judge_now |= !pointless;
                self.count_pointless(key, pointless)
            }
            Message::Have(piece) => self.has_piece(key, piece),
            Message::Bitfield(bytes) if first => self.has_pieces(key, bytes),
            Message::Bitfield(bytes) => self.has_more_pieces(key, bytes, now),
            Message::Request(block) => self.requested(key, block),
            Message::Piece { piece, begin, data } => self.block(key, piece, begin, data, now),
            Message::Cancel(block) => self.cancelled(key, block),
            Message::Extended(0, payload) => {
                self.extended(key, payload, now);
                self.count_pointless(key, true)
            }
            Message::Extended(extension::UT_PEX, payload) => self.peers_of(key, payload, now),
            Message::Extended(extension::UT_METADATA, payload) => {
                let answered = self.answer_about_metadata(key, payload, now);
                self.count_pointless(key, !answered)
            }
            Message::Port(port) => self.has_node_at(key, port),
            Message::KeepAlive | Message::Unknown(_) | Message::Extended(..) => Ok(()),
        }
    }

    /// Bytes came from a peer, whatever they were.
    pub(crate) fn heard(&mut self, key: PeerKey, now: Duration) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.heard = now;
        }
    }

    /// Counts a message that changes nothing; too many of them are an attack (P-07, P-12).
    pub(super) fn count_pointless(&mut self, key: PeerKey, pointless: bool) -> Result<(), Why> {
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        peer.pointless += u32::from(pointless);
        if peer.pointless > MAX_POINTLESS { Err(Why::BadMessage) } else { Ok(()) }
    }

    /// Everything that was asked for is dropped by the peer (BEP 3), though some may be on its way.
    fn choked_by(&mut self, key: PeerKey) -> Result<(), Why> {
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        let pointless = std::mem::replace(&mut peer.choking, true);
        peer.chokes += 1;
        if peer.chokes > MAX_CHOKES {
            return Err(Why::BadMessage);
        }
        self.take_back(key);
        self.count_pointless(key, pointless)
    }

    fn has_piece(&mut self, key: PeerKey, piece: u32) -> Result<(), Why> {
        if piece >= self.have.pieces() {
            return Err(Why::OutOfRange);
        }
        let wanted = self.lacking.get(piece);
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        if !peer.has.insert(piece) {
            return self.count_pointless(key, true);
        }
        peer.of_interest += u32::from(wanted);
        if peer.counted {
            self.picker.rarity().increase(piece);
        }
        self.tell_interest(key);
        self.part_if_redundant(key);
        Ok(())
    }

    fn has_pieces(&mut self, key: PeerKey, bytes: &[u8]) -> Result<(), Why> {
        let has = Bitfield::read(bytes, self.have.pieces())?;
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        peer.of_interest = has.count_common(&self.lacking);
        peer.counted = !has.is_full();
        if peer.counted {
            for piece in has.iter() {
                self.picker.rarity().increase(piece);
            }
        }
        peer.has = has;
        self.tell_interest(key);
        self.part_if_redundant(key);
        Ok(())
    }

    /// A bitfield is late, which breaks the protocol (BEP 3) but for one case: aria2 says with it which pieces it
    /// has got meanwhile, where that is shorter than a `have` for each.
    fn has_more_pieces(&mut self, key: PeerKey, bytes: &[u8], now: Duration) -> Result<(), Why> {
        let has = Bitfield::read(bytes, self.have.pieces())?;
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        let had_time = peer.up.total() > 0 || now.saturating_sub(peer.since) >= FIRST_PIECES;
        if !had_time || peer.has.count_beyond(&has) > 0 || has.count_beyond(&peer.has) == 0 {
            return Err(Why::BadBitfield);
        }
        let had = std::mem::replace(&mut peer.has, has);
        peer.of_interest = peer.has.count_common(&self.lacking);
        if peer.counted {
            for piece in peer.has.iter().filter(|&piece| !had.get(piece)) {
                self.picker.rarity().increase(piece);
            }
        }
        self.tell_interest(key);
        self.part_if_redundant(key);
        Ok(())
    }

    fn extended(&mut self, key: PeerKey, payload: &[u8], now: Duration) {
        let said = extension::read(payload);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if let Some(reqq) = said.reqq {
            peer.window.set_reqq(reqq);
        }
        if let (Some(port), None) = (said.port, peer.listens) {
            let listens = SocketAddr::new(peer.address.ip(), port);
            peer.listens = Some(listens);
            self.book.came_in(listens, now);
        }
        self.exchange.agreed(key, said.ut_pex, peer.listens);
        peer.ut_metadata = said.ut_metadata;
    }

    /// Answers a request for metadata; gives whether there was one that could be answered.
    fn answer_about_metadata(&mut self, key: PeerKey, payload: &[u8], now: Duration) -> bool {
        let Some(peer) = self.peers.get_mut(&key) else { return false };
        let Some(id) = peer.ut_metadata else { return false };
        let Some(answer) = self.metadata.answer(&mut peer.metadata_sent, payload, now) else { return false };
        peer.out.push(&Message::Extended(id, &answer.body));
        self.wakes.insert(key);
        !answer.is_reject
    }

    /// A peer names others (BEP 11).
    fn peers_of(&mut self, key: PeerKey, payload: &[u8], now: Duration) -> Result<(), Why> {
        let Some(from) = self.peers.get(&key).map(|peer| peer.address) else { return Ok(()) };
        match self.exchange.received(key, from, payload, self.is_complete(), now) {
            Taken::Peers(peers) => {
                self.add_peers(peers, now);
                Ok(())
            }
            Taken::Pointless => self.count_pointless(key, true),
        }
    }

    /// Tells a peer whether it has something we want, when that has changed.
    pub(super) fn tell_interest(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let wanted = peer.of_interest > 0;
        if wanted != peer.wanted {
            peer.wanted = wanted;
            peer.out.push(if wanted { &Message::Interested } else { &Message::NotInterested });
            self.wakes.insert(key);
        }
    }
}

/// Messages that change nothing, beyond those that are forgiven in time.
const MAX_POINTLESS: u32 = 1000;
/// So soon after it came no peer has got pieces, unless they came from us.
const FIRST_PIECES: Duration = Duration::from_secs(2);
/// Chokes without a block between them.
const MAX_CHOKES: u32 = 100;
