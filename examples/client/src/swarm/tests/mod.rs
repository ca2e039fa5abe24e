//! The swarm, tested without a network: messages of peers go in, messages to them come out.

mod downloads;
mod fast;
mod hostile;
mod limits;
mod nodes;
mod random;
mod uploads;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sha1::{Digest as _, Sha1};
use tracker_failover::PeerId;

use super::actions::Action;
use super::bitfield::Bitfield;
use super::peer::Peer;
use super::verdict::Verdict;
use super::{PeerKey, Start, Swarm};
use crate::torrent::Torrent;
use crate::torrent::tests::{content, single};
use crate::ui::event::Event;
use crate::wire::Why;
use crate::wire::handshake::Handshake;
use crate::wire::message::{BLOCK, Block, Limits, Message, next_frame};

/// A swarm with its disk, and a hand on the clock.
struct Rig {
    swarm: Swarm,
    torrent: Arc<Torrent>,
    data: Vec<u8>,
    now: Duration,
    /// The events for the user.
    events: Vec<Event>,
    closed: Vec<(PeerKey, Why)>,
    dialled: Vec<SocketAddr>,
    /// The parts of each piece that were stored.
    parts: BTreeMap<u32, BTreeMap<u32, Vec<u8>>>,
    /// What the disk has to do, and whether it does nothing for now.
    disk: VecDeque<Action>,
    stalled: bool,
    /// Blocks that the disk has read for peers.
    read: usize,
    peers: u8,
}

/// A message to a peer, in a form that can be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Have(u32),
    Bitfield(Vec<u8>),
    Request(Block),
    Cancel(Block),
    HaveAll,
    HaveNone,
    Reject(Block),
    AllowedFast(u32),
    Port(u16),
    Other,
}

impl Rig {
    /// A torrent of so many bytes, of which nothing is here.
    fn new(length: usize, piece_length: usize) -> Self {
        Self::with(length, piece_length, &[], 1)
    }

    /// A torrent of which some pieces are here.
    fn with(length: usize, piece_length: usize, have: &[u32], seed: u64) -> Self {
        let data = content(length);
        Self::of(single("x", &data, piece_length), data, have, seed)
    }

    /// This torrent, of which some pieces are here.
    fn of(torrent: Torrent, data: Vec<u8>, have: &[u32], seed: u64) -> Self {
        let torrent = Arc::new(torrent);
        let mut bits = Bitfield::empty(torrent.pieces());
        for &piece in have {
            bits.insert(piece);
        }
        let own_id = PeerId::new([0; 20]);
        let metadata = b"de"[..].into();
        let start = Start {
            have: bits,
            own_id,
            port: 6881,
            seed,
            book: None,
            metadata,
            down_limit: None,
            up_limit: None,
        };
        let swarm = Swarm::new(&torrent, start);
        let now = Duration::from_secs(1);
        let (events, closed, dialled) = (Vec::new(), Vec::new(), Vec::new());
        let (parts, disk) = (BTreeMap::new(), VecDeque::new());
        let stalled = false;
        Self { swarm, torrent, data, now, events, closed, dialled, parts, disk, stalled, read: 0, peers: 0 }
    }

    /// A peer with its own address, whose handshake is done.
    fn connect(&mut self) -> PeerKey {
        self.peers += 1;
        let address = SocketAddr::from(([192, 0, 2, self.peers], 6881));
        self.connect_from(address, self.peers).unwrap()
    }

    /// One that speaks the fast extension.
    fn connect_fast(&mut self) -> PeerKey {
        self.peers += 1;
        let address = SocketAddr::from(([192, 0, 2, self.peers], 6881));
        self.connect_speaking(address, self.peers, true).unwrap()
    }

    fn connect_from(&mut self, address: SocketAddr, id: u8) -> Result<PeerKey, Why> {
        self.connect_speaking(address, id, false)
    }

    fn connect_speaking(&mut self, address: SocketAddr, id: u8, fast: bool) -> Result<PeerKey, Why> {
        let peer_id = PeerId::new([id; 20]);
        let handshake = Handshake { peer_id, extended: false, dht: false, fast, method: None };
        let key = self.swarm.connected(address, false, handshake, self.now);
        self.settle();
        key
    }

    /// A peer that has some pieces and lets us ask.
    fn unchoking(&mut self, pieces: &[u32]) -> PeerKey {
        let key = self.connect();
        let mut bits = Bitfield::empty(self.torrent.pieces());
        for &piece in pieces {
            bits.insert(piece);
        }
        self.say(key, Message::Bitfield(bits.as_bytes())).unwrap();
        self.say(key, Message::Unchoke).unwrap();
        key
    }

    /// A peer that has everything and lets us ask.
    fn seed(&mut self) -> PeerKey {
        let all: Vec<u32> = (0..self.torrent.pieces()).collect();
        self.unchoking(&all)
    }

    /// What is known of a peer that is connected.
    fn peer(&self, key: PeerKey) -> &Peer {
        self.swarm.peers.get(key).unwrap()
    }

    fn peer_mut(&mut self, key: PeerKey) -> &mut Peer {
        self.swarm.peers.get_mut(key).unwrap()
    }

    /// A message from a peer. One that breaks the protocol ends its connection, as in the shell.
    fn say(&mut self, key: PeerKey, message: Message<'_>) -> Result<(), Why> {
        self.swarm.heard(key, self.now);
        let said = self.swarm.message(key, message, self.now);
        self.swarm.read_taken(key, self.now);
        if let Err(why) = said {
            self.close(key, why);
        }
        self.settle();
        said
    }

    /// A peer sends a block as it is, or with every byte turned.
    fn send(&mut self, key: PeerKey, block: Block, good: bool) -> Result<(), Why> {
        let data = self.block(block, good);
        self.say(key, Message::Piece { piece: block.piece, begin: block.begin, data: &data })
    }

    fn block(&self, block: Block, good: bool) -> Vec<u8> {
        let start = usize::try_from(self.torrent.range(block.piece).start).unwrap() + block.begin as usize;
        let data = &self.data[start..start + block.length as usize];
        data.iter().map(|byte| if good { *byte } else { !byte }).collect()
    }

    /// What a peer has been sent since the last time.
    fn hear(&mut self, key: PeerKey) -> Vec<Heard> {
        let mut bytes = Vec::new();
        while let Some(out) = self.swarm.outgoing(key).filter(|out| !out.is_empty()) {
            let length = out.front().len();
            bytes.extend_from_slice(out.front());
            self.swarm.written(key, length, self.now);
            self.settle();
        }
        parse(&bytes, self.torrent.pieces())
    }

    /// The blocks a peer has been asked for since the last time.
    fn requests(&mut self, key: PeerKey) -> Vec<Block> {
        let heard = self.hear(key);
        heard
            .into_iter()
            .filter_map(|heard| if let Heard::Request(block) = heard { Some(block) } else { None })
            .collect()
    }

    /// Lets time pass.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.now += Duration::from_millis(250);
            self.swarm.tick(self.now);
            self.settle();
        }
    }

    /// Does what the swarm wants done, the disk's work included unless that is stalled.
    fn settle(&mut self) {
        loop {
            let actions = self.swarm.take_actions();
            let idle = actions.is_empty();
            for action in actions {
                match action {
                    Action::Dial(address) => self.dialled.push(address),
                    Action::Close(key, why) => self.close(key, why),
                    Action::Tell(event) => self.events.push(event),
                    job => self.disk.push_back(job),
                }
            }
            let job = if self.stalled { None } else { self.disk.pop_front() };
            match job {
                Some(job) => self.do_job(job),
                None if idle => return,
                None => {}
            }
        }
    }

    fn do_job(&mut self, job: Action) {
        match job {
            Action::Store { piece, begin, data, earlier } => self.store(piece, begin, data, earlier),
            Action::Forget(piece) => {
                assert!(self.parts.remove(&piece).is_some(), "nothing of {piece} was stored");
            }
            Action::Load { peer, connected, blocks: _, buffer } if connected.strong_count() == 0 => {
                self.swarm.loaded(peer, Some(buffer), 0);
            }
            Action::Load { peer, blocks, mut buffer, .. } => {
                buffer.clear();
                for block in &blocks {
                    self.read += 1;
                    let data = self.block(*block, true);
                    Message::Piece { piece: block.piece, begin: block.begin, data: &data }.write(&mut buffer);
                }
                let payload = blocks.iter().map(|block| u64::from(block.length)).sum();
                self.swarm.loaded(peer, Some(buffer), payload);
            }
            other => panic!("{other:?} is no job for the disk"),
        }
    }

    fn store(&mut self, piece: u32, begin: u32, part: Vec<u8>, earlier: Option<Vec<[u8; 20]>>) {
        let parts = self.parts.entry(piece).or_default();
        assert!(parts.insert(begin, part.clone()).is_none(), "{begin} of {piece} was stored already");
        let range = self.torrent.range(piece);
        if parts.values().map(|part| part.len() as u64).sum::<u64>() != range.end - range.start {
            self.swarm.stored(piece, part, None, self.now);
            return;
        }
        let data = parts.values().map(Vec::as_slice).collect::<Vec<_>>().concat();
        self.parts.remove(&piece);
        let digests: Vec<[u8; 20]> =
            data.chunks(BLOCK as usize).map(|block| Sha1::digest(block).into()).collect();
        let verdict = if Sha1::digest(&data)[..] == self.torrent.hashes[piece as usize] {
            let earlier = earlier.unwrap_or_else(|| digests.clone());
            let differing = (0..digests.len()).filter(|&at| earlier[at] != digests[at]).collect();
            Verdict::Good { differing }
        } else {
            Verdict::Bad { digests }
        };
        self.swarm.stored(piece, part, Some(verdict), self.now);
    }

    fn close(&mut self, key: PeerKey, why: Why) {
        if self.swarm.peers.get(key).is_some() {
            self.closed.push((key, why));
        }
        self.swarm.disconnected(key, why, self.now);
    }

    /// Why a peer's connection was closed.
    fn why(&self, key: PeerKey) -> Option<Why> {
        self.closed.iter().find(|(closed, _)| *closed == key).map(|(_, why)| *why)
    }
}

fn parse(mut bytes: &[u8], pieces: u32) -> Vec<Heard> {
    let mut heard = Vec::new();
    while let Some((message, length)) = next_frame(bytes, Limits::new(pieces)).unwrap() {
        heard.push(match message {
            Message::Choke => Heard::Choke,
            Message::Unchoke => Heard::Unchoke,
            Message::Interested => Heard::Interested,
            Message::NotInterested => Heard::NotInterested,
            Message::Have(piece) => Heard::Have(piece),
            Message::Bitfield(bits) => Heard::Bitfield(bits.to_vec()),
            Message::Request(block) => Heard::Request(block),
            Message::Cancel(block) => Heard::Cancel(block),
            Message::HaveAll => Heard::HaveAll,
            Message::HaveNone => Heard::HaveNone,
            Message::Reject(block) => Heard::Reject(block),
            Message::AllowedFast(piece) => Heard::AllowedFast(piece),
            Message::Port(port) => Heard::Port(port),
            _ => Heard::Other,
        });
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty());
    heard
}
