//! Compressed and uncompressed bodies, in pieces of any size.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

const REPLY: &[u8] = b"d8:intervali1800e5:peers6:\x08\x08\x04\x04\x1a\xe1e";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Decompresses these pieces. Gives whether they held a complete dictionary.
fn pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> (Body, bool) {
    let mut reply = Unpacking::new(limit);
    for piece in pieces {
        if reply.push(piece).is_err() {
            break;
        }
    }
    let whole = reply.is_whole();
    (reply.finish(None, true), whole)
}

/// Decompresses it in one piece and byte by byte, to the same result.
fn unpacked(packed: &[u8], limit: usize) -> Result<Vec<u8>, AnnounceError> {
    let (at_once, _) = pieces([packed], limit);
    let (bytewise, _) = pieces(packed.chunks(1), limit);
    assert_eq!(at_once.bytes, bytewise.bytes, "{}", packed.escape_ascii());
    assert_eq!(at_once.flaw.is_some(), bytewise.flaw.is_some(), "{}", packed.escape_ascii());
    at_once.flaw.map_or(Ok(at_once.bytes), Err)
}

/// R65, S-02.
#[test]
fn gzip_is_recognised_by_its_magic_and_decompressed_once() {
    assert_eq!(unpacked(REPLY, 100).unwrap(), REPLY);
    assert_eq!(unpacked(&gzip(REPLY), 100).unwrap(), REPLY);
    assert_eq!(unpacked(&gzip(&gzip(REPLY)), 100).unwrap(), gzip(REPLY));
    for trailing in [b"\r\n".as_slice(), b"\0\0\0", b"\x1f", b"\x1f\x8c"] {
        assert_eq!(unpacked(&[gzip(REPLY), trailing.to_vec()].concat(), 100).unwrap(), REPLY);
    }
}

/// R116: RFC 1952, 2.2.
#[test]
fn all_members_of_gzip_are_one_body() {
    for cut in 0..=REPLY.len() {
        let (front, back) = REPLY.split_at(cut);
        let packed = [gzip(front), gzip(b""), gzip(back), b"\r\n".to_vec()].concat();
        assert_eq!(unpacked(&packed, 100).unwrap(), REPLY, "{cut}");
    }
    let many = |members: usize| [gzip(b"").repeat(members - 1), gzip(REPLY)].concat();
    assert_eq!(unpacked(&many(100), 10_000).unwrap(), REPLY);
    assert!(unpacked(&many(101), 10_000).is_err(), "each costs memory");
}

/// R116: only gzip is requested, but servers send both forms of deflate, with the header or without.
#[test]
fn deflate_is_decompressed_in_both_forms() {
    for level in 0..=9 {
        assert_eq!(unpacked(&zlib(REPLY, level), 100).unwrap(), REPLY, "zlib {level}");
        assert_eq!(unpacked(&deflate(REPLY, level), 100).unwrap(), REPLY, "deflate {level}");
        let long = [b"d5:peers6000:".as_slice(), &[7; 6000], b"e"].concat();
        assert_eq!(unpacked(&zlib(&long, level), 10_000).unwrap(), long, "zlib {level}");
        assert_eq!(unpacked(&deflate(&long, level), 10_000).unwrap(), long, "deflate {level}");
    }
    let trailing = [zlib(REPLY, 9), b"\r\n".to_vec()].concat();
    assert_eq!(unpacked(&trailing, 100).unwrap(), REPLY);
    // Without a dictionary in it, the body is used as it came.
    let page = zlib(b"<html>", 9);
    assert_eq!(unpacked(&page, 100).unwrap(), page);
}

#[test]
fn an_uncompressed_body_stays_as_it_is() {
    for body in
        ["", "d", "x", "sorry", "<html>hello</html>", "\r\n", "x\u{9c}", "Not Found", "404 page not found"]
    {
        assert_eq!(unpacked(body.as_bytes(), 100).unwrap(), body.as_bytes(), "{body}");
    }
}

/// R116: some scripts print a line end or a byte order mark first.
#[test]
fn blanks_may_come_before_a_body() {
    for blanks in ["\n", "\r\n\r\n", "\u{feff}", "\u{feff}\n"] {
        let plain = [blanks.as_bytes(), REPLY].concat();
        assert_eq!(unpacked(&plain, 100).unwrap(), plain);
        assert_eq!(unpacked(&[blanks.as_bytes(), &gzip(REPLY)].concat(), 100).unwrap(), REPLY);
    }
    let (body, whole) = pieces([b"\n".repeat(5000).as_slice(), REPLY], 10_000);
    assert!(whole && body.bytes.len() == 5000 + REPLY.len());
}

/// S-02.
#[test]
fn a_bomb_stops_at_the_limit_and_broken_gzip_is_an_error() {
    let zeros = vec![0; 5_000_000];
    for bomb in [gzip(&zeros), zlib(&zeros, 9), deflate(&zeros, 9)] {
        let (body, _) = pieces([bomb.as_slice()], 60_000);
        assert!(matches!(body.flaw, Some(AnnounceError::TooLarge { limit: 60_000 })));
        assert!(body.bytes.is_empty());
    }
    assert_eq!(unpacked(&gzip(&[7; 1000]), 1000).unwrap().len(), 1000);
    assert!(unpacked(&gzip(&[7; 1001]), 1000).is_err());
    let whole = gzip(b"no dictionary, so the end of it is the end of gzip");
    for end in 2..whole.len() {
        assert!(unpacked(&whole[..end], 100).is_err(), "{end}");
    }
    for text in [REPLY, b"no dictionary"] {
        let mut wrong = gzip(text);
        let checksum = wrong.len() - 6;
        wrong[checksum] ^= 1;
        assert!(unpacked(&wrong, 100).is_err());
        wrong.extend_from_slice(b"\r\n");
        assert!(unpacked(&wrong, 100).is_err());
    }
}

/// R116: cut anywhere, it is complete when its dictionary is, and not a byte earlier.
#[test]
fn a_compressed_body_is_complete_when_its_dictionary_closes() {
    let mut flushed = DeflateEncoder::new(Vec::new(), Compression::best());
    flushed.write_all(REPLY).unwrap();
    flushed.flush().unwrap();
    let flushed = flushed.get_ref().clone();
    for packed in [gzip(REPLY), zlib(REPLY, 9), deflate(REPLY, 9), flushed] {
        let ends: Vec<bool> = (0..=packed.len()).map(|end| pieces([&packed[..end]], 100).1).collect();
        assert!(ends.is_sorted() && ends.ends_with(&[true]), "{ends:?}");
        for (end, whole) in ends.into_iter().enumerate().filter(|(_, whole)| *whole) {
            assert_eq!(unpacked(&packed[..end], 100).unwrap(), REPLY, "{end} {whole}");
        }
    }
}
