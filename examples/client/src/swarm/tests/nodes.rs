//! Nodes of the DHT: what peers are sent, and what they send (BEP 5).

use super::*;

/// A peer whose handshake says whether it has a node, and the messages that it is sent at first.
fn greet(rig: &mut Rig, host: u8, dht: bool) -> (PeerKey, Vec<Heard>) {
    let handshake =
        Handshake { peer_id: PeerId::new([host; 20]), extended: false, dht, fast: false, method: None };
    let address = SocketAddr::from(([192, 0, 2, host], 50_000));
    let key = rig.swarm.connected(address, false, handshake, rig.now).unwrap();
    rig.settle();
    (key, rig.hear(key))
}

#[test]
fn the_port_of_our_node_is_sent_to_peers_that_have_one() {
    let mut rig = Rig::with(40_000, 16_384, &[0], 1);
    let bitfield = || Heard::Bitfield(vec![0x80]);
    assert!(!rig.swarm.has_node());
    assert_eq!(greet(&mut rig, 1, true).1, [bitfield()], "there is no node yet");
    rig.swarm.set_own_node(Some(7000));
    assert!(rig.swarm.has_node());
    assert_eq!(greet(&mut rig, 2, true).1, [bitfield(), Heard::Port(7000)]);
    assert_eq!(greet(&mut rig, 3, false).1, [bitfield()], "it has none");
    rig.swarm.set_own_node(None);
    assert_eq!(greet(&mut rig, 4, true).1, [bitfield()], "it has ended");
}

#[test]
fn the_nodes_of_peers_are_learnt_and_a_flood_of_them_is_ended() {
    let mut rig = Rig::new(40_000, 16_384);
    let (first, _) = greet(&mut rig, 1, true);
    let (second, _) = greet(&mut rig, 2, true);
    rig.say(first, Message::Port(6881)).unwrap();
    rig.say(second, Message::Port(6882)).unwrap();
    rig.say(second, Message::Port(0)).unwrap();
    let learnt: Vec<String> = rig.swarm.learnt_nodes().iter().map(ToString::to_string).collect();
    assert_eq!(learnt, ["192.0.2.2:6882", "192.0.2.1:6881"]);
    let flood = (0..2000).find_map(|_| rig.say(first, Message::Port(6881)).err());
    assert_eq!(flood, Some(Why::BadMessage));
}

/// BEP 27.
#[test]
fn a_private_torrent_neither_sends_nor_takes_nodes() {
    let data = content(40_000);
    let mut rig = Rig::of(Torrent { private: true, ..single("x", &data, 16_384) }, data, &[], 1);
    rig.swarm.set_own_node(Some(7000));
    assert!(!rig.swarm.has_node());
    let (peer, heard) = greet(&mut rig, 1, true);
    assert_eq!(heard, []);
    rig.say(peer, Message::Port(6881)).unwrap();
    assert!(rig.swarm.learnt_nodes().is_empty());
}
