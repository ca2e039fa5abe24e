//! What reach costs trackers: announces of one client in an interval.

use super::Effort;
use super::reach::all_rules;
use crate::clients::Client;
use crate::metrics::{count, largest, mean, wait};
use crate::reach::{Draw, Log, Member, Residents, Starts, World, play};
use crate::script::{Script, State};
use crate::table::Row;
use crate::time::{DAY, HOUR, MINUTE, Millis};

const RATE: &str = "announces of a client in an interval";

/// 31: how often trackers hear a client.
pub(super) fn announces(effort: Effort) -> Vec<Row> {
    let mut rows = fed(effort);
    rows.extend(hungry(effort));
    rows.extend(clusters(effort));
    rows.push(alone());
    rows.extend(want_peers());
    rows.extend(empty_near());
    if effort.is_full() {
        rows.extend(rule_sets(effort));
    }
    rows
}

/// Trackers that each list a hundred peers.
const CROWDED: Residents = Residents { seeds: 30, leechers: 70 };

/// The first interval, before anything is announced to again.
const COLD: Millis = 20 * MINUTE;
const COLD_SHARE: f64 = 20.0 / 30.0;

/// The first answer names 50 peers with seeds.
fn fed(effort: Effort) -> Vec<Row> {
    let draw =
        Draw { residents: CROWDED, starts: Starts::Within(HOUR), then: 8 * HOUR, ..Draw::new((2, 1), 12) };
    let figures = rates(&draw, effort.0 / 40, &[(0, COLD), (HOUR, 8 * HOUR)]);
    vec![
        row("31 fed, leecher, cold", figures[0].leechers * COLD_SHARE).goal("G12", 1.3),
        row("31 fed, seed, cold", figures[0].seeds * COLD_SHARE).goal("G12", 2.1),
        row("31 fed, leecher", figures[1].leechers).goal("G12", 1.15),
        row("31 fed, seed", figures[1].seeds).goal("G12", 2.1),
    ]
}

/// Swarms in which peers are short.
fn hungry(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (peers, goal) in [((24, 6), 1.9), ((12, 3), 4.5)] {
        let draw = Draw { starts: Starts::Within(HOUR), then: 9 * HOUR, ..Draw::new(peers, 12) };
        let figures = rates(&draw, (effort.0 / 400).max(1), &[(2 * HOUR, 9 * HOUR)]);
        let id = format!("31 {} peers, 12 trackers", peers.0);
        rows.push(row(format!("{id}, leecher"), figures[0].leechers).goal("G12", goal));
        rows.push(row(format!("{id}, seed"), figures[0].seeds).goal("G12", 2.1));
        rows.push(early(format!("{id}, early"), figures[0].early));
    }
    rows
}

/// Three trackers with one set of peers.
fn clusters(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (peers, goal) in [((24, 6), 1.1), ((4, 1), 1.3)] {
        let draw =
            Draw { trackers: (3, 3), starts: Starts::Within(HOUR), then: 10 * HOUR, ..Draw::new(peers, 3) };
        let figures = rates(&draw, (effort.0 / 200).max(1), &[(3 * HOUR, 10 * HOUR)]);
        let id = format!("31 cluster of 3, {} peers", peers.0);
        rows.push(row(format!("{id}, leecher"), figures[0].leechers).goal("G12", goal));
        rows.push(row(format!("{id}, seed"), figures[0].seeds).goal("G12", 1.05));
    }
    rows
}

/// A leecher that is alone for ever, with 12 living trackers.
fn alone() -> Row {
    let draw = Draw { then: 2 * DAY, ..Draw::new((1, 0), 12) };
    let figures = rates(&draw, 4, &[(HOUR, 2 * DAY)]);
    row("31 alone for ever, leecher", figures[0].leechers).goal("G12", 3.0)
}

/// A user who asks for more peers once a minute: how often one tracker hears a client in the first hour.
fn want_peers() -> Vec<Row> {
    let rows = [("1 tracker", 1), ("12 trackers", 12)].map(|(name, trackers)| {
        let most = (0..4).map(|seed| {
            let mut world = Draw { then: HOUR, ..Draw::new((1, 0), trackers) }.world(seed);
            world.members[0].wants_peers_every = Some(MINUTE);
            let log = play(&world);
            let heard = |tracker| log.announces(0, 0, HOUR).filter(|heard| heard.tracker == tracker).count();
            count((0..trackers).map(heard).max().unwrap_or(0))
        });
        let what = "announces at one tracker in the first hour";
        let most = largest(&most.collect::<Vec<_>>());
        Row::new(format!("31 peers wanted each minute, {name}"), what, vec![(Client::Ours, most)])
            .goal("G12", 6.0)
    });
    rows.into()
}

/// A day with an empty tracker nearby, and the only seed at one far away, whose client wants peers once a minute.
fn empty_near() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, reports_peers) in [("", false), (", peers reported", true)] {
        let mut world = Draw { then: DAY, ..Draw::new((1, 0), 2) }.world(1);
        for (tracker, distance) in world.trackers.iter_mut().zip([5.0, 80.0]) {
            tracker.distances.fill(distance);
            tracker.script = Script::always(State::UP);
        }
        world.residents = vec![Residents::default(), Residents { seeds: 1, leechers: 0 }];
        world.members[0].wants_peers_every = Some(MINUTE);
        world.reports_peers = reports_peers;
        let log = play(&world);
        let first = log.heard.iter().find(|heard| heard.tracker == 1).map(|heard| heard.at);
        let near = log.heard.iter().filter(|heard| heard.tracker == 0).count();
        let what = "s until the far one is asked";
        let ours = |figure| vec![(Client::Ours, figure)];
        let id = format!("31 empty near, seed far{name}");
        rows.push(Row::new(format!("{id}, found"), what, ours(wait(first))).goal("target", 5.0));
        let what = "announces the near one hears, of those its interval asks for";
        rows.push(Row::new(format!("{id}, near"), what, ours(count(near) / 48.0)).goal("target", 1.2));
    }
    rows
}

/// What each set of rules costs.
fn rule_sets(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, peers, residents) in [
        ("fed", (2, 1), CROWDED),
        ("of 24", (24, 6), Residents::default()),
        ("of 2", (2, 1), Residents::default()),
    ] {
        let draw = Draw {
            residents,
            in_tiers: true,
            starts: Starts::Within(HOUR),
            then: 5 * HOUR,
            ..Draw::new(peers, 12)
        };
        let worlds = (effort.0 / if peers.0 > 2 { 1000 } else { 100 }).max(1);
        let of = |kind| rates(&Draw { kinds: (kind, kind), ..draw }, worlds, &[(2 * HOUR, 5 * HOUR)])[0];
        let figures: Vec<(Client, Rates)> = all_rules().map(|(client, kind)| (client, of(kind))).collect();
        let of =
            |figure: fn(&Rates) -> f64| figures.iter().map(|(client, of)| (*client, figure(of))).collect();
        rows.push(Row::new(format!("31 rules, {name}, leecher"), RATE, of(|rates| rates.leechers)));
        rows.push(Row::new(format!("31 rules, {name}, seed"), RATE, of(|rates| rates.seeds)));
    }
    rows
}

fn row(id: impl Into<String>, rate: f64) -> Row {
    Row::new(id, RATE, vec![(Client::Ours, rate)])
}

fn early(id: impl Into<String>, early: f64) -> Row {
    let what = "announces sooner than 0.9 of an interval after the one before, per client";
    Row::new(id, what, vec![(Client::Ours, early)]).goal("G12", 0.0)
}

/// How often clients announce in an interval.
#[derive(Debug, Clone, Copy)]
struct Rates {
    seeds: f64,
    leechers: f64,
    /// Announces sooner than the interval after the one before, per client.
    early: f64,
}

/// The rates of such worlds in each of these times, from the client's start on.
fn rates(draw: &Draw, worlds: u64, times: &[(Millis, Millis)]) -> Vec<Rates> {
    let played: Vec<(World, Log)> = (0..worlds.max(2))
        .map(|seed| {
            let world = draw.world(seed);
            let log = play(&world);
            (world, log)
        })
        .collect();
    let all = |of: &dyn Fn(&World, &Log, usize, &Member) -> Option<f64>| {
        let figures = played.iter().flat_map(|(world, log)| {
            world.members.iter().enumerate().filter_map(|(number, member)| of(world, log, number, member))
        });
        mean(&figures.collect::<Vec<_>>())
    };
    let rate = |is_seed: bool, from: Millis, to: Millis| {
        all(&|world, log, number, member| {
            let to = (member.starts + to).min(world.until);
            (member.is_seed == is_seed).then(|| log.rate(world, number, member.starts + from, to))
        })
    };
    let early = all(&|world, log, number, _| Some(count(log.early(world, number, 0.9))));
    let of = |(from, to): &(Millis, Millis)| Rates {
        seeds: rate(true, *from, *to),
        leechers: rate(false, *from, *to),
        early,
    };
    times.iter().map(of).collect()
}
