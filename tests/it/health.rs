//! Health belongs to hosts: what one torrent finds out, all others know.

use std::time::Duration;

use fake_tracker::{Behaviour, FakeTracker};
use tracker_failover::{Alert, Announced, Config, InfoHash, Order, Probing, Torrent, TrackerSet};

use super::world::{AddSession, World, alerts_until, is_announced, one_at_a_time, torrent};

fn every(secs: u64) -> Behaviour {
    Behaviour::ok_every(Duration::from_secs(secs), None)
}

async fn sleep(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

fn by_list() -> Config {
    one_at_a_time().probing(Probing::Off)
}

fn another(number: u8) -> Torrent {
    let mut another = Torrent::new(InfoHash::new([number; 20]), torrent().peer_id, 6881);
    another.transfer.left = Some(1000);
    another
}

fn announced(alerts: &[Alert]) -> &Announced {
    match alerts.last() {
        Some(Alert::Announced(announced)) => announced,
        other => panic!("{other:?}"),
    }
}

/// R45: one torrent finds the dead host, and the others skip it.
#[tokio::test(start_paused = true)]
async fn a_dead_host_costs_one_torrent_and_not_the_next_hundred() {
    for death in [Behaviour::Refused, Behaviour::SynDropped] {
        let world = World::new([death.clone(), every(1800)]);
        let announcer = world.announcer(by_list());
        let mut first = announcer.session(world.in_tiers(), torrent());
        alerts_until(&mut first, is_announced).await;
        let mut others = Vec::new();
        for number in 0..100 {
            others.push(announcer.session(world.in_tiers(), another(number)));
        }
        for session in &mut others {
            let alerts = alerts_until(session, is_announced).await;
            assert_eq!(
                (announced(&alerts).attempts, &announced(&alerts).tracker),
                (1, &world.url(1)),
                "{death:?}"
            );
        }
    }
}

/// R11: the next round doesn't pay for the dead first tier again.
#[tokio::test(start_paused = true)]
async fn health_remembers_across_rounds() {
    let world = World::new([Behaviour::SynDropped, every(60)]);
    let mut config = by_list();
    config = config.order(Order::Bep12);
    let mut session = world.announcer(config).session(world.in_tiers(), torrent());
    let first = alerts_until(&mut session, is_announced).await;
    assert_eq!(announced(&first).attempts, 2);
    let mut paid = 0;
    for _ in 0..60 {
        let alerts = alerts_until(&mut session, is_announced).await;
        paid += announced(&alerts).attempts - 1;
    }
    assert!((1..=8).contains(&paid), "ever less often: {paid} of 60 rounds");
}

/// G5: torrents that want peers find a tracker that returned within two minutes, however long it was away.
#[tokio::test(start_paused = true)]
async fn a_tracker_that_returns_is_found_within_two_minutes_by_those_who_want_peers() {
    for death in [Behaviour::Refused, Behaviour::SynDropped] {
        for trackers in 1..=3 {
            let world = World::new(vec![death.clone(); trackers]);
            let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
            sleep(3 * 3600).await;
            let connections = world.tracker(0).connections();
            assert_eq!(connections, 0);
            let returned = world.elapsed();
            world.tracker(trackers - 1).set_behaviour(every(1800));
            alerts_until(&mut session, is_announced).await;
            let lag = world.elapsed().saturating_sub(returned);
            assert!(lag <= Duration::from_secs(135), "{trackers} trackers {death:?}: {lag:?}");
        }
    }
}

/// A seed is in no hurry: it backs off for as long as the failures demand.
#[tokio::test(start_paused = true)]
async fn a_seed_waits_for_its_back_off() {
    let world = World::new([Behaviour::status(500)]);
    let mut seed = torrent();
    seed.transfer.left = Some(0);
    let session = world.announcer(by_list()).session(world.in_tiers(), seed);
    sleep(12 * 3600).await;
    let asked = world.tracker(0).announces().len();
    // Never more than half an hour apart, so that none waits longer for one that works again.
    assert!((24..72).contains(&asked), "{asked} announces in twelve hours");
    drop(session);
}

/// A broken tracker, unlike an absent one, hears announces: it isn't asked every two minutes.
#[tokio::test(start_paused = true)]
async fn a_tracker_that_answers_nonsense_is_asked_ever_less() {
    let world = World::new([Behaviour::html()]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(12 * 3600).await;
    let asked = world.tracker(0).announces().len();
    // Never more than half an hour apart, so that none waits longer for one that works again.
    assert!((24..72).contains(&asked), "{asked} announces in twelve hours");
    drop(session);
}

/// A tracker that doesn't know the torrent is not a failing host.
#[tokio::test(start_paused = true)]
async fn an_unregistered_torrent_leaves_its_host_well() {
    let world =
        World::new([Behaviour::Sequence(vec![Behaviour::failure("unregistered"), every(60)]), every(60)]);
    let announcer = world.announcer(by_list());
    let mut unknown = announcer.session(world.in_tiers(), torrent());
    let alerts = alerts_until(&mut unknown, is_announced).await;
    assert_eq!(announced(&alerts).tracker, world.url(1));
    let mut known = announcer.session(TrackerSet::new([[world.url(0)]]), another(1));
    let alerts = alerts_until(&mut known, is_announced).await;
    assert_eq!(announced(&alerts).attempts, 1);
    assert!(world.elapsed() < Duration::from_secs(1), "no announce waits for a back-off");
}

/// A regular announce is patient: a slow tracker isn't left, and no other is sent an announce.
#[tokio::test(start_paused = true)]
async fn a_regular_announce_is_patient_with_a_slow_tracker() {
    let slow = Behaviour::Sequence(vec![every(60), every(60).after(Duration::from_secs(3)), every(60)]);
    let world = World::new([slow, every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(70).await;
    assert_eq!(world.received_text(), "0:started 0:none");
    drop(session);
}

/// The tracker in use falls silent: a regular announce is accepted elsewhere within 2.6 s, one that is asked
/// for within half a second.
#[tokio::test(start_paused = true)]
async fn the_tracker_in_use_falls_silent() {
    for (urgent, limit) in [(true, 500), (false, 2600)] {
        let world = World::of(vec![FakeTracker::in_memory(every(60)), FakeTracker::in_memory(every(60))]);
        for number in 0..2 {
            world.tracker(number).set_latency(Duration::from_millis(20));
        }
        let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
        alerts_until(&mut session, is_announced).await;
        // No connection is kept that long.
        sleep(50).await;
        world.tracker(0).set_behaviour(Behaviour::SynDropped);
        world.tracker(0).kill().await;
        world.tracker(0).revive().await;
        if urgent {
            session.reannounce();
        }
        let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::Announcing { .. })).await;
        let began = world.elapsed();
        drop(alerts);
        let alerts = alerts_until(&mut session, is_announced).await;
        let took = world.elapsed().saturating_sub(began);
        assert_eq!(announced(&alerts).tracker, world.url(1));
        assert!(took <= Duration::from_millis(limit), "urgent={urgent}: {took:?}");
    }
}

/// Our own network is down for ten minutes: no tracker is blamed, and the first announce after it is at most 65 s
/// late. So it is behind a captive portal, which answers everybody with its own page.
#[tokio::test(start_paused = true)]
async fn when_everything_fails_no_host_is_blamed() {
    for down in [Behaviour::SynDropped, Behaviour::html()] {
        let world = World::new([every(60), every(60), every(60), every(60)]);
        for number in 0..4 {
            world.tracker(number).set_latency(Duration::from_millis(10 * (number as u64 + 1)));
        }
        let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
        alerts_until(&mut session, |alert| matches!(alert, Alert::FailoverOrder { .. })).await;
        for number in 0..4 {
            world.tracker(number).set_behaviour(down.clone());
            world.tracker(number).kill().await;
            world.tracker(number).revive().await;
        }
        sleep(600).await;
        for number in 0..4 {
            world.tracker(number).set_behaviour(every(60));
        }
        let back = super::world::now();
        sleep(65).await;
        let mut heard = (0..4).flat_map(|number| world.tracker(number).announces());
        assert!(heard.any(|heard| heard.at >= back), "{down:?}: no announce for 65 s");
        let explained = session.explain().unwrap();
        assert!(explained.contains("; 0 of 4 trackers backed off"), "{down:?}: {explained}");
        // Wherever the round that found the network again had got to, the nearest is in use again in the end.
        sleep(1800).await;
        let status = session.status().unwrap();
        assert_eq!(status.in_use, Some(world.url(0)), "{down:?}");
    }
}

/// A hint from outside ends every back-off.
#[tokio::test(start_paused = true)]
async fn when_the_network_changes_everybody_is_tried_again() {
    let world = World::new([Behaviour::Refused]);
    let announcer = world.announcer(by_list());
    let mut seed = torrent();
    seed.transfer.left = Some(0);
    let mut session = announcer.session(world.in_tiers(), seed);
    sleep(3600).await;
    world.tracker(0).set_behaviour(every(60));
    let before = world.elapsed();
    announcer.network_changed();
    alerts_until(&mut session, is_announced).await;
    assert!(world.elapsed().saturating_sub(before) < Duration::from_secs(1));
}

/// The nearest tracker dies and comes back: no torrent is pulled back at once, and after a while the next regular
/// announce goes there again.
#[tokio::test(start_paused = true)]
async fn the_nearest_is_returned_to_after_a_while() {
    let world = World::new([every(300), every(300)]);
    world.tracker(0).set_latency(Duration::from_millis(5));
    world.tracker(1).set_latency(Duration::from_millis(30));
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    world.tracker(0).kill().await;
    alerts_until(&mut session, is_announced).await;
    world.tracker(0).revive().await;
    let left = world.elapsed();
    let mut stayed = 0;
    loop {
        let alerts = alerts_until(&mut session, is_announced).await;
        if announced(&alerts).tracker == world.url(0) {
            break;
        }
        stayed += 1;
        assert!(stayed < 10, "it never returns");
    }
    let away = world.elapsed().saturating_sub(left);
    assert!(stayed >= 1 && away > Duration::from_secs(450), "{stayed} announces, {away:?}");
    assert_eq!(
        world.received_text().split(' ').next_back(),
        Some("0:none"),
        "and `started` isn't sent again"
    );
}

/// G6: a tracker that works every other half hour is left and returned to a few times a day, and not at each turn.
#[tokio::test(start_paused = true)]
async fn a_flapping_tracker_causes_few_switches() {
    let world = World::new([every(300), every(300)]);
    world.tracker(0).set_latency(Duration::from_millis(5));
    world.tracker(1).set_latency(Duration::from_millis(30));
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    let mut last = None;
    let mut switches = 0;
    for turn in 0..48 {
        if turn % 2 == 1 {
            world.tracker(0).kill().await;
        } else {
            world.tracker(0).revive().await;
        }
        sleep(1800).await;
        while let Ok(Some(alert)) = tokio::time::timeout(Duration::from_millis(1), session.next_alert()).await
        {
            if let Alert::Announced(announced) = alert {
                switches += usize::from(
                    last.replace(announced.tracker.clone()).is_some_and(|last| last != announced.tracker),
                );
            }
        }
    }
    assert!((1..=8).contains(&switches), "{switches} switches in a day");
}

#[tokio::test(start_paused = true)]
async fn a_session_explains_itself() {
    let world = World::new([every(300), every(300)]);
    world.tracker(0).set_latency(Duration::from_millis(5));
    world.tracker(1).set_latency(Duration::from_millis(30));
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    let (near, far) = (world.url(0), world.url(1));
    let line = session.explain().unwrap();
    assert!(line.starts_with(&format!("using {near}: it answered last, 10 ms away; 0 of 2")), "{line}");
    assert!(line.ends_with("next announce in 4 min"), "{line}");
    world.tracker(0).kill().await;
    alerts_until(&mut session, is_announced).await;
    let line = session.explain().unwrap();
    assert!(
        line.contains(&format!("using {far}")) && line.contains(&format!("since {near} failed")),
        "{line}"
    );
    assert!(line.contains("1 of 2 trackers backed off"), "{line}");
    world.tracker(1).kill().await;
    alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
    let line = session.explain().unwrap();
    assert!(line.contains("the last round failed; next in"), "{line}");
}

/// A user who asks for an announce gets one, whatever is known of the hosts: they may know better.
#[tokio::test(start_paused = true)]
async fn a_requested_announce_goes_to_hosts_in_back_off() {
    let world = World::new([every(1800), every(1800)]);
    for number in 0..2 {
        world.tracker(number).kill().await;
    }
    let announcer = world.announcer(by_list());
    let mut session = announcer.session(world.in_tiers(), torrent());
    alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
    for number in 0..2 {
        world.tracker(number).revive().await;
    }
    let before = world.elapsed();
    let answered = session.announce_now().await.unwrap();
    assert_eq!(answered.tracker, world.url(0));
    assert!(world.elapsed().saturating_sub(before) < Duration::from_secs(1), "{:?}", world.elapsed());
}
