//! The engine: hands each input to its torrent, wakes torrents when their timers are due, and gives what to do next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::attempts::Attempts;
use super::config::Config;
use super::hosts::{HealthBook, HostStatus, Hosts, Outcome, Probes, Slot};
use super::io::{AttemptId, Input, Output, RoundNumber, TorrentId};
use super::torrent::{AfterStopped, Shared, Status, Timer, TorrentState};
use super::tracker_set::TrackerSet;
use super::url_interner::UrlInterner;
use super::verdict::Verdict;
use crate::announce::{AnnounceRequest, InfoHash, PeerCounts, Torrent, Transfer};
use crate::error::{AnnounceError, TimeoutPhase};
use crate::host_snapshot::HostSnapshot;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::{AddressFamily, TrackerHost, TrackerUrl};

/// All torrents and all tracker hosts of a process, as one state machine without IO, clock or entropy.
///
/// Driving it takes four steps, over and over:
///
/// 1. give it what happened, through [`handle`](Self::handle) or one of the commands, with the time;
/// 2. call [`poll`](Self::poll) and carry out the [`Output`];
/// 3. repeat 2 until it is [`Output::Wait`];
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
    /// The settings, with every value between its limits.
    config: Arc<Config>,
    /// The same as they apply to private torrents: BEP 12, no probes, no race.
    private_config: Arc<Config>,
    /// The source of every shuffle and jitter.
    rng: StdRng,
    /// What all torrents share: health, back-off and limits of tracker hosts.
    hosts: Hosts,
    /// The probes under way and those that wait.
    probes: Probes,
    /// One copy of each announce URL.
    urls: UrlInterner,
    /// Boxed, because a map allocates room for more values than it has.
    torrents: BTreeMap<TorrentId, Box<TorrentState>>,
    /// When each torrent wakes up next, and what for.
    timers: BTreeSet<(Timestamp, TorrentId, Timer)>,
    /// The torrents by the beginning of their info-hash, to find other sessions of the same torrent.
    by_info_hash: BTreeSet<(u64, TorrentId)>,
    /// The attempts under way, each with its torrent.
    attempts: Attempts,
    /// What [`poll`](Self::poll) gives next.
    outputs: VecDeque<Output>,
    /// How many torrents were added so far: the number of the last one.
    next_torrent: u64,
}

/// How long the network needs to come up after a sleep.
const SETTLE: Duration = Duration::from_secs(2);

/// The queue of outputs keeps room for this many. Ten thousand torrents that are added at once would leave megabytes.
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
            rng: StdRng::seed_from_u64(seed),
            probes: Probes::default(),
            urls: UrlInterner::default(),
            torrents: BTreeMap::new(),
            timers: BTreeSet::new(),
            by_info_hash: BTreeSet::new(),
            attempts: Attempts::default(),
            outputs: VecDeque::new(),
            next_torrent: 0,
        }
    }

    /// Adds a torrent for a whole session: `started` goes to the first tracker that answers, and regular announces
    /// follow until [`stop`](Self::stop).
    pub fn add(&mut self, trackers: TrackerSet, torrent: Torrent, now: Timestamp) -> TorrentId {
        let id = self.insert(trackers, torrent, now);
        self.wait_for_same(id);
        self.with(id, now, |state, shared| state.begin(None, shared));
        id
    }

    /// Makes one announce as it stands, with failover; [`Output::RoundEnded`] and [`Output::Ended`] give the result.
    /// The caller decides which event it carries.
    pub fn announce_once(
        &mut self,
        trackers: TrackerSet,
        request: AnnounceRequest,
        now: Timestamp,
    ) -> TorrentId {
        let mut torrent = Torrent::new(request.info_hash, request.peer_id, request.port);
        (torrent.transfer, torrent.ip) = (request.transfer, request.ip);
        let id = self.insert(trackers, torrent, now);
        self.with(id, now, |state, shared| state.begin(Some(request), shared));
        id
    }

    /// Sets the counters of the download. `uploaded` and `downloaded` are totals of the session and never go back.
    ///
    /// When `left` goes from more than 0 to 0 the download has become complete, as by [`complete`](Self::complete). If it is
    /// 0 before the first announce, the download was complete from the start, and `completed` is never sent (BEP 3).
    pub fn update(&mut self, torrent: TorrentId, transfer: Transfer, now: Timestamp) {
        let state = self.torrents.get_mut(&torrent);
        // Counters change often, and mostly nothing follows from it.
        if state.is_some_and(|state| state.update(transfer, now)) {
            self.with(torrent, now, |_, _| ());
        }
    }

    /// Has [`Output::CountTransfer`] ask for the counters when an announce is written, in place of the client reporting each
    /// change.
    pub fn count_transfer_on_demand(&mut self, torrent: TorrentId) {
        if let Some(state) = self.torrents.get_mut(&torrent) {
            state.count_transfer_on_demand();
        }
    }

    /// Notes that the files were found to be complete, such as by a check after the torrent was added: `left` is 0, and
    /// `completed` is never sent, because nothing was downloaded (BEP 3).
    pub fn found_complete(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, |state, _| state.found_complete());
    }

    /// Sets how many peers the announces from now on ask for, as in [`Torrent::num_want`].
    pub fn set_num_want(&mut self, torrent: TorrentId, num_want: Option<u32>) {
        if let Some(state) = self.torrents.get_mut(&torrent) {
            state.set_num_want(num_want);
        }
    }

    /// Sets the port on which the client takes connections, as in [`Torrent::port`]. A changed one is announced soon to
    /// each tracker that lists us, without an event: as soon as its `min interval` allows.
    pub fn set_port(&mut self, torrent: TorrentId, port: u16, now: Timestamp) {
        self.with(torrent, now, |state, shared| state.set_port(port, shared.now));
    }

    /// Sets the address to announce in place of the one that trackers see, as in [`Torrent::ip`]. A changed one is
    /// announced soon, as with [`set_port`](Self::set_port).
    pub fn set_ip(&mut self, torrent: TorrentId, ip: Option<IpAddr>, now: Timestamp) {
        self.with(torrent, now, |state, shared| state.set_ip(ip, shared.now));
    }

    /// Sets how many peers the client has, which decides whether further trackers are asked
    /// ([`AnnounceTo::AsNeeded`](crate::AnnounceTo::AsNeeded)). Cheap; to be called as often as it changes.
    pub fn set_peers(&mut self, torrent: TorrentId, peers: PeerCounts, now: Timestamp) {
        self.with(torrent, now, |state, shared| state.set_peers(peers, shared.now));
    }

    /// Has [`Output::CountPeers`] ask how many peers the client has when a decision depends on it, in place of the client
    /// reporting each change.
    pub fn count_peers_on_demand(&mut self, torrent: TorrentId) {
        if let Some(state) = self.torrents.get_mut(&torrent) {
            state.count_peers_on_demand();
        }
    }

    /// Notes that the download has become complete: `completed` is sent at once, to the tracker in use. Does nothing
    /// the second time, or if the download was complete from the start.
    pub fn complete(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, |state, shared| state.complete(shared.now));
    }

    /// Notes that more peers are wanted: an announce goes out as soon as the tracker in use allows.
    pub fn want_peers(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, |state, shared| state.want_peers(shared.now));
    }

    /// Makes an announce now, whatever interval and back-off are: the user requested it. Only trackers that asked for
    /// no announce are left out (BEP 31, `Retry-After`). Gives the number of the round.
    pub fn reannounce(&mut self, torrent: TorrentId, now: Timestamp) -> Option<RoundNumber> {
        self.with(torrent, now, |state, shared| state.reannounce(shared.now))
    }

    /// Replaces the interval that a torrent's trackers ask for; `None` leaves it to them again.
    pub fn override_interval(&mut self, torrent: TorrentId, interval: Option<Duration>, now: Timestamp) {
        self.with(torrent, now, |state, shared| state.override_interval(interval, shared.now));
    }

    /// Changes a torrent's trackers through a closure. The cursor and what is known stay as far as the trackers
    /// do; attempts at removed ones are given up.
    ///
    /// A set that becomes [private](TrackerSet::private) makes the torrent private for the rest of its session: no tracker
    /// is probed or raced any more, or announced to beside the one in use.
    pub fn change_trackers(
        &mut self,
        torrent: TorrentId,
        change: impl FnOnce(&mut TrackerSet),
        now: Timestamp,
    ) {
        let mut urls = std::mem::take(&mut self.urls);
        let change = |trackers: &mut TrackerSet| {
            change(trackers);
            trackers.share(&mut urls);
        };
        let private_config = Arc::clone(&self.private_config);
        self.with(torrent, now, |state, shared| state.change_trackers(change, &private_config, shared));
        self.urls = urls;
    }

    /// Ends a session: `stopped` is sent in parallel, once, to every tracker that may list us, within
    /// [`Config::stop_limit`]. [`Output::Ended`] follows.
    ///
    /// If another session of the same torrent and peer id runs, that one takes over all registrations: trackers know
    /// both as one peer, and are sent `stopped` when the last of them ends (R90).
    pub fn stop(&mut self, torrent: TorrentId, now: Timestamp) {
        self.stop_within(torrent, self.config.limits.stop_limit, now);
    }

    /// As [`stop`](Self::stop), within the caller's limit.
    pub fn stop_within(&mut self, torrent: TorrentId, limit: Duration, now: Timestamp) {
        self.end_announces(torrent, AfterStopped::End, limit, now);
    }

    /// Pauses a session: `stopped` is sent as by [`stop`](Self::stop), and nothing more until [`resume`](Self::resume).
    /// Counters, key and settings are kept, and can be changed meanwhile.
    pub fn pause(&mut self, torrent: TorrentId, now: Timestamp) {
        self.end_announces(torrent, AfterStopped::Pause, self.config.limits.stop_limit, now);
    }

    /// Pauses a session without sending `stopped`: trackers list us until our registrations expire.
    pub fn pause_silently(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, TorrentState::pause_silently);
    }

    /// Ends a pause: an announce is due at once, with `started` to trackers that were sent `stopped`.
    pub fn resume(&mut self, torrent: TorrentId, now: Timestamp) {
        if let Some(state) = self.torrents.get_mut(&torrent) {
            state.resume(now);
            // Another session of the same torrent may be sending `stopped`.
            self.wait_for_same(torrent);
            self.with(torrent, now, TorrentState::resumed_pause);
        }
    }

    /// Whether a session is paused, or will be once `stopped` has been sent.
    pub fn is_paused(&self, torrent: TorrentId) -> bool {
        self.torrents.get(&torrent).is_some_and(|state| state.is_paused())
    }

    /// Drops a torrent at once. No tracker is sent `stopped`.
    pub fn forget(&mut self, torrent: TorrentId, now: Timestamp) {
        self.with(torrent, now, TorrentState::forget);
    }

    /// The network has changed (another interface, another address, a tunnel): hosts that were unreachable may be
    /// tried again, what was measured is doubted, and sessions in trouble announce at once.
    pub fn network_changed(&mut self, now: Timestamp) {
        self.hosts.network_changed(now);
        for torrent in self.torrents().collect::<Vec<_>>() {
            self.with(torrent, now, |state, shared| state.network_changed(shared.now));
        }
    }

    /// The machine slept, or this process stood still, for `gap`, which `now` includes: the engine's time goes on
    /// meanwhile. To be called before anything that has arrived since is handed over.
    ///
    /// What is under way loses none of its time by that, and its failure is held against no tracker. Announces that
    /// have become due are spread, so that they don't all go out at once. What trackers asked for isn't shortened.
    pub fn resumed(&mut self, gap: Duration, now: Timestamp) {
        let gap = gap.min(now.since(Timestamp::ZERO));
        self.hosts.resumed(now);
        self.probes.extend(gap);
        let torrents: Vec<_> = self.torrents().collect();
        // Twenty torrents a second, the default pace of one host, and never longer than a minute.
        let spread = Duration::from_secs(torrents.len() as u64 / 20).min(Duration::from_secs(60));
        for torrent in &torrents {
            let wait = SETTLE + spread.mul_f64(self.rng.random());
            if let Some(state) = self.torrents.get_mut(torrent) {
                state.resumed(gap, wait, now);
            }
        }
        for torrent in torrents {
            self.with(torrent, now, |_, _| ());
        }
    }

    /// All torrents of this engine, sessions that are ending included.
    pub fn torrents(&self) -> impl Iterator<Item = TorrentId> {
        self.torrents.keys().copied()
    }

    /// A torrent's trackers.
    pub fn trackers(&self, torrent: TorrentId) -> Option<&TrackerSet> {
        self.torrents.get(&torrent).map(|state| state.trackers())
    }

    /// A torrent's present state.
    pub fn status(&self, torrent: TorrentId, now: Timestamp) -> Option<Status> {
        self.torrents.get(&torrent).map(|state| state.status(&self.hosts, now))
    }

    /// Which tracker a torrent uses and why, and what comes next, in one line for people. Without path or query,
    /// which may hold a passkey.
    pub fn explain(&self, torrent: TorrentId, now: Timestamp) -> Option<String> {
        self.torrents.get(&torrent).map(|state| state.explain(&self.hosts, now))
    }

    /// The state of each tracker host, ordered by host.
    pub fn hosts(&self, now: Timestamp) -> Vec<HostStatus> {
        let mut torrents: BTreeMap<&TrackerHost, usize> = BTreeMap::new();
        for state in self.torrents.values() {
            let hosts: BTreeSet<_> =
                state.trackers().supported_trackers().map(TrackerUrl::host_key).collect();
            for host in hosts {
                *torrents.entry(host).or_default() += 1;
            }
        }
        self.hosts.statuses(&torrents, now)
    }

    /// What is known of tracker hosts.
    pub fn health(&self) -> &HealthBook {
        self.hosts.health()
    }

    /// Takes over what an earlier run knew of tracker hosts, see [`HealthBook::restore`]. Only torrents that are
    /// added later use its latencies.
    pub fn restore(&mut self, hosts: impl IntoIterator<Item = HostSnapshot>, calendar: u64, now: Timestamp) {
        self.hosts.health_mut().restore(hosts, calendar, now);
    }

    /// Takes in what other processes have learned of tracker hosts meanwhile, at any time. The newest word of each host
    /// wins ([`HostSnapshot::is_newer_than`]), and what this process heard later than a report stays as it is.
    ///
    /// A host that is reported dead is skipped as if one of our own torrents had found it dead: it gets its trials as usual,
    /// and the first back-off is a minute at most. One that is reported to answer again is tried by the next torrent that
    /// waits for it. Our own latencies and moments are never replaced.
    ///
    /// Reports may be wrong: at most 4096 are looked at, those from a clock that is more than 5 min ahead and those older
    /// than [`HealthBook::MEMORY`] are dropped, and of each host three that it is dead are believed in 10 min,
    /// and three that it answers, so that no report keeps a torrent from a tracker that works. `calendar` is the present moment in seconds since 1970.
    pub fn merge(&mut self, reports: impl IntoIterator<Item = HostSnapshot>, calendar: u64, now: Timestamp) {
        let random = self.rng.random();
        self.hosts.merge(reports, calendar, random, now);
    }

    /// Takes in what happened to a probe or an attempt.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Probed(attempt, result) => self.probed(attempt, &result, now),
            Input::Opened(attempt) => {
                self.route(attempt, now, |state, shared| state.opened(attempt, shared));
            }
            Input::Replied(attempt, mut response) => {
                response.bound();
                self.route(attempt, now, |state, shared| state.replied(attempt, *response, shared));
            }
            Input::Failed(attempt, error) => {
                self.route(attempt, now, |state, shared| state.failed(attempt, error, shared));
            }
        }
    }

    /// Leaves `time` of an opening out of account: it is neither silence, nor part of a limit or a latency. It was
    /// spent before the tracker was dialled, such as on the look-up of its name, and is no evidence about it (R103).
    /// To be called before the attempt's [`Input::Opened`].
    pub fn discount(&mut self, attempt: AttemptId, time: Duration, now: Timestamp) {
        self.route(attempt, now, |state, shared| state.discount(attempt, time, shared.now));
    }

    /// Notes the address to which the channel of an attempt leads, if the tracker is spoken to directly. Two UDP
    /// trackers with one address are one tracker. To be called before the attempt's [`Input::Opened`].
    pub fn reached(&mut self, attempt: AttemptId, address: SocketAddr, now: Timestamp) {
        self.route(attempt, now, |state, _| state.reached(attempt, address));
    }

    /// Notes that the tracker of an attempt has addresses of another family than the one that its channel uses, and is
    /// spoken to directly. If it answers it can be announced to over both: trackers keep separate lists of peers. To be
    /// called before the attempt's [`Input::Opened`].
    pub fn reachable_over(&mut self, attempt: AttemptId, family: AddressFamily, now: Timestamp) {
        let mut urls = std::mem::take(&mut self.urls);
        self.route(attempt, now, |state, _| state.reachable_over(attempt, family, &mut urls));
        self.urls = urls;
    }

    /// What to do next. What has happened comes before what has become due, so that a timer never acts on old news.
    pub fn poll(&mut self, now: Timestamp) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            self.outputs.shrink_to(USUAL_OUTPUTS);
            if let Some(tracker) = self.probes.next() {
                let attempt = self.attempts.begin_probe();
                self.probes.begun(attempt, &tracker, now);
                return Output::Probe { attempt, tracker };
            }
            if let Some(attempt) = self.probes.expired(now) {
                self.outputs.push_back(Output::Close { attempt });
                self.probed(attempt, &Err(AnnounceError::TimedOut(TimeoutPhase::Probe)), now);
                continue;
            }
            if let Some((torrent, host)) = self.hosts.next_evicted() {
                self.with(torrent, now, |state, _| state.evicted(&host));
                continue;
            }
            if let Some((torrent, slot)) = self.hosts.next_admitted(now) {
                self.with_slot(torrent, slot, now);
                continue;
            }
            match self.timers.first().copied() {
                // A torrent that wakes up finds out by itself what is due: nothing is changed from outside.
                Some((at, torrent, _)) if at <= now => self.with(torrent, now, |_, _| ()),
                timer => {
                    let timer = timer.map(|(at, ..)| at);
                    let wakes = [timer, self.probes.wake(), self.hosts.wake()];
                    return Output::Wait(wakes.into_iter().flatten().min());
                }
            }
        }
    }

    /// Sends `stopped`, or leaves the registrations to another session of the same torrent that runs.
    fn end_announces(&mut self, torrent: TorrentId, then: AfterStopped, limit: Duration, now: Timestamp) {
        let other = self.same_peers(torrent).find(|other| {
            self.torrents.get(other).is_some_and(|other| other.is_running() && other.is_session())
        });
        let is_live = self.torrents.get(&torrent).is_some_and(|state| state.is_live());
        if let Some(other) = other.filter(|_| is_live)
            && let Some(mut heir) = self.torrents.remove(&other)
        {
            // Out of the map for a moment, because both torrents are changed at once.
            self.with(torrent, now, |state, shared| state.leave_to(&mut heir, then, shared));
            self.torrents.insert(other, heir);
        } else {
            self.with(torrent, now, |state, shared| state.stop(then, limit, shared));
        }
    }

    /// Adds a torrent that does nothing yet.
    fn insert(&mut self, mut trackers: TrackerSet, torrent: Torrent, now: Timestamp) -> TorrentId {
        self.next_torrent += 1;
        let id = TorrentId::new(self.next_torrent);
        let config = if trackers.is_private() { &self.private_config } else { &self.config };
        trackers.prepare(config, self.rng.random());
        trackers.share(&mut self.urls);
        let state = TorrentState::new(id, trackers, torrent, Arc::clone(config), now);
        self.by_info_hash.insert((beginning(state.info_hash()), id));
        self.torrents.insert(id, Box::new(state));
        id
    }

    /// Takes in the result of a probe, for its host and for each torrent that asked for it.
    fn probed(&mut self, attempt: AttemptId, result: &Result<Measurement, AnnounceError>, now: Timestamp) {
        let Some((host, began, askers)) = self.probes.ended(attempt) else { return };
        let news = result.as_ref().map(|measurement| *measurement).map_err(Verdict::of);
        let random = self.rng.random();
        let ended = self.hosts.probed(&host, news, began, random, now);
        for (number, (torrent, tracker)) in askers.into_iter().enumerate() {
            self.with(torrent, now, |state, shared| {
                // One probe serves many torrents, and an outage is reported once.
                if number == 0 {
                    shared.alert_outage(ended);
                }
                state.probed(&tracker, result, shared);
            });
        }
    }

    /// Hands an input to the torrent that made the attempt. An id that isn't under way is ignored, so that what
    /// arrives late changes nothing that is settled (R15).
    fn route(
        &mut self,
        attempt: AttemptId,
        now: Timestamp,
        then: impl FnOnce(&mut TorrentState, &mut Shared<'_>),
    ) {
        if let Some(torrent) = self.attempts.owner(attempt) {
            self.with(torrent, now, then);
        }
    }

    /// Changes a torrent, lets it go on as far as possible, and keeps its timer. Every change goes through here: a
    /// torrent that was changed and didn't go on would stand still.
    fn with<T: Default>(
        &mut self,
        torrent: TorrentId,
        now: Timestamp,
        change: impl FnOnce(&mut TorrentState, &mut Shared<'_>) -> T,
    ) -> T {
        let Some(state) = self.torrents.get_mut(&torrent) else { return T::default() };
        let before = state.timer();
        let was_stopping = state.is_stopping();
        let mut shared = Shared {
            torrent,
            now,
            rng: &mut self.rng,
            hosts: &mut self.hosts,
            probes: &mut self.probes,
            attempts: &mut self.attempts,
            outputs: &mut self.outputs,
        };
        let result = change(state, &mut shared);
        state.advance(&mut shared);
        let after = state.timer();
        if before != after {
            let entry = |(at, timer): (Timestamp, Timer)| (at, torrent, timer);
            if let Some(before) = before {
                self.timers.remove(&entry(before));
            }
            self.timers.extend(after.map(entry));
        }
        if state.has_ended() {
            self.remove(torrent, now);
        } else if was_stopping && !state.is_stopping() {
            let info_hash = state.info_hash();
            self.release_waiting(torrent, info_hash, now);
        }
        result
    }

    /// Removes a torrent that has ended.
    fn remove(&mut self, torrent: TorrentId, now: Timestamp) {
        self.probes.forget(torrent);
        if let Some(state) = self.torrents.remove(&torrent) {
            let info_hash = state.info_hash();
            self.by_info_hash.remove(&(beginning(info_hash), torrent));
            self.release_waiting(torrent, info_hash, now);
            let (trackers, stopped) = state.end();
            self.outputs.push_back(Output::Ended { torrent, trackers: Box::new(trackers), stopped });
        }
    }

    /// Hands a torrent the slot at a host that it queued for.
    fn with_slot(&mut self, torrent: TorrentId, slot: Slot, now: Timestamp) {
        let mut slot = Some(slot);
        self.with(torrent, now, |state, shared| {
            if let Some(slot) = slot.take() {
                state.admitted(slot, shared);
            }
        });
        if let Some(slot) = slot {
            // The torrent has ended while it queued. A slot that isn't returned would be lost to its host.
            self.hosts.finished(slot, Outcome::Unused, now);
        }
    }

    /// The other sessions of the same torrent and peer id.
    fn same_peers(&self, torrent: TorrentId) -> impl Iterator<Item = TorrentId> {
        let state = self.torrents.get(&torrent);
        let all = state.into_iter().flat_map(|state| self.of_info_hash(state.info_hash()));
        let is_same = move |other: &TorrentId| {
            self.torrents.get(other).zip(state).is_some_and(|(other, state)| state.is_same_peer(other))
        };
        all.filter(move |other| *other != torrent && is_same(other))
    }

    /// The torrents whose info-hash begins like this one.
    fn of_info_hash(&self, info_hash: InfoHash) -> impl Iterator<Item = TorrentId> {
        let beginning = beginning(info_hash);
        let all = (beginning, TorrentId::new(0))..=(beginning, TorrentId::new(u64::MAX));
        self.by_info_hash.range(all).map(|(_, torrent)| *torrent)
    }

    /// Makes a new session wait for an earlier one of the same torrent that is sending `stopped`: `started` would
    /// overtake it, and the tracker would drop the new session (R90).
    fn wait_for_same(&mut self, torrent: TorrentId) {
        let is_stopping =
            |other: &TorrentId| self.torrents.get(other).is_some_and(|other| other.is_stopping());
        let earlier = self.same_peers(torrent).filter(is_stopping).last();
        if let Some(state) = self.torrents.get_mut(&torrent) {
            state.wait_for(earlier);
        }
    }

    /// Lets the sessions go on that waited for this one.
    fn release_waiting(&mut self, ended: TorrentId, info_hash: InfoHash, now: Timestamp) {
        let waits = |other: &TorrentId| self.torrents.get(other).is_some_and(|other| other.waits_for(ended));
        let waiting: Vec<_> = self.of_info_hash(info_hash).filter(waits).collect();
        for torrent in waiting {
            self.with(torrent, now, |state, _| state.wait_for(None));
        }
    }
}

/// The first eight bytes of an info-hash as a number. Two torrents may share them, so the caller compares the rest.
fn beginning(info_hash: InfoHash) -> u64 {
    info_hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
