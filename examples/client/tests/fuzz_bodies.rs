//! The bodies of the client's fuzz targets, with their seeds and with changed seeds. `fuzz/README.md` says how to fuzz.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::fuzzing::TARGETS;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The seeds of a target, in order.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = folder().join("seeds").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds in {}", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A seed with a few changes, of which some are pieces of what the formats are made of.
fn changed(seeds: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    const PIECES: [&[u8]; 12] = [
        b"d",
        b"l",
        b"e",
        b"i0e",
        b"i4294967295e",
        b"0:",
        b"5:added",
        b"8:msg_type",
        b"&tr=",
        b"%00",
        b"\0\0\0\x03\x14\x02",
        b"d8:msg_typei1e5:piecei0ee",
    ];
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(0..6) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(1..20_usize)).min(bytes.len());
        match random.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] = random.random(),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, random.random::<[u8; 3]>())),
            3 => drop(bytes.splice(at..at, PIECES[random.random_range(0..PIECES.len())].iter().copied())),
            _ => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn every_seed_holds() {
    for (_, check) in TARGETS {
        for (other, _) in TARGETS {
            for bytes in seeds(other) {
                check(&bytes);
            }
        }
    }
}

/// Plays a target over changed seeds: [`INPUTS`] of them, or as many as are made in `FUZZ_SECONDS` from the seed `FUZZ_SEED`.
#[expect(clippy::disallowed_methods, reason = "how long a run takes is set in seconds")]
fn check_changed_seeds(target: &str) {
    let (_, check) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = seeds(target);
    let mut random = StdRng::seed_from_u64(number("FUZZ_SEED").unwrap_or(1));
    let (start, limit) = (Instant::now(), number("FUZZ_SECONDS").map(Duration::from_secs));
    let mut inputs = 0_u64;
    while limit.map_or(inputs < INPUTS, |limit| !inputs.is_multiple_of(100) || start.elapsed() < limit) {
        let bytes = changed(&seeds, &mut random);
        let held = std::panic::catch_unwind(|| check(&bytes)).is_ok();
        assert!(held, "{target} fails with {:?}", bytes.escape_ascii().to_string());
        inputs += 1;
    }
    println!("{target}: {inputs} inputs in {} s", start.elapsed().as_secs());
}

#[test]
fn changed_magnets_hold() {
    check_changed_seeds("client_magnet");
}

#[test]
fn changed_messages_about_metadata_hold() {
    check_changed_seeds("client_metadata");
}

#[test]
fn changed_beginnings_of_encrypted_connections_hold() {
    check_changed_seeds("client_mse");
}

#[test]
fn changed_messages_of_peer_exchange_hold() {
    check_changed_seeds("client_pex");
}

#[test]
fn every_target_of_the_client_has_its_body() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let names = manifest.split("[[bin]]\nname = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let names: Vec<&str> = names.filter(|name| name.starts_with("client_")).collect();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
}

/// As many as a debug build does in seconds.
const INPUTS: u64 = 500;
