//! The loop of an announcer: one task that does what the engine says.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::alerts::AlertSender;
use super::cache::{self, Cache};
use super::clock::{self, Clock, Standstill};
use super::guarded::{self, Guarded};
use crate::address::{AddressPolicy, usable_peers};
use crate::alert::{Alert, Announced, ShutdownReport, StopResult};
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, Torrent};
use crate::error::{AnnounceError, AnnouncerEnded, Cause, RoundError};
use crate::policy::{AttemptId, Config, Engine, Input, Output, RoundNumber, TorrentId, TrackerSet};
use crate::prober::{Measurement, Prober};
use crate::tracker::TrackerUrl;
use crate::transport::{Channel, Transport};
use crate::wire::compact::MAX_PEERS;

/// How often the loop looks whether the machine slept.
const LOOK_IDLE: Duration = Duration::from_secs(30);

/// The same while something is under way, whose limits are extended by as much.
const LOOK_BUSY: Duration = Duration::from_secs(1);

/// How long what has arrived during a standstill is read at most, before anything else is done.
const CATCH_UP: Duration = Duration::from_secs(1);

/// How much of the time for a shutdown isn't spent on waiting for trackers, at most.
const SHUTDOWN_MARGIN: Duration = Duration::from_millis(250);

/// What a handle or the announcer asks of the loop.
pub(super) enum Command {
    Add {
        trackers: Box<TrackerSet>,
        torrent: Box<Torrent>,
        alerts: AlertSender,
        key: HandleKey,
    },
    Once {
        trackers: Box<TrackerSet>,
        request: Box<AnnounceRequest>,
        done: oneshot::Sender<Once>,
    },
    To(HandleKey, Action),
    NetworkChanged,
    /// Within this time.
    Shutdown(Duration, oneshot::Sender<ShutdownReport>),
}

/// What became of one announce, and of the trackers.
pub(super) struct Once {
    pub(super) result: Result<Arc<Announced>, Arc<RoundError>>,
    pub(super) trackers: TrackerSet,
}

/// Names a handle's torrent before the engine has.
#[derive(Debug, Clone, Default)]
pub(super) struct HandleKey(Arc<OnceLock<TorrentId>>);

/// Something to be done to a torrent inside the loop.
type Action = Box<dyn FnOnce(&mut Driver, TorrentId) + Send>;

type RoundWaiter = oneshot::Sender<Result<Arc<Announced>, Arc<RoundError>>>;

/// The loop's own state: the engine, and what is under way for it.
pub(super) struct Driver {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    transport: Arc<dyn Transport>,
    prober: Option<Arc<dyn Prober>>,
    cache: Option<Cache>,
    peers: Arc<Option<AddressPolicy>>,
    tasks: JoinSet<Done>,
    running: BTreeMap<AttemptId, AbortHandle>,
    attempts_of_tasks: HashMap<Id, (AttemptId, Kind)>,
    channels: BTreeMap<AttemptId, OpenChannel>,
    listeners: BTreeMap<TorrentId, Listener>,
    shutdown: Option<Shutdown>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Whether anybody can still ask for something.
    open: bool,
    ended: Ended,
    /// Whether the loop has ended by itself.
    has_finished: bool,
}

/// Why an announcer has ended, once it has: for everybody who asks something of it later.
#[derive(Debug, Clone, Default)]
pub(super) struct Ended(Arc<OnceLock<AnnouncerEnded>>);

/// What an announcer is made of.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) seed: u64,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) prober: Option<Arc<dyn Prober>>,
    pub(super) cache: Option<Cache>,
    /// Which peers are handed out; `None`: those on the internet, and those at their tracker's kind of address.
    pub(super) peers: Option<AddressPolicy>,
}

/// An announcer that is being shut down.
struct Shutdown {
    /// When it has to be over.
    end: Instant,
    report: ShutdownReport,
    waiters: Vec<oneshot::Sender<ShutdownReport>>,
}

/// What the loop has to deal with.
enum Event {
    Asked(Command),
    /// Nobody can ask for anything any more.
    Closed,
    Done(Result<(Id, Done), JoinError>),
    Cached(cache::Done),
    Nothing,
}

/// Who waits for what of a torrent.
#[derive(Default)]
struct Listener {
    info_hash: Option<InfoHash>,
    alerts: Option<AlertSender>,
    rounds: Vec<(RoundNumber, RoundWaiter)>,
    once: Option<oneshot::Sender<Once>>,
    once_result: Option<Result<Arc<Announced>, Arc<RoundError>>>,
    ended: Vec<oneshot::Sender<Vec<StopResult>>>,
}

/// A channel, and the tracker to which it leads.
struct OpenChannel {
    tracker: TrackerUrl,
    channel: Guarded<Box<dyn Channel>>,
    /// How long its name took to be looked up.
    lookup_time: Duration,
}

#[derive(Clone, Copy)]
enum Kind {
    Probe,
    Attempt,
}

enum Done {
    Probed(Result<Measurement, AnnounceError>),
    Opened(Result<OpenChannel, AnnounceError>),
    Announced(Result<AnnounceResponse, AnnounceError>),
}

impl Ended {
    pub(super) fn get(&self) -> Option<AnnouncerEnded> {
        self.0.get().cloned()
    }
}

/// Starts the loop. What is sent to it is done in order.
///
/// # Panics
/// Outside a tokio runtime.
pub(super) fn start(parts: Parts) -> (mpsc::UnboundedSender<Command>, Ended) {
    let (sender, commands) = mpsc::unbounded_channel();
    let ended = Ended::default();
    let driver = Driver {
        engine: Engine::new(parts.config, parts.seed),
        clock: parts.clock,
        transport: parts.transport,
        prober: parts.prober,
        cache: parts.cache,
        peers: Arc::new(parts.peers),
        tasks: JoinSet::new(),
        running: BTreeMap::new(),
        attempts_of_tasks: HashMap::new(),
        channels: BTreeMap::new(),
        listeners: BTreeMap::new(),
        shutdown: None,
        commands,
        open: true,
        ended: ended.clone(),
        has_finished: false,
    };
    tokio::spawn(driver.supervise());
    (sender, ended)
}

impl Driver {
    /// Runs the loop. No input is to end it; where one does all the same, the panic is kept for everybody who asks.
    async fn supervise(mut self) {
        if let Err(panic) = guarded::caught(self.run()).await {
            let _ = self.ended.0.set(AnnouncerEnded::Panicked(guarded::text(&*panic)));
            guarded::discard(panic);
        }
    }

    async fn run(&mut self) {
        for command in self.load_cache().await {
            self.command(command);
        }
        loop {
            let wake = [self.act(), self.tend_cache(), self.tend_shutdown()];
            let wake = wake.into_iter().flatten().min();
            if self.engine.torrents().next().is_none() && (!self.open || self.shutdown.is_some()) {
                self.finish().await;
                return;
            }
            // While something is under way it has to be known how long nothing ran; else that the machine slept.
            let look = if self.running.is_empty() { LOOK_IDLE } else { LOOK_BUSY };
            let until = wake.map(|wake| wake.min(clock::after(look)));
            let event = self.next(until).await;
            match self.clock.woke() {
                None => self.handle(event),
                Some(standstill) => self.catch_up(event, standstill).await,
            }
        }
    }

    /// What happens next, if anything until then.
    async fn next(&mut self, until: Option<Instant>) -> Event {
        self.clock.waits(until);
        let wake = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        // Biased, so that the same inputs give the same run.
        tokio::select! {
            biased;
            command = self.commands.recv(), if self.open => {
                self.open = command.is_some();
                command.map_or(Event::Closed, Event::Asked)
            }
            Some(done) = self.tasks.join_next_with_id() => Event::Done(done),
            done = cache_job(&mut self.cache) => Event::Cached(done),
            () = wake => Event::Nothing,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Asked(command) => self.command(command),
            Event::Closed => self.stop_all(None),
            Event::Done(done) => self.done(done),
            Event::Cached(done) => {
                if let Some(cache) = &mut self.cache {
                    cache.done(done, &mut self.engine, &self.clock);
                }
            }
            Event::Nothing => {}
        }
    }

    /// Nothing ran for a while (R100). That is nobody's silence: what has arrived meanwhile is read before any limit is
    /// judged, good news before bad.
    async fn catch_up(&mut self, event: Event, mut standstill: Standstill) {
        let mut events = vec![event];
        loop {
            if standstill.is_long {
                self.engine.resumed(standstill.gap, self.clock.now());
            }
            let end = clock::after(CATCH_UP);
            while !self.tasks.is_empty() && clock::now() < end {
                match self.next(Some(clock::after(clock::QUIET))).await {
                    Event::Nothing => break,
                    event => events.push(event),
                }
            }
            match self.clock.woke() {
                Some(again) => standstill = again,
                None => break,
            }
        }
        events.sort_by_key(Event::rank);
        for event in events {
            self.handle(event);
        }
    }

    /// Has the cache read before anything is announced, unless that takes too long. Gives what was asked of us meanwhile.
    async fn load_cache(&mut self) -> Vec<Command> {
        let mut asked = Vec::new();
        let Some(cache) = &mut self.cache else { return asked };
        cache.load();
        let mut limit = pin!(sleep_until(clock::after(cache::LOAD_LIMIT)));
        loop {
            tokio::select! {
                biased;
                done = cache.job() => {
                    cache.done(done, &mut self.engine, &self.clock);
                    return asked;
                }
                command = self.commands.recv() => match command {
                    Some(command) => asked.push(command),
                    None => return asked,
                },
                () = &mut limit => return asked,
            }
            if let Some(Command::Shutdown(..)) = asked.last() {
                return asked;
            }
        }
    }

    /// The last things before the loop ends.
    async fn finish(&mut self) {
        if let Some(cache) = &mut self.cache {
            let left = self.shutdown.as_ref().map(|shutdown| shutdown.end - clock::now());
            let limit = left.map_or(cache::LAST_SAVE_LIMIT, |left| left.min(cache::LAST_SAVE_LIMIT));
            cache.finish(&mut self.engine, &self.clock, limit).await;
        }
        self.has_finished = true;
        let Some(Shutdown { mut report, waiters, .. }) = self.shutdown.take() else { return };
        report.complete = true;
        for waiter in waiters {
            // Whoever asked may have gone.
            let _ = waiter.send(report.clone());
        }
    }

    /// Ends the sessions that are still there when the time for a shutdown has passed, and says when that is.
    fn tend_shutdown(&mut self) -> Option<Instant> {
        let end = self.shutdown.as_ref()?.end;
        if end <= clock::now() {
            self.stop_all(Some(Duration::ZERO));
            return self.act();
        }
        Some(end)
    }

    /// Has the cache written when it is time, tells a session of its troubles, and says when to look again.
    fn tend_cache(&mut self) -> Option<Instant> {
        let cache = self.cache.as_mut()?;
        if let Some(alerts) = self.listeners.values().find_map(|listener| listener.alerts.as_ref())
            && let Some(alert) = cache.notice()
        {
            alerts.say(&alert);
        }
        cache.tend(&self.engine, &self.clock)
    }

    /// Does what the engine wants, until it wants to wait.
    fn act(&mut self) -> Option<Instant> {
        loop {
            match self.engine.poll(self.clock.now()) {
                Output::Wait(wake) => return wake.map(|wake| self.clock.instant(wake)),
                output => self.perform(output),
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Probe { attempt, tracker } => {
                let prober = self.prober.clone();
                let probe = async move {
                    match prober {
                        Some(prober) => prober.probe(&tracker).await,
                        None => Err(AnnounceError::Unsupported),
                    }
                };
                self.spawn(attempt, Kind::Probe, async move { Done::Probed(probe.await) });
            }
            Output::Open { attempt, tracker } => {
                let transport = Arc::clone(&self.transport);
                let open = async move {
                    let opened = transport.open(&tracker).await;
                    opened.map(|channel| OpenChannel {
                        lookup_time: channel.lookup_time(),
                        channel: Guarded::new(channel),
                        tracker,
                    })
                };
                self.spawn(attempt, Kind::Attempt, async move { Done::Opened(open.await) });
            }
            Output::Announce { attempt, request } => {
                if let Some(channel) = self.channels.remove(&attempt) {
                    let announce = channel.announce(request, Arc::clone(&self.peers));
                    self.spawn(attempt, Kind::Attempt, async move { Done::Announced(announce.await) });
                }
            }
            Output::Close { attempt } => {
                self.channels.remove(&attempt);
                if let Some(task) = self.running.remove(&attempt) {
                    task.abort();
                }
            }
            Output::Alert { torrent, alert } => {
                if let Some(alerts) =
                    self.listeners.get(&torrent).and_then(|listener| listener.alerts.as_ref())
                {
                    alerts.say(&alert);
                }
            }
            Output::RoundEnded { torrent, round, result } => self.round_ended(torrent, round, &result),
            Output::Ended { torrent, trackers, stopped } => {
                let Some(listener) = self.listeners.remove(&torrent) else { return };
                if let (Some(shutdown), Some(info_hash)) = (&mut self.shutdown, listener.info_hash) {
                    shutdown.report.add(info_hash, &stopped);
                }
                if let (Some(once), Some(result)) = (listener.once, listener.once_result) {
                    let _ = once.send(Once { result, trackers: *trackers });
                }
                for ended in listener.ended {
                    // Whoever asked may have gone.
                    let _ = ended.send(stopped.clone());
                }
            }
            Output::Wait(_) => {}
        }
    }

    fn round_ended(
        &mut self,
        torrent: TorrentId,
        round: RoundNumber,
        result: &Result<Arc<Announced>, Arc<RoundError>>,
    ) {
        let Some(listener) = self.listeners.get_mut(&torrent) else { return };
        if listener.once.is_some() {
            listener.once_result = Some(result.clone());
        }
        for (wanted, waiter) in std::mem::take(&mut listener.rounds) {
            if wanted <= round {
                // Whoever asked may have gone.
                let _ = waiter.send(result.clone());
            } else {
                listener.rounds.push((wanted, waiter));
            }
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Add { .. } | Command::Once { .. } if self.shutdown.is_some() => {
                command.refuse(&Alert::AnnouncerEnded { reason: AnnouncerEnded::ShutDown });
            }
            Command::Add { trackers, torrent, alerts, key } => {
                let info_hash = Some(torrent.info_hash);
                let id = self.engine.add(*trackers, *torrent, now);
                self.listeners
                    .insert(id, Listener { info_hash, alerts: Some(alerts), ..Listener::default() });
                let _ = key.0.set(id);
            }
            Command::Once { trackers, request, done } => {
                let id = self.engine.announce_once(*trackers, *request, now);
                self.listeners.insert(id, Listener { once: Some(done), ..Listener::default() });
            }
            Command::To(key, then) => {
                if let Some(id) = key.0.get().copied() {
                    then(self, id);
                }
            }
            Command::NetworkChanged => self.engine.network_changed(now),
            Command::Shutdown(limit, waiter) => self.shut_down(limit, waiter),
        }
    }

    /// Ends all sessions, and itself when that is done. Of several limits the strictest counts.
    fn shut_down(&mut self, limit: Duration, waiter: oneshot::Sender<ShutdownReport>) {
        // What is left is for the file, and for the report to be back in time.
        let margin = (limit / 10).min(SHUTDOWN_MARGIN);
        let end = clock::after(limit.saturating_sub(margin / 2));
        let shutdown = self.shutdown.get_or_insert_with(|| Shutdown {
            end,
            report: ShutdownReport::default(),
            waiters: Vec::new(),
        });
        shutdown.end = shutdown.end.min(end);
        shutdown.waiters.push(waiter);
        if let Some(cache) = &mut self.cache {
            cache.hurry(&self.clock);
        }
        self.stop_all(Some(limit.saturating_sub(margin)));
    }

    fn stop_all(&mut self, limit: Option<Duration>) {
        let now = self.clock.now();
        let torrents: Vec<_> = self.engine.torrents().collect();
        for torrent in torrents {
            match limit {
                Some(limit) => self.engine.stop_within(torrent, limit, now),
                None => self.engine.stop(torrent, now),
            }
        }
    }

    /// Asks for a round now, and for its outcome.
    pub(super) fn announce_now(&mut self, torrent: TorrentId, waiter: RoundWaiter) {
        let round = self.engine.reannounce(torrent, self.clock.now());
        if let (Some(round), Some(listener)) = (round, self.listeners.get_mut(&torrent)) {
            listener.rounds.push((round, waiter));
        }
    }

    /// Ends a session, and tells who was told.
    pub(super) fn stop(&mut self, torrent: TorrentId, ended: Option<oneshot::Sender<Vec<StopResult>>>) {
        if let Some(listener) = self.listeners.get_mut(&torrent) {
            listener.ended.extend(ended);
        }
        self.engine.stop(torrent, self.clock.now());
    }

    fn spawn(&mut self, attempt: AttemptId, kind: Kind, task: impl Future<Output = Done> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.attempts_of_tasks.insert(handle.id(), (attempt, kind));
        self.running.insert(attempt, handle);
    }

    fn done(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some((attempt, kind)) = self.attempts_of_tasks.remove(&id) else { return };
        if self.running.get(&attempt).is_some_and(|running| running.id() == id) {
            self.running.remove(&attempt);
        } else {
            return; // Given up meanwhile.
        }
        let input = match done {
            Ok((_, Done::Probed(result))) => Input::Probed(attempt, result),
            Ok((_, Done::Opened(Ok(channel)))) => {
                self.engine.discount(attempt, channel.lookup_time, self.clock.now());
                self.channels.insert(attempt, channel);
                Input::Opened(attempt)
            }
            Ok((_, Done::Announced(Ok(response)))) => Input::Replied(attempt, Box::new(response)),
            Ok((_, Done::Opened(Err(error)) | Done::Announced(Err(error)))) => Input::Failed(attempt, error),
            Err(ended) => {
                // A panic in somebody's transport is an error of that attempt only.
                if let Ok(panic) = ended.try_into_panic() {
                    guarded::discard(panic);
                }
                let error = AnnounceError::Broken(Cause::new("the transport panicked"));
                match kind {
                    Kind::Probe => Input::Probed(attempt, Err(error)),
                    Kind::Attempt => Input::Failed(attempt, error),
                }
            }
        };
        self.engine.handle(input, self.clock.now());
    }
}

impl Event {
    /// Which of several goes first: an answer is news of the time before a limit passed.
    fn rank(&self) -> u8 {
        match self {
            Self::Done(Ok((_, Done::Probed(Ok(_)) | Done::Opened(Ok(_)) | Done::Announced(Ok(_))))) => 0,
            Self::Done(_) | Self::Cached(_) => 1,
            Self::Asked(_) | Self::Closed | Self::Nothing => 2,
        }
    }
}

impl OpenChannel {
    /// Announces, and keeps of the peers those that may be handed out. This is the one place where they are judged,
    /// whatever the transport.
    async fn announce(
        mut self,
        request: Box<AnnounceRequest>,
        peers: Arc<Option<AddressPolicy>>,
    ) -> Result<AnnounceResponse, AnnounceError> {
        let Some(channel) = self.channel.get_mut() else { return Err(AnnounceError::Cancelled) };
        let mut response = channel.announce(&request).await?;
        let own = request.ip.or(response.external_ip).map(|ip| SocketAddr::new(ip, request.port));
        usable_peers(&mut response, (*peers).as_ref(), &self.tracker, own);
        let beyond = response.peers.len().saturating_sub(MAX_PEERS);
        response.peers.truncate(MAX_PEERS);
        response.peers.shrink_to_fit();
        response.dropped_peers = response.dropped_peers.saturating_add(beyond);
        Ok(response)
    }
}

/// However the loop ends, everybody who listens or waits is told: the runtime drops it where it stands.
impl Drop for Driver {
    fn drop(&mut self) {
        let ending =
            || if self.has_finished { AnnouncerEnded::ShutDown } else { AnnouncerEnded::RuntimeEnded };
        let reason = self.ended.0.get_or_init(ending).clone();
        let last = Alert::AnnouncerEnded { reason };
        if !self.has_finished {
            for alerts in self.listeners.values().filter_map(|listener| listener.alerts.as_ref()) {
                alerts.say(&last);
            }
        }
        // Nothing can be sent any more, and what was sent and not done is all there is.
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            command.refuse(&last);
        }
    }
}

impl Command {
    /// Says that it isn't done. Those who wait for an outcome find theirs gone, and ask [`Ended`].
    pub(super) fn refuse(self, last: &Alert) {
        if let Self::Add { alerts, .. } = self {
            alerts.say(last);
        }
    }
}

/// What was done to the file of the cache, when something is.
async fn cache_job(cache: &mut Option<Cache>) -> cache::Done {
    match cache {
        Some(cache) => cache.job().await,
        None => std::future::pending().await,
    }
}
