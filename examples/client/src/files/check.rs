//! What is on the disk already: found out by hashing it, but for what the resume file says of files that haven't changed
//! since.

use std::io;
use std::ops::Range;

use sha1::{Digest as _, Sha1};

use super::names::shown;
use super::resume_file;
use super::storage::{Existing, Found, Storage};
use crate::swarm::bitfield::Bitfield;
use crate::swarm::parts::PART;
use crate::swarm::verdict::Digest;
use crate::torrent::Torrent;

/// How to look at what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// For a download, which goes on with it. The resume file is relied on where it can be. No resume file is left of one that
    /// `ends_complete`: it ends as soon as everything is here, and nothing but the data stays in the folder.
    Begin { overwrite: bool, ends_complete: bool },
    /// Only to know: every byte is hashed, and nothing is made or changed.
    Verify,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The pieces that are here.
    pub(crate) have: Bitfield,
    /// How many pieces were hashed, or found not to be there; what the resume file spoke of wasn't.
    pub(crate) hashed: u32,
}

/// Hashes existing files; for a download it creates missing ones. `progress` gets the number of pieces checked, and returns
/// whether to continue.
///
/// # Errors
/// When something is in the way, such as another file of the same name (F-10).
pub(crate) fn check(
    torrent: &Torrent,
    storage: &mut Storage,
    how: How,
    mut progress: impl FnMut(u32) -> bool,
) -> io::Result<Checked> {
    let overwrite = matches!(how, How::Begin { overwrite: true, .. });
    let existing = storage.existing(overwrite)?;
    let mut have = Bitfield::empty(torrent.pieces());
    let mut known = Bitfield::empty(torrent.pieces());
    if how != How::Verify
        && let Some(resume) = resume_file::read(storage, torrent)
    {
        let trusted = resume.trusted(torrent, storage.border(), storage.stamps());
        (have, known) = (trusted.have, trusted.known);
    }
    let mut hashed = 0;
    let mut data = vec![0; torrent.piece_length.min(PART) as usize];
    let (mut foreign, mut elsewhere) = (false, Vec::new());
    let wanted = torrent.wanted();
    let anything = existing.parts.is_some()
        || existing.files.iter().any(|length| length.is_some_and(|length| length > 0));
    for piece in (0..torrent.pieces()).filter(|&piece| anything && !known.get(piece)) {
        if !progress(piece) {
            return Ok(Checked { have, hashed });
        }
        hashed += 1;
        for anywhere in [false, true] {
            if anywhere && !torrent.is_partial() {
                continue;
            }
            let Some(looked) = look(storage, &existing, anywhere, torrent.range(piece), &mut data)? else {
                continue;
            };
            if torrent.hashes.get(piece as usize) == Some(&looked.hash) {
                have.insert(piece);
                if looked.elsewhere {
                    elsewhere.push((piece, anywhere));
                }
                break;
            }
            foreign |= looked.filled && !anywhere && wanted.get(piece);
        }
    }
    if how == How::Verify {
        return Ok(Checked { have, hashed });
    }
    if foreign && have.len() == 0 && !overwrite {
        return Err(io::Error::other(
            "files of these names are there with other content: --overwrite replaces them, --archives takes \
             another folder",
        ));
    }
    for (index, path) in storage.linked() {
        let pieces = torrent.files.get(index).map_or(0..0, |file| torrent.pieces_of(file));
        if !pieces.clone().all(|piece| have.get(piece)) {
            return Err(io::Error::other(format!(
                "{} is a link, and what it leads to isn't complete: links are read and not written",
                shown(&path)
            )));
        }
    }
    storage.prepare()?;
    for (piece, anywhere) in elsewhere {
        bring_home(storage, &existing, anywhere, torrent.range(piece), &mut data)?;
    }
    if !torrent.is_partial() && existing.parts.is_some() {
        storage.remove_parts();
    }
    Ok(Checked { have, hashed })
}

/// What was found of a piece.
struct Looked {
    hash: Digest,
    /// Whether each of its parts has something in it. A piece we were fetching has parts that were not written.
    filled: bool,
    /// Whether some of it lies where another run wanted it.
    elsewhere: bool,
}

/// Reads a piece part by part; `None` where not all of it is there.
fn look(
    storage: &mut Storage,
    existing: &Existing,
    anywhere: bool,
    range: Range<u64>,
    buffer: &mut [u8],
) -> io::Result<Option<Looked>> {
    let mut sha = Sha1::new();
    let (mut filled, mut elsewhere) = (true, false);
    for range in parts(range) {
        let Some(part) = part_of(buffer, &range) else { break };
        match storage.find(existing, anywhere, range, part)? {
            Found::Nowhere => return Ok(None),
            Found::InPlace => {}
            Found::Elsewhere => elsewhere = true,
        }
        sha.update(&*part);
        filled &= part.iter().any(|&byte| byte != 0);
    }
    Ok(Some(Looked { hash: sha.finalize().into(), filled, elsewhere }))
}

/// Writes a piece that was found in another place to where it is read from now on.
fn bring_home(
    storage: &mut Storage,
    existing: &Existing,
    anywhere: bool,
    range: Range<u64>,
    buffer: &mut [u8],
) -> io::Result<()> {
    for range in parts(range) {
        let Some(part) = part_of(buffer, &range) else { break };
        if storage.find(existing, anywhere, range.clone(), part)? != Found::Nowhere {
            storage.write(range, part)?;
        }
    }
    Ok(())
}

fn parts(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(PART as usize).map(move |start| start..(start + u64::from(PART)).min(end))
}

fn part_of<'a>(buffer: &'a mut [u8], range: &Range<u64>) -> Option<&'a mut [u8]> {
    buffer.get_mut(..usize::try_from(range.end - range.start).ok()?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::select::Selection;
    use crate::torrent::tests::{content, multi, single};

    const BEGIN: How = How::Begin { overwrite: false, ends_complete: false };

    #[test]
    fn existing_pieces_are_found_by_their_hash() {
        let folder = tempfile::tempdir().unwrap();
        let data = content(100);
        let torrent = multi("d", &[("a", 20), ("b", 40), ("c", 40)], &data, 16);
        let torrent = Arc::new(torrent);
        let run = |overwrite| {
            let mut storage = Storage::new(folder.path(), Arc::clone(&torrent)).unwrap();
            let have =
                check(&torrent, &mut storage, How::Begin { overwrite, ends_complete: false }, |_| true)?.have;
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

    /// Runs that want other files each time: nothing is fetched twice, and nothing is made that isn't wanted.
    #[test]
    fn pieces_of_another_selection_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let data = content(100);
        // Pieces 0 and 1 within a, 2 shared by a, b and c, 3 and 4 within c, 5 shared by c and d.
        let whole = multi("t", &[("a", 36), ("b", 4), ("c", 50), ("d", 10)], &data, 16);
        let run = |files: &str, fetched: &[u32]| {
            let mut torrent = whole.clone();
            files.parse::<Selection>().unwrap().apply(&mut torrent).unwrap();
            let torrent = Arc::new(torrent);
            let mut storage = Storage::new(folder.path(), Arc::clone(&torrent)).unwrap();
            let have = check(&torrent, &mut storage, BEGIN, |_| true).unwrap().have;
            for piece in have.iter().chain(fetched.iter().copied()) {
                let range = torrent.range(piece);
                let part = &data[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                if fetched.contains(&piece) {
                    storage.write(range.clone(), part).unwrap();
                }
                // It can be given to others as well.
                let mut back = vec![0; part.len()];
                storage.read(range, &mut back).unwrap();
                assert_eq!(back, part, "piece {piece} with {files}");
            }
            let mut there: Vec<_> = fs::read_dir(folder.path().join("t")).unwrap().flatten().collect();
            there.sort_by_key(fs::DirEntry::file_name);
            let there: Vec<_> = there.iter().map(|file| file.file_name().into_string().unwrap()).collect();
            (have.iter().collect::<Vec<_>>(), there.concat())
        };
        let parts = folder.path().join(format!(".{}.parts", whole.info_hash));
        assert_eq!(run("1", &[0, 1]), (vec![], "a".into()));
        assert!(!parts.exists());
        assert_eq!(run("1", &[2]), (vec![0, 1], "a".into()));
        assert!(parts.exists());
        assert_eq!(run("2", &[]), (vec![0, 1, 2], "ab".into()));
        assert_eq!(run("2", &[]), (vec![0, 1, 2], "ab".into()));
        assert_eq!(run("4", &[5]), (vec![0, 1, 2], "abd".into()));
        assert_eq!(run("3-4", &[3]), (vec![0, 1, 2, 5], "abcd".into()));
        assert_eq!(run("1-4", &[4, 6]), (vec![0, 1, 2, 3, 5], "abcd".into()));
        assert!(!parts.exists());
        assert_eq!(run("1", &[]), (vec![0, 1, 2, 3, 4, 5, 6], "abcd".into()));
        let all: Vec<u8> = ["a", "b", "c", "d"]
            .iter()
            .flat_map(|name| fs::read(folder.path().join("t").join(name)).unwrap())
            .collect();
        assert_eq!(all, data);
        // A file of another's that isn't wanted is neither an obstacle nor touched.
        fs::write(folder.path().join("t/b"), b"mine").unwrap();
        fs::write(folder.path().join("t/c"), [9; 51]).unwrap();
        assert_eq!(run("1", &[]).0, [0, 1, 2, 5, 6]);
        assert_eq!(fs::read(folder.path().join("t/b")).unwrap(), b"mine");
        assert_eq!(fs::read(folder.path().join("t/c")).unwrap(), [9; 51]);
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
            check(&torrent, &mut storage, BEGIN, |_| true).map(|checked| checked.have)
        };
        let mut found = vec![0; data.len()];
        found[1 << 20..3 << 20].copy_from_slice(&data[1 << 20..3 << 20]);
        assert_eq!(run(&found).unwrap().len(), 0);
        found[0] = 1;
        assert!(run(&found).unwrap_err().to_string().contains("other content"));
        assert_eq!(run(&data).unwrap().len(), 2);
    }

    /// R164: a collection that is linked together is seeded; what a link leads to is never changed.
    #[cfg(unix)]
    #[test]
    fn a_link_to_a_complete_file_is_read() {
        use std::os::unix::fs::symlink;
        let data = content(100);
        let torrent = Arc::new(multi("d", &[("a", 40), ("sub/b", 60)], &data, 16));
        for (spoilt, good) in [(None, true), (Some(3), false), (Some(99), false)] {
            let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut there = data.clone();
            if let Some(at) = spoilt {
                there[at] ^= 1;
            }
            fs::write(elsewhere.path().join("one"), &there[..40]).unwrap();
            fs::write(elsewhere.path().join("b"), &there[40..]).unwrap();
            fs::create_dir(folder.path().join("d")).unwrap();
            symlink(elsewhere.path().join("one"), folder.path().join("d/a")).unwrap();
            symlink(elsewhere.path(), folder.path().join("d/sub")).unwrap();
            let mut storage = Storage::new(folder.path(), Arc::clone(&torrent)).unwrap();
            match check(&torrent, &mut storage, How::Begin { overwrite: true, ends_complete: false }, |_| {
                true
            }) {
                Ok(Checked { have, .. }) => {
                    assert!(good && have.is_full());
                    let mut read = [0; 16];
                    storage.read(32..48, &mut read).unwrap();
                    assert_eq!(read, data[32..48]);
                }
                Err(error) => assert!(!good && error.to_string().contains("is a link"), "{error}"),
            }
            let error = storage.write(32..48, &[0; 16]).unwrap_err();
            assert!(error.to_string().contains("is a link"), "{error}");
            let now = [
                fs::read(elsewhere.path().join("one")).unwrap(),
                fs::read(elsewhere.path().join("b")).unwrap(),
            ];
            assert!(now.concat() == there, "what the links lead to is as it was");
        }
    }
}
