//! The only user of the DHT's crate (BEP 5): takes how many peers there are, gives peers and lines for the user.

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs, UdpSocket};
use std::panic;
use std::pin::{self, pin};
use std::thread;
use std::time::Duration;

use futures_core::Stream;
use mainline::async_dht::AsyncDht;
use mainline::{DEFAULT_BOOTSTRAP_NODES, Dht, Id};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracker_failover::{AddressPolicy, InfoHash};

use super::news::News;
use super::rule::{Ask, Joins, Rule, Supply};
use crate::ui::units;

/// The DHT as a source of peers. Before the rule says so there is no node, and so no socket.
#[derive(Debug)]
pub(crate) struct Overlay {
    rule: Rule,
    settings: Settings,
    node: Option<Node>,
    waiting: VecDeque<News>,
    /// Other nodes, as of the last lookup.
    known: Vec<SocketAddrV4>,
    /// The time of the last tick.
    now: Duration,
}

/// The user's settings for the DHT, and what is announced.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) joins: Joins,
    pub(crate) info_hash: InfoHash,
    /// The port for peers. The node listens on the UDP port of the same number if it is free, else on any.
    pub(crate) port: u16,
    /// Nodes to begin with, as `HOST:PORT`; empty for the public ones.
    pub(crate) bootstrap: Vec<String>,
    /// Nodes to begin with beside those.
    pub(crate) further: Vec<String>,
    pub(crate) allow_loopback: bool,
}

/// A running node: a task, and the thread of the crate. Both end when this is dropped.
#[derive(Debug)]
struct Node {
    questions: Sender<Ask>,
    reports: Receiver<Report>,
    task: JoinHandle<()>,
    /// Where it listens, as soon as it does.
    port: Option<u16>,
    has_joined: bool,
}

/// What the task of a node reports.
#[derive(Debug)]
enum Report {
    /// The node listens on this port.
    Listening(u16),
    /// Other nodes have answered; these are known.
    Joined(Vec<SocketAddrV4>),
    Peers(Vec<SocketAddr>),
    /// A lookup is done.
    LookedUp {
        peers: usize,
        announced: Option<bool>,
    },
    /// There is no node, or it reaches no other.
    Failed(String),
}

impl Overlay {
    /// A DHT that nothing has been asked of.
    pub(crate) fn new(settings: Settings, now: Duration) -> Self {
        let rule = Rule::new(settings.joins, now);
        Self { rule, settings, node: None, waiting: VecDeque::new(), known: Vec::new(), now }
    }

    /// Time has passed; there are so many peers.
    pub(super) fn tick(&mut self, supply: Supply, now: Duration) {
        self.now = now;
        let Some(ask) = self.rule.tick(supply, now) else { return };
        let node = self.node.get_or_insert_with(|| {
            let count = self.settings.bootstrap_nodes().len();
            let text = format!("joining the DHT by {}", units::count(count as u64, "bootstrap node"));
            self.waiting.push_back(News::Line(TAG, text));
            Node::start(self.settings.clone())
        });
        // One at a time is asked, so there is room, unless the task has ended; then its reports have as well.
        let _ = node.questions.try_send(ask);
    }

    /// Waits for the next news; for ever while nothing is asked. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.waiting.pop_front() {
                return news;
            }
            let Some(node) = &mut self.node else { return std::future::pending().await };
            let ended = || Report::Failed("the DHT's node has ended".into());
            let report = node.reports.recv().await.unwrap_or_else(ended);
            self.take(report);
        }
    }

    /// The port of our node; `None` while there is none. The crate's node is read-only (BEP 43) for its first 15 minutes, and
    /// answers queries after that if it can be reached.
    pub(super) fn node_port(&self) -> Option<u16> {
        self.node.as_ref()?.port
    }

    /// The other nodes that were known after the last lookup.
    pub(super) fn known_nodes(&self) -> &[SocketAddrV4] {
        &self.known
    }

    /// Ends the node. Nothing is sent after this.
    pub(super) async fn stop(mut self) {
        if let Some(mut node) = self.node.take() {
            node.task.abort();
            let _ = (&mut node.task).await;
        }
    }

    fn take(&mut self, report: Report) {
        let mut line = |text: String| self.waiting.push_back(News::Line(TAG, text));
        match report {
            Report::Listening(port) => {
                if let Some(node) = &mut self.node {
                    node.port = Some(port);
                }
            }
            Report::Joined(nodes) => {
                let is_first =
                    self.node.as_mut().is_some_and(|node| !std::mem::replace(&mut node.has_joined, true));
                if is_first {
                    let count = nodes.len().max(1);
                    line(format!("joined the DHT, {} known", units::count(count as u64, "node")));
                }
                self.known = nodes;
            }
            Report::Peers(peers) => self.waiting.push_back(News::Peers(peers)),
            Report::LookedUp { peers, announced } => {
                line(format!("{} in the DHT", units::count(peers as u64, "peer")));
                match announced {
                    Some(true) => line(format!("announced port {} to the DHT", self.settings.port)),
                    Some(false) => line("no node of the DHT took our announce".into()),
                    None => {}
                }
                self.rule.answered(announced == Some(true), self.now);
            }
            Report::Failed(reason) => {
                self.node = None;
                let wait = self.rule.failed(self.now).as_secs();
                self.waiting.push_back(News::Line(TAG, format!("{reason}; next attempt in {wait} s")));
            }
        }
    }
}

impl Settings {
    fn bootstrap_nodes(&self) -> Vec<String> {
        let mut names = self.bootstrap.clone();
        if names.is_empty() {
            names.extend(DEFAULT_BOOTSTRAP_NODES.map(str::to_owned));
        }
        names.extend(self.further.iter().cloned());
        names
    }
}

impl Node {
    fn start(settings: Settings) -> Self {
        let (questions, asked) = channel(1);
        let (report, reports) = channel(MAX_REPORTS);
        let task = tokio::spawn(serve(settings, asked, report));
        Self { questions, reports, task, port: None, has_joined: false }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task of a node. It ends with it, also by a panic in the crate, which panics for some answers of other nodes.
async fn serve(settings: Settings, mut asked: Receiver<Ask>, report: Sender<Report>) {
    let failure = match create(&settings).await {
        Ok(dht) => {
            let id = Id::from(*settings.info_hash.as_bytes());
            let allowed = if settings.allow_loopback {
                AddressPolicy::ALLOW_LOOPBACK
            } else {
                AddressPolicy::PUBLIC_ONLY
            };
            let port = dht.info().await.local_addr().port();
            let _ = report.send(Report::Listening(port)).await;
            loop {
                let Some(ask) = asked.recv().await else { return };
                let Some(peers) = look_up(&dht, id, &allowed, &report).await else {
                    break "no node of the DHT answers".into();
                };
                let announced =
                    if ask.announce { Some(announce(dht.clone(), id, settings.port).await) } else { None };
                // The other side goes with the task.
                let _ = report.send(Report::LookedUp { peers, announced }).await;
            }
        }
        Err(reason) => reason,
    };
    let _ = report.send(Report::Failed(failure)).await;
}

/// Passes on the peers that other nodes know. Returns how many there are, or `None` if there is no other node.
///
/// Each address comes once, and a lookup names at most [`MAX_PEERS`]: every answer is a stranger's.
async fn look_up(dht: &AsyncDht, id: Id, allowed: &AddressPolicy, report: &Sender<Report>) -> Option<usize> {
    let mut limit = pin!(sleep(LOOKUP_LIMIT));
    let mut answers = dht.get_peers(id);
    let mut seen = BTreeSet::new();
    loop {
        let answer = tokio::select! {
            answer = poll_fn(|context| pin::Pin::new(&mut answers).poll_next(context)) => answer,
            () = &mut limit => None,
        };
        let Some(answer) = answer else { break };
        let room = MAX_PEERS.saturating_sub(seen.len());
        let peers = answer.into_iter().map(SocketAddr::V4).filter(|&peer| allowed.allows(peer));
        let new: Vec<_> = peers.filter(|&peer| seen.insert(peer)).take(room).collect();
        if !new.is_empty() {
            let nodes = parse_nodes(&dht.to_bootstrap().await, allowed);
            let _ = report.send(Report::Joined(nodes)).await;
            let _ = report.send(Report::Peers(new)).await;
        }
        if seen.len() >= MAX_PEERS {
            break;
        }
    }
    let nodes = dht.to_bootstrap().await;
    if nodes.is_empty() {
        return None;
    }
    let _ = report.send(Report::Joined(parse_nodes(&nodes, allowed))).await;
    Some(seen.len())
}

/// The addresses of nodes, without those that may not be asked.
fn parse_nodes(nodes: &[String], allowed: &AddressPolicy) -> Vec<SocketAddrV4> {
    let nodes = nodes.iter().filter_map(|node| node.parse::<SocketAddrV4>().ok());
    nodes.filter(|&node| allowed.allows(node.into())).collect()
}

/// Announces our port to the nodes that answered the lookup just before, so that their tokens are fresh.
async fn announce(dht: AsyncDht, id: Id, port: u16) -> bool {
    // The crate panics where all nodes answer with an error of another kind of storing. This is a task of its own for that.
    let announce = tokio::spawn(async move { dht.announce_peer(id, Some(port)).await });
    matches!(timeout(ANNOUNCE_LIMIT, announce).await, Ok(Ok(Ok(_))))
}

/// Creates a node on a thread of its own, because names are resolved and the crate waits for its socket. No runtime waits
/// for that thread.
async fn create(settings: &Settings) -> Result<AsyncDht, String> {
    let names = settings.bootstrap_nodes();
    let port = settings.port;
    let (reply, created) = oneshot::channel();
    let run = move || {
        let nodes = resolve(&names);
        if reply.is_closed() {
            return;
        }
        let created = if nodes.is_empty() {
            Err("no bootstrap node of the DHT has an IPv4 address".to_owned())
        } else {
            bind(&nodes, port).map_err(|error| format!("no socket for the DHT: {error}"))
        };
        // If the download has ended meanwhile, the node is dropped here.
        let _ = reply.send(created);
    };
    thread::Builder::new().name("dht".into()).spawn(run).map_err(|error| error.to_string())?;
    match created.await {
        Ok(created) => created.map(Dht::as_async),
        Err(_) => Err("the DHT's node could not be created".into()),
    }
}

/// The addresses of these names, without those that have none.
fn resolve(names: &[String]) -> Vec<SocketAddrV4> {
    let addresses = names.iter().filter_map(|name| name.to_socket_addrs().ok()).flatten();
    let v4: BTreeSet<_> = addresses
        .filter_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        })
        .collect();
    v4.into_iter().collect()
}

/// A node on the UDP port of this number, or on any.
fn bind(nodes: &[SocketAddrV4], port: u16) -> io::Result<Dht> {
    // The crate panics where its socket can't be bound, so that is tried before.
    let is_free = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
    let at = |port| {
        let build = || Dht::builder().bootstrap(nodes).port(port).build();
        let failed = |_| Err(io::Error::new(io::ErrorKind::AddrInUse, "the port is in use"));
        panic::catch_unwind(build).unwrap_or_else(failed)
    };
    if is_free { at(port).or_else(|_| at(0)) } else { at(0) }
}

/// The tag of the lines about the DHT.
pub(super) const TAG: &str = "OVERLAY";
/// New peers taken of one lookup.
const MAX_PEERS: usize = 200;
/// Reports on their way; a task with more waits.
const MAX_REPORTS: usize = 16;
/// A lookup of a few hops takes seconds, as silent nodes take two each.
const LOOKUP_LIMIT: Duration = Duration::from_secs(30);
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(15);
