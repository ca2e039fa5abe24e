//! The addresses of a name as a look-up finds them: those of one address family first, those of the other when they come.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;

#[cfg(any(feature = "http", feature = "udp"))]
use crate::error::AnnounceError;

/// The addresses of a name, each with a port: those that are known, and those that a slower part of the look-up may find.
///
/// The two address families of a name are two questions to a name server. Where one of them is slow to be answered,
/// connecting begins with the addresses of the other (RFC 8305, section 3).
///
/// ```
/// use std::net::SocketAddr;
///
/// use tracker_failover::net::resolver::FoundAddresses;
///
/// # async fn ask_for_ipv6() -> Vec<SocketAddr> { Vec::new() }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let v4: SocketAddr = "192.0.2.7:80".parse()?;
/// let found = FoundAddresses::from(vec![v4]).and_later(async { ask_for_ipv6().await });
/// assert_eq!(found.addresses(), [v4]);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct FoundAddresses {
    known: Vec<SocketAddr>,
    later: Option<LaterAddresses>,
}

/// Gives the addresses that a slower part of a look-up found; none where it failed.
type LaterAddresses = Pin<Box<dyn Future<Output = Vec<SocketAddr>> + Send>>;

impl FoundAddresses {
    /// Adds those that are found later. The future gives none where its part of the look-up failed, and is dropped when they
    /// aren't needed any more.
    pub fn and_later(mut self, later: impl Future<Output = Vec<SocketAddr>> + Send + 'static) -> Self {
        self.later = Some(Box::pin(later));
        self
    }

    /// Those that are known, the preferred one first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.known
    }

    /// Waits for all of them.
    ///
    /// # Cancel safety
    /// Dropping the future gives the look-up up.
    pub async fn all(self) -> Vec<SocketAddr> {
        let mut all = self.known;
        if let Some(later) = self.later {
            all.extend(later.await);
        }
        all
    }
}

#[cfg(any(feature = "http", feature = "udp"))]
impl FoundAddresses {
    /// Those that `choose` keeps, of the known ones and of the later ones. Where it keeps none of the former, the latter are
    /// waited for: the family that is answered first may be one that can't be used.
    ///
    /// # Errors
    /// The error of `choose` where it keeps none at all.
    ///
    /// # Cancel safety
    /// Dropping the future gives the look-up up.
    pub(super) async fn choose(
        self,
        choose: impl Fn(Vec<SocketAddr>) -> Result<Vec<SocketAddr>, AnnounceError> + Send + Sync + 'static,
    ) -> Result<Self, AnnounceError> {
        match (choose(self.known), self.later) {
            (Ok(chosen), Some(later)) => {
                Ok(Self::from(chosen).and_later(async move { choose(later.await).unwrap_or_default() }))
            }
            (Err(error), Some(later)) => {
                let found = later.await;
                if found.is_empty() { Err(error) } else { choose(found).map(Self::from) }
            }
            (chosen, None) => chosen.map(Self::from),
        }
    }

    /// Puts the known ones into another order.
    pub(super) fn sort(mut self, sort: impl FnOnce(&mut [SocketAddr])) -> Self {
        sort(&mut self.known);
        self
    }

    /// The known ones, and a future that gives the later ones.
    pub(super) fn into_parts(self) -> (Vec<SocketAddr>, LaterAddresses) {
        (self.known, self.later.unwrap_or_else(|| Box::pin(std::future::ready(Vec::new()))))
    }
}

impl From<Vec<SocketAddr>> for FoundAddresses {
    fn from(known: Vec<SocketAddr>) -> Self {
        Self { known, later: None }
    }
}

impl fmt::Debug for FoundAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundAddresses").field("known", &self.known).finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "http", feature = "udp")))]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Keeps the IPv4 addresses.
    fn v4_only(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, AnnounceError> {
        let v4: Vec<_> = found.into_iter().filter(SocketAddr::is_ipv4).collect();
        if v4.is_empty() { Err(AnnounceError::Blocked) } else { Ok(v4) }
    }

    #[tokio::test]
    async fn known_addresses_do_not_wait_for_later_ones() {
        let found = FoundAddresses::from(addresses(&["192.0.2.1:1", "[::2]:1"])).and_later(pending());
        let chosen = found.choose(v4_only).await.unwrap();
        assert_eq!(chosen.addresses(), addresses(&["192.0.2.1:1"]));
    }

    #[tokio::test]
    async fn later_ones_are_chosen_from_too() {
        let later = addresses(&["192.0.2.2:1", "[::2]:1"]);
        let found = FoundAddresses::from(addresses(&["192.0.2.1:1"])).and_later(ready(later));
        let all = found.choose(v4_only).await.unwrap().all().await;
        assert_eq!(all, addresses(&["192.0.2.1:1", "192.0.2.2:1"]));
    }

    #[tokio::test]
    async fn where_none_of_the_known_ones_can_be_used_the_later_ones_are_waited_for() {
        let with = |later: &[&str]| {
            FoundAddresses::from(addresses(&["[::2]:1"])).and_later(ready(addresses(later))).choose(v4_only)
        };
        assert_eq!(with(&["192.0.2.1:1"]).await.unwrap().addresses(), addresses(&["192.0.2.1:1"]));
        for none in [&[][..], &["[::3]:1"]] {
            assert!(matches!(with(none).await, Err(AnnounceError::Blocked)), "{none:?}");
        }
    }
}
