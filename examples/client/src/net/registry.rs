//! The torrents of the process, one of which a connection that comes in is for.
//!
//! All of them share the listening sockets: which one a peer means shows in its handshake. So connections whose handshake isn't done
//! belong to no torrent yet, and are bounded here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tracker_failover::InfoHash;

use super::greetings::{Greetings, Place};
use crate::wire::Why;
use crate::wire::greeting::Greeted;
use crate::wire::handshake::LENGTH;
use crate::wire::mse::Policy;

/// A torrent that takes connections.
pub(super) trait Host {
    /// Whether a peer at this address may connect now.
    fn admits(&self, address: SocketAddr) -> bool;
    /// How many connections there are.
    fn connected(&self) -> usize;
    /// Our side of a handshake that begins now.
    fn handshake(&self) -> [u8; LENGTH];
    /// Takes a connection whose handshake is done.
    fn welcome(self: Rc<Self>, stream: TcpStream, address: SocketAddr, greeted: Greeted);
    /// A connection for it came to nothing.
    fn not_connected(&self, address: SocketAddr, why: Why);
}

/// The torrents.
pub(crate) struct Registry {
    /// Whether connections are encrypted.
    pub(super) encryption: Policy,
    hosts: RefCell<BTreeMap<InfoHash, Rc<dyn Host>>>,
    has_come: Notify,
    greetings: RefCell<Greetings>,
}

/// The place of a torrent, which it leaves when this is dropped.
#[must_use]
pub(super) struct Registered {
    registry: Rc<Registry>,
    info_hash: InfoHash,
}

impl Registry {
    /// No torrents yet. Connections that come in are encrypted as this policy has it.
    pub(crate) fn new(encryption: Policy) -> Self {
        Self { encryption, hosts: RefCell::default(), has_come: Notify::new(), greetings: RefCell::default() }
    }

    /// From now on connections for a torrent go to this host.
    pub(super) fn enter(self: &Rc<Self>, info_hash: InfoHash, host: Rc<dyn Host>) -> Registered {
        self.hosts.borrow_mut().insert(info_hash, host);
        self.has_come.notify_waiters();
        Registered { registry: Rc::clone(self), info_hash }
    }

    /// Our side of a handshake for each torrent, which the connection itself has to choose from.
    pub(super) fn handshakes(&self) -> Vec<(InfoHash, [u8; LENGTH])> {
        self.hosts.borrow().iter().map(|(&info_hash, host)| (info_hash, host.handshake())).collect()
    }

    /// The torrent of this info-hash.
    pub(super) fn get(&self, info_hash: InfoHash) -> Option<Rc<dyn Host>> {
        self.hosts.borrow().get(&info_hash).cloned()
    }

    /// The torrent, where there is one only.
    pub(super) fn only(&self) -> Option<Rc<dyn Host>> {
        let hosts = self.hosts.borrow();
        hosts.values().next().filter(|_| hosts.len() == 1).cloned()
    }

    /// Waits until there is a torrent. Connections that come before it wait in the system's queue.
    pub(super) async fn any(&self) {
        loop {
            let come = self.has_come.notified();
            if !self.hosts.borrow().is_empty() {
                return;
            }
            come.await;
        }
    }

    /// Whether a peer at this address may connect now to some torrent.
    pub(super) fn admits(&self, address: SocketAddr) -> bool {
        self.hosts.borrow().values().any(|host| host.admits(address))
    }

    /// How many connections a torrent may have that has so many: its share of what all torrents may have, and more where
    /// the others leave some.
    pub(super) fn most(&self, connected: usize) -> usize {
        let hosts = self.hosts.borrow();
        let all = hosts.values().map(|host| host.connected()).sum::<usize>();
        let share = (MAX_CONNECTIONS / hosts.len().max(1)).max(1);
        share.max(connected + MAX_CONNECTIONS.saturating_sub(all))
    }

    /// A connection of a host has come in.
    pub(super) fn greet(&self, host: IpAddr) -> Place {
        self.greetings.borrow_mut().enter(host)
    }

    /// Its handshake is done, or it has ended.
    pub(super) fn greeted(&self, place: &Place) {
        self.greetings.borrow_mut().leave(place);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.hosts.borrow_mut().remove(&self.info_hash);
    }
}

/// Connections of all torrents together. Each has its share of them for certain, so that there may be more for a while.
const MAX_CONNECTIONS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    /// A torrent with so many connections.
    struct Torrent(usize);

    impl Host for Torrent {
        fn admits(&self, _: SocketAddr) -> bool {
            self.0 < 2
        }
        fn connected(&self) -> usize {
            self.0
        }
        fn handshake(&self) -> [u8; LENGTH] {
            [0; LENGTH]
        }
        fn welcome(self: Rc<Self>, _: TcpStream, _: SocketAddr, _: Greeted) {}
        fn not_connected(&self, _: SocketAddr, _: Why) {}
    }

    fn of(torrents: &[usize]) -> (Rc<Registry>, Vec<Registered>) {
        let registry = Rc::new(Registry::new(Policy::Prefer));
        let hash = |number: usize| InfoHash::new([u8::try_from(number).unwrap(); 20]);
        let enter = |(number, &connected)| registry.enter(hash(number), Rc::new(Torrent(connected)));
        let registered = torrents.iter().enumerate().map(enter).collect();
        (registry, registered)
    }

    #[test]
    fn a_torrent_is_found_until_it_leaves() {
        let (registry, mut registered) = of(&[1, 2]);
        let connected = |number| registry.get(InfoHash::new([number; 20])).map(|host| host.connected());
        assert_eq!((connected(0), connected(1), connected(2)), (Some(1), Some(2), None));
        assert!(registry.only().is_none() && registry.handshakes().len() == 2);
        registered.pop();
        assert_eq!((connected(0), connected(1)), (Some(1), None));
        assert_eq!(registry.only().map(|host| host.connected()), Some(1));
        registered.pop();
        assert!(registry.only().is_none());
    }

    #[test]
    fn a_connection_is_admitted_when_some_torrent_admits_it() {
        let address = SocketAddr::from(([192, 0, 2, 1], 1));
        for (torrents, expected) in [(&[][..], false), (&[2, 1], true), (&[2, 2], false)] {
            assert_eq!(of(torrents).0.admits(address), expected, "{torrents:?}");
        }
    }

    #[test]
    fn connections_are_shared_and_what_others_leave_may_be_had() {
        for (torrents, own, expected) in [
            (&[0][..], 0, 200),
            (&[30], 30, 200),
            (&[30, 100], 30, 100),
            (&[30, 20], 30, 180),
            (&[50, 50, 50, 50, 0], 0, 40),
            (&[50, 50, 50, 50, 0], 50, 50),
        ] {
            assert_eq!(of(torrents).0.most(own), expected, "{torrents:?} {own}");
        }
        assert_eq!(of(&[4; 50]).0.most(4), 4);
        assert_eq!(of(&[1; 250]).0.most(1), 1);
    }
}
