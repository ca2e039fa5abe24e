//! What trackers know: which peers are listed where, and what they answer.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::{IteratorRandom, SliceRandom};

use super::agent::{Answer, PeerNumber};
use super::world::{LISTED, Residents, Tracker, World};
use crate::time::Millis;

/// How many peers an answer names at most: what trackers send when they aren't asked for a number.
const MAX_NAMED: usize = 50;

/// Peer numbers from here on are residents: this many for each set.
const FIRST_RESIDENT: PeerNumber = 1 << 20;
const RESIDENTS_OF_A_SET: PeerNumber = 1 << 12;

/// The peers of all trackers.
pub(super) struct Registry {
    /// The listed peers, by the number of the set.
    sets: Vec<BTreeMap<PeerNumber, Listed>>,
    residents: Vec<Residents>,
    names_asker: bool,
}

#[derive(Clone, Copy)]
struct Listed {
    last_announce: Millis,
    is_seed: bool,
}

impl Registry {
    pub(super) fn new(world: &World) -> Self {
        let sets = world.trackers.iter().map(|tracker| tracker.peer_set + 1).max().unwrap_or(0);
        let mut residents = world.residents.clone();
        residents.resize(sets, Residents::default());
        Self { sets: vec![BTreeMap::new(); sets], residents, names_asker: world.names_asker }
    }

    /// Takes in an announce that has arrived, and answers it.
    pub(super) fn announced(
        &mut self,
        tracker: &Tracker,
        peer: PeerNumber,
        is_seed: bool,
        now: Millis,
        random: &mut StdRng,
    ) -> Answer {
        let residents = self.residents[tracker.peer_set];
        let set = &mut self.sets[tracker.peer_set];
        set.insert(peer, Listed { last_announce: now, is_seed });
        set.retain(|_, listed| listed.last_announce + LISTED > now);
        let seeds = set.values().filter(|listed| listed.is_seed).count();
        let first = FIRST_RESIDENT + RESIDENTS_OF_A_SET * u32::try_from(tracker.peer_set).unwrap_or(0);
        let others = set.keys().copied().filter(|other| self.names_asker || *other != peer);
        let others = others.chain(first..first + residents.seeds + residents.leechers);
        let mut peers = others.sample(random, MAX_NAMED);
        peers.shuffle(random);
        let (mut complete, mut incomplete) = (
            seeds as u64 + u64::from(residents.seeds),
            (set.len() - seeds) as u64 + u64::from(residents.leechers),
        );
        if tracker.answers_at(now).are_empty {
            peers.retain(|other| *other == peer);
            (complete, incomplete) = (u64::from(is_seed), u64::from(!is_seed));
        }
        Answer {
            interval: tracker.interval,
            complete,
            incomplete,
            peers,
            names_address: tracker.scheme != tracker_failover::Scheme::Udp,
        }
    }

    /// Whether a resident has the whole torrent; `None` for a peer that is a client.
    pub(super) fn is_resident_seed(&self, peer: PeerNumber) -> Option<bool> {
        let place = peer.checked_sub(FIRST_RESIDENT)?;
        let residents = self.residents.get((place / RESIDENTS_OF_A_SET) as usize)?;
        Some(place % RESIDENTS_OF_A_SET < residents.seeds)
    }

    /// A client has left, and every tracker was sent `stopped`.
    pub(super) fn left(&mut self, peer: PeerNumber) {
        for set in &mut self.sets {
            set.remove(&peer);
        }
    }
}
