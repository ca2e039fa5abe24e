//! The pieces that a peer has announced, and how many of them we want.

use super::bitfield::Bitfield;

/// The pieces of one peer.
#[derive(Debug)]
pub(super) struct PeerPieces {
    has: Bitfield,
    /// How many of them we want and lack.
    of_interest: u32,
    /// Whether they are counted as [`Rarity`](super::rarity::Rarity) counts; those of a peer that had everything from the start
    /// make no piece rarer than another.
    counted: bool,
}

impl PeerPieces {
    /// None of so many.
    pub(super) fn new(pieces: u32) -> Self {
        Self { has: Bitfield::empty(pieces), of_interest: 0, counted: true }
    }

    /// All of them.
    pub(super) fn all(&self) -> &Bitfield {
        &self.has
    }

    /// Whether the peer has everything.
    pub(super) fn is_full(&self) -> bool {
        self.has.is_full()
    }

    /// Whether the peer has something that we want and lack.
    pub(super) fn is_of_interest(&self) -> bool {
        self.of_interest > 0
    }

    /// Whether they count for how rare pieces are.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// The peer has one more piece. `false` if it had it already.
    pub(super) fn add(&mut self, piece: u32, lacking: &Bitfield) -> bool {
        let is_new = self.has.insert(piece);
        self.of_interest += u32::from(is_new && lacking.get(piece));
        is_new
    }

    /// The peer has these from the start.
    pub(super) fn begin_with(&mut self, has: Bitfield, lacking: &Bitfield) {
        self.counted = !has.is_full();
        self.replace(has, lacking);
    }

    /// The peer has these now. Gives those it had before.
    pub(super) fn replace(&mut self, has: Bitfield, lacking: &Bitfield) -> Bitfield {
        let had = std::mem::replace(&mut self.has, has);
        self.review(lacking);
        had
    }

    /// We have a piece that we lacked.
    pub(super) fn came(&mut self, piece: u32) {
        if self.has.get(piece) {
            self.of_interest = self.of_interest.saturating_sub(1);
        }
    }

    /// What we lack has changed.
    pub(super) fn review(&mut self, lacking: &Bitfield) {
        self.of_interest = self.has.count_common(lacking);
    }

    /// How many we want and lack.
    #[cfg(test)]
    pub(super) fn of_interest(&self) -> u32 {
        self.of_interest
    }
}
