//! Which peers to connect to, and when: the known addresses, with back-off, limits and bans.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::wire::Why;

/// Every address we know of.
#[derive(Debug)]
pub(crate) struct DialBook {
    /// Gives the order of peers that are due at one moment.
    rng: StdRng,
    known: BTreeMap<SocketAddr, Known>,
    banned: BTreeSet<Ban>,
    /// When dials began to be counted, and how many there were since.
    counted: (Duration, usize),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    state: State,
    failures: u8,
    /// When it may be dialled (again).
    due: Duration,
    /// Of those that are due at one moment the lowest is dialled first. Random, or all clients that get one list of peers
    /// would crowd around the lowest addresses (BEP 40).
    turn: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Dialling,
    Connected,
    /// Ourselves, or a peer that broke the protocol.
    Never,
}

/// An address is banned by its host; on loopback by host and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ban {
    Host(IpAddr),
    Socket(SocketAddr),
}

impl DialBook {
    /// A book without addresses. The seed decides in which order peers are dialled.
    pub(crate) fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, known: BTreeMap::new(), banned: BTreeSet::new(), counted: (Duration::ZERO, 0) }
    }

    /// Adds an address, and returns whether it may be dialled at all. Which hosts trackers may send
    /// us to is the library's to judge.
    pub(crate) fn add(&mut self, address: SocketAddr, now: Duration) -> bool {
        let address = canonical(address);
        if !is_host(address) || self.is_banned(address) {
            return false;
        }
        if let Some(known) = self.known.get_mut(&address) {
            // Named again, it is worth one more try.
            if known.state == State::Waiting && known.failures >= MAX_FAILURES && now >= known.due {
                known.failures = MAX_FAILURES - 1;
            }
            return known.state != State::Never;
        }
        let (first, last) = (SocketAddr::new(address.ip(), 0), SocketAddr::new(address.ip(), u16::MAX));
        if !address.ip().is_loopback() && self.known.range(first..=last).count() >= MAX_PER_HOST {
            return false;
        }
        if self.known.len() >= MAX_KNOWN {
            let hopeless = self.known.iter().find(|(_, known)| known.is_given_up()).map(|(&at, _)| at);
            match hopeless {
                Some(at) => self.known.remove(&at),
                None => return false,
            };
        }
        let turn = self.rng.random();
        self.known.insert(address, Known { state: State::Waiting, failures: 0, due: now, turn });
        true
    }

    /// Up to `room` addresses whose time has come. They count as being dialled until
    /// [`connected`](Self::connected) or [`closed`](Self::closed).
    pub(crate) fn due(&mut self, now: Duration, room: usize) -> Vec<SocketAddr> {
        let dialling = self.dialling();
        if now.saturating_sub(self.counted.0) >= Duration::from_secs(1) {
            self.counted = (now, 0);
        }
        let allowed = MAX_A_SECOND.saturating_sub(self.counted.1);
        let room = room.min(MAX_HALF_OPEN.saturating_sub(dialling)).min(allowed);
        let mut due: Vec<_> = self
            .known
            .iter()
            .filter(|(_, known)| {
                known.state == State::Waiting && known.failures < MAX_FAILURES && known.due <= now
            })
            .map(|(&address, known)| (known.failures, known.due, known.turn, address))
            .collect();
        due.sort_unstable();
        due.truncate(room);
        self.counted.1 += due.len();
        for (.., address) in &due {
            self.set(*address, State::Dialling);
        }
        due.into_iter().map(|(.., address)| address).collect()
    }

    /// A connection stands and the handshake is done.
    pub(crate) fn connected(&mut self, address: SocketAddr) {
        self.set(address, State::Connected);
    }

    /// A peer that connected to us has sent the address at which it listens, so that it isn't dialled as well.
    pub(crate) fn came_in(&mut self, address: SocketAddr, now: Duration) {
        if self.add(address, now) {
            self.connected(address);
        }
    }

    /// A connection that we made has ended, or failed. A peer that sent us something is dialled again soon, another one later
    /// each time, and one that broke the protocol never.
    pub(crate) fn closed(&mut self, address: SocketAddr, why: Why, was_useful: bool, now: Duration) {
        let Some(known) = self.known.get_mut(&address) else { return };
        if why.is_violation() {
            known.state = State::Never;
            return;
        }
        known.failures = match why {
            // There is nothing to gain, unless its address is received again.
            Why::Redundant => MAX_FAILURES,
            _ if was_useful => 1,
            _ => known.failures.saturating_add(1),
        };
        known.state = State::Waiting;
        known.due = now + BACK_OFF * 4_u32.pow(u32::from(known.failures.clamp(1, 5)) - 1);
    }

    /// Bans this host for good.
    pub(crate) fn ban(&mut self, address: SocketAddr) {
        self.set(address, State::Never);
        if self.banned.len() < MAX_KNOWN {
            self.banned.insert(ban_of(canonical(address)));
        }
    }

    /// Whether the host is banned.
    pub(crate) fn is_banned(&self, address: SocketAddr) -> bool {
        self.banned.contains(&ban_of(canonical(address)))
    }

    /// Whether there were addresses, and none is left to dial, now or later.
    pub(crate) fn is_exhausted(&self) -> bool {
        !self.known.is_empty()
            && self.known.values().all(|known| known.state == State::Never || known.is_given_up())
    }

    /// Forgets all addresses but banned ones and our own.
    pub(crate) fn forget(&mut self) {
        self.known.retain(|_, known| known.state == State::Never);
    }

    /// Forgets all addresses but banned ones, our own and those for which this holds.
    pub(crate) fn retain(&mut self, keeps: impl Fn(SocketAddr) -> bool) {
        self.known.retain(|&address, known| known.state == State::Never || keeps(address));
    }

    /// How many addresses are being dialled, their handshakes included.
    pub(crate) fn dialling(&self) -> usize {
        self.known.values().filter(|known| known.state == State::Dialling).count()
    }

    /// How many addresses are known.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    fn set(&mut self, address: SocketAddr, state: State) {
        if let Some(known) = self.known.get_mut(&address) {
            known.state = state;
        }
    }
}

impl Known {
    fn is_given_up(&self) -> bool {
        self.state == State::Waiting && self.failures >= MAX_FAILURES
    }
}

/// IPv4 addresses that arrived in their IPv6 form are the IPv4 addresses they are.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn ban_of(address: SocketAddr) -> Ban {
    if address.ip().is_loopback() { Ban::Socket(address) } else { Ban::Host(address.ip()) }
}

/// Whether the address can be one host's at all.
fn is_host(address: SocketAddr) -> bool {
    let ip = address.ip();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast() || ip.octets()[0] == 0);
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

const MAX_KNOWN: usize = 2000;
/// The most ports known of one host, so that we can't be used to scan one.
const MAX_PER_HOST: usize = 8;
/// The most connections dialled per second, as in libtorrent, so that we can't be used for a flood.
const MAX_A_SECOND: usize = 30;
/// The most connections being opened at a time.
const MAX_HALF_OPEN: usize = 16;
/// After this many failures in a row an address is given up, until it is received again.
const MAX_FAILURES: u8 = 4;
/// The first wait; each further one is four times as long.
const BACK_OFF: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_dialled_later_and_later_and_then_given_up() {
        let (mut book, one) = (DialBook::new(1), peer("192.0.2.1:1"));
        assert!(!book.is_exhausted());
        assert!(book.add(one, at(0)));
        let mut tried = Vec::new();
        for second in 0..1000 {
            for address in book.due(at(second), 9) {
                assert!(book.due(at(second), 9).is_empty());
                book.closed(address, Why::Io, false, at(second));
                tried.push(second);
            }
        }
        assert_eq!(tried, [0, 1, 5, 21]);
        assert!(book.is_exhausted());
        book.add(one, at(2000));
        assert!(!book.is_exhausted());
        assert_eq!(book.due(at(2000), 9), [one]);
    }

    /// P-10, P-06: ourselves, who breaks the protocol and who lies are never dialled again.
    #[test]
    fn some_are_never_dialled_again() {
        for why in [Why::Myself, Why::Oversize, Why::InfoHash, Why::Banned] {
            let (mut book, one) = (DialBook::new(1), peer("192.0.2.1:1"));
            book.add(one, at(0));
            book.due(at(0), 9);
            book.connected(one);
            book.closed(one, why, true, at(0));
            assert!(book.due(at(9999), 9).is_empty() && book.is_exhausted(), "{why:?}");
            assert!(!book.add(one, at(9999)));
        }
        let mut book = DialBook::new(1);
        book.ban(peer("192.0.2.1:1"));
        assert!(!book.add(peer("192.0.2.1:2"), at(0)) && book.add(peer("192.0.2.2:2"), at(0)));
        book.ban(peer("[::ffff:127.0.0.1]:1"));
        assert!(!book.add(peer("127.0.0.1:1"), at(0)) && book.add(peer("127.0.0.1:2"), at(0)));
    }

    #[test]
    fn addresses_that_are_no_peers_are_refused() {
        let mut book = DialBook::new(1);
        for bad in [
            "0.0.0.0:1",
            "0.1.2.3:1",
            "255.255.255.255:1",
            "224.0.0.1:1",
            "[ff02::1]:1",
            "[::]:1",
            "192.0.2.1:0",
        ] {
            assert!(!book.add(peer(bad), at(0)), "{bad}");
        }
        assert!(book.add(peer("127.0.0.1:1"), at(0)) && book.add(peer("10.0.0.1:1"), at(0)));
    }

    /// R163: clients that get one list of peers dial different ones first.
    #[test]
    fn peers_that_are_due_together_are_dialled_in_random_order() {
        let first = |seed| {
            let mut book = DialBook::new(seed);
            for host in 1..=200 {
                book.add(SocketAddr::from(([192, 0, 2, host], 1)), at(0));
            }
            book.due(at(0), 16)
        };
        let dialled: BTreeSet<SocketAddr> = (0..20).flat_map(first).collect();
        assert!(dialled.len() > 120, "20 clients dial {} of 200 peers first", dialled.len());
        assert_eq!(first(7), first(7));
    }

    /// P-11: neither the book nor the dialling grows without bound.
    #[test]
    fn the_book_and_the_dialling_are_bounded() {
        let mut book = DialBook::new(1);
        for n in 0..5000_u32 {
            book.add(SocketAddr::new(IpAddr::from((0x0b00_0000 + n).to_be_bytes()), 1), at(0));
        }
        assert_eq!(book.len(), MAX_KNOWN);
        let opening = book.due(at(0), 50);
        assert_eq!(opening.len(), MAX_HALF_OPEN);
        assert!(book.due(at(0), 50).is_empty());
        for address in opening {
            book.closed(address, Why::Io, false, at(1));
        }
        // Refused at once, they make room, but not without end.
        let mut dialled = 0;
        for _ in 0..100 {
            for address in book.due(at(5), 50) {
                dialled += 1;
                book.closed(address, Why::Io, false, at(5));
            }
        }
        assert_eq!(dialled, MAX_A_SECOND);
        let mut one_host = DialBook::new(1);
        let taken = (1..100).filter(|&port| one_host.add(SocketAddr::from(([192, 0, 2, 1], port)), at(0)));
        assert_eq!(taken.count(), MAX_PER_HOST);
    }
}
