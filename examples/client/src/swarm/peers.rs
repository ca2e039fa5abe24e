//! The peers that are connected: who comes and goes, and how many there may be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tracker_failover::PeerId;

use super::PeerKey;
use super::actions::Actions;
use super::dial::canonical;
use super::peer::Peer;
use crate::wire::Why;
use crate::wire::message::Message;

/// The peers.
#[derive(Debug)]
pub(super) struct Peers {
    /// How many there may be.
    most: usize,
    connected: BTreeMap<PeerKey, Peer>,
    /// The number of the next one.
    next: u32,
    /// Addresses of peers that have left, while something they sent may still turn out to be bad.
    departed: BTreeMap<PeerKey, SocketAddr>,
    at_last_tick: usize,
    /// Connections that give way to another one with the same peer, and when.
    giving_way: BTreeMap<PeerKey, (PeerKey, Duration)>,
}

impl Default for Peers {
    fn default() -> Self {
        let (connected, departed) = (BTreeMap::new(), BTreeMap::new());
        Self { most: MAX_PEERS, connected, next: 0, departed, at_last_tick: 0, giving_way: BTreeMap::new() }
    }
}

impl Peers {
    /// So many there may be from now on, and never more than [`MAX_PEERS`].
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most.min(MAX_PEERS);
    }

    /// One of them.
    pub(super) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.connected.get(&key)
    }

    /// One of them.
    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.connected.get_mut(&key)
    }

    /// All of them, the first to come first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.connected.values()
    }

    /// All of them, the first to come first.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.connected.values_mut()
    }

    /// All of them, beginning with the one after this.
    pub(super) fn keys_after(&self, turn: PeerKey) -> Vec<PeerKey> {
        let (first, then): (Vec<_>, Vec<_>) = self.connected.keys().copied().partition(|&key| key > turn);
        [first, then].concat()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.connected.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.connected.is_empty()
    }

    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        self.most.saturating_sub(self.connected.len())
    }

    /// Whether there is room for one at this address.
    pub(super) fn has_room_for(&self, address: SocketAddr) -> bool {
        let ip = canonical(address).ip();
        let of_host = || self.iter().filter(|peer| peer.address.ip() == ip).count();
        self.room() > 0 && (ip.is_loopback() || of_host() < MAX_PER_HOST)
    }

    /// The connection that gives way to a new one, where the peer is connected already.
    ///
    /// # Errors
    /// When the new one isn't to be kept.
    pub(super) fn giving_way(
        &self,
        address: SocketAddr,
        dialled: bool,
        id: PeerId,
        own_id: PeerId,
        now: Duration,
    ) -> Result<Option<PeerKey>, Why> {
        if !self.has_room_for(address) {
            return Err(Why::Full);
        }
        // By its host as well: with the id alone a stranger could keep a peer out by its name.
        let same = |peer: &&Peer| peer.id == id && peer.address.ip() == address.ip();
        let Some(other) = self.iter().find(same) else { return Ok(None) };
        // Where both sides dialled each other, both keep the connection of the one with the greater id, in the end.
        let keep_new = other.dialled != dialled && dialled == (own_id > id);
        if !keep_new || now.saturating_sub(other.heard) > RACE {
            return Err(Why::Duplicate);
        }
        Ok(Some(other.key))
    }

    /// One connection gives way to another one with the same peer, after a moment. Clients go by different rules: aria2 closes
    /// the one that came later, and there would be none left.
    pub(super) fn gives_way_to(&mut self, other: PeerKey, kept: PeerKey, now: Duration) {
        self.giving_way.insert(other, (kept, now + GIVES_WAY_AFTER));
    }

    /// Adds a peer whose handshake is done, in a torrent of so many pieces. `fast`: it speaks the fast extension.
    pub(super) fn add(
        &mut self,
        address: SocketAddr,
        dialled: bool,
        id: PeerId,
        pieces: u32,
        fast: bool,
        now: Duration,
    ) -> PeerKey {
        let key = PeerKey(self.next);
        self.next = self.next.wrapping_add(1);
        self.connected.insert(key, Peer::new(key, address, dialled, id, pieces, fast, now));
        key
    }

    /// Takes out one that has left. If it sent blocks, its address is still known for a while.
    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Peer> {
        let peer = self.connected.remove(&key)?;
        if peer.download.total() > 0 {
            if self.departed.len() >= MAX_DEPARTED {
                self.departed.pop_first();
            }
            self.departed.insert(key, peer.address);
        }
        Some(peer)
    }

    /// The address of one that is here, or was.
    pub(super) fn address_of(&self, key: PeerKey) -> Option<SocketAddr> {
        self.get(key).map(|peer| peer.address).or_else(|| self.departed.get(&key).copied())
    }

    /// We have one more piece: all of them hear it, also those that have it. Super-seeding peers name the next piece after
    /// our `have` of the last (BEP 16).
    pub(super) fn announce(&mut self, piece: u32, actions: &mut Actions) {
        for (&key, peer) in &mut self.connected {
            peer.has.came(piece);
            peer.out.push(&Message::Have(piece));
            actions.wake(key);
        }
    }

    /// Time has passed: their speeds are measured, they hear that we are here, and those that are dead or of no use
    /// are closed.
    pub(super) fn tick(&mut self, actions: &mut Actions, now: Duration) {
        let crowded = self.at_last_tick >= self.most;
        for (&key, peer) in &mut self.connected {
            peer.tick(now);
            if now.saturating_sub(peer.spoke) >= KEEP_ALIVE && peer.out.is_empty() {
                peer.spoke = now;
                peer.out.push(&Message::KeepAlive);
                actions.wake(key);
            }
            let silent = now.saturating_sub(peer.heard);
            if silent >= SILENCE {
                actions.close(key, Why::Timeout);
            } else if peer.out.is_stuck() {
                actions.close(key, Why::Io);
            } else if crowded && peer.is_useless() && now.saturating_sub(peer.since) >= USELESS {
                actions.close(key, Why::Redundant);
            }
        }
        self.at_last_tick = self.connected.len();
        let connected = &self.connected;
        self.giving_way.retain(|other, (kept, at)| {
            let both_stand = connected.contains_key(other) && connected.contains_key(kept);
            if both_stand && *at <= now {
                actions.close(*other, Why::Duplicate);
            }
            both_stand && *at > now
        });
    }
}

/// Connections at a time.
pub(crate) const MAX_PEERS: usize = 50;
/// Connections with one host at a time (P-11); several peers may share an address behind a router.
const MAX_PER_HOST: usize = 3;
/// Both sides of a pair that dialled each other see the second connection within this time.
const RACE: Duration = Duration::from_secs(5);
/// How long both connections of such a pair stand, so that the peer may close the one that it doesn't keep.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(2);
const MAX_DEPARTED: usize = 1000;
/// After this time without a message we send a keep-alive (BEP 3: about two minutes).
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// A peer that sends nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(130);
/// So long may a peer be of no use to us, and we to it, when there is no room for others.
const USELESS: Duration = Duration::from_secs(120);
