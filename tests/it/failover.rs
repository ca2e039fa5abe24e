//! Two dead trackers before a live one: how long it takes, and who hears of us.

use std::time::Duration;

use fake_tracker::{Asked, Behaviour};
use tracker_failover::{Alert, Config, Order, Probing, TrackerSet};

use super::world::{AddSession, World, alerts_until, is_announced, one_at_a_time, torrent};

/// A way to be dead, and what two of them in front of a live tracker may cost without probing.
struct Dead {
    name: &'static str,
    behaviour: fn() -> Behaviour,
    without_probing: Duration,
}

const AT_ONCE: Duration = Duration::from_millis(100);
const SHOWS_NO_LIFE: Duration = Duration::from_millis(600);
/// It takes the connection and then sends nothing: 1.5 s each.
const GOES_MUTE: Duration = Duration::from_millis(3100);

const KINDS: [Dead; 10] = [
    Dead { name: "refused", behaviour: || Behaviour::Refused, without_probing: AT_ONCE },
    Dead { name: "SYN never answered", behaviour: || Behaviour::SynDropped, without_probing: SHOWS_NO_LIFE },
    Dead { name: "accepted and mute", behaviour: || Behaviour::Silent, without_probing: GOES_MUTE },
    Dead { name: "status 500", behaviour: || Behaviour::status(500), without_probing: AT_ONCE },
    Dead { name: "HTML", behaviour: Behaviour::html, without_probing: AT_ONCE },
    Dead { name: "garbage", behaviour: Behaviour::garbage, without_probing: AT_ONCE },
    Dead { name: "failure reason", behaviour: || Behaviour::failure("go away"), without_probing: AT_ONCE },
    Dead { name: "reset", behaviour: || Behaviour::Reset, without_probing: AT_ONCE },
    Dead { name: "hang up", behaviour: Behaviour::hang_up, without_probing: AT_ONCE },
    Dead {
        name: "header drip",
        behaviour: || Behaviour::HeadDrip(Duration::from_secs(5)),
        without_probing: GOES_MUTE,
    },
];

/// Announces once with two dead trackers in front, and returns how long the answer took.
async fn time_to_answer(dead: &Dead, config: Config, tiers: fn(&World) -> TrackerSet) -> Duration {
    let live = Behaviour::ok_after(Duration::from_millis(5));
    let world = World::new([(dead.behaviour)(), (dead.behaviour)(), live]);
    for number in 0..3 {
        world.tracker(number).set_latency(Duration::from_millis(5));
    }
    let mut session = world.announcer(config).session(tiers(&world), torrent());
    let alerts = alerts_until(&mut session, is_announced).await;
    let elapsed = world.elapsed();
    let Some(Alert::Announced(announced)) = alerts.last() else { unreachable!() };
    assert_eq!(announced.tracker, world.url(2), "{}", dead.name);
    assert_eq!(world.tracker(2).announces().len(), 1, "{}: the live tracker hears exactly one", dead.name);
    elapsed
}

#[tokio::test(start_paused = true)]
async fn with_probing_no_kind_of_death_costs_more_than_600_ms() {
    for dead in &KINDS {
        for tiers in [World::in_tiers, World::in_one_tier] {
            let elapsed = time_to_answer(dead, one_at_a_time(), tiers).await;
            assert!(elapsed <= Duration::from_millis(600), "{}: {elapsed:?}", dead.name);
        }
    }
}

/// R3.
#[tokio::test(start_paused = true)]
async fn without_probing_each_kind_costs_its_patience_once() {
    for dead in &KINDS {
        for tiers in [World::in_tiers, World::in_one_tier] {
            let config = one_at_a_time().probing(Probing::Off);
            let elapsed = time_to_answer(dead, config, tiers).await;
            assert!(elapsed <= dead.without_probing, "{}: {elapsed:?}", dead.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bep12_costs_at_most_a_second_a_tier_more() {
    for dead in &KINDS {
        let mut config = one_at_a_time().order(Order::Bep12);
        let elapsed = time_to_answer(dead, config.clone(), World::in_tiers).await;
        assert!(elapsed <= dead.without_probing + Duration::from_secs(2), "{}: {elapsed:?}", dead.name);
        // In one tier the shuffle may put the live one first; without it the two dead ones are in front.
        config = config.without_shuffle();
        let elapsed = time_to_answer(dead, config, World::in_one_tier).await;
        assert!(elapsed <= dead.without_probing, "{}: {elapsed:?}", dead.name);
    }
}

/// R7: whatever drips has one budget. R2: every attempt ends. R13: an error of that attempt only.
#[tokio::test(start_paused = true)]
async fn an_only_tracker_that_stalls_is_given_up() {
    let stalls = [
        Behaviour::HeadDrip(Duration::from_secs(5)),
        Behaviour::BodyStall(3),
        Behaviour::BodyStall(0),
        Behaviour::Silent,
        Behaviour::SynDropped,
    ];
    for stall in stalls {
        let world = World::new([stall.clone()]);
        let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
        let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
        assert!(world.elapsed() <= Duration::from_secs(45), "{stall:?}: {:?}", world.elapsed());
        let text = alerts.last().unwrap().to_string();
        assert!(text.contains("timed out") && text.contains("next attempt in"), "{text}");
    }
}

/// R6: an HTML page or an empty body with status 200 is no success. R72: the status comes first.
#[tokio::test(start_paused = true)]
async fn what_is_no_reply_fails_over_at_once() {
    let broken = [
        Behaviour::html(),
        Behaviour::body(""),
        Behaviour::status(500),
        Behaviour::garbage(),
        Behaviour::body("de"),
        Behaviour::body("le"),
    ];
    for behaviour in broken {
        let world = World::new([behaviour.clone(), Behaviour::ok()]);
        let config = one_at_a_time().probing(Probing::Off);
        let mut session = world.announcer(config).session(world.in_tiers(), torrent());
        alerts_until(&mut session, is_announced).await;
        assert_eq!(world.received_text(), "0:started 1:started", "{behaviour:?}");
        assert!(world.elapsed() < AT_ONCE, "{behaviour:?}: {:?}", world.elapsed());
    }
}

/// R14: at most one announce per tracker in a round, whatever happens.
#[tokio::test(start_paused = true)]
async fn no_tracker_is_asked_twice_in_a_round() {
    for dead in &KINDS {
        let world = World::new([(dead.behaviour)(), (dead.behaviour)(), (dead.behaviour)()]);
        let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
        alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
        for number in 0..3 {
            let announces = world.tracker(number).announces().len();
            assert!(announces <= 1, "{}: tracker {number} heard {announces}", dead.name);
        }
    }
}

/// R15: a late loser never changes a settled round.
#[tokio::test(start_paused = true)]
async fn a_late_answer_brings_its_peers_and_nothing_else() {
    let slow = Behaviour::ok_every(Duration::from_secs(100), None).after(Duration::from_secs(4));
    let world = World::new([slow, Behaviour::ok()]);
    let config = one_at_a_time().probing(Probing::Off);
    let mut session = world.announcer(config).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    let before = session.status().unwrap();
    let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::LateResponse { .. })).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let after = session.status().unwrap();
    assert_eq!(after.in_use, Some(world.url(1)));
    let waited = before.next_announce.unwrap().saturating_sub(after.next_announce.unwrap());
    assert!(waited < Duration::from_secs(5), "the winner's schedule stands");
    session.stop().await.unwrap();
    assert_eq!(world.received_text(), "0:started 1:started 0:stopped 1:stopped", "both know us by then");
}

/// The connection of the probe carries the announce: three round trips from nothing.
#[tokio::test(start_paused = true)]
async fn the_probes_connection_carries_the_announce() {
    let world = World::new([Behaviour::ok(), Behaviour::ok()]);
    for number in 0..2 {
        world.tracker(number).set_latency(Duration::from_millis(100 * (number as u64 + 1)));
    }
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    assert_eq!(world.tracker(0).connections(), 1);
    assert_eq!(world.elapsed().as_millis() / 100, 3, "connect, probe, announce: {:?}", world.elapsed());
}

/// A tracker that hangs only when it is announced to: life is no promise.
#[tokio::test(start_paused = true)]
async fn a_tracker_that_lies_about_being_alive_costs_its_patience_once() {
    let liar = Behaviour::ok().when(Asked::Announce, Behaviour::Silent);
    let world = World::new([liar, Behaviour::ok_after(Duration::from_millis(30))]);
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    assert_eq!(world.received_text(), "0:started 1:started");
    assert!(world.elapsed() < Duration::from_millis(1700), "{:?}", world.elapsed());
}
