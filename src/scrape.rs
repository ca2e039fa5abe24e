//! What a tracker says of a torrent's swarm without being announced to: the values of BEP 48.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::announce::InfoHash;

/// A good answer to a scrape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ScrapeResponse {
    /// What the tracker knows of each torrent it named. A torrent that was asked for and isn't here is unknown
    /// to the tracker, which is something else than a swarm of nobody.
    pub files: BTreeMap<InfoHash, SwarmCounts>,
    /// Never scrape sooner than this (`flags`, `min_request_interval`), where the tracker said so.
    /// `AnnounceHandle::scrape` doesn't; a [`Channel`](crate::Channel) leaves it to its caller.
    pub min_request_interval: Option<Duration>,
}

/// How many take part in a swarm. Trackers leave out what they don't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub struct SwarmCounts {
    /// How many peers have the whole torrent.
    pub complete: Option<u64>,
    /// How many peers are still downloading.
    pub incomplete: Option<u64>,
    /// How many downloads were ever completed.
    pub downloaded: Option<u64>,
}
