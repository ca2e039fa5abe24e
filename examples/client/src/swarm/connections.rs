//! Which peers come and go, and which are dialled.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::actions::Action;
use super::dial::canonical;
use super::{PeerKey, Swarm, fast};
use crate::ui::event::Event;
use crate::wire::extension::Offer;
use crate::wire::handshake::Handshake;
use crate::wire::message::Message;
use crate::wire::{Why, extension};

impl Swarm {
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
        for peer in self.peers.iter() {
            self.actions.close(peer.key, Why::Redundant);
        }
    }

    /// Whether a peer at this address may connect to us now.
    pub(crate) fn admits(&self, address: SocketAddr) -> bool {
        !self.book.is_banned(address) && self.peers.has_room_for(address)
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
        if let Some(peer) = self.peers.get_mut(key) {
            fast::announce(peer, &self.pieces, &mut self.actions);
        }
        self.introduce(key, handshake.extended, extension::write);
        self.send_own_node(key, handshake.dht);
        let (peer, encryption, fast) = (canonical(address), handshake.method, handshake.fast);
        self.actions.tell(Event::PeerConnected { peer, encryption, fast });
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
        if let Some(peer) = self.peers.get_mut(key) {
            for piece in self.pieces.have().iter() {
                peer.out.push(&Message::Have(piece));
            }
        }
        self.introduce(key, handshake.extended, extension::write_again);
        Ok(key)
    }

    /// Sends the port of our node of the DHT to a peer whose handshake said that it has one as well (BEP 5).
    fn send_own_node(&mut self, key: PeerKey, has_node: bool) {
        if let Some(port) = self.nodes.own_port()
            && let Some(peer) = self.peers.get_mut(key).filter(|_| has_node)
        {
            peer.out.push(&Message::Port(port));
        }
    }

    /// Sends our extension handshake to a peer that takes one.
    fn introduce(&mut self, key: PeerKey, extended: bool, write: fn(Offer, IpAddr) -> Vec<u8>) {
        if let Some(peer) = self.peers.get_mut(key).filter(|_| extended) {
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
        let (address, id) = (canonical(address), handshake.peer_id);
        if id == self.own_id {
            return Err(Why::Myself);
        }
        if self.book.is_banned(address) {
            return Err(Why::Banned);
        }
        let other = self.peers.giving_way(address, dialled, id, self.own_id, now)?;
        let pieces = self.pieces.have().pieces();
        let key = self.peers.add(address, dialled, id, pieces, handshake.fast, now);
        if let Some(other) = other {
            self.peers.gives_way_to(other, key, now);
        }
        if dialled {
            self.book.connected(address);
        }
        Ok(key)
    }

    /// A connection that never came to a handshake has ended.
    pub(crate) fn not_connected(&mut self, address: SocketAddr, dialled: bool, why: Why, now: Duration) {
        let address = canonical(address);
        if dialled {
            self.book.closed(address, why, false, now);
        }
        self.actions.tell(Event::PeerClosed { peer: address, why });
        self.dial(now);
    }

    /// A connection has ended.
    pub(crate) fn disconnected(&mut self, key: PeerKey, why: Why, now: Duration) {
        let Some(peer) = self.peers.remove(key) else { return };
        self.requests.left(&peer, &mut self.pieces);
        self.uploads.left(&peer);
        self.pieces.left_by(&peer, &mut self.actions);
        self.exchange.left(key);
        if let Some(listens) = peer.listens {
            self.book.closed(listens, why, peer.was_useful(), now);
        }
        self.actions.tell(Event::PeerClosed { peer: peer.address, why });
        self.settle(now);
    }

    /// Dials the peers that are due.
    pub(super) fn dial(&mut self, now: Duration) {
        for address in self.book.due(now, self.peers.room()) {
            self.actions.push(Action::Dial(address));
        }
    }
}
