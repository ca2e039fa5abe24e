//! Torrent files: what is read agrees with itself, with its own bytes and with the limits.

use std::collections::BTreeSet;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use tracker_failover::wire::bencode::{Document, Rules};
use tracker_failover::{Metainfo, TrackerSet};

use super::check_text;

/// Reads the input as a torrent file.
///
/// # Panics
/// Where something does not hold.
pub fn check(input: &[u8]) {
    let metainfo = match Metainfo::parse(input) {
        Ok(metainfo) => metainfo,
        Err(error) => return check_text(&error.to_string()),
    };
    check_hashes(input, &metainfo);
    check_trackers(&metainfo);
    check_content(&metainfo);
    // What follows the torrent makes no difference.
    let end = input.len() - metainfo.trailing_bytes();
    let alone = Metainfo::parse(&input[..end]).expect("the torrent alone is a torrent");
    assert_eq!(alone.trailing_bytes(), 0);
    let longer =
        Metainfo::parse(&[&input[..end], b"\r\n<html>"].concat()).expect("and with something behind");
    assert_eq!(longer.trailing_bytes(), 8);
    for other in [&alone, &longer] {
        assert_eq!(format!("{other:?}"), format!("{metainfo:?}"));
        assert_eq!(other.announce_hashes(), metainfo.announce_hashes());
        assert_eq!((other.files(), other.pieces()), (metainfo.files(), metainfo.pieces()));
    }
}

/// The hashes are taken over `info` as it stands in the file (BEP 3, BEP 52).
fn check_hashes(input: &[u8], metainfo: &Metainfo) {
    let document = Document::read(input, Rules::FILE).expect("a torrent is bencode");
    let info = document.info().expect("a torrent has info");
    assert!(input.windows(info.len()).any(|window| window == info));
    if let Some(v1) = metainfo.info_hash_v1() {
        assert_eq!(v1.as_bytes()[..], Sha1::digest(info)[..]);
    }
    if let Some(v2) = metainfo.info_hash_v2() {
        assert_eq!(v2[..], Sha256::digest(info)[..]);
    }
    let hashes = metainfo.announce_hashes();
    assert_eq!(hashes.first(), Some(&metainfo.info_hash()));
    let known =
        usize::from(metainfo.info_hash_v1().is_some()) + usize::from(metainfo.info_hash_v2().is_some());
    assert_eq!(hashes.len(), known);
}

fn check_trackers(metainfo: &Metainfo) {
    let tiers = metainfo.announce_tiers();
    assert!(tiers.len() <= 50 && tiers.iter().all(|tier| !tier.is_empty()));
    let trackers: Vec<_> = tiers.iter().flatten().collect();
    assert!(trackers.len() <= 200);
    assert_eq!(trackers.iter().collect::<BTreeSet<_>>().len(), trackers.len(), "a tracker comes twice");
    for skipped in metainfo.skipped_trackers() {
        check_text(&skipped.to_string());
    }
    assert!(metainfo.skipped_trackers().len() <= 201);
    let set = TrackerSet::from(metainfo);
    assert_eq!((set.len(), set.is_private()), (trackers.len(), metainfo.is_private()));
}

fn check_content(metainfo: &Metainfo) {
    let files = metainfo.files();
    assert!(!files.is_empty());
    assert_eq!(String::from_utf8_lossy(metainfo.name_bytes()), metainfo.name());
    let total = files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.length()));
    assert_eq!(total, Some(metainfo.total_length()));
    assert!(i64::try_from(metainfo.total_length()).is_ok());
    assert!((1..=1 << 30).contains(&metainfo.piece_length()));
    let pieces = metainfo.total_length().div_ceil(metainfo.piece_length());
    let expected = if metainfo.info_hash_v1().is_some() { pieces } else { 0 };
    assert_eq!(metainfo.pieces().len() as u64, expected);
    for file in files {
        assert!((1..=100).contains(&file.path().len()));
        let texts = file.path_bytes().map(String::from_utf8_lossy);
        assert!(texts.eq(file.path().iter().map(String::as_str)));
        // Bytes that are no UTF-8 take three each in their replacement.
        assert!(file.path().iter().map(String::len).sum::<usize>() <= 4096);
    }
    if metainfo.is_single_file() {
        assert_eq!((files.len(), files[0].path()), (1, [metainfo.name().to_owned()].as_slice()));
    }
}
