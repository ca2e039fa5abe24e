//! The tolerance for bencode as it is found: what it makes is canonical to bendy, it changes nothing that bendy
//! accepts, doing it again changes nothing, and a naive reader comes to the same.

use std::collections::BTreeMap;

use bendy::decoding::{Decoder, Object};
use tracker_failover::wire::bencode::{Document, Rules};

/// As deep as [`Rules::REPLY`] goes.
const DEPTH_OF_REPLY: usize = 32;

/// Reads the input as bencode, as a reply and as a file.
///
/// # Panics
/// Where something does not hold.
pub fn check(input: &[u8]) {
    for rules in [Rules::REPLY, Rules::FILE] {
        let read = Document::read(input, rules);
        if let Some(value) = accepted_by_bendy(input, DEPTH_OF_REPLY) {
            let document = read.as_ref().unwrap_or_else(|error| panic!("bendy accepts it: {error}"));
            assert_eq!(document.as_bytes(), value, "bendy accepts it as it is");
            assert_eq!(document.consumed(), value.len());
        }
        let Ok(document) = read else { continue };
        let canonical = document.as_bytes();
        assert!(document.consumed() <= input.len());
        assert!(is_canonical(canonical), "bendy refuses {}", canonical.escape_ascii());
        let again = Document::read(canonical, rules).expect("canonical bencode is bencode");
        assert_eq!(again.as_bytes(), canonical, "a second time changes something");
        assert_eq!(again.consumed(), canonical.len());
        // What follows the value makes no difference.
        let alone = Document::read(&input[..document.consumed()], rules).expect("the value alone is a value");
        assert_eq!(alone.as_bytes(), canonical);
        if let Some(info) = document.info() {
            let info = Document::read(info, rules).expect("a part of bencode is bencode");
            let again = again.info().expect("info stays where it was");
            assert_eq!(info.as_bytes(), again, "info as it stands, and info in its canonical form");
        }
    }
    let found = Document::read(input, Rules::REPLY).ok();
    let expected = naive(input);
    assert_eq!(found.map(|document| document.as_bytes().to_vec()), expected, "and a naive reader");
}

/// The first value of the input, where bendy takes it as it is.
fn accepted_by_bendy(input: &[u8], depth: usize) -> Option<&[u8]> {
    let mut decoder = Decoder::new(input).with_max_depth(depth);
    match decoder.next_object().ok()?? {
        Object::List(list) => list.into_raw().ok(),
        Object::Dict(dict) => dict.into_raw().ok(),
        // bendy doesn't say how long they are.
        Object::Integer(_) | Object::Bytes(_) => None,
    }
}

/// Whether bendy takes it as exactly one value.
fn is_canonical(bytes: &[u8]) -> bool {
    let mut tokens = Decoder::new(bytes).with_max_depth(100).tokens();
    let whole = match bytes.first() {
        Some(b'd' | b'l') => accepted_by_bendy(bytes, 100) == Some(bytes),
        _ => tokens.next().is_some_and(|token| token.is_ok()) && tokens.next().is_none(),
    };
    whole && Decoder::new(bytes).with_max_depth(100).tokens().all(|token| token.is_ok())
}

/// The canonical form of a reply by the shortest program that can tell it.
fn naive(input: &[u8]) -> Option<Vec<u8>> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || [0xef, 0xbb, 0xbf].contains(byte);
    let mut rest = &input[input.iter().take_while(|byte| is_blank(byte)).count()..];
    naive_value(&mut rest, 0)
}

fn naive_value(rest: &mut &[u8], depth: usize) -> Option<Vec<u8>> {
    match rest.first()? {
        b'i' => {
            let end = rest.iter().position(|byte| *byte == b'e')?;
            let text = std::str::from_utf8(&rest[1..end]).ok()?;
            let digits = text.strip_prefix('-').unwrap_or(text);
            let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !good || text == "-0" || (digits.starts_with('0') && digits != "0") {
                return None;
            }
            *rest = &rest[end + 1..];
            Some(format!("i{text}e").into_bytes())
        }
        b'0'..=b'9' => naive_string(rest).map(written),
        kind @ (b'l' | b'd') if depth < DEPTH_OF_REPLY => {
            *rest = &rest[1..];
            let mut out = vec![*kind];
            let mut entries = BTreeMap::new();
            while *rest.first()? != b'e' {
                if *kind == b'l' {
                    out.extend(naive_value(rest, depth + 1)?);
                } else {
                    let key = naive_string(rest)?;
                    let value = naive_value(rest, depth + 1)?;
                    entries.entry(key).or_insert(value);
                }
            }
            *rest = &rest[1..];
            for (key, value) in entries {
                out.extend(written(key));
                out.extend(value);
            }
            out.push(b'e');
            Some(out)
        }
        _ => None,
    }
}

fn naive_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let digits = &rest[..colon];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let string = rest[colon + 1..].get(..length)?;
    *rest = &rest[colon + 1 + length..];
    Some(string)
}

fn written(string: &[u8]) -> Vec<u8> {
    [format!("{}:", string.len()).as_bytes(), string].concat()
}
