//! The only place that talks to the library's announcer.

use std::net::SocketAddr;

use tracker_failover::Transfer;

/// The torrent's trackers.
#[derive(Debug)]
pub(crate) struct Trackers {}

/// What the trackers bring.
#[derive(Debug)]
pub(crate) enum News {
    /// Peers, from any tracker.
    Peers(Vec<SocketAddr>),
    /// Something the user hears.
    Line(String),
}

impl Trackers {
    /// Tells how things stand, and hears in a few words which tracker is in use.
    pub(crate) fn update(&mut self, _transfer: Transfer) -> String {
        String::new()
    }

    /// The last piece is here.
    pub(crate) fn complete(&mut self, _transfer: Transfer) {}

    /// Waits for what the trackers bring.
    pub(crate) async fn next(&mut self) -> News {
        std::future::pending().await
    }
}
