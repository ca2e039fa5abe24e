//! The pieces that are on the disk and verified, and when the resume file is written.

use std::collections::BTreeSet;
use std::io;
use std::thread::{self, JoinHandle};

use super::check::Checked;
use super::resume_file::{self, Snapshot};
use super::storage::Storage;
use crate::swarm::bitfield::Bitfield;
use crate::torrent::Torrent;

/// The pieces, as the disk's thread knows them.
#[derive(Debug)]
pub(super) struct Verified {
    pieces: Bitfield,
    /// How many of the wanted pieces are missing.
    lacking: u32,
    wanted: Bitfield,
    /// Whether something has changed since the resume file was written.
    is_stale: bool,
    /// Whether no resume file is left when everything that is wanted is here.
    ends_complete: bool,
    /// The resume file being written.
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Verified {
    /// The pieces that were found. With `ends_complete` no resume file is left when everything that is wanted is here.
    pub(super) fn new(torrent: &Torrent, checked: &Checked, ends_complete: bool) -> Self {
        let (pieces, wanted) = (checked.have.clone(), torrent.wanted());
        let lacking = wanted.count_beyond(&pieces);
        // What the resume file says was found without hashing anything.
        let is_stale = checked.hashed != 0;
        Self { pieces, lacking, wanted, is_stale, ends_complete, writing: None }
    }

    /// One more piece is on the disk. Whether everything that is wanted is with it.
    pub(super) fn add(&mut self, piece: u32) -> bool {
        self.is_stale = true;
        let is_new = self.pieces.insert(piece) && self.wanted.get(piece);
        self.lacking -= u32::from(is_new);
        is_new && self.lacking == 0
    }

    /// These can't be read any more.
    pub(super) fn lost(&mut self, pieces: &BTreeSet<u32>) {
        self.is_stale = true;
        for &piece in pieces {
            let was_here = self.pieces.remove(piece) && self.wanted.get(piece);
            self.lacking += u32::from(was_here);
        }
    }

    /// Writes the resume file if something has changed, while the disk's thread goes on. Not while the one before is still
    /// being written.
    pub(super) fn save(&mut self, torrent: &Torrent, storage: &Storage) {
        if self.is_stale && !self.leaves_none() && self.writing.as_ref().is_none_or(JoinHandle::is_finished) {
            let snapshot = Snapshot::of(storage, torrent, &self.pieces);
            // Without a thread it is written at the end.
            self.writing = thread::Builder::new().name("resume".into()).spawn(|| snapshot.write()).ok();
            self.is_stale = self.writing.is_none();
        }
    }

    /// Writes it at the end, or removes it where none is left.
    ///
    /// # Errors
    /// When it can't be written or removed.
    pub(super) fn finish(mut self, torrent: &Torrent, storage: &Storage) -> io::Result<()> {
        let written = self.writing.take().map(JoinHandle::join);
        if self.leaves_none() {
            return resume_file::remove(&storage.resume_path());
        }
        if let Some(Ok(written)) = written
            && !self.is_stale
        {
            return written;
        }
        if self.is_stale { Snapshot::of(storage, torrent, &self.pieces).write() } else { Ok(()) }
    }

    fn leaves_none(&self) -> bool {
        self.ends_complete && self.lacking == 0
    }
}
