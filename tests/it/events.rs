//! Which tracker hears which event, and with which counters.

use std::time::Duration;

use fake_tracker::{Asked, Behaviour, Reply, RetryIn};
use tracker_failover::{Alert, AnnounceError, Config, InfoHash, Probing, TrackerSet, Transfer};

use super::world::{AddSession, World, alerts_until, is_announced, one_at_a_time, torrent};

/// Trackers asked in list order, at an interval of a minute.
fn by_list() -> Config {
    one_at_a_time().probing(Probing::Off)
}

fn every(secs: u64) -> Behaviour {
    Behaviour::ok_every(Duration::from_secs(secs), None)
}

async fn sleep(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

/// The whole life of a torrent, each event exactly once.
/// (R23, R24)
#[tokio::test(start_paused = true)]
async fn started_periodic_completed_stopped_once_each() {
    let world = World::new([every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(90).await;
    session.update(Transfer { uploaded: 5, downloaded: 1000, left: Some(0), ..Transfer::default() });
    session.complete();
    session.complete();
    sleep(90).await;
    session.stop().await.unwrap();
    assert_eq!(world.received_text(), "0:started 0:none 0:completed 0:none 0:stopped");
    let completed = &world.tracker(0).announces()[2];
    assert_eq!((completed.left(), completed.downloaded()), (Some(0), Some(1000)));
    let stopped = &world.tracker(0).announces()[4];
    assert_eq!(stopped.num_want(), Some(0));
}

/// R27: added as a seed, `completed` is never sent.
#[tokio::test(start_paused = true)]
async fn a_seed_never_completes() {
    let world = World::new([every(60)]);
    let mut seed = torrent();
    seed.transfer.left = Some(0);
    let session = world.announcer(by_list()).session(world.in_tiers(), seed);
    sleep(10).await;
    session.complete();
    sleep(60).await;
    session.stop().await.unwrap();
    assert_eq!(world.received_text(), "0:started 0:none 0:stopped");
}

/// R26: `completed` during the flight of `started` follows it.
#[tokio::test(start_paused = true)]
async fn completed_waits_for_started() {
    let world = World::new([every(60).after(Duration::from_secs(2))]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(1).await;
    session.complete();
    sleep(10).await;
    drop(session);
    sleep(10).await;
    assert_eq!(world.received_text(), "0:started 0:completed 0:stopped");
}

/// R20, R29 and R30: failover sends `started` to a tracker without a registration, once, with the counters of the session.
#[tokio::test(start_paused = true)]
async fn failover_introduces_us_once_and_keeps_the_counters() {
    let world = World::new([every(60), every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(10).await;
    session.update(Transfer { uploaded: 7, downloaded: 500, left: Some(500), ..Transfer::default() });
    world.tracker(0).kill().await;
    sleep(60).await;
    world.tracker(0).revive().await;
    world.tracker(1).kill().await;
    session.update(Transfer { uploaded: 3, downloaded: 600, left: Some(400), ..Transfer::default() });
    sleep(60).await;
    assert_eq!(world.received_text(), "0:started 1:started 0:none");
    let last = world.tracker(0).announces().pop().unwrap();
    assert_eq!((last.uploaded(), last.downloaded(), last.left()), (Some(7), Some(600), Some(400)));
}

/// A `completed` that has to go to a tracker which never heard of us goes as `started` with nothing left.
#[tokio::test(start_paused = true)]
async fn completed_reaches_a_fresh_tracker_as_started_with_nothing_left() {
    let world = World::new([every(60), every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(10).await;
    world.tracker(0).kill().await;
    session.complete();
    sleep(10).await;
    assert_eq!(world.received_text(), "0:started 1:started");
    assert_eq!(world.tracker(1).announces()[0].left(), Some(0));
    sleep(60).await;
    drop(session);
    sleep(10).await;
    assert_eq!(world.received_text(), "0:started 1:started 1:none 1:stopped", "the debt is paid");
}

/// R21 and R22: `stopped` goes to every tracker that acknowledged an announce, and to no other.
#[tokio::test(start_paused = true)]
async fn stopped_goes_to_every_tracker_with_a_registration_and_to_no_other() {
    let world = World::new([Behaviour::status(503), every(60), every(60), every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(10).await;
    world.tracker(1).kill().await;
    sleep(60).await;
    world.tracker(1).revive().await;
    let mut stopped: Vec<usize> =
        session.stop().await.unwrap().results.iter().map(|result| world.number(&result.tracker)).collect();
    stopped.sort_unstable();
    assert_eq!(stopped, [1, 2]);
    assert_eq!(world.received_text(), "0:started 1:started 2:started 1:stopped 2:stopped");
}

/// R24 and R49: leaving takes at most three seconds if some trackers are silent, and the living are sent `stopped`.
#[tokio::test(start_paused = true)]
async fn silent_trackers_delay_the_end_by_three_seconds_at_most() {
    let dies = |death: Behaviour| Behaviour::Sequence(vec![every(60), death]);
    let world = World::new([dies(Behaviour::Silent), dies(Behaviour::SynDropped), every(60)]);
    let mut config = by_list();
    config = config.order(tracker_failover::Order::Bep12);
    config = config.without_shuffle();
    let announcer = world.announcer(config);
    let session = announcer.session(world.in_tiers(), torrent());
    sleep(1).await;
    // All three get to know us, one after the other.
    world.tracker(0).set_behaviour(Behaviour::SynDropped);
    session.announce_now().await.unwrap();
    session.announce_now().await.unwrap();
    let before = world.elapsed();
    let stopped = session.stop().await.unwrap().results;
    assert!(world.elapsed().saturating_sub(before) <= Duration::from_secs(3));
    assert_eq!(stopped.len(), 3, "{stopped:?}");
    let reached: Vec<_> = stopped
        .iter()
        .filter(|result| result.result.is_ok())
        .map(|result| world.number(&result.tracker))
        .collect();
    assert_eq!(reached, [2]);
}

/// `stopped` can't overtake the `started` that is under way.
#[tokio::test(start_paused = true)]
async fn stopped_waits_for_an_announce_in_flight() {
    let world = World::new([every(60).after(Duration::from_millis(800))]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopped = session.stop().await.unwrap().results;
    assert!(stopped.len() == 1 && stopped[0].result.is_ok(), "{stopped:?}");
    assert_eq!(world.received_text(), "0:started 0:stopped");
    let announces = world.tracker(0).announces();
    let gap = announces[1].at - announces[0].at;
    assert!(gap >= Duration::from_millis(800), "the answer to started came first: {gap:?}");
}

/// A tracker that may have received an announce, and never answered, is sent `stopped` too.
#[tokio::test(start_paused = true)]
async fn stopped_goes_to_one_that_never_answered() {
    let world = World::new([Behaviour::Sequence(vec![Behaviour::Silent, every(60)])]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(1).await;
    session.stop().await.unwrap();
    assert_eq!(world.received_text(), "0:started 0:stopped");
}

/// No `stopped` where nothing was ever acknowledged.
#[tokio::test(start_paused = true)]
async fn a_tracker_that_refused_the_torrent_is_sent_no_stopped() {
    let world = World::new([Behaviour::failure("unregistered"), Behaviour::Refused]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(10).await;
    assert!(session.stop().await.unwrap().results.is_empty());
    assert_eq!(world.received_text(), "0:started");
}

/// R12 and R63: rejected by one tracker, the next is tried, and the reason is shown.
#[tokio::test(start_paused = true)]
async fn a_rejection_fails_over_and_is_shown() {
    let world = World::new([Behaviour::failure("unregistered torrent"), every(60)]);
    let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    let alerts = alerts_until(&mut session, is_announced).await;
    let shown = alerts.iter().any(|alert| alert.to_string().contains("unregistered torrent"));
    assert!(shown && world.received_text() == "0:started 1:started", "{alerts:#?}");
}

/// R28: a tracker id goes back to the tracker that gave it, and to no other.
#[tokio::test(start_paused = true)]
async fn tracker_ids_stay_with_their_tracker() {
    let with_id = Behaviour::Ok(Reply {
        interval: Duration::from_secs(60),
        tracker_id: Some(b"from & zero".to_vec()),
        ..Reply::default()
    });
    let world = World::new([with_id, every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(70).await;
    world.tracker(0).kill().await;
    sleep(60).await;
    drop(session);
    let ids: Vec<_> =
        world.tracker(0).announces().iter().map(|heard| heard.tracker_id().map(Vec::from)).collect();
    assert_eq!(ids, [None, Some(b"from & zero".to_vec())]);
    assert!(world.tracker(1).announces().iter().all(|heard| heard.tracker_id().is_none()));
}

/// R52-02: a hybrid is announced under both its hashes, and the two know nothing of each other. Q-69: both tell the
/// counters of the one download.
#[tokio::test(start_paused = true)]
async fn a_hybrid_joins_both_swarms() {
    let named = |id: &str| {
        Behaviour::Ok(Reply {
            interval: Duration::from_secs(60),
            tracker_id: Some(id.as_bytes().to_vec()),
            ..Reply::default()
        })
    };
    let world =
        World::new([Behaviour::Sequence(vec![named("one"), named("two"), Behaviour::ok()]), every(60)]);
    let announcer = world.announcer(by_list());
    let hashes = [[1; 20], [2; 20]];
    let sessions = hashes.map(|hash| {
        let mut torrent = torrent();
        torrent.info_hash = InfoHash::new(hash);
        torrent.key = 7;
        announcer.session(world.in_tiers(), torrent)
    });
    sleep(50).await;
    for session in &sessions {
        session.update(Transfer { uploaded: 5, downloaded: 100, left: Some(900), ..Transfer::default() });
    }
    sleep(20).await;
    for session in sessions {
        session.stop().await.unwrap();
    }
    let received = world.tracker(0).announces();
    for (hash, id) in hashes.into_iter().zip(["one", "two"]) {
        let sent: Vec<_> = received.iter().filter(|announce| announce.info_hash() == Some(hash)).collect();
        let events: Vec<_> = sent.iter().map(|announce| announce.event()).collect();
        assert_eq!(events, [Some("started"), None, Some("stopped")], "{hash:?}");
        assert!(sent.iter().all(|announce| announce.key() == sent[0].key()));
        assert_eq!((sent[1].uploaded(), sent[1].left()), (Some(5), Some(900)));
        assert_eq!(sent[1].tracker_id(), Some(id.as_bytes()), "each its own");
    }
}

/// a warning that comes with each answer is reported once, and again when it is another.
#[tokio::test(start_paused = true)]
async fn a_repeated_warning_is_reported_once() {
    let warning = |text: &str| {
        Behaviour::Ok(Reply {
            interval: Duration::from_secs(60),
            warning: Some(text.to_owned()),
            ..Reply::default()
        })
    };
    let texts = ["no IPv6", "no IPv6", "no IPv6", "full", "no IPv6", "no IPv6"];
    let world = World::new([Behaviour::Sequence(texts.map(warning).to_vec())]);
    let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    let mut warnings = Vec::new();
    // A warning follows its `Announced`, so the last one is seen with one announce more.
    for _ in 0..=texts.len() {
        let alerts = alerts_until(&mut session, is_announced).await;
        warnings.extend(alerts.into_iter().filter_map(|alert| match alert {
            Alert::Warning { text, .. } => Some(text),
            _ => None,
        }));
    }
    assert_eq!(warnings, ["no IPv6", "full", "no IPv6"]);
}

/// R42 and R43: `retry in` counts minutes and binds its sender; "never" holds for the session.
#[tokio::test(start_paused = true)]
async fn retry_in_binds_its_sender() {
    let busy = Behaviour::retry_in("busy", RetryIn::Minutes(5));
    let gone = Behaviour::retry_in("gone", RetryIn::Never);
    let world = World::new([busy, gone, Behaviour::Sequence(vec![Behaviour::status(503), every(60)])]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(200).await;
    assert!(world.received_text().starts_with("0:started 1:started 2:started 2:started 2:none"));
    world.tracker(2).kill().await;
    sleep(7200).await;
    let times = |number: usize| world.tracker(number).announces().len();
    assert_eq!(times(1), 1, "never");
    let first = world.tracker(0).announces()[0].at;
    let again = world.tracker(0).announces().get(1).map(|heard| heard.at - first);
    assert!(again.is_some_and(|gap| gap >= Duration::from_secs(300)), "{again:?}");
    drop(session);
}

/// R40: `interval` 0 isn't taken at its word.
#[tokio::test(start_paused = true)]
async fn an_interval_of_zero_is_half_an_hour() {
    let world = World::new([every(0)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(3600).await;
    let count = world.tracker(0).announces().len();
    assert!((2..=3).contains(&count), "{count} announces in an hour");
    drop(session);
}

/// Wanting peers respects the min interval; a forced announce doesn't, and a suspended tracker is sent nothing.
#[tokio::test(start_paused = true)]
async fn wanting_peers_waits_for_the_min_interval_and_force_does_not() {
    let polite = Behaviour::ok_every(Duration::from_secs(1800), Some(Duration::from_secs(300)));
    let world = World::new([polite]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(10).await;
    session.want_peers();
    sleep(200).await;
    assert_eq!(world.received_text(), "0:started");
    sleep(100).await;
    assert_eq!(world.received_text(), "0:started 0:none");
    session.announce_now().await.unwrap();
    assert_eq!(world.received_text(), "0:started 0:none 0:none");
    world.tracker(0).set_behaviour(Behaviour::retry_in("busy", RetryIn::Minutes(60)));
    session.announce_now().await.unwrap_err();
    let error = session.announce_now().await.unwrap_err();
    assert_eq!(world.tracker(0).announces().len(), 4);
    assert!(error.to_string().contains("the tracker asked us to wait"), "{error}");
}

/// The list is replaced at run time: what is known stays, removed trackers aren't asked any more.
#[tokio::test(start_paused = true)]
async fn the_list_can_change_at_run_time() {
    let world = World::new([every(60), every(60), every(60)]);
    let session = world.announcer(by_list()).session(TrackerSet::new([[world.url(0)]]), torrent());
    sleep(10).await;
    session.add_tracker(1, world.url(1));
    session.remove_tracker(world.url(0));
    sleep(1).await;
    assert_eq!(world.received_text(), "0:started 1:started", "at once: the one in use is gone");
    sleep(30).await;
    session.replace_trackers(vec![vec![world.url(2)], vec![world.url(1)]]);
    sleep(60).await;
    assert_eq!(world.received_text(), "0:started 1:started 1:none", "the one in use stays in use");
    let trackers = session.trackers().unwrap();
    assert_eq!(trackers.tier_of(&world.url(1)), Some(1));
    session.stop().await.unwrap();
    assert!(
        world.received_text().ends_with("0:stopped 1:stopped")
            || world.received_text().ends_with("1:stopped 0:stopped")
    );
}

/// A session without trackers raises an alert, and starts when one is added.
#[tokio::test(start_paused = true)]
async fn a_torrent_without_trackers_waits_for_one() {
    let world = World::new([every(60)]);
    let mut session = world.announcer(by_list()).session(TrackerSet::default(), torrent());
    let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::RoundFailed { .. })).await;
    assert!(alerts.last().unwrap().to_string().contains("no tracker to announce to"));
    session.add_tracker(0, world.url(0));
    alerts_until(&mut session, is_announced).await;
    assert_eq!(world.received_text(), "0:started");
}

/// R9: a failing scrape never moves the announce cursor.
#[tokio::test(start_paused = true)]
async fn a_failing_scrape_moves_nothing() {
    let first = every(60).when(Asked::Scrape, Behaviour::status(500));
    let world = World::new([first, every(60)]);
    let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(10).await;
    for _ in 0..3 {
        session.scrape().await.unwrap_err();
    }
    world.tracker(0).set_behaviour(every(60));
    // It can be waited for beside the alerts.
    let (swarm, _) = tokio::join!(session.scrape(), session.next_alert());
    let swarm = swarm.unwrap();
    assert_eq!(swarm.files.values().next().and_then(|counts| counts.incomplete), Some(1));
    sleep(60).await;
    assert_eq!(world.received_text(), "0:started 0:none");
    assert_eq!(session.status().unwrap().in_use, Some(world.url(0)));
}

/// R48-06: a tracker that doesn't want to be scraped again yet isn't, by any torrent of the process.
#[tokio::test(start_paused = true)]
async fn a_tracker_is_not_scraped_sooner_than_it_wants() {
    let hash = String::from_utf8(super::world::INFO_HASH.to_vec()).unwrap();
    let body = format!("d5:filesd20:{hash}d8:completei7eee5:flagsd20:min_request_intervali600eee");
    let world = World::new([every(900).when(Asked::Scrape, Behaviour::body(body))]);
    let announcer = world.announcer(by_list());
    let session = announcer.session(world.in_tiers(), torrent());
    let mut other = torrent();
    other.info_hash = InfoHash::new([9; 20]);
    let other = announcer.session(world.in_tiers(), other);
    sleep(10).await;
    let scrapes = || world.tracker(0).heard().iter().filter(|heard| heard.asked() == Asked::Scrape).count();
    let first = session.scrape().await.unwrap();
    sleep(500).await;
    assert_eq!((session.scrape().await.unwrap(), scrapes()), (first, 1), "the last answer once more");
    let error = other.scrape().await.unwrap_err();
    assert!(matches!(error, AnnounceError::Suspended) && scrapes() == 1, "{error}");
    sleep(101).await;
    other.scrape().await.unwrap();
    assert_eq!(scrapes(), 2);
}

/// R64: keys in the order of a Go map. R62: a line end after the reply. R61: no peers key. All accepted.
#[tokio::test(start_paused = true)]
async fn replies_as_trackers_really_write_them() {
    for body in [
        "d8:intervali900e8:completei0e10:incompletei1ee",
        "d8:intervali900e5:peers0:e\r\n",
        "d8:completei1ee",
    ] {
        let world = World::new([Behaviour::body(body)]);
        let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
        alerts_until(&mut session, is_announced).await;
    }
}

/// R66: the passkey in the address's own query is sent as it stands.
#[tokio::test(start_paused = true)]
async fn the_query_of_the_address_is_kept_byte_for_byte() {
    let world = World::new([every(60)]);
    let tracker = world.tracker(0).url_with("/announce.php?passkey=aB%2fc&x=%zz").parse().unwrap();
    let mut session = world.announcer(by_list()).session(TrackerSet::new([[tracker]]), torrent());
    alerts_until(&mut session, is_announced).await;
    let query = world.tracker(0).announces()[0].query.clone().unwrap();
    assert!(
        query.starts_with("passkey=aB%2fc&x=%zz&info_hash=") && query.matches('?').count() == 0,
        "{query}"
    );
}

/// `completed` is never sent to two trackers beside each other: one that stalls has its full time.
#[tokio::test(start_paused = true)]
async fn completed_is_not_hedged() {
    let stalls = Behaviour::Sequence(vec![every(60), every(60).after(Duration::from_secs(9)), every(60)]);
    let world = World::new([stalls, every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(10).await;
    session.complete();
    sleep(20).await;
    assert_eq!(world.received_text(), "0:started 0:completed");
    drop(session);
}
