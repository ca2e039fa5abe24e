//! Parts of a piece: what is kept in memory, written and hashed at a time.
//!
//! Pieces come in sizes up to hundreds of megabytes. One that is larger than a part never lies in memory as a whole.

use crate::wire::message::BLOCK;

/// Bytes of a part, but for the last of a piece.
pub(crate) const PART: u32 = 1 << 20;
/// Blocks of a part.
pub(super) const BLOCKS: usize = (PART / BLOCK) as usize;

/// How far a part is.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartState {
    blocks: u32,
    /// Blocks that were asked for or are here.
    claimed: u32,
    received: u32,
}

impl PartState {
    /// Whether nothing of it was asked for, so that it takes no memory yet.
    pub(super) fn is_closed(self) -> bool {
        self.claimed == 0
    }

    /// Whether it takes memory, and isn't the disk's yet.
    pub(super) fn is_open(self) -> bool {
        self.claimed > 0 && self.received < self.blocks
    }

    /// One more block is asked for, or came unasked. Whether the part is open with it.
    pub(super) fn claim(&mut self) -> bool {
        self.claimed += 1;
        self.claimed == 1
    }

    /// A block that was asked for won't come. Whether the part is closed with it.
    pub(super) fn release(&mut self) -> bool {
        self.claimed = self.claimed.saturating_sub(1);
        self.claimed == 0
    }

    /// A claimed block is here. Whether the part is whole with it.
    pub(super) fn receive(&mut self) -> bool {
        self.received += 1;
        self.received == self.blocks
    }
}

/// The parts of a piece of so many blocks.
pub(super) fn parts_of(blocks: usize) -> Vec<PartState> {
    let part = |from: usize| {
        let blocks = u32::try_from((blocks - from).min(BLOCKS)).unwrap_or(u32::MAX);
        PartState { blocks, claimed: 0, received: 0 }
    };
    (0..blocks).step_by(BLOCKS).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_open_from_its_first_claim_until_it_is_whole() {
        let mut parts = parts_of(BLOCKS + 2);
        assert_eq!(parts.iter().map(|part| part.blocks).collect::<Vec<_>>(), [64, 2]);
        let part = &mut parts[1];
        assert!(part.is_closed() && !part.is_open());
        assert!(part.claim() && part.release() && part.is_closed());
        assert!(part.claim() && !part.claim() && part.is_open());
        assert!(!part.receive() && !part.release() && part.is_open());
        assert!(!part.claim() && part.receive());
        assert!(!part.is_open() && !part.is_closed());
    }
}
