//! Which bytes of which files a range of the torrent is.

use std::ops::Range;

use crate::torrent::File;

/// A run of bytes in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The file's index.
    pub(crate) file: usize,
    /// Where the run begins in the file.
    pub(crate) at: u64,
    /// Which bytes of the asked-for range it is.
    pub(crate) part: Range<usize>,
}

/// The files' runs that make up a range of the torrent, pad files among them. Files of no length have no part
/// in any.
pub(crate) fn segments(files: &[File], range: Range<u64>) -> impl Iterator<Item = Segment> + '_ {
    // The last file that begins at or before the range; those of no length before it end there too.
    let first = files.partition_point(|file| file.offset + file.length <= range.start);
    let (start, end) = (range.start, range.end);
    files.iter().enumerate().skip(first).take_while(move |(_, file)| file.offset < end).filter_map(
        move |(index, file)| {
            let from = file.offset.max(start);
            let to = (file.offset + file.length).min(end);
            // Ranges are pieces and blocks, which fit into memory.
            let part = usize::try_from(from - start).ok()?..usize::try_from(to.checked_sub(start)?).ok()?;
            (from < to).then_some(Segment { file: index, at: from - file.offset, part })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_falls_into_runs() {
        let mut offset = 0;
        let files: Vec<File> = [0, 5, 0, 0, 3, 10, 0]
            .into_iter()
            .map(|length| {
                offset += length;
                File { path: "x".into(), length, offset: offset - length, pad: false, wanted: true }
            })
            .collect();
        let of = |range| segments(&files, range).map(|s| (s.file, s.at, s.part)).collect::<Vec<_>>();
        assert_eq!(of(0..18), [(1, 0, 0..5), (4, 0, 5..8), (5, 0, 8..18)]);
        assert_eq!(of(4..6), [(1, 4, 0..1), (4, 0, 1..2)]);
        assert_eq!(of(5..8), [(4, 0, 0..3)]);
        assert_eq!(of(9..12), [(5, 1, 0..3)]);
        assert_eq!(of(18..18), []);
        assert_eq!(of(5..5), []);
    }
}
