//! Hostile peers on real sockets; what they may do in detail is played in `swarm::tests`.

use super::*;

/// P-01, P-02, P-03, P-08, P-09: each is closed at once, and another peer gives everything.
#[test]
fn who_breaks_the_protocol_is_closed() {
    type Script = fn(&mut Wire, InfoHash);
    const ID: &[u8; 20] = b"-XX0001-abcdefghijkl";
    let rows: [(Script, &str); 9] = [
        (
            |wire, hash| {
                wire.greet(hash, ID);
                wire.send(&[1, 0, 0, 0, 7])
            },
            "oversize",
        ),
        (
            |wire, hash| {
                wire.greet(hash, ID);
                wire.send(&[0x80, 0, 0, 0])
            },
            "oversize",
        ),
        (|wire, _| wire.greet(InfoHash::new([2; 20]), ID), "info_hash"),
        (|wire, _| wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "handshake"),
        (
            |wire, hash| {
                wire.greet(hash, ID);
                wire.send(&[0, 0, 0, 2, 5, 0xff])
            },
            "bad_bitfield",
        ),
        (
            |wire, hash| {
                wire.greet(hash, ID);
                wire.send(&[0, 0, 0, 2, 0, 0])
            },
            "bad_message",
        ),
        (
            |wire, hash| {
                wire.greet(hash, ID);
                wire.send(&[0, 0, 0, 1, 14])
            },
            "fast_violation",
        ),
        (
            |wire, hash| {
                wire.greet(hash, ID);
                wire.say(&Message::Have(7))
            },
            "out_of_range",
        ),
        (
            |wire, hash| {
                wire.greet(hash, ID);
                wire.say(&Message::Piece { piece: 0, begin: 0, data: &[0; 16_384] })
            },
            "unrequested",
        ),
    ];
    let shared = Shared::new(100_000, &[]);
    let (hash, pieces) = (shared.torrent.info_hash, shared.torrent.pieces());
    let mut bad = Vec::new();
    for (script, _) in rows {
        bad.push(Scripted::new(pieces, 1, move |_, wire| {
            script(wire, hash);
            wire.drain();
        }));
    }
    let mut arguments = vec!["--no-trackers", "--exit-when-done"];
    let addresses: Vec<String> = bad.iter().map(|peer| peer.address.to_string()).collect();
    addresses.iter().for_each(|address| arguments.extend(["--peer", address.as_str()]));
    let mut leech = shared.start("leech", &arguments);
    let mut left: Vec<(String, &str)> = addresses.iter().cloned().zip(rows.iter().map(|row| row.1)).collect();
    while !left.is_empty() {
        let line = leech.wait_for("peer_closed");
        let found = left.iter().position(|(peer, _)| line.contains(&format!("\"{peer}\"")));
        // With one id for all of them, most are a second connection of the same peer.
        let (peer, why) = left.remove(found.expect(&line));
        assert!(line.contains(&format!("\"why\":\"{why}\"")), "{peer} should be closed for {why}: {line}");
    }
    bad.into_iter().for_each(Scripted::join);
    drop(leech);
}

/// P-02: somebody hands our own handshake back to us.
#[test]
fn our_own_id_is_recognised() {
    let shared = Shared::new(100_000, &[]);
    let mirror = Scripted::new(shared.torrent.pieces(), 1, |_, wire| {
        let mut theirs = [0; handshake::LENGTH];
        wire.stream.read_exact(&mut theirs).unwrap();
        wire.send(&theirs);
        wire.drain();
    });
    let peer = mirror.address.to_string();
    let (code, said) = shared.start("leech", &["--no-trackers", "--peer", &peer]).end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("\"why\":\"self\""), "{said}");
    mirror.join();
}

/// P-06: bad data is thrown away, its sender banned, and the rest comes from another.
#[test]
fn bad_data_is_fetched_from_another_peer() {
    let shared = Shared::new(100_000, &[]);
    let (hash, pieces) = (shared.torrent.info_hash, shared.torrent.pieces());
    let play = |id: &'static [u8; 20], lies: bool| {
        let data = shared.data.clone();
        Scripted::new(pieces, 1, move |_, wire| {
            wire.greet(hash, id);
            wire.seed(&data, 16_384, |piece, block| {
                if lies && piece == 1 {
                    block.iter_mut().for_each(|byte| *byte ^= 255);
                }
            });
        })
    };
    let liar = play(b"-XX0001-abcdefghijkl", true);
    let peer = liar.address.to_string();
    let mut leech = shared.start("leech", &["--no-trackers", "--exit-when-done", "--peer", &peer]);
    let port = leech.port();
    assert!(leech.wait_for("piece_bad").contains(&format!("\"piece\":1,\"peer\":\"{peer}\"")));
    leech.wait_for("peer_banned");
    // Nobody is left, unless the honest one connects to us by itself before that is noticed.
    let honest = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    if let Ok(stream) = honest {
        let mut wire = Wire { stream, buffer: Vec::new(), pieces };
        wire.send(&handshake::write(hash, PeerId::new(*b"-XX0002-abcdefghijkl")));
        let mut theirs = [0; handshake::LENGTH];
        if wire.stream.read_exact(&mut theirs).is_ok() {
            wire.seed(&shared.data, 16_384, |_, _| {});
        }
    }
    let (code, said) = leech.end();
    if code == Some(0) {
        assert!(shared.is_whole("leech"));
    } else {
        assert_eq!(code, Some(3), "{said}");
    }
    liar.join();
}
