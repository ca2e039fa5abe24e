//! What the downloader knows of a torrent, checked once so that everything behind it can rely on it.

use std::path::PathBuf;

use tracker_failover::FileEntry;
use tracker_failover::wire::clean_text;
use tracker_failover::{InfoHash, Metainfo, MetainfoError};

use crate::files::names::{self, NameRules};
pub(crate) use crate::refused::Refused;
use crate::swarm::bitfield::Bitfield;

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
    /// Whether the user wants it.
    pub(crate) wanted: bool,
}

impl Torrent {
    /// Checks a torrent file, to be saved where names have these rules.
    ///
    /// # Errors
    /// When it can't be downloaded, or not safely.
    pub(crate) fn new(metainfo: &Metainfo, rules: NameRules) -> Result<Self, Refused> {
        let Some(info_hash) = metainfo.info_hash_v1() else {
            return Err(Refused {
                kind: "unsupported_version",
                reason: "pure v2 torrents are not supported: expected a v1 or a hybrid torrent".into(),
            });
        };
        let piece_length = u32::try_from(metainfo.piece_length())
            .map_err(|_| Refused::malformed("expected pieces of at most 1 GiB"))?;
        let hashes = metainfo.pieces().to_vec();
        if hashes.len() > MAX_PIECES {
            let found = hashes.len();
            return Err(Refused::malformed(format!("expected at most {MAX_PIECES} pieces, found {found}")));
        }
        let folder = (!metainfo.is_single_file()).then_some(metainfo.name_bytes());
        if metainfo.files().iter().any(FileEntry::is_symlink) {
            return Err(names::refused("it holds a symbolic link, expected files only"));
        }
        // Padding is never written, so its names are of no interest (F-08).
        let written = |file: &&FileEntry| !file.is_padding();
        let files = metainfo.files().iter().filter(written).map(FileEntry::path_bytes);
        let mut paths = names::paths(rules, folder, files)?.into_iter();
        let mut offset = 0;
        let mut files = Vec::with_capacity(metainfo.files().len());
        for file in metainfo.files() {
            let path = if file.is_padding() { None } else { paths.next() };
            let (length, pad) = (file.length(), path.is_none());
            files.push(File { path: path.unwrap_or_default(), length, offset, pad, wanted: !pad });
            offset += length;
        }
        let name = clean_text(metainfo.name_bytes());
        let (private, total) = (metainfo.is_private(), metainfo.total_length());
        Ok(Self { info_hash, name, private, piece_length, total, hashes, files })
    }

    /// The same from the bytes of a .torrent.
    ///
    /// # Errors
    /// When they are none, or one that can't be downloaded.
    pub(crate) fn parse(bytes: &[u8], rules: NameRules) -> Result<(Self, Metainfo), Refused> {
        let metainfo = Metainfo::parse(bytes).map_err(|error| Refused {
            kind: match error {
                MetainfoError::UnsupportedVersion { .. } => "unsupported_version",
                MetainfoError::TooLarge { .. } => "too_large",
                _ => "malformed",
            },
            reason: error.to_string(),
        })?;
        Ok((Self::new(&metainfo, rules)?, metainfo))
    }

    /// How many pieces it has.
    pub(crate) fn pieces(&self) -> u32 {
        // At most MAX_PIECES, as checked at the start.
        u32::try_from(self.hashes.len()).unwrap_or(u32::MAX)
    }

    /// The pieces that the wanted files need.
    pub(crate) fn wanted(&self) -> Bitfield {
        let mut wanted = Bitfield::empty(self.pieces());
        if !self.is_partial() {
            // Among them those of padding alone.
            for piece in 0..self.pieces() {
                wanted.insert(piece);
            }
        }
        for piece in self.files.iter().filter(|file| file.wanted).flat_map(|file| self.pieces_of(file)) {
            wanted.insert(piece);
        }
        wanted
    }

    /// The pieces that hold bytes of a file.
    pub(crate) fn pieces_of(&self, file: &File) -> std::ops::Range<u32> {
        let length = u64::from(self.piece_length.max(1));
        let number = |piece: u64| u32::try_from(piece).unwrap_or(u32::MAX);
        if file.length == 0 {
            return 0..0;
        }
        number(file.offset / length)..number((file.offset + file.length).div_ceil(length))
    }

    /// Whether some files aren't wanted.
    pub(crate) fn is_partial(&self) -> bool {
        self.files.iter().any(|file| !file.wanted && !file.pad)
    }

    /// The range of a piece in the torrent; empty beyond the last.
    pub(crate) fn range(&self, piece: u32) -> std::ops::Range<u64> {
        let start = (u64::from(piece) * u64::from(self.piece_length)).min(self.total);
        start..(start + u64::from(self.piece_length)).min(self.total)
    }
}

/// As libtorrent has it.
pub(crate) const MAX_PIECES: usize = 2 << 20;

#[cfg(test)]
pub(crate) mod tests {
    use sha1::{Digest, Sha1};

    use super::*;
    use crate::create::{NewFile, NewTorrent, encode};

    /// The bytes that the conformance cases use as content.
    pub(crate) fn content(length: usize) -> Vec<u8> {
        (0..length).map(|i| u8::try_from((i * 7 + 13) & 255).unwrap()).collect()
    }

    /// A torrent of these bytes in one file.
    pub(crate) fn single(name: &str, data: &[u8], piece_length: usize) -> Torrent {
        let file = NewFile { path: vec![], length: data.len() as u64, padding: false };
        made_of(name, vec![file], data, piece_length)
    }

    /// A torrent of these bytes in several files, below `.pad` those that are padding.
    pub(crate) fn multi(name: &str, files: &[(&str, u64)], data: &[u8], piece_length: usize) -> Torrent {
        let files = files.iter().map(|&(path, length)| NewFile {
            path: path.split('/').map(|part| part.as_bytes().to_vec()).collect(),
            length,
            padding: path.starts_with(".pad/"),
        });
        made_of(name, files.collect(), data, piece_length)
    }

    fn made_of(name: &str, files: Vec<NewFile>, data: &[u8], piece_length: usize) -> Torrent {
        let pieces = data.chunks(piece_length).flat_map(|piece| <[u8; 20]>::from(Sha1::digest(piece)));
        let torrent = NewTorrent {
            name: name.into(),
            files,
            piece_length: u32::try_from(piece_length).unwrap(),
            pieces: pieces.collect(),
            ..NewTorrent::default()
        };
        Torrent::parse(&encode(&torrent).unwrap(), NameRules::HERE).unwrap().0
    }

    #[test]
    fn a_plain_torrent_is_taken() {
        let torrent = single("out.bin", &content(40_000), 16_384);
        assert_eq!((torrent.pieces(), torrent.total), (3, 40_000));
        assert_eq!(torrent.range(2), 32_768..40_000);
        assert_eq!(torrent.range(3), 40_000..40_000);
        assert_eq!(torrent.files[0].path, PathBuf::from("out.bin"));
        let folder = multi("d", &[("a", 1), (".pad/2", 2), ("b/c", 3)], &content(6), 4);
        let paths: Vec<_> = folder.files.iter().map(|file| (file.path.clone(), file.offset)).collect();
        assert_eq!(paths, [("d/a".into(), 0), (PathBuf::new(), 1), ("d/b/c".into(), 3)]);
    }

    /// F-01, F-03, F-04, F-05, row 24 of the downloader's scope: each refused by name.
    #[test]
    fn a_torrent_that_can_not_be_downloaded_is_refused() {
        let v2 = "d4:infod9:file treed1:xd0:d6:lengthi5e11:pieces root32:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaeee\
                  12:meta versioni2e4:name1:x12:piece lengthi16384eee";
        let link = "d4:infod5:filesld4:attr1:l6:lengthi0e4:pathl1:aee\
                    d6:lengthi5e4:pathl1:beee4:name1:x12:piece lengthi5e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
        let plain = |name: &str, length: &str, piece_length: &str| {
            let size = name.len();
            format!(
                "d4:infod6:lengthi{length}e4:name{size}:{name}12:piece lengthi{piece_length}e\
                 6:pieces20:aaaaaaaaaaaaaaaaaaaaee"
            )
        };
        let rows = [
            (v2.into(), "unsupported_version"),
            (v2.replace("versioni2e", "versioni3e"), "unsupported_version"),
            (link.into(), "unsafe_path"),
            (plain("..", "5", "5"), "unsafe_path"),
            (plain("a/b", "5", "5"), "unsafe_path"),
            (plain("x", "5", "0"), "malformed"),
            (plain("x", "5", "-1"), "malformed"),
            (plain("x", "5", "1073741825"), "malformed"),
            (plain("x", "6", "5"), "malformed"),
            (plain("x", "-6", "5"), "malformed"),
            (plain("x", "9223372036854775808", "1073741824"), "malformed"),
            ("<html>".into(), "malformed"),
        ];
        for (text, kind) in rows {
            let refused = Torrent::parse(text.as_bytes(), NameRules::HERE).unwrap_err();
            assert_eq!(refused.kind, kind, "{text}: {refused}");
        }
        assert!(Torrent::parse(plain("x", "5", "5").as_bytes(), NameRules::HERE).is_ok());
    }
}
