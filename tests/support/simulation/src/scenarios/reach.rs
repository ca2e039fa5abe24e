//! Whether clients of one torrent meet: a seed and a leecher whose lists share a living tracker.

use std::collections::{BTreeMap, BTreeSet};

use tracker_failover::AnnounceTo;

use super::Effort;
use crate::clients::Client;
use crate::metrics::mean;
use crate::reach::{Draw, Kind, Log, Starts, World, play};
use crate::table::Row;
use crate::time::{HOUR, MINUTE, Millis, SECOND};

const MISSED: &str = "pairs that don't meet in time, %";

/// In which time the one is named to the other, from the later one's start.
const IN_TIME: Millis = 15 * SECOND;

/// The same for a large swarm, where a connection through others counts as well.
const IN_TIME_LARGE: Millis = MINUTE;

/// 30: which clients learn of each other.
pub(super) fn meetings(effort: Effort) -> Vec<Row> {
    let mut rows = ours_with_ours(effort);
    rows.extend(large_swarms(effort));
    rows.extend(ours_with_others(effort));
    if effort.is_full() {
        rows.extend(rule_sets(effort));
    }
    rows
}

/// How the trackers are listed.
const LISTS: [(&str, bool); 2] = [("tiers", true), ("one tier", false)];

fn ours_with_ours(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (trackers, sick, goal) in
        [(1, (0, 0), 1.0), (3, (1, 0), 1.0), (8, (4, 0), 1.0), (20, (8, 0), 1.0), (20, (8, 6), 5.0)]
    {
        for peers in [(2, 1), (10, 3)] {
            // Our order is that of latency, whatever the tiers: one kind of list is enough.
            let draw = Draw { sick, in_tiers: true, ..Draw::new(peers, trackers) };
            // How far trackers that come and go part a swarm differs more from world to world.
            let worlds = worlds(effort, peers.0) * if sick.1 > 0 { 4 } else { 1 };
            let played = played((0..worlds).map(|seed| draw.world(seed)));
            let id = format!("30 {} peers, {trackers} trackers, {}", peers.0, sickness(sick));
            let ours = missed_of(&played, |_, _| true);
            rows.push(Row::new(id.clone(), MISSED, vec![(Client::Ours, ours)]).goal("G11", goal));
            if peers.0 > 2 {
                let lonely = lonely(&played);
                let what = "clients that meet no seed or leecher in time, %";
                let row = Row::new(format!("{id}, lonely"), what, vec![(Client::Ours, lonely)]);
                rows.push(row.goal("G11", goal));
            }
        }
    }
    rows
}

/// Of 50 peers a pair is content with a connection through others.
fn large_swarms(effort: Effort) -> Vec<Row> {
    let rows = [(8, 0), (8, 6)].map(|sick| {
        let draw = Draw { sick, in_tiers: true, starts: Starts::Within(HOUR), ..Draw::new((50, 10), 20) };
        let samples = (0..worlds(effort, 50)).flat_map(|seed| {
            let world = draw.world(seed);
            let log = play(&world);
            let starts: BTreeSet<Millis> = world.members.iter().map(|member| member.starts).collect();
            let swarms: BTreeMap<Millis, Vec<usize>> =
                starts.into_iter().map(|start| (start, log.swarms(start + IN_TIME_LARGE))).collect();
            pairs(&world)
                .filter(|(seed, leecher)| later_start(&world, *seed, *leecher) + IN_TIME_LARGE <= world.until)
                .map(|(seed, leecher)| {
                    let start = later_start(&world, seed, leecher);
                    let at = start + IN_TIME_LARGE;
                    let swarms = &swarms[&start];
                    let named = log.meeting(seed, leecher).is_some_and(|named| named <= at);
                    if named || swarms[seed] == swarms[leecher] { 0.0 } else { 100.0 }
                })
                .collect::<Vec<_>>()
        });
        let ours = mean(&samples.collect::<Vec<_>>());
        let id = format!("30 50 peers, 20 trackers, {}", sickness(sick));
        Row::new(id, MISSED, vec![(Client::Ours, ours)]).goal("G11", 1.0)
    });
    rows.into()
}

/// Ours seeds and another client downloads, and the other way round; beside it the other with its like.
fn ours_with_others(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (list, in_tiers) in LISTS {
        for other in Kind::OTHERS {
            for (name, kinds) in [("their leecher", (Kind::OURS, other)), ("their seed", (other, Kind::OURS))]
            {
                let draw = Draw { sick: (8, 0), in_tiers, then: 10 * MINUTE, ..Draw::new((2, 1), 20) };
                let of = |kinds| missed(&Draw { kinds, ..draw }, worlds(effort, 2) / 2, |_, _| true);
                let mut figures = vec![(Client::Ours, of(kinds))];
                if effort.is_full() {
                    figures.push((Client::InSwarm(other), of((other, other))));
                }
                let row = Row::new(format!("30 {other}, {name}, {list}"), MISSED, figures);
                // In one tier they announce to one at random, and don't even meet each other.
                let shuffles = matches!(other, Kind::QBittorrent | Kind::BiglyBt | Kind::Rtorrent);
                rows.push(if shuffles && !in_tiers { row } else { row.goal("G11", 1.0) });
            }
        }
    }
    for other in Kind::OTHERS {
        let draw = Draw {
            sick: (8, 0),
            in_tiers: true,
            mixed: true,
            kinds: (other, other),
            then: 10 * MINUTE,
            ..Draw::new((10, 4), 20)
        };
        let is_mixed = |a: Kind, b: Kind| a.is_ours() != b.is_ours();
        let ours = missed(&draw, worlds(effort, 10), is_mixed);
        let row = Row::new(format!("30 {other}, 10 mixed peers"), MISSED, vec![(Client::Ours, ours)]);
        rows.push(row.goal("G11", 1.0));
    }
    rows
}

/// Each set of rules among its like.
fn rule_sets(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for sick in [(8, 0), (8, 6)] {
        for (list, in_tiers) in LISTS {
            for peers in [(2, 1), (10, 3)] {
                let draw = Draw { sick, in_tiers, ..Draw::new(peers, 20) };
                let of = |kind| {
                    missed(&Draw { kinds: (kind, kind), ..draw }, worlds(effort, peers.0), |_, _| true)
                };
                let figures = all_rules().map(|(client, kind)| (client, of(kind))).collect();
                let id = format!("30 rules, {} peers, {}, {list}", peers.0, sickness(sick));
                rows.push(Row::new(id, MISSED, figures));
            }
        }
    }
    rows
}

/// How many worlds of so many peers are played. A larger one has more pairs, and takes longer.
fn worlds(effort: Effort, peers: usize) -> u64 {
    let share = match peers {
        ..=2 => 10,
        3..=10 => 40,
        _ => 200,
    };
    (effort.0 / share).max(2)
}

fn sickness((dead, flapping): (usize, usize)) -> String {
    format!("{dead} dead, {flapping} flapping")
}

/// Every set of rules, the default of ours first.
pub(super) fn all_rules() -> impl Iterator<Item = (Client, Kind)> {
    let ours = [AnnounceTo::One, AnnounceTo::EachTier, AnnounceTo::All].map(Kind::Ours);
    let others = ours.into_iter().chain(Kind::OTHERS).map(|kind| (Client::InSwarm(kind), kind));
    std::iter::once((Client::Ours, Kind::OURS)).chain(others)
}

/// The share of pairs of a seed and a leecher of such kinds that don't meet in time, in percent.
fn missed(draw: &Draw, worlds: u64, counts: impl Fn(Kind, Kind) -> bool) -> f64 {
    missed_pairs((0..worlds.max(2)).map(|seed| draw.world(seed)), counts)
}

/// The same of these worlds.
pub(super) fn missed_pairs(worlds: impl Iterator<Item = World>, counts: impl Fn(Kind, Kind) -> bool) -> f64 {
    missed_of(&played(worlds), counts)
}

fn played(worlds: impl Iterator<Item = World>) -> Vec<(World, Log)> {
    worlds
        .map(|world| {
            let log = play(&world);
            (world, log)
        })
        .collect()
}

fn missed_of(played: &[(World, Log)], counts: impl Fn(Kind, Kind) -> bool) -> f64 {
    let samples = played.iter().flat_map(|(world, log)| {
        pairs(world)
            .filter(|(a, b)| counts(world.members[*a].kind, world.members[*b].kind))
            .filter_map(|(a, b)| meets(world, log, a, b))
            .map(|meets| if meets { 0.0 } else { 100.0 })
            .collect::<Vec<_>>()
    });
    mean(&samples.collect::<Vec<_>>())
}

/// The share of clients that start when one of the other kind is there, and aren't named to any of them in time or any
/// of them to it, in percent.
fn lonely(played: &[(World, Log)]) -> f64 {
    let samples = played.iter().flat_map(|(world, log)| {
        let of = |number: usize| {
            let member = &world.members[number];
            let is_other = |other: &usize| {
                let other = &world.members[*other];
                other.is_seed != member.is_seed && other.starts < member.starts
            };
            let mut others = (0..world.members.len()).filter(is_other).peekable();
            others.peek()?;
            let meets = others.any(|other| meets(world, log, number, other) == Some(true));
            Some(if meets { 0.0 } else { 100.0 })
        };
        (0..world.members.len()).filter_map(of).collect::<Vec<_>>()
    });
    mean(&samples.collect::<Vec<_>>())
}

/// The pairs of a seed and a leecher.
fn pairs(world: &World) -> impl Iterator<Item = (usize, usize)> {
    let of = move |is_seed| {
        (0..world.members.len()).filter(move |number| world.members[*number].is_seed == is_seed)
    };
    of(true).flat_map(move |seed| of(false).map(move |leecher| (seed, leecher)))
}

fn later_start(world: &World, a: usize, b: usize) -> Millis {
    world.members[a].starts.max(world.members[b].starts)
}

/// Whether a pair meets in time. `None` where no tracker lives meanwhile, or another client has had no answer yet: its
/// patience with dead trackers is its own, and its time begins with the first answer.
pub(super) fn meets(world: &World, log: &Log, a: usize, b: usize) -> Option<bool> {
    let ready = |member: usize| {
        let of = &world.members[member];
        if of.kind.is_ours() { Some(of.starts) } else { log.first_answer[member] }
    };
    let from = ready(a)?.max(ready(b)?);
    let possible = world.has_life(from, from + IN_TIME) && from + IN_TIME <= world.until;
    possible.then(|| log.meeting(a, b).is_some_and(|named| named <= from + IN_TIME))
}
