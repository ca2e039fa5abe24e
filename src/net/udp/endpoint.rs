//! One tracker address: its socket, the task that runs the state machine on it, and the callers that wait for answers.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::socket::DatagramSocket;
use crate::error::{AnnounceError, Rejection, TimeoutPhase};
use crate::net::clock;
use crate::wire::udp::{
    Answer, Endpoint, EndpointOutput, ExchangeError, ExchangeId, Family, Question, Times,
};

/// How many announces and scrapes to one address are unanswered at once, at most: trackers and routers drop bursts.
pub(super) const MAX_OUTSTANDING: usize = 16;

/// How many datagrams are read before anything else is done. Each announce and scrape has one answer, so four rounds of
/// answers fit.
const MAX_AT_ONCE: usize = 4 * MAX_OUTSTANDING;

/// An [`Endpoint`] that all callers share.
pub(super) struct SharedEndpoint {
    state: Mutex<EndpointState>,
    changed: Notify,
    start: Instant,
    pub(super) outstanding: Semaphore,
}

struct EndpointState {
    endpoint: Endpoint,
    waiting: BTreeMap<ExchangeId, PendingExchange>,
    /// The last error of the network.
    cause: Option<AnnounceError>,
    /// Whether there was silence or a refusal since the last packet came. A doubtful endpoint is closed when it is idle:
    /// a new socket has another port, and may get through.
    doubtful: bool,
    closed: bool,
    /// When it was last used, counted from `start`.
    used_at: Duration,
}

struct PendingExchange {
    phase: TimeoutPhase,
    done: oneshot::Sender<Result<Answer, AnnounceError>>,
}

enum Next {
    Send(Vec<u8>),
    Wait(Option<Duration>),
}

/// An answer that is awaited. Dropping it gives the question up.
pub(super) struct PendingAnswer {
    endpoint: Arc<SharedEndpoint>,
    id: ExchangeId,
    done: oneshot::Receiver<Result<Answer, AnnounceError>>,
}

/// Closes the endpoint when its task ends, in whatever way, so that no caller waits for a task that is gone.
struct CloseOnDrop(Arc<SharedEndpoint>);

impl SharedEndpoint {
    pub(super) fn new(family: Family, times: Times) -> Self {
        let state = EndpointState {
            endpoint: Endpoint::new(family, times),
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

    /// Asks a question; `None` where this endpoint has been closed, and the caller needs another one.
    pub(super) fn ask(self: &Arc<Self>, question: Question, phase: TimeoutPhase) -> Option<PendingAnswer> {
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

    /// Whether it has a valid connection id.
    pub(super) fn is_connected(&self) -> bool {
        let now = self.now();
        let state = self.lock();
        !state.closed && state.endpoint.is_connected(now)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// When it was last used; `None` while it is in use.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.endpoint.exchanges() == 0).then(|| self.start + state.used_at)
    }

    /// Closes it, unless a question is under way. Gives whether it is closed.
    pub(super) fn close_if_idle(&self) -> bool {
        let mut state = self.lock();
        state.closed |= state.endpoint.exchanges() == 0;
        state.closed
    }

    /// Runs the state machine on the socket, until the endpoint has been idle for so long, or is doubtful.
    pub(super) async fn run(self: Arc<Self>, socket: Box<dyn DatagramSocket>, idle: Duration) {
        let closing = CloseOnDrop(Arc::clone(&self));
        if let Err(error) = socket.ready().await {
            self.fail(&error);
            return;
        }
        while let Some(wake) = self.act(&*socket, idle).await {
            let wake = self.start + wake;
            let has_received = tokio::select! {
                biased;
                received = socket.receive() => {
                    self.take(&*socket, received);
                    true
                }
                () = self.changed.notified() => false,
                () = sleep_until(wake) => false,
            };
            // After a standstill of the process, it takes a moment until sockets report what arrived (R100).
            let stood_still = !has_received && clock::stood_still(wake);
            let patience = if stood_still { clock::QUIET } else { Duration::ZERO };
            self.take_what_has_arrived(&*socket, patience).await;
        }
        drop(closing);
    }

    /// Sends what is due. Gives the moment at which more is; `None` when the endpoint is closed.
    async fn act(&self, socket: &dyn DatagramSocket, idle: Duration) -> Option<Duration> {
        loop {
            match self.next(idle) {
                Next::Send(packet) => self.send(socket, &packet).await,
                Next::Wait(moment) => return moment,
            }
        }
    }

    /// The next packet, or the moment to look again.
    fn next(&self, idle: Duration) -> Next {
        let now = self.now();
        let mut state = self.lock();
        loop {
            match state.endpoint.poll(now, rand::random()) {
                EndpointOutput::Send(packet) => return Next::Send(packet),
                EndpointOutput::Ended(id, result) => state.ended(id, result),
                EndpointOutput::Wait(Some(moment)) => return Next::Wait(Some(moment)),
                EndpointOutput::Wait(None) => {
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
            self.broken(AnnounceError::connecting(error));
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
                received = socket.receive() => self.take(socket, received),
                () = enough => return,
            }
            patience = Duration::ZERO;
        }
    }

    fn take(&self, socket: &dyn DatagramSocket, received: io::Result<Vec<u8>>) {
        match received {
            Ok(datagram) => self.received(socket, &datagram),
            Err(error) => self.broken(AnnounceError::connecting(error)),
        }
    }

    fn received(&self, socket: &dyn DatagramSocket, datagram: &[u8]) {
        let now = self.now();
        let mut state = self.lock();
        state.doubtful = false;
        let was_connected = state.endpoint.is_connected(now);
        state.endpoint.received(datagram, now);
        if !was_connected
            && state.endpoint.is_connected(now)
            && let Some(address) = socket.answered()
        {
            state.endpoint.set_family(Family::of(address));
        }
    }

    /// Ends all that waits, and closes the endpoint: its socket can't be used.
    fn fail(&self, error: &AnnounceError) {
        let mut state = self.lock();
        state.closed = true;
        for exchange in std::mem::take(&mut state.waiting).into_values() {
            // The caller may have left.
            let _ = exchange.done.send(Err(error.clone()));
        }
    }

    fn broken(&self, error: AnnounceError) {
        let mut state = self.lock();
        state.cause = Some(error);
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
    fn ended(&mut self, id: ExchangeId, result: Result<Answer, ExchangeError>) {
        let Some(waiting) = self.waiting.remove(&id) else { return };
        let result = result.map_err(|error| match error {
            ExchangeError::Silent => {
                self.doubtful = true;
                AnnounceError::TimedOut(waiting.phase)
            }
            ExchangeError::Unreachable => self
                .cause
                .clone()
                .unwrap_or_else(|| AnnounceError::connecting(io::Error::from(io::ErrorKind::NotConnected))),
            ExchangeError::Rejected(text) => AnnounceError::Rejected(Rejection::new(text)),
        });
        // The caller may have left.
        let _ = waiting.done.send(result);
    }
}

impl PendingAnswer {
    pub(super) async fn answer(mut self) -> Result<Answer, AnnounceError> {
        // While an answer is awaited, the task only ends together with its runtime or its transport.
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
