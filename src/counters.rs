//! Where the counters of a download come from, for a client that is asked for them.

use crate::announce::{PeerCounts, Transfer};

/// Counters that are read when an announce is written, in place of calls of
/// [`update`](crate::AnnounceHandle::update) while they change. So announces are never stale, and a client with ten thousand
/// torrents counts for the few that announce just now.
///
/// Every closure that gives a [`Transfer`] is one.
///
/// ```
/// use tracker_failover::{Counters, PeerCounts, Transfer};
/// # struct Shared;
/// # impl Shared { fn bytes_left(&self) -> u64 { 0 } fn connected(&self) -> u32 { 0 } }
///
/// struct Download(std::sync::Arc<Shared>);
///
/// impl Counters for Download {
///     fn transfer(&mut self) -> Transfer {
///         Transfer { left: Some(self.0.bytes_left()), ..Transfer::default() }
///     }
///
///     fn peers(&mut self) -> Option<PeerCounts> {
///         Some(PeerCounts { connected: self.0.connected(), ..PeerCounts::default() })
///     }
/// }
/// ```
pub trait Counters: Send + 'static {
    /// The totals since the session began, which never go back, and what is left now.
    fn transfer(&mut self) -> Transfer;

    /// How many peers there are, which decides whether further trackers are asked
    /// ([`AnnounceTo::AsNeeded`](crate::AnnounceTo::AsNeeded)); `None`, which is the default, if that isn't counted.
    fn peers(&mut self) -> Option<PeerCounts> {
        None
    }
}

impl<F: FnMut() -> Transfer + Send + 'static> Counters for F {
    fn transfer(&mut self) -> Transfer {
        self()
    }
}
