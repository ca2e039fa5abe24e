//! The DHT as a source of peers, with ten nodes on this machine.

use std::net::UdpSocket;

use fake_tracker::{Behaviour, FakeTracker, SwarmPeer};
use mainline::{Id, Testnet};

use super::trackers::runtime;
use super::*;
use crate::net::clock::Clock;

/// `--discovery-mode` and `--dht-bootstrap` for these nodes.
fn options<'a>(mode: &'a str, nodes: &'a [String]) -> Vec<&'a str> {
    let mut options = vec!["--discovery-mode", mode, "--allow-loopback"];
    for node in nodes {
        options.extend(["--dht-bootstrap", node]);
    }
    options
}

/// Waits for a line about the DHT with this text.
fn wait_for_line(client: &mut Client, text: &str) {
    while !client.wait_for("alert").contains(text) {}
}

/// A dead tracker: nothing listens there any more.
fn dead_tracker() -> String {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    format!("http://{address}/announce")
}

/// All trackers are dead. The seed is found in the DHT alone; two seconds after it was joined are what is aimed at, and the
/// bound is ten times as wide for slow machines.
#[test]
fn the_dht_joins_when_no_tracker_brings_a_peer() {
    let network = Testnet::builder(10).build().unwrap();
    let shared = Shared::new(300_000, &[dead_tracker(), dead_tracker()]);
    let mut seed = shared.start("seed", &options("overlay", &network.bootstrap));
    wait_for_line(&mut seed, "announced port");
    let started = Clock::start();
    let both = options("both", &network.bootstrap);
    let mut leech = shared.start("leech", &[&both[..], &["--exit-when-done", "--deadline-s", "60"]].concat());
    wait_for_line(&mut leech, "joining the DHT");
    assert!(started.now() >= Duration::from_secs(3), "after {:?}", started.now());
    wait_for_line(&mut leech, "joined the DHT");
    let joined = Clock::start();
    leech.wait_for("peer_connected");
    assert!(joined.now() < Duration::from_secs(20), "{:?}", joined.now());
    println!("first peer {:?} after the DHT was joined", joined.now());
    let (code, said) = leech.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("leech"));
}

/// Without trackers, though one lives: it isn't asked. Any node of the DHT names the port that we announced.
#[test]
fn an_announce_is_found_by_others() {
    let runtime = runtime();
    let tracker = runtime.block_on(FakeTracker::start(Behaviour::ok()));
    let network = Testnet::builder(10).build().unwrap();
    let shared = Shared::new(300_000, &[tracker.announce_url()]);
    let mut seed = shared.start("seed", &options("overlay", &network.bootstrap[..1]));
    let own = SocketAddr::from(([127, 0, 0, 1], seed.port()));
    wait_for_line(&mut seed, "announced port");
    let id = Id::from(*shared.torrent.info_hash.as_bytes());
    for node in [2, 9] {
        let other = network.nodes[node].clone().as_async();
        let found = runtime.block_on(async {
            let mut answers = other.get_peers(id);
            std::future::poll_fn(|context| {
                futures_core::Stream::poll_next(std::pin::Pin::new(&mut answers), context)
            })
            .await
        });
        let found: Vec<_> = found.unwrap_or_default().into_iter().map(SocketAddr::V4).collect();
        assert_eq!(found, [own]);
    }
    assert!(tracker.heard().is_empty());
}

/// A seed that a tracker names is there within the three seconds, and the download takes longer than that.
#[test]
fn a_download_that_trackers_feed_sends_nothing_to_the_dht() {
    let runtime = runtime();
    let tracker = runtime.block_on(FakeTracker::start(Behaviour::ok()));
    let shared = Shared::new(600_000, &[tracker.announce_url()]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let address = SocketAddr::from(([127, 0, 0, 1], seed.port()));
    let peer = SwarmPeer { peer_id: [1; 20], address, left: Some(0) };
    tracker.add_peer(*shared.torrent.info_hash.as_bytes(), peer);
    let node = SilentNode::new();
    let names = node.names();
    let both = options("both", &names);
    let started = Clock::start();
    let (code, said) =
        shared.start("leech", &[&both[..], &["--exit-when-done", "--down", "100"]].concat()).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(started.now() > Duration::from_secs(4), "too quick for the test: {:?}", started.now());
    assert!(!node.has_heard() && !said.contains("OVERLAY"), "{said}");
}

/// BEP 27: not a packet, and not even a socket.
#[test]
fn a_private_torrent_stays_out_of_the_dht() {
    for mode in ["overlay", "both"] {
        let shared = Shared::private(100_000);
        let node = SilentNode::new();
        let names = node.names();
        let mut client = shared.start("leech", &options(mode, &names));
        wait_for_line(&mut client, "private torrent: the DHT stays off");
        thread::sleep(Duration::from_secs(5));
        assert!(!node.has_heard());
        #[cfg(target_os = "linux")]
        assert_eq!(udp_sockets(client.process.id()), 0);
    }
    // What is counted would show.
    let shared = Shared::new(100_000, &[]);
    let node = SilentNode::new();
    let names = node.names();
    let mut client = shared.start("leech", &options("overlay", &names));
    wait_for_line(&mut client, "joining");
    thread::sleep(Duration::from_secs(1));
    assert!(node.has_heard());
    #[cfg(target_os = "linux")]
    assert_eq!(udp_sockets(client.process.id()), 1);
}

/// A known peer that is gone is no reason to end while the DHT may name others.
#[test]
fn a_client_with_a_dht_goes_on_waiting() {
    let shared = Shared::new(100_000, &[]);
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let node = SilentNode::new();
    let names = node.names();
    let overlay = options("overlay", &names);
    let peer = ["--no-trackers", "--peer", &gone];
    let (code, said) = shared.start("leech", &[&overlay[..], &peer, &["--deadline-s", "30"]].concat()).end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("no node of the DHT answers; next attempt in 15 s"), "{said}");
    assert!(said.contains("not complete at the deadline"), "{said}");
}

/// A peer and our client tell each other the ports of their nodes (BEP 5). What was learnt is in the file of the next start,
/// and so are the nodes of the network; no more than the handshake is exchanged about a private torrent.
#[cfg(unix)]
#[test]
fn nodes_of_peers_are_kept_for_the_next_start() {
    let network = Testnet::builder(10).build().unwrap();
    let start = |shared: &Shared, nodes: &[String]| {
        let file = shared.path("nodes");
        let more = ["--no-trackers", "--dht-nodes", file.to_str().unwrap()];
        let mut client = shared.start("seed", &[&options("overlay", nodes)[..], &more].concat());
        let port = client.port();
        (client, port)
    };
    let greet = |shared: &Shared, port: u16| {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut wire = Wire { stream, buffer: Vec::new(), pieces: shared.torrent.pieces() };
        wire.send(&handshake::write(shared.torrent.info_hash, PeerId::new(*b"-XX0001-abcdefghijkl"), true));
        let mut theirs = [0; handshake::LENGTH];
        wire.stream.read_exact(&mut theirs).unwrap();
        wire.say(&Message::Port(7007));
        (wire, theirs[27] & 1 == 1)
    };
    let shared = Shared::new(100_000, &[]);
    let (mut client, port) = start(&shared, &network.bootstrap);
    wait_for_line(&mut client, "announced port");
    let (mut wire, has_node) = greet(&shared, port);
    assert!(has_node);
    let mut named = None;
    wire.each(|wire, message| {
        if let Message::Port(port) = message {
            named = Some(port);
            let _ = wire.stream.shutdown(std::net::Shutdown::Both);
        }
    });
    // The node has the UDP port of the same number if it is free.
    assert!(named.is_some_and(|named| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, named)).is_err()));
    client.wait_for("peer_closed");
    client.terminate();
    assert_eq!(client.end().0, Some(0));
    let file = fs::read_to_string(shared.path("nodes")).unwrap();
    assert!(file.lines().any(|line| line == "127.0.0.1:7007"), "{file}");
    assert!(file.lines().count() > 1, "{file}");
    // The next start reaches the network by the file alone.
    let silent = SilentNode::new();
    let (mut again, _) = start(&shared, &silent.names());
    wait_for_line(&mut again, "announced port");
    drop(again);
    // A private torrent has no node.
    let shared = Shared::private(100_000);
    let (client, port) = start(&shared, &network.bootstrap);
    let (mut wire, has_node) = greet(&shared, port);
    assert!(!has_node);
    wire.say(&Message::Interested);
    wire.each(|wire, message| {
        assert!(!matches!(message, Message::Port(_)));
        if message == Message::Unchoke {
            let _ = wire.stream.shutdown(std::net::Shutdown::Both);
        }
    });
    client.terminate();
    assert_eq!(client.end().0, Some(0));
    assert!(!shared.path("nodes").exists());
}

/// A bootstrap node that answers nothing.
struct SilentNode(UdpSocket);

impl SilentNode {
    fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    fn names(&self) -> [String; 1] {
        [self.0.local_addr().unwrap().to_string()]
    }

    fn has_heard(&self) -> bool {
        self.0.recv(&mut [0; 2048]).is_ok()
    }
}

/// How many UDP sockets a process has.
#[cfg(target_os = "linux")]
fn udp_sockets(process: u32) -> usize {
    let table = |name| fs::read_to_string(format!("/proc/{process}/net/{name}")).unwrap();
    let (v4, v6) = (table("udp"), table("udp6"));
    let inodes =
        v4.lines().skip(1).chain(v6.lines().skip(1)).filter_map(|line| line.split_whitespace().nth(9));
    let sockets: Vec<_> = inodes.map(|inode| format!("socket:[{inode}]")).collect();
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.filter(|link| sockets.iter().any(|socket| link.to_str() == Some(socket))).count()
}
