//! The time before a magnet's torrent is known: connections on which metadata is fetched, and which the download takes over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracker_failover::{InfoHash, PeerCounts, PeerId, Transfer};

use super::adopted::Adopted;
use super::clock::Clock;
use super::handshake;
use super::link::{Link, Links};
use super::registry::{Host, Registry};
use super::run::Outcome;
use crate::discovery::news::News;
use crate::discovery::{Discovery, SwarmState};
use crate::metadata::{Inbox, MetadataSwarm};
use crate::signals::Signals;
use crate::swarm::PeerKey;
use crate::swarm::dial::DialBook;
use crate::ui::event::Event;
use crate::ui::report::Report;
use crate::wire::greeting::Greeted;
use crate::wire::handshake::LENGTH;
use crate::wire::mse::{Ciphers, Policy};
use crate::wire::{self, Why};

/// What there is when the metadata is known.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) metadata: Vec<u8>,
    pub(crate) connections: Vec<Adopted>,
    /// The addresses that are known.
    pub(crate) book: DialBook,
    /// Those of them that a private torrent may be fetched from: the user's and its trackers' (BEP 27).
    pub(crate) named_by_trackers: BTreeSet<SocketAddr>,
}

/// What the fetching begins with.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) info_hash: InfoHash,
    pub(crate) own_id: PeerId,
    /// The port on which we take connections.
    pub(crate) port: u16,
    /// For everything that is left to chance.
    pub(crate) seed: u64,
    /// Peers to begin with.
    pub(crate) peers: Vec<SocketAddr>,
    /// Whether connections are encrypted.
    pub(crate) encryption: Policy,
    /// When it ends without a result, from the start of the clock.
    pub(crate) deadline: Option<Duration>,
    pub(crate) clock: Clock,
}

/// Everything of it on the network thread. Nothing is borrowed across an await.
struct Phase {
    swarm: RefCell<MetadataSwarm>,
    /// Rung when the metadata is here.
    found: Notify,
    links: Links,
    /// Connections that came in, and wait for their turn.
    arrived: RefCell<Vec<(TcpStream, SocketAddr, Greeted)>>,
    has_arrived: Notify,
    report: Rc<RefCell<Report>>,
    begin: Begin,
}

/// Fetches the metadata of a torrent.
///
/// # Errors
/// The reason of an end without it; never [`Outcome::Done`].
pub(crate) async fn fetch(
    begin: Begin,
    registry: &Rc<Registry>,
    discovery: &mut Discovery,
    signals: &mut Signals,
    report: &Rc<RefCell<Report>>,
) -> Result<Found, Outcome> {
    let swarm = MetadataSwarm::new(begin.info_hash, begin.own_id, begin.port, begin.seed);
    let phase = Rc::new(Phase {
        swarm: RefCell::new(swarm),
        found: Notify::new(),
        links: Links::default(),
        arrived: RefCell::default(),
        has_arrived: Notify::new(),
        report: Rc::clone(report),
        begin,
    });
    let host: Rc<dyn Host> = phase.clone();
    let registered = registry.enter(phase.begin.info_hash, host);
    let mut connections = JoinSet::new();
    // Connections end before the end only where the metadata has just come.
    let mut adopted = Vec::new();
    let mut named_by_trackers: BTreeSet<SocketAddr> = phase.begin.peers.iter().copied().collect();
    for &peer in &phase.begin.peers {
        if !phase.swarm.borrow_mut().add_peer(peer, phase.now()) {
            report.borrow_mut().error(&format!("{peer} can't be a peer's address"));
        }
    }
    let mut alone = discovery.is_empty();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let metadata = loop {
        tokio::select! {
            () = phase.has_arrived.notified() => {
                for (stream, address, greeted) in phase.arrived.take() {
                    connections.spawn_local(Rc::clone(&phase).incoming(stream, address, greeted));
                }
            }
            _ = ticks.tick() => phase.swarm.borrow_mut().tick(phase.now()),
            Some(ended) = connections.join_next() => adopted.extend(ended.ok().flatten()),
            news = discovery.next() => match news {
                News::Peers(peers) => {
                    for peer in peers {
                        phase.swarm.borrow_mut().add_peer(peer, phase.now());
                        if discovery.names_peers_of_trackers_only() && named_by_trackers.len() < MAX_NAMED {
                            named_by_trackers.insert(peer);
                        }
                    }
                }
                News::Line(tag, text) => report.borrow_mut().tracker(tag, &text),
                News::Detail(tag, text) => report.borrow_mut().detail(tag, &text),
                News::Swarm(tracker, swarm) => report.borrow_mut().swarm(&tracker.to_string(), swarm),
                News::Moved => {}
                News::NoneLeft => alone = true,
            },
            () = phase.found.notified() => {}
            () = signals.recv() => return Err(Outcome::Interrupted),
        }
        phase.act(&mut connections);
        let tracker = discovery.tick(phase.state(), phase.now());
        report.borrow_mut().fetching_metadata(phase.connected(), tracker);
        if let Some(metadata) = phase.swarm.borrow_mut().take_metadata() {
            break metadata;
        }
        if alone && phase.swarm.borrow().is_out_of_peers() {
            return Err(Outcome::OutOfPeers);
        }
        if phase.begin.deadline.is_some_and(|deadline| phase.now() >= deadline) {
            return Err(Outcome::Deadline);
        }
    };
    drop(registered);
    adopted.extend(phase.hand_over(connections).await);
    let book = phase.swarm.borrow_mut().take_book();
    Ok(Found { metadata, connections: adopted, book, named_by_trackers })
}

impl Phase {
    fn now(&self) -> Duration {
        self.begin.clock.now()
    }

    /// Our side of a handshake. It names no node of the DHT (BEP 5), because the torrent may turn out to be private.
    fn own_handshake(&self) -> [u8; LENGTH] {
        wire::handshake::write(self.begin.info_hash, self.begin.own_id, false)
    }

    fn connected(&self) -> usize {
        self.swarm.borrow().connected()
    }

    /// What discovery has to know.
    fn state(&self) -> SwarmState {
        let swarm = self.swarm.borrow();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (connected, connecting) = (count(swarm.connected()), count(swarm.dialling()));
        SwarmState {
            transfer: Transfer::default(),
            peers: PeerCounts { connected, connecting, seeds: 0 },
            has_peers: swarm.has_peers(),
            is_complete: false,
            wants_peers: true,
        }
    }

    /// Does what is to be done: dials peers, wakes the connections that have something to write or are to be closed.
    fn act(self: &Rc<Self>, connections: &mut JoinSet<Option<Adopted>>) {
        let due = self.swarm.borrow_mut().due(self.now());
        for address in due {
            connections.spawn_local(Rc::clone(self).outgoing(address));
        }
        self.wake();
    }

    fn wake(&self) {
        let (closing, wakes) = self.swarm.borrow_mut().take_wakes();
        if self.swarm.borrow().is_found() {
            self.found.notify_one();
        }
        for (key, why) in closing {
            self.links.close(key, why);
        }
        self.links.wake(&wakes);
    }

    async fn outgoing(self: Rc<Self>, address: SocketAddr) -> Option<Adopted> {
        let Begin { info_hash, encryption, .. } = self.begin;
        match handshake::dial(address, info_hash, self.own_handshake(), encryption).await {
            Ok((stream, greeted)) => self.talk(stream, address, true, greeted).await,
            Err(why) => self.closed(address, true, why),
        }
    }

    async fn incoming(
        self: Rc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        greeted: Greeted,
    ) -> Option<Adopted> {
        self.talk(stream, address, false, greeted).await
    }

    fn closed(&self, address: SocketAddr, dialled: bool, why: Why) -> Option<Adopted> {
        self.swarm.borrow_mut().not_connected(address, dialled, why, self.now());
        self.report.borrow_mut().event(&Event::PeerClosed { peer: address, why });
        None
    }

    /// Talks to a peer until the metadata is here, or one side has enough.
    async fn talk(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
        dialled: bool,
        greeted: Greeted,
    ) -> Option<Adopted> {
        let Greeted { handshake, mut ciphers, unread, .. } = greeted;
        let joined = self.swarm.borrow_mut().connected_to(address, dialled, &handshake, self.now());
        let key = match joined {
            Ok(key) => key,
            Err(why) => return self.closed(address, dialled, why),
        };
        let link = self.links.add(key);
        let (encryption, fast) = (handshake.method, handshake.fast);
        self.report.borrow_mut().event(&Event::PeerConnected { peer: address, encryption, fast });
        let mut inbox = Inbox::new(fast);
        let ended = match self.take(key, &unread, &mut inbox) {
            Ok(()) => self.exchange(key, &link, &mut stream, &mut ciphers, &mut inbox).await,
            Err(why) => Err(why),
        };
        self.links.remove(key);
        match ended {
            Ok(()) => {
                let unread = inbox.into_unread();
                Some(Adopted { stream, address, dialled, handshake, ciphers, unread })
            }
            Err(why) => {
                self.swarm.borrow_mut().disconnected(key, why, self.now());
                let mut report = self.report.borrow_mut();
                if why == Why::HashFail {
                    report.event(&Event::PeerBanned { peer: address });
                }
                report.event(&Event::PeerClosed { peer: address, why });
                None
            }
        }
    }

    /// Takes bytes of a peer in clear.
    fn take(&self, key: PeerKey, bytes: &[u8], inbox: &mut Inbox) -> Result<(), Why> {
        let taken = inbox.take(bytes, |message| self.swarm.borrow_mut().message(key, message, self.now()));
        self.wake();
        taken
    }

    async fn exchange(
        &self,
        key: PeerKey,
        link: &Link,
        stream: &mut TcpStream,
        ciphers: &mut Ciphers,
        inbox: &mut Inbox,
    ) -> Result<(), Why> {
        let mut scratch = vec![0; READ];
        let mut out = Vec::new();
        loop {
            if let Some(why) = link.closing() {
                return Err(why);
            }
            let mut new = self.swarm.borrow_mut().take_outgoing(key);
            ciphers.encrypt(&mut new);
            out.append(&mut new);
            if self.swarm.borrow().is_found() {
                // What was begun has to be finished, so that the next message begins where this one ends.
                let written = timeout(LAST_WRITE, stream.write_all(&out)).await;
                return written.map_err(|_| Why::Timeout)?.map_err(|_| Why::Io);
            }
            match stream.try_write(&out) {
                Ok(written) => drop(out.drain(..written)),
                Err(error) if is_temporary(error.kind()) => {}
                Err(_) if out.is_empty() => {}
                Err(_) => return Err(Why::Io),
            }
            tokio::select! {
                ready = stream.readable() => {
                    ready.map_err(|_| Why::Io)?;
                    match stream.try_read(&mut scratch) {
                        Ok(0) => return Err(Why::Eof),
                        Ok(read) => {
                            let bytes = scratch.get_mut(..read).unwrap_or_default();
                            ciphers.decrypt(bytes);
                            self.take(key, bytes, inbox)?;
                        }
                        Err(error) if is_temporary(error.kind()) => {}
                        Err(_) => return Err(Why::Io),
                    }
                }
                ready = stream.writable(), if !out.is_empty() => ready.map_err(|_| Why::Io)?,
                () = link.woken() => {}
            }
        }
    }

    /// Ends all connections but those on which the download can go on.
    async fn hand_over(&self, mut connections: JoinSet<Option<Adopted>>) -> Vec<Adopted> {
        self.links.wake_all();
        let mut adopted = Vec::new();
        let gather = async {
            while !self.links.is_empty() {
                match connections.join_next().await {
                    Some(Ok(Some(connection))) => adopted.push(connection),
                    Some(_) => {}
                    None => break,
                }
            }
            // Those that have left the list of links and weren't waited for yet.
            while let Some(ended) = connections.try_join_next() {
                if let Ok(Some(connection)) = ended {
                    adopted.push(connection);
                }
            }
        };
        // Each of them has its own limit; this one is for the case that it doesn't hold.
        let _ = timeout(2 * LAST_WRITE, gather).await;
        connections.abort_all();
        adopted
    }
}

impl Host for Phase {
    fn admits(&self, address: SocketAddr) -> bool {
        self.swarm.borrow().admits(address)
    }

    fn connected(&self) -> usize {
        self.swarm.borrow().connected()
    }

    fn handshake(&self) -> [u8; LENGTH] {
        self.own_handshake()
    }

    fn welcome(self: Rc<Self>, stream: TcpStream, address: SocketAddr, greeted: Greeted) {
        self.arrived.borrow_mut().push((stream, address, greeted));
        self.has_arrived.notify_one();
    }

    fn not_connected(&self, address: SocketAddr, why: Why) {
        self.closed(address, false, why);
    }
}

fn is_temporary(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

const TICK: Duration = Duration::from_millis(250);
/// Bytes read at a time; most of what comes are pieces of metadata, of 16 KiB.
const READ: usize = 32 << 10;
/// So long a peer may take for our last message before the download goes on without it.
const LAST_WRITE: Duration = Duration::from_secs(1);
/// As many addresses as are known at most.
const MAX_NAMED: usize = 2000;
