//! What holds for anything that strangers send about metadata and peers: bodies of fuzz targets. `fuzz/README.md` says how to
//! fuzz.

mod mse;
mod script;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use sha1::{Digest, Sha1};
use tracker_failover::{InfoHash, Metainfo};

pub use self::mse::mse;
use self::script::Script;
use crate::magnet::Magnet;
use crate::metadata::{Exchange, Inbox, MAX_SIZE, Request};
use crate::swarm::PeerKey;
use crate::swarm::pex::{PeerExchange, Taken};
use crate::wire::message::Message;
use crate::wire::metadata::{MetadataMessage, PIECE};
use crate::wire::pex::{MAX_PEERS, PeerChanges};

/// Panics where something does not hold for this input.
pub type Check = fn(&[u8]);

/// The targets, by the names of their folders in `fuzz/seeds`.
pub const TARGETS: [(&str, Check); 4] =
    [("client_magnet", magnet), ("client_metadata", metadata), ("client_mse", mse), ("client_pex", pex)];

/// Reads the input as a magnet link.
///
/// # Panics
/// Where something does not hold.
pub fn magnet(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let read = text.parse::<Magnet>();
    assert_eq!(read, text.parse::<Magnet>());
    let Ok(magnet) = read else { return };
    assert!(Magnet::is_magnet(&text));
    assert!(magnet.tiers().len() <= 100 && magnet.peers().len() <= 100);
    assert!(!magnet.name().unwrap_or_default().chars().any(char::is_control));
    let info = b"d6:lengthi5e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
    let file = Metainfo::parse(&magnet.torrent_file(info));
    let info_bytes = file.as_ref().map(Metainfo::info_bytes);
    assert_eq!(info_bytes, Ok(&info[..]), "trackers break out of the torrent file");
}

/// Reads the input as a message, as a connection, and as a script of what peers do while metadata is fetched. Whatever
/// they do, only the metadata comes of it, and one honest peer is enough.
///
/// # Panics
/// Where something does not hold.
pub fn metadata(input: &[u8]) {
    if let Some(message) = MetadataMessage::read(input) {
        assert_eq!(MetadataMessage::read(&message.write()), Some(message));
    }
    check_connection(input);
    let mut script = Script(input);
    let mut scene = Scene::new(usize::from(script.byte().unwrap_or_default()) * 300 + 1);
    for _ in 0..MAX_STEPS {
        let Some(step) = script.byte() else { break };
        scene.step(step, &mut script);
        scene.check();
    }
    scene.end();
}

/// Reads the input as a message of peer exchange, and as several of them.
///
/// # Panics
/// Where something does not hold.
pub fn pex(input: &[u8]) {
    if let Some(changes) = PeerChanges::read(input) {
        assert!(changes.added.len() <= MAX_PEERS && changes.dropped.len() <= MAX_PEERS);
        let again = PeerChanges::read(&changes.write());
        let mut sorted = changes.clone();
        sorted.added.sort_by_key(|peer| peer.address.is_ipv6());
        sorted.dropped.sort_by_key(SocketAddr::is_ipv6);
        assert_eq!(again, Some(sorted));
    }
    let mut exchange = PeerExchange::new(false);
    let mut private = PeerExchange::new(true);
    let (from, mut now, mut taken) = (([192, 0, 2, 1], 1).into(), Duration::ZERO, 0);
    // One message a minute, cut from the input at several places.
    for at in 0..input.len().min(MAX_STEPS) {
        let body = input.get(at..).unwrap_or_default();
        now += Duration::from_secs(60);
        if let Taken::Peers(peers) = exchange.received(PeerKey(1), from, body, false, now) {
            taken += peers.len();
        }
        assert!(taken <= 200, "{taken} addresses of one peer");
        let soon = exchange.received(PeerKey(1), from, body, false, now);
        assert_eq!(soon, Taken::Pointless, "two messages at once");
        assert_eq!(private.received(PeerKey(1), from, body, false, now), Taken::Pointless);
    }
}

/// However the bytes are cut, the same comes of them.
fn check_connection(input: &[u8]) {
    let take = |chunk: usize| {
        let (mut inbox, mut messages) = (Inbox::new(input.len().is_multiple_of(2)), 0);
        let mut accept = |_: Message<'_>| {
            messages += 1;
            Ok(())
        };
        let taken = input.chunks(chunk).try_for_each(|part| inbox.take(part, &mut accept));
        (taken, messages, taken.is_ok().then(|| inbox.into_unread()))
    };
    let whole = take(input.len().max(1));
    assert_eq!(take(1), whole);
    assert!(whole.2.is_none_or(|unread| unread.len() <= input.len()));
}

/// Peers around an exchange.
struct Scene {
    exchange: Exchange,
    metadata: Vec<u8>,
    connected: BTreeSet<PeerKey>,
    /// Requests that weren't answered.
    requests: Vec<Request>,
    now: Duration,
    is_done: bool,
}

impl Scene {
    fn new(size: usize) -> Self {
        let metadata: Vec<u8> = (0_u8..251).cycle().take(size).collect();
        let exchange = Exchange::new(InfoHash::new(Sha1::digest(&metadata).into()));
        let (connected, requests) = (BTreeSet::new(), Vec::new());
        Self { exchange, metadata, connected, requests, now: Duration::ZERO, is_done: false }
    }

    fn size(&self) -> u32 {
        u32::try_from(self.metadata.len()).unwrap_or(u32::MAX)
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let key = PeerKey(u32::from(script.byte().unwrap_or_default() % 8));
        let parameter = script.byte().unwrap_or_default();
        match step % 8 {
            0 => {
                let sizes = [self.size(), self.size() + 1, 1, 16_384, MAX_SIZE, MAX_SIZE + 1, u32::MAX, 0];
                let size = sizes.get(usize::from(parameter % 8)).copied();
                self.connected.insert(key);
                self.exchange.offered(key, Some(3), size, self.now);
            }
            1 | 2 => self.answer(usize::from(parameter), step % 8 == 1),
            3 => self.say(key, &MetadataMessage::Reject(parameter.into()).write()),
            4 => self.say(key, script.bytes()),
            5 => self.leave(key),
            6 => {
                let data = script.bytes();
                let total_size = parameter.is_multiple_of(2).then(|| self.size());
                let message = MetadataMessage::Data { piece: u32::from(parameter / 2), total_size, data };
                self.say(key, &message.write());
            }
            _ => {
                self.now += Duration::from_millis(100 * u64::from(parameter));
                self.exchange.tick(self.now);
            }
        }
    }

    /// Answers one of the requests.
    fn answer(&mut self, which: usize, is_good: bool) {
        if self.requests.is_empty() {
            return;
        }
        let request = self.requests.remove(which % self.requests.len());
        let start = (request.piece as usize).saturating_mul(PIECE as usize);
        let mut data: Vec<u8> = self.metadata.iter().skip(start).take(PIECE as usize).copied().collect();
        if let Some(byte) = data.first_mut().filter(|_| !is_good) {
            *byte ^= 1;
        }
        let message = MetadataMessage::Data { piece: request.piece, total_size: None, data: &data };
        self.say(request.to, &message.write());
    }

    fn say(&mut self, key: PeerKey, body: &[u8]) {
        if self.connected.contains(&key) && self.exchange.message(key, body, self.now).is_err() {
            self.leave(key);
        }
    }

    fn leave(&mut self, key: PeerKey) {
        self.connected.remove(&key);
        self.exchange.disconnected(key, self.now);
        self.requests.retain(|request| request.to != key);
    }

    fn check(&mut self) {
        let requests = self.exchange.take_requests();
        let asked: BTreeSet<PeerKey> = requests.iter().map(|request| request.to).collect();
        assert!(asked.len() <= 2, "{asked:?} are asked at once");
        assert!(asked.is_subset(&self.connected), "{asked:?} of {:?}", self.connected);
        assert!(!self.is_done || requests.is_empty(), "it is here, and asked for");
        self.requests.extend(requests);
        if let Some(metadata) = self.exchange.take_metadata() {
            assert!(!self.is_done && metadata == self.metadata, "other bytes than those of the hash");
            self.is_done = true;
            self.requests.clear();
        }
    }

    /// An honest peer comes, and all others are silent from now on.
    fn end(mut self) {
        let honest = PeerKey(1000);
        self.connected.insert(honest);
        self.exchange.offered(honest, Some(3), Some(self.size()), self.now);
        // Eight others are asked for ten seconds each, two at a time, and then wait.
        for _ in 0..1200 {
            self.check();
            while let Some(at) = self.requests.iter().position(|request| request.to == honest) {
                self.answer(at, true);
                self.check();
            }
            if self.is_done {
                return;
            }
            self.now += Duration::from_millis(500);
            self.exchange.tick(self.now);
        }
        panic!("an honest peer is not enough");
    }
}

/// How many things happen in one script.
const MAX_STEPS: usize = 200;
