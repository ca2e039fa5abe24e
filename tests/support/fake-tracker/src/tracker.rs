//! One scripted tracker, on a port of loopback or in memory.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::behaviour::{Behaviour, Opening};
use crate::log::Counts;
use crate::port::Port;
use crate::request::{Asked, Heard};
use crate::shared::{Shared, Ticket, accept};
use crate::swarm::{Swarm, SwarmCounts, SwarmPeer};

/// How many bytes fit into a connection in memory in each direction, as into a socket.
const PIPE: usize = 64 * 1024;

/// A tracker that follows its script and logs what it receives. Dropping it ends it, with its port
/// and all its connections.
///
/// It lives on a port of loopback ([`start`](Self::start)) or has none
/// ([`in_memory`](Self::in_memory)); the script works the same over either.
pub struct FakeTracker {
    shared: Arc<Shared>,
    accepting: Option<AbortHandle>,
}

impl FakeTracker {
    /// Starts a tracker on a free port of 127.0.0.1, with its own swarm.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or where loopback gives no port.
    #[expect(
        clippy::unused_async,
        reason = "starting is done by tasks of the runtime, so it is asked for there"
    )]
    pub async fn start(behaviour: Behaviour) -> Self {
        Self::start_in(&lonely(), behaviour)
    }

    /// Starts a tracker on this address, such as `127.0.0.2:0`, `[::1]:0` or the address of a tracker that has
    /// been dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or where the address can't be had.
    #[expect(clippy::unused_async, reason = "as in `start`")]
    pub async fn start_at(address: SocketAddr, behaviour: Behaviour) -> Self {
        Self::on(address, &lonely(), behaviour)
    }

    /// Starts a tracker on a free port that shares a swarm with others.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or where loopback gives no port.
    pub fn start_in(swarm: &Swarm, behaviour: Behaviour) -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), swarm, behaviour)
    }

    fn on(address: SocketAddr, swarm: &Swarm, behaviour: Behaviour) -> Self {
        let port = Port::bind(address).unwrap_or_else(|error| panic!("no tracker at {address}: {error}"));
        let mut tracker = Self::new(port.address(), Some(port), swarm, behaviour);
        let (shared, opening) = (Arc::clone(&tracker.shared), tracker.shared.opening.subscribe());
        tracker.accepting = Some(tokio::spawn(accept(shared, opening)).abort_handle());
        tracker
    }

    /// Makes a tracker without a port: [`connect_in_memory`](Self::connect_in_memory) leads to it. All delays
    /// are tokio's, so with a paused clock they take no time. Its [`address`](Self::address) is made up, and
    /// another for each.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn in_memory(behaviour: Behaviour) -> Self {
        Self::in_memory_in(&lonely(), behaviour)
    }

    /// Makes a tracker without a port that shares a swarm with others.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn in_memory_in(swarm: &Swarm, behaviour: Behaviour) -> Self {
        Self::new(made_up_address(), None, swarm, behaviour)
    }

    fn new(address: SocketAddr, port: Option<Port>, swarm: &Swarm, behaviour: Behaviour) -> Self {
        Self { shared: Arc::new(Shared::new(address, port, swarm, behaviour)), accepting: None }
    }

    /// Where it listens, or the made-up address of a tracker in memory.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Its announce address, `http://127.0.0.1:PORT/announce`.
    pub fn announce_url(&self) -> String {
        self.url_with("/announce")
    }

    /// Its address with this path and query, such as `/announce.php?passkey=secret`.
    pub fn url_with(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.address())
    }

    /// Does this from now on, for new connections and for the next request of open ones; what is being
    /// answered is answered to its end. The port is opened or shut before this returns. `Refused` also closes
    /// the open connections, soon ([`kill`](Self::kill) waits for that).
    ///
    /// # Panics
    /// When a sequence is empty, or when the port can't be opened again or can't drop a SYN on this system.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        behaviour.check();
        self.shared.lock().behaviour = behaviour;
        self.shared.settle();
    }

    /// Does this about requests for one torrent from now on. Whether connections are accepted is up to what
    /// [`set_behaviour`](Self::set_behaviour) says.
    ///
    /// # Panics
    /// When a sequence is empty.
    pub fn set_behaviour_for(&self, info_hash: [u8; 20], behaviour: Behaviour) {
        behaviour.check();
        self.shared.lock().of_torrents.insert(info_hash, behaviour);
    }

    /// Lets everything take this much longer, as if it were far away: each answer, and in memory also each
    /// opening of a connection. The kernel opens a TCP connection, which can't be delayed.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.lock().latency = latency;
    }

    /// Dies: shuts the port, so that connecting is refused, and closes all connections. They are closed when
    /// this returns. The port stays reserved, the script and the log stay as they are.
    pub async fn kill(&self) {
        self.shared.lock().killed = true;
        self.shared.settle();
        self.shared.emptied().await;
    }

    /// Comes back after [`kill`](Self::kill), on the same port, with the script where it was.
    ///
    /// # Panics
    /// When the port can't be opened again, which doesn't happen on Linux, where it stays reserved.
    #[expect(clippy::unused_async, reason = "the counterpart of `kill`")]
    pub async fn revive(&self) {
        self.shared.lock().killed = false;
        self.shared.settle();
    }

    /// Everything heard so far, oldest first, as far as [`LOG_LIMIT`](crate::LOG_LIMIT) goes.
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.log.heard(|_| true)
    }

    /// The announces among everything heard so far: requests with an `info_hash` that are no scrape.
    pub fn announces(&self) -> Vec<Heard> {
        self.shared.log.heard(|request| request.asked() == Asked::Announce)
    }

    /// Forgets what was heard. The counts go on.
    pub fn forget(&self) {
        self.shared.log.forget();
    }

    /// How many connections were accepted since the start.
    pub fn connections(&self) -> usize {
        self.counts().connections
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.counts().open
    }

    /// How much it has seen.
    pub fn counts(&self) -> Counts {
        self.shared.log.counts()
    }

    /// Waits until there were so many announces since the start, and gives them.
    pub async fn wait_for_announces(&self, count: usize) -> Vec<Heard> {
        self.wait_for(|counts| counts.announces >= count).await;
        self.announces()
    }

    /// Waits until what it has seen is as wanted, such as all connections closed:
    /// `wait_for(|counts| counts.open == 0)`.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub async fn wait_for(&self, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        self.shared.log.wait_for(wanted).await
    }

    /// The peers of a torrent that this tracker knows, in the order of their ids.
    pub fn peers_of(&self, info_hash: &[u8; 20]) -> Vec<SwarmPeer> {
        self.shared.swarm.peers_of(self.shared.member, info_hash)
    }

    /// How large the swarm of a torrent is as this tracker knows it.
    pub fn counts_of(&self, info_hash: &[u8; 20]) -> SwarmCounts {
        self.shared.swarm.counts_of(self.shared.member, info_hash).unwrap_or_default()
    }

    /// Adds a peer, as if it had announced itself here.
    pub fn add_peer(&self, info_hash: [u8; 20], peer: SwarmPeer) {
        self.shared.swarm.add(self.shared.member, info_hash, peer);
    }

    /// Connects in memory, whether the tracker has a port or not.
    ///
    /// Takes as long as the latency. While SYNs are dropped it doesn't end, as if the client's kernel sent
    /// them again and again. The future doesn't borrow the tracker, so it can be a connector's.
    ///
    /// # Errors
    /// `ConnectionRefused` where the tracker refuses, is dead, or has been dropped.
    pub fn connect_in_memory(&self) -> impl Future<Output = io::Result<DuplexStream>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            let mut opening = shared.opening.subscribe();
            let latency = shared.lock().latency;
            if !latency.is_zero() {
                sleep(latency).await;
            }
            let ticket = loop {
                match Ticket::admit(&shared) {
                    Ok(ticket) => break ticket,
                    Err(Opening::Dropped) if opening.changed().await.is_ok() => (),
                    Err(_) => return Err(io::ErrorKind::ConnectionRefused.into()),
                }
            };
            let (ours, theirs) = tokio::io::duplex(PIPE);
            let from = made_up_address();
            let runtime = shared.runtime.clone();
            runtime.spawn(ticket.serve(ours, from, |_| ()));
            Ok(theirs)
        }
    }

    /// Plays the script over any stream, such as one end of a pipe or a TLS connection that the test accepted
    /// itself, until one side ends it: at once where the tracker refuses. `from` is where the tracker takes the client to be.
    pub fn serve_stream<S>(&self, stream: S, from: SocketAddr) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let shared = Arc::clone(&self.shared);
        async move {
            if let Some(ticket) = Ticket::admit_open(&shared) {
                ticket.serve(stream, from, |_| ()).await;
            }
        }
    }
}

impl Drop for FakeTracker {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.shared.end();
    }
}

impl fmt::Debug for FakeTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeTracker")
            .field("address", &self.address())
            .field("opening", &*self.shared.opening.borrow())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

fn lonely() -> Swarm {
    Swarm::new(Duration::ZERO)
}

/// An address on which nothing of ours listens, and another each time.
fn made_up_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(0);
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from((Ipv4Addr::LOCALHOST, 1024 + port % (u16::MAX - 1024)))
}
