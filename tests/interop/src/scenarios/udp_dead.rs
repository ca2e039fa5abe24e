//! Our client with two dead UDP trackers before opentracker: how long it takes until that one answers.

use std::net::SocketAddr;
use std::time::Duration;

use fake_tracker::{FakeUdpTracker, UdpBehaviour};

use super::{Lab, Outcome};
use crate::clients::{Clients, PATIENCE};
use crate::program::Line;
use crate::swarm::{SHORT_LAST_PIECE, Swarm, dead_host};
use crate::tracker::Kind;

/// In which way the first two are dead, and how long one of them may hold us up. The last kind is alive to all but
/// announces, so that it is left only after an announce.
const KINDS: [(&str, Option<UdpBehaviour>, Duration); 4] = [
    ("refuse", None, Duration::ZERO),
    ("are silent", Some(UdpBehaviour::Silent), Duration::from_millis(600)),
    ("answer with another transaction id", Some(UdpBehaviour::WrongTransaction), Duration::from_millis(600)),
    ("answer the connect alone", Some(UdpBehaviour::ConnectsOnly), Duration::from_millis(1600)),
];

/// What a busy machine may add, and how much longer it may take on one.
const SLACK: Duration = Duration::from_secs(2);
const FACTOR: u32 = 3;

pub(super) async fn two_dead(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, SHORT_LAST_PIECE)?;
    let tracker = swarm.tracker(lab.tools, Kind::OpentrackerUdp).await?;
    for order in ["nearest", "bep12"] {
        for (kind, behaviour, expected) in KINDS {
            let heard_before = tracker.announces().await?;
            let (dead, urls) = dead(behaviour.as_ref())?;
            let urls = [&urls[..], &[tracker.announce_url()]].concat();
            let torrent = swarm.torrent(&clients, "udp", &urls)?;
            let folder = swarm.leech("ours")?;
            let mut client = clients.ours(&torrent, &folder, &["--order", order])?;
            let begun = client.wait_for("a start", PATIENCE, |line| line.alert().map(|_| line.at)).await?;
            let (answered, by) = client
                .wait_for("an answer", PATIENCE, |line| Some((line.at, line.answered()?.to_owned())))
                .await?;
            let ended = client.terminate(Duration::from_secs(10)).await?;
            let report = &mut *lab.report;
            let took = answered - begun;
            report.note(format_args!("{order}, two {kind}: {} ms", took.as_millis()));
            let limit = expected * 2 * FACTOR + SLACK;
            report.check(took < limit, format_args!("{order}, two {kind}: in time"), took);
            report.same(by, format!("udp://{}", tracker.address()), "the living one answers");
            report.check(ended.code() == Some(130), "our client ends as one that was interrupted", ended);
            report.same(tracker.announces().await? - heard_before, 2, "it hears started and stopped");
            if order == "bep12" {
                report.same(tried(&client.said()), urls, "they are tried tier by tier");
            }
            drop(dead);
        }
    }
    Ok(())
}

/// Two trackers that are dead in this way, and their URLs.
fn dead(behaviour: Option<&UdpBehaviour>) -> std::io::Result<([Option<FakeUdpTracker>; 2], Vec<String>)> {
    let mut urls = Vec::new();
    let mut start = || {
        let Some(behaviour) = behaviour.cloned() else {
            let socket = std::net::UdpSocket::bind((dead_host(), 0))?;
            urls.push(format!("udp://{}/announce", socket.local_addr()?));
            return Ok::<_, std::io::Error>(None);
        };
        let tracker = FakeUdpTracker::start_at(SocketAddr::from((dead_host(), 0)), behaviour);
        urls.push(tracker.announce_url());
        Ok(Some(tracker))
    };
    let trackers = [start()?, start()?];
    Ok((trackers, urls))
}

/// The announce URLs of the trackers that were tried, in order.
fn tried(said: &[Line]) -> Vec<String> {
    let tried = said.iter().filter_map(Line::alert).filter_map(|text| {
        let (tracker, _) = text.strip_prefix("trying ")?.split_once(' ')?;
        Some(format!("{tracker}/announce"))
    });
    tried.collect()
}
