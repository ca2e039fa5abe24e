//! One measurement: a client with all its torrents, and three trackers of its own.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::Client;
use crate::packets::Tally;
use crate::trackers::Trackers;
use crate::wire::Wire;
use crate::{swarm, torrents};

/// The time until the last packets are counted.
const SETTLING: Duration = Duration::from_secs(1);

/// The first port of the clients. It and those of all runs lie below the ports of outgoing connections.
const FIRST_PORT: u16 = 17_000;

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Which one it is: its trackers' addresses hold it.
    pub(crate) number: u8,
    pub(crate) client: Client,
    /// `http` or `udp`.
    pub(crate) protocol: &'static str,
    pub(crate) torrents: usize,
    /// How many peers each torrent has at each tracker before the client comes.
    pub(crate) peers: u8,
    /// How long the client runs before it is asked to end.
    pub(crate) time: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) tally: Tally,
    /// The announces that the trackers counted themselves.
    pub(crate) counted: u64,
    /// The processor time of the trackers.
    pub(crate) cpu: Duration,
    /// From the client's start to its end.
    pub(crate) time: Duration,
    /// Whether the client ended by itself when it was asked to.
    pub(crate) ended: bool,
    /// What it said last.
    pub(crate) last_words: String,
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Run {
    /// Measures.
    pub(crate) fn measure(&self, wire: &Wire, opentracker: &Path) -> Result<Figures, String> {
        let text = |error: std::io::Error| error.to_string();
        let folder = Folder::of_run(self.number);
        let files = folder.0.join("torrents");
        let urls = Trackers::urls(self.number, self.protocol);
        let torrents = torrents::write(&files, self.torrents, &urls)?;
        let trackers = Trackers::start(opentracker, &folder.0.join("trackers"), self.number, &torrents)?;
        fill(&trackers, &torrents, self.peers)?;

        let counted = trackers.counted()?;
        thread::sleep(SETTLING);
        wire.reset(self.number);
        let cpu = trackers.cpu()?;
        let started = now();
        let port = FIRST_PORT + u16::from(self.number) * 2;
        let mut client = self.client.start(&files, &folder.0, port).map_err(text)?;
        while started.elapsed() < self.time {
            client.check()?;
            thread::sleep(Duration::from_millis(50));
        }
        let ended = client.terminate()?;
        let time = started.elapsed();
        thread::sleep(SETTLING);
        let cpu = trackers.cpu()?.saturating_sub(cpu);
        let tally = wire.tally(self.number);
        let counted = trackers.counted()? - counted;
        Ok(Figures { tally, counted, cpu, time, ended, last_words: client.last_words() })
    }

    /// What isn't as it should be in a measurement.
    pub(crate) fn doubts(&self, figures: &Figures) -> Vec<String> {
        let mut doubts = Vec::new();
        let announced = figures.tally.torrents.len();
        if announced != self.torrents {
            doubts.push(format!("announced {announced} of {} torrents", self.torrents));
        }
        let seen = figures.tally.all_announces();
        if seen != figures.counted {
            doubts.push(format!(
                "{seen} announces in packets, {} counted by the trackers, which reset {} connections",
                figures.counted, figures.tally.resets
            ));
        }
        if !figures.ended {
            doubts.push("had to be killed".to_owned());
        }
        doubts
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} peers, {}", self.protocol, self.peers, self.client.name)
    }
}

impl Folder {
    fn of_run(number: u8) -> Self {
        Self(std::env::temp_dir().join(format!("operators-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is a temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The processor time that three trackers use in this time without any client.
pub(crate) fn idle(number: u8, time: Duration, opentracker: &Path) -> Result<Duration, String> {
    let folder = Folder::of_run(number);
    let trackers = Trackers::start(opentracker, &folder.0, number, &[[0; 20]])?;
    thread::sleep(SETTLING);
    let before = trackers.cpu()?;
    thread::sleep(time);
    Ok(trackers.cpu()?.saturating_sub(before))
}

/// Makes peers known at all trackers at once.
fn fill(trackers: &Trackers, torrents: &[[u8; 20]], peers: u8) -> Result<(), String> {
    thread::scope(|scope| {
        let fills: Vec<_> = trackers
            .addresses()
            .map(|address| scope.spawn(move || swarm::fill(address, torrents, peers)))
            .collect();
        fills.into_iter().try_for_each(|fill| match fill.join() {
            Ok(filled) => filled.map_err(|error| error.to_string()),
            Err(_) => Err("a thread that announces peers panicked".to_owned()),
        })
    })
}

/// The time, for what is measured.
#[expect(clippy::disallowed_methods, reason = "a program that measures, outside of the library")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
