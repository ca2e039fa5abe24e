//! The machine that makes every decision: told the time and the results, it answers what to do next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::addresses::Addresses;
use super::attempts::Attempts;
use super::config::Config;
use super::hosts::{HealthBook, Hosts, Outcome, Probes, Slot};
use super::io::{AttemptId, Input, Output, RoundNumber, TorrentId};
use super::session::{Context, Session};
use super::status::Status;
use super::tracker_set::TrackerSet;
use super::verdict::Verdict;
use crate::announce::{AnnounceRequest, InfoHash, Torrent, Transfer};
use crate::error::{AnnounceError, TimeoutPhase};
use crate::host_snapshot::HostSnapshot;
use crate::prober::Measurement;
use crate::time::Timestamp;

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
/// use tracker_failover::policy::{Engine, Output, Timestamp};
/// use tracker_failover::{Config, TrackerSet};
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
    hosts: Hosts,
    probes: Probes,
    addresses: Addresses,
    /// Boxed, since a map keeps room for more values than it has.
    sessions: BTreeMap<TorrentId, Box<Session>>,
    timers: BTreeSet<(Timestamp, TorrentId)>,
    /// The torrents by the beginning of their info-hash, to find sessions of the same.
    by_info_hash: BTreeSet<(u64, TorrentId)>,
    attempts: Attempts,
    outputs: VecDeque<Output>,
    next_torrent: u64,
}

/// How long after a sleep the network needs to come up.
const SETTLE: Duration = Duration::from_secs(2);

/// Room for so many outputs is kept.
const USUAL_OUTPUTS: usize = 64;

impl Engine {
    /// An engine without torrents. The seed decides every shuffle and jitter: take it from a good source, or
    /// fix it in a test to get the same run again.
    pub fn new(config: Config, seed: u64) -> Self {
        let config = Arc::new(config.normalised());
        Self {
            private_config: Arc::new(config.for_torrent(true)),
            hosts: Hosts::new(Arc::clone(&config)),
            config,
            random: StdRng::seed_from_u64(seed),
            probes: Probes::default(),
            addresses: Addresses::default(),
            sessions: BTreeMap::new(),
            timers: BTreeSet::new(),
            by_info_hash: BTreeSet::new(),
            attempts: Attempts::default(),
            outputs: VecDeque::new(),
            next_torrent: 0,
        }
    }

    /// Adds a torrent for the whole of its life: `started` goes out to the first tracker that answers, and
    /// regular announces follow until [`stop`](Self::stop).
    pub fn add(&mut self, trackers: TrackerSet, torrent: Torrent, now: Timestamp) -> TorrentId {
        self.insert(trackers, |id, trackers, config| Session::new(id, trackers, torrent, config, now), now)
    }

    /// Makes one announce as it stands, with failover; [`Output::RoundEnded`] and [`Output::Ended`] tell what
    /// came of it. Which event is due is the caller's business here.
    pub fn announce_once(
        &mut self,
        trackers: TrackerSet,
        request: AnnounceRequest,
        now: Timestamp,
    ) -> TorrentId {
        self.insert(trackers, |id, trackers, config| Session::once(id, trackers, request, config, now), now)
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

    /// Ends a session: `stopped` goes in parallel, once, to every tracker that knows us, within
    /// [`Config::stop_limit`]; [`Output::Ended`] tells when.
    ///
    /// Where another session of the same torrent and peer id runs, that one takes over all registrations: trackers know
    /// both as one peer, and hear `stopped` when the last of them ends.
    pub fn stop(&mut self, torrent: TorrentId, now: Timestamp) {
        self.stop_within(torrent, self.config.stop_limit, now);
    }

    /// As [`stop`](Self::stop), with a limit of the caller's own.
    pub fn stop_within(&mut self, torrent: TorrentId, limit: Duration, now: Timestamp) {
        let other = self.same_torrent(torrent).find(|other| {
            self.sessions.get(other).is_some_and(|other| other.is_running() && other.is_session())
        });
        let is_running = self.sessions.get(&torrent).is_some_and(|session| session.is_running());
        if let Some(other) = other.filter(|_| is_running)
            && let Some(mut heir) = self.sessions.remove(&other)
        {
            self.with(torrent, now, |session, context| session.leave_to(&mut heir, context));
            self.sessions.insert(other, heir);
        } else {
            self.with(torrent, now, |session, context| session.stop(limit, context));
        }
    }

    /// Drops a torrent at once, telling nobody.
    pub fn forget(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, Session::forget);
    }

    /// The network has changed (another interface, another address, a tunnel): hosts that were unreachable may be
    /// tried again, what was measured is doubted, and sessions in trouble announce at once.
    pub fn network_changed(&mut self, now: Timestamp) {
        self.hosts.network_changed(now);
        for torrent in self.torrents().collect::<Vec<_>>() {
            self.with(torrent, now, |session, context| session.network_changed(context.now));
        }
    }

    /// The machine slept, or this process stood still, for `gap`, which `now` includes: the engine's time goes on
    /// meanwhile. To be called before anything that has arrived since is handed over.
    ///
    /// What is under way loses none of its time by that, and its failure is held against no tracker. Announces that have
    /// become due are spread, so that they don't all go out at once. What trackers asked for isn't shortened.
    pub fn resumed(&mut self, gap: Duration, now: Timestamp) {
        let gap = gap.min(now.since(Timestamp::ZERO));
        self.hosts.resumed(now);
        self.probes.extend(gap);
        let torrents: Vec<_> = self.torrents().collect();
        let spread = Duration::from_secs(torrents.len() as u64 / 20).min(Duration::from_secs(60));
        for torrent in &torrents {
            let wait = SETTLE + spread.mul_f64(self.random.random());
            if let Some(session) = self.sessions.get_mut(torrent) {
                session.resumed(gap, wait, now);
            }
        }
        for torrent in torrents {
            self.with(torrent, now, |_, _| ());
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
        self.sessions.get(&torrent).map(|session| session.status(&self.hosts, now))
    }

    /// Why this tracker, why now, and what comes next: one line that a person understands. Without path or query.
    pub fn explain(&self, torrent: TorrentId, now: Timestamp) -> Option<String> {
        self.sessions.get(&torrent).map(|session| session.explain(&self.hosts, now))
    }

    /// What is known of tracker hosts.
    pub fn health(&self) -> &HealthBook {
        self.hosts.health()
    }

    /// Takes over what an earlier run knew of tracker hosts, see [`HealthBook::recall`]. Torrents that are added
    /// after this profit.
    pub fn recall(&mut self, hosts: impl IntoIterator<Item = HostSnapshot>, calendar: u64, now: Timestamp) {
        self.hosts.health_mut().recall(hosts, calendar, now);
    }

    /// Tells the engine what happened.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Probed(attempt, result) => self.probed(attempt, &result, now),
            Input::Opened(attempt) => {
                self.route(attempt, now, |session, context| session.opened(attempt, context));
            }
            Input::Replied(attempt, mut response) => {
                response.bound();
                self.route(attempt, now, |session, context| session.replied(attempt, *response, context));
            }
            Input::Failed(attempt, error) => {
                self.route(attempt, now, |session, context| session.failed(attempt, error, context));
            }
        }
    }

    /// Counts so much of an opening as none: neither silence, nor part of a limit or a latency. It was spent before the
    /// tracker was dialled, and says nothing of it (R103). Comes before its [`Input::Opened`].
    pub fn discount(&mut self, attempt: AttemptId, time: Duration, now: Timestamp) {
        self.route(attempt, now, |session, context| session.discount(attempt, time, context.now));
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
                self.probed(attempt, &Err(AnnounceError::TimedOut(TimeoutPhase::Probe)), now);
                continue;
            }
            if let Some((torrent, host)) = self.hosts.next_evicted() {
                self.with(torrent, now, |session, _| session.evicted(&host));
                continue;
            }
            if let Some((torrent, slot)) = self.hosts.next_admitted(now) {
                self.with_slot(torrent, slot, now);
                continue;
            }
            match self.timers.first().copied() {
                Some((at, torrent)) if at <= now => self.with(torrent, now, |_, _| ()),
                timer => {
                    let timer = timer.map(|(at, _)| at);
                    let wakes = [timer, self.probes.wake(), self.hosts.wake()];
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
        let id = TorrentId::new(self.next_torrent);
        let config = if trackers.is_private() { &self.private_config } else { &self.config };
        trackers.prepare(config, self.random.random());
        trackers.share(&mut self.addresses);
        let session = Box::new(session(id, trackers, Arc::clone(config)));
        self.by_info_hash.insert((beginning(session.info_hash()), id));
        self.sessions.insert(id, session);
        self.wait_for_same(id);
        self.ask_for_probes(id, now);
        self.with(id, now, Session::begin);
        id
    }

    /// Gives a torrent's unmeasured trackers the measurement of their host, or asks for one.
    fn ask_for_probes(&mut self, torrent: TorrentId, now: Timestamp) {
        let Some(session) = self.sessions.get_mut(&torrent) else { return };
        let (hosts, lifetime) = (&self.hosts, self.config.measurement_lifetime);
        for tracker in session.unmeasured(|host| hosts.health().fresh_latency(host, lifetime, now)) {
            session.probe_asked(&tracker);
            self.probes.ask(torrent, &tracker);
        }
    }

    fn probed(&mut self, attempt: AttemptId, result: &Result<Measurement, AnnounceError>, now: Timestamp) {
        let Some((host, began, askers)) = self.probes.ended(attempt) else { return };
        let news = result.as_ref().map(|measurement| *measurement).map_err(Verdict::of);
        let random = self.random.random();
        let ended = self.hosts.probed(&host, news, began, random, now);
        for (number, (torrent, tracker)) in askers.into_iter().enumerate() {
            self.with(torrent, now, |session, context| {
                if number == 0 {
                    context.alert_outage(torrent, ended);
                }
                session.probed(&tracker, result, context);
            });
        }
    }

    fn route(
        &mut self,
        attempt: AttemptId,
        now: Timestamp,
        then: impl FnOnce(&mut Session, &mut Context<'_>),
    ) {
        if let Some(torrent) = self.attempts.owner(attempt) {
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
            hosts: &mut self.hosts,
            attempts: &mut self.attempts,
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
                self.by_info_hash.remove(&(beginning(session.info_hash()), torrent));
                self.release_waiting(torrent, session.info_hash(), now);
                let (trackers, stopped) = session.end();
                self.outputs.push_back(Output::Ended { torrent, trackers: Box::new(trackers), stopped });
            }
        } else if let Some(wake) = wake.filter(|_| timer != wake) {
            self.timers.insert((wake, torrent));
        }
        result
    }

    /// Hands a torrent the place at a host that it queued for.
    fn with_slot(&mut self, torrent: TorrentId, slot: Slot, now: Timestamp) {
        let mut slot = Some(slot);
        self.with(torrent, now, |session, context| {
            if let Some(slot) = slot.take() {
                session.admitted(slot, context);
            }
        });
        if let Some(slot) = slot {
            // It has ended while it queued.
            self.hosts.finished(slot, Outcome::Unused, now);
        }
    }

    /// The other sessions of the same torrent and peer id.
    fn same_torrent(&self, torrent: TorrentId) -> impl Iterator<Item = TorrentId> {
        let session = self.sessions.get(&torrent);
        let all = session.into_iter().flat_map(|session| self.of_info_hash(session.info_hash()));
        all.filter(move |other| {
            *other != torrent
                && self
                    .sessions
                    .get(other)
                    .zip(session)
                    .is_some_and(|(other, session)| session.is_same(other))
        })
    }

    /// The torrents whose info-hash begins like this one.
    fn of_info_hash(&self, info_hash: InfoHash) -> impl Iterator<Item = TorrentId> {
        let beginning = beginning(info_hash);
        let all = (beginning, TorrentId::new(0))..=(beginning, TorrentId::new(u64::MAX));
        self.by_info_hash.range(all).map(|(_, torrent)| *torrent)
    }

    /// Has a new session wait for an earlier one of the same torrent that is saying `stopped`, which `started` would
    /// overtake otherwise.
    fn wait_for_same(&mut self, torrent: TorrentId) {
        let earlier = self
            .same_torrent(torrent)
            .filter(|other| {
                self.sessions.get(other).is_some_and(|other| !other.is_running() && other.is_session())
            })
            .last();
        if let Some(session) = self.sessions.get_mut(&torrent) {
            session.wait_for(earlier);
        }
    }

    /// Lets sessions go on that waited for this one.
    fn release_waiting(&mut self, ended: TorrentId, info_hash: InfoHash, now: Timestamp) {
        let waiting: Vec<_> = self
            .of_info_hash(info_hash)
            .filter(|other| self.sessions.get(other).is_some_and(|other| other.waits_for(ended)))
            .collect();
        for torrent in waiting {
            self.with(torrent, now, |session, _| session.wait_for(None));
        }
    }
}

/// The first bytes of an info-hash as a number: enough to find it by.
fn beginning(info_hash: InfoHash) -> u64 {
    info_hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
