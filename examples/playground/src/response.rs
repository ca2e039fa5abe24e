//! What the page gets: the trackers, and for each client its packets, lines and figures.

use serde_json::{Value, json};
use simulation::reach::{self, Carries, Packet, Tracker};
use simulation::script::{Answer, Connection};
use simulation::time::Millis;

use crate::clients::{self, Played, SHOWN};
use crate::request::{Explain, Request};
use crate::scenario::{self, Scenario};

/// Everything that happened.
pub(crate) fn played(request: &Request) -> Value {
    let world = scenario::world(request, SHOWN[0]);
    let trackers = world.trackers.iter().enumerate().map(|(number, tracker)| {
        let place = world.tiers.iter().position(|tier| tier.contains(&number));
        json!({
            "name": format!("{}://t{number}", tracker.scheme),
            "distance": tracker.distances[0],
            "place": place,
            "cluster": tracker.peer_set,
            "peers": world.residents[tracker.peer_set].seeds + world.residents[tracker.peer_set].leechers,
            "states": states(tracker, request.until),
        })
    });
    let clients = SHOWN.map(|kind| {
        let Played { packets, weight, lines, first_peers, heard } = clients::play(request, kind);
        json!({
            "name": if kind.is_ours() { "tracker-failover".to_owned() } else { kind.to_string() },
            "weight": weight,
            "firstPeers": first_peers.map(|at| at.saturating_sub(world.members[0].starts)),
            "heard": heard,
            "packets": packets.iter().map(packet).collect::<Vec<_>>(),
            "lines": lines.into_iter().map(|line| json!([line.at, line.text])).collect::<Vec<_>>(),
        })
    });
    json!({
        "starts": world.members[0].starts,
        "until": request.until,
        "torrents": if request.scenario == Scenario::Thousand { 1000 } else { 1 },
        "trackers": trackers.collect::<Vec<_>>(),
        "clients": clients,
    })
}

/// The reasons of this crate's engine at a moment.
pub(crate) fn explanation(request: &Request, explain: Explain) -> Value {
    let world = scenario::world(request, SHOWN[0]);
    match reach::explain(&world, 0, explain.tracker, explain.at) {
        Some((torrent, tracker)) => json!({ "torrent": torrent, "tracker": tracker }),
        None => json!({ "torrent": null, "tracker": null }),
    }
}

/// A packet as `[sent, arrives, tracker, kind, to the tracker?, vanishes?, peers named]`.
fn packet(packet: &Packet) -> Value {
    let (kind, named) = match packet.carries {
        Carries::Opening => ("opening", 0),
        Carries::Probe => ("probe", 0),
        Carries::Announce(named) => ("announce", named),
        Carries::Refusal => ("refusal", 0),
    };
    json!([packet.sent, packet.arrives, packet.tracker, kind, packet.is_outward, packet.vanishes, named])
}

/// The states of a tracker, each as `[from, state]`.
fn states(tracker: &Tracker, until: Millis) -> Vec<Value> {
    let state = |at: Millis| {
        let (state, answers) = (tracker.script.at(at), tracker.answers_at(at));
        match (state.connection, state.answer) {
            (Connection::Silent, _) => "silent",
            (Connection::Refused | Connection::BadCertificate, _) => "refused",
            (Connection::Accepted, Answer::Mute | Answer::Stalled) => "mute",
            (Connection::Accepted, _) if answers.are_empty => "empty",
            (Connection::Accepted, _) if answers.work > 0 => "slow",
            (Connection::Accepted, _) => "up",
        }
    };
    let changes = tracker.answers.iter().map(|(from, _)| *from);
    let moments = std::iter::once(0).chain(changes.filter(|from| *from > 0 && *from <= until));
    let mut states: Vec<(Millis, &str)> = moments.map(|at| (at, state(at))).collect();
    states.dedup_by_key(|(_, state)| *state);
    states.into_iter().map(|(at, state)| json!([at, state])).collect()
}
