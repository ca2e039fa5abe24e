//! Our engine in a world, alone: no runtime and no sockets, so that years take seconds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use tracker_failover::TrackerSet;
use tracker_failover::policy::{AttemptId, Engine, Input, Output, Timestamp, TorrentId};
use tracker_failover::{
    Alert, AnnounceError, AnnounceRequest, Measurement, Scheme, TimeoutPhase, TrackerUrl,
};

use super::values::{open_error, response, torrent};
use crate::life::{Accepted, Deed, History, Plan, Stopped, What};
use crate::network::{Contact, Network, OpenError, Reply, UDP_RESENDS};
use crate::time::{MINUTE, Millis, not_before, span, timestamp};
use crate::trace::{Step, Trace};

/// How long a connection, or UDP's connection id, can be used again.
const KEPT: Millis = MINUTE;

/// How many connections to one host are kept.
const MAX_KEPT: usize = 2;

/// How long an exchange over UDP may take.
const UDP_LIMIT: Millis = 10_000;

/// How long a probe over HTTP may take.
const PROBE_PATIENCE: Millis = 3000;

/// Plays a plan with our engine. The seed is the engine's.
pub fn play(plan: &Plan, seed: u64) -> (History, Trace) {
    let mut driver = Driver::new(plan, seed);
    driver.run(plan);
    driver.history.heard = std::mem::take(&mut driver.network.heard);
    driver.history.heard.sort_by_key(|heard| heard.at);
    driver.history.impolite = driver.network.impolite;
    (driver.history, driver.trace)
}

/// Does what the engine says, on virtual time.
struct Driver {
    engine: Engine,
    network: Network,
    numbers: HashMap<TrackerUrl, usize>,
    tiers: Vec<Vec<TrackerUrl>>,
    now: Millis,
    queue: BinaryHeap<Reverse<(Millis, u64, AttemptId)>>,
    queued: u64,
    attempts: BTreeMap<AttemptId, Attempt>,
    kept: BTreeMap<usize, VecDeque<Kept>>,
    torrents: BTreeMap<TorrentId, usize>,
    ids: BTreeMap<usize, TorrentId>,
    deeds: VecDeque<Deed>,
    history: History,
    trace: Trace,
}

/// A probe or attempt under way.
struct Attempt {
    tracker: usize,
    began: Millis,
    /// The connection, once there is one.
    connection: Option<Connection>,
    /// What happens next to it.
    next: Option<(u64, Happening)>,
}

#[derive(Clone, Copy)]
struct Connection {
    opened: Millis,
    reused: bool,
}

/// A connection that waits for its next request.
struct Kept {
    opened: Millis,
    until: Millis,
}

enum Happening {
    Probed(Result<Measurement, AnnounceError>, Option<Connection>),
    Opened(Connection),
    OpenFailed(OpenError),
    TimedOut(TimeoutPhase),
    Replied(Reply, Option<Connection>),
}

impl Driver {
    fn new(plan: &Plan, seed: u64) -> Self {
        let url = |tracker: &usize| plan.world.url(*tracker);
        Self {
            engine: Engine::new(plan.config.clone(), seed),
            network: Network::new(plan.world.clone()),
            numbers: plan.world.numbers(),
            tiers: plan.tiers.iter().map(|tier| tier.iter().map(url).collect()).collect(),
            now: 0,
            queue: BinaryHeap::new(),
            queued: 0,
            attempts: BTreeMap::new(),
            kept: BTreeMap::new(),
            torrents: BTreeMap::new(),
            ids: BTreeMap::new(),
            deeds: plan.deeds.iter().copied().collect(),
            history: History::of(plan.torrents()),
            trace: Trace::default(),
        }
    }

    /// At one moment the user comes first, then the engine's own timer, then what the network brings, one at a
    /// time: the order of the announcer's loop.
    fn run(&mut self, plan: &Plan) {
        loop {
            let wake = self.act().map(|wake| wake.max(self.now));
            let deed = self.deeds.front().map(|deed| deed.at.max(self.now));
            let happening = self.queue.peek().map(|Reverse((at, ..))| *at);
            let Some(next) = [wake, deed, happening].into_iter().flatten().min() else { return };
            if next > plan.until {
                return;
            }
            self.now = next;
            if [wake, deed, happening].iter().filter(|at| **at == Some(next)).count() > 1 {
                self.trace.tied(next);
            }
            if deed == Some(next) {
                if let Some(deed) = self.deeds.pop_front() {
                    self.user(deed);
                }
            } else if wake != Some(next)
                && let Some(Reverse((_, number, attempt))) = self.queue.pop()
            {
                if self.queue.peek().is_some_and(|Reverse((at, ..))| *at == next) {
                    self.trace.tied(next);
                }
                self.happens(attempt, number);
            }
        }
    }

    /// Does what the engine wants until it wants to wait.
    fn act(&mut self) -> Option<Millis> {
        loop {
            match self.engine.poll(self.clock()) {
                Output::Wait(wake) => return wake.map(not_before),
                Output::Probe { attempt, tracker } => self.probe(attempt, self.numbers[&tracker]),
                Output::Open { attempt, tracker } => self.open(attempt, self.numbers[&tracker]),
                Output::Announce { attempt, request } => self.announce(attempt, &request),
                Output::Close { attempt } => self.end(attempt),
                Output::Alert { torrent, alert } => self.alerted(torrent, &alert),
                Output::RoundEnded { torrent, result, .. } => {
                    let outcome = result.map(|announced| self.numbers[&announced.tracker]).ok();
                    self.trace.note(self.now, outcome.map_or(Step::Failed, Step::Accepted));
                    if let (Some(tracker), Some(torrent)) = (outcome, self.torrents.get(&torrent)) {
                        let accepted = Accepted { at: self.now, tracker };
                        self.history.torrents[*torrent].answers.push(accepted);
                    }
                }
                Output::Ended { torrent, stopped: told, .. } => {
                    let number = self.torrents.remove(&torrent);
                    let life = number.and_then(|number| self.history.torrents.get_mut(number));
                    if let Some(stopped) = life.and_then(|life| life.stopped.as_mut()) {
                        let told = told.iter().filter(|told| told.result.is_ok());
                        stopped.told = told.map(|told| self.numbers[&told.tracker]).collect();
                        stopped.at = self.now;
                    }
                }
            }
        }
    }

    fn alerted(&mut self, torrent: TorrentId, alert: &Alert) {
        // Announces begin before the engine has told us the torrent's id.
        let torrent = self.torrents.get(&torrent).copied();
        if let (Alert::Announcing { .. }, Some(torrent)) = (alert, torrent) {
            self.history.torrents[torrent].needs.push(self.now);
        }
    }

    /// The engine's time.
    fn clock(&self) -> Timestamp {
        timestamp(self.now)
    }

    /// The world goes on, and what was under way is lost.
    fn sleep(&mut self, gap: Millis) {
        self.now += gap;
        self.queue.clear();
        self.kept.clear();
        self.engine.resumed(span(gap), self.clock());
    }

    fn user(&mut self, deed: Deed) {
        let now = self.clock();
        if let What::Sleep(gap) = deed.what {
            return self.sleep(gap);
        }
        if deed.what == What::Add {
            let id = self.engine.add(TrackerSet::new(self.tiers.clone()), torrent(deed.torrent), now);
            self.torrents.insert(id, deed.torrent);
            self.ids.insert(deed.torrent, id);
            return;
        }
        let Some(id) = self.ids.get(&deed.torrent).copied() else { return };
        match deed.what {
            What::Add | What::Sleep(_) => {}
            What::ChangeNetwork => self.engine.network_changed(now),
            What::Reannounce => {
                self.engine.reannounce(id, now);
            }
            What::WantPeers => self.engine.want_peers(id, now),
            What::Complete => self.engine.complete(id, now),
            What::Stop => {
                let stopped = Stopped { wanted: self.now, at: Millis::MAX, told: Vec::new() };
                self.history.torrents[deed.torrent].stopped = Some(stopped);
                self.engine.stop(id, now);
            }
        }
    }

    fn probe(&mut self, attempt: AttemptId, tracker: usize) {
        self.trace.note(self.now, Step::Probe(tracker));
        self.attempts.insert(attempt, Attempt { tracker, began: self.now, connection: None, next: None });
        if let Some((at, measured, connection)) = self.measure(tracker) {
            self.will(attempt, at, Happening::Probed(measured, connection));
        }
    }

    /// As `HttpProber` does it: a connection of its own, `HEAD`, and `GET` over another where that broke. Over
    /// UDP the connect exchange is all.
    fn measure(
        &mut self,
        tracker: usize,
    ) -> Option<(Millis, Result<Measurement, AnnounceError>, Option<Connection>)> {
        let limit = self.now + PROBE_PATIENCE;
        let timed_out = AnnounceError::TimedOut(TimeoutPhase::Probe);
        let udp = self.network.world.trackers[tracker].scheme == Scheme::Udp;
        let failed = |at, error| Some((at, Err(open_error(error)), None));
        let found = match self.network.resolve(tracker, self.now) {
            Some((at, Ok(()))) => at,
            Some((at, Err(error))) if at < limit => return failed(at, error),
            _ => return Some((limit, Err(timed_out), None)),
        };
        let mut started = found;
        for _ in ["HEAD", "GET"] {
            let opened = match self.network.connect(tracker, started, UDP_RESENDS) {
                Some((at, Ok(()))) if at < limit => at,
                Some((at, Err(error))) if at < limit => return failed(at, error),
                _ => return Some((limit, Err(timed_out), None)),
            };
            let connection = Connection { opened, reused: true };
            let connect = span(opened - started);
            if udp {
                let measurement = Measurement { connect, first_byte: connect };
                return Some((opened, Ok(measurement), Some(connection)));
            }
            let half = opened + (limit - opened) / 2;
            match self.network.ask(tracker, opened, opened, Contact::Probe, UDP_RESENDS) {
                Some((at, Reply::Broken)) if at < half => started = at,
                Some((at, reply)) if at < half && reply != Reply::Broken => {
                    let measurement = Measurement { connect, first_byte: span(at - opened) };
                    return Some((at, Ok(measurement), Some(connection)));
                }
                _ => started = half,
            }
        }
        Some((limit, Err(timed_out), None))
    }

    fn open(&mut self, attempt: AttemptId, tracker: usize) {
        self.trace.note(self.now, Step::Open(tracker));
        self.attempts.insert(attempt, Attempt { tracker, began: self.now, connection: None, next: None });
        if let Some(connection) = self.take_kept(tracker) {
            self.will(attempt, self.now, Happening::Opened(connection));
            return;
        }
        match self.network.open(tracker, self.now, UDP_RESENDS) {
            Some((opened, Ok(()))) => {
                self.will(attempt, opened, Happening::Opened(Connection { opened, reused: false }));
            }
            Some((at, Err(error))) => self.will(attempt, at, Happening::OpenFailed(error)),
            None => self.gives_up(attempt, tracker, TimeoutPhase::Open),
        }
    }

    /// Over UDP the transport has a limit of its own.
    fn gives_up(&mut self, attempt: AttemptId, tracker: usize, phase: TimeoutPhase) {
        if self.network.world.trackers[tracker].scheme == Scheme::Udp {
            self.will(attempt, self.now + UDP_LIMIT, Happening::TimedOut(phase));
        }
    }

    fn announce(&mut self, attempt: AttemptId, request: &AnnounceRequest) {
        let Some(Attempt { tracker, connection: Some(connection), .. }) = self.attempts.get(&attempt) else {
            return;
        };
        let (tracker, connection, what) = (*tracker, *connection, Contact::Announce(request.event));
        self.trace.note(self.now, Step::Announce(tracker, request.event));
        let answer = self.network.ask(tracker, connection.opened, self.now, what, UDP_RESENDS);
        let answer = match answer {
            // A kept connection that was closed meanwhile is no reason to give up.
            Some((at, Reply::Broken)) if connection.reused => {
                match self.network.open(tracker, at, UDP_RESENDS) {
                    Some((opened, Ok(()))) => {
                        let again = self.network.ask(tracker, opened, opened, what, UDP_RESENDS);
                        again.map(|(at, reply)| (at, reply, opened))
                    }
                    Some((at, Err(error))) => return self.will(attempt, at, Happening::OpenFailed(error)),
                    None => None,
                }
            }
            answer => answer.map(|(at, reply)| (at, reply, connection.opened)),
        };
        if let Some((at, reply, opened)) = answer {
            let kept = (reply != Reply::Broken).then_some(Connection { opened, reused: true });
            self.will(attempt, at, Happening::Replied(reply, kept));
        } else {
            self.gives_up(attempt, tracker, TimeoutPhase::Reply);
        }
    }

    fn will(&mut self, attempt: AttemptId, at: Millis, happening: Happening) {
        if let Some(waiting) = self.attempts.get_mut(&attempt) {
            self.queued += 1;
            waiting.next = Some((self.queued, happening));
            self.queue.push(Reverse((at, self.queued, attempt)));
        }
    }

    /// Something has happened to an attempt, unless it was given up meanwhile.
    fn happens(&mut self, id: AttemptId, number: u64) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let tracker = attempt.tracker;
        let Some((_, happening)) = attempt.next.take_if(|(queued, _)| *queued == number) else { return };
        let input = match happening {
            Happening::Opened(connection) => {
                attempt.connection = Some(connection);
                Input::Opened(id)
            }
            Happening::OpenFailed(error) => Input::Failed(id, open_error(error)),
            Happening::TimedOut(phase) => Input::Failed(id, AnnounceError::TimedOut(phase)),
            Happening::Probed(result, kept) => {
                self.keep(tracker, kept);
                Input::Probed(id, result)
            }
            Happening::Replied(reply, kept) => {
                self.keep(tracker, kept);
                match response(reply) {
                    Ok(response) => Input::Replied(id, Box::new(response)),
                    Err(error) => Input::Failed(id, error),
                }
            }
        };
        if !matches!(input, Input::Opened(_)) {
            self.end(id);
        }
        self.engine.handle(input, self.clock());
    }

    fn end(&mut self, attempt: AttemptId) {
        if let Some(attempt) = self.attempts.remove(&attempt) {
            let longest = &mut self.history.longest_attempt;
            *longest = (self.now - attempt.began).max(*longest);
        }
    }

    fn keep(&mut self, tracker: usize, connection: Option<Connection>) {
        let Some(Connection { opened, .. }) = connection else { return };
        let udp = self.network.world.trackers[tracker].scheme == Scheme::Udp;
        let until = if udp { opened } else { self.now } + KEPT;
        let kept = self.kept.entry(tracker).or_default();
        if kept.len() >= if udp { 1 } else { MAX_KEPT } {
            kept.pop_front();
        }
        kept.push_back(Kept { opened, until });
    }

    /// Takes the connection that was used last, where one still stands. UDP's id is shared, not taken.
    fn take_kept(&mut self, tracker: usize) -> Option<Connection> {
        let kept = self.kept.get_mut(&tracker)?;
        let (now, of) = (self.now, &self.network.world.trackers[tracker]);
        let udp = of.scheme == Scheme::Udp;
        kept.retain(|kept| {
            let reset = of.script.next_refusal(kept.opened).is_some_and(|reset| reset <= now);
            kept.until > now && (udp || !reset)
        });
        let opened = if udp { kept.back()?.opened } else { kept.pop_back()?.opened };
        Some(Connection { opened, reused: true })
    }
}
