//! Sessions played through the engine, with trackers that answer or fail at once.

mod address;
mod liveness;
mod partial_seeds;
mod pauses;
mod private;
mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::config::{AnnounceTo, Config, Order, Probing, Scheduling};
use super::{Engine, Input, Output, Timestamp, TorrentId, TrackerSet};
use crate::alert::{Alert, AnnounceReason, Announced};
use crate::announce::{AnnounceResponse, InfoHash, Peer, PeerAddress, PeerId, Torrent, Transfer};
use crate::error::{AnnounceError, Rejection, Retry, RoundError};
use crate::prober::Measurement;
use crate::tracker::TrackerUrl;

/// An engine with one torrent, and what its trackers say.
struct Played {
    engine: Engine,
    torrent: TorrentId,
    now: Timestamp,
    /// The answer of all trackers that don't fail.
    response: AnnounceResponse,
    failing: BTreeMap<TrackerUrl, AnnounceError>,
    /// Those that refuse the event of a partial seed.
    refuses_paused: BTreeSet<TrackerUrl>,
    /// Those that open, and never answer an announce.
    stalling: BTreeSet<TrackerUrl>,
    /// Whose channels were opened.
    opened: Vec<TrackerUrl>,
    /// Every announce: to whom, with which event, and what it said.
    sent: Vec<String>,
    rounds: Vec<Result<Arc<Announced>, Arc<RoundError>>>,
}

impl Played {
    fn new(tiers: &[&[&str]], config: Config) -> Self {
        let trackers = TrackerSet::new(tiers.iter().map(|tier| tier.iter().map(|name| url(name))));
        let mut engine = Engine::new(config, 7);
        let torrent = engine.add(trackers, a_torrent(1), Timestamp::ZERO);
        let (failing, stalling, opened) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let refuses_paused = BTreeSet::new();
        let (sent, rounds) = (Vec::new(), Vec::new());
        let (now, response) = (Timestamp::ZERO, AnnounceResponse::default());
        let mut played =
            Self { engine, torrent, now, response, failing, refuses_paused, stalling, opened, sent, rounds };
        played.settle();
        played
    }

    /// Adds another torrent on the same trackers.
    fn and_another(&mut self) -> TorrentId {
        let trackers = self.engine.trackers(self.torrent).unwrap();
        let tiers: Vec<Vec<_>> = trackers.tiers().map(|tier| tier.cloned().collect()).collect();
        let number = u8::try_from(self.engine.torrents().count() + 1).unwrap();
        let torrent = self.engine.add(TrackerSet::new(tiers), a_torrent(number), self.now);
        self.settle();
        torrent
    }

    /// Plays until this moment.
    fn play_until(&mut self, end: Timestamp) {
        while let Some(next) = self.settle().filter(|next| *next < end) {
            self.now = next;
        }
        self.now = end;
        self.settle();
    }

    /// When a torrent announces next.
    fn due(&self, torrent: TorrentId) -> Timestamp {
        self.now + self.engine.status(torrent, self.now).unwrap().next_announce.unwrap()
    }

    /// The tracker that is shown as the one to be asked.
    fn current(&self, torrent: TorrentId) -> Option<TrackerUrl> {
        self.engine.status(torrent, self.now).unwrap().current
    }

    /// When a host last answered.
    fn answered_at(&self, name: &str) -> Option<Timestamp> {
        self.engine.health().host(&url(name).tracker_host()).unwrap().answered_at()
    }

    /// Does what the engine wants until it waits, and gives until when.
    fn settle(&mut self) -> Option<Timestamp> {
        let mut opened = BTreeMap::new();
        loop {
            match self.engine.poll(self.now) {
                Output::Probe { attempt, tracker } => {
                    // The first of the list is the nearest.
                    let near = Duration::from_millis(if tracker == url("a") { 5 } else { 20 });
                    let measured = Measurement { connect: near, first_byte: near };
                    let failure = self.failing.get(&tracker).cloned();
                    let result = failure.map_or(Ok(measured), Err);
                    self.engine.handle(Input::Probed(attempt, result), self.now);
                }
                Output::Open { attempt, tracker } => {
                    self.opened.push(tracker.clone());
                    opened.insert(attempt, tracker);
                    self.engine.handle(Input::Opened(attempt), self.now);
                }
                Output::Announce { attempt, request } => {
                    let tracker = &opened[&attempt];
                    let event = request.event.map_or("none", crate::Event::name);
                    let left = request.transfer.left.map_or("?".to_owned(), |left| left.to_string());
                    let wanted = request.num_want.map_or("?".to_owned(), |wanted| wanted.to_string());
                    let name = tracker.host().trim_end_matches(".test");
                    self.sent.push(format!("{name}:{event} left={left} numwant={wanted}"));
                    let input = match self.failing.get(tracker) {
                        _ if self.stalling.contains(tracker) => continue,
                        _ if event == "paused" && self.refuses_paused.contains(tracker) => {
                            Input::Failed(attempt, AnnounceError::Rejected(Rejection::new("unknown event")))
                        }
                        Some(error) => Input::Failed(attempt, error.clone()),
                        None => Input::Replied(attempt, Box::new(self.response.clone())),
                    };
                    self.engine.handle(input, self.now);
                }
                Output::RoundEnded { result, .. } => self.rounds.push(result),
                Output::Wait(wake) => return wake,
                _ => {}
            }
        }
    }

    fn fails(&mut self, name: &str, error: AnnounceError) {
        self.failing.insert(url(name), error);
    }

    /// One announce that is asked for, and who was tried in it.
    fn announce(&mut self) -> String {
        self.engine.reannounce(self.torrent, self.now);
        self.settle();
        let attempt = |failed: &crate::FailedAttempt| {
            let suspended = matches!(failed.error, AnnounceError::Suspended);
            format!(
                "{}{}",
                failed.tracker.host().trim_end_matches(".test"),
                if suspended { "(skipped)" } else { "-" }
            )
        };
        match self.rounds.last().unwrap() {
            Ok(announced) => {
                let mut tried: Vec<_> = announced.failed.iter().map(attempt).collect();
                tried.push(format!("{}+", announced.tracker.host().trim_end_matches(".test")));
                tried.join(" ")
            }
            Err(error) => error.attempts().iter().map(attempt).collect::<Vec<_>>().join(" "),
        }
    }
}

fn url(name: &str) -> TrackerUrl {
    format!("http://{name}.test/announce").parse().unwrap()
}

fn a_torrent(number: u8) -> Torrent {
    Torrent::new(InfoHash::new([number; 20]), PeerId::new([65; 20]), 6881)
}

fn refused() -> AnnounceError {
    AnnounceError::Connect(crate::Cause::new("refused"))
}

/// The default settings, but for announces to one tracker at a time.
fn one_at_a_time() -> Config {
    Config::default().announce_to(AnnounceTo::One)
}

fn on_request() -> Config {
    Config::strict_bep12().scheduling(Scheduling::Manual).without_shuffle()
}

fn left(left: u64) -> Transfer {
    Transfer { left: Some(left), ..Transfer::default() }
}

#[test]
fn on_request_nothing_is_announced_by_itself() {
    for order in [Order::Nearest, Order::Bep12] {
        let config = one_at_a_time().scheduling(Scheduling::Manual).order(order).probing(Probing::Off);
        let mut played = Played::new(&[&["a"]], config);
        assert!(played.sent.is_empty(), "not at the start");
        played.announce();
        played.now = played.now + Duration::from_secs(86_400);
        assert_eq!(played.settle(), None, "not at the interval");
        played.fails("a", AnnounceError::Unsupported);
        played.announce();
        played.now = played.now + Duration::from_secs(86_400);
        assert_eq!(played.settle(), None, "not after a failure");
        played.engine.complete(played.torrent, played.now);
        played.settle();
        assert_eq!(played.sent.len(), 2, "and not when the download is complete: {:?}", played.sent);
    }
}

/// R23.
#[test]
fn on_request_events_are_owed_all_the_same() {
    let mut played = Played::new(&[&["a"]], on_request());
    played.engine.update(played.torrent, left(1000), played.now);
    played.announce();
    played.engine.set_num_want(played.torrent, Some(7));
    played.announce();
    played.engine.complete(played.torrent, played.now);
    played.announce();
    played.announce();
    played.engine.stop(played.torrent, played.now);
    played.settle();
    let sent = [
        "started left=1000 numwant=?",
        "none left=1000 numwant=7",
        "completed left=0 numwant=7",
        "none left=0 numwant=7",
        "stopped left=0 numwant=0",
    ];
    assert_eq!(played.sent, sent.map(|sent| format!("a:{sent}")));
}

/// R3-12, R27: what is found complete before the first announce was so from the start; a download whose size was
/// unknown by then is one that completes.
#[test]
fn a_download_found_complete_never_completes() {
    let mut played = Played::new(&[&["a"]], on_request());
    played.engine.update(played.torrent, left(0), played.now);
    played.engine.complete(played.torrent, played.now);
    played.announce();
    played.announce();
    assert_eq!(played.sent, ["a:started left=0 numwant=?", "a:none left=0 numwant=?"]);

    let mut magnet = Played::new(&[&["a"]], on_request());
    magnet.announce();
    magnet.engine.update(magnet.torrent, left(0), magnet.now);
    magnet.engine.complete(magnet.torrent, magnet.now);
    magnet.announce();
    assert_eq!(magnet.sent, ["a:started left=? numwant=?", "a:completed left=0 numwant=?"]);
}

/// R31-03, R12-06: suspended trackers stand in the report where it would have been their turn.
/// (R31-04)
#[test]
fn suspended_trackers_are_reported_in_their_turn() {
    let mut played = Played::new(&[&["a"], &["b"], &["c"], &["d"]], on_request());
    let never = AnnounceError::Rejected(Rejection { retry: Retry::Never, ..Rejection::new("gone") });
    played.fails("a", AnnounceError::Status { status: 500, retry: Retry::Unsaid });
    played.fails("b", never.clone());
    assert_eq!(played.announce(), "a- b- c+");
    assert_eq!(played.announce(), "a- b(skipped) c+");
    played.fails("c", never.clone());
    played.fails("d", never);
    assert_eq!(played.announce(), "a- b(skipped) c- d-");
    assert_eq!(played.announce(), "a- b(skipped) c(skipped) d(skipped)");
    played.failing.clear();
    assert_eq!(played.announce(), "a+", "who wasn't reached isn't reported");
}

/// One that refuses the torrent neither starves it, nor is asked each time a dead one is looked for.
#[test]
fn dead_trackers_are_looked_for_beside_one_that_refuses_and_it_is_left_in_peace() {
    let config = one_at_a_time().probing(Probing::Off);
    let mut played = Played::new(&[&["a", "b"]], config);
    played.engine.update(played.torrent, left(1000), played.now);
    played.fails("a", AnnounceError::Rejected(Rejection::new("unregistered torrent")));
    played.fails("b", refused());
    played.sent.clear();
    let end = Timestamp::from_start(Duration::from_secs(4 * 3600));
    while let Some(next) = played.settle().filter(|next| *next < end) {
        played.now = next;
    }
    let sent = |name: &str| played.sent.iter().filter(|sent| sent.starts_with(name)).count();
    assert!(sent("b") > 3 * 3600 / 75, "{} tries in four hours", sent("b"));
    // Four in the first two minutes, then ever less often, but every half hour at the least.
    assert!((8..28).contains(&sent("a")), "{} announces in four hours", sent("a"));
}

/// Where all hosts are known nothing is measured, and the user still hears in which order they stand.
#[test]
fn a_start_with_known_hosts_tells_the_order_of_failover() {
    let mut engine = Engine::new(one_at_a_time(), 7);
    let mut orders = Vec::new();
    for number in 0..2 {
        engine.add(TrackerSet::new([["a", "b"].map(url)]), a_torrent(number), Timestamp::ZERO);
        loop {
            match engine.poll(Timestamp::ZERO) {
                Output::Probe { attempt, tracker } => {
                    let millis = Duration::from_millis(if tracker == url("a") { 20 } else { 5 });
                    let measured = Measurement { connect: millis, first_byte: millis };
                    engine.handle(Input::Probed(attempt, Ok(measured)), Timestamp::ZERO);
                }
                Output::Alert { alert: Alert::FailoverOrder { trackers }, .. } => {
                    orders.push(trackers.into_iter().map(|(tracker, _)| tracker).collect::<Vec<_>>());
                }
                Output::Wait(_) => break,
                _ => {}
            }
        }
    }
    assert_eq!(orders, vec![["b", "a"].map(url).to_vec(); 2]);
}

/// Hosts that refused the probe aren't asked again at once, and the round's error still has the cause of each.
#[test]
fn a_failed_probe_is_a_cause_in_the_rounds_error() {
    let trackers = TrackerSet::new([["a", "b"].map(url)]);
    let mut engine = Engine::new(one_at_a_time(), 7);
    engine.add(trackers, a_torrent(1), Timestamp::ZERO);
    let error = loop {
        match engine.poll(Timestamp::ZERO) {
            Output::Probe { attempt, .. } => {
                engine.handle(Input::Probed(attempt, Err(refused())), Timestamp::ZERO);
            }
            Output::Open { attempt, .. } => {
                engine.handle(Input::Failed(attempt, refused()), Timestamp::ZERO);
            }
            Output::RoundEnded { result, .. } => break result.unwrap_err(),
            Output::Wait(wake) => panic!("waits until {wake:?}"),
            _ => {}
        }
    };
    let causes: Vec<String> = error.attempts().iter().map(|attempt| attempt.error.to_string()).collect();
    assert_eq!(causes, ["could not connect: refused", "could not connect: refused"]);
}

/// A `stopped` that was answered is a sign of life like any other answer, and one that failed is none.
#[test]
fn an_answered_stopped_is_a_sign_of_life() {
    for fails in [false, true] {
        let mut played = Played::new(&[&["a"]], one_at_a_time());
        let start = played.answered_at("a");
        played.play_until(played.now + Duration::from_secs(60));
        if fails {
            played.fails("a", refused());
        }
        played.engine.stop(played.torrent, played.now);
        played.settle();
        assert_eq!(played.answered_at("a"), if fails { start } else { Some(played.now) });
    }
}

/// What is shown as the tracker to be asked is the one that is asked first: not the one in use where another torrent
/// has found that dead, nor the nearest where it was found dead before there was any in use.
#[test]
fn the_tracker_that_is_shown_is_the_one_that_is_asked() {
    let mut played = Played::new(&[&["a", "b"]], one_at_a_time());
    let other = played.and_another();
    assert_eq!(played.current(other), Some(url("a")));
    played.play_until(played.due(other).before(Duration::from_secs(300)));
    played.fails("a", refused());
    played.announce();
    let due = played.due(other);
    assert_eq!(played.current(other), Some(url("b")));
    played.opened.clear();
    played.play_until(due);
    assert_eq!(played.opened, [url("b")], "a is free to be tried by then, and a torrent needn't do it");

    let config = Config { probing: Probing::Off, ..on_request() };
    let mut unused = Played::new(&[&["a", "b"]], Config { order: Order::Nearest, ..config });
    for name in ["a", "b"] {
        unused.fails(name, refused());
    }
    unused.announce();
    unused.failing.remove(&url("b"));
    let once = TrackerSet::new([[url("b")]]);
    let request = crate::AnnounceRequest::new(InfoHash::new([3; 20]), PeerId::new([65; 20]), 6881);
    unused.engine.announce_once(once, request, unused.now);
    unused.settle();
    assert_eq!(unused.current(unused.torrent), Some(url("b")), "it answers others");
    unused.opened.clear();
    unused.announce();
    assert_eq!(unused.opened, [url("b")]);
}

/// G4: announces of two torrents that stall at one host send the other torrents elsewhere until they are settled. One
/// alone is evidence about that torrent.
#[test]
fn announces_of_two_torrents_that_stall_send_the_others_elsewhere() {
    for stalling in 1..=2 {
        let mut played = Played::new(&[&["a", "b"]], one_at_a_time());
        let others = [played.and_another(), played.and_another()];
        let due = played.due(others[1]);
        let config = one_at_a_time();
        let wait = crate::policy::hosts::REPLY_PATIENCE + Duration::from_millis(500);
        assert!(wait < config.limits.reply_limit, "they are still under way when the other is due");
        played.play_until(due.before(wait));
        played.stalling.insert(url("a"));
        for torrent in [played.torrent, others[0]].into_iter().take(stalling) {
            played.engine.reannounce(torrent, played.now);
        }
        played.settle();
        played.opened.clear();
        played.play_until(due.before(Duration::from_millis(1)));
        assert_eq!(played.opened[0], url("b"), "beside the first that stalls");
        played.opened.clear();
        played.play_until(due);
        let expected = if stalling == 1 { "a" } else { "b" };
        assert_eq!(played.opened, [url(expected)], "{stalling}");
    }
}

/// R103: what was waited for before the tracker was dialled is no part of its latency.
#[test]
fn a_slow_look_up_does_not_make_a_tracker_look_far() {
    let config = one_at_a_time().probing(Probing::Off);
    let mut engine = Engine::new(config, 7);
    let mut now = Timestamp::ZERO;
    engine.add(TrackerSet::new([[url("a")]]), a_torrent(1), now);
    let near = Duration::from_millis(20);
    loop {
        match engine.poll(now) {
            Output::Open { attempt, .. } => {
                let looked_up = Duration::from_secs(4);
                now = now + looked_up + near;
                engine.discount(attempt, looked_up, now);
                engine.handle(Input::Opened(attempt), now);
            }
            Output::Announce { attempt, .. } => {
                now = now + near;
                engine.handle(Input::Replied(attempt, Box::default()), now);
            }
            Output::RoundEnded { .. } => break,
            Output::Wait(wake) => now = wake.unwrap(),
            _ => {}
        }
    }
    let latency = engine.health().host(&url("a").tracker_host()).unwrap().latency();
    assert_eq!(latency, Some(2 * near));
    // Neither is an attempt that has ended, nor one longer than it took.
    engine.discount(crate::policy::AttemptId::new(1), Duration::MAX, now);
}

/// R91: a transport of the client's own may answer anything.
#[test]
fn an_answer_is_bounded_whatever_the_transport_sent() {
    let mut played = Played::new(&[&["a"]], on_request());
    let peer = Peer { address: PeerAddress::Name("peer.test".to_owned(), 6881), id: None };
    played.response.peers = vec![peer; 20_000];
    played.response.tracker_id = Some(vec![7; 1 << 20]);
    played.announce();
    let response = &played.rounds.last().unwrap().as_ref().unwrap().response;
    assert_eq!((response.peers.len(), &response.tracker_id), (10_000, &None));
}

#[cfg(feature = "serde")]
#[test]
fn a_status_is_written_without_secrets() {
    let mut played = Played::new(&[], on_request());
    let tracker: TrackerUrl = "http://a.test/5ec2e7/announce?passkey=5ec2e7".parse().unwrap();
    let add = |list: &mut TrackerSet| {
        assert!(
            list.add(0, tracker.clone())
                && list.add(1, url("b"))
                && list.add(2, "wss://c.test/5ec2e7".parse().unwrap())
        );
    };
    played.engine.change_trackers(played.torrent, add, played.now);
    played.failing.insert(tracker.clone(), refused());
    played.announce();
    let status = serde_json::to_value(played.engine.status(played.torrent, played.now)).unwrap();
    assert!(!status.to_string().contains("5ec2e7"), "{status}");
    assert_eq!((&status["in_use"], &status["announcing"]), (&"http://b.test".into(), &false.into()));
    let [first, second, third] = [0, 1, 2].map(|tier| &status["tiers"][tier][0]);
    assert_eq!(first["state"]["failing"]["kind"], "connect", "{status}");
    assert_eq!((&second["state"], &second["role"]), (&"working".into(), &"in_use".into()));
    assert_eq!((&third["state"], &third["tracker"]), (&"unsupported".into(), &"wss://c.test".into()));
}
