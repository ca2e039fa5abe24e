//! `--select 1,3-5`: which files of a torrent are fetched, by the numbers that `--list` shows.

use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::torrent::Torrent;

/// Numbers of files as the user wrote them, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection(Vec<RangeInclusive<usize>>);

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let number = digits.trim().parse().map_err(|_| format!("{:?} is no number", digits.trim()))?;
            if number == 0 { Err("files are numbered from 1".into()) } else { Ok(number) }
        };
        let range = |part: &str| match part.split_once('-') {
            Some((first, last)) => {
                let (first, last): (usize, usize) = (number(first)?, number(last)?);
                if first > last {
                    return Err(format!("{first}-{last} goes backwards"));
                }
                Ok(first..=last)
            }
            None => number(part).map(|number: usize| number..=number),
        };
        let ranges: Result<_, String> = text.split(',').map(range).collect();
        ranges.map(Self).map_err(|reason| format!("{reason}; expected numbers of files such as 1,3-5"))
    }
}

impl Selection {
    /// Reads the numbers of a magnet link (BEP 53), which begin with 0.
    ///
    /// # Errors
    /// When they are none.
    pub(crate) fn of_indices(text: &str) -> Result<Self, String> {
        let index = |digits: &str| match digits.parse::<usize>() {
            Ok(index) if index < usize::MAX => Ok(index + 1),
            _ => Err("expected numbers of files such as 0,2-4"),
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (index(first)?, index(last)?);
            if first > last { Err("a range goes backwards") } else { Ok(first..=last) }
        };
        if text.split(',').count() > MAX_RANGES {
            return Err(format!("expected at most {MAX_RANGES} ranges"));
        }
        let ranges: Result<_, &str> = text.split(',').map(range).collect();
        Ok(Self(ranges?))
    }

    /// Makes the torrent want these files and no others.
    ///
    /// # Errors
    /// When there is no file of a number.
    pub(crate) fn apply(&self, torrent: &mut Torrent) -> Result<(), String> {
        let count = torrent.files.iter().filter(|file| !file.pad).count();
        for range in &self.0 {
            let found = [range.start(), range.end()].into_iter().find(|&&number| number > count);
            match (found, count) {
                (None, _) => {}
                (Some(found), 1) => return Err(format!("there is 1 file; got {found}")),
                (Some(found), _) => {
                    return Err(format!("there are {count} files, 1 to {count}; got {found}"));
                }
            }
        }
        for (number, file) in (1..).zip(torrent.files.iter_mut().filter(|file| !file.pad)) {
            file.wanted = self.0.iter().any(|range| range.contains(&number));
        }
        Ok(())
    }
}

/// Ranges in a link, each of which is compared with each file.
const MAX_RANGES: usize = 1000;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::torrent::tests::{content, multi};

    fn torrent() -> Torrent {
        let files = [("a", 10), (".pad/6", 6), ("b", 20), ("c", 0), ("d", 12), ("e", 30)];
        multi("t", &files, &content(78), 16)
    }

    #[test]
    fn files_are_chosen_by_their_numbers() {
        let rows: [(&str, &[&str], &[u32]); 6] = [
            ("1", &["t/a"], &[0]),
            ("2", &["t/b"], &[1, 2]),
            ("3", &["t/c"], &[]),
            ("4", &["t/d"], &[2]),
            ("1, 4-5", &["t/a", "t/d", "t/e"], &[0, 2, 3, 4]),
            ("5,1-5,1", &["t/a", "t/b", "t/c", "t/d", "t/e"], &[0, 1, 2, 3, 4]),
        ];
        for (text, files, pieces) in rows {
            let mut torrent = torrent();
            text.parse::<Selection>().unwrap().apply(&mut torrent).unwrap();
            let wanted = torrent.files.iter().filter(|file| file.wanted);
            let paths: Vec<_> = wanted.map(|file| file.path.as_path()).collect();
            let files: Vec<_> = files.iter().map(Path::new).collect();
            assert_eq!(paths, files, "{text}");
            assert_eq!(torrent.wanted().iter().collect::<Vec<_>>(), pieces, "{text}");
        }
    }

    #[test]
    fn wrong_numbers_are_said_to_be() {
        for (text, reason) in [
            ("", "\"\" is no number"),
            ("1,", "\"\" is no number"),
            ("x", "\"x\" is no number"),
            ("-1", "\"\" is no number"),
            ("1-", "\"\" is no number"),
            ("0", "files are numbered from 1"),
            ("0-3", "files are numbered from 1"),
            ("4-2", "4-2 goes backwards"),
            ("99999999999999999999999", "\"99999999999999999999999\" is no number"),
        ] {
            let expected = format!("{reason}; expected numbers of files such as 1,3-5");
            assert_eq!(text.parse::<Selection>(), Err(expected), "{text:?}");
        }
        for (text, reason) in [
            ("7", "there are 5 files, 1 to 5; got 7"),
            ("1,3-6", "there are 5 files, 1 to 5; got 6"),
            ("8-9", "there are 5 files, 1 to 5; got 8"),
        ] {
            let mut torrent = torrent();
            let refused = text.parse::<Selection>().unwrap().apply(&mut torrent);
            assert_eq!(refused, Err(reason.into()), "{text}");
            assert!(torrent.files.iter().all(|file| file.wanted || file.pad));
        }
    }
}
