//! The worlds that a visitor can pick.

use serde::Deserialize;
use simulation::reach::{Kind, Member, Residents, Tracker, World};
use simulation::script::{Script, State};
use simulation::time::{MINUTE, Millis, SECOND};

use crate::request::{Change, Request};

/// How often trackers want an announce. Shorter than in the wild, so that a visitor sees more than one.
const INTERVAL: Millis = 2 * MINUTE;

/// How far away the nearest tracker is, in milliseconds.
const NEAR: f64 = 15.0;

/// A world of trackers to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Eight trackers, every second one silent from the start.
    Cold,
    /// Eight trackers. The one that heads the list and is the nearest dies after a minute.
    Dies,
    /// All trackers die after a minute, and one comes back four minutes later.
    Down,
    /// The nearest tracker works and knows no peers; those who know the swarm are further away.
    Empty,
    /// Three trackers that share their peers, and five that don't. The nearest of the three dies after a minute.
    Cluster,
    /// A thousand torrents that start at once, with two of eight trackers silent.
    Thousand,
}

impl Scenario {
    /// How many trackers there are.
    pub fn trackers(self) -> usize {
        8
    }
}

/// The world of a request, with one client that begins at once.
pub(crate) fn world(request: &Request, kind: Kind) -> World {
    let seed = u64::from(request.seed);
    let drawn = simulation::world::World::drawn(seed, request.scenario.trackers(), 0.0);
    let mut trackers: Vec<Tracker> = drawn
        .trackers
        .iter()
        .enumerate()
        .map(|(number, drawn)| Tracker {
            scheme: drawn.scheme,
            distances: [drawn.rtt; 4],
            interval: INTERVAL,
            peer_set: number,
            script: Script::always(State::UP),
            answers: Vec::new(),
        })
        .collect();
    let mut residents = vec![Residents { seeds: 3, leechers: 8 }; trackers.len()];
    let mut by_distance: Vec<usize> = (0..trackers.len()).collect();
    by_distance.sort_by(|a, b| drawn.trackers[*a].rtt.total_cmp(&drawn.trackers[*b].rtt));
    let (nearest, second) = (by_distance[0], by_distance[1]);
    // By far, so that a client that looks for a near one ends there.
    trackers[nearest].distances = [NEAR; 4];
    let mut tiers: Vec<usize> = (0..trackers.len()).collect();
    let mut change = |tracker: usize, at: Millis, change: Change| change.apply(&mut trackers[tracker], at);
    match request.scenario {
        Scenario::Cold => by_distance.iter().step_by(2).for_each(|tracker| change(*tracker, 0, Change::Kill)),
        Scenario::Dies => {
            tiers.retain(|tracker| *tracker != nearest);
            tiers.insert(0, nearest);
            change(nearest, MINUTE, Change::Kill);
        }
        Scenario::Down => {
            (0..8).for_each(|tracker| change(tracker, MINUTE, Change::Kill));
            change(by_distance[3], 5 * MINUTE, Change::Revive);
        }
        Scenario::Empty => {
            for tracker in [nearest, second] {
                residents[tracker] = Residents::default();
            }
            tiers.retain(|tracker| *tracker != nearest);
            tiers.insert(0, nearest);
        }
        Scenario::Cluster => {
            change(nearest, MINUTE, Change::Kill);
            for tracker in [second, by_distance[2]] {
                trackers[tracker].peer_set = nearest;
            }
        }
        Scenario::Thousand => {
            for dead in [nearest, by_distance[4]] {
                change(dead, 0, Change::Kill);
            }
        }
    }
    for edit in &request.edits {
        edit.change.apply(&mut trackers[edit.tracker], edit.at);
    }
    World {
        seed,
        trackers,
        tiers: tiers.into_iter().map(|tracker| vec![tracker]).collect(),
        residents,
        members: vec![Member::new(kind, false, 0, SECOND)],
        until: request.until,
        reports_peers: true,
        names_asker: true,
    }
}
