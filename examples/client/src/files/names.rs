//! Names from a torrent, made into paths that stay below the output folder on every system.
//!
//! Names that could lead out of the folder are refused, because no torrent has them by accident. Characters that a file system
//! doesn't accept are replaced. Equal names are made different by a number.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::torrent::Refused;

/// The paths below the output folder, in order, of files that the torrent calls so, in a folder that it calls
/// so.
///
/// # Errors
/// When a name leads elsewhere (F-01, F-02), or is a file and a folder at once (F-06).
pub(crate) fn paths<'a>(
    folder: Option<&str>,
    files: impl Iterator<Item = &'a [String]>,
) -> Result<Vec<PathBuf>, Refused> {
    let folder = folder.map(|name| part(name, "the torrent's name")).transpose()?;
    let mut taken = Taken::default();
    let mut paths = Vec::new();
    for file in files {
        let mut parts: Vec<String> = folder.iter().cloned().collect();
        for name in file {
            parts.push(part(name, "a file's path")?);
        }
        taken.claim(&mut parts)?;
        paths.push(parts.iter().collect());
    }
    Ok(paths)
}

/// A torrent whose names or files aren't safe.
pub(crate) fn refused(reason: impl Into<String>) -> Refused {
    Refused { kind: "unsafe_path", reason: reason.into() }
}

/// One part of a path.
fn part(text: &str, what: &str) -> Result<String, Refused> {
    match text.trim() {
        "" => return Err(refused(format!("{what} has an empty part"))),
        "." | ".." => return Err(refused(format!("{what} has a part {:?}", text.trim()))),
        _ if text.contains(['/', '\\', '\0']) => {
            return Err(refused(format!("{what} has a separator within a part")));
        }
        _ => {}
    }
    if text.chars().nth(1) == Some(':') && text.chars().count() == 2 {
        return Err(refused(format!("{what} names a drive")));
    }
    let mut part: String =
        text.chars().map(|c| if is_unprintable(c) || FORBIDDEN.contains(&c) { '_' } else { c }).collect();
    if part.ends_with(['.', ' ']) {
        // Windows drops them, and then two names are one.
        part.pop();
        part.push('_');
    }
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    if is_reserved(&stem) {
        part.insert(0, '_');
    }
    Ok(shortened(&part, MAX_PART))
}

/// Cuts a name to so many bytes, keeping its ending.
fn shortened(name: &str, limit: usize) -> String {
    if name.len() <= limit {
        return name.into();
    }
    let dot = name.rfind('.').filter(|&dot| dot > 0 && name.len() - dot <= MAX_ENDING);
    let (stem, ending) = name.split_at(dot.unwrap_or(name.len()));
    let mut keep = limit - ending.len();
    while !stem.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{}{ending}", &stem[..keep])
}

/// The paths in use, in lower case, because some file systems see no difference.
#[derive(Debug, Default)]
struct Taken {
    files: HashSet<String>,
    folders: HashSet<String>,
}

impl Taken {
    /// Takes a path; its last part is changed where another file has it already.
    fn claim(&mut self, parts: &mut [String]) -> Result<(), Refused> {
        let Some((last, folders)) = parts.split_last_mut() else { return Ok(()) };
        let mut folder = String::new();
        for part in folders.iter() {
            folder.push_str(&part.to_lowercase());
            if self.files.contains(&folder) {
                return Err(refused(format!("{part:?} is a file and a folder at once")));
            }
            self.folders.insert(folder.clone());
            folder.push('/');
        }
        let original = last.clone();
        for number in 2..MAX_SAME_NAME {
            let path = format!("{folder}{}", last.to_lowercase());
            if self.folders.contains(&path) {
                return Err(refused(format!("{original:?} is a file and a folder at once")));
            }
            if self.files.insert(path) {
                return Ok(());
            }
            let dot = original.rfind('.').filter(|&dot| dot > 0).unwrap_or(original.len());
            let numbered = format!("{} ({number}){}", &original[..dot], &original[dot..]);
            *last = shortened(&numbered, MAX_PART + 8);
        }
        Err(refused(format!("too many files are called {original:?}")))
    }
}

/// Control characters, and those that turn the direction of what follows.
fn is_unprintable(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

fn is_reserved(stem: &str) -> bool {
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest: &str| {
            let mut digits = rest.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

/// What Windows doesn't take; on other systems such names are legal, and kept.
const FORBIDDEN: &[char] = if cfg!(windows) { &['<', '>', ':', '"', '|', '?', '*'] } else { &[] };
/// Bytes of a part; file systems take 255, and the number of a namesake must fit.
const MAX_PART: usize = 240;
/// A longer ending is none.
const MAX_ENDING: usize = 16;
const MAX_SAME_NAME: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    fn of(folder: &str, files: &[&[&str]]) -> Result<Vec<String>, Refused> {
        let files: Vec<Vec<String>> =
            files.iter().map(|parts| parts.iter().map(ToString::to_string).collect()).collect();
        let paths = paths(Some(folder), files.iter().map(Vec::as_slice))?;
        Ok(paths.iter().map(|path| path.to_string_lossy().replace('\\', "/")).collect())
    }

    /// F-01, F-02.
    #[test]
    fn paths_out_of_the_folder_are_refused() {
        for bad in [
            "..", ".", "", " ", ".. ", "/etc", "a/b", "a\\b", "..\\x", "\\\\host", "a\0b", "C:", "../../x",
            "/",
        ] {
            assert_eq!(of("d", &[&[bad]]).unwrap_err().kind, "unsafe_path", "{bad:?}");
            assert_eq!(of("d", &[&[bad, "x"]]).unwrap_err().kind, "unsafe_path", "{bad:?}");
            assert_eq!(of(bad, &[&["x"]]).unwrap_err().kind, "unsafe_path", "{bad:?}");
        }
    }

    /// F-02, F-09.
    #[test]
    fn characters_that_file_systems_refuse_are_replaced() {
        let long = "ä".repeat(200) + ".tar.gz";
        let rows = [
            ("a\x1b[31mb", "a_[31mb"),
            ("a\nb", "a_b"),
            ("a.", "a_"),
            ("a ", "a_"),
            ("con.txt", "_con.txt"),
            ("Com1", "_Com1"),
            ("control", "control"),
            (&long, &("ä".repeat(118) + ".gz")),
        ];
        for (name, expected) in rows {
            assert_eq!(of("d", &[&[name]]).unwrap(), [format!("d/{expected}")], "{name:?}");
        }
        assert_eq!(of("a\u{202e}b", &[&["x"]]).unwrap(), ["a_b/x"]);
    }

    /// F-06.
    #[test]
    fn equal_names_are_made_different() {
        let files: [&[&str]; 5] = [&["A.txt"], &["a.txt"], &["A.txt"], &["D", "x"], &["d", "X"]];
        assert_eq!(of("d", &files).unwrap(), ["d/A.txt", "d/a (2).txt", "d/A (3).txt", "d/D/x", "d/d/X (2)"]);
        for clash in [[&["a"][..], &["A", "b"]], [&["A", "b"], &["a"]]] {
            assert_eq!(of("d", &clash).unwrap_err().kind, "unsafe_path");
        }
    }
}
