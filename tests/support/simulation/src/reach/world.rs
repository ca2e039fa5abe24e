//! A world of trackers and the clients of one torrent among them.

use std::fmt;

use tracker_failover::{AnnounceTo, Scheme};

use crate::script::Script;
use crate::time::{MINUTE, Millis};

/// How many regions there are. Each has its own distance to each tracker.
pub const REGIONS: usize = 4;

/// How long a tracker lists a peer after its last announce: opentracker's 45 min.
pub(super) const LISTED: Millis = 45 * MINUTE;

/// Trackers, and the clients of one torrent.
#[derive(Debug, Clone)]
pub struct World {
    /// Decides what the world leaves open.
    pub seed: u64,
    /// The trackers, by their numbers.
    pub trackers: Vec<Tracker>,
    /// The list of trackers that all clients have, by numbers.
    pub tiers: Vec<Vec<usize>>,
    /// The peers without a client, by the number of their set.
    pub residents: Vec<Residents>,
    /// The clients, by their numbers.
    pub members: Vec<Member>,
    /// How long it is played.
    pub until: Millis,
    /// Whether our clients report their connections ([`Engine::set_peers`](tracker_failover::policy::Engine::set_peers)).
    pub reports_peers: bool,
    /// Whether trackers name the peer that asks, among others.
    pub names_asker: bool,
}

/// One tracker.
#[derive(Debug, Clone)]
pub struct Tracker {
    /// The scheme of its URL.
    pub scheme: Scheme,
    /// The mean round trip from each region, in milliseconds.
    pub distances: [f64; REGIONS],
    /// The interval it answers.
    pub interval: Millis,
    /// Its set of peers. Trackers with the same one are a cluster.
    pub peer_set: usize,
    /// What it does when.
    pub script: Script,
    /// What its answers are like, each from a moment on. Ordinary until the first one.
    pub answers: Vec<(Millis, Answers)>,
}

/// What the answers of a tracker are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// Whether they name no peers.
    pub are_empty: bool,
    /// How long the tracker works for each.
    pub work: Millis,
}

/// Peers that are always listed in a set, without a client behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Residents {
    /// With all of the torrent.
    pub seeds: u32,
    /// With a part of it.
    pub leechers: u32,
}

/// One client.
#[derive(Debug, Clone)]
pub struct Member {
    /// Which client it is.
    pub kind: Kind,
    /// Its region.
    pub region: usize,
    /// Whether it has all of the torrent.
    pub is_seed: bool,
    /// When it starts.
    pub starts: Millis,
    /// When it ends, and all trackers that list it are sent `stopped`.
    pub leaves: Option<Millis>,
    /// How often its user asks for more peers.
    pub wants_peers_every: Option<Millis>,
}

/// Which client plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// This crate's engine, registered at as many trackers.
    Ours(AnnounceTo),
    /// libtorrent as it is set up by default.
    Libtorrent,
    /// qBittorrent as it is set up by default.
    QBittorrent,
    /// BiglyBT with smart activation, its default.
    BiglyBt,
    /// rTorrent.
    Rtorrent,
    /// rqbit.
    Rqbit,
    /// Transmission.
    Transmission,
    /// aria2.
    Aria2,
}

impl World {
    /// Whether an announce to this tracker would be accepted.
    pub fn lives(&self, tracker: usize, at: Millis) -> bool {
        self.trackers[tracker].script.at(at).lives()
    }

    /// Whether there is a tracker that lives from one moment to another.
    pub fn has_life(&self, from: Millis, to: Millis) -> bool {
        let lives = |tracker| (from..to).step_by(1000).all(|at| self.lives(tracker, at));
        (0..self.trackers.len()).any(lives)
    }

    /// The moment at which the last client starts.
    pub fn last_start(&self) -> Millis {
        self.members.iter().map(|member| member.starts).max().unwrap_or(0)
    }
}

impl Tracker {
    /// What its answers are like at a moment.
    pub fn answers_at(&self, at: Millis) -> Answers {
        let last = self.answers.iter().rev().find(|(from, _)| *from <= at);
        last.map(|(_, answers)| *answers).unwrap_or_default()
    }
}

impl Member {
    /// A client that starts now and stays.
    pub fn new(kind: Kind, is_seed: bool, region: usize, starts: Millis) -> Self {
        Self { kind, region, is_seed, starts, leaves: None, wants_peers_every: None }
    }
}

impl Kind {
    /// This crate as it is set up by default.
    pub const OURS: Self = Self::Ours(AnnounceTo::AsNeeded);

    /// The other clients whose swarms are compared with ours. aria2 isn't among them: it looks for peers as libtorrent does.
    pub const OTHERS: [Self; 6] =
        [Self::Libtorrent, Self::QBittorrent, Self::BiglyBt, Self::Rtorrent, Self::Rqbit, Self::Transmission];

    /// Whether it is this crate.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Ours(_))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours(AnnounceTo::One) => "ours, one",
            Self::Ours(AnnounceTo::EachTier) => "ours, each tier",
            Self::Ours(AnnounceTo::All) => "ours, all",
            Self::Ours(_) => "ours, as needed",
            Self::Libtorrent => "libtorrent",
            Self::QBittorrent => "qBittorrent",
            Self::BiglyBt => "BiglyBT",
            Self::Rtorrent => "rTorrent",
            Self::Rqbit => "rqbit",
            Self::Transmission => "Transmission",
            Self::Aria2 => "aria2",
        })
    }
}
