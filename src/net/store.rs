//! The store of an announcer: what is loaded from it, published to it and heard from it, in tasks beside the loop.

#[cfg(feature = "cache")]
mod file;
#[cfg(feature = "cache")]
mod file_store;
#[cfg(feature = "cache")]
mod in_use;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

#[cfg(feature = "cache")]
pub(super) use self::file_store::FileStore;
use super::clock::{self, Clock};
use super::guarded::{self, caught};
use super::torrents::SharedTorrents;
use crate::alert::Alert;
use crate::error::{CacheError, Cause};
use crate::host_snapshot::HostSnapshot;
use crate::host_store::{HostStore, StoreTimes};
use crate::policy::{Engine, Timestamp};
use crate::tracker::TrackerHost;

/// How long the end of an announcer waits for the last publish, unless its deadline is sooner.
pub(super) const LAST_PUBLISH_LIMIT: Duration = Duration::from_secs(3);

/// The pause after a failure, which doubles with each further one in a row, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. A store that comes back is used again within this time.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The pause between two batches of news, however fast they come.
const NEWS_GAP: Duration = Duration::from_millis(50);

/// How many hosts are taken in from one load or one batch of news.
const MAX_NEWS: usize = 4096;

/// The store of an announcer. At most one load or publish runs at a time, and one task listens for news.
pub(super) struct StoreTasks {
    store: Arc<dyn HostStore>,
    /// How the engine takes in what was loaded.
    take_loaded: fn(&mut Engine, Vec<HostSnapshot>, u64, Timestamp),
    times: StoreTimes,
    job: Option<Job>,
    /// Where news come from, once what is in the store was loaded.
    news: Option<(Task<()>, mpsc::Receiver<News>)>,
    /// How many changes of the health book are in the store; `None` before the first publish.
    published: Option<u64>,
    /// How many changes were looked at for hosts that died or came back.
    looked: Option<u64>,
    /// When it is looked for them next.
    look_at: Option<Timestamp>,
    /// When the store is to be published to next.
    due: Option<Timestamp>,
    /// Not before then, after a failure.
    not_before: Option<Timestamp>,
    /// The pause after the next failure.
    pause: Duration,
    /// The hosts that were published as dead.
    dead: BTreeSet<TrackerHost>,
    /// A failure that hasn't been reported.
    notice: Option<CacheError>,
    /// Whether the last job failed, and whether listening did. Of several failures in a row only the first is reported.
    has_failed: [bool; 2],
}

/// Something that came from the store.
#[derive(Debug)]
pub(super) enum StoreEvent {
    /// The job has ended.
    Ended(Ended),
    /// Other processes have published, or it can't be heard.
    News(News),
}

/// How a job ended.
#[derive(Debug)]
pub(super) enum Ended {
    Loaded(News),
    Published(Result<(), CacheError>),
}

type News = Result<Vec<HostSnapshot>, CacheError>;

/// A load or a publish, under way.
struct Job {
    task: Task<Ended>,
    /// Of a publish: how many changes are in the store after it, and which hosts it publishes, each with whether it is dead.
    publishes: Option<(u64, Vec<(TrackerHost, bool)>)>,
}

/// A task that ends when this is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl StoreTasks {
    /// A store of running processes: a host that another one has just found dead is skipped.
    pub(super) fn shared(store: impl HostStore + 'static) -> Self {
        Self { take_loaded: Engine::merge, ..Self::of_earlier_runs(store) }
    }

    /// A store of earlier runs: a host that was dead then is tried at once.
    pub(super) fn of_earlier_runs(store: impl HostStore + 'static) -> Self {
        let times = store.times();
        Self {
            store: Arc::new(store),
            take_loaded: Engine::restore,
            times,
            job: None,
            news: None,
            published: None,
            looked: None,
            look_at: None,
            due: None,
            not_before: None,
            pause: FIRST_PAUSE,
            dead: BTreeSet::new(),
            notice: None,
            has_failed: [false; 2],
        }
    }

    /// Begins to load; [`take_in`](Self::take_in) gives the engine what is in the store. Gives how long the first announce
    /// waits for that.
    pub(super) fn load(&mut self) -> Duration {
        let (store, limit) = (Arc::clone(&self.store), self.times.limit);
        let load = async move { Ended::Loaded(limited(limit, store.load()).await) };
        self.job = Some(Job { task: Task(tokio::spawn(load)), publishes: None });
        self.times.first_announce
    }

    /// Waits for what comes next; for ever where nothing is under way.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> StoreEvent {
        let ended = async {
            match &mut self.job {
                // A task isn't cancelled before this is dropped, and its panics are caught inside.
                Some(job) => match (&mut job.task.0).await {
                    Ok(ended) => ended,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let news = async {
            match &mut self.news {
                Some((_, news)) => match news.recv().await {
                    Some(news) => news,
                    None => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = ended => StoreEvent::Ended(ended),
            news = news => StoreEvent::News(news),
        }
    }

    /// Takes in what came: gives the engine what was loaded or heard, and keeps a failure for a report.
    pub(super) fn take_in(&mut self, event: StoreEvent, torrents: &SharedTorrents) {
        match event {
            StoreEvent::News(news) => {
                let failure = give(news, torrents, Engine::merge);
                self.note_failure(1, failure);
            }
            StoreEvent::Ended(Ended::Loaded(news)) => {
                self.job = None;
                let failure = give(news, torrents, self.take_loaded);
                self.note_failure(0, failure);
                self.listen();
            }
            StoreEvent::Ended(Ended::Published(result)) => {
                let publishes = self.job.take().and_then(|job| job.publishes);
                if let (Ok(()), Some((changes, hosts))) = (&result, publishes) {
                    self.has_published(changes, hosts, &torrents.lock().engine);
                } else {
                    let now = torrents.lock().clock.now();
                    // A host that died is news until it is published.
                    (self.looked, self.not_before) = (None, Some(now + self.pause));
                    self.pause = (self.pause * 2).min(MAX_PAUSE);
                }
                self.note_failure(0, result.err());
            }
        }
    }

    /// Publishes when it is time. Gives the moment to look again.
    pub(super) fn tend(&mut self, engine: &Engine, clock: &Clock) -> Option<Instant> {
        let is_loaded = self.news.is_some();
        let changes = engine.health().changes();
        if self.job.is_some() || !is_loaded || changes == self.published.unwrap_or_default() {
            return None;
        }
        let now = clock.now();
        let due = *self.due.get_or_insert(now + self.times.figures);
        let mut next = due;
        if self.looked != Some(changes) {
            let look_at = *self.look_at.get_or_insert(now + self.times.state.min(self.times.figures));
            next = next.min(look_at);
        }
        let next = next.max(self.not_before.unwrap_or(next));
        if next > now {
            return Some(clock.instant(next));
        }
        (self.looked, self.look_at) = (Some(changes), None);
        let (calendar, moment) = clock.dated();
        let hosts = engine.health().changed_since(self.published, calendar, moment);
        if due > now && !hosts.iter().any(|host| host.is_backed_off != self.dead.contains(&host.host)) {
            return Some(clock.instant(due.max(self.not_before.unwrap_or(due))));
        }
        self.publish(hosts, changes);
        None
    }

    /// Has what is known published without waiting for further changes.
    pub(super) fn hurry(&mut self, clock: &Clock) {
        (self.due, self.look_at, self.looked) = (Some(clock.now()), None, None);
        self.not_before = None;
    }

    /// Publishes what the store lacks, because the process may end.
    pub(super) async fn finish(&mut self, torrents: &SharedTorrents, limit: Duration) {
        // News are of no use any more.
        let is_loaded = self.news.take().is_some();
        let finish = async {
            if !is_loaded || self.job.is_some() {
                self.end_job(torrents).await;
                self.news = None;
            }
            let changes = {
                let torrents = torrents.lock();
                let changes = torrents.engine.health().changes();
                if changes != self.published.unwrap_or_default() {
                    let (calendar, now) = torrents.clock.dated();
                    let hosts = torrents.engine.health().changed_since(self.published, calendar, now);
                    self.publish(hosts, changes);
                }
                changes
            };
            if self.published != Some(changes) {
                self.end_job(torrents).await;
            }
        };
        // A store that hangs holds its own task only.
        let _ = clock::timeout(limit, finish).await;
    }

    /// The failure that hasn't been reported, if any.
    pub(super) fn notice(&self) -> Option<Alert> {
        self.notice.clone().map(|reason| Alert::CacheFailed { reason })
    }

    /// Notes that the failure has been reported.
    pub(super) fn noticed(&mut self) {
        self.notice = None;
    }

    /// Waits for the end of the job, if there is one.
    async fn end_job(&mut self, torrents: &SharedTorrents) {
        if self.job.is_some() {
            let event = self.next().await;
            self.take_in(event, torrents);
        }
    }

    /// Starts the task that listens.
    fn listen(&mut self) {
        let (sender, news) = mpsc::channel(1);
        let task = Task(tokio::spawn(listen(Arc::clone(&self.store), sender)));
        self.news = Some((task, news));
    }

    fn publish(&mut self, hosts: Vec<HostSnapshot>, changes: u64) {
        self.due = None;
        let published = hosts.iter().map(|host| (host.host.clone(), host.is_backed_off)).collect();
        let (store, limit) = (Arc::clone(&self.store), self.times.limit);
        let publish = async move { Ended::Published(limited(limit, store.publish(hosts)).await) };
        self.job = Some(Job { task: Task(tokio::spawn(publish)), publishes: Some((changes, published)) });
    }

    fn has_published(&mut self, changes: u64, hosts: Vec<(TrackerHost, bool)>, engine: &Engine) {
        self.published = Some(changes);
        (self.not_before, self.pause) = (None, FIRST_PAUSE);
        for (host, is_dead) in hosts {
            if is_dead {
                self.dead.insert(host);
            } else {
                self.dead.remove(&host);
            }
        }
        // Hosts that the health book has dropped are dropped here too.
        self.dead.retain(|host| engine.health().host(host).is_some());
    }

    /// Keeps a failure for a report, unless listening or the last job had failed before.
    fn note_failure(&mut self, row: usize, error: Option<CacheError>) {
        let had_failed = self.has_failed.contains(&true);
        if let Some(has_failed) = self.has_failed.get_mut(row) {
            *has_failed = error.is_some();
        }
        if !had_failed && error.is_some() {
            self.notice = error;
        }
    }
}

/// Gives the engine what came; else gives the failure.
fn give(
    news: News,
    torrents: &SharedTorrents,
    take: impl FnOnce(&mut Engine, Vec<HostSnapshot>, u64, Timestamp),
) -> Option<CacheError> {
    match news {
        Ok(hosts) => {
            let torrents = &mut *torrents.lock();
            let (calendar, now) = torrents.clock.dated();
            take(&mut torrents.engine, hosts, calendar, now);
            None
        }
        Err(error) => Some(error),
    }
}

/// Hands on what others publish, until the receiver is gone.
async fn listen(store: Arc<dyn HostStore>, sender: mpsc::Sender<News>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut news = contained(store.changes()).await;
        let gap = if let Ok(hosts) = &mut news {
            hosts.truncate(MAX_NEWS);
            pause = FIRST_PAUSE;
            NEWS_GAP
        } else {
            let longer = (pause * 2).min(MAX_PAUSE);
            std::mem::replace(&mut pause, longer)
        };
        if sender.send(news).await.is_err() {
            return;
        }
        sleep(gap).await;
    }
}

/// What a store gives within this time.
async fn limited<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, CacheError>>,
) -> Result<T, CacheError> {
    clock::timeout(limit, contained(future)).await.unwrap_or(Err(CacheError::TimedOut(limit)))
}

/// What a store gives; a panic of its code is a failure (R93).
async fn contained<T>(future: impl Future<Output = Result<T, CacheError>>) -> Result<T, CacheError> {
    match caught(future).await {
        Ok(result) => result,
        Err(panic) => {
            let error = Cause::new(guarded::text(&*panic));
            guarded::discard(panic);
            Err(CacheError::Store(error))
        }
    }
}
