//! The torrents of an announcer: the engine that decides about them, and what their users wait for.
//!
//! The announcer's loop changes them, and handles look at them. No code of the client runs while they are locked: it could
//! look at them as well, and wait for itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::alerts::{AlertSender, AlertSubscribers};
use super::clock::Clock;
use super::guarded::{Guarded, contained};
use crate::alert::{Alert, Announced, StopResult};
use crate::announce::{AnnounceRequest, InfoHash, PeerCounts, Torrent, Transfer};
use crate::counters::Counters;
use crate::error::RoundError;
use crate::policy::{Config, Engine, Output, RoundNumber, TorrentId, TrackerSet};

/// The torrents, for the loop and all handles.
#[derive(Clone)]
pub(super) struct SharedTorrents(Arc<Mutex<Torrents>>);

/// The engine, its clock, and the users of each torrent.
pub(super) struct Torrents {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    listeners: BTreeMap<TorrentId, Listener>,
    /// Whether torrents may be added from outside the loop: the latency cache has been read, and no shutdown has begun.
    is_open: bool,
    /// The alerts of all torrents.
    all_alerts: AlertSender,
}

/// What is left of a torrent that was stopped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StopReport {
    /// The trackers that were sent [`stopped`](crate::Event::Stopped), each with what came of it.
    pub results: Vec<StopResult>,
    /// The trackers, with what is known of them: to add the torrent again later.
    pub trackers: TrackerSet,
}

/// What came of a single announce, and its trackers with what was learned of them.
pub(super) struct OneShotResult {
    pub(super) round: RoundResult,
    pub(super) trackers: TrackerSet,
}

/// What came of an announce with failover.
pub(super) type RoundResult = Result<Arc<Announced>, Arc<RoundError>>;

/// A closure of the client that counts its peers.
pub(super) type PeerCounter = Box<dyn FnMut() -> PeerCounts + Send>;

/// What the client counts, and the code that counts it.
#[derive(Default)]
struct Counting {
    counters: Option<Guarded<Box<dyn Counters>>>,
    /// In place of what `counters` says of peers.
    peer_counter: Option<Guarded<PeerCounter>>,
}

/// What the users of a torrent wait for. Any of them may have left, so a result that can't be sent is dropped.
#[derive(Default)]
struct Listener {
    /// The torrent's name in the report of a shutdown; `None` for a single announce.
    info_hash: Option<InfoHash>,
    alerts: Option<AlertSender>,
    counting: Counting,
    /// Who asked for an announce, each with the first round that answers the request.
    rounds: Vec<(RoundNumber, oneshot::Sender<RoundResult>)>,
    one_shot: Option<oneshot::Sender<OneShotResult>>,
    one_shot_result: Option<RoundResult>,
    stopped: Vec<oneshot::Sender<StopReport>>,
}

/// What is left of a torrent that has ended, with code of the client in it: to be dropped without the lock.
#[must_use]
pub(super) struct Ended {
    /// The torrent's name in the report of a shutdown; `None` for a single announce.
    pub(super) info_hash: Option<InfoHash>,
    /// The alerts and counters, which end with this.
    _listeners: Vec<Listener>,
}

impl SharedTorrents {
    pub(super) fn new(config: Config, seed: u64, clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(Torrents::new(config, seed, clock))))
    }

    /// The torrents, for as long as the guard lives. After a panic they may be in any state, and the announcer ends.
    pub(super) fn lock(&self) -> MutexGuard<'_, Torrents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the code by which a torrent's transfer and peers are counted, and counts the peers for the first time.
    pub(super) fn count_with(&self, torrent: TorrentId, counters: Guarded<Box<dyn Counters>>) {
        let before = self.lock().change_counting(torrent, |engine, counting| {
            engine.count_transfer_on_demand(torrent);
            counting.counters.replace(counters)
        });
        drop(before);
        self.count_transfer(torrent);
        if self.count_peers(torrent) {
            self.lock().engine.count_peers_on_demand(torrent);
        }
    }

    /// The same for peers alone.
    pub(super) fn count_peers_with(&self, torrent: TorrentId, counter: Guarded<PeerCounter>) {
        let before = self.lock().change_counting(torrent, |engine, counting| {
            engine.count_peers_on_demand(torrent);
            counting.peer_counter.replace(counter)
        });
        drop(before);
        self.count_peers(torrent);
    }

    /// Passes on the counters of the transfer. Where the client's code panics, the last ones stand (R93).
    pub(super) fn count_transfer(&self, torrent: TorrentId) {
        let transfer: Option<Transfer> = self.counted(torrent, |counting| {
            let counters = counting.counters.as_mut().and_then(Guarded::get_mut)?;
            contained(|| counters.transfer())
        });
        if let Some(transfer) = transfer {
            let mut torrents = self.lock();
            let now = torrents.clock.now();
            torrents.engine.update(torrent, transfer, now);
        }
    }

    /// Passes on how many peers the client has, and gives whether it counts them. Where its code panics, the last counts
    /// stand (R93).
    pub(super) fn count_peers(&self, torrent: TorrentId) -> bool {
        let peers: Option<PeerCounts> = self.counted(torrent, |counting| {
            if let Some(counter) = counting.peer_counter.as_mut().and_then(Guarded::get_mut) {
                return contained(counter);
            }
            let counters = counting.counters.as_mut().and_then(Guarded::get_mut)?;
            contained(|| counters.peers()).flatten()
        });
        if let Some(peers) = peers {
            let mut torrents = self.lock();
            let now = torrents.clock.now();
            torrents.engine.set_peers(torrent, peers, now);
        }
        peers.is_some()
    }

    /// Runs the client's counting code without the lock. Only the loop does, so that no two run at once.
    fn counted<T>(&self, torrent: TorrentId, count: impl FnOnce(&mut Counting) -> Option<T>) -> Option<T> {
        let taken = self.lock().change_counting(torrent, |_, counting| Some(std::mem::take(counting)));
        let mut counting = taken?;
        let counted = count(&mut counting);
        let mut counting = Some(counting);
        let _ = self.lock().change_counting(torrent, |_, place| {
            *place = counting.take().unwrap_or_default();
            None::<()>
        });
        counted
    }
}

impl Torrents {
    fn new(config: Config, seed: u64, clock: Clock) -> Self {
        let engine = Engine::new(config, seed);
        Self { engine, clock, listeners: BTreeMap::new(), is_open: false, all_alerts: AlertSender::of_all() }
    }

    /// Lets torrents be added from outside the loop.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// Lets no more torrents be added.
    pub(super) fn close(&mut self) {
        self.is_open = false;
    }

    /// Whether torrents may be added from outside the loop.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// The listeners to all torrents.
    pub(super) fn all_alerts(&self) -> AlertSubscribers {
        self.all_alerts.subscribers()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.engine.torrents().next().is_none()
    }

    /// What the engine wants done next.
    pub(super) fn poll(&mut self) -> Output {
        self.engine.poll(self.clock.now())
    }

    pub(super) fn add(&mut self, trackers: TrackerSet, torrent: Torrent, alerts: AlertSender) -> TorrentId {
        let info_hash = Some(torrent.info_hash);
        let id = self.engine.add(trackers, torrent, self.clock.now());
        self.listeners.insert(id, Listener { info_hash, alerts: Some(alerts), ..Listener::default() });
        id
    }

    pub(super) fn announce_once(
        &mut self,
        trackers: TrackerSet,
        request: AnnounceRequest,
        result: oneshot::Sender<OneShotResult>,
    ) {
        let id = self.engine.announce_once(trackers, request, self.clock.now());
        self.listeners.insert(id, Listener { one_shot: Some(result), ..Listener::default() });
    }

    /// Announces now, and sends what comes of it.
    pub(super) fn announce_now(&mut self, torrent: TorrentId, result: oneshot::Sender<RoundResult>) {
        let round = self.engine.reannounce(torrent, self.clock.now());
        let Some(listener) = self.listeners.get_mut(&torrent) else { return };
        match round {
            Some(round) => listener.rounds.push((round, result)),
            // The caller may have left.
            None if self.engine.is_paused(torrent) => drop(result.send(Err(Arc::new(RoundError::Paused)))),
            None => {}
        }
    }

    /// Changes how the client counts, and gives what the change gave; `None` where the torrent has ended.
    fn change_counting<T>(
        &mut self,
        torrent: TorrentId,
        change: impl FnOnce(&mut Engine, &mut Counting) -> Option<T>,
    ) -> Option<T> {
        let listener = self.listeners.get_mut(&torrent)?;
        change(&mut self.engine, &mut listener.counting)
    }

    /// Sends `stopped`, ends the torrent, and sends what came of it.
    pub(super) fn stop(&mut self, torrent: TorrentId, result: Option<oneshot::Sender<StopReport>>) {
        if let Some(listener) = self.listeners.get_mut(&torrent) {
            listener.stopped.extend(result);
        }
        self.engine.stop(torrent, self.clock.now());
    }

    /// Ends all torrents: within this time, or within their own limit.
    pub(super) fn stop_all(&mut self, limit: Option<Duration>) {
        let now = self.clock.now();
        let torrents: Vec<_> = self.engine.torrents().collect();
        for torrent in torrents {
            match limit {
                Some(limit) => self.engine.stop_within(torrent, limit, now),
                None => self.engine.stop(torrent, now),
            }
        }
    }

    /// The info-hash of a torrent; `None` for a single announce.
    #[cfg(feature = "tracing")]
    pub(super) fn info_hash(&self, torrent: TorrentId) -> Option<InfoHash> {
        self.listeners.get(&torrent)?.info_hash
    }

    pub(super) fn alert(&self, torrent: TorrentId, alert: &Alert) {
        if let Some(listener) = self.listeners.get(&torrent) {
            self.send(listener, alert);
        }
    }

    /// Sends an alert that is about the announcer to one torrent, if there is any. Gives whether there was.
    pub(super) fn alert_one(&self, alert: &Alert) -> bool {
        self.listeners.values().any(|listener| self.send(listener, alert))
    }

    /// Sends the last alert of all torrents.
    pub(super) fn alert_all(&self, last: &Alert) {
        for listener in self.listeners.values() {
            self.send(listener, last);
        }
    }

    /// Sends an alert to who listens to a torrent, and to all torrents. Gives whether it is one with alerts, and no single
    /// announce.
    fn send(&self, listener: &Listener, alert: &Alert) -> bool {
        let Some((info_hash, alerts)) = listener.info_hash.zip(listener.alerts.as_ref()) else {
            return false;
        };
        alerts.send(info_hash, alert);
        self.all_alerts.send(info_hash, alert);
        true
    }

    /// Sends the result of a round to those who waited for it.
    pub(super) fn round_ended(&mut self, torrent: TorrentId, round: RoundNumber, result: &RoundResult) {
        let Some(listener) = self.listeners.get_mut(&torrent) else { return };
        if listener.one_shot.is_some() {
            listener.one_shot_result = Some(result.clone());
        }
        for (awaited, waiter) in std::mem::take(&mut listener.rounds) {
            if awaited <= round {
                let _ = waiter.send(result.clone());
            } else {
                listener.rounds.push((awaited, waiter));
            }
        }
    }

    /// Sends the last results of a torrent.
    pub(super) fn ended(
        &mut self,
        torrent: TorrentId,
        trackers: TrackerSet,
        stopped: &[StopResult],
    ) -> Option<Ended> {
        let mut listener = self.listeners.remove(&torrent)?;
        for waiter in listener.stopped.drain(..) {
            let _ = waiter.send(StopReport { results: stopped.to_vec(), trackers: trackers.clone() });
        }
        if let (Some(waiter), Some(round)) = (listener.one_shot.take(), listener.one_shot_result.take()) {
            let _ = waiter.send(OneShotResult { round, trackers });
        }
        Some(Ended { info_hash: listener.info_hash, _listeners: vec![listener] })
    }

    /// Lets go of everything, since nothing is announced any more. Handles may exist for long.
    pub(super) fn end(&mut self) -> Ended {
        self.is_open = false;
        self.engine = Engine::new(Config::default(), 0);
        self.all_alerts = AlertSender::of_all();
        let listeners = std::mem::take(&mut self.listeners);
        Ended { info_hash: None, _listeners: listeners.into_values().collect() }
    }
}
