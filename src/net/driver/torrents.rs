//! The torrents of an announcer: the engine that decides about them, and what their users wait for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::alert::{Alert, Announced, StopResult};
use crate::announce::{AnnounceRequest, InfoHash, PeerCounts, Torrent};
use crate::error::RoundError;
use crate::net::alerts::AlertSender;
use crate::net::clock::Clock;
use crate::net::guarded::{Guarded, contained};
use crate::policy::{Config, Engine, Output, RoundNumber, TorrentId, TrackerSet};

/// The engine, its clock, and the users of each torrent.
pub(in crate::net) struct Torrents {
    pub(in crate::net) engine: Engine,
    pub(in crate::net) clock: Clock,
    listeners: BTreeMap<TorrentId, Listener>,
}

/// What came of a single announce, and its trackers with what was learned of them.
pub(in crate::net) struct OneShotResult {
    pub(in crate::net) round: RoundResult,
    pub(in crate::net) trackers: TrackerSet,
}

/// What came of an announce with failover.
pub(in crate::net) type RoundResult = Result<Arc<Announced>, Arc<RoundError>>;

/// A closure of the client that counts its peers.
pub(in crate::net) type PeerCounter = Box<dyn FnMut() -> PeerCounts + Send>;

/// What the users of a torrent wait for. Any of them may have left, so a result that can't be sent is dropped.
#[derive(Default)]
struct Listener {
    /// The torrent's name in the report of a shutdown; `None` for a single announce.
    info_hash: Option<InfoHash>,
    alerts: Option<AlertSender>,
    /// The client's closure that counts its peers, if it gave one.
    peer_counter: Option<Guarded<PeerCounter>>,
    /// Who asked for an announce, each with the first round that answers the request.
    rounds: Vec<(RoundNumber, oneshot::Sender<RoundResult>)>,
    one_shot: Option<oneshot::Sender<OneShotResult>>,
    one_shot_result: Option<RoundResult>,
    stopped: Vec<oneshot::Sender<Vec<StopResult>>>,
}

impl Torrents {
    pub(super) fn new(config: Config, seed: u64, clock: Clock) -> Self {
        Self { engine: Engine::new(config, seed), clock, listeners: BTreeMap::new() }
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
    pub(in crate::net) fn announce_now(&mut self, torrent: TorrentId, result: oneshot::Sender<RoundResult>) {
        let round = self.engine.reannounce(torrent, self.clock.now());
        if let (Some(round), Some(listener)) = (round, self.listeners.get_mut(&torrent)) {
            listener.rounds.push((round, result));
        }
    }

    /// Has the peers of a torrent counted by this closure, now for the first time.
    pub(in crate::net) fn count_peers_with(&mut self, torrent: TorrentId, counter: Guarded<PeerCounter>) {
        if let Some(listener) = self.listeners.get_mut(&torrent) {
            listener.peer_counter = Some(counter);
            self.engine.count_peers_on_demand(torrent);
            self.count_peers(torrent);
        }
    }

    /// Passes on how many peers the client has, if it gave a closure. Where that panics, the last counts stand (R93).
    pub(super) fn count_peers(&mut self, torrent: TorrentId) {
        let listener = self.listeners.get_mut(&torrent);
        let counter = listener.and_then(|listener| listener.peer_counter.as_mut()).and_then(Guarded::get_mut);
        if let Some(peers) = counter.and_then(contained) {
            self.engine.set_peers(torrent, peers, self.clock.now());
        }
    }

    /// Sends `stopped`, ends the torrent, and sends what came of it.
    pub(in crate::net) fn stop(
        &mut self,
        torrent: TorrentId,
        result: Option<oneshot::Sender<Vec<StopResult>>>,
    ) {
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

    pub(super) fn alert(&self, torrent: TorrentId, alert: &Alert) {
        if let Some(alerts) = self.listeners.get(&torrent).and_then(|listener| listener.alerts.as_ref()) {
            alerts.send(alert);
        }
    }

    /// The senders of alerts, one for each torrent with a handle.
    pub(super) fn alert_senders(&self) -> impl Iterator<Item = &AlertSender> {
        self.listeners.values().filter_map(|listener| listener.alerts.as_ref())
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

    /// Sends the last results of a torrent. Gives its name in the report of a shutdown.
    pub(super) fn ended(
        &mut self,
        torrent: TorrentId,
        trackers: TrackerSet,
        stopped: &[StopResult],
    ) -> Option<InfoHash> {
        let listener = self.listeners.remove(&torrent)?;
        if let (Some(waiter), Some(round)) = (listener.one_shot, listener.one_shot_result) {
            let _ = waiter.send(OneShotResult { round, trackers });
        }
        for waiter in listener.stopped {
            let _ = waiter.send(stopped.to_vec());
        }
        listener.info_hash
    }
}
