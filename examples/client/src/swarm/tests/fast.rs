//! The fast extension (BEP 6), with peers that speak it and some that don't.

use super::*;
use crate::swarm::uploads::MAX_LOADS;
use crate::wire::allowed_fast::allowed_fast;

const FIRST: Block = Block { piece: 0, begin: 0, length: BLOCK };

/// A peer that has everything, says so in one word, and lets us ask.
fn seed(rig: &mut Rig) -> PeerKey {
    let key = rig.connect_fast();
    rig.say(key, Message::HaveAll).unwrap();
    rig.say(key, Message::Unchoke).unwrap();
    key
}

/// The requests that were rejected.
fn rejects(heard: &[Heard]) -> Vec<Block> {
    let block = |heard: &Heard| if let Heard::Reject(block) = heard { Some(*block) } else { None };
    heard.iter().filter_map(block).collect()
}

#[test]
fn the_first_message_says_what_we_have() {
    let rows: [(&[u32], Heard, Option<Heard>); 3] = [
        (&[], Heard::HaveNone, None),
        (&[1], Heard::Bitfield(vec![0x40]), Some(Heard::Bitfield(vec![0x40]))),
        (&[0, 1, 2], Heard::HaveAll, Some(Heard::Bitfield(vec![0xe0]))),
    ];
    for (have, fast, plain) in rows {
        let mut rig = Rig::with(40_000, 16_384, have, 1);
        let (with, without) = (rig.connect_fast(), rig.connect());
        assert_eq!(rig.hear(with), [fast]);
        assert_eq!(rig.hear(without), plain.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn who_does_not_speak_it_may_not_use_it() {
    for message in [
        Message::HaveAll,
        Message::HaveNone,
        Message::Suggest(0),
        Message::Reject(FIRST),
        Message::AllowedFast(0),
    ] {
        let mut rig = Rig::new(40_000, 16_384);
        let peer = rig.connect();
        assert_eq!(rig.say(peer, message), Err(Why::FastViolation), "{message:?}");
    }
}

/// aria2 announces pieces that it has got from others by a bitfield, and the last one by `have all`.
#[test]
fn who_got_pieces_may_say_so_at_once_by_a_bitfield() {
    let mut rig = Rig::with(40_000, 16_384, &[0, 1, 2], 1);
    let peer = rig.connect_fast();
    rig.say(peer, Message::HaveNone).unwrap();
    rig.say(peer, Message::Bitfield(&[0x80])).unwrap();
    rig.say(peer, Message::Bitfield(&[0xc0])).unwrap();
    assert_eq!(rig.peer(peer).has.all().as_bytes(), [0xc0]);
    // Fewer, nothing new, and spare bits.
    for wrong in [[0x80], [0xc0], [0xe1]] {
        let said = rig.swarm.message(peer, Message::Bitfield(&wrong), rig.now);
        assert_eq!(said, Err(Why::BadBitfield), "{wrong:?}");
    }
    rig.wait(3);
    rig.say(peer, Message::HaveAll).unwrap();
    assert_eq!(rig.why(peer), Some(Why::Redundant), "both have everything");
}

#[test]
fn what_a_peer_has_is_said_once_and_first() {
    let rows: [&[Message<'_>]; 6] = [
        &[Message::HaveAll, Message::HaveAll],
        &[Message::HaveNone, Message::HaveAll],
        &[Message::HaveNone, Message::HaveNone],
        &[Message::Bitfield(&[0xe0]), Message::HaveAll],
        &[Message::Have(0), Message::HaveNone],
        &[Message::AllowedFast(0), Message::HaveAll],
    ];
    for messages in rows {
        let mut rig = Rig::new(40_000, 16_384);
        let peer = rig.connect_fast();
        let said: Vec<_> = messages.iter().map(|message| rig.say(peer, *message)).collect();
        assert_eq!(said.last(), Some(&Err(Why::BadBitfield)), "{messages:?}");
    }
    let mut rig = Rig::new(40_000, 16_384);
    let peer = rig.connect_fast();
    for message in [Message::KeepAlive, Message::Extended(0, b"de"), Message::HaveAll] {
        rig.say(peer, message).unwrap();
    }
    assert!(rig.hear(peer).contains(&Heard::Interested));
}

#[test]
fn what_is_beyond_the_torrent_closes_the_connection() {
    for message in [
        Message::Suggest(3),
        Message::AllowedFast(3),
        Message::AllowedFast(u32::MAX),
        Message::Reject(Block { piece: 3, ..FIRST }),
        Message::Reject(Block { begin: u32::MAX, ..FIRST }),
        Message::Reject(Block { length: 0, ..FIRST }),
    ] {
        let mut rig = Rig::new(40_000, 16_384);
        let peer = seed(&mut rig);
        assert_eq!(rig.say(peer, message), Err(Why::OutOfRange), "{message:?}");
    }
}

/// Suggestions are read; floods of them, of rejects without a request and of what was allowed already end it.
#[test]
fn floods_of_what_changes_nothing_close_the_connection() {
    for message in [Message::Suggest(0), Message::Reject(FIRST), Message::AllowedFast(0)] {
        let mut rig = Rig::new(40_000, 16_384);
        let peer = rig.connect_fast();
        rig.say(peer, Message::HaveNone).unwrap();
        let count = (0..2000).find(|_| rig.say(peer, message) == Err(Why::BadMessage));
        assert!(count.is_some_and(|count| count >= 1000), "{message:?}: {count:?}");
    }
}

#[test]
fn a_rejected_block_is_asked_of_another_peer_at_once() {
    let mut rig = Rig::new(200 * BLOCK as usize, 10 * BLOCK as usize);
    let refusing = seed(&mut rig);
    let asked = rig.requests(refusing);
    let rejected = asked[1];
    rig.say(refusing, Message::Reject(rejected)).unwrap();
    // It isn't asked for more, or the same would go to and fro as fast as the network is.
    rig.send(refusing, asked[0], true).unwrap();
    assert_eq!(rig.requests(refusing), []);
    let other = rig.seed();
    assert!(rig.requests(other).contains(&rejected));
    // After a while it is asked again; what it has rejected counts as answered.
    rig.wait(1);
    assert!(!rig.requests(refusing).is_empty());
    assert_eq!(rig.peer(refusing).pointless(), 0);
    // And at once means within the same read, of a peer that waited for something to do.
    let mut rig = Rig::new(4 * BLOCK as usize, 4 * BLOCK as usize);
    let (refusing, idle) = (seed(&mut rig), rig.seed());
    let asked = rig.requests(refusing);
    rig.hear(idle);
    for block in &asked[1..] {
        rig.send(refusing, *block, true).unwrap();
    }
    rig.hear(idle);
    rig.say(refusing, Message::Reject(asked[0])).unwrap();
    assert!(rig.peer(idle).download.is_asked(asked[0]));
    rig.send(idle, asked[0], true).unwrap();
    assert!(rig.swarm.is_complete());
}

/// It drops what it was asked for, in other words, and the words may come before the choke or after it.
#[test]
fn rejects_around_a_choke_are_no_offence() {
    for before in [true, false] {
        let mut rig = Rig::new(200 * BLOCK as usize, 10 * BLOCK as usize);
        let peer = seed(&mut rig);
        for _ in 0..20 {
            let asked: Vec<Block> = rig.peer(peer).download.asked().collect();
            assert!(!asked.is_empty());
            if !before {
                rig.say(peer, Message::Choke).unwrap();
            }
            for block in asked {
                rig.say(peer, Message::Reject(block)).unwrap();
            }
            if before {
                rig.say(peer, Message::Choke).unwrap();
            }
            assert_eq!(rig.peer(peer).download.asked().next(), None);
            rig.wait(1);
            rig.say(peer, Message::Unchoke).unwrap();
            let first = rig.peer(peer).download.asked().next().unwrap();
            rig.send(peer, first, true).unwrap();
        }
        assert_eq!(rig.peer(peer).pointless(), 0);
    }
}

#[test]
fn a_choking_peer_is_asked_for_what_it_allows_and_for_nothing_else() {
    let mut rig = Rig::new(40 * BLOCK as usize, 2 * BLOCK as usize);
    let peer = rig.connect_fast();
    rig.say(peer, Message::HaveAll).unwrap();
    assert_eq!(rig.requests(peer), []);
    rig.say(peer, Message::AllowedFast(7)).unwrap();
    let mut asked = Vec::new();
    loop {
        let new = rig.requests(peer);
        if new.is_empty() {
            break;
        }
        for block in new {
            asked.push(block);
            rig.send(peer, block, true).unwrap();
        }
    }
    assert_eq!(asked, [0, BLOCK].map(|begin| Block { piece: 7, begin, length: BLOCK }));
    assert!(rig.swarm.pieces.have().get(7));
    // What it allows and rejects all the same isn't asked for again.
    rig.say(peer, Message::AllowedFast(8)).unwrap();
    let rejected = rig.requests(peer)[0];
    assert_eq!(rejected.piece, 8);
    rig.say(peer, Message::Reject(rejected)).unwrap();
    rig.wait(2);
    assert!(!rig.peer(peer).download.is_asked(rejected));
    // A choke leaves what is allowed.
    rig.say(peer, Message::Unchoke).unwrap();
    rig.say(peer, Message::AllowedFast(9)).unwrap();
    rig.wait(1);
    let of_nine = |rig: &Rig| rig.peer(peer).download.asked().filter(|block| block.piece == 9).count();
    let before = of_nine(&rig);
    rig.say(peer, Message::Choke).unwrap();
    assert!(of_nine(&rig) >= before);
    assert!(rig.peer(peer).download.asked().all(|block| block.piece == 9));
}

/// One that gave a bad piece together with others is asked for a whole one alone; it may not keep that up by rejecting it.
#[test]
fn a_piece_that_is_fetched_from_one_peer_alone_begins_anew_when_that_rejects_it() {
    let mut rig = Rig::new(4 * BLOCK as usize, 4 * BLOCK as usize);
    let (one, two) = (seed(&mut rig), seed(&mut rig));
    let asked = rig.requests(one);
    rig.send(one, asked[0], false).unwrap();
    for block in &asked[1..] {
        if rig.peer(two).download.is_asked(*block) {
            rig.send(two, *block, true).unwrap();
        } else {
            rig.send(one, *block, true).unwrap();
        }
    }
    // Whichever it is that was chosen, it gives nothing.
    for round in 0..3 {
        rig.wait(1);
        let Some(chosen) =
            [one, two].into_iter().find(|&key| rig.peer(key).download.asked().next().is_some())
        else {
            panic!("round {round}: no peer is asked");
        };
        let blocks: Vec<Block> = rig.peer(chosen).download.asked().collect();
        for block in blocks {
            rig.say(chosen, Message::Reject(block)).unwrap();
        }
    }
    let honest = rig.seed();
    for _ in 0..20 {
        for key in [one, two] {
            // The liar among them is banned in the end.
            let Some(peer) = rig.swarm.peers.get(key) else { continue };
            let blocks: Vec<Block> = peer.download.asked().collect();
            for block in blocks {
                rig.say(key, Message::Reject(block)).unwrap();
            }
        }
        for block in rig.requests(honest) {
            rig.send(honest, block, true).unwrap();
        }
        rig.wait(1);
    }
    assert!(rig.swarm.is_complete());
}

#[test]
fn each_request_is_answered() {
    let mut rig = Rig::with(40 * BLOCK as usize, 20 * BLOCK as usize, &[0], 1);
    let peer = rig.connect_fast();
    rig.say(peer, Message::Bitfield(&[0x00])).unwrap();
    rig.hear(peer);
    // Choked, and without an allowance.
    rig.peer_mut(peer).upload.allow([].into());
    rig.say(peer, Message::Request(FIRST)).unwrap();
    assert_eq!(rejects(&rig.hear(peer)), [FIRST]);
    rig.say(peer, Message::Interested).unwrap();
    assert_eq!(rig.hear(peer), [Heard::Unchoke]);
    // Not here, and twice the same. The first is read at once, so further ones wait.
    let block = |at: u32| Block { piece: 0, begin: at * BLOCK, length: BLOCK };
    let missing = Block { piece: 1, ..FIRST };
    rig.say(peer, Message::Request(missing)).unwrap();
    for at in [0, 1, 2, 3, 3] {
        rig.say(peer, Message::Request(block(at))).unwrap();
    }
    rig.say(peer, Message::Cancel(block(2))).unwrap();
    // One that is on its way is answered by the block.
    rig.say(peer, Message::Cancel(block(0))).unwrap();
    let heard = rig.hear(peer);
    assert_eq!(rejects(&heard), [missing, block(3), block(2)]);
    assert_eq!(heard.iter().filter(|heard| **heard == Heard::Other).count(), 3, "blocks 0, 1 and 3");
}

#[test]
fn a_choke_rejects_what_waits_and_what_crosses_it() {
    let mut rig = Rig::with(40 * BLOCK as usize, 40 * BLOCK as usize, &[0], 1);
    let peers: Vec<PeerKey> = (0..9).map(|_| rig.connect_fast()).collect();
    for &peer in &peers {
        rig.say(peer, Message::HaveNone).unwrap();
        rig.peer_mut(peer).upload.allow([].into());
        rig.say(peer, Message::Interested).unwrap();
        rig.hear(peer);
    }
    let block = |at: u32| Block { piece: 0, begin: at * BLOCK, length: BLOCK };
    // Those that may ask do, and read nothing; in time one of them has to give its slot to another.
    let mut answered = false;
    for _ in 0..12 {
        for &peer in &peers {
            if !rig.peer(peer).upload.is_choked() && rig.peer(peer).upload.wants().is_empty() {
                (0..30).for_each(|at| rig.say(peer, Message::Request(block(at))).unwrap());
            }
        }
        let waiting: BTreeMap<PeerKey, Vec<Block>> = peers
            .iter()
            .map(|&peer| (peer, rig.peer(peer).upload.wants().iter().copied().collect()))
            .collect();
        rig.wait(10);
        for (&peer, waiting) in waiting.iter().filter(|(_, waiting)| !waiting.is_empty()) {
            if rig.peer(peer).upload.is_choked() {
                rig.say(peer, Message::Request(block(39))).unwrap();
                let heard = rig.hear(peer);
                assert!(heard.contains(&Heard::Choke));
                assert_eq!(rejects(&heard), [&waiting[..], &[block(39)]].concat());
                assert_eq!(rig.peer(peer).pointless(), 0);
                answered = true;
            }
        }
    }
    assert!(answered, "no peer was choked");
    assert!(rig.swarm.uploads.loads() <= MAX_LOADS);
}

#[test]
fn lost_pieces_reject_what_waits_for_them() {
    let mut rig = Rig::with(40 * BLOCK as usize, 20 * BLOCK as usize, &[0, 1], 1);
    let peer = rig.connect_fast();
    rig.say(peer, Message::HaveNone).unwrap();
    rig.say(peer, Message::Interested).unwrap();
    rig.stalled = true;
    for at in 0..6 {
        rig.say(peer, Message::Request(Block { piece: at % 2, begin: at * BLOCK, length: BLOCK })).unwrap();
    }
    let waiting: Vec<Block> = rig.peer(peer).upload.wants().iter().copied().collect();
    rig.swarm.lost(&[1].into(), "gone".into(), rig.now);
    let expected: Vec<Block> = waiting.into_iter().filter(|block| block.piece == 1).collect();
    assert!(!expected.is_empty());
    assert_eq!(rejects(&rig.hear(peer)), expected);
}

#[test]
fn a_peer_without_pieces_may_ask_for_some_though_it_is_choked() {
    let all: Vec<u32> = (0..100).collect();
    let mut rig = Rig::with(100 * BLOCK as usize, BLOCK as usize, &all, 1);
    let peer = rig.connect_fast();
    rig.say(peer, Message::HaveNone).unwrap();
    let allowed = allowed_fast([192, 0, 2, 1].into(), rig.torrent.info_hash, 100);
    let expected = allowed.iter().map(|&piece| Heard::AllowedFast(piece));
    assert_eq!(rig.hear(peer), [Heard::HaveAll].into_iter().chain(expected).collect::<Vec<_>>());
    let first = |piece| Block { piece, begin: 0, length: BLOCK };
    let other = (0..100).find(|piece| !allowed.contains(piece)).unwrap();
    for piece in [*allowed.first().unwrap(), other] {
        rig.say(peer, Message::Request(first(piece))).unwrap();
    }
    let heard = rig.hear(peer);
    assert_eq!(rejects(&heard), [first(other)]);
    assert!(heard.contains(&Heard::Other) && !heard.contains(&Heard::Unchoke), "{heard:?}");
    // One that has pieces to give needs none, nor does one that doesn't speak the extension, or is out of reach of the rule.
    let rich = rig.connect_fast();
    let mut bits = Bitfield::empty(100);
    (0..10).for_each(|piece| assert!(bits.insert(piece)));
    rig.say(rich, Message::Bitfield(bits.as_bytes())).unwrap();
    assert_eq!(rig.hear(rich), [Heard::HaveAll]);
    let v6 = rig.connect_speaking("[2001:db8::1]:1".parse().unwrap(), 99, true).unwrap();
    rig.say(v6, Message::HaveNone).unwrap();
    assert_eq!(rig.hear(v6), [Heard::HaveAll]);
}
