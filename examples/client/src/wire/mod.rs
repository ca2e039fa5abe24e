//! What peers send each other (BEP 3, BEP 6, BEP 10, MSE): bytes to values and back, nothing else.

pub(crate) mod allowed_fast;
pub(crate) mod extension;
pub(crate) mod greeting;
pub(crate) mod handshake;
pub(crate) mod message;
pub(crate) mod metadata;
pub(crate) mod mse;
pub(crate) mod pex;

/// Why a connection ends; the words are those of the `peer_closed` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Not the BitTorrent handshake.
    Handshake,
    /// The handshake is for another torrent.
    InfoHash,
    /// It is plain where it has to be encrypted, or there is no way to encrypt that both sides take.
    Encryption,
    /// A message longer than its kind may be.
    Oversize,
    /// A message of a known kind with the wrong size, or one too many of a kind that means nothing.
    BadMessage,
    /// A bitfield of the wrong size, with spare bits, twice or late.
    BadBitfield,
    /// A block that wasn't requested.
    Unrequested,
    /// A piece, offset or length beyond the torrent.
    OutOfRange,
    /// Silence, or a handshake that takes too long.
    Timeout,
    /// The peer is ourselves.
    Myself,
    /// A message of BEP 6, which the peer doesn't speak by its handshake.
    FastViolation,
    /// The peer closed.
    Eof,
    /// The connection broke or never stood.
    Io,
    /// It sent data that failed its hash.
    HashFail,
    /// It is banned for that.
    Banned,
    /// We are connected to it already.
    Duplicate,
    /// There is no room for it.
    Full,
    /// Neither side has anything for the other.
    Redundant,
}

impl Why {
    /// The word of the event.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::InfoHash => "info_hash",
            Self::Encryption => "encryption",
            Self::Oversize => "oversize",
            Self::BadMessage => "bad_message",
            Self::BadBitfield => "bad_bitfield",
            Self::Unrequested => "unrequested",
            Self::OutOfRange => "out_of_range",
            Self::Timeout => "timeout",
            Self::Myself => "self",
            Self::FastViolation => "fast_violation",
            Self::Eof => "eof",
            Self::Io => "io",
            Self::HashFail => "hash_fail",
            Self::Banned => "banned",
            Self::Duplicate => "duplicate",
            Self::Full => "full",
            Self::Redundant => "redundant",
        }
    }

    /// Whether the peer broke the protocol, so that dialling it again is pointless.
    pub(crate) fn is_violation(self) -> bool {
        !matches!(self, Self::Timeout | Self::Eof | Self::Io | Self::Duplicate | Self::Full | Self::Redundant)
    }
}
