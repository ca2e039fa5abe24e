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
use super::open_piece::{Memory, OpenPiece};
use super::parts::PART;
use super::rarity::Rarity;
use crate::wire::message::Block;

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
    /// For so many parts as pieces may be open.
    memory: Memory,
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
            memory: Memory::new(usize::try_from(room).unwrap_or(MAX_OPEN).clamp(MIN_OPEN, MAX_OPEN)),
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
            if self.memory.is_full() || self.open.len() + self.checking.len() >= self.memory.limit() {
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
        let Some((others, whole_part)) = open.receive(peer, block, &mut self.memory) else {
            return Receipt::Useless;
        };
        if !open.is_partial() {
            self.partial.remove(&block.piece);
        }
        Receipt::Kept { others, whole_part }
    }

    /// The disk is done with a part that was whole; its memory is free.
    pub(crate) fn stored(&mut self) {
        self.memory.free(1);
    }

    /// Whether the piece is whole; it then counts as being checked.
    pub(crate) fn take_whole(&mut self, piece: u32) -> bool {
        if !self.open.get(&piece).is_some_and(OpenPiece::is_whole) {
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
        open.release(block, &mut self.memory);
        if open.is_partial() {
            self.partial.insert(block.piece);
        }
    }

    /// Whether a piece is fetched from this peer alone.
    pub(crate) fn is_of_alone(&self, piece: u32, peer: PeerKey) -> bool {
        self.open.get(&piece).is_some_and(|open| open.is_of_alone(peer))
    }

    /// A peer chokes, is silent or has left: what it alone should have sent begins anew elsewhere. Its
    /// requests have been released before. Gives the pieces, whose buffers are free.
    pub(crate) fn abandon(&mut self, peer: PeerKey) -> Vec<u32> {
        let mut abandoned = Vec::new();
        for (&piece, open) in &mut self.open {
            if open.is_of_alone(peer) {
                open.restart(&mut self.memory);
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
        self.memory.parts() == self.open.values().map(OpenPiece::in_memory).sum::<usize>()
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
        let is_alone = self.parole.contains(&piece);
        self.rarity.remove(piece);
        self.open.insert(piece, OpenPiece::new(piece, self.piece_length(piece), peer, is_alone));
        self.partial.insert(piece);
    }

    /// An open piece without outstanding requests, whose memory is needed.
    fn idle_piece(&self) -> Option<u32> {
        let needs_memory = self.memory.is_full();
        let idle = self
            .partial
            .iter()
            .filter_map(|piece| self.open.get_key_value(piece))
            .filter(|(_, open)| !needs_memory || open.in_memory() > 0)
            .filter(|(_, open)| open.is_idle());
        idle.min_by_key(|(_, open)| open.received_blocks()).map(|(&piece, _)| piece)
    }

    fn give_up(&mut self, piece: u32, rng: &mut impl Rng) {
        if let Some(open) = self.open.remove(&piece) {
            self.memory.free(open.in_memory());
        }
        self.partial.remove(&piece);
        self.rarity.insert(piece, rng);
    }

    /// Moves missing blocks of a piece to the picked ones, and returns whether a part was left out for lack of memory.
    fn take(&mut self, piece: u32, peer: PeerKey, want: usize, picked: &mut Vec<Block>) -> bool {
        let Some(open) = self.open.get_mut(&piece) else { return false };
        let left_out = open.pick(peer, want, &mut self.memory, picked);
        if !open.is_partial() {
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
            let Some(open) = self.open.get_mut(&piece) else { continue };
            if !open.is_closed_to(peer) {
                open.pick_again(want, &asked, picked);
            }
        }
    }
}

/// Two parts are always open, or hashing and receiving would take turns.
const MIN_OPEN: usize = 2;
/// Also the bound of the queue to the disk.
pub(crate) const MAX_OPEN: usize = 1024;
/// How many blocks a peer is asked for in the end-game at a time.
const END_GAME_BLOCKS: usize = 32;
