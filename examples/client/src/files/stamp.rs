//! Sizes and modification times of files: whether what was found in them may still be in them.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::time::{SystemTime, UNIX_EPOCH};

/// The size and the modification time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) time: i64,
}

impl Stamp {
    /// That of a file; `None` where the system has no such times, or one of another epoch.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        Some(Self { size: metadata.len(), time: nanoseconds(metadata.modified().ok()?)? })
    }

    /// The earliest time at which a change of the file would give it another time: one that comes sooner may leave it as it
    /// is.
    pub(super) fn settled_at(self) -> i64 {
        let granularity = if self.time % SECOND == 0 { COARSE } else { FINE };
        self.time.saturating_add(granularity)
    }
}

fn nanoseconds(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|nanoseconds| -nanoseconds),
    }
}

/// The stamps of all files of a torrent as we know them, and which of the files others have changed meanwhile.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    known: Vec<Option<Stamp>>,
    /// Files that we have written to.
    written: BTreeSet<usize>,
    /// Files that another program has changed since we looked at them.
    changed: BTreeSet<usize>,
}

impl Stamps {
    /// A file is like this now, or isn't there.
    pub(super) fn set(&mut self, index: usize, stamp: Option<Stamp>) {
        if index >= self.known.len() {
            self.known.resize(index + 1, None);
        }
        self.known[index] = stamp;
    }

    /// How a file was when we looked at it or wrote to it last; `None` where it wasn't there, or can't be relied on.
    pub(super) fn get(&self, index: usize) -> Option<Stamp> {
        self.known.get(index).copied().flatten().filter(|_| !self.changed.contains(&index))
    }

    /// The files that we have written to.
    pub(super) fn written(&self) -> &BTreeSet<usize> {
        &self.written
    }

    /// We are about to write to a file. Its new time would hide what others have done to it.
    pub(super) fn before_write(&mut self, index: usize, file: &File) {
        let now = stamp_of(file);
        let is_ours = match self.known.get(index).copied().flatten() {
            Some(known) => now == Some(known),
            None => now.is_some_and(|now| now.size == 0),
        };
        if !is_ours {
            self.changed.insert(index);
        }
    }

    /// We have written to a file.
    pub(super) fn after_write(&mut self, index: usize, file: &File) {
        self.set(index, stamp_of(file));
        self.written.insert(index);
    }
}

fn stamp_of(file: &File) -> Option<Stamp> {
    file.metadata().ok().as_ref().and_then(Stamp::of)
}

const SECOND: i64 = 1_000_000_000;
/// Times of whole seconds may come from a file system that has no others: FAT has every second one.
const COARSE: i64 = 2 * SECOND;
/// Elsewhere the time is that of the last tick of the system's timer: up to 16 ms on Windows, 10 ms on Linux.
const FINE: i64 = 20_000_000;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_change_within_the_granularity_may_leave_the_time() {
        let settled_at = |time| Stamp { size: 0, time }.settled_at();
        assert_eq!(settled_at(5 * SECOND), 7 * SECOND);
        assert_eq!(settled_at(5 * SECOND + 1), 5 * SECOND + 1 + FINE);
        assert_eq!(settled_at(-1), FINE - 1);
        assert_eq!(settled_at(i64::MAX), i64::MAX);
    }

    #[test]
    fn times_before_1970_are_times() {
        // Windows counts in steps of 100 ns.
        let before = UNIX_EPOCH - std::time::Duration::from_nanos(700);
        assert_eq!(nanoseconds(before), Some(-700));
        assert_eq!(nanoseconds(UNIX_EPOCH), Some(0));
    }

    #[test]
    fn what_others_do_to_a_file_is_noticed_before_it_is_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, [0; 10]).unwrap();
        let mut file = File::options().write(true).open(&path).unwrap();
        let mut stamps = Stamps::default();
        stamps.set(0, stamp_of(&file));
        for _ in 0..3 {
            stamps.before_write(0, &file);
            file.write_all(&[1]).unwrap();
            stamps.after_write(0, &file);
        }
        assert_eq!(stamps.get(0), stamp_of(&file));
        assert_eq!(stamps.written().len(), 1);
        File::options().write(true).open(&path).unwrap().set_len(2).unwrap();
        stamps.before_write(0, &file);
        file.write_all(&[1]).unwrap();
        stamps.after_write(0, &file);
        assert_eq!(stamps.get(0), None);
    }
}
