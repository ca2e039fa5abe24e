//! The address at which each host was reached last, which is tried first the next time (RFC 8305, section 4: history),
//! and the other family over which it can be reached.
//!
//! A name server orders addresses by itself, and the system mostly puts IPv6 first. Where that family is dead without
//! an error, each new connection would wait 250 ms for it: nearly each announce, because few connections outlast an
//! interval.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use super::sockets::Sockets;
use crate::error::{AnnounceError, Cause};
use crate::tracker::{AddressFamily, TrackerHost, TrackerUrl};

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
            addresses.sort_by_key(|address| (*address != worked, family(address) != family(&worked)));
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

/// Keeps the addresses of the family that a tracker is restricted to.
///
/// # Errors
/// When it has none.
pub(super) fn restrict(tracker: &TrackerUrl, addresses: &mut Vec<SocketAddr>) -> Result<(), AnnounceError> {
    let Some(wanted) = tracker.family() else { return Ok(()) };
    addresses.retain(|address| family(address) == wanted);
    if addresses.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, format!("no {wanted} address is known"));
        return Err(AnnounceError::Resolve(Cause::new(error)));
    }
    Ok(())
}

/// The same where the addresses of a name aren't known, because a proxy looks it up.
///
/// # Errors
/// When the tracker is restricted to a family.
pub(super) fn restrict_name(tracker: &TrackerUrl) -> Result<(), AnnounceError> {
    restrict(tracker, &mut Vec::new())
}

/// The other family of these addresses than that of the one that was reached, if this machine has a way there by these
/// sockets. Machines without IPv6 are common, and each tracker would be shown as failing there.
pub(super) fn other_family(
    reached: SocketAddr,
    addresses: &[SocketAddr],
    sockets: &Sockets,
) -> Option<AddressFamily> {
    let other = addresses.iter().find(|address| family(address) != family(&reached))?;
    // Connecting a UDP socket sends nothing, and shows whether there is a route.
    sockets.reach(*other).then(|| family(other))
}

fn family(address: &SocketAddr) -> AddressFamily {
    AddressFamily::of(address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_other_family_is_known_where_there_is_a_way_to_it() {
        let [v4, mapped, v6, other] =
            addresses(["127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[::1]:80", "127.0.0.2:80"]);
        let (ipv4, ipv6) = (Some(AddressFamily::Ipv4), Some(AddressFamily::Ipv6));
        let any = Sockets::new();
        assert_eq!((other_family(v4, &[v4, v6], &any), other_family(v6, &[v4, v6], &any)), (ipv6, ipv4));
        assert_eq!(other_family(v4, &[v4, mapped, other], &any), None, "all of one family");
        let own = Sockets::new().local_address(v4.ip());
        assert_eq!(other_family(v4, &[v4, v6], &own), None, "the local address is of one family");
        let tracker: TrackerUrl = "http://t.test/a".parse().unwrap();
        for (family, kept) in [(None, vec![v4, mapped, v6]), (ipv4, vec![v4, mapped]), (ipv6, vec![v6])] {
            let tracker = family.map_or(tracker.clone(), |family| tracker.over(family));
            let mut addresses = vec![v4, mapped, v6];
            restrict(&tracker, &mut addresses).unwrap();
            assert_eq!(addresses, kept, "{family:?}");
        }
        let error = restrict(&tracker.over(AddressFamily::Ipv6), &mut vec![v4]).unwrap_err();
        assert!(matches!(error, AnnounceError::Resolve(_)), "{error}");
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
