//! Which trackers are announced to beside the one in use.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tracker_failover::policy::{AttemptId, Engine, Input, Output, Timestamp, TorrentId};
use tracker_failover::{
    AddressFamily, Alert, AnnounceError, AnnounceReason, AnnounceRequest, AnnounceResponse, AnnounceTo,
    Cause, Config, Event, InfoHash, Measurement, Peer, PeerAddress, PeerCounts, PeerId, Probing, Scheduling,
    Status, Torrent, TrackerRole, TrackerSet, TrackerState, TrackerUrl,
};
use virtual_net::{Scene, Trackers};

const INTERVAL: Duration = Duration::from_secs(1800);

/// What a tracker is like.
#[derive(Debug, Clone)]
struct Nature {
    /// How long an exchange takes; `None` if it refuses connections.
    distance: Option<Duration>,
    complete: u64,
    incomplete: u64,
    /// The peers it names, by number.
    peers: Vec<u8>,
}

/// The trackers, by the letters of their hosts, and what each received. `a6` is the tracker `a` over IPv6 as a second
/// address family, `a4` over IPv4.
#[derive(Debug, Default)]
struct World {
    natures: BTreeMap<String, Nature>,
    received: Vec<(String, Timestamp, Option<Event>)>,
    announced: Vec<(String, AnnounceReason)>,
    /// The trackers to which channels were opened.
    opened: Vec<String>,
    /// When each was connected to.
    opened_at: Vec<(String, Timestamp)>,
    /// How many peers the client counts when it is asked.
    connected: Option<u32>,
}

fn letter(tracker: &TrackerUrl) -> String {
    let family = match tracker.family() {
        Some(AddressFamily::Ipv4) => "4",
        Some(_) => "6",
        None => "",
    };
    format!("{}{family}", tracker.host().trim_end_matches(".test"))
}

fn peer(number: u8) -> Peer {
    Peer { address: PeerAddress::Ip(SocketAddr::from(([9, 9, 9, number], 6881))), id: None }
}

impl Trackers for World {
    fn probe(
        &mut self,
        tracker: &TrackerUrl,
        _: Timestamp,
    ) -> Option<(Duration, Result<Measurement, AnnounceError>)> {
        let distance = self.natures[&letter(tracker)].distance;
        Some(match distance {
            Some(distance) => (distance, Ok(Measurement { connect: distance, first_byte: distance })),
            None => (Duration::from_millis(1), Err(AnnounceError::Connect(Cause::new("refused")))),
        })
    }

    fn open(
        &mut self,
        tracker: &TrackerUrl,
        now: Timestamp,
    ) -> Option<(Duration, Result<(), AnnounceError>)> {
        self.opened_at.push((letter(tracker), now));
        self.opened.push(letter(tracker));
        let distance = self.natures[&letter(tracker)].distance;
        Some(match distance {
            Some(distance) => (distance, Ok(())),
            None => (Duration::from_millis(1), Err(AnnounceError::Connect(Cause::new("refused")))),
        })
    }

    fn announce(
        &mut self,
        tracker: &TrackerUrl,
        request: &AnnounceRequest,
        now: Timestamp,
    ) -> Option<(Duration, Result<AnnounceResponse, AnnounceError>)> {
        let name = letter(tracker);
        let nature = &self.natures[&name];
        self.received.push((name, now, request.event));
        let mut response = AnnounceResponse::default();
        response.interval = Some(INTERVAL);
        (response.complete, response.incomplete) = (Some(nature.complete), Some(nature.incomplete));
        response.peers = nature.peers.iter().map(|number| peer(*number)).collect();
        Some((nature.distance?, Ok(response)))
    }

    fn other_family(&self, tracker: &TrackerUrl) -> Option<AddressFamily> {
        let has = |family| self.natures.contains_key(&format!("{}{family}", letter(tracker)));
        match (has(4), has(6)) {
            (true, _) => Some(AddressFamily::Ipv4),
            (false, true) => Some(AddressFamily::Ipv6),
            (false, false) => None,
        }
    }

    fn report(&mut self, output: &Output, engine: &mut Engine, now: Timestamp) {
        if let (Output::CountPeers { torrent }, Some(connected)) = (output, self.connected) {
            engine.set_peers(*torrent, PeerCounts { connected, connecting: 0, seeds: 1 }, now);
        }
        if let Output::Alert { alert: Alert::Announced(announced), .. } = output {
            self.announced.push((letter(&announced.tracker), announced.reason));
        }
        if let Output::Alert { alert, .. } = output {
            {
                println!("{:>9.3} {alert}", now.since(Timestamp::ZERO).as_secs_f64());
            }
        }
    }
}

struct Play {
    scene: Scene<World>,
    torrent: TorrentId,
}

impl Play {
    /// A torrent whose tiers are words; a letter is a tracker, its distance grows with its place in the alphabet, and it
    /// is alive and empty until it is changed.
    fn new(
        tiers: &[&str],
        config: Config,
        left: u64,
        change: impl FnOnce(&mut BTreeMap<String, Nature>),
    ) -> Self {
        Self::with(tiers, config, left, change, |trackers| trackers)
    }

    /// The same with another kind of list.
    fn with(
        tiers: &[&str],
        config: Config,
        left: u64,
        change: impl FnOnce(&mut BTreeMap<String, Nature>),
        kind: impl FnOnce(TrackerSet) -> TrackerSet,
    ) -> Self {
        let url = |letter: char| format!("http://{letter}.test/announce").parse::<TrackerUrl>().unwrap();
        let trackers = kind(TrackerSet::new(tiers.iter().map(|tier| tier.chars().map(url))));
        let mut world = World::default();
        for letter in tiers.concat().chars() {
            let distance = Some(Duration::from_millis(u64::from(u32::from(letter)) - 90));
            let nature = Nature { distance, complete: 0, incomplete: 1, peers: Vec::new() };
            world.natures.insert(letter.to_string(), nature);
        }
        change(&mut world.natures);
        let mut scene = Scene::new(config, 7, world);
        let mut torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 7000);
        torrent.transfer.left = Some(left);
        let torrent = scene.driver.add(trackers, torrent);
        Self { scene, torrent }
    }

    fn until(&mut self, seconds: u64) -> &mut Self {
        self.scene.play_until(Timestamp::from_start(Duration::from_secs(seconds)));
        self
    }

    /// Gives the engine a command.
    fn engine<T>(&mut self, command: impl FnOnce(&mut Engine, TorrentId, Timestamp) -> T) -> T {
        let now = self.scene.driver.now();
        command(&mut self.scene.driver.engine, self.torrent, now)
    }

    /// Reports how many peers the client is connected to.
    fn set_peers(&mut self, connected: u32, seeds: u32) {
        let counts = PeerCounts { connected, connecting: 0, seeds };
        self.engine(|engine, torrent, now| engine.set_peers(torrent, counts, now));
    }

    fn status(&mut self) -> Status {
        self.engine(|engine, torrent, now| engine.status(torrent, now)).unwrap()
    }

    fn explain(&self) -> String {
        self.scene.driver.engine.explain(self.torrent, self.scene.driver.now()).unwrap()
    }

    fn received(&self) -> String {
        let names = self.scene.trackers.received.iter().map(|(name, _, event)| match event {
            Some(event) => format!("{name}:{event}"),
            None => name.clone(),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    fn count(&self, name: &str) -> usize {
        self.scene.trackers.received.iter().filter(|(heard, ..)| heard == name).count()
    }
}

fn rich(natures: &mut BTreeMap<String, Nature>, name: &str, peers: std::ops::Range<u8>) {
    let nature = natures.get_mut(name).unwrap();
    (nature.complete, nature.incomplete, nature.peers) = (1, peers.len() as u64, peers.collect());
}

/// A near tracker that is alive and empty hides no seed.
#[test]
fn an_empty_near_tracker_hides_no_seed() {
    for tiers in [&["ab"][..], &["a", "b"], &["b", "a"]] {
        let mut play = Play::new(tiers, Config::default(), 1000, |natures| rich(natures, "b", 0..1));
        play.until(5);
        assert_eq!(play.received(), "a:started b:started", "{tiers:?}");
        let day = 24 * 3600;
        for second in (60..day).step_by(60) {
            let now = play.scene.driver.now();
            play.scene.driver.engine.want_peers(play.torrent, now);
            play.until(second);
        }
        let by_interval = day / 1800;
        assert!(play.count("a") as u64 <= by_interval * 12 / 10, "{tiers:?}: {}", play.count("a"));
        assert!(play.count("b") > 2, "{tiers:?}");
    }
}

/// Where the first answer names enough peers no other tracker is asked.
#[test]
fn a_fed_leecher_stays_at_one_tracker() {
    let mut play = Play::new(&["a", "b", "c"], Config::default(), 1000, |natures| rich(natures, "a", 0..50));
    play.until(2 * 3600);
    assert_eq!(play.received(), "a:started a a a a");
}

/// A seed is registered at the nearest and at the head, each at its own interval.
#[test]
fn a_seed_is_registered_at_the_head_as_well() {
    let mut play = Play::new(&["c", "b", "a"], Config::default(), 0, |natures| rich(natures, "a", 0..9));
    play.until(2 * 3600);
    let counts = ["a", "b", "c"].map(|name| play.count(name));
    assert_eq!(counts, [5, 0, 5], "{}", play.received());
    let reasons = &play.scene.trackers.announced;
    assert_eq!(reasons[..2], [("a".into(), AnnounceReason::InUse), ("c".into(), AnnounceReason::Head)]);
}

/// The head is the first that lives; if the first returns, the torrent is registered there.
#[test]
fn the_head_is_the_first_living_tracker_of_the_list() {
    let mut play = Play::new(&["d", "c", "b", "a"], Config::default(), 0, |natures| {
        rich(natures, "a", 0..9);
        natures.get_mut("d").unwrap().distance = None;
    });
    play.until(600);
    assert_eq!(play.received(), "a:started c:started");
    play.scene.trackers.natures.get_mut("d").unwrap().distance = Some(Duration::from_millis(10));
    play.until(3 * 3600);
    assert!(play.received().contains("d:started"), "{}", play.received());
}

#[test]
fn the_clients_own_count_decides_before_that_of_trackers() {
    let mut play = Play::new(&["a", "b", "c"], Config::default(), 1000, |natures| rich(natures, "a", 0..50));
    play.set_peers(0, 0);
    play.until(9);
    assert_eq!(play.received(), "a:started", "it is given time to connect");
    play.set_peers(3, 1);
    play.until(20);
    assert_eq!(play.received(), "a:started b:started c:started", "three of fifty could be reached");
}

#[test]
fn completed_goes_to_each_tracker_but_one_of_a_cluster() {
    let mut play = Play::new(&["a", "b", "c"], Config::default(), 1000, |natures| {
        rich(natures, "a", 0..3);
        rich(natures, "b", 0..3);
        rich(natures, "c", 3..6);
    });
    play.until(2500);
    assert_eq!(["a", "b", "c"].map(|name| play.count(name)), [2; 3], "two of a cluster, one alone");
    let now = play.scene.driver.now();
    play.scene.driver.engine.complete(play.torrent, now);
    play.until(2510);
    let received = play.received();
    assert!(received.ends_with("a:completed c:completed"), "{received}");
    let now = play.scene.driver.now();
    play.scene.driver.engine.stop(play.torrent, now);
    play.until(2520);
    let received = play.received();
    assert!(received.ends_with("a:stopped b:stopped c:stopped"), "{received}");
}

#[test]
fn a_cluster_settles_on_one_tracker() {
    let mut play = Play::new(&["abc"], Config::default(), 1000, |natures| {
        for name in ["a", "b", "c"] {
            rich(natures, name, 0..3);
        }
    });
    play.until(24 * 3600);
    assert!((49..=53).contains(&play.count("a")), "{}", play.count("a"));
    for name in ["b", "c"] {
        assert!(play.count(name) <= 5, "{name}: {}", play.count(name));
    }
}

#[test]
fn each_tier_and_all_are_what_they_say() {
    for (announce_to, expected) in
        [(AnnounceTo::One, [1, 0, 0, 0]), (AnnounceTo::EachTier, [1, 0, 1, 0]), (AnnounceTo::All, [1; 4])]
    {
        let config = Config::default().announce_to(announce_to);
        let mut play = Play::new(&["ab", "cd"], config, 1000, |_| {});
        play.until(60);
        assert_eq!(["a", "b", "c", "d"].map(|name| play.count(name)), expected, "{announce_to:?}");
        play.until(4 * 3600);
        let counts = ["a", "b", "c", "d"].map(|name| play.count(name));
        assert_eq!(counts.map(|count| usize::from(count > 0)), expected);
        assert!(counts.iter().all(|count| *count == 0 || (8..=10).contains(count)), "{counts:?}");
    }
}

/// A tracker `a` with both address families, empty over the one and with a seed over the other.
fn over_both(natures: &mut BTreeMap<String, Nature>) {
    natures.insert("a6".into(), natures["a"].clone());
    rich(natures, "a6", 0..1);
}

/// Trackers keep a separate list of peers for each family.
#[test]
fn a_tracker_with_both_address_families_is_announced_to_over_both_while_peers_are_short() {
    let mut play = Play::new(&["a"], Config::default(), 1000, over_both);
    play.until(5);
    assert_eq!(play.received(), "a:started a6:started");
    let status = play.status();
    let [main, second] = &status.tiers[0][..] else { panic!("{status:#?}") };
    assert_eq!(
        (main.role, second.role),
        (TrackerRole::InUse, TrackerRole::Beside(AnnounceReason::MorePeers))
    );
    assert_eq!(second.tracker.to_string(), "http://a.test (IPv6)");
    assert!(second.is_registered && (second.peers, second.answered) == (1, 1), "{second:?}");
    let trackers = play.scene.driver.engine.trackers(play.torrent).unwrap();
    assert_eq!((trackers.len(), trackers.failover_order().len()), (1, 1));
    play.until(2 * 3600);
    assert_eq!(play.count("a6"), 4, "at its own interval, and more rarely as it brings nothing new");
    play.engine(Engine::complete);
    play.until(2 * 3600 + 10);
    assert!(play.received().ends_with("a:completed a6:completed"), "{}", play.received());
    play.engine(Engine::stop);
    play.until(2 * 3600 + 20);
    assert!(play.received().ends_with("a:stopped a6:stopped"), "{}", play.received());
}

#[test]
fn one_address_family_is_enough_where_one_tracker_is() {
    let config = |announce_to| Config::default().announce_to(announce_to);
    let mut private = Config::default();
    private = private.announce_to(AnnounceTo::All);
    for (config, is_private, expected) in [
        (config(AnnounceTo::One), false, 0),
        (config(AnnounceTo::EachTier), false, 0),
        (private, true, 0),
        (config(AnnounceTo::All), false, 3),
    ] {
        let mut play = Play::with(&["a"], config, 1000, over_both, |trackers| {
            if is_private { trackers.private() } else { trackers }
        });
        play.until(3700);
        assert_eq!((play.count("a"), play.count("a6")), (3, expected), "{}", play.received());
    }
    let mut fed = Play::new(&["a"], Config::default(), 1000, |natures| {
        over_both(natures);
        rich(natures, "a", 0..50);
    });
    fed.until(3 * 3600);
    assert_eq!(fed.count("a6"), 0);
}

/// Most machines without IPv6 are reached by no tracker over it.
#[test]
fn a_dead_second_address_family_harms_no_tracker() {
    let mut play = Play::new(&["a", "b", "c"], Config::default(), 1000, |natures| {
        for name in ["a", "b", "c"] {
            let dead = Nature { distance: None, ..natures[name].clone() };
            natures.insert(format!("{name}6"), dead);
        }
    });
    play.until(24 * 3600);
    assert!((49..=53).contains(&play.count("a")), "{}", play.received());
    let opened = |name: &str| play.scene.trackers.opened.iter().filter(|opened| *opened == name).count();
    for name in ["a6", "b6", "c6"] {
        assert!((2..24 * 5).contains(&opened(name)), "as other dead ones: {name}: {}", opened(name));
    }
    assert!(!play.explain().contains("our own network"), "{}", play.explain());
    assert!(play.explain().contains("0 of 3 trackers backed off"), "{}", play.explain());
    let status = play.status();
    assert!(matches!(status.tiers[0][1].state, TrackerState::Failing(Some(_))), "{status:#?}");
    let now = play.scene.driver.now();
    let hosts = play.scene.driver.engine.health().snapshot(1_000_000, now);
    assert!(hosts.len() == 3 && hosts.iter().all(|host| !host.is_backed_off), "{hosts:?}");
}

#[test]
fn the_second_address_family_goes_with_its_tracker() {
    let mut play = Play::new(&["a", "b"], Config::default(), 1000, over_both);
    play.until(60);
    let a = "http://a.test/announce".parse::<TrackerUrl>().unwrap();
    play.engine(|engine, torrent, now| {
        engine.change_trackers(torrent, |trackers| assert!(trackers.remove(&a)), now);
    });
    let before = play.count("a6");
    play.until(4 * 3600);
    assert_eq!((before, play.count("a6"), play.status().tiers.concat().len()), (1, 1, 1));
    play.engine(|engine, torrent, now| {
        engine.change_trackers(torrent, |trackers| assert!(trackers.add(0, a.clone())), now);
    });
    play.until(8 * 3600);
    assert!(play.count("a6") > 1);
    assert_eq!(play.received().matches("a6:started").count(), 1, "its registration is remembered");
    play.engine(Engine::stop);
    play.until(8 * 3600 + 10);
    assert_eq!(play.received().matches("a6:stopped").count(), 1, "{}", play.received());
}

/// The channel that opens first decides over which family the tracker is announced to.
#[test]
fn the_second_address_family_is_always_the_other_one() {
    let mut play = Play::new(&["a"], Config::default(), 1000, over_both);
    play.until(60);
    let natures = &mut play.scene.trackers.natures;
    natures.insert("a4".into(), natures["a6"].clone());
    play.until(3 * 1800);
    let before = play.count("a6");
    play.until(4 * 3600);
    assert_eq!(play.count("a6"), before);
    assert!(play.count("a4") >= 2, "{}", play.received());
    assert!(!play.received().contains("a4:started"), "it is registered over both: {}", play.received());
    assert_eq!(play.status().tiers[0].len(), 2);
}

/// The leechers that trackers counted may have finished since. A client that uses another tracker of the list meets us when
/// we go round.
#[test]
fn a_seed_whose_leechers_have_finished_goes_round_once() {
    let mut play = Play::new(&["a", "b", "c"], Config::default(), 1000, |natures| rich(natures, "a", 0..9));
    play.until(5);
    play.set_peers(9, 3);
    let now = play.scene.driver.now();
    play.scene.driver.engine.complete(play.torrent, now);
    play.until(30);
    assert_eq!(play.received(), "a:started a:completed", "six leechers are left");
    play.set_peers(0, 0);
    play.until(40);
    assert_eq!(play.received(), "a:started a:completed b:started c:started");
    play.until(600);
    assert_eq!(["b", "c"].map(|name| play.count(name)), [1, 1], "once: {}", play.received());
}

/// An announce beside the tracker in use that is on its way when a regular one is due is answered all the same: its
/// tracker would be asked again otherwise.
#[test]
fn an_announce_beside_the_tracker_in_use_outlives_the_next_round() {
    let mut play = Play::new(&["ba"], Config::default(), 1000, |_| {});
    play.until(60);
    play.scene.trackers.natures.get_mut("b").unwrap().distance = Some(Duration::from_secs(1));
    // b is due before a or after it; either way an announce requested meanwhile interrupts none that was sent.
    while play.count("b") < 2 {
        let second = play.scene.driver.now().since(Timestamp::ZERO).as_secs() + 1;
        play.until(second);
    }
    let now = play.scene.driver.now();
    let torrent = play.torrent;
    play.scene.driver.engine.reannounce(torrent, now);
    let second = now.since(Timestamp::ZERO).as_secs();
    play.until(second + 600);
    assert_eq!(play.count("b"), 2, "{}", play.received());
}

/// Takes in everything that the engine wants now, and gives what it opens at a tracker.
fn opening(engine: &mut Engine, name: &str, now: Timestamp) -> Option<AttemptId> {
    let mut found = None;
    loop {
        match engine.poll(now) {
            Output::Wait(_) => return found,
            Output::Open { attempt, tracker } if letter(&tracker) == name => found = Some(attempt),
            _ => {}
        }
    }
}

/// A slot that a host grants to a round beside the tracker in use at the moment at which that one is due goes back.
#[test]
fn a_host_stays_open_if_the_tracker_in_use_is_due_when_it_admits_a_further_announce() {
    let at = |millis: u64| Timestamp::from_start(Duration::from_millis(millis));
    let url = |letter: &str| format!("http://{letter}.test/announce").parse::<TrackerUrl>().unwrap();
    let torrent = |number| Torrent::new(InfoHash::new([number; 20]), PeerId::new([2; 20]), 7000);
    let answer = || {
        let mut response = AnnounceResponse::default();
        response.interval = Some(INTERVAL);
        Box::new(response)
    };
    let config = Config::default().probing(Probing::Off).connections_per_host(1).announce_to(AnnounceTo::All);
    let mut engine = Engine::new(config, 7);
    engine.add(TrackerSet::new([[url("b")]]), torrent(1), at(0));
    let held = opening(&mut engine, "b", at(0)).unwrap();
    engine.handle(Input::Opened(held), at(10));
    opening(&mut engine, "b", at(10));
    let both = engine.add(TrackerSet::new([[url("a")], [url("b")]]), torrent(2), at(100));
    engine.override_interval(both, Some(Duration::from_secs(1)), at(100));
    let first = opening(&mut engine, "a", at(100)).unwrap();
    engine.handle(Input::Opened(first), at(150));
    opening(&mut engine, "a", at(150));
    engine.handle(Input::Replied(first, answer()), at(200));
    assert_eq!(opening(&mut engine, "b", at(200)), None, "it queues there");
    engine.handle(Input::Replied(held, answer()), at(1200));
    opening(&mut engine, "b", at(1200));
    engine.forget(both, at(1300));
    engine.add(TrackerSet::new([[url("b")]]), torrent(3), at(3000));
    assert!(opening(&mut engine, "b", at(3000)).is_some(), "its only place is free");
}

#[test]
fn of_a_cluster_one_tracker_is_sent_completed_after_a_failover_and_back() {
    for done in [5700, 9000, 20_000] {
        let mut play = Play::new(&["ab"], Config::default(), 1000, |natures| {
            rich(natures, "a", 0..3);
            rich(natures, "b", 0..3);
        });
        play.until(2000);
        play.scene.trackers.natures.get_mut("a").unwrap().distance = None;
        play.until(4000);
        play.scene.trackers.natures.get_mut("a").unwrap().distance = Some(Duration::from_millis(7));
        play.until(5400);
        play.set_peers(20, 5);
        play.until(done);
        play.engine(Engine::complete);
        play.until(done + 3 * 3600);
        play.engine(Engine::stop);
        play.until(done + 3 * 3600 + 60);
        assert_eq!(play.received().matches("completed").count(), 1, "{done}: {}", play.received());
    }
}

#[test]
fn completed_is_sent_if_the_other_tracker_of_a_cluster_was_removed() {
    let mut play = Play::new(&["ab"], Config::default(), 1000, |natures| {
        rich(natures, "a", 0..3);
        rich(natures, "b", 0..3);
    });
    play.until(2400);
    let removed = "http://a.test/announce".parse::<TrackerUrl>().unwrap();
    play.engine(|engine, torrent, now| {
        engine.change_trackers(torrent, |trackers| assert!(trackers.remove(&removed)), now);
    });
    play.until(2500);
    play.engine(Engine::complete);
    play.until(2600);
    assert_eq!(play.received().matches("b:completed").count(), 1, "{}", play.received());
}

/// A client that can't connect to what it was named stays short of peers. It gets nothing new from the same trackers.
#[test]
fn trackers_that_name_the_same_peers_for_ever_are_asked_less_and_less() {
    let names: Vec<String> = ('a'..='l').map(String::from).collect();
    for (peers, complete, connected) in [(40, 1, Some(2)), (5, 1, Some(2)), (20, 0, None)] {
        let mut play = Play::new(&[&names.concat()], Config::default(), 1000, |natures| {
            for (name, first) in names.iter().zip(0..) {
                rich(natures, name, first..first + peers);
                natures.get_mut(name).unwrap().complete = complete;
            }
        });
        if let Some(connected) = connected {
            play.set_peers(connected, 1);
        }
        play.until(24 * 3600);
        let counts: Vec<usize> = names.iter().map(|name| play.count(name)).collect();
        let most = counts[1..].iter().sum::<usize>();
        assert!(most <= 11 * 20, "{peers} peers each, by interval 11 × 48: {counts:?}");
    }
}

#[test]
fn announces_beside_the_tracker_in_use_are_spread_after_a_sleep() {
    let mut play = Play::new(&["b", "a"], Config::default(), 0, |natures| rich(natures, "a", 0..9));
    play.until(600);
    let gap = Duration::from_secs(8 * 3600);
    play.scene.driver.sleep(gap);
    let woken = play.scene.driver.now();
    play.scene.driver.engine.resumed(gap, woken);
    let before = play.scene.trackers.opened_at.len();
    play.until(600 + gap.as_secs() + 120);
    let after = &play.scene.trackers.opened_at[before..];
    let soonest = woken + Duration::from_secs(2);
    assert!(after.len() == 2 && after.iter().all(|(_, at)| *at >= soonest), "{after:?}, awake at {woken:?}");
}

#[test]
fn each_tier_has_one_tracker_again_after_a_failback() {
    let config = Config::default().announce_to(AnnounceTo::EachTier);
    let mut play = Play::new(&["ab", "c"], config, 1000, |natures| rich(natures, "a", 0..50));
    play.until(1000);
    play.scene.trackers.natures.get_mut("a").unwrap().distance = None;
    play.until(3600);
    play.scene.trackers.natures.get_mut("a").unwrap().distance = Some(Duration::from_millis(7));
    play.until(4 * 3600);
    let before = play.count("b");
    play.until(24 * 3600);
    assert_eq!(play.count("b"), before, "{}", play.explain());
    assert!(play.count("c") > 45, "{}", play.count("c"));
}

/// The caller decides when to announce, whatever a change of the list says, and the engine waits.
#[test]
fn a_change_of_the_list_announces_to_no_further_tracker_if_that_is_not_allowed() {
    let fresh = || {
        let url = |name| [format!("http://{name}.test/announce").parse::<TrackerUrl>().unwrap()];
        TrackerSet::new(["a", "b"].map(url))
    };
    let manual = Config::default().scheduling(Scheduling::Manual);
    let one = Config::default().announce_to(AnnounceTo::One);
    for (config, private) in [(manual, false), (one, false), (Config::default(), true)] {
        let mut play =
            Play::with(&["a", "b"], config, 1000, |_| {}, |set| if private { set.private() } else { set });
        play.scene.driver.limit_polls(100_000, 100_000);
        play.engine(Engine::reannounce);
        play.until(60);
        play.engine(|engine, torrent, now| engine.change_trackers(torrent, |set| *set = fresh(), now));
        for second in (61..2500).step_by(7) {
            play.until(second);
        }
        let count = ["a", "b"].map(|name| usize::from(play.count(name) > 0));
        assert_eq!(count.iter().sum::<usize>(), 1, "private: {private}: {}", play.received());
    }
}

#[test]
fn a_client_that_counts_on_demand_is_asked_each_minute() {
    let mut play = Play::new(&["a", "b"], Config::default(), 1000, |natures| rich(natures, "a", 0..50));
    play.scene.trackers.connected = Some(20);
    play.engine(|engine, torrent, _| engine.count_peers_on_demand(torrent));
    play.until(60);
    assert_eq!(play.count("b"), 0);
    play.scene.trackers.connected = Some(0);
    play.until(180);
    assert_eq!(play.count("b"), 1, "the peers are gone: {}", play.received());
}
