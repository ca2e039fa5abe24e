//! The errors of torrent files.

use crate::wire::bencode::BencodeError;

/// Why bytes aren't a usable torrent file: what was expected, and where. Holds no text of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// The file isn't well-formed bencode.
    #[error("not a torrent file: {0}")]
    Encoding(#[from] BencodeError),
    /// A field is missing, of a wrong type, out of range, or contradicts others.
    #[error("not a valid torrent: {field}: expected {expected}")]
    Field {
        /// The path to the field, of keys and list indices: `info.files.3.path`.
        field: String,
        /// What was expected in it.
        expected: &'static str,
    },
    /// The file has a version that this crate doesn't know. It may be a valid torrent (BEP 52).
    #[error("meta version {version} of torrents is not supported, expected 1 or 2")]
    UnsupportedVersion {
        /// The version; 2^64-1 for larger numbers.
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
