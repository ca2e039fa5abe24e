//! Every number that enters the engine, as 0, 1 and as large as can be: no panic, no spin, no end that doesn't come.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use tracker_failover::policy::{Engine, Output, Timestamp, TorrentId};
use tracker_failover::{
    AnnounceError, AnnounceRequest, AnnounceResponse, AnnounceTo, Cause, HostSnapshot, InfoHash, Measurement,
    Peer, PeerAddress, PeerCounts, PeerId, Rejection, Retry, RttSnapshot, Torrent, TrackerUrl, Transfer,
};
use tracker_failover::{Config, TrackerSet};
use virtual_net::{Scene, Trackers};

/// So many steps at one moment, and within one second, are no spin: there are five torrents.
const STEPS_AT_ONCE: usize = 600;
const STEPS_A_SECOND: usize = 3000;

/// A life ends after so many steps.
const STEPS: usize = 1200;

const ROUND_TRIP: Duration = Duration::from_millis(10);

/// An answer that comes so late is later than the patience with it: another tracker is asked meanwhile, and answers first.
const LATE: Duration = Duration::from_secs(6);

/// After this nothing is waited for any more: fifty years.
const HORIZON: Duration = Duration::from_secs(50 * 365 * 24 * 3600);

const DURATIONS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_secs(1),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];
const NUMBERS: [u64; 3] = [0, 1, u64::MAX];

/// What comes of an announce.
#[derive(Debug, Clone)]
enum Answer {
    Replied { interval: Option<Duration>, min_interval: Option<Duration>, peers: Option<u64>, late: bool },
    Rejected { retry: Retry, interval: Option<Duration> },
    Status(u16, Retry),
    Broken,
    Mute,
}

/// What the user does, or what happens to our machine.
#[derive(Debug, Clone)]
enum Deed {
    OverrideInterval(Option<Duration>),
    NumWant(Option<u32>),
    Update(u64, Option<u64>),
    Peers(u64, u64),
    WantPeers,
    Reannounce,
    Complete,
    Resumed(Duration),
    NetworkChanged,
    Recall(u64, Duration),
}

/// One setting, and how it is set.
type Setting = (&'static str, fn(Config, usize) -> Config);

fn duration(place: usize) -> Duration {
    DURATIONS[place % DURATIONS.len()]
}

fn size(place: usize) -> usize {
    [0, 1, usize::MAX][place % 3]
}

fn small(place: usize) -> u32 {
    [0, 1, u32::MAX][place % 3]
}

const SETTINGS: &[Setting] = &[
    ("announce_to", |config, to| {
        let all = [AnnounceTo::AsNeeded, AnnounceTo::EachTier, AnnounceTo::All, AnnounceTo::One];
        config.announce_to(all[to % all.len()])
    }),
    ("race", |config, to| if to % 2 == 0 { config } else { config.without_race() }),
    ("of_hosts", |config, to| if to % 2 == 0 { config } else { config.without_back_off() }),
    ("tier_patience", |config, to| config.tier_patience(duration(to))),
    ("open_limit", |config, to| config.open_limit(duration(to))),
    ("reply_limit", |config, to| config.reply_limit(duration(to))),
    ("last_open_limit", |config, to| config.last_open_limit(duration(to))),
    ("last_reply_limit", |config, to| config.last_reply_limit(duration(to))),
    ("interval_default", |config, to| config.interval_default(duration(to))),
    ("interval_floor", |config, to| config.interval_floor(duration(to))),
    ("interval_ceiling", |config, to| config.interval_ceiling(duration(to))),
    ("interval_override", |config, to| config.interval_override(duration(to))),
    ("retry_floor", |config, to| config.retry_floor(duration(to))),
    ("retry_first", |config, to| config.retry_first(duration(to))),
    ("retry_ceiling", |config, to| config.retry_ceiling(duration(to))),
    ("connections_per_host", |config, to| config.connections_per_host(size(to))),
    ("exchanges_per_host", |config, to| config.exchanges_per_host(size(to))),
    ("announces_per_second", |config, to| config.announces_per_second(small(to))),
    ("announces_burst", |config, to| config.announces_burst(small(to))),
    ("stop_limit", |config, to| config.stop_limit(duration(to))),
    ("alert_queue", |config, to| config.alert_queue(size(to))),
];

/// Settings of which the first is to be at most the second.
const ORDERED: &[(&str, &str)] = &[
    ("open_limit", "last_open_limit"),
    ("reply_limit", "last_reply_limit"),
    ("interval_floor", "interval_ceiling"),
    ("interval_floor", "interval_default"),
    ("interval_default", "interval_ceiling"),
    ("retry_floor", "retry_first"),
    ("retry_floor", "retry_ceiling"),
    ("retry_first", "retry_ceiling"),
    ("announces_burst", "announces_per_second"),
];

fn settings() -> Vec<&'static str> {
    SETTINGS.iter().map(|(setting, _)| *setting).collect()
}

fn set(config: Config, name: &str, to: usize) -> Config {
    let (_, setting) = SETTINGS.iter().find(|(known, _)| *known == name).expect("a setting of the list");
    setting(config, to)
}

/// Trackers that give these answers in turn.
struct InTurn {
    answers: Vec<Answer>,
    next: usize,
    measurement: Duration,
    /// How many torrents have ended.
    ended: usize,
}

impl Trackers for InTurn {
    fn probe(
        &mut self,
        _: &TrackerUrl,
        _: Timestamp,
    ) -> Option<(Duration, Result<Measurement, AnnounceError>)> {
        let (connect, first_byte) = (self.measurement, self.measurement);
        Some((ROUND_TRIP, Ok(Measurement { connect, first_byte })))
    }

    fn open(&mut self, _: &TrackerUrl, _: Timestamp) -> Option<(Duration, Result<(), AnnounceError>)> {
        Some((ROUND_TRIP, Ok(())))
    }

    fn announce(
        &mut self,
        _: &TrackerUrl,
        _: &AnnounceRequest,
        _: Timestamp,
    ) -> Option<(Duration, Result<AnnounceResponse, AnnounceError>)> {
        let answer = self.answers[self.next % self.answers.len()].clone();
        self.next += 1;
        let error = match answer {
            Answer::Replied { interval, min_interval, peers, late } => {
                let mut response = AnnounceResponse::default();
                (response.interval, response.min_interval) = (interval, min_interval);
                (response.complete, response.incomplete, response.downloaded) = (peers, peers, peers);
                response.dropped_peers = usize::MAX;
                let address = ([8, 8, 8, [1, 2, 3][self.next % 3]], 1).into();
                response.peers =
                    peers.map(|_| Peer { address: PeerAddress::Ip(address), id: None }).into_iter().collect();
                return Some((if late { LATE } else { ROUND_TRIP }, Ok(response)));
            }
            Answer::Rejected { retry, interval } => {
                let mut rejection = Rejection::new("no");
                (rejection.retry, rejection.interval) = (retry, interval);
                AnnounceError::Rejected(rejection)
            }
            Answer::Status(status, retry) => AnnounceError::Status { status, retry },
            Answer::Broken => AnnounceError::Broken(Cause::new("reset")),
            Answer::Mute => return None,
        };
        Some((ROUND_TRIP, Err(error)))
    }

    fn report(&mut self, output: &Output, _: &mut Engine, _: Timestamp) {
        self.ended += usize::from(matches!(output, Output::Ended { .. }));
    }
}

/// Five torrents among such trackers.
struct Short {
    scene: Scene<InTurn>,
    torrents: Vec<TorrentId>,
}

impl Short {
    fn new(config: Config, answers: Vec<Answer>, measurement: Duration) -> Self {
        let mut scene = Scene::new(config, 7, InTurn { answers, next: 0, measurement, ended: 0 });
        scene.driver.limit_polls(STEPS_AT_ONCE, STEPS_A_SECOND);
        let lists: [(&[&str], bool, Option<u64>); 5] = [
            (&["http://a.test/1", "http://b.test/1", "udp://c.test:1/"], false, Some(1000)),
            (&["http://a.test/1", "http://a.test/2"], false, None),
            (&["udp://c.test:1/", "https://d.test/1"], true, Some(u64::MAX)),
            (&["http://b.test/1"], false, Some(0)),
            (&["http://d.test/1", "http://b.test/1"], false, Some(1)),
        ];
        let mut torrents = Vec::new();
        for (number, (trackers, private, left)) in (0..).zip(lists) {
            let tiers = trackers.iter().map(|url| [url.parse::<TrackerUrl>().unwrap()]);
            let mut torrent = Torrent::new(InfoHash::new([number; 20]), PeerId::new([2; 20]), 6881);
            torrent.transfer.left = left;
            let set = TrackerSet::new(tiers);
            let set = if private { set.private() } else { set };
            torrents.push(scene.driver.add(set, torrent));
        }
        Self { scene, torrents }
    }

    /// Lives for so many steps, doing something now and then, and ends.
    fn live(mut self, deeds: &[Deed]) {
        let mut deeds = deeds.iter().cycle().take(2 * deeds.len());
        for step in 0..STEPS {
            if self.scene.driver.now() > Timestamp::ZERO + HORIZON || !self.scene.step(None) {
                break;
            }
            if step % 40 == 39
                && let Some(deed) = deeds.next()
            {
                self.act(deed, step);
            }
        }
        // By the limit of the configuration, which may be a year, and then by a limit of the caller's own.
        let mut stop = |limit: Option<Duration>| {
            let now = self.scene.driver.now();
            for torrent in &self.torrents {
                match limit {
                    Some(limit) => self.scene.driver.engine.stop_within(*torrent, limit, now),
                    None => self.scene.driver.engine.stop(*torrent, now),
                }
            }
            self.scene.play_until(now + Duration::from_secs(60));
        };
        stop(None);
        stop(Some(Duration::from_secs(59)));
        let running = self.torrents.len() - self.scene.trackers.ended;
        assert_eq!(running, 0, "of 5 that haven't ended within their limit");
    }

    fn act(&mut self, deed: &Deed, step: usize) {
        let torrent = self.torrents[step / 40 % self.torrents.len()];
        let now = self.scene.driver.now();
        let engine = &mut self.scene.driver.engine;
        match deed {
            Deed::OverrideInterval(interval) => engine.override_interval(torrent, *interval, now),
            Deed::NumWant(num_want) => engine.set_num_want(torrent, *num_want),
            Deed::Update(number, left) => {
                let transfer =
                    Transfer { uploaded: *number, downloaded: *number, left: *left, ..Transfer::default() };
                engine.update(torrent, transfer, now);
            }
            Deed::Peers(connected, seeds) => {
                let [connected, seeds] =
                    [*connected, *seeds].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
                engine.set_peers(torrent, PeerCounts { connected, connecting: connected, seeds }, now);
            }
            Deed::WantPeers => engine.want_peers(torrent, now),
            Deed::Reannounce => _ = engine.reannounce(torrent, now),
            Deed::Complete => engine.complete(torrent, now),
            Deed::Resumed(gap) => {
                // A gap may be any; the clock itself ends in the year 586,000.
                self.scene.driver.advance(now + (*gap).min(HORIZON / 50));
                let now = self.scene.driver.now();
                self.scene.driver.engine.resumed(*gap, now);
            }
            Deed::NetworkChanged => engine.network_changed(now),
            Deed::Recall(number, duration) => {
                let url: TrackerUrl = "http://a.test/1".parse().unwrap();
                let mut host = HostSnapshot::new(url.tracker_host());
                let short = u32::try_from(*number).unwrap_or(u32::MAX);
                let time = RttSnapshot { srtt: *duration, rttvar: *duration, at: *number, samples: short };
                (host.connect, host.reply) = (Some(time), Some(time));
                (host.answered_at, host.failed_at) = (Some(*number), Some(*number));
                (host.consecutive_failures, host.trips, host.is_backed_off) = (short, short, true);
                engine.restore([host], 1, now);
                drop(engine.health().snapshot(*number, now));
            }
        }
        let now = self.scene.driver.now();
        drop(self.scene.driver.engine.status(torrent, now));
        drop(self.scene.driver.engine.explain(torrent, now));
    }
}

fn extreme_duration() -> impl Strategy<Value = Duration> {
    select(&DURATIONS[..])
}

fn retry() -> impl Strategy<Value = Retry> {
    prop_oneof![Just(Retry::Unsaid), extreme_duration().prop_map(Retry::After), Just(Retry::Never)]
}

fn answer() -> impl Strategy<Value = Answer> {
    let maybe = || prop::option::of(extreme_duration());
    prop_oneof![
        4 => (maybe(), maybe(), prop::option::of(select(&NUMBERS[..])), any::<bool>()).prop_map(
            |(interval, min_interval, peers, late)| Answer::Replied { interval, min_interval, peers, late }
        ),
        1 => (retry(), maybe()).prop_map(|(retry, interval)| Answer::Rejected { retry, interval }),
        1 => (select(vec![0, 1, 404, 410, 500, 503, u16::MAX]), retry())
            .prop_map(|(status, retry)| Answer::Status(status, retry)),
        1 => Just(Answer::Broken),
        1 => Just(Answer::Mute),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let number = || select(&NUMBERS[..]);
    prop_oneof![
        prop::option::of(extreme_duration()).prop_map(Deed::OverrideInterval),
        prop::option::of(select(vec![0, 1, u32::MAX])).prop_map(Deed::NumWant),
        (number(), prop::option::of(number())).prop_map(|(number, left)| Deed::Update(number, left)),
        (number(), number()).prop_map(|(connected, seeds)| Deed::Peers(connected, seeds)),
        Just(Deed::WantPeers),
        Just(Deed::Reannounce),
        Just(Deed::Complete),
        extreme_duration().prop_map(Deed::Resumed),
        Just(Deed::NetworkChanged),
        (number(), extreme_duration()).prop_map(|(number, duration)| Deed::Recall(number, duration)),
    ]
}

fn usual_answers() -> Vec<Answer> {
    let usual = Answer::Replied {
        interval: Some(Duration::from_secs(1800)),
        min_interval: Some(Duration::from_secs(60)),
        peers: Some(5),
        late: false,
    };
    vec![usual.clone(), Answer::Broken, usual.clone(), Answer::Mute, usual]
}

fn usual_deeds() -> Vec<Deed> {
    vec![Deed::WantPeers, Deed::Reannounce, Deed::Complete, Deed::Resumed(Duration::from_secs(60))]
}

/// How long a life may take that takes milliseconds. One that takes longer doesn't come back from a call.
const COMES_BACK: Duration = Duration::from_secs(20);

/// Lives a life on its own thread, and gives what broke: a rule, or that it never comes back.
fn breaks(
    config: &Config,
    answers: Vec<Answer>,
    measurement: Duration,
    deeds: Vec<Deed>,
) -> Result<(), String> {
    let (config, (ended, end)) = (config.clone(), channel::<()>());
    let life = thread::spawn(move || {
        Short::new(config, answers, measurement).live(&deeds);
        drop(ended);
    });
    if end.recv_timeout(COMES_BACK) == Err(RecvTimeoutError::Timeout) {
        return Err("a call of the engine never comes back".to_owned());
    }
    let Err(panic) = life.join() else { return Ok(()) };
    let text = panic.downcast_ref::<String>().cloned();
    Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

/// The same with these settings and usual numbers.
fn breaks_by(settings: &[(&str, usize)]) -> Option<String> {
    let mut config = Config::default();
    for (setting, to) in settings {
        config = set(config, setting, *to);
    }
    let broken = breaks(&config, usual_answers(), Duration::from_millis(10), usual_deeds());
    broken.err().map(|text| format!("{settings:?}: {text}"))
}

/// R92: no setting ends or stops the engine, whatever it is set to.
#[test]
fn every_setting_may_have_any_value() {
    let values = SETTINGS.iter().flat_map(|(setting, _)| (0..DURATIONS.len()).map(move |to| (*setting, to)));
    let broken: Vec<String> = values.filter_map(|setting| breaks_by(&[setting])).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// R92: nor do floors above their ceilings, nor patience beyond its limit.
#[test]
fn settings_that_belong_in_order_may_be_out_of_order() {
    let mut broken = Vec::new();
    for (least, most) in ORDERED {
        for large in [2, 3, 4] {
            for small in 0..large {
                broken.extend(breaks_by(&[(*least, large), (*most, small)]));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 192, failure_persistence: None, max_shrink_iters: 2000, max_shrink_time: 60_000, ..ProptestConfig::default()
    })]

    /// R91: no number of a tracker, a prober, a cache or a user ends or stops the engine.
    #[test]
    fn every_number_that_enters_may_be_any(
        answers in prop::collection::vec(answer(), 1..8),
        deeds in prop::collection::vec(deed(), 0..10),
        measurement in extreme_duration(),
    ) {
        let broken = breaks(&Config::default(), answers, measurement, deeds);
        prop_assert!(broken.is_ok(), "{broken:?}");
    }

    /// R91 and R92 together: extreme numbers under extreme settings.
    #[test]
    fn every_number_may_be_any_under_any_settings(
        settings in prop::collection::vec((select(settings()), 0..DURATIONS.len()), 1..6),
        answers in prop::collection::vec(answer(), 1..8),
        deeds in prop::collection::vec(deed(), 0..10),
        measurement in extreme_duration(),
    ) {
        let mut config = Config::default();
        for (setting, to) in settings {
            config = set(config, setting, to);
        }
        let broken = breaks(&config, answers, measurement, deeds);
        prop_assert!(broken.is_ok(), "{broken:?}");
    }
}

/// The list of settings is whole: one that is added has to be tried as well.
#[test]
fn the_list_of_settings_is_whole() {
    let text = format!("{:?}", Config::default());
    let fields: Vec<&str> = text
        .split([',', '{'])
        .filter_map(|part| part.split_once(": "))
        .map(|(name, _)| name.trim())
        .collect();
    // No numbers, or the parts that hold the numbers.
    let others = [
        "schemes",
        "http",
        "https",
        "udp",
        "order",
        "shuffle",
        "probing",
        "scheduling",
        "limits",
        "intervals",
        "back_off",
        "load",
    ];
    let missing: Vec<_> =
        fields.iter().filter(|field| !others.contains(field) && !settings().contains(field)).collect();
    assert!(missing.is_empty() && fields.len() == SETTINGS.len() + others.len(), "{missing:?} in {text}");
}

/// R91 as it was seen: an interval of 2^64 - 1 in a late answer, then `stop`.
#[test]
fn the_largest_interval_in_a_late_answer_and_a_stop() {
    for interval in [Duration::from_secs(u64::MAX), Duration::MAX] {
        for late in [0, 1, 2] {
            let answer =
                |late| Answer::Replied { interval: Some(interval), min_interval: None, peers: None, late };
            let answers = (0..3).map(|number| answer(number == late)).collect();
            let broken = breaks(&Config::default(), answers, Duration::from_millis(10), Vec::new());
            assert_eq!(broken, Ok(()), "an interval of {interval:?}, late: {late}");
        }
    }
}

/// Where the clock has come to its end, nothing is due any more, and the engine waits.
#[test]
fn the_end_of_time_never_comes() {
    let mut scene = Short::new(Config::default(), usual_answers(), Duration::ZERO).scene;
    let end = Timestamp::from_micros(u64::MAX);
    scene.driver.advance(end);
    scene.driver.engine.resumed(Duration::MAX, end);
    while scene.step(None) {}
    assert_eq!((scene.driver.wake(), scene.driver.now()), (None, end));
}
