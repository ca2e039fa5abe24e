//! The exchange in virtual time, with peers that lie, refuse and say nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sha1::{Digest, Sha1};
use tracker_failover::InfoHash;

use super::{Exchange, MAX_SIZE, Request};
use crate::swarm::PeerKey;
use crate::torrent::tests::content;
use crate::wire::Why;
use crate::wire::metadata::{MetadataMessage, PIECE};

/// What a peer does with requests.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Honest,
    Silent,
    Rejects,
    /// Sends other bytes.
    Lies,
    /// The last byte of the last piece is wrong.
    LiesAtTheEnd,
    /// The size in its messages isn't that of its handshake.
    Contradicts,
    /// Its pieces are too short.
    Short,
    /// Each piece takes nearly as long as it may.
    Trickles,
    /// Sends messages without a request.
    Floods,
}

/// Peers around an exchange.
struct Scene {
    exchange: Exchange,
    metadata: Vec<u8>,
    peers: BTreeMap<PeerKey, Kind>,
    /// Requests that wait to be answered, and when.
    waiting: VecDeque<(Duration, Request)>,
    dropped: BTreeMap<PeerKey, Why>,
    asked: Vec<PeerKey>,
    now: Duration,
}

impl Scene {
    fn new(size: usize) -> Self {
        let metadata = content(size);
        let hash = InfoHash::new(Sha1::digest(&metadata).into());
        Self {
            exchange: Exchange::new(hash),
            metadata,
            peers: BTreeMap::new(),
            waiting: VecDeque::new(),
            dropped: BTreeMap::new(),
            asked: Vec::new(),
            now: Duration::ZERO,
        }
    }

    fn add(&mut self, key: u32, kind: Kind, size: u32) {
        self.peers.insert(PeerKey(key), kind);
        self.exchange.offered(PeerKey(key), Some(3), Some(size), self.now);
    }

    /// Adds a peer that names the right size.
    fn with(&mut self, key: u32, kind: Kind) {
        self.add(key, kind, u32::try_from(self.metadata.len()).unwrap());
    }

    /// Runs until the metadata is here, for at most so long; gives whether it is.
    fn run(&mut self, seconds: u64) -> bool {
        let until = self.now + Duration::from_secs(seconds);
        while self.now < until {
            self.now += Duration::from_millis(100);
            self.exchange.tick(self.now);
            for request in self.exchange.take_requests() {
                assert_eq!(request.id, 3);
                self.asked.push(request.to);
                let kind = self.peers[&request.to];
                let after = if kind == Kind::Trickles { 9900 } else { 100 };
                self.waiting.push_back((self.now + Duration::from_millis(after), request));
            }
            for _ in 0..self.waiting.len() {
                let Some((due, request)) = self.waiting.pop_front() else { break };
                if due <= self.now {
                    self.answer(request);
                } else {
                    self.waiting.push_back((due, request));
                }
            }
            if let Some(found) = self.exchange.take_metadata() {
                assert_eq!(found, self.metadata);
                return true;
            }
        }
        false
    }

    fn answer(&mut self, Request { to, piece, .. }: Request) {
        let Some(&kind) = self.peers.get(&to) else { return };
        let start = (piece * PIECE) as usize;
        let end = (start + PIECE as usize).min(self.metadata.len());
        let mut data = self.metadata.get(start..end).unwrap_or(&[0; 16_384]).to_vec();
        let mut total_size = u32::try_from(self.metadata.len()).ok();
        let mut again = 1;
        match kind {
            Kind::Silent => return,
            Kind::Rejects => return self.say(to, MetadataMessage::Reject(piece)),
            Kind::Lies => data.fill(0xaa),
            Kind::LiesAtTheEnd if end == self.metadata.len() => *data.last_mut().unwrap() ^= 1,
            Kind::Honest | Kind::Trickles | Kind::LiesAtTheEnd => {}
            Kind::Contradicts => total_size = Some(u32::MAX),
            Kind::Short => data.truncate(data.len() - 1),
            Kind::Floods => again = 1000,
        }
        for _ in 0..again {
            self.say(to, MetadataMessage::Data { piece, total_size, data: &data });
        }
    }

    fn say(&mut self, key: PeerKey, message: MetadataMessage<'_>) {
        if !self.peers.contains_key(&key) {
            return;
        }
        if let Err(why) = self.exchange.message(key, &message.write(), self.now) {
            self.peers.remove(&key);
            self.dropped.insert(key, why);
            self.exchange.disconnected(key, self.now);
        }
    }
}

#[test]
fn metadata_comes_from_one_honest_peer() {
    for size in [1, 16_383, 16_384, 16_385, 100_000, MAX_SIZE as usize] {
        let mut scene = Scene::new(size);
        scene.with(1, Kind::Honest);
        assert!(scene.run(300), "{size} bytes");
    }
}

/// Whatever the others do, and in any order.
#[test]
fn one_honest_peer_is_enough_among_any_others() {
    let kinds = [
        (Kind::Silent, 50_000, None),
        (Kind::Rejects, 50_000, None),
        (Kind::Lies, 50_000, Some(Why::HashFail)),
        (Kind::LiesAtTheEnd, 50_000, Some(Why::HashFail)),
        (Kind::Contradicts, 50_000, Some(Why::BadMessage)),
        (Kind::Short, 50_000, Some(Why::BadMessage)),
        (Kind::Trickles, 50_000, None),
        (Kind::Honest, 49_999, Some(Why::BadMessage)),
        (Kind::Honest, MAX_SIZE, Some(Why::BadMessage)),
        (Kind::Silent, MAX_SIZE, None),
    ];
    for (kind, size, expected) in kinds {
        let mut scene = Scene::new(50_000);
        for key in 0..5 {
            scene.add(key, kind, size);
        }
        assert!(!scene.run(5) || kind == Kind::Trickles, "{kind:?} {size} is honest after all");
        scene.with(5, Kind::Honest);
        assert!(scene.run(120), "{kind:?} {size}");
        for (key, why) in &scene.dropped {
            assert_eq!(Some(*why), expected, "{kind:?} {size}: {key:?}");
        }
        assert_eq!(scene.dropped.is_empty(), expected.is_none(), "{kind:?} {size}");
    }
}

/// A crowd of forty, each different, and one that is honest.
#[test]
fn a_hostile_crowd_delays_and_does_not_prevent() {
    let kinds = [Kind::Silent, Kind::Rejects, Kind::Lies, Kind::Short, Kind::Trickles, Kind::Contradicts];
    let mut scene = Scene::new(200_000);
    for (key, kind) in (0..40).zip(kinds.iter().cycle()) {
        scene.add(key, *kind, 200_000 + key % 3);
    }
    scene.with(40, Kind::Honest);
    assert!(scene.run(300));
    assert!(!scene.dropped.contains_key(&PeerKey(40)));
}

#[test]
fn sizes_that_are_none_are_not_asked_for() {
    for size in [0, MAX_SIZE + 1, u32::MAX] {
        let mut scene = Scene::new(1000);
        scene.add(1, Kind::Honest, size);
        assert!(!scene.run(5) && scene.asked.is_empty(), "{size}");
        assert!(!scene.exchange.is_offered_by(PeerKey(1)));
    }
}

#[test]
fn two_peers_are_asked_at_a_time_and_the_size_that_most_name_first() {
    let mut scene = Scene::new(10_000);
    scene.exchange.tick(scene.now);
    for key in 0..2 {
        scene.add(key, Kind::Silent, 20_000);
    }
    for key in 2..9 {
        scene.with(key, Kind::Silent);
    }
    scene.run(9);
    assert_eq!(scene.asked, [PeerKey(0), PeerKey(0), PeerKey(1), PeerKey(1)]);
    scene.run(5);
    assert_eq!(scene.asked[4..], [PeerKey(2), PeerKey(3)]);
}

#[test]
fn a_peer_that_offers_nothing_or_floods_is_dropped() {
    let mut scene = Scene::new(100_000);
    let data = MetadataMessage::Data { piece: 0, total_size: None, data: &[0; 16_384] }.write();
    assert_eq!(scene.exchange.message(PeerKey(9), &data, scene.now), Err(Why::Unrequested));
    scene.with(1, Kind::Floods);
    scene.run(5);
    assert_eq!(scene.dropped.get(&PeerKey(1)), Some(&Why::BadMessage));
    // Requests are counted likewise.
    scene.with(2, Kind::Silent);
    let request = MetadataMessage::Request(0).write();
    let refused = (0..1000).find_map(|_| scene.exchange.message(PeerKey(2), &request, scene.now).err());
    assert_eq!(refused, Some(Why::BadMessage));
}

#[test]
fn a_peer_that_leaves_makes_room() {
    let mut scene = Scene::new(100_000);
    for key in 0..3 {
        scene.with(key, Kind::Silent);
    }
    scene.run(1);
    scene.peers.remove(&PeerKey(0));
    scene.exchange.disconnected(PeerKey(0), scene.now);
    scene.run(1);
    assert_eq!(scene.asked.last(), Some(&PeerKey(2)));
}
