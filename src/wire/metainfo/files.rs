//! The files of a torrent: a single one, a list (BEP 3), or a tree (BEP 52), with the attributes of BEP 47.

use bendy::decoding::{DictDecoder, ListDecoder, Object};

use super::MetainfoError;
use crate::wire::bencode::{Value, decoder};

/// How many files a torrent may have. More would only fill a disk with names.
const MAX_FILES: usize = 100_000;

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

    /// The length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is padding (BEP 47): zeros that count as content and aren't stored in a file.
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
    pub(super) fn of_one(name: &str, length: Value<'_>, attr: Option<&[u8]>) -> Result<Self, MetainfoError> {
        let mut list = Self::default();
        let length = match length {
            Value::Integer(text) => content_length(text),
            _ => None,
        };
        let length = length.ok_or_else(|| MetainfoError::field("info.length", LENGTH))?;
        let attributes = attr.map_or_else(Attributes::default, Attributes::read);
        list.add("info.name", FileEntry { path: vec![name.to_owned()], length, attributes })?;
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
        list.add_folder(root, &mut Vec::new())?;
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
    fn add_folder(
        &mut self,
        mut folder: DictDecoder<'_, '_>,
        path: &mut Vec<String>,
    ) -> Result<(), MetainfoError> {
        let mut is_file = false;
        while let Some((name, node)) = folder.next_pair().map_err(unreadable)? {
            let Object::Dict(node) = node else {
                return Err(MetainfoError::field(TREE, "dictionaries all the way down"));
            };
            if is_file || (name.is_empty() && path.is_empty()) {
                return Err(MetainfoError::field(TREE, "each name to be either a file or a folder"));
            }
            if name.is_empty() {
                is_file = true;
                let file = read_of_tree(node, path)?;
                self.add(TREE, file)?;
            } else {
                path.push(String::from_utf8_lossy(name).into_owned());
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
            _ if self.files.len() >= MAX_FILES => Some("at most 100000 files"),
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
            (b"path", Object::List(parts)) => path = read_path(parts, |part| Some(lossy(part))),
            // Written by clients whose `path` is in an older encoding, which lossy decoding would garble.
            (b"path.utf-8", Object::List(parts)) => unicode_path = read_path(parts, utf8),
            _ => {}
        }
    }
    // A link has no content, and some clients leave its length out.
    let length = length.or(attributes.symlink.then_some(0));
    let length = length.ok_or_else(|| MetainfoError::field(format!("{place}.length"), LENGTH))?;
    let path = path.ok_or_else(|| MetainfoError::field(format!("{place}.path"), "a list of strings"))?;
    let path = unicode_path.filter(|unicode| unicode.len() == path.len()).unwrap_or(path);
    Ok(FileEntry { path, length, attributes })
}

fn read_of_tree(mut entry: DictDecoder<'_, '_>, path: &[String]) -> Result<FileEntry, MetainfoError> {
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
    Ok(FileEntry { path: path.to_vec(), length, attributes })
}

/// The parts of a path, at most one more than allowed. `None` if one isn't a string, or can't be decoded.
fn read_path(mut parts: ListDecoder<'_, '_>, read: impl Fn(&[u8]) -> Option<String>) -> Option<Vec<String>> {
    let mut path = Vec::new();
    while let Some(part) = parts.next_object().ok()? {
        match part {
            Object::Bytes(part) if path.len() <= MAX_PARTS => path.push(read(part)?),
            Object::Bytes(_) => {}
            Object::Integer(_) | Object::List(_) | Object::Dict(_) => return None,
        }
    }
    Some(path)
}

fn lossy(part: &[u8]) -> String {
    String::from_utf8_lossy(part).into_owned()
}

fn utf8(part: &[u8]) -> Option<String> {
    std::str::from_utf8(part).ok().map(str::to_owned)
}

fn content_length(text: &str) -> Option<u64> {
    text.parse().ok().filter(|length| *length <= MAX_CONTENT_LEN)
}

/// The error for a case that can't happen: bendy has accepted these bytes before.
fn unreadable(_: bendy::decoding::Error) -> MetainfoError {
    MetainfoError::field("info", "well-formed bencode")
}
