//! The resume file's content: which pieces were verified, and how the files were then.
//!
//! It is a hint and never more: what it says of a file counts only while the file has the size and the time that it names,
//! and only pieces come of it, no paths. Whatever is doubtful is hashed again.

use bendy::decoding::{Decoder, ListDecoder};
use bendy::encoding::{Encoder, Error};
use tracker_failover::InfoHash;

use super::border::Border;
use super::layout::segments;
use super::stamp::{Stamp, Stamps};
use crate::swarm::bitfield::Bitfield;
use crate::torrent::Torrent;

/// What was known when the file was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resume {
    /// The pieces that were on the disk and verified.
    pub(super) verified: Bitfield,
    /// When that was, in the time of the file system.
    pub(super) time: i64,
    /// All files of the torrent in their order, and behind them the parts file.
    pub(super) files: Vec<Entry>,
}

/// What was known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whether the user wanted it, which decides where its bytes lie.
    pub(super) wanted: bool,
    /// How it was; `None` where it wasn't there or couldn't be relied on.
    pub(super) stamp: Option<Stamp>,
}

/// What of a resume file is relied on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trusted {
    /// The pieces about which nothing has changed, so that they needn't be hashed.
    pub(super) known: Bitfield,
    /// Those of them that are here.
    pub(super) have: Bitfield,
}

impl Resume {
    /// Reads one of this torrent; `None` if it is another's, of another version, or malformed in any way.
    pub(super) fn read(bytes: &[u8], torrent: &Torrent) -> Option<Self> {
        let mut fields = Fields::read(bytes).ok().flatten()?;
        let is_ours = fields.version == Some(VERSION)
            && fields.info_hash == Some(torrent.info_hash.as_bytes().as_slice())
            && fields.files.len() == torrent.files.len() + 1;
        let verified = Bitfield::read(fields.verified?, torrent.pieces()).ok()?;
        is_ours.then(|| Self { verified, time: fields.time.take().unwrap_or(i64::MIN), files: fields.files })
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// Never: every key is written in order.
    pub(super) fn write(&self, info_hash: InfoHash) -> Result<Vec<u8>, Error> {
        let mut encoder = Encoder::new().with_max_depth(MAX_DEPTH);
        encoder.emit_dict(|mut dict| {
            dict.emit_pair_with(b"files", |files| {
                files.emit_list(|files| {
                    self.files.iter().try_for_each(|entry| {
                        files.emit_list(|numbers| {
                            numbers.emit_int(u8::from(entry.wanted))?;
                            let Some(stamp) = entry.stamp else { return Ok(()) };
                            numbers.emit_int(stamp.size)?;
                            numbers.emit_int(stamp.time)
                        })
                    })
                })
            })?;
            dict.emit_pair_with(b"info-hash", |item| item.emit_bytes(info_hash.as_bytes()))?;
            dict.emit_pair_with(b"pieces", |item| item.emit_bytes(self.verified.as_bytes()))?;
            dict.emit_pair(b"time", self.time)?;
            dict.emit_pair(b"version", VERSION)
        })?;
        encoder.get_output()
    }

    /// What may be relied on, where the files are like this now. A file counts when its size and its time are the same,
    /// a change after the resume file was written would have given it another time, and its bytes lie where they lay.
    pub(super) fn trusted(&self, torrent: &Torrent, border: &Border, now: &Stamps) -> Trusted {
        let is_same = |index: usize| {
            let then = self.files.get(index).and_then(|entry| entry.stamp);
            then.is_some_and(|then| now.get(index) == Some(then) && then.settled_at() <= self.time)
        };
        let same: Vec<bool> = (0..self.files.len()).map(is_same).collect();
        let mut trusted =
            Trusted { known: Bitfield::empty(torrent.pieces()), have: Bitfield::empty(torrent.pieces()) };
        for piece in 0..torrent.pieces() {
            let is_known = segments(&torrent.files, torrent.range(piece)).all(|segment| {
                let file = &torrent.files[segment.file];
                let is_in_parts = !file.wanted && border.place(file.offset + segment.at).is_some();
                let lies_in = if is_in_parts { torrent.files.len() } else { segment.file };
                let lay_there = self.files.get(segment.file).is_some_and(|then| then.wanted == file.wanted);
                file.pad || (lay_there && same.get(lies_in) == Some(&true))
            });
            if is_known {
                trusted.known.insert(piece);
                if self.verified.get(piece) {
                    trusted.have.insert(piece);
                }
            }
        }
        trusted
    }

    /// How many bytes the resume file of a torrent has at most.
    pub(super) fn longest(torrent: &Torrent) -> u64 {
        let files = torrent.files.len() as u64 + 1;
        u64::from(torrent.pieces()) / 8 + files.saturating_mul(ENTRY) + HEAD
    }
}

/// The fields of a file that is still to be judged.
#[derive(Default)]
struct Fields<'a> {
    files: Vec<Entry>,
    info_hash: Option<&'a [u8]>,
    verified: Option<&'a [u8]>,
    time: Option<i64>,
    version: Option<u8>,
}

impl<'a> Fields<'a> {
    /// `None` where something is there that we don't write.
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, bendy::decoding::Error> {
        let mut fields = Self::default();
        let mut decoder = Decoder::new(bytes).with_max_depth(MAX_DEPTH);
        let Some(object) = decoder.next_object()? else { return Ok(None) };
        let mut dict = object.try_into_dictionary()?;
        while let Some((key, value)) = dict.next_pair()? {
            match key {
                b"files" => {
                    let mut list = value.try_into_list()?;
                    while let Some(entry) = list.next_object()? {
                        let Some(entry) = read_entry(entry.try_into_list()?)? else { return Ok(None) };
                        fields.files.push(entry);
                    }
                }
                b"info-hash" => fields.info_hash = Some(value.try_into_bytes()?),
                b"pieces" => fields.verified = Some(value.try_into_bytes()?),
                b"time" => fields.time = value.try_into_integer()?.parse().ok(),
                b"version" => fields.version = value.try_into_integer()?.parse().ok(),
                _ => return Ok(None),
            }
        }
        drop(dict);
        let is_all = decoder.next_object()?.is_none();
        Ok(Some(fields).filter(|fields| is_all && fields.time.is_some()))
    }
}

fn read_entry(mut numbers: ListDecoder<'_, '_>) -> Result<Option<Entry>, bendy::decoding::Error> {
    let mut found = Vec::with_capacity(3);
    while let Some(number) = numbers.next_object()? {
        let Ok(number) = number.try_into_integer()?.parse::<i64>() else { return Ok(None) };
        if found.len() == 3 {
            return Ok(None);
        }
        found.push(number);
    }
    let (wanted, stamp) = match found[..] {
        [wanted] => (wanted, None),
        [wanted, size, time] => match u64::try_from(size) {
            Ok(size) => (wanted, Some(Stamp { size, time })),
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(matches!(wanted, 0 | 1).then_some(Entry { wanted: wanted == 1, stamp }))
}

/// Changed when the meaning changes.
const VERSION: u8 = 1;
/// The dictionary, the list of files, and the list of each.
const MAX_DEPTH: usize = 4;
/// Bytes of an entry at most: two numbers of 20 digits and one of one digit, with what is around them.
const ENTRY: u64 = 60;
/// Bytes of all that isn't files or pieces.
const HEAD: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::select::Selection;
    use crate::torrent::tests::{content, multi};

    const TIME: i64 = 1_700_000_000_123_456_789;

    /// Pieces 0 and 1 within a, 2 shared by a, b and c, 3 and 4 within c, 5 shared by c and d, 6 within d.
    fn torrent() -> Torrent {
        multi("t", &[("a", 36), ("b", 4), ("c", 50), ("d", 10)], &content(100), 16)
    }

    fn stamp(size: u64) -> Stamp {
        Stamp { size, time: TIME - 1_000_000_000 }
    }

    fn all(torrent: &Torrent) -> (Resume, Stamps) {
        let mut verified = Bitfield::empty(torrent.pieces());
        for piece in 0..torrent.pieces() {
            verified.insert(piece);
        }
        let mut stamps = Stamps::default();
        let mut files = Vec::new();
        for (index, file) in torrent.files.iter().enumerate() {
            stamps.set(index, Some(stamp(file.length)));
            files.push(Entry { wanted: file.wanted, stamp: Some(stamp(file.length)) });
        }
        files.push(Entry { wanted: false, stamp: None });
        (Resume { verified, time: TIME, files }, stamps)
    }

    fn known(resume: &Resume, torrent: &Torrent, stamps: &Stamps) -> Vec<u32> {
        resume.trusted(torrent, &Border::of(torrent), stamps).known.iter().collect()
    }

    #[test]
    fn it_reads_what_it_writes_and_nothing_else() {
        let torrent = torrent();
        let (mut resume, _) = all(&torrent);
        resume.files[1].stamp = Some(Stamp { size: u64::from(u32::MAX) << 8, time: -5 });
        let bytes = resume.write(torrent.info_hash).unwrap();
        assert_eq!(Resume::read(&bytes, &torrent).as_ref(), Some(&resume));
        assert!(bytes.len() as u64 <= Resume::longest(&torrent));
        for cut in 0..bytes.len() {
            assert_eq!(Resume::read(&bytes[..cut], &torrent), None, "cut after {cut}");
        }
        assert_eq!(Resume::read(&[&bytes[..], b"e"].concat(), &torrent), None);
        assert_eq!(Resume::read(&[&bytes[..], b"de"].concat(), &torrent), None);
        let other = multi("t", &[("a", 36), ("b", 4), ("c", 50), ("d", 10)], &content(101)[1..], 16);
        assert_eq!(Resume::read(&bytes, &other), None, "another torrent's");
    }

    #[test]
    fn hostile_content_is_no_resume_file() {
        let torrent = torrent();
        let (resume, _) = all(&torrent);
        let bytes = resume.write(torrent.info_hash).unwrap();
        let text = |from: &str, to: &str| {
            let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
            [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
        };
        for changed in [
            text("7:versioni1e", "7:versioni2e"),
            text("6:pieces1:", "6:pieces2:x"),
            text("4:time", "4:tima"),
            text("li1ei36e", "li2ei36e"),
            text("li1ei36e", "li1ei-36e"),
            text("li1ei36e", "li1ei99999999999999999999e"),
            text("li1ei36e", "li1ei36ei1e"),
            text("li1ei36e", "li1eli36eee"),
            text("li1ei36e", "leli1ei36e"),
            text("d5:files", "d1:ai1e5:files"),
        ] {
            assert_eq!(Resume::read(&changed, &torrent), None, "{}", String::from_utf8_lossy(&changed));
        }
        // Whatever else a byte is changed to, it is read or refused, and gives no piece beyond the torrent's.
        for at in 0..bytes.len() {
            for byte in [0, b'0', b'9', b':', b'd', b'e', b'i', b'l', b'-', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                if let Some(read) = Resume::read(&changed, &torrent) {
                    assert_eq!((read.verified.pieces(), read.files.len()), (torrent.pieces(), 5));
                }
            }
        }
        let deep = [vec![b'l'; 100_000], vec![b'e'; 100_000]].concat();
        assert_eq!(Resume::read(&deep, &torrent), None);
    }

    #[test]
    fn pieces_of_unchanged_files_are_kept() {
        let torrent = torrent();
        let (resume, mut stamps) = all(&torrent);
        assert_eq!(known(&resume, &torrent, &stamps), [0, 1, 2, 3, 4, 5, 6]);
        stamps.set(1, Some(stamp(3)));
        assert_eq!(known(&resume, &torrent, &stamps), [0, 1, 3, 4, 5, 6], "b has another size");
        stamps.set(1, Some(stamp(4)));
        stamps.set(2, Some(Stamp { size: 50, time: TIME - 1_000_000_001 }));
        assert_eq!(known(&resume, &torrent, &stamps), [0, 1, 6], "c has another time");
        stamps.set(2, None);
        assert_eq!(known(&resume, &torrent, &stamps), [0, 1, 6], "c isn't there");
    }

    #[test]
    fn a_file_that_was_young_when_the_resume_file_was_written_is_doubtful() {
        let torrent = torrent();
        for (time, expected) in [
            (TIME - 20_000_000, &[0, 1, 2, 3, 4, 5, 6][..]),
            (TIME - 19_999_999, &[0, 1, 3, 4, 5, 6]),
            (TIME, &[0, 1, 3, 4, 5, 6]),
            // The clock was turned back between the two.
            (TIME + 3_600_000_000_000, &[0, 1, 3, 4, 5, 6]),
            (i64::MAX, &[0, 1, 3, 4, 5, 6]),
            // A file system of whole seconds.
            (1_699_999_998_000_000_000, &[0, 1, 2, 3, 4, 5, 6]),
            (1_699_999_999_000_000_000, &[0, 1, 3, 4, 5, 6]),
        ] {
            let (mut resume, mut stamps) = all(&torrent);
            resume.files[1].stamp = Some(Stamp { size: 4, time });
            stamps.set(1, resume.files[1].stamp);
            assert_eq!(known(&resume, &torrent, &stamps), expected, "{}", time - TIME);
        }
    }

    #[test]
    fn pieces_that_were_not_verified_are_not_here() {
        let torrent = torrent();
        let (mut resume, mut stamps) = all(&torrent);
        resume.verified.remove(4);
        stamps.set(3, None);
        let trusted = resume.trusted(&torrent, &Border::of(&torrent), &stamps);
        assert_eq!(trusted.known.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(trusted.have.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    /// What isn't wanted lies in the parts file, so another choice moves it.
    #[test]
    fn with_another_selection_only_what_lies_where_it_lay_is_kept() {
        let (whole, mut partial) = (torrent(), torrent());
        "2,4".parse::<Selection>().unwrap().apply(&mut partial).unwrap();
        let (mut resume, mut stamps) = all(&partial);
        resume.files[4].stamp = Some(stamp(32));
        stamps.set(4, Some(stamp(32)));
        assert_eq!(known(&resume, &partial, &stamps), [0, 1, 2, 3, 4, 5, 6]);
        stamps.set(4, Some(stamp(33)));
        assert_eq!(known(&resume, &partial, &stamps), [0, 1, 3, 4, 6], "the parts file has changed");
        assert_eq!(known(&resume, &whole, &stamps), [6]);
    }
}
