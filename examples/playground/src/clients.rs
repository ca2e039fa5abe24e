//! The clients that are shown side by side, and what each of them does in a world.

use std::sync::Arc;

use simulation::clients::{Client, Model};
use simulation::life::{Deed, Plan, What};
use simulation::network::Contact;
use simulation::reach::{self, Carries, Kind, Line, Packet};
use simulation::time::Millis;
use simulation::world;

use crate::request::Request;
use crate::scenario::{self, Scenario};

/// Those that are shown, ours first.
pub(crate) const SHOWN: [Kind; 6] =
    [Kind::OURS, Kind::Libtorrent, Kind::Transmission, Kind::Aria2, Kind::Rqbit, Kind::BiglyBt];

/// How many torrents start at once in [`Scenario::Thousand`].
const TORRENTS: usize = 1000;

/// What a client did.
pub(crate) struct Played {
    /// In the order in which they were sent.
    pub(crate) packets: Vec<Packet>,
    /// How many torrents each packet stands for.
    pub(crate) weight: usize,
    pub(crate) lines: Vec<Line>,
    /// When its first answer with peers came.
    pub(crate) first_peers: Option<Millis>,
    /// When trackers heard announces.
    pub(crate) heard: Vec<Millis>,
}

/// Plays a client.
pub(crate) fn play(request: &Request, kind: Kind) -> Played {
    let world = scenario::world(request, kind);
    if request.scenario == Scenario::Thousand {
        return play_thousand(&world, kind);
    }
    let watched = reach::watch(&world);
    let is_peers = |packet: &&Packet| {
        !packet.is_outward && matches!(packet.carries, Carries::Announce(named) if named > 0)
    };
    let first_peers = watched.packets.iter().filter(is_peers).map(|packet| packet.arrives).min();
    Played {
        first_peers,
        heard: watched.log.heard.iter().map(|heard| heard.at).collect(),
        packets: watched.packets,
        weight: 1,
        lines: watched.lines,
    }
}

/// A thousand torrents at once: ours are looked after by one engine, which spaces them out. No other client does, so each of
/// its torrents does what one does alone.
fn play_thousand(world: &reach::World, kind: Kind) -> Played {
    let client = match kind {
        Kind::Transmission => Client::Model(Model::Transmission),
        Kind::Aria2 => Client::Model(Model::Aria2),
        Kind::Rqbit => Client::Model(Model::Rqbit),
        // BiglyBT's rule is about swarms. At the start it announces to the first tier, as libtorrent does.
        Kind::Libtorrent | Kind::BiglyBt => Client::Model(Model::Libtorrent),
        _ => Client::AsNeeded,
    };
    let trackers = world.trackers.iter().map(|tracker| world::Tracker {
        scheme: tracker.scheme,
        interval: tracker.interval,
        script: tracker.script.clone(),
        ..world::Tracker::new(tracker.distances[0])
    });
    let plan = Plan::one_torrent(world::World::new(world.seed, trackers.collect()), world.until).in_tiers();
    let torrents = if client.is_ours() { TORRENTS } else { 1 };
    let deeds = (0..torrents).map(|torrent| Deed { at: world.members[0].starts, torrent, what: What::Add });
    let plan =
        Plan { deeds: deeds.collect(), tiers: world.tiers.clone(), world: Arc::clone(&plan.world), ..plan };
    let history = client.play(&plan);
    let weight = TORRENTS / torrents;
    let heard = history.announces(0, Millis::MAX).map(|heard| heard.at);
    let heard = heard.flat_map(|at| std::iter::repeat_n(at, weight)).collect();
    let packets = history.heard.iter().flat_map(|heard| {
        let half = half_way(world, heard.tracker);
        let carries = match heard.what {
            Contact::Connection => Carries::Opening,
            Contact::Probe => Carries::Probe,
            Contact::Announce(_) => Carries::Announce(0),
        };
        let there = Packet {
            sent: heard.at.saturating_sub(half),
            arrives: heard.at,
            member: 0,
            tracker: heard.tracker,
            carries,
            is_outward: true,
            vanishes: false,
        };
        let named =
            if heard.lives && carries == Carries::Announce(0) { Carries::Announce(11) } else { carries };
        [
            there,
            Packet { sent: heard.at, arrives: heard.at + half, carries: named, is_outward: false, ..there },
        ]
    });
    let first = history.torrents.iter().map(|life| life.answers.first().map(|answer| answer.at));
    // When the last of them has peers.
    let last = first.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    let mut packets: Vec<Packet> = packets.collect();
    packets.sort_by_key(|packet| packet.sent);
    Played { packets, weight, lines: Vec::new(), first_peers: last, heard }
}

fn half_way(world: &reach::World, tracker: usize) -> Millis {
    simulation::time::rounded_half(world.trackers[tracker].distances[0])
}
