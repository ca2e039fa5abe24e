//! Which addresses may be dialled, and which peers may be passed on.
//!
//! Announce addresses come from torrent files, redirects and peers from trackers: strangers choose the hosts to which we
//! connect. All checks are made on the address that is dialled, after name resolution, because the target of a name can't
//! be seen from the name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Host;

use crate::announce::{AnnounceResponse, PeerAddress};
use crate::tracker::TrackerUrl;

/// The kind of an IP address, after the special-purpose registries of IANA (RFC 6890).
///
/// An IPv6 address that embeds an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo) has the kind of the embedded
/// address, because it leads to the same machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AddressKind {
    /// On the internet.
    Global,
    /// This machine: `127.0.0.0/8`, `::1`.
    Loopback,
    /// `0.0.0.0/8` and `::`, which many systems take for this machine.
    Unspecified,
    /// This link: `169.254.0.0/16` (where clouds keep their metadata), `fe80::/10`.
    LinkLocal,
    /// A private network: RFC 1918, the shared address space of carriers (RFC 6598), `fc00::/7`, the deprecated `fec0::/10`,
    /// and the NAT64 prefix for local use (RFC 8215).
    Private,
    /// Reserved for documentation, benchmarks and protocols: never a host on the internet.
    Reserved,
    /// A group of hosts.
    Multicast,
    /// All hosts on the link, or the unassigned `240.0.0.0/4`.
    Broadcast,
}

/// Which addresses may be dialled.
///
/// ```
/// use tracker_failover::AddressPolicy;
///
/// let policy = AddressPolicy::PUBLIC_ONLY.except(["192.168.0.2:6969".parse()?]);
/// assert!(policy.allows("8.8.8.8:80".parse()?) && policy.allows("192.168.0.2:6969".parse()?));
/// assert!(!policy.allows("127.0.0.1:80".parse()?) && !policy.allows("[::ffff:10.0.0.1]:80".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPolicy {
    reach: Reach,
    exceptions: Vec<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    PublicAndLoopback,
    Public,
}

impl AddressKind {
    /// The kind of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => of_v4(ip),
            IpAddr::V6(ip) => embedded_v4(ip).map_or_else(|| of_v6(ip), of_v4),
        }
    }
}

impl AddressPolicy {
    /// All addresses of single hosts. The default for announce addresses, which the user chose: the trackers of local
    /// clusters have private addresses.
    pub const ALLOW_ALL: Self = Self { reach: Reach::All, exceptions: Vec::new() };

    /// The internet and this machine.
    pub const ALLOW_LOOPBACK: Self = Self { reach: Reach::PublicAndLoopback, exceptions: Vec::new() };

    /// The internet only.
    pub const PUBLIC_ONLY: Self = Self { reach: Reach::Public, exceptions: Vec::new() };

    /// Allows these addresses as well, if a single host can have them.
    #[must_use]
    pub fn except(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.exceptions.extend(addresses);
        self
    }

    /// Whether an address may be dialled. Never an unspecified, multicast or broadcast address, and never port 0.
    pub fn allows(&self, address: SocketAddr) -> bool {
        let reached = match AddressKind::of(address.ip()) {
            AddressKind::Global => true,
            AddressKind::Loopback => self.reach != Reach::Public,
            _ => self.reach == Reach::All,
        };
        is_host(address) && (reached || self.exceptions.contains(&address))
    }
}

/// Whether a single host can have this address. Other trackers are never dialled, and other peers never passed on,
/// whatever the policy. Systems take 0.0.0.0 for this machine, and block lists resolve names to it: the passkey would be
/// sent to some server on this machine.
pub(crate) fn is_host(address: SocketAddr) -> bool {
    let kind = AddressKind::of(address.ip());
    let no_host = matches!(kind, AddressKind::Unspecified | AddressKind::Multicast | AddressKind::Broadcast);
    !no_host && address.port() != 0
}

impl Default for AddressPolicy {
    fn default() -> Self {
        Self::ALLOW_ALL
    }
}

/// Removes the unusable peers from an answer, and counts them in
/// [`dropped_peers`](AnnounceResponse::dropped_peers). The `Announcer` does this for every transport.
///
/// Removed are peers with port 0, at unspecified, multicast and broadcast addresses, in `240.0.0.0/4`, the client itself
/// if its address is given as `own`, and those that the policy forbids. Without a policy, peers on the internet stay, and
/// those at addresses of the tracker's own kind, because a tracker inside a network serves that network: a tracker on this
/// machine may name peers on this machine, one at a private address peers at private addresses.
///
/// The tracker's kind is that of the address at which it was reached
/// ([`tracker_address`](AnnounceResponse::tracker_address)), else of the address in its URL; an unresolved host name counts
/// as a host on the internet. Host names of peers stay, because they have to be checked when they are resolved, except
/// those that need no resolver: `localhost`, and numbers that systems take for an address (`0`, `0x7f.1`).
pub fn usable_peers(
    response: &mut AnnounceResponse,
    policy: Option<&AddressPolicy>,
    tracker: &TrackerUrl,
    own: Option<SocketAddr>,
) {
    let reached_at = response.tracker_address.map(|address| address.ip());
    let tracker_kind = reached_at.or_else(|| known_address(tracker.host())).map(AddressKind::of);
    let by_kind = |kind| kind == AddressKind::Global || tracker_kind == Some(kind);
    let allowed = |address: SocketAddr| {
        policy.map_or_else(|| by_kind(AddressKind::of(address.ip())), |policy| policy.allows(address))
    };
    let before = response.peers.len();
    response.peers.retain(|peer| {
        let (address, port) = match &peer.address {
            PeerAddress::Ip(address) => (Some(*address), address.port()),
            PeerAddress::Name(name, port) => {
                (known_address(name).map(|ip| SocketAddr::new(ip, *port)), *port)
            }
        };
        address.map_or(port != 0, |address| {
            is_host(address) && allowed(address) && own.is_none_or(|own| !same(own, address))
        })
    });
    response.dropped_peers = response.dropped_peers.saturating_add(before - response.peers.len());
}

/// The address of a host name that every system takes for the same address without a name server.
fn known_address(name: &str) -> Option<IpAddr> {
    match Host::parse(name).ok()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            (name == "localhost" || name.ends_with(".localhost")).then_some(Ipv4Addr::LOCALHOST.into())
        }
    }
}

fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}

fn of_v4(ip: Ipv4Addr) -> AddressKind {
    match ip.octets() {
        [0, ..] => AddressKind::Unspecified,
        [127, ..] => AddressKind::Loopback,
        [169, 254, ..] => AddressKind::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressKind::Private,
        // Documentation (RFC 5737), benchmarks (RFC 2544), protocols (RFC 6890), the old 6to4 relays (RFC 7526).
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            AddressKind::Reserved
        }
        [224..=239, ..] => AddressKind::Multicast,
        [240..=255, ..] => AddressKind::Broadcast,
        _ => AddressKind::Global,
    }
}

fn of_v6(ip: Ipv6Addr) -> AddressKind {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => AddressKind::Private,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        [0xff00..=0xffff, ..] => AddressKind::Multicast,
        // Protocols and benchmarks (RFC 2928), documentation (RFC 3849, RFC 9637).
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => AddressKind::Reserved,
        [0x2000..=0x3fff, ..] => AddressKind::Global,
        // No other range is assigned as global unicast (RFC 4291, 2.4).
        _ => AddressKind::Reserved,
    }
}

/// The IPv4 address that an IPv6 address embeds.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let joined = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        // `::` and `::1` have kinds of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible and mapped (RFC 4291, 2.5.5), translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4 (RFC 3056).
        | [0x2002, high, low, ..] => Some(joined(high, low)),
        // Teredo, which inverts the bits of its client's address (RFC 4380).
        [0x2001, 0, _, _, _, _, high, low] => Some(joined(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::Peer;

    const KINDS: &[(&str, AddressKind)] = &[
        ("8.8.8.8", AddressKind::Global),
        ("100.63.255.255", AddressKind::Global),
        ("172.32.0.1", AddressKind::Global),
        ("192.0.1.1", AddressKind::Global),
        ("127.0.0.1", AddressKind::Loopback),
        ("127.255.255.254", AddressKind::Loopback),
        ("0.0.0.0", AddressKind::Unspecified),
        ("0.1.2.3", AddressKind::Unspecified),
        ("169.254.169.254", AddressKind::LinkLocal),
        ("10.0.0.1", AddressKind::Private),
        ("172.16.0.1", AddressKind::Private),
        ("172.31.255.255", AddressKind::Private),
        ("192.168.1.1", AddressKind::Private),
        ("100.64.0.1", AddressKind::Private),
        ("100.100.100.200", AddressKind::Private),
        ("192.0.2.1", AddressKind::Reserved),
        ("198.18.0.1", AddressKind::Reserved),
        ("198.51.100.1", AddressKind::Reserved),
        ("203.0.113.1", AddressKind::Reserved),
        ("192.0.0.8", AddressKind::Reserved),
        ("224.0.0.1", AddressKind::Multicast),
        ("239.255.255.250", AddressKind::Multicast),
        ("240.0.0.1", AddressKind::Broadcast),
        ("255.255.255.255", AddressKind::Broadcast),
        ("2606:4700::1", AddressKind::Global),
        ("2001:4860:4860::8888", AddressKind::Global),
        ("::", AddressKind::Unspecified),
        ("::1", AddressKind::Loopback),
        ("::2", AddressKind::Unspecified),
        ("fe80::1", AddressKind::LinkLocal),
        ("febf::1", AddressKind::LinkLocal),
        ("fc00::1", AddressKind::Private),
        ("fd00:ec2::254", AddressKind::Private),
        ("fec0::1", AddressKind::Private),
        ("ff02::1", AddressKind::Multicast),
        ("2001:db8::1", AddressKind::Reserved),
        ("2001:2::1", AddressKind::Reserved),
        ("3fff::1", AddressKind::Reserved),
        ("100::1", AddressKind::Reserved),
        ("4000::1", AddressKind::Reserved),
        ("5f00::1", AddressKind::Reserved),
        // The embedded address decides.
        ("::ffff:127.0.0.1", AddressKind::Loopback),
        ("::ffff:8.8.8.8", AddressKind::Global),
        ("::127.0.0.1", AddressKind::Loopback),
        ("::ffff:0:10.0.0.1", AddressKind::Private),
        ("64:ff9b::169.254.169.254", AddressKind::LinkLocal),
        ("64:ff9b::8.8.8.8", AddressKind::Global),
        ("64:ff9b:1::8.8.8.8", AddressKind::Private),
        ("2002:7f00:1::", AddressKind::Loopback),
        ("2002:0808:0808::1", AddressKind::Global),
        ("2001:0:0808:0808:0:0:80ff:fffe", AddressKind::Loopback),
        ("2001:0:0808:0808:0:0:f7f7:f7f7", AddressKind::Global),
    ];

    /// S-10.
    #[test]
    fn an_address_has_the_kind_of_its_range() {
        for (address, kind) in KINDS {
            assert_eq!(AddressKind::of(address.parse().unwrap()), *kind, "{address}");
        }
    }

    /// POL-18.
    #[test]
    fn each_policy_allows_its_kinds() {
        let policies = [AddressPolicy::ALLOW_ALL, AddressPolicy::ALLOW_LOOPBACK, AddressPolicy::PUBLIC_ONLY];
        for (address, kind) in KINDS {
            let address = SocketAddr::new(address.parse().unwrap(), 80);
            let expected = match kind {
                AddressKind::Global => [true, true, true],
                AddressKind::Loopback => [true, true, false],
                AddressKind::Unspecified | AddressKind::Multicast | AddressKind::Broadcast => {
                    [false, false, false]
                }
                _ => [true, false, false],
            };
            let allowed = policies.each_ref().map(|policy| policy.allows(address));
            assert_eq!(allowed, expected, "{address}");
        }
    }

    /// R96: block lists resolve names to 0.0.0.0, which Linux and macOS dial as this machine.
    #[test]
    fn an_address_that_no_host_can_have_is_never_allowed() {
        for address in [
            "0.0.0.0:80",
            "0.1.2.3:80",
            "[::]:80",
            "[::ffff:0.0.0.0]:80",
            "[::ffff:0.9.9.9]:80",
            "[::0.0.0.2]:80",
            "[::ffff:0:0.0.0.0]:80",
            "[64:ff9b::]:80",
            "[2002::1]:80",
            "255.255.255.255:80",
            "[::ffff:255.255.255.255]:80",
            "240.0.0.1:80",
            "224.0.0.1:80",
            "[::ffff:239.1.1.1]:80",
            "[ff02::1]:80",
            "8.8.8.8:0",
            "127.0.0.1:0",
            "[2606:4700::1]:0",
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert!(!is_host(address), "{address}");
            for policy in [AddressPolicy::ALLOW_ALL, AddressPolicy::PUBLIC_ONLY.except([address])] {
                assert!(!policy.allows(address), "{address}");
            }
        }
        assert!(is_host("127.0.0.1:1".parse().unwrap()) && is_host("[fe80::1]:65535".parse().unwrap()));
    }

    #[test]
    fn an_exception_is_one_address_and_port() {
        let policy = AddressPolicy::PUBLIC_ONLY.except(["127.0.0.1:6969".parse().unwrap()]);
        assert!(policy.allows("127.0.0.1:6969".parse().unwrap()));
        assert!(!policy.allows("127.0.0.1:6970".parse().unwrap()));
        assert!(!policy.allows("127.0.0.2:6969".parse().unwrap()));
    }

    fn usable(
        peers: &[&str],
        tracker: &str,
        policy: Option<&AddressPolicy>,
        own: Option<&str>,
    ) -> Vec<String> {
        // Either an address at which it was reached, or nothing but its URL.
        let reached_at = tracker.parse().ok();
        let url = if reached_at.is_some() { "http://t.test/announce" } else { tracker };
        let mut response = AnnounceResponse { tracker_address: reached_at, ..AnnounceResponse::default() };
        for peer in peers {
            let (name, port) = peer.rsplit_once(':').unwrap();
            let name = || PeerAddress::Name(name.to_owned(), port.parse().unwrap());
            let address = peer.parse().map_or_else(|_| name(), PeerAddress::Ip);
            response.peers.push(Peer { address, id: None });
        }
        usable_peers(&mut response, policy, &url.parse().unwrap(), own.map(|own| own.parse().unwrap()));
        assert_eq!(response.dropped_peers + response.peers.len(), peers.len(), "all are counted");
        response.peers.iter().map(|peer| peer.address.to_string()).collect()
    }

    const PEERS: &[&str] = &[
        "8.8.8.8:1",
        "8.8.8.8:0",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "240.0.0.1:1",
        "127.0.0.1:1",
        "169.254.169.254:1",
        "192.168.0.1:1",
        "198.51.100.1:1",
        "[::ffff:10.0.0.1]:1",
        "[fd00::1]:1",
        "[2606:4700::1]:1",
        "peer.test:1",
        "peer.test:0",
        "LocalHost.:1",
        // Names that every resolver takes for addresses.
        "0:1",
        "0x0.0:1",
        "4294967295:1",
        "2130706433:1",
        "0300.0250.1:1",
        "127.1.:1",
    ];

    const GLOBAL: &[&str] = &["8.8.8.8:1", "[2606:4700::1]:1", "peer.test:1"];

    fn and_global(others: &[&str]) -> Vec<String> {
        let wanted = |peer: &&&str| GLOBAL.contains(*peer) || others.contains(*peer);
        PEERS.iter().filter(wanted).map(|peer| (*peer).to_owned()).collect()
    }

    const LOOPBACK: &[&str] = &["127.0.0.1:1", "LocalHost.:1", "2130706433:1", "127.1.:1"];
    const PRIVATE: &[&str] = &["192.168.0.1:1", "[::ffff:10.0.0.1]:1", "[fd00::1]:1", "0300.0250.1:1"];

    /// R95: by default a tracker may name peers on the internet and at its own kind of address.
    /// (POL-13, S-17)
    #[test]
    fn peers_outside_the_internet_come_from_trackers_at_such_addresses_only() {
        for tracker in [
            "9.9.9.9:80",
            "http://t.test/announce",
            "http://9.9.9.9/announce",
            // A name, though it resolves to this machine.
            "http://loopback.test/announce",
        ] {
            assert_eq!(usable(PEERS, tracker, None, None), and_global(&[]), "{tracker}");
        }
        for tracker in [
            "127.0.0.1:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "http://127.9.9.9:6969/announce",
            "http://[::1]/announce",
            "udp://localhost:6969",
            "http://a.localhost/announce",
            "udp://2130706433:80",
        ] {
            assert_eq!(usable(PEERS, tracker, None, None), and_global(LOOPBACK), "{tracker}");
        }
        for tracker in ["10.0.0.1:80", "[fd00::2]:80", "100.64.0.1:1", "http://192.168.1.1/announce"] {
            assert_eq!(usable(PEERS, tracker, None, None), and_global(PRIVATE), "{tracker}");
        }
        let link_local = and_global(&["169.254.169.254:1"]);
        assert_eq!(usable(PEERS, "169.254.1.1:80", None, None), link_local);
    }

    /// R95: the policy that the user sets decides, whatever the tracker's address.
    #[test]
    fn a_policy_for_peers_overrides_the_kind_of_the_tracker() {
        let no_hosts =
            ["8.8.8.8:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "240.0.0.1:1", "peer.test:0"];
        let no_host =
            |peer: &&&str| no_hosts.contains(*peer) || ["0:1", "0x0.0:1", "4294967295:1"].contains(*peer);
        let hosts = PEERS.iter().filter(|peer| !no_host(peer));
        let all: Vec<String> = hosts.map(|peer| (*peer).to_owned()).collect();
        for tracker in ["9.9.9.9:80", "127.0.0.1:80", "10.0.0.1:80", "169.254.1.1:80", "http://localhost/a"] {
            let public = usable(PEERS, tracker, Some(&AddressPolicy::PUBLIC_ONLY), None);
            assert_eq!(public, and_global(&[]), "{tracker}");
            let loopback = usable(PEERS, tracker, Some(&AddressPolicy::ALLOW_LOOPBACK), None);
            assert_eq!(loopback, and_global(LOOPBACK), "{tracker}");
            assert_eq!(usable(PEERS, tracker, Some(&AddressPolicy::ALLOW_ALL), None), all, "{tracker}");
            let one = AddressPolicy::PUBLIC_ONLY.except(["127.0.0.1:1".parse().unwrap()]);
            assert_eq!(usable(PEERS, tracker, Some(&one), None), and_global(LOOPBACK), "{tracker}");
        }
    }

    /// Q-73.
    #[test]
    fn the_address_of_the_client_itself_is_dropped() {
        let peers = ["8.8.8.8:1", "8.8.8.8:2", "[::ffff:8.8.8.8]:1"];
        let left = usable(&peers, "9.9.9.9:80", None, Some("8.8.8.8:1"));
        assert_eq!(left, ["8.8.8.8:2"]);
    }
}
