//! The latency cache: when its file is read and written, beside the announcer's loop.

mod file;
mod in_use;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use super::clock::{self, Clock};
use super::torrents::SharedTorrents;
use crate::alert::Alert;
use crate::error::CacheError;
use crate::host_snapshot::HostSnapshot;
use crate::policy::{Engine, Timestamp};
use file::Loaded;

/// How long a change waits for further ones before the file is written.
const SAVE_GAP: Duration = Duration::from_secs(60);

/// How long the first announce waits for the file. Reading takes a millisecond, unless a disk has to spin up or a file
/// server is away. A file that comes later is used from then on.
pub(super) const LOAD_LIMIT: Duration = Duration::from_secs(1);

/// How long the end of an announcer waits for the last save, unless its deadline is sooner.
pub(super) const LAST_SAVE_LIMIT: Duration = Duration::from_secs(3);

/// The file of an announcer. At most one job runs on it at a time.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    load: fn(&Path) -> Loaded,
    save: fn(&Path, Vec<HostSnapshot>, u64) -> Result<(), CacheError>,
    job: Option<Job>,
    /// Whether the file has been read, and may be replaced.
    writable: bool,
    /// How many changes of the health book are in the file.
    saved: u64,
    /// How many are in what is being written.
    saving: u64,
    /// When the file is to be written next.
    due: Option<Timestamp>,
    /// A failure that hasn't been reported.
    notice: Option<CacheError>,
    /// Whether the last job failed. Of several failures in a row only the first is reported.
    has_failed: bool,
}

/// Reading or writing the file, under way.
///
/// A runtime that ends waits for its blocking threads, and a disk may hang for ever. So the work runs on a thread
/// outside the runtime, and a blocking thread of the runtime waits for it until this is dropped. (That thread is also what
/// keeps a paused clock in tests from running ahead.)
#[derive(Debug)]
struct Job {
    done: JoinHandle<JobOutput>,
    give_up: mpsc::Sender<Option<JobResult>>,
}

/// The end of a job; `None` where it was given up.
#[derive(Debug)]
pub(super) struct JobOutput(Option<JobResult>);

#[derive(Debug)]
enum JobResult {
    Loaded(Loaded),
    Saved(Result<(), CacheError>),
}

impl Cache {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            load: file::load,
            save: file::save,
            job: None,
            writable: false,
            saved: 0,
            saving: 0,
            due: None,
            notice: None,
            has_failed: false,
        }
    }

    /// Begins to read the file; [`take_in`](Self::take_in) gives the engine what is in it.
    pub(super) fn load(&mut self) {
        let (path, load) = (self.path.clone(), self.load);
        self.job = Some(Job::begin(move || JobResult::Loaded(load(&path))));
    }

    /// Waits for the job; for ever where there is none.
    ///
    /// # Cancel safety
    /// No output is lost.
    pub(super) async fn job(&mut self) -> JobOutput {
        match &mut self.job {
            Some(job) => (&mut job.done).await.unwrap_or(JobOutput(None)),
            None => std::future::pending().await,
        }
    }

    /// Takes the output of a job: gives the engine what was read, and keeps a failure for a report.
    pub(super) fn take_in(&mut self, output: JobOutput, torrents: &SharedTorrents) {
        self.job = None;
        match output.0 {
            None => {}
            Some(JobResult::Loaded(Loaded { hosts, failure, is_replaceable })) => {
                let torrents = &mut *torrents.lock();
                torrents.engine.restore(hosts, clock::seconds(), torrents.clock.now());
                self.writable = is_replaceable;
                self.note_failure(failure);
            }
            Some(JobResult::Saved(Ok(()))) => {
                self.saved = self.saving;
                self.note_failure(None);
            }
            Some(JobResult::Saved(Err(error))) => self.note_failure(Some(error)),
        }
    }

    /// Writes the file when it is time. Gives the moment to look again.
    pub(super) fn tend(&mut self, engine: &Engine, clock: &Clock) -> Option<Instant> {
        if self.job.is_some() || !self.is_behind(engine) {
            return None;
        }
        let due = *self.due.get_or_insert_with(|| clock.now() + SAVE_GAP);
        if due > clock.now() {
            return Some(clock.instant(due));
        }
        self.save(engine, clock);
        None
    }

    /// Has the file written without waiting for further changes.
    pub(super) fn hurry(&mut self, clock: &Clock) {
        self.due = Some(clock.now());
    }

    /// Writes the changes that aren't in the file, because the process may end.
    pub(super) async fn finish(&mut self, torrents: &SharedTorrents, limit: Duration) {
        let finish = async {
            while self.job.is_some() {
                let output = self.job().await;
                self.take_in(output, torrents);
            }
            if self.begin_last_save(torrents) {
                let output = self.job().await;
                self.take_in(output, torrents);
            }
        };
        // A disk that hangs holds its own thread only.
        let _ = timeout(limit, finish).await;
    }

    /// The failure that hasn't been reported, if any.
    pub(super) fn notice(&self) -> Option<Alert> {
        self.notice.clone().map(|reason| Alert::CacheFailed { reason })
    }

    /// Notes that the failure has been reported.
    pub(super) fn noticed(&mut self) {
        self.notice = None;
    }

    /// Begins to write what isn't in the file; gives whether there is anything.
    fn begin_last_save(&mut self, torrents: &SharedTorrents) -> bool {
        let torrents = torrents.lock();
        let is_behind = self.is_behind(&torrents.engine);
        if is_behind {
            self.save(&torrents.engine, &torrents.clock);
        }
        is_behind
    }

    fn is_behind(&self, engine: &Engine) -> bool {
        self.writable && engine.health().changes() != self.saved
    }

    fn save(&mut self, engine: &Engine, clock: &Clock) {
        self.due = None;
        self.saving = engine.health().changes();
        let (path, save, calendar) = (self.path.clone(), self.save, clock::seconds());
        let hosts = engine.health().snapshot(calendar, clock.now());
        self.job = Some(Job::begin(move || JobResult::Saved(save(&path, hosts, calendar))));
    }

    fn note_failure(&mut self, error: Option<CacheError>) {
        let before = std::mem::replace(&mut self.has_failed, error.is_some());
        if !before {
            self.notice = error;
        }
    }
}

impl Job {
    fn begin(work: impl FnOnce() -> JobResult + Send + 'static) -> Self {
        let (give_up, result) = mpsc::channel();
        let done = give_up.clone();
        // Where no thread can be started nothing is done, and the next save tries again.
        let spawned =
            thread::Builder::new().name("tracker-cache".into()).spawn(move || done.send(Some(work())));
        if spawned.is_err() {
            // The receiver lives in the blocking task below.
            let _ = give_up.send(None);
        }
        Self { done: spawn_blocking(move || JobOutput(result.recv().ok().flatten())), give_up }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // The job may be done, and its receiver gone.
        let _ = self.give_up.send(None);
    }
}

#[cfg(test)]
impl Cache {
    /// A cache whose disk hangs for ever, at the first read or at the first write.
    pub(super) fn hanging(at_load: bool) -> Self {
        let mut cache = Self::new("/nowhere/at/all".into());
        cache.save = |_, _, _| loop {
            thread::park();
        };
        cache.load = if at_load {
            |_| loop {
                thread::park();
            }
        } else {
            |_| Loaded { hosts: Vec::new(), failure: None, is_replaceable: true }
        };
        cache
    }
}
