//! Peers that break the protocol or lie, by the rows of the conformance list.

use super::*;

const TINY: Block = Block { piece: 0, begin: 0, length: BLOCK };

/// P-03: a bitfield of the wrong size, with spare bits, twice, or late.
#[test]
fn a_wrong_bitfield_closes() {
    let rows: [&[Message<'_>]; 6] = [
        &[Message::Bitfield(&[0xff, 0])],
        &[Message::Bitfield(&[])],
        &[Message::Bitfield(&[0xe1])],
        &[Message::Bitfield(&[0xe0]), Message::Bitfield(&[0xe0])],
        &[Message::Have(0), Message::Bitfield(&[0xe0])],
        &[Message::Unchoke, Message::Bitfield(&[0xe0])],
    ];
    for messages in rows {
        let mut rig = Rig::new(40_000, 16_384);
        let peer = rig.connect();
        let said: Vec<_> = messages.iter().map(|message| rig.say(peer, *message)).collect();
        assert_eq!(said.last(), Some(&Err(Why::BadBitfield)), "{messages:?}");
    }
    // Extended messages and keep-alives may come before it.
    let mut rig = Rig::new(40_000, 16_384);
    let peer = rig.connect();
    for message in
        [Message::KeepAlive, Message::Extended(0, b"de"), Message::Unknown(9), Message::Bitfield(&[0xe0])]
    {
        rig.say(peer, message).unwrap();
    }
}

/// P-04: what was never asked for, at another offset, of another length, or twice.
#[test]
fn an_unrequested_block_closes() {
    let rows: [(Block, Why); 6] = [
        (Block { piece: 1, ..TINY }, Why::Unrequested),
        (Block { begin: 1, ..TINY }, Why::OutOfRange),
        (Block { length: 100, ..TINY }, Why::Unrequested),
        (Block { begin: 100, length: 100, ..TINY }, Why::Unrequested),
        (Block { length: 0, ..TINY }, Why::OutOfRange),
        (Block { piece: 3, ..TINY }, Why::OutOfRange),
    ];
    for (block, expected) in rows {
        let mut rig = Rig::new(40_000, 16_384);
        let peer = rig.unchoking(&[0]);
        assert_eq!(rig.requests(peer), [TINY]);
        let data = vec![0; block.length as usize];
        let said = rig.say(peer, Message::Piece { piece: block.piece, begin: block.begin, data: &data });
        assert_eq!(said, Err(expected), "{block:?}");
        assert!(!rig.swarm.pieces.have().get(0) && !rig.swarm.pieces.have().get(1));
    }
    let mut rig = Rig::new(40_000, 16_384);
    let peer = rig.unchoking(&[0]);
    rig.send(peer, TINY, true).unwrap();
    assert_eq!(rig.send(peer, TINY, true), Err(Why::Unrequested));
}

/// P-05, with offsets that wrap.
#[test]
fn messages_out_of_range_close_the_connection() {
    let block = |piece, begin, length| Block { piece, begin, length };
    let rows = [
        Message::Have(3),
        Message::Have(u32::MAX),
        Message::Request(block(3, 0, BLOCK)),
        Message::Request(block(2, 0, BLOCK)),
        Message::Request(block(0, u32::MAX, BLOCK)),
        Message::Request(block(0, u32::MAX - BLOCK + 1, BLOCK)),
        Message::Request(block(0, 0, 0)),
        Message::Request(block(0, 16_384, 1)),
        Message::Request(block(u32::MAX, u32::MAX, u32::MAX)),
        Message::Cancel(block(3, 0, BLOCK)),
        Message::Cancel(block(0, u32::MAX, u32::MAX)),
        Message::Piece { piece: 3, begin: 0, data: &[0; 16] },
        Message::Piece { piece: 0, begin: u32::MAX, data: &[0; 16] },
    ];
    for message in rows {
        let mut rig = Rig::with(40_000, 16_384, &[0, 1, 2], 1);
        let peer = rig.connect();
        assert_eq!(rig.say(peer, message), Err(Why::OutOfRange), "{message:?}");
    }
    let mut rig = Rig::with(1 << 20, 1 << 20, &[0], 1);
    let peer = rig.connect();
    rig.say(peer, Message::Request(block(0, 0, 128 << 10))).unwrap();
    assert_eq!(rig.say(peer, Message::Request(block(0, 0, (128 << 10) + 1))), Err(Why::OutOfRange));
}

/// P-06: data of one peer that fails its hash bans it, and the piece comes from another.
#[test]
fn who_alone_sent_a_bad_piece_is_banned() {
    let mut rig = Rig::new(2 * 32_768, 32_768);
    let liar = rig.seed();
    for block in rig.requests(liar) {
        let _ = rig.send(liar, block, block.piece != 1);
    }
    assert_eq!(rig.why(liar), Some(Why::HashFail));
    let address = SocketAddr::from(([192, 0, 2, 1], 6881));
    assert!(rig.events.contains(&Event::PieceBad { piece: 1, peer: Some(address) }));
    assert!(rig.events.contains(&Event::PeerBanned { peer: address }));
    // Neither from another port nor under another id.
    assert_eq!(rig.connect_from(SocketAddr::from(([192, 0, 2, 1], 9)), 99), Err(Why::Banned));
    assert!(!rig.swarm.admits(address));
    let honest = rig.seed();
    for block in rig.requests(honest) {
        rig.send(honest, block, true).unwrap();
    }
    assert!(rig.swarm.is_complete());
}

/// P-06: of several sources the one whose block differs from the good one is banned, and only that one.
#[test]
fn among_several_the_liar_is_found() {
    let mut rig = Rig::new(4 * 16_384, 4 * 16_384);
    let (liar, honest) = (rig.seed(), rig.seed());
    let asked = rig.requests(liar);
    rig.send(liar, asked[0], false).unwrap();
    rig.say(liar, Message::Choke).unwrap();
    rig.requests(honest);
    for block in &asked[1..] {
        rig.send(honest, *block, true).unwrap();
    }
    assert!(rig.events.contains(&Event::PieceBad { piece: 0, peer: None }));
    assert!(rig.closed.is_empty());
    // From one alone now, though the other lets us ask again.
    let again = rig.requests(honest);
    assert_eq!(again, asked);
    rig.say(liar, Message::Unchoke).unwrap();
    assert_eq!(rig.requests(liar), []);
    for block in again {
        rig.send(honest, block, true).unwrap();
    }
    assert!(rig.swarm.is_complete());
    assert!(rig.events.contains(&Event::PeerBanned { peer: SocketAddr::from(([192, 0, 2, 1], 6881)) }));
    assert_eq!(rig.why(liar), Some(Why::HashFail));
    assert_eq!(rig.why(honest), Some(Why::Redundant));
}

/// P-06: the liar takes the piece alone, fails, and is banned before it can be asked again.
#[test]
fn the_same_piece_is_never_asked_of_a_liar_twice() {
    let mut rig = Rig::new(4 * 16_384, 4 * 16_384);
    let (liar, honest) = (rig.seed(), rig.seed());
    let asked = rig.requests(liar);
    rig.requests(honest);
    rig.send(honest, asked[0], true).unwrap();
    for block in &asked[1..] {
        rig.send(liar, *block, false).unwrap();
    }
    // The one who sent the last block is asked first.
    for block in rig.requests(liar) {
        let _ = rig.send(liar, block, false);
    }
    if rig.why(liar).is_none() {
        for block in rig.requests(honest) {
            rig.send(honest, block, true).unwrap();
        }
    }
    assert_eq!(rig.why(liar), Some(Why::HashFail));
    for block in rig.requests(honest) {
        rig.send(honest, block, true).unwrap();
    }
    assert!(rig.swarm.is_complete());
}

/// P-07: a block that doesn't come within 30 seconds is asked for elsewhere; a late one is no offence.
#[test]
fn a_silent_peer_loses_its_requests() {
    let mut rig = Rig::new(40 * 16_384, 16_384);
    let silent = rig.unchoking(&[7]);
    assert_eq!(rig.requests(silent).len(), 1);
    let other = rig.unchoking(&[7]);
    // The rest isn't there yet, so this is no end-game.
    assert_eq!(rig.requests(other), []);
    rig.wait(29);
    assert_eq!(rig.requests(other), []);
    rig.wait(2);
    let block = Block { piece: 7, ..TINY };
    let asked = [rig.requests(other), rig.requests(silent)].concat();
    assert_eq!(asked, [block]);
    rig.send(silent, block, true).unwrap();
    assert!(rig.swarm.pieces.have().get(7));
}

/// P-07: a peer that sends nothing for 130 seconds is gone; a keep-alive counts.
#[test]
fn a_dead_peer_is_closed() {
    let mut rig = Rig::new(40_000, 16_384);
    let (dead, quiet) = (rig.connect(), rig.connect());
    rig.wait(100);
    rig.say(quiet, Message::KeepAlive).unwrap();
    assert!(rig.hear(quiet).contains(&Heard::Other), "we say that we are here as well");
    rig.wait(29);
    assert_eq!(rig.why(dead), None);
    rig.wait(2);
    assert_eq!((rig.why(dead), rig.why(quiet)), (Some(Why::Timeout), None));
}

/// P-07, P-12: choking in turns, and messages that change nothing, without end.
#[test]
fn floods_of_pointless_messages_close() {
    let floods: [&[Message<'_>]; 6] = [
        &[Message::Choke, Message::Unchoke],
        &[Message::Interested],
        &[Message::Have(1)],
        &[Message::Request(TINY)],
        &[Message::Cancel(TINY)],
        &[Message::Extended(0, b"de")],
    ];
    for flood in floods {
        let mut rig = Rig::with(40_000, 16_384, &[0], 1);
        let peer = rig.connect();
        let ended = (0..2000).find(|_| flood.iter().any(|message| rig.say(peer, *message).is_err()));
        assert!(ended.is_some(), "{flood:?}");
        assert_eq!(rig.why(peer), Some(Why::BadMessage), "{flood:?}");
    }
    let mut rig = Rig::new(40_000, 16_384);
    let peer = rig.connect();
    for _ in 0..10_000 {
        rig.say(peer, Message::KeepAlive).unwrap();
        rig.say(peer, Message::Unknown(99)).unwrap();
    }
}

/// P-10: our own address handed back.
#[test]
fn we_are_no_peer_of_ours() {
    let mut rig = Rig::new(40_000, 16_384);
    let own = SocketAddr::from(([192, 0, 2, 9], 6881));
    assert_eq!(rig.swarm.add_peers([own], rig.now), 1);
    rig.settle();
    assert_eq!(rig.dialled, [own]);
    let handshake =
        Handshake { peer_id: PeerId::new([0; 20]), extended: true, dht: false, fast: false, method: None };
    let refused = rig.swarm.connected(own, true, handshake, rig.now).unwrap_err();
    assert_eq!(refused, Why::Myself);
    rig.swarm.not_connected(own, true, refused, rig.now);
    rig.wait(100);
    assert_eq!(rig.dialled.len(), 1);
    assert!(rig.swarm.is_out_of_peers());
}

/// P-11: connections are limited for each host and in all, and each peer has one.
#[test]
fn connections_are_limited() {
    let mut rig = Rig::new(40_000, 16_384);
    let from = |host, port| SocketAddr::from(([192, 0, 2, host], port));
    for port in 1..=3 {
        rig.connect_from(from(1, port), u8::try_from(port).unwrap()).unwrap();
    }
    assert!(!rig.swarm.admits(from(1, 4)));
    assert_eq!(rig.connect_from(from(1, 4), 4), Err(Why::Full));
    rig.connect_from(from(2, 1), 1).unwrap();
    assert_eq!(rig.connect_from(from(2, 2), 1), Err(Why::Duplicate));
    for host in 10..56 {
        rig.connect_from(from(host, 1), host).unwrap();
    }
    assert_eq!(rig.connect_from(from(99, 1), 99), Err(Why::Full));
    assert!(!rig.swarm.admits(from(99, 1)));
}

/// Both sides dialled each other: both keep the connection of the one with the greater id.
#[test]
fn of_two_connections_both_sides_keep_the_same() {
    let mut rig = Rig::new(40_000, 16_384);
    let handshake =
        Handshake { peer_id: PeerId::new([5; 20]), extended: false, dht: false, fast: false, method: None };
    let address = SocketAddr::from(([192, 0, 2, 1], 6881));
    // Our id is smaller, so theirs stays: the one that came in.
    let ours = rig.swarm.connected(address, true, handshake, rig.now).unwrap();
    let theirs = rig.swarm.connected(SocketAddr::from(([192, 0, 2, 1], 50_000)), false, handshake, rig.now);
    rig.settle();
    assert!(theirs.is_ok());
    // A peer by another rule may close theirs, so ours stays for a moment.
    assert_eq!(rig.why(ours), None);
    rig.wait(3);
    assert_eq!(rig.why(ours), Some(Why::Duplicate));
    let again = rig.swarm.connected(address, true, handshake, rig.now);
    assert_eq!(again, Err(Why::Duplicate));
}

/// The last peer goes while the disk is at work on what it gave: that isn't the end yet.
#[test]
fn pieces_under_check_are_waited_for() {
    let mut rig = Rig::new(16_384, 16_384);
    let address = SocketAddr::from(([192, 0, 2, 1], 6881));
    rig.swarm.add_peers([address], rig.now);
    rig.settle();
    let handshake =
        Handshake { peer_id: PeerId::new([5; 20]), extended: false, dht: false, fast: false, method: None };
    let peer = rig.swarm.connected(address, true, handshake, rig.now).unwrap();
    rig.say(peer, Message::Bitfield(&[0x80])).unwrap();
    rig.say(peer, Message::Unchoke).unwrap();
    let data = rig.block(TINY, true);
    rig.swarm.message(peer, Message::Piece { piece: 0, begin: 0, data: &data }, rig.now).unwrap();
    rig.swarm.disconnected(peer, Why::BadMessage, rig.now);
    assert!(!rig.swarm.is_out_of_peers());
    rig.settle();
    assert!(rig.swarm.is_complete());
}

/// P-15: who reads nothing is closed before its queue grows large.
#[test]
fn a_peer_that_reads_nothing_is_closed() {
    let mut rig = Rig::new(16_384, 16_384);
    let peer = rig.connect();
    for _ in 0..200_000 {
        rig.swarm.outgoing(peer).unwrap().push(&Message::Have(0));
    }
    rig.wait(1);
    assert_eq!(rig.why(peer), Some(Why::Io));
}

/// R150: only what was stored of a piece has to be forgotten, so no peer fills the disk's queue by choking.
#[test]
fn a_piece_of_which_nothing_was_stored_is_not_forgotten() {
    let piece_length = 3 << 20;
    let mut rig = Rig::new(piece_length, piece_length);
    let (liar, other) = (rig.seed(), rig.seed());
    // Two have a part in a bad piece, so that it is fetched from one alone.
    let first = rig.requests(liar)[0];
    rig.send(liar, first, false).unwrap();
    rig.say(liar, Message::Choke).unwrap();
    while !rig.events.iter().any(|event| matches!(event, Event::PieceBad { .. })) {
        for block in rig.requests(other) {
            rig.send(other, block, true).unwrap();
        }
    }
    rig.stalled = true;
    rig.say(other, Message::Choke).unwrap();
    rig.settle();
    let before = rig.disk.len();
    for _ in 0..50 {
        rig.say(liar, Message::Unchoke).unwrap();
        assert!(!rig.requests(liar).is_empty());
        rig.say(liar, Message::Choke).unwrap();
    }
    assert_eq!(rig.disk.len(), before, "{:?}", rig.disk);
}
