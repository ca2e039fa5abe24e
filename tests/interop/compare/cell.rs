//! One measurement: a client, and three trackers of which some are no use.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_tracker::FakeTracker;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

use crate::clients::Client;
use crate::scenario::{INTERVAL, LATENCY, Layout, Scenario, USE};
use crate::torrent;
use crate::wire::Wire;

/// How long announces are counted after the good answer: a client that asks all trackers does so by then.
const AFTERMATH: Duration = Duration::from_secs(1);

/// How long a run keeps others from starting. What takes longer is a timer of many seconds, which a starting process
/// doesn't falsify.
const PATIENCE: Duration = Duration::from_secs(5);

/// One cell of the table: a client among these trackers.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) client: Arc<Client>,
    pub(crate) scenario: Scenario,
    pub(crate) layout: Layout,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// From the client's first packet to any tracker to the good answer; where the one in use dies, from the first
    /// packet of the next announce to another tracker's answer. `None` where there was none.
    pub(crate) from_contact: Option<Duration>,
    /// From the client's start to its first good answer.
    pub(crate) from_start: Option<Duration>,
    /// How many announces were heard by trackers that are no use, since they are none.
    pub(crate) to_dead: usize,
    /// How many were heard by the others in that time.
    pub(crate) to_living: usize,
    /// How many requests of another kind all of them heard, such as `HEAD`.
    pub(crate) others: usize,
}

/// Which runs may start: one at a time, for as long as its milliseconds matter.
pub(crate) type Turn = OwnedMutexGuard<()>;

impl Cell {
    /// Whether the client can tell these trackers from others: [`Scenario::MuteToAnnounces`] is [`Scenario::Mute`] to
    /// one that only announces.
    pub(crate) fn makes_a_difference(&self) -> bool {
        self.scenario != Scenario::MuteToAnnounces || self.client.probes()
    }

    /// How often it is measured where once is asked for. Luck decides where a client shuffles and the order matters.
    pub(crate) fn repeated(&self) -> usize {
        let luck = self.layout == Layout::OneTier && self.scenario.useless() > 0 && self.client.shuffles();
        if luck { 3 } else { 1 }
    }

    /// Measures once. The number is another for each run, for addresses and a folder of its own.
    pub(crate) async fn run(&self, wire: &Wire, cap: Duration, number: u16, turn: Turn) -> io::Result<Run> {
        let info_hash = torrent::info_hash().map_err(io::Error::other)?;
        let trackers = Trackers::start(self.scenario, info_hash, number, wire).await;
        let folder = Folder::new(number)?;
        let file = folder.0.join("measured.torrent");
        fs::write(&file, torrent::with_trackers(&trackers.tiers(self.layout)))?;

        let again = self.scenario.death().is_some();
        let started = now();
        let mut client = Running(self.client.start(&file, &folder.0, free_port()?, again)?);
        let answered = self.first_answer(&trackers, cap, turn).await;
        let run = match (self.scenario.death(), answered) {
            (Some(death), Some((answered, turn))) => {
                drop(turn);
                sleep((answered + USE).saturating_duration_since(now())).await;
                let (dead, died) = trackers.kill_the_one_in_use(death);
                let mut run = trackers.next_announce(dead, died, cap).await;
                run.from_start = Some(answered - started);
                run
            }
            (_, answered) => {
                let answered = answered.map(|(answered, _turn)| answered);
                let contact = trackers.contact(&trackers.addresses(), started);
                let mut run = trackers.counted(|index| index < self.scenario.useless(), started);
                run.from_contact = answered.zip(contact).map(|(answered, contact)| answered - contact);
                run.from_start = answered.map(|answered| answered - started);
                run
            }
        };
        match client.0.try_wait()? {
            None => Ok(run),
            Some(status) => Err(io::Error::other(format!("the client ended by itself: {status}"))),
        }
    }

    /// Waits for the first good answer and what comes in the second after it. The turn is given up by then, or comes
    /// back with the answer.
    async fn first_answer(
        &self,
        trackers: &Trackers<'_>,
        cap: Duration,
        turn: Turn,
    ) -> Option<(Instant, Option<Turn>)> {
        let useless = self.scenario.useless();
        let answer = trackers.answer(|index| index >= useless, [0; 3]);
        let mut answer = std::pin::pin!(timeout(cap, answer));
        let mut turn = Some(turn);
        let answered = if let Ok(answered) = timeout(PATIENCE, &mut answer).await {
            answered
        } else {
            turn = None;
            answer.await
        };
        answered.ok()?;
        sleep(AFTERMATH).await;
        let first = trackers.first_announce(|index| index >= useless, None)?;
        Some((first + LATENCY, turn))
    }
}

/// The trackers of a run, watched on the wire for as long as it takes.
struct Trackers<'a> {
    all: [FakeTracker; 3],
    wire: &'a Wire,
}

impl<'a> Trackers<'a> {
    /// Each at a host of its own.
    async fn start(scenario: Scenario, info_hash: [u8; 20], number: u16, wire: &'a Wire) -> Self {
        let [high, low] = number.to_be_bytes();
        let host = |last| SocketAddr::from((Ipv4Addr::new(127, 1 + high, low, last), 0));
        let [first, second, third] = scenario.behaviours();
        let all = [
            FakeTracker::start_at(host(11), first).await,
            FakeTracker::start_at(host(12), second).await,
            FakeTracker::start_at(host(13), third).await,
        ];
        for (tracker, (seeds, leechers)) in all.iter().zip(scenario.swarms()) {
            torrent::swarm(seeds, leechers).for_each(|peer| tracker.add_peer(info_hash, peer));
        }
        let trackers = Self { all, wire };
        wire.watch(&trackers.addresses());
        trackers
    }

    fn tiers(&self, layout: Layout) -> Vec<Vec<String>> {
        let urls = self.all.iter().map(FakeTracker::announce_url);
        match layout {
            Layout::Tiers => urls.map(|url| vec![url]).collect(),
            Layout::OneTier => vec![urls.collect()],
        }
    }

    fn addresses(&self) -> [SocketAddr; 3] {
        self.all.each_ref().map(FakeTracker::address)
    }

    /// Waits until one of these trackers has received more announces than it had.
    async fn answer(&self, among: impl Fn(usize) -> bool, had: [usize; 3]) {
        let more = |index: usize| self.all[index].wait_for_announces(had[index] + 1);
        tokio::select! {
            _ = more(0), if among(0) => (),
            _ = more(1), if among(1) => (),
            _ = more(2), if among(2) => (),
        }
    }

    /// When the first announce came to one of these trackers, after a moment if there is one.
    fn first_announce(&self, among: impl Fn(usize) -> bool, after: Option<Instant>) -> Option<Instant> {
        let trackers = self.all.iter().enumerate().filter(|(index, _)| among(*index));
        let moments = trackers.flat_map(|(_, tracker)| tracker.announces()).map(|heard| heard.at.into_std());
        moments.filter(|moment| after.is_none_or(|after| *moment > after)).min()
    }

    /// Lets the tracker die that answered first. Returns which it is, and when that was.
    fn kill_the_one_in_use(&self, death: fake_tracker::Behaviour) -> (usize, Instant) {
        let first = |index: usize| self.first_announce(|other| other == index, None);
        let in_use =
            (0..self.all.len()).filter(|index| first(*index).is_some()).min_by_key(|index| first(*index));
        let in_use = in_use.unwrap_or_default();
        self.all[in_use].set_behaviour(death);
        (in_use, now())
    }

    /// The first packet to one of these addresses after a moment, or the first announce to any: that opens no connection
    /// where one is open, and the thread that reads packets may be late.
    fn contact(&self, addresses: &[SocketAddr], after: Instant) -> Option<Instant> {
        let opened = self.wire.first_contact(addresses, after);
        opened.into_iter().chain(self.first_announce(|_| true, Some(after))).min()
    }

    /// How the client gets from the announce that follows to another tracker's answer.
    async fn next_announce(&self, dead: usize, died: Instant, cap: Duration) -> Run {
        let had = self.all.each_ref().map(|tracker| tracker.counts().announces);
        let answered = timeout(INTERVAL + cap, self.answer(|index| index != dead, had)).await;
        if answered.is_ok() {
            sleep(AFTERMATH).await;
        }
        let answered = self.first_announce(|index| index != dead, Some(died)).map(|heard| heard + LATENCY);
        let contact = self.contact(&[self.all[dead].address()], died);
        let mut run = self.counted(|index| index == dead, died);
        run.from_contact = answered.zip(contact).map(|(answered, contact)| answered - contact);
        run
    }

    /// What was heard after a moment, by the dead and by the living.
    fn counted(&self, is_dead: impl Fn(usize) -> bool, after: Instant) -> Run {
        let mut run = Run { from_contact: None, from_start: None, to_dead: 0, to_living: 0, others: 0 };
        for (index, tracker) in self.all.iter().enumerate() {
            let later = |heard: &fake_tracker::Heard| heard.at.into_std() > after;
            let announces = tracker.announces().iter().filter(|heard| later(heard)).count();
            run.others += tracker.heard().iter().filter(|heard| later(heard)).count() - announces;
            *if is_dead(index) { &mut run.to_dead } else { &mut run.to_living } += announces;
        }
        run
    }
}

impl Drop for Trackers<'_> {
    fn drop(&mut self) {
        self.wire.forget(&self.addresses());
    }
}

/// A client process that is killed at the end, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes when the run does.
struct Folder(PathBuf);

impl Folder {
    fn new(number: u16) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("compare-{}-{number}", std::process::id()));
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

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.scenario.name(), self.layout, self.client.name())
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Option<Duration>| {
            time.map_or_else(|| "none".to_owned(), |time| format!("{:.3} s", time.as_secs_f64()))
        };
        write!(
            f,
            "{} from contact, first answer {} from start, {} announces to the dead, {} to the living, {} other requests",
            seconds(self.from_contact),
            seconds(self.from_start),
            self.to_dead,
            self.to_living,
            self.others
        )
    }
}
