//! Handles that are shared, paused and changed: what trackers receive of it, and with which counters.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use fake_tracker::{Behaviour, Heard};
use tracker_failover::{
    Alert, Announcer, AnnouncerEnded, Config, Counters, InfoHash, Order, PeerCounts, Probing, RoundError,
    TrackerSet, Transfer,
};

use super::world::{AddSession, World, alerts_until, is_announced, one_at_a_time, torrent};

fn by_list() -> Config {
    one_at_a_time().probing(Probing::Off)
}

fn every(secs: u64) -> Behaviour {
    Behaviour::ok_every(Duration::from_secs(secs), None)
}

async fn sleep(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

fn left(left: u64) -> Transfer {
    Transfer { downloaded: 1000 - left, left: Some(left), ..Transfer::default() }
}

/// An announce with what differs between those of this file: `started port=6881 left=1000`.
fn shown(heard: &Heard) -> String {
    let event = heard.event().unwrap_or("none");
    format!("{event} port={} left={}", heard.port().unwrap_or_default(), heard.left().unwrap_or(u64::MAX))
}

type Play = fn(World, Announcer) -> Pin<Box<dyn Future<Output = World>>>;

/// What happens, and what the trackers receive of it: the number of the tracker, and the event.
struct Row {
    what: &'static str,
    play: Play,
    received: &'static str,
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test(start_paused = true)]
async fn trackers_receive_what_they_should_in_order() {
    let rows = [
        Row {
            what: "two clones after a shutdown",
            received: "0:started 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let clone = announcer.clone();
                    let session = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    assert!(announcer.shutdown(Duration::from_secs(3)).await.complete);
                    for announcer in [announcer, clone] {
                        assert_eq!(announcer.ended(), Some(AnnouncerEnded::ShutDown));
                        let (handle, mut alerts) = announcer.add(world.in_tiers(), torrent());
                        assert!(matches!(alerts.next().await, Some(Alert::AnnouncerEnded { .. })));
                        assert_eq!(handle.stop().await.unwrap_err(), AnnouncerEnded::ShutDown);
                    }
                    assert!(session.status().is_none());
                    world
                })
            },
        },
        Row {
            what: "a handle in an `Arc`, stopped through one of two clones, and stopped again",
            received: "0:started 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let (handle, alerts) = announcer.add(world.in_tiers(), torrent());
                    drop(alerts);
                    let shared = Arc::new(handle);
                    sleep(1).await;
                    let stopping = Arc::clone(&shared);
                    let stopped = tokio::spawn(async move { stopping.stop().await }).await.unwrap().unwrap();
                    assert_eq!((stopped.results.len(), stopped.trackers.len()), (1, 2));
                    shared.reannounce();
                    assert_eq!(shared.stop().await.unwrap_err(), AnnouncerEnded::TorrentEnded);
                    assert!(shared.status().is_none() && announcer.ended().is_none());
                    world
                })
            },
        },
        Row {
            what: "the last of three clones ends the torrent",
            received: "0:started 0:none 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let (first, _alerts) = announcer.add(world.in_tiers(), torrent());
                    let (second, third) = (first.clone(), first.clone());
                    sleep(1).await;
                    drop(first);
                    drop(third);
                    sleep(61).await;
                    drop(second);
                    sleep(1).await;
                    world
                })
            },
        },
        Row {
            what: "the same torrent added twice: the tracker knows both as one peer",
            received: "0:started 0:started 0:none 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let first = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    let second = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    assert!(first.stop().await.unwrap().results.is_empty());
                    sleep(60).await;
                    second.stop().await.unwrap();
                    world
                })
            },
        },
        Row {
            what: "one of two sessions of a torrent paused, resumed, and stopped",
            received: "0:started 0:started 0:started 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let first = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    let second = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    first.pause();
                    sleep(1).await;
                    first.resume();
                    sleep(1).await;
                    second.stop().await.unwrap();
                    first.stop().await.unwrap();
                    world
                })
            },
        },
        Row {
            what: "paused and resumed",
            received: "0:started 0:stopped 0:started 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let session = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    session.pause();
                    session.pause();
                    sleep(3600).await;
                    session.reannounce();
                    let refused = session.announce_now().await.unwrap_err();
                    assert!(matches!(&*refused, RoundError::Paused), "{refused}");
                    session.resume();
                    session.resume();
                    sleep(1).await;
                    session.stop().await.unwrap();
                    world
                })
            },
        },
        Row {
            what: "paused in silence, and resumed",
            received: "0:started 0:none 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let session = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    session.pause_silently();
                    sleep(600).await;
                    session.resume();
                    sleep(1).await;
                    session.stop().await.unwrap();
                    world
                })
            },
        },
        Row {
            what: "resumed while `stopped` is on its way",
            received: "0:started 0:stopped 0:started 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let session = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    world.tracker(0).set_behaviour(every(60).after(Duration::from_secs(1)));
                    session.pause();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    session.resume();
                    sleep(5).await;
                    session.stop().await.unwrap();
                    world
                })
            },
        },
        Row {
            what: "stopped in a pause: nothing is left to send, and the trackers come back",
            received: "0:started 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let session = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    session.pause();
                    sleep(10).await;
                    let stopped = session.stop().await.unwrap();
                    assert!(stopped.results.is_empty() && stopped.trackers.len() == 2);
                    world
                })
            },
        },
        Row {
            what: "stopped in a silent pause",
            received: "0:started 0:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let session = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    session.pause_silently();
                    sleep(10).await;
                    session.stop().await.unwrap();
                    world
                })
            },
        },
        Row {
            what: "forgotten",
            received: "0:started",
            play: |world, announcer| {
                Box::pin(async move {
                    let session = announcer.session(world.in_tiers(), torrent());
                    sleep(1).await;
                    session.forget();
                    sleep(100).await;
                    assert_eq!(session.stop().await.unwrap_err(), AnnouncerEnded::TorrentEnded);
                    world
                })
            },
        },
        Row {
            what: "a tracker added in a pause, and the old one removed",
            received: "0:started 0:stopped 1:started 1:stopped",
            play: |world, announcer| {
                Box::pin(async move {
                    let session = announcer.session(TrackerSet::new([[world.url(0)]]), torrent());
                    sleep(1).await;
                    session.pause();
                    sleep(1).await;
                    session.replace_trackers(vec![vec![world.url(1)]]);
                    session.set_order(Order::Bep12);
                    sleep(100).await;
                    assert_eq!(session.trackers().unwrap().order(), Order::Bep12);
                    session.resume();
                    sleep(1).await;
                    session.stop().await.unwrap();
                    world
                })
            },
        },
    ];
    for Row { what, play, received } in rows {
        let world = World::new([every(60), every(60)]);
        let announcer = world.announcer(by_list().order(Order::Bep12));
        let world = play(world, announcer).await;
        assert_eq!(world.received_text(), received, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_changed_twice_is_announced_once_and_also_after_a_pause() {
    let world = World::new([every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    sleep(1).await;
    session.set_port(1111);
    session.set_port(2222);
    sleep(2).await;
    session.pause();
    sleep(2).await;
    session.set_port(3333);
    sleep(100).await;
    session.resume();
    sleep(1).await;
    session.stop().await.unwrap();
    let heard: Vec<String> = world.tracker(0).announces().iter().map(shown).collect();
    assert_eq!(
        heard,
        [
            "started port=6881 left=1000",
            "none port=2222 left=1000",
            "stopped port=2222 left=1000",
            "started port=3333 left=1000",
            "stopped port=3333 left=1000",
        ]
    );
}

/// Key and totals are those of one session.
#[tokio::test(start_paused = true)]
async fn a_pause_keeps_key_and_counters_and_a_download_that_completes_in_it_sends_no_completed() {
    let world = World::new([every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    session.update(Transfer { uploaded: 70, downloaded: 400, left: Some(600), ..Transfer::default() });
    sleep(1).await;
    session.pause();
    sleep(1).await;
    session.update(Transfer { uploaded: 80, downloaded: 1000, left: Some(0), ..Transfer::default() });
    session.complete();
    sleep(100).await;
    session.resume();
    sleep(100).await;
    let heard = world.tracker(0).announces();
    let events: Vec<_> = heard.iter().map(shown).collect();
    assert_eq!(
        events[..3],
        ["started port=6881 left=600", "stopped port=6881 left=600", "started port=6881 left=0"]
    );
    assert!(events[3..].iter().all(|event| event.starts_with("none")), "{events:?}");
    assert_eq!((heard[2].uploaded(), heard[2].downloaded()), (Some(80), Some(1000)));
    assert!(heard.iter().all(|announce| announce.key() == heard[0].key()));
}

/// What a client counts, and how often it was asked.
#[derive(Clone, Default)]
struct Counted {
    left: Arc<AtomicU64>,
    asked: Arc<AtomicUsize>,
}

impl Counters for Counted {
    fn transfer(&mut self) -> Transfer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        left(self.left.load(Ordering::Relaxed))
    }

    fn peers(&mut self) -> Option<PeerCounts> {
        Some(PeerCounts { connected: 30, ..PeerCounts::default() })
    }
}

#[tokio::test(start_paused = true)]
async fn counters_are_read_when_an_announce_is_written_and_at_no_other_time() {
    let world = World::new([every(60)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    let counted = Counted::default();
    counted.left.store(700, Ordering::Relaxed);
    session.count_with(counted.clone());
    sleep(1).await;
    counted.left.store(600, Ordering::Relaxed);
    sleep(60).await;
    let asked = counted.asked.load(Ordering::Relaxed);
    // The download ends between two announces, and the client doesn't call `complete`.
    counted.left.store(0, Ordering::Relaxed);
    sleep(60).await;
    sleep(60).await;
    session.stop().await.unwrap();
    let heard: Vec<String> = world.tracker(0).announces().iter().map(shown).collect();
    assert_eq!(
        heard,
        [
            "started port=6881 left=700",
            "none port=6881 left=600",
            "completed port=6881 left=0",
            "none port=6881 left=0",
            "stopped port=6881 left=0",
        ]
    );
    assert_eq!((asked, counted.asked.load(Ordering::Relaxed)), (2, 5), "once for each announce");
}

#[tokio::test(start_paused = true)]
async fn stopped_carries_the_last_counters_and_completed_before_it_where_that_is_due() {
    let world = World::new([every(1800)]);
    let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    let counted = Counted::default();
    counted.left.store(500, Ordering::Relaxed);
    session.count_with(counted.clone());
    sleep(10).await;
    counted.left.store(0, Ordering::Relaxed);
    session.stop().await.unwrap();
    let heard: Vec<String> = world.tracker(0).announces().iter().map(shown).collect();
    assert_eq!(
        heard,
        ["started port=6881 left=500", "completed port=6881 left=0", "stopped port=6881 left=0"]
    );
}

/// What came a moment after an announce is in the next one, however soon that follows.
#[tokio::test(start_paused = true)]
async fn counters_are_read_anew_for_each_announce() {
    let world = World::new([every(1800)]);
    let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    let counted = Counted::default();
    counted.left.store(500, Ordering::Relaxed);
    session.count_with(counted.clone());
    alerts_until(&mut session, is_announced).await;
    counted.left.store(499, Ordering::Relaxed);
    session.announce_now().await.unwrap();
    counted.left.store(498, Ordering::Relaxed);
    session.stop().await.unwrap();
    let left: Vec<_> = world.tracker(0).announces().iter().map(Heard::left).collect();
    assert_eq!(left, [Some(500), Some(499), Some(498)]);
    assert!(world.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn what_was_complete_when_it_was_checked_sends_no_completed() {
    // (what is known at first, whether the client says that it found it complete)
    for (first, found) in [(None, false), (Some(1000), true), (None, true)] {
        let world = World::new([every(60)]);
        let mut torrent = torrent();
        torrent.transfer.left = first;
        let session = world.announcer(by_list()).session(world.in_tiers(), torrent);
        sleep(1).await;
        if found {
            session.found_complete();
        } else {
            session.update(Transfer { left: Some(0), ..Transfer::default() });
        }
        sleep(130).await;
        session.stop().await.unwrap();
        assert_eq!(world.received_text(), "0:started 0:none 0:none 0:stopped", "{first:?} {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_that_becomes_complete_is_announced_at_once_however_it_is_reported() {
    for by_update in [false, true] {
        let world = World::new([every(1800)]);
        let session = world.announcer(by_list()).session(world.in_tiers(), torrent());
        sleep(1).await;
        if by_update {
            session.update(left(0));
        } else {
            session.complete();
        }
        sleep(1).await;
        session.complete();
        sleep(1).await;
        assert_eq!(world.received_text(), "0:started 0:completed", "by update: {by_update}");
    }
}

#[tokio::test(start_paused = true)]
async fn counters_that_panic_delay_an_announce_by_a_second() {
    let world = World::new([every(60)]);
    let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    session.count_with(|| -> Transfer { panic!("on purpose") });
    alerts_until(&mut session, is_announced).await;
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(4)).contains(&world.elapsed()),
        "{:?}",
        world.elapsed()
    );
    assert_eq!(world.tracker(0).announces()[0].left(), Some(1000), "the last counters stand");
}

/// Code of the client that runs in the loop may look at the torrents.
#[tokio::test(start_paused = true)]
async fn counters_and_changes_may_look_at_the_torrent() {
    let world = World::new([every(60)]);
    let mut session = world.announcer(by_list()).session(world.in_tiers(), torrent());
    let looks = session.subscribe();
    drop(looks);
    let handle = (*session).clone();
    session.count_with(move || left(handle.status().map_or(1, |status| status.tiers.len() as u64 * 100)));
    let handle = (*session).clone();
    session.change_trackers(move |trackers| assert_eq!(handle.trackers().unwrap().len(), trackers.len()));
    alerts_until(&mut session, is_announced).await;
    assert_eq!(world.tracker(0).announces()[0].left(), Some(100));
    // The closures hold handles, so the torrent doesn't end by itself.
    session.stop().await.unwrap();
    assert_eq!(world.received_text(), "0:started 0:stopped");
}

#[tokio::test(start_paused = true)]
async fn one_listener_hears_of_all_torrents_and_one_view_shows_all_hosts() {
    let world = World::new([every(60), Behaviour::Refused]);
    let announcer = world.announcer(by_list().order(Order::Bep12));
    let mut all = announcer.alerts();
    let mut other = torrent();
    other.info_hash = InfoHash::new([7; 20]);
    let first = announcer.session(TrackerSet::new([[world.url(0)]]), torrent());
    let second = announcer.session(TrackerSet::new([[world.url(1)], [world.url(0)]]), other);
    sleep(61).await;
    let hosts = announcer.hosts();
    let by_url =
        |number: usize| hosts.iter().find(|host| host.host == world.url(number).tracker_host()).unwrap();
    let (living, dead) = (by_url(0), by_url(1));
    assert_eq!((living.torrents, living.successes, living.failures_in_a_row), (2, 4, 0));
    assert_eq!((dead.torrents, dead.successes, dead.failures_in_a_row), (1, 0, 2), "at each announce");
    assert!(living.backing_off.is_none() && dead.backing_off.is_some());
    assert!(living.requests_per_second > 0.01 && living.latency.is_some() && living.last_answer.is_some());
    assert_eq!((living.in_flight, living.queued), (0, 0));
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    drop(announcer);
    drop((first, second));
    let mut answered = Vec::new();
    while let Some((torrent, alert)) = all.next().await {
        if let Alert::Announced(announced) = alert {
            assert!(announced.took < Duration::from_secs(1));
            answered.push(torrent.as_bytes()[0]);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [7, 7, b'a', b'a']);
}
