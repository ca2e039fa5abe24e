//! What discovery has to say: peers, and lines for the user.

use std::net::SocketAddr;

use tracker_failover::TrackerUrl;

use crate::scrape::Swarm;

/// One piece of news.
#[derive(Debug)]
pub(crate) enum News {
    /// Peers, from wherever.
    Peers(Vec<SocketAddr>),
    /// A line for the user: a tag and a text.
    Line(&'static str, String),
    /// A line of the same kind that is of interest to those only who look for a fault.
    Detail(&'static str, String),
    /// The size of the swarm at the tracker in use, once at the start.
    Swarm(TrackerUrl, Swarm),
    /// The tracker in use has changed, and the torrent is private: all peers have to be dropped (BEP 27).
    Moved,
    /// Nothing that could name further peers is left in this session.
    NoneLeft,
}
