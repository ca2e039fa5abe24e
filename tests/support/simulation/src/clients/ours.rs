//! Our engine in a world, alone: no runtime and no sockets, so that years take seconds.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tracker_failover::TrackerSet;
use tracker_failover::policy::{AttemptId, Engine, Input, Output, TorrentId};
use tracker_failover::{
    Alert, AnnounceError, AnnounceRequest, Measurement, Scheme, TimeoutPhase, TrackerUrl,
};
use virtual_net::{Driver, Step, Timers};

use super::values::{open_error, response, torrent};
use crate::life::{Accepted, Deed, History, Plan, Stopped, What};
use crate::network::{Contact, Network, OpenError, Reply, UDP_RESENDS};
use crate::time::{MINUTE, Millis, millis, span, timestamp};
use crate::trace::{self, Trace};

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
    let mut ours = Ours::new(plan, seed);
    ours.run(plan);
    ours.history.heard = std::mem::take(&mut ours.network.heard);
    ours.history.heard.sort_by_key(|heard| heard.at);
    ours.history.impolite = ours.network.impolite;
    ours.history.wasted = ours.network.wasted;
    (ours.history, ours.trace)
}

/// Does what the engine wants, in virtual time.
struct Ours {
    driver: Driver<(AttemptId, Happening)>,
    network: Network,
    numbers: HashMap<TrackerUrl, usize>,
    tiers: Vec<Vec<TrackerUrl>>,
    named: u16,
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

impl Ours {
    fn new(plan: &Plan, seed: u64) -> Self {
        let url = |tracker: &usize| plan.world.url(*tracker);
        Self {
            driver: Driver::new(Engine::new(plan.config.clone(), seed)).with_timers(Timers::Tokio),
            network: Network::new(plan.world.clone()),
            numbers: plan.world.numbers(),
            tiers: plan.tiers.iter().map(|tier| tier.iter().map(url).collect()).collect(),
            named: plan.named,
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
        let end = plan.until + 1;
        loop {
            let deed = self.deeds.front().map_or(end, |deed| deed.at.min(end));
            match self.driver.step(Some(timestamp(deed))) {
                Step::Output(output) => self.act(output),
                Step::Event((attempt, happening)) => {
                    self.note_tie(false);
                    self.happens(attempt, happening);
                }
                Step::Woken => self.note_tie(false),
                Step::Idle => {
                    if deed == end || self.now() >= end {
                        return;
                    }
                    self.note_tie(true);
                    if let Some(deed) = self.deeds.pop_front() {
                        self.user(deed);
                    }
                }
            }
        }
    }

    /// Notes whether something else is due in the millisecond in which something happens.
    fn note_tie(&mut self, with_timer: bool) {
        let now = Some(self.driver.now());
        if self.driver.next_event() == now || (with_timer && self.driver.wake() == now) {
            self.trace.tied(self.now());
        }
    }

    /// Does what the engine wants.
    fn act(&mut self, output: Output) {
        match output {
            Output::Probe { attempt, tracker } => self.probe(attempt, self.numbers[&tracker]),
            Output::Open { attempt, tracker } => self.open(attempt, self.numbers[&tracker]),
            Output::Announce { attempt, request } => self.announce(attempt, &request),
            Output::Close { attempt } => self.end(attempt),
            Output::Alert { torrent, alert } => self.alerted(torrent, &alert),
            Output::RoundEnded { torrent, result, .. } => {
                let outcome = result.map(|announced| self.numbers[&announced.tracker]).ok();
                self.trace.note(self.now(), outcome.map_or(trace::Step::Failed, trace::Step::Accepted));
                if let (Some(tracker), Some(torrent)) = (outcome, self.torrents.get(&torrent)) {
                    let accepted = Accepted { at: self.now(), tracker };
                    self.history.torrents[*torrent].answers.push(accepted);
                }
            }
            Output::Ended { torrent, stopped: results, .. } => {
                let at = self.now();
                let number = self.torrents.remove(&torrent);
                let life = number.and_then(|number| self.history.torrents.get_mut(number));
                if let Some(stopped) = life.and_then(|life| life.stopped.as_mut()) {
                    let acknowledged = results.iter().filter(|stopped| stopped.result.is_ok());
                    stopped.acknowledged =
                        acknowledged.map(|stopped| self.numbers[&stopped.tracker]).collect();
                    stopped.at = at;
                }
            }
            Output::CountPeers { .. } | Output::CountTransfer { .. } | Output::Wait(_) => {}
        }
    }

    fn alerted(&mut self, torrent: TorrentId, alert: &Alert) {
        // Announces begin before the engine has given the torrent's id.
        let torrent = self.torrents.get(&torrent).copied();
        if let (Alert::Announcing { .. }, Some(torrent)) = (alert, torrent) {
            let now = self.now();
            self.history.torrents[torrent].needs.push(now);
        }
    }

    fn now(&self) -> Millis {
        millis(self.driver.now())
    }

    /// The world goes on, and what was under way is lost.
    fn sleep(&mut self, gap: Millis) {
        self.driver.lose_events();
        self.kept.clear();
        self.driver.sleep(span(gap));
    }

    fn user(&mut self, deed: Deed) {
        let now = self.driver.now();
        if let What::Sleep(gap) = deed.what {
            return self.sleep(gap);
        }
        if deed.what == What::Add {
            let id = self.driver.add(TrackerSet::new(self.tiers.clone()), torrent(deed.torrent));
            self.torrents.insert(id, deed.torrent);
            self.ids.insert(deed.torrent, id);
            return;
        }
        let Some(id) = self.ids.get(&deed.torrent).copied() else { return };
        match deed.what {
            What::Add | What::Sleep(_) => {}
            What::ChangeNetwork => self.driver.engine.network_changed(now),
            What::Reannounce => {
                self.driver.engine.reannounce(id, now);
            }
            What::WantPeers => self.driver.engine.want_peers(id, now),
            What::Complete => self.driver.engine.complete(id, now),
            What::Stop => {
                let stopped = Stopped { wanted: self.now(), at: Millis::MAX, acknowledged: Vec::new() };
                self.history.torrents[deed.torrent].stopped = Some(stopped);
                self.driver.engine.stop(id, now);
            }
        }
    }

    fn probe(&mut self, attempt: AttemptId, tracker: usize) {
        self.trace.note(self.now(), trace::Step::Probe(tracker));
        self.attempts.insert(attempt, Attempt { tracker, began: self.now(), connection: None });
        if let Some((at, measured, connection)) = self.measure(tracker) {
            self.will(attempt, at, Happening::Probed(measured, connection));
        }
    }

    /// As `HttpProber` does it: its own connection, `HEAD`, and `GET` over another where that broke. Over
    /// UDP the connect exchange is all.
    fn measure(
        &mut self,
        tracker: usize,
    ) -> Option<(Millis, Result<Measurement, AnnounceError>, Option<Connection>)> {
        let limit = self.now() + PROBE_PATIENCE;
        let timed_out = AnnounceError::TimedOut(TimeoutPhase::Probe);
        let udp = self.network.world.trackers[tracker].scheme == Scheme::Udp;
        let failed = |at, error| Some((at, Err(open_error(error)), None));
        let found = match self.network.resolve(tracker, self.now()) {
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
        self.trace.note(self.now(), trace::Step::Open(tracker));
        self.attempts.insert(attempt, Attempt { tracker, began: self.now(), connection: None });
        if let Some(connection) = self.take_kept(tracker) {
            self.will(attempt, self.now(), Happening::Opened(connection));
            return;
        }
        match self.network.open(tracker, self.now(), UDP_RESENDS) {
            Some((opened, Ok(()))) => {
                self.will(attempt, opened, Happening::Opened(Connection { opened, reused: false }));
            }
            Some((at, Err(error))) => self.will(attempt, at, Happening::OpenFailed(error)),
            None => self.gives_up(attempt, tracker, TimeoutPhase::Open),
        }
    }

    /// Over UDP the transport has its own limit.
    fn gives_up(&mut self, attempt: AttemptId, tracker: usize, phase: TimeoutPhase) {
        if self.network.world.trackers[tracker].scheme == Scheme::Udp {
            self.will(attempt, self.now() + UDP_LIMIT, Happening::TimedOut(phase));
        }
    }

    fn announce(&mut self, attempt: AttemptId, request: &AnnounceRequest) {
        let Some(Attempt { tracker, connection: Some(connection), .. }) = self.attempts.get(&attempt) else {
            return;
        };
        let (tracker, connection, what) = (*tracker, *connection, Contact::Announce(request.event));
        self.trace.note(self.now(), trace::Step::Announce(tracker, request.event));
        let answer = self.network.ask(tracker, connection.opened, self.now(), what, UDP_RESENDS);
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
        self.driver.schedule(timestamp(at), (attempt, happening));
    }

    /// Something has happened to an attempt, unless it was given up meanwhile.
    fn happens(&mut self, id: AttemptId, happening: Happening) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let tracker = attempt.tracker;
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
                match response(reply, self.named) {
                    Ok(response) => Input::Replied(id, Box::new(response)),
                    Err(error) => Input::Failed(id, error),
                }
            }
        };
        if !matches!(input, Input::Opened(_)) {
            self.end(id);
        }
        self.driver.handle(input);
    }

    fn end(&mut self, attempt: AttemptId) {
        if let Some(attempt) = self.attempts.remove(&attempt) {
            let took = self.now() - attempt.began;
            self.history.longest_attempt = self.history.longest_attempt.max(took);
        }
    }

    fn keep(&mut self, tracker: usize, connection: Option<Connection>) {
        let Some(Connection { opened, .. }) = connection else { return };
        let udp = self.network.world.trackers[tracker].scheme == Scheme::Udp;
        let until = if udp { opened } else { self.now() } + KEPT;
        let kept = self.kept.entry(tracker).or_default();
        if kept.len() >= if udp { 1 } else { MAX_KEPT } {
            kept.pop_front();
        }
        kept.push_back(Kept { opened, until });
    }

    /// Takes the connection that was used last, where one still stands. UDP's id is shared, not taken.
    fn take_kept(&mut self, tracker: usize) -> Option<Connection> {
        let (now, of) = (self.now(), &self.network.world.trackers[tracker]);
        let kept = self.kept.get_mut(&tracker)?;
        let udp = of.scheme == Scheme::Udp;
        kept.retain(|kept| {
            let reset = of.script.next_refusal(kept.opened).is_some_and(|reset| reset <= now);
            kept.until > now && (udp || !reset)
        });
        let opened = if udp { kept.back()?.opened } else { kept.pop_back()?.opened };
        Some(Connection { opened, reused: true })
    }
}
