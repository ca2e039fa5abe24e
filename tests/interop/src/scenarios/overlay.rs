//! The DHT in place of trackers: our client among nodes of libtorrent, in both directions, and never for a private torrent.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Lab, Outcome};
use crate::clients::{Clients, PATIENCE, free_port};
use crate::program::{Line, Program};
use crate::swarm::{Dead, ODD_FILES, Swarm};

/// Ten nodes of libtorrent's DHT, one of which has a torrent; all its trackers are dead.
struct Network {
    swarm: Swarm,
    torrent: PathBuf,
    ports: Vec<u16>,
    /// Running until this is dropped.
    _nodes: Vec<Program>,
    _mute: Dead,
}

/// As many as the network of the crate's own tests has.
const NODES: usize = 10;
/// How long the first peer may take after the DHT was joined: two seconds are wanted, and this is ten times as long.
const FIRST_PEER: Duration = Duration::from_secs(20);

impl Network {
    /// Starts the nodes, and waits until the one with the torrent is known to others.
    async fn start(
        lab: &Lab<'_>,
        clients: &Clients,
        has_seed: bool,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let swarm = Swarm::new(lab.tools, clients, ODD_FILES)?;
        let (refused, mute) = (Dead::refused()?, Dead::mute()?);
        let torrent = swarm.torrent(clients, "dead", &[refused.announce_url()?, mute.announce_url()?])?;
        let ports = (0..NODES).map(|_| free_port()).collect::<Result<Vec<u16>, _>>()?;
        let mut nodes = Vec::new();
        for (number, &port) in ports.iter().enumerate() {
            let others: Vec<String> =
                ports.iter().take(3).filter(|&&other| other != port).map(ToString::to_string).collect();
            let torrents: &[&PathBuf] = if has_seed && number == NODES - 1 { &[&torrent] } else { &[] };
            nodes.push(clients.libtorrent(&["--dht", &others.join(",")], torrents, &swarm.seed(), port)?);
        }
        let is_known = |node: &Program| node.said().iter().any(|line| line.text == "announced");
        let known = async {
            while has_seed && !nodes.iter().any(is_known) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, known).await.map_err(|_| "the seed didn't announce itself to the DHT")?;
        Ok(Self { swarm, torrent, ports, _nodes: nodes, _mute: mute })
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first().copied().unwrap_or_default())
    }
}

/// When our client joined, and when it had its first peer.
fn moments(said: &[Line]) -> Option<(Duration, Duration)> {
    let first = said.first()?.at;
    let at = |line: Option<&Line>| line.map(|line| line.at.duration_since(first));
    let joined =
        said.iter().find(|line| line.alert().is_some_and(|text| text.starts_with("joining the DHT")));
    let peer = said.iter().find(|line| line.is("peer_connected"));
    Some((at(joined)?, at(peer)?))
}

async fn downloads(lab: &mut Lab<'_>, mode: &str, joins_after: Duration) -> Outcome {
    let clients = Clients::find()?;
    let network = Network::start(lab, &clients, true).await?;
    let folder = network.swarm.leech("ours")?;
    let bootstrap = network.bootstrap();
    let options = ["--exit-when-done", "--discovery-mode", mode, "--dht-bootstrap", &bootstrap];
    let mut client = clients.ours(&network.torrent, &folder, &options)?;
    let ended = client.end(PATIENCE).await?;
    let report = &mut *lab.report;
    report.check(
        ended.code() == Some(0),
        "it downloads from a peer that it found in the DHT",
        client.last_words(),
    );
    report.same(network.swarm.compare(&folder), Ok(()), "every byte is the same");
    let Some((joined, peer)) = moments(&client.said()) else { return Err(client.last_words().into()) };
    let after = peer.saturating_sub(joined);
    report.check(
        joined >= joins_after,
        "it joins when trackers have brought no peer for so long",
        format_args!("{joined:?}"),
    );
    report.check(after <= FIRST_PEER, "the first peer comes soon after it joined", format_args!("{after:?}"));
    report.note(format_args!("joined after {joined:.1?}, the first peer {after:.2?} later"));
    Ok(())
}

/// From the start, without a word to a tracker.
pub(super) async fn alone(lab: &mut Lab<'_>) -> Outcome {
    downloads(lab, "overlay", Duration::ZERO).await
}

/// Beside trackers that are all dead: after three seconds without a peer.
pub(super) async fn beside_trackers(lab: &mut Lab<'_>) -> Outcome {
    downloads(lab, "both", Duration::from_millis(2500)).await
}

/// Ours seeds and announces itself; libtorrent finds it.
pub(super) async fn announced(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let network = Network::start(lab, &clients, false).await?;
    let bootstrap = network.bootstrap();
    let options = ["--discovery-mode", "overlay", "--dht-bootstrap", &bootstrap];
    let mut seeder = clients.ours(&network.torrent, &network.swarm.seed(), &options)?;
    let said = |line: &Line| line.alert().filter(|text| text.starts_with("announced port")).map(drop);
    seeder.wait_for("an announce to the DHT", PATIENCE, said).await?;
    let folder = network.swarm.leech("theirs")?;
    let known: Vec<String> = network.ports.iter().take(3).map(ToString::to_string).collect();
    let options = ["--dht", &known.join(",")];
    let leech = clients.libtorrent(&options, &[&network.torrent], &folder, free_port()?)?;
    let compared = super::downloads::until_the_same(|| network.swarm.compare(&folder)).await;
    let report = &mut *lab.report;
    if !report.same(compared, Ok(()), "libtorrent finds our client in the DHT: every byte is the same") {
        report.note(leech.last_words());
        report.note(seeder.last_words());
    }
    let ended = seeder.terminate(Duration::from_secs(10)).await?;
    report.check(ended.code() == Some(0), "our client ends well", seeder.last_words());
    Ok(())
}

/// BEP 27: not a packet to the node that it is given to begin with.
pub(super) async fn private(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, ODD_FILES)?;
    let dead = Dead::refused()?;
    let private = swarm.private_torrent(&clients, "private", &[dead.announce_url()?])?;
    let public = swarm.torrent(&clients, "public", &[dead.announce_url()?])?;
    for (torrent, expected) in [(&public, true), (&private, false)] {
        let node = UdpSocket::bind("127.0.0.1:0")?;
        node.set_nonblocking(true)?;
        let bootstrap = node.local_addr()?.to_string();
        let folder = swarm.leech("ours")?;
        let options = ["--discovery-mode", "both", "--dht-bootstrap", &bootstrap, "--deadline-s", "6"];
        let mut client = clients.ours(torrent, &folder, &options)?;
        let ended = client.end(PATIENCE).await?;
        let mut packets = 0;
        while node.recv(&mut [0; 2048]).is_ok() {
            packets += 1;
        }
        let report = &mut *lab.report;
        report.check(ended.code() == Some(3), "it finds no peer", client.last_words());
        let what = if expected { "a public torrent is looked for in the DHT" } else { "a private one isn't" };
        report.check((packets > 0) == expected, what, format_args!("{packets} packets"));
    }
    Ok(())
}

/// Our client and libtorrent, whose nodes know nothing of each other, send each other their ports (BEP 5); the next start
/// begins with what was kept.
pub(super) async fn nodes(lab: &mut Lab<'_>) -> Outcome {
    let clients = Clients::find()?;
    let swarm = Swarm::new(lab.tools, &clients, ODD_FILES)?;
    let torrent = swarm.torrent(&clients, "without trackers", &[])?;
    let (first, seeds) = (free_port()?, free_port()?);
    let _first = clients.libtorrent::<PathBuf>(&["--dht", ""], &[], &swarm.seed(), first)?;
    let mut seed = clients.libtorrent(&["--dht", ""], &[&torrent], &swarm.seed(), seeds)?;
    let folder = swarm.leech("ours")?;
    let file = folder.join("nodes");
    let known = format!("127.0.0.1:{first}");
    let name = file.to_str().ok_or("a path that is no text")?;
    let options = ["--discovery-mode", "overlay", "--dht-nodes", name, "--dht-bootstrap"];
    let mut client = clients.ours(&torrent, &folder, &[&options[..], &[&known]].concat())?;
    let port = |line: &Line| line.is("listening").then(|| line.number("port")).flatten();
    let ours = client.wait_for("its port", PATIENCE, port).await?;
    let joined = |line: &Line| line.alert().filter(|text| text.starts_with("joined the DHT")).map(drop);
    client.wait_for("the DHT", PATIENCE, joined).await?;
    seed.tell(&format!("connect {ours}"))?;
    client.wait_for("its download", PATIENCE, |line| line.is("complete").then_some(())).await?;
    // Our node has the UDP port of the same number.
    let is_asked = |line: &Line| (line.text == format!("asked {ours}")).then_some(());
    let asked = seed.wait_for("a question to our node", PATIENCE, is_asked).await;
    let ended = client.terminate(Duration::from_secs(10)).await?;
    let report = &mut *lab.report;
    report.check(ended.code() == Some(0), "our client ends well", client.last_words());
    report.same(asked, Ok(()), "libtorrent asks our node, whose port came in a message");
    let kept = std::fs::read_to_string(&file)?;
    let has = |port| kept.lines().any(|line| line == format!("127.0.0.1:{port}"));
    report.check(has(seeds), "libtorrent's node, whose port came in a message, is kept", &kept);
    report.check(has(first), "and so is the one that answered", &kept);
    // Nothing answers there.
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let known = silent.local_addr()?.to_string();
    let mut again = clients.ours(&torrent, &swarm.leech("again")?, &[&options[..], &[&known]].concat())?;
    let joined = again.wait_for("the DHT", PATIENCE, joined).await;
    report.same(joined, Ok(()), "the next start joins by what was kept");
    Ok(())
}
