//! Peer exchange (BEP 11) among three clients: one of them knows a single other, and finds the third through it.

use super::*;

/// A seed, and a client that knows it and is slow enough to need it for the whole test.
fn seed_and_hub(shared: &Shared) -> (Client, Client, String) {
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let seed_address = format!("127.0.0.1:{}", seed.port());
    let mut hub = shared.start("hub", &["--no-trackers", "--down", "1", "--peer", &seed_address]);
    let hub_address = format!("127.0.0.1:{}", hub.port());
    hub.wait_for("peer_connected");
    (seed, hub, hub_address)
}

#[test]
fn a_client_that_knows_one_peer_finds_the_others_through_it() {
    let shared = Shared::new(300_000, &[]);
    let (_seed, _hub, hub) = seed_and_hub(&shared);
    let (code, said) = shared.start("leech", &["--no-trackers", "--exit-when-done", "--peer", &hub]).end();
    assert_eq!(code, Some(0), "{said}");
    // One of the two has dialled the other, or both have: each was sent the address.
    assert!(said.matches("\"peer_connected\"").count() >= 2, "{said}");
    assert!(shared.is_whole("leech"));
}

/// BEP 27: what the extension handshake of a private torrent offers, and what comes in two of our minutes of exchange.
#[test]
fn clients_of_a_private_torrent_do_not_learn_of_each_other() {
    let shared = Shared::private(300_000);
    let (_seed, mut hub, hub_address) = seed_and_hub(&shared);
    let stream = TcpStream::connect(&hub_address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let mut wire = Wire { stream, buffer: Vec::new(), pieces: shared.torrent.pieces() };
    wire.send(&handshake::write(shared.torrent.info_hash, PeerId::new(*b"-XX0001-abcdefghijkl"), false));
    wire.stream.read_exact(&mut [0; handshake::LENGTH]).unwrap();
    // A peer that breaks the rule, offering and sending.
    wire.say(&Message::Extended(0, b"d1:md6:ut_pexi1eee"));
    let named = b"d5:added6:\x7f\0\0\x01\0\x097:added.f1:\0e";
    wire.say(&Message::Extended(1, named));
    let mut extended = Vec::new();
    wire.each(|_, message| {
        if let Message::Extended(id, body) = message {
            extended.push((id, body.to_vec()));
        }
    });
    assert_eq!(extended.len(), 1, "the handshake, and nothing else: {extended:?}");
    let (id, body) = &extended[0];
    assert_eq!((*id, body.windows(6).any(|part| part == b"ut_pex")), (0, false));
    drop(wire);
    hub.process.kill().unwrap();
    let (_, said) = hub.end();
    assert!(!said.contains("127.0.0.1:9\""), "the peer that was named isn't dialled: {said}");
}
