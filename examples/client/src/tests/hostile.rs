//! Hostile peers on real sockets; what they may do in detail is played in `swarm::tests`.

use super::*;

/// P-01 to P-05, P-08, P-09: each is closed at once, and for what it did.
#[test]
fn who_breaks_the_protocol_is_closed() {
    let shared = Shared::new(100_000, &[]);
    let (hash, pieces) = (shared.torrent.info_hash, shared.torrent.pieces());
    let ours = |rest: &[u8]| [&greeting(hash), rest].concat();
    let mut unrequested = ours(&[]);
    Message::Piece { piece: 0, begin: 0, data: &[0; 16_384] }.write(&mut unrequested);
    let rows = [
        (ours(&[1, 0, 0, 0, 7]), "oversize"),
        (ours(&[0x80, 0, 0, 0]), "oversize"),
        (greeting(InfoHash::new([2; 20])), "info_hash"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "handshake"),
        (ours(&[0, 0, 0, 2, 5, 0xff]), "bad_bitfield"),
        (ours(&[0, 0, 0, 2, 0, 0]), "bad_message"),
        (ours(&[0, 0, 0, 1, 14]), "fast_violation"),
        (ours(&[0, 0, 0, 5, 4, 0, 0, 0, 7]), "out_of_range"),
        (unrequested, "unrequested"),
    ];
    for (bytes, why) in rows {
        let peer = Scripted::new(pieces, 1, move |_, wire| {
            wire.send(&bytes);
            wire.drain();
        });
        let address = peer.address.to_string();
        // A banned peer doesn't count as one that is left.
        let (code, said) = shared.start("leech", &["--no-trackers", "--peer", &address]).end();
        assert_eq!(code, Some(3), "{why}: {said}");
        let closed = format!("{{\"event\":\"peer_closed\",\"peer\":\"{address}\",\"why\":\"{why}\"}}");
        assert!(said.contains(&closed), "{why}: {said}");
        peer.join();
    }
}

/// R154: they give way to who comes after them.
#[test]
fn silent_connections_keep_no_peer_out() {
    let shared = Shared::new(100_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let port = seed.port();
    let silent: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
    let peer = format!("127.0.0.1:{port}");
    let (code, said) = shared.start("leech", &["--no-trackers", "--exit-when-done", "--peer", &peer]).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("\"peer_closed\"").count(), 1, "it was let in at the first try: {said}");
    drop(silent);
}

fn greeting(hash: InfoHash) -> Vec<u8> {
    plain_handshake(hash, b"-XX0001-abcdefghijkl").to_vec()
}

/// P-02: a peer sends our own handshake back.
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
    let (wake, woken) = std::sync::mpsc::channel::<()>();
    let data = shared.data.clone();
    let liar = Scripted::new(pieces, 1, move |_, wire| {
        wire.greet(hash, b"-XX0001-abcdefghijkl");
        wire.seed(&data, 16_384, |piece, block| {
            if piece == 1 {
                block.fill(0xff);
            }
            true
        });
    });
    // The honest peer sends nothing before the other one has been banned.
    let data = shared.data.clone();
    let honest = Scripted::new(pieces, 1, move |_, wire| {
        wire.greet(hash, b"-XX0002-abcdefghijkl");
        woken.recv().unwrap();
        wire.seed(&data, 16_384, |_, _| true);
    });
    let (bad, good) = (liar.address.to_string(), honest.address.to_string());
    let mut leech =
        shared.start("leech", &["--no-trackers", "--exit-when-done", "--peer", &bad, "--peer", &good]);
    assert!(leech.wait_for("piece_bad").contains(&format!("\"piece\":1,\"peer\":\"{bad}\"")));
    assert!(leech.wait_for("peer_banned").contains(&bad));
    wake.send(()).unwrap();
    let (code, said) = leech.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("leech"));
    liar.join();
    honest.join();
}
