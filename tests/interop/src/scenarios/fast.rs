//! The fast extension (BEP 6) with libtorrent, which says what is sent and received.

use super::{Lab, Outcome};
use crate::clients::{Clients, PATIENCE, free_port};
use crate::program::Program;
use crate::swarm::{SHORT_LAST_PIECE, Swarm};

/// What libtorrent has sent or got.
fn said(program: &Program, what: &str) -> bool {
    program.said().iter().any(|line| line.text == format!("fast {what}"))
}

/// libtorrent is a seed of ours, and another one downloads from ours at the same time.
pub(super) async fn both_ways(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, SHORT_LAST_PIECE)?;
    let torrent = swarm.torrent(&clients, "without trackers", &[])?;
    let port = free_port()?;
    let seed = clients.libtorrent(&["--fast"], &[&torrent], &swarm.copy("libtorrent")?, port)?;
    let mut ours = clients.ours(&torrent, &swarm.seed(), &["--no-trackers"])?;
    let ours_port = ours.wait_for("its port", PATIENCE, super::exchange::port).await?;
    let theirs = swarm.leech("libtorrent from ours")?;
    let mut leech = clients.libtorrent(&["--fast"], &[&torrent], &theirs, free_port()?)?;
    leech.tell(&format!("connect {ours_port}"))?;
    let (folder, peer) = (swarm.leech("ours")?, format!("127.0.0.1:{port}"));
    let mut client = clients.ours(&torrent, &folder, &["--exit-when-done", "--peer", &peer])?;
    let ended = client.end(PATIENCE).await?.code();
    let compared = super::downloads::until_the_same(|| swarm.compare(&theirs)).await;
    let report = &mut *lab.report;
    report.same((ended, swarm.compare(&folder)), (Some(0), Ok(())), "ours from libtorrent: every byte");
    report.same(compared, Ok(()), "libtorrent from ours: every byte");
    for what in ["sent HAVE_ALL", "got HAVE_NONE"] {
        report.check(said(&seed, what), format_args!("libtorrent, the seed, {what}"), seed.last_words());
    }
    for what in ["sent HAVE_NONE", "got HAVE_ALL", "got ALLOWED_FAST"] {
        report.check(said(&leech, what), format_args!("libtorrent, the leech, {what}"), leech.last_words());
    }
    Ok(())
}
