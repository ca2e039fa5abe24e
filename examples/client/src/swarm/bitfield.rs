//! The pieces that a peer has: one bit for each, the first in the highest bit (BEP 3).

use crate::wire::Why;

/// A set of piece indices of a torrent with a fixed number of pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bitfield {
    bytes: Vec<u8>,
    pieces: u32,
    set: u32,
}

impl Bitfield {
    /// Nothing of so many pieces.
    pub(crate) fn empty(pieces: u32) -> Self {
        Self { bytes: vec![0; pieces.div_ceil(8) as usize], pieces, set: 0 }
    }

    /// Every one of so many pieces.
    pub(crate) fn full(pieces: u32) -> Self {
        let mut bytes = vec![0xff; pieces.div_ceil(8) as usize];
        if let Some(last) = bytes.last_mut() {
            *last <<= (8 - pieces % 8) % 8;
        }
        Self { bytes, pieces, set: pieces }
    }

    /// A bitfield as a peer sent it.
    ///
    /// # Errors
    /// When the size is wrong, or a bit behind the last piece is set (R3-22).
    pub(crate) fn read(bytes: &[u8], pieces: u32) -> Result<Self, Why> {
        let spare = (8 - pieces % 8) % 8;
        let clean = bytes.last().is_none_or(|last| last.trailing_zeros() >= spare);
        if bytes.len() != pieces.div_ceil(8) as usize || !clean {
            return Err(Why::BadBitfield);
        }
        let set = bytes.iter().map(|byte| byte.count_ones()).sum();
        Ok(Self { bytes: bytes.to_vec(), pieces, set })
    }

    /// Whether the piece is in it; no piece beyond the last is.
    pub(crate) fn get(&self, piece: u32) -> bool {
        self.bytes.get((piece / 8) as usize).is_some_and(|byte| byte & (0x80 >> (piece % 8)) != 0)
    }

    /// Adds a piece; `false` if it was in already, or is none of the torrent's.
    pub(crate) fn insert(&mut self, piece: u32) -> bool {
        if piece >= self.pieces || self.get(piece) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut((piece / 8) as usize) {
            *byte |= 0x80 >> (piece % 8);
            self.set += 1;
        }
        true
    }

    /// Takes a piece out; `false` if it wasn't in.
    pub(crate) fn remove(&mut self, piece: u32) -> bool {
        if !self.get(piece) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut((piece / 8) as usize) {
            *byte &= !(0x80 >> (piece % 8));
            self.set -= 1;
        }
        true
    }

    /// How many pieces are in it.
    pub(crate) fn len(&self) -> u32 {
        self.set
    }

    /// How many pieces the torrent has.
    pub(crate) fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Whether it holds everything.
    pub(crate) fn is_full(&self) -> bool {
        self.set == self.pieces
    }

    /// Its bytes as they travel.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The pieces in it, lowest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.pieces).filter(|&piece| self.get(piece))
    }

    /// How many pieces are here and in the other.
    pub(crate) fn count_common(&self, other: &Self) -> u32 {
        self.bytes.iter().zip(&other.bytes).map(|(ours, theirs)| (ours & theirs).count_ones()).sum()
    }

    /// How many pieces are here and not in the other.
    pub(crate) fn count_beyond(&self, other: &Self) -> u32 {
        self.bytes.iter().zip(&other.bytes).map(|(ours, theirs)| (ours & !theirs).count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_writes() {
        let mut bits = Bitfield::empty(10);
        assert!(bits.insert(0) && bits.insert(9) && !bits.insert(9) && !bits.insert(10));
        assert_eq!(bits.as_bytes(), [0x80, 0x40]);
        let read = Bitfield::read(bits.as_bytes(), 10).unwrap();
        assert_eq!(read, bits);
        assert_eq!(read.iter().collect::<Vec<_>>(), [0, 9]);
        assert_eq!((read.len(), read.is_full(), read.get(10), read.get(u32::MAX)), (2, false, false, false));
        assert!(Bitfield::read(&[0xff, 0xc0], 10).unwrap().is_full());
        let other = Bitfield::read(&[0x81, 0], 10).unwrap();
        assert_eq!(
            (read.count_beyond(&other), read.count_common(&other), other.count_common(&read)),
            (1, 1, 1)
        );
        assert!(bits.remove(9) && !bits.remove(9) && !bits.remove(10));
        assert_eq!((bits.as_bytes(), bits.len()), (&[0x80, 0][..], 1));
    }

    #[test]
    fn a_full_one_has_no_spare_bits() {
        for pieces in [0, 1, 7, 8, 9, 1000] {
            let full = Bitfield::full(pieces);
            assert!(full.is_full());
            assert_eq!(Bitfield::read(full.as_bytes(), pieces), Ok(full), "{pieces}");
        }
    }

    /// P-03: wrong size and spare bits.
    #[test]
    fn a_wrong_bitfield_is_refused() {
        for (bytes, pieces) in
            [(&[0xff_u8][..], 9), (&[0xff, 0x80, 0], 9), (&[0xff, 0x40], 9), (&[0x01], 7), (&[], 1)]
        {
            assert_eq!(Bitfield::read(bytes, pieces), Err(Why::BadBitfield), "{bytes:?} for {pieces}");
        }
        assert!(Bitfield::read(&[0xff], 8).is_ok());
    }
}
