//! The corners of bencode (TV-5), and what holds for any input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn canonical(input: &[u8], rules: Rules) -> Result<Vec<u8>, BencodeError> {
    Document::read(input, rules).map(|document| document.as_bytes().to_vec())
}

/// Whether bendy takes it as exactly one value.
fn accepted(bytes: &[u8]) -> bool {
    let mut tokens = Decoder::new(bytes).with_max_depth(100).tokens();
    tokens.all(|token| token.is_ok()) && !bytes.is_empty()
}

/// TV-5.
#[test]
fn numbers_and_strings_at_their_corners() {
    let rows: [(&str, Option<&str>, Option<&str>); 32] = [
        ("i0e", Some("i0e"), Some("i0e")),
        ("i-1e", Some("i-1e"), Some("i-1e")),
        ("i-0e", None, None),
        ("i03e", None, None),
        ("i00e", None, None),
        ("i-03e", None, None),
        ("ie", None, None),
        ("i-e", None, None),
        ("i+1e", None, None),
        ("i1.5e", None, None),
        ("i 1e", None, None),
        ("i1", None, None),
        ("i9223372036854775807e", Some("i9223372036854775807e"), Some("i9223372036854775807e")),
        ("i99999999999999999999e", Some("i99999999999999999999e"), Some("i99999999999999999999e")),
        ("0:", Some("0:"), Some("0:")),
        ("00:", Some("0:"), None),
        ("03:abc", Some("3:abc"), None),
        ("d02:abi1ee", Some("d2:abi1ee"), None),
        ("-1:", None, None),
        ("+3:abc", None, None),
        ("3 :abc", None, None),
        ("3:ab", None, None),
        ("99999999999999999999:", None, None),
        ("18446744073709551615:a", None, None),
        ("d1:bi1e1:ai2ee", Some("d1:ai2e1:bi1ee"), Some("d1:ai2e1:bi1ee")),
        ("d1:ai1e1:ai2ee", Some("d1:ai1ee"), Some("d1:ai1ee")),
        ("di1ei2ee", None, None),
        ("d1:ae", None, None),
        ("le", Some("le"), Some("le")),
        ("e", None, None),
        ("\u{feff}de", Some("de"), None),
        ("\n\u{feff}\r\nde", Some("de"), None),
    ];
    for (input, reply, file) in rows {
        for (rules, expected) in [(Rules::REPLY, reply), (Rules::FILE, file)] {
            let found = canonical(input.as_bytes(), rules).ok();
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{input} {rules:?}");
        }
    }
    assert!(canonical(b"", Rules::REPLY).is_err() && canonical(b"", Rules::FILE).is_err());
    assert!(canonical(b" \nde", Rules::REPLY).is_ok() && canonical(b" \nde", Rules::FILE).is_err());
}

/// TV-5.19, TV-5.20.
#[test]
fn lists_within_lists_are_counted() {
    let nested = |depth: usize| format!("{}{}", "l".repeat(depth), "e".repeat(depth));
    // The second form isn't canonical, so that it is the scan that counts.
    let unsorted = |depth: usize| format!("d1:bi1e1:a{}e", nested(depth - 1));
    for (rules, depth) in [(Rules::REPLY, 32), (Rules::FILE, 99)] {
        for input in [nested(depth), unsorted(depth)] {
            assert!(canonical(input.as_bytes(), rules).is_ok(), "{depth}");
        }
        for input in
            [nested(depth + 1), unsorted(depth + 1), "l".repeat(1_000_000), "d1:b0:1:a".repeat(300_000)]
        {
            let error = canonical(input.as_bytes(), rules).unwrap_err();
            assert_eq!(error.expected, "expected fewer levels of nesting", "{depth}");
        }
    }
}

/// S-04.
#[test]
fn items_are_bounded() {
    let many = format!("d1:bl{}e1:a0:e", "0:".repeat(300_000));
    assert_eq!(
        canonical(many.as_bytes(), Rules::REPLY).unwrap_err().expected,
        "expected fewer keys and values"
    );
    assert!(canonical(many.as_bytes(), Rules::FILE).is_ok());
}

///
#[test]
fn the_first_of_equal_keys_wins_at_any_depth() {
    let rows = [
        ("d1:b0:1:ai1e1:ai2ee", "d1:ai1e1:b0:e"),
        ("d1:ai1e1:b0:1:ai2e1:ai3ee", "d1:ai1e1:b0:e"),
        ("ld1:bi1e1:ad1:xi1e1:xi2eeee", "ld1:ad1:xi1ee1:bi1eee"),
    ];
    for (input, expected) in rows {
        assert_eq!(canonical(input.as_bytes(), Rules::REPLY).unwrap(), expected.as_bytes(), "{input}");
    }
}

/// TV-5.15.
#[test]
fn duplicate_keys_are_refused_in_the_hashed_part() {
    let rows = [
        ("d4:infod1:ai1e1:ai2eee", false),
        ("d4:infod1:ali1ed1:x0:1:x0:eeee", false),
        ("d4:infode4:infodee", false),
        ("d4:infod1:bi1e1:ai2eee", true),
        ("d4:infode1:a0:1:a0:e", true),
        ("d1:xd4:infode4:infodeee", true),
    ];
    for (input, good) in rows {
        assert_eq!(canonical(input.as_bytes(), Rules::FILE).is_ok(), good, "{input}");
        assert!(canonical(input.as_bytes(), Rules::REPLY).is_ok(), "{input}");
    }
}

/// R3-05.
#[test]
fn info_is_found_as_it_stands() {
    let rows = [
        ("d4:infod1:ai1eee", Some("d1:ai1ee")),
        ("d4:infod1:bi1e1:ai2eee", Some("d1:bi1e1:ai2ee")),
        ("d5:zzzzz0:4:infod1:bi1e1:ai2ee1:ad4:infodeee\n", Some("d1:bi1e1:ai2ee")),
        ("d1:zd1:qi1ee4:infod1:ai1eee", Some("d1:ai1ee")),
        ("d4:infoli1eee", Some("li1ee")),
        ("d4:infoi1ee", None),
        ("d1:ad4:infodeee", None),
        ("ld4:infodeee", None),
    ];
    for (input, expected) in rows {
        let document = Document::read(input.as_bytes(), Rules::FILE).unwrap();
        assert_eq!(document.info(), expected.map(str::as_bytes), "{input}");
    }
    // Of two the first one counts, though the second could be one.
    let twice = Document::read(b"d4:infoi1e4:infodee", Rules::REPLY).unwrap();
    assert_eq!((twice.as_bytes(), twice.info()), (&b"d4:infoi1ee"[..], None));
}

/// TV-5.21.
#[test]
fn bytes_after_the_value_are_ignored() {
    for (input, consumed) in [("d1:ai1ee", 8), ("d1:ai1eexyz", 8), ("d1:b0:1:a0:exyz", 12), ("  i1ed", 5)] {
        assert_eq!(Document::read(input.as_bytes(), Rules::REPLY).unwrap().consumed(), consumed, "{input}");
    }
}

/// A value that can be written in any order.
#[derive(Debug, Clone)]
enum Tree {
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Dict(Vec<(Vec<u8>, Tree)>),
}

impl Tree {
    /// Writes it with the entries of dictionaries in the order of `rank`.
    fn write(&self, rank: &impl Fn(&[u8]) -> Vec<u8>, out: &mut Vec<u8>) {
        match self {
            Self::Integer(number) => out.extend(format!("i{number}e").bytes()),
            Self::Bytes(bytes) => Self::write_bytes(bytes, out),
            Self::List(items) => {
                out.push(b'l');
                for item in items {
                    item.write(rank, out);
                }
                out.push(b'e');
            }
            Self::Dict(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by_key(|(key, _)| rank(key));
                entries.dedup_by_key(|(key, _)| key);
                out.push(b'd');
                for (key, value) in entries {
                    Self::write_bytes(key, out);
                    value.write(rank, out);
                }
                out.push(b'e');
            }
        }
    }

    fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
        out.extend(format!("{}:", bytes.len()).bytes());
        out.extend_from_slice(bytes);
    }

    fn written(&self, rank: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&rank, &mut out);
        out
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf =
        prop_oneof![any::<i64>().prop_map(Tree::Integer), vec(any::<u8>(), 0..8).prop_map(Tree::Bytes)];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Tree::List),
            vec((vec(any::<u8>(), 0..3), inner), 0..6).prop_map(Tree::Dict),
        ]
    })
}

/// Bytes that are nearly bencode, which plain noise never is.
fn nearly_bencode() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"d".to_vec()), 4 => Just(b"l".to_vec()), 6 => Just(b"e".to_vec()),
        4 => Just(b"i5e".to_vec()), 4 => Just(b"1:a".to_vec()), 4 => Just(b"1:b".to_vec()),
        2 => Just(b"4:info".to_vec()), 2 => Just(b"02:ab".to_vec()), 1 => Just(b"i-0e".to_vec()),
        1 => Just(b"9:x".to_vec()), 1 => vec(any::<u8>(), 1..3),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn check_any_input(input: &[u8]) {
    for rules in [Rules::REPLY, Rules::FILE] {
        let Ok(document) = Document::read(input, rules) else { continue };
        assert!(document.consumed() <= input.len());
        assert!(accepted(document.as_bytes()), "bendy refuses {}", document.as_bytes().escape_ascii());
        let again = Document::read(document.as_bytes(), rules).unwrap();
        assert_eq!(again.as_bytes(), document.as_bytes(), "once more changes nothing");
        assert_eq!(again.consumed(), document.as_bytes().len());
        if let Some(info) = document.info() {
            assert!(input.windows(info.len()).any(|window| window == info));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(input in vec(any::<u8>(), 0..200)) {
        check_any_input(&input);
    }

    #[test]
    fn bytes_that_are_nearly_bencode_do_no_harm(input in nearly_bencode()) {
        check_any_input(&input);
    }

    #[test]
    fn canonical_input_stays_as_it_is(tree in trees()) {
        let input = tree.written(<[u8]>::to_vec);
        prop_assert!(accepted(&input));
        prop_assert_eq!(canonical(&input, Rules::REPLY).unwrap(), input);
    }

    #[test]
    fn the_order_of_keys_makes_no_difference(tree in trees(), salt in any::<u8>()) {
        let shuffled = tree.written(|key| key.iter().map(|b| (b ^ salt).wrapping_mul(167)).collect());
        prop_assert_eq!(canonical(&shuffled, Rules::REPLY).unwrap(), tree.written(<[u8]>::to_vec));
    }

    #[test]
    fn a_cut_document_is_refused(tree in trees(), at in any::<prop::sample::Index>()) {
        let whole = Tree::List(vec![tree]).written(<[u8]>::to_vec);
        prop_assert!(canonical(&whole[..at.index(whole.len())], Rules::REPLY).is_err());
    }
}
