//! The memory of the parts in progress.

use std::collections::BTreeMap;

use super::parts::PART;
use crate::wire::message::Block;

/// The buffers.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The data of the parts in progress, by their pieces and their first bytes in them.
    parts: BTreeMap<(u32, u32), Vec<u8>>,
    /// Buffers to be used again: fresh ones would cost a page fault each 4 KiB.
    spare: Vec<Vec<u8>>,
}

impl Buffers {
    /// Copies a block of a piece of this length into its part's buffer.
    pub(super) fn keep(&mut self, block: Block, piece_length: u32, data: &[u8]) {
        let part = block.begin - block.begin % PART;
        let length = (piece_length - part).min(PART) as usize;
        let spare = &mut self.spare;
        let buffer = self.parts.entry((block.piece, part)).or_insert_with(|| {
            let mut buffer = spare.pop().unwrap_or_default();
            buffer.resize(length, 0);
            buffer
        });
        let start = (block.begin - part) as usize;
        if let Some(place) = buffer.get_mut(start..start + data.len()) {
            place.copy_from_slice(data);
        }
    }

    /// Takes a part's data out, by its first byte in the piece.
    pub(super) fn take(&mut self, piece: u32, part: u32) -> Option<Vec<u8>> {
        self.parts.remove(&(piece, part))
    }

    /// A buffer that was taken out is free.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        self.spare.push(buffer);
    }

    /// What came of a piece is given up.
    pub(super) fn forget(&mut self, piece: u32) {
        let begun: Vec<_> = self.parts.range((piece, 0)..=(piece, u32::MAX)).map(|(&key, _)| key).collect();
        self.spare.extend(begun.iter().filter_map(|key| self.parts.remove(key)));
    }

    /// Gives the memory of free buffers back, as none will be needed soon.
    pub(super) fn shrink(&mut self) {
        self.spare.clear();
    }

    /// The pieces of which there are parts, one for each part.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> Vec<u32> {
        self.parts.keys().map(|&(piece, _)| piece).collect()
    }

    /// How many parts are in progress.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// How many buffers are free.
    #[cfg(test)]
    pub(super) fn spare(&self) -> usize {
        self.spare.len()
    }
}
