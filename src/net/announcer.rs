//! The announcer of a process: one task that does what the engine says.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{sleep_until, timeout};

use super::alerts::{self, Speaker};
use super::cache::{self, Cache};
use super::clock::Clock;
use super::handle::AnnounceHandle;
use super::scraped::Scraped;
use crate::alert::{Announced, ToldStopped};
use crate::announce::{AnnounceRequest, AnnounceResponse, Torrent};
use crate::error::{AnnounceError, Cause, ProbeError, RoundError};
use crate::policy::{AttemptId, Config, Engine, Input, Output, RoundNumber, TorrentId, TrackerSet};
use crate::prober::{Measurement, Prober};
use crate::transport::{Channel, Transport};

/// Announces torrents to their trackers, with failover: one for all torrents of a process.
///
/// One torrent finds a dead tracker host, and the others profit. Cloning is cheap and gives the same announcer.
/// Its task ends when all clones and all [`AnnounceHandle`]s are gone and everybody who knew us was told.
///
/// ```no_run
/// use tracker_failover::{Announcer, InfoHash, PeerId, Torrent, TrackerSet};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let trackers = TrackerSet::new([["http://a.test/announce".parse()?, "http://b.test/announce".parse()?]]);
/// let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// let mut session = Announcer::new().add(trackers, torrent);
/// while let Some(alert) = session.next_alert().await {
///     println!("{alert}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Announcer {
    commands: mpsc::UnboundedSender<Command>,
    transport: Arc<dyn Transport>,
    scraped: Arc<Scraped>,
    scrape_limit: Duration,
    alert_queue: usize,
    runtime: Handle,
}

/// What a handle or the announcer asks of the loop.
pub(super) enum Command {
    Add { trackers: Box<TrackerSet>, torrent: Box<Torrent>, alerts: Speaker, key: HandleKey },
    Once { trackers: Box<TrackerSet>, request: Box<AnnounceRequest>, done: oneshot::Sender<Once> },
    To(HandleKey, Deed),
    NetworkChanged,
    Shutdown(oneshot::Sender<()>),
}

/// What became of one announce, and of the trackers.
pub(super) struct Once {
    result: Result<Arc<Announced>, Arc<RoundError>>,
    trackers: TrackerSet,
}

/// Names a handle's torrent before the engine has.
#[derive(Debug, Clone)]
pub(super) struct HandleKey(Arc<std::sync::OnceLock<TorrentId>>);

/// Something to be done to a torrent inside the loop.
type Deed = Box<dyn FnOnce(&mut Loop, TorrentId) + Send>;

type RoundWaiter = oneshot::Sender<Result<Arc<Announced>, Arc<RoundError>>>;

/// The loop's own state: the engine, and what is under way for it.
pub(super) struct Loop {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    transport: Arc<dyn Transport>,
    prober: Option<Arc<dyn Prober>>,
    cache: Option<Cache>,
    tasks: JoinSet<Done>,
    running: BTreeMap<AttemptId, AbortHandle>,
    attempts_of_tasks: HashMap<Id, (AttemptId, Kind)>,
    channels: BTreeMap<AttemptId, Box<dyn Channel>>,
    listeners: BTreeMap<TorrentId, Listener>,
    shutdown: Vec<oneshot::Sender<()>>,
}

/// Who waits for what of a torrent.
#[derive(Default)]
struct Listener {
    alerts: Option<Speaker>,
    rounds: Vec<(RoundNumber, RoundWaiter)>,
    once: Option<oneshot::Sender<Once>>,
    once_result: Option<Result<Arc<Announced>, Arc<RoundError>>>,
    ended: Vec<oneshot::Sender<Vec<ToldStopped>>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Probe,
    Attempt,
}

enum Done {
    Probed(Result<Measurement, ProbeError>),
    Opened(Result<Box<dyn Channel>, AnnounceError>),
    Announced(Result<AnnounceResponse, AnnounceError>),
}

impl Announcer {
    /// Starts the task of an announcer.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn start(
        config: Config,
        seed: u64,
        transport: Arc<dyn Transport>,
        prober: Option<Arc<dyn Prober>>,
        cache: Option<Cache>,
    ) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let announcer = Self {
            commands,
            transport: Arc::clone(&transport),
            scraped: Arc::default(),
            scrape_limit: config.open_limit + config.reply_limit,
            alert_queue: config.alert_queue.max(1),
            runtime: Handle::current(),
        };
        let state = Loop {
            engine: Engine::new(config, seed),
            clock: Clock::start(),
            transport,
            prober,
            cache,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            attempts_of_tasks: HashMap::new(),
            channels: BTreeMap::new(),
            listeners: BTreeMap::new(),
            shutdown: Vec::new(),
        };
        tokio::spawn(state.run(received));
        announcer
    }

    /// Makes one announce, with failover: to the first tracker of `trackers` that answers. Unmeasured trackers
    /// are measured first where [`Config::probing`] says so, and the first to answer is the one.
    ///
    /// `trackers` keeps what was learned: the cursor stands on the tracker that answered, so the next announce
    /// goes there. Which event is due is the caller's business; [`add`](Self::add) takes care of that too.
    ///
    /// # Errors
    /// When every tracker failed: each with its cause.
    ///
    /// # Cancel safety
    /// Dropping the future gives the announce up as soon as it has settled; `trackers` stays as it was.
    pub async fn announce(
        &self,
        trackers: &mut TrackerSet,
        request: AnnounceRequest,
    ) -> Result<Arc<Announced>, Arc<RoundError>> {
        let (done, ended) = oneshot::channel();
        let command =
            Command::Once { trackers: Box::new(trackers.clone()), request: Box::new(request), done };
        let lost = || Arc::new(RoundError { attempts: Vec::new() });
        self.commands.send(command).map_err(|_| lost())?;
        let once = ended.await.map_err(|_| lost())?;
        *trackers = once.trackers;
        once.result
    }

    /// Takes over the announces of a torrent for the whole of its life. A `key` of 0 is replaced by a random
    /// one.
    pub fn add(&self, trackers: TrackerSet, mut torrent: Torrent) -> AnnounceHandle {
        if torrent.key == 0 {
            torrent.key = rand::random();
        }
        let (alerts, receiver) = alerts::alerts(self.alert_queue);
        let key = HandleKey(Arc::new(std::sync::OnceLock::new()));
        let info_hash = torrent.info_hash;
        let (trackers, torrent) = (Box::new(trackers), Box::new(torrent));
        // A loop that is gone drops the sender of the alerts, which the handle reports as the end.
        let _ = self.commands.send(Command::Add { trackers, torrent, alerts, key: key.clone() });
        AnnounceHandle::new(self.clone(), key, receiver, info_hash)
    }

    /// The network has changed: another interface, another address, a tunnel. Hosts that couldn't be reached may be
    /// tried again, and sessions in trouble announce at once. To be called by whoever can tell.
    pub fn network_changed(&self) {
        // Without a loop there is nothing to tell.
        let _ = self.commands.send(Command::NetworkChanged);
    }

    /// Ends all sessions: everybody who knows us is told, in parallel, until the deadline.
    ///
    /// # Cancel safety
    /// The sessions end all the same.
    pub async fn shutdown(self, deadline: Duration) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).is_ok() {
            let _ = timeout(deadline, ended).await;
        }
    }

    pub(super) fn send(&self, key: &HandleKey, then: impl FnOnce(&mut Loop, TorrentId) + Send + 'static) {
        // Without a loop there is no torrent any more, and nothing to do to it.
        let _ = self.commands.send(Command::To(key.clone(), Box::new(then)));
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    pub(super) fn scraped(&self) -> &Scraped {
        &self.scraped
    }

    pub(super) fn scrape_limit(&self) -> Duration {
        self.scrape_limit
    }

    /// Where all that shares the transport runs.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Loop {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut open = true;
        if let Some(cache) = &mut self.cache {
            cache.begin(&mut self.engine, self.clock).await;
        }
        loop {
            if let Some(gap) = self.clock.slept() {
                self.engine.resumed(gap, self.clock.now());
            }
            let wake = [self.act(), self.tend_cache()].into_iter().flatten().min();
            if self.engine.torrents().next().is_none() {
                if (!open || !self.shutdown.is_empty())
                    && let Some(cache) = &mut self.cache
                {
                    cache.finish(&mut self.engine, self.clock).await;
                }
                for done in self.shutdown.drain(..) {
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                if !open {
                    return;
                }
            }
            let wake = async {
                match wake {
                    // Now and then at least, to notice that the machine slept.
                    Some(at) => sleep_until(at.min(Clock::soon())).await,
                    None => std::future::pending().await,
                }
            };
            // Biased, so that the same inputs give the same run.
            tokio::select! {
                biased;
                command = commands.recv(), if open => {
                    if let Some(command) = command {
                        self.command(command);
                    } else {
                        open = false;
                        self.stop_all();
                    }
                }
                Some(done) = self.tasks.join_next_with_id() => self.done(done),
                done = cache_job(&mut self.cache) => if let Some(cache) = &mut self.cache {
                    cache.done(done, &mut self.engine, self.clock);
                },
                () = wake => {}
            }
        }
    }

    /// Has the cache written when it is time, tells a session of its troubles, and says when to look again.
    fn tend_cache(&mut self) -> Option<tokio::time::Instant> {
        let cache = self.cache.as_mut()?;
        if let Some(alerts) = self.listeners.values().find_map(|listener| listener.alerts.as_ref())
            && let Some(alert) = cache.notice()
        {
            alerts.say(&alert);
        }
        cache.tend(&self.engine, self.clock)
    }

    /// Does what the engine wants, until it wants to wait.
    fn act(&mut self) -> Option<tokio::time::Instant> {
        loop {
            match self.engine.poll(self.clock.now()) {
                Output::Wait(wake) => return wake.map(|wake| self.clock.instant(wake)),
                output => self.do_output(output),
            }
        }
    }

    fn do_output(&mut self, output: Output) {
        match output {
            Output::Probe { attempt, tracker } => {
                let prober = self.prober.clone();
                let probe = async move {
                    match prober {
                        Some(prober) => prober.probe(&tracker).await,
                        None => Err(AnnounceError::Unsupported.into()),
                    }
                };
                self.spawn(attempt, Kind::Probe, async move { Done::Probed(probe.await) });
            }
            Output::Open { attempt, tracker } => {
                let transport = Arc::clone(&self.transport);
                let open = async move { Done::Opened(transport.open(&tracker).await) };
                self.spawn(attempt, Kind::Attempt, open);
            }
            Output::Announce { attempt, request } => {
                if let Some(mut channel) = self.channels.remove(&attempt) {
                    let announce = async move { Done::Announced(channel.announce(&request).await) };
                    self.spawn(attempt, Kind::Attempt, announce);
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
            Command::Add { trackers, torrent, alerts, key } => {
                let id = self.engine.add(*trackers, *torrent, now);
                self.listeners.insert(id, Listener { alerts: Some(alerts), ..Listener::default() });
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
            Command::Shutdown(done) => {
                self.shutdown.push(done);
                self.stop_all();
            }
        }
    }

    fn stop_all(&mut self) {
        let now = self.clock.now();
        let torrents: Vec<_> = self.engine.torrents().collect();
        for torrent in torrents {
            self.engine.stop(torrent, now);
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
    pub(super) fn stop(&mut self, torrent: TorrentId, ended: Option<oneshot::Sender<Vec<ToldStopped>>>) {
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
                self.engine.discount(attempt, channel.lookup_time(), self.clock.now());
                self.channels.insert(attempt, channel);
                Input::Opened(attempt)
            }
            Ok((_, Done::Announced(Ok(response)))) => Input::Replied(attempt, Box::new(response)),
            Ok((_, Done::Opened(Err(error)) | Done::Announced(Err(error)))) => Input::Failed(attempt, error),
            Err(_) => {
                // A panic in somebody's transport is an error of that attempt only.
                let error = AnnounceError::Broken(Cause::new("the transport panicked"));
                match kind {
                    Kind::Probe => Input::Probed(attempt, Err(error.into())),
                    Kind::Attempt => Input::Failed(attempt, error),
                }
            }
        };
        self.engine.handle(input, self.clock.now());
    }
}

/// What was done to the file of the cache, when something is.
async fn cache_job(cache: &mut Option<Cache>) -> cache::Done {
    match cache {
        Some(cache) => cache.job().await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Announcer")
    }
}
