//! The torrent's files on the disk, read and written by range.
//!
//! Links are followed for reading only, where they lead to a complete file: a link in the folder may lead anywhere, and
//! what a stranger sends isn't to be written there.
//!
//! Files that aren't wanted are neither made nor changed. What a piece holds of them beside something that is wanted
//! goes to the [parts file](super::border), where it is read again to be given to others.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::border::Border;
use super::identity::identity;
use super::layout::{Segment, segments};
use super::names::shown;
use super::open::{at, open, open_link, regular};
use super::stamp::{Stamp, Stamps};
use crate::torrent::{self, Torrent};

/// The files below the output folder.
#[derive(Debug)]
pub(crate) struct Storage {
    root: PathBuf,
    torrent: Arc<Torrent>,
    border: Border,
    /// The files to which links lead, with what they led to at the start: read, and never written.
    linked: BTreeMap<usize, Option<(u64, u64)>>,
    /// The files used last, the latest at the end.
    open: Vec<Open>,
    max_open: usize,
    /// How all files were when we looked at them or wrote to them last.
    stamps: Stamps,
}

#[derive(Debug)]
struct Open {
    index: usize,
    file: File,
    writable: bool,
    /// Where the next read or write would go on by itself.
    position: u64,
}

/// What is on the disk at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Existing {
    /// The lengths of the files.
    pub(crate) files: Vec<Option<u64>>,
    /// The length of the parts file.
    pub(crate) parts: Option<u64>,
}

/// Where a range was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Not all of it is there.
    Nowhere,
    /// Where it is read and written from now on.
    InPlace,
    /// Where another run kept it.
    Elsewhere,
}

impl Storage {
    /// The files of a torrent below a folder, which is made where it isn't there. The folder itself may be a
    /// link: it is the user's choice.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub(crate) fn new(folder: &Path, torrent: Arc<Torrent>) -> io::Result<Self> {
        fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
        let root = fs::canonicalize(folder).map_err(|error| at(folder, &error))?;
        let border = Border::of(&torrent);
        let stamps = Stamps::default();
        Ok(Self {
            root,
            torrent,
            border,
            linked: BTreeMap::new(),
            open: Vec::new(),
            max_open: MAX_OPEN,
            stamps,
        })
    }

    /// Keeps so many files open, one at least.
    pub(crate) fn keep_open(self, files: usize) -> Self {
        Self { max_open: files.max(1), ..self }
    }

    /// What is there.
    ///
    /// # Errors
    /// When something is there that is no file, or is too long and must not be touched (F-03, F-10).
    pub(crate) fn existing(&mut self, overwrite: bool) -> io::Result<Existing> {
        let torrent = Arc::clone(&self.torrent);
        let mut found = Vec::with_capacity(torrent.files.len());
        for (index, file) in torrent.files.iter().enumerate() {
            if file.pad {
                found.push(None);
                continue;
            }
            let path = self.root.join(&file.path);
            if !file.wanted {
                // An existing file that isn't the torrent's is ignored.
                let safe = self.parent_is_safe(&file.path, false).unwrap_or(false);
                let metadata = if safe { regular(&path).unwrap_or(None) } else { None };
                found.push(metadata.map(|metadata| metadata.len()).filter(|&length| length <= file.length));
                continue;
            }
            let own = self.parent_is_safe(&file.path, false);
            let metadata = match own.and_then(|safe| if safe { regular(&path) } else { Ok(None) }) {
                Ok(metadata) => metadata,
                // A link in the way. What it leads to is read where that is as long as it has to be.
                Err(error) => {
                    let target = fs::metadata(&path).ok();
                    let target = target.filter(|target| target.is_file() && target.len() == file.length);
                    let target = target.ok_or(error)?;
                    self.linked.insert(index, identity(&target));
                    Some(target)
                }
            };
            let length = metadata.map(|metadata| metadata.len());
            if let Some(length) = length.filter(|&length| length > file.length && !overwrite) {
                return Err(io::Error::other(format!(
                    "{} has {length} bytes where the torrent has {}: it is another file, --overwrite replaces it",
                    shown(&path),
                    file.length
                )));
            }
            found.push(length);
        }
        let parts = regular(&self.path_of(self.torrent.files.len()))?.map(|metadata| metadata.len());
        for index in 0..=self.torrent.files.len() {
            let is_there = found.get(index).map_or(parts.is_some(), Option::is_some);
            self.stamps.set(index, if is_there { self.stamp_of(index) } else { None });
        }
        Ok(Existing { files: found, parts })
    }

    /// What is known of all files: how each was before its content was looked at, or after we wrote to it.
    pub(super) fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// Where pieces of several files lie.
    pub(super) fn border(&self) -> &Border {
        &self.border
    }

    /// How a file is now; behind the last one comes the parts file.
    fn stamp_of(&self, index: usize) -> Option<Stamp> {
        let metadata = fs::metadata(self.path_of(index)).ok()?;
        Stamp::of(&metadata)
    }

    /// Makes all wanted files and folders, and gives the files their lengths without writing to them.
    ///
    /// # Errors
    /// When one can't be made, or two of them turn out to be the same file (F-06).
    pub(crate) fn prepare(&mut self) -> io::Result<()> {
        let mut seen = HashSet::new();
        let torrent = Arc::clone(&self.torrent);
        for (index, file) in torrent.files.iter().enumerate().filter(|(_, file)| file.wanted) {
            if self.linked.contains_key(&index) {
                continue;
            }
            let path = self.root.join(&file.path);
            self.parent_is_safe(&file.path, true)?;
            let metadata = match regular(&path)? {
                Some(metadata) if metadata.len() == file.length => metadata,
                existing => {
                    let opened = open(&path, true, existing.is_none())?;
                    opened.set_len(file.length).map_err(|error| at(&path, &error))?;
                    let metadata = opened.metadata().map_err(|error| at(&path, &error))?;
                    self.stamps.set(index, Stamp::of(&metadata));
                    metadata
                }
            };
            if identity(&metadata).is_some_and(|identity| !seen.insert(identity)) {
                return Err(io::Error::other(format!(
                    "{} is also another file of the torrent",
                    shown(&path)
                )));
            }
        }
        Ok(())
    }

    /// The paths of the files to which links lead, with their indices.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (usize, PathBuf)> {
        self.linked.keys().map(|&index| (index, self.path_of(index)))
    }

    /// Reads a range of the torrent.
    ///
    /// # Errors
    /// When a file can't be read that far.
    pub(crate) fn read(&mut self, range: Range<u64>, into: &mut [u8]) -> io::Result<()> {
        let torrent = Arc::clone(&self.torrent);
        for segment in segments(&torrent.files, range) {
            let Some(part) = into.get_mut(segment.part.clone()) else {
                return Err(ErrorKind::InvalidInput.into());
            };
            if torrent.files[segment.file].pad {
                part.fill(0);
                continue;
            }
            let (file, at) = self.place(&segment);
            self.at(file, at, part.len(), false, |mut file| file.read_exact(part))?;
        }
        Ok(())
    }

    /// Reads a range of the torrent from wherever it may be: another run may have wanted other files. What isn't
    /// wanted now is looked for in the parts file, and with `anywhere` in its own file first.
    ///
    /// # Errors
    /// When a file can't be read.
    pub(crate) fn find(
        &mut self,
        existing: &Existing,
        anywhere: bool,
        range: Range<u64>,
        into: &mut [u8],
    ) -> io::Result<Found> {
        let torrent = Arc::clone(&self.torrent);
        let mut found = Found::InPlace;
        for segment in segments(&torrent.files, range) {
            let file = &torrent.files[segment.file];
            let Some(into) = into.get_mut(segment.part.clone()) else {
                return Err(ErrorKind::InvalidInput.into());
            };
            if file.pad {
                into.fill(0);
                continue;
            }
            let end = segment.at + into.len() as u64;
            let own = existing.files.get(segment.file).copied().flatten().filter(|&length| length >= end);
            let in_parts = self
                .border
                .place(file.offset + segment.at)
                .filter(|place| existing.parts.is_some_and(|length| length >= place + into.len() as u64));
            let at_home = file.wanted || self.border.place(file.offset + segment.at).is_none();
            if own.is_some() && (at_home || anywhere) {
                self.at(segment.file, segment.at, into.len(), false, |mut file| file.read_exact(into))?;
                if in_parts.is_none() || !at_home || into.iter().any(|&byte| byte != 0) {
                    found = if at_home { found } else { Found::Elsewhere };
                    continue;
                }
            }
            match in_parts {
                Some(at) => {
                    let parts = torrent.files.len();
                    self.at(parts, at, into.len(), false, |mut file| file.read_exact(into))?;
                    found = if at_home { Found::Elsewhere } else { found };
                }
                None => return Ok(Found::Nowhere),
            }
        }
        Ok(found)
    }

    /// The pieces of the files in this range that lie behind the ends of those files, as they are now.
    pub(crate) fn missing_pieces(&self, range: Range<u64>) -> BTreeSet<u32> {
        let mut missing = BTreeSet::new();
        for segment in segments(&self.torrent.files, range) {
            let Some(file) = self.torrent.files.get(segment.file).filter(|file| file.wanted) else {
                continue;
            };
            let length = fs::metadata(self.root.join(&file.path)).map_or(0, |metadata| metadata.len());
            let rest = file.length.saturating_sub(length);
            let behind =
                torrent::File { offset: file.offset + (file.length - rest), length: rest, ..file.clone() };
            missing.extend(self.torrent.pieces_of(&behind));
        }
        missing
    }

    /// Takes the parts file away, where nothing is left out any more.
    pub(crate) fn remove_parts(&mut self) {
        let parts = self.torrent.files.len();
        self.open.retain(|open| open.index != parts);
        self.stamps.set(parts, None);
        // It does no harm if it stays.
        let _ = fs::remove_file(self.path_of(parts));
    }

    /// In which file a run of a file's bytes lies, and where in it.
    fn place(&self, segment: &Segment) -> (usize, u64) {
        let file = &self.torrent.files[segment.file];
        match self.border.place(file.offset + segment.at).filter(|_| !file.wanted) {
            Some(at) => (self.torrent.files.len(), at),
            None => (segment.file, segment.at),
        }
    }

    /// The path of a file; behind the last one comes the parts file.
    pub(super) fn path_of(&self, index: usize) -> PathBuf {
        match self.torrent.files.get(index) {
            Some(file) => self.root.join(&file.path),
            None => self.root.join(format!(".{}.parts", self.torrent.info_hash)),
        }
    }

    /// The path of the resume file.
    pub(super) fn resume_path(&self) -> PathBuf {
        self.root.join(format!(".{}.resume", self.torrent.info_hash))
    }

    /// Writes a range of the torrent.
    ///
    /// # Errors
    /// When a file can't be written, such as on a full disk.
    pub(crate) fn write(&mut self, range: Range<u64>, data: &[u8]) -> io::Result<()> {
        let torrent = Arc::clone(&self.torrent);
        for segment in segments(&torrent.files, range) {
            let Some(part) = data.get(segment.part.clone()) else {
                return Err(ErrorKind::InvalidInput.into());
            };
            if !torrent.files[segment.file].pad {
                let (file, at) = self.place(&segment);
                self.at(file, at, part.len(), true, |mut file| file.write_all(part))?;
            }
        }
        Ok(())
    }

    /// Does something with a file at an offset.
    fn at(
        &mut self,
        index: usize,
        offset: u64,
        length: usize,
        write: bool,
        act: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = self.path_of(index);
        let found = self.open.iter().position(|open| open.index == index && (open.writable || !write));
        let mut entry = if let Some(found) = found {
            self.open.remove(found)
        } else {
            self.open.retain(|open| open.index != index);
            Open { index, file: self.open_file(index, write)?, writable: write, position: 0 }
        };
        let done: io::Result<()> = (|| {
            if entry.position != offset {
                entry.file.seek(SeekFrom::Start(offset))?;
            }
            if write {
                self.stamps.before_write(index, &entry.file);
            }
            act(&entry.file)?;
            if write {
                self.stamps.after_write(index, &entry.file);
            }
            Ok(())
        })();
        // After an error the handle is at no known place, and is opened anew.
        done.map_err(|error| at(&path, &error))?;
        entry.position = offset + length as u64;
        if self.open.len() >= self.max_open {
            self.open.remove(0);
        }
        self.open.push(entry);
        Ok(())
    }

    fn open_file(&self, index: usize, write: bool) -> io::Result<File> {
        let path = self.path_of(index);
        if let Some(&target) = self.linked.get(&index) {
            if write {
                return Err(io::Error::other(format!("{} is a link, and is not written", shown(&path))));
            }
            return open_link(&path, target);
        }
        let file = self.torrent.files.get(index);
        if let Some(file) = file {
            self.parent_is_safe(&file.path, write)?;
        }
        // The parts file is made when it is needed.
        let create = write && file.is_none() && regular(&path)?.is_none();
        open(&path, write, create)
    }

    /// Whether the folders above a file are there, and folders: a link among them would lead elsewhere (F-03).
    fn parent_is_safe(&self, path: &Path, create: bool) -> io::Result<bool> {
        let mut folder = self.root.clone();
        for part in path.parent().into_iter().flatten() {
            folder.push(part);
            match fs::symlink_metadata(&folder) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => {
                    return Err(io::Error::other(format!(
                        "{} is no folder but a link or a file, and is not followed",
                        shown(&folder)
                    )));
                }
                Err(error) if error.kind() == ErrorKind::NotFound && create => {
                    fs::create_dir(&folder).map_err(|error| at(&folder, &error))?;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(at(&folder, &error)),
            }
        }
        Ok(true)
    }
}

/// Files kept open; systems allow a process some hundreds.
const MAX_OPEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torrent::tests::{content, multi, single};

    fn storage(folder: &Path, files: &[(&str, u64)]) -> Storage {
        let total = files.iter().map(|file| usize::try_from(file.1).unwrap()).sum();
        let torrent = multi("d", files, &content(total), 16);
        Storage::new(folder, Arc::new(torrent)).unwrap()
    }

    #[test]
    fn ranges_go_to_their_files_and_pads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = storage(folder.path(), &[("a", 5), ("empty", 0), (".pad/3", 3), ("sub/b", 12)]);
        storage.prepare().unwrap();
        let data: Vec<u8> = (1..=20).collect();
        storage.write(0..20, &data).unwrap();
        let mut back = [9; 16];
        storage.read(2..18, &mut back).unwrap();
        assert_eq!(back, [3, 4, 5, 0, 0, 0, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
        assert_eq!(fs::read(folder.path().join("d/a")).unwrap(), [1, 2, 3, 4, 5]);
        assert!(fs::read(folder.path().join("d/empty")).unwrap().is_empty());
        assert_eq!(fs::read(folder.path().join("d/sub/b")).unwrap().len(), 12);
        assert!(!folder.path().join("d/.pad").exists());
    }

    /// F-03: links planted before the download lead nowhere.
    #[cfg(unix)]
    #[test]
    fn links_are_not_written() {
        use std::os::unix::fs::symlink;
        for (link, target) in [("d/a", "out"), ("d/a", "nowhere"), ("d/sub", "."), ("d", ".")] {
            let folder = tempfile::tempdir().unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            fs::write(elsewhere.path().join("out"), b"123456").unwrap();
            let path = folder.path().join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(elsewhere.path().join(target), &path).unwrap();
            let mut storage = storage(folder.path(), &[("a", 5), ("sub/b", 3)]);
            assert!(storage.existing(true).is_err(), "{link} to {target}");
            let mut storage = self::storage(folder.path(), &[("a", 5), ("sub/b", 3)]);
            assert!(storage.prepare().is_err(), "{link} to {target}");
            assert!(storage.write(0..8, &[1; 8]).is_err(), "{link} to {target}");
            assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "{link} to {target}");
            assert_eq!(fs::read(elsewhere.path().join("out")).unwrap(), b"123456");
        }
    }

    /// F-03: a link that is turned to another file after the check gives nothing of that to peers.
    #[cfg(unix)]
    #[test]
    fn a_link_that_was_turned_is_not_read() {
        use std::os::unix::fs::symlink;
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["one", "other"] {
            fs::write(elsewhere.path().join(name), b"12345").unwrap();
        }
        fs::create_dir(folder.path().join("d")).unwrap();
        let link = folder.path().join("d/a");
        symlink(elsewhere.path().join("one"), &link).unwrap();
        for turned in [false, true] {
            let mut storage = storage(folder.path(), &[("a", 5), ("b", 3)]);
            storage.existing(false).unwrap();
            if turned {
                fs::remove_file(&link).unwrap();
                symlink(elsewhere.path().join("other"), &link).unwrap();
            }
            assert_eq!(storage.read(0..5, &mut [0; 5]).is_err(), turned);
        }
    }

    /// F-10.
    #[test]
    fn a_longer_file_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), [0; 41]).unwrap();
        let torrent = single("x", &content(40), 16);
        let mut storage = Storage::new(folder.path(), Arc::new(torrent)).unwrap();
        assert!(storage.existing(false).unwrap_err().to_string().contains("--overwrite"));
        assert_eq!(storage.existing(true).unwrap().files, [Some(41)]);
        storage.prepare().unwrap();
        assert_eq!(fs::metadata(folder.path().join("x")).unwrap().len(), 40);
    }

    /// F-06: whatever the file system takes for the same.
    #[cfg(unix)]
    #[test]
    fn two_names_of_one_file_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = storage(folder.path(), &[("a", 5), ("b", 5)]);
        storage.prepare().unwrap();
        fs::remove_file(folder.path().join("d/b")).unwrap();
        fs::hard_link(folder.path().join("d/a"), folder.path().join("d/b")).unwrap();
        assert!(storage.prepare().unwrap_err().to_string().contains("another file"));
    }
}
