//! Pieces that come by parts: hashed as they are written, so that none has to lie in memory as a whole.
//!
//! A piece of one part has its [`verdict`] before it is written, and is written only when it is good. The parts of a
//! larger one are written as they come, and hashed in their order; one that came early is read back when its turn is
//! there. What is on the disk of a piece that isn't whole or isn't good counts for nothing: the swarm doesn't have it,
//! and the next start finds that out by its hash.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use sha1::{Digest as _, Sha1};

use super::storage::Storage;
use crate::swarm::parts::PART;
use crate::swarm::verdict::{Digest, Verdict};
use crate::torrent::Torrent;
use crate::wire::message::BLOCK;

/// The pieces of which some parts are stored.
#[derive(Debug, Default)]
pub(super) struct Begun(BTreeMap<u32, Piece>);

#[derive(Debug, Default)]
struct Piece {
    sha: Sha1,
    /// Bytes from the start on that are hashed.
    hashed: u32,
    /// Where the parts begin that are written and not hashed.
    early: BTreeSet<u32>,
}

impl Begun {
    /// Stores a part that begins so far into a piece. Gives what is to be thought of the piece where that is whole,
    /// with the blocks that differ from those of an earlier attempt. The buffer is used for reading as well.
    ///
    /// # Errors
    /// When the disk can't be written, or not be read back.
    pub(super) fn store(
        &mut self,
        torrent: &Torrent,
        storage: &mut Storage,
        piece: u32,
        begin: u32,
        data: &mut Vec<u8>,
        earlier: Option<&[Digest]>,
    ) -> io::Result<Option<Verdict>> {
        let range = torrent.range(piece);
        let hash = hash_of(torrent, piece)?;
        let start = range.start + u64::from(begin);
        storage.write(start..start + data.len() as u64, data)?;
        let entry = self.0.entry(piece).or_default();
        if entry.hashed == begin {
            entry.add(data);
            while entry.early.remove(&entry.hashed) {
                read_part(storage, range.start + u64::from(entry.hashed), range.end, data)?;
                entry.add(data);
            }
        } else {
            entry.early.insert(begin);
        }
        if range.start + u64::from(entry.hashed) < range.end {
            return Ok(None);
        }
        let good = self.0.remove(&piece).is_some_and(|piece| piece.sha.finalize()[..] == hash[..]);
        if good && earlier.is_none() {
            return Ok(Some(Verdict::Good { differing: Vec::new() }));
        }
        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            at += read_part(storage, at, range.end, data)?;
            found.extend(digests(data));
        }
        Ok(Some(if good {
            let differing = earlier.map(|earlier| differing(earlier, &found)).unwrap_or_default();
            Verdict::Good { differing }
        } else {
            Verdict::Bad { digests: found }
        }))
    }

    /// What was stored of a piece counts no more.
    pub(super) fn forget(&mut self, piece: u32) {
        self.0.remove(&piece);
    }
}

impl Piece {
    fn add(&mut self, data: &[u8]) {
        self.sha.update(data);
        self.hashed = self.hashed.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
    }
}

/// What is to be thought of a piece that came in one part, with the blocks that differ from those of an earlier attempt.
///
/// # Errors
/// When there is no such piece.
pub(super) fn verdict(
    torrent: &Torrent,
    piece: u32,
    data: &[u8],
    earlier: Option<&[Digest]>,
) -> io::Result<Verdict> {
    if Sha1::digest(data)[..] != hash_of(torrent, piece)?[..] {
        return Ok(Verdict::Bad { digests: digests(data) });
    }
    let differing = earlier.map(|earlier| differing(earlier, &digests(data))).unwrap_or_default();
    Ok(Verdict::Good { differing })
}

fn hash_of(torrent: &Torrent, piece: u32) -> io::Result<&Digest> {
    torrent.hashes.get(piece as usize).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Reads the part of a piece that begins there, where the piece ends there; gives its length.
fn read_part(storage: &mut Storage, start: u64, end: u64, data: &mut Vec<u8>) -> io::Result<u64> {
    let length = (end - start).min(PART.into());
    data.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
    storage.read(start..start + length, data)?;
    Ok(length)
}

fn digests(data: &[u8]) -> Vec<Digest> {
    data.chunks(BLOCK as usize).map(|block| Sha1::digest(block).into()).collect()
}

fn differing(earlier: &[Digest], now: &[Digest]) -> Vec<usize> {
    earlier.iter().zip(now).enumerate().filter(|(_, (one, other))| one != other).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::torrent::tests::{content, single};

    const LENGTH: usize = 5 << 19;

    struct Rig {
        folder: tempfile::TempDir,
        torrent: Arc<Torrent>,
        storage: Storage,
        begun: Begun,
        data: Vec<u8>,
    }

    impl Rig {
        /// A piece of three parts, and another.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let data = content(2 * LENGTH);
            let torrent = Arc::new(single("x", &data, LENGTH));
            let mut storage = Storage::new(folder.path(), Arc::clone(&torrent)).unwrap();
            storage.prepare().unwrap();
            Self { folder, torrent, storage, begun: Begun::default(), data }
        }

        fn store(&mut self, part: usize, spoilt: bool, earlier: Option<&[Digest]>) -> Option<Verdict> {
            let begin = part * PART as usize;
            let mut data = self.data[begin..LENGTH.min(begin + PART as usize)].to_vec();
            data[0] ^= u8::from(spoilt);
            let begin = u32::try_from(begin).unwrap();
            let (torrent, storage) = (&self.torrent, &mut self.storage);
            self.begun.store(torrent, storage, 0, begin, &mut data, earlier).unwrap()
        }
    }

    #[test]
    fn parts_are_hashed_in_any_order() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0]] {
            let mut rig = Rig::new();
            assert_eq!(rig.store(order[0], false, None), None);
            assert_eq!(rig.store(order[1], false, None), None);
            assert_eq!(rig.store(order[2], false, None), Some(Verdict::Good { differing: vec![] }));
            let written = fs::read(rig.folder.path().join("x")).unwrap();
            assert!(written[..LENGTH] == rig.data[..LENGTH], "{order:?}");
            assert!(rig.begun.0.is_empty());
        }
    }

    /// P-06: which blocks were bad shows when the piece is good at last.
    #[test]
    fn bad_blocks_are_reported() {
        let mut rig = Rig::new();
        rig.store(0, false, None);
        rig.store(2, false, None);
        let Some(Verdict::Bad { digests }) = rig.store(1, true, None) else { panic!("it is bad") };
        assert_eq!(digests.len(), LENGTH / BLOCK as usize);
        rig.store(0, false, None);
        rig.store(1, false, None);
        assert_eq!(rig.store(2, false, Some(&digests)), Some(Verdict::Good { differing: vec![64] }));
    }

    #[test]
    fn an_abandoned_piece_begins_anew() {
        let mut rig = Rig::new();
        rig.store(0, true, None);
        rig.store(1, false, None);
        rig.begun.forget(0);
        assert_eq!(rig.store(1, false, None), None);
        assert_eq!(rig.store(2, false, None), None);
        assert_eq!(rig.store(0, false, None), Some(Verdict::Good { differing: vec![] }));
    }
}
