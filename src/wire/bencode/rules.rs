//! The rules by which bencode is read, and the error of bytes that break them.

/// Which deviations from canonical bencode are accepted, and the limits of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many lists and dictionaries may be open at once. The limit of recursion too, here and in bendy.
    pub(super) depth: usize,
    /// How many keys and values are read before the scan gives up.
    pub(super) items: usize,
    /// Whether the input is a torrent file: its `info` is hashed, so anything ambiguous in it is refused.
    pub(super) file: bool,
}

/// Why bytes aren't bencode: what was expected, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{expected} at byte {offset}")]
#[non_exhaustive]
pub struct BencodeError {
    /// What was expected: a phrase that begins with "expected".
    pub expected: &'static str,
    /// The byte at which it was expected, counted from 0.
    pub offset: usize,
}

impl Rules {
    /// The rules for answers of trackers: at most 32 levels. Blanks and a byte order mark before the value are accepted, and
    /// leading zeros in the lengths of strings; of duplicate keys the first one counts.
    pub const REPLY: Self = Self { depth: 32, items: 250_000, file: false };

    /// The rules for torrent files: at most 99 levels. A duplicate key is refused if it makes the content ambiguous, which is
    /// the case for `info` and everything in it.
    pub const FILE: Self = Self { depth: 99, items: 2_000_000, file: true };
}
