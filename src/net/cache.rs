//! The latency cache that survives restarts: when its file is read and written, beside the announcer's loop.

mod file;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use super::clock::{self, Clock};
use crate::alert::Alert;
use crate::error::CacheError;
use crate::host_snapshot::HostSnapshot;
use crate::policy::{Engine, Timestamp};
use file::Loaded;

/// How long what was learned waits for more before it is written.
const SAVE_GAP: Duration = Duration::from_secs(60);

/// How long the first announce waits for the file. It is read in a millisecond, but for a disk that is asleep or a
/// server that is away; what comes later is taken as well.
pub(super) const LOAD_LIMIT: Duration = Duration::from_secs(1);

/// How long the end waits for the file, unless it has to be sooner.
pub(super) const LAST_SAVE_LIMIT: Duration = Duration::from_secs(3);

/// The file of an announcer, with one thing at a time done to it.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    load: fn(&Path) -> Loaded,
    save: fn(&Path, Vec<HostSnapshot>, u64) -> Result<(), CacheError>,
    job: Option<Job>,
    /// Whether the file has been looked at, and may be replaced.
    writable: bool,
    /// As many changes of the book are in the file.
    saved: u64,
    /// As many are in what is being written.
    saving: u64,
    due: Option<Timestamp>,
    /// A trouble the user hasn't heard of.
    notice: Option<CacheError>,
    /// Whether the last thing failed, which is told once.
    troubled: bool,
}

/// Something that is being done to the file.
///
/// A runtime that ends waits for its threads, and a disk may hang for ever. So the work is done on a thread of its own,
/// and one of the runtime's waits for that no longer than this exists. (A clock that is paused in tests stands still for
/// the latter only.)
#[derive(Debug)]
struct Job {
    done: JoinHandle<JobOutput>,
    give_up: mpsc::Sender<Option<JobResult>>,
}

/// What was done to the file; `None` where the runtime ended before it was.
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
            troubled: false,
        }
    }

    /// Begins to read the file; [`finished`](Self::finished) gives the engine what is in it.
    pub(super) fn load(&mut self) {
        let (path, load) = (self.path.clone(), self.load);
        self.job = Some(Job::begin(move || JobResult::Loaded(load(&path))));
    }

    /// What was done to the file, when it is.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn job(&mut self) -> JobOutput {
        match &mut self.job {
            Some(job) => (&mut job.done).await.unwrap_or(JobOutput(None)),
            None => std::future::pending().await,
        }
    }

    /// Takes note of what was done.
    pub(super) fn finished(&mut self, output: JobOutput, engine: &mut Engine, clock: &Clock) {
        self.job = None;
        match output.0 {
            None => {}
            Some(JobResult::Loaded(Loaded { hosts, trouble, replaceable })) => {
                engine.recall(hosts, clock::seconds(), clock.now());
                self.writable = replaceable;
                self.trouble(trouble);
            }
            Some(JobResult::Saved(Ok(()))) => {
                self.saved = self.saving;
                self.trouble(None);
            }
            Some(JobResult::Saved(Err(error))) => self.trouble(Some(error)),
        }
    }

    /// Writes the file when it is time, and says when to look again.
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

    /// Has the file written without waiting for more.
    pub(super) fn hurry(&mut self, clock: &Clock) {
        self.due = Some(clock.now());
    }

    /// Writes what isn't written yet, because the process may end.
    pub(super) async fn finish(&mut self, engine: &mut Engine, clock: &Clock, limit: Duration) {
        let finish = async {
            while self.job.is_some() {
                let output = self.job().await;
                self.finished(output, engine, clock);
            }
            if self.is_behind(engine) {
                self.save(engine, clock);
                let output = self.job().await;
                self.finished(output, engine, clock);
            }
        };
        // A disk that hangs keeps its thread, and nobody else.
        let _ = timeout(limit, finish).await;
    }

    /// What the user should hear.
    pub(super) fn notice(&mut self) -> Option<Alert> {
        self.notice.take().map(|reason| Alert::CacheFailed { reason })
    }

    fn is_behind(&self, engine: &Engine) -> bool {
        self.writable && engine.health().changes() != self.saved
    }

    fn save(&mut self, engine: &Engine, clock: &Clock) {
        self.due = None;
        self.saving = engine.health().changes();
        let (path, save, calendar) = (self.path.clone(), self.save, clock::seconds());
        let hosts = engine.health().remembered(calendar, clock.now());
        self.job = Some(Job::begin(move || JobResult::Saved(save(&path, hosts, calendar))));
    }

    fn trouble(&mut self, error: Option<CacheError>) {
        let before = std::mem::replace(&mut self.troubled, error.is_some());
        if !before {
            self.notice = error;
        }
    }
}

impl Job {
    fn begin(work: impl FnOnce() -> JobResult + Send + 'static) -> Self {
        let (give_up, result) = mpsc::channel();
        let done = give_up.clone();
        // Where there is no thread to be had, nothing is done, and it is tried again later.
        let spawned =
            thread::Builder::new().name("tracker-cache".into()).spawn(move || done.send(Some(work())));
        if spawned.is_err() {
            // Whoever waits is there until this is dropped.
            let _ = give_up.send(None);
        }
        Self { done: spawn_blocking(move || JobOutput(result.recv().ok().flatten())), give_up }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // It may be done, and nobody be waiting.
        let _ = self.give_up.send(None);
    }
}

#[cfg(test)]
impl Cache {
    /// A cache whose disk hangs for ever, from the first reading or from the first writing.
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
            |_| Loaded { hosts: Vec::new(), trouble: None, replaceable: true }
        };
        cache
    }
}
