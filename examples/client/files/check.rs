//! What is on the disk already: found out by hashing it, since a file's length and date prove nothing.

use std::io;

use sha1::{Digest, Sha1};

use super::layout::segments;
use super::storage::Storage;
use crate::swarm::bitfield::Bitfield;
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
    let mut data = vec![0; torrent.piece_length as usize];
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
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let Some(data) = data.get_mut(..length).filter(|_| there) else { continue };
        storage.read(range, data)?;
        if is_good(torrent, piece, data) {
            have.insert(piece);
        } else {
            foreign |= data.iter().any(|&byte| byte != 0);
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

/// Whether a piece's data has the hash that the torrent says.
pub(crate) fn is_good(torrent: &Torrent, piece: u32, data: &[u8]) -> bool {
    torrent.hashes.get(piece as usize).is_some_and(|hash| Sha1::digest(data)[..] == hash[..])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::torrent::tests::{content, multi};

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
}
