//! Look-ups with names that hang: places, threads, and the order of waiting names.

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
            let given_up = runtime.block_on(async { timeout(Duration::ZERO, look_ups.find("hangs")).await });
            assert!(given_up.is_err() && running(&look_ups) == 1);
            drop(runtime);
        }
        ended.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(30)).expect("the runtime ends, though the look-up doesn't");
}
