//! What the downloader knows of a torrent, checked once so that everything behind it can rely on it.

use std::path::PathBuf;

use tracker_failover::InfoHash;

use crate::files::names;

/// A torrent that can be downloaded.
#[derive(Debug, Clone)]
pub(crate) struct Torrent {
    /// The v1 info-hash.
    pub(crate) info_hash: InfoHash,
    /// Its name, fit to be shown.
    pub(crate) name: String,
    /// Whether peers may come from its trackers only (BEP 27).
    pub(crate) private: bool,
    /// Bytes of each piece but the last.
    pub(crate) piece_length: u32,
    /// Bytes of everything, pad files included.
    pub(crate) total: u64,
    /// The SHA-1 of each piece.
    pub(crate) hashes: Vec<[u8; 20]>,
    /// The files, in their order.
    pub(crate) files: Vec<File>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Where it goes, below the output folder.
    pub(crate) path: PathBuf,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Where it begins in the torrent.
    pub(crate) offset: u64,
    /// Filling that is never written (BEP 47).
    pub(crate) pad: bool,
}

/// What a .torrent says, not yet checked against what we can do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) info_hash: Option<InfoHash>,
    pub(crate) name: Vec<u8>,
    pub(crate) private: bool,
    pub(crate) piece_length: u64,
    pub(crate) hashes: Vec<[u8; 20]>,
    pub(crate) files: Vec<FileFacts>,
    /// Whether the torrent is a single file rather than a folder.
    pub(crate) single: bool,
}

/// What a .torrent says of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileFacts {
    /// The parts of its path below the torrent's folder; empty for a single file.
    pub(crate) path: Vec<Vec<u8>>,
    pub(crate) length: u64,
    pub(crate) pad: bool,
    pub(crate) symlink: bool,
}

/// Why a torrent isn't taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refused {
    /// The kind, as the `refused` event has it.
    pub(crate) kind: &'static str,
    /// What was expected and what was found.
    pub(crate) reason: String,
}

impl Refused {
    /// A refusal of something that isn't as the BEPs have it.
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self { kind: "malformed", reason: reason.into() }
    }
}

impl Torrent {
    /// Checks what a .torrent says.
    ///
    /// # Errors
    /// When it can't be downloaded, or not safely.
    pub(crate) fn new(facts: Facts) -> Result<Self, Refused> {
        let Some(info_hash) = facts.info_hash else {
            return Err(Refused {
                kind: "unsupported_version",
                reason: "pure v2 torrents are not supported: expected a v1 or a hybrid torrent".into(),
            });
        };
        let piece_length = match u32::try_from(facts.piece_length) {
            Ok(length @ 1..=MAX_PIECE_LENGTH) => length,
            _ => {
                let found = facts.piece_length;
                return Err(Refused::malformed(format!(
                    "expected a piece length from 1 byte to 1 GiB, found {found}"
                )));
            }
        };
        if facts.files.len() > MAX_FILES {
            return Err(Refused::malformed(format!("expected at most {MAX_FILES} files")));
        }
        let total = facts.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.length));
        // Offsets into files are signed in every operating system.
        let total = total.filter(|&total| i64::try_from(total).is_ok());
        let total = total.ok_or_else(|| Refused::malformed("the files are larger than anything can be"))?;
        let expected = total.div_ceil(u64::from(piece_length));
        if facts.hashes.len() as u64 != expected || expected > MAX_PIECES {
            let found = facts.hashes.len();
            return Err(Refused::malformed(format!(
                "expected {expected} piece hashes for {total} bytes (at most {MAX_PIECES}), found {found}"
            )));
        }
        let paths = names::paths(&facts)?;
        let mut offset = 0;
        let mut files = Vec::with_capacity(paths.len());
        for (file, path) in facts.files.iter().zip(paths) {
            files.push(File { path, length: file.length, offset, pad: file.pad });
            offset += file.length;
        }
        Ok(Self {
            info_hash,
            name: names::shown(&facts.name),
            private: facts.private,
            piece_length,
            total,
            hashes: facts.hashes,
            files,
        })
    }

    /// How many pieces it has.
    pub(crate) fn pieces(&self) -> u32 {
        // At most MAX_PIECES, as checked at the start.
        u32::try_from(self.hashes.len()).unwrap_or(u32::MAX)
    }

    /// The range of a piece in the torrent; empty beyond the last.
    pub(crate) fn range(&self, piece: u32) -> std::ops::Range<u64> {
        let start = (u64::from(piece) * u64::from(self.piece_length)).min(self.total);
        start..(start + u64::from(self.piece_length)).min(self.total)
    }
}

/// 1 GiB, F-04.
const MAX_PIECE_LENGTH: u32 = 1 << 30;
/// As libtorrent has it.
const MAX_PIECES: u64 = 2 << 20;
/// F-09.
const MAX_FILES: usize = 100_000;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sha1::{Digest, Sha1};

    /// The bytes that the conformance cases use as content.
    pub(crate) fn content(length: usize) -> Vec<u8> {
        (0..length).map(|i| u8::try_from((i * 7 + 13) & 255).unwrap()).collect()
    }

    /// A torrent of these bytes in one file.
    pub(crate) fn single(name: &str, data: &[u8], piece_length: usize) -> Facts {
        Facts {
            info_hash: Some(InfoHash::new([7; 20])),
            name: name.into(),
            piece_length: piece_length as u64,
            hashes: data.chunks(piece_length).map(|piece| Sha1::digest(piece).into()).collect(),
            files: vec![FileFacts { length: data.len() as u64, ..FileFacts::default() }],
            single: true,
            ..Facts::default()
        }
    }

    /// A torrent of these bytes in several files, pad files among them where the name is empty.
    pub(crate) fn multi(name: &str, files: &[(&str, u64)], data: &[u8], piece_length: usize) -> Facts {
        let files = files.iter().map(|&(path, length)| FileFacts {
            path: path.split('/').map(|part| part.as_bytes().to_vec()).collect(),
            length,
            pad: path.starts_with(".pad"),
            symlink: false,
        });
        Facts { files: files.collect(), single: false, ..single(name, data, piece_length) }
    }

    #[test]
    fn a_plain_torrent_is_taken() {
        let torrent = Torrent::new(single("out.bin", &content(40_000), 16_384)).unwrap();
        assert_eq!((torrent.pieces(), torrent.total), (3, 40_000));
        assert_eq!(torrent.range(2), 32_768..40_000);
        assert_eq!(torrent.range(3), 40_000..40_000);
        assert_eq!(torrent.files[0].path, PathBuf::from("out.bin"));
    }

    /// F-04, F-05, F-09.
    #[test]
    fn what_can_not_be_is_refused() {
        type Change = fn(&mut Facts);
        let rows: [(Change, &str); 8] = [
            (|f| f.info_hash = None, "pure v2"),
            (|f| f.piece_length = 0, "piece length"),
            (|f| f.piece_length = (1 << 30) + 1, "piece length"),
            (|f| f.piece_length = u64::MAX, "piece length"),
            (|f| f.hashes.truncate(2), "3 piece hashes"),
            (|f| f.files.extend(vec![FileFacts { length: u64::MAX, ..FileFacts::default() }; 2]), "larger"),
            (|f| f.files[0].length = 1 << 62, "piece hashes"),
            (|f| f.files = vec![FileFacts::default(); 100_001], "files"),
        ];
        for (change, expected) in rows {
            let mut facts = single("out.bin", &content(40_000), 16_384);
            change(&mut facts);
            let error = Torrent::new(facts).unwrap_err();
            assert!(error.reason.contains(expected), "{error}");
        }
    }
}
