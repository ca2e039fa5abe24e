//! The end of the loop, panics in code of the client, and standstills.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::*;
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, PeerCounts, PeerId, Torrent};
use crate::error::{AnnounceError, Cause, RoundError};

#[cfg(feature = "cache")]
use crate::net::store::FileStore;
use crate::net::testing::{AddSession, Session};
use crate::policy::config::AnnounceTo;
use crate::policy::{AttemptId, Input, TrackerSet};
use crate::prober::Measurement;
use crate::tracker::{Scheme, TrackerUrl};
use crate::transport::Channel;
use crate::{Announcer, AnnouncerBuilder};

/// A transport that misbehaves: the host name of a tracker decides how.
#[derive(Default)]
struct Odd {
    /// How many channels were dropped.
    dropped: Arc<Mutex<usize>>,
}

struct OddChannel {
    host: String,
    dropped: Arc<Mutex<usize>>,
}

impl OddChannel {
    const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
}

#[async_trait]
impl Transport for Odd {
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        let channel = OddChannel { host: tracker.host().to_owned(), dropped: Arc::clone(&self.dropped) };
        match tracker.host() {
            "open.test" => panic!("on purpose"),
            "payload.test" => std::panic::panic_any(PanicsWhenDropped),
            // Opens when another tracker has won the round, so the loop closes the channel.
            "slow-drop.test" => tokio::time::sleep(Duration::from_secs(1)).await,
            "error.test" => return Err(AnnounceError::Connect(Cause::new(PanicsWhenShown))),
            _ => {}
        }
        Ok(Box::new(channel))
    }

    fn supports(&self, _: Scheme) -> bool {
        true
    }
}

#[async_trait]
impl Channel for OddChannel {
    async fn announce(&mut self, _: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        match &*self.host {
            "announce.test" => panic!("on purpose"),
            "mute-drop.test" => std::future::pending().await,
            _ => Ok(AnnounceResponse::default()),
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        assert_ne!(self.host, "address.test", "on purpose");
        (self.host != "proxied.test").then_some(Self::ADDRESS)
    }
}

impl Drop for OddChannel {
    fn drop(&mut self) {
        *self.dropped.lock().unwrap() += 1;
        assert!(!self.host.contains("drop"), "on purpose");
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("on purpose, while a panic is dropped");
    }
}

#[derive(Debug)]
struct PanicsWhenShown;

impl std::fmt::Display for PanicsWhenShown {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("on purpose");
    }
}

impl std::error::Error for PanicsWhenShown {}

#[async_trait]
impl Prober for Odd {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        assert_ne!(tracker.host(), "probe.test", "on purpose");
        Ok(Measurement { connect: Duration::from_millis(1), first_byte: Duration::from_millis(1) })
    }
}

fn trackers(hosts: &[&str]) -> TrackerSet {
    TrackerSet::new(hosts.iter().map(|host| [format!("http://{host}/announce").parse().unwrap()]))
}

fn torrent() -> Torrent {
    Torrent::new(InfoHash::new([1; 20]), PeerId::new([2; 20]), 6881)
}

fn request() -> AnnounceRequest {
    AnnounceRequest::new(InfoHash::new([1; 20]), PeerId::new([2; 20]), 6881)
}

async fn until_announced(session: &mut Session) {
    while !matches!(session.next_alert().await, Some(Alert::Announced(_))) {}
}

/// All alerts from now to the end.
async fn remaining_alerts(session: &mut Session) -> Vec<Alert> {
    let mut heard = Vec::new();
    while let Some(alert) = session.next_alert().await {
        heard.push(alert);
    }
    heard
}

/// Every call and every listener reports that the announcer has ended, and why.
async fn everything_reports(announcer: &Announcer, mut session: Session, text: &str) {
    let heard = remaining_alerts(&mut session).await;
    assert_eq!(heard.last().map(ToString::to_string).as_deref(), Some(text));
    assert_eq!(heard.iter().filter(|alert| matches!(alert, Alert::AnnouncerEnded { .. })).count(), 1);
    let mut set = trackers(&["ok.test"]);
    let error = announcer.announce(&mut set, request()).await.unwrap_err();
    assert!(matches!(&*error, RoundError::Ended(reason) if reason.to_string() == text), "{error}");
    assert_eq!(session.announce_now().await.unwrap_err().to_string(), text);
    assert!(session.status().is_none() && session.explain().is_none() && session.trackers().is_none());
    assert!(session.scrape().await.unwrap_err().to_string().contains(text));
    assert_eq!(session.stop().await.unwrap_err().to_string(), text);
    assert_eq!(announcer.ended().unwrap().to_string(), text);
    let mut late = announcer.session(trackers(&["ok.test"]), torrent());
    let heard = remaining_alerts(&mut late).await;
    assert_eq!(heard.iter().map(ToString::to_string).collect::<Vec<_>>(), [text], "added too late");
}

/// R93: it doesn't end the loop.
#[tokio::test(start_paused = true)]
async fn a_panic_in_code_of_the_client_is_an_error_of_one_attempt() {
    let hosts = [
        "open.test",
        "payload.test",
        "announce.test",
        "address.test",
        "drop.test",
        "slow-drop.test",
        "mute-drop.test",
        "error.test",
        "probe.test",
    ];
    for host in hosts {
        let odd = Odd::default();
        let dropped = Arc::clone(&odd.dropped);
        let builder = AnnouncerBuilder::new(odd).seed(1);
        // Unmeasured trackers are announced to in the order of the list.
        let builder = if host == "probe.test" { builder.prober(Odd::default()) } else { builder };
        let announcer = builder.spawn();
        // Before a living tracker, alone, and given up when the tracker is removed or the torrent ends.
        let session = announcer.session(trackers(&[host, "ok.test"]), torrent());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut alone = announcer.session(trackers(&[host]), torrent());
        let mut set = trackers(&[host, "ok.test"]);
        let answer = announcer.announce(&mut set, request()).await.unwrap();
        assert!(["ok.test", "drop.test", "slow-drop.test", "probe.test"].contains(&answer.tracker.host()));
        session.remove_tracker(format!("http://{host}/announce").parse().unwrap());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(alone.status().is_some() && session.status().is_some());
        drop(session);
        alone.reannounce();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let alert = alone.next_alert().await;
        assert!(alert.is_some() && announcer.ended().is_none(), "{host}");
        alone.stop().await.unwrap();
        if host.contains("drop") {
            assert!(*dropped.lock().unwrap() > 1, "{host}: its drop was reached");
        }
    }
}

/// R93.
#[tokio::test(start_paused = true)]
async fn an_answer_counts_though_its_channel_panics_when_dropped() {
    let announcer = AnnouncerBuilder::new(Odd::default()).spawn();
    let answer = announcer.announce(&mut trackers(&["drop.test"]), request()).await.unwrap();
    assert_eq!(answer.tracker.host(), "drop.test");
}

/// A tracker behind a proxy has an address that isn't known here.
#[tokio::test]
async fn an_opening_brings_the_address_to_which_the_channel_leads() {
    let mut attempts = AttemptTasks::new(Arc::new(Odd::default()), None, None);
    for (number, host, address) in [
        (1, "ok.test", Some(OddChannel::ADDRESS)),
        (2, "proxied.test", None),
        (3, "ok.test", Some(OddChannel::ADDRESS)),
    ] {
        attempts.open(AttemptId::new(number), format!("http://{host}/announce").parse().unwrap());
        let end = attempts.next().await.unwrap();
        let finished = attempts.finished(end).unwrap();
        assert!(matches!(finished.input, Input::Opened(_)), "{host}");
        assert_eq!(finished.opened.map(|opened| opened.address), Some(address), "{host}");
    }
}

/// R93.
#[tokio::test(start_paused = true)]
async fn a_panic_while_trackers_are_changed_changes_nothing() {
    let announcer = AnnouncerBuilder::new(Odd::default()).spawn();
    let mut session = announcer.session(trackers(&["ok.test"]), torrent());
    until_announced(&mut session).await;
    session.change_trackers(|trackers| {
        trackers.replace(Vec::<Vec<TrackerUrl>>::new());
        panic!("on purpose");
    });
    tokio::task::yield_now().await;
    assert_eq!(session.trackers().unwrap().len(), 1);
    session.add_tracker(1, "http://other.test/announce".parse().unwrap());
    tokio::task::yield_now().await;
    assert_eq!(session.trackers().unwrap().len(), 2, "and can be changed later");
    session.announce_now().await.unwrap();
}

/// R93: neither where it counts nor where it is dropped.
#[tokio::test(start_paused = true)]
async fn a_panic_of_the_closure_that_counts_peers_ends_nothing() {
    let announcer = AnnouncerBuilder::new(Odd::default()).spawn();
    let mut session = announcer.session(trackers(&["ok.test"]), torrent());
    until_announced(&mut session).await;
    let counted = Arc::new(Mutex::new(0));
    let (calls, guard) = (Arc::clone(&counted), PanicsWhenDropped);
    session.count_peers_with(move || {
        let _ = &guard;
        *calls.lock().unwrap() += 1;
        panic!("on purpose");
    });
    session.announce_now().await.unwrap();
    session.announce_now().await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(*counted.lock().unwrap(), 2, "at once, and when it matters for the first time");
    session.stop().await.unwrap();
    announcer.session(trackers(&["ok.test"]), torrent()).announce_now().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_closure_that_counts_peers_lives_as_long_as_its_torrent() {
    let announcer = AnnouncerBuilder::new(Odd::default()).spawn();
    let session = announcer.session(trackers(&["ok.test"]), torrent());
    let (first, second) = (Arc::new(()), Arc::new(()));
    let counter = |held: &Arc<()>| {
        let held = Arc::clone(held);
        move || {
            let _ = &held;
            PeerCounts::default()
        }
    };
    session.count_peers_with(counter(&first));
    session.count_peers_with(counter(&second));
    tokio::task::yield_now().await;
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 2), "the last one counts");
    session.stop().await.unwrap();
    assert_eq!(Arc::strong_count(&second), 1);
}

/// R93: calls that come later included.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_loop_is_reported_by_every_call_and_listener() {
    let announcer = AnnouncerBuilder::new(Odd::default()).spawn();
    let mut session = announcer.session(trackers(&["ok.test"]), torrent());
    until_announced(&mut session).await;
    // Callers that wait inside the loop when it happens, and in its queue.
    let mut waiting = announcer.session(trackers(&["mute-drop.test"]), torrent());
    let mut further = session.subscribe();
    let round = waiting.announce_now();
    let panics = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        session.run_in_loop(|| panic!("overflow\u{1b}[31m"));
        announcer.session(trackers(&["ok.test"]), torrent())
    };
    let (round, mut queued) = tokio::join!(round, panics);
    let text = "the announcer has ended because its task panicked: overflow\u{fffd}[31m";
    assert_eq!(round.unwrap_err().to_string(), text);
    for heard in [remaining_alerts(&mut waiting).await, remaining_alerts(&mut queued).await] {
        assert_eq!(heard.last().map(ToString::to_string).as_deref(), Some(text));
    }
    let mut last = None;
    while let Some(alert) = further.next().await {
        last = Some(alert.to_string());
    }
    assert_eq!(last.as_deref(), Some(text));
    everything_reports(&announcer, session, text).await;
}

/// R93: handles may outlive the loop's runtime.
#[test]
fn the_end_of_the_runtime_is_reported_by_every_call_and_listener() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let (announcer, session) = first.block_on(async {
        let announcer = AnnouncerBuilder::new(Odd::default()).spawn();
        let mut session = announcer.session(trackers(&["ok.test"]), torrent());
        until_announced(&mut session).await;
        (announcer, session)
    });
    let waits = {
        let announcer = announcer.clone();
        second.spawn(async move {
            let mut set = trackers(&["mute-drop.test"]);
            announcer.announce(&mut set, request()).await.unwrap_err().to_string()
        })
    };
    second.block_on(tokio::task::yield_now());
    drop(first);
    let text = "the announcer has ended together with its runtime";
    second.block_on(async {
        let limit = Duration::from_secs(10);
        assert_eq!(timeout(limit, waits).await.unwrap().unwrap(), text);
        timeout(limit, everything_reports(&announcer, session, text)).await.unwrap();
    });
}

/// R89.
#[cfg(feature = "cache")]
#[test]
fn a_disk_that_hangs_delays_neither_shutdown_nor_exit() {
    let run = |at_load, torrents| {
        let (done, finished) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let report = runtime.block_on(async {
                let parts = AnnouncerParts {
                    config: Config::default(),
                    clock: Clock::start(),
                    seed: 1,
                    transport: Arc::new(Odd::default()),
                    prober: None,
                    store: Some(StoreTasks::of_earlier_runs(FileStore::hanging(at_load))),
                    peers: None,
                };
                let announcer = Announcer::start(parts);
                for _ in 0..torrents {
                    let mut session = announcer.session(trackers(&["ok.test"]), torrent());
                    until_announced(&mut session).await;
                    std::mem::forget(session);
                }
                announcer.shutdown(Duration::from_secs(2)).await
            });
            // Waits for the threads of the runtime.
            drop(runtime);
            done.send(report).unwrap();
        });
        (at_load, torrents, finished)
    };
    for (at_load, torrents, finished) in [run(true, 0), run(true, 1), run(false, 0), run(false, 1)] {
        let report = finished.recv_timeout(Duration::from_secs(60)).expect("it ends");
        assert!(report.complete, "{at_load}: {report:?}");
        assert_eq!(report.acknowledged.len(), torrents, "{at_load}: {report:?}");
    }
}

/// Trackers with this answer after this time, and a count of announces.
struct Counted {
    took: Duration,
    response: AnnounceResponse,
    asked: Arc<Mutex<usize>>,
}

#[async_trait]
impl Transport for Counted {
    async fn open(&self, _: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        let (took, response) = (self.took, self.response.clone());
        Ok(Box::new(Self { took, response, asked: Arc::clone(&self.asked) }))
    }

    fn supports(&self, _: Scheme) -> bool {
        true
    }
}

#[async_trait]
impl Channel for Counted {
    async fn announce(&mut self, _: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        *self.asked.lock().unwrap() += 1;
        tokio::time::sleep(self.took).await;
        Ok(self.response.clone())
    }
}

/// An announcer on a machine that can be put to sleep.
struct Laptop {
    announcer: Announcer,
    /// How long it has slept, in seconds.
    slept: Arc<AtomicU64>,
    asked: Arc<Mutex<usize>>,
}

impl Laptop {
    fn new(took: Duration, interval: u64, min_interval: u64) -> Self {
        let (slept, asked) = (Arc::new(AtomicU64::new(0)), Arc::default());
        let response = AnnounceResponse {
            interval: Some(Duration::from_secs(interval)),
            min_interval: Some(Duration::from_secs(min_interval)),
            ..AnnounceResponse::default()
        };
        let meter = Arc::clone(&slept);
        let clock = Clock::with(Box::new(move || Duration::from_secs(meter.load(Ordering::SeqCst))));
        let announcer = Announcer::start(AnnouncerParts {
            config: Config::default().announce_to(AnnounceTo::One),
            clock,
            seed: 1,
            transport: Arc::new(Counted { took, response, asked: Arc::clone(&asked) }),
            prober: None,
            store: None,
            peers: None,
        });
        Self { announcer, slept, asked }
    }

    fn sleeps(&self, seconds: u64) {
        self.slept.fetch_add(seconds, Ordering::SeqCst);
    }

    fn announces(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

/// R101: announces that became due are sent after it, and intervals of trackers are kept.
#[tokio::test(start_paused = true)]
async fn sleep_of_the_machine_counts_as_time() {
    const HOUR: u64 = 3600;
    let laptop = Laptop::new(Duration::from_millis(10), 2 * HOUR, HOUR);
    let mut session = laptop.announcer.session(trackers(&["t.test"]), torrent());
    until_announced(&mut session).await;
    // Less than the interval: nothing is due.
    laptop.sleeps(HOUR / 2);
    tokio::time::sleep(Duration::from_secs(600)).await;
    session.want_peers();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(laptop.announces(), 1, "min interval is kept: it is 50 minutes");
    laptop.sleeps(8 * HOUR);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(laptop.announces(), 2, "it was sent soon after");
    tokio::time::sleep(Duration::from_secs(HOUR)).await;
    assert_eq!(laptop.announces(), 2, "and once");
}

/// R101.
#[tokio::test(start_paused = true)]
async fn an_announce_in_flight_during_sleep_is_waited_for() {
    let laptop = Laptop::new(Duration::from_secs(9), 1800, 60);
    let mut session = laptop.announcer.session(trackers(&["t.test"]), torrent());
    tokio::time::sleep(Duration::from_secs(1)).await;
    laptop.sleeps(8 * 3600);
    let mut heard = Vec::new();
    while !matches!(heard.last(), Some(Alert::Announced(_))) {
        heard.push(session.next_alert().await.unwrap());
    }
    assert!(!heard.iter().any(|alert| matches!(alert, Alert::Failed { .. })), "{heard:?}");
    assert_eq!(laptop.announces(), 1);
}

/// R100: 42 s, as in the report. The tracker isn't slower by that.
#[tokio::test(start_paused = true)]
async fn an_announce_in_flight_while_nothing_runs_is_waited_for() {
    let laptop = Laptop::new(Duration::from_secs(9), 1800, 60);
    let session = laptop.announcer.session(trackers(&["t.test", "other.test"]), torrent());
    let mut alerts = session.subscribe();
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::time::advance(Duration::from_secs(42)).await;
    let mut heard = Vec::new();
    while !matches!(heard.last(), Some(Alert::Announced(_))) {
        heard.push(alerts.next().await.unwrap());
    }
    assert!(!heard.iter().any(|alert| matches!(alert, Alert::Failed { .. })), "{heard:?}");
    assert_eq!(session.trackers().unwrap().len(), 2);
    assert_eq!(laptop.announces(), 1, "no other tracker is announced to: {heard:?}");
}
