//! Peer exchange (BEP 11) with libtorrent: who knows a single peer finds the others through it.

use super::{Lab, Outcome};
use crate::clients::{Clients, PATIENCE, free_port};
use crate::program::Line;
use crate::swarm::{ODD_FILES, Swarm};

/// The port that our client listens on.
pub(super) fn port(line: &Line) -> Option<u16> {
    line.is("listening").then(|| line.number("port")).flatten().and_then(|port| port.try_into().ok())
}

/// libtorrent has everything, and our client knows it; a third one knows only our client, which gives nothing itself.
pub(super) async fn by_ours(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, ODD_FILES)?;
    let torrent = swarm.torrent(&clients, "without trackers", &[])?;
    let seeds_port = free_port()?;
    let _seed = clients.libtorrent(&["--pex"], &[&torrent], &swarm.seed(), seeds_port)?;
    let known = format!("127.0.0.1:{seeds_port}");
    // It is slow, so that it stays connected to the seed, and gives next to nothing.
    let hub_options = ["--peer", &known, "--down", "1", "--up", "1"];
    let mut hub = clients.ours(&torrent, &swarm.leech("hub")?, &hub_options)?;
    let hubs_port = hub.wait_for("its port", PATIENCE, port).await?;
    hub.wait_for("the seed", PATIENCE, |line| line.is("peer_connected").then_some(())).await?;
    for (name, ours) in [("ours", true), ("libtorrent", false)] {
        let folder = swarm.leech(name)?;
        let report = &mut *lab.report;
        let what = format!("{name}, which knows only our client, finds the seed through it");
        if ours {
            let hub = format!("127.0.0.1:{hubs_port}");
            let mut leech = clients.ours(&torrent, &folder, &["--exit-when-done", "--peer", &hub])?;
            let ended = leech.end(PATIENCE).await?;
            report.check(ended.code() == Some(0), &what, leech.last_words());
            report.same(swarm.compare(&folder), Ok(()), "every byte is the same");
        } else {
            let mut leech = clients.libtorrent(&["--pex"], &[&torrent], &folder, free_port()?)?;
            leech.tell(&format!("connect {hubs_port}"))?;
            let compared = super::downloads::until_the_same(|| swarm.compare(&folder)).await;
            if !lab.report.same(compared, Ok(()), &what) {
                lab.report.note(hub.last_words());
            }
        }
    }
    Ok(())
}

/// Our client has everything; libtorrent knows it and gives nothing itself; a third one, ours, knows only libtorrent.
pub(super) async fn by_libtorrent(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, ODD_FILES)?;
    let torrent = swarm.torrent(&clients, "without trackers", &[])?;
    let mut seed = clients.ours(&torrent, &swarm.seed(), &["--no-trackers"])?;
    let seeds_port = seed.wait_for("its port", PATIENCE, port).await?;
    let hubs_port = free_port()?;
    let mut hub = clients.libtorrent(&["--pex"], &[&torrent], &swarm.leech("hub")?, hubs_port)?;
    for command in ["fetch 1024".to_owned(), "limit 1024".to_owned(), format!("connect {seeds_port}")] {
        hub.tell(&command)?;
    }
    seed.wait_for("libtorrent", PATIENCE, |line| line.is("peer_connected").then_some(())).await?;
    let folder = swarm.leech("ours")?;
    let known = format!("127.0.0.1:{hubs_port}");
    let mut leech = clients.ours(&torrent, &folder, &["--exit-when-done", "--peer", &known])?;
    let ended = leech.end(PATIENCE).await?;
    let report = &mut *lab.report;
    report.check(ended.code() == Some(0), "it finds our seed through libtorrent", leech.last_words());
    report.same(swarm.compare(&folder), Ok(()), "every byte is the same");
    Ok(())
}

/// A seed that names its pieces one by one (BEP 16).
pub(super) async fn from_super_seed(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, ODD_FILES)?;
    let torrent = swarm.torrent(&clients, "without trackers", &[])?;
    let seeds_port = free_port()?;
    let _seed = clients.libtorrent(&["--super"], &[&torrent], &swarm.seed(), seeds_port)?;
    let folder = swarm.leech("ours")?;
    let known = format!("127.0.0.1:{seeds_port}");
    let mut leech = clients.ours(&torrent, &folder, &["--exit-when-done", "--peer", &known])?;
    let ended = leech.end(PATIENCE).await?;
    let report = &mut *lab.report;
    report.check(ended.code() == Some(0), "a super-seeding libtorrent gives everything", leech.last_words());
    report.same(swarm.compare(&folder), Ok(()), "every byte is the same");
    Ok(())
}
