//! One measurement: a client, two trackers that are dead in some way, and a living one.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use fake_tracker::{Asked, Behaviour, FakeTracker};
use tokio::time::{sleep, timeout};

use crate::clients::Client;
use crate::torrent;
use crate::wire::Wire;

/// How long the living tracker takes to answer.
const LATENCY: Duration = Duration::from_millis(5);

/// How long announces are counted after the good answer: a client that asks everybody does so by then.
const AFTERMATH: Duration = Duration::from_secs(1);

/// In which way the first two trackers are dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dead {
    /// They aren't: all three are alive.
    Alive,
    /// No process listens.
    Refused,
    /// Connections are accepted, and never answered.
    Mute,
    /// The same, but a request that announces nothing, such as a probe, is answered.
    MuteToAnnounces,
    /// A web page comes back, with status 200.
    Html,
}

/// How the three trackers stand in the torrent, the dead ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each its own tier.
    Tiers,
    /// All in one tier, which BEP 12 has clients shuffle.
    OneTier,
}

/// One cell of the table: a client among these trackers.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'a> {
    pub(crate) client: &'a Client,
    pub(crate) dead: Dead,
    pub(crate) layout: Layout,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// From the client's first packet to any tracker to the good answer; `None` where there was none.
    pub(crate) from_contact: Option<Duration>,
    /// From the client's start to the good answer.
    pub(crate) from_start: Option<Duration>,
    /// How many announces each tracker heard, in the order of the torrent.
    pub(crate) announces: [usize; 3],
    /// How many requests of another kind they heard together, such as `HEAD`.
    pub(crate) others: usize,
}

/// A client process that is killed at the end, whatever happens.
struct Running(Child);

impl Dead {
    pub(crate) const ALL: [Self; 5] =
        [Self::Alive, Self::Refused, Self::Mute, Self::MuteToAnnounces, Self::Html];

    fn behaviour(self) -> Behaviour {
        match self {
            Self::Alive => Behaviour::ok_after(LATENCY),
            Self::Refused => Behaviour::Refused,
            Self::Mute => Behaviour::Silent,
            Self::MuteToAnnounces => Behaviour::ok().when(Asked::Announce, Behaviour::Silent),
            Self::Html => Behaviour::html(),
        }
    }
}

impl Layout {
    pub(crate) const ALL: [Self; 2] = [Self::Tiers, Self::OneTier];
}

impl Cell<'_> {
    /// Whether the client can tell these trackers from others: [`Dead::MuteToAnnounces`] is [`Dead::Mute`] to one
    /// that only announces.
    pub(crate) fn makes_a_difference(&self) -> bool {
        self.dead != Dead::MuteToAnnounces || self.client.probes()
    }

    /// How often it is measured where once is asked for. Luck decides where a client shuffles.
    pub(crate) fn repeated(&self) -> usize {
        if self.layout == Layout::OneTier && self.client.shuffles() { 3 } else { 1 }
    }

    /// Measures once.
    pub(crate) async fn run(&self, wire: &Wire, cap: Duration) -> io::Result<Run> {
        let mut trackers = Vec::new();
        for (host, behaviour) in
            [(11, self.dead.behaviour()), (12, self.dead.behaviour()), (13, Behaviour::ok_after(LATENCY))]
        {
            let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
            trackers.push(FakeTracker::start_at(address, behaviour).await);
        }
        let urls: Vec<String> = trackers.iter().map(FakeTracker::announce_url).collect();
        let tiers = match self.layout {
            Layout::Tiers => urls.into_iter().map(|url| vec![url]).collect(),
            Layout::OneTier => vec![urls],
        };
        let folder = Folder::new()?;
        let file = folder.0.join("measured.torrent");
        fs::write(&file, torrent::with_trackers(&tiers))?;

        let ports: Vec<SocketAddr> = trackers.iter().map(FakeTracker::address).collect();
        wire.forget();
        let started = now();
        let client = Running(self.client.start(&file, &folder.0, free_port()?)?);
        let answered = async {
            loop {
                let good = self.good_trackers(&trackers).filter_map(first_announce);
                if let Some(heard) = good.min() {
                    return heard + LATENCY;
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        let answered = timeout(cap, answered).await.ok();
        if answered.is_some() {
            sleep(AFTERMATH).await;
        }
        drop(client);

        let contact = wire.first_contact(&ports);
        let count = |tracker: &FakeTracker| tracker.counts().announces;
        Ok(Run {
            from_contact: answered.zip(contact).map(|(answered, contact)| answered - contact),
            from_start: answered.map(|answered| answered - started),
            announces: [count(&trackers[0]), count(&trackers[1]), count(&trackers[2])],
            others: trackers.iter().map(|tracker| tracker.counts().requests - count(tracker)).sum(),
        })
    }

    fn good_trackers<'t>(&self, trackers: &'t [FakeTracker]) -> impl Iterator<Item = &'t FakeTracker> {
        let dead = if self.dead == Dead::Alive { 0 } else { 2 };
        trackers.iter().skip(dead)
    }
}

fn first_announce(tracker: &FakeTracker) -> Option<Instant> {
    tracker.announces().first().map(|heard| heard.at.into_std())
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes when the cell does.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("compare-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port for the client to listen on.
fn free_port() -> io::Result<u16> {
    let listener = std::net::TcpListener::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0))?;
    Ok(listener.local_addr()?.port())
}

#[expect(clippy::disallowed_methods, reason = "a program that measures, outside of the library")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.dead, self.layout, self.client.name())
    }
}

impl fmt::Display for Dead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "all three alive",
            Self::Refused => "two refuse",
            Self::Mute => "two accept and are mute",
            Self::MuteToAnnounces => "two are mute to announces alone",
            Self::Html => "two answer HTML with 200",
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tiers => "three tiers",
            Self::OneTier => "one tier",
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Option<Duration>| {
            time.map_or_else(|| "none".to_owned(), |time| format!("{:.3} s", time.as_secs_f64()))
        };
        let [first, second, third] = self.announces;
        write!(
            f,
            "{} from first contact, {} from start, {first}+{second}+{third} announces, {} other requests",
            seconds(self.from_contact),
            seconds(self.from_start),
            self.others
        )
    }
}
