//! Names from a torrent, made into paths that stay below the output folder on every system.
//!
//! What could lead out of the folder is refused: nobody makes such a torrent by accident. What a file system
//! merely doesn't like is replaced. Names that would meet in one file are told apart by a number.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::torrent::{Facts, Refused};

/// The path of each file below the output folder, in the torrent's order.
///
/// # Errors
/// When a name leads elsewhere (F-01, F-02), is a link (F-03), or is a file and a folder at once (F-06).
pub(crate) fn paths(facts: &Facts) -> Result<Vec<PathBuf>, Refused> {
    let name = part(&facts.name, "the torrent's name")?;
    let mut taken = Taken::default();
    let mut paths = Vec::with_capacity(facts.files.len());
    for file in &facts.files {
        if file.pad {
            // Never written, so its name is of no interest (F-08).
            paths.push(PathBuf::new());
            continue;
        }
        if file.symlink {
            return Err(unsafe_path("it holds a symbolic link, expected files only"));
        }
        if !facts.single && file.path.is_empty() {
            return Err(Refused::malformed("a file has an empty path"));
        }
        if file.path.len() > MAX_DEPTH {
            return Err(unsafe_path(format!("a path has more than {MAX_DEPTH} parts")));
        }
        let mut parts = vec![name.clone()];
        for bytes in &file.path {
            parts.push(part(bytes, "a file's path")?);
        }
        taken.claim(&mut parts)?;
        paths.push(parts.iter().collect());
    }
    Ok(paths)
}

/// A name as it may be shown on a terminal.
pub(crate) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().map(|c| if is_unprintable(c) { '\u{fffd}' } else { c }).collect()
}

/// One part of a path.
fn part(bytes: &[u8], what: &str) -> Result<String, Refused> {
    let text = String::from_utf8_lossy(bytes);
    match text.trim() {
        "" => return Err(unsafe_path(format!("{what} has an empty part"))),
        "." | ".." => return Err(unsafe_path(format!("{what} has a part {:?}", text.trim()))),
        _ if text.contains(['/', '\\', '\0']) => {
            return Err(unsafe_path(format!("{what} has a separator within a part")));
        }
        _ => {}
    }
    if text.chars().nth(1) == Some(':') && text.chars().count() == 2 {
        return Err(unsafe_path(format!("{what} names a drive")));
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
                return Err(unsafe_path(format!("{part:?} is a file and a folder at once")));
            }
            self.folders.insert(folder.clone());
            folder.push('/');
        }
        let original = last.clone();
        for number in 2..MAX_SAME_NAME {
            let path = format!("{folder}{}", last.to_lowercase());
            if self.folders.contains(&path) {
                return Err(unsafe_path(format!("{original:?} is a file and a folder at once")));
            }
            if self.files.insert(path) {
                return Ok(());
            }
            let dot = original.rfind('.').filter(|&dot| dot > 0).unwrap_or(original.len());
            let numbered = format!("{} ({number}){}", &original[..dot], &original[dot..]);
            *last = shortened(&numbered, MAX_PART + 8);
        }
        Err(unsafe_path(format!("too many files are called {original:?}")))
    }
}

fn unsafe_path(reason: impl Into<String>) -> Refused {
    Refused { kind: "unsafe_path", reason: reason.into() }
}

/// Control characters, and those that turn the direction of what follows.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
const MAX_DEPTH: usize = 100;
const MAX_SAME_NAME: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torrent::FileFacts;

    fn of(name: &[u8], files: &[&[&[u8]]]) -> Result<Vec<String>, Refused> {
        let files = files.iter().map(|parts| FileFacts {
            path: parts.iter().map(|part| part.to_vec()).collect(),
            ..FileFacts::default()
        });
        let facts = Facts { name: name.to_vec(), files: files.collect(), ..Facts::default() };
        Ok(paths(&facts)?.iter().map(|path| path.to_string_lossy().replace('\\', "/")).collect())
    }

    /// F-01, F-02.
    #[test]
    fn what_leads_elsewhere_is_refused() {
        let parts: [&[u8]; 14] = [
            b"..", b".", b"", b" ", b".. ", b"/etc", b"a/b", b"a\\b", b"..\\x", b"\\\\host", b"a\0b", b"C:",
            b"../../x", b"/",
        ];
        for bad in parts {
            assert_eq!(of(b"d", &[&[bad]]).unwrap_err().kind, "unsafe_path", "{}", bad.escape_ascii());
            assert_eq!(of(b"d", &[&[bad, b"x"]]).unwrap_err().kind, "unsafe_path", "{}", bad.escape_ascii());
            assert_eq!(of(bad, &[&[b"x"]]).unwrap_err().kind, "unsafe_path", "{}", bad.escape_ascii());
        }
        assert_eq!(of(b"d", &[&[]]).unwrap_err().kind, "malformed");
        let deep: Vec<&[u8]> = vec![b"x"; 101];
        assert!(of(b"d", &[&deep]).is_err());
    }

    /// F-02, F-09.
    #[test]
    fn what_file_systems_dislike_is_replaced() {
        let long = "ä".repeat(200) + ".tar.gz";
        let rows: [(&[u8], &str); 9] = [
            (b"a\x1b[31mb", "a_[31mb"),
            (b"a\nb", "a_b"),
            (b"a.", "a_"),
            (b"a ", "a_"),
            (b"con.txt", "_con.txt"),
            (b"Com1", "_Com1"),
            (b"control", "control"),
            (b"\xff.bin", "\u{fffd}.bin"),
            (long.as_bytes(), &("ä".repeat(118) + ".gz")),
        ];
        for (name, expected) in rows {
            assert_eq!(of(b"d", &[&[name]]).unwrap(), [format!("d/{expected}")], "{}", name.escape_ascii());
        }
        assert_eq!(of("a\u{202e}b".as_bytes(), &[&[b"x"]]).unwrap(), ["a_b/x"]);
        assert_eq!(shown(b"a\x1b[2J\xff"), "a\u{fffd}[2J\u{fffd}");
    }

    /// F-06.
    #[test]
    fn namesakes_are_told_apart() {
        let files: [&[&[u8]]; 5] = [&[b"A.txt"], &[b"a.txt"], &[b"A.txt"], &[b"D", b"x"], &[b"d", b"X"]];
        assert_eq!(
            of(b"d", &files).unwrap(),
            ["d/A.txt", "d/a (2).txt", "d/A (3).txt", "d/D/x", "d/d/X (2)"]
        );
        for clash in [[&[b"a" as &[u8]][..], &[b"A", b"b"]], [&[b"A", b"b"], &[b"a"]]] {
            assert_eq!(of(b"d", &clash).unwrap_err().kind, "unsafe_path");
        }
    }
}
