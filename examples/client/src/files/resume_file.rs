//! The resume file on the disk: `.INFO-HASH.resume` beside the data.
//!
//! It never claims more than what is on the disk, whenever the process or the machine dies:
//!
//! 1. A piece is verified only after its last byte was written, so a process that is killed leaves it to the system.
//! 2. Before the resume file is written, every file that we wrote to is flushed (`fsync`), so that a power cut leaves it as
//!    well.
//! 3. It is written to another name, flushed, and renamed: there is the old one or the new one, never a part.
//! 4. What is written to a file afterwards changes its time, so that the resume file doesn't speak of it any more.
//! 5. A change within the granularity of the file system's times wouldn't show. So a file whose time isn't older than that
//!    is waited for, and left out if that doesn't help.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tracker_failover::InfoHash;

use super::open::{at, open, regular};
use super::resume::{Entry, Resume};
use super::stamp::Stamp;
use super::storage::Storage;
use crate::swarm::bitfield::Bitfield;
use crate::torrent::Torrent;

/// What the resume file of a torrent says; `None` where there is none that can be read.
pub(super) fn read(storage: &Storage, torrent: &Torrent) -> Option<Resume> {
    let path = storage.resume_path();
    let longest = Resume::longest(torrent);
    regular(&path).ok().flatten().filter(|metadata| metadata.len() <= longest)?;
    let mut bytes = Vec::new();
    open(&path, false, false).ok()?.take(longest + 1).read_to_end(&mut bytes).ok()?;
    Resume::read(&bytes, torrent)
}

/// What is to be written: how things are now.
#[derive(Debug)]
pub(super) struct Snapshot {
    path: PathBuf,
    info_hash: InfoHash,
    verified: Bitfield,
    /// The files with what is known of them, and whether we have written to them.
    files: Vec<(PathBuf, Entry, bool)>,
}

impl Snapshot {
    /// How things are, where these pieces are verified.
    pub(super) fn of(storage: &Storage, torrent: &Torrent, verified: &Bitfield) -> Self {
        let stamps = storage.stamps();
        let file = |index: usize| {
            let wanted = torrent.files.get(index).is_some_and(|file| file.wanted);
            let entry = Entry { wanted, stamp: stamps.get(index) };
            (storage.path_of(index), entry, stamps.written().contains(&index))
        };
        let files = (0..=torrent.files.len()).map(file).collect();
        let (path, info_hash, verified) = (storage.resume_path(), torrent.info_hash, verified.clone());
        Self { path, info_hash, verified, files }
    }

    /// Writes the resume file; without a verified piece there is none. Takes as long as the disk takes to write what is
    /// still in memory.
    ///
    /// # Errors
    /// When it can't be written. The one before is still there then.
    pub(super) fn write(mut self) -> io::Result<()> {
        if self.verified.len() == 0 {
            return remove(&self.path);
        }
        for (path, entry, written) in &mut self.files {
            if *written && open(path, true, false).and_then(|file| file.sync_data()).is_err() {
                entry.stamp = None;
            }
        }
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        remove(&new)?;
        let written = self.write_to(&new).and_then(|()| fs::rename(&new, &self.path));
        if let Err(error) = written {
            // What is left of it does no harm.
            let _ = fs::remove_file(&new);
            return Err(at(&self.path, &error));
        }
        sync_folder(&self.path)
    }

    fn write_to(&mut self, new: &Path) -> io::Result<()> {
        // Exclusive creation never follows a link.
        let mut file = OpenOptions::new().write(true).create_new(true).open(new)?;
        let mut time = touch(&mut file)?;
        // One that lies in the future isn't waited for.
        let longest = time.saturating_add(i64::try_from(LONGEST_WAIT.as_nanos()).unwrap_or(i64::MAX));
        let settled_at = self.files.iter().filter_map(|(_, entry, _)| entry.stamp).map(Stamp::settled_at);
        let settled_at = settled_at.filter(|&settled_at| settled_at <= longest).max();
        let mut waited = Duration::ZERO;
        while let Some(wait) =
            settled_at.map(|settled_at| settled_at.saturating_sub(time)).filter(|&wait| wait > 0)
            && waited < LONGEST_WAIT
        {
            // The file system's clock moves by ticks.
            let wait = Duration::from_nanos(wait.unsigned_abs()).clamp(TICK, LONGEST_WAIT);
            thread::sleep(wait);
            waited += wait;
            time = touch(&mut file)?;
        }
        let mut files = Vec::with_capacity(self.files.len());
        for (path, mut entry, _) in self.files.drain(..) {
            let now = fs::metadata(&path).ok().as_ref().and_then(Stamp::of);
            entry.stamp = entry.stamp.filter(|stamp| now == Some(*stamp) && stamp.settled_at() <= time);
            files.push(entry);
        }
        let resume = Resume { verified: self.verified.clone(), time, files };
        let bytes = resume.write(self.info_hash).map_err(|error| io::Error::other(error.to_string()))?;
        file.set_len(0)?;
        io::Seek::rewind(&mut file)?;
        file.write_all(&bytes)?;
        file.sync_all()
    }
}

/// Writes to a file; gives its time, which is the file system's clock.
fn touch(file: &mut File) -> io::Result<i64> {
    file.write_all(b"d")?;
    let stamp = Stamp::of(&file.metadata()?);
    stamp.map(|stamp| stamp.time).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Takes a file or a link away, if there is one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path, &error)),
        _ => Ok(()),
    }
}

/// Flushes the folder of a file, so that a rename in it is not lost.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| at(folder, &error))
        }
        None => Ok(()),
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "other systems can't flush a folder")]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// So long a file's time is waited for: as long as the coarsest of them needs.
const LONGEST_WAIT: Duration = Duration::from_millis(2100);
const TICK: Duration = Duration::from_millis(1);
