//! Connections that came in and whose handshake isn't done: bounded in all and for each host, the oldest giving way.
//!
//! Strangers that connect and stay silent take places for the ten seconds that a handshake may take. With a bound on all of
//! them alone, twenty such connections of one host would keep every peer out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;

/// The connections, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    next: u64,
    waiting: BTreeMap<u64, (IpAddr, Rc<Notify>)>,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    /// Rung when the place is given to another connection.
    pub(super) revoked: Rc<Notify>,
}

impl Greetings {
    /// A place for a connection of a host. Where its host has too many, the oldest of them loses its place; where there are
    /// too many in all, the oldest of the host that has most.
    pub(super) fn enter(&mut self, host: IpAddr) -> Place {
        let host = host.to_canonical();
        if self.count(host) >= MAX_OF_A_HOST {
            self.revoke_oldest(host);
        } else if self.waiting.len() >= MAX
            && let Some(crowd) =
                self.waiting.values().map(|(host, _)| *host).max_by_key(|&host| self.count(host))
        {
            self.revoke_oldest(crowd);
        }
        let (number, revoked) = (self.next, Rc::new(Notify::new()));
        self.next += 1;
        self.waiting.insert(number, (host, Rc::clone(&revoked)));
        Place { number, revoked }
    }

    /// The handshake is done, or the connection has ended.
    pub(super) fn leave(&mut self, place: &Place) {
        self.waiting.remove(&place.number);
    }

    fn count(&self, host: IpAddr) -> usize {
        self.waiting.values().filter(|(other, _)| *other == host).count()
    }

    fn revoke_oldest(&mut self, host: IpAddr) {
        let oldest = self.waiting.iter().find(|(_, (other, _))| *other == host).map(|(&number, _)| number);
        if let Some((_, revoked)) = oldest.and_then(|number| self.waiting.remove(&number)) {
            revoked.notify_one();
        }
    }
}

/// Connections in their handshake.
const MAX: usize = 64;
/// Those of one host: more than any client opens at a time, and on loopback a host is many peers.
const MAX_OF_A_HOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn a_crowd_of_one_host_gives_way_to_itself_only() {
        let mut greetings = Greetings::default();
        let quiet = greetings.enter(host(1));
        let crowd: Vec<Place> = (0..100).map(|_| greetings.enter(host(2))).collect();
        assert_eq!(greetings.waiting.len(), 1 + MAX_OF_A_HOST);
        let kept = |place: &Place, greetings: &Greetings| greetings.waiting.contains_key(&place.number);
        assert!(kept(&quiet, &greetings));
        assert!(kept(&crowd[99], &greetings) && !kept(&crowd[83], &greetings), "the newest are kept");
        greetings.leave(&quiet);
        assert!(!kept(&quiet, &greetings));
    }

    #[test]
    fn there_is_always_room_for_a_new_one() {
        let mut greetings = Greetings::default();
        let places: Vec<Place> = (0..80).map(|number| greetings.enter(host(number / 16))).collect();
        assert_eq!(greetings.waiting.len(), MAX);
        let newcomer = greetings.enter(host(200));
        assert_eq!(greetings.waiting.len(), MAX);
        assert!(greetings.waiting.contains_key(&newcomer.number));
        assert!(places.iter().any(|place| !greetings.waiting.contains_key(&place.number)));
    }
}
