//! What is on the disk already: found out by hashing it, since a file's length and date prove nothing.

use std::io;
use std::ops::Range;

use sha1::{Digest as _, Sha1};

use super::layout::segments;
use super::storage::Storage;
use crate::swarm::bitfield::Bitfield;
use crate::swarm::parts::PART;
use crate::swarm::session::Digest;
use crate::torrent::Torrent;

/// Hashes what is there and makes what isn't. `progress` is told how many pieces have been looked at, and
/// says whether to go on.
///
/// # Errors
/// When something is in the way, such as another file of the same name (F-10).
pub(crate) fn check(
    torrent: &Torrent,
    storage: &mut Storage,
    overwrite: bool,
    mut progress: impl FnMut(u32) -> bool,
) -> io::Result<Bitfield> {
    let existing = storage.existing(overwrite)?;
    let mut have = Bitfield::empty(torrent.pieces());
    let mut data = vec![0; torrent.piece_length.min(PART) as usize];
    let mut foreign = false;
    let anything = existing.iter().any(|length| length.is_some_and(|length| length > 0));
    for piece in (0..torrent.pieces()).filter(|_| anything) {
        if !progress(piece) {
            return Ok(have);
        }
        let range = torrent.range(piece);
        let there = segments(&torrent.files, range.clone()).all(|segment| {
            let length = existing.get(segment.file).copied().flatten().unwrap_or(0);
            torrent.files[segment.file].pad || length >= segment.at + segment.part.len() as u64
        });
        if !there {
            continue;
        }
        let looked = look(storage, range, &mut data)?;
        if torrent.hashes.get(piece as usize) == Some(&looked.hash) {
            have.insert(piece);
        } else {
            foreign |= looked.filled;
        }
    }
    if foreign && have.len() == 0 && !overwrite {
        return Err(io::Error::other(
            "files of these names are there with other content: --overwrite replaces them, --archives takes \
             another folder",
        ));
    }
    storage.prepare()?;
    Ok(have)
}

/// What was found of a piece.
struct Looked {
    hash: Digest,
    /// Whether each of its parts has something in it. A piece we were fetching has parts that were not written.
    filled: bool,
}

/// Reads a piece part by part.
fn look(storage: &mut Storage, range: Range<u64>, buffer: &mut [u8]) -> io::Result<Looked> {
    let mut sha = Sha1::new();
    let mut filled = true;
    let mut at = range.start;
    while at < range.end {
        let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..length) else { break };
        storage.read(at..at + length as u64, part)?;
        sha.update(&*part);
        filled &= part.iter().any(|&byte| byte != 0);
        at += length as u64;
    }
    Ok(Looked { hash: sha.finalize().into(), filled })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::torrent::tests::{content, multi, single};

    #[test]
    fn what_is_there_is_found_by_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let data = content(100);
        let torrent = multi("d", &[("a", 20), ("b", 40), ("c", 40)], &data, 16);
        let torrent = Arc::new(torrent);
        let run = |overwrite| {
            let mut storage = Storage::new(folder.path(), Arc::clone(&torrent)).unwrap();
            let have = check(&torrent, &mut storage, overwrite, |_| true)?;
            Ok::<_, io::Error>(have.iter().collect::<Vec<_>>())
        };
        assert_eq!(run(false).unwrap(), [] as [u32; 0]);
        // Whole pieces within b, one that reaches into a, none that reaches into c.
        fs::write(folder.path().join("d/a"), &data[..20]).unwrap();
        fs::write(folder.path().join("d/b"), &data[20..60]).unwrap();
        fs::remove_file(folder.path().join("d/c")).unwrap();
        assert_eq!(run(false).unwrap(), [0, 1, 2]);
        let mut bad = data[20..60].to_vec();
        bad[20] ^= 1;
        fs::write(folder.path().join("d/b"), &bad).unwrap();
        assert_eq!(run(false).unwrap(), [0, 1]);
        // F-10: nothing of it is ours.
        fs::write(folder.path().join("d/a"), [1; 20]).unwrap();
        fs::write(folder.path().join("d/b"), [1; 40]).unwrap();
        assert!(run(false).unwrap_err().to_string().contains("other content"));
        assert_eq!(fs::read(folder.path().join("d/a")).unwrap(), [1; 20]);
        assert_eq!(run(true).unwrap(), [] as [u32; 0]);
    }

    /// A download that was killed before its first large piece was whole has left parts of it, and goes on.
    #[test]
    fn an_unfinished_piece_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let data = content(5 << 20);
        let torrent = Arc::new(single("x", &data, 3 << 20));
        let run = |found: &[u8]| {
            fs::write(folder.path().join("x"), found).unwrap();
            let mut storage = Storage::new(folder.path(), Arc::clone(&torrent)).unwrap();
            check(&torrent, &mut storage, false, |_| true)
        };
        let mut found = vec![0; data.len()];
        found[1 << 20..3 << 20].copy_from_slice(&data[1 << 20..3 << 20]);
        assert_eq!(run(&found).unwrap().len(), 0);
        found[0] = 1;
        assert!(run(&found).unwrap_err().to_string().contains("other content"));
        assert_eq!(run(&data).unwrap().len(), 2);
    }
}
