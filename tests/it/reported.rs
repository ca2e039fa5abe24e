//! Faults that were reported of the policy, each in the smallest life that shows it.

use std::time::Duration;

use tracker_failover::policy::{Engine, HostHealth, Output, Timestamp, TorrentId};
use tracker_failover::{
    Alert, AnnounceError, AnnounceRequest, AnnounceResponse, Cause, Event, InfoHash, Measurement, Peer,
    PeerAddress, PeerId, Rejection, Torrent, TrackerUrl,
};
use tracker_failover::{Config, Order, Probing, TrackerSet, TrackerState, TrackerStatus};
use virtual_net::{Scene, Trackers};

use super::world::one_at_a_time;

/// Trackers that do what the beginning of their name says: `mute` opens and never answers, `gone` refuses connections,
/// `no` refuses the torrent, `cancels` is a transport that gives up, `slow` takes five seconds,
/// `tardy` needs three to answer and asks for two hours then, `dies` refuses connections after a minute, `flood` names
/// 50,000 peers; all others answer.
#[derive(Default)]
struct Named {
    /// When which tracker was sent an announce with which event.
    received: Vec<(Timestamp, String, Option<Event>)>,
    alerts: Vec<(Timestamp, Alert)>,
    /// The torrents that have ended, and how many trackers each sent `stopped` to.
    ended: Vec<(TorrentId, usize)>,
}

const ROUND_TRIP: Duration = Duration::from_millis(10);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1000)
}

fn url(name: &str) -> TrackerUrl {
    format!("http://{name}.test/announce").parse().unwrap()
}

fn list(names: &[&str]) -> TrackerSet {
    TrackerSet::new(names.iter().map(|name| [url(name)]))
}

fn torrent(left: u64) -> Torrent {
    let mut torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new([2; 20]), 6881);
    torrent.transfer.left = Some(left);
    torrent
}

fn unmeasured() -> Config {
    one_at_a_time().probing(Probing::Off)
}

impl Trackers for Named {
    fn probe(
        &mut self,
        _: &TrackerUrl,
        _: Timestamp,
    ) -> Option<(Duration, Result<Measurement, AnnounceError>)> {
        Some((ROUND_TRIP, Ok(Measurement { connect: ROUND_TRIP, first_byte: ROUND_TRIP })))
    }

    fn open(
        &mut self,
        tracker: &TrackerUrl,
        now: Timestamp,
    ) -> Option<(Duration, Result<(), AnnounceError>)> {
        let host = tracker.host();
        Some(if host.starts_with("gone") || (host.starts_with("dies") && now > at(60_000)) {
            (ROUND_TRIP, Err(AnnounceError::Connect(Cause::new("refused"))))
        } else if host.starts_with("cancels") {
            (ROUND_TRIP, Err(AnnounceError::Cancelled))
        } else if host.starts_with("slow") {
            (Duration::from_secs(5), Ok(()))
        } else {
            (ROUND_TRIP, Ok(()))
        })
    }

    fn announce(
        &mut self,
        tracker: &TrackerUrl,
        request: &AnnounceRequest,
        now: Timestamp,
    ) -> Option<(Duration, Result<AnnounceResponse, AnnounceError>)> {
        let host = tracker.host().trim_end_matches(".test");
        self.received.push((now, host.to_owned(), request.event));
        if host.starts_with("no") {
            return Some((ROUND_TRIP, Err(AnnounceError::Rejected(Rejection::new("unregistered torrent")))));
        }
        if host.starts_with("mute") {
            return None;
        }
        let mut response = AnnounceResponse::default();
        response.interval = Some(Duration::from_secs(1800));
        if host.starts_with("flood") {
            let address = PeerAddress::Ip("192.0.2.1:6881".parse().unwrap());
            response.peers = vec![Peer { address, id: None }; 50_000];
        }
        if host.starts_with("tardy") {
            response.min_interval = Some(Duration::from_secs(7200));
            return Some((Duration::from_secs(3), Ok(response)));
        }
        Some((ROUND_TRIP, Ok(response)))
    }

    fn report(&mut self, output: &Output, _: &mut Engine, now: Timestamp) {
        match output {
            Output::Alert { alert, .. } => self.alerts.push((now, alert.clone())),
            Output::Ended { torrent, stopped, .. } => self.ended.push((*torrent, stopped.len())),
            _ => {}
        }
    }
}

impl Named {
    /// The announces that were sent, as text: `a:started b:none`.
    fn received(&self) -> String {
        let event = |event: Option<Event>| event.map_or("none", Event::name);
        let lines = self.received.iter().map(|(_, host, sent)| format!("{host}:{}", event(*sent)));
        lines.collect::<Vec<_>>().join(" ")
    }

    fn alerted(&self, is_wanted: impl Fn(&Alert) -> bool) -> usize {
        self.alerts.iter().filter(|(_, alert)| is_wanted(alert)).count()
    }
}

/// An engine among these trackers.
struct Played(Scene<Named>);

impl Played {
    fn new(config: Config) -> Self {
        Self(Scene::new(config, 7, Named::default()))
    }

    fn add(&mut self, names: &[&str], left: u64) -> TorrentId {
        self.0.driver.add(list(names), torrent(left))
    }

    fn play_until(&mut self, until: Timestamp) {
        self.0.play_until(until);
    }

    fn stop(&mut self, torrent: TorrentId) {
        let now = self.0.driver.now();
        self.0.driver.engine.stop(torrent, now);
    }

    fn engine(&self) -> &Engine {
        &self.0.driver.engine
    }

    fn trackers(&self) -> &Named {
        &self.0.trackers
    }

    fn change_trackers(&mut self, torrent: TorrentId, names: &[&str]) {
        let tiers: Vec<_> = names.iter().map(|name| vec![url(name)]).collect();
        let now = self.0.driver.now();
        self.0.driver.engine.change_trackers(torrent, |trackers| trackers.replace(tiers), now);
    }

    /// The machine sleeps for ten minutes.
    fn sleep(&mut self) {
        self.0.driver.sleep(Duration::from_secs(600));
    }

    fn is_failing(&self, torrent: TorrentId) -> bool {
        let status = self.engine().status(torrent, self.0.driver.now()).unwrap();
        let is_failing = |tracker: &TrackerStatus| matches!(tracker.state, TrackerState::Failing(_));
        status.tiers.iter().flatten().any(is_failing)
    }
}

/// R86: a tracker that is removed while it is opened and put back is no worse for it, and a transport that cancels is
/// no evidence about its tracker, but isn't asked without pause.
#[test]
fn a_cancelled_attempt_is_no_evidence_about_its_tracker() {
    let mut played = Played::new(unmeasured());
    let torrent = played.add(&["slow", "b"], 1000);
    played.play_until(at(100));
    played.change_trackers(torrent, &["b"]);
    played.change_trackers(torrent, &["slow", "b"]);
    assert!(!played.is_failing(torrent));

    let mut played = Played::new(unmeasured());
    played.add(&["cancels"], 1000);
    played.play_until(at(3_600_000));
    let opened = played.trackers().alerted(|alert| matches!(alert, Alert::AttemptStarted { .. }));
    assert!((4..20).contains(&opened), "{opened} attempts in an hour");
}

/// R87: the reason that an explanation or an alert gives is the reason.
#[test]
fn the_reason_that_is_given_is_the_reason() {
    let mut played = Played::new(unmeasured());
    let torrent = played.add(&["gone", "mute"], 1000);
    played.play_until(at(100));
    let line = played.engine().explain(torrent, played.0.driver.now()).unwrap();
    assert!(line.contains("mute.test is tried first: those before it in the list failed"), "{line}");

    let mut played = Played::new(unmeasured());
    played.add(&["mute", "b"], 1000);
    played.play_until(at(2000));
    let switch = played
        .trackers()
        .alerts
        .iter()
        .position(|(_, alert)| matches!(alert, Alert::Switching { .. }))
        .unwrap();
    let before = &played.trackers().alerts[switch - 1].1;
    assert!(matches!(before, Alert::NoResponse { tracker, .. } if *tracker == url("mute")), "{before}");
}

/// R90: two sessions of one torrent are one registration. The end of the first doesn't unregister the second, which sends
/// `stopped` to all that the first was registered at.
#[test]
fn the_later_session_of_a_torrent_takes_over_the_registrations() {
    let mut played = Played::new(unmeasured());
    let first = played.add(&["a"], 1000);
    played.play_until(at(100));
    let second = played.add(&["b"], 1000);
    played.play_until(at(200));
    played.stop(first);
    played.play_until(at(10_000));
    assert_eq!(played.trackers().received(), "a:started b:started");
    assert_eq!(played.trackers().ended, [(first, 0)]);
    played.stop(second);
    played.play_until(at(20_000));
    assert_eq!(played.trackers().received(), "a:started b:started a:stopped b:stopped");
}

/// R90: `started` of a session doesn't overtake `stopped` of the one before.
#[test]
fn a_new_session_waits_until_the_one_before_has_stopped() {
    let mut played = Played::new(unmeasured());
    let first = played.add(&["a"], 1000);
    played.play_until(at(100));
    played.stop(first);
    played.add(&["a"], 1000);
    played.play_until(at(10_000));
    assert_eq!(played.trackers().received(), "a:started a:stopped a:started");
    let waited = played.trackers().received[2].0.since(played.trackers().received[1].0);
    assert_eq!(waited, 2 * ROUND_TRIP, "until it was acknowledged, and then the connection");
    // A torrent of another peer id is another peer, and doesn't wait.
    let mut other = torrent(1000);
    other.peer_id = PeerId::new([3; 20]);
    let second = played.engine().torrents().last().unwrap();
    played.stop(second);
    played.0.driver.add(list(&["a"]), other);
    let before = played.0.driver.now();
    played.play_until(at(11_000));
    let started =
        played.trackers().received.iter().rev().find(|(.., event)| *event == Some(Event::Started)).unwrap();
    assert_eq!(started.0.since(before), ROUND_TRIP);
}

/// R118: trackers that show life and then stall cost less each.
#[test]
fn each_reply_that_stalls_halves_the_patience_with_the_next() {
    for order in [Order::Nearest, Order::Bep12] {
        let config = one_at_a_time().order(order).without_shuffle();
        let mut played = Played::new(config);
        played.add(&["mute-1", "mute-2", "b"], 1000);
        played.play_until(at(5000));
        let asked =
            played.trackers().received.iter().find(|(_, host, _)| host == "b").map(|(when, ..)| *when);
        assert!(asked.is_some_and(|when| when <= at(2300)), "{order:?}: {asked:?}");
    }
}

/// R119: a torrent that was uploaded a moment ago is known to its tracker soon. One that isn't new waits as ever.
#[test]
fn a_new_torrent_that_is_refused_asks_again_soon() {
    let mut played = Played::new(unmeasured());
    played.add(&["no"], 0);
    played.play_until(at(300_000));
    let asked: Vec<u64> =
        played.trackers().received.iter().map(|(when, ..)| when.as_micros() / 1_000_000).collect();
    assert_eq!(asked[..5], [0, 10, 30, 60, 90]);
    assert!(asked[5] >= 120 && asked.len() <= 9, "{asked:?}");
}

/// R89: a `stopped` that fails is news about its host, as any announce is.
#[test]
fn a_stopped_that_fails_teaches_its_host() {
    let mut played = Played::new(unmeasured());
    let torrent = played.add(&["dies"], 1000);
    played.play_until(at(61_000));
    played.stop(torrent);
    played.play_until(at(70_000));
    let host = url("dies").tracker_host();
    assert!(played.engine().health().host(&host).is_some_and(HostHealth::is_backed_off));
}

/// R100: what is under way while the machine sleeps loses none of its time: an opening, one whose round is over, a
/// probe, and `stopped`.
#[test]
fn a_sleep_uses_up_no_limit() {
    let mut played = Played::new(unmeasured());
    let torrent = played.add(&["slow"], 1000);
    played.play_until(at(1000));
    played.sleep();
    played.play_until(at(602_000));
    assert_eq!((played.trackers().received().as_str(), played.is_failing(torrent)), ("slow:started", false));

    let mut played = Played::new(unmeasured());
    played.add(&["tardy", "b"], 1000);
    played.play_until(at(2000));
    assert_eq!(played.trackers().received(), "tardy:started b:started");
    played.sleep();
    played.play_until(at(603_000));
    assert!(played.trackers().alerts.iter().any(|(_, alert)| matches!(alert, Alert::LateResponse { .. })));

    let mut played = Played::new(one_at_a_time());
    played.add(&["a", "b"], 1000);
    played.play_until(at(5));
    played.sleep();
    played.play_until(at(602_000));
    let latency =
        |name| played.engine().health().host(&url(name).tracker_host()).and_then(HostHealth::latency);
    assert!(latency("a").is_some() && latency("b").is_some(), "both probes were answered");

    let mut played = Played::new(unmeasured());
    let torrent = played.add(&["a"], 1000);
    played.play_until(at(100));
    played.stop(torrent);
    played.play_until(at(105));
    played.sleep();
    played.play_until(at(602_000));
    assert_eq!(played.trackers().received(), "a:started a:stopped");
    assert_eq!(played.trackers().ended, [(torrent, 1)]);
}

/// A torrent that has queued at an overrun host for as long as an opening may take goes to its next tracker, also
/// where the order isn't by cost.
#[test]
fn a_torrent_that_queues_for_long_goes_to_its_next_tracker() {
    let mut config = unmeasured();
    config = config.order(Order::Bep12);
    let mut played = Played::new(config);
    for _ in 0..600 {
        played.add(&["a"], 1000);
    }
    played.add(&["a", "b"], 1000);
    played.play_until(at(40_000));
    let asked = played.trackers().received.iter().find(|(_, host, _)| host == "b").map(|(when, ..)| *when);
    assert!(asked.is_some_and(|when| when >= at(9000) && when <= at(12_000)), "{asked:?}");
}

/// A tracker that asked for time names no peers, so a torrent that wants some tries its dead one every minute or so.
#[test]
fn a_tracker_that_asked_for_time_is_no_help() {
    let mut played = Played::new(unmeasured());
    played.add(&["tardy", "dies"], 1000);
    played.play_until(at(7_000_000));
    let is_dead = |alert: &Alert| matches!(alert, Alert::Failed { tracker, .. } if *tracker == url("dies"));
    let tried = played.trackers().alerted(is_dead);
    assert!((60..180).contains(&tried), "{tried} times in an hour and a half");
    assert_eq!(played.trackers().received(), "tardy:started dies:started");
}

/// R91: a client's own transport may bring anything.
#[test]
fn an_answer_is_cut_to_what_a_client_can_use() {
    let mut played = Played::new(unmeasured());
    played.add(&["flood"], 1000);
    played.play_until(at(1000));
    let peers = played.trackers().alerts.iter().find_map(|(_, alert)| match alert {
        Alert::Announced(announced) => Some(announced.response.peers.len()),
        _ => None,
    });
    assert_eq!(peers, Some(10_000));
}
