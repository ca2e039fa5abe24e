//! The latency cache as a store: its file is read and replaced on a thread outside the runtime.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::{JoinHandle, spawn_blocking};

use super::file::{self, Loaded};
use crate::error::CacheError;
use crate::host_snapshot::HostSnapshot;
use crate::host_store::{HostStore, StoreTimes};
use crate::net::clock;
use crate::policy::HealthBook;

/// How long a change waits for further ones before the file is written.
const SAVE_GAP: Duration = Duration::from_secs(60);

/// How long the first announce waits for the file. Reading takes a millisecond, unless a disk has to spin up or a file
/// server is away. A file that comes later is used from then on.
const LOAD_WAIT: Duration = Duration::from_secs(1);

/// The file of an announcer.
#[derive(Debug)]
pub(in crate::net) struct FileStore {
    path: PathBuf,
    load: fn(&Path) -> Loaded,
    save: fn(&Path, Vec<HostSnapshot>, u64) -> Result<(), CacheError>,
    state: Mutex<State>,
}

/// What is known of the file.
#[derive(Debug, Default)]
struct State {
    /// What was read, and published since: the whole content, in case the file is removed.
    hosts: Vec<HostSnapshot>,
    /// Whether it may be replaced.
    is_replaceable: bool,
    /// Why its folder can't be written to, until that is reported.
    failure: Option<CacheError>,
}

/// Reading or writing the file, under way.
///
/// A runtime that ends waits for its blocking threads, and a disk may hang for ever. So the work runs on a thread
/// outside the runtime, and a blocking thread of the runtime waits for it until this is dropped. (That thread is also what
/// keeps a paused clock in tests from running ahead.)
#[derive(Debug)]
struct Job<T> {
    done: JoinHandle<Option<T>>,
    give_up: mpsc::Sender<Option<T>>,
}

impl FileStore {
    pub(in crate::net) fn new(path: PathBuf) -> Self {
        Self { path, load: file::load, save: file::save, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HostStore for FileStore {
    async fn load(&self) -> Result<Vec<HostSnapshot>, CacheError> {
        let (path, load) = (self.path.clone(), self.load);
        let Some(loaded) = Job::begin(move || load(&path)).end().await else { return Ok(Vec::new()) };
        let mut state = self.state();
        state.is_replaceable = loaded.is_replaceable;
        match loaded.failure {
            Some(failure) if loaded.hosts.is_empty() => return Err(failure),
            failure => state.failure = failure,
        }
        state.hosts.clone_from(&loaded.hosts);
        Ok(loaded.hosts)
    }

    async fn publish(&self, hosts: Vec<HostSnapshot>) -> Result<(), CacheError> {
        let calendar = clock::seconds();
        let all = {
            let mut state = self.state();
            if !state.is_replaceable {
                // It was reported when the file was read.
                return Ok(());
            }
            let known = std::mem::take(&mut state.hosts);
            state.hosts = HealthBook::worth_keeping(hosts.into_iter().chain(known), calendar);
            state.hosts.clone()
        };
        let (path, save) = (self.path.clone(), self.save);
        // Where no thread can be started nothing is done, and the next publish has the rest.
        Job::begin(move || save(&path, all, calendar)).end().await.unwrap_or(Ok(()))
    }

    /// A file has no news, but for a folder that was found not to be writable when the file was read.
    async fn changes(&self) -> Result<Vec<HostSnapshot>, CacheError> {
        let failure = self.state().failure.take();
        match failure {
            Some(failure) => Err(failure),
            None => std::future::pending().await,
        }
    }

    /// A disk that hangs holds its one thread; to give up and try again would hold further ones.
    fn times(&self) -> StoreTimes {
        StoreTimes::default().state(SAVE_GAP).figures(SAVE_GAP).first_announce(LOAD_WAIT).limit(Duration::MAX)
    }
}

impl<T: Send + 'static> Job<T> {
    fn begin(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (give_up, result) = mpsc::channel();
        let done = give_up.clone();
        let spawned =
            thread::Builder::new().name("tracker-cache".into()).spawn(move || done.send(Some(work())));
        if spawned.is_err() {
            // The receiver lives in the blocking task below.
            let _ = give_up.send(None);
        }
        Self { done: spawn_blocking(move || result.recv().ok().flatten()), give_up }
    }

    /// Waits for the result; `None` where no thread could be started.
    async fn end(mut self) -> Option<T> {
        (&mut self.done).await.ok().flatten()
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        // The job may be done, and its receiver gone.
        let _ = self.give_up.send(None);
    }
}

#[cfg(test)]
impl FileStore {
    /// A file on a disk that hangs for ever, at the first read or at the first write.
    pub(in crate::net) fn hanging(at_load: bool) -> Self {
        let mut store = Self::new("/nowhere/at/all".into());
        store.save = |_, _, _| loop {
            thread::park();
        };
        store.load = if at_load {
            |_| loop {
                thread::park();
            }
        } else {
            |_| Loaded { hosts: Vec::new(), failure: None, is_replaceable: true }
        };
        store
    }
}
