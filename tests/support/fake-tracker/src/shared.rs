//! What a tracker shares with its connections: the script, the log, and who is let in.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::behaviour::{Behaviour, Opening};
use crate::log::Log;
use crate::port::Port;
use crate::request::{self, Heard, Origin};
use crate::serve::{Reset, serve};
use crate::swarm::{Member, Swarm};

/// What the tracker, its accepting task and its connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) swarm: Swarm,
    pub(crate) member: Member,
    pub(crate) log: Log,
    state: Mutex<State>,
    /// What a new connection meets. A change also wakes the accepting task.
    pub(crate) opening: watch::Sender<Opening>,
    /// Sockets may be opened from threads outside of the runtime.
    pub(crate) runtime: Handle,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) behaviour: Behaviour,
    /// Of torrents that are served otherwise.
    pub(crate) of_torrents: BTreeMap<[u8; 20], Behaviour>,
    pub(crate) killed: bool,
    pub(crate) latency: Duration,
    port: Option<Port>,
    /// Connections hold a receiver each: a value ends them, and they are gone when all receivers are.
    cut: watch::Sender<()>,
}

/// Counts a connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    cut: watch::Receiver<()>,
    number: usize,
}

impl Shared {
    /// # Panics
    /// Outside of a tokio runtime, or when a sequence is empty.
    pub(crate) fn new(address: SocketAddr, port: Option<Port>, swarm: &Swarm, behaviour: Behaviour) -> Self {
        behaviour.check();
        let cut = watch::Sender::new(());
        let state = State {
            behaviour,
            of_torrents: BTreeMap::new(),
            killed: false,
            latency: Duration::ZERO,
            port,
            cut,
        };
        let shared = Self {
            address,
            swarm: swarm.clone(),
            member: swarm.join(),
            log: Log::new(),
            state: Mutex::new(state),
            opening: watch::Sender::new(Opening::Refused),
            runtime: Handle::current(),
        };
        shared.settle();
        shared
    }

    /// Notes a request.
    pub(crate) fn hear(&self, head: &[u8], origin: Origin) -> Heard {
        let request = request::read(head, origin, Log::next_sequence());
        self.log.add(request.clone());
        request
    }

    /// What is done about a request, and after which delay.
    pub(crate) fn next(&self, request: &Heard) -> (Duration, Behaviour) {
        let state = &mut *self.lock();
        let own = request.info_hash().and_then(|torrent| state.of_torrents.get_mut(&torrent));
        let (delay, behaviour) = own.unwrap_or(&mut state.behaviour).next(request.asked());
        (delay.saturating_add(state.latency), behaviour)
    }

    /// Makes the port accept or refuse connections by the script. Idempotent.
    pub(crate) fn settle(&self) {
        let _runtime = self.runtime.enter();
        let mut state = self.lock();
        let opening = state.opening();
        if let Some(port) = &mut state.port {
            port.set(opening).unwrap_or_else(|error| panic!("the port can't become {opening:?}: {error}"));
        }
        if opening == Opening::Refused {
            state.cut.send_replace(());
        }
        self.opening.send_if_modified(|met| std::mem::replace(met, opening) != opening);
    }

    /// Shuts the tracker for good, with its port.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.killed = true;
        state.port = None;
        state.cut.send_replace(());
        self.opening.send_replace(Opening::Refused);
    }

    /// Waits until no connection is left.
    pub(crate) async fn emptied(&self) {
        let cut = self.lock().cut.clone();
        cut.closed().await;
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What a new connection meets.
    pub(crate) fn opening(&self) -> Opening {
        if self.killed { Opening::Refused } else { self.behaviour.opening() }
    }
}

impl Ticket {
    /// Admits a connection, or returns what becomes of it instead. Done under the lock, so that none slips in beside
    /// [`kill`](crate::FakeTracker::kill).
    pub(crate) fn admit(shared: &Arc<Shared>) -> Result<Self, Opening> {
        let state = shared.lock();
        match state.opening() {
            Opening::Accepted => Ok(Self::of(shared, &state)),
            otherwise => Err(otherwise),
        }
    }

    /// Admits a connection that was opened elsewhere, unless the tracker refuses.
    pub(crate) fn admit_open(shared: &Arc<Shared>) -> Option<Self> {
        let state = shared.lock();
        (state.opening() != Opening::Refused).then(|| Self::of(shared, &state))
    }

    fn of(shared: &Arc<Shared>, state: &State) -> Self {
        Self { shared: Arc::clone(shared), cut: state.cut.subscribe(), number: shared.log.opened() }
    }

    /// Serves the connection until one side ends it, or it is cut.
    pub(crate) async fn serve<S>(mut self, stream: S, from: SocketAddr, reset: Reset<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let origin = Origin { tracker: self.shared.address, from, connection: self.number };
        let serving = serve(Arc::clone(&self.shared), stream, origin, reset);
        tokio::select! {
            biased;
            _ = self.cut.changed() => (),
            () = serving => (),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.log.closed();
    }
}

/// Accepts for as long as the tracker lives, whichever listener it has.
pub(crate) async fn accept(shared: Arc<Shared>, mut opening: watch::Receiver<Opening>) {
    loop {
        let accepted = poll_fn(|context| {
            let state = shared.lock();
            let Some(port) = &state.port else { return Poll::Pending };
            port.poll_accept(context).map_ok(|(stream, from)| (stream, from, Ticket::of(&shared, &state)))
        });
        tokio::select! {
            biased;
            // The listener may be another.
            changed = opening.changed() => if changed.is_err() { return },
            accepted = accepted => match accepted {
                Ok((stream, from, ticket)) => {
                    // Answers are small, and tests measure them.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(ticket.serve(stream, from, reset));
                }
                // Out of file descriptors, as a rule: a test that opens too many gets them back.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

fn reset(stream: &TcpStream) {
    // Where the system refuses, the connection ends in the ordinary way.
    let _ = stream.set_zero_linger();
}
