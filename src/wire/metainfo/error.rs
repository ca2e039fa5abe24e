//! Why a file is not a torrent this crate can work with.

use crate::wire::bencode::BencodeError;

/// Why bytes are not a usable torrent file: what was expected, and where. Holds nothing of the file's texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// The file isn't well-formed bencode.
    #[error("not a torrent file: {0}")]
    Encoding(#[from] BencodeError),
    /// Something in it is missing, of a wrong type or range, or contradicts the rest.
    #[error("not a valid torrent: {field}: expected {expected}")]
    Field {
        /// Where, as the keys and list places that lead there: `info.files.3.path`.
        field: String,
        /// What was expected there.
        expected: &'static str,
    },
    /// The file is of a version that came after this crate; it may be a good torrent (BEP 52).
    #[error("meta version {version} of torrents is not supported, expected 1 or 2")]
    UnsupportedVersion {
        /// The version, or 2^64-1 for any above.
        version: u64,
    },
    /// The file is larger than any real torrent.
    #[error("not a torrent file: larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl MetainfoError {
    pub(super) fn field(field: impl Into<String>, expected: &'static str) -> Self {
        Self::Field { field: field.into(), expected }
    }
}
