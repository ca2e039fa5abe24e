//! The address at which each host was reached last, which is tried first the next time (RFC 8305, section 4: history).
//!
//! A name server orders addresses by itself, and the system mostly puts IPv6 first. Where that family is dead without
//! an error, each new connection would wait 250 ms for it: nearly each announce, because few connections outlast an
//! interval.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crate::tracker::TrackerHost;

/// The most hosts of which an address is kept. A further one clears them all, which costs each 250 ms once.
const MAX_HOSTS: usize = 4096;

/// The address at which each host was reached last.
#[derive(Debug, Default)]
pub(super) struct Families(Mutex<BTreeMap<TrackerHost, SocketAddr>>);

impl Families {
    /// Moves the address that worked last to the front, and those of its family behind it. Otherwise the order stays. A
    /// name with many addresses may come without that one the next time: then its family goes first.
    pub(super) fn prefer(&self, host: &TrackerHost, addresses: &mut [SocketAddr]) {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
        if let Some(worked) = last {
            addresses.sort_by_key(|address| (*address != worked, is_v4(*address) != is_v4(worked)));
        }
    }

    /// Notes the address at which a host was reached.
    pub(super) fn worked(&self, host: TrackerHost, address: SocketAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_HOSTS && !known.contains_key(&host) {
            known.clear();
        }
        known.insert(host, address);
    }
}

/// IPv4 as such or mapped into IPv6.
fn is_v4(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_ipv4()
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

    /// R111: a dead address that a name server puts first isn't waited for each time.
    #[test]
    fn the_address_that_worked_last_goes_first_and_its_family_next() {
        let families = Families::default();
        let found = addresses(["[2001:db8::1]:80", "192.0.2.1:80", "[2001:db8::2]:80", "192.0.2.2:80"]);
        let mut order = found;
        families.prefer(&host(1), &mut order);
        assert_eq!(order, found, "nothing is known");
        families.worked(host(1), found[3]);
        families.prefer(&host(1), &mut order);
        assert_eq!(
            order,
            addresses(["192.0.2.2:80", "192.0.2.1:80", "[2001:db8::1]:80", "[2001:db8::2]:80"])
        );
        families.worked(host(1), found[0]);
        families.prefer(&host(1), &mut order);
        assert!(order[0].is_ipv6());
        let mut other = found;
        families.prefer(&host(2), &mut other);
        assert_eq!(other, found);
    }

    #[test]
    fn the_number_of_hosts_is_bounded() {
        let families = Families::default();
        for number in 0..=MAX_HOSTS {
            families.worked(host(number), "192.0.2.1:80".parse().unwrap());
        }
        assert_eq!(families.0.lock().unwrap().len(), 1);
    }
}
