//! No torrent starves: what must happen for one does happen, whatever becomes of others.

use std::time::Duration;

use simulation::crowd::world::{Condition, Script, World};
use simulation::crowd::{Life, Listing, Newcomer};
use tracker_failover::policy::Timestamp;
use tracker_failover::{Config, Probing};
use tracker_failover::{Retry, Scheme};

use super::world::one_at_a_time;

const HOUR: u64 = 3600;

/// The ways in which a host can be dead for all torrents.
const WAYS: [(&str, Scheme, Condition); 13] = [
    ("no such name", Scheme::Http, Condition::Unresolved),
    ("refused", Scheme::Http, Condition::Refused),
    ("silent", Scheme::Http, Condition::Silent),
    ("silent over UDP", Scheme::Udp, Condition::Silent),
    ("bad certificate", Scheme::Https, Condition::BadCertificate),
    ("mute", Scheme::Http, Condition::Mute),
    ("mute over UDP", Scheme::Udp, Condition::Mute),
    ("page", Scheme::Http, Condition::Page),
    ("status 500", Scheme::Http, Condition::Status(500, Retry::Unsaid)),
    ("status 404", Scheme::Https, Condition::Status(404, Retry::Unsaid)),
    ("hang-up", Scheme::Https, Condition::HangsUp),
    ("failure reason", Scheme::Http, Condition::Rejects(Retry::Unsaid)),
    ("failure reason over UDP", Scheme::Udp, Condition::Rejects(Retry::Unsaid)),
];

/// So many of them give no sign of life.
const LIFELESS: usize = 5;

/// The ways in which a host that is well can fail one torrent.
const WAYS_OF_ONE: [(&str, Scheme, Condition); 7] = [
    ("page", Scheme::Http, Condition::Page),
    ("status 500", Scheme::Http, Condition::Status(500, Retry::Unsaid)),
    ("status 403", Scheme::Http, Condition::Status(403, Retry::Unsaid)),
    ("hang-up", Scheme::Http, Condition::HangsUp),
    ("mute", Scheme::Http, Condition::Mute),
    ("mute over UDP", Scheme::Udp, Condition::Mute),
    ("failure reason", Scheme::Http, Condition::Rejects(Retry::Unsaid)),
];

/// How many others there are, and whether the healthy one was there before them.
const COUNTS: [(usize, bool); 8] =
    [(0, true), (1, true), (1, false), (3, true), (3, false), (5, true), (5, false), (50, false)];

fn at(secs: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(secs))
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A torrent with these trackers, each in its own tier.
fn of(trackers: &[usize]) -> Newcomer {
    let tier = |tracker: &usize| vec![Listing { tracker: *tracker, own: None }];
    Newcomer { tiers: trackers.iter().map(tier).collect(), ..Newcomer::default() }
}

/// A torrent with one tracker, which is like this towards it.
fn towards(tracker: usize, condition: Condition) -> Newcomer {
    let own = Some(Script::always(condition));
    Newcomer { tiers: vec![vec![Listing { tracker, own }]], ..Newcomer::default() }
}

/// A life in which a test has its own expectation.
fn life(world: World) -> Life {
    let mut life = Life::new(world, one_at_a_time(), 7);
    life.tolerate_starvation();
    life
}

fn well(world: &mut World) -> usize {
    let host = world.near(Scheme::Http, Script::well());
    world.tracker(host, Script::well())
}

fn sick(world: &mut World, scheme: Scheme, script: Script) -> usize {
    let host = world.near(scheme, script);
    world.tracker(host, Script::well())
}

/// When a torrent was answered from this moment on for the first time, in milliseconds after it.
fn lag(life: &Life, torrent: usize, since: Timestamp) -> Option<u128> {
    let first = life.answers(torrent).iter().find(|(at, _)| *at >= since);
    first.map(|(at, _)| at.since(since).as_millis())
}

/// Adds the healthy torrent before or after all others, gives it twelve hours, and counts its answers.
fn answers_in_twelve_hours(mut life: Life, healthy: usize, others: Vec<Newcomer>, first: bool) -> usize {
    let healthy = of(&[healthy]);
    let mut number = 0;
    if first {
        number = life.add(healthy.clone());
    }
    for other in others {
        life.add(other);
        let soon = life.now() + Duration::from_millis(100);
        life.run_until(soon);
    }
    if !first {
        number = life.add(healthy);
    }
    let until = life.now() + secs(12 * HOUR);
    life.run_until(until);
    life.answers(number).len()
}

/// In which combinations a healthy torrent hasn't 25 or 26 answers in twelve hours beside others that are dead in these
/// ways.
fn starved_beside(ways: &[(&str, Scheme, Condition)]) -> Vec<String> {
    let mut starved = Vec::new();
    for (way, scheme, condition) in ways {
        for (count, first) in COUNTS {
            let mut world = World::default();
            let healthy = well(&mut world);
            let others: Vec<Newcomer> =
                (0..count).map(|_| of(&[sick(&mut world, *scheme, Script::always(*condition))])).collect();
            let answers = answers_in_twelve_hours(life(world), healthy, others, first);
            if !(25..=26).contains(&answers) {
                starved.push(format!("{count} others, {way}, healthy first: {first}: {answers} announces"));
            }
        }
    }
    starved
}

/// R80, and the brothers of it that the register doesn't name: whatever becomes of other torrents on hosts of their
/// own, one whose tracker is well announces every half hour.
#[test]
fn trackers_without_a_sign_of_life_put_no_other_torrent_off() {
    let starved = starved_beside(&WAYS[..LIFELESS]);
    assert!(starved.is_empty(), "of 25 or 26 in twelve hours:\n{}", starved.join("\n"));
}

/// The same beside trackers that open, and fail then.
#[test]
fn trackers_that_answer_badly_put_no_other_torrent_off() {
    let starved = starved_beside(&WAYS[LIFELESS..]);
    assert!(starved.is_empty(), "of 25 or 26 in twelve hours:\n{}", starved.join("\n"));
}

/// R80 while the others come and go: all of the ways in one process, one after the other and all at once.
#[test]
fn dead_trackers_that_flap_put_no_other_torrent_off() {
    let mut starved = Vec::new();
    for count in [1, 3, 5, 50] {
        for period in [20, 300, 4000] {
            let mut world = World::default();
            let healthy = well(&mut world);
            let others: Vec<Newcomer> = (0..count)
                .map(|number| {
                    let mut script = Script::well();
                    for phase in 0..12 * HOUR / period {
                        let condition = WAYS[(number + usize::try_from(phase).unwrap_or(0)) % WAYS.len()].2;
                        let condition = if phase % 2 == 0 { condition } else { Condition::Well };
                        script = script.then(at(1 + phase * period), condition);
                    }
                    of(&[sick(&mut world, Scheme::Https, script)])
                })
                .collect();
            let answers = answers_in_twelve_hours(life(world), healthy, others, false);
            if !(25..=26).contains(&answers) {
                starved.push(format!("{count} others, every {period} s: {answers} announces"));
            }
        }
    }
    assert!(starved.is_empty(), "of 25 or 26 in twelve hours:\n{}", starved.join("\n"));
}

/// R80: three hosts of one torrent don't resolve, answer with a page, or are silent.
#[test]
fn three_dead_hosts_of_one_torrent_silence_no_other() {
    let mut starved = Vec::new();
    for condition in [Condition::Unresolved, Condition::Page, Condition::Silent] {
        for first in [true, false] {
            let mut world = World::default();
            let healthy = well(&mut world);
            let dead: Vec<usize> =
                (0..3).map(|_| sick(&mut world, Scheme::Http, Script::always(condition))).collect();
            let answers = answers_in_twelve_hours(life(world), healthy, vec![of(&dead)], first);
            if !(25..=26).contains(&answers) {
                starved.push(format!("{condition:?}, healthy first: {first}: {answers} announces"));
            }
        }
    }
    assert!(starved.is_empty(), "of 25 or 26 in twelve hours:\n{}", starved.join("\n"));
}

/// R80: a hundred torrents with five living trackers each, beside one with three dead ones.
#[test]
fn a_hundred_torrents_with_living_trackers_outlive_three_dead_ones() {
    let mut world = World::default();
    let living: Vec<usize> = (0..5).map(|_| well(&mut world)).collect();
    let dead: Vec<usize> =
        (0..3).map(|_| sick(&mut world, Scheme::Http, Script::always(Condition::Unresolved))).collect();
    let mut life = life(world);
    life.add(of(&dead));
    life.run_until(at(60));
    let torrents: Vec<usize> = (0..100).map(|_| life.add(of(&living))).collect();
    life.run_until(at(60 + 6 * HOUR));
    let answers: usize = torrents.iter().map(|torrent| life.answers(*torrent).len()).sum();
    assert!(answers >= 1200, "{answers} of 1,200 announces in six hours");
}

/// R81: a host fails some torrents and serves all others. Those that it serves announce every half hour.
#[test]
fn torrents_that_a_host_does_not_serve_silence_none_that_it_serves() {
    let mut starved = Vec::new();
    for (way, scheme, condition) in WAYS_OF_ONE {
        for (count, first) in COUNTS {
            let mut world = World::default();
            let healthy = sick(&mut world, scheme, Script::well());
            let others = (0..count).map(|_| towards(healthy, condition)).collect();
            let answers = answers_in_twelve_hours(life(world), healthy, others, first);
            if !(25..=26).contains(&answers) {
                starved.push(format!("{count} others, {way}, healthy first: {first}: {answers} announces"));
            }
        }
    }
    assert!(starved.is_empty(), "of 25 or 26 in twelve hours:\n{}", starved.join("\n"));
}

/// R81 as it was seen: one bad torrent with the lowest id, ten good ones on that host, a day.
#[test]
fn one_bad_torrent_costs_ten_good_ones_no_announce() {
    let mut starved = Vec::new();
    for (way, scheme, condition) in WAYS_OF_ONE {
        let mut world = World::default();
        let tracker = sick(&mut world, scheme, Script::well());
        let mut life = life(world);
        life.add(towards(tracker, condition));
        life.run_until(at(10));
        let good: Vec<usize> = (0..10).map(|_| life.add(of(&[tracker]))).collect();
        life.run_until(at(24 * HOUR));
        let fewest = good.iter().map(|torrent| life.answers(*torrent).len()).min();
        if fewest < Some(48) {
            starved.push(format!("{way}: {fewest:?}"));
        }
    }
    assert!(starved.is_empty(), "announces in a day, of 49 or more: {starved:?}");
}

/// R82: the second address of a host is asked in the round in which the first failed, whether the host was ever heard
/// or not, and in each round again.
#[test]
fn siblings_on_one_host_are_asked_in_the_same_round() {
    let mut late = Vec::new();
    for (way, scheme, condition) in WAYS_OF_ONE {
        for probing in [Probing::Parallel, Probing::Off] {
            for bad_ones in [1, 2] {
                let mut world = World::default();
                let host = world.near(scheme, Script::well());
                // Well for two minutes after an hour, so that its sibling is the spare.
                let script = Script::always(condition).then(at(HOUR), Condition::Well);
                let script = script.then(at(HOUR + 120), condition);
                let mut trackers: Vec<usize> =
                    (0..bad_ones).map(|_| world.tracker(host, script.clone())).collect();
                trackers.push(world.tracker(host, Script::well()));
                let config = one_at_a_time().probing(probing);
                let mut life = Life::new(world, config, 7);
                life.tolerate_starvation();
                let torrent = life.add(of(&trackers));
                for asked in [0, 1800, HOUR + 5, HOUR + 200] {
                    life.run_until(at(asked));
                    if asked > 0 {
                        life.reannounce(torrent);
                    }
                    life.run_until(at(asked + 100));
                    // Silence takes its patience, or its limit where another is hedged for already.
                    match lag(&life, torrent, at(asked)) {
                        Some(lag) if lag <= 16_000 * bad_ones => {}
                        lag => late.push(format!(
                            "{way}, {probing:?}, {bad_ones} bad ones, at {asked} s: after {lag:?} ms"
                        )),
                    }
                }
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

/// R83: all trackers of a torrent have failed, time and again; a living one that is added is asked at once.
#[test]
fn a_living_tracker_that_is_added_after_all_failed_is_asked_at_once() {
    let mut late = Vec::new();
    for (way, scheme, condition) in WAYS {
        for trackers in [1, 3] {
            for was_answered in [true, false] {
                let mut world = World::default();
                let script = if was_answered { Script::well() } else { Script::always(condition) };
                let script = script.then(at(60), condition);
                let dead: Vec<usize> =
                    (0..trackers).map(|_| sick(&mut world, scheme, script.clone())).collect();
                let living = well(&mut world);
                let mut life = life(world);
                let torrent = life.add(of(&dead));
                life.run_until(at(5 * HOUR));
                life.list(torrent, Listing { tracker: living, own: None });
                life.run_until(at(6 * HOUR));
                match lag(&life, torrent, at(5 * HOUR)) {
                    Some(lag) if lag <= 2000 => {}
                    lag => late.push(format!(
                        "{way}, {trackers} trackers, answered before: {was_answered}: after {lag:?} ms"
                    )),
                }
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

/// R83: the tracker in use is replaced; the one in its place is asked at once. So is a spare where it is removed.
#[test]
fn the_tracker_in_use_replaced_or_removed_is_followed_by_an_announce_at_once() {
    for (spare, added) in [(false, true), (true, false), (true, true)] {
        let mut world = World::default();
        let trackers: Vec<usize> = (0..3).map(|_| well(&mut world)).collect();
        let mut life = life(world);
        let torrent = life.add(of(if spare { &trackers[..2] } else { &trackers[..1] }));
        life.run_until(at(120));
        let (_, in_use) = life.answers(torrent)[0];
        life.unlist(torrent, in_use);
        if added {
            life.list(torrent, Listing { tracker: trackers[2], own: None });
        }
        life.run_until(at(HOUR));
        let lag = lag(&life, torrent, at(120));
        assert!(lag.is_some_and(|lag| lag <= 2000), "spare: {spare}, added: {added}: after {lag:?} ms");
    }
}

/// One answer of a host lets everybody back: those that were put off while it failed others don't sleep on.
#[test]
fn an_answer_of_a_host_lets_back_all_that_were_put_off_there() {
    let (mut late, mut put_off) = (Vec::new(), 0);
    for (way, scheme, condition) in WAYS {
        let mut world = World::default();
        let script = Script::well().then(at(1000), condition).then(at(5000), Condition::Well);
        let tracker = sick(&mut world, scheme, script);
        let mut life = life(world);
        let seed = || Newcomer { seed: true, ..of(&[tracker]) };
        let seeds: Vec<usize> = (0..20).map(|_| life.add(seed())).collect();
        life.run_until(at(5000));
        let asked: Vec<usize> = seeds.iter().copied().filter(|torrent| life.has_failed(*torrent)).collect();
        // One is asked for: its answer shows that the host is back.
        let newcomer = life.add(of(&[tracker]));
        life.reannounce(newcomer);
        life.run_until(at(5000 + 2 * HOUR));
        let is_back =
            seeds.iter().chain([&newcomer]).filter_map(|torrent| lag(&life, *torrent, at(5000))).min();
        let Some(is_back) = is_back else { panic!("{way}: never answered") };
        let mut slowest = 0;
        for torrent in seeds.iter().filter(|torrent| !asked.contains(torrent)) {
            put_off += 1;
            slowest = slowest.max(lag(&life, *torrent, at(5000)).unwrap_or(u128::MAX) - is_back);
        }
        if slowest > 60_000 {
            late.push(format!("{way}: up to {slowest} ms after the first answer"));
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
    assert!(put_off > 50, "the scene is none: {put_off} were put off");
}

/// Many torrents start at once, and the first of their trackers stalls: none waits for a place there while the second is
/// idle.
#[test]
fn a_host_that_stalls_holds_up_no_start() {
    let mut late = Vec::new();
    for (way, scheme, condition) in WAYS {
        for (probing, count, alone) in [
            (Probing::Parallel, 40_u128, 0),
            (Probing::Off, 40, 0),
            (Probing::Parallel, 150, 0),
            (Probing::Parallel, 40, 100),
            (Probing::Off, 40, 100),
        ] {
            let mut world = World::default();
            let stalled = sick(&mut world, scheme, Script::always(condition));
            let host = world.near(Scheme::Http, Script::well());
            world.hosts[host].round_trip = Duration::from_millis(60);
            let living = world.tracker(host, Script::well());
            let config = one_at_a_time().probing(probing);
            let mut life = Life::new(world, config, 7);
            life.tolerate_starvation();
            // These have nowhere else to go, and keep every place of the stalled one taken.
            for _ in 0..alone {
                life.add(of(&[stalled]));
            }
            let torrents: Vec<usize> = (0..count).map(|_| life.add(of(&[stalled, living]))).collect();
            life.run_until(at(HOUR));
            let slowest =
                torrents.iter().map(|torrent| lag(&life, *torrent, at(0)).unwrap_or(u128::MAX)).max();
            // A minute, and what the living one's gate needs: 20 a second, four at a time.
            let bound = 60_000 + count * (50 + 120 / 4);
            if slowest.is_none_or(|slowest| slowest > bound) {
                late.push(format!(
                    "{way}, {probing:?}, {count} torrents: the last after {slowest:?} ms of {bound}"
                ));
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

/// A torrent that has waited long at a living host which is busy, and tries another which stalls, comes back to the first.
#[test]
fn a_busy_host_is_not_left_for_good_for_one_that_stalls() {
    let mut late = Vec::new();
    for (way, scheme, condition) in WAYS {
        for (private, breaker) in [(false, true), (true, true), (false, false), (true, false)] {
            let mut world = World::default();
            let busy = well(&mut world);
            let stalled = sick(&mut world, scheme, Script::always(condition));
            let mut config = if breaker { one_at_a_time() } else { Config::strict_bep12() };
            config = config.probing(Probing::Off);
            let mut life = Life::new(world, config, 7);
            life.tolerate_starvation();
            let newcomer = || Newcomer { private, ..of(&[busy, stalled]) };
            let torrents: Vec<usize> = (0..600).map(|_| life.add(newcomer())).collect();
            life.run_until(at(HOUR));
            let slowest =
                torrents.iter().map(|torrent| lag(&life, *torrent, at(0)).unwrap_or(u128::MAX)).max();
            // A minute, twenty a second, and twenty seconds for the other one.
            if slowest.is_none_or(|slowest| slowest > 110_000) {
                late.push(format!("{way}, private: {private}, breaker: {breaker}: after {slowest:?} ms"));
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

/// A torrent doesn't wait behind others that have an answer from elsewhere, and don't want that host any more.
#[test]
fn a_host_in_back_off_is_not_kept_for_torrents_that_are_served_elsewhere() {
    let mut late = Vec::new();
    for (way, scheme, condition) in [WAYS[0], WAYS[1], WAYS[2], WAYS[3], WAYS[4]] {
        for others in [5, 50] {
            for lasting in [0, 600] {
                let mut world = World::default();
                let dead = sick(
                    &mut world,
                    scheme,
                    Script::always(condition).then(at(3000 + lasting), Condition::Well),
                );
                // The others' own tracker fails for ten minutes, so that they want the dead one as well.
                let script =
                    Script::well().then(at(2000), Condition::Refused).then(at(2990), Condition::Well);
                let own = sick(&mut world, Scheme::Http, script);
                let mut life = life(world);
                let torrent = life.add(of(&[dead]));
                for _ in 0..others {
                    life.add(of(&[own, dead]));
                }
                life.run_until(at(10_000));
                match lag(&life, torrent, at(3000 + lasting)) {
                    Some(lag) if lag <= 130_000 => {}
                    lag => late.push(format!(
                        "{way}, {others} others, {lasting} s after they were served: after {lag:?} ms"
                    )),
                }
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

/// What looks like an outage of our own may last: its looks at dead hosts don't put off a tracker that answered, and
/// refused the torrent for a while.
#[test]
fn looks_during_an_outage_put_off_no_tracker_that_answered() {
    let mut late = Vec::new();
    for (way, scheme, condition) in WAYS_OF_ONE {
        for dead_ones in [3, 5, 8] {
            for seed in [false, true] {
                let mut world = World::default();
                let script = Script::well().then(at(100), condition).then(at(2000), Condition::Well);
                let mut trackers = vec![sick(&mut world, scheme, script)];
                for _ in 0..dead_ones {
                    let dead = Script::always(Condition::Unresolved);
                    trackers.push(sick(&mut world, Scheme::Http, dead));
                }
                world.trackers[trackers[0]].interval = Some(secs(300));
                let mut life = life(world);
                let torrent = life.add(Newcomer { seed, ..of(&trackers) });
                life.run_until(at(3 * HOUR));
                match lag(&life, torrent, at(2000)) {
                    Some(lag) if lag <= 35 * 60_000 => {}
                    lag => late.push(format!("{way}, {dead_ones} dead ones, seed: {seed}: after {lag:?} ms")),
                }
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

/// A tracker that answers with nonsense while everything else seems dead is looked at, and not announced to without pause.
#[test]
fn looks_during_an_outage_pester_no_tracker_that_answers() {
    let mut pestered: Vec<String> = Vec::new();
    for (way, scheme, condition) in WAYS_OF_ONE {
        for (dead_ones, page_of_all) in [(0, true), (3, true), (3, false), (8, false)] {
            let mut world = World::default();
            let bad = Script::always(condition);
            let tracker = sick(&mut world, scheme, if page_of_all { bad.clone() } else { Script::well() });
            let others: Vec<Newcomer> = (0..dead_ones)
                .map(|_| of(&[sick(&mut world, Scheme::Http, Script::always(Condition::Unresolved))]))
                .collect();
            let mut life = life(world);
            let torrent = life.add(towards(tracker, condition));
            for other in others {
                life.add(other);
            }
            life.run_until(at(HOUR));
            let announces = life.announces(torrent, tracker);
            if announces > 75 {
                pestered.push(format!(
                    "{way}, {dead_ones} dead ones, of all: {page_of_all}: {announces} in an hour"
                ));
            }
        }
    }
    assert!(pestered.is_empty(), "{}", pestered.join("\n"));
}

/// World 9655: a seed failed at a tracker whose host then fell silent. When that host is back, its back-off is all that
/// the seed waits for: a round in which it wasn't asked puts it off no further.
#[test]
fn a_round_puts_off_no_tracker_that_was_not_asked_in_it() {
    let mut late = Vec::new();
    let moments = (15_500..18_500).step_by(100);
    for (others, back_at) in [1, 6].into_iter().flat_map(|others| moments.clone().map(move |at| (others, at)))
    {
        let mut world = World::default();
        let script = Script::well().then(at(1000), Condition::Silent).then(at(back_at), Condition::Well);
        let shared = sick(&mut world, Scheme::Http, script);
        let bad = sick(&mut world, Scheme::Http, Script::always(Condition::Page));
        // It shows that our own network works.
        let living = well(&mut world);
        world.trackers[living].interval = Some(secs(60));
        let refusing = Script::always(Condition::Status(503, Retry::Unsaid));
        let own = Some(refusing.then(at(1000), Condition::Well));
        let mut life = life(world);
        let tiers = vec![vec![Listing { tracker: shared, own }], vec![Listing { tracker: bad, own: None }]];
        let torrent = life.add(Newcomer { tiers, seed: true, ..Newcomer::default() });
        life.add(of(&[living]));
        for _ in 0..others {
            life.add(Newcomer { seed: true, ..of(&[shared]) });
        }
        life.run_until(at(back_at + 2 * HOUR));
        match lag(&life, torrent, at(back_at)) {
            Some(lag) if lag <= 35 * 60_000 => {}
            lag => late.push(format!("{others} others, back after {back_at} s: after {lag:?} ms")),
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}

/// R84: `completed` goes at once, whatever the min interval.
#[test]
fn completed_passes_the_min_interval() {
    for private in [false, true] {
        for trackers in [1, 3] {
            let mut world = World::default();
            let trackers: Vec<usize> = (0..trackers).map(|_| well(&mut world)).collect();
            for tracker in &trackers {
                world.trackers[*tracker].min_interval = Some(secs(972));
            }
            let mut life = life(world);
            let torrent = life.add(Newcomer { private, ..of(&trackers) });
            life.run_until(at(30));
            life.complete(torrent);
            life.run_until(at(HOUR));
            let lag = lag(&life, torrent, at(30));
            assert!(
                lag.is_some_and(|lag| lag <= 1000),
                "private: {private}, {} trackers: after {lag:?} ms",
                trackers.len()
            );
        }
    }
}

/// R81, with an interval of a minute: torrents that a host is mute to hold its places, and delay one that it serves by no
/// more than a minute.
#[test]
fn torrents_that_a_host_does_not_serve_delay_none_that_it_serves_by_a_minute() {
    let mut late = Vec::new();
    for (way, scheme, condition) in WAYS_OF_ONE {
        for (count, first) in [(5, true), (5, false), (20, true), (20, false), (50, true), (50, false)] {
            let mut world = World::default();
            let tracker = sick(&mut world, scheme, Script::well());
            world.trackers[tracker].interval = Some(secs(60));
            let mut life = life(world);
            let mut number = 0;
            if first {
                number = life.add(of(&[tracker]));
            }
            for _ in 0..count {
                life.add(towards(tracker, condition));
                let soon = life.now() + Duration::from_millis(100);
                life.run_until(soon);
            }
            if !first {
                let settled = life.now() + secs(35);
                life.run_until(settled);
            }
            let mut due = if first { at(0) } else { life.now() };
            if !first {
                number = life.add(of(&[tracker]));
            }
            let end = due + secs(HOUR);
            life.run_until(end);
            let mut worst = (Duration::ZERO, 0);
            let answers: Vec<Timestamp> = life.answers(number).iter().map(|(at, _)| *at).collect();
            for (n, at) in answers.iter().copied().chain([end]).enumerate() {
                worst = worst.max((at.since(due), n));
                due = at + secs(60);
            }
            if worst.0 > secs(60) {
                late.push(format!(
                    "{way}, {count}, first {first}: {} answers, number {} was {} s late",
                    answers.len(),
                    worst.1,
                    worst.0.as_secs()
                ));
            }
        }
    }
    assert!(late.is_empty(), "\n{}", late.join("\n"));
}
