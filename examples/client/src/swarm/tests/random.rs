//! Swarms in which everything happens by chance: whatever peers do, what they leave is downloaded in the end.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// One peer of a random swarm.
struct Actor {
    asked: Vec<Block>,
    choking: bool,
    /// Whether it speaks the fast extension, and rejects what it doesn't give.
    fast: bool,
    /// One in so many of its blocks is bad; 0 for none.
    lies: u32,
}

#[test]
fn random_swarms_come_to_an_end() {
    for seed in 0..60 {
        let mut chance = StdRng::seed_from_u64(seed);
        // A few with pieces of several parts.
        let piece_length =
            if seed < 5 { 1_100_000 } else { [16_384, 20_000, 65_536, 300_000][chance.random_range(0..4)] };
        let length = chance.random_range(1..if seed < 5 { 3 } else { 12 } * piece_length);
        let mut rig = Rig::with(length, piece_length, &[], seed);
        let mut actors = BTreeMap::new();
        let mut liars = BTreeSet::new();
        let mut steps = 0;
        while !rig.swarm.is_complete() {
            steps += 1;
            if chance.random_bool(0.01) {
                rig.stalled = !rig.stalled;
            }
            assert!(steps < 60_000, "seed {seed}: {:?}", rig.swarm.pieces.picker());
            step(&mut rig, &mut actors, &mut chance);
            liars.extend(actors.iter().filter(|(_, actor)| actor.lies > 0).map(|(&key, _)| key));
            actors.retain(|key, _| rig.swarm.peers.get(*key).is_some());
            check(&rig, seed);
        }
        for (key, why) in &rig.closed {
            // No peer is closed for what an honest peer may do, and only liars are banned.
            assert!(
                matches!(why, Why::Eof | Why::Timeout | Why::Redundant | Why::HashFail),
                "seed {seed}: {why:?}"
            );
            assert!(*why != Why::HashFail || liars.contains(key), "seed {seed}: {key:?} is honest");
        }
    }
}

fn step(rig: &mut Rig, actors: &mut BTreeMap<PeerKey, Actor>, chance: &mut StdRng) {
    let keys: Vec<PeerKey> = actors.keys().copied().collect();
    for &key in &keys {
        let Some(actor) = actors.get_mut(&key) else { continue };
        for heard in rig.hear(key) {
            match heard {
                Heard::Request(block) => actor.asked.push(block),
                // Half of the cancels come too late.
                Heard::Cancel(block) if chance.random_bool(0.5) => {
                    let before = actor.asked.len();
                    actor.asked.retain(|other| *other != block);
                    if actor.fast && actor.asked.len() < before {
                        let _ = rig.say(key, Message::Reject(block));
                    }
                }
                _ => {}
            }
        }
    }
    if keys.len() < 2 || (keys.len() < 6 && chance.random_bool(0.01)) {
        return join(rig, actors, chance);
    }
    let key = keys[chance.random_range(0..keys.len())];
    let Some(actor) = actors.get_mut(&key) else { return };
    match chance.random_range(0..100) {
        0 => {
            let piece = chance.random_range(0..rig.torrent.pieces());
            let _ = rig.say(key, Message::Have(piece));
        }
        1 if !actor.choking => {
            actor.choking = true;
            // Some of what was asked for is on its way.
            let dropped = actor.asked.split_off(chance.random_range(0..=actor.asked.len()));
            let _ = rig.say(key, Message::Choke);
            for block in dropped.into_iter().filter(|_| actor.fast) {
                let _ = rig.say(key, Message::Reject(block));
            }
        }
        2..10 if actor.choking => {
            actor.choking = false;
            for block in actor.asked.drain(..).filter(|_| actor.fast) {
                let _ = rig.say(key, Message::Reject(block));
            }
            let _ = rig.say(key, Message::Unchoke);
        }
        10 if chance.random_bool(0.2) => rig.close(key, Why::Eof),
        11 => rig.wait(1),
        13 if actor.fast => {
            let piece = chance.random_range(0..rig.torrent.pieces());
            let _ = rig.say(key, Message::AllowedFast(piece));
        }
        14 if actor.fast && !actor.asked.is_empty() => {
            let block = actor.asked.remove(chance.random_range(0..actor.asked.len()));
            let _ = rig.say(key, Message::Reject(block));
        }
        12 if chance.random_bool(0.02) => rig.wait(40),
        _ => {
            for _ in 0..chance.random_range(0..8) {
                if actor.asked.is_empty() {
                    break;
                }
                let block = actor.asked.remove(chance.random_range(0..actor.asked.len()));
                let good = actor.lies == 0 || !chance.random_ratio(1, actor.lies);
                // Banned, it no longer gets through.
                if rig.send(key, block, good).is_err() {
                    break;
                }
            }
        }
    }
    rig.settle();
}

/// A peer joins: with a part of the torrent, or all of it; every fifth lies, if there is room for one more host.
fn join(rig: &mut Rig, actors: &mut BTreeMap<PeerKey, Actor>, chance: &mut StdRng) {
    if rig.peers == 250 {
        rig.peers = 0;
    }
    let Some(address) = (0..250).find_map(|_| {
        rig.peers = rig.peers % 250 + 1;
        let address = SocketAddr::from(([192, 0, 2, rig.peers], 6881));
        rig.swarm.admits(address).then_some(address)
    }) else {
        return;
    };
    let fast = chance.random_bool(0.5);
    let Ok(key) = rig.connect_speaking(address, rig.peers, fast) else { return };
    let all = chance.random_bool(0.5);
    let mut bits = Bitfield::empty(rig.torrent.pieces());
    for piece in 0..rig.torrent.pieces() {
        if all || chance.random_bool(0.4) {
            bits.insert(piece);
        }
    }
    rig.say(key, Message::Bitfield(bits.as_bytes())).unwrap();
    rig.say(key, Message::Unchoke).unwrap();
    let lies = if chance.random_bool(0.2) { chance.random_range(1..30) } else { 0 };
    actors.insert(key, Actor { asked: Vec::new(), choking: false, fast, lies });
}

/// What holds at every moment.
fn check(rig: &Rig, seed: u64) {
    let (pieces, peers) = (&rig.swarm.pieces, &rig.swarm.peers);
    let here: u64 = pieces.have().iter().map(|piece| u64::from(pieces.picker().piece_length(piece))).sum();
    assert_eq!(pieces.left(), rig.torrent.total - here, "seed {seed}");
    assert!(pieces.buffers().len() <= crate::swarm::picker::MAX_OPEN, "seed {seed}");
    assert!(pieces.buffers().pieces().iter().all(|&piece| !pieces.have().get(piece)), "seed {seed}");
    if rig.disk.is_empty() {
        assert!(pieces.picker().counts_memory_right(), "seed {seed}: {:?}", pieces.picker());
    }
    for peer in peers.iter() {
        assert!(peer.download.asked().count() <= 500, "seed {seed}");
        assert!(
            peer.download
                .limited_to()
                .is_none_or(|allowed| peer.download.asked().all(|block| allowed.contains(&block.piece))),
            "seed {seed}: asked while choked"
        );
        assert_eq!(peer.has.of_interest(), peer.has.all().count_common(pieces.lacking()), "seed {seed}");
    }
}
