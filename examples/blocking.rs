//! The policy engine driven by threads and blocking sockets: no tokio, no hyper, nothing but std.
//!
//! ```text
//! cargo run --no-default-features --features metainfo --example blocking -- some.torrent
//! cargo run --no-default-features --example blocking
//! ```
//!
//! Announces once, with failover, and announces `stopped`. Without an argument it starts two trackers itself: the nearer one
//! answers probes, and closes the connection of every announce.

#[path = "lines/mod.rs"]
mod lines;

use std::collections::HashMap;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tracker_failover::policy::{AttemptId, Engine, Input, Output, Timestamp};
use tracker_failover::wire::http::{announce_target, read_answer};
use tracker_failover::{
    AnnounceError, AnnounceRequest, AnnounceResponse, InfoHash, Measurement, PeerId, Torrent, TrackerSet,
    TrackerUrl,
};
use tracker_failover::{Cause, ReplyError};
use tracker_failover::{Config, Scheme, Schemes};

/// The longest time a thread waits for a tracker. The limits of the engine are shorter.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_BYTES: u64 = 2 << 20;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("blocking: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The trackers of a torrent file, and the torrent.
#[cfg(feature = "metainfo")]
fn read(file: &str, peer_id: PeerId) -> Result<(TrackerSet, Torrent), Box<dyn Error>> {
    let metainfo = tracker_failover::Metainfo::parse(&std::fs::read(file)?)?;
    let mut torrent = Torrent::new(metainfo.info_hash(), peer_id, 6881);
    torrent.transfer.left = Some(metainfo.total_length());
    Ok((TrackerSet::from(&metainfo), torrent))
}

/// Torrent files need the feature.
#[cfg(not(feature = "metainfo"))]
fn read(_: &str, _: PeerId) -> Result<(TrackerSet, Torrent), Box<dyn Error>> {
    Err("torrent files need --features metainfo".into())
}

fn run() -> Result<(), Box<dyn Error>> {
    let peer_id = PeerId::with_prefix(*b"-TF0001-", std::array::from_fn(|_| entropy().to_le_bytes()[0]));
    let (trackers, torrent) = if let Some(file) = std::env::args().nth(1) {
        read(&file, peer_id)?
    } else {
        let far = tiny_tracker(Duration::from_millis(50), true)?;
        let near = tiny_tracker(Duration::ZERO, false)?;
        (TrackerSet::new([[far, near]]), Torrent::new(InfoHash::new([1; 20]), peer_id, 6881))
    };
    let config = Config::default().schemes(Schemes::none().with(Scheme::Http));
    Driver::new(Engine::new(config, entropy())).announce_and_leave(trackers, torrent)
}

/// Runs each output of the engine in a thread, which reports its result here.
struct Driver {
    engine: Engine,
    started: Instant,
    reports: Receiver<Report>,
    reporter: Sender<Report>,
    /// A second handle on each socket in use, to announce on it, and to shut it down while a thread waits for it.
    sockets: HashMap<AttemptId, TcpStream>,
    trackers: HashMap<AttemptId, TrackerUrl>,
}

enum Report {
    Connected(AttemptId, TcpStream),
    Ended(AttemptId, Input),
}

impl Driver {
    fn new(engine: Engine) -> Self {
        let (reporter, reports) = channel();
        let (sockets, trackers) = (HashMap::new(), HashMap::new());
        Self { engine, started: clock(), reports, reporter, sockets, trackers }
    }

    /// The four steps of [`Engine`]'s documentation.
    fn announce_and_leave(mut self, trackers: TrackerSet, torrent: Torrent) -> Result<(), Box<dyn Error>> {
        self.engine.add(trackers, torrent, self.now());
        let mut announced: Result<(), Box<dyn Error>> = Err("nothing was announced".into());
        loop {
            let wake = match self.engine.poll(self.now()) {
                Output::Wait(wake) => wake,
                Output::RoundEnded { torrent, result, .. } => {
                    announced = result.map(drop).map_err(Into::into);
                    self.engine.stop(torrent, self.now());
                    continue;
                }
                Output::Ended { .. } => return announced,
                output => {
                    self.act(output);
                    continue;
                }
            };
            let report = match wake {
                Some(wake) => self.reports.recv_timeout(wake.since(self.now())),
                None => self.reports.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match report {
                Ok(Report::Connected(attempt, socket)) => {
                    // Unless it was closed meanwhile.
                    if self.trackers.contains_key(&attempt) {
                        self.sockets.insert(attempt, socket);
                    }
                    self.engine.handle(Input::Opened(attempt), self.now());
                }
                Ok(Report::Ended(attempt, input)) => {
                    self.forget(attempt);
                    self.engine.handle(input, self.now());
                }
                Err(_) => {} // The time to wait is over: the engine has something to do.
            }
        }
    }

    fn act(&mut self, output: Output) {
        let reporter = self.reporter.clone();
        match output {
            Output::Alert { alert, .. } => {
                for (tag, text) in lines::of(&alert) {
                    println!("[{tag}] {text}");
                }
            }
            Output::Probe { attempt, tracker } => {
                thread::spawn(move || {
                    let result = probe(&tracker);
                    reporter.send(Report::Ended(attempt, Input::Probed(attempt, result)))
                });
            }
            Output::Open { attempt, tracker } => {
                self.trackers.insert(attempt, tracker.clone());
                thread::spawn(move || {
                    reporter.send(match connect(&tracker) {
                        Ok(socket) => Report::Connected(attempt, socket),
                        Err(error) => Report::Ended(attempt, Input::Failed(attempt, error)),
                    })
                });
            }
            Output::Announce { attempt, request } => {
                let (Some(socket), Some(tracker)) =
                    (self.sockets.get(&attempt), self.trackers.get(&attempt).cloned())
                else {
                    return;
                };
                let socket = socket.try_clone();
                thread::spawn(move || {
                    let response = socket
                        .map_err(AnnounceError::connecting)
                        .and_then(|socket| announce(&tracker, &request, socket));
                    let input = match response {
                        Ok(response) => Input::Replied(attempt, Box::new(response)),
                        Err(error) => Input::Failed(attempt, error),
                    };
                    reporter.send(Report::Ended(attempt, input))
                });
            }
            Output::Close { attempt } => {
                if let Some(socket) = self.forget(attempt) {
                    // Wakes the thread that waits for an answer; the engine ignores its report.
                    let _ = socket.shutdown(Shutdown::Both);
                }
            }
            // The loop handles these.
            Output::RoundEnded { .. }
            | Output::Ended { .. }
            | Output::Wait(_)
            | Output::CountPeers { .. }
            | Output::CountTransfer { .. } => {}
        }
    }

    fn forget(&mut self, attempt: AttemptId) -> Option<TcpStream> {
        self.trackers.remove(&attempt);
        self.sockets.remove(&attempt)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_start(clock().duration_since(self.started))
    }
}

fn connect(tracker: &TrackerUrl) -> Result<TcpStream, AnnounceError> {
    let addresses = format!("{}:{}", tracker.host(), tracker.port()).to_socket_addrs();
    let addresses = addresses.map_err(AnnounceError::resolving)?;
    let mut result = Err(AnnounceError::resolving(std::io::Error::from(std::io::ErrorKind::NotFound)));
    for address in addresses {
        match TcpStream::connect_timeout(&address, SOCKET_TIMEOUT) {
            Ok(socket) => return Ok(socket),
            Err(error) => result = Err(AnnounceError::connecting(error)),
        }
    }
    result
}

/// Measures how long a tracker takes to show life: any answer is one.
fn probe(tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
    let started = clock();
    let socket = connect(tracker)?;
    let connected = clock();
    let path = if tracker.path_and_query().starts_with('/') { "" } else { "/" };
    ask("HEAD", tracker, &format!("{path}{}", tracker.path_and_query()), socket)?;
    Ok(Measurement { connect: connected - started, first_byte: connected.elapsed() })
}

fn announce(
    tracker: &TrackerUrl,
    request: &AnnounceRequest,
    socket: TcpStream,
) -> Result<AnnounceResponse, AnnounceError> {
    let answer = ask("GET", tracker, &announce_target(tracker, request), socket)?;
    read_answer(request, answer.status, answer.retry_after.as_deref(), &answer.body, calendar())
}

struct HttpAnswer {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
}

/// One request in HTTP/1.0, whose answer ends with the connection.
fn ask(
    method: &str,
    tracker: &TrackerUrl,
    target: &str,
    mut socket: TcpStream,
) -> Result<HttpAnswer, AnnounceError> {
    let port = tracker.explicit_port().map(|port| format!(":{port}")).unwrap_or_default();
    let question = format!("{method} {target} HTTP/1.0\r\nHost: {}{port}\r\n\r\n", tracker.host());
    let mut answer = Vec::new();
    socket
        .set_read_timeout(Some(SOCKET_TIMEOUT))
        .and_then(|()| socket.write_all(question.as_bytes()))
        .and_then(|()| socket.take(MAX_BYTES).read_to_end(&mut answer))
        .map_err(|error| AnnounceError::Broken(Cause::new(error)))?;
    let not_http = || AnnounceError::NotAReply(ReplyError::new("expected an HTTP answer", 0));
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(not_http)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(not_http)?;
    let retry_after = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("retry-after").then(|| value.to_owned()));
    Ok(HttpAnswer { status, retry_after, body: answer.split_off(end + 4) })
}

/// A tracker for the demonstration: it answers probes after the delay, and answers announces or closes their connections.
fn tiny_tracker(delay: Duration, answers: bool) -> Result<TrackerUrl, Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}/announce", listener.local_addr()?).parse()?;
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut question = [0; 4096];
            let Ok(length) = socket.read(&mut question) else { continue };
            thread::sleep(delay);
            let body = "d8:intervali1800e5:peers6:\u{7f}\0\0\u{1}\u{1a}\u{4}e";
            if answers || question[..length].starts_with(b"HEAD") {
                // The client may have closed the connection.
                let _ = write!(socket, "HTTP/1.0 200 OK\r\n\r\n{body}");
            }
        }
    });
    Ok(url)
}

/// Good enough for jitter and a peer id; a client should use the operating system's.
fn entropy() -> u64 {
    RandomState::new().hash_one(0)
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the time for the engine")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a date of a tracker's is compared with the present time")]
fn calendar() -> SystemTime {
    SystemTime::now()
}
