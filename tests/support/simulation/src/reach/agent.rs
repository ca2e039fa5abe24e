//! What a client is to the world around it: news go in, actions come out.

use tracker_failover::{Event, PeerCounts};

use crate::time::Millis;

/// The number of a peer: of a member of the world, or of a resident.
pub(super) type PeerNumber = u32;

/// The number of an attempt of one client.
pub(super) type Attempt = u64;

/// A client of one torrent.
pub(super) trait Agent {
    /// Takes in what has happened.
    fn take(&mut self, news: News, now: Millis);

    /// What it does next, at this moment. Asked until there is nothing left.
    fn act(&mut self, now: Millis) -> Option<Action>;

    /// When it wants to be woken, as of the last [`act`](Self::act) that gave nothing.
    fn wake(&self) -> Option<Millis>;

    /// The lines that it has printed since it was asked last. None, unless it is one of ours.
    fn take_lines(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Why it does what it does, in a line for its torrent and one for this tracker. `None`, unless it is one of ours.
    fn explain(&self, tracker: usize, now: Millis) -> Option<(String, String)> {
        let _ = (tracker, now);
        None
    }
}

/// What happens to a client.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// It is started.
    Started,
    /// The time it wanted to be woken at has come.
    Woken,
    /// A probe was answered: after this time for the connection, and this one for the first byte.
    Probed(Attempt, Millis, Millis),
    /// A channel is open.
    Opened(Attempt),
    /// A probe, an opening or an announce failed.
    Failed(Attempt, Failing),
    /// An announce was answered.
    Answered(Attempt, Answer),
    /// Its connections have changed.
    Peers(PeerCounts),
    /// Its user would like more peers.
    WantsPeers,
}

/// Why something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    /// No process listens.
    Refused,
    /// The tracker has no name any more.
    Nameless,
    /// Something in front of the tracker answers with an error.
    Broken,
    /// The transport's own limit.
    TimedOut,
}

/// What a tracker answers.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) interval: Millis,
    pub(super) complete: u64,
    pub(super) incomplete: u64,
    pub(super) peers: Vec<PeerNumber>,
    /// Whether the answer carries the client's own address (BEP 24).
    pub(super) names_address: bool,
}

/// What a client does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// Measures a tracker.
    Probe(Attempt, usize),
    /// Opens a channel to a tracker.
    Open(Attempt, usize),
    /// Announces on an open channel to this tracker.
    Announce(Attempt, usize, Option<Event>),
}
