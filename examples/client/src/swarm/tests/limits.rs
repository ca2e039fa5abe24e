//! Limits: over all peers together, by asking for less, and for blocks alone.

use super::*;

const KIB: u64 = 1 << 10;

/// A torrent of 4 MiB of which nothing or everything is here.
fn rig(whole: bool) -> Rig {
    let have: Vec<u32> = if whole { (0..256).collect() } else { Vec::new() };
    Rig::with(4 << 20, 16_384, &have, 1)
}

/// Everybody answers at once for so many seconds; gives how many bytes each sent.
fn download(rig: &mut Rig, seeds: &[PeerKey], seconds: u64) -> Vec<u64> {
    let mut sent = vec![0; seeds.len()];
    for _ in 0..seconds * 4 {
        for (sent, &seed) in sent.iter_mut().zip(seeds) {
            for block in rig.requests(seed) {
                rig.send(seed, block, true).unwrap();
                *sent += u64::from(block.length);
            }
        }
        rig.now += Duration::from_millis(250);
        rig.swarm.tick(rig.now);
        rig.settle();
    }
    sent
}

#[test]
fn all_peers_together_are_asked_for_no_more_than_the_limit() {
    for peers in [1, 3, 10] {
        let mut rig = rig(false);
        rig.swarm.requests.set_limit(100 * KIB);
        let seeds: Vec<_> = (0..peers).map(|_| rig.seed()).collect();
        let sent = download(&mut rig, &seeds, 20);
        let total: u64 = sent.iter().sum();
        assert!(total.abs_diff(2000 * KIB) <= 64 * KIB, "{peers}: {total}");
        // None goes short.
        let fair = total / peers;
        assert!(sent.iter().all(|&sent| sent.abs_diff(fair) <= fair / 2), "{peers}: {sent:?}");
        assert_eq!(rig.closed, []);
    }
}

/// One that answers nothing takes no share for ever, and a limit below a block lets a block pass now and then.
#[test]
fn budget_for_blocks_that_do_not_arrive_is_returned() {
    let mut rig = rig(false);
    rig.swarm.requests.set_limit(4 * KIB);
    let silent = rig.seed();
    rig.wait(3);
    assert_eq!(rig.requests(silent).len(), 1);
    rig.close(silent, Why::Eof);
    let seed = rig.seed();
    let sent = download(&mut rig, &[seed], 40);
    assert!((160 * KIB..=192 * KIB).contains(&sent[0]), "{sent:?}");
}

#[test]
fn all_peers_together_are_given_no_more_than_the_limit() {
    let mut rig = rig(true);
    rig.swarm.uploads.set_limit(100 * KIB);
    let takers: Vec<_> = (0..3).map(|_| rig.connect()).collect();
    for &taker in &takers {
        rig.say(taker, Message::Interested).unwrap();
        for piece in 0..200 {
            rig.say(taker, Message::Request(Block { piece, begin: 0, length: BLOCK })).unwrap();
        }
    }
    let mut given = vec![0; takers.len()];
    for _ in 0..40 {
        rig.now += Duration::from_millis(250);
        rig.swarm.tick(rig.now);
        rig.settle();
        for (given, &taker) in given.iter_mut().zip(&takers) {
            *given += rig.hear(taker).iter().filter(|heard| **heard == Heard::Other).count() as u64;
        }
    }
    let blocks: u64 = given.iter().sum();
    assert!(blocks.abs_diff(1000 / 16) <= 4, "{given:?}");
    assert!(given.iter().all(|&given| given.abs_diff(blocks / 3) <= 3), "{given:?}");
}

/// No block may flow, and all other messages are sent at once.
#[test]
fn only_blocks_are_held_back() {
    let mut rig = Rig::with(4 << 20, 16_384, &[0], 1);
    rig.swarm.requests.set_limit(1);
    rig.swarm.uploads.set_limit(1);
    let seed = rig.seed();
    assert!(rig.hear(seed).contains(&Heard::Interested));
    rig.say(seed, Message::Interested).unwrap();
    assert_eq!(rig.hear(seed), [Heard::Unchoke]);
    // The first block passes, and is the last for hours.
    rig.wait(2);
    let asked = rig.requests(seed);
    assert_eq!(asked.len(), 1);
    rig.send(seed, asked[0], true).unwrap();
    assert_eq!(rig.hear(seed), [Heard::Have(asked[0].piece)]);
    let other = rig.connect();
    rig.say(other, Message::Interested).unwrap();
    assert!(rig.hear(other).contains(&Heard::Unchoke));
    for _ in 0..2 {
        rig.wait(50);
        rig.say(seed, Message::KeepAlive).unwrap();
    }
    rig.wait(5);
    assert_eq!(rig.hear(seed), [Heard::Other], "a keep-alive, and no request");
}

/// R150: peers that ask and hang up use nothing up of what others may have.
#[test]
fn budget_for_a_departed_peer_is_returned() {
    let mut rig = rig(true);
    rig.swarm.uploads.set_limit(100 * KIB);
    let taker = rig.connect();
    rig.say(taker, Message::Interested).unwrap();
    for piece in 0..200 {
        rig.say(taker, Message::Request(Block { piece, begin: 0, length: BLOCK })).unwrap();
    }
    let mut given = 0;
    for _ in 0..40 {
        let visitor = rig.connect_from(SocketAddr::from(([198, 51, 100, 1], 1000)), 200).unwrap();
        rig.say(visitor, Message::Interested).unwrap();
        for piece in 0..32 {
            rig.say(visitor, Message::Request(Block { piece, begin: 0, length: BLOCK })).unwrap();
        }
        rig.now += Duration::from_millis(250);
        rig.swarm.tick(rig.now);
        rig.settle();
        rig.close(visitor, Why::Eof);
        rig.settle();
        given += rig.hear(taker).iter().filter(|heard| **heard == Heard::Other).count() as u64;
    }
    assert!(given.abs_diff(1000 / 16) <= 4, "{given} blocks in ten seconds");
}
