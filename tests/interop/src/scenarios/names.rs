//! Names that only some systems dislike: trees of them, made and seeded by our client and by libtorrent.
//!
//! Both keep what their system takes, but libtorrent changes some names all the same; those are written down with what
//! it makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::downloads::until_the_same;
use super::{Lab, Outcome};
use crate::clients::{Clients, PATIENCE, free_port};
use crate::program::Line;
use crate::swarm::{Scratch, bytes};

/// What the folder is called; it isn't liked everywhere either.
const ROOT: &str = "tree \u{fc}.";

/// Names that both clients keep as they are.
const KEPT: &[&str] = &[
    "R.E.M.",
    "Vol. 1.",
    "..a",
    "...",
    "a..",
    ".hidden",
    "space ",
    " space",
    "two  spaces",
    "con",
    "nul.txt",
    "aux.c",
    "COM1",
    "LPT1.log",
    "a:b",
    "a*b",
    "a?b",
    "a|b",
    "a<b>c",
    "quo\"te",
    "it's",
    "back`tick",
    "-rf",
    "--help",
    "~",
    "~root",
    "$HOME",
    "%41",
    "%2e%2e%2f",
    "100%",
    "#1",
    "a&b;c",
    "[a]{b}(c)",
    "a=b+c",
    "!@^",
    "\u{e4}",
    "a\u{308}",
    "\u{65e5}\u{672c}\u{8a9e}",
    "\u{d55c}",
    "\u{1112}\u{1161}\u{11ab}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{1f600}",
    "no\u{a0}break",
];

/// The longest names that libtorrent keeps; file systems take 255 bytes.
const LIBTORRENTS_LONGEST: usize = 240;

/// Names that libtorrent changes, and what it makes of them.
fn changed() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names: Vec<(Vec<u8>, Vec<u8>)> = [
        (&b"new\nline"[..], &b"new_line"[..]),
        (b"tab\tb", b"tab_b"),
        (b"esc\x1b[2J", b"esc_[2J"),
        ("left\u{202e}right".as_bytes(), b"leftright"),
        ("mark\u{200e}".as_bytes(), b"mark"),
        (b"del\x7f", b"del_"),
        ("joined\u{200d}emoji".as_bytes(), b"joinedemoji"),
        ("\u{feff}bom".as_bytes(), b"bom"),
        (b"latin-\xfc", b"latin-_"),
        (b"\xff\xfe", b"__"),
        (b"\x80.", b"_."),
        // Of names that differ only in case the first is kept.
        (b"case.TXT", b"case.TXT"),
        (b"case.txt", b"case.1.txt"),
    ]
    .map(|(ours, theirs)| (ours.to_vec(), theirs.to_vec()))
    .to_vec();
    let long = |length: usize, rest: &str| [&b"x".repeat(length), rest.as_bytes()].concat();
    names.push((long(251, ".txt"), long(240, ".txt")));
    names.push((long(255, ""), long(240, "")));
    names
}

fn kept() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = KEPT.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.push("n".repeat(LIBTORRENTS_LONGEST).into());
    names.push("\u{1f600}".repeat(LIBTORRENTS_LONGEST / 4).into());
    names
}

/// The files of a tree, by path.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Files that are called so, each with bytes of its own. Each second one of those that both clients keep is in a folder of
/// the same name.
fn files(more: impl IntoIterator<Item = Vec<u8>>) -> Files {
    let kept = kept().into_iter().enumerate().map(|(number, name)| {
        let name = PathBuf::from(OsString::from_vec(name));
        if number.is_multiple_of(2) { name } else { name.join(&name) }
    });
    let paths = kept.chain(more.into_iter().map(|name| OsString::from_vec(name).into()));
    let file = |(number, path)| (path, bytes(number as u64, 5000 + 10 * number));
    paths.enumerate().map(file).collect()
}

fn write(root: &Path, files: &Files) -> io::Result<()> {
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(path, content)?;
    }
    Ok(())
}

/// Compares a tree with what is expected, by names and byte for byte.
fn compare(root: &Path, expected: &Files) -> Result<(), String> {
    let mut found = BTreeSet::new();
    walk(root, Path::new(""), &mut found).map_err(|error| format!("{}: {error}", root.display()))?;
    let missing: Vec<_> = expected.keys().filter(|path| !found.contains(*path)).collect();
    let unexpected: Vec<_> = found.iter().filter(|path| !expected.contains_key(*path)).collect();
    if !missing.is_empty() || !unexpected.is_empty() {
        return Err(format!("missing {missing:?}, instead there are {unexpected:?}"));
    }
    let is_other =
        |path: &Path, content: &[u8]| fs::read(root.join(path)).map_or(true, |found| found != content);
    let others = expected.iter().filter(|(path, content)| is_other(path, content));
    let others: Vec<_> = others.map(|(path, _)| path).collect();
    if others.is_empty() { Ok(()) } else { Err(format!("other bytes in {others:?}")) }
}

/// The files below a folder.
fn walk(root: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(root, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// Ours makes and seeds a tree, libtorrent downloads it.
pub(super) async fn from_ours(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let scratch = Scratch::new(lab.tools)?;
    let (ours, theirs): (Vec<_>, Vec<_>) = changed().into_iter().unzip();
    let (ours, theirs) = (files(ours), files(theirs));
    let seeds = scratch.folder("seed")?;
    write(&seeds.join(ROOT), &ours)?;
    let torrent = scratch.join("ours.torrent");
    clients.create(&seeds.join(ROOT), "16", &[], &torrent)?;
    let mut seed = clients.ours(&torrent, &seeds, &["--no-trackers"])?;
    let port = |line: &Line| line.is("listening").then(|| line.number("port")).flatten();
    let seeds_port = seed.wait_for("its port", PATIENCE, port).await?;
    let folder = scratch.folder("theirs")?;
    let mut leech = clients.libtorrent(&[], &[&torrent], &folder, free_port()?)?;
    leech.tell(&format!("connect {seeds_port}"))?;
    let compared = until_the_same(|| compare(&folder.join(ROOT), &theirs)).await;
    let report = &mut *lab.report;
    let what = format!("{} odd names come to libtorrent, and every byte", ours.len());
    if !report.same(compared, Ok(()), what) {
        report.note(leech.last_words());
        report.note(seed.last_words());
    }
    Ok(())
}

/// libtorrent makes and seeds a tree, ours downloads it.
pub(super) async fn from_libtorrent(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let scratch = Scratch::new(lab.tools)?;
    let files = files([]);
    let seeds = scratch.folder("seed")?;
    write(&seeds.join(ROOT), &files)?;
    let torrent = scratch.join("theirs.torrent");
    clients.create_by_libtorrent(&seeds.join(ROOT), &torrent)?;
    let port = free_port()?;
    let seed = clients.libtorrent(&[], &[&torrent], &seeds, port)?;
    let folder = scratch.folder("ours")?;
    let known = format!("127.0.0.1:{port}");
    let mut leech = clients.ours(&torrent, &folder, &["--exit-when-done", "--peer", &known])?;
    let ended = leech.end(PATIENCE).await?;
    let report = &mut *lab.report;
    report.check(ended.code() == Some(0), "it ends well", leech.last_words());
    let what = format!("{} odd names come from libtorrent, and every byte", files.len());
    if !report.same(compare(&folder.join(ROOT), &files), Ok(()), what) {
        report.note(seed.last_words());
    }
    Ok(())
}
