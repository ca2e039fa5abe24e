//! What the disk found of a piece, and what is kept of a bad one until its sender is found.

use super::PeerKey;

/// What the disk found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The hash is right and the piece is on the disk; these blocks differ from those of the earlier attempt.
    Good { differing: Vec<usize> },
    /// The hash is wrong; the digests of its blocks.
    Bad { digests: Vec<Digest> },
}

/// The blocks of a bad piece: what they were and who sent them.
#[derive(Debug)]
pub(crate) struct Suspects {
    pub(super) digests: Vec<Digest>,
    pub(super) sources: Vec<PeerKey>,
}

/// A SHA-1.
pub(crate) type Digest = [u8; 20];
