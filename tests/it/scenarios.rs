//! The four scenarios of the mission: nearest, failover, all dead and back, and staying on what works.

use std::time::Duration;

use fake_tracker::{Behaviour, Cluster};
use tracker_failover::{Alert, Announced, Config, Probing};

use super::world::{
    AddSession, INFO_HASH, World, alerts_until, is_announced, one_at_a_time, probes, torrent,
};

/// Three trackers of one cluster at 15, 5 and 30 ms.
fn cluster() -> World {
    let cluster = Cluster::in_memory(3, Duration::from_millis(10), Behaviour::ok());
    for (tracker, millis) in cluster.trackers().iter().zip([15, 5, 30]) {
        tracker.set_latency(Duration::from_millis(millis));
    }
    World::of(cluster.into_trackers())
}

fn announced(alerts: &[Alert]) -> &Announced {
    match alerts.last() {
        Some(Alert::Announced(announced)) => announced,
        other => panic!("{other:?}"),
    }
}

fn lines(alerts: &[Alert]) -> Vec<String> {
    alerts.iter().map(|alert| format!("[{}] {alert}", alert.tag())).collect()
}

fn periodic(interval: Duration) -> Config {
    one_at_a_time().interval_override(interval)
}

#[tokio::test(start_paused = true)]
async fn three_up_the_nearest_is_chosen() {
    let world = cluster();
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::FailoverOrder { .. })).await;
    let lines = lines(&alerts);
    let (a, b, c) = (world.url(0), world.url(1), world.url(2));
    assert_eq!(lines[0], "[CONFIG] 3 trackers found");
    assert_eq!(lines[1], "[ANNOUNCE] event=started, left=1000");
    assert!(lines[2].starts_with(&format!("[TRACKER] {b} 10")), "{lines:#?}");
    assert_eq!(lines[3], format!("[TRACKER] selected {b} (10 ms)"));
    assert_eq!(lines[4], format!("[ANNOUNCE] trying {b} (attempt 1/3)"));
    assert!(
        lines[5].starts_with(&format!("[ANNOUNCE] succeeded after 1 attempt: {b}, 0 peers")),
        "{lines:#?}"
    );
    assert!(lines[6].starts_with(&format!("[TRACKER] {a} 30 ms")), "{lines:#?}");
    assert!(lines[7].starts_with(&format!("[TRACKER] {c} 60 ms")), "{lines:#?}");
    assert!(
        lines[8].contains(&format!("1. {b}")) && lines[8].contains(&format!("3. {c} (60 ms)")),
        "{lines:#?}"
    );
    assert_eq!(lines.len(), 9);
    assert_eq!(world.received_text(), "1:started");
}

#[tokio::test(start_paused = true)]
async fn the_one_in_use_dies_and_the_next_announce_moves_on_and_stays() {
    let world = cluster();
    let mut session = world.announcer(periodic(Duration::from_secs(10))).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    world.tracker(1).kill().await;
    let alerts = alerts_until(&mut session, is_announced).await;
    let moved = announced(&alerts);
    assert_eq!((&moved.tracker, moved.attempts), (&world.url(0), 2), "the second nearest");
    assert_eq!(moved.moved_from, Some(world.url(1)));
    let text = lines(&alerts).join("\n");
    let switch = format!("[TRACKER] switching {} -> {}", world.url(1), world.url(0));
    assert!(text.contains(&switch) && text.contains("(attempt 2/3)"), "{text}");
    assert!(text.contains("succeeded after 2 attempts"), "{text}");
    // The swarm isn't lost: the others know us by gossip, and the tracker that answered by our announce.
    assert_eq!(world.tracker(0).peers_of(&INFO_HASH).len(), 1);

    // The first returns, and we stay where we are.
    world.tracker(1).revive().await;
    for _ in 0..5 {
        let alerts = alerts_until(&mut session, is_announced).await;
        assert_eq!(announced(&alerts).tracker, world.url(0));
    }
    let stopped = session.stop().await.unwrap().results;
    assert!(stopped.iter().all(|result| result.result.is_ok()), "{stopped:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 0..3 {
        assert_eq!(world.tracker(number).peers_of(&INFO_HASH), [], "tracker {number} has forgotten us");
    }
}

#[tokio::test(start_paused = true)]
async fn all_die_and_the_next_round_recovers_when_one_returns() {
    let world = cluster();
    let mut session = world.announcer(periodic(Duration::from_secs(10))).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    for number in 0..3 {
        world.tracker(number).kill().await;
    }
    let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
    let Some(Alert::RoundFailed { error, retry_in }) = alerts.last() else { unreachable!() };
    let text = error.to_string();
    for number in 0..3 {
        assert!(text.contains(&world.url(number).to_string()), "{text}");
    }
    assert!(text.starts_with("all 3 trackers failed: ") && text.contains("refused"), "{text}");
    assert!(retry_in.is_some_and(|wait| wait <= Duration::from_secs(10)), "{retry_in:?}");

    world.tracker(2).revive().await;
    let alerts = alerts_until(&mut session, is_announced).await;
    assert_eq!(announced(&alerts).tracker, world.url(2));
}

/// R1 and R4: after failing laps everybody is tried again, back-off or not.
#[tokio::test(start_paused = true)]
async fn a_tracker_that_returns_is_found_by_back_off() {
    for returning in 0..3 {
        let world = World::new([Behaviour::Refused, Behaviour::Refused, Behaviour::Refused]);
        let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
        for _ in 0..4 {
            alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
        }
        world.tracker(returning).set_behaviour(Behaviour::ok());
        let alerts = alerts_until(&mut session, is_announced).await;
        assert_eq!(announced(&alerts).tracker, world.url(returning));
        assert_eq!(
            world.received_text(),
            format!("{returning}:started"),
            "R20: started goes to the one that accepts"
        );
    }
}

/// R5: the live tracker keeps its own interval, however its dead neighbours back off.
#[tokio::test(start_paused = true)]
async fn a_live_tracker_keeps_its_interval_beside_dead_ones() {
    for interval in [440, 1200, 1800] {
        let live = Behaviour::ok_every(Duration::from_secs(interval), None);
        let world = World::new([Behaviour::Refused, live, Behaviour::SynDropped]);
        let session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
        tokio::time::sleep(Duration::from_secs(10_000)).await;
        let announces = world.tracker(1).announces();
        for pair in announces.windows(2) {
            let gap = (pair[1].at - pair[0].at).as_secs_f64();
            let interval = f64::from(u32::try_from(interval).unwrap());
            assert!((interval * 0.92 - 0.01..=interval + 0.01).contains(&gap), "{gap} for {interval}");
        }
        assert!(announces.len() as u64 >= 10_000 / interval, "{} announces", announces.len());
        drop(session);
    }
}

/// A torrent with one tracker works as it would without us: nothing is probed.
#[tokio::test(start_paused = true)]
async fn one_tracker_is_not_probed() {
    let world = World::new([Behaviour::ok()]);
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    assert_eq!(world.tracker(0).heard().len(), 1);
}

/// BEP 27: a private torrent isn't probed, asks one tracker at a time, and stays on it until it fails.
#[tokio::test(start_paused = true)]
async fn a_private_torrent_stays_on_one_tracker_and_probes_none() {
    let world = World::new([Behaviour::ok_after(Duration::from_secs(2)), Behaviour::ok()]);
    let trackers = world.in_tiers().private();
    let mut session = world.announcer(periodic(Duration::from_secs(60))).session(trackers, torrent());
    for _ in 0..3 {
        let alerts = alerts_until(&mut session, is_announced).await;
        assert_eq!(announced(&alerts).tracker, world.url(0), "slow isn't failed");
    }
    world.tracker(0).kill().await;
    let alerts = alerts_until(&mut session, is_announced).await;
    assert_eq!(
        (&announced(&alerts).tracker, &announced(&alerts).moved_from),
        (&world.url(1), &Some(world.url(0)))
    );
    world.tracker(0).revive().await;
    let alerts = alerts_until(&mut session, is_announced).await;
    assert_eq!(announced(&alerts).tracker, world.url(1), "the one in use hasn't failed");
    assert_eq!(world.received_text(), "0:started 0:none 0:none 1:none 1:none");
    assert!((0..2).all(|number| probes(world.tracker(number)).is_empty()));
}

/// Hosts are measured once for all torrents of a process.
#[tokio::test(start_paused = true)]
async fn a_second_torrent_goes_straight_to_the_nearest() {
    let world = cluster();
    let announcer = world.announcer(one_at_a_time());
    let mut first = announcer.session(world.in_tiers(), torrent());
    alerts_until(&mut first, |alert| matches!(alert, Alert::FailoverOrder { .. })).await;
    let probed: usize = (0..3).map(|number| probes(world.tracker(number)).len()).sum();
    let mut second = announcer.session(world.in_tiers(), torrent());
    let alerts = alerts_until(&mut second, is_announced).await;
    assert_eq!(announced(&alerts).tracker, world.url(1));
    let after: usize = (0..3).map(|number| probes(world.tracker(number)).len()).sum();
    assert_eq!((probed, after), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_probe_carries_nothing_about_the_torrent() {
    let world = cluster();
    let mut session = world.announcer(one_at_a_time()).session(world.in_tiers(), torrent());
    alerts_until(&mut session, |alert| matches!(alert, Alert::FailoverOrder { .. })).await;
    for number in 0..3 {
        let probes = probes(world.tracker(number));
        assert_eq!(probes.len(), 1);
        assert_eq!((probes[0].method.as_str(), probes[0].query.as_deref()), ("HEAD", None));
    }
}

#[tokio::test(start_paused = true)]
async fn probing_can_be_switched_off() {
    let world = cluster();
    let config = one_at_a_time().probing(Probing::Off);
    let mut session = world.announcer(config).session(world.in_tiers(), torrent());
    let alerts = alerts_until(&mut session, is_announced).await;
    assert_eq!(announced(&alerts).tracker, world.url(0), "by list order");
    assert!((0..3).all(|number| probes(world.tracker(number)).is_empty()));
}
