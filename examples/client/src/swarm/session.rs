//! One torrent and its peers: the state, who comes and goes, and what is to be done.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tracker_failover::{PeerCounts, PeerId, Transfer};

use super::PeerKey;
use super::bitfield::Bitfield;
use super::choker::Choker;
use super::dial::{DialBook, canonical};
use super::limit::Limit;
use super::metadata::MetadataServer;
use super::nodes::PeerNodes;
use super::outgoing::Outgoing;
use super::peer::Peer;
use super::pex::PeerExchange;
use super::picker::Picker;
use super::rate::Rate;
use super::verdict::{Digest, Suspects};
use crate::torrent::Torrent;
use crate::ui::event::Event;
use crate::wire::extension::Offer;
use crate::wire::handshake::Handshake;
use crate::wire::message::{Block, Limits, Message};
use crate::wire::{Why, extension};

/// One torrent and its peers.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) own_id: PeerId,
    pub(super) offer: Offer,
    pub(super) metadata: MetadataServer,
    pub(super) rng: StdRng,
    pub(super) have: Bitfield,
    /// The pieces that the user wants.
    pub(super) wanted: Bitfield,
    /// What is wanted and isn't here.
    pub(super) lacking: Bitfield,
    pub(super) peers: BTreeMap<PeerKey, Peer>,
    pub(super) next_key: u32,
    pub(super) picker: Picker,
    /// The data of the parts in progress, by their pieces and their first bytes in them.
    pub(super) buffers: BTreeMap<(u32, u32), Vec<u8>>,
    /// Buffers to be used again: fresh ones would cost a page fault each 4 KiB.
    pub(super) spare: Vec<Vec<u8>>,
    /// The pieces of which parts were given to the disk, and not yet all.
    pub(super) begun: BTreeSet<u32>,
    pub(super) suspects: BTreeMap<u32, Suspects>,
    /// Addresses of peers that have left, while something they sent may still turn out to be bad.
    pub(super) departed: BTreeMap<PeerKey, SocketAddr>,
    pub(super) choker: Choker,
    pub(super) book: DialBook,
    /// What peers tell each other of further peers.
    pub(super) exchange: PeerExchange,
    /// Nodes of the DHT: those of peers, and our own.
    pub(super) nodes: PeerNodes,
    pub(super) down: Rate,
    pub(super) up: Rate,
    /// Missing bytes of the whole torrent.
    pub(super) left: u64,
    /// Bytes of pieces that came in this run and are good.
    pub(super) downloaded: u64,
    pub(super) actions: Vec<Action>,
    pub(super) wakes: BTreeSet<PeerKey>,
    /// How fast blocks may come, and go.
    pub(super) down_limit: Option<Limit>,
    pub(super) up_limit: Option<Limit>,
    /// The peer that was served last while something is limited: the next one is the first next time.
    pub(super) turn: PeerKey,
    /// Bytes of the wanted pieces.
    pub(super) wanted_bytes: u64,
    /// A slot may have become free, or a peer needs one.
    pub(super) judge_now: bool,
    /// Blocks or memory may have come free, so peers that had nothing to do may have.
    pub(super) stirred: bool,
    /// Buffers that the disk has been asked to fill and hasn't given back, those for peers that have left among them.
    pub(super) loads: usize,
    /// Buffers for blocks that go to peers, to be used again.
    pub(super) spare_loads: Vec<Vec<u8>>,
    pub(super) peers_at_last_tick: usize,
}

/// What the shell is asked to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Connect to a peer; the answer is [`Session::connected`] or [`Session::not_connected`].
    Dial(SocketAddr),
    /// Close a connection; the answer is [`Session::disconnected`].
    Close(PeerKey, Why),
    /// Store a part of a piece, and with the last of its parts check the piece's hash; the answer is
    /// [`Session::stored`]. With the digests of an earlier attempt's blocks, report which blocks differ now.
    Store { piece: u32, begin: u32, data: Vec<u8>, earlier: Option<Vec<Digest>> },
    /// What was stored of a piece is given up: it will be stored anew. There is something, so these are never more than
    /// what was stored.
    Forget(u32),
    /// Read blocks for a peer; the answer is [`Session::loaded`].
    /// If the peer has left when its turn comes, nothing is to be read.
    Load { peer: PeerKey, connected: Weak<()>, blocks: Vec<Block>, buffer: Vec<u8> },
    /// Tell the user.
    Tell(Event),
}

/// What a session begins with.
#[derive(Debug)]
pub(crate) struct Start {
    /// What is here already.
    pub(crate) have: Bitfield,
    /// Our own id.
    pub(crate) own_id: PeerId,
    /// The port on which we take connections.
    pub(crate) port: u16,
    /// For everything that is left to chance.
    pub(crate) seed: u64,
    /// The addresses that are known already; `None` for none.
    pub(crate) book: Option<DialBook>,
    /// The bytes of the metadata, which peers are given (BEP 9).
    pub(crate) metadata: Arc<[u8]>,
    /// How many bytes of blocks may come in a second from all peers together; `None` for any.
    pub(crate) down_limit: Option<u64>,
    /// How many may go.
    pub(crate) up_limit: Option<u64>,
}

/// How things stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) connected: usize,
    pub(crate) known: usize,
    pub(crate) down_speed: u64,
    pub(crate) up_speed: u64,
    /// Missing bytes of what is wanted, and all of its bytes.
    pub(crate) left: u64,
    pub(crate) total: u64,
    /// Whether more peers would help.
    pub(crate) wants_peers: bool,
}

impl Session {
    /// A session that has no peers yet.
    pub(crate) fn new(torrent: &Torrent, start: Start) -> Self {
        let mut rng = StdRng::seed_from_u64(start.seed);
        let total = torrent.total;
        let wanted = torrent.wanted();
        let mut lacking = wanted.clone();
        for piece in start.have.iter() {
            lacking.remove(piece);
        }
        let anything_yet = start.have.len() > 0;
        let picker = Picker::new(torrent.piece_length, total, &lacking, anything_yet, BUDGET, &mut rng);
        let here = picker.bytes_of(&start.have);
        let wanted_bytes = picker.bytes_of(&wanted);
        let book = start.book.unwrap_or_else(|| DialBook::new(rng.random()));
        let exchange = PeerExchange::new(torrent.private);
        Self {
            own_id: start.own_id,
            offer: Offer {
                port: start.port,
                pex: exchange.is_offered(),
                metadata_size: Some(start.metadata.len()),
            },
            metadata: MetadataServer::new(start.metadata),
            rng,
            have: start.have,
            wanted,
            lacking,
            peers: BTreeMap::new(),
            next_key: 0,
            picker,
            buffers: BTreeMap::new(),
            spare: Vec::new(),
            begun: BTreeSet::new(),
            suspects: BTreeMap::new(),
            departed: BTreeMap::new(),
            choker: Choker::default(),
            book,
            exchange,
            nodes: PeerNodes::new(torrent.private),
            down: Rate::default(),
            up: Rate::default(),
            left: total - here,
            downloaded: 0,
            actions: Vec::new(),
            wakes: BTreeSet::new(),
            down_limit: start.down_limit.map(Limit::new),
            up_limit: start.up_limit.map(Limit::new),
            turn: PeerKey(0),
            wanted_bytes,
            judge_now: false,
            stirred: false,
            loads: 0,
            spare_loads: Vec::new(),
            peers_at_last_tick: 0,
        }
    }

    /// What is to be done since the last time this was asked.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        mem::take(&mut self.actions)
    }

    /// The peers to which there is something to write.
    pub(crate) fn take_wakes(&mut self) -> BTreeSet<PeerKey> {
        mem::take(&mut self.wakes)
    }

    /// How long messages may be.
    pub(crate) fn limits(&self) -> Limits {
        Limits::new(self.have.pieces())
    }

    /// Adds addresses of peers, and returns how many of them can be dialled.
    pub(crate) fn add_peers(
        &mut self,
        addresses: impl IntoIterator<Item = SocketAddr>,
        now: Duration,
    ) -> usize {
        let added = addresses.into_iter().filter(|&address| self.book.add(address, now)).count();
        self.dial(now);
        added
    }

    /// Drops all peers and forgets where others are (BEP 27, on a change of the tracker).
    pub(crate) fn forget_peers(&mut self) {
        self.book.forget();
        self.actions.extend(self.peers.keys().map(|&key| Action::Close(key, Why::Redundant)));
    }

    /// Whether a peer at this address may connect to us now.
    pub(crate) fn admits(&self, address: SocketAddr) -> bool {
        self.peers.len() < MAX_PEERS && !self.book.is_banned(address) && self.has_room_for(address)
    }

    /// A handshake is done. Gives the key under which the peer is known from then on.
    ///
    /// # Errors
    /// When the connection is to be closed.
    pub(crate) fn connected(
        &mut self,
        address: SocketAddr,
        dialled: bool,
        handshake: Handshake,
        now: Duration,
    ) -> Result<PeerKey, Why> {
        let key = self.join(address, dialled, handshake, now)?;
        if let Some(peer) = self.peers.get_mut(&key)
            && self.have.len() > 0
        {
            peer.out.push(&Message::Bitfield(self.have.as_bytes()));
        }
        self.introduce(key, handshake.extended, extension::write);
        self.send_own_node(key, handshake.dht);
        self.actions.push(Action::Tell(Event::PeerConnected { peer: canonical(address) }));
        Ok(key)
    }

    /// The same for a connection on which the metadata was fetched. Messages have been exchanged on it already, so that a
    /// bitfield would be late (BEP 3).
    ///
    /// # Errors
    /// When the connection is to be closed.
    pub(crate) fn adopted(
        &mut self,
        address: SocketAddr,
        dialled: bool,
        handshake: Handshake,
        now: Duration,
    ) -> Result<PeerKey, Why> {
        let key = self.join(address, dialled, handshake, now)?;
        if let Some(peer) = self.peers.get_mut(&key) {
            for piece in self.have.iter() {
                peer.out.push(&Message::Have(piece));
            }
        }
        self.introduce(key, handshake.extended, extension::write_again);
        Ok(key)
    }

    /// Sends our extension handshake to a peer that takes one.
    fn introduce(&mut self, key: PeerKey, extended: bool, write: fn(Offer, IpAddr) -> Vec<u8>) {
        if let Some(peer) = self.peers.get_mut(&key).filter(|_| extended) {
            let body = write(self.offer, peer.address.ip());
            peer.out.push(&Message::Extended(0, &body));
        }
    }

    fn join(
        &mut self,
        address: SocketAddr,
        dialled: bool,
        handshake: Handshake,
        now: Duration,
    ) -> Result<PeerKey, Why> {
        let address = canonical(address);
        if handshake.peer_id == self.own_id {
            return Err(Why::Myself);
        }
        if self.book.is_banned(address) {
            return Err(Why::Banned);
        }
        if self.peers.len() >= MAX_PEERS || !self.has_room_for(address) {
            return Err(Why::Full);
        }
        // Told apart by host as well: with the id alone a stranger could keep a peer out by its name.
        let same = |peer: &Peer| peer.id == handshake.peer_id && peer.address.ip() == address.ip();
        if let Some((&key, other)) = self.peers.iter().find(|(_, peer)| same(peer)) {
            // Where both sides dialled each other, both keep the connection of the one with the greater id.
            let keep_new = other.dialled != dialled && dialled == (self.own_id > handshake.peer_id);
            if !keep_new || now.saturating_sub(other.heard) > RACE {
                return Err(Why::Duplicate);
            }
            self.actions.push(Action::Close(key, Why::Duplicate));
        }
        let key = PeerKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        let peer = Peer::new(address, dialled, handshake.peer_id, self.have.pieces(), now);
        if dialled {
            self.book.connected(address);
        }
        self.peers.insert(key, peer);
        Ok(key)
    }

    /// A connection that never came to a handshake has ended.
    pub(crate) fn not_connected(&mut self, address: SocketAddr, dialled: bool, why: Why, now: Duration) {
        let address = canonical(address);
        if dialled {
            self.book.closed(address, why, false, now);
        }
        self.actions.push(Action::Tell(Event::PeerClosed { peer: address, why }));
        self.dial(now);
    }

    /// A connection has ended.
    pub(crate) fn disconnected(&mut self, key: PeerKey, why: Why, now: Duration) {
        let Some(mut peer) = self.peers.remove(&key) else { return };
        for block in peer.asked.drain(..) {
            self.picker.release(block);
            if let Some(limit) = &mut self.down_limit {
                limit.give_back(block.length.into());
            }
        }
        if let Some(limit) = &mut self.up_limit {
            limit.give_back(peer.granted.saturating_sub(peer.up.total()));
        }
        self.abandon(key);
        self.exchange.left(key);
        if peer.counted {
            for piece in peer.has.iter() {
                self.picker.rarity().decrease(piece);
            }
        }
        if peer.down.total() > 0 {
            if self.departed.len() >= MAX_DEPARTED {
                self.departed.pop_first();
            }
            self.departed.insert(key, peer.address);
        }
        if let Some(listens) = peer.listens {
            let useful = peer.down.total() + peer.up.total() > 0;
            self.book.closed(listens, why, useful, now);
        }
        self.actions.push(Action::Tell(Event::PeerClosed { peer: peer.address, why }));
        self.judge_now = true;
        self.stirred = true;
        self.settle(now);
    }

    /// What waits to be written to a peer.
    pub(crate) fn outgoing(&mut self, key: PeerKey) -> Option<&mut Outgoing> {
        self.peers.get_mut(&key).map(|peer| &mut peer.out)
    }

    /// The counters for trackers (BEP 3). Only what turned out to be good was downloaded: neither second copies
    /// of the end-game nor pieces that failed count, as libtorrent has it. So it never goes back, and with `left`
    /// makes what was missing at the start.
    pub(crate) fn transfer(&self) -> Transfer {
        Transfer { uploaded: self.up.total(), downloaded: self.downloaded, left: Some(self.left) }
    }

    /// How many peers there are, by which the library decides whether further trackers are asked.
    pub(crate) fn peer_counts(&self) -> PeerCounts {
        let seeds = self.peers.values().filter(|peer| peer.has.is_full()).count();
        let [connected, connecting, seeds] = [self.peers.len(), self.book.dialling(), seeds]
            .map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        PeerCounts { connected, connecting, seeds }
    }

    /// How things stand.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            connected: self.peers.len(),
            known: self.book.len(),
            down_speed: self.down.per_second(),
            up_speed: self.up.per_second(),
            left: self.picker.bytes_of(&self.lacking),
            total: self.wanted_bytes,
            wants_peers: !self.is_complete() && self.peers.len() < FEW_PEERS,
        }
    }

    /// Whether everything that is wanted is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.lacking.len() == 0
    }

    /// Whether the whole torrent is here, which is what trackers call complete.
    pub(crate) fn is_whole(&self) -> bool {
        self.have.is_full()
    }

    /// Whether no peer is left and none may be dialled any more, and nothing of theirs is still being checked.
    pub(crate) fn is_out_of_peers(&self) -> bool {
        self.peers.is_empty() && self.book.is_exhausted() && !self.picker.is_checking()
    }

    /// Whether a peer is connected, or one is known that may be dialled, now or later.
    pub(crate) fn has_peers(&self) -> bool {
        !self.peers.is_empty() || self.book.len() > 0 && !self.book.is_exhausted()
    }

    /// Whether something is limited, so that [`pace`](Self::pace) is to be called often.
    pub(crate) fn is_limited(&self) -> bool {
        self.down_limit.is_some() || self.up_limit.is_some()
    }

    /// Dials the peers that are due.
    pub(super) fn dial(&mut self, now: Duration) {
        let room = MAX_PEERS.saturating_sub(self.peers.len());
        let due = self.book.due(now, room);
        self.actions.extend(due.into_iter().map(Action::Dial));
    }

    fn has_room_for(&self, address: SocketAddr) -> bool {
        let ip = canonical(address).ip();
        ip.is_loopback() || self.peers.values().filter(|peer| peer.address.ip() == ip).count() < MAX_PER_HOST
    }
}

/// Connections at a time.
pub(crate) const MAX_PEERS: usize = 50;
/// Connections with one host at a time (P-11); several peers may share an address behind a router.
const MAX_PER_HOST: usize = 3;
/// Memory for parts in progress, in bytes.
const BUDGET: u64 = 14 << 20;
/// Both sides of a pair that dialled each other see the second connection within this time.
const RACE: Duration = Duration::from_secs(5);
/// With fewer connections we ask trackers for more peers.
const FEW_PEERS: usize = 10;
const MAX_DEPARTED: usize = 1000;
