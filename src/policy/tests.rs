//! Sessions played through the engine, with trackers that answer or fail at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Announcing, Config, Engine, Input, Order, Output, Probing, Timestamp, TorrentId, TrackerSet};
use crate::alert::{Alert, Announced};
use crate::announce::{InfoHash, PeerId, Torrent, Transfer};
use crate::error::{AnnounceError, Rejection, Retry, RoundError};
use crate::prober::Measurement;
use crate::tracker::TrackerUrl;

/// An engine with one torrent, and what its trackers say.
struct Played {
    engine: Engine,
    torrent: TorrentId,
    now: Timestamp,
    failing: BTreeMap<TrackerUrl, AnnounceError>,
    /// Every announce: to whom, with which event, and what it said.
    told: Vec<String>,
    rounds: Vec<Result<Arc<Announced>, Arc<RoundError>>>,
}

impl Played {
    fn new(tiers: &[&[&str]], config: Config) -> Self {
        let trackers = TrackerSet::new(tiers.iter().map(|tier| tier.iter().map(|name| url(name))));
        let mut engine = Engine::new(config, 7);
        let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new([65; 20]), 6881);
        let torrent = engine.add(trackers, torrent, Timestamp::ZERO);
        let (failing, told, rounds) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut played = Self { engine, torrent, now: Timestamp::ZERO, failing, told, rounds };
        played.settle();
        played
    }

    /// Does what the engine wants until it waits, and gives until when.
    fn settle(&mut self) -> Option<Timestamp> {
        let mut opened = BTreeMap::new();
        loop {
            match self.engine.poll(self.now) {
                Output::Open { attempt, tracker } => {
                    opened.insert(attempt, tracker);
                    self.engine.handle(Input::Opened(attempt), self.now);
                }
                Output::Announce { attempt, request } => {
                    let tracker = &opened[&attempt];
                    let event = request.event.map_or("none", crate::Event::name);
                    let left = request.transfer.left.map_or("?".to_owned(), |left| left.to_string());
                    let wanted = request.num_want.map_or("?".to_owned(), |wanted| wanted.to_string());
                    let name = tracker.host().trim_end_matches(".test");
                    self.told.push(format!("{name}:{event} left={left} numwant={wanted}"));
                    let input = match self.failing.get(tracker) {
                        Some(error) => Input::Failed(attempt, error.clone()),
                        None => Input::Replied(attempt, Box::default()),
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
            Err(error) => error.attempts.iter().map(attempt).collect::<Vec<_>>().join(" "),
        }
    }
}

fn url(name: &str) -> TrackerUrl {
    format!("http://{name}.test/announce").parse().unwrap()
}

fn on_request() -> Config {
    Config { announcing: Announcing::OnRequest, shuffle: false, ..Config::strict_bep12() }
}

fn left(left: u64) -> Transfer {
    Transfer { left: Some(left), ..Transfer::default() }
}

#[test]
fn on_request_nothing_is_announced_by_itself() {
    for order in [Order::Nearest, Order::Bep12] {
        let config =
            Config { announcing: Announcing::OnRequest, order, probing: Probing::Off, ..Config::default() };
        let mut played = Played::new(&[&["a"]], config);
        assert!(played.told.is_empty(), "not at the start");
        played.announce();
        played.now = played.now + Duration::from_secs(86_400);
        assert_eq!(played.settle(), None, "not at the interval");
        played.fails("a", AnnounceError::Unsupported);
        played.announce();
        played.now = played.now + Duration::from_secs(86_400);
        assert_eq!(played.settle(), None, "not after a failure");
        played.engine.complete(played.torrent, played.now);
        played.settle();
        assert_eq!(played.told.len(), 2, "and not when the download is complete: {:?}", played.told);
    }
}

#[test]
fn on_request_events_are_owed_all_the_same_r23() {
    let mut played = Played::new(&[&["a"]], on_request());
    played.engine.update(played.torrent, left(1000));
    played.announce();
    played.engine.set_num_want(played.torrent, Some(7));
    played.announce();
    played.engine.complete(played.torrent, played.now);
    played.announce();
    played.announce();
    played.engine.stop(played.torrent, played.now);
    played.settle();
    let told = [
        "started left=1000 numwant=?",
        "none left=1000 numwant=7",
        "completed left=0 numwant=7",
        "none left=0 numwant=7",
        "stopped left=0 numwant=0",
    ];
    assert_eq!(played.told, told.map(|told| format!("a:{told}")));
}

/// R3-12, R27: what is found complete before the first announce was so from the start; a download whose size was
/// unknown by then is one that completes.
#[test]
fn a_download_found_complete_never_completes_r3_12() {
    let mut played = Played::new(&[&["a"]], on_request());
    played.engine.update(played.torrent, left(0));
    played.engine.complete(played.torrent, played.now);
    played.announce();
    played.announce();
    assert_eq!(played.told, ["a:started left=0 numwant=?", "a:none left=0 numwant=?"]);

    let mut magnet = Played::new(&[&["a"]], on_request());
    magnet.announce();
    magnet.engine.update(magnet.torrent, left(0));
    magnet.engine.complete(magnet.torrent, magnet.now);
    magnet.announce();
    assert_eq!(magnet.told, ["a:started left=? numwant=?", "a:completed left=0 numwant=?"]);
}

/// R31-03, R12-06: suspended trackers stand in the report where it would have been their turn.
#[test]
fn suspended_trackers_are_reported_in_their_turn_r31_04() {
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

/// One that refuses the torrent neither keeps it from starving, nor is asked each time a dead one is looked for.
#[test]
fn dead_trackers_are_looked_for_beside_one_that_refuses_and_it_is_left_in_peace() {
    let config = Config { probing: Probing::Off, ..Config::default() };
    let mut played = Played::new(&[&["a", "b"]], config);
    played.engine.update(played.torrent, left(1000));
    played.fails("a", AnnounceError::Rejected(Rejection::new("unregistered torrent")));
    played.fails("b", AnnounceError::Connect(crate::Cause::new("refused")));
    played.told.clear();
    let end = Timestamp::from_start(Duration::from_secs(4 * 3600));
    while let Some(next) = played.settle().filter(|next| *next < end) {
        played.now = next;
    }
    let told = |name: &str| played.told.iter().filter(|told| told.starts_with(name)).count();
    assert!(told("b") > 3 * 3600 / 75, "{} tries in four hours", told("b"));
    assert!((5..20).contains(&told("a")), "{} announces in four hours", told("a"));
}

/// Where all hosts are known nothing is measured, and the user still hears in which order they stand.
#[test]
fn a_start_with_known_hosts_tells_the_order_of_failover() {
    let mut engine = Engine::new(Config::default(), 7);
    let mut orders = Vec::new();
    for number in 0..2 {
        let torrent = Torrent::new(InfoHash::new([number; 20]), PeerId::new([65; 20]), 6881);
        engine.add(TrackerSet::new([["a", "b"].map(url)]), torrent, Timestamp::ZERO);
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
    let mut engine = Engine::new(Config::default(), 7);
    let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new([65; 20]), 6881);
    engine.add(trackers, torrent, Timestamp::ZERO);
    let refused = || AnnounceError::Connect(crate::Cause::new("refused"));
    let error = loop {
        match engine.poll(Timestamp::ZERO) {
            Output::Probe { attempt, .. } => {
                engine.handle(Input::Probed(attempt, Err(refused().into())), Timestamp::ZERO);
            }
            Output::Open { attempt, .. } => {
                engine.handle(Input::Failed(attempt, refused()), Timestamp::ZERO);
            }
            Output::RoundEnded { result, .. } => break result.unwrap_err(),
            Output::Wait(wake) => panic!("waits until {wake:?}"),
            _ => {}
        }
    };
    let causes: Vec<String> = error.attempts.iter().map(|attempt| attempt.error.to_string()).collect();
    assert_eq!(causes, ["could not connect: refused", "could not connect: refused"]);
}
