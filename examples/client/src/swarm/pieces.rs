//! The result of a piece's hash: it is valid, or a peer sent bad data.
//!
//! If all of a bad piece came from one peer, that peer is banned. If several peers sent it, the digests of their blocks are
//! kept, the piece is fetched again from one peer alone, and every peer whose block differs from the valid one is banned.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::PeerKey;
use super::session::{Action, Digest, Session};
use crate::ui::event::Event;
use crate::wire::Why;
use crate::wire::message::Message;

/// The blocks of a bad piece: what they were and who sent them.
#[derive(Debug)]
pub(crate) struct Suspects {
    pub(super) digests: Vec<Digest>,
    sources: Vec<PeerKey>,
}

/// What the disk found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The hash is right and the piece is on the disk; these blocks differ from those of the earlier attempt.
    Good { differing: Vec<usize> },
    /// The hash is wrong; the digests of its blocks.
    Bad { digests: Vec<Digest> },
}

impl Session {
    /// A part is stored: takes back its buffer, and what the disk found of its piece where that is whole.
    pub(crate) fn stored(&mut self, piece: u32, data: Vec<u8>, verdict: Option<Verdict>, now: Duration) {
        self.spare.push(data);
        self.picker.stored();
        match verdict {
            Some(Verdict::Good { differing }) => self.good(piece, &differing, now),
            Some(Verdict::Bad { digests }) => self.bad(piece, digests, now),
            None => {}
        }
        self.stirred = true;
        self.settle(now);
    }

    fn good(&mut self, piece: u32, differing: &[usize], now: Duration) {
        self.picker.verified(piece);
        if !self.have.insert(piece) {
            return;
        }
        self.lacking.remove(piece);
        let length = u64::from(self.picker.piece_length(piece));
        self.left = self.left.saturating_sub(length);
        self.downloaded += length;
        self.actions.push(Action::Tell(Event::PieceOk { piece }));
        for (&key, peer) in &mut self.peers {
            if peer.has.get(piece) {
                peer.of_interest = peer.of_interest.saturating_sub(1);
            }
            // Also to peers that have it: super-seeding peers name the next piece after our `have` of the last (BEP 16).
            peer.out.push(&Message::Have(piece));
            self.wakes.insert(key);
        }
        if let Some(suspects) = self.suspects.remove(&piece) {
            let mut liars: Vec<PeerKey> =
                differing.iter().filter_map(|&at| suspects.sources.get(at)).copied().collect();
            liars.sort_unstable();
            liars.dedup();
            for liar in liars {
                self.ban(liar);
            }
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.tell_interest(key);
            self.part_if_redundant(key);
        }
        if self.is_complete() {
            self.spare.clear();
            self.actions.push(Action::Tell(Event::Complete));
        } else {
            self.dial(now);
        }
    }

    /// Pieces that were here can't be read any more: their file was cut or taken away. We don't have them then, and peers
    /// may give them again. Peers can't be sent that a piece is gone; who asks for it gets nothing.
    pub(crate) fn lost(&mut self, pieces: &BTreeSet<u32>, reason: String, now: Duration) {
        let gone: BTreeSet<u32> = pieces.iter().copied().filter(|&piece| self.have.remove(piece)).collect();
        if gone.is_empty() {
            return;
        }
        for &piece in &gone {
            self.left += u64::from(self.picker.piece_length(piece));
            if self.wanted.get(piece) {
                self.lacking.insert(piece);
                self.picker.lost(piece, &mut self.rng);
            }
        }
        self.actions.push(Action::Tell(Event::PiecesLost { count: gone.len(), reason }));
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.wants.retain(|block| !gone.contains(&block.piece));
                peer.of_interest = peer.has.count_common(&self.lacking);
            }
            self.tell_interest(key);
        }
        self.dial(now);
        self.stirred = true;
        self.settle(now);
    }

    fn bad(&mut self, piece: u32, digests: Vec<Digest>, now: Duration) {
        let sources = self.picker.failed(piece, &mut self.rng);
        let single = sources.first().copied().filter(|first| sources.iter().all(|source| source == first));
        let address = single.and_then(|key| self.address_of(key));
        self.actions.push(Action::Tell(Event::PieceBad { piece, peer: address }));
        if let Some(liar) = single {
            self.ban(liar);
        } else if self.suspects.len() < MAX_SUSPECTS {
            // The first attempt counts: a later one is of a single peer, which is banned anyway.
            self.suspects.entry(piece).or_insert(Suspects { digests, sources });
        }
        self.dial(now);
    }

    /// Never deals with a peer again, be it still here or not.
    fn ban(&mut self, key: PeerKey) {
        let Some(address) = self.address_of(key) else { return };
        let listens = self.peers.get(&key).and_then(|peer| peer.listens);
        for address in [Some(address), listens].into_iter().flatten() {
            self.book.ban(address);
        }
        self.actions.push(Action::Tell(Event::PeerBanned { peer: address }));
        // On loopback a host is one of many peers, elsewhere all its connections are the same liar's.
        for (&other, peer) in &self.peers {
            if other == key || self.book.is_banned(peer.address) {
                self.actions.push(Action::Close(other, Why::HashFail));
            }
        }
    }

    fn address_of(&self, key: PeerKey) -> Option<SocketAddr> {
        self.peers.get(&key).map(|peer| peer.address).or_else(|| self.departed.get(&key).copied())
    }

    /// Parts from a peer that has everything when we lack nothing any more.
    pub(super) fn part_if_redundant(&mut self, key: PeerKey) {
        if self.is_complete() && self.peers.get(&key).is_some_and(|peer| peer.has.is_full()) {
            self.actions.push(Action::Close(key, Why::Redundant));
        }
    }
}

/// Bad pieces whose culprit is being looked for.
const MAX_SUSPECTS: usize = 64;
