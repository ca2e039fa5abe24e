//! Which address family of a host worked last, so that a dead one costs its 250 ms once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crate::tracker::TrackerHost;

/// How many hosts are remembered; beyond it the memory starts anew.
const MOST_HOSTS: usize = 4096;

/// The family by which each host was reached last.
#[derive(Debug, Default)]
pub(super) struct Families(Mutex<BTreeMap<TrackerHost, Family>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Families {
    /// Puts the addresses of the family that worked last in front; the order inside a family stays.
    pub(super) fn prefer(&self, host: &TrackerHost, addresses: &mut [SocketAddr]) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
        if let Some(worked) = known {
            addresses.sort_by_key(|address| family(*address) != worked);
        }
    }

    /// Notes the address at which a host was reached.
    pub(super) fn worked(&self, host: TrackerHost, address: SocketAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_HOSTS && !known.contains_key(&host) {
            known.clear();
        }
        known.insert(host, family(address));
    }
}

fn family(address: SocketAddr) -> Family {
    if address.ip().to_canonical().is_ipv4() { Family::V4 } else { Family::V6 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::TrackerUrl;

    fn host(number: usize) -> TrackerHost {
        format!("http://h{number}.test/a").parse::<TrackerUrl>().unwrap().tracker_host()
    }

    fn addresses(texts: [&str; 4]) -> [SocketAddr; 4] {
        texts.map(|text| text.parse().unwrap())
    }

    #[test]
    fn the_family_that_worked_last_goes_first() {
        let families = Families::default();
        let found = addresses(["[2001:db8::1]:80", "192.0.2.1:80", "[2001:db8::2]:80", "192.0.2.2:80"]);
        let mut order = found;
        families.prefer(&host(1), &mut order);
        assert_eq!(order, found, "nothing is known");
        families.worked(host(1), found[3]);
        families.prefer(&host(1), &mut order);
        assert_eq!(
            order,
            addresses(["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80", "[2001:db8::2]:80"])
        );
        families.worked(host(1), found[0]);
        families.prefer(&host(1), &mut order);
        assert!(order[0].is_ipv6());
        let mut other = found;
        families.prefer(&host(2), &mut other);
        assert_eq!(other, found);
    }

    #[test]
    fn the_memory_is_bounded() {
        let families = Families::default();
        for number in 0..=MOST_HOSTS {
            families.worked(host(number), "192.0.2.1:80".parse().unwrap());
        }
        assert_eq!(families.0.lock().unwrap().len(), 1);
    }
}
