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
mod tests {
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Names with this prefix hang until the gate is opened.
    const HANGS: &str = "hangs";

    /// Holds look-ups until it is opened.
    #[derive(Clone, Default)]
    struct Gate(Arc<(Mutex<bool>, Condvar)>);

    impl Gate {
        fn wait(&self) {
            let (open, changed) = &*self.0;
            drop(changed.wait_while(open.lock().unwrap(), |open| !*open));
        }

        fn open(&self) {
            let (open, changed) = &*self.0;
            *open.lock().unwrap() = true;
            changed.notify_all();
        }
    }

    /// Opens the gate when it is dropped.
    struct OpensGate(Gate);

    impl Drop for OpensGate {
        fn drop(&mut self) {
            self.0.open();
        }
    }

    fn address() -> IpAddr {
        [192, 0, 2, 1].into()
    }

    /// Look-ups, how many were started, and the gate of those that hang.
    fn look_ups() -> (Arc<LookUps>, Arc<AtomicUsize>, OpensGate) {
        let (gate, begun) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
        let (held, counted) = (gate.clone(), Arc::clone(&begun));
        let look_ups = LookUps::new(move |name| {
            counted.fetch_add(1, Ordering::SeqCst);
            match name {
                _ if name.starts_with(HANGS) => held.wait(),
                "panics" => panic!("a look-up that panics"),
                "missing" => return Err(io::Error::other("no such name")),
                "no-descriptors" => return Err(io::ErrorKind::PermissionDenied.into()),
                _ => {}
            }
            Ok(vec![address()])
        });
        (look_ups, begun, OpensGate(gate))
    }

    fn hanging(look_ups: &Arc<LookUps>, count: usize) -> Vec<NameWaiter<'_>> {
        (0..count).map(|number| look_ups.join(&format!("{HANGS}{number}"))).collect()
    }

    fn running(look_ups: &LookUps) -> usize {
        look_ups.lock().names.values().filter(|name| name.queued.is_none()).count()
    }

    /// R103: more names than there are places, and none of them is ever answered.
    #[tokio::test]
    async fn names_that_hang_leave_places_to_names_that_were_found() {
        let (look_ups, _, _opened) = look_ups();
        assert_eq!(look_ups.find("known").await.unwrap(), [address()]);
        let waiting = hanging(&look_ups, 200);
        assert_eq!(running(&look_ups), MAX_UNPROVEN);
        assert_eq!(look_ups.find("known").await.unwrap(), [address()]);
        drop(waiting);
    }

    /// R103: it gives its place up, or leaves the queue.
    #[tokio::test]
    async fn a_look_up_without_callers_holds_no_place() {
        let (look_ups, begun, _opened) = look_ups();
        let mut waiting = hanging(&look_ups, 200);
        while let Some(last) = waiting.pop() {
            drop(last);
        }
        assert_eq!(look_ups.lock().names.len(), MAX_UNPROVEN, "the others were never started");
        assert_eq!(look_ups.find("unknown").await.unwrap(), [address()]);
        assert_eq!(begun.load(Ordering::SeqCst), MAX_UNPROVEN + 1);
    }

    #[tokio::test]
    async fn a_place_that_becomes_free_goes_to_a_waiting_name() {
        let (look_ups, _, _opened) = look_ups();
        let mut waiting = hanging(&look_ups, MAX_UNPROVEN);
        let (unknown, ()) = tokio::join!(look_ups.find("unknown"), async {
            assert_eq!(running(&look_ups), MAX_UNPROVEN);
            waiting.pop();
        });
        assert_eq!(unknown.unwrap(), [address()]);
    }

    /// R103: it overtakes names that came earlier.
    #[tokio::test]
    async fn a_name_that_was_found_before_goes_first() {
        let (look_ups, _, _opened) = look_ups();
        look_ups.find("known").await.unwrap();
        for number in 0..MAX_AWAITED {
            look_ups.lock().note(&format!("{HANGS}{number}"));
        }
        let waiting = hanging(&look_ups, MAX_AWAITED);
        let (first, second) = (look_ups.join("unknown"), look_ups.join("known"));
        assert_eq!(running(&look_ups), MAX_AWAITED);
        assert!(look_ups.lock().next_to_begin().is_none());
        look_ups.lock().names.remove("hangs0");
        assert_eq!(look_ups.lock().next_to_begin().as_deref(), Some("known"));
        drop((first, second, waiting));
    }

    /// R103: the tracker isn't at fault.
    #[tokio::test(start_paused = true)]
    async fn a_look_up_without_a_place_in_time_is_a_local_error() {
        let (look_ups, _, _opened) = look_ups();
        let waiting = hanging(&look_ups, MAX_UNPROVEN);
        let error = look_ups.find("unknown").await.unwrap_err();
        assert!(matches!(error, AnnounceError::Local(_)), "{error}");
        assert!(!look_ups.lock().names.contains_key("unknown"));
        drop(waiting);
    }

    #[tokio::test]
    async fn threads_are_bounded_though_callers_leave() {
        let (look_ups, _, _opened) = look_ups();
        look_ups.find("known").await.unwrap();
        for number in 0..2 * MAX_THREADS {
            drop(look_ups.join(&format!("{HANGS}{number}")));
        }
        assert_eq!(running(&look_ups), MAX_UNPROVEN_THREADS);
        assert_eq!(look_ups.find("known").await.unwrap(), [address()]);
        for number in 0..2 * MAX_THREADS {
            look_ups.lock().note(&format!("{HANGS}known{number}"));
            drop(look_ups.join(&format!("{HANGS}known{number}")));
        }
        assert_eq!(running(&look_ups), MAX_THREADS);
    }

    /// R47.
    #[tokio::test]
    async fn one_name_is_looked_up_once_at_a_time() {
        let (look_ups, begun, opened) = look_ups();
        let all = (0..50).map(|_| look_ups.join("hangs")).collect::<Vec<_>>();
        drop(opened);
        let (one, other) = tokio::join!(look_ups.find("hangs"), look_ups.find("hangs"));
        assert_eq!((one.unwrap(), other.unwrap()), (vec![address()], vec![address()]));
        drop(all);
        assert!(
            (1..=2).contains(&begun.load(Ordering::SeqCst)),
            "the second call may come after the end of the first"
        );
        assert!(look_ups.lock().names.is_empty(), "nothing is kept");
    }

    /// R102: an error of this machine is none of the name's.
    #[tokio::test]
    async fn errors_of_the_name_and_of_this_machine_are_told_apart() {
        let (look_ups, _, _opened) = look_ups();
        assert!(matches!(look_ups.find("missing").await, Err(AnnounceError::Resolve(_))));
        assert!(matches!(look_ups.find("no-descriptors").await, Err(AnnounceError::Local(_))));
        assert!(matches!(look_ups.find("panics").await, Err(AnnounceError::Local(_))));
        assert_eq!(look_ups.find("known").await.unwrap(), [address()]);
    }

    /// R104: a look-up holds up neither a runtime nor a task in it.
    #[test]
    fn a_runtime_ends_while_a_look_up_hangs() {
        let (look_ups, _, _opened) = look_ups();
        let (ended, end) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for mut runtime in
                [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()]
            {
                let runtime = runtime.enable_time().build().unwrap();
                let given_up =
                    runtime.block_on(async { timeout(Duration::ZERO, look_ups.find("hangs")).await });
                assert!(given_up.is_err() && running(&look_ups) == 1);
                drop(runtime);
            }
            ended.send(()).unwrap();
        });
        end.recv_timeout(Duration::from_secs(30)).expect("the runtime ends, though the look-up doesn't");
    }
}
