//! `client create` never destroys what is there.

use super::*;
use crate::exit;
use crate::ui::cli::Command as Subcommand;

/// Makes a torrent as the command line does; gives the exit code.
fn make(path: &Path, output: &Path, more: &[&str]) -> u8 {
    let own = ["client", "create", path.to_str().unwrap(), "-o", output.to_str().unwrap()];
    match Cli::parse_from(own.iter().chain(more)).command {
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
        let torrent = Torrent::parse(&fs::read(at(output)).unwrap()).unwrap().0;
        assert_eq!(torrent.name, path);
    }
}
