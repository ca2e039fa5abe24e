//! Discovery against nodes of the DHT that a test plays.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracker_failover::{InfoHash, PeerCounts, Transfer};

use super::news::News;
use super::overlay::{Overlay, Settings};
use super::rule::Joins;
use super::*;

/// A node that answers every question with these peers, and every announce with an error of storing.
struct HostileNode {
    address: SocketAddr,
    questions: Arc<AtomicUsize>,
}

impl HostileNode {
    fn start(peers: Vec<SocketAddr>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&questions);
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            loop {
                // Windows reports here that an earlier answer was refused.
                let Ok((read, from)) = socket.recv_from(&mut buffer) else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                let question = &buffer[..read];
                let has = |part: &[u8]| question.windows(part.len()).any(|found| found == part);
                let at = question.windows(5).position(|found| found == b"1:t4:").unwrap() + 5;
                let mut reply = if has(b"13:announce_peer") {
                    b"d1:eli301e3:CASe".to_vec()
                } else {
                    let mut reply = b"d1:rd2:id20:".to_vec();
                    reply.extend([address.port().to_be_bytes()[1]; 20]);
                    if has(b"9:get_peers") {
                        reply.extend(b"5:token4:abcd6:valuesl");
                        for peer in &peers {
                            let SocketAddr::V4(peer) = peer else { unreachable!() };
                            reply.extend(b"6:");
                            reply.extend(peer.ip().octets());
                            reply.extend(peer.port().to_be_bytes());
                        }
                        reply.push(b'e');
                    }
                    reply.push(b'e');
                    reply
                };
                let kind = if reply.starts_with(b"d1:e") { b'e' } else { b'r' };
                reply.extend(b"1:t4:");
                reply.extend(&question[at..at + 4]);
                reply.extend([b'1', b':', b'y', b'1', b':', kind, b'e']);
                let _ = socket.send_to(&reply, from);
            }
        });
        Self { address, questions }
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

fn discovery(nodes: &[&HostileNode], joins: Joins, allow_loopback: bool) -> Discovery {
    let bootstrap = nodes.iter().map(|node| node.address.to_string()).collect();
    let settings = Settings {
        joins,
        info_hash: InfoHash::new([7; 20]),
        port: 4000,
        bootstrap,
        further: vec![],
        allow_loopback,
    };
    Discovery::new(None, Some(Overlay::new(settings, Duration::ZERO)))
}

fn no_peers() -> SwarmState {
    SwarmState {
        transfer: Transfer::default(),
        peers: PeerCounts::default(),
        has_peers: false,
        is_complete: false,
        wants_peers: true,
    }
}

/// What discovery says until a line with this text: the peers, and the lines.
async fn until(discovery: &mut Discovery, text: &str) -> (Vec<SocketAddr>, Vec<String>) {
    let (mut peers, mut lines) = (Vec::new(), Vec::new());
    while !lines.last().is_some_and(|line: &String| line.contains(text)) {
        match timeout(Duration::from_secs(20), discovery.next()).await {
            Ok(News::Peers(named)) => peers.extend(named),
            Ok(News::Line(tag, line)) => {
                assert_eq!(tag, "OVERLAY");
                lines.push(line);
            }
            other => panic!("{other:?} instead of {text:?}, after {lines:?}"),
        }
    }
    (peers, lines)
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn peers_of_the_dht_are_judged_as_those_of_trackers() {
    let named = addresses(&[
        "1.2.3.4:0",
        "224.0.0.1:5",
        "0.0.0.0:5",
        "10.0.0.1:5",
        "127.0.0.1:5",
        "1.2.3.4:5",
        "1.2.3.4:5",
    ]);
    let node = HostileNode::start(named);
    for (allow_loopback, taken) in [(false, &["1.2.3.4:5"][..]), (true, &["127.0.0.1:5", "1.2.3.4:5"])] {
        let mut discovery = discovery(&[&node], Joins::AtOnce, allow_loopback);
        discovery.tick(no_peers(), Duration::ZERO);
        let (peers, _) = until(&mut discovery, "in the DHT").await;
        assert_eq!(peers, addresses(taken));
    }
}

#[tokio::test]
async fn a_lookup_names_no_more_than_its_bound() {
    let many = |first: u8| (0..230).map(|n| SocketAddr::from(([first, 2, 3, n], 5))).collect();
    let nodes = [1, 2, 5].map(|first| HostileNode::start(many(first)));
    let mut discovery = discovery(&nodes.each_ref(), Joins::AtOnce, false);
    discovery.tick(no_peers(), Duration::ZERO);
    let (peers, lines) = until(&mut discovery, "in the DHT").await;
    assert_eq!(peers.len(), 200, "{lines:?}");
}

/// The crate panics where every node answers an announce with an error of storing.
#[tokio::test]
async fn an_announce_that_is_refused_costs_only_that_announce() {
    let node = HostileNode::start(addresses(&["1.2.3.4:5"]));
    let mut discovery = discovery(&[&node], Joins::AtOnce, false);
    discovery.tick(no_peers(), Duration::ZERO);
    let (_, lines) = until(&mut discovery, "announce").await;
    assert!(lines.iter().any(|line| line == "no node of the DHT took our announce"), "{lines:?}");
    discovery.tick(no_peers(), Duration::from_secs(15));
    let (_, lines) = until(&mut discovery, "announce").await;
    assert!(!lines.iter().any(|line| line.contains("joining")), "the node lives on: {lines:?}");
}

/// BEP 27, for a torrent whose flag is learnt after the start.
#[tokio::test]
async fn the_dht_is_left_when_the_torrent_turns_private() {
    let node = HostileNode::start(Vec::new());
    let mut discovery = discovery(&[&node], Joins::AtOnce, false);
    discovery.tick(no_peers(), Duration::ZERO);
    until(&mut discovery, "joining").await;
    while node.questions() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!discovery.is_empty());
    discovery.set_private().await;
    assert!(discovery.is_empty());
    // What was on its way; the thread of the crate looks every 50 ms whether it is still needed.
    sleep(Duration::from_millis(200)).await;
    let before = node.questions();
    discovery.tick(no_peers(), Duration::from_secs(3600));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(node.questions(), before);
    assert!(matches!(discovery.next().await, News::NoneLeft), "nothing else can name peers");
}

#[tokio::test]
async fn a_dht_that_does_not_answer_is_tried_again_and_the_wait_is_said() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut discovery = {
        let bootstrap = vec![silent.local_addr().unwrap().to_string()];
        let info_hash = InfoHash::new([7; 20]);
        let settings = Settings {
            joins: Joins::AtOnce,
            info_hash,
            port: 4000,
            bootstrap,
            further: vec![],
            allow_loopback: false,
        };
        Discovery::new(None, Some(Overlay::new(settings, Duration::ZERO)))
    };
    for (second, wait) in [(0, 15), (15, 30)] {
        discovery.tick(no_peers(), Duration::from_secs(second));
        let (_, lines) = until(&mut discovery, "next attempt").await;
        assert_eq!(
            lines,
            [
                "joining the DHT by 1 bootstrap node".to_owned(),
                format!("no node of the DHT answers; next attempt in {wait} s"),
            ]
        );
    }
    assert!(!discovery.is_empty(), "there may be peers later");
}

#[tokio::test]
async fn bootstrap_names_without_an_address_do_not_stop_the_client() {
    let settings = Settings {
        joins: Joins::AtOnce,
        info_hash: InfoHash::new([7; 20]),
        port: 4000,
        bootstrap: vec!["nowhere.invalid:1".into()],
        further: vec!["[::1]:1".into()],
        allow_loopback: false,
    };
    let mut discovery = Discovery::new(None, Some(Overlay::new(settings, Duration::ZERO)));
    discovery.tick(no_peers(), Duration::ZERO);
    let (_, lines) = until(&mut discovery, "next attempt").await;
    assert_eq!(lines[1], "no bootstrap node of the DHT has an IPv4 address; next attempt in 15 s");
}

/// What the nodes of a download are known for: peers are sent the port of ours, and the next start begins with the others.
#[tokio::test]
async fn our_node_and_those_that_answered_it_are_known() {
    let node = HostileNode::start(Vec::new());
    for (allow_loopback, known) in [(false, &[][..]), (true, &[node.address])] {
        let mut discovery = discovery(&[&node], Joins::AtOnce, allow_loopback);
        assert_eq!((discovery.node_port(), discovery.known_nodes()), (None, vec![]));
        discovery.tick(no_peers(), Duration::ZERO);
        assert_eq!(discovery.node_port(), None, "it doesn't listen yet");
        until(&mut discovery, "in the DHT").await;
        let port = discovery.node_port().unwrap();
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap_err();
        let nodes: Vec<_> = discovery.known_nodes().into_iter().map(SocketAddr::V4).collect();
        assert_eq!(nodes, known);
        discovery.set_private().await;
        assert_eq!((discovery.node_port(), discovery.known_nodes()), (None, vec![]));
    }
}

/// Those of the user's file are asked as well as those that are named.
#[tokio::test]
async fn further_nodes_are_asked_beside_the_first() {
    let nodes = [HostileNode::start(Vec::new()), HostileNode::start(Vec::new())];
    let settings = Settings {
        joins: Joins::AtOnce,
        info_hash: InfoHash::new([7; 20]),
        port: 4000,
        bootstrap: vec![nodes[0].address.to_string()],
        further: vec![nodes[1].address.to_string()],
        allow_loopback: true,
    };
    let mut discovery = Discovery::new(None, Some(Overlay::new(settings, Duration::ZERO)));
    discovery.tick(no_peers(), Duration::ZERO);
    let (_, lines) = until(&mut discovery, "in the DHT").await;
    assert_eq!(lines[0], "joining the DHT by 2 bootstrap nodes");
    assert!(nodes.iter().all(|node| node.questions() > 0));
}
