//! What the disk has done: blocks that were read, and pieces that turned out to be good, bad or gone.

use std::collections::BTreeSet;
use std::time::Duration;

use super::verdict::{Digest, Verdict};
use super::{PeerKey, Swarm};
use crate::ui::event::Event;
use crate::wire::Why;

impl Swarm {
    /// Blocks for a peer have been read, framed as messages; `None` when they can't be read.
    pub(crate) fn loaded(&mut self, key: PeerKey, messages: Option<Vec<u8>>, payload: u64) {
        self.uploads.loaded(key, messages, payload, &mut self.peers, &mut self.actions);
    }

    /// A part is stored: takes back its buffer, and what the disk found of its piece where that is whole.
    pub(crate) fn stored(&mut self, piece: u32, data: Vec<u8>, verdict: Option<Verdict>, now: Duration) {
        self.pieces.stored(data);
        match verdict {
            Some(Verdict::Good { differing }) => self.good(piece, &differing, now),
            Some(Verdict::Bad { digests }) => self.bad(piece, digests, now),
            None => {}
        }
        self.requests.stir();
        self.settle(now);
    }

    fn good(&mut self, piece: u32, differing: &[usize], now: Duration) {
        if !self.pieces.verified(piece) {
            return;
        }
        self.actions.tell(Event::PieceOk { piece });
        self.peers.announce(piece, &mut self.actions);
        for liar in self.pieces.liars(piece, differing) {
            self.ban(liar);
        }
        let is_complete = self.pieces.is_complete();
        for peer in self.peers.iter_mut() {
            peer.reconsider(is_complete, &mut self.actions);
        }
        if is_complete {
            self.actions.tell(Event::Complete);
        } else {
            self.dial(now);
        }
    }

    fn bad(&mut self, piece: u32, digests: Vec<Digest>, now: Duration) {
        let liar = self.pieces.failed(piece, digests, &mut self.rng);
        let address = liar.and_then(|key| self.peers.address_of(key));
        self.actions.tell(Event::PieceBad { piece, peer: address });
        if let Some(liar) = liar {
            self.ban(liar);
        }
        self.dial(now);
    }

    /// Pieces that were here can't be read any more: their file was cut or taken away. We don't have them then, and peers
    /// may give them again. Peers can't be sent that a piece is gone; who asks for it gets nothing.
    pub(crate) fn lost(&mut self, pieces: &BTreeSet<u32>, reason: String, now: Duration) {
        let gone = self.pieces.lost(pieces, &mut self.rng);
        if gone.is_empty() {
            return;
        }
        self.actions.tell(Event::PiecesLost { count: gone.len(), reason });
        for peer in self.peers.iter_mut() {
            for block in peer.upload.drop_pieces(&gone) {
                peer.reject(block, &mut self.actions);
            }
            peer.has.review(self.pieces.lacking());
            peer.tell_interest(&mut self.actions);
        }
        self.dial(now);
        self.requests.stir();
        self.settle(now);
    }

    /// Never deals with a peer again, be it still here or not.
    fn ban(&mut self, key: PeerKey) {
        let Some(address) = self.peers.address_of(key) else { return };
        let listens = self.peers.get(key).and_then(|peer| peer.listens);
        for address in [Some(address), listens].into_iter().flatten() {
            self.book.ban(address);
        }
        self.actions.tell(Event::PeerBanned { peer: address });
        // On loopback a host is one of many peers, elsewhere all its connections are the same liar's.
        for peer in self.peers.iter() {
            if peer.key == key || self.book.is_banned(peer.address) {
                self.actions.close(peer.key, Why::HashFail);
            }
        }
    }
}
