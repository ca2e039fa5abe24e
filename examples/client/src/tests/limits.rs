//! `--down` and `--up` on real sockets: how much flows is counted, not for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A kibibyte a second lets the first block pass and then none for a quarter of a minute, while everything else is
/// said at once.
#[test]
fn a_limited_client_asks_for_less() {
    let shared = Shared::new(640_000, &[]);
    let (hash, data) = (shared.torrent.info_hash, shared.data.clone());
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let seed = Scripted::new(shared.torrent.pieces(), 1, move |_, wire| {
        wire.greet(hash, b"-XX0001-abcdefghijkl");
        wire.seed(&data, 16_384, |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            true
        });
    });
    let seeder = seed.address.to_string();
    let options = ["--no-trackers", "--down", "1", "--peer", &seeder];
    let mut slow = shared.start("slow", &options);
    let line = slow.wait_for("limits");
    assert_eq!(line, "{\"event\":\"limits\",\"down\":1024,\"up\":null}\n");
    let peer = format!("127.0.0.1:{}", slow.port());
    slow.wait_for("piece_ok");
    // What it has another gets from it meanwhile, unlimited.
    let mut other = shared.start("other", &["--no-trackers", "--peer", &peer]);
    other.wait_for("piece_ok");
    let so_far = asked.load(Ordering::Relaxed);
    assert!(so_far <= 2, "{so_far} blocks, where 16 are asked for at first without a limit");
    drop((slow, other));
    seed.join();
}

#[test]
fn a_limited_client_gives_less() {
    let shared = Shared::new(640_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers", "--up", "1KiB/s"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let mut leech = shared.start("leech", &["--no-trackers", "--peer", &peer]);
    leech.wait_for("piece_ok");
    // It is unchoked and waits: what is shown of the next seconds has no second piece in it.
    let line = (0..2).map(|_| leech.wait_for("progress")).last().unwrap_or_default();
    let left: u64 = line.split("\"left\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(left >= 640_000 - 2 * 16_384, "{line}");
    assert!(line.contains("\"peers\":1,"), "{line}");
}

#[test]
fn a_speed_that_is_none_is_refused() {
    let shared = Shared::new(100_000, &[]);
    let (code, _) = shared.start("leech", &["--no-trackers", "--down", "fast"]).end();
    assert_eq!(code, Some(2));
    let (code, said) = shared.start("seed", &["--no-trackers", "--down", "0", "--exit-when-done"]).end();
    assert_eq!(code, Some(0));
    assert!(!said.contains("limits"), "{said}");
}
