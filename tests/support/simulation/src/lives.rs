//! The engine alone, in a world of random trackers and a random user, watched by an auditor that knows the
//! rules and not the code: every rule that a tracker operator would complain about.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedMutRandom;
use rand::{RngExt, SeedableRng};
use tracker_failover::policy::{AttemptId, Engine, Input, Output, Timestamp, TorrentId};
use tracker_failover::{
    AnnounceError, AnnounceRequest, AnnounceResponse, Cause, Event, InfoHash, Measurement, Peer, PeerAddress,
    PeerCounts, PeerId, Rejection, Retry, TimeoutPhase, Torrent, TrackerUrl, Transfer,
};
use tracker_failover::{AnnounceTo, Config, Order, TrackerSet};
use virtual_net::{Driver, Step};

/// What came of a life in which no rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lived {
    /// How many steps it took.
    pub steps: usize,
    /// How many announces trackers heard.
    pub announces: usize,
    /// Whether the user ended it, and not the limit of steps.
    pub ended: bool,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// In the life of this seed.
    pub seed: u64,
    /// At this step.
    pub step: usize,
    /// The rule, in the auditor's words.
    pub rule: String,
}

/// Lives the life of this seed, up to so many steps.
///
/// # Errors
/// When a rule was broken.
pub fn live(seed: u64, steps: usize) -> Result<Lived, Violation> {
    let mut world = World::new(seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        while !world.ended && world.steps < steps {
            world.step();
        }
    }));
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        return Err(Violation { seed, step: world.steps, rule: text.unwrap_or_default() });
    }
    let announces = world.trackers.values().map(|seen| seen.announces).sum();
    Ok(Lived { steps: world.steps, announces, ended: world.ended })
}

/// What a tracker does to one opening or announce.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Answers,
    Refuses,
    Silent,
    Mute,
    Fails,
    Rejects(Retry),
}

/// What a tracker received and answered, as it sees it.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
struct Seen {
    accepted: bool,
    /// Accepted an announce and was never sent `stopped` since.
    knows: bool,
    may_know: bool,
    /// Accepted `completed`.
    completed: bool,
    last_accepted: Timestamp,
    announces: usize,
    in_flight: usize,
    not_before: Timestamp,
    never: bool,
    min_interval_until: Timestamp,
    uploaded: u64,
    times_stopped: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
struct World {
    driver: Driver<(AttemptId, Answer)>,
    torrent: TorrentId,
    random: StdRng,
    trackers: BTreeMap<TrackerUrl, Seen>,
    open: BTreeMap<AttemptId, TrackerUrl>,
    announcing: BTreeMap<AttemptId, AnnounceRequest>,
    private: bool,
    /// Whether trackers beside the one in use aren't announced to.
    is_one: bool,
    complete: bool,
    complete_from_start: bool,
    completed_accepted: usize,
    /// Up to this round the user has asked for one, so intervals don't bind.
    forced_until: u64,
    rounds_ended: u64,
    stopping_since: Option<Timestamp>,
    ended: bool,
    opened_in_round: BTreeSet<TrackerUrl>,
    steps: usize,
}

#[derive(Debug)]
enum Answer {
    Measured(bool),
    Opened(bool),
    Replied(Mood),
}

fn url(number: usize) -> TrackerUrl {
    format!("http://t{number}.test/announce").parse().unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(1..=6);
        let mut tiers: Vec<Vec<TrackerUrl>> = vec![Vec::new(); random.random_range(1..=3)];
        for number in 0..count {
            tiers.choose_mut(&mut random).unwrap().push(url(number));
        }
        let announce_to = match random.random_range(0..6) {
            0..=2 => AnnounceTo::One,
            3 | 4 => AnnounceTo::AsNeeded,
            _ => AnnounceTo::All,
        };
        let mut config = Config::default().announce_to(announce_to);
        if !random.random_bool(0.8) {
            config = config.without_race();
        }
        if random.random_bool(0.4) {
            config = config.order(Order::Bep12);
        }
        let private = random.random_bool(0.2);
        let mut torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new([2; 20]), 6881);
        let complete_from_start = random.random_bool(0.2);
        torrent.transfer.left = Some(if complete_from_start { 0 } else { 1000 });
        let mut driver = Driver::new(Engine::new(config, seed));
        let set = TrackerSet::new(tiers);
        let set = if private { set.private() } else { set };
        let torrent = driver.add(set, torrent);
        Self {
            driver,
            torrent,
            random,
            trackers: (0..count).map(|number| (url(number), Seen::default())).collect(),
            open: BTreeMap::new(),
            announcing: BTreeMap::new(),
            private,
            is_one: private || announce_to == AnnounceTo::One,
            complete: complete_from_start,
            complete_from_start,
            completed_accepted: 0,
            forced_until: 1,
            rounds_ended: 0,
            stopping_since: None,
            ended: false,
            opened_in_round: BTreeSet::new(),
            steps: 0,
        }
    }

    fn answer_after(&mut self, attempt: AttemptId, answer: Answer) {
        let delay = match self.random.random_range(0..10) {
            0 => self.random.random_range(0..12_000_000),
            1 | 2 => self.random.random_range(0..2_000_000),
            _ => self.random.random_range(0..100_000),
        };
        self.driver.schedule(self.driver.now() + Duration::from_micros(delay), (attempt, answer));
    }

    fn mood(&mut self) -> Mood {
        match self.random.random_range(0..20) {
            0..=1 => Mood::Refuses,
            2..=3 => Mood::Silent,
            4..=5 => Mood::Mute,
            6..=7 => Mood::Fails,
            8 => Mood::Rejects(Retry::Unsaid),
            9 => Mood::Rejects(Retry::After(Duration::from_secs(self.random.random_range(1..5000)))),
            10 if self.random.random_bool(0.2) => Mood::Rejects(Retry::Never),
            _ => Mood::Answers,
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        match self.driver.step(None) {
            Step::Output(output) => return self.act(output),
            Step::Event((attempt, answer)) => self.deliver(attempt, &answer),
            Step::Woken => {}
            Step::Idle => {
                assert!(self.trackers.values().all(|seen| seen.never), "the engine sleeps for ever");
                self.driver.advance(self.driver.now() + Duration::from_secs(60));
            }
        }
        if self.random.random_bool(0.05) {
            self.user();
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Probe { attempt, .. } => match self.mood() {
                Mood::Silent | Mood::Mute => {}
                Mood::Refuses => self.answer_after(attempt, Answer::Measured(false)),
                _ => self.answer_after(attempt, Answer::Measured(true)),
            },
            Output::Open { attempt, tracker } => {
                // What is opened beside the tracker in use belongs to no round.
                let stopping = self.stopping_since.is_some();
                assert!(
                    stopping || !self.is_one || self.opened_in_round.insert(tracker.clone()),
                    "{tracker} twice in a round"
                );
                self.open.insert(attempt, tracker);
                match self.mood() {
                    Mood::Silent => {}
                    Mood::Refuses => self.answer_after(attempt, Answer::Opened(false)),
                    _ => self.answer_after(attempt, Answer::Opened(true)),
                }
            }
            Output::Announce { attempt, request } => self.announced(attempt, *request),
            Output::Close { attempt } => self.closed(attempt),
            Output::RoundEnded { .. } => {
                self.opened_in_round.clear();
                self.rounds_ended += 1;
            }
            Output::Ended { stopped, .. } => {
                self.ended = true;
                let since = self.stopping_since.expect("a session ends when it is stopped");
                assert!(
                    self.driver.now().since(since) <= Duration::from_secs(3),
                    "the end took {:?}",
                    self.driver.now().since(since)
                );
                for (tracker, seen) in &self.trackers {
                    let remembers =
                        self.driver.now().since(seen.last_accepted) < Duration::from_secs(44 * 60);
                    let suspended = seen.never || seen.not_before > since;
                    if seen.knows && remembers && !suspended {
                        let was_sent = stopped.iter().any(|result| result.tracker == *tracker);
                        assert!(was_sent, "{tracker} has a registration and was sent no `stopped`; {seen:?}");
                    }
                    assert!(seen.times_stopped <= 1, "{tracker} was sent `stopped` twice");
                }
            }
            _ => {}
        }
    }

    fn announced(&mut self, attempt: AttemptId, request: AnnounceRequest) {
        let tracker = self.open[&attempt].clone();
        let completes = request.event == Some(Event::Completed);
        let regular = request.event.is_none();
        let (forced, now) = (self.rounds_ended < self.forced_until, self.driver.now());
        let introduced = self.private && self.trackers.values().any(|seen| seen.accepted);
        let seen = self.trackers.get_mut(&tracker).unwrap();
        assert!(!seen.never, "{tracker} refused the torrent for ever");
        assert!(
            now >= seen.not_before,
            "{tracker} is sent an announce at {now:?}, wants none until {:?}",
            seen.not_before
        );
        assert!(seen.in_flight == 0 || self.stopping_since.is_some(), "{tracker} has one in flight");
        assert!(request.transfer.uploaded >= seen.uploaded, "counters never go back");
        if regular && !forced {
            assert!(now >= seen.min_interval_until, "{tracker} asked before its min interval");
        }
        match request.event {
            Some(Event::Started) => assert!(!seen.accepted, "{tracker} accepted an announce before"),
            Some(Event::Completed) => {
                assert!(seen.accepted, "{tracker} has no registration");
                assert!(self.complete && !self.complete_from_start);
            }
            Some(Event::Stopped) => {
                assert!(self.stopping_since.is_some() && (seen.knows || seen.may_know));
                seen.times_stopped += 1;
            }
            None => assert!(seen.accepted || introduced, "{tracker} is to be sent `started` first"),
            Some(event) => panic!("an event without a rule: {event}"),
        }
        let sent = if self.is_one { self.completed_accepted > 0 } else { seen.completed };
        assert!(!completes || !sent, "{tracker} is sent `completed` once");
        seen.uploaded = request.transfer.uploaded;
        seen.in_flight += 1;
        seen.announces += 1;
        seen.may_know = true;
        self.announcing.insert(attempt, request);
        let mood = self.mood();
        if !matches!(mood, Mood::Mute | Mood::Silent) {
            self.answer_after(attempt, Answer::Replied(mood));
        }
    }

    fn closed(&mut self, attempt: AttemptId) {
        if self.announcing.remove(&attempt).is_some() {
            self.trackers.get_mut(&self.open[&attempt]).unwrap().in_flight -= 1;
        }
        self.open.remove(&attempt);
    }

    fn deliver(&mut self, attempt: AttemptId, answer: &Answer) {
        let refused = || AnnounceError::Connect(Cause::new("connection refused"));
        let input = match answer {
            Answer::Measured(true) => {
                let connect = Duration::from_millis(self.random.random_range(1..300));
                Input::Probed(attempt, Ok(Measurement { connect, first_byte: connect }))
            }
            Answer::Measured(false) => Input::Probed(attempt, Err(refused())),
            Answer::Opened(true) => Input::Opened(attempt),
            Answer::Opened(false) => {
                self.open.remove(&attempt);
                Input::Failed(attempt, refused())
            }
            Answer::Replied(mood) => match self.reply(attempt, *mood) {
                Some(input) => input,
                None => return, // Taken back meanwhile; the shell would have dropped it.
            },
        };
        self.driver.handle(input);
    }

    fn reply(&mut self, attempt: AttemptId, mood: Mood) -> Option<Input> {
        let request = self.announcing.remove(&attempt)?;
        let now = self.driver.now();
        let seen = self.trackers.get_mut(&self.open[&attempt]).unwrap();
        seen.in_flight -= 1;
        Some(match mood {
            Mood::Answers => {
                let stopped = request.event == Some(Event::Stopped);
                seen.accepted |= !stopped;
                seen.knows = !stopped;
                seen.last_accepted = now;
                // The tracker's last word counts.
                seen.min_interval_until = now;
                seen.completed |= request.event == Some(Event::Completed);
                self.completed_accepted += usize::from(request.event == Some(Event::Completed));
                let mut response = AnnounceResponse::default();
                response.interval = Some(Duration::from_secs(self.random.random_range(0..4000)));
                response.complete = self.random.random_bool(0.5).then(|| self.random.random_range(0..3));
                response.incomplete = self.random.random_bool(0.5).then(|| self.random.random_range(0..3));
                let peers = self.random.random_range(0..6);
                let peer = |number: u8| Peer {
                    address: PeerAddress::Ip(([81, 1, 1, number], 6881).into()),
                    id: None,
                };
                response.peers = (0..peers).map(|_| peer(self.random.random_range(1..30))).collect();
                if self.random.random_bool(0.3) {
                    let min_interval = Duration::from_secs(self.random.random_range(0..3000));
                    response.min_interval = Some(min_interval);
                    seen.min_interval_until = now + min_interval;
                }
                Input::Replied(attempt, Box::new(response))
            }
            Mood::Rejects(retry) => {
                match retry {
                    Retry::Never => seen.never = true,
                    Retry::After(wait) => seen.not_before = now + wait,
                    _ => {}
                }
                let mut rejection = Rejection::new("no");
                rejection.retry = retry;
                Input::Failed(attempt, AnnounceError::Rejected(rejection))
            }
            Mood::Refuses => Input::Failed(attempt, AnnounceError::Broken(Cause::new("reset"))),
            _ => Input::Failed(attempt, AnnounceError::TimedOut(TimeoutPhase::Reply)),
        })
    }

    fn user(&mut self) {
        if self.stopping_since.is_some() {
            return;
        }
        match self.random.random_range(0..40) {
            0..=9 => self.driver.engine.want_peers(self.torrent, self.driver.now()),
            10..=14 => {
                self.forced_until = self.driver.engine.reannounce(self.torrent, self.driver.now()).unwrap();
            }
            15..=16 => {
                self.complete = true;
                self.forced_until = self.rounds_ended + 2;
                self.driver.engine.complete(self.torrent, self.driver.now());
            }
            18..=22 => {
                let mut peers = PeerCounts::default();
                peers.connected = self.random.random_range(0..15);
                peers.connecting = self.random.random_range(0..5);
                peers.seeds = self.random.random_range(0..=peers.connected);
                self.driver.engine.set_peers(self.torrent, peers, self.driver.now());
            }
            17 => {
                self.stopping_since = Some(self.driver.now());
                self.driver.engine.stop(self.torrent, self.driver.now());
            }
            _ => {
                let left = if self.complete { 0 } else { 500 };
                let uploaded = self.random.random_range(0..1_000_000);
                let transfer =
                    Transfer { uploaded, downloaded: uploaded, left: Some(left), ..Transfer::default() };
                self.driver.engine.update(self.torrent, transfer, self.driver.now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed gives the same run.
    #[test]
    fn the_same_seed_gives_the_same_run() {
        let run = |seed| {
            let mut world = World::new(seed);
            let mut trace = Vec::new();
            for _ in 0..2000 {
                if world.ended {
                    break;
                }
                world.step();
                trace.push((world.driver.now(), world.open.len(), world.announcing.len()));
            }
            trace
        };
        for seed in 0..20 {
            assert_eq!(run(seed), run(seed), "seed {seed}");
        }
    }

    /// A tracker asks to be left alone, while another connection to it is being opened and fails.
    #[test]
    fn a_suspension_outlasts_another_failure() {
        let lived = live(6162, 3000).unwrap();
        assert!(lived.announces > 20, "it plays something: {lived:?}");
    }
}
