//! Who takes part in which torrent, as each tracker of a cluster sees it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::log::now;
use crate::request::Heard;

/// How many peers one tracker remembers, over all torrents; further ones are answered and forgotten.
pub const PEER_LIMIT: usize = 200_000;

/// The swarms known to one or several trackers.
///
/// What is announced to one tracker, it knows at once, and the others know it after the gossip delay on tokio's clock.
/// Of two changes to the same peer the one that was made later counts, in whatever order they arrive: a peer
/// that started at one tracker and stopped at another stays gone.
#[derive(Debug, Clone)]
pub struct Swarm(Arc<Mutex<State>>);

/// A peer as a tracker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmPeer {
    /// Its id.
    pub peer_id: [u8; 20],
    /// Where it takes connections: the address it announced from, with the port it announced.
    pub address: SocketAddr,
    /// The bytes it still needs; `None` if it didn't send `left`.
    pub left: Option<u64>,
}

/// How large a swarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwarmCounts {
    /// Peers that have everything.
    pub complete: u64,
    /// Peers that don't.
    pub incomplete: u64,
    /// Downloads that were completed, as announced by `completed`.
    pub downloaded: u64,
}

/// The place of one tracker in its cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member(usize);

#[derive(Debug)]
struct State {
    gossip: Duration,
    views: Vec<View>,
    /// What was announced to one tracker and hasn't yet reached the others, oldest first.
    travelling: VecDeque<(Instant, Change)>,
    /// How many changes there have been; each takes the number as its stamp.
    changes: u64,
}

/// What one tracker knows.
#[derive(Debug, Default)]
struct View {
    torrents: BTreeMap<[u8; 20], Torrent>,
    known: usize,
}

#[derive(Debug, Default)]
struct Torrent {
    peers: BTreeMap<[u8; 20], Entry>,
    downloaded: u64,
}

/// A peer, or the memory of one that has stopped.
#[derive(Debug)]
struct Entry {
    stamp: u64,
    peer: SwarmPeer,
    gone: bool,
}

#[derive(Debug, Clone)]
struct Change {
    stamp: u64,
    info_hash: [u8; 20],
    peer: SwarmPeer,
    event: Effect,
}

/// What a change does beyond the peer's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Present,
    Completed,
    Stopped,
}

impl SwarmPeer {
    /// Whether it has everything. A peer without `left` counts as one that needs something.
    pub fn is_complete(&self) -> bool {
        self.left == Some(0)
    }
}

impl Swarm {
    /// An empty swarm, whose trackers know of each other's peers after this time. [`Duration::MAX`] makes them
    /// independent.
    pub fn new(gossip: Duration) -> Self {
        let state = State { gossip, views: Vec::new(), travelling: VecDeque::new(), changes: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// One more tracker. It knows what is announced from now on.
    pub(crate) fn join(&self) -> Member {
        let mut state = self.lock();
        state.views.push(View::default());
        Member(state.views.len() - 1)
    }

    /// Hands an announce to a tracker.
    ///
    /// # Errors
    /// With the failure reason a real tracker would give, where the announce lacks what BEP 3 demands.
    pub(crate) fn announce(&self, to: Member, announce: &Heard) -> Result<(), &'static str> {
        let info_hash = announce.info_hash().ok_or("info_hash must be 20 bytes")?;
        let peer_id = announce.peer_id().ok_or("peer_id must be 20 bytes")?;
        let port = announce.port().filter(|port| *port > 0).ok_or("port must be a number from 1 to 65535")?;
        let event = match announce.event() {
            None | Some("" | "started" | "empty") => Effect::Present,
            Some("completed") => Effect::Completed,
            Some("stopped") => Effect::Stopped,
            Some(_) => return Err("event must be started, completed or stopped"),
        };
        let address = SocketAddr::new(announce.from.ip(), port);
        // A peer that has completed needs nothing, whatever its counter is.
        let left = if event == Effect::Completed { Some(0) } else { announce.left() };
        self.change(to, info_hash, SwarmPeer { peer_id, address, left }, event);
        Ok(())
    }

    /// Adds a peer, as if it had announced itself.
    pub(crate) fn add(&self, to: Member, info_hash: [u8; 20], peer: SwarmPeer) {
        self.change(to, info_hash, peer, Effect::Present);
    }

    /// The peers a tracker knows, in the order of their ids.
    pub(crate) fn peers_of(&self, at: Member, info_hash: &[u8; 20]) -> Vec<SwarmPeer> {
        let state = self.lock();
        let present = state.torrent(at, info_hash).into_iter().flat_map(Torrent::present);
        present.cloned().collect()
    }

    /// How large a swarm is, as a tracker knows it; `None` where it never heard of it.
    pub(crate) fn counts_of(&self, at: Member, info_hash: &[u8; 20]) -> Option<SwarmCounts> {
        self.lock().torrent(at, info_hash).map(Torrent::counts)
    }

    /// The torrents a tracker has heard of.
    pub(crate) fn torrents(&self, at: Member) -> Vec<[u8; 20]> {
        let state = self.lock();
        state.views.get(at.0).into_iter().flat_map(|view| view.torrents.keys().copied()).collect()
    }

    fn change(&self, to: Member, info_hash: [u8; 20], peer: SwarmPeer, event: Effect) {
        let mut state = self.lock();
        state.changes += 1;
        let change = Change { stamp: state.changes, info_hash, peer, event };
        // A delay that the clock can't hold never ends.
        let due = now().checked_add(state.gossip).filter(|_| state.views.len() > 1);
        if let Some(due) = due {
            state.travelling.push_back((due, change.clone()));
        }
        if let Some(view) = state.views.get_mut(to.0) {
            view.apply(change);
        }
        state.deliver();
    }

    /// The state, with all gossip delivered that has arrived by now.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.deliver();
        state
    }
}

impl State {
    fn deliver(&mut self) {
        if self.travelling.is_empty() {
            return;
        }
        let now = now();
        let arrives = |travelling: &VecDeque<(Instant, Change)>| {
            travelling.len() > PEER_LIMIT || travelling.front().is_some_and(|(due, ..)| *due <= now)
        };
        while arrives(&self.travelling) {
            let Some((_, change)) = self.travelling.pop_front() else { return };
            // The one that received the announce itself takes it for old news.
            self.views.iter_mut().for_each(|view| view.apply(change.clone()));
        }
    }

    fn torrent(&self, at: Member, info_hash: &[u8; 20]) -> Option<&Torrent> {
        self.views.get(at.0)?.torrents.get(info_hash)
    }
}

impl View {
    fn apply(&mut self, change: Change) {
        let known = self.torrents.get(&change.info_hash);
        let known = known.and_then(|torrent| torrent.peers.get(&change.peer.peer_id));
        let is_stale = known.is_some_and(|entry| entry.stamp >= change.stamp);
        if is_stale || (known.is_none() && self.known >= PEER_LIMIT) {
            return;
        }
        self.known += usize::from(known.is_none());
        // A peer that sends `completed` twice has completed once.
        let was_complete = known.is_some_and(|entry| !entry.gone && entry.peer.is_complete());
        let torrent = self.torrents.entry(change.info_hash).or_default();
        torrent.downloaded += u64::from(change.event == Effect::Completed && !was_complete);
        let gone = change.event == Effect::Stopped;
        torrent.peers.insert(change.peer.peer_id, Entry { stamp: change.stamp, peer: change.peer, gone });
    }
}

impl Torrent {
    fn present(&self) -> impl Iterator<Item = &SwarmPeer> {
        self.peers.values().filter(|entry| !entry.gone).map(|entry| &entry.peer)
    }

    fn counts(&self) -> SwarmCounts {
        let mut counts = SwarmCounts { downloaded: self.downloaded, ..SwarmCounts::default() };
        for peer in self.present() {
            let count = if peer.is_complete() { &mut counts.complete } else { &mut counts.incomplete };
            *count += 1;
        }
        counts
    }
}
