//! Thousands of torrents on few hosts, half of them silent: pacing, order, fairness, and the end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use tracker_failover::policy::{AttemptId, Engine, Input, Output, Timestamp, TorrentId};
use tracker_failover::{Config, Probing, TrackerSet};
use tracker_failover::{Event, InfoHash, PeerId, Torrent, TrackerUrl};

const ROUND_TRIP: Duration = Duration::from_millis(50);

struct Crowd {
    engine: Engine,
    now: Timestamp,
    inputs: BinaryHeap<Reverse<(Timestamp, u64)>>,
    answers: BTreeMap<u64, Input>,
    next: u64,
    open: BTreeMap<AttemptId, TrackerUrl>,
    /// When each host heard which event.
    heard: BTreeMap<String, Vec<(Timestamp, Option<Event>, InfoHash)>>,
    ended: BTreeSet<TorrentId>,
    silent_openings: usize,
    /// Half of those who live have fallen silent.
    asleep: bool,
}

impl Crowd {
    fn new(config: Config) -> Self {
        Self {
            engine: Engine::new(config, 7),
            now: Timestamp::ZERO,
            inputs: BinaryHeap::new(),
            answers: BTreeMap::new(),
            next: 0,
            open: BTreeMap::new(),
            heard: BTreeMap::new(),
            ended: BTreeSet::new(),
            silent_openings: 0,
            asleep: false,
        }
    }

    fn is_silent(&self, tracker: &TrackerUrl) -> bool {
        tracker.host().starts_with("silent") || (self.asleep && tracker.host().starts_with("sleepy"))
    }

    fn add(&mut self, number: u16, trackers: &[String], left: u64) -> TorrentId {
        let mut info_hash = [0; 20];
        info_hash[..2].copy_from_slice(&number.to_be_bytes());
        let mut torrent = Torrent::new(InfoHash::new(info_hash), PeerId::new([1; 20]), 6881);
        torrent.transfer.left = Some(left);
        let set = TrackerSet::new([trackers.iter().map(|tracker| tracker.parse().unwrap())]);
        self.engine.add(set, torrent, self.now)
    }

    fn later(&mut self, input: Input) {
        self.next += 1;
        self.inputs.push(Reverse((self.now + ROUND_TRIP, self.next)));
        self.answers.insert(self.next, input);
    }

    /// Plays until this moment, or until nothing is left to happen.
    fn play_until(&mut self, end: Timestamp) {
        loop {
            match self.engine.poll(self.now) {
                Output::Open { attempt, tracker } => {
                    if self.is_silent(&tracker) {
                        self.silent_openings += 1;
                    } else {
                        self.later(Input::Opened(attempt));
                    }
                    self.open.insert(attempt, tracker);
                }
                Output::Announce { attempt, request } => {
                    let host = self.open[&attempt].host().to_owned();
                    self.heard.entry(host).or_default().push((self.now, request.event, request.info_hash));
                    self.later(Input::Replied(attempt, Box::default()));
                }
                Output::Ended { torrent, .. } => {
                    self.ended.insert(torrent);
                }
                Output::Wait(wake) => {
                    let next = self.inputs.peek().map(|Reverse((at, _))| *at);
                    let at = [wake, next].into_iter().flatten().min().unwrap_or(end).min(end);
                    if at >= end {
                        self.now = end;
                        return;
                    }
                    self.now = at;
                    while let Some(Reverse((due, number))) = self.inputs.peek().copied()
                        && due <= self.now
                    {
                        self.inputs.pop();
                        let input = self.answers.remove(&number).unwrap();
                        self.engine.handle(input, self.now);
                    }
                }
                _ => {}
            }
        }
    }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(secs))
}

fn without_probing() -> Config {
    let mut config = Config::default();
    config.probing = Probing::Off;
    config
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

/// G9: start-up is paced per host, torrents that want peers go first, and shutdown ends in time with everybody
/// told who can be.
#[test]
fn two_thousand_torrents_over_ten_hosts_half_of_them_silent() {
    let mut crowd = Crowd::new(without_probing());
    let mut torrents = Vec::new();
    for number in 0..2000_u16 {
        // Every torrent lists a silent and a live tracker; every second one the silent first.
        let mut trackers = vec![
            format!("http://silent{}.test/announce", number % 5),
            format!("http://live{}.test/announce", number / 5 % 5),
        ];
        trackers.rotate_left(usize::from(number % 2));
        torrents.push(crowd.add(number, &trackers, u64::from(number % 4 != 0)));
    }
    crowd.play_until(at(40));
    let told: usize = crowd.heard.values().map(Vec::len).sum();
    assert_eq!(told, 2000, "each is announced once");
    for (host, heard) in &crowd.heard {
        let moments: Vec<_> = heard.iter().map(|(when, ..)| *when).collect();
        assert!(most_in_a_second(&moments) <= 40, "{host}: {}", most_in_a_second(&moments));
        let seeds = heard.iter().position(|(.., hash)| hash.as_bytes()[1].is_multiple_of(4)).unwrap();
        assert!(seeds > 280, "{host}: the first seed was number {seeds}");
    }
    assert!(crowd.silent_openings < 60, "{} openings at silent hosts", crowd.silent_openings);

    let stopped_at = crowd.now;
    for torrent in &torrents {
        crowd.engine.stop(*torrent, crowd.now);
    }
    crowd.play_until(at(60));
    assert_eq!(crowd.ended.len(), 2000);
    for (host, heard) in &crowd.heard {
        let stopped: Vec<_> = heard.iter().filter(|(_, event, _)| *event == Some(Event::Stopped)).collect();
        let last = stopped.last().map(|(when, ..)| when.since(stopped_at));
        assert!(last.is_some_and(|last| last <= Duration::from_secs(3)), "{host}: {last:?}");
        // Four connections at once and two round trips each: as many as fit into three seconds.
        assert!(stopped.len() >= 4 * 28, "{host}: {} were told", stopped.len());
    }
}

/// G9: half the hosts fall silent, everything is stopped: within three seconds all is over, and whoever could be told
/// was told, by as many connections as there may be and faster than the pace of other announces.
#[test]
fn within_three_seconds_every_registration_that_can_be_reached_is_stopped() {
    let mut crowd = Crowd::new(without_probing());
    let mut torrents = Vec::new();
    for number in 0..1000_u16 {
        let kind = if number % 2 == 0 { "live" } else { "sleepy" };
        torrents.push(crowd.add(number, &[format!("http://{kind}{}.test/announce", number % 20)], 1));
    }
    crowd.play_until(at(40));
    let registered = |crowd: &Crowd| crowd.heard.values().map(Vec::len).sum::<usize>();
    assert_eq!((registered(&crowd), crowd.heard.len()), (1000, 20));
    crowd.heard.clear();
    crowd.asleep = true;
    for torrent in &torrents {
        crowd.engine.stop(*torrent, crowd.now);
    }
    crowd.play_until(at(43) + Duration::from_millis(1));
    assert_eq!(crowd.ended.len(), 1000);
    assert_eq!((registered(&crowd), crowd.heard.len()), (500, 10), "all that live");
    for (host, heard) in &crowd.heard {
        assert!(heard.iter().all(|(_, event, _)| *event == Some(Event::Stopped)), "{host}");
        let last = heard.last().map(|(when, ..)| when.since(at(40)));
        // Fifty at 20 a second would take a second and a half beyond the burst.
        assert!(last.is_some_and(|last| last < Duration::from_millis(1400)), "{host}: {last:?}");
    }
}

/// R16: sixty torrents on a stalled host delay no announce elsewhere.
#[test]
fn a_stalled_host_delays_nobody_else() {
    let mut crowd = Crowd::new(without_probing());
    for number in 0..60 {
        crowd.add(number, &["http://silent.test/announce".to_owned()], 1);
    }
    crowd.add(60, &["http://live.test/announce".to_owned()], 1);
    crowd.play_until(at(5));
    assert_eq!(crowd.heard["live.test"][0].0, Timestamp::ZERO + ROUND_TRIP);
    assert!(crowd.silent_openings <= 4, "{}", crowd.silent_openings);
}

/// R46: after a night's sleep overdue announces are spread, nobody is blamed, and nobody hears `started` again.
#[test]
fn after_a_sleep_announces_are_spread_and_nobody_is_blamed() {
    let mut crowd = Crowd::new(without_probing());
    for number in 0..400_u16 {
        crowd.add(number, &[format!("http://live{}.test/announce", number % 40)], 1);
    }
    crowd.play_until(at(100));
    assert_eq!(crowd.heard.values().map(Vec::len).sum::<usize>(), 400);
    crowd.heard.clear();
    let night = Duration::from_secs(8 * 3600);
    crowd.now = crowd.now + night;
    crowd.engine.resumed(night, crowd.now);
    crowd.play_until(at(200) + night);
    let mut heard: Vec<_> = crowd.heard.values().flatten().collect();
    heard.sort_by_key(|(when, ..)| *when);
    assert_eq!(heard.len(), 400);
    assert!(heard.iter().all(|(_, event, _)| event.is_none()));
    let (first, last) = (heard[0].0.before(night), heard[399].0.before(night));
    assert!(first >= at(102), "the network needs a moment to come up: {first:?}");
    let spread = last.since(first);
    assert!(spread > Duration::from_secs(15) && last < at(165), "{spread:?}");
}
