//! A scripted UDP tracker (BEP 15, BEP 41), on a port of loopback or in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::log::{LOG_LIMIT, Log, now};

/// The error of a tracker that doesn't know a connection id, in the words of opentracker.
const STALE: &str = "Connection ID missmatch.\0";

/// A UDP tracker that follows its script and logs what it receives. Dropping it ends it.
#[derive(Debug)]
pub struct FakeUdpTracker {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Keeps the port while nothing answers there: a socket that is connected elsewhere takes nothing from
    /// others, so that the kernel refuses them.
    reservation: Mutex<Option<std::net::UdpSocket>>,
}

/// What a UDP tracker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UdpBehaviour {
    /// Answers everything that comes with a connection id it gave out.
    Ok,
    /// Sends nothing.
    Silent,
    /// Answers connects only.
    ConnectsOnly,
    /// Answers each packet twice: first with a wrong transaction id (and other numbers), then with the right one.
    WrongThenRight,
    /// Answers with wrong transaction ids only, errors among them.
    WrongTransaction,
    /// Refuses announces and scrapes with this text.
    Error(String),
    /// Refuses connects with this text.
    RefusesConnects(String),
    /// Loses the first packets of each kind, this many.
    LosesFirst(usize),
    /// Takes no connection id for good.
    AlwaysStale,
    /// Answers from another port.
    FromAnotherPort,
    /// Answers announces with these bytes after the transaction id, whatever they are.
    Raw(Vec<u8>),
}

/// A packet that a tracker heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpHeard {
    /// The address it came from.
    pub from: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Greater than that of everything that any fake tracker of the process heard before.
    pub sequence: u64,
    /// When it was received, on tokio's clock.
    pub at: Instant,
}

/// What a packet asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpAsked {
    /// A connection id.
    Connect,
    /// An announce.
    Announce,
    /// A scrape.
    Scrape,
    /// Nothing that BEP 15 knows.
    Other,
}

/// What a tracker sends back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpAnswer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// They come from another port than that which was asked.
    pub from_elsewhere: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    count: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    behaviour: UdpBehaviour,
    /// Of torrents that are served otherwise.
    of_torrents: BTreeMap<[u8; 20], UdpBehaviour>,
    delay: Duration,
    interval: u32,
    leechers: u32,
    seeders: u32,
    peers: Vec<SocketAddr>,
    heard: VecDeque<UdpHeard>,
    lost: [usize; 3],
    connections: BTreeSet<u64>,
    given: u64,
}

impl FakeUdpTracker {
    /// Starts a tracker on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or where loopback gives no port.
    pub fn start(behaviour: UdpBehaviour) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), behaviour)
    }

    /// Starts a tracker on this address, such as `[::1]:0`.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or where the address can't be had.
    pub fn start_at(address: SocketAddr, behaviour: UdpBehaviour) -> Self {
        let socket = bind(address);
        let address = socket.local_addr().unwrap_or(address);
        let tracker = Self::in_memory(address, behaviour);
        tracker.serve(socket);
        tracker
    }

    /// Makes a tracker without a port: [`hear`](Self::hear) is how it is talked to.
    pub fn in_memory(address: SocketAddr, behaviour: UdpBehaviour) -> Self {
        let peer: IpAddr =
            if address.is_ipv4() { [8, 8, 4, 4].into() } else { [0x2600, 0x9000, 0, 0, 0, 0, 0, 0xa].into() };
        let state = State {
            behaviour,
            of_torrents: BTreeMap::new(),
            delay: Duration::ZERO,
            interval: 1800,
            leechers: 1,
            seeders: 2,
            peers: vec![SocketAddr::new(peer, 6881)],
            heard: VecDeque::new(),
            lost: [0; 3],
            connections: BTreeSet::new(),
            given: u64::from(address.port()),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), count: watch::Sender::new(0) });
        Self { address, shared, task: Mutex::default(), reservation: Mutex::default() }
    }

    /// Its address on loopback.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its announce address, with the path `/announce`.
    pub fn announce_url(&self) -> String {
        format!("udp://{}/announce", self.address)
    }

    /// Makes it do something else from now on.
    pub fn set_behaviour(&self, behaviour: UdpBehaviour) {
        let mut state = self.shared.lock();
        state.behaviour = behaviour;
        state.lost = [0; 3];
    }

    /// Makes it do something else about announces of this torrent from now on.
    pub fn set_behaviour_for(&self, info_hash: [u8; 20], behaviour: UdpBehaviour) {
        self.shared.lock().of_torrents.insert(info_hash, behaviour);
    }

    /// Makes it answer so much later.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Makes it hand out this interval, in seconds.
    pub fn set_interval(&self, seconds: u32) {
        self.shared.lock().interval = seconds;
    }

    /// Makes it count this many seeders and leechers; one leecher and two seeders at first.
    pub fn set_counts(&self, seeders: u32, leechers: u32) {
        let mut state = self.shared.lock();
        (state.seeders, state.leechers) = (seeders, leechers);
    }

    /// Makes it hand out these peers. Those of another family are left out.
    pub fn set_peers(&self, peers: impl IntoIterator<Item = SocketAddr>) {
        self.shared.lock().peers = peers.into_iter().collect();
    }

    /// Makes it forget the connection ids it gave out, as a restart does.
    pub fn forget_connections(&self) {
        self.shared.lock().connections.clear();
    }

    /// Ends it: the port is closed, and the kernel refuses what is sent there.
    ///
    /// # Panics
    /// If another process has taken the port meanwhile.
    pub async fn kill(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            // The port is free when the task is gone, with its socket.
            let _ = task.await;
        }
        let socket = bind(self.address);
        let elsewhere = SocketAddr::new(self.address.ip(), self.address.port() ^ 1);
        socket.connect(elsewhere).unwrap_or_else(|error| panic!("the port can't be shut: {error}"));
        *self.reservation.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    /// Brings it back on the same port, without the connection ids it gave out.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or if another process has taken the port meanwhile.
    pub fn revive(&self) {
        self.forget_connections();
        *self.reservation.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.serve(bind(self.address));
    }

    /// Everything heard, oldest first.
    pub fn heard(&self) -> Vec<UdpHeard> {
        self.shared.lock().heard.iter().cloned().collect()
    }

    /// What was heard of one kind, oldest first.
    pub fn heard_of(&self, asked: UdpAsked) -> Vec<UdpHeard> {
        self.heard().into_iter().filter(|heard| heard.asked() == asked).collect()
    }

    /// The kinds of what was heard, oldest first.
    pub fn kinds(&self) -> Vec<UdpAsked> {
        self.heard().iter().map(UdpHeard::asked).collect()
    }

    /// Waits until so many packets have been heard.
    pub async fn wait_for(&self, packets: usize) -> Vec<UdpHeard> {
        // The sender is in `self`, so it can't be gone.
        let _ = self.shared.count.subscribe().wait_for(|count| *count >= packets).await;
        self.heard()
    }

    /// How much later it answers.
    pub fn delay(&self) -> Duration {
        self.shared.lock().delay
    }

    /// Takes a packet in, and returns the reply.
    pub fn hear(&self, bytes: &[u8], from: SocketAddr) -> Vec<UdpAnswer> {
        self.shared.hear(bytes, from)
    }

    fn serve(&self, socket: std::net::UdpSocket) {
        let served = socket.set_nonblocking(true).and_then(|()| UdpSocket::from_std(socket));
        let socket = Arc::new(served.unwrap_or_else(|error| panic!("no UDP tracker: {error}")));
        let task = tokio::spawn(serve(Arc::clone(&self.shared), socket));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }
}

impl Drop for FakeUdpTracker {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl UdpHeard {
    /// The action that the packet asks for.
    pub fn asked(&self) -> UdpAsked {
        match (self.number(8), self.bytes.len()) {
            (Some(0), 16..) if self.bytes.starts_with(&0x0417_2710_1980_u64.to_be_bytes()) => {
                UdpAsked::Connect
            }
            (Some(1), 98..) => UdpAsked::Announce,
            (Some(2), 16..) => UdpAsked::Scrape,
            _ => UdpAsked::Other,
        }
    }

    /// Its connection id.
    pub fn connection(&self) -> Option<u64> {
        self.bytes.first_chunk().map(|id| u64::from_be_bytes(*id))
    }

    /// Its transaction id.
    pub fn transaction(&self) -> Option<u32> {
        self.number(12)
    }

    /// The torrent of an announce.
    pub fn info_hash(&self) -> Option<[u8; 20]> {
        self.bytes.get(16..36)?.try_into().ok()
    }

    /// The torrents of a scrape.
    pub fn scraped(&self) -> Vec<[u8; 20]> {
        self.bytes.get(16..).unwrap_or_default().as_chunks().0.to_vec()
    }

    /// The event of an announce: 0 none, 1 completed, 2 started, 3 stopped.
    pub fn event(&self) -> Option<u32> {
        self.number(80)
    }

    /// The announce's `left`: the bytes still missing.
    pub fn left(&self) -> Option<u64> {
        self.bytes.get(64..)?.first_chunk().map(|left| u64::from_be_bytes(*left))
    }

    /// How many peers an announce wants; -1 for whatever the tracker likes.
    pub fn num_want(&self) -> Option<i32> {
        self.number(92).map(u32::cast_signed)
    }

    /// The port of the client.
    pub fn port(&self) -> Option<u16> {
        self.bytes.get(96..)?.first_chunk().map(|port| u16::from_be_bytes(*port))
    }

    /// The path and query that came as options (BEP 41).
    pub fn url_data(&self) -> Vec<u8> {
        let (mut rest, mut data) = (self.bytes.get(98..).unwrap_or_default(), Vec::new());
        loop {
            rest = match rest {
                [] | [0, ..] => return data,
                [1, rest @ ..] => rest,
                [option, length, rest @ ..] => {
                    let (value, rest) = rest.split_at(rest.len().min(usize::from(*length)));
                    if *option == 2 {
                        data.extend_from_slice(value);
                    }
                    rest
                }
                [_] => return data,
            }
        }
    }

    fn number(&self, at: usize) -> Option<u32> {
        self.bytes.get(at..)?.first_chunk().map(|number| u32::from_be_bytes(*number))
    }
}

impl Shared {
    fn hear(&self, bytes: &[u8], from: SocketAddr) -> Vec<UdpAnswer> {
        let heard = UdpHeard { from, bytes: bytes.to_vec(), sequence: Log::next_sequence(), at: now() };
        let mut state = self.lock();
        let answers = state.answers(&heard);
        if state.heard.len() == LOG_LIMIT {
            state.heard.pop_front();
        }
        state.heard.push_back(heard);
        drop(state);
        self.count.send_modify(|count| *count += 1);
        answers
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answers(&mut self, heard: &UdpHeard) -> Vec<UdpAnswer> {
        let Some(transaction) = heard.transaction() else { return Vec::new() };
        let asked = heard.asked();
        let here = |bytes| UdpAnswer { bytes, from_elsewhere: false };
        let torrent = heard.info_hash().filter(|_| asked == UdpAsked::Announce);
        let own = torrent.and_then(|torrent| self.of_torrents.get(&torrent));
        let behaviour = own.unwrap_or(&self.behaviour);
        match (behaviour, asked) {
            (UdpBehaviour::Silent, _)
            | (_, UdpAsked::Other)
            | (UdpBehaviour::ConnectsOnly, UdpAsked::Announce | UdpAsked::Scrape) => return Vec::new(),
            (UdpBehaviour::LosesFirst(lost), _) => {
                let so_far = &mut self.lost[asked as usize];
                if *so_far < *lost {
                    *so_far += 1;
                    return Vec::new();
                }
            }
            (UdpBehaviour::RefusesConnects(text), UdpAsked::Connect)
            | (UdpBehaviour::Error(text), UdpAsked::Announce | UdpAsked::Scrape) => {
                return vec![here(error(transaction, text))];
            }
            (UdpBehaviour::AlwaysStale, UdpAsked::Announce | UdpAsked::Scrape) => {
                return vec![here(error(transaction, STALE))];
            }
            (UdpBehaviour::WrongTransaction, _) => {
                let wrong = transaction ^ 0x8000;
                return vec![here(self.answer(heard, wrong)), here(error(wrong, "not for you"))];
            }
            (UdpBehaviour::WrongThenRight, _) => {
                let wrong = self.answer(heard, transaction ^ 1);
                return vec![here(wrong), here(self.answer(heard, transaction))];
            }
            (UdpBehaviour::Raw(bytes), UdpAsked::Announce) => {
                return vec![here(packet(1, transaction, bytes))];
            }
            _ => {}
        }
        let from_elsewhere = *behaviour == UdpBehaviour::FromAnotherPort;
        vec![UdpAnswer { bytes: self.answer(heard, transaction), from_elsewhere }]
    }

    fn answer(&mut self, heard: &UdpHeard, transaction: u32) -> Vec<u8> {
        let asked = heard.asked();
        if asked == UdpAsked::Connect {
            // Any numbers do, as long as they are not those of another tracker.
            self.given =
                self.given.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.connections.insert(self.given);
            return packet(0, transaction, &self.given.to_be_bytes());
        }
        if heard.connection().is_none_or(|id| !self.connections.contains(&id)) {
            return error(transaction, STALE);
        }
        if asked == UdpAsked::Scrape {
            // Seeders, downloads, leechers: no two are the same.
            let record = |index: u32| [index, 100 + index, 200 + index].map(u32::to_be_bytes).concat();
            let records: Vec<_> = (0..).zip(heard.scraped()).flat_map(|(index, _)| record(index)).collect();
            return packet(2, transaction, &records);
        }
        let mut rest = [self.interval, self.leechers, self.seeders].map(u32::to_be_bytes).concat();
        for peer in &self.peers {
            match (heard.from.ip().to_canonical(), peer.ip()) {
                (IpAddr::V4(_), IpAddr::V4(ip)) => rest.extend(ip.octets()),
                (IpAddr::V6(_), IpAddr::V6(ip)) => rest.extend(ip.octets()),
                _ => continue,
            }
            rest.extend(peer.port().to_be_bytes());
        }
        packet(1, transaction, &rest)
    }
}

async fn serve(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        // An error here is about a client that has gone.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let answers = shared.hear(&buffer[..length], from);
        let (delay, socket) = (shared.lock().delay, Arc::clone(&socket));
        let send = async move {
            for answer in answers {
                // What can't be sent is lost, as datagrams are.
                if answer.from_elsewhere {
                    let Ok(address) = socket.local_addr() else { continue };
                    let Ok(other) = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).await else { continue };
                    let _ = other.send_to(&answer.bytes, from).await;
                } else {
                    let _ = socket.send_to(&answer.bytes, from).await;
                }
            }
        };
        if delay.is_zero() {
            send.await;
        } else {
            tokio::spawn(async move {
                sleep(delay).await;
                send.await;
            });
        }
    }
}

fn error(transaction: u32, text: &str) -> Vec<u8> {
    packet(3, transaction, text.as_bytes())
}

fn packet(action: u32, transaction: u32, rest: &[u8]) -> Vec<u8> {
    [action.to_be_bytes().as_slice(), &transaction.to_be_bytes(), rest].concat()
}

fn bind(address: SocketAddr) -> std::net::UdpSocket {
    std::net::UdpSocket::bind(address).unwrap_or_else(|error| panic!("no UDP tracker at {address}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce(options: &[u8]) -> UdpHeard {
        let mut bytes = vec![0; 98];
        bytes[11] = 1;
        bytes.extend_from_slice(options);
        UdpHeard { from: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), bytes, sequence: 0, at: now() }
    }

    /// TV-4.
    #[test]
    fn options_are_read_as_bep_41_says() {
        let rows: [(&[u8], &[u8]); 7] = [
            (b"", b""),
            (b"\x02\x00", b""),
            (b"\x02\x09/announce", b"/announce"),
            (b"\x02\x02/a\x02\x01b", b"/ab"),
            // TV-4.8: two NOPs, an empty one, and nothing after the end. TV-4.9: an unknown option is skipped.
            (b"\x01\x01\x02\x00\x02\x04/ann\x00\xff\xff", b"/ann"),
            (b"\x7f\x03abc\x02\x01/\x00", b"/"),
            (b"\x02\xff/cut", b"/cut"),
        ];
        for (options, expected) in rows {
            assert_eq!(announce(options).url_data(), expected, "{}", options.escape_ascii());
        }
    }

    async fn ask(address: SocketAddr, packet: &[u8]) -> std::io::Result<Vec<u8>> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(address).await?;
        socket.send(packet).await?;
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).await?;
        Ok(buffer[..length].to_vec())
    }

    const CONNECT: &[u8] = b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0abcd";

    #[tokio::test]
    async fn a_killed_tracker_is_refused_by_the_kernel_and_comes_back() {
        let tracker = FakeUdpTracker::start(UdpBehaviour::Ok);
        for _ in 0..2 {
            let answer = ask(tracker.address(), CONNECT).await.unwrap();
            assert_eq!((&answer[..8], answer.len()), (b"\0\0\0\0abcd".as_slice(), 16));
            tracker.kill().await;
            let refused = ask(tracker.address(), CONNECT).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
            tracker.revive();
        }
        assert_eq!(tracker.kinds(), [UdpAsked::Connect; 2]);
    }

    #[tokio::test]
    async fn one_torrent_may_be_served_otherwise() {
        let tracker = FakeUdpTracker::in_memory("127.0.0.1:9".parse().unwrap(), UdpBehaviour::Ok);
        let from = "127.0.0.1:10".parse().unwrap();
        tracker.set_behaviour_for([1; 20], UdpBehaviour::ConnectsOnly);
        let given = tracker.hear(CONNECT, from).remove(0).bytes;
        let mut packet = announce(b"").bytes;
        packet[..8].copy_from_slice(&given[8..]);
        assert_eq!(tracker.hear(&packet, from).len(), 1);
        packet[16..36].fill(1);
        assert_eq!(tracker.hear(&packet, from), []);
    }

    #[tokio::test]
    async fn the_counts_of_an_answer_can_be_set() {
        let tracker = FakeUdpTracker::in_memory("127.0.0.1:9".parse().unwrap(), UdpBehaviour::Ok);
        let from = "127.0.0.1:10".parse().unwrap();
        let given = tracker.hear(CONNECT, from).remove(0).bytes;
        let mut packet = announce(b"").bytes;
        packet[..8].copy_from_slice(&given[8..]);
        let counted = || tracker.hear(&packet, from).remove(0).bytes[12..20].to_vec();
        assert_eq!(counted(), [0, 0, 0, 1, 0, 0, 0, 2]);
        tracker.set_counts(3, 4);
        assert_eq!(counted(), [0, 0, 0, 4, 0, 0, 0, 3]);
    }

    #[tokio::test]
    async fn connection_ids_are_checked() {
        let tracker = FakeUdpTracker::in_memory("127.0.0.1:9".parse().unwrap(), UdpBehaviour::Ok);
        let from = "127.0.0.1:10".parse().unwrap();
        let given = tracker.hear(CONNECT, from).remove(0).bytes;
        let mut packet = announce(b"").bytes;
        let stale = tracker.hear(&packet, from).remove(0).bytes;
        assert!(stale.starts_with(b"\0\0\0\x03") && stale.ends_with(b"Connection ID missmatch.\0"));
        packet[..8].copy_from_slice(&given[8..]);
        let answer = tracker.hear(&packet, from).remove(0).bytes;
        assert_eq!((answer[3], answer.len()), (1, 26));
    }
}
