//! The machine that makes every decision: told the time and the results, it answers what to do next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::addresses::Addresses;
use super::asking::failure;
use super::config::Config;
use super::gates::Gates;
use super::health::HealthBook;
use super::probes::Probes;
use super::session::{Context, Session};
use super::status::Status;
use super::time::Timestamp;
use super::tracker_set::TrackerSet;
use crate::alert::{Alert, Announced, ToldStopped};
use crate::announce::{AnnounceRequest, AnnounceResponse, Torrent, Transfer};
use crate::error::{AnnounceError, Phase, ProbeError, RoundError};
use crate::prober::Measurement;
use crate::remembered::RememberedHost;
use crate::tracker::{TrackerHost, TrackerUrl};

/// All torrents and all tracker hosts of a process, as one state machine without IO, clock or entropy.
///
/// Driving it takes four steps, over and over:
///
/// 1. give it what happened, through [`handle`](Self::handle) or one of the commands, with the time;
/// 2. call [`poll`](Self::poll) and do what the [`Output`] says;
/// 3. repeat 2 until it says [`Output::Wait`];
/// 4. wait until then, or until something happens, whichever is first.
///
/// Every [`Output::Probe`], [`Output::Open`] and [`Output::Announce`] is answered by one [`Input`] with its
/// attempt's id, unless [`Output::Close`] takes the attempt back first. Answers to unknown ids are ignored, so
/// a late one does no harm. Time limits live in here: a transport that never answers is given up by
/// [`Output::Close`].
///
/// `examples/blocking.rs` drives it with threads and blocking sockets; the crate's `Announcer` with tokio.
///
/// ```
/// use tracker_failover::policy::{Config, Engine, Output, Timestamp, TrackerSet};
/// use tracker_failover::{InfoHash, PeerId, Torrent};
///
/// let mut engine = Engine::new(Config::default(), 7);
/// let trackers = TrackerSet::new([["http://tracker.test/announce".parse()?]]);
/// let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// engine.add(trackers, torrent, Timestamp::ZERO);
/// let open = std::iter::from_fn(|| Some(engine.poll(Timestamp::ZERO)))
///     .find(|output| matches!(output, Output::Open { .. }));
/// assert!(open.is_some());
/// # Ok::<(), tracker_failover::TrackerUrlError>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    config: Arc<Config>,
    private_config: Arc<Config>,
    random: StdRng,
    health: HealthBook,
    probes: Probes,
    addresses: Addresses,
    /// Boxed, since a map keeps room for more values than it has.
    sessions: BTreeMap<TorrentId, Box<Session>>,
    timers: BTreeSet<(Timestamp, TorrentId)>,
    attempts: Attempts,
    gates: Gates,
    outputs: VecDeque<Output>,
    next_torrent: u64,
}

/// How long after a sleep the network needs to come up.
const SETTLE: Duration = Duration::from_secs(2);

/// Room for so many outputs is kept.
const USUAL_OUTPUTS: usize = 64;

/// A torrent of an [`Engine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TorrentId(u64);

/// One probe or one try at one tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

/// The number of a torrent's round, from 1.
pub type RoundNumber = u64;

/// What the engine wants done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Measure this tracker; answered by [`Input::Probed`].
    Probe {
        /// Names the probe in its answer.
        attempt: AttemptId,
        /// Whom.
        tracker: TrackerUrl,
    },
    /// Open a channel; answered by [`Input::Opened`] or [`Input::Failed`]. Tells the tracker nothing.
    Open {
        /// Names the attempt in its answers.
        attempt: AttemptId,
        /// To whom.
        tracker: TrackerUrl,
    },
    /// Announce on the attempt's open channel; answered by [`Input::Replied`] or [`Input::Failed`].
    Announce {
        /// The attempt.
        attempt: AttemptId,
        /// What to say.
        request: Box<AnnounceRequest>,
    },
    /// Give this probe or attempt up: close what it opened. No answer is expected, a late one is ignored.
    Close {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Tell the user.
    Alert {
        /// Of which torrent.
        torrent: TorrentId,
        /// What.
        alert: Alert,
    },
    /// A round has ended.
    RoundEnded {
        /// Of which torrent.
        torrent: TorrentId,
        /// Which round.
        round: RoundNumber,
        /// What came of it.
        result: Result<Arc<Announced>, Arc<RoundError>>,
    },
    /// A session has ended, or the one announce of [`Engine::announce_once`]: the torrent is gone, and this is
    /// what was its trackers.
    Ended {
        /// Which torrent.
        torrent: TorrentId,
        /// Its trackers, with what is known of them.
        trackers: Box<TrackerSet>,
        /// Who was told `stopped`, and what came of it.
        stopped: Vec<ToldStopped>,
    },
    /// Nothing to do before this moment, or (`None`) before something happens.
    Wait(Option<Timestamp>),
}

/// What happened to something the engine wanted done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A probe ended.
    Probed(AttemptId, Result<Measurement, ProbeError>),
    /// A channel is open.
    Opened(AttemptId),
    /// An announce was answered.
    Replied(AttemptId, Box<AnnounceResponse>),
    /// An opening or announce failed.
    Failed(AttemptId, AnnounceError),
}

/// Who waits for which attempt, and the number of the next one.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    owners: BTreeMap<AttemptId, (TorrentId, TrackerHost)>,
    last: u64,
}

impl TorrentId {
    #[cfg(test)]
    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }
}

impl AttemptId {
    #[cfg(test)]
    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }
}

impl Attempts {
    /// Begins a probe.
    fn begin_probe(&mut self) -> AttemptId {
        self.last += 1;
        AttemptId(self.last)
    }

    /// Begins a try of a torrent at a host.
    pub(crate) fn begin(&mut self, torrent: TorrentId, host: TrackerHost) -> AttemptId {
        let id = self.begin_probe();
        self.owners.insert(id, (torrent, host));
        id
    }

    /// Ends a try, and gives its host.
    pub(crate) fn end(&mut self, id: AttemptId) -> Option<TrackerHost> {
        self.owners.remove(&id).map(|(_, host)| host)
    }
}

impl Engine {
    /// An engine without torrents. The seed decides every shuffle and jitter: take it from a good source, or
    /// fix it in a test to get the same run again.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            private_config: Arc::new(config.for_torrent(true)),
            config: Arc::new(config),
            random: StdRng::seed_from_u64(seed),
            health: HealthBook::default(),
            probes: Probes::default(),
            addresses: Addresses::default(),
            sessions: BTreeMap::new(),
            timers: BTreeSet::new(),
            attempts: Attempts::default(),
            gates: Gates::default(),
            outputs: VecDeque::new(),
            next_torrent: 0,
        }
    }

    /// Adds a torrent for the whole of its life: `started` goes out to the first tracker that answers, and
    /// regular announces follow until [`stop`](Self::stop).
    pub fn add(&mut self, trackers: TrackerSet, torrent: Torrent, now: Timestamp) -> TorrentId {
        self.insert(trackers, |id, trackers, config| Session::new(id, trackers, torrent, config), now)
    }

    /// Makes one announce as it stands, with failover; [`Output::RoundEnded`] and [`Output::Ended`] tell what
    /// came of it. Which event is due is the caller's business here.
    pub fn announce_once(
        &mut self,
        trackers: TrackerSet,
        request: AnnounceRequest,
        now: Timestamp,
    ) -> TorrentId {
        self.insert(trackers, |id, trackers, config| Session::once(id, trackers, request, config), now)
    }

    /// The counters as they are now. `uploaded` and `downloaded` are totals of the session and never go back.
    ///
    /// Where `left` is found to be 0 before the first announce, the download was complete from the start, and
    /// `completed` is never sent (BEP 3).
    pub fn update(&mut self, torrent: TorrentId, transfer: Transfer) {
        if let Some(session) = self.sessions.get_mut(&torrent) {
            session.update(transfer);
        }
    }

    /// How many peers the announces from now on ask for, as in [`Torrent::num_want`].
    pub fn set_num_want(&mut self, torrent: TorrentId, num_want: Option<u32>) {
        if let Some(session) = self.sessions.get_mut(&torrent) {
            session.set_num_want(num_want);
        }
    }

    /// The download has become complete: `completed` goes out at once, to the tracker in use. Does nothing the
    /// second time, or where it was complete from the start.
    pub fn complete(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, |session, context| session.complete(context.now));
    }

    /// More peers are wanted: an announce goes out as soon as the tracker in use allows.
    pub fn want_peers(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, |session, context| session.want_peers(context.now));
    }

    /// The user wants an announce now, whatever interval and back-off say; only trackers that asked not to be
    /// asked are left out. Gives the number of the round that does it.
    pub fn reannounce(&mut self, torrent: TorrentId, now: Timestamp) -> Option<RoundNumber> {
        self.with(torrent, now, |session, context| session.reannounce(context.now))
    }

    /// Replaces the interval of a torrent's trackers, or gives it back to them.
    pub fn override_interval(&mut self, torrent: TorrentId, interval: Option<Duration>, now: Timestamp) {
        self.with(torrent, now, |session, context| session.override_interval(interval, context.now));
    }

    /// Changes a torrent's trackers through a closure. The cursor and what is known stay as far as the trackers
    /// do; attempts at removed ones are given up.
    pub fn change_trackers(
        &mut self,
        torrent: TorrentId,
        change: impl FnOnce(&mut TrackerSet),
        now: Timestamp,
    ) {
        let mut addresses = std::mem::take(&mut self.addresses);
        let change = |trackers: &mut TrackerSet| {
            change(trackers);
            trackers.share(&mut addresses);
        };
        self.with(torrent, now, |session, context| session.change_trackers(change, context));
        self.addresses = addresses;
        self.ask_for_probes(torrent, now);
    }

    /// Ends a session: `stopped` goes in parallel, once, to every tracker that knows us, within the time limit;
    /// [`Output::Ended`] tells when.
    pub fn stop(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, Session::stop);
    }

    /// Drops a torrent at once, telling nobody.
    pub fn forget(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, Session::forget);
    }

    /// The network has changed (another interface, another address, a tunnel): hosts that were unreachable may be
    /// tried again, what was measured is doubted, and sessions in trouble announce at once.
    pub fn network_changed(&mut self, now: Timestamp) {
        self.health.network_changed(now);
        for torrent in self.torrents().collect::<Vec<_>>() {
            self.with(torrent, now, |session, context| session.network_changed(context.now));
        }
    }

    /// The machine slept for `gap` while the clock of the engine stood still. Nobody is blamed for what was under
    /// way; what is known of hosts is older by the gap (as far as the engine's clock reaches back); announces that have
    /// become due meanwhile are spread, so that they don't all go out at once.
    pub fn resumed(&mut self, gap: Duration, now: Timestamp) {
        self.health.slept(gap, now);
        let torrents: Vec<_> = self.torrents().collect();
        let spread = Duration::from_secs(torrents.len() as u64 / 20).min(Duration::from_secs(60));
        for torrent in torrents {
            let wait = SETTLE + spread.mul_f64(self.random.random());
            self.with(torrent, now, |session, context| session.resumed(gap, wait, context));
        }
    }

    /// The torrents there are.
    pub fn torrents(&self) -> impl Iterator<Item = TorrentId> {
        self.sessions.keys().copied()
    }

    /// A torrent's trackers.
    pub fn trackers(&self, torrent: TorrentId) -> Option<&TrackerSet> {
        self.sessions.get(&torrent).map(|session| session.trackers())
    }

    /// A torrent's present state.
    pub fn status(&self, torrent: TorrentId, now: Timestamp) -> Option<Status> {
        self.sessions.get(&torrent).map(|session| session.status(&self.health, now))
    }

    /// Why this tracker, why now, and what comes next: one line that a person understands. Without path or query.
    pub fn explain(&self, torrent: TorrentId, now: Timestamp) -> Option<String> {
        self.sessions.get(&torrent).map(|session| session.explain(&self.health, now))
    }

    /// What is known of tracker hosts.
    pub fn health(&self) -> &HealthBook {
        &self.health
    }

    /// Takes over what an earlier run knew of tracker hosts, see [`HealthBook::recall`]. Torrents that are added
    /// after this profit.
    pub fn recall(&mut self, hosts: impl IntoIterator<Item = RememberedHost>, calendar: u64, now: Timestamp) {
        self.health.recall(hosts, calendar, now);
    }

    /// Tells the engine what happened.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Probed(attempt, result) => self.probed(attempt, &result, now),
            Input::Opened(attempt) => {
                self.route(attempt, now, |session, context| session.opened(attempt, context));
            }
            Input::Replied(attempt, response) => {
                self.route(attempt, now, |session, context| session.replied(attempt, *response, context));
            }
            Input::Failed(attempt, error) => {
                self.route(attempt, now, |session, context| session.failed(attempt, error, context));
            }
        }
    }

    /// What to do next.
    pub fn poll(&mut self, now: Timestamp) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            // Ten thousand torrents that are added at once leave megabytes of room.
            self.outputs.shrink_to(USUAL_OUTPUTS);
            if let Some(tracker) = self.probes.next(self.config.probes_in_flight) {
                let attempt = self.attempts.begin_probe();
                self.probes.begun(attempt, &tracker, self.config.probe_limit, now);
                return Output::Probe { attempt, tracker };
            }
            if let Some(attempt) = self.probes.expired(now) {
                self.outputs.push_back(Output::Close { attempt });
                self.probed(attempt, &Err(AnnounceError::TimedOut(Phase::Probe).into()), now);
                continue;
            }
            if let Some(torrent) = self.gates.next_sent_off() {
                self.with(torrent, now, |session, _| session.sent_off());
                continue;
            }
            if let Some((torrent, host)) = self.gates.call(&self.config, now) {
                self.with(torrent, now, |session, context| session.called(host, context));
                continue;
            }
            match self.timers.first().copied() {
                Some((at, torrent)) if at <= now => self.with(torrent, now, |_, _| ()),
                timer => {
                    let timer = timer.map(|(at, _)| at);
                    let wakes = [timer, self.probes.wake(), self.gates.wake()];
                    return Output::Wait(wakes.into_iter().flatten().min());
                }
            }
        }
    }

    fn insert(
        &mut self,
        mut trackers: TrackerSet,
        session: impl FnOnce(TorrentId, TrackerSet, Arc<Config>) -> Session,
        now: Timestamp,
    ) -> TorrentId {
        self.next_torrent += 1;
        let id = TorrentId(self.next_torrent);
        let config = if trackers.is_private() { &self.private_config } else { &self.config };
        trackers.prepare(config, self.random.random());
        trackers.share(&mut self.addresses);
        self.sessions.insert(id, Box::new(session(id, trackers, Arc::clone(config))));
        self.ask_for_probes(id, now);
        self.with(id, now, Session::begin);
        id
    }

    /// Gives a torrent's unmeasured trackers the measurement of their host, or asks for one.
    fn ask_for_probes(&mut self, torrent: TorrentId, now: Timestamp) {
        let Some(session) = self.sessions.get_mut(&torrent) else { return };
        let (health, lifetime) = (&self.health, self.config.measurement_lifetime);
        for tracker in session.unmeasured(|host| health.fresh_latency(host, lifetime, now)) {
            session.probe_asked(&tracker);
            self.probes.ask(torrent, &tracker);
        }
    }

    fn probed(&mut self, attempt: AttemptId, result: &Result<Measurement, ProbeError>, now: Timestamp) {
        let Some((host, began, askers)) = self.probes.ended(attempt) else { return };
        match result {
            Ok(measurement) => self.health.measured(host, *measurement, now),
            Err(error) => {
                if let Some(failure) = failure(&error.0) {
                    let random = self.random.random();
                    self.health.failed(host, failure, began, &self.config, random, now);
                }
            }
        }
        for (torrent, tracker) in askers {
            self.with(torrent, now, |session, context| session.probed(&tracker, result, context));
        }
    }

    fn route(
        &mut self,
        attempt: AttemptId,
        now: Timestamp,
        then: impl FnOnce(&mut Session, &mut Context<'_>),
    ) {
        if let Some((torrent, _)) = self.attempts.owners.get(&attempt) {
            let torrent = *torrent;
            self.with(torrent, now, then);
        }
    }

    /// Changes a session, lets it act on the change, and sets its timer.
    fn with<T: Default>(
        &mut self,
        torrent: TorrentId,
        now: Timestamp,
        change: impl FnOnce(&mut Session, &mut Context<'_>) -> T,
    ) -> T {
        let Some(session) = self.sessions.get_mut(&torrent) else { return T::default() };
        let timer = session.wake();
        let mut context = Context {
            now,
            random: &mut self.random,
            health: &mut self.health,
            attempts: &mut self.attempts,
            gates: &mut self.gates,
            config: &self.config,
            outputs: &mut self.outputs,
        };
        let result = change(session, &mut context);
        session.drive(&mut context);
        if let Some(tracker) = session.take_wanted_check() {
            self.probes.ask(torrent, &tracker);
        }
        let wake = session.wake().filter(|_| !session.has_ended());
        if let Some(timer) = timer.filter(|_| timer != wake) {
            self.timers.remove(&(timer, torrent));
        }
        if session.has_ended() {
            self.probes.forget(torrent);
            if let Some(session) = self.sessions.remove(&torrent) {
                let (trackers, stopped) = session.end();
                self.outputs.push_back(Output::Ended { torrent, trackers: Box::new(trackers), stopped });
            }
        } else if let Some(wake) = wake.filter(|_| timer != wake) {
            self.timers.insert((wake, torrent));
        }
        result
    }
}
