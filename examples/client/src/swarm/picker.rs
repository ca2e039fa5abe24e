//! Which blocks to request from a peer.
//!
//! 1. Pieces that have been begun come first, so that few are open at a time and each is complete soon.
//! 2. Then the rarest piece that the peer has. Until the first piece is complete it is a random one, so that we can soon upload
//!    in return (BEP 3).
//! 3. When every missing block has been requested, the outstanding ones are requested from further peers, and a cancel is sent
//!    to the slower ones (end-game, BEP 3).
//!
//! Pieces are kept in memory by parts, which are written to the disk one by one; a piece of usual size has one part. The number
//! of open parts is limited by memory. A part counts until the disk has written it, which slows the network down to the speed
//! of the disk. A piece that failed its hash with blocks of several peers is fetched again from one peer alone, so that the one
//! that sent bad data can be identified.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, RngExt};

use super::PeerKey;
use super::bitfield::Bitfield;
use super::parts::{BLOCKS, PART, PartState, parts_of};
use super::rarity::Rarity;
use crate::wire::message::{BLOCK, Block};

/// The pieces in progress.
#[derive(Debug)]
pub(crate) struct Picker {
    piece_length: u32,
    total: u64,
    rarity: Rarity,
    open: BTreeMap<u32, OpenPiece>,
    /// The open pieces with blocks that haven't been requested.
    partial: BTreeSet<u32>,
    /// The pieces whose hash is being checked, with who sent which block.
    checking: BTreeMap<u32, Vec<PeerKey>>,
    /// The pieces that are fetched from one peer alone.
    parole: BTreeSet<u32>,
    /// Parts that take memory: those being received, and those the disk isn't done with.
    in_memory: usize,
    /// How many parts may take memory, and how many pieces be open.
    limit: usize,
    anything_yet: bool,
}

/// What happened to a block that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It was here already, or its piece was given up.
    Useless,
    /// It was stored in the buffer of its part. `others`: it was requested from other peers too; `whole_part`: the part is
    /// complete now, and goes to the disk.
    Kept { others: bool, whole_part: bool },
}

/// What was picked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Picked {
    /// The blocks to ask for.
    pub(crate) blocks: Vec<Block>,
    /// A piece that was given up to make room; its buffers are free.
    pub(crate) evicted: Option<u32>,
}

#[derive(Debug)]
struct OpenPiece {
    blocks: Vec<BlockState>,
    parts: Vec<PartState>,
    missing: u32,
    received: u32,
    /// No block before this one is missing.
    first_missing: usize,
    /// The peer of the last request: a peer that has begun a piece continues with it.
    last: PeerKey,
    alone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockState {
    Missing,
    Requested(u8),
    Received(PeerKey),
}

impl Picker {
    /// A picker for a torrent of `total` bytes of which some pieces are lacking, with room for so many bytes of
    /// parts in progress.
    pub(crate) fn new(
        piece_length: u32,
        total: u64,
        lacking: &Bitfield,
        anything_yet: bool,
        budget: u64,
        rng: &mut impl Rng,
    ) -> Self {
        let room = budget / u64::from(piece_length.clamp(1, PART));
        Self {
            piece_length,
            total,
            rarity: Rarity::new(lacking.pieces(), lacking.iter(), rng),
            open: BTreeMap::new(),
            partial: BTreeSet::new(),
            checking: BTreeMap::new(),
            parole: BTreeSet::new(),
            in_memory: 0,
            limit: usize::try_from(room).unwrap_or(MAX_OPEN).clamp(MIN_OPEN, MAX_OPEN),
            anything_yet,
        }
    }

    /// How often the pieces occur among the peers.
    pub(crate) fn rarity(&mut self) -> &mut Rarity {
        &mut self.rarity
    }

    /// The length of a piece in bytes; 0 beyond the last.
    pub(crate) fn piece_length(&self, piece: u32) -> u32 {
        let start = u64::from(piece) * u64::from(self.piece_length);
        let rest = self.total.saturating_sub(start).min(u64::from(self.piece_length));
        u32::try_from(rest).unwrap_or(self.piece_length)
    }

    /// The bytes of these pieces.
    pub(crate) fn bytes_of(&self, pieces: &Bitfield) -> u64 {
        let last = pieces.pieces().saturating_sub(1);
        let short = if pieces.get(last) { self.piece_length - self.piece_length(last) } else { 0 };
        u64::from(pieces.len()) * u64::from(self.piece_length) - u64::from(short)
    }

    /// Whether a block lies within the torrent.
    pub(crate) fn contains(&self, block: Block) -> bool {
        let end = block.begin.checked_add(block.length);
        end.is_some_and(|end| block.length > 0 && end <= self.piece_length(block.piece))
    }

    /// Picks up to `want` blocks for a peer that has some pieces. `asked` returns whether a block was requested from it already.
    pub(crate) fn pick(
        &mut self,
        peer: PeerKey,
        has: &Bitfield,
        want: usize,
        asked: impl Fn(Block) -> bool,
        rng: &mut impl Rng,
    ) -> Picked {
        let mut picked = Picked::default();
        let stopped = self.pick_missing(peer, has, want, rng, &mut picked.blocks);
        if stopped
            && picked.blocks.is_empty()
            && let Some(idle) = self.idle_piece()
        {
            self.give_up(idle, rng);
            picked.evicted = Some(idle);
            self.pick_missing(peer, has, want, rng, &mut picked.blocks);
        }
        if picked.blocks.is_empty() && self.is_end_game() {
            self.double(has, peer, want.min(END_GAME_BLOCKS), asked, rng, &mut picked.blocks);
        }
        picked
    }

    /// Picks blocks that haven't been requested, and returns whether there are more than fit.
    fn pick_missing(
        &mut self,
        peer: PeerKey,
        has: &Bitfield,
        want: usize,
        rng: &mut impl Rng,
        picked: &mut Vec<Block>,
    ) -> bool {
        let mut stopped = false;
        for own in [true, false] {
            let open: Vec<u32> = self.partial.iter().copied().filter(|&piece| has.get(piece)).collect();
            for piece in open {
                if picked.len() < want && self.open[&piece].may_go_on(peer, own) {
                    stopped |= self.take(piece, peer, want, picked);
                }
            }
        }
        while picked.len() < want {
            let Some(piece) = self.next_new(has, rng) else { break };
            if self.in_memory >= self.limit || self.open.len() + self.checking.len() >= self.limit {
                return true;
            }
            self.begin(piece, peer);
            stopped |= self.take(piece, peer, want, picked);
        }
        stopped
    }

    /// A block arrived that the peer had been asked for.
    pub(crate) fn received(&mut self, peer: PeerKey, block: Block) -> Receipt {
        let Some(open) = self.open.get_mut(&block.piece) else { return Receipt::Useless };
        if open.alone && open.last != peer {
            return Receipt::Useless;
        }
        let at = (block.begin / BLOCK) as usize;
        let (Some(state), Some(part)) = (open.blocks.get_mut(at), open.parts.get_mut(at / BLOCKS)) else {
            return Receipt::Useless;
        };
        let others = match *state {
            BlockState::Received(_) => return Receipt::Useless,
            // Late, after the block had been given back.
            BlockState::Missing => {
                if part.is_closed() && self.in_memory >= self.limit {
                    return Receipt::Useless;
                }
                self.in_memory += usize::from(part.claim());
                open.missing -= 1;
                false
            }
            BlockState::Requested(times) => times > 1,
        };
        *state = BlockState::Received(peer);
        open.received += 1;
        if open.missing == 0 {
            self.partial.remove(&block.piece);
        }
        Receipt::Kept { others, whole_part: part.receive() }
    }

    /// The disk is done with a part that was whole; its memory is free.
    pub(crate) fn stored(&mut self) {
        self.in_memory = self.in_memory.saturating_sub(1);
    }

    /// Whether the piece is whole; it then counts as being checked.
    pub(crate) fn take_whole(&mut self, piece: u32) -> bool {
        if self.open.get(&piece).is_none_or(|open| open.received as usize != open.blocks.len()) {
            return false;
        }
        if let Some(open) = self.open.remove(&piece) {
            self.checking.insert(piece, open.sources());
        }
        true
    }

    /// A block that a peer was asked for will not come from it.
    pub(crate) fn release(&mut self, block: Block) {
        let Some(open) = self.open.get_mut(&block.piece) else { return };
        let at = (block.begin / BLOCK) as usize;
        let (Some(state), Some(part)) = (open.blocks.get_mut(at), open.parts.get_mut(at / BLOCKS)) else {
            return;
        };
        match *state {
            BlockState::Requested(times) if times > 1 => *state = BlockState::Requested(times - 1),
            BlockState::Requested(_) => {
                *state = BlockState::Missing;
                self.in_memory -= usize::from(part.release());
                open.missing += 1;
                open.first_missing = open.first_missing.min(at);
                self.partial.insert(block.piece);
            }
            _ => {}
        }
    }

    /// A peer chokes, is silent or has left: what it alone should have sent begins anew elsewhere. Its
    /// requests have been released before. Gives the pieces, whose buffers are free.
    pub(crate) fn abandon(&mut self, peer: PeerKey) -> Vec<u32> {
        let mut abandoned = Vec::new();
        for (&piece, open) in &mut self.open {
            if open.alone && open.last == peer {
                self.in_memory -= open.in_memory();
                *open = OpenPiece::new(open.blocks.len(), NOBODY, true);
                self.partial.insert(piece);
                abandoned.push(piece);
            }
        }
        abandoned
    }

    /// The piece is good, and here to stay.
    pub(crate) fn verified(&mut self, piece: u32) {
        self.checking.remove(&piece);
        self.parole.remove(&piece);
        self.anything_yet = true;
    }

    /// The piece failed its hash. Gives who sent which block; where there were several, it is fetched from one
    /// peer alone next time.
    pub(crate) fn failed(&mut self, piece: u32, rng: &mut impl Rng) -> Vec<PeerKey> {
        let sources = self.checking.remove(&piece).unwrap_or_default();
        if sources.iter().any(|source| Some(source) != sources.first()) {
            self.parole.insert(piece);
        }
        self.rarity.insert(piece, rng);
        sources
    }

    /// A piece that was good is gone, and has to be fetched again.
    pub(crate) fn lost(&mut self, piece: u32, rng: &mut impl Rng) {
        self.rarity.insert(piece, rng);
    }

    /// Whether the disk is still at work on some piece.
    pub(crate) fn is_checking(&self) -> bool {
        !self.checking.is_empty()
    }

    /// Whether the count of parts in memory is what it should be while the disk has none of them.
    #[cfg(test)]
    pub(super) fn counts_memory_right(&self) -> bool {
        self.in_memory == self.open.values().map(OpenPiece::in_memory).sum::<usize>()
    }

    /// Whether every missing block has been asked for.
    pub(crate) fn is_end_game(&self) -> bool {
        self.partial.is_empty() && self.rarity.is_empty()
    }

    /// The first piece to begin that the peer has.
    fn next_new(&self, has: &Bitfield, rng: &mut impl Rng) -> Option<u32> {
        if self.anything_yet {
            self.rarity.iter().find(|&piece| has.get(piece))
        } else {
            self.rarity.iter_from_random(rng).find(|&piece| has.get(piece))
        }
    }

    fn begin(&mut self, piece: u32, peer: PeerKey) {
        let blocks = self.piece_length(piece).div_ceil(BLOCK) as usize;
        self.rarity.remove(piece);
        self.open.insert(piece, OpenPiece::new(blocks, peer, self.parole.contains(&piece)));
        self.partial.insert(piece);
    }

    /// An open piece without outstanding requests, whose memory is needed.
    fn idle_piece(&self) -> Option<u32> {
        let needs_memory = self.in_memory >= self.limit;
        let idle = self
            .partial
            .iter()
            .filter_map(|piece| self.open.get_key_value(piece))
            .filter(|(_, open)| !needs_memory || open.in_memory() > 0)
            .filter(|(_, open)| !open.blocks.iter().any(|block| matches!(block, BlockState::Requested(_))));
        idle.min_by_key(|(_, open)| open.received).map(|(&piece, _)| piece)
    }

    fn give_up(&mut self, piece: u32, rng: &mut impl Rng) {
        if let Some(open) = self.open.remove(&piece) {
            self.in_memory -= open.in_memory();
        }
        self.partial.remove(&piece);
        self.rarity.insert(piece, rng);
    }

    /// Moves missing blocks of a piece to the picked ones, and returns whether a part was left out for lack of memory.
    fn take(&mut self, piece: u32, peer: PeerKey, want: usize, picked: &mut Vec<Block>) -> bool {
        let length = self.piece_length(piece);
        let Some(open) = self.open.get_mut(&piece) else { return false };
        let mut left_out = false;
        let mut at = open.first_missing;
        while picked.len() < want && open.missing > 0 {
            let (Some(state), Some(part)) = (open.blocks.get_mut(at), open.parts.get_mut(at / BLOCKS)) else {
                break;
            };
            if *state == BlockState::Missing {
                if part.is_closed() && self.in_memory >= self.limit {
                    left_out = true;
                    at = (at / BLOCKS + 1) * BLOCKS;
                    continue;
                }
                self.in_memory += usize::from(part.claim());
                *state = BlockState::Requested(1);
                open.missing -= 1;
                open.last = peer;
                picked.push(block_at(piece, at, length));
            }
            at += 1;
            if !left_out {
                open.first_missing = at;
            }
        }
        if open.missing == 0 {
            self.partial.remove(&piece);
        }
        left_out
    }

    /// Asks a second peer for blocks that are outstanding elsewhere, from a random piece on.
    fn double(
        &mut self,
        has: &Bitfield,
        peer: PeerKey,
        want: usize,
        asked: impl Fn(Block) -> bool,
        rng: &mut impl Rng,
        picked: &mut Vec<Block>,
    ) {
        let mut open: Vec<u32> = self.open.keys().copied().filter(|&piece| has.get(piece)).collect();
        if !open.is_empty() {
            let start = rng.random_range(0..open.len());
            open.rotate_left(start);
        }
        for piece in open {
            let length = self.piece_length(piece);
            let Some(open) = self.open.get_mut(&piece) else { continue };
            if open.alone && open.last != peer {
                continue;
            }
            for (at, state) in open.blocks.iter_mut().enumerate() {
                let block = block_at(piece, at, length);
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
    }
}

impl OpenPiece {
    fn new(blocks: usize, peer: PeerKey, alone: bool) -> Self {
        let missing = u32::try_from(blocks).unwrap_or(u32::MAX);
        let parts = parts_of(blocks);
        let blocks = vec![BlockState::Missing; blocks];
        Self { blocks, parts, missing, received: 0, first_missing: 0, last: peer, alone }
    }

    /// Whether a peer may be asked for missing blocks; `own` asks for those it was asked for last.
    fn may_go_on(&self, peer: PeerKey, own: bool) -> bool {
        if own { self.last == peer } else { self.last != peer && (!self.alone || self.last == NOBODY) }
    }

    /// How many of its parts take memory, beside those that went to the disk.
    fn in_memory(&self) -> usize {
        self.parts.iter().filter(|part| part.is_open()).count()
    }

    fn sources(&self) -> Vec<PeerKey> {
        let received = self.blocks.iter().map(|block| match block {
            BlockState::Received(peer) => *peer,
            _ => NOBODY,
        });
        received.collect()
    }
}

fn block_at(piece: u32, at: usize, piece_length: u32) -> Block {
    // A piece is at most 1 GiB, so its offsets fit.
    let begin = u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(BLOCK);
    Block { piece, begin, length: piece_length.saturating_sub(begin).min(BLOCK) }
}

/// No peer has this key.
const NOBODY: PeerKey = PeerKey(u32::MAX);
/// Two parts are always open, or hashing and receiving would take turns.
const MIN_OPEN: usize = 2;
/// Also the bound of the queue to the disk.
pub(crate) const MAX_OPEN: usize = 1024;
/// How often a block is asked for at a time in the end-game.
const MAX_COPIES: u8 = 3;
/// How many blocks a peer is asked for in the end-game at a time.
const END_GAME_BLOCKS: usize = 32;
