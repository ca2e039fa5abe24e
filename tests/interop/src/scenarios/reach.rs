//! Independent trackers: our client finds the peers that only one of them knows, and swarms that are spread over several
//! of them come together.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fake_tracker::{
    Asked, Behaviour, FakeTracker, FakeUdpTracker, SwarmPeer, UdpAsked, UdpBehaviour, UdpHeard,
};
use tokio::time::{sleep, timeout};

use super::{Lab, Outcome};
use crate::clients::{Clients, Other, PATIENCE, free_port};
use crate::clock;
use crate::program::Program;
use crate::swarm::{SHORT_LAST_PIECE, Swarm, dead_host};
use crate::tracker::{Kind, Tracker};

/// In which time a download behind two empty trackers is to be complete, and how much longer it may take on a busy machine.
const GOAL: Duration = Duration::from_secs(3);
const FACTOR: u32 = 10;

/// How far away the tracker is that knows the seed, so that the empty ones are nearer.
const FAR: Duration = Duration::from_millis(80);

/// How long the trackers are watched after the download. Their interval is half an hour.
const WATCHED: Duration = Duration::from_secs(15);

/// The announces for want of peers that a tracker may receive in its first interval.
const FOR_WANT_OF_PEERS: usize = 5;

/// A scripted tracker.
enum Scripted {
    Http(FakeTracker),
    Udp(FakeUdpTracker),
}

impl Scripted {
    /// One that is alive and knows no peer but those that announce themselves.
    async fn empty(scheme: &str) -> Self {
        let address = SocketAddr::from((dead_host(), 0));
        if scheme == "udp" {
            let tracker = FakeUdpTracker::start_at(address, UdpBehaviour::Ok);
            tracker.set_peers([]);
            tracker.set_counts(0, 1);
            return Self::Udp(tracker);
        }
        Self::Http(FakeTracker::start_at(address, Behaviour::ok()).await)
    }

    /// Makes it far away, and a seed known to it.
    fn know(&self, info_hash: [u8; 20], seed: SocketAddr) {
        match self {
            Self::Http(tracker) => {
                tracker.set_latency(FAR);
                tracker.add_peer(info_hash, SwarmPeer { peer_id: [1; 20], address: seed, left: Some(0) });
            }
            Self::Udp(tracker) => {
                tracker.set_delay(FAR);
                tracker.set_peers([seed]);
                tracker.set_counts(1, 1);
            }
        }
    }

    fn announce_url(&self) -> String {
        match self {
            Self::Http(tracker) => tracker.announce_url(),
            Self::Udp(tracker) => tracker.announce_url(),
        }
    }

    /// The events of the announces it received, in order.
    fn events(&self) -> Vec<String> {
        let of_udp = |heard: &UdpHeard| match heard.event() {
            Some(0) => "none".to_owned(),
            Some(1) => "completed".to_owned(),
            Some(2) => "started".to_owned(),
            Some(3) => "stopped".to_owned(),
            other => format!("{other:?}"),
        };
        match self {
            Self::Http(tracker) => {
                let announces = tracker.heard().into_iter().filter(|heard| heard.asked() == Asked::Announce);
                announces.map(|heard| heard.event().unwrap_or("none").to_owned()).collect()
            }
            Self::Udp(tracker) => tracker.heard_of(UdpAsked::Announce).iter().map(of_udp).collect(),
        }
    }
}

pub(super) async fn two_empty_http(lab: &mut Lab<'_>) -> Outcome {
    two_empty(lab, "http").await
}

pub(super) async fn two_empty_udp(lab: &mut Lab<'_>) -> Outcome {
    two_empty(lab, "udp").await
}

/// Two living trackers that know no peer stand before the one that knows the seed, which is farther away: as three tiers
/// and as one.
async fn two_empty(lab: &mut Lab<'_>, scheme: &str) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, SHORT_LAST_PIECE)?;
    let bare = swarm.torrent(&clients, "bare", &[])?;
    let mut seeder = clients.ours(&bare, &swarm.seed(), &["--no-trackers"])?;
    let seed = SocketAddr::from(([127, 0, 0, 1], listening(&mut seeder).await?));
    for layout in ["three tiers", "one tier"] {
        let trackers =
            [Scripted::empty(scheme).await, Scripted::empty(scheme).await, Scripted::empty(scheme).await];
        let [first, second, third] = &trackers;
        third.know(swarm.info_hash, seed);
        let urls = trackers.each_ref().map(Scripted::announce_url);
        let tiers = if layout == "one tier" { vec![urls.join(",")] } else { urls.to_vec() };
        let torrent = swarm.torrent(&clients, "reach", &tiers)?;
        let folder = swarm.leech(&layout.replace(' ', "-"))?;
        let mut client = clients.ours(&torrent, &folder, &[])?;
        let completed = client
            .wait_for("the download", GOAL * FACTOR, |line| line.is("complete").then_some(line.at))
            .await;
        let report = &mut *lab.report;
        let took = completed.as_ref().map(|at| *at - client.started);
        report.check(took.is_ok(), format_args!("{layout}: complete within {:?}", GOAL * FACTOR), took);
        let Ok(took) = took else { continue };
        report.note(format_args!("{scheme}, {layout}: complete in {:.2} s", took.as_secs_f64()));
        report.same(swarm.compare(&folder), Ok(()), format_args!("{layout}: every byte is the same"));
        sleep(WATCHED).await;
        for (which, tracker) in [("first", first), ("second", second)] {
            let events = tracker.events();
            let of = |event: &str| events.iter().filter(|heard| *heard == event).count();
            let what = format!("{layout}: the {which} empty one receives");
            report.check(of("started") <= 1, format_args!("{what} started once"), &events);
            report.check(of("completed") <= 1, format_args!("{what} completed at most once"), &events);
            report.check(
                of("none") <= FOR_WANT_OF_PEERS && of("stopped") == 0,
                format_args!("{what} at most {FOR_WANT_OF_PEERS} announces for want of peers"),
                &events,
            );
        }
        report.check(third.events().contains(&"completed".to_owned()), "the third receives completed", ());
        let before = trackers.each_ref().map(|tracker| tracker.events().len());
        let ended = client.terminate(Duration::from_secs(10)).await?;
        report.check(ended.code() == Some(0), "our client ends well", client.last_words());
        let after = trackers.each_ref().map(|tracker| tracker.events().len());
        let stopped = after.iter().zip(before).all(|(after, before)| *after <= before + 1);
        report.check(stopped, "and each receives that at most once", (before, after));
    }
    Ok(())
}

/// Three trackers that share nothing, and clients that use them each by its own rules. Those of others use the first of
/// their list, and each has another order, so each is at another tracker. Whichever client seeds, all finish.
pub(super) async fn spread(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    for seeds in [None, Some(Other::LibtorrentByDefault), Some(Other::Aria2)] {
        let swarm = Swarm::new(lab.tools, &clients, SHORT_LAST_PIECE)?;
        let mut trackers = Vec::new();
        for _ in 0..3 {
            trackers.push(swarm.tracker(lab.tools, Kind::Opentracker).await?);
        }
        let seeder = seeds.map_or("ours", name_of);
        // A seed of ours first, so that it is the leeches that have to find it.
        let mut programs = vec![start(&swarm, &clients, &trackers, seeds, &swarm.seed())?];
        until_registered(&trackers, &programs[0]).await?;
        let mut leeches = Vec::new();
        for (number, other) in
            [None, Some(Other::LibtorrentByDefault), Some(Other::Aria2), None].into_iter().enumerate()
        {
            let folder = swarm.leech(&format!("leech-{number}"))?;
            let program = start(&swarm, &clients, &trackers, other, &folder)?;
            leeches.push((other.map_or("ours", name_of), folder, program.started));
            programs.push(program);
        }
        for (number, (who, folder, started)) in leeches.iter().enumerate() {
            let compared = until_the_same(&swarm, folder).await;
            let took = clock() - *started;
            let report = &mut *lab.report;
            let what = format!("{seeder} seeds, {who} (leech {number}) finishes");
            if !report.same(compared, Ok(()), &what) {
                report.note(programs[number + 1].last_words());
            }
            report.note(format_args!("took at most {:.1} s", took.as_secs_f64()));
        }
    }
    Ok(())
}

fn name_of(other: Other) -> &'static str {
    match other {
        Other::Transmission => "Transmission",
        Other::Aria2 => "aria2",
        Other::Libtorrent | Other::LibtorrentByDefault => "libtorrent",
        Other::QBittorrent => "qBittorrent",
    }
}

/// Starts a client on the torrent, whose trackers stand in another order for each program.
fn start(
    swarm: &Swarm,
    clients: &Clients,
    trackers: &[Tracker],
    other: Option<Other>,
    folder: &Path,
) -> Result<Program, Box<dyn Error>> {
    let first = match other {
        None => 0,
        Some(Other::LibtorrentByDefault) => 1,
        Some(_) => 2,
    };
    let mut urls: Vec<String> = trackers.iter().map(Tracker::announce_url).collect();
    urls.rotate_left(first);
    let torrent = swarm.torrent(clients, &format!("order-{first}"), &urls)?;
    Ok(match other {
        None => clients.ours(&torrent, folder, &[])?,
        Some(other) => clients.other(other, &[&torrent], folder, free_port()?)?,
    })
}

/// Waits until one of the trackers counts a seed.
async fn until_registered(trackers: &[Tracker], seeder: &Program) -> Outcome {
    let registered = async {
        loop {
            for tracker in trackers {
                if tracker.counts().await?.complete > 0 {
                    return Ok::<_, std::io::Error>(());
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    match timeout(PATIENCE, registered).await {
        Ok(registered) => Ok(registered?),
        Err(_) => Err(format!("the seed was never counted; {}", seeder.last_words()).into()),
    }
}

/// Waits until a folder is whole.
async fn until_the_same(swarm: &Swarm, folder: &Path) -> Result<(), String> {
    let same = async {
        while swarm.compare(folder).is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(PATIENCE, same).await.is_ok() { Ok(()) } else { swarm.compare(folder) }
}

/// The port on which our client takes connections.
async fn listening(client: &mut Program) -> Result<u16, Box<dyn Error>> {
    let port = |line: &crate::program::Line| line.is("listening").then(|| line.number("port")).flatten();
    Ok(u16::try_from(client.wait_for("its port", PATIENCE, port).await?)?)
}
