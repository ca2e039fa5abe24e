//! `client create` never destroys what is there.

use std::ffi::OsStr;
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt;

use super::*;
use crate::exit;
use crate::files::names::NameRules;
use crate::ui::cli::Command as Subcommand;

/// Makes a torrent as the command line does; gives the exit code.
fn make(path: &Path, output: &Path, more: &[&str]) -> u8 {
    let own = ["client".as_ref(), "create".as_ref(), path.as_os_str(), "-o".as_ref(), output.as_os_str()];
    let more = more.iter().map(OsStr::new);
    match Cli::parse_from(own.into_iter().chain(more)).command {
        Some(Subcommand::Create(options)) => create::main(&options),
        None => panic!("create is a command"),
    }
}

/// A folder with data in `d/a`, `d/sub/b` and `single`, and a torrent of another in `other.torrent`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("d/sub")).unwrap();
    for name in ["d/a", "d/sub/b", "single", "other.torrent"] {
        fs::write(folder.path().join(name), content(50_000)).unwrap();
    }
    folder
}

fn is_untouched(folder: &TempDir) -> bool {
    ["d/a", "d/sub/b", "single", "other.torrent"]
        .iter()
        .all(|name| is_content(&folder.path().join(name), &content(50_000)))
}

/// R153: whatever is at the output's path, under whatever name.
#[test]
fn create_replaces_nothing() {
    let rows = [
        ("single", "single"),
        ("single", "d/../single"),
        ("single", "d/a"),
        ("single", "other.torrent"),
        ("single", "d"),
        ("d", "d/a"),
        ("d", "d/sub/../sub/b"),
        ("d", "other.torrent"),
        ("d", "d"),
    ];
    for (path, output) in rows {
        let folder = folder();
        let at = |name| folder.path().join(name);
        assert_eq!(make(&at(path), &at(output), &[]), exit::OTHER, "{path} to {output}");
        assert!(is_untouched(&folder), "{path} to {output}");
    }
}

/// R153: what the torrent is made of isn't replaced even with `--overwrite`: the torrent would be of data that is gone.
#[test]
fn create_never_replaces_what_it_hashes() {
    for (path, output) in [("single", "single"), ("single", "d/../single"), ("d", "d/a"), ("d", "d/sub/b")] {
        let folder = folder();
        let at = |name| folder.path().join(name);
        assert_eq!(make(&at(path), &at(output), &["--overwrite"]), exit::OTHER, "{path} to {output}");
        assert!(is_untouched(&folder), "{path} to {output}");
    }
}

/// R153: links to the data, and one to nowhere.
#[cfg(unix)]
#[test]
fn create_writes_through_no_link() {
    use std::os::unix::fs::symlink;
    type Link = fn(&Path, &Path) -> std::io::Result<()>;
    let soft: Link = |to, from| symlink(to, from);
    let hard: Link = |to, from| fs::hard_link(to, from);
    for (link, path, to) in
        [(soft, "single", "single"), (hard, "single", "single"), (soft, "d", "d/a"), (hard, "d", "d/sub/b")]
    {
        let folder = folder();
        let at = |name| folder.path().join(name);
        link(&at(to), &at("link")).unwrap();
        for more in [&[][..], &["--overwrite"]] {
            assert_eq!(make(&at(path), &at("link"), more), exit::OTHER, "{path} to {to} {more:?}");
            assert!(is_untouched(&folder), "{path} to {to} {more:?}");
        }
        // The data named by the link, and the output by itself.
        assert_eq!(make(&at("link"), &at(to), &["--overwrite"]), exit::OTHER, "{path} to {to}");
        assert!(is_untouched(&folder), "{path} to {to}");
    }
    let folder = folder();
    symlink(folder.path().join("nowhere"), folder.path().join("link")).unwrap();
    assert_eq!(make(&folder.path().join("single"), &folder.path().join("link"), &[]), exit::OTHER);
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn create_writes_where_nothing_is_and_replaces_when_asked_to() {
    let folder = folder();
    let at = |name| folder.path().join(name);
    for (path, output, more) in [
        ("single", "new.torrent", &[][..]),
        ("d", "d/new.torrent", &[]),
        ("single", "other.torrent", &["--overwrite"]),
        ("single", "new.torrent", &["--overwrite"]),
    ] {
        assert_eq!(make(&at(path), &at(output), more), exit::COMPLETE, "{path} to {output}");
        let torrent = Torrent::parse(&fs::read(at(output)).unwrap(), NameRules::HERE).unwrap().0;
        assert_eq!(torrent.name, path);
    }
}

/// What a torrent that was made holds, by names.
fn made(at: &Path) -> Vec<String> {
    let torrent = Torrent::parse(&fs::read(at).unwrap(), NameRules::HERE).unwrap().0;
    let with_slashes =
        |path: &Path| path.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("/");
    torrent.files.iter().map(|file| with_slashes(&file.path)).collect()
}

/// R165: what can't be announced to isn't written down.
#[test]
fn create_refuses_trackers_that_are_none() {
    let folder = folder();
    let at = |name| folder.path().join(name);
    for more in [
        &["-t", "not a url"][..],
        &["-t", ""],
        &["-t", "http://a.test/announce,"],
        &["-t", "http://a.test/announce", "-t", "a.test"],
        &["--private"],
    ] {
        assert_eq!(make(&at("single"), &at("new.torrent"), more), exit::USAGE, "{more:?}");
        assert!(!at("new.torrent").exists(), "{more:?}");
    }
    let good = ["--private", "-t", "http://a.test/announce, udp://b.test:1"];
    assert_eq!(make(&at("single"), &at("new.torrent"), &good), exit::COMPLETE);
}

/// R165: the torrent of an earlier run isn't part of the next.
#[test]
fn create_leaves_its_output_out() {
    let folder = folder();
    let at = |name| folder.path().join(name);
    for more in [&[][..], &["--overwrite"]] {
        assert_eq!(make(&at("d"), &at("d/new.torrent"), more), exit::COMPLETE);
        assert_eq!(made(&at("d/new.torrent")), ["d/a", "d/sub/b"]);
    }
    // Elsewhere it is a file like others.
    assert_eq!(make(&at("d"), &at("second.torrent"), &[]), exit::COMPLETE);
    assert_eq!(made(&at("second.torrent")), ["d/a", "d/new.torrent", "d/sub/b"]);
}

/// R165: nothing that is in the folder is taken for padding, and what isn't in the torrent is said.
#[cfg(unix)]
#[test]
fn create_says_what_it_leaves_out() {
    let folder = folder();
    let at = |name| folder.path().join(name);
    fs::create_dir(at("d/.pad")).unwrap();
    fs::write(at("d/.pad/1"), content(7)).unwrap();
    fs::write(at("d/_____padding_file_0_____"), content(7)).unwrap();
    std::os::unix::fs::symlink("a", at("d/link")).unwrap();
    let source = create::Source::at(&at("d")).unwrap();
    let left_out: Vec<String> = source.left_out().iter().map(ToString::to_string).collect();
    let expected =
        [".pad is left out: other", "_____padding_file_0_____ is left out: other", "link is left out: links"];
    assert_eq!(left_out.len(), expected.len(), "{left_out:?}");
    for (text, expected) in left_out.iter().zip(expected) {
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(make(&at("d"), &at("new.torrent"), &[]), exit::COMPLETE);
    assert_eq!(made(&at("new.torrent")), ["d/a", "d/sub/b"]);
}

/// R165, F-02: names that are refused when a torrent is read don't get into one.
#[cfg(unix)]
#[test]
fn create_makes_no_torrent_that_is_refused() {
    let folder = folder();
    let at = |name| folder.path().join(name);
    for name in ["d/a\\b", "d/C:", "d/ ", "d\\e"] {
        fs::write(at(name), content(7)).unwrap();
    }
    let source = create::Source::at(&at("d")).unwrap();
    assert_eq!(source.left_out().len(), 3, "{:?}", source.left_out());
    assert_eq!(make(&at("d"), &at("new.torrent"), &[]), exit::COMPLETE);
    assert_eq!(made(&at("new.torrent")), ["d/a", "d/sub/b"]);
    assert_eq!(make(&at("d\\e"), &at("second.torrent"), &[]), exit::OTHER);
    assert!(!at("second.torrent").exists());
}

/// Forty names that only some systems dislike.
#[cfg(unix)]
fn odd_names() -> Vec<Vec<u8>> {
    let long = [b"x".repeat(251), b".txt".to_vec()].concat();
    let names: Vec<&[u8]> = vec![
        b"R.E.M.",
        b"Vol. 1.",
        b"aux.c",
        b"CON",
        b"nul.txt",
        b"COM1",
        b"LPT1.log",
        b"b ",
        b" b",
        b"a:b",
        b"a*b",
        b"a?b",
        b"a|b",
        b"a<b>c",
        b"quo\"te",
        b"it's",
        b"a.txt",
        b"A.txt",
        b"a.TXT",
        b"...",
        b".hidden",
        b"-rf",
        b"~",
        b"$HOME",
        b"%41",
        b"#1",
        b"new\nline",
        b"tab\tb",
        b"esc\x1b[2J",
        b"bell\x07",
        "left\u{202e}right".as_bytes(),
        "mark\u{200e}".as_bytes(),
        "\u{e4}".as_bytes(),
        "a\u{308}".as_bytes(),
        "\u{65e5}\u{672c}\u{8a9e}".as_bytes(),
        "\u{1f600}".as_bytes(),
        b"latin-\xfc",
        b"\xff\xfe",
        b"\x80.",
        &long,
    ];
    names.into_iter().map(<[u8]>::to_vec).collect()
}

/// The path of one of them; each second is a folder as well.
#[cfg(unix)]
fn odd_path(root: &Path, index: usize, name: &[u8]) -> PathBuf {
    let path = root.join(OsStr::from_bytes(name));
    if index.is_multiple_of(2) { path } else { path.join(OsStr::from_bytes(name)) }
}

/// R156, F-09: forty names that only some systems dislike; made, seeded from where they lie, and downloaded.
#[cfg(unix)]
#[test]
fn a_tree_of_odd_names_comes_through() {
    let folder = tempfile::tempdir().unwrap();
    let names = odd_names();
    assert_eq!(names.len(), 40);
    let root = folder.path().join("seed").join(OsStr::from_bytes(b"tree \xe9."));
    for (index, name) in names.iter().enumerate() {
        let path = odd_path(&root, index, name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content(5000 + index)).unwrap();
    }
    let torrent = folder.path().join("odd.torrent");
    assert_eq!(make(&root, &torrent, &[]), exit::COMPLETE);
    let start = |own: &str, more: &[&str]| {
        let out = folder.path().join(own);
        let all = ["--torrent", torrent.to_str().unwrap(), "--out", out.to_str().unwrap(), "--no-trackers"];
        Client::start(&[&all, more].concat())
    };
    let mut seed = start("seed", &[]);
    let peer = format!("127.0.0.1:{}", seed.port());
    seed.wait_for("complete");
    let (code, said) = start("leech", &["--exit-when-done", "--peer", &peer]).end();
    assert_eq!(code, Some(0), "{said}");
    let got = folder.path().join("leech").join(OsStr::from_bytes(b"tree \xe9."));
    for (index, name) in names.iter().enumerate() {
        let path = odd_path(&got, index, name);
        assert!(is_content(&path, &content(5000 + index)), "{path:?}");
    }
}
