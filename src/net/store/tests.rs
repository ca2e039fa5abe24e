//! Announcers that share a store in memory, in virtual time; and stores that fail in every way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::*;
use crate::Announcer;
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, PeerId, Torrent};
use crate::error::AnnounceError;
use crate::net::driver::AnnouncerParts;
use crate::net::testing::{AddSession, Session};
use crate::policy::TrackerSet;
use crate::policy::config::{AnnounceTo, Config, Order, Probing};
use crate::tracker::{Scheme, TrackerUrl};
use crate::transport::{Channel, Transport};

const SECOND: Duration = Duration::from_secs(1);

/// The interval of all announces.
const INTERVAL: Duration = Duration::from_secs(60);

/// A calendar that goes with the paused clock.
fn calendar() -> SystemTime {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let elapsed = clock::now().saturating_duration_since(*FIRST.get_or_init(clock::now));
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + elapsed
}

/// Trackers by their hosts, of which some are dead, and every attempt at them.
#[derive(Default)]
struct Trackers {
    dead: Mutex<BTreeSet<String>>,
    /// Which process tried which host.
    tried: Mutex<Vec<(usize, String)>>,
}

impl Trackers {
    fn kill(&self, host: &str) {
        self.dead.lock().unwrap().insert(host.to_owned());
    }

    fn revive(&self, host: &str) {
        self.dead.lock().unwrap().remove(host);
    }

    /// The attempts since the last call.
    fn tried(&self) -> Vec<(usize, String)> {
        std::mem::take(&mut *self.tried.lock().unwrap())
    }
}

struct Process(usize, Arc<Trackers>);

#[async_trait]
impl Transport for Process {
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        self.1.tried.lock().unwrap().push((self.0, tracker.host().to_owned()));
        sleep(Duration::from_millis(10)).await;
        if self.1.dead.lock().unwrap().contains(tracker.host()) {
            return Err(AnnounceError::Connect(Cause::new("refused")));
        }
        Ok(Box::new(Answers))
    }

    fn supports(&self, _: Scheme) -> bool {
        true
    }
}

struct Answers;

#[async_trait]
impl Channel for Answers {
    async fn announce(&mut self, _: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        sleep(Duration::from_millis(10)).await;
        Ok(AnnounceResponse { interval: Some(INTERVAL), ..AnnounceResponse::default() })
    }
}

/// What the announcers of a test share.
#[derive(Default)]
struct Shared {
    hosts: Mutex<BTreeMap<TrackerHost, HostSnapshot>>,
    /// How many hosts each publish named.
    publishes: Mutex<Vec<(Instant, usize)>>,
    in_flight: AtomicUsize,
}

struct InMemory {
    shared: Arc<Shared>,
    news: broadcast::Sender<HostSnapshot>,
    unread: tokio::sync::Mutex<broadcast::Receiver<HostSnapshot>>,
}

#[async_trait]
impl HostStore for InMemory {
    async fn load(&self) -> News {
        Ok(self.shared.hosts.lock().unwrap().values().cloned().collect())
    }

    async fn publish(&self, hosts: Vec<HostSnapshot>) -> Result<(), CacheError> {
        assert_eq!(self.shared.in_flight.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
        sleep(Duration::from_millis(20)).await;
        self.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.shared.publishes.lock().unwrap().push((clock::now(), hosts.len()));
        let mut known = self.shared.hosts.lock().unwrap();
        for host in hosts {
            if known.get(&host.host).is_none_or(|known| host.is_newer_than(known)) {
                known.insert(host.host.clone(), host.clone());
                let _ = self.news.send(host);
            }
        }
        Ok(())
    }

    async fn changes(&self) -> News {
        self.unread.lock().await.recv().await.map(|host| vec![host]).map_err(failed)
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> CacheError {
    CacheError::Store(Cause::new(error))
}

fn announcer(process: usize, trackers: &Arc<Trackers>, store: Option<StoreTasks>) -> Announcer {
    let config = Config::default().announce_to(AnnounceTo::One).probing(Probing::Off);
    Announcer::start(AnnouncerParts {
        config: config.order(Order::Bep12).without_shuffle().interval_override(INTERVAL),
        clock: Clock::start().with_calendar(calendar),
        seed: process as u64,
        transport: Arc::new(Process(process, Arc::clone(trackers))),
        prober: None,
        store,
        peers: None,
    })
}

fn tiers(hosts: &[&str]) -> TrackerSet {
    TrackerSet::new(hosts.iter().map(|host| [format!("http://{host}/announce").parse().unwrap()]))
}

fn torrent() -> Torrent {
    Torrent::new(InfoHash::new([1; 20]), PeerId::new([2; 20]), 6881)
}

async fn until_announced(session: &mut Session) -> String {
    loop {
        if let Some(Alert::Announced(announced)) = session.next_alert().await {
            return announced.tracker.host().to_owned();
        }
    }
}

/// Three processes with one torrent each, which announce a while after one another.
async fn fleet(trackers: &Arc<Trackers>, shared: &Arc<Shared>) -> Vec<(Announcer, Session)> {
    let (news, _) = broadcast::channel(64);
    let mut fleet = Vec::new();
    for process in 0..3 {
        let unread = tokio::sync::Mutex::new(news.subscribe());
        let store = InMemory { shared: Arc::clone(shared), news: news.clone(), unread };
        let announcer = announcer(process, trackers, Some(StoreTasks::shared(store)));
        let mut session = announcer.session(tiers(&["a.test", "b.test"]), torrent());
        assert_eq!(until_announced(&mut session).await, "a.test");
        fleet.push((announcer, session));
        sleep(7 * SECOND).await;
    }
    fleet
}

#[tokio::test(start_paused = true)]
async fn one_process_finds_a_host_dead_and_the_others_skip_it_until_it_is_back() {
    let (trackers, shared) = (Arc::default(), Arc::new(Shared::default()));
    let mut fleet = fleet(&trackers, &shared).await;
    trackers.kill("a.test");
    trackers.tried();
    for (number, (announcer, session)) in fleet.iter_mut().enumerate() {
        assert_eq!(until_announced(session).await, "b.test");
        if number == 0 {
            // From now on all know.
            sleep(SECOND).await;
            continue;
        }
        let host = announcer.hosts().into_iter().find(|host| host.host.host() == "a.test").unwrap();
        assert!(host.backing_off.is_some());
    }
    let at_a = |tried: Vec<(usize, String)>| {
        tried.into_iter().filter(|(_, host)| host == "a.test").map(|(process, _)| process).collect::<Vec<_>>()
    };
    assert_eq!(at_a(trackers.tried()), [0], "one process paid for all three");

    trackers.revive("a.test");
    // The first that tries it lets the others back in.
    for (_, session) in &mut fleet {
        while until_announced(session).await != "a.test" {}
    }
    for (announcer, _) in &fleet {
        let host = announcer.hosts().into_iter().find(|host| host.host.host() == "a.test").unwrap();
        assert!(host.backing_off.is_none() && host.successes > 0);
    }
    for (announcer, _) in fleet {
        announcer.shutdown(10 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn publishes_are_few_and_name_what_has_changed() {
    let (trackers, shared) = (Arc::default(), Arc::new(Shared::default()));
    let mut fleet = fleet(&trackers, &shared).await;
    shared.publishes.lock().unwrap().clear();
    let begin = clock::now();
    sleep(10 * INTERVAL).await;
    // An announce in each interval from each process changes one host, and makes one publish.
    let publishes = shared.publishes.lock().unwrap().clone();
    assert!((27..=33).contains(&publishes.len()), "{publishes:?}");
    assert!(publishes.iter().all(|(_, hosts)| *hosts == 1), "{publishes:?}");
    assert!(publishes[0].0 > begin);
    trackers.kill("a.test");
    for (_, session) in &mut fleet {
        while until_announced(session).await != "b.test" {}
    }
    let dead = shared.hosts.lock().unwrap().values().filter(|host| host.is_backed_off).count();
    assert_eq!(dead, 1);
}

/// The ways in which a store fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Gone,
    Hangs,
    Panics,
    Lies,
}

struct Faulty(Fault, Arc<AtomicUsize>);

impl Faulty {
    async fn fails<T>(&self) -> Result<T, CacheError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        match self.0 {
            Fault::Gone => Err(failed(std::io::Error::other("connection refused"))),
            Fault::Panics => panic!("on purpose"),
            _ => std::future::pending().await,
        }
    }

    /// So many hosts, and that the nearest tracker is dead, from a clock that may be wrong.
    fn lies(count: usize) -> Vec<HostSnapshot> {
        let seconds = calendar().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let host = |name: &str| format!("http://{name}/").parse::<TrackerUrl>().unwrap().tracker_host();
        let dead = |name: &str, at| HostSnapshot {
            failed_at: Some(at),
            consecutive_failures: u32::MAX,
            trips: u32::MAX,
            is_backed_off: true,
            ..HostSnapshot::new(host(name))
        };
        let named = [0, seconds, seconds + 60, u64::MAX].map(|at| dead("a.test", at));
        named.into_iter().chain((0..count).map(|number| dead(&format!("h{number}.test"), seconds))).collect()
    }
}

#[async_trait]
impl HostStore for Faulty {
    async fn load(&self) -> News {
        if self.0 == Fault::Lies { Ok(Self::lies(100_000)) } else { self.fails().await }
    }

    async fn publish(&self, _: Vec<HostSnapshot>) -> Result<(), CacheError> {
        if self.0 == Fault::Lies { Ok(()) } else { self.fails().await }
    }

    async fn changes(&self) -> News {
        sleep(SECOND).await;
        if self.0 == Fault::Lies { Ok(Self::lies(10)) } else { self.fails().await }
    }
}

/// Each round is announced in time, whatever the store does: at b where a is said to be dead.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_costs_its_news_and_nothing_else() {
    for fault in [Fault::Gone, Fault::Hangs, Fault::Panics, Fault::Lies] {
        let (trackers, calls) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let begin = clock::now();
        let store = StoreTasks::shared(Faulty(fault, Arc::clone(&calls)));
        let announcer = announcer(0, &trackers, Some(store));
        let mut session = announcer.session(tiers(&["a.test", "b.test"]), torrent());
        let mut alerts = Vec::new();
        let mut rounds = Vec::new();
        while rounds.len() < 30 {
            match session.next_alert().await.unwrap() {
                Alert::Announced(round) => rounds.push((clock::now(), round.tracker.host().to_owned())),
                Alert::CacheFailed { reason } => alerts.push(reason.to_string()),
                _ => {}
            }
        }
        let first = rounds[0].0 - begin;
        assert!(first <= Duration::from_millis(300), "{fault:?}: {first:?}");
        for pair in rounds.windows(2) {
            assert!(pair[1].0 - pair[0].0 <= INTERVAL + SECOND, "{fault:?}: {rounds:?}");
        }
        let at_a = rounds.iter().filter(|(_, host)| host == "a.test").count();
        assert!(at_a >= if fault == Fault::Lies { 15 } else { 30 }, "{fault:?}: {at_a}");
        // A row of failures each of jobs and of listening.
        assert_eq!(alerts.len(), usize::from(fault != Fault::Lies), "{fault:?}: {alerts:?}");
        // Half an hour of attempts at most a minute apart, at two things.
        let calls = calls.load(Ordering::SeqCst);
        assert!(calls <= 100, "{fault:?}: {calls}");
        let report = announcer.shutdown(10 * SECOND).await;
        let is_clean = report.failed.is_empty() && report.unanswered.is_empty();
        assert!(report.complete && is_clean && !report.acknowledged.is_empty(), "{fault:?}: {report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_published_is_published_when_the_store_is_back() {
    struct Returns(Arc<Shared>, Instant);

    #[async_trait]
    impl HostStore for Returns {
        async fn load(&self) -> News {
            Err(failed(std::io::Error::other("gone")))
        }

        async fn publish(&self, hosts: Vec<HostSnapshot>) -> Result<(), CacheError> {
            if clock::now() < self.1 {
                return Err(failed(std::io::Error::other("gone")));
            }
            self.0.hosts.lock().unwrap().extend(hosts.into_iter().map(|host| (host.host.clone(), host)));
            Ok(())
        }
    }

    let (trackers, shared): (Arc<Trackers>, _) = (Arc::default(), Arc::new(Shared::default()));
    trackers.kill("a.test");
    let back = clock::after(600 * SECOND);
    let announcer = announcer(0, &trackers, Some(StoreTasks::shared(Returns(Arc::clone(&shared), back))));
    let mut session = announcer.session(tiers(&["a.test", "b.test"]), torrent());
    while clock::now() < back {
        until_announced(&mut session).await;
    }
    sleep(MAX_PAUSE + 6 * SECOND).await;
    let hosts = shared.hosts.lock().unwrap().clone();
    let dead: Vec<_> = hosts.values().map(|host| (host.host.host(), host.is_backed_off)).collect();
    assert_eq!(dead, [("a.test", true), ("b.test", false)]);
}
