//! The files of a torrent: a single one, a list (BEP 3), or a tree (BEP 52), with the attributes of BEP 47.

use std::borrow::Cow;

use bendy::decoding::{DictDecoder, ListDecoder, Object};

use super::MetainfoError;
use crate::wire::bencode::{Value, decoder};

/// How many parts and bytes a path may have: no common system can store longer ones.
const MAX_PARTS: usize = 100;
const MAX_PATH_LEN: usize = 4096;

/// How many bytes the paths of all files may take. In a tree, the name of a folder counts for each file in it: without this
/// limit a small torrent could take a lot of memory.
const MAX_PATHS_LEN: usize = 64 << 20;

/// The longest file, and the longest content, in bytes: the range of file lengths.
const MAX_CONTENT_LEN: u64 = i64::MAX as u64;

/// One file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileEntry {
    path: Vec<String>,
    /// The parts as they stand in the torrent, where they aren't UTF-8.
    raw_path: Option<Box<[Vec<u8>]>>,
    length: u64,
    attributes: Attributes,
}

/// The attributes of a file, from `attr` (BEP 47).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
struct Attributes {
    padding: bool,
    symlink: bool,
    executable: bool,
}

impl FileEntry {
    /// The parts of the path: in the folder that the torrent names, or the name alone if the torrent is a single file. At
    /// least one part, and **not safe as file names**: see [`Metainfo`](super::Metainfo).
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// The same parts as bytes, as they stand in the torrent. Names on Unix are bytes, and torrents made there may hold some
    /// that aren't UTF-8, which [`path`](Self::path) gives with replacement characters.
    ///
    /// ```
    /// # use tracker_failover::Metainfo;
    /// let torrent = b"d4:infod5:filesld6:lengthi1e4:pathl2:\xfc.eee4:name1:d12:piece lengthi1e\
    ///                 6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
    /// let metainfo = Metainfo::parse(torrent)?;
    /// let file = &metainfo.files()[0];
    /// assert_eq!(file.path(), ["\u{fffd}."]);
    /// assert_eq!(file.path_bytes().collect::<Vec<_>>(), [b"\xfc."]);
    /// # Ok::<(), tracker_failover::MetainfoError>(())
    /// ```
    pub fn path_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let text = self.path.iter().map(String::as_bytes);
        let raw = self.raw_path.iter().flatten().map(Vec::as_slice);
        let is_text = self.raw_path.is_none();
        text.filter(move |_| is_text).chain(raw)
    }

    /// The length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is padding: zeros that count as content and aren't stored in a file. It is marked with an attribute
    /// (BEP 47), or has the name that `BitComet` gave padding before there were attributes (`_____padding_file_0_…`).
    pub fn is_padding(&self) -> bool {
        self.attributes.padding
    }

    /// Whether it is a symbolic link (BEP 47). The target isn't passed on, because it can lead anywhere.
    pub fn is_symlink(&self) -> bool {
        self.attributes.symlink
    }

    /// Whether it is meant to be executable (BEP 47).
    pub fn is_executable(&self) -> bool {
        self.attributes.executable
    }
}

/// The files read so far, with the sums that have limits.
#[derive(Debug, Default)]
pub(super) struct FileList {
    files: Vec<FileEntry>,
    total_length: u64,
    path_bytes: usize,
}

impl FileList {
    /// A torrent of one file.
    pub(super) fn of_one(name: &Name, length: Value<'_>, attr: Option<&[u8]>) -> Result<Self, MetainfoError> {
        let mut list = Self::default();
        let length = match length {
            Value::Integer(text) => content_length(text),
            _ => None,
        };
        let length = length.ok_or_else(|| MetainfoError::field("info.length", LENGTH))?;
        let attributes = attr.map_or_else(Attributes::default, Attributes::read);
        let raw_path = name.raw.clone().map(|raw| vec![raw].into());
        let file = FileEntry { path: vec![name.text.clone()], raw_path, length, attributes };
        list.add("info.name", file)?;
        Ok(list)
    }

    /// The files of BEP 3's list, given as its canonical bytes.
    pub(super) fn of_list(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let mut list = Self::default();
        let mut decoder = decoder(bytes);
        let Ok(Some(Object::List(mut entries))) = decoder.next_object() else {
            return Err(MetainfoError::field("info.files", "a list"));
        };
        while let Some(entry) = entries.next_object().map_err(unreadable)? {
            let place = format!("info.files.{}", list.files.len());
            let Object::Dict(entry) = entry else {
                return Err(MetainfoError::field(place, "a dictionary"));
            };
            let file = read_listed(&place, entry)?;
            list.add(&place, file)?;
        }
        list.not_empty("info.files")
    }

    /// The files of a tree (BEP 52), from its canonical bytes.
    pub(super) fn of_tree(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let mut list = Self::default();
        let mut decoder = decoder(bytes);
        let Ok(Some(Object::Dict(root))) = decoder.next_object() else {
            return Err(MetainfoError::field(TREE, "a dictionary"));
        };
        list.add_folder(root, &mut Path::default())?;
        list.not_empty(TREE)
    }

    pub(super) fn files(&self) -> &[FileEntry] {
        &self.files
    }

    pub(super) fn into_files(self) -> Vec<FileEntry> {
        self.files
    }

    pub(super) fn total_length(&self) -> u64 {
        self.total_length
    }

    /// Whether both descriptions of a hybrid torrent agree (BEP 52): the same paths and lengths, without padding.
    pub(super) fn describes_the_same_as(&self, other: &Self) -> bool {
        fn described(list: &FileList) -> Vec<(&[String], u64)> {
            let files = list.files.iter().filter(|file| !file.is_padding());
            let mut described: Vec<_> = files.map(|file| (file.path(), file.length)).collect();
            described.sort_unstable();
            described
        }
        described(self) == described(other)
    }

    /// Adds a folder of a tree. Recursion is bounded by the depth limit of the document.
    fn add_folder(&mut self, mut folder: DictDecoder<'_, '_>, path: &mut Path) -> Result<(), MetainfoError> {
        let mut is_file = false;
        while let Some((name, node)) = folder.next_pair().map_err(unreadable)? {
            let Object::Dict(node) = node else {
                return Err(MetainfoError::field(TREE, "dictionaries all the way down"));
            };
            if is_file || (name.is_empty() && path.text.is_empty()) {
                return Err(MetainfoError::field(TREE, "each name to be either a file or a folder"));
            }
            if name.is_empty() {
                is_file = true;
                let file = read_of_tree(node, path)?;
                self.add(TREE, file)?;
            } else {
                path.push(name);
                self.add_folder(node, path)?;
                path.pop();
            }
        }
        Ok(())
    }

    fn add(&mut self, place: &str, file: FileEntry) -> Result<(), MetainfoError> {
        let path_bytes = file.path.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        self.path_bytes = self.path_bytes.saturating_add(path_bytes);
        let total = self.total_length.checked_add(file.length).filter(|total| *total <= MAX_CONTENT_LEN);
        let refused = match total {
            _ if file.path.is_empty() => Some("a path of at least one part"),
            _ if file.path.len() > MAX_PARTS => Some("a path of at most 100 parts"),
            _ if path_bytes > MAX_PATH_LEN => Some("a path of at most 4096 bytes"),
            _ if self.path_bytes > MAX_PATHS_LEN => Some("paths of at most 64 MiB in all"),
            None => Some("lengths of at most 2^63-1 bytes in all"),
            Some(total) => {
                self.total_length = total;
                None
            }
        };
        if let Some(expected) = refused {
            return Err(MetainfoError::field(place, expected));
        }
        self.files.push(file);
        Ok(())
    }

    fn not_empty(self, place: &str) -> Result<Self, MetainfoError> {
        if self.files.is_empty() { Err(MetainfoError::field(place, "at least one file")) } else { Ok(self) }
    }
}

/// A name, and its bytes where they aren't UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) raw: Option<Vec<u8>>,
}

impl Name {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let raw = matches!(text, Cow::Owned(_)).then(|| bytes.to_vec());
        Self { text: text.into_owned(), raw }
    }
}

/// The parts of a path, as text and as bytes.
#[derive(Debug, Clone, Default)]
struct Path {
    text: Vec<String>,
    raw: Vec<Vec<u8>>,
}

impl Path {
    /// As BEP 47 recommends.
    fn of_padding(length: u64) -> Self {
        let mut path = Self::default();
        path.push(b".pad");
        path.push(length.to_string().as_bytes());
        path
    }

    fn push(&mut self, part: &[u8]) {
        self.text.push(String::from_utf8_lossy(part).into_owned());
        self.raw.push(part.to_vec());
    }

    fn pop(&mut self) {
        self.text.pop();
        self.raw.pop();
    }

    /// Whether a part isn't UTF-8.
    fn is_raw(&self) -> bool {
        self.text.iter().zip(&self.raw).any(|(text, raw)| text.as_bytes() != raw)
    }

    /// Whether it is the name that `BitComet` gives padding.
    fn is_of_padding(&self) -> bool {
        self.raw.last().is_some_and(|name| name.starts_with(BITCOMET_PADDING))
    }

    fn entry(self, length: u64, attributes: Attributes) -> FileEntry {
        let raw_path = self.is_raw().then(|| self.raw.into());
        FileEntry { path: self.text, raw_path, length, attributes }
    }
}

/// How the names begin that `BitComet` gives padding (libtorrent recognises the same).
const BITCOMET_PADDING: &[u8] = b"_____padding_file_";

impl Attributes {
    fn read(letters: &[u8]) -> Self {
        Self {
            padding: letters.contains(&b'p'),
            symlink: letters.contains(&b'l'),
            executable: letters.contains(&b'x'),
        }
    }
}

const TREE: &str = "info.file tree";
const LENGTH: &str = "an integer from 0 to 2^63-1";

fn read_listed(place: &str, mut entry: DictDecoder<'_, '_>) -> Result<FileEntry, MetainfoError> {
    let mut attributes = Attributes::default();
    let mut length = None;
    let mut path = None;
    let mut unicode_path = None;
    while let Some((key, value)) = entry.next_pair().map_err(unreadable)? {
        match (key, value) {
            (b"attr", Object::Bytes(letters)) => attributes = Attributes::read(letters),
            (b"length", Object::Integer(text)) => length = content_length(text),
            (b"path", Object::List(parts)) => path = read_path(parts),
            // Written by clients whose `path` is in an older encoding, which lossy decoding would garble.
            (b"path.utf-8", Object::List(parts)) => {
                unicode_path = read_path(parts).filter(|path| !path.is_raw());
            }
            _ => {}
        }
    }
    // A link has no content, and some clients leave its length out.
    let length = length.or(attributes.symlink.then_some(0));
    let length = length.ok_or_else(|| MetainfoError::field(format!("{place}.length"), LENGTH))?;
    // Padding needs no path: it is never a file (BEP 47 only recommends one).
    let padding = || attributes.padding.then(|| Path::of_padding(length));
    let path = path.filter(|path| !(attributes.padding && path.text.is_empty())).or_else(padding);
    let path = path.ok_or_else(|| MetainfoError::field(format!("{place}.path"), "a list of strings"))?;
    let path = unicode_path.filter(|unicode| unicode.text.len() == path.text.len()).unwrap_or(path);
    let attributes = Attributes { padding: attributes.padding || path.is_of_padding(), ..attributes };
    Ok(path.entry(length, attributes))
}

fn read_of_tree(mut entry: DictDecoder<'_, '_>, path: &Path) -> Result<FileEntry, MetainfoError> {
    let mut attributes = Attributes::default();
    let mut length = None;
    let mut has_root = false;
    while let Some((key, value)) = entry.next_pair().map_err(unreadable)? {
        match (key, value) {
            (b"attr", Object::Bytes(letters)) => attributes = Attributes::read(letters),
            (b"length", Object::Integer(text)) => length = content_length(text),
            (b"pieces root", Object::Bytes(root)) => has_root = root.len() == 32,
            _ => {}
        }
    }
    let length = length.or(attributes.symlink.then_some(0));
    let length = length.ok_or_else(|| MetainfoError::field(format!("{TREE}: length"), LENGTH))?;
    if length > 0 && !has_root {
        return Err(MetainfoError::field(format!("{TREE}: pieces root"), "a string of 32 bytes"));
    }
    Ok(path.clone().entry(length, attributes))
}

/// The parts of a path, at most one more than allowed. `None` if one isn't a string.
fn read_path(mut parts: ListDecoder<'_, '_>) -> Option<Path> {
    let mut path = Path::default();
    while let Some(part) = parts.next_object().ok()? {
        match part {
            Object::Bytes(part) if path.text.len() <= MAX_PARTS => path.push(part),
            Object::Bytes(_) => {}
            Object::Integer(_) | Object::List(_) | Object::Dict(_) => return None,
        }
    }
    Some(path)
}

fn content_length(text: &str) -> Option<u64> {
    text.parse().ok().filter(|length| *length <= MAX_CONTENT_LEN)
}

/// The error for a case that can't happen: bendy has accepted these bytes before.
fn unreadable(_: bendy::decoding::Error) -> MetainfoError {
    MetainfoError::field("info", "well-formed bencode")
}
