//! The latency cache: what one run finds out the next one knows, and no state of its file stops an announce.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use fake_tracker::{Asked, Behaviour, Reply};
use tempfile::TempDir;
use tracker_failover::wire::cache::{decode, encode};
use tracker_failover::{Alert, Announcer, HostSnapshot, Probing, RttSnapshot, TrackerSet};

use super::world::{
    AddSession, INFO_HASH, Session, World, alerts_until, is_announced, one_at_a_time, probes, torrent,
};

const DAY: u64 = 24 * 3600;

/// A folder, and where the cache goes in it.
fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("hosts");
    (folder, path)
}

/// Trackers at these distances.
fn world(millis: &[u64]) -> World {
    let world = World::new(millis.iter().map(|_| Behaviour::ok()));
    for (number, millis) in millis.iter().enumerate() {
        world.tracker(number).set_latency(Duration::from_millis(*millis));
    }
    world
}

fn announcer(world: &World, path: &Path) -> Announcer {
    world.builder().latency_cache(path).spawn()
}

/// A run that measures everything, and ends well.
async fn run(world: &World, path: &Path) -> Vec<Alert> {
    let announcer = announcer(world, path);
    let mut session = announcer.session(world.in_tiers(), torrent());
    let mut alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::FailoverOrder { .. })).await;
    alerts.extend(end(announcer, session).await);
    alerts
}

/// Shuts down, with what was still to be heard.
async fn end(announcer: Announcer, mut session: Session) -> Vec<Alert> {
    announcer.shutdown(Duration::from_secs(10)).await;
    let mut alerts = Vec::new();
    while let Some(alert) = session.next_alert().await {
        alerts.push(alert);
    }
    alerts
}

fn ignored(alerts: &[Alert]) -> Vec<String> {
    let reason = |alert: &Alert| match alert {
        Alert::CacheFailed { reason } => Some(reason.to_string()),
        _ => None,
    };
    alerts.iter().filter_map(reason).collect()
}

fn chosen(world: &World, alerts: &[Alert]) -> usize {
    match alerts.last() {
        Some(Alert::Announced(announced)) => world.number(&announced.tracker),
        other => panic!("{other:?}"),
    }
}

fn hosts_in(path: &Path) -> Vec<HostSnapshot> {
    decode(&fs::read(path).unwrap()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "what is remembered goes by the calendar")]
fn calendar() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A cache in which a world's trackers answered then, each so fast.
fn cache_of(world: &World, millis: &[u64], at: u64) -> Vec<u8> {
    let known = |(number, millis): (usize, &u64)| {
        let time = |millis| RttSnapshot {
            srtt: Duration::from_millis(millis),
            rttvar: Duration::ZERO,
            at,
            samples: 3,
        };
        let mut host = HostSnapshot::new(world.url(number).tracker_host());
        (host.connect, host.reply) = (Some(time(*millis)), Some(time(*millis)));
        host.answered_at = Some(at);
        host
    };
    encode(&millis.iter().enumerate().map(known).collect::<Vec<_>>(), at)
}

#[tokio::test(start_paused = true)]
async fn the_second_start_goes_straight_to_the_nearest_without_probing() {
    let (_folder, path) = folder();
    let world = world(&[60, 10, 30]);
    run(&world, &path).await;
    assert_eq!((0..3).map(|number| probes(world.tracker(number)).len()).collect::<Vec<_>>(), [1, 1, 1]);

    let announcer = announcer(&world, &path);
    let before = world.elapsed();
    let mut session = announcer.session(world.in_tiers(), torrent());
    let alerts = alerts_until(&mut session, is_announced).await;
    let took = world.elapsed().saturating_sub(before);
    assert_eq!(chosen(&world, &alerts), 1);
    assert!(took <= Duration::from_millis(60), "a connection and an answer, 20 ms each: {took:?}");
    assert_eq!((0..3).map(|number| probes(world.tracker(number)).len()).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(ignored(&alerts), [] as [&str; 0]);
    assert_eq!(world.received_text(), "1:started 1:stopped 1:started");
}

/// What failed is looked at again, at once and beside the announce, which doesn't wait for it.
#[tokio::test(start_paused = true)]
async fn a_host_that_was_dead_is_tried_again_and_delays_no_announce() {
    let (_folder, path) = folder();
    let world = world(&[5, 10, 30]);
    world.tracker(0).kill().await;
    run(&world, &path).await;
    world.tracker(0).revive().await;
    world.tracker(0).set_behaviour(Behaviour::ok());
    let dead = hosts_in(&path).into_iter().find(|host| host.host == world.url(0).tracker_host()).unwrap();
    assert!(dead.is_backed_off && dead.answered_at.is_none());

    let announcer = announcer(&world, &path);
    let mut session = announcer.session(world.in_tiers(), torrent());
    let alerts = alerts_until(&mut session, |alert| matches!(alert, Alert::FailoverOrder { .. })).await;
    let measured: Vec<usize> = alerts
        .iter()
        .filter_map(|alert| match alert {
            Alert::Probed { tracker, .. } => Some(world.number(tracker)),
            _ => None,
        })
        .collect();
    assert_eq!(measured, [0], "the others are known");
    assert_eq!(world.received().last().unwrap().0, 1, "the nearest of those known to live");
}

#[tokio::test(start_paused = true)]
async fn a_latency_of_yesterday_orders_and_is_measured_again() {
    let (_folder, path) = folder();
    let world = world(&[60, 10]);
    fs::write(&path, cache_of(&world, &[5, 500], calendar() - DAY)).unwrap();
    let alerts = run(&world, &path).await;
    assert_eq!(probes(world.tracker(0)).len() + probes(world.tracker(1)).len(), 2);
    assert_eq!(ignored(&alerts), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_latency_of_five_hours_ago_is_good_and_one_of_seven_is_not() {
    for (hours, probed) in [(5, 0), (7, 1)] {
        let (_folder, path) = folder();
        let world = world(&[60, 10]);
        fs::write(&path, cache_of(&world, &[60, 10], calendar() - hours * 3600)).unwrap();
        let mut session = announcer(&world, &path).session(world.in_tiers(), torrent());
        let alerts = alerts_until(&mut session, is_announced).await;
        assert_eq!((chosen(&world, &alerts), probes(world.tracker(1)).len()), (1, probed), "{hours} h");
    }
}

/// The clock was ahead when the file was written, or is behind now.
#[tokio::test(start_paused = true)]
async fn a_file_from_the_future_counts_as_of_now() {
    let (_folder, path) = folder();
    let world = world(&[60, 10]);
    fs::write(&path, cache_of(&world, &[60, 10], calendar() + 400 * DAY)).unwrap();
    let announcer = announcer(&world, &path);
    let mut session = announcer.session(world.in_tiers(), torrent());
    let alerts = alerts_until(&mut session, is_announced).await;
    assert_eq!((chosen(&world, &alerts), probes(world.tracker(1)).len()), (1, 0));
    end(announcer, session).await;
    assert!(hosts_in(&path).iter().all(|host| host.heard_at().unwrap() <= calendar()), "and is mended");
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_is_kept_aside_and_stops_nothing() {
    let world = world(&[5, 10]);
    let good = cache_of(&world, &[5, 10], calendar());
    let newer = String::from_utf8_lossy(&good).replace("6:formati1e", "6:formati9e").into_bytes();
    let rows = [
        (good[..good.len() / 2].to_vec(), "it is damaged: expected canonical bencode"),
        (newer, "it is of version 9, expected version 1"),
        (b"[section]\nkey = value\n".to_vec(), "it is not a latency cache"),
        ([good.as_slice(), &vec![b' '; 2 << 20]].concat(), "it is larger than 1048576 bytes"),
    ];
    for (bytes, expected) in rows {
        let (_folder, path) = folder();
        fs::write(&path, &bytes).unwrap();
        let alerts = run(&world, &path).await;
        assert!(alerts.iter().any(is_announced));
        let heard = ignored(&alerts);
        assert!(heard.len() == 1 && heard[0].starts_with(expected), "{heard:?}");
        assert_eq!(hosts_in(&path).len(), 2);
        assert_eq!(fs::read(path.with_extension("bad")).unwrap(), bytes);
        let mut session = announcer(&world, &path).session(world.in_tiers(), torrent());
        assert_eq!(ignored(&alerts_until(&mut session, is_announced).await), [] as [&str; 0], "once");
    }
}

/// One file for the whole announcer: its first session hears of the trouble, and the others don't.
#[tokio::test(start_paused = true)]
async fn only_the_first_session_is_alerted_of_a_bad_file() {
    let (_folder, path) = folder();
    fs::write(&path, b"nonsense").unwrap();
    let world = world(&[5]);
    let announcer = announcer(&world, &path);
    announcer.announce(&mut world.in_tiers(), request()).await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..2 {
        let mut session = announcer.session(world.in_tiers(), torrent());
        heard.push(ignored(&alerts_until(&mut session, is_announced).await).len());
    }
    assert_eq!(heard, [1, 0]);
}

fn request() -> tracker_failover::AnnounceRequest {
    let torrent = torrent();
    tracker_failover::AnnounceRequest::new(torrent.info_hash, torrent.peer_id, torrent.port)
}

#[tokio::test(start_paused = true)]
async fn it_is_written_a_minute_after_something_was_learned_and_not_before() {
    let (_folder, path) = folder();
    let world = world(&[5, 10]);
    let announcer = announcer(&world, &path);
    let mut session = announcer.session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(!path.exists());
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The file has its own thread: its end brings the loop on.
    session.status().unwrap();
    assert_eq!(hosts_in(&path).len(), 2);
    fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!path.exists(), "nothing was learned");
    session.announce_now().await.unwrap();
    end(announcer, session).await;
    assert_eq!(hosts_in(&path).len(), 2, "the end doesn't wait for the minute to be over");
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_written_to_stops_nothing_and_is_reported_once() {
    let (folder, path) = folder();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    }
    // The superuser may write everywhere, but not where there is no folder.
    let is_bound = fs::write(folder.path().join("probe"), b"").is_err();
    let path = if is_bound { path } else { path.join("no such folder") };
    let world = world(&[5]);
    let mut config = one_at_a_time();
    config = config.interval_override(Duration::from_secs(30)).probing(Probing::Off);
    let announcer = world.builder().config(config).latency_cache(&path).spawn();
    let mut session = announcer.session(world.in_tiers(), torrent());
    let mut alerts = Vec::new();
    for _ in 0..20 {
        alerts.extend(alerts_until(&mut session, is_announced).await);
    }
    alerts.extend(end(announcer, session).await);
    let heard = ignored(&alerts);
    assert!(heard.len() == 1 && heard[0].starts_with("it could not be written"), "{heard:?}");
}

/// Both read it when it was empty, and each learns of other trackers.
#[tokio::test(start_paused = true)]
async fn two_announcers_share_one_file() {
    let (_folder, path) = folder();
    let world = world(&[5, 10, 15, 20]);
    let mut parts = Vec::new();
    for numbers in [[0, 1], [2, 3]] {
        let announcer = announcer(&world, &path);
        let trackers = TrackerSet::new([numbers.map(|number| world.url(number))]);
        let mut session = announcer.session(trackers, torrent());
        alerts_until(&mut session, |alert| matches!(alert, Alert::FailoverOrder { .. })).await;
        parts.push((announcer, session));
    }
    for (announcer, session) in parts {
        assert_eq!(ignored(&end(announcer, session).await), [] as [&str; 0]);
    }
    let mut hosts: Vec<_> = hosts_in(&path).into_iter().map(|known| known.host).collect();
    hosts.sort();
    let mut expected: Vec<_> = (0..4).map(|number| world.url(number).tracker_host()).collect();
    expected.sort();
    assert_eq!(hosts, expected);

    let announcer = announcer(&world, &path);
    let mut session = announcer.session(world.in_tiers(), torrent());
    alerts_until(&mut session, is_announced).await;
    assert!(
        (0..4).all(|number| probes(world.tracker(number)).len() == 1),
        "each was measured once, by either"
    );
}

/// The cache file, in the environment of the processes that write it.
const SHARED: &str = "TRACKER_FAILOVER_TEST_CACHE";

/// Each writes it over and over, and at any moment there is a whole one.
#[test]
fn processes_that_write_one_file_at_once_never_break_it() {
    let (folder, path) = folder();
    let child = || {
        let program = std::env::current_exe().unwrap();
        Command::new(program)
            .args(["--exact", "cache::one_of_several_processes", "--ignored"])
            .env(SHARED, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut children: Vec<Child> = (0..3).map(|_| child()).collect();
    let mut looks = 0;
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        if let Ok(bytes) = fs::read(&path) {
            assert!(!decode(&bytes).unwrap().is_empty(), "a whole one, and never an empty one");
            looks += 1;
        }
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert!(looks > 0 && !hosts_in(&path).is_empty());
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["hosts"], "nothing is left behind, nothing was taken for a bad one");
}

#[tokio::test(start_paused = true)]
#[ignore = "started by the test above, with the file in its environment"]
async fn one_of_several_processes() {
    let Some(path) = std::env::var_os(SHARED).map(PathBuf::from) else { return };
    let world = world(&[5, 10, 15]);
    for _ in 0..40 {
        let announcer = announcer(&world, &path);
        let session = announcer.session(world.in_tiers(), torrent());
        session.announce_now().await.unwrap();
        assert_eq!(ignored(&end(announcer, session).await), [] as [&str; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_in_the_file() {
    let (folder, path) = folder();
    let reply = Reply { tracker_id: Some(b"5ec2e7-id".to_vec()), ..Reply::default() };
    let world =
        World::new([Behaviour::Ok(reply), Behaviour::failure("5ec2e7 is unknown"), Behaviour::Refused]);
    let url = |number: usize| {
        let url = world.tracker(number).url_with("/5ec2e7/announce?passkey=5ec2e7");
        url.replace("http://", "http://user:5ec2e7@").parse().unwrap()
    };
    let trackers = TrackerSet::new([[url(0)], [url(1)], [url(2)]]);
    let announcer = announcer(&world, &path);
    let mut session = announcer.session(trackers, torrent());
    alerts_until(&mut session, is_announced).await;
    session.announce_now().await.unwrap();
    end(announcer, session).await;
    assert!(world.tracker(0).announces().iter().all(|heard| heard.asked() == Asked::Announce));
    assert_eq!(hosts_in(&path).len(), 3);
    let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let info_hash = String::from_utf8_lossy(&INFO_HASH);
    for secret in ["5ec2e7", "announce", "passkey", "user", &info_hash, "XX0001"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["hosts"]);
}
