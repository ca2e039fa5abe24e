//! Torrent files (BEP 3, 12, 27, 47, 52): trackers, files, and hashes.

mod error;
mod files;
mod trackers;

use std::fmt;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

pub use error::MetainfoError;
pub use files::FileEntry;
pub use trackers::{SkipReason, SkippedTracker};

use crate::announce::InfoHash;
use crate::tracker::TrackerUrl;
use crate::wire::bencode::{Document, Fields, Rules, Value};
use files::{FileList, Name};

/// The largest torrent file that is read, in bytes. Real ones are smaller than 10 MiB.
const MAX_FILE_LEN: usize = 32 << 20;

/// The longest piece, in bytes. Real ones are shorter, and clients hold a whole piece in memory to hash it.
const MAX_PIECE_LEN: u64 = 1 << 30;

/// The shortest piece of BEP 52, in bytes.
const MIN_V2_PIECE_LEN: u64 = 16 << 10;

const KEYS_OF_INFO: [&str; 10] = [
    "attr",
    "file tree",
    "files",
    "length",
    "meta version",
    "name",
    "name.utf-8",
    "piece length",
    "pieces",
    "private",
];

/// A parsed and checked torrent file: its trackers, its files and their hashes.
///
/// Names are passed on as they stand in the file, with nothing but invalid UTF-8 replaced: they may be `..`, and may hold
/// separators, control characters or names of devices. **They have to be made safe before files are created from them or they
/// are printed.**
///
/// ```
/// use tracker_failover::Metainfo;
///
/// let file = b"d8:announce22:http://t.test/announce4:infod6:lengthi5e4:name1:x12:piece lengthi16384e\
///     6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
/// let metainfo = Metainfo::parse(file)?;
/// assert_eq!(metainfo.announce_tiers()[0][0].host(), "t.test");
/// assert_eq!((metainfo.name(), metainfo.total_length()), ("x", 5));
/// # Ok::<(), tracker_failover::MetainfoError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Metainfo {
    tiers: Vec<Vec<TrackerUrl>>,
    skipped: Vec<SkippedTracker>,
    info_hash: InfoHash,
    v1: Option<InfoHash>,
    v2: Option<[u8; 32]>,
    name: Name,
    /// The bytes of `info` as they stand in the file.
    info: Box<[u8]>,
    private: bool,
    piece_length: u64,
    pieces: Vec<[u8; 20]>,
    files: Vec<FileEntry>,
    single_file: bool,
    total_length: u64,
    trailing_bytes: usize,
}

impl Metainfo {
    /// Parses a torrent file.
    ///
    /// A file without trackers is valid (BEP 5), and so is one with invalid trackers, which
    /// [`skipped_trackers`](Self::skipped_trackers) lists.
    ///
    /// # Errors
    /// [`MetainfoError::UnsupportedVersion`] if the meta version is above 2. Other errors say what was expected where, in a file
    /// that isn't a torrent or contradicts itself.
    pub fn parse(file: &[u8]) -> Result<Self, MetainfoError> {
        if file.len() > MAX_FILE_LEN {
            return Err(MetainfoError::TooLarge { limit: MAX_FILE_LEN });
        }
        let document = Document::read(file, Rules::FILE)?;
        let top = document.fields(&["announce", "announce-list", "info"])?;
        let info = match top.get("info") {
            Some(Value::Dict(info)) => Fields::of(info, &KEYS_OF_INFO),
            _ => None,
        };
        let (Some(info), Some(hashed)) = (info, document.info()) else {
            return Err(MetainfoError::field("info", "a dictionary"));
        };
        let has_v2 = meta_version(&info)? == 2;
        let has_v1 = !has_v2 || info.get("pieces").is_some();

        let name = name(&info)?;
        let piece_length = piece_length(&info, has_v2)?;
        let content = content(&info, &name, has_v1, has_v2)?;
        let pieces =
            if has_v1 { pieces(&info, piece_length, content.list.total_length())? } else { Vec::new() };

        let v1 = has_v1.then(|| InfoHash::new(Sha1::digest(hashed).into()));
        let v2: Option<[u8; 32]> = has_v2.then(|| Sha256::digest(hashed).into());
        let Some(info_hash) = v1.or(v2.as_ref().map(truncated)) else {
            return Err(MetainfoError::field("info", "a v1 or v2 description"));
        };
        let (tiers, skipped) = trackers::read(top.get("announce"), top.get("announce-list"));
        Ok(Self {
            tiers,
            skipped,
            info_hash,
            v1,
            v2,
            name,
            info: hashed.into(),
            private: !matches!(info.get("private"), None | Some(Value::Integer("0"))),
            piece_length,
            pieces,
            single_file: content.single_file,
            total_length: content.list.total_length(),
            files: content.list.into_files(),
            trailing_bytes: file.len().saturating_sub(document.consumed()),
        })
    }

    /// The trackers by tier (BEP 12): those of `announce-list`, with `announce` in front if the list names none with a
    /// supported scheme. Each tracker stands once, at its first place; no tier is empty. Addresses with unsupported schemes
    /// are among them as [`Scheme::Other`](crate::Scheme::Other).
    pub fn announce_tiers(&self) -> &[Vec<TrackerUrl>] {
        &self.tiers
    }

    /// The entries that were left out of the tiers: invalid addresses, and trackers beyond the limits.
    pub fn skipped_trackers(&self) -> &[SkippedTracker] {
        &self.skipped
    }

    /// The info-hash to announce: that of v1 if there is one, else that of v2 cut to 20 bytes.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The SHA-1 of `info` as it stands in the file (BEP 3); `None` for a torrent of v2 alone.
    pub fn info_hash_v1(&self) -> Option<InfoHash> {
        self.v1
    }

    /// The SHA-256 of `info` as it stands in the file (BEP 52); `None` for a torrent of v1 alone.
    pub fn info_hash_v2(&self) -> Option<[u8; 32]> {
        self.v2
    }

    /// The info-hashes of all swarms of the torrent: that of v1, then that of v2 cut to 20 bytes.
    ///
    /// A hybrid torrent has both. To join both swarms (BEP 52), add one torrent for each hash, with the same trackers, peer id
    /// and key. Each has its own events, intervals and tracker ids; the peers of both belong to the same download, and its
    /// counters are announced to both.
    ///
    /// ```
    /// use tracker_failover::{Metainfo, PeerId, Torrent, TrackerSet};
    ///
    /// # fn sessions(metainfo: &Metainfo, peer_id: PeerId, key: u32) -> Vec<(TrackerSet, Torrent)> {
    /// let one = |hash| {
    ///     let mut torrent = Torrent::new(hash, peer_id, 6881);
    ///     torrent.transfer.left = Some(metainfo.total_length());
    ///     torrent.key = key;
    ///     (TrackerSet::from(metainfo), torrent)
    /// };
    /// // Each pair goes to `Announcer::add`.
    /// metainfo.announce_hashes().into_iter().map(one).collect()
    /// # }
    /// ```
    pub fn announce_hashes(&self) -> Vec<InfoHash> {
        self.v1.into_iter().chain(self.v2.as_ref().map(truncated)).collect()
    }

    /// The suggested name of the file, or of the folder for the files. Not safe as a file name.
    pub fn name(&self) -> &str {
        &self.name.text
    }

    /// The same name as bytes, as it stands in the torrent, see [`FileEntry::path_bytes`].
    pub fn name_bytes(&self) -> &[u8] {
        self.name.raw.as_deref().unwrap_or(self.name.text.as_bytes())
    }

    /// The bytes of `info` as they stand in the file: what the info-hash is of, and what clients send each other as metadata
    /// (BEP 9).
    pub fn info_bytes(&self) -> &[u8] {
        &self.info
    }

    /// Whether the torrent may be announced to its own trackers only (BEP 27). Any value of the key but 0 counts, because a
    /// leak can't be undone.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The length of a piece in bytes, from 1 to 2^30. The last piece may be shorter.
    pub fn piece_length(&self) -> u64 {
        self.piece_length
    }

    /// The SHA-1 of each piece; empty for a torrent of v2 alone.
    pub fn pieces(&self) -> &[[u8; 20]] {
        &self.pieces
    }

    /// The files in the order of their bytes, padding included. At least one.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Whether the torrent is one file with this [`name`](Self::name), and not a folder.
    pub fn is_single_file(&self) -> bool {
        self.single_file
    }

    /// The length of all files together in bytes, padding included.
    pub fn total_length(&self) -> u64 {
        self.total_length
    }

    /// How many bytes after the torrent were ignored.
    pub fn trailing_bytes(&self) -> usize {
        self.trailing_bytes
    }
}

impl fmt::Debug for Metainfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metainfo")
            .field("name", &self.name.text)
            .field("info_hash", &self.info_hash)
            .field("tiers", &self.tiers)
            .field("private", &self.private)
            .field("total_length", &self.total_length)
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

/// The files, and whether they are a single file and not a folder.
struct Content {
    list: FileList,
    single_file: bool,
}

/// The meta version. BEP 52 requires it to be checked first, because a later version may change everything else.
fn meta_version(info: &Fields<'_>) -> Result<u64, MetainfoError> {
    match info.get("meta version") {
        None => Ok(1),
        Some(Value::Integer(text)) if !text.starts_with('-') && text != "0" => match text.parse() {
            Ok(version @ (1 | 2)) => Ok(version),
            Ok(version) => Err(MetainfoError::UnsupportedVersion { version }),
            Err(_) => Err(MetainfoError::UnsupportedVersion { version: u64::MAX }),
        },
        Some(_) => Err(MetainfoError::field("info.meta version", "a positive integer")),
    }
}

fn name(info: &Fields<'_>) -> Result<Name, MetainfoError> {
    let unicode = info.bytes("name.utf-8").filter(|name| std::str::from_utf8(name).is_ok());
    let name = info.bytes("name").ok_or_else(|| MetainfoError::field("info.name", "a string"))?;
    Ok(Name::read(unicode.unwrap_or(name)))
}

fn piece_length(info: &Fields<'_>, has_v2: bool) -> Result<u64, MetainfoError> {
    let length = match info.get("piece length") {
        Some(Value::Integer(text)) => text.parse().ok(),
        _ => None,
    };
    let Some(length) = length.filter(|length| (1..=MAX_PIECE_LEN).contains(length)) else {
        return Err(MetainfoError::field("info.piece length", "an integer from 1 to 2^30"));
    };
    if has_v2 && (!length.is_power_of_two() || length < MIN_V2_PIECE_LEN) {
        return Err(MetainfoError::field("info.piece length", "a power of two of at least 16 KiB"));
    }
    Ok(length)
}

fn content(info: &Fields<'_>, name: &Name, has_v1: bool, has_v2: bool) -> Result<Content, MetainfoError> {
    let tree = match info.get("file tree") {
        Some(Value::Dict(tree)) if has_v2 => Some(FileList::of_tree(tree)?),
        _ if has_v2 => return Err(MetainfoError::field("info.file tree", "a dictionary")),
        _ => None,
    };
    if !has_v1 && let Some(list) = tree {
        let single_file =
            matches!(list.files(), [file] if matches!(file.path(), [part] if *part == name.text));
        return Ok(Content { list, single_file });
    }
    let (list, single_file) = match (info.get("length"), info.get("files")) {
        (Some(length), None) => (FileList::of_one(name, length, info.bytes("attr"))?, true),
        (None, Some(Value::List(files))) => (FileList::of_list(files)?, false),
        (None, Some(_)) => return Err(MetainfoError::field("info.files", "a list")),
        (Some(_), Some(_)) => return Err(MetainfoError::field("info", "either length or files, not both")),
        (None, None) => return Err(MetainfoError::field("info", "length or files")),
    };
    if tree.is_some_and(|tree| !tree.describes_the_same_as(&list)) {
        return Err(MetainfoError::field("info.file tree", "the same files as in v1's description"));
    }
    Ok(Content { list, single_file })
}

fn pieces(info: &Fields<'_>, piece_length: u64, total: u64) -> Result<Vec<[u8; 20]>, MetainfoError> {
    let Some((pieces, [])) = info.bytes("pieces").map(<[u8]>::as_chunks::<20>) else {
        return Err(MetainfoError::field("info.pieces", "a string of 20 bytes for each piece"));
    };
    if u64::try_from(pieces.len()) != Ok(total.div_ceil(piece_length)) {
        return Err(MetainfoError::field("info.pieces", "as many pieces as the files' lengths need"));
    }
    Ok(pieces.to_vec())
}

/// Trackers, DHT and handshakes identify a v2 torrent by the first 20 bytes of its hash (BEP 52).
fn truncated(hash: &[u8; 32]) -> InfoHash {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&hash[..20]);
    InfoHash::new(bytes)
}

#[cfg(test)]
mod tests;
