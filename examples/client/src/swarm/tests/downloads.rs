//! Downloads as they should go.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::select::Selection;
use crate::torrent::tests::multi;

#[test]
fn a_seed_gives_everything() {
    let mut rig = Rig::new(100_000, 32_768);
    let seed = rig.seed();
    let asked = rig.hear(seed);
    assert_eq!(asked[0], Heard::Interested);
    let requests: Vec<_> = asked
        .into_iter()
        .filter_map(|heard| if let Heard::Request(block) = heard { Some(block) } else { None })
        .collect();
    assert_eq!(requests.len(), 7);
    assert_eq!(requests.iter().map(|block| block.length).sum::<u32>(), 100_000);
    for block in requests {
        rig.send(seed, block, true).unwrap();
    }
    assert!(rig.swarm.is_complete());
    assert_eq!(rig.swarm.transfer().left, Some(0));
    assert_eq!(rig.swarm.transfer().downloaded, 100_000);
    assert!(rig.events.contains(&Event::Complete));
    // Both have everything, so neither needs the other.
    assert_eq!(rig.why(seed), Some(Why::Redundant));
}

#[test]
fn a_peer_is_not_asked_before_it_unchokes() {
    let mut rig = Rig::new(100_000, 16_384);
    let peer = rig.connect();
    rig.say(peer, Message::Bitfield(&[0xfe])).unwrap();
    assert_eq!(rig.hear(peer), [Heard::Interested]);
    rig.wait(20);
    assert_eq!(rig.hear(peer), []);
    rig.say(peer, Message::Unchoke).unwrap();
    assert_eq!(rig.requests(peer).len(), 7);
}

/// What is reported to the library, by which it decides whether further trackers are asked.
#[test]
fn peers_are_counted_by_what_they_are() {
    let mut rig = Rig::new(100_000, 16_384);
    let counts = |rig: &Rig| {
        let counts = rig.swarm.peer_counts();
        (counts.connected, counts.connecting, counts.seeds)
    };
    assert_eq!(counts(&rig), (0, 0, 0));
    let named = [1, 2, 3].map(|host| SocketAddr::from(([198, 51, 100, host], 6881)));
    rig.swarm.add_peers(named, rig.now);
    assert_eq!(counts(&rig), (0, 3, 0));
    let handshake =
        Handshake { peer_id: PeerId::new([7; 20]), extended: false, dht: false, fast: false, method: None };
    rig.swarm.connected(named[0], true, handshake, rig.now).unwrap();
    rig.swarm.not_connected(named[1], true, Why::Io, rig.now);
    assert_eq!(counts(&rig), (1, 1, 0));
    rig.connect();
    let seed = rig.seed();
    assert_eq!(counts(&rig), (3, 1, 1));
    rig.close(seed, Why::Eof);
    assert_eq!(counts(&rig), (2, 1, 0));
}

/// P-16: a peer without pieces, and one that announces them late.
#[test]
fn a_peer_with_nothing_is_not_asked() {
    let mut rig = Rig::new(100_000, 16_384);
    let peer = rig.connect();
    rig.say(peer, Message::Unchoke).unwrap();
    rig.wait(5);
    assert_eq!(rig.hear(peer), []);
    rig.say(peer, Message::Have(2)).unwrap();
    assert_eq!(
        rig.hear(peer),
        [Heard::Interested, Heard::Request(Block { piece: 2, begin: 0, length: BLOCK })]
    );
}

#[test]
fn the_rarest_pieces_come_first() {
    // One piece is here, so it is no longer a random one.
    let mut rig = Rig::with(20 * 16_384, 16_384, &[0], 3);
    let common: Vec<u32> = (0..20).filter(|piece| ![5, 9].contains(piece)).collect();
    rig.unchoking(&common);
    let first = rig.seed();
    rig.swarm.refill_all(rig.now);
    let asked: BTreeSet<u32> = rig.requests(first).into_iter().take(2).map(|block| block.piece).collect();
    assert_eq!(asked, BTreeSet::from([5, 9]));
}

#[test]
fn the_first_piece_is_a_random_one() {
    let firsts: BTreeSet<u32> = (0..20)
        .map(|seed| {
            let mut rig = Rig::with(50 * 16_384, 16_384, &[], seed);
            let peer = rig.seed();
            rig.requests(peer)[0].piece
        })
        .collect();
    assert!(firsts.len() > 10, "{firsts:?}");
}

#[test]
fn pieces_that_were_begun_come_first() {
    let mut rig = Rig::new(64 * 65_536, 65_536);
    let one = rig.seed();
    let asked = rig.requests(one);
    assert_eq!(asked.len(), 16);
    let pieces: BTreeSet<u32> = asked.iter().map(|block| block.piece).collect();
    assert_eq!(pieces.len(), 4);
    // It leaves, and another goes on with its pieces.
    rig.send(one, asked[0], true).unwrap();
    rig.close(one, Why::Eof);
    let other = rig.seed();
    let again: BTreeSet<u32> = rig.requests(other).iter().map(|block| block.piece).collect();
    assert!(again.contains(&asked[0].piece));
}

#[test]
fn the_window_grows_with_every_block() {
    let mut rig = Rig::new(1000 * 16_384, 16_384);
    let seed = rig.seed();
    let mut asked = rig.requests(seed);
    assert_eq!(asked.len(), 16);
    for _ in 0..16 {
        rig.send(seed, asked.remove(0), true).unwrap();
    }
    asked.extend(rig.requests(seed));
    assert_eq!(asked.len(), 32);
}

/// A peer's own limit binds (`reqq`, BEP 10).
#[test]
fn no_more_is_asked_than_the_peer_queues() {
    let mut rig = Rig::new(1000 * 16_384, 16_384);
    let peer = rig.connect();
    rig.say(peer, Message::Extended(0, b"d4:reqqi3e1:v4:teste")).unwrap();
    rig.say(peer, Message::Bitfield(&[0xff; 125])).unwrap();
    rig.say(peer, Message::Unchoke).unwrap();
    assert_eq!(rig.requests(peer).len(), 3);
}

/// End-game: the last blocks are asked for twice, and a cancel is sent to the slower one.
#[test]
fn the_last_blocks_are_asked_for_twice() {
    let mut rig = Rig::new(2 * 16_384, 16_384);
    let slow = rig.seed();
    let asked = rig.requests(slow);
    assert_eq!(asked.len(), 2);
    let quick = rig.seed();
    let again = rig.requests(quick);
    assert_eq!(again.iter().collect::<BTreeSet<_>>(), asked.iter().collect::<BTreeSet<_>>());
    rig.send(quick, asked[0], true).unwrap();
    assert_eq!(rig.hear(slow), [Heard::Cancel(asked[0]), Heard::Have(asked[0].piece)]);
    // What is already on its way is no offence, and nothing that was downloaded.
    rig.send(slow, asked[0], true).unwrap();
    rig.send(quick, asked[1], true).unwrap();
    assert!(rig.swarm.is_complete());
    assert_eq!(rig.swarm.transfer().downloaded, 2 * 16_384);
}

/// BEP 3: the announced counters add up at any time, whatever failed its hash.
#[test]
fn downloaded_and_left_add_up() {
    let mut rig = Rig::with(100_000, 32_768, &[3], 1);
    let here = 100_000 - 3 * 32_768;
    let check = |rig: &Rig, pieces: u64| {
        let transfer = rig.swarm.transfer();
        assert_eq!((transfer.downloaded, transfer.left), (pieces * 32_768, Some((3 - pieces) * 32_768)));
        assert_eq!(transfer.downloaded + transfer.left.unwrap() + here, 100_000);
    };
    check(&rig, 0);
    let (liar, honest) = (rig.seed(), rig.seed());
    let asked = rig.requests(liar);
    let (first, rest): (Vec<&Block>, Vec<&Block>) =
        asked.iter().partition(|block| block.piece == asked[0].piece);
    for block in first {
        rig.send(liar, *block, true).unwrap();
    }
    check(&rig, 1);
    for block in rest {
        let _ = rig.send(liar, *block, false);
    }
    assert_eq!(rig.why(liar), Some(Why::HashFail));
    check(&rig, 1);
    for block in rig.requests(honest) {
        // With the last one they part.
        let _ = rig.send(honest, block, true);
    }
    check(&rig, 3);
}

/// A choke drops what was asked for (BEP 3): others are asked, and a block on its way still counts.
#[test]
fn a_choke_gives_the_blocks_to_others() {
    let mut rig = Rig::new(4 * 16_384, 16_384);
    let one = rig.seed();
    let asked = rig.requests(one);
    let other = rig.seed();
    rig.requests(other);
    rig.say(one, Message::Choke).unwrap();
    rig.send(one, asked[3], true).unwrap();
    for block in &asked[..3] {
        rig.send(other, *block, true).unwrap();
    }
    assert!(rig.swarm.is_complete());
}

/// R151: also to peers that have the piece; a super-seeding peer names the next one after our `have` of the last (BEP 16).
#[test]
fn a_have_goes_to_every_peer() {
    let mut rig = Rig::new(3 * 16_384, 16_384);
    let (seed, leecher) = (rig.seed(), rig.connect());
    let asked = rig.requests(seed);
    for (block, last) in asked.iter().zip([false, false, true]) {
        let _ = rig.send(seed, *block, true);
        assert_eq!(rig.hear(leecher), [Heard::Have(block.piece)]);
        if !last {
            assert_eq!(rig.hear(seed), [Heard::Have(block.piece)]);
        }
    }
}

/// R151: a peer that announces its pieces one by one, each after our `have` of the last.
#[test]
fn a_super_seeding_peer_gives_everything() {
    let mut rig = Rig::new(4 * 16_384, 16_384);
    let seed = rig.connect();
    rig.say(seed, Message::Have(0)).unwrap();
    rig.say(seed, Message::Unchoke).unwrap();
    for piece in 0..4 {
        let [block] = rig.requests(seed)[..] else { panic!("{piece} isn't asked for") };
        rig.send(seed, block, true).unwrap();
        if piece < 3 {
            assert!(rig.hear(seed).contains(&Heard::Have(piece)), "{piece}");
            rig.say(seed, Message::Have(piece + 1)).unwrap();
        }
    }
    assert!(rig.swarm.is_complete());
}

/// Memory for pieces in progress is bounded, and pieces without outstanding requests make room.
#[test]
fn stuck_pieces_make_room() {
    let piece_length = 1 << 20;
    let mut rig = Rig::new(16 * piece_length, piece_length);
    let ones: Vec<PeerKey> = (0..14).map(|piece| rig.unchoking(&[piece])).collect();
    for (piece, one) in ones.iter().enumerate() {
        let asked = rig.requests(*one);
        assert_eq!(asked[0].piece as usize, piece);
        rig.send(*one, asked[0], true).unwrap();
        rig.say(*one, Message::Choke).unwrap();
    }
    assert_eq!(rig.swarm.pieces.buffers().len(), 14);
    let other = rig.unchoking(&[15]);
    let asked = rig.requests(other);
    assert!(!asked.is_empty() && asked.iter().all(|block| block.piece == 15));
    assert_eq!(rig.swarm.pieces.buffers().len(), 13);
}

/// Whatever their size, pieces never lie in memory as a whole.
#[test]
fn large_pieces_are_kept_by_parts() {
    let piece_length = 18 << 20;
    let mut rig = Rig::new(piece_length + 5, piece_length);
    let seed = rig.seed();
    let (mut asked, mut most) = (VecDeque::from(rig.requests(seed)), 0);
    while let Some(block) = asked.pop_front() {
        let _ = rig.send(seed, block, true);
        most = most.max(rig.swarm.pieces.buffers().len() + rig.swarm.pieces.buffers().spare());
        asked.extend(rig.requests(seed));
    }
    assert!(rig.swarm.is_complete());
    assert!(most <= 14, "{most}");
}

/// The parts of large pieces make room for each other as pieces do, among many peers that stop half-way.
#[test]
fn stuck_parts_make_room() {
    let piece_length = 4 << 20;
    let mut rig = Rig::new(6 * piece_length, piece_length);
    let mut asked = Vec::new();
    // Every third block of a part comes, and the peer leaves.
    for piece in 0..4 {
        let one = rig.unchoking(&[piece]);
        for _ in 0..20 {
            for block in rig.requests(one) {
                asked.push(block);
                if (block.begin / BLOCK).is_multiple_of(3) {
                    rig.send(one, block, true).unwrap();
                }
            }
        }
        rig.close(one, Why::Eof);
    }
    assert!(rig.swarm.pieces.buffers().len() <= 14);
    let seed = rig.seed();
    let mut asked = VecDeque::from(rig.requests(seed));
    while let Some(block) = asked.pop_front() {
        let _ = rig.send(seed, block, true);
        asked.extend(rig.requests(seed));
        assert!(rig.swarm.pieces.buffers().len() <= 14);
    }
    assert!(rig.swarm.is_complete(), "{:?}", rig.swarm.pieces.picker());
}

/// BEP 3: the whole torrent is announced, whatever is selected of it.
#[test]
fn only_what_is_wanted_is_fetched() {
    let data = content(7 * 16_384);
    let files = [("a", 16_384), ("b", 3 * 16_384), ("c", 3 * 16_384)];
    let mut torrent = multi("t", &files, &data, 16_384);
    "2".parse::<Selection>().unwrap().apply(&mut torrent).unwrap();
    let mut rig = Rig::of(torrent, data, &[1], 1);
    let useless = rig.unchoking(&[0, 1, 4]);
    assert_eq!(rig.hear(useless), [Heard::Bitfield(vec![0x40])], "it has nothing that is wanted");
    let seed = rig.seed();
    let asked = rig.requests(seed);
    assert_eq!(asked.iter().map(|block| block.piece).collect::<BTreeSet<_>>(), BTreeSet::from([2, 3]));
    let stats = rig.swarm.stats();
    assert_eq!((stats.left, stats.total), (2 * 16_384, 3 * 16_384));
    for block in asked {
        rig.send(seed, block, true).unwrap();
    }
    assert!(rig.swarm.is_complete() && !rig.swarm.is_whole());
    assert!(rig.events.contains(&Event::Complete));
    assert_eq!((rig.swarm.stats().left, rig.swarm.stats().wants_peers), (0, false));
    let transfer = rig.swarm.transfer();
    assert_eq!((transfer.downloaded, transfer.left), (2 * 16_384, Some(4 * 16_384)));
    assert_eq!(rig.why(seed), Some(Why::Redundant));
    // Who lacks what we have is still served.
    assert_eq!(rig.why(useless), None);
}

/// R164: such a peer is slow, and breaks no rule.
#[test]
fn a_peer_that_chokes_after_every_block_is_useful() {
    let mut rig = Rig::new(64 * 16_384, 16_384);
    let seed = rig.seed();
    for _ in 0..300 {
        let Some(block) = rig.requests(seed).first().copied() else { break };
        rig.send(seed, block, true).unwrap();
        if rig.swarm.is_complete() {
            break;
        }
        rig.say(seed, Message::Choke).unwrap();
        rig.say(seed, Message::Unchoke).unwrap();
    }
    assert!(rig.swarm.is_complete());
}

/// One that answers what it was asked for before it choked, too: it keeps the requests that came first.
#[test]
fn a_peer_that_answers_all_requests_between_its_chokes_is_useful() {
    let mut rig = Rig::new(1500 * 16_384, 16_384);
    let seed = rig.seed();
    let mut asked = VecDeque::new();
    for _ in 0..3000 {
        asked.extend(rig.requests(seed));
        asked.truncate(250);
        let Some(block) = asked.pop_front() else { break };
        assert_eq!(rig.send(seed, block, true), Ok(()));
        rig.say(seed, Message::Choke).unwrap();
        rig.say(seed, Message::Unchoke).unwrap();
    }
    assert_eq!(rig.closed, []);
}
