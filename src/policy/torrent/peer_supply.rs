//! How many peers a torrent has, by its client and by its trackers: whether peers are short.

use std::net::IpAddr;
use std::time::Duration;

use crate::announce::{AnnounceResponse, Peer, PeerAddress, PeerCounts, Torrent};
use crate::policy::tracker_set::Yield;
use crate::time::Timestamp;
use crate::tracker::AddressFamily;

/// A leecher with fewer useful peers than this is short of them. `BiglyBT` asks further trackers below 10 connections.
const ENOUGH: u32 = 10;

/// The same for a seed: `BiglyBT` asks further trackers for one only below 3 connections.
const ENOUGH_FOR_SEED: u32 = 3;

/// With fewer known peers than this a leecher asks trackers beyond the head. Below it one peer that leaves may be the last;
/// with more the peers exchange addresses (model of swarms of 2 to 300 peers).
const FEW: u32 = 4;

/// How long a client needs to connect to the peers that an answer named. Until then its own count says nothing.
const CONNECTING: Duration = Duration::from_secs(10);

/// For how long what the client counted on demand is used.
const COUNT_LIFETIME: Duration = Duration::from_secs(10);

/// How often the client is asked to count, if nothing happens: peers that are lost are noticed within this.
const COUNT_AGAIN: Duration = Duration::from_secs(60);

/// A peer is new if no tracker of the torrent has named it within this.
const NEW: Duration = Duration::from_secs(3600);

/// How many peers are remembered, to recognise new ones. More than are enough need no comparison.
const MAX_NAMED: usize = 64;

/// By how much the next answer may be late before its tracker's numbers don't count any more: failover takes time.
const LATE: Duration = Duration::from_secs(60);

/// How many peers a torrent has, as far as its client and its trackers have said.
#[derive(Debug, Default)]
pub(super) struct PeerSupply {
    /// What the client counts, if it does.
    counts: Option<PeerCounts>,
    /// When it counted, or was last asked to.
    counted_at: Timestamp,
    /// Whether it is asked to count when a decision is due.
    is_on_demand: bool,
    /// When a tracker last answered.
    answered_at: Timestamp,
    /// Until when one answer's peers are enough.
    enough_until: Timestamp,
    /// Until when a tracker's word counts that there is a peer of the other kind: a seed for a leecher, a leecher for
    /// a seed.
    counterpart_until: Timestamp,
    /// The peers that were named within the last hour, while they aren't enough.
    named: Vec<Named>,
    /// Whether the last answer brought no peer, or counted no peer of the other kind.
    is_last_poor: bool,
    /// For how long what a tracker said counts.
    lifetime: Duration,
}

/// How short of peers a torrent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shortage {
    /// There are enough.
    None,
    /// There are fewer than enough.
    Some,
    /// A leecher knows few peers or of no seed, a seed knows of no leecher.
    Great,
}

/// A peer that was named.
#[derive(Debug, Clone, Copy)]
struct Named {
    /// Its address as a number.
    peer: u64,
    /// When it was last named.
    at: Timestamp,
}

impl PeerSupply {
    /// Takes in what the client counts.
    pub(super) fn set(&mut self, counts: PeerCounts, now: Timestamp) {
        (self.counts, self.counted_at) = (Some(counts), now);
        if counts.connected >= ENOUGH {
            self.named = Vec::new();
        }
    }

    /// Has the client asked to count when a decision is due.
    pub(super) fn count_on_demand(&mut self) {
        self.is_on_demand = true;
    }

    /// Whether the client is to be asked now. It is asked once, whether it answers or not.
    pub(super) fn demand(&mut self, now: Timestamp) -> bool {
        let from = self.counts_from();
        let is_old = self.counted_at < from.max(now.before(COUNT_LIFETIME));
        let is_due = self.is_on_demand && from <= now && is_old;
        if is_due {
            self.counted_at = now;
        }
        is_due
    }

    /// Forgets what trackers said, because the download has become complete: it was about seeds, and a seed needs leechers.
    pub(super) fn became_seed(&mut self) {
        (self.enough_until, self.counterpart_until) = (Timestamp::ZERO, Timestamp::ZERO);
        self.named = Vec::new();
    }

    /// Takes in an answer of any tracker, whose next one is due after `interval`.
    pub(super) fn answered(
        &mut self,
        response: &AnnounceResponse,
        torrent: &Torrent,
        interval: Duration,
        now: Timestamp,
    ) -> Yield {
        let is_seed = !torrent.transfer.wants_to_download();
        let mut brought = Yield::default();
        self.named.retain(|named| now.since(named.at) < NEW);
        for peer in others(response, torrent) {
            brought.named += 1;
            brought.peers = brought.peers.wrapping_add(peer);
            if let Some(named) = self.named.iter_mut().find(|named| named.peer == peer) {
                named.at = now;
                continue;
            }
            // A torrent that knows so many peers of the last hour needs no further tracker to find more.
            if self.named.len() < MAX_NAMED {
                brought.new += 1;
                self.named.push(Named { peer, at: now });
            }
        }
        self.answered_at = now;
        self.lifetime = interval + LATE;
        let enough = enough(is_seed);
        let counted = if is_seed { response.incomplete } else { response.complete };
        // A tracker that doesn't count but names many peers has a seed among them as likely as not.
        let has_counterpart = counted
            .map_or(brought.named >= enough as usize || (is_seed && brought.named > 0), |count| count > 0);
        self.is_last_poor = brought.named == 0 || !has_counterpart;
        if has_counterpart {
            self.counterpart_until = now + self.lifetime;
        }
        let leechers = response.incomplete.filter(|_| is_seed).unwrap_or_default();
        if self.fresh(now) >= enough || leechers >= u64::from(enough) {
            self.enough_until = now + self.lifetime;
            if has_counterpart && self.counts.is_none() && !self.is_on_demand {
                // No further tracker is asked, so nothing needs to be recognised.
                self.named = Vec::new();
            }
        }
        brought
    }

    /// How many useful peers there are, and how many are enough.
    pub(super) fn peers(&self, is_seed: bool, now: Timestamp) -> (u32, u32) {
        let enough = enough(is_seed);
        let known = match self.counts.filter(|_| self.counts_from() <= now) {
            Some(counts) => counts.connected.saturating_add(counts.connecting),
            None if self.enough_until > now => enough,
            None => self.fresh(now),
        };
        (known, enough)
    }

    /// How short of peers the torrent is.
    pub(super) fn shortage(&self, is_seed: bool, now: Timestamp) -> Shortage {
        let (known, enough) = self.peers(is_seed, now);
        let has_few = known < if is_seed { 1 } else { FEW };
        // A seed with a leecher has what it is there for. A leecher needs a seed, however many others it knows.
        let is_alone = !self.has_counterpart(is_seed, now);
        let is_great = if is_seed { has_few && is_alone } else { has_few || is_alone };
        match known < enough {
            _ if is_great => Shortage::Great,
            true => Shortage::Some,
            false => Shortage::None,
        }
    }

    /// Whether there is a seed for a leecher, or a leecher for a seed.
    pub(super) fn has_counterpart(&self, is_seed: bool, now: Timestamp) -> bool {
        let connected = self.counts.map(|counts| {
            let seeds = counts.seeds.min(counts.connected);
            if is_seed { counts.connected > seeds } else { seeds > 0 }
        });
        // A seed's own count wins: the leecher that a tracker counted may have finished since. For a leecher it doesn't,
        // because a client may count its peers without knowing which are seeds.
        match connected {
            Some(connected) if is_seed && self.counts_from() <= now => connected,
            connected => connected == Some(true) || self.counterpart_until > now,
        }
    }

    /// Whether the last answer brought no peer, or counted no seed.
    pub(super) fn is_last_poor(&self) -> bool {
        self.is_last_poor
    }

    /// When a tracker last answered.
    pub(super) fn answered_at(&self) -> Timestamp {
        self.answered_at
    }

    /// When the client's own count decides, or is asked for the next time; `None` if it doesn't count.
    pub(super) fn next_count(&self) -> Option<Timestamp> {
        let again = if self.is_on_demand { self.counted_at + COUNT_AGAIN } else { Timestamp::ZERO };
        (self.is_on_demand || self.counts.is_some()).then(|| self.counts_from().max(again))
    }

    /// From when on what the client counts is better than what trackers said.
    fn counts_from(&self) -> Timestamp {
        if self.is_last_poor { Timestamp::ZERO } else { self.answered_at + CONNECTING }
    }

    /// How many peers were named within the interval.
    fn fresh(&self, now: Timestamp) -> u32 {
        let fresh = self.named.iter().filter(|named| now.since(named.at) < self.lifetime).count();
        u32::try_from(fresh).unwrap_or(u32::MAX)
    }
}

/// How many peers are enough.
fn enough(is_seed: bool) -> u32 {
    if is_seed { ENOUGH_FOR_SEED } else { ENOUGH }
}

/// The peers of an answer as numbers, this client left out. It is recognised by its id, or by its address and port. If
/// no address of the peer's family is known the first peer with its port is taken for it.
fn others(response: &AnnounceResponse, torrent: &Torrent) -> impl Iterator<Item = u64> {
    let known = [torrent.ip, response.external_ip];
    let families = known.map(|ip| ip.map(AddressFamily::of));
    let mut is_found = false;
    response.peers.iter().filter_map(move |peer| {
        let is_own = match (&peer.address, peer.id) {
            (_, Some(id)) => id == torrent.peer_id,
            (PeerAddress::Ip(address), None) => {
                let ip = address.ip();
                let is_likely = || !is_found && !families.contains(&Some(AddressFamily::of(ip)));
                address.port() == torrent.port && (known.contains(&Some(ip)) || is_likely())
            }
            (PeerAddress::Name(..), None) => false,
        };
        is_found |= is_own;
        (!is_own).then(|| number(peer))
    })
}

/// The address of a peer as a number. Never 0.
fn number(peer: &Peer) -> u64 {
    match &peer.address {
        PeerAddress::Ip(address) => address_number(address.ip(), address.port()),
        PeerAddress::Name(name, port) => {
            name.bytes().fold(mixed(u64::from(*port)), |number, byte| mixed(number ^ u64::from(byte)))
        }
    }
}

/// An address and port as a number, never 0. The same in every run, so that a run can be repeated.
pub(super) fn address_number(ip: IpAddr, port: u16) -> u64 {
    let port = u64::from(port);
    match ip {
        IpAddr::V4(ip) => mixed(u64::from(ip.to_bits()) << 16 | port),
        IpAddr::V6(ip) => {
            ip.octets().iter().fold(mixed(port), |number, byte| mixed(number ^ u64::from(*byte)))
        }
    }
}

/// A number whose every bit depends on every bit of this one (the finaliser of `SplitMix64`); never 0.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (number ^ number >> 31).max(1)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::announce::{InfoHash, PeerId};

    const INTERVAL: Duration = Duration::from_secs(1800);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(seconds))
    }

    fn torrent(left: u64) -> Torrent {
        let mut torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new([2; 20]), 7000);
        torrent.transfer.left = Some(left);
        torrent
    }

    fn peer(number: u16, port: u16) -> Peer {
        let [high, low] = number.to_be_bytes();
        Peer { address: PeerAddress::Ip(SocketAddr::from(([9, 9, high, low], port))), id: None }
    }

    /// An answer that names these peers and counts so many seeds and leechers.
    fn answer(
        peers: std::ops::Range<u16>,
        complete: Option<u64>,
        incomplete: Option<u64>,
    ) -> AnnounceResponse {
        let peers = peers.map(|number| peer(number, 6881)).collect();
        AnnounceResponse { peers, complete, incomplete, ..AnnounceResponse::default() }
    }

    fn counts(connected: u32, connecting: u32, seeds: u32) -> PeerCounts {
        PeerCounts { connected, connecting, seeds }
    }

    #[test]
    fn a_leecher_is_short_below_ten_peers_and_a_seed_below_three_leechers() {
        let mut supply = PeerSupply::default();
        assert!(supply.shortage(false, at(0)) == Shortage::Great);
        supply.answered(&answer(0..6, Some(1), None), &torrent(9), INTERVAL, at(0));
        assert_eq!(supply.peers(false, at(1)), (6, 10));
        assert!(supply.shortage(false, at(1)) == Shortage::Some);
        supply.answered(&answer(4..12, Some(1), None), &torrent(9), INTERVAL, at(2));
        assert!(supply.shortage(false, at(3)) == Shortage::None, "twelve different ones of two trackers");
        assert!(supply.shortage(false, at(2 + 1800 + 60)) > Shortage::None, "they are those of one interval");

        let mut supply = PeerSupply::default();
        supply.answered(&answer(0..0, None, Some(0)), &torrent(0), INTERVAL, at(0));
        assert!(supply.shortage(true, at(1)) == Shortage::Great);
        supply.answered(&answer(0..1, None, Some(1)), &torrent(0), INTERVAL, at(0));
        assert!(supply.shortage(true, at(1)) == Shortage::Some);
        supply.answered(&answer(0..1, None, Some(3)), &torrent(0), INTERVAL, at(0));
        assert!(supply.shortage(true, at(1)) == Shortage::None);
    }

    #[test]
    fn what_was_known_of_seeds_says_nothing_of_leechers() {
        let mut supply = PeerSupply::default();
        supply.answered(&answer(0..50, Some(9), Some(41)), &torrent(9), INTERVAL, at(0));
        assert_eq!(supply.shortage(false, at(1)), Shortage::None);
        supply.became_seed();
        assert_eq!(supply.shortage(true, at(1)), Shortage::Great);
    }

    #[test]
    fn peers_without_a_seed_are_never_enough_to_stop_looking() {
        let mut supply = PeerSupply::default();
        supply.answered(&answer(0..50, Some(0), None), &torrent(9), INTERVAL, at(0));
        assert!(supply.shortage(false, at(1)) == Shortage::Great);
        assert!(supply.is_last_poor());
        supply.set(counts(8, 0, 1), at(1));
        assert!(supply.shortage(false, at(1)) < Shortage::Great, "the client is connected to one");
        let mut supply = PeerSupply::default();
        supply.answered(&answer(0..50, None, None), &torrent(9), INTERVAL, at(0));
        assert!(supply.shortage(false, at(1)) < Shortage::Great, "a tracker that doesn't count");
    }

    #[test]
    fn the_client_has_ten_seconds_to_connect_before_its_count_decides() {
        let mut supply = PeerSupply::default();
        supply.set(counts(0, 0, 0), at(0));
        supply.answered(&answer(0..50, Some(9), None), &torrent(9), INTERVAL, at(100));
        assert!(
            supply.shortage(false, at(109)) == Shortage::None
                && supply.shortage(false, at(110)) > Shortage::None
        );
        supply.set(counts(3, 7, 0), at(110));
        assert!(supply.shortage(false, at(110)) == Shortage::None, "connections that are being made count");
        supply.set(counts(u32::MAX, u32::MAX, u32::MAX), at(110));
        assert!(supply.shortage(false, at(110)) < Shortage::Great);
    }

    #[test]
    fn a_client_that_counts_on_demand_is_asked_once_for_each_decision() {
        let mut supply = PeerSupply::default();
        supply.count_on_demand();
        supply.answered(&answer(0..50, Some(9), None), &torrent(9), INTERVAL, at(100));
        assert!(!supply.demand(at(109)), "it has no connections yet");
        assert!(supply.demand(at(110)) && !supply.demand(at(110)));
        supply.set(counts(3, 7, 0), at(111));
        assert!(!supply.demand(at(120)) && supply.demand(at(122)));
    }

    #[test]
    fn a_peer_is_new_if_no_tracker_named_it_within_an_hour() {
        let (mut supply, torrent) = (PeerSupply::default(), torrent(9));
        let mut new =
            |peers, seconds| supply.answered(&answer(peers, None, None), &torrent, INTERVAL, at(seconds)).new;
        assert_eq!([new(0..3, 0), new(2..5, 1800), new(0..5, 3599)], [3, 2, 0]);
        assert_eq!(new(0..5, 3599 + 3600), 5);
    }

    #[test]
    fn this_client_is_no_peer_of_its_own() {
        let named = |response: &AnnounceResponse, torrent: &Torrent| {
            PeerSupply::default().answered(response, torrent, INTERVAL, at(0)).named
        };
        let mut response = answer(0..2, None, None);
        response.peers.push(peer(7, 7000));
        assert_eq!(named(&response, &torrent(9)), 2, "by its port, if no address is known");
        response.peers.push(peer(8, 7000));
        assert_eq!(named(&response, &torrent(9)), 3, "one client has one address");
        response.external_ip = Some([9, 9, 0, 8].into());
        assert_eq!(named(&response, &torrent(9)), 3);
        let over_ipv6 = PeerAddress::Ip("[2001:db8::7]:7000".parse().unwrap());
        response.peers[2] = Peer { address: over_ipv6, id: None };
        response.peers.swap_remove(3);
        assert_eq!(named(&response, &torrent(9)), 2, "only its address of the other family is known");
        response.peers[2].id = Some(torrent(9).peer_id);
        assert_eq!(named(&response, &torrent(9)), 2);
    }

    #[test]
    fn equal_sets_are_one_number_in_any_order_and_memory_is_bounded() {
        let (mut supply, torrent) = (PeerSupply::default(), torrent(9));
        let mut response = answer(0..9, Some(0), None);
        let first = supply.answered(&response, &torrent, INTERVAL, at(0)).peers;
        response.peers.reverse();
        assert_eq!(supply.answered(&response, &torrent, INTERVAL, at(0)).peers, first);
        response.peers.pop();
        assert_ne!(supply.answered(&response, &torrent, INTERVAL, at(0)).peers, first);
        for round in 0..100 {
            supply.answered(
                &answer(round * 9..round * 9 + 9, None, None),
                &torrent,
                Duration::ZERO,
                at(round.into()),
            );
            assert!(supply.named.len() <= MAX_NAMED);
        }
    }
}
