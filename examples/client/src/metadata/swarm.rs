//! The peers of a torrent whose metadata isn't known: who comes and goes, and what they are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use tracker_failover::{InfoHash, PeerId};

use super::exchange::Exchange;
use crate::swarm::PeerKey;
use crate::swarm::dial::{DialBook, canonical};
use crate::swarm::peers::MAX_PEERS;
use crate::swarm::pex::{PeerExchange, Taken};
use crate::wire::Why;
use crate::wire::extension::{self, Offer, UT_METADATA, UT_PEX};
use crate::wire::handshake::Handshake;
use crate::wire::message::Message;
use crate::wire::metadata::MetadataMessage;

/// The peers, and what was fetched from them.
#[derive(Debug)]
pub(crate) struct MetadataSwarm {
    own_id: PeerId,
    port: u16,
    exchange: Exchange,
    peer_exchange: PeerExchange,
    book: DialBook,
    peers: BTreeMap<PeerKey, Peer>,
    next_key: u32,
    closing: Vec<(PeerKey, Why)>,
    wakes: BTreeSet<PeerKey>,
    metadata: Option<Vec<u8>>,
    is_found: bool,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    dialled: bool,
    id: PeerId,
    /// Where it takes connections, if that is known.
    listens: Option<SocketAddr>,
    since: Duration,
    heard: Duration,
    spoke: Duration,
    pointless: u32,
    /// The id under which it takes messages about metadata.
    ut_metadata: Option<u8>,
    out: Vec<u8>,
}

impl MetadataSwarm {
    /// No peers are known yet. `port` is the one on which we take connections; `seed` is for everything left to chance.
    pub(crate) fn new(info_hash: InfoHash, own_id: PeerId, port: u16, seed: u64) -> Self {
        Self {
            own_id,
            port,
            exchange: Exchange::new(info_hash),
            peer_exchange: PeerExchange::new(false),
            book: DialBook::new(seed),
            peers: BTreeMap::new(),
            next_key: 0,
            closing: Vec::new(),
            wakes: BTreeSet::new(),
            metadata: None,
            is_found: false,
        }
    }

    /// Adds the address of a peer; gives whether it can be dialled.
    pub(crate) fn add_peer(&mut self, address: SocketAddr, now: Duration) -> bool {
        self.book.add(address, now)
    }

    /// The addresses that are to be dialled now.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<SocketAddr> {
        self.book.due(now, MAX_PEERS.saturating_sub(self.peers.len()))
    }

    /// Whether a peer at this address may connect to us now.
    pub(crate) fn admits(&self, address: SocketAddr) -> bool {
        self.refusal(canonical(address)).is_none()
    }

    /// A handshake is done. Gives the key of the connection.
    ///
    /// # Errors
    /// When the connection is to be closed.
    pub(crate) fn connected_to(
        &mut self,
        address: SocketAddr,
        dialled: bool,
        handshake: &Handshake,
        now: Duration,
    ) -> Result<PeerKey, Why> {
        let address = canonical(address);
        if handshake.peer_id == self.own_id {
            return Err(Why::Myself);
        }
        if let Some(why) = self.refusal(address) {
            return Err(why);
        }
        let same = |peer: &Peer| peer.id == handshake.peer_id && peer.address.ip() == address.ip();
        if let Some((&key, other)) = self.peers.iter().find(|(_, peer)| same(peer)) {
            // Where both sides dialled each other, both keep the connection of the one with the greater id.
            if other.dialled == dialled || dialled != (self.own_id > handshake.peer_id) {
                return Err(Why::Duplicate);
            }
            self.closing.push((key, Why::Duplicate));
        }
        if dialled {
            self.book.connected(address);
        }
        let mut out = Vec::new();
        if handshake.fast {
            // Whatever we have of it, that is said when the metadata is known.
            Message::HaveNone.write(&mut out);
        }
        if handshake.extended {
            let offer = Offer { port: self.port, pex: true, metadata_size: None };
            Message::Extended(0, &extension::write(offer, address.ip())).write(&mut out);
        }
        let key = PeerKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        self.peers.insert(
            key,
            Peer {
                address,
                dialled,
                id: handshake.peer_id,
                listens: dialled.then_some(address),
                since: now,
                heard: now,
                spoke: now,
                pointless: 0,
                ut_metadata: None,
                out,
            },
        );
        Ok(key)
    }

    /// A connection that never came to a handshake has ended.
    pub(crate) fn not_connected(&mut self, address: SocketAddr, dialled: bool, why: Why, now: Duration) {
        if dialled {
            self.book.closed(canonical(address), why, false, now);
        }
    }

    /// A connection has ended.
    pub(crate) fn disconnected(&mut self, key: PeerKey, why: Why, now: Duration) {
        let Some(peer) = self.peers.remove(&key) else { return };
        if why == Why::HashFail {
            self.book.ban(peer.address);
        }
        if let Some(listens) = peer.listens {
            self.book.closed(listens, why, false, now);
        }
        self.exchange.disconnected(key, now);
        self.peer_exchange.left(key);
        self.ask();
    }

    /// Takes a message of a peer.
    ///
    /// # Errors
    /// When its connection is to be closed.
    pub(crate) fn message(&mut self, key: PeerKey, message: Message<'_>, now: Duration) -> Result<(), Why> {
        let Some(peer) = self.peers.get_mut(&key) else { return Err(Why::Io) };
        peer.heard = now;
        let taken = match message {
            Message::Extended(0, body) => {
                self.introduced(key, body, now);
                self.count_pointless(key)
            }
            Message::Extended(UT_METADATA, body) => {
                let taken = self.exchange.message(key, body, now);
                if let Some(metadata) = self.exchange.take_metadata() {
                    self.metadata = Some(metadata);
                    self.is_found = true;
                }
                taken.and_then(|()| self.refuse(key, body))
            }
            Message::Extended(UT_PEX, body) => {
                match self.peer_exchange.received(key, peer.address, body, false, now) {
                    Taken::Peers(peers) => {
                        for address in peers {
                            self.book.add(address, now);
                        }
                        Ok(())
                    }
                    Taken::Pointless => self.count_pointless(key),
                }
            }
            _ => Ok(()),
        };
        self.ask();
        taken
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.exchange.tick(now);
        let is_full = self.peers.len() >= MAX_PEERS;
        for (&key, peer) in &mut self.peers {
            if now.saturating_sub(peer.heard) >= SILENCE {
                self.closing.push((key, Why::Timeout));
            } else if is_full
                && !self.exchange.is_offered_by(key)
                && now.saturating_sub(peer.since) >= USELESS_AFTER
            {
                // Others may have the metadata.
                self.closing.push((key, Why::Redundant));
            } else if now.saturating_sub(peer.spoke) >= KEEP_ALIVE {
                peer.spoke = now;
                Message::KeepAlive.write(&mut peer.out);
                self.wakes.insert(key);
            }
        }
        self.ask();
    }

    /// The connections that are to be closed, and those on which there is something to write.
    pub(crate) fn take_wakes(&mut self) -> (Vec<(PeerKey, Why)>, BTreeSet<PeerKey>) {
        (mem::take(&mut self.closing), mem::take(&mut self.wakes))
    }

    /// What is to be written to a peer.
    pub(crate) fn take_outgoing(&mut self, key: PeerKey) -> Vec<u8> {
        self.peers.get_mut(&key).map(|peer| mem::take(&mut peer.out)).unwrap_or_default()
    }

    /// Whether the metadata has come.
    pub(crate) fn is_found(&self) -> bool {
        self.is_found
    }

    /// The metadata, once.
    pub(crate) fn take_metadata(&mut self) -> Option<Vec<u8>> {
        self.metadata.take()
    }

    /// The addresses that are known, with what has become of each.
    pub(crate) fn take_book(&mut self) -> DialBook {
        mem::replace(&mut self.book, DialBook::new(0))
    }

    /// Whether no peer is left and none may be dialled any more.
    pub(crate) fn is_out_of_peers(&self) -> bool {
        self.peers.is_empty() && self.book.is_exhausted()
    }

    /// Whether a peer is connected, or one is known that may be dialled, now or later.
    pub(crate) fn has_peers(&self) -> bool {
        !self.peers.is_empty() || self.book.len() > 0 && !self.book.is_exhausted()
    }

    /// How many peers are connected.
    pub(crate) fn connected(&self) -> usize {
        self.peers.len()
    }

    /// How many are being dialled.
    pub(crate) fn dialling(&self) -> usize {
        self.book.dialling()
    }

    /// Why a peer at this address isn't taken.
    fn refusal(&self, address: SocketAddr) -> Option<Why> {
        let of_host = || self.peers.values().filter(|peer| peer.address.ip() == address.ip()).count();
        if self.book.is_banned(address) {
            Some(Why::Banned)
        } else if self.peers.len() >= MAX_PEERS || (!address.ip().is_loopback() && of_host() >= MAX_PER_HOST)
        {
            Some(Why::Full)
        } else {
            None
        }
    }

    /// Takes a peer's extension handshake.
    fn introduced(&mut self, key: PeerKey, body: &[u8], now: Duration) {
        let said = extension::read(body);
        self.exchange.offered(key, said.ut_metadata, said.metadata_size, now);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if let (Some(port), None) = (said.port, peer.listens) {
            let listens = SocketAddr::new(peer.address.ip(), port);
            peer.listens = Some(listens);
            self.book.came_in(listens, now);
        }
        peer.ut_metadata = said.ut_metadata;
    }

    /// Refuses what a peer asks for: we have nothing yet.
    fn refuse(&mut self, key: PeerKey, body: &[u8]) -> Result<(), Why> {
        let Some(MetadataMessage::Request(piece)) = MetadataMessage::read(body) else { return Ok(()) };
        if let Some(peer) = self.peers.get_mut(&key)
            && let Some(id) = peer.ut_metadata
        {
            Message::Extended(id, &MetadataMessage::Reject(piece).write()).write(&mut peer.out);
            self.wakes.insert(key);
        }
        self.count_pointless(key)
    }

    fn count_pointless(&mut self, key: PeerKey) -> Result<(), Why> {
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        peer.pointless += 1;
        if peer.pointless > MAX_POINTLESS { Err(Why::BadMessage) } else { Ok(()) }
    }

    /// Queues the requests that are due.
    fn ask(&mut self) {
        for request in self.exchange.take_requests() {
            if let Some(peer) = self.peers.get_mut(&request.to) {
                let body = MetadataMessage::Request(request.piece).write();
                Message::Extended(request.id, &body).write(&mut peer.out);
                self.wakes.insert(request.to);
            }
        }
    }
}

/// Connections with one host at a time, as in the download.
const MAX_PER_HOST: usize = 3;
/// A peer that says nothing at all for so long is gone (BEP 3: keep-alives come every two minutes).
const SILENCE: Duration = Duration::from_secs(150);
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// While there is no room, a peer that hasn't offered the metadata by then makes room.
const USELESS_AFTER: Duration = Duration::from_secs(20);
/// Messages that mean nothing.
const MAX_POINTLESS: u32 = 200;
