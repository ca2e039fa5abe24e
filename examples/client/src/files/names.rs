//! Names from a torrent, made into paths that stay below the output folder.
//!
//! Names that could lead out of the folder are refused, because no torrent has them by accident. All others are kept as they
//! are where the system can have them, so that what other clients saved is found: names on Unix are bytes, and only Windows
//! refuses `aux.c` or a dot at the end. Where it does, characters are replaced. Equal names are made different by a number.

use std::collections::{HashMap, hash_map};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use tracker_failover::wire::clean_text;

use super::identity::identity;
use crate::refused::Refused;

/// Which names a folder can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameRules {
    /// Whether it refuses what Windows refuses.
    windows: bool,
    /// Whether `a` and `A` are two files.
    tells_case_apart: bool,
}

impl NameRules {
    /// The rules of this system.
    pub(crate) const HERE: Self = if cfg!(windows) { Self::WINDOWS } else { Self::UNIX };
    /// The rules of Unix, where a name is any bytes but `/` and NUL.
    const UNIX: Self = Self { windows: false, tells_case_apart: true };
    /// The rules of Windows.
    const WINDOWS: Self = Self { windows: true, tells_case_apart: false };

    /// The rules of a folder, which need not exist yet. Whether it tells case apart is tried with a file that is made and
    /// removed; a folder that can't be written to counts as one of this system.
    pub(crate) fn of(folder: &Path) -> Self {
        let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
        match is_case_ignored(existing) {
            Some(ignored) => Self { tells_case_apart: !ignored, ..Self::HERE },
            None => Self::HERE,
        }
    }
}

/// Whether a folder takes two names that differ in case for one; `None` if that can't be tried.
fn is_case_ignored(folder: &Path) -> Option<bool> {
    let name = format!(".case-{}", std::process::id());
    let lower = folder.join(&name);
    let made = OpenOptions::new().write(true).create_new(true).open(&lower).ok()?;
    let made = made.metadata().ok();
    let upper = fs::symlink_metadata(folder.join(name.to_uppercase())).ok();
    // It does no harm if it stays.
    let _ = fs::remove_file(&lower);
    let (made, Some(upper)) = (made?, upper) else { return Some(false) };
    Some(identity(&made) == identity(&upper))
}

/// The paths below the output folder, in order, of files that the torrent calls so, in a folder that it calls
/// so.
///
/// # Errors
/// When a name leads elsewhere (F-01, F-02), or is a file and a folder at once (F-06).
pub(crate) fn paths<'a, Parts: Iterator<Item = &'a [u8]>>(
    rules: NameRules,
    folder: Option<&[u8]>,
    files: impl Iterator<Item = Parts>,
) -> Result<Vec<PathBuf>, Refused> {
    let folder = folder.map(|name| part(rules, name, "the torrent's name")).transpose()?;
    let mut taken = Taken::new(rules);
    let (mut paths, mut namesakes) = (Vec::new(), Vec::new());
    for file in files {
        let mut parts: Vec<Vec<u8>> = folder.iter().cloned().collect();
        for name in file {
            parts.push(part(rules, name, "a file's path")?);
        }
        let (folder, is_taken) = taken.claim(&parts)?;
        if is_taken {
            namesakes.push((paths.len(), folder, parts.last().cloned().unwrap_or_default()));
        }
        paths.push(parts.into_iter().map(os_string).collect::<PathBuf>());
    }
    // Only now, since a number must not make a name that another file has.
    for (index, folder, name) in namesakes {
        let numbered = taken.number(folder, &name)?;
        if let Some(path) = paths.get_mut(index) {
            path.set_file_name(os_string(numbered));
        }
    }
    Ok(paths)
}

/// Whether a file of that name can be in a torrent: what [`paths`] refuses can't be downloaded.
pub(crate) fn is_accepted(name: &[u8]) -> bool {
    part(NameRules::UNIX, name, "the name").is_ok()
}

/// A path as it may be shown on a terminal: it may hold anything.
pub(crate) fn shown(path: &Path) -> String {
    clean_text(path.as_os_str().as_encoded_bytes())
}

/// A torrent whose names or files aren't safe.
pub(crate) fn refused(reason: impl Into<String>) -> Refused {
    Refused { kind: "unsafe_path", reason: reason.into() }
}

/// One part of a path.
fn part(rules: NameRules, name: &[u8], what: &str) -> Result<Vec<u8>, Refused> {
    match name.trim_ascii() {
        b"" => return Err(refused(format!("{what} has an empty part"))),
        dots @ (b"." | b"..") => {
            return Err(refused(format!("{what} has a part {:?}", String::from_utf8_lossy(dots))));
        }
        _ if name.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) => {
            return Err(refused(format!("{what} has a separator within a part")));
        }
        _ if matches!(name, [_, b':']) => return Err(refused(format!("{what} names a drive"))),
        _ => {}
    }
    if !rules.windows {
        return Ok(shortened(name, MAX_PART));
    }
    let text = String::from_utf8_lossy(name);
    let mut part: String =
        text.chars().map(|c| if c.is_control() || FORBIDDEN.contains(&c) { '_' } else { c }).collect();
    if part.ends_with(['.', ' ']) {
        // Windows drops them, and then two names are one.
        part.pop();
        part.push('_');
    }
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    if is_reserved(&stem) {
        part.insert(0, '_');
    }
    Ok(shortened(part.as_bytes(), MAX_PART))
}

/// Cuts a name to so many bytes, keeping its ending.
fn shortened(name: &[u8], limit: usize) -> Vec<u8> {
    if name.len() <= limit {
        return name.into();
    }
    let dot = dot_of_ending(name).filter(|dot| name.len() - dot <= MAX_ENDING);
    let (stem, ending) = name.split_at(dot.unwrap_or(name.len()));
    let mut keep = limit.saturating_sub(ending.len()).min(stem.len());
    // Not within a character of UTF-8, whose further bytes begin with the bits 10.
    while keep > 0 && stem.get(keep).is_some_and(|byte| byte & 0xc0 == 0x80) {
        keep -= 1;
    }
    [&stem[..keep], ending].concat()
}

/// Where the ending of a name begins, with its dot.
fn dot_of_ending(name: &[u8]) -> Option<usize> {
    name.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0)
}

/// The files and folders so far. Each name is kept once, below its folder, so that memory doesn't grow with the depth.
#[derive(Debug)]
struct Taken {
    rules: NameRules,
    entries: HashMap<(Folder, Vec<u8>), Entry>,
    folders: u32,
}

/// The number of a folder.
type Folder = u32;

/// What has a name.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Folder(Folder),
    /// A file, and the number that its next namesake gets.
    File {
        next: u32,
    },
}

impl Taken {
    fn new(rules: NameRules) -> Self {
        Self { rules, entries: HashMap::new(), folders: 0 }
    }

    /// Takes a path as it is. Gives the folder of its file, and whether another file has the path already.
    fn claim(&mut self, parts: &[Vec<u8>]) -> Result<(Folder, bool), Refused> {
        let mut folder = ROOT;
        let Some((last, folders)) = parts.split_last() else { return Ok((folder, false)) };
        for part in folders {
            let key = (folder, self.key(part));
            let new = self.folders.saturating_add(1);
            match self.entries.entry(key).or_insert(Entry::Folder(new)) {
                Entry::File { .. } => return Err(both(part)),
                Entry::Folder(found) => folder = *found,
            }
            self.folders = self.folders.max(folder);
        }
        let key = (folder, self.key(last));
        match self.entries.entry(key) {
            hash_map::Entry::Vacant(free) => {
                free.insert(Entry::File { next: 2 });
                Ok((folder, false))
            }
            hash_map::Entry::Occupied(taken) => match taken.get() {
                Entry::Folder(_) => Err(both(last)),
                Entry::File { .. } => Ok((folder, true)),
            },
        }
    }

    /// Takes a name with a number for a file whose own is taken.
    fn number(&mut self, folder: Folder, name: &[u8]) -> Result<Vec<u8>, Refused> {
        let original = (folder, self.key(name));
        let (stem, ending) = name.split_at(dot_of_ending(name).unwrap_or(name.len()));
        let first = match self.entries.get(&original) {
            Some(Entry::File { next }) => *next,
            _ => 2,
        };
        for number in first..MAX_SAME_NAME {
            let text = format!(" ({number})");
            let room = MAX_PART.saturating_sub(text.len() + ending.len());
            let numbered = [&shortened(stem, room), text.as_bytes(), ending].concat();
            let key = (folder, self.key(&numbered));
            if let hash_map::Entry::Vacant(free) = self.entries.entry(key) {
                free.insert(Entry::File { next: 2 });
                self.entries.insert(original, Entry::File { next: number + 1 });
                return Ok(numbered);
            }
        }
        Err(refused(format!("too many files are called {:?}", clean_text(name))))
    }

    /// What two names have in common if the folder takes them for one.
    fn key(&self, name: &[u8]) -> Vec<u8> {
        if self.rules.tells_case_apart {
            return name.into();
        }
        String::from_utf8_lossy(name).to_lowercase().into_bytes()
    }
}

fn both(name: &[u8]) -> Refused {
    refused(format!("{:?} is a file and a folder at once", clean_text(name)))
}

#[cfg(unix)]
fn os_string(name: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(name)
}

#[cfg(not(unix))]
fn os_string(name: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&name).into_owned().into()
}

/// Whether Windows has a device of that name.
fn is_reserved(stem: &str) -> bool {
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest: &str| {
            let mut digits = rest.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

/// What Windows doesn't take in a name.
const FORBIDDEN: &[char] = &['<', '>', ':', '"', '|', '?', '*'];
/// Bytes of a name that file systems take.
const MAX_PART: usize = 255;
/// A longer ending is none.
const MAX_ENDING: usize = 16;
const MAX_SAME_NAME: u32 = 10_000;
/// The number of the output folder.
const ROOT: Folder = 0;

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: NameRules = NameRules { windows: false, tells_case_apart: false };

    fn raw(rules: NameRules, folder: &[u8], files: &[&[&[u8]]]) -> Result<Vec<PathBuf>, Refused> {
        paths(rules, Some(folder), files.iter().map(|parts| parts.iter().copied()))
    }

    fn of(rules: NameRules, folder: &str, files: &[&[&str]]) -> Result<Vec<String>, Refused> {
        let files: Vec<Vec<&[u8]>> =
            files.iter().map(|parts| parts.iter().map(|part| part.as_bytes()).collect()).collect();
        let files: Vec<&[&[u8]]> = files.iter().map(Vec::as_slice).collect();
        let paths = raw(rules, folder.as_bytes(), &files)?;
        Ok(paths.iter().map(|path| path.to_string_lossy().replace('\\', "/")).collect())
    }

    /// F-01, F-02.
    #[test]
    fn paths_out_of_the_folder_are_refused() {
        for bad in [
            "..", ".", "", " ", ".. ", "/etc", "a/b", "a\\b", "..\\x", "\\\\host", "a\0b", "C:", "../../x",
            "/",
        ] {
            for rules in [NameRules::UNIX, NameRules::WINDOWS] {
                assert_eq!(of(rules, "d", &[&[bad]]).unwrap_err().kind, "unsafe_path", "{bad:?}");
                assert_eq!(of(rules, "d", &[&[bad, "x"]]).unwrap_err().kind, "unsafe_path", "{bad:?}");
                assert_eq!(of(rules, bad, &[&["x"]]).unwrap_err().kind, "unsafe_path", "{bad:?}");
            }
        }
    }

    /// F-02.
    #[test]
    fn characters_that_windows_refuses_are_replaced_there() {
        let rows = [
            ("a\x1b[31mb", "a_[31mb"),
            ("a\nb", "a_b"),
            ("a.", "a_"),
            ("a ", "a_"),
            ("R.E.M.", "R.E.M_"),
            ("con.txt", "_con.txt"),
            ("aux.c", "_aux.c"),
            ("Com1", "_Com1"),
            ("control", "control"),
            ("a:b?", "a_b_"),
        ];
        for (name, expected) in rows {
            assert_eq!(
                of(NameRules::WINDOWS, "d", &[&[name]]).unwrap(),
                [format!("d/{expected}")],
                "{name:?}"
            );
        }
        assert_eq!(of(NameRules::WINDOWS, "a.", &[&["x"]]).unwrap(), ["a_/x"]);
    }

    /// R156: what other clients saved has these names, and so has what `create` was given.
    #[cfg(unix)]
    #[test]
    fn names_that_only_windows_refuses_are_kept_elsewhere() {
        for name in [
            "R.E.M.",
            "Vol. 1.",
            "aux.c",
            "CON",
            "b ",
            "  b",
            "a\u{200e}b",
            "a\u{202e}b",
            "a\x1b[31mb",
            "a\nb",
            "a:b",
            "a?*|<>\"",
            "COM1.txt",
            "...",
            ".hidden",
            "~",
            "-rf",
            "ä",
            "a\u{308}",
            "日本語",
        ] {
            assert_eq!(of(NameRules::UNIX, "d", &[&[name]]).unwrap(), [format!("d/{name}")], "{name:?}");
            assert_eq!(of(NameRules::UNIX, name, &[&["x"]]).unwrap(), [format!("{name}/x")], "{name:?}");
        }
    }

    /// R156: names are bytes.
    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_are_kept_on_unix() {
        use std::os::unix::ffi::OsStrExt;
        let paths = raw(NameRules::UNIX, b"\xff", &[&[b"b\xfcch", b"\x80."]]).unwrap();
        assert_eq!(paths[0].as_os_str().as_bytes(), b"\xff/b\xfcch/\x80.");
        let paths = raw(NameRules::WINDOWS, b"\xff", &[&[b"b\xfcch"]]).unwrap();
        assert_eq!(paths[0].to_str(), Some("\u{fffd}/b\u{fffd}ch"));
    }

    /// F-09.
    #[test]
    fn names_longer_than_file_systems_take_are_cut() {
        let longest = "a".repeat(251) + ".txt";
        let long = "ä".repeat(200) + ".tar.gz";
        for (name, expected) in [
            (&longest, longest.clone()),
            (&("a".repeat(252) + ".txt"), "a".repeat(251) + ".txt"),
            (&long, "ä".repeat(126) + ".gz"),
            (&"x".repeat(300), "x".repeat(255)),
            (&(String::from(".") + &"x".repeat(300)), String::from(".") + &"x".repeat(254)),
        ] {
            assert_eq!(of(NameRules::UNIX, "d", &[&[name]]).unwrap(), [format!("d/{expected}")], "{name:?}");
        }
        // The number of a namesake fits.
        let twice = of(NameRules::UNIX, "d", &[&[&longest], &[&longest]]).unwrap();
        assert_eq!(twice[1], format!("d/{} (2).txt", "a".repeat(247)));
        let bytes = shortened(&[0xbf; 300], 255);
        assert!(bytes.len() <= 255);
    }

    /// F-06.
    #[test]
    fn equal_names_are_made_different() {
        let files: [&[&str]; 5] = [&["A.txt"], &["a.txt"], &["A.txt"], &["D", "x"], &["d", "X"]];
        for rules in [NameRules::WINDOWS, MAC] {
            let paths = of(rules, "d", &files).unwrap();
            assert_eq!(paths, ["d/A.txt", "d/a (2).txt", "d/A (3).txt", "d/D/x", "d/d/X (2)"]);
            for clash in [[&["a"][..], &["A", "b"]], [&["A", "b"], &["a"]]] {
                assert_eq!(of(rules, "d", &clash).unwrap_err().kind, "unsafe_path");
            }
        }
        // R156: only where the folder can't tell them apart.
        let paths = of(NameRules::UNIX, "d", &files).unwrap();
        assert_eq!(paths, ["d/A.txt", "d/a.txt", "d/A (2).txt", "d/D/x", "d/d/X"]);
        assert!(of(NameRules::UNIX, "d", &[&["a"], &["A", "b"]]).is_ok());
        assert_eq!(of(NameRules::UNIX, "d", &[&["a"], &["a", "b"]]).unwrap_err().kind, "unsafe_path");
    }

    /// F-06: two files of the same bytes, beside files that have the names that a number would make.
    #[test]
    fn a_number_takes_no_name_of_another_file() {
        let files: [&[&str]; 5] = [&["a"], &["a"], &["a (2)"], &["a (3)", "x"], &["a"]];
        let paths = of(NameRules::UNIX, "d", &files).unwrap();
        assert_eq!(paths, ["d/a", "d/a (4)", "d/a (2)", "d/a (3)/x", "d/a (5)"]);
        let many = vec![&["a"][..]; MAX_SAME_NAME as usize];
        assert_eq!(of(NameRules::UNIX, "d", &many).unwrap_err().kind, "unsafe_path");
    }

    /// F-11: names of folders are kept once, however deep the files lie below them.
    #[test]
    fn deep_folders_cost_no_more_than_their_names() {
        let mut taken = Taken::new(NameRules::UNIX);
        let mut bytes = 0;
        for file in 0..100 {
            let parts = vec![format!("{file:040}").into_bytes(); 100];
            bytes += parts.concat().len();
            taken.claim(&parts).unwrap();
        }
        let kept: usize = taken.entries.keys().map(|(_, name)| name.len()).sum();
        assert!(kept <= bytes, "{kept} bytes of {bytes}");
    }

    #[test]
    fn a_folder_is_tried_for_its_rules() {
        let folder = tempfile::tempdir().unwrap();
        let rules = NameRules::of(&folder.path().join("not/yet/there"));
        let upper = folder.path().join("PROBE");
        fs::write(folder.path().join("probe"), b"").unwrap();
        assert_eq!(rules.tells_case_apart, !upper.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left there");
        assert_eq!(rules.windows, cfg!(windows));
    }

    #[test]
    fn what_a_name_holds_can_not_steer_a_terminal() {
        assert_eq!(shown(Path::new("a\x1b[2J\u{202e}b\nc")), "a\u{fffd}[2J\u{fffd}b c");
    }
}
