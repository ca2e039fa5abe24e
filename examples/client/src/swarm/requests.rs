//! Asking peers for blocks, and what becomes of those that come.

use std::time::Duration;

use super::PeerKey;
use super::parts::PART;
use super::peer::{self, Peer};
use super::picker::Receipt;
use super::session::{Action, Session};
use crate::wire::Why;
use crate::wire::message::{Block, Message};

impl Session {
    /// Fills a peer's requests up to its window. Under a limit it may have its share of what [`pace`](Self::pace)
    /// left over.
    pub(super) fn refill(&mut self, key: PeerKey, now: Duration) {
        let most = self.down_limit.map_or(usize::MAX, |limit| limit.blocks() / self.peers.len().max(1));
        self.ask(key, most, now);
    }

    /// Asks a peer for up to `most` blocks as far as its window allows; gives for how many it was.
    pub(super) fn ask(&mut self, key: PeerKey, most: usize, now: Duration) -> usize {
        let Some(peer) = self.peers.get_mut(&key) else { return 0 };
        let room = peer.room().min(most);
        if room == 0 {
            return 0;
        }
        let asked = |block| peer.asked.contains(&block);
        let picked = self.picker.pick(key, &peer.has, room, asked, &mut self.rng);
        if let Some(piece) = picked.evicted {
            self.forget(piece);
        }
        let Some(peer) = self.peers.get_mut(&key) else { return 0 };
        let count = picked.blocks.len();
        if count == 0 {
            return 0;
        }
        if peer.asked.is_empty() {
            peer.waiting_since = now;
        }
        for block in picked.blocks {
            peer.asked.push_back(block);
            peer.out.push(&Message::Request(block));
            if let Some(limit) = &mut self.down_limit {
                limit.take(block.length.into());
            }
        }
        self.wakes.insert(key);
        count
    }

    /// Everybody with room is asked for more.
    pub(super) fn refill_all(&mut self, now: Duration) {
        let keys: Vec<PeerKey> =
            self.peers.iter().filter(|(_, peer)| peer.room() > 0).map(|(&key, _)| key).collect();
        for key in keys {
            self.refill(key, now);
        }
    }

    /// What the peer was asked for is given to others; the peer may still send it.
    pub(super) fn take_back(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        for block in std::mem::take(&mut peer.asked) {
            self.picker.release(block);
            peer.late.expect(block);
            if let Some(limit) = &mut self.down_limit {
                limit.give_back(block.length.into());
            }
        }
        self.abandon(key);
        self.stirred = true;
    }

    /// What a peer alone should have sent begins anew.
    pub(super) fn abandon(&mut self, key: PeerKey) {
        for piece in self.picker.abandon(key) {
            self.forget(piece);
        }
    }

    /// What came of a piece is given up.
    fn forget(&mut self, piece: u32) {
        let begun: Vec<_> = self.buffers.range((piece, 0)..=(piece, u32::MAX)).map(|(&key, _)| key).collect();
        self.spare.extend(begun.iter().filter_map(|key| self.buffers.remove(key)));
        if self.begun.remove(&piece) {
            self.actions.push(Action::Forget(piece));
        }
    }

    /// A block has come.
    pub(super) fn block(
        &mut self,
        key: PeerKey,
        piece: u32,
        begin: u32,
        data: &[u8],
        now: Duration,
    ) -> Result<(), Why> {
        // The frame's limit keeps the length far below u32::MAX.
        let block = Block { piece, begin, length: u32::try_from(data.len()).unwrap_or(u32::MAX) };
        if !self.picker.contains(block) {
            return Err(Why::OutOfRange);
        }
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        if !peer::take(&mut peer.asked, block) {
            if !peer.late.take(block) {
                return Err(Why::Unrequested);
            }
            // It had been given back, and came all the same.
            if let Some(limit) = &mut self.down_limit {
                limit.take(block.length.into());
            }
        }
        peer.down.add(u64::from(block.length));
        peer.window.received();
        peer.waiting_since = now;
        peer.snubbed = false;
        peer.chokes = 0;
        self.down.add(u64::from(block.length));
        let Receipt::Kept { others, whole_part } = self.picker.received(key, block) else { return Ok(()) };
        self.keep(block, data);
        if others {
            self.cancel_elsewhere(key, block);
        }
        let part = begin - begin % PART;
        if whole_part && let Some(data) = self.buffers.remove(&(piece, part)) {
            let whole = self.picker.take_whole(piece);
            if whole {
                self.begun.remove(&piece);
            } else {
                self.begun.insert(piece);
            }
            let earlier = self.suspects.get(&piece).filter(|_| whole);
            let earlier = earlier.map(|suspects| suspects.digests.clone());
            self.actions.push(Action::Store { piece, begin: part, data, earlier });
        }
        Ok(())
    }

    /// Copies a block into its part's buffer.
    fn keep(&mut self, block: Block, data: &[u8]) {
        let part = block.begin - block.begin % PART;
        let length = (self.picker.piece_length(block.piece) - part).min(PART) as usize;
        let spare = &mut self.spare;
        let buffer = self.buffers.entry((block.piece, part)).or_insert_with(|| {
            let mut buffer = spare.pop().unwrap_or_default();
            buffer.resize(length, 0);
            buffer
        });
        let start = (block.begin - part) as usize;
        if let Some(place) = buffer.get_mut(start..start + data.len()) {
            place.copy_from_slice(data);
        }
    }

    /// Cancels a block that has arrived at all other peers it was requested from (end-game).
    fn cancel_elsewhere(&mut self, from: PeerKey, block: Block) {
        for (&key, peer) in &mut self.peers {
            if key != from && peer::take(&mut peer.asked, block) {
                peer.late.expect(block);
                if let Some(limit) = &mut self.down_limit {
                    limit.give_back(block.length.into());
                }
                peer.out.push(&Message::Cancel(block));
                self.wakes.insert(key);
            }
        }
    }

    /// Takes requests back from peers that don't answer them (P-07).
    pub(super) fn look_for_silence(&mut self, now: Duration) {
        let silent =
            |peer: &Peer| !peer.asked.is_empty() && now.saturating_sub(peer.waiting_since) >= BLOCK_TIMEOUT;
        let keys: Vec<PeerKey> =
            self.peers.iter().filter(|(_, peer)| silent(peer)).map(|(&key, _)| key).collect();
        for key in keys {
            let Some(peer) = self.peers.get_mut(&key) else { continue };
            peer.snubbed = true;
            peer.waiting_since = now;
            for &block in &peer.asked {
                peer.out.push(&Message::Cancel(block));
            }
            self.wakes.insert(key);
            self.take_back(key);
        }
    }
}

/// Within this time a block must come, or it is asked for elsewhere.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);
