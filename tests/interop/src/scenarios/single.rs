//! One tracker alone, from started to stopped, over each protocol and family: each event comes once, and does what it
//! says.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use tracker_failover::Announcer;
use tracker_failover::net::http::{HttpConfig, TlsConfig};

use super::{
    Lab, OUR_PORT, Outcome, SEEDS_PORT, TORRENT, answered, found_the_seed, ports, short_waits, stop, tiers_of,
};
use crate::authority::Authority;
use crate::observer::Counts;
use crate::session::Session;
use crate::tracker::{Family, Kind, Tracker};

pub(super) async fn opentracker(lab: &mut Lab<'_>) -> Outcome {
    in_the_open(lab, Kind::Opentracker, Family::V4).await
}

pub(super) async fn opentracker_udp(lab: &mut Lab<'_>) -> Outcome {
    in_the_open(lab, Kind::OpentrackerUdp, Family::V4).await
}

pub(super) async fn opentracker_https(lab: &mut Lab<'_>) -> Outcome {
    behind_tls(lab, Kind::Opentracker, Family::V4).await
}

pub(super) async fn npm(lab: &mut Lab<'_>) -> Outcome {
    in_the_open(lab, Kind::Npm, Family::V4).await
}

pub(super) async fn npm_udp(lab: &mut Lab<'_>) -> Outcome {
    in_the_open(lab, Kind::NpmUdp, Family::V4).await
}

pub(super) async fn npm_https(lab: &mut Lab<'_>) -> Outcome {
    behind_tls(lab, Kind::Npm, Family::V4).await
}

pub(super) async fn npm_v6(lab: &mut Lab<'_>) -> Outcome {
    in_the_open(lab, Kind::Npm, Family::V6).await
}

pub(super) async fn npm_udp_v6(lab: &mut Lab<'_>) -> Outcome {
    in_the_open(lab, Kind::NpmUdp, Family::V6).await
}

pub(super) async fn npm_https_v6(lab: &mut Lab<'_>) -> Outcome {
    behind_tls(lab, Kind::Npm, Family::V6).await
}

pub(super) async fn aquatic_udp(lab: &mut Lab<'_>) -> Outcome {
    in_the_open(lab, Kind::Aquatic, Family::V4).await
}

pub(super) async fn aquatic_udp_v6(lab: &mut Lab<'_>) -> Outcome {
    in_the_open(lab, Kind::Aquatic, Family::V6).await
}

async fn in_the_open(lab: &mut Lab<'_>, kind: Kind, family: Family) -> Outcome {
    let tracker = lab.tracker_at(kind, family).await?;
    from_started_to_stopped(lab, tracker, &super::announcer()).await
}

/// The tracker's certificate comes from an authority that the announcer believes.
async fn behind_tls(lab: &mut Lab<'_>, kind: Kind, family: Family) -> Outcome {
    let authority = Authority::new()?;
    let mut tracker = lab.tracker_at(kind, family).await?;
    tracker.secure(&authority.certificate(tracker.address().ip())?).await?;
    from_started_to_stopped(lab, tracker, &believing(&authority)?).await
}

/// An announcer that believes what this authority says.
pub(super) fn believing(authority: &Authority) -> Result<Announcer, Box<dyn Error>> {
    let http = HttpConfig::new().tls(TlsConfig::with_roots(authority.pem().as_bytes())?);
    Ok(Announcer::builder().http(http).config(short_waits()).spawn())
}

async fn from_started_to_stopped(lab: &mut Lab<'_>, tracker: Tracker, parts: &Announcer) -> Outcome {
    let trackers = [tracker];
    let [tracker] = &trackers;
    let counts = |complete, incomplete, finished| {
        // What the tracker gives for the number of downloads.
        let downloaded = match tracker.kind() {
            Kind::Opentracker | Kind::OpentrackerUdp => finished,
            Kind::Npm | Kind::NpmUdp => complete,
            Kind::Aquatic => 0,
        };
        Counts::new(complete, incomplete, downloaded)
    };
    let report = &mut *lab.report;
    let mut session = Session::start(parts, tiers_of(&trackers)?, TORRENT, OUR_PORT);
    let announced = answered(&mut session).await?;
    let scheme = announced.tracker.scheme();
    report.check(tracker.announce_url().starts_with(scheme.name()), format_args!("over {scheme:?}"), ());
    if names_peers(tracker) {
        report.check(found_the_seed(&announced), "the seed is found", ports(&announced));
    } else {
        report.same(ports(&announced), Vec::new(), "no peer is named, as this tracker has no IPv6 over UDP");
    }
    let swarm = (announced.response.complete, announced.response.incomplete);
    // aquatic counts those who were there before.
    let leeches = u64::from(tracker.kind() != Kind::Aquatic);
    report.same(swarm, (Some(1), Some(leeches)), "the answer counts the seed, and a leech beside it");
    report.same(tracker.counts().await?, counts(1, 1, 0), "and so does the tracker");
    report.same(tracker.ports().await?, vec![OUR_PORT, SEEDS_PORT], "both are handed out");

    session.forget().await;
    session.handle.override_interval(Some(Duration::from_secs(1)));
    let periodic = answered(&mut session).await?;
    session.handle.override_interval(None);
    report.same(periodic.event, None, "a periodic announce has no event");
    report.same(tracker.counts().await?, counts(1, 1, 0), "and changes nothing");
    let scrape = session.handle.scrape().await?;
    let seen = scrape.files.values().next().map(|seen| (seen.complete, seen.incomplete));
    report.same(seen, Some((Some(1), Some(1))), "our own scrape counts the same");

    session.forget().await;
    session.handle.complete();
    answered(&mut session).await?;
    report.same(tracker.counts().await?, counts(2, 0, 1), "two seeds after completed");
    report.same(stop(session).await, (1, 0), "stopped is taken");
    report.same(tracker.counts().await?, counts(1, 0, 1), "the seed alone is left");
    report.same(tracker.ports().await?, vec![SEEDS_PORT], "and alone handed out");
    heard(lab, tracker).await
}

/// What the tracker itself says it heard of us.
async fn heard(lab: &mut Lab<'_>, tracker: &Tracker) -> Outcome {
    match tracker.kind() {
        Kind::Npm | Kind::NpmUdp => {
            tracker.wait_to_say(&format!("stop {}", our_peer(tracker))).await?;
            let expected = ["start left=1000", "update left=1000", "complete left=0", "stop left=0"];
            let heard = of_us(tracker);
            lab.report.same(heard, expected.map(String::from).to_vec(), "it heard these four, and no probe");
        }
        Kind::Opentracker | Kind::OpentrackerUdp => {
            // The observer announces twice whenever it asks for peers.
            lab.report.same(tracker.announces().await?, 4 + 2 * 2, "it heard four announces of ours");
        }
        Kind::Aquatic => {}
    }
    Ok(())
}

/// bittorrent-tracker answers over UDP with IPv4 peers alone, whatever the family of the socket.
fn names_peers(tracker: &Tracker) -> bool {
    tracker.kind() != Kind::NpmUdp || tracker.address().is_ipv4()
}

/// What bittorrent-tracker has said of our session's peer, and of requests that announce nothing.
pub(super) fn of_us(tracker: &Tracker) -> Vec<String> {
    let peer = our_peer(tracker);
    let of_us =
        |line: &&String| line.contains(&peer) || line.starts_with("HEAD") || line.starts_with("warning");
    let line = |line: &String| line.replace(&format!(" {peer}"), "");
    tracker.said().iter().filter(of_us).map(line).collect()
}

/// Our session's peer as bittorrent-tracker writes it.
fn our_peer(tracker: &Tracker) -> String {
    match (tracker.address().ip(), tracker.kind()) {
        (IpAddr::V4(_), _) => format!("127.0.0.1:{OUR_PORT}"),
        (IpAddr::V6(_), Kind::NpmUdp) => format!("::1:{OUR_PORT}"),
        (IpAddr::V6(_), _) => format!("[::1]:{OUR_PORT}"),
    }
}
