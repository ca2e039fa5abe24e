//! Clients among themselves.

use std::net::Shutdown;
use std::sync::mpsc;

use super::*;

#[test]
fn one_client_downloads_from_another() {
    let shared = Shared::new(300_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let leech = shared.start("leech", &["--no-trackers", "--exit-when-done", "--peer", &peer]);
    let (code, said) = leech.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("\"piece_ok\"").count(), 19);
    assert!(said.contains("{\"event\":\"complete\"}"));
    assert!(shared.is_whole("leech"));
}

#[test]
fn a_client_is_reached_over_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let shared = Shared::new(100_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("[::1]:{}", seed.port());
    let (code, said) = shared.start("leech", &["--no-trackers", "--exit-when-done", "--peer", &peer]).end();
    assert_eq!(code, Some(0), "{said}");
}

/// A peer with a part uploads it while it downloads the rest, whichever side made the connection.
#[test]
fn two_halves_become_two_wholes() {
    let shared = Shared::new(400_000, &[]);
    for (folder, good) in [("left", 0..212_992), ("right", 212_992..400_000)] {
        let mut part = vec![0; 400_000];
        part[good.clone()].copy_from_slice(&shared.data[good]);
        fs::create_dir(shared.path(folder)).unwrap();
        fs::write(shared.path(folder).join("x.bin"), part).unwrap();
    }
    let mut left = shared.start("left", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", left.port());
    let mut right = shared.start("right", &["--no-trackers", "--peer", &peer]);
    left.wait_for("complete");
    right.wait_for("complete");
    assert!(shared.is_whole("left") && shared.is_whole("right"));
}

/// What is on the disk when the process is killed is not fetched again.
#[test]
fn a_killed_download_goes_on() {
    let shared = Shared::new(640_000, &[]);
    let (hash, data) = (shared.torrent.info_hash, shared.data.clone());
    // The first connection stalls half-way, the second gives whatever is asked.
    let seed = Scripted::new(shared.torrent.pieces(), 2, move |number, wire| {
        wire.greet(hash, b"-XX0001-abcdefghijkl");
        let given = std::cell::Cell::new(0);
        let stalls = number == 0;
        wire.seed(&data, 16_384, |_, _| {
            given.set(given.get() + 1);
            !stalls || given.get() <= 20
        });
    });
    let peer = seed.address.to_string();
    let options = ["--no-trackers", "--exit-when-done", "--peer", &peer];
    let mut first = shared.start("leech", &options);
    for _ in 0..20 {
        first.wait_for("piece_ok");
    }
    first.kill();
    let (code, said) = shared.start("leech", &options).end();
    assert_eq!(code, Some(0), "{said}");
    let fetched = said.matches("\"piece_ok\"").count();
    assert_eq!(fetched, 20);
    assert!(shared.is_whole("leech"));
    seed.join();
}

#[cfg(unix)]
#[test]
fn the_first_signal_ends_it_in_order() {
    let shared = Shared::new(100_000, &[]);
    let mut leech = shared.start("leech", &["--no-trackers"]);
    leech.port();
    leech.terminate();
    let (code, said) = leech.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("\"incomplete\""), "{said}");
    let mut seed = shared.start("seed", &["--no-trackers"]);
    seed.port();
    seed.terminate();
    assert_eq!(seed.end().0, Some(0));
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let shared = Shared::new(100_000, &[]);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let rows: [(&str, &[&str], i32); 4] = [
        ("leech", &["--no-trackers", "--deadline-s", "0"], 3),
        ("seed", &["--no-trackers", "--deadline-s", "0"], 0),
        ("seed", &["--no-trackers", "--exit-when-done"], 0),
        ("leech", &["--no-trackers", "--port", &port], 1),
    ];
    for (folder, more, expected) in rows {
        let (torrent, folder) = (shared.path("x.torrent"), shared.path(folder));
        let own = ["--torrent", torrent.to_str().unwrap(), "--out", folder.to_str().unwrap()];
        let (code, _) = Client::with(&[&own, more].concat()).end();
        assert_eq!(code, Some(expected), "{folder:?} {more:?}");
    }
    fs::write(shared.path("x.torrent"), b"<html>").unwrap();
    let (code, said) = shared.start("leech", &["--no-trackers"]).end();
    assert_eq!(code, Some(4));
    assert!(said.contains("{\"event\":\"refused\",\"kind\":\"malformed\""), "{said}");
}

/// F-03, and a folder that is none: code 5, and nothing is written elsewhere.
#[cfg(unix)]
#[test]
fn existing_files_in_the_way_are_not_touched() {
    let shared = Shared::new(100_000, &[]);
    fs::create_dir(shared.path("leech")).unwrap();
    std::os::unix::fs::symlink(shared.path("elsewhere"), shared.path("leech").join("x.bin")).unwrap();
    let (code, said) = shared.start("leech", &["--no-trackers"]).end();
    assert_eq!(code, Some(5), "{said}");
    assert!(!shared.path("elsewhere").exists());
    fs::write(shared.path("file"), b"").unwrap();
    assert_eq!(shared.start("file", &["--no-trackers"]).end().0, Some(5));
}

/// R151: a super-seeding peer names one piece after the other, each when it hears that we have the last; it hears of the
/// last one of all before we part.
#[test]
fn a_super_seeding_peer_hears_of_every_piece() {
    let shared = Shared::new(100_000, &[]);
    let (hash, data, pieces) = (shared.torrent.info_hash, shared.data.clone(), shared.torrent.pieces());
    let (sender, receiver) = mpsc::channel();
    let seed = Scripted::new(pieces, 1, move |_, wire| {
        wire.greet(hash, b"-XX0001-abcdefghijkl");
        wire.say(&Message::Have(0));
        wire.say(&Message::Unchoke);
        wire.each(|wire, message| match message {
            Message::Request(block) => {
                let start = block.piece as usize * 16_384;
                let data = &data[start..start + block.length as usize];
                wire.say(&Message::Piece { piece: block.piece, begin: 0, data });
            }
            Message::Have(piece) => {
                sender.send(piece).unwrap();
                if piece + 1 < pieces {
                    wire.say(&Message::Have(piece + 1));
                }
            }
            _ => {}
        });
    });
    let peer = seed.address.to_string();
    let (code, said) = shared.start("leech", &["--no-trackers", "--exit-when-done", "--peer", &peer]).end();
    assert_eq!(code, Some(0), "{said}");
    seed.join();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..pieces).collect::<Vec<_>>());
}

/// R152: as many requests as we announce may wait at once, and each is answered.
#[test]
fn two_thousand_requests_at_once_are_answered() {
    let shared = Shared::new(2000 * 1024, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, seed.port())).unwrap();
    // A test that hangs has no message.
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut wire = Wire { stream, buffer: Vec::new(), pieces: shared.torrent.pieces() };
    wire.send(&handshake::write(shared.torrent.info_hash, PeerId::new(*b"-XX0001-abcdefghijkl"), false));
    wire.stream.read_exact(&mut [0; handshake::LENGTH]).unwrap();
    wire.say(&Message::Interested);
    let blocks = (0..2000).map(|at| Block { piece: at / 16, begin: at % 16 * 1024, length: 1024 });
    let mut asking = Vec::new();
    blocks.for_each(|block| Message::Request(block).write(&mut asking));
    let mut answered = 0;
    wire.each(|wire, message| match message {
        Message::Unchoke => wire.send(&asking),
        Message::Piece { piece, begin, data } => {
            let start = (piece * 16_384 + begin) as usize;
            assert_eq!(data, &shared.data[start..start + 1024]);
            answered += 1;
            if answered == 2000 {
                let _ = wire.stream.shutdown(Shutdown::Both);
            }
        }
        _ => {}
    });
    assert_eq!(answered, 2000);
}

/// R158: a file that is cut while it is seeded.
#[cfg(unix)]
#[test]
fn a_file_that_is_cut_while_it_is_seeded_is_said_once_and_fetched_again() {
    let shared = Shared::new(100_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let cut = format!("127.0.0.1:{}", seed.port());
    fs::OpenOptions::new().write(true).open(shared.path("seed/x.bin")).unwrap().set_len(20_000).unwrap();
    let leech = shared.start("leech", &["--no-trackers", "--deadline-s", "4", "--peer", &cut]);
    assert_eq!(leech.end().0, Some(3));
    // Another seed mends it.
    fs::create_dir(shared.path("other")).unwrap();
    fs::write(shared.path("other/x.bin"), &shared.data).unwrap();
    let _other = shared.start("other", &["--no-trackers", "--peer", &cut]);
    let lost = seed.wait_for("pieces_lost");
    assert!(lost.contains("\"pieces\":6,"), "of seven, all behind the end at once: {lost}");
    seed.wait_for("complete");
    seed.terminate();
    let (code, said) = seed.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("seed"), "{said}");
}

/// BEP 6: one seed says that it has everything and rejects every second request, which the other one then gets.
#[test]
fn what_one_peer_rejects_comes_from_another() {
    let shared = Shared::new(400_000, &[]);
    let (hash, pieces, data) = (shared.torrent.info_hash, shared.torrent.pieces(), shared.data.clone());
    let (wake, woken) = mpsc::channel();
    let rejecting = Scripted::new(pieces, 1, move |_, wire| {
        let mut theirs = [0; handshake::LENGTH];
        wire.stream.read_exact(&mut theirs).unwrap();
        assert_eq!(theirs[27] & 4, 4, "it speaks the extension");
        wire.send(&handshake::write(hash, PeerId::new(*b"-XX0001-abcdefghijkl"), false));
        wire.say(&Message::HaveAll);
        let (requests, none) = (std::cell::Cell::new(0), std::cell::Cell::new(false));
        wire.each(|wire, message| match message {
            Message::HaveNone => none.set(true),
            Message::Interested => wire.say(&Message::Unchoke),
            Message::Request(block) => {
                assert!(none.get(), "the first message says what it has");
                requests.set(requests.get() + 1);
                if requests.get() % 2 == 0 {
                    let _ = wake.send(());
                    return wire.say(&Message::Reject(block));
                }
                let start = block.piece as usize * 16_384 + block.begin as usize;
                let data = &data[start..start + block.length as usize];
                wire.say(&Message::Piece { piece: block.piece, begin: block.begin, data });
            }
            _ => {}
        });
    });
    let data = shared.data.clone();
    let honest = Scripted::new(pieces, 1, move |_, wire| {
        wire.greet(hash, b"-XX0002-abcdefghijkl");
        woken.recv().unwrap();
        wire.seed(&data, 16_384, |_, _| true);
    });
    let peers = [rejecting.address.to_string(), honest.address.to_string()];
    let options = ["--no-trackers", "--exit-when-done", "--peer", &peers[0], "--peer", &peers[1]];
    let (code, said) = shared.start("leech", &options).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("leech"));
    rejecting.join();
    honest.join();
}
