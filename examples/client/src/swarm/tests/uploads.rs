//! Giving to others.

use super::*;
use crate::swarm::uploads::MAX_LOADS;

const FIRST: Block = Block { piece: 0, begin: 0, length: BLOCK };

fn taker(rig: &mut Rig) -> PeerKey {
    let key = rig.connect();
    rig.say(key, Message::Interested).unwrap();
    key
}

#[test]
fn who_is_interested_gets_a_free_slot_at_once() {
    let mut rig = Rig::with(40_000, 16_384, &[0, 1, 2], 1);
    let peer = taker(&mut rig);
    assert_eq!(rig.hear(peer), [Heard::Bitfield(vec![0xe0]), Heard::Unchoke]);
    rig.say(peer, Message::Request(FIRST)).unwrap();
    assert_eq!(rig.hear(peer), [Heard::Other]);
    assert_eq!(rig.swarm.transfer().uploaded, u64::from(BLOCK));
}

/// Uploads are counted block by block, not buffer by buffer: an announce may come in between.
#[test]
fn uploads_are_counted_block_by_block() {
    let mut rig = Rig::with(1 << 20, 1 << 20, &[0], 1);
    let peer = taker(&mut rig);
    rig.hear(peer);
    rig.say(peer, Message::Request(FIRST)).unwrap();
    let length = rig.swarm.outgoing(peer).unwrap().front().len();
    let mut counted = Vec::new();
    for part in [length / 2, length - length / 2] {
        rig.swarm.written(peer, part, rig.now);
        counted.push(rig.swarm.transfer().uploaded);
    }
    assert_eq!(counted, [u64::from(BLOCK) / 2 - 1, u64::from(BLOCK)]);
}

#[test]
fn a_choked_peer_gets_nothing() {
    let mut rig = Rig::with(40_000, 16_384, &[0], 1);
    let takers: Vec<PeerKey> = (0..6).map(|_| taker(&mut rig)).collect();
    let heard: Vec<_> = takers.iter().map(|&key| rig.hear(key)).collect();
    let unchoked = heard.iter().filter(|heard| heard.contains(&Heard::Unchoke)).count();
    assert_eq!(unchoked, 5);
    let last = *takers.last().unwrap();
    rig.say(last, Message::Request(FIRST)).unwrap();
    assert_eq!(rig.hear(last), []);
    // A slot comes free, and is given at once.
    rig.close(takers[0], Why::Eof);
    rig.settle();
    assert_eq!(rig.hear(last), [Heard::Unchoke]);
}

#[test]
fn missing_pieces_are_not_uploaded() {
    let mut rig = Rig::with(40_000, 16_384, &[0], 1);
    let peer = taker(&mut rig);
    rig.hear(peer);
    rig.say(peer, Message::Request(Block { piece: 1, ..FIRST })).unwrap();
    assert_eq!(rig.hear(peer), []);
}

/// P-12, R152: requests are queued up to the limit that we announced, each once, and a cancel removes one. They take little memory;
/// what is read of them at a time stays as small as with a few.
#[test]
fn requests_are_bounded() {
    let mut rig = Rig::with(1 << 26, 1 << 26, &[0], 1);
    let peer = taker(&mut rig);
    rig.hear(peer);
    let block = |at: u32| Block { piece: 0, begin: at * BLOCK, length: BLOCK };
    for at in 0..2500 {
        rig.say(peer, Message::Request(block(at))).unwrap();
    }
    // Two buffers are on their way, nothing was read by the peer.
    let queued = rig.peer(peer).upload.wants().len();
    assert_eq!(queued, 2000);
    assert_eq!(rig.peer(peer).upload.loading(), 2);
    rig.say(peer, Message::Request(block(100))).unwrap();
    assert_eq!(rig.peer(peer).upload.wants().len(), 2000, "one that waits already");
    let waiting = *rig.peer(peer).upload.wants().front().unwrap();
    rig.say(peer, Message::Cancel(waiting)).unwrap();
    let given = rig.hear(peer).len();
    // Each of the two buffers had the one block that had been asked for by then.
    assert_eq!(given, 2000 + 2 - 1);
}

#[test]
fn two_seeds_part() {
    let mut rig = Rig::with(40_000, 16_384, &[0, 1, 2], 1);
    let seed = rig.connect();
    rig.say(seed, Message::Bitfield(&[0xe0])).unwrap();
    assert_eq!(rig.why(seed), Some(Why::Redundant));
    // One that becomes complete as well.
    let leecher = rig.connect();
    (0..3).for_each(|piece| rig.say(leecher, Message::Have(piece)).unwrap());
    assert_eq!(rig.why(leecher), Some(Why::Redundant));
}

#[test]
fn who_connects_to_us_is_not_dialled_beside() {
    let mut rig = Rig::new(40_000, 16_384);
    let peer = rig.connect();
    rig.say(peer, Message::Extended(0, b"d1:pi7000ee")).unwrap();
    rig.swarm.add_peers([SocketAddr::from(([192, 0, 2, 1], 7000))], rig.now);
    rig.wait(5);
    assert_eq!(rig.dialled, []);
}

/// aria2 sends a bitfield in place of many `have`s.
#[test]
fn who_got_pieces_may_say_so_with_a_bitfield() {
    let mut rig = Rig::with(40_000, 16_384, &[0, 1, 2], 1);
    let peer = taker(&mut rig);
    rig.hear(peer);
    rig.say(peer, Message::Request(FIRST)).unwrap();
    rig.hear(peer);
    rig.say(peer, Message::Bitfield(&[0xc0])).unwrap();
    assert_eq!(rig.peer(peer).has.all().as_bytes(), [0xc0]);
    // Nothing new, fewer pieces, spare bits.
    for wrong in [[0xc0], [0xa0], [0xe1]] {
        let said = rig.swarm.message(peer, Message::Bitfield(&wrong), rig.now);
        assert_eq!(said, Err(Why::BadBitfield), "{wrong:?}");
    }
    // We have it all, too, and are of no more use to each other.
    rig.say(peer, Message::Bitfield(&[0xe0])).unwrap();
    assert_eq!(rig.why(peer), Some(Why::Redundant));
}

#[test]
fn pieces_of_a_late_bitfield_are_wanted() {
    let mut rig = Rig::new(40_000, 16_384);
    let peer = rig.connect();
    rig.say(peer, Message::Have(0)).unwrap();
    rig.say(peer, Message::Unchoke).unwrap();
    assert_eq!(rig.requests(peer), [FIRST]);
    rig.wait(3);
    rig.say(peer, Message::Bitfield(&[0xc0])).unwrap();
    assert_eq!(rig.requests(peer), [Block { piece: 1, ..FIRST }]);
    rig.say(peer, Message::Have(1)).unwrap();
    assert_eq!((rig.peer(peer).has.of_interest(), rig.peer(peer).pointless()), (2, 1));
}

/// Requests all that a peer may, as long as it is here.
fn ask(rig: &mut Rig, key: PeerKey, blocks: u32) {
    for at in 0..blocks {
        rig.say(key, Message::Request(Block { piece: 0, begin: at * BLOCK, length: BLOCK })).unwrap();
    }
}

/// R150: what is read for peers counts until the disk is done with it, whether they are still here or not; what peers
/// that have left wanted isn't read.
#[test]
fn peers_that_ask_and_hang_up_do_not_fill_the_disks_queue() {
    let mut rig = Rig::with(1 << 24, 1 << 24, &[0], 1);
    rig.stalled = true;
    for visit in 0..500_u16 {
        let address = SocketAddr::from(([198, 51, 100, 1], 1000 + visit));
        let visitor = rig.connect_from(address, 200).unwrap();
        rig.say(visitor, Message::Interested).unwrap();
        ask(&mut rig, visitor, 32);
        rig.close(visitor, Why::Eof);
        rig.settle();
    }
    assert!(rig.disk.len() <= MAX_LOADS, "{} reads for peers that have left", rig.disk.len());
    let honest = taker(&mut rig);
    ask(&mut rig, honest, 32);
    rig.stalled = false;
    rig.settle();
    let given = rig.hear(honest).iter().filter(|heard| **heard == Heard::Other).count();
    assert_eq!((given, rig.read), (32, 32), "blocks given, and read");
}

/// R152: when we choke a peer, all that it may have queued can be on its way; that is no flood.
#[test]
fn requests_may_cross_our_choke() {
    let mut rig = Rig::with(1 << 26, 1 << 26, &[0], 1);
    let peer = taker(&mut rig);
    rig.say(peer, Message::NotInterested).unwrap();
    rig.wait(10);
    assert_eq!(rig.hear(peer).last(), Some(&Heard::Choke));
    ask(&mut rig, peer, 2000);
    assert_eq!(rig.why(peer), None);
    let ended = (0..2000).find(|_| rig.say(peer, Message::Request(FIRST)).is_err());
    assert_eq!((ended.is_some(), rig.why(peer)), (true, Some(Why::BadMessage)));
}

/// R158: trackers hear that something is missing, new peers that we don't have it, and it is fetched again.
#[test]
fn a_piece_that_can_not_be_read_any_more_is_not_here() {
    let mut rig = Rig::with(3 * 16_384, 16_384, &[0, 1, 2], 1);
    let peer = taker(&mut rig);
    rig.hear(peer);
    assert!(rig.swarm.is_whole());
    for _ in 0..2 {
        rig.swarm.lost(&[1].into(), "gone".into(), rig.now);
    }
    rig.settle();
    assert_eq!(rig.swarm.transfer().left, Some(16_384));
    assert!(!rig.swarm.is_complete() && !rig.swarm.is_whole());
    let lost = |event: &&Event| matches!(event, Event::PiecesLost { count: 1, .. });
    assert_eq!(rig.events.iter().filter(lost).count(), 1, "said once");
    rig.say(peer, Message::Request(Block { piece: 1, ..FIRST })).unwrap();
    assert_eq!(rig.hear(peer), [], "it isn't read again");
    let newcomer = rig.connect();
    assert_eq!(rig.hear(newcomer), [Heard::Bitfield(vec![0xa0])]);
    let seed = rig.seed();
    let asked = rig.requests(seed);
    assert_eq!(asked, [Block { piece: 1, ..FIRST }]);
    rig.send(seed, asked[0], true).unwrap();
    assert_eq!((rig.swarm.is_whole(), rig.swarm.transfer().left), (true, Some(0)));
}

/// What isn't wanted isn't fetched again.
#[test]
fn a_lost_piece_that_is_not_wanted_stays_lost() {
    let mut torrent =
        crate::torrent::tests::multi("d", &[("a", 16_384), ("b", 16_384)], &content(32_768), 16_384);
    torrent.files[1].wanted = false;
    let mut rig = Rig::of(torrent, content(32_768), &[0, 1], 1);
    rig.swarm.lost(&[1].into(), "gone".into(), rig.now);
    assert_eq!((rig.swarm.is_complete(), rig.swarm.transfer().left), (true, Some(16_384)));
    let seed = rig.unchoking(&[1]);
    assert_eq!(rig.requests(seed), []);
}
