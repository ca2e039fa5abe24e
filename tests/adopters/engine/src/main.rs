//! Announces a torrent without a runtime: the engine decides, and threads with blocking sockets carry it out.
//!
//! ```text
//! engine TRACKER...
//! ```
//!
//! Announces `started`, finds the download complete, announces that, and leaves.

use std::collections::HashMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tracker_failover::policy::{AttemptId, Engine, Input, Output, Timestamp};
use tracker_failover::wire::http::{announce_target, read_announce};
use tracker_failover::{
    AnnounceError, AnnounceRequest, AnnounceResponse, Config, Event, InfoHash, PeerId, Probing, Scheme,
    Schemes, Torrent, TrackerSet, TrackerUrl, Transfer,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("engine: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let tiers = std::env::args().skip(1).map(|tracker| Ok([tracker.parse()?]));
    let tiers: Vec<[TrackerUrl; 1]> = tiers.collect::<Result<_, Box<dyn Error>>>()?;
    let config = Config::default().schemes(Schemes::none().with(Scheme::Http)).probing(Probing::Off);
    // A program that announces in earnest takes the seed from the system.
    let mut engine = Engine::new(config, 7);
    let started = Instant::now();
    let now = || Timestamp::from_start(started.elapsed());
    let (reporter, reports) = channel();
    let mut trackers: HashMap<AttemptId, TrackerUrl> = HashMap::new();

    let mut torrent = Torrent::new(InfoHash::new([6; 20]), PeerId::new(*b"-EN0001-abcdefghijkl"), 6881);
    torrent.transfer.left = Some(1000);
    let torrent = engine.add(TrackerSet::new(tiers), torrent, now());
    let mut left = 1000;
    engine.count_transfer_on_demand(torrent);
    loop {
        match engine.poll(now()) {
            Output::Open { attempt, tracker } => {
                trackers.insert(attempt, tracker.clone());
                let reporter = reporter.clone();
                thread::spawn(move || open(attempt, &tracker, &reporter));
            }
            Output::Announce { attempt, request } => {
                let Some(tracker) = trackers.remove(&attempt) else { continue };
                let reporter = reporter.clone();
                thread::spawn(move || {
                    let input = match announce(&tracker, &request) {
                        Ok(response) => Input::Replied(attempt, Box::new(response)),
                        Err(error) => Input::Failed(attempt, error),
                    };
                    reporter.send(input)
                });
            }
            Output::Close { attempt } => {
                trackers.remove(&attempt);
            }
            Output::Alert { alert, .. } => println!("[{}] {alert}", alert.tag()),
            Output::CountTransfer { torrent } => {
                let transfer = Transfer { downloaded: 1000 - left, left: Some(left), ..Transfer::default() };
                engine.update(torrent, transfer, now());
            }
            Output::RoundEnded { result, .. } => match result?.event {
                Some(Event::Started) => {
                    left = 0;
                    engine.complete(torrent, now());
                }
                _ => engine.stop(torrent, now()),
            },
            Output::Ended { stopped, .. } => {
                let acknowledged = stopped.iter().filter(|stopped| stopped.result.is_ok()).count();
                println!("{acknowledged} acknowledged stopped");
                return Ok(());
            }
            Output::Wait(until) => {
                let input = match until {
                    Some(until) => reports.recv_timeout(until.since(now())).ok(),
                    None => reports.recv().ok(),
                };
                if let Some(input) = input {
                    engine.handle(input, now());
                }
            }
            // Nothing is probed, and peers are not counted.
            Output::Probe { .. } | Output::CountPeers { .. } => {}
        }
    }
}

/// Shows that the tracker can be reached. A real client keeps the connection for the announce.
fn open(attempt: AttemptId, tracker: &TrackerUrl, reporter: &Sender<Input>) {
    // The engine may have gone on.
    let _ = reporter.send(match connect(tracker) {
        Ok(_) => Input::Opened(attempt),
        Err(error) => Input::Failed(attempt, error),
    });
}

fn connect(tracker: &TrackerUrl) -> Result<TcpStream, AnnounceError> {
    let addresses = (tracker.host(), tracker.port()).to_socket_addrs().map_err(AnnounceError::resolving)?;
    let address = addresses.into_iter().next();
    let address = address.ok_or_else(|| AnnounceError::resolving("the name has no address"))?;
    TcpStream::connect_timeout(&address, Duration::from_secs(10)).map_err(AnnounceError::connecting)
}

fn announce(tracker: &TrackerUrl, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
    let mut stream = connect(tracker)?;
    let target = announce_target(tracker, request);
    let head = format!("GET {target} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n", host(tracker));
    let mut answer = Vec::new();
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.set_read_timeout(Some(Duration::from_secs(30))))
        .and_then(|()| stream.take(1 << 20).read_to_end(&mut answer))
        .map_err(AnnounceError::requesting)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    if request.event == Some(Event::Stopped) {
        return Ok(AnnounceResponse::default());
    }
    read_announce(&answer[end..])
}

/// The `Host` header: with the port unless it is the scheme's.
fn host(tracker: &TrackerUrl) -> String {
    match tracker.port() {
        80 => tracker.host().to_owned(),
        port => format!("{}:{port}", tracker.host()),
    }
}
