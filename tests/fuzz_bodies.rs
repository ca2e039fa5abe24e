//! The bodies of the fuzz targets, with their seeds and with changed seeds (S-32). `fuzz/README.md` says how to fuzz.

#[path = "../fuzz/src/lib.rs"]
pub mod bodies;

use std::path::{Path, PathBuf};

use bodies::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What the formats are made of. Put into a seed they lead further than noise.
const PIECES: [&str; 24] = [
    "d",
    "l",
    "e",
    "i0e",
    "i-1e",
    "i18446744073709551616e",
    "0:",
    "00:",
    "1:a",
    "4:info",
    "5:peers",
    "8:interval",
    "14:failure reason",
    "8:retry in",
    "://",
    "udp://",
    "http://",
    "[::1]",
    "%",
    "?",
    "&event=x",
    "\0\0\0\x03",
    "\u{202e}",
    " ",
];

/// One change to some bytes.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, u8),
    Remove(Index, u8),
    Insert(Index, Vec<u8>),
    Repeat(Index, u8),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        let span = |at: &Index, length: u8| {
            let start = place(at);
            start..(start + usize::from(length)).min(bytes.len())
        };
        match self {
            Self::Replace(at, byte) => {
                let at = place(at);
                if let Some(place) = bytes.get_mut(at) {
                    *place = *byte;
                }
            }
            Self::Remove(at, length) => drop(bytes.drain(span(at, *length))),
            Self::Insert(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Repeat(at, length) => {
                let part = bytes[span(at, *length)].to_vec();
                let at = place(at);
                bytes.splice(at..at, part);
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (any::<Index>(), 1..20_u8).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<Index>(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), select(&PIECES[..])).prop_map(|(at, piece)| Change::Insert(at, piece.into())),
        (any::<Index>(), 1..60_u8).prop_map(|(at, length)| Change::Repeat(at, length)),
    ];
    vec(change, 0..6)
}

/// The seeds of a target, in order.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds in {}", folder.display());
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// Plays a target over changed seeds.
fn check_changed_seeds(target: &str) {
    let (_, check) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let seeds: Vec<Vec<u8>> = seeds(target).into_iter().map(|(_, bytes)| bytes).collect();
    // A failure is kept as a seed, not as a number.
    let config = ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(mut bytes in select(seeds), changes in changes())| {
        for change in &changes {
            change.apply(&mut bytes);
        }
        check(&bytes);
    });
}

#[test]
fn every_seed_holds() {
    for (target, check) in TARGETS {
        for (file, bytes) in seeds(target) {
            println!("{}", file.display());
            check(&bytes);
        }
        // Whatever belongs to another target is input too.
        for (other, _) in TARGETS {
            for (_, bytes) in seeds(other) {
                check(&bytes);
            }
        }
    }
}

#[test]
fn every_target_of_the_workspace_has_its_body() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/Cargo.toml")).unwrap();
    let targets = manifest.split("[[bin]]\nname = \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    // Those of the example client have their bodies, and the test of them, there.
    let targets: Vec<&str> = targets.filter(|target| !target.starts_with("client_")).collect();
    assert_eq!(targets, TARGETS.map(|(name, _)| name));
}

#[test]
fn changed_torrents_hold() {
    check_changed_seeds("metainfo");
}

#[test]
fn changed_replies_hold() {
    check_changed_seeds("http_reply");
}

#[test]
fn changed_bencode_holds() {
    check_changed_seeds("tolerance");
}

#[test]
fn changed_addresses_hold() {
    check_changed_seeds("tracker_url");
}

#[test]
fn changed_lists_hold() {
    check_changed_seeds("tracker_list");
}

#[test]
fn changed_udp_conversations_hold() {
    check_changed_seeds("udp");
}
