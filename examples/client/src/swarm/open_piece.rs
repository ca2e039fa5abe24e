//! A piece in progress: which of its blocks are here, which were asked for, and which of its parts take memory.

use super::PeerKey;
use super::parts::{BLOCKS, PartState, parts_of};
use crate::wire::message::{BLOCK, Block};

/// The memory of all pieces in progress, counted by parts.
#[derive(Debug)]
pub(super) struct Memory {
    /// Parts that take memory: those being received, and those the disk isn't done with.
    parts: usize,
    /// How many may.
    limit: usize,
}

impl Memory {
    /// Memory for so many parts.
    pub(super) fn new(limit: usize) -> Self {
        Self { parts: 0, limit }
    }

    /// How many parts there is memory for.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many parts take memory.
    #[cfg(test)]
    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// Whether no further part may be begun.
    pub(super) fn is_full(&self) -> bool {
        self.parts >= self.limit
    }

    /// So many parts take none any more.
    pub(super) fn free(&mut self, parts: usize) {
        self.parts = self.parts.saturating_sub(parts);
    }
}

/// A piece in progress.
#[derive(Debug)]
pub(super) struct OpenPiece {
    piece: u32,
    /// Its bytes.
    length: u32,
    blocks: Vec<BlockState>,
    parts: Vec<PartState>,
    missing: u32,
    received: u32,
    /// No block before this one is missing.
    first_missing: usize,
    /// The peer of the last request: a peer that has begun a piece continues with it.
    last: PeerKey,
    /// Whether it is fetched from one peer alone.
    alone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockState {
    Missing,
    Requested(u8),
    Received(PeerKey),
}

impl OpenPiece {
    /// A piece of so many bytes that a peer begins.
    pub(super) fn new(piece: u32, length: u32, peer: PeerKey, alone: bool) -> Self {
        let missing = length.div_ceil(BLOCK);
        let (parts, blocks) = (parts_of(missing as usize), vec![BlockState::Missing; missing as usize]);
        Self { piece, length, blocks, parts, missing, received: 0, first_missing: 0, last: peer, alone }
    }

    /// Whether a peer may be asked for missing blocks; `own` asks for those it was asked for last.
    pub(super) fn may_go_on(&self, peer: PeerKey, own: bool) -> bool {
        if own { self.last == peer } else { self.last != peer && (!self.alone || self.last == NO_PEER) }
    }

    /// Whether it is fetched from this peer alone.
    pub(super) fn is_of_alone(&self, peer: PeerKey) -> bool {
        self.alone && self.last == peer
    }

    /// Whether it is fetched from one peer alone, and that isn't this one.
    pub(super) fn is_closed_to(&self, peer: PeerKey) -> bool {
        self.alone && self.last != peer
    }

    /// Whether there are blocks that weren't asked for.
    pub(super) fn is_partial(&self) -> bool {
        self.missing > 0
    }

    /// Whether all blocks are here.
    pub(super) fn is_whole(&self) -> bool {
        self.received as usize == self.blocks.len()
    }

    /// How many blocks are here.
    pub(super) fn received_blocks(&self) -> u32 {
        self.received
    }

    /// Whether no block of it is on its way.
    pub(super) fn is_idle(&self) -> bool {
        !self.blocks.iter().any(|block| matches!(block, BlockState::Requested(_)))
    }

    /// How many of its parts take memory, beside those that went to the disk.
    pub(super) fn in_memory(&self) -> usize {
        self.parts.iter().filter(|part| part.is_open()).count()
    }

    /// Who sent which block.
    pub(super) fn sources(&self) -> Vec<PeerKey> {
        let received = self.blocks.iter().map(|block| match block {
            BlockState::Received(peer) => *peer,
            _ => NO_PEER,
        });
        received.collect()
    }

    /// Begins anew, with any one peer alone.
    pub(super) fn restart(&mut self, memory: &mut Memory) {
        memory.free(self.in_memory());
        *self = Self::new(self.piece, self.length, NO_PEER, true);
    }

    /// Moves missing blocks to the picked ones, and returns whether a part was left out for lack of memory.
    pub(super) fn pick(
        &mut self,
        peer: PeerKey,
        want: usize,
        memory: &mut Memory,
        picked: &mut Vec<Block>,
    ) -> bool {
        let mut left_out = false;
        let mut at = self.first_missing;
        while picked.len() < want && self.missing > 0 {
            let (Some(state), Some(part)) = (self.blocks.get_mut(at), self.parts.get_mut(at / BLOCKS)) else {
                break;
            };
            if *state == BlockState::Missing {
                if part.is_closed() && memory.is_full() {
                    left_out = true;
                    at = (at / BLOCKS + 1) * BLOCKS;
                    continue;
                }
                memory.parts += usize::from(part.claim());
                *state = BlockState::Requested(1);
                self.missing -= 1;
                self.last = peer;
                picked.push(block_at(self.piece, at, self.length));
            }
            at += 1;
            if !left_out {
                self.first_missing = at;
            }
        }
        left_out
    }

    /// Adds blocks that are outstanding elsewhere to the picked ones, but for those that the peer was asked for.
    pub(super) fn pick_again(&mut self, want: usize, asked: impl Fn(Block) -> bool, picked: &mut Vec<Block>) {
        for (at, state) in self.blocks.iter_mut().enumerate() {
            let block = block_at(self.piece, at, self.length);
            if let BlockState::Requested(times) = state
                && *times < MAX_COPIES
                && picked.len() < want
                && !asked(block)
            {
                *times += 1;
                picked.push(block);
            }
        }
    }

    /// Takes a block. Gives whether it was asked of other peers, too, and whether its part is whole with it; `None` if it is
    /// of no use.
    pub(super) fn receive(
        &mut self,
        peer: PeerKey,
        block: Block,
        memory: &mut Memory,
    ) -> Option<(bool, bool)> {
        if self.is_closed_to(peer) {
            return None;
        }
        let at = (block.begin / BLOCK) as usize;
        let (state, part) = (self.blocks.get_mut(at)?, self.parts.get_mut(at / BLOCKS)?);
        let others = match *state {
            BlockState::Received(_) => return None,
            // Late, after the block had been given back.
            BlockState::Missing => {
                if part.is_closed() && memory.is_full() {
                    return None;
                }
                memory.parts += usize::from(part.claim());
                self.missing -= 1;
                false
            }
            BlockState::Requested(times) => times > 1,
        };
        *state = BlockState::Received(peer);
        self.received += 1;
        Some((others, part.receive()))
    }

    /// A block will not come from a peer that was asked for it.
    pub(super) fn release(&mut self, block: Block, memory: &mut Memory) {
        let at = (block.begin / BLOCK) as usize;
        let (Some(state), Some(part)) = (self.blocks.get_mut(at), self.parts.get_mut(at / BLOCKS)) else {
            return;
        };
        match *state {
            BlockState::Requested(times) if times > 1 => *state = BlockState::Requested(times - 1),
            BlockState::Requested(_) => {
                *state = BlockState::Missing;
                memory.free(usize::from(part.release()));
                self.missing += 1;
                self.first_missing = self.first_missing.min(at);
            }
            _ => {}
        }
    }
}

fn block_at(piece: u32, at: usize, piece_length: u32) -> Block {
    // A piece is at most 1 GiB, so its offsets fit.
    let begin = u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(BLOCK);
    Block { piece, begin, length: piece_length.saturating_sub(begin).min(BLOCK) }
}

/// No peer has this key.
const NO_PEER: PeerKey = PeerKey(u32::MAX);
/// How often a block is asked for at a time in the end-game.
const MAX_COPIES: u8 = 3;
