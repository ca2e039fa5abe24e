//! The latency cache that survives restarts: when its file is read and written, beside the announcer's loop.

mod file;

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use super::clock::{self, Clock};
use crate::alert::Alert;
use crate::error::CacheError;
use crate::policy::{Engine, Timestamp};
use file::Loaded;

/// How long what was learned waits for more before it is written.
const SAVE_GAP: Duration = Duration::from_secs(60);

/// How long the first announce waits for the file. It is read in a millisecond, but for a disk that is asleep or a
/// server that is away; what comes later is taken as well.
const LOAD_LIMIT: Duration = Duration::from_secs(1);

/// How long the end waits for the file.
const LAST_SAVE_LIMIT: Duration = Duration::from_secs(3);

/// The file of an announcer, with one thing at a time done to it on a thread for blocking work.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    job: Option<JoinHandle<Done>>,
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

/// What was done to the file; `None` where the runtime ended before it was.
#[derive(Debug)]
pub(super) struct Done(Option<Deed>);

#[derive(Debug)]
enum Deed {
    Loaded(Loaded),
    Saved(Result<(), CacheError>),
}

impl Cache {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            job: None,
            writable: false,
            saved: 0,
            saving: 0,
            due: None,
            notice: None,
            troubled: false,
        }
    }

    /// Reads the file, and gives the engine what is in it.
    pub(super) async fn begin(&mut self, engine: &mut Engine, clock: Clock) {
        let path = self.path.clone();
        self.job = Some(spawn_blocking(move || Done(Some(Deed::Loaded(file::load(&path))))));
        if let Ok(done) = timeout(LOAD_LIMIT, self.job()).await {
            self.done(done, engine, clock);
        }
    }

    /// What was done to the file, when it is.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn job(&mut self) -> Done {
        match &mut self.job {
            Some(job) => job.await.unwrap_or(Done(None)),
            None => std::future::pending().await,
        }
    }

    /// Takes note of what was done.
    pub(super) fn done(&mut self, done: Done, engine: &mut Engine, clock: Clock) {
        self.job = None;
        match done.0 {
            None => {}
            Some(Deed::Loaded(Loaded { hosts, trouble, replaceable })) => {
                engine.recall(hosts, clock::seconds(), clock.now());
                self.writable = replaceable;
                self.trouble(trouble);
            }
            Some(Deed::Saved(Ok(()))) => {
                self.saved = self.saving;
                self.trouble(None);
            }
            Some(Deed::Saved(Err(error))) => self.trouble(Some(error)),
        }
    }

    /// Writes the file when it is time, and says when to look again.
    pub(super) fn tend(&mut self, engine: &Engine, clock: Clock) -> Option<Instant> {
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

    /// Writes what isn't written yet, because the process may end.
    pub(super) async fn finish(&mut self, engine: &mut Engine, clock: Clock) {
        let finish = async {
            while self.job.is_some() {
                let done = self.job().await;
                self.done(done, engine, clock);
            }
            if self.is_behind(engine) {
                self.save(engine, clock);
                let done = self.job().await;
                self.done(done, engine, clock);
            }
        };
        // A disk that hangs keeps its thread, and nobody else.
        let _ = timeout(LAST_SAVE_LIMIT, finish).await;
    }

    /// What the user should hear.
    pub(super) fn notice(&mut self) -> Option<Alert> {
        self.notice.take().map(|reason| Alert::CacheIgnored { reason })
    }

    fn is_behind(&self, engine: &Engine) -> bool {
        self.writable && engine.health().changes() != self.saved
    }

    fn save(&mut self, engine: &Engine, clock: Clock) {
        self.due = None;
        self.saving = engine.health().changes();
        let (path, calendar) = (self.path.clone(), clock::seconds());
        let hosts = engine.health().remembered(calendar, clock.now());
        self.job = Some(spawn_blocking(move || Done(Some(Deed::Saved(file::save(&path, hosts, calendar))))));
    }

    fn trouble(&mut self, error: Option<CacheError>) {
        let before = std::mem::replace(&mut self.troubled, error.is_some());
        if !before {
            self.notice = error;
        }
    }
}
