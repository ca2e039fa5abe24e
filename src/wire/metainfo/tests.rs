//! Torrent files good and bad, as they are met.

use proptest::prelude::*;

use super::*;
use crate::tracker::Scheme;

const ZEROS: &str = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn text(text: &str) -> String {
    format!("{}:{text}", text.len())
}

fn root(letter: char) -> String {
    format!("11:pieces root32:{}", letter.to_string().repeat(32))
}

fn file(info: impl AsRef<[u8]>) -> Vec<u8> {
    [b"d8:announce24:http://one.test/announce4:info", info.as_ref(), b"e"].concat()
}

fn parse(info: impl AsRef<[u8]>) -> Result<Metainfo, MetainfoError> {
    Metainfo::parse(&file(info))
}

fn good(info: impl AsRef<[u8]>) -> Metainfo {
    parse(&info).unwrap_or_else(|error| panic!("{}: {error}", info.as_ref().escape_ascii()))
}

/// One file of 16 KiB in one piece, with more entries before and after the ones it has.
fn single(before: &str, after: &str) -> String {
    format!("d{before}6:lengthi16384e4:name1:x12:piece lengthi16384e6:pieces20:{ZEROS}{after}e")
}

/// A v1 torrent of these files and so many pieces of 16 KiB.
fn several(files: &str, pieces: usize) -> String {
    format!("d5:filesl{files}e4:name1:x12:piece lengthi16384e6:pieces{}e", text(&ZEROS.repeat(pieces)))
}

/// A v2 torrent of this file tree.
fn tree(tree: &str) -> String {
    format!("d9:file tree{tree}12:meta versioni2e4:name1:x12:piece lengthi16384ee")
}

/// C16, R3-05.
#[test]
fn hash_covers_the_bytes_as_they_stand() {
    let metainfo = good(single("", "9:x-unknownli1ed1:a1:bee"));
    let hash = "b75030ae8fd8ea8fda5580cdeaacafc4cd9bc7db".parse().unwrap();
    assert_eq!((metainfo.info_hash(), metainfo.announce_hashes()), (hash, vec![hash]));
    assert_eq!((metainfo.info_hash_v1(), metainfo.info_hash_v2()), (Some(hash), None));

    let unsorted = format!("d4:name1:x6:lengthi16384e12:piece lengthi16384e6:pieces20:{ZEROS}e");
    let metainfo = good(&unsorted);
    assert_eq!(metainfo.info_hash().as_bytes()[..], Sha1::digest(unsorted)[..], "TV-5.14");
    assert_eq!(metainfo.name(), "x");
}

/// TV-7, C49.
#[test]
fn a_hybrid_has_two_hashes() {
    let metainfo = good(format!(
        "d9:file treed1:xd0:d6:lengthi16384e{}eee6:lengthi16384e12:meta versioni2e4:name1:x12:piece lengthi16384e\
         6:pieces20:{ZEROS}e",
        root('r')
    ));
    let hashes = ["06b2507c7c4ce5abc9eaf7414cba6155a59eb3fc", "ebea19761ddd510cdbedbe72341cf5e685cced3f"];
    assert_eq!(metainfo.announce_hashes().iter().map(ToString::to_string).collect::<Vec<_>>(), hashes);
    assert_eq!(metainfo.info_hash().to_string(), hashes[0]);
    assert_eq!(
        metainfo.info_hash_v2().unwrap()[20..],
        [0x6a, 0x7e, 0xcc, 0xa1, 0x39, 0x1f, 0x93, 0x93, 0x81, 0x38, 0x89, 0x38][..]
    );
    assert_eq!((metainfo.files().len(), metainfo.pieces().len(), metainfo.is_single_file()), (1, 1, true));
}

/// TV-7.
#[test]
fn v2_alone_is_announced_by_its_cut_hash() {
    let metainfo = good(tree(&format!("d1:xd0:d6:lengthi16384e{}eee", root('r'))));
    let hash = "f5f37aa6ec515de974297fc4bc38cafc62ba62eb".parse().unwrap();
    assert_eq!((metainfo.info_hash_v1(), metainfo.info_hash()), (None, hash));
    assert_eq!(metainfo.announce_hashes(), [hash]);
    assert_eq!(
        (metainfo.total_length(), metainfo.pieces().len(), metainfo.is_single_file()),
        (16384, 0, true)
    );
}

/// R52-05.
#[test]
fn the_files_of_a_tree_are_read() {
    let metainfo = good(tree(&format!(
        "d1:ad1:bd0:d6:lengthi5e{root}ee1:cd0:d4:attr1:x6:lengthi7e{root}eee1:dd0:d6:lengthi0eeee",
        root = root('r')
    )));
    let files: Vec<_> =
        metainfo.files().iter().map(|f| (f.path().join("/"), f.length(), f.is_executable())).collect();
    assert_eq!(files, [("a/b".into(), 5, false), ("a/c".into(), 7, true), ("d".into(), 0, false)]);
    assert_eq!((metainfo.total_length(), metainfo.is_single_file()), (12, false));
}

#[test]
fn a_bad_tree_is_refused() {
    let root = root('r');
    let rows = [
        ("de".to_owned(), "info.file tree: expected at least one file"),
        ("le".into(), "info.file tree: expected a dictionary"),
        ("i1e".into(), "info.file tree: expected a dictionary"),
        ("d1:ai1ee".into(), "info.file tree: expected dictionaries all the way down"),
        ("d1:alee".into(), "info.file tree: expected dictionaries all the way down"),
        ("d1:ad0:leee".into(), "info.file tree: expected dictionaries all the way down"),
        ("d0:d6:lengthi0eee".into(), "info.file tree: expected each name to be either"),
        (
            "d1:ad0:d6:lengthi0ee1:bd0:d6:lengthi0eeeee".into(),
            "info.file tree: expected each name to be either",
        ),
        ("d1:ad0:deee".into(), "info.file tree: length: expected an integer"),
        (format!("d1:ad0:d6:lengthi-5e{root}eee"), "info.file tree: length: expected an integer"),
        (
            format!("d1:ad0:d6:lengthi9223372036854775808e{root}eee"),
            "info.file tree: length: expected an integer",
        ),
        ("d1:ad0:d6:lengthi5eeee".into(), "info.file tree: pieces root: expected a string of 32 bytes"),
        (
            "d1:ad0:d6:lengthi5e11:pieces root3:abceee".into(),
            "info.file tree: pieces root: expected a string of 32",
        ),
        (
            format!("d1:ad0:d6:lengthi9223372036854775807e{root}ee1:bd0:d6:lengthi1e{root}eee"),
            "info.file tree: expected lengths of at most",
        ),
    ];
    for (bad, expected) in &rows {
        let error = parse(tree(bad)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("not a valid torrent: {expected}")), "{bad}: {error}");
    }
}

/// F-11.
#[test]
fn a_tree_cant_be_a_weapon() {
    let deep = |depth: usize| format!("{}d0:d6:lengthi0eee{}", "d1:a".repeat(depth), "e".repeat(depth));
    good(tree(&deep(95)));
    for bad in [deep(96), "d1:a".repeat(1_000_000)] {
        let error = parse(tree(&bad)).unwrap_err().to_string();
        assert!(error.contains("expected fewer levels of nesting"), "{error}");
    }
    // Folder names count for every file below them.
    let folder = format!("d{}d", text(&"n".repeat(4000)));
    let files = (0..20_000).map(|n| format!("5:{n:05}d0:d6:lengthi0eee")).collect::<Vec<_>>().concat();
    let error = parse(tree(&format!("{folder}{files}ee"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not a valid torrent: info.file tree: expected paths of at most 64 MiB in all"
    );
}

/// R52-03.
#[test]
fn meta_versions_are_checked() {
    for version in ["i3e", "i99e", "i99999999999999999999e"] {
        // Looked at before anything else is judged.
        for info in [
            format!("d12:meta version{version}e"),
            single("", "").replace("4:name", &format!("12:meta version{version}4:name")),
        ] {
            let error = parse(info).unwrap_err();
            assert!(matches!(error, MetainfoError::UnsupportedVersion { .. }), "{version}: {error}");
        }
    }
    for version in ["i0e", "i-1e", "1:2", "le"] {
        let error =
            parse(single("", "").replace("4:name", &format!("12:meta version{version}4:name"))).unwrap_err();
        assert!(
            error.to_string().contains("info.meta version: expected a positive integer"),
            "{version}: {error}"
        );
    }
    good(single("", "").replace("4:name", "12:meta versioni1e4:name"));
    assert!(
        parse(single("", "").replace("4:name", "12:meta versioni2e4:name")).is_err(),
        "v2 without a tree"
    );
}

/// R52-07.
#[test]
fn a_hybrid_must_agree_with_itself() {
    let hybrid = |name: &str, length: u64, v1: &str, pieces: usize| {
        format!(
            "d9:file treed{}d0:d6:lengthi{length}e{}eee{v1}12:meta versioni2e4:name1:x12:piece lengthi16384e6:pieces{}e",
            text(name),
            root('r'),
            text(&ZEROS.repeat(pieces))
        )
    };
    let list = "5:filesld6:lengthi5e4:pathl1:aeed4:attr1:p6:lengthi9e4:pathl4:.pad1:9eee";
    good(hybrid("x", 5, "6:lengthi5e", 1));
    good(hybrid("a", 5, list, 1));
    for info in [
        hybrid("x", 6, "6:lengthi5e", 1),
        hybrid("y", 5, "6:lengthi5e", 1),
        hybrid("b", 5, list, 1),
        hybrid("a", 6, list, 1),
    ] {
        assert!(
            parse(&info).unwrap_err().to_string().contains("the same files as in v1's description"),
            "{info}"
        );
    }
}

/// R27-01, POL-15.
#[test]
fn private_is_all_but_absent_or_zero() {
    let rows = [
        ("", false),
        ("7:privatei0e", false),
        ("7:privatei1e", true),
        ("7:privatei2e", true),
        ("7:privatei-1e", true),
        ("7:private1:0", true),
        ("7:private0:", true),
        ("7:privatele", true),
        ("7:privatede", true),
        ("7:privatei99999999999999999999e", true),
    ];
    for (entry, private) in rows {
        assert_eq!(good(single("", entry)).is_private(), private, "{entry}");
    }
    let outside = [b"d4:info", single("", "").as_bytes(), b"7:privatei1ee"].concat();
    assert!(!Metainfo::parse(&outside).unwrap().is_private());
}

/// F-04, C55.
#[test]
fn piece_lengths_have_bounds() {
    for bad in ["i0e", "i-1e", "i1073741825e", "i99999999999999999999e", "5:16384", "le", "0:"] {
        let error = parse(single("", "").replace("lengthi16384e6", &format!("length{bad}6"))).unwrap_err();
        assert!(error.to_string().contains("info.piece length: expected"), "{bad}: {error}");
    }
    assert!(parse(single("", "").replace("12:piece lengthi16384e", "")).is_err());
    for good_one in ["i16384e", "i16385e", "i1073741824e"] {
        good(single("", "").replace("lengthi16384e6", &format!("length{good_one}6")));
    }
    let v2 = tree(&format!("d1:xd0:d6:lengthi5e{}eee", root('r')));
    for bad in [1, 8192, 16385, 24576] {
        assert!(parse(v2.replace("i16384e", &format!("i{bad}e"))).is_err(), "R52-04: {bad}");
    }
}

/// F-05.
#[test]
fn lengths_and_pieces_must_fit() {
    let one = |length: &str, pieces: usize| {
        format!("d6:length{length}4:name1:x12:piece lengthi16384e6:pieces{}e", text(&ZEROS.repeat(pieces)))
    };
    for (length, pieces) in [("i0e", 0), ("i1e", 1), ("i16384e", 1), ("i16385e", 2), ("i40000e", 3)] {
        let metainfo = good(one(length, pieces));
        assert_eq!(metainfo.pieces().len(), pieces, "{length}");
    }
    for (length, pieces) in [
        ("i0e", 1),
        ("i1e", 0),
        ("i16384e", 2),
        ("i16385e", 1),
        ("i-1e", 1),
        ("i9223372036854775808e", 1),
        ("i99999999999999999999e", 1),
        ("i9223372036854775807e", 1),
        ("1:5", 1),
        ("le", 1),
    ] {
        assert!(parse(one(length, pieces)).is_err(), "{length}");
    }
    for pieces in ["6:pieces19:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "6:piecesle", "6:piecesi0e", ""] {
        assert!(parse(format!("d6:lengthi1e4:name1:x12:piece lengthi16384e{pieces}e")).is_err(), "{pieces}");
    }
}

#[test]
fn the_files_of_a_list() {
    let metainfo = good(several(
        "d6:lengthi5e4:pathl1:a1:beed4:attr2:px6:lengthi9e4:pathl4:.pad1:9eed4:attr1:l4:pathl1:le12:symlink pathl1:aee\
         d6:lengthi2e4:pathl2:..0:1:/ee",
        1,
    ));
    let files: Vec<_> = metainfo
        .files()
        .iter()
        .map(|f| (f.path().join("|"), f.length(), f.is_padding(), f.is_symlink()))
        .collect();
    assert_eq!(
        files,
        [
            ("a|b".into(), 5, false, false),
            (".pad|9".into(), 9, true, false),
            ("l".into(), 0, false, true),
            ("..||/".into(), 2, false, false)
        ]
    );
    assert_eq!((metainfo.total_length(), metainfo.is_single_file()), (16, false));
}

/// R3-24, F-05.
#[test]
fn bad_lists_are_refused() {
    let file = "d6:lengthi5e4:pathl1:aee";
    let long_part = format!("d6:lengthi5e4:pathl{}ee", text(&"a".repeat(5000)));
    let many_parts = format!("d6:lengthi5e4:pathl{}ee", "1:a".repeat(101));
    let rows = [
        ("", "info.files: expected at least one file"),
        ("i1e", "info.files.0: expected a dictionary"),
        ("d6:lengthi5e4:pathlee", "info.files.0: expected a path of at least one part"),
        ("d6:lengthi5e4:path1:ae", "info.files.0.path: expected a list of strings"),
        ("d6:lengthi5e4:pathli1eee", "info.files.0.path: expected a list of strings"),
        ("d6:lengthi5ee", "info.files.0.path: expected a list of strings"),
        ("d4:pathl1:aee", "info.files.0.length: expected an integer"),
        ("d6:lengthi-5e4:pathl1:aee", "info.files.0.length: expected an integer"),
        ("d6:lengthi18446744073709551616e4:pathl1:aee", "info.files.0.length: expected an integer"),
        (
            &format!("{file}d6:lengthi9223372036854775807e4:pathl1:bee"),
            "info.files.1: expected lengths of at most",
        ),
        (&long_part, "info.files.0: expected a path of at most 4096 bytes"),
        (&many_parts, "info.files.0: expected a path of at most 100 parts"),
    ];
    for (files, expected) in rows {
        let error = parse(several(files, 1)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("not a valid torrent: {expected}")), "{files:.100}: {error}");
    }
    let both = several(file, 1).replace("4:name", "6:lengthi5e4:name");
    assert!(parse(both).unwrap_err().to_string().contains("either length or files, not both"));
    let neither = single("", "").replace("6:lengthi16384e", "");
    assert!(parse(neither).unwrap_err().to_string().contains("length or files"));
    let dictionary = several("", 1).replace("5:filesle", "5:filesde");
    assert!(parse(dictionary).unwrap_err().to_string().contains("info.files: expected a list"));
}

/// F-09.
#[test]
fn names_are_handed_on_with_invalid_utf8_replaced() {
    assert_eq!(good(single("", "").replace("1:x", "9:../\x1b[31ma")).name(), "../\x1b[31ma");
    let mut bytes = file(single("", ""));
    let at = bytes.windows(3).position(|window| window == b"1:x").unwrap();
    bytes[at + 2] = 0xff;
    assert_eq!(Metainfo::parse(&bytes).unwrap().name(), "\u{fffd}");
    assert_eq!(good(single("", "").replace("1:x", "1:x10:name.utf-82:\u{e4}")).name(), "\u{e4}");
    let metainfo = good(several("d6:lengthi5e4:pathl1:ae10:path.utf-8l2:\u{e4}ee", 1));
    assert_eq!(metainfo.files()[0].path(), ["\u{e4}"]);
    let metainfo = good(several("d6:lengthi5e4:pathl1:ae10:path.utf-8l2:\u{e4}1:bee", 1));
    assert_eq!(metainfo.files()[0].path(), ["a"], "another number of parts is another path");
    for bad in ["4:namei1e", "4:namele", ""] {
        assert!(parse(single("", "").replace("4:name1:x", bad)).is_err(), "{bad}");
    }
}

#[test]
fn an_invalid_torrent_is_refused_with_what_was_expected() {
    let rows: [(&[u8], &str); 9] = [
        (b"", "not a torrent file: expected a dictionary at byte 0"),
        (b"<html>", "not a torrent file: expected a dictionary at byte 0"),
        (b"\xef\xbb\xbfde", "not a torrent file: expected a dictionary at byte 0"),
        (b"le", "not a torrent file: expected a dictionary at byte 0"),
        (b"de", "not a valid torrent: info: expected a dictionary"),
        (b"d4:infolee", "not a valid torrent: info: expected a dictionary"),
        (b"d4:info0:e", "not a valid torrent: info: expected a dictionary"),
        (b"d4:infodee", "not a valid torrent: info.name: expected a string"),
        (
            b"d4:infode4:infodee",
            "not a torrent file: expected each key once in the hashed part, found a duplicate at byte 11",
        ),
    ];
    for (bytes, expected) in rows {
        assert_eq!(Metainfo::parse(bytes).unwrap_err().to_string(), expected);
    }
    let error = Metainfo::parse(&vec![b'd'; MAX_FILE_LEN + 1]).unwrap_err();
    assert_eq!(error, MetainfoError::TooLarge { limit: MAX_FILE_LEN }, "F-13");
    let cut = file(single("", ""));
    for length in 0..cut.len() {
        assert!(Metainfo::parse(&cut[..length]).is_err());
    }
}

/// R5-01.
#[test]
fn a_torrent_without_tracker_is_good() {
    for front in ["", "5:nodesll9:127.0.0.1i6881eee", "8:announcei5e", "8:announce0:", "13:announce-listllee"]
    {
        let bytes = format!("d{front}4:info{}e", single("", ""));
        let metainfo = Metainfo::parse(bytes.as_bytes()).unwrap_or_else(|error| panic!("{front}: {error}"));
        assert!(metainfo.announce_tiers().is_empty() && metainfo.skipped_trackers().is_empty(), "{front}");
    }
}

/// TV-5.14, TV-5.21.
#[test]
fn order_repeats_and_rest_outside_info_are_tolerated() {
    let info = single("", "");
    let rows = [
        format!("d4:info{info}8:announce15:http://a.test/ae"),
        format!("d8:announce15:http://a.test/a8:announce15:http://b.test/b4:info{info}e"),
        format!("d8:announce15:http://a.test/a4:info{info}13:creation datei99999999999999999999ee"),
        format!("d8:announce15:http://a.test/a4:info{info}e\r\n"),
    ];
    for bytes in rows {
        let metainfo = Metainfo::parse(bytes.as_bytes()).unwrap_or_else(|error| panic!("{bytes}: {error}"));
        assert_eq!(metainfo.announce_tiers()[0][0].as_str(), "http://a.test/a");
        assert_eq!(metainfo.trailing_bytes(), if bytes.ends_with('\n') { 2 } else { 0 });
        assert_eq!(metainfo.info_hash().as_bytes()[..], Sha1::digest(&info)[..]);
    }
}

#[test]
fn foreign_schemes_keep_their_place() {
    let list = format!("13:announce-listll{}{}ee", text("wss://w.test/"), text("http://a.test/a"));
    let bytes = format!("d{list}4:info{}e", single("", ""));
    let metainfo = Metainfo::parse(bytes.as_bytes()).unwrap();
    let schemes: Vec<Scheme> = metainfo.announce_tiers()[0].iter().map(TrackerUrl::scheme).collect();
    assert_eq!(schemes, [Scheme::Other, Scheme::Http]);
}

/// S-22.
#[test]
fn debug_shows_no_passkey() {
    let bytes = format!("d8:announce22:http://t.test/s3cr3t/a4:info{}e", single("", ""));
    let shown = format!("{:?}", Metainfo::parse(bytes.as_bytes()).unwrap());
    assert!(shown.contains("t.test") && !shown.contains("s3cr3t"), "{shown}");
}

proptest! {
    #[test]
    fn changed_bytes_do_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), second in any::<bool>()) {
        let v1 = several("d6:lengthi5e4:pathl1:a1:beed4:attr1:p6:lengthi9e4:pathl4:.pad1:9eee", 1);
        let v2 = tree(&format!("d1:ad1:bd0:d6:lengthi5e{}eeee", root('r')));
        let mut bytes = file(if second { v2 } else { v1 });
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Metainfo::parse(&bytes);
        bytes.remove(cut.index(bytes.len()));
        let _ = Metainfo::parse(&bytes);
    }
}

/// bendy recurses even when it drops what was not read, so the depth limits have to hold on a small stack too.
/// (S-03)
#[test]
fn depth_needs_little_stack() {
    let small = std::thread::Builder::new().stack_size(512 << 10);
    let thread = small.spawn(|| {
        let tree_of =
            |depth: usize| tree(&format!("{}d0:d6:lengthi0eee{}", "d1:a".repeat(depth), "e".repeat(depth)));
        let unread = format!("1:x{}{}", "l".repeat(90), "e".repeat(90));
        Metainfo::parse(&file(tree_of(95))).is_ok()
            && Metainfo::parse(&file(tree_of(1_000_000))).is_err()
            && Metainfo::parse(&file(single("", &unread))).is_ok()
            && Metainfo::parse(&file(format!("d{unread}{}", &single("", "")[1..]))).is_ok()
    });
    assert!(thread.unwrap().join().unwrap());
}

/// R164: real torrents have more.
#[test]
fn a_torrent_may_have_very_many_files() {
    let files = "d6:lengthi0e4:pathl1:aee".repeat(200_000);
    let one = "d6:lengthi5e4:pathl1:bee";
    assert_eq!(good(several(&format!("{files}{one}"), 1)).files().len(), 200_001);
}

/// R157: BEP 47 only recommends a path, and `pad_file_no_path.torrent` of libtorrent has none.
#[test]
fn padding_needs_no_path() {
    for attr in ["p", "px", "xp"] {
        let files = format!("d4:attr{}6:lengthi6eed6:lengthi5e4:pathl1:bee", text(attr));
        let metainfo = good(several(&files, 1));
        let padding = &metainfo.files()[0];
        assert_eq!((padding.is_padding(), padding.length()), (true, 6), "{attr}");
        assert_eq!(padding.path(), [".pad", "6"]);
    }
    // Nor a good one.
    for path in ["4:pathle", "4:path1:a", "4:pathli1ee"] {
        let files = format!("d4:attr1:p6:lengthi6e{path}ed6:lengthi5e4:pathl1:bee");
        assert_eq!(good(several(&files, 1)).files()[0].path(), [".pad", "6"], "{path}");
    }
    for attr in ["x", "h", ""] {
        let files = format!("d4:attr{}6:lengthi6eed6:lengthi5e4:pathl1:bee", text(attr));
        let error = parse(several(&files, 1)).unwrap_err().to_string();
        assert!(error.contains("info.files.0.path: expected a list of strings"), "{attr}: {error}");
    }
}

/// R157: the names that it gave padding before there were attributes.
#[test]
fn the_padding_of_bitcomet_is_recognised() {
    let rows = [
        ("_____padding_file_0_____", true),
        ("_____padding_file_12_if you see this file, please update to BitComet 0.85 or above____", true),
        ("____padding_file_0_____", false),
        ("a _____padding_file_0_", false),
        ("_____padding", false),
    ];
    for (name, is_padding) in rows {
        for folder in ["", "1:d"] {
            let files = format!("d6:lengthi6e4:pathl{folder}{}eed6:lengthi5e4:pathl1:bee", text(name));
            let metainfo = good(several(&files, 1));
            assert_eq!(metainfo.files()[0].is_padding(), is_padding, "{folder}{name}");
        }
        let folder = format!("d6:lengthi6e4:pathl{}1:beed6:lengthi5e4:pathl1:bee", text(name));
        assert!(!good(several(&folder, 1)).files()[0].is_padding(), "a folder of that name is one");
    }
}

/// R156: names on Unix are bytes.
#[test]
fn names_that_are_not_utf8_are_given_as_bytes() {
    let bytes = |name: &[u8]| [name.len().to_string().as_bytes(), b":", name].concat();
    let of = |list: &[&[u8]]| [b"d6:lengthi5e4:pathl", &list.concat()[..], b"ee"].concat();
    let raw = [b"b\xfcch".as_slice(), b"\xff"];
    let info = |files: &[u8], more: &[u8]| {
        let end = format!("12:piece lengthi16384e6:pieces{}e", text(ZEROS));
        [b"d5:filesl", files, b"e4:name", &bytes(b"n\xf6"), more, end.as_bytes()].concat()
    };
    let files = of(&raw.map(bytes).iter().map(Vec::as_slice).collect::<Vec<_>>());
    let metainfo = good(info(&files, b""));
    let file = &metainfo.files()[0];
    assert_eq!(file.path_bytes().collect::<Vec<_>>(), raw);
    assert_eq!(file.path(), ["b\u{fffd}ch", "\u{fffd}"]);
    assert_eq!((metainfo.name(), metainfo.name_bytes()), ("n\u{fffd}", b"n\xf6".as_slice()));
    // Text beside it is preferred, if it is text.
    let named = good(info(&files, b"10:name.utf-83:n\xc3\xb6"));
    assert_eq!((named.name(), named.name_bytes()), ("n\u{f6}", "n\u{f6}".as_bytes()));
    let named = good(info(&files, b"10:name.utf-81:\xff"));
    assert_eq!(named.name_bytes(), b"n\xf6");
    // What is UTF-8 is the same as bytes.
    let metainfo = good(single("", ""));
    assert_eq!(metainfo.files()[0].path_bytes().collect::<Vec<_>>(), [b"x"]);
    assert_eq!(metainfo.name_bytes(), b"x");
}

#[test]
fn the_bytes_of_info_are_those_of_the_hash() {
    let info = single("1:ai1e", "");
    let metainfo = good(&info);
    assert_eq!(metainfo.info_bytes(), info.as_bytes());
    assert_eq!(metainfo.info_hash(), InfoHash::new(Sha1::digest(metainfo.info_bytes()).into()));
}
