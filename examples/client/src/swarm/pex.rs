//! Peer exchange (BEP 11): which addresses each peer is sent, and how many of those that it sends are used.
//!
//! Strangers decide here where we connect to, so what they send is limited in size, number and kind. Private torrents take
//! no part (BEP 27).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use tracker_failover::AddressKind;

use super::PeerKey;
use crate::wire::pex::{ExchangedPeer, MAX_PEERS, PeerChanges, SEED};

/// The exchange with all peers of a torrent.
#[derive(Debug)]
pub(crate) struct PeerExchange {
    is_private: bool,
    partners: BTreeMap<PeerKey, Partner>,
}

/// The exchange with one peer.
#[derive(Debug)]
struct Partner {
    /// The id under which it takes messages; `None` if it only sends them.
    id: Option<u8>,
    /// Where it takes connections itself.
    address: Option<SocketAddr>,
    /// The addresses it was sent as added, without those sent as dropped since.
    sent: BTreeSet<SocketAddr>,
    sent_at: Option<Duration>,
    received_at: Option<Duration>,
    /// How many addresses of it were taken.
    taken: usize,
}

/// A message to a peer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Update {
    /// The peer.
    pub(crate) to: PeerKey,
    /// The id under which it takes the message.
    pub(crate) id: u8,
    /// The body of the message.
    pub(crate) body: Vec<u8>,
}

/// What has come of a message of a peer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// These addresses, which may be none.
    Peers(Vec<SocketAddr>),
    /// It was malformed or came too soon.
    Pointless,
}

impl PeerExchange {
    /// The exchange of a torrent.
    pub(crate) fn new(is_private: bool) -> Self {
        Self { is_private, partners: BTreeMap::new() }
    }

    /// Whether it is offered to peers.
    pub(crate) fn is_offered(&self) -> bool {
        !self.is_private
    }

    /// A peer has said under which id it takes messages, or that it takes none; and where it takes connections, if that
    /// is known.
    pub(crate) fn agreed(&mut self, key: PeerKey, id: Option<u8>, address: Option<SocketAddr>) {
        if self.is_private {
            return;
        }
        let partner = self.partners.entry(key).or_insert_with(Partner::new);
        (partner.id, partner.address) = (id, address);
    }

    /// A peer has left.
    pub(crate) fn left(&mut self, key: PeerKey) {
        self.partners.remove(&key);
    }

    /// Takes a message of a peer at this address. `is_seed`: we need no other seeds.
    pub(crate) fn received(
        &mut self,
        key: PeerKey,
        from: SocketAddr,
        body: &[u8],
        is_seed: bool,
        now: Duration,
    ) -> Taken {
        if self.is_private {
            return Taken::Pointless;
        }
        let partner = self.partners.entry(key).or_insert_with(Partner::new);
        let too_soon = partner.received_at.is_some_and(|at| now.saturating_sub(at) < MIN_WAIT);
        if too_soon {
            return Taken::Pointless;
        }
        partner.received_at = Some(now);
        let Some(changes) = PeerChanges::read(body) else { return Taken::Pointless };
        let useful = |peer: &ExchangedPeer| !(is_seed && peer.flags & SEED != 0);
        let may_name = |address: SocketAddr| {
            let kind = AddressKind::of(address.ip());
            kind == AddressKind::Global || kind == AddressKind::of(from.ip())
        };
        let peers = changes.added.iter().filter(|peer| useful(peer)).map(|peer| peer.address);
        let room = MAX_TAKEN.saturating_sub(partner.taken);
        let peers: Vec<SocketAddr> = peers.filter(|&address| may_name(address)).take(room).collect();
        partner.taken += peers.len();
        Taken::Peers(peers)
    }

    /// The messages that are due. `connected` are all peers whose listening address is known.
    pub(crate) fn due(&mut self, connected: &BTreeMap<SocketAddr, u8>, now: Duration) -> Vec<Update> {
        let mut updates = Vec::new();
        for (&to, partner) in &mut self.partners {
            let waits = partner.sent_at.is_some_and(|at| now.saturating_sub(at) < EVERY);
            let Some(id) = partner.id.filter(|_| !waits) else { continue };
            let changes = partner.changes(connected);
            if !changes.is_empty() {
                partner.sent_at = Some(now);
                updates.push(Update { to, id, body: changes.write() });
            }
        }
        updates
    }
}

impl Partner {
    fn new() -> Self {
        Self { id: None, address: None, sent: BTreeSet::new(), sent_at: None, received_at: None, taken: 0 }
    }

    /// The changes since the last message, which count as sent.
    fn changes(&mut self, connected: &BTreeMap<SocketAddr, u8>) -> PeerChanges {
        let is_new = |address: &SocketAddr| !self.sent.contains(address) && self.address != Some(*address);
        let new = connected.iter().filter(|(address, _)| is_new(address));
        let added: Vec<ExchangedPeer> =
            new.map(|(&address, &flags)| ExchangedPeer { address, flags }).take(MAX_PEERS).collect();
        let gone = self.sent.iter().filter(|address| !connected.contains_key(address));
        let dropped: Vec<SocketAddr> = gone.copied().take(MAX_PEERS).collect();
        self.sent.extend(added.iter().map(|peer| peer.address));
        for address in &dropped {
            self.sent.remove(address);
        }
        PeerChanges { added, dropped }
    }
}

/// How often a peer is sent changes, at most (BEP 11: once a minute).
const EVERY: Duration = Duration::from_secs(60);
/// Messages that come sooner after the last one aren't read. Less than a minute, because the first may be between the
/// minutes of the sender's clock.
const MIN_WAIT: Duration = Duration::from_secs(30);
/// Addresses taken of one peer, so that one alone can't fill the list of known addresses (2000).
const MAX_TAKEN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pex::REACHABLE;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn connected(addresses: &[&str]) -> BTreeMap<SocketAddr, u8> {
        addresses.iter().map(|text| (address(text), REACHABLE)).collect()
    }

    fn naming(addresses: &[(&str, u8)]) -> Vec<u8> {
        let added = addresses.iter().map(|&(text, flags)| ExchangedPeer { address: address(text), flags });
        PeerChanges { added: added.collect(), dropped: vec![] }.write()
    }

    /// The bodies of the messages to a peer that are due.
    fn updates(exchange: &mut PeerExchange, peers: &[&str], now: Duration) -> Vec<PeerChanges> {
        let due = exchange.due(&connected(peers), now);
        due.iter().map(|update| PeerChanges::read(&update.body).unwrap()).collect()
    }

    #[test]
    fn each_peer_is_sent_changes_once_a_minute() {
        let mut exchange = PeerExchange::new(false);
        assert!(updates(&mut exchange, &["192.0.2.1:1"], at(0)).is_empty(), "no peer takes messages");
        exchange.agreed(PeerKey(1), Some(7), Some(address("192.0.2.9:1")));
        let due = exchange.due(&connected(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.9:1"]), at(1));
        assert_eq!((due.len(), due[0].to, due[0].id), (1, PeerKey(1), 7));
        assert_eq!(PeerChanges::read(&due[0].body).unwrap().added.len(), 2);
        assert!(updates(&mut exchange, &["192.0.2.1:1"], at(60)).is_empty(), "not yet");
        let changes = updates(&mut exchange, &["192.0.2.1:1", "192.0.2.3:1"], at(61));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].added[0].address, address("192.0.2.3:1"));
        assert_eq!(changes[0].dropped, [address("192.0.2.2:1")]);
        assert!(updates(&mut exchange, &["192.0.2.1:1", "192.0.2.3:1"], at(500)).is_empty(), "no change");
        exchange.agreed(PeerKey(1), None, None);
        assert!(updates(&mut exchange, &[], at(600)).is_empty(), "it takes no messages any more");
    }

    #[test]
    fn of_many_peers_fifty_are_named_at_a_time() {
        let mut exchange = PeerExchange::new(false);
        exchange.agreed(PeerKey(1), Some(1), None);
        let names: Vec<String> = (0..120).map(|port| format!("192.0.2.1:{}", port + 1)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let counts: Vec<(usize, usize)> = (0..6)
            .map(|minute| {
                let peers: &[&str] = if minute < 3 { &names } else { &[] };
                let changes = updates(&mut exchange, peers, at(60 * minute));
                changes.first().map_or((0, 0), |changes| (changes.added.len(), changes.dropped.len()))
            })
            .collect();
        assert_eq!(counts, [(50, 0), (50, 0), (20, 0), (0, 50), (0, 50), (0, 20)]);
    }

    #[test]
    fn what_a_peer_names_is_limited() {
        let mut exchange = PeerExchange::new(false);
        let from = address("192.0.2.9:1");
        let mut taken = 0;
        for round in 0..20_u64 {
            let names: Vec<String> = (0..50).map(|host| format!("8.{round}.0.{host}:1")).collect();
            let names: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 0)).collect();
            let body = naming(&names);
            let now = at(60 * round);
            match exchange.received(PeerKey(1), from, &body, false, now) {
                Taken::Peers(peers) => taken += peers.len(),
                Taken::Pointless => panic!("round {round}"),
            }
            assert_eq!(exchange.received(PeerKey(1), from, &body, false, now + at(1)), Taken::Pointless);
        }
        assert_eq!(taken, MAX_TAKEN);
        let malformed = exchange.received(PeerKey(2), from, b"x", false, at(0));
        assert_eq!(malformed, Taken::Pointless);
    }

    /// A peer on the internet can't send us to hosts of our own network, one in that network can.
    #[test]
    fn a_peer_names_peers_of_its_own_kind_of_network() {
        let body = naming(&[("8.8.8.8:1", 0), ("10.0.0.1:1", 0), ("127.0.0.1:1", 0), ("224.0.0.1:1", 0)]);
        for (from, expected) in [
            ("8.8.4.4:1", vec!["8.8.8.8:1"]),
            ("10.9.9.9:1", vec!["8.8.8.8:1", "10.0.0.1:1"]),
            ("127.0.0.1:9", vec!["8.8.8.8:1", "127.0.0.1:1"]),
        ] {
            let mut exchange = PeerExchange::new(false);
            let expected = expected.into_iter().map(address).collect();
            let taken = exchange.received(PeerKey(1), address(from), &body, false, at(0));
            assert_eq!(taken, Taken::Peers(expected), "{from}");
        }
    }

    #[test]
    fn a_seed_takes_no_seeds() {
        let body = naming(&[("8.8.8.8:1", SEED), ("8.8.4.4:1", 0)]);
        for (is_seed, count) in [(false, 2), (true, 1)] {
            let mut exchange = PeerExchange::new(false);
            let taken = exchange.received(PeerKey(1), address("8.0.0.1:1"), &body, is_seed, at(0));
            assert!(matches!(taken, Taken::Peers(peers) if peers.len() == count));
        }
    }

    /// BEP 27.
    #[test]
    fn a_private_torrent_neither_sends_nor_takes_peers() {
        let mut exchange = PeerExchange::new(true);
        assert!(!exchange.is_offered());
        exchange.agreed(PeerKey(1), Some(1), None);
        assert!(updates(&mut exchange, &["192.0.2.1:1"], at(0)).is_empty());
        let body = naming(&[("8.8.8.8:1", 0)]);
        assert_eq!(
            exchange.received(PeerKey(1), address("8.0.0.1:1"), &body, false, at(0)),
            Taken::Pointless
        );
    }
}
