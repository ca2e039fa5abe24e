//! Pieces that hold bytes of several files, and where the parts file keeps what isn't wanted of them.
//!
//! The parts file has one place of a piece's length for each such piece of the torrent, in order. So where something
//! lies doesn't depend on which files are wanted, and the next run finds it with another choice as well. What isn't
//! written takes no room on most file systems.

use crate::torrent::Torrent;

/// The pieces that hold bytes of several files.
#[derive(Debug)]
pub(super) struct Border {
    pieces: Vec<u64>,
    piece_length: u64,
}

impl Border {
    /// Those of a torrent.
    pub(super) fn of(torrent: &Torrent) -> Self {
        let piece_length = u64::from(torrent.piece_length.max(1));
        let files: Vec<_> = torrent.files.iter().filter(|file| !file.pad && file.length > 0).collect();
        let shared = files.windows(2).filter_map(|pair| match pair {
            [one, next] => {
                let (last, first) =
                    ((one.offset + one.length - 1) / piece_length, next.offset / piece_length);
                (last == first).then_some(first)
            }
            _ => None,
        });
        let mut pieces: Vec<u64> = shared.collect();
        pieces.dedup();
        Self { pieces, piece_length }
    }

    /// Where in the parts file a byte of the torrent would lie; `None` in a piece of one file.
    pub(super) fn place(&self, offset: u64) -> Option<u64> {
        let (piece, within) = (offset / self.piece_length, offset % self.piece_length);
        let number = self.pieces.binary_search(&piece).ok()?;
        Some(number as u64 * self.piece_length + within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torrent::tests::{content, multi};

    #[test]
    fn each_shared_piece_has_a_place() {
        let files = [("a", 40), ("empty", 0), ("b", 3), ("c", 3), (".pad/2", 2), ("d", 20), ("e", 5)];
        let torrent = multi("t", &files, &content(73), 16);
        let border = Border::of(&torrent);
        // a, b and c share the third piece, d and e the fifth; padding belongs to no file.
        assert_eq!(border.pieces, [2, 4]);
        let places = [0, 31, 32, 40, 47, 48, 63, 64, 72].map(|offset| border.place(offset));
        assert_eq!(places, [None, None, Some(0), Some(8), Some(15), None, None, Some(16), Some(24)]);
    }
}
