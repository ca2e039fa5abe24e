//! Encrypted connections (MSE) with each other client, both ways. All pairs run at once.

use std::net::SocketAddr;
use std::path::PathBuf;

use fake_tracker::{Behaviour, FakeTracker, SwarmPeer};

use super::{Lab, Outcome};
use crate::clients::{Clients, Crypto, Other, PATIENCE, free_port};
use crate::program::{Line, Program};
use crate::swarm::{SHORT_LAST_PIECE, Swarm, dead_host};

/// How a connection of ours is encrypted, by its line.
fn encryption_of(line: &Line) -> Option<&str> {
    if !line.is("peer_connected") {
        return None;
    }
    line.text.split_once("\"encryption\":\"")?.1.split('"').next()
}

fn all_of(client: &Program) -> Vec<String> {
    client.said().iter().filter_map(encryption_of).map(str::to_owned).collect()
}

/// The others are seeds; ours, one for each of them, knows only that one.
pub(super) async fn from_others(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, SHORT_LAST_PIECE)?;
    let torrent = swarm.torrent(&clients, "without trackers", &[])?;
    let mut pairs = Vec::new();
    for (name, other, crypto, ours, expected) in [
        ("libtorrent, forced", Other::Libtorrent, Crypto::Required, "prefer", &["rc4"][..]),
        ("libtorrent, forced, and ours too", Other::Libtorrent, Crypto::Required, "require", &["rc4"]),
        // On one machine there is nothing to hide from.
        ("libtorrent as it comes", Other::Libtorrent, Crypto::Usual, "prefer", &["none"]),
        (
            "libtorrent as it comes, where ours requires it",
            Other::Libtorrent,
            Crypto::Usual,
            "require",
            &["rc4"],
        ),
        ("aria2, forced", Other::Aria2, Crypto::Required, "prefer", &["rc4"]),
        ("Transmission, forced", Other::Transmission, Crypto::Required, "require", &["rc4"]),
        ("qBittorrent, forced", Other::QBittorrent, Crypto::Required, "require", &["rc4"]),
        ("libtorrent, plain", Other::Libtorrent, Crypto::Off, "prefer", &["none"]),
        ("libtorrent, plain, where ours requires it", Other::Libtorrent, Crypto::Off, "require", &[]),
        ("qBittorrent, plain, where ours requires it", Other::QBittorrent, Crypto::Off, "require", &[]),
    ] {
        let port = free_port()?;
        // Each has its own copy, because some write beside it.
        let place = swarm.copy(name)?;
        let seed = clients.other_with(other, crypto, &[&torrent], &place, port)?;
        let (folder, peer) = (swarm.leech(&format!("ours from {name}"))?, format!("127.0.0.1:{port}"));
        // One that must not connect is done when the plain ones are.
        let limit = if expected.is_empty() { "10" } else { "40" };
        let options = ["--exit-when-done", "--peer", &peer, "--encryption", ours, "--deadline-s", limit];
        pairs.push((name, expected, seed, clients.ours(&torrent, &folder, &options)?, folder));
    }
    for (name, expected, seed, mut leech, folder) in pairs {
        let ended = leech.end(PATIENCE).await?.code();
        let (ways, report) = (all_of(&leech), &mut *lab.report);
        if expected.is_empty() {
            report.same((ended, ways), (Some(3), vec![]), format_args!("{name}: no connection"));
            let hung_up = |line: &Line| line.is("peer_closed") && line.text.contains("\"why\":\"eof\"");
            let tried = leech.said().iter().any(hung_up);
            report.check(tried, format_args!("{name}: it has hung up on us"), leech.last_words());
            continue;
        }
        let good = !ways.is_empty() && ways.iter().all(|way| expected.contains(&way.as_str()));
        report.check(good, format_args!("{name}: {}", ways.join(", ")), &ways);
        if name.starts_with("Transmission") {
            let speaks = |line: &Line| line.is("peer_connected") && line.text.contains("\"fast\":true");
            let fast = leech.said().iter().any(speaks);
            report.check(fast, "Transmission and ours speak the fast extension (BEP 6)", leech.last_words());
        }
        if !report.same(
            (ended, swarm.compare(&folder)),
            (Some(0), Ok(())),
            format_args!("{name}: every byte"),
        ) {
            report.note(leech.last_words());
            report.note(seed.last_words());
        }
    }
    Ok(())
}

/// Ours is the seed. Each of the others has a tracker of its own that knows only ours, so that it dials us; Transmission 3 dials no
/// peer on loopback and is dialled.
pub(super) async fn from_ours(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, SHORT_LAST_PIECE)?;
    let bare = swarm.torrent(&clients, "without trackers", &[])?;
    let transmissions_port = free_port()?;
    let transmission = format!("127.0.0.1:{transmissions_port}");
    let mut leeches = vec![(
        "Transmission",
        swarm.leech("Transmission")?,
        clients.other_with(
            Other::Transmission,
            Crypto::Required,
            &[&bare],
            &swarm.leech("Transmission")?,
            transmissions_port,
        )?,
    )];
    let mut seed = clients.ours(&bare, &swarm.seed(), &["--no-trackers", "--peer", &transmission])?;
    let port = seed.wait_for("its port", PATIENCE, super::exchange::port).await?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut trackers = Vec::new();
    for (name, other) in
        [("libtorrent", Other::Libtorrent), ("aria2", Other::Aria2), ("qBittorrent", Other::QBittorrent)]
    {
        let tracker = FakeTracker::start_at(SocketAddr::from((dead_host(), 0)), Behaviour::ok()).await;
        tracker.add_peer(swarm.info_hash, SwarmPeer { peer_id: [1; 20], address, left: Some(0) });
        let (url, folder) = (tracker.announce_url(), swarm.leech(name)?);
        // It is started without a hash check, by which it would take itself for a seed of a torrent file.
        let torrent = match other {
            Other::QBittorrent => PathBuf::from(super::magnets::link_with(&swarm, &url)),
            _ => swarm.torrent(&clients, name, &[url])?,
        };
        let leech = clients.other_with(other, Crypto::Required, &[&torrent], &folder, free_port()?)?;
        leeches.push((name, folder, leech));
        trackers.push(tracker);
    }
    for (name, folder, leech) in &leeches {
        let compared = super::downloads::until_the_same(|| swarm.compare(folder)).await;
        if !lab.report.same(compared, Ok(()), format_args!("{name} gets every byte")) {
            lab.report.note(leech.last_words());
            lab.report.note(seed.last_words());
        }
    }
    let ways = all_of(&seed);
    let good = ways.len() >= leeches.len() && ways.iter().all(|way| way == "rc4");
    lab.report.check(good, format_args!("all connections are encrypted: {}", ways.join(", ")), &ways);
    Ok(())
}
