//! Greetings of both sides with each other, however their bytes are cut, and of peers that break off or lie.

use rand::SeedableRng;
use tracker_failover::PeerId;

use super::*;

const TORRENT: InfoHash = InfoHash::new([7; 20]);

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn ours(torrent: InfoHash, id: u8) -> [u8; LENGTH] {
    handshake::write(torrent, PeerId::new([id; 20]), false)
}

/// A peer that dials about this torrent, and one that has ten torrents and awaits it.
fn pair(torrent: InfoHash, dials: Option<Policy>, awaits: Policy, seed: u64) -> [Greeting; 2] {
    let dialled = match dials {
        None => Greeting::plain(torrent, ours(torrent, 1)),
        Some(policy) => Greeting::encrypted(torrent, ours(torrent, 1), policy, rng(seed)),
    };
    let all = (0..10).map(|number| InfoHash::new([number; 20]));
    [dialled, Greeting::awaited(all.map(|torrent| (torrent, ours(torrent, 2))), awaits, rng(seed + 1000))]
}

/// Lets them talk, so many bytes at a time, and gives what comes of it for each, the first error included.
fn talk(mut pair: [Greeting; 2], step: usize) -> [Result<Option<Greeted>, Why>; 2] {
    let mut results = [Ok(None), Ok(None)];
    let mut waiting = [Vec::new(), Vec::new()];
    loop {
        let mut quiet = true;
        for side in [0, 1] {
            waiting[1 - side].append(&mut pair[side].take_outgoing());
        }
        for side in [0, 1] {
            let bytes: Vec<u8> = waiting[side].drain(..step.min(waiting[side].len())).collect();
            if bytes.is_empty() {
                continue;
            }
            quiet = false;
            match &mut results[side] {
                Ok(None) => results[side] = pair[side].receive(&bytes),
                Ok(Some(greeted)) => {
                    let mut bytes = bytes;
                    greeted.ciphers.decrypt(&mut bytes);
                    greeted.unread.append(&mut bytes);
                }
                Err(_) => return results,
            }
            if results[side].is_err() {
                return results;
            }
        }
        if quiet {
            return results;
        }
    }
}

/// How the connection goes on, by both sides.
fn methods(results: [Result<Option<Greeted>, Why>; 2]) -> Result<[Option<Method>; 2], Why> {
    let (dialled, awaited) = match results {
        [Err(why), _] | [_, Err(why)] => return Err(why),
        [dialled, awaited] => (dialled?.expect("it is over"), awaited?.expect("it is over")),
    };
    assert_eq!(
        (dialled.handshake.peer_id, awaited.handshake.peer_id),
        (PeerId::new([2; 20]), PeerId::new([1; 20]))
    );
    assert_eq!((dialled.torrent, awaited.torrent), (TORRENT, TORRENT));
    assert!(dialled.unread.is_empty() && awaited.unread.is_empty());
    let (mut dialled, mut awaited) = (dialled, awaited);
    // What follows is read by the other side.
    let mut bytes = *b"a message";
    dialled.ciphers.encrypt(&mut bytes);
    assert_eq!(bytes == *b"a message", dialled.handshake.method != Some(Method::Rc4));
    awaited.ciphers.decrypt(&mut bytes);
    assert_eq!(&bytes, b"a message");
    awaited.ciphers.encrypt(&mut bytes);
    dialled.ciphers.decrypt(&mut bytes);
    assert_eq!(&bytes, b"a message");
    Ok([dialled.handshake.method, awaited.handshake.method])
}

#[test]
fn each_policy_meets_each_other() {
    let rc4 = Ok([Some(Method::Rc4); 2]);
    for (dials, awaits, expected) in [
        (None, Policy::Off, Ok([None; 2])),
        (None, Policy::Prefer, Ok([None; 2])),
        (None, Policy::Require, Err(Why::Encryption)),
        (Some(Policy::Prefer), Policy::Off, Err(Why::Handshake)),
        (Some(Policy::Prefer), Policy::Prefer, rc4),
        (Some(Policy::Prefer), Policy::Require, rc4),
        (Some(Policy::Require), Policy::Off, Err(Why::Handshake)),
        (Some(Policy::Require), Policy::Prefer, rc4),
        (Some(Policy::Require), Policy::Require, rc4),
    ] {
        let [dialled, awaited] = talk(pair(TORRENT, dials, awaits, 1), usize::MAX);
        let met = methods([dialled, awaited]);
        assert_eq!(met, expected, "{dials:?} {awaits:?}");
    }
}

/// With noise and padding of many lengths.
#[test]
fn the_bytes_may_be_cut_anywhere() {
    for dials in [None, Some(Policy::Prefer)] {
        for step in [1, 2, 3, 7, 19, 20, 21, 67, 68, 95, 96, 97, 500] {
            let expected = Ok([dials.map(|_| Method::Rc4); 2]);
            assert_eq!(
                methods(talk(pair(TORRENT, dials, Policy::Prefer, step as u64), step)),
                expected,
                "{step}"
            );
        }
    }
}

/// Cut once, at each byte: the side that dialled is fed what the other one said, and the other way round.
#[test]
fn each_side_reads_what_comes_in_two_parts() {
    // The bytes of one whole greeting.
    let [mut dialled, mut awaited] = pair(TORRENT, Some(Policy::Prefer), Policy::Prefer, 1);
    let key = dialled.take_outgoing();
    awaited.receive(&key).unwrap();
    let theirs = awaited.take_outgoing();
    dialled.receive(&theirs).unwrap();
    let rest = dialled.take_outgoing();
    let done = awaited.receive(&rest).unwrap().unwrap();
    assert!(done.unread.is_empty());
    let answer = awaited.take_outgoing();
    // The same seeds say the same.
    for cut in 0..rest.len() {
        let [_, mut awaited] = pair(TORRENT, Some(Policy::Prefer), Policy::Prefer, 1);
        awaited.receive(&key).unwrap();
        assert_eq!(awaited.take_outgoing(), theirs);
        assert!(awaited.receive(&rest[..cut]).unwrap().is_none(), "{cut}");
        let greeted = awaited.receive(&[&rest[cut..], b"more"].concat()).unwrap().unwrap();
        assert_eq!((greeted.torrent, greeted.unread.len()), (TORRENT, 4), "{cut}");
        assert_eq!(awaited.take_outgoing(), answer, "{cut}");
    }
    for cut in 0..answer.len() {
        let [mut dialled, _] = pair(TORRENT, Some(Policy::Prefer), Policy::Prefer, 1);
        dialled.receive(&theirs).unwrap();
        assert!(dialled.receive(&answer[..cut]).unwrap().is_none(), "{cut}");
        let greeted = dialled.receive(&[&answer[cut..], b"more"].concat()).unwrap().unwrap();
        assert_eq!(greeted.unread.len(), 4, "{cut}");
    }
}

#[test]
fn the_torrent_is_found_among_many_and_another_is_refused() {
    for (torrent, expected) in [(0, None), (9, None), (10, Some(Why::InfoHash))] {
        for dials in [None, Some(Policy::Prefer)] {
            let torrent = InfoHash::new([torrent; 20]);
            let [_, awaited] = talk(pair(torrent, dials, Policy::Prefer, 5), usize::MAX);
            match expected {
                Some(why) => assert_eq!(awaited.unwrap_err(), why),
                None => assert_eq!(awaited.unwrap().unwrap().torrent, torrent),
            }
        }
    }
}

/// The encrypted part names one torrent, and the handshake in it another.
#[test]
fn a_handshake_for_another_torrent_than_the_encrypted_one_is_refused() {
    let other = InfoHash::new([8; 20]);
    let greeting = Greeting::encrypted(TORRENT, ours(other, 1), Policy::Prefer, rng(1));
    let [_, awaited] = pair(TORRENT, None, Policy::Prefer, 1);
    let [_, awaited] = talk([greeting, awaited], usize::MAX);
    assert_eq!(awaited.unwrap_err(), Why::InfoHash);
}

/// P-02: the first byte decides where nothing else is taken.
#[test]
fn another_protocol_is_noticed_at_once() {
    let first = |policy, bytes: &[u8]| {
        let [_, mut awaited] = pair(TORRENT, None, policy, 1);
        awaited.receive(bytes).map(|greeted| greeted.is_some())
    };
    assert_eq!(first(Policy::Off, b"G"), Err(Why::Handshake));
    assert_eq!(first(Policy::Off, b"\x13BitTorrent protocoL"), Err(Why::Handshake));
    assert_eq!(first(Policy::Prefer, b"\x13BitTorrent protoco"), Ok(false));
    assert_eq!(first(Policy::Require, b"\x13BitTorrent protoco"), Ok(false));
    assert_eq!(first(Policy::Require, b"\x13BitTorrent protocol"), Err(Why::Encryption));
    assert_eq!(first(Policy::Prefer, b"GET / HTTP/1.1\r\n\r\n"), Ok(false), "it may be a key");
    assert_eq!(first(Policy::Prefer, &[b'x'; 700]), Err(Why::Handshake));
}

/// Only then it is worth while to dial it again in plain text.
#[test]
fn a_peer_has_shown_that_it_encrypts_when_its_choice_has_come() {
    let [mut dialled, mut awaited] = pair(TORRENT, Some(Policy::Prefer), Policy::Prefer, 1);
    awaited.receive(&dialled.take_outgoing()).unwrap();
    dialled.receive(&awaited.take_outgoing()).unwrap();
    assert!(!dialled.is_secured(), "every peer can send a key");
    awaited.receive(&dialled.take_outgoing()).unwrap();
    dialled.receive(&awaited.take_outgoing()).unwrap();
    assert!(dialled.is_secured());
}
