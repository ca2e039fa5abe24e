//! Scrapes, which ask a tracker for the size of swarms without an announce: the values of BEP 48.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::announce::InfoHash;

/// The answer to a successful scrape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ScrapeResponse {
    /// The swarm of each torrent in the answer. A requested torrent that is missing here is unknown to the tracker, which
    /// isn't the same as an empty swarm.
    pub files: BTreeMap<InfoHash, SwarmCounts>,
    /// The shortest time between two scrapes, if the tracker sent it (`flags`, `min_request_interval`).
    /// `AnnounceHandle::scrape` keeps to it; users of a [`Channel`](crate::Channel) have to keep to it themselves.
    pub min_request_interval: Option<Duration>,
}

impl ScrapeResponse {
    /// Adds another answer of the same tracker, for further torrents: a long list is asked for in several requests.
    pub fn merge(&mut self, other: Self) {
        self.files.extend(other.files);
        self.min_request_interval = self.min_request_interval.max(other.min_request_interval);
    }
}

/// The size of a swarm. A count is `None` if the tracker left it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub struct SwarmCounts {
    /// How many peers have the whole torrent.
    pub complete: Option<u64>,
    /// How many peers are still downloading.
    pub incomplete: Option<u64>,
    /// How many downloads have been completed so far.
    pub downloaded: Option<u64>,
    /// How many of the incomplete peers are downloading, if the tracker tells them from partial seeds (BEP 21). The others
    /// are partial seeds.
    pub downloaders: Option<u64>,
}
