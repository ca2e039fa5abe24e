//! The state of each tracker host, for a client's status page.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::admission::HostLimiter;
use super::health::{HealthBook, HostHealth};
use crate::time::Timestamp;
use crate::tracker::TrackerHost;

/// The state of one tracker host, as all torrents see it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HostStatus {
    /// The host.
    pub host: TrackerHost,
    /// How long an announce on a new connection takes, if it was ever measured.
    pub latency: Option<Duration>,
    /// How many announces and probes it has answered.
    pub successes: u64,
    /// How many failures it was blamed for since it last answered.
    pub failures_in_a_row: u32,
    /// How long ago it last answered; `None` if it never did.
    pub last_answer: Option<Duration>,
    /// For how long no torrent tries it after failures; `None` if it isn't backed off. One trial comes after that.
    pub backing_off: Option<Duration>,
    /// How many torrents have a tracker at it.
    pub torrents: usize,
    /// How many attempts are under way at it.
    pub in_flight: usize,
    /// How many torrents queue at it, because it gets no more at once or no more in a second.
    pub queued: usize,
    /// How many attempts a second it has got, over the last minute or two.
    pub requests_per_second: f64,
}

/// The state of each host that is known, or that has torrents, ordered by host. `torrents` is how many each has.
pub(super) fn statuses(
    book: &HealthBook,
    limiter: &HostLimiter,
    torrents: &BTreeMap<&TrackerHost, usize>,
    now: Timestamp,
) -> Vec<HostStatus> {
    let all: BTreeSet<&TrackerHost> = book.hosts.keys().chain(torrents.keys().copied()).collect();
    let status = |host: &TrackerHost| {
        let health = book.host(host);
        let (in_flight, queued) = limiter.load(host);
        let backed_off_until = health.and_then(|health| health.breaker.backed_off_until());
        HostStatus {
            host: host.clone(),
            latency: health.and_then(HostHealth::latency),
            successes: health.map_or(0, |health| health.successes),
            failures_in_a_row: health.map_or(0, |health| health.consecutive_failures),
            last_answer: health.and_then(HostHealth::answered_at).map(|at| now.since(at)),
            backing_off: backed_off_until.map(|until| until.since(now)),
            torrents: torrents.get(host).copied().unwrap_or_default(),
            in_flight,
            queued,
            requests_per_second: health.map_or(0.0, |health| health.meter.rate(now)),
        }
    };
    all.into_iter().map(status).collect()
}
