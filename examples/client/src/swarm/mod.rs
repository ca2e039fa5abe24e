//! The swarm as a state machine: it takes the time, the messages of peers and the results of the disk, and returns what to do
//! next. No sockets, no files, no clock; randomness is a seed.
//!
//! What is known belongs to the parts: [`peers`], [`pieces`], [`requests`], [`uploads`], the addresses in [`dial`], [`pex`],
//! [`nodes`] and [`metadata`]. What they want done is collected in [`actions`]. The swarm itself leads everything that happens to the parts.

pub(crate) mod actions;
pub(crate) mod bitfield;
mod buffers;
pub(crate) mod choker;
mod connections;
pub(crate) mod dial;
mod disk;
mod fast;
mod key;
pub(crate) mod late;
pub(crate) mod limit;
mod messages;
mod metadata;
mod nodes;
mod open_piece;
pub(crate) mod outgoing;
mod pace;
pub(crate) mod parts;
mod peer;
mod peer_download;
mod peer_pieces;
mod peer_upload;
pub(crate) mod peers;
pub(crate) mod pex;
pub(crate) mod picker;
mod pieces;
mod queue;
pub(crate) mod rarity;
pub(crate) mod rate;
mod requests;
pub(crate) mod shared_limit;
mod stats;
#[cfg(test)]
mod tests;
mod uploads;
pub(crate) mod verdict;
pub(crate) mod window;

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tracker_failover::{InfoHash, PeerId};

use self::actions::{Action, Actions};
use self::bitfield::Bitfield;
use self::dial::DialBook;
pub(crate) use self::key::PeerKey;
use self::metadata::MetadataServer;
use self::nodes::PeerNodes;
use self::outgoing::Outgoing;
use self::peer::Peer;
use self::peers::Peers;
use self::pex::PeerExchange;
use self::pieces::Pieces;
use self::requests::Requests;
use self::shared_limit::SharedLimit;
pub(crate) use self::stats::Stats;
use self::uploads::Uploads;
use crate::torrent::Torrent;
use crate::wire::extension::Offer;
use crate::wire::message::{Limits, Message};
use crate::wire::pex::{REACHABLE, SEED};

/// One torrent and its peers.
#[derive(Debug)]
pub(crate) struct Swarm {
    own_id: PeerId,
    info_hash: InfoHash,
    offer: Offer,
    rng: StdRng,
    actions: Actions,
    peers: Peers,
    pieces: Pieces,
    requests: Requests,
    uploads: Uploads,
    /// The peer that was served last while something is limited.
    turn: PeerKey,
    book: DialBook,
    /// What peers tell each other of further peers.
    exchange: PeerExchange,
    /// Nodes of the DHT: those of peers, and our own.
    nodes: PeerNodes,
    metadata: MetadataServer,
}

/// What a swarm begins with.
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
    /// How many bytes of blocks may come in a second from all peers of all torrents together; `None` for any.
    pub(crate) down_limit: Option<SharedLimit>,
    /// How many may go.
    pub(crate) up_limit: Option<SharedLimit>,
}

impl Swarm {
    /// A swarm without peers.
    pub(crate) fn new(torrent: &Torrent, start: Start) -> Self {
        let mut rng = StdRng::seed_from_u64(start.seed);
        let pieces = Pieces::new(torrent, start.have, &mut rng);
        let book = start.book.unwrap_or_else(|| DialBook::new(rng.random()));
        let exchange = PeerExchange::new(torrent.private);
        let offer =
            Offer { port: start.port, pex: exchange.is_offered(), metadata_size: Some(start.metadata.len()) };
        Self {
            own_id: start.own_id,
            info_hash: torrent.info_hash,
            offer,
            rng,
            actions: Actions::default(),
            peers: Peers::default(),
            pieces,
            requests: Requests::new(start.down_limit),
            uploads: Uploads::new(start.up_limit),
            turn: PeerKey(0),
            book,
            exchange,
            nodes: PeerNodes::new(torrent.private),
            metadata: MetadataServer::new(start.metadata),
        }
    }

    /// What is to be done since the last time this was asked.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        self.actions.take()
    }

    /// The peers to which there is something to write.
    pub(crate) fn take_wakes(&mut self) -> BTreeSet<PeerKey> {
        self.actions.take_wakes()
    }

    /// How long messages may be.
    pub(crate) fn limits(&self) -> Limits {
        Limits::new(self.pieces.have().pieces())
    }

    /// Time has passed; to be called a few times a second.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.requests.tick(now);
        self.uploads.tick(now);
        self.peers.tick(&mut self.actions, now);
        self.requests.look_for_silence(&mut self.peers, &mut self.pieces, &mut self.actions, now);
        self.exchange_peers(now);
        self.judge(now);
        self.requests.stir();
        self.settle(now);
        self.pace(now);
        self.dial(now);
    }

    /// Sends each peer the addresses of others (BEP 11).
    fn exchange_peers(&mut self, now: Duration) {
        let flags = |peer: &Peer| {
            (if peer.has.is_full() { SEED } else { 0 }) | (if peer.dialled { REACHABLE } else { 0 })
        };
        let connected = self.peers.iter().filter_map(|peer| Some((peer.listens?, flags(peer)))).collect();
        for update in self.exchange.due(&connected, now) {
            if let Some(peer) = self.peers.get_mut(update.to) {
                peer.out.push(&Message::Extended(update.id, &update.body));
                self.actions.wake(update.to);
            }
        }
    }

    /// Asks for and gives as much as the limits allow by now; to be called often while something is limited.
    pub(crate) fn pace(&mut self, now: Duration) {
        let Self { turn, peers, pieces, rng, actions, .. } = self;
        self.requests.pace(turn, peers, pieces, rng, actions, now);
        self.uploads.pace(turn, peers, actions, now);
    }

    /// Our own node of the DHT listens on this port, or there is none.
    pub(crate) fn set_own_node(&mut self, port: Option<u16>) {
        self.nodes.set_own_port(port);
    }

    /// Whether handshakes say that we have a node. Only then do peers send us the ports of theirs.
    pub(crate) fn has_node(&self) -> bool {
        self.nodes.own_port().is_some()
    }

    /// The nodes of peers, the last one first.
    pub(crate) fn learnt_nodes(&self) -> Vec<SocketAddrV4> {
        self.nodes.learnt()
    }

    /// So many connections there may be from now on; those that are more than that end when they are of no use.
    pub(crate) fn set_most_peers(&mut self, most: usize) {
        self.peers.set_most(most);
    }

    /// What waits to be written to a peer.
    pub(crate) fn outgoing(&mut self, key: PeerKey) -> Option<&mut Outgoing> {
        self.peers.get_mut(key).map(|peer| &mut peer.out)
    }

    /// So many bytes were written to a peer.
    pub(crate) fn written(&mut self, key: PeerKey, bytes: usize, now: Duration) {
        self.uploads.written(key, bytes, &mut self.peers, &mut self.actions, now);
    }

    /// A whole read of a peer's has been taken: asks it for more, and reads what it asked for.
    pub(crate) fn read_taken(&mut self, key: PeerKey, now: Duration) {
        let Self { peers, pieces, rng, actions, .. } = self;
        self.requests.refill(key, peers, pieces, rng, actions, now);
        self.uploads.load(key, peers, actions);
        self.settle(now);
    }

    /// Does what has become possible.
    fn settle(&mut self, now: Duration) {
        if self.uploads.may_judge() {
            self.judge(now);
        }
        if self.requests.take_stirred() {
            self.refill_all(now);
        }
    }

    fn judge(&mut self, now: Duration) {
        let is_complete = self.pieces.is_complete();
        self.uploads.judge(&mut self.peers, is_complete, &mut self.rng, &mut self.actions, now);
    }

    fn refill_all(&mut self, now: Duration) {
        let Self { peers, pieces, rng, actions, .. } = self;
        self.requests.refill_all(peers, pieces, rng, actions, now);
    }

    /// Whether something is limited, so that [`pace`](Self::pace) is to be called often.
    pub(crate) fn is_limited(&self) -> bool {
        self.requests.is_limited() || self.uploads.is_limited()
    }
}
