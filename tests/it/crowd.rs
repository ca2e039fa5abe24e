//! Thousands of torrents on few hosts, half of them silent: pacing, order, fairness, and the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracker_failover::policy::{Engine, Output, Timestamp, TorrentId};
use tracker_failover::{
    AnnounceError, AnnounceRequest, AnnounceResponse, Event, InfoHash, PeerId, Torrent, TrackerUrl,
};
use tracker_failover::{Config, Probing, TrackerSet};
use virtual_net::{Scene, Trackers};

use super::world::one_at_a_time;

const ROUND_TRIP: Duration = Duration::from_millis(50);

/// Trackers named `silent` give no sign of life, and those named `sleepy` give none while they are asleep; all others
/// answer.
#[derive(Default)]
struct Hosts {
    /// When each host received which event.
    received: BTreeMap<String, Vec<(Timestamp, Option<Event>, InfoHash)>>,
    ended: BTreeSet<TorrentId>,
    silent_openings: usize,
    asleep: bool,
}

impl Trackers for Hosts {
    fn open(&mut self, tracker: &TrackerUrl, _: Timestamp) -> Option<(Duration, Result<(), AnnounceError>)> {
        let host = tracker.host();
        if host.starts_with("silent") || (self.asleep && host.starts_with("sleepy")) {
            self.silent_openings += 1;
            return None;
        }
        Some((ROUND_TRIP, Ok(())))
    }

    fn announce(
        &mut self,
        tracker: &TrackerUrl,
        request: &AnnounceRequest,
        now: Timestamp,
    ) -> Option<(Duration, Result<AnnounceResponse, AnnounceError>)> {
        let received = self.received.entry(tracker.host().to_owned()).or_default();
        received.push((now, request.event, request.info_hash));
        Some((ROUND_TRIP, Ok(AnnounceResponse::default())))
    }

    fn report(&mut self, output: &Output, _: &mut Engine, _: Timestamp) {
        if let Output::Ended { torrent, .. } = output {
            self.ended.insert(*torrent);
        }
    }
}

impl Hosts {
    fn announces(&self) -> usize {
        self.received.values().map(Vec::len).sum()
    }
}

fn scene() -> Scene<Hosts> {
    Scene::new(without_probing(), 7, Hosts::default())
}

fn add(scene: &mut Scene<Hosts>, number: u16, trackers: &[String], left: u64) -> TorrentId {
    let mut info_hash = [0; 20];
    info_hash[..2].copy_from_slice(&number.to_be_bytes());
    let mut torrent = Torrent::new(InfoHash::new(info_hash), PeerId::new([1; 20]), 6881);
    torrent.transfer.left = Some(left);
    scene.driver.add(TrackerSet::new([trackers.iter().map(|tracker| tracker.parse().unwrap())]), torrent)
}

fn stop(scene: &mut Scene<Hosts>, torrents: &[TorrentId]) {
    let now = scene.driver.now();
    for torrent in torrents {
        scene.driver.engine.stop(*torrent, now);
    }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(secs))
}

fn without_probing() -> Config {
    one_at_a_time().probing(Probing::Off)
}

/// How many of these moments fall into one second, at most.
fn most_in_a_second(moments: &[Timestamp]) -> usize {
    let in_a_second = |first: usize| {
        moments[first..]
            .iter()
            .take_while(|later| later.since(moments[first]) < Duration::from_secs(1))
            .count()
    };
    (0..moments.len()).map(in_a_second).max().unwrap_or(0)
}

/// G9: start-up is paced per host, torrents that want peers go first, and shutdown ends in time, with `stopped`
/// sent to every tracker that can be reached.
#[test]
fn two_thousand_torrents_over_ten_hosts_half_of_them_silent() {
    let mut scene = scene();
    let mut torrents = Vec::new();
    for number in 0..2000_u16 {
        // Every torrent lists a silent and a live tracker; every second one the silent first.
        let mut trackers = vec![
            format!("http://silent{}.test/announce", number % 5),
            format!("http://live{}.test/announce", number / 5 % 5),
        ];
        trackers.rotate_left(usize::from(number % 2));
        torrents.push(add(&mut scene, number, &trackers, u64::from(number % 4 != 0)));
    }
    scene.play_until(at(40));
    assert_eq!(scene.trackers.announces(), 2000, "each is announced once");
    for (host, heard) in &scene.trackers.received {
        let moments: Vec<_> = heard.iter().map(|(when, ..)| *when).collect();
        assert!(most_in_a_second(&moments) <= 40, "{host}: {}", most_in_a_second(&moments));
        let seeds = heard.iter().position(|(.., hash)| hash.as_bytes()[1].is_multiple_of(4)).unwrap();
        assert!(seeds > 280, "{host}: the first seed was number {seeds}");
    }
    assert!(
        scene.trackers.silent_openings < 60,
        "{} openings at silent hosts",
        scene.trackers.silent_openings
    );

    let stopped_at = scene.driver.now();
    stop(&mut scene, &torrents);
    scene.play_until(at(60));
    assert_eq!(scene.trackers.ended.len(), 2000);
    for (host, heard) in &scene.trackers.received {
        let stopped: Vec<_> = heard.iter().filter(|(_, event, _)| *event == Some(Event::Stopped)).collect();
        let last = stopped.last().map(|(when, ..)| when.since(stopped_at));
        assert!(last.is_some_and(|last| last <= Duration::from_secs(3)), "{host}: {last:?}");
        // Four connections at once and two round trips each: as many as fit into three seconds.
        assert!(stopped.len() >= 4 * 28, "{host}: {} were sent `stopped`", stopped.len());
    }
}

/// G9: half the hosts fall silent, everything is stopped: within three seconds all is over, and every living tracker
/// was sent `stopped`, by as many connections as there may be and faster than the pace of other announces.
#[test]
fn within_three_seconds_every_registration_that_can_be_reached_is_stopped() {
    let mut scene = scene();
    let mut torrents = Vec::new();
    for number in 0..1000_u16 {
        let kind = if number % 2 == 0 { "live" } else { "sleepy" };
        torrents.push(add(&mut scene, number, &[format!("http://{kind}{}.test/announce", number % 20)], 1));
    }
    scene.play_until(at(40));
    assert_eq!((scene.trackers.announces(), scene.trackers.received.len()), (1000, 20));
    scene.trackers.received.clear();
    scene.trackers.asleep = true;
    stop(&mut scene, &torrents);
    scene.play_until(at(43) + Duration::from_millis(1));
    assert_eq!(scene.trackers.ended.len(), 1000);
    assert_eq!((scene.trackers.announces(), scene.trackers.received.len()), (500, 10), "all that live");
    for (host, heard) in &scene.trackers.received {
        assert!(heard.iter().all(|(_, event, _)| *event == Some(Event::Stopped)), "{host}");
        let last = heard.last().map(|(when, ..)| when.since(at(40)));
        // Fifty at 20 a second would take a second and a half beyond the burst.
        assert!(last.is_some_and(|last| last < Duration::from_millis(1400)), "{host}: {last:?}");
    }
}

/// R16: sixty torrents on a stalled host delay no announce elsewhere.
#[test]
fn a_stalled_host_delays_no_announce_elsewhere() {
    let mut scene = scene();
    for number in 0..60 {
        add(&mut scene, number, &["http://silent.test/announce".to_owned()], 1);
    }
    add(&mut scene, 60, &["http://live.test/announce".to_owned()], 1);
    scene.play_until(at(5));
    assert_eq!(scene.trackers.received["live.test"][0].0, Timestamp::ZERO + ROUND_TRIP);
    assert!(scene.trackers.silent_openings <= 4, "{}", scene.trackers.silent_openings);
}

/// R46: after a night's sleep overdue announces are spread, no host is blamed, and no tracker is sent `started` again.
#[test]
fn after_a_sleep_announces_are_spread_and_no_host_is_blamed() {
    let mut scene = scene();
    for number in 0..400_u16 {
        add(&mut scene, number, &[format!("http://live{}.test/announce", number % 40)], 1);
    }
    scene.play_until(at(100));
    assert_eq!(scene.trackers.announces(), 400);
    scene.trackers.received.clear();
    let night = Duration::from_secs(8 * 3600);
    scene.driver.sleep(night);
    scene.play_until(at(200) + night);
    let mut heard: Vec<_> = scene.trackers.received.values().flatten().collect();
    heard.sort_by_key(|(when, ..)| *when);
    assert_eq!(heard.len(), 400);
    assert!(heard.iter().all(|(_, event, _)| event.is_none()));
    let (first, last) = (heard[0].0.before(night), heard[399].0.before(night));
    assert!(first >= at(102), "the network needs a moment to come up: {first:?}");
    let spread = last.since(first);
    assert!(spread > Duration::from_secs(15) && last < at(165), "{spread:?}");
}
