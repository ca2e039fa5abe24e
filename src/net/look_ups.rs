//! Name look-ups by a call that can't be cancelled: each on its own thread, and a bounded number at once.
//!
//! Neither a runtime nor the process waits for these threads at its end (R104). All requests for one name share one
//! look-up. Where no place is free, a look-up waits for one. Names that were found before go first, and
//! some places are reserved for them, so that names that hang don't block those of living trackers (R103).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::{AnnounceError, Cause};

/// How many look-ups that are waited for may run at once.
const MAX_AWAITED: usize = 64;

/// How many of these places are open to names that were never found before.
const MAX_UNPROVEN: usize = 48;

/// How many threads there are, at most. A look-up that hangs keeps its thread after its callers have left.
const MAX_THREADS: usize = 256;

/// How many of these threads are open to names that were never found before.
const MAX_UNPROVEN_THREADS: usize = 240;

/// How long a look-up waits for a place. Much less than openings and probes may take, so that the wait ends in an error of
/// this machine and not in a timeout of the tracker's.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(1);

/// How many names are remembered as found. Beyond that, all are forgotten.
const MAX_FOUND: usize = 4096;

/// The stack of a thread, in bytes: modules of the system's name service need some.
const STACK_SIZE: usize = 512 << 10;

/// The blocking call that looks a name up.
type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The look-ups of a resolver.
pub(super) struct LookUps {
    look_up: Box<LookUp>,
    state: Mutex<LookUpTable>,
}

#[derive(Default)]
struct LookUpTable {
    /// The look-ups that run, and those that wait for a place.
    names: BTreeMap<String, PendingName>,
    /// Names that were found before.
    found: BTreeSet<String>,
    /// The queue number of the next look-up.
    next: u64,
}

struct PendingName {
    progress: watch::Sender<Progress>,
    /// Its number in the queue; `None` once it runs.
    queued: Option<u64>,
}

#[derive(Clone)]
enum Progress {
    Queued,
    Running,
    Done(Result<Vec<IpAddr>, AnnounceError>),
}

/// A caller that waits for a name. Dropping it may free a place.
struct NameWaiter<'a> {
    look_ups: &'a Arc<LookUps>,
    progress: Option<watch::Receiver<Progress>>,
}

/// The work of a look-up's thread. Dropping it hands the result to all callers, also after a panic.
struct Completion {
    look_ups: Arc<LookUps>,
    name: String,
    result: Result<Vec<IpAddr>, AnnounceError>,
}

impl LookUps {
    pub(super) fn new(
        look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { look_up: Box::new(look_up), state: Mutex::default() })
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// [`AnnounceError::Resolve`], or [`AnnounceError::Local`] where this machine had no place, thread or descriptor.
    pub(super) async fn find(self: &Arc<Self>, name: &str) -> Result<Vec<IpAddr>, AnnounceError> {
        let mut waiting = self.join(name);
        let Some(progress) = &mut waiting.progress else { return Err(no_place()) };
        let begun =
            timeout(WAIT_FOR_PLACE, progress.wait_for(|progress| !matches!(progress, Progress::Queued)));
        if begun.await.is_err() {
            return Err(no_place());
        }
        match progress.wait_for(|progress| matches!(progress, Progress::Done(_))).await.as_deref() {
            Ok(Progress::Done(result)) => result.clone(),
            _ => Err(no_place()),
        }
    }

    /// Joins the look-up of a name, or queues it.
    fn join(self: &Arc<Self>, name: &str) -> NameWaiter<'_> {
        let mut state = self.lock();
        let progress = if let Some(name) = state.names.get(name) {
            name.progress.subscribe()
        } else {
            let (progress, receiver) = watch::channel(Progress::Queued);
            let queued = Some(state.next);
            state.next += 1;
            state.names.insert(name.to_owned(), PendingName { progress, queued });
            receiver
        };
        self.fill_places(&mut state);
        NameWaiter { look_ups: self, progress: Some(progress) }
    }

    /// Starts the look-ups that there are places for, and forgets queued ones whose callers have left.
    fn fill_places(self: &Arc<Self>, state: &mut LookUpTable) {
        state.names.retain(|_, name| name.queued.is_none() || name.progress.receiver_count() > 0);
        while let Some(name) = state.next_to_begin() {
            let (look_ups, host) = (Arc::clone(self), name.clone());
            let thread = thread::Builder::new().name("look-up".into()).stack_size(STACK_SIZE);
            // The closure may capture nothing that takes the lock when dropped: without a thread it is dropped right here,
            // under the lock.
            let spawned =
                thread.spawn(move || Completion { look_ups, name: host, result: Err(no_place()) }.run());
            let Some(entry) = state.names.get_mut(&name) else { return };
            match spawned {
                Ok(_) => {
                    entry.queued = None;
                    entry.progress.send_replace(Progress::Running);
                }
                Err(error) => {
                    let error = AnnounceError::Local(Cause::new(error));
                    entry.progress.send_replace(Progress::Done(Err(error)));
                    state.names.remove(&name);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, LookUpTable> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LookUpTable {
    /// The name that gets the next place, if there is a place for it.
    fn next_to_begin(&self) -> Option<String> {
        let running = || self.names.iter().filter(|(_, name)| name.queued.is_none());
        let awaited = || running().filter(|(_, name)| name.progress.receiver_count() > 0);
        if running().count() >= MAX_THREADS || awaited().count() >= MAX_AWAITED {
            return None;
        }
        let is_unproven = |name: &String| !self.found.contains(name);
        let full = awaited().filter(|(name, _)| is_unproven(name)).count() >= MAX_UNPROVEN
            || running().filter(|(name, _)| is_unproven(name)).count() >= MAX_UNPROVEN_THREADS;
        let queued =
            self.names.iter().filter_map(|(name, entry)| Some((is_unproven(name), entry.queued?, name)));
        let (unproven, _, name) = queued.min()?;
        (!unproven || !full).then(|| name.clone())
    }

    fn note(&mut self, name: &str) {
        if self.found.len() >= MAX_FOUND && !self.found.contains(name) {
            self.found.clear();
        }
        self.found.insert(name.to_owned());
    }
}

impl Completion {
    fn run(mut self) {
        self.result = (self.look_ups.look_up)(&self.name).map_err(AnnounceError::resolving);
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Err(no_place()));
        let mut state = self.look_ups.lock();
        if matches!(&result, Ok(addresses) if !addresses.is_empty()) {
            state.note(&self.name);
        }
        if let Some(name) = state.names.remove(&self.name) {
            name.progress.send_replace(Progress::Done(result));
        }
        self.look_ups.fill_places(&mut state);
    }
}

impl Drop for NameWaiter<'_> {
    fn drop(&mut self) {
        let mut state = self.look_ups.lock();
        self.progress = None;
        self.look_ups.fill_places(&mut state);
    }
}

fn no_place() -> AnnounceError {
    AnnounceError::Local(Cause::new("too many names are looked up at once"))
}

#[cfg(test)]
mod tests;
