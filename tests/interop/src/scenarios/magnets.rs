//! Magnet links: our client gets the torrent itself from each other client, and each from ours.

use std::path::Path;

use tracker_failover::{InfoHash, Metainfo};

use super::{Lab, Outcome};
use crate::clients::{Clients, Other, PATIENCE, free_port};
use crate::clock;
use crate::swarm::{ODD_FILES, Swarm};
use crate::tracker::Kind;

pub(super) async fn from_libtorrent(lab: &mut Lab<'_>) -> Outcome {
    from(lab, Other::Libtorrent).await
}

pub(super) async fn from_transmission(lab: &mut Lab<'_>) -> Outcome {
    from(lab, Other::Transmission).await
}

pub(super) async fn from_aria2(lab: &mut Lab<'_>) -> Outcome {
    from(lab, Other::Aria2).await
}

pub(super) async fn from_qbittorrent(lab: &mut Lab<'_>) -> Outcome {
    from(lab, Other::QBittorrent).await
}

fn link(swarm: &Swarm, more: &str) -> String {
    format!("magnet:?xt=urn:btih:{}&{more}", InfoHash::new(swarm.info_hash))
}

/// A link with a tracker.
pub(super) fn link_with(swarm: &Swarm, announce_url: &str) -> String {
    link(swarm, &format!("tr={}", announce_url.replace(':', "%3A").replace('/', "%2F")))
}

/// Another one is the only seed, and the link names nothing but its address.
async fn from(lab: &mut Lab<'_>, other: Other) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, ODD_FILES)?;
    let torrent = swarm.torrent(&clients, "seeded", &[])?;
    let port = free_port()?;
    let _seed = clients.other(other, &[&torrent], &swarm.seed(), port)?;
    let folder = swarm.leech("ours")?;
    let link = link(&swarm, &format!("x.pe=127.0.0.1:{port}"));
    let started = clock();
    // It may be a while until the other one listens, so the link is tried again.
    let mut tries = 0;
    let client = loop {
        let options = ["--exit-when-done", "--save-torrent", "--deadline-s", "20"];
        let mut client = clients.magnet(&link, &folder, &options)?;
        if client.end(PATIENCE).await?.code() == Some(0) || tries == 2 {
            break client;
        }
        tries += 1;
    };
    let report = &mut *lab.report;
    let got = client.said().iter().any(|line| line.is("metadata"));
    report.check(got, "it gets the metadata", client.last_words());
    report.same(swarm.compare(&folder), Ok(()), "every byte is the same");
    let saved = folder.join(format!("{}.torrent", swarm.name()));
    report.same(is_torrent_of(&saved, &swarm), Ok(()), "the torrent file is kept beside the data");
    report.note(format_args!("took {:.1} s", (clock() - started).as_secs_f64()));
    Ok(())
}

fn is_torrent_of(file: &Path, swarm: &Swarm) -> Result<(), String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let metainfo = Metainfo::parse(&bytes).map_err(|error| error.to_string())?;
    if *metainfo.info_hash().as_bytes() == swarm.info_hash { Ok(()) } else { Err("another torrent".into()) }
}

/// Ours is the only seed; each of the others is given a link with a tracker, and ends before the next one starts.
pub(super) async fn from_ours(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, ODD_FILES)?;
    let tracker = swarm.tracker(lab.tools, Kind::Opentracker).await?;
    let torrent = swarm.torrent(&clients, "seeded", &[tracker.announce_url()])?;
    let mut seed = clients.ours(&torrent, &swarm.seed(), &["--announce-interval", "2"])?;
    seed.wait_for("its first announce", PATIENCE, |line| line.answered().map(drop)).await?;
    let link = link_with(&swarm, &tracker.announce_url());
    for (name, other) in [
        ("libtorrent", Other::Libtorrent),
        ("aria2", Other::Aria2),
        ("Transmission", Other::Transmission),
        ("qBittorrent", Other::QBittorrent),
    ] {
        let folder = swarm.leech(name)?;
        let leech = clients.other_on_link(other, &link, &folder, free_port()?).await?;
        // Transmission 3 makes no empty files.
        let compare = if other == Other::Transmission { Swarm::compare_bytes } else { Swarm::compare };
        let compared = super::downloads::until_the_same(|| compare(&swarm, &folder)).await;
        if !lab.report.same(compared, Ok(()), format_args!("{name} gets the torrent and every byte")) {
            lab.report.note(leech.last_words());
            lab.report.note(seed.last_words());
        }
    }
    Ok(())
}
