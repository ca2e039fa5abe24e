//! Who lives in a world: our engine, an oracle, and other clients reduced to their rules of time.

mod group;
mod models;
mod oracle;
pub mod ours;
pub(crate) mod values;

use std::fmt;

use crate::life::{History, Plan};
use crate::network::Network;
use crate::reach::Kind;

pub use models::Model;
pub(crate) use models::transmission_back_off;

/// A client that can be played in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// This crate's engine, registered at one tracker at a time.
    Ours,
    /// The same, registered at further trackers as needed, in the plan's world but with answers that name 50 peers:
    /// further trackers aren't needed there, and all goals hold.
    AsNeeded,
    /// Knows which trackers live and how near they are, and asks the best one, once.
    Oracle,
    /// Another client's rules.
    Model(Model),
    /// A client of swarms, which plays there only ([`reach`](crate::reach)).
    InSwarm(Kind),
}

impl Client {
    /// Everybody who plays alone, ours first.
    pub const ALL: [Self; 8] = [
        Self::Ours,
        Self::AsNeeded,
        Self::Oracle,
        Self::Model(Model::Libtorrent),
        Self::Model(Model::Transmission),
        Self::Model(Model::Aria2),
        Self::Model(Model::Rqbit),
        Self::Model(Model::Original),
    ];

    /// Those who use one tracker at a time, whatever the tiers.
    pub const ONE_AT_A_TIME: [Self; 6] = [
        Self::Ours,
        Self::AsNeeded,
        Self::Oracle,
        Self::Model(Model::Libtorrent),
        Self::Model(Model::Aria2),
        Self::Model(Model::Original),
    ];

    /// This crate in both ways.
    pub const OURS: [Self; 2] = [Self::Ours, Self::AsNeeded];

    /// Whether it is this crate.
    pub fn is_ours(self) -> bool {
        Self::OURS.contains(&self)
    }

    /// Plays a plan. Only ours plays more than the first torrent.
    ///
    /// # Panics
    /// With a client of swarms.
    pub fn play(self, plan: &Plan) -> History {
        let mut network = Network::new(plan.world.clone());
        let life = match self {
            Self::Ours => return ours::play(plan, plan.world.seed).0,
            Self::AsNeeded => return ours::play(&plan.clone().as_needed(), plan.world.seed).0,
            Self::Oracle => oracle::play(plan, &mut network),
            Self::Model(model) => model.play(plan, &mut network),
            Self::InSwarm(kind) => panic!("{kind} plays in swarms only"),
        };
        network.heard.sort_by_key(|heard| heard.at);
        let Network { heard, impolite, wasted, .. } = network;
        History { heard, torrents: vec![life], impolite, longest_attempt: 0, wasted }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::AsNeeded => "ours, as needed",
            Self::Oracle => "oracle",
            Self::Model(model) => model.name(),
            Self::InSwarm(kind) => return kind.fmt(f),
        })
    }
}
