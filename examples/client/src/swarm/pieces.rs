//! The pieces: which are here, which are lacking, and what becomes of the blocks that come.
//!
//! If all of a bad piece came from one peer, that peer is banned. If several peers sent it, the digests of their blocks are
//! kept, the piece is fetched again from one peer alone, and every peer whose block differs from the valid one is banned.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;

use super::PeerKey;
use super::actions::{Action, Actions};
use super::bitfield::Bitfield;
use super::buffers::Buffers;
use super::parts::PART;
use super::peer::Peer;
use super::picker::{Picker, Receipt};
use super::verdict::{Digest, Suspects};
use crate::torrent::Torrent;
use crate::wire::Why;
use crate::wire::message::Block;

/// The pieces of a torrent.
#[derive(Debug)]
pub(super) struct Pieces {
    have: Bitfield,
    /// The pieces that the user wants.
    wanted: Bitfield,
    /// What is wanted and isn't here.
    lacking: Bitfield,
    /// Missing bytes of the whole torrent.
    left: u64,
    /// Bytes of pieces that came in this run and are good.
    downloaded: u64,
    picker: Picker,
    buffers: Buffers,
    /// The pieces of which parts were given to the disk, and not yet all.
    begun: BTreeSet<u32>,
    suspects: BTreeMap<u32, Suspects>,
}

impl Pieces {
    /// The pieces of a torrent of which some are here.
    pub(super) fn new(torrent: &Torrent, have: Bitfield, rng: &mut impl Rng) -> Self {
        let wanted = torrent.wanted();
        let mut lacking = wanted.clone();
        for piece in have.iter() {
            lacking.remove(piece);
        }
        let anything_yet = have.len() > 0;
        let picker = Picker::new(torrent.piece_length, torrent.total, &lacking, anything_yet, BUDGET, rng);
        let left = torrent.total - picker.bytes_of(&have);
        Self {
            have,
            wanted,
            lacking,
            left,
            downloaded: 0,
            picker,
            buffers: Buffers::default(),
            begun: BTreeSet::new(),
            suspects: BTreeMap::new(),
        }
    }

    /// The pieces that are here.
    pub(super) fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Those that are wanted and aren't here.
    pub(super) fn lacking(&self) -> &Bitfield {
        &self.lacking
    }

    /// Whether everything that is wanted is here.
    pub(super) fn is_complete(&self) -> bool {
        self.lacking.len() == 0
    }

    /// Whether the disk is still at work on some piece.
    pub(super) fn is_checking(&self) -> bool {
        self.picker.is_checking()
    }

    /// Missing bytes of the whole torrent.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Bytes of pieces that came in this run and are good.
    pub(super) fn downloaded(&self) -> u64 {
        self.downloaded
    }

    /// Missing bytes of what is wanted, and all of its bytes.
    pub(super) fn wanted_bytes(&self) -> (u64, u64) {
        (self.picker.bytes_of(&self.lacking), self.picker.bytes_of(&self.wanted))
    }

    /// Whether a block lies within the torrent.
    pub(super) fn contains(&self, block: Block) -> bool {
        self.picker.contains(block)
    }

    /// A peer has announced one more piece; gives whether that is new.
    ///
    /// # Errors
    /// When there is no such piece.
    pub(super) fn announced(&mut self, peer: &mut Peer, piece: u32) -> Result<bool, Why> {
        if piece >= self.have.pieces() {
            return Err(Why::OutOfRange);
        }
        let is_new = peer.has.add(piece, &self.lacking);
        if is_new && peer.has.is_counted() {
            self.picker.rarity().increase(piece);
        }
        Ok(is_new)
    }

    /// A peer has announced its pieces with its first message.
    ///
    /// # Errors
    /// When the bitfield isn't one of this torrent.
    pub(super) fn announced_at_first(&mut self, peer: &mut Peer, bytes: &[u8]) -> Result<(), Why> {
        let has = Bitfield::read(bytes, self.have.pieces())?;
        peer.has.begin_with(has, &self.lacking);
        if peer.has.is_counted() {
            for piece in peer.has.all().iter() {
                self.picker.rarity().increase(piece);
            }
        }
        Ok(())
    }

    /// A peer has announced with its first message that it has everything.
    pub(super) fn announced_all(&self, peer: &mut Peer) {
        peer.has.begin_with(Bitfield::full(self.have.pieces()), &self.lacking);
    }

    /// A bitfield is late, which breaks the protocol (BEP 3) but for one case: aria2 says with it which pieces it
    /// has got meanwhile, where that is shorter than a `have` for each.
    ///
    /// # Errors
    /// When it can't be that.
    pub(super) fn announced_late(&mut self, peer: &mut Peer, bytes: &[u8], now: Duration) -> Result<(), Why> {
        let has = Bitfield::read(bytes, self.have.pieces())?;
        // One that speaks BEP 6 has said what it has with its first message, and may have got a piece from another peer since.
        let had_time = peer.fast || Self::had_time(peer, now);
        if !had_time || peer.has.all().count_beyond(&has) > 0 || has.count_beyond(peer.has.all()) == 0 {
            return Err(Why::BadBitfield);
        }
        let had = peer.has.replace(has, &self.lacking);
        if peer.has.is_counted() {
            for piece in peer.has.all().iter().filter(|&piece| !had.get(piece)) {
                self.picker.rarity().increase(piece);
            }
        }
        Ok(())
    }

    /// Whether a peer may have got a piece from us, or from another peer, since it has connected.
    pub(super) fn had_time(peer: &Peer, now: Duration) -> bool {
        peer.upload.total() > 0 || now.saturating_sub(peer.since) >= FIRST_PIECES
    }

    /// A peer has left, whose requests were released.
    pub(super) fn left_by(&mut self, peer: &Peer, actions: &mut Actions) {
        self.abandon(peer.key, actions);
        if peer.has.is_counted() {
            for piece in peer.has.all().iter() {
                self.picker.rarity().decrease(piece);
            }
        }
    }

    /// Picks up to `want` blocks for a peer.
    pub(super) fn pick(
        &mut self,
        peer: &Peer,
        want: usize,
        rng: &mut impl Rng,
        actions: &mut Actions,
    ) -> Vec<Block> {
        let asked = |block| peer.download.is_asked(block);
        let mut may = None;
        if let Some(allowed) = peer.download.limited_to() {
            let useful = |piece: &&u32| peer.has.all().get(**piece) && self.lacking.get(**piece);
            let mut pieces = Bitfield::empty(self.have.pieces());
            if allowed.iter().filter(useful).filter(|&&piece| pieces.insert(piece)).count() == 0 {
                return Vec::new();
            }
            may = Some(pieces);
        }
        let may = may.as_ref().unwrap_or(peer.has.all());
        let picked = self.picker.pick(peer.key, may, want, asked, rng);
        if let Some(piece) = picked.evicted {
            self.forget(piece, actions);
        }
        picked.blocks
    }

    /// A block that a peer was asked for won't come from it.
    pub(super) fn release(&mut self, block: Block) {
        self.picker.release(block);
    }

    /// Whether a piece is fetched from this peer alone.
    pub(super) fn is_of_alone(&self, piece: u32, peer: PeerKey) -> bool {
        self.picker.is_of_alone(piece, peer)
    }

    /// What a peer alone should have sent begins anew.
    pub(super) fn abandon(&mut self, peer: PeerKey, actions: &mut Actions) {
        for piece in self.picker.abandon(peer) {
            self.forget(piece, actions);
        }
    }

    /// What came of a piece is given up.
    fn forget(&mut self, piece: u32, actions: &mut Actions) {
        self.buffers.forget(piece);
        if self.begun.remove(&piece) {
            actions.push(Action::Forget(piece));
        }
    }

    /// Takes a block that a peer was asked for; gives whether others were asked for it, too, and haven't sent it yet.
    pub(super) fn received(
        &mut self,
        from: PeerKey,
        block: Block,
        data: &[u8],
        actions: &mut Actions,
    ) -> bool {
        let Receipt::Kept { others, whole_part } = self.picker.received(from, block) else { return false };
        self.buffers.keep(block, self.picker.piece_length(block.piece), data);
        let (piece, begin) = (block.piece, block.begin - block.begin % PART);
        if whole_part && let Some(data) = self.buffers.take(piece, begin) {
            let whole = self.picker.take_whole(piece);
            if whole {
                self.begun.remove(&piece);
            } else {
                self.begun.insert(piece);
            }
            let earlier = self.suspects.get(&piece).filter(|_| whole);
            let earlier = earlier.map(|suspects| suspects.digests.clone());
            actions.push(Action::Store { piece, begin, data, earlier });
        }
        others
    }

    /// The disk has stored a part, whose buffer is free.
    pub(super) fn stored(&mut self, buffer: Vec<u8>) {
        self.buffers.give_back(buffer);
        self.picker.stored();
    }

    /// A piece is good; gives whether that is new.
    pub(super) fn verified(&mut self, piece: u32) -> bool {
        self.picker.verified(piece);
        if !self.have.insert(piece) {
            return false;
        }
        self.lacking.remove(piece);
        let length = u64::from(self.picker.piece_length(piece));
        self.left = self.left.saturating_sub(length);
        self.downloaded += length;
        if self.is_complete() {
            self.buffers.shrink();
        }
        true
    }

    /// The peers whose blocks made an earlier attempt at a good piece fail: the senders of the blocks that differ from it.
    pub(super) fn liars(&mut self, piece: u32, differing: &[usize]) -> BTreeSet<PeerKey> {
        let Some(suspects) = self.suspects.remove(&piece) else { return BTreeSet::new() };
        differing.iter().filter_map(|&at| suspects.sources.get(at)).copied().collect()
    }

    /// A piece is bad, with these digests of its blocks. Gives its sender if it came from one peer alone.
    pub(super) fn failed(&mut self, piece: u32, digests: Vec<Digest>, rng: &mut impl Rng) -> Option<PeerKey> {
        let sources = self.picker.failed(piece, rng);
        let single = sources.first().copied().filter(|first| sources.iter().all(|source| source == first));
        if single.is_none() && self.suspects.len() < MAX_SUSPECTS {
            // The first attempt counts: a later one is of a single peer, which is banned anyway.
            self.suspects.entry(piece).or_insert(Suspects { digests, sources });
        }
        single
    }

    /// These pieces can't be read any more; gives those of them that were here.
    pub(super) fn lost(&mut self, pieces: &BTreeSet<u32>, rng: &mut impl Rng) -> BTreeSet<u32> {
        let gone: BTreeSet<u32> = pieces.iter().copied().filter(|&piece| self.have.remove(piece)).collect();
        for &piece in &gone {
            self.left += u64::from(self.picker.piece_length(piece));
            if self.wanted.get(piece) {
                self.lacking.insert(piece);
                self.picker.lost(piece, rng);
            }
        }
        gone
    }

    /// What decides which blocks are asked for.
    #[cfg(test)]
    pub(super) fn picker(&self) -> &Picker {
        &self.picker
    }

    /// The memory of the parts in progress.
    #[cfg(test)]
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }
}

/// Memory for parts in progress, in bytes.
const BUDGET: u64 = 14 << 20;
/// Bad pieces whose culprit is being looked for.
const MAX_SUSPECTS: usize = 64;
/// So soon after it came no peer has got pieces, unless they came from us.
const FIRST_PIECES: Duration = Duration::from_secs(2);
