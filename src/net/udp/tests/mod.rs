//! Scripted trackers behind a network in memory, where every datagram and every moment is determined, and some on
//! real sockets.

mod addresses;
mod exchanges;
mod failover;
mod loopback;
mod probing;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fake_tracker::{FakeUdpTracker, UdpAsked, UdpBehaviour};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{DatagramConnector, DatagramSocket, UdpConfig, UdpTransport};
use crate::announce::{AnnounceRequest, AnnounceResponse, InfoHash, PeerId};
use crate::error::AnnounceError;
use crate::net::resolver::StaticResolver;
use crate::tracker::TrackerUrl;
use crate::transport::Transport;

/// One way. Both are 80 ms.
const WAY: Duration = Duration::from_millis(40);

const HASH: InfoHash = InfoHash::new([7; 20]);

/// The trackers by address, and how datagrams get there.
#[derive(Clone)]
struct Internet(Arc<Inside>);

struct Inside {
    hosts: Mutex<BTreeMap<SocketAddr, Arc<FakeUdpTracker>>>,
    resolver: Mutex<StaticResolver>,
    /// Whether IPv6 can be reached.
    v6: bool,
    loss: f64,
    random: Mutex<StdRng>,
    sockets: Mutex<Sockets>,
    /// The error of this machine for every datagram.
    fails: Mutex<Option<io::ErrorKind>>,
    /// How a closed port is reported.
    refusal: Mutex<io::ErrorKind>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sockets {
    opened: usize,
    open: usize,
}

struct Wire {
    internet: Internet,
    remote: SocketAddr,
    to_us: mpsc::UnboundedSender<io::Result<Vec<u8>>>,
    arriving: tokio::sync::Mutex<mpsc::UnboundedReceiver<io::Result<Vec<u8>>>>,
}

impl Internet {
    fn new() -> Self {
        Self::lossy(0.0, 0)
    }

    /// Loses each datagram with this probability, each way.
    fn lossy(loss: f64, seed: u64) -> Self {
        Self(Arc::new(Inside {
            hosts: Mutex::default(),
            resolver: Mutex::default(),
            v6: true,
            loss,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            sockets: Mutex::default(),
            fails: Mutex::default(),
            refusal: Mutex::new(io::ErrorKind::ConnectionRefused),
        }))
    }

    fn without_v6() -> Self {
        let Self(inside) = Self::new();
        Self(Arc::new(Inside { v6: false, ..Arc::into_inner(inside).unwrap() }))
    }

    /// Puts a tracker at an address, under a name.
    fn host(&self, name: &str, address: &str, behaviour: UdpBehaviour) -> Arc<FakeUdpTracker> {
        let address: SocketAddr = address.parse().unwrap();
        self.name(name, address);
        let tracker = Arc::new(FakeUdpTracker::in_memory(address, behaviour));
        self.0.hosts.lock().unwrap().insert(address, Arc::clone(&tracker));
        tracker
    }

    /// Gives a name an address, with or without a tracker.
    fn name(&self, name: &str, address: SocketAddr) {
        let mut resolver = self.0.resolver.lock().unwrap();
        *resolver = resolver.clone().with(name, [address.ip()]);
    }

    /// Removes the tracker at this address.
    fn remove(&self, address: &str) {
        self.0.hosts.lock().unwrap().remove(&address.parse().unwrap());
    }

    fn fails(&self, error: Option<io::ErrorKind>) {
        *self.0.fails.lock().unwrap() = error;
    }

    fn refuses_with(&self, error: io::ErrorKind) {
        *self.0.refusal.lock().unwrap() = error;
    }

    fn transport(&self, config: UdpConfig) -> UdpTransport {
        let resolver = Arc::new(self.0.resolver.lock().unwrap().clone());
        UdpTransport::with_connector(config, resolver, Arc::new(self.clone()))
    }

    fn sockets(&self) -> Sockets {
        *self.0.sockets.lock().unwrap()
    }

    /// How long a datagram takes; `None` where it is lost.
    fn way(&self) -> Option<Duration> {
        let mut random = self.0.random.lock().unwrap();
        (!random.random_bool(self.0.loss)).then_some(WAY)
    }
}

impl DatagramConnector for Internet {
    fn connect(&self, remote: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        if remote.is_ipv6() && !self.0.v6 {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let (to_us, arriving) = mpsc::unbounded_channel();
        {
            let mut sockets = self.0.sockets.lock().unwrap();
            sockets.opened += 1;
            sockets.open += 1;
        }
        let arriving = tokio::sync::Mutex::new(arriving);
        Ok(Box::new(Wire { internet: self.clone(), remote, to_us, arriving }))
    }

    fn is_direct(&self) -> bool {
        true
    }
}

#[async_trait]
impl DatagramSocket for Wire {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        if let Some(kind) = *self.internet.0.fails.lock().unwrap() {
            return Err(kind.into());
        }
        let (Some(there), Some(back)) = (self.internet.way(), self.internet.way()) else { return Ok(()) };
        let tracker = self.internet.0.hosts.lock().unwrap().get(&self.remote).cloned();
        let refusal = *self.internet.0.refusal.lock().unwrap();
        let (to_us, datagram) = (self.to_us.clone(), datagram.to_vec());
        let us = if self.remote.is_ipv4() { "8.9.9.9:5000" } else { "[2600::5]:5000" };
        tokio::spawn(async move {
            sleep(there).await;
            let Some(tracker) = tracker else {
                sleep(back).await;
                let _ = to_us.send(Err(refusal.into()));
                return;
            };
            let answers = tracker.hear(&datagram, us.parse().unwrap());
            sleep(back + tracker.delay()).await;
            for answer in answers.into_iter().filter(|answer| !answer.from_elsewhere) {
                let _ = to_us.send(Ok(answer.bytes));
            }
        });
        Ok(())
    }

    async fn receive(&self) -> io::Result<Vec<u8>> {
        match self.arriving.lock().await.recv().await {
            Some(arrived) => arrived,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.internet.0.sockets.lock().unwrap().open -= 1;
    }
}

fn url(text: &str) -> TrackerUrl {
    text.parse().unwrap()
}

fn request() -> AnnounceRequest {
    let mut request = AnnounceRequest::new(HASH, PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
    request.transfer.left = Some(1000);
    request
}

async fn announce(transport: &UdpTransport, tracker: &str) -> Result<AnnounceResponse, AnnounceError> {
    transport.open(&url(tracker)).await?.announce(&request()).await
}

async fn open_error(transport: &UdpTransport, tracker: &str) -> AnnounceError {
    match transport.open(&url(tracker)).await {
        Ok(_) => panic!("{tracker} was opened"),
        Err(error) => error,
    }
}

fn peers(response: &AnnounceResponse) -> Vec<String> {
    response.peers.iter().map(|peer| peer.address.to_string()).collect()
}

/// The kinds of packets that a tracker received: `c`onnect, `a`nnounce, `s`crape, anything else `?`.
fn heard(tracker: &FakeUdpTracker) -> String {
    let letter = |asked| match asked {
        UdpAsked::Connect => 'c',
        UdpAsked::Announce => 'a',
        UdpAsked::Scrape => 's',
        UdpAsked::Other => '?',
    };
    tracker.kinds().into_iter().map(letter).collect()
}

/// How long something takes on the paused clock.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let started = now();
    let result = work.await;
    (result, now() - started)
}

#[expect(clippy::disallowed_methods, reason = "tests read tokio's paused clock")]
fn now() -> Instant {
    Instant::now()
}
