//! One tracker address: its socket, the task that does what the state machine says, and who waits for what.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::socket::DatagramSocket;
use crate::error::{AnnounceError, Cause, Phase, Rejection};
use crate::net::clock;
use crate::wire::udp::{Answer, Endpoint, ExchangeId, Failure, Family, Output, Question, Times};

/// How many announces and scrapes one tracker has to answer at once; trackers and routers drop bursts.
pub(super) const MAX_OUTSTANDING: usize = 16;

/// How many datagrams are taken in before anything else is done: each announce and scrape has one answer.
const MAX_AT_ONCE: usize = 4 * MAX_OUTSTANDING;

/// An [`Endpoint`] with its socket, shared by all who ask it.
pub(super) struct SharedEndpoint {
    state: Mutex<EndpointState>,
    changed: Notify,
    start: Instant,
    pub(super) outstanding: Semaphore,
}

struct EndpointState {
    endpoint: Endpoint,
    waiting: BTreeMap<ExchangeId, PendingExchange>,
    /// What the network said last.
    cause: Option<Cause>,
    /// Since anything came from there, nothing more than silence and refusals: a new socket is a new chance.
    doubtful: bool,
    closed: bool,
    used_at: Duration,
}

struct PendingExchange {
    phase: Phase,
    done: oneshot::Sender<Result<Answer, AnnounceError>>,
}

enum Next {
    Send(Vec<u8>),
    Wait(Option<Duration>),
}

/// A question under way. Dropping it gives the question up.
pub(super) struct PendingAnswer {
    endpoint: Arc<SharedEndpoint>,
    id: ExchangeId,
    done: oneshot::Receiver<Result<Answer, AnnounceError>>,
}

/// Closes the endpoint when its task ends, however it does: nobody may wait for a task that is gone.
struct CloseOnDrop(Arc<SharedEndpoint>);

impl SharedEndpoint {
    pub(super) fn new(address: SocketAddr, times: Times) -> Self {
        let state = EndpointState {
            endpoint: Endpoint::new(Family::of(address), times),
            waiting: BTreeMap::new(),
            cause: None,
            doubtful: false,
            closed: false,
            used_at: Duration::ZERO,
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            start: clock::now(),
            outstanding: Semaphore::new(MAX_OUTSTANDING),
        }
    }

    /// Asks; `None` where this endpoint has been closed meanwhile, and another is needed.
    pub(super) fn ask(self: &Arc<Self>, question: Question, phase: Phase) -> Option<PendingAnswer> {
        let now = self.now();
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let (sender, done) = oneshot::channel();
        let id = state.endpoint.begin(question, now);
        state.waiting.insert(id, PendingExchange { phase, done: sender });
        state.used_at = now;
        drop(state);
        self.changed.notify_one();
        Some(PendingAnswer { endpoint: Arc::clone(self), id, done })
    }

    /// Whether an announce can be sent without connecting first.
    pub(super) fn is_connected(&self) -> bool {
        let now = self.now();
        let state = self.lock();
        !state.closed && state.endpoint.is_connected(now)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// When it was last asked something; `None` while it is being asked.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.endpoint.exchanges() == 0).then(|| self.start + state.used_at)
    }

    /// Takes no further questions, unless one is under way.
    pub(super) fn close_if_idle(&self) -> bool {
        let mut state = self.lock();
        state.closed |= state.endpoint.exchanges() == 0;
        state.closed
    }

    /// Does what the state machine says, until nobody has asked anything for so long.
    pub(super) async fn run(self: Arc<Self>, socket: Box<dyn DatagramSocket>, idle: Duration) {
        let closing = CloseOnDrop(Arc::clone(&self));
        while let Some(wake) = self.act(&*socket, idle).await {
            let wake = self.start + wake;
            let has_received = tokio::select! {
                biased;
                received = socket.receive() => {
                    self.take(received);
                    true
                }
                () = self.changed.notified() => false,
                () = sleep_until(wake) => false,
            };
            // What came while this process stood still isn't seen at once.
            let stood_still = !has_received && clock::stood_still(wake);
            let patience = if stood_still { clock::QUIET } else { Duration::ZERO };
            self.take_what_has_arrived(&*socket, patience).await;
        }
        drop(closing);
    }

    /// Does everything that is due, and says when to come back; never again when it has closed.
    async fn act(&self, socket: &dyn DatagramSocket, idle: Duration) -> Option<Duration> {
        loop {
            match self.next(idle) {
                Next::Send(packet) => self.send(socket, &packet).await,
                Next::Wait(moment) => return moment,
            }
        }
    }

    /// The next packet, or when to come back.
    fn next(&self, idle: Duration) -> Next {
        let now = self.now();
        let mut state = self.lock();
        loop {
            match state.endpoint.poll(now, rand::random()) {
                Output::Send(packet) => return Next::Send(packet),
                Output::Ended(id, result) => state.ended(id, result),
                Output::Wait(Some(moment)) => return Next::Wait(Some(moment)),
                Output::Wait(None) => {
                    let end = state.used_at.saturating_add(idle);
                    state.closed |= state.doubtful || end <= now;
                    return Next::Wait((!state.closed).then_some(end));
                }
            }
        }
    }

    async fn send(&self, socket: &dyn DatagramSocket, packet: &[u8]) {
        // An error may be the answer to an earlier packet; this one is then still to be sent.
        if socket.send(packet).await.is_err()
            && let Err(error) = socket.send(packet).await
        {
            self.broken(error);
        }
    }

    /// Takes in what lies in the socket, before any limit is judged (R100). The first of it is waited for.
    async fn take_what_has_arrived(&self, socket: &dyn DatagramSocket, mut patience: Duration) {
        for _ in 0..MAX_AT_ONCE {
            let enough = async {
                // A timer of no time takes a millisecond.
                if !patience.is_zero() {
                    sleep(patience).await;
                }
            };
            tokio::select! {
                biased;
                received = socket.receive() => self.take(received),
                () = enough => return,
            }
            patience = Duration::ZERO;
        }
    }

    fn take(&self, received: io::Result<Vec<u8>>) {
        match received {
            Ok(datagram) => self.received(&datagram),
            Err(error) => self.broken(error),
        }
    }

    fn received(&self, datagram: &[u8]) {
        let now = self.now();
        let mut state = self.lock();
        state.doubtful = false;
        state.endpoint.received(datagram, now);
    }

    fn broken(&self, error: io::Error) {
        let mut state = self.lock();
        state.cause = Some(Cause::new(error));
        state.doubtful = true;
        state.endpoint.unreachable();
    }

    fn now(&self) -> Duration {
        clock::now().saturating_duration_since(self.start)
    }

    fn lock(&self) -> MutexGuard<'_, EndpointState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndpointState {
    fn ended(&mut self, id: ExchangeId, result: Result<Answer, Failure>) {
        let Some(waiting) = self.waiting.remove(&id) else { return };
        let result = result.map_err(|failure| match failure {
            Failure::Silent => {
                self.doubtful = true;
                AnnounceError::TimedOut(waiting.phase)
            }
            Failure::Unreachable => AnnounceError::connecting(
                self.cause
                    .clone()
                    .unwrap_or_else(|| Cause::new(io::Error::from(io::ErrorKind::NotConnected))),
            ),
            Failure::Rejected(text) => AnnounceError::Rejected(Rejection::new(text)),
        });
        // Whoever asked may have gone.
        let _ = waiting.done.send(result);
    }
}

impl PendingAnswer {
    pub(super) async fn answer(mut self) -> Result<Answer, AnnounceError> {
        // The task only ends with its runtime or its transport while somebody waits.
        (&mut self.done).await.unwrap_or(Err(AnnounceError::Cancelled))
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        let now = self.endpoint.now();
        let mut state = self.endpoint.lock();
        if state.waiting.remove(&self.id).is_some() {
            state.endpoint.cancel(self.id);
        }
        state.used_at = now;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.waiting.clear();
    }
}
