//! Name resolution: the [`Resolver`], which a client can implement itself, and the system's.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use async_trait::async_trait;

pub use super::found_addresses::FoundAddresses;
#[cfg(feature = "hickory")]
pub use super::hickory::HickoryResolver;
use super::look_ups::LookUps;
use crate::address::AddressPolicy;
use crate::error::{AnnounceError, Cause};
use crate::wire::tracker_record::TrackerRecord;

/// At most this many addresses of each family are tried, whatever a name server returns (S-25).
const MAX_ADDRESSES: usize = 4;

/// Looks up the addresses of a host. It needs no time limit: callers drop the future when theirs has passed.
///
/// Implementing it takes `async-trait = "0.1"` among the dependencies, and
/// [`#[async_trait]`](https://docs.rs/async-trait) on the `impl`:
///
/// ```
/// use std::net::{IpAddr, SocketAddr};
///
/// use async_trait::async_trait;
/// use tracker_failover::AnnounceError;
/// use tracker_failover::net::resolver::Resolver;
///
/// # async fn ask(host: &str) -> std::io::Result<Vec<IpAddr>> { Ok(vec![[192, 0, 2, 7].into()]) }
/// /// Asks a name server of its own.
/// struct OwnNameServer;
///
/// #[async_trait]
/// impl Resolver for OwnNameServer {
///     async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
///         let found = ask(host).await.map_err(AnnounceError::resolving)?;
///         Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
///     }
/// }
/// ```
///
/// # Cancel safety
/// Dropping the future has to give the look-up up.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of a name, the preferred one first, each with `port`. It is never called for an IP address.
    ///
    /// # Errors
    /// [`AnnounceError::Resolve`] when the look-up failed, [`AnnounceError::Local`] where this machine is the cause;
    /// [`AnnounceError::resolving`] tells them apart. A name without addresses may be an error or an empty list.
    ///
    /// # Cancel safety
    /// Dropping the future gives the look-up up.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError>;

    /// The addresses of a name as they are found, so that connecting needn't wait for the slower one of the two address
    /// families. The transports of this crate ask for them by this method. What [`resolve`](Self::resolve) gives, unless it
    /// is overridden.
    ///
    /// # Errors
    /// As those of [`resolve`](Self::resolve).
    ///
    /// # Cancel safety
    /// Dropping the future gives the look-up up.
    async fn find(&self, host: &str, port: u16) -> Result<FoundAddresses, AnnounceError> {
        self.resolve(host, port).await.map(FoundAddresses::from)
    }

    /// What the operator of a host says in its DNS about the trackers there (BEP 34): on which ports they run, or that there
    /// are none. The transports of this crate obey it. It is asked for before each announce, so an implementation keeps what
    /// it found; and it is waited for, so one that gets no answer soon gives `None`. It is never called for an IP address.
    /// `None`, unless it is overridden.
    ///
    /// # Cancel safety
    /// Dropping the future gives the look-up up.
    async fn tracker_record(&self, host: &str) -> Option<TrackerRecord> {
        let _ = host;
        None
    }
}

/// The system's resolver, `getaddrinfo`: hosts file, name servers, order of addresses (RFC 6724).
///
/// The system's call can't be cancelled, and holds a thread while it runs. So requests for one name share one look-up
/// (else a client with thousands of torrents on one tracker would flood its name server), and it goes on when the callers
/// have left. At most 64 look-ups with callers run at once, 48 of them for names that were never found before. One that
/// waits more than a second for its turn fails with [`AnnounceError::Local`]. The threads belong to no runtime, so
/// neither a runtime nor the process waits for them at its end.
///
/// Names of Tor and I2P (`.onion`, `.i2p`) are not looked up. A client that can reach them has its own resolver or
/// transport.
///
/// Cloning is cheap, and the clones share their look-ups.
#[derive(Clone)]
pub struct SystemResolver(Arc<LookUps>);

/// A resolver with a fixed table of names, for tests and in place of a name server.
#[derive(Debug, Clone, Default)]
pub struct StaticResolver(BTreeMap<String, Vec<IpAddr>>);

impl SystemResolver {
    /// The system's resolver.
    pub fn new() -> Self {
        Self(LookUps::new(look_up))
    }
}

fn look_up(host: &str) -> io::Result<Vec<IpAddr>> {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.map(|address| address.ip()).collect()),
        // Without descriptors left, `getaddrinfo` of glibc reports that there is no such name.
        Err(error) => Err(no_socket().unwrap_or(error)),
    }
}

/// Why no socket can be opened, if none can.
fn no_socket() -> Option<io::Error> {
    let bind = |any: IpAddr| UdpSocket::bind((any, 0)).err();
    bind(Ipv4Addr::UNSPECIFIED.into()).and_then(|_| bind(Ipv6Addr::UNSPECIFIED.into()))
}

/// Whether a name belongs to Tor or I2P. Name servers don't know such names, and asking them would reveal them (RFC 7686).
pub(super) fn is_of_another_network(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    [".onion", ".i2p"].iter().any(|ending| host.ends_with(ending))
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
        if is_of_another_network(host) {
            return Ok(Vec::new());
        }
        let addresses = self.0.find(host).await?;
        Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

impl StaticResolver {
    /// A resolver that knows no names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name with its addresses.
    #[must_use]
    pub fn with(mut self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.0.entry(host.to_ascii_lowercase()).or_default().extend(addresses);
        self
    }
}

#[async_trait]
impl Resolver for StaticResolver {
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
        let addresses = self.0.get(host).ok_or_else(no_address)?;
        Ok(addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
    }
}

#[async_trait]
impl<R: Resolver + ?Sized> Resolver for Arc<R> {
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
        (**self).resolve(host, port).await
    }

    async fn find(&self, host: &str, port: u16) -> Result<FoundAddresses, AnnounceError> {
        (**self).find(host, port).await
    }

    async fn tracker_record(&self, host: &str) -> Option<TrackerRecord> {
        (**self).tracker_record(host).await
    }
}

/// The addresses at which a host may be dialled: looked up unless the host is an address itself, without those that the
/// policy forbids, and at most four of each family.
///
/// A custom transport should call this for each attempt, so that it omits no step: every address is checked, and the
/// addresses that are dialled are those that were checked (POL-18, S-25).
///
/// `host` is as in [`TrackerUrl::host`](crate::TrackerUrl::host).
///
/// # Errors
/// [`AnnounceError::Resolve`] when there is no address, [`AnnounceError::Blocked`] when none is allowed.
///
/// # Cancel safety
/// Dropping the future gives the look-up up.
pub async fn allowed_addresses(
    resolver: &dyn Resolver,
    policy: &AddressPolicy,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, AnnounceError> {
    let found = match literal(host) {
        Some(ip) => vec![SocketAddr::new(ip, port)],
        None => resolver.resolve(host, port).await?,
    };
    allowed(policy, found)
}

/// The addresses at which a host may be dialled, as [`allowed_addresses`] gives them, but without waiting for the slower one
/// of the two address families.
///
/// # Errors
/// As those of [`allowed_addresses`].
///
/// # Cancel safety
/// Dropping the future gives the look-up up.
#[cfg(any(feature = "http", feature = "udp"))]
pub(super) async fn find_allowed(
    resolver: &dyn Resolver,
    policy: &AddressPolicy,
    host: &str,
    port: u16,
) -> Result<FoundAddresses, AnnounceError> {
    let found = match literal(host) {
        Some(ip) => vec![SocketAddr::new(ip, port)].into(),
        None => resolver.find(host, port).await?,
    };
    let policy = policy.clone();
    found.choose(move |found| allowed(&policy, found)).await
}

/// The IP address that a host is, if it isn't a name.
fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Those of the addresses that the policy allows, at most four of each family.
fn allowed(policy: &AddressPolicy, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, AnnounceError> {
    if found.is_empty() {
        return Err(no_address());
    }
    let (mut v4, mut v6) = (0, 0);
    let allowed: Vec<_> = found
        .into_iter()
        .filter(|address| policy.allows(*address))
        .filter(|address| {
            let count = if address.is_ipv4() { &mut v4 } else { &mut v6 };
            *count += 1;
            *count <= MAX_ADDRESSES
        })
        .collect();
    if allowed.is_empty() { Err(AnnounceError::Blocked) } else { Ok(allowed) }
}

fn no_address() -> AnnounceError {
    AnnounceError::Resolve(Cause::new(io::Error::new(io::ErrorKind::NotFound, "no address is known")))
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let empty = StaticResolver::new();
        for (host, address) in [("127.0.0.1", "127.0.0.1:80"), ("[::1]", "[::1]:80")] {
            let found = allowed_addresses(&empty, &AddressPolicy::ALLOW_ALL, host, 80).await.unwrap();
            assert_eq!(found, [address.parse().unwrap()], "{host}");
        }
    }

    /// POL-18, S-25.
    #[tokio::test]
    async fn all_addresses_are_checked_and_four_of_each_family_kept() {
        let many = (1..=20).map(|n| IpAddr::from([8, 8, 8, n])).chain([IpAddr::from([10, 0, 0, 1])]);
        let v6 = (1..=20).map(|n| IpAddr::from([0x2606, 0, 0, 0, 0, 0, 0, n]));
        let resolver = StaticResolver::new().with("T.test", many.chain(v6));
        let found = allowed_addresses(&resolver, &AddressPolicy::PUBLIC_ONLY, "t.test", 80).await.unwrap();
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown[..4], ["8.8.8.1:80", "8.8.8.2:80", "8.8.8.3:80", "8.8.8.4:80"]);
        assert_eq!(shown[4..], ["[2606::1]:80", "[2606::2]:80", "[2606::3]:80", "[2606::4]:80"]);
    }

    /// R67.
    #[tokio::test]
    async fn a_name_at_forbidden_addresses_only_is_blocked_and_an_unknown_one_an_error() {
        let resolver =
            StaticResolver::new().with("local.test", [[127, 0, 0, 1].into()]).with("empty.test", []);
        for (host, expected) in [
            ("local.test", "its address is not allowed here"),
            ("empty.test", "its name could not be resolved: no address is known"),
            ("other.test", "its name could not be resolved: no address is known"),
            ("169.254.169.254", "its address is not allowed here"),
        ] {
            let error =
                allowed_addresses(&resolver, &AddressPolicy::PUBLIC_ONLY, host, 80).await.unwrap_err();
            assert_eq!(error.to_string(), expected, "{host}");
        }
    }

    /// R96: as a literal or by name. A usable address of the same name is still dialled.
    #[tokio::test]
    async fn unspecified_and_broadcast_addresses_are_blocked_by_every_policy() {
        let sink: [IpAddr; 3] = ["0.0.0.0", "::", "::ffff:0.0.0.0"].map(|ip| ip.parse().unwrap());
        let resolver = StaticResolver::new()
            .with("sink.test", sink)
            .with("half.test", sink.into_iter().chain([[8, 8, 8, 8].into()]));
        for host in ["sink.test", "0.0.0.0", "[::]", "[::ffff:0.0.0.0]", "[::0.0.0.0]", "255.255.255.255"] {
            let found = allowed_addresses(&resolver, &AddressPolicy::ALLOW_ALL, host, 80).await;
            assert!(matches!(found, Err(AnnounceError::Blocked)), "{host}: {found:?}");
        }
        let found = allowed_addresses(&resolver, &AddressPolicy::ALLOW_ALL, "half.test", 80).await.unwrap();
        assert_eq!(found, ["8.8.8.8:80".parse().unwrap()]);
    }

    /// Q-75.
    #[tokio::test]
    async fn names_of_other_networks_are_not_looked_up() {
        for host in ["t.i2p", "T.ONION", "t.onion."] {
            assert!(is_of_another_network(host), "{host}");
            let resolver = SystemResolver::new();
            let error = allowed_addresses(&resolver, &AddressPolicy::ALLOW_ALL, host, 80).await.unwrap_err();
            assert_eq!(error.to_string(), "its name could not be resolved: no address is known", "{host}");
        }
        for host in ["i2p", "onion.test", "xi2p", "t.i2p.test"] {
            assert!(!is_of_another_network(host), "{host}");
        }
    }

    #[tokio::test]
    async fn the_system_resolves_localhost() {
        let found = SystemResolver::new().resolve("localhost", 7).await.unwrap();
        assert!(
            found.iter().all(|a| a.ip().is_loopback() && a.port() == 7) && !found.is_empty(),
            "{found:?}"
        );
    }
}
