//! Magnet links: the torrent comes from peers, whatever else they try.

use fake_tracker::{Behaviour, FakeTracker};

use super::*;
use crate::wire::extension::{self, Offer, UT_METADATA};
use crate::wire::metadata::MetadataMessage;
use crate::wire::pex::{ExchangedPeer, PeerChanges};

impl Shared {
    fn magnet(&self, more: &str) -> String {
        format!("magnet:?xt=urn:btih:{}{more}", self.torrent.info_hash)
    }

    /// Starts the program for a link.
    fn open(&self, magnet: &str, folder: &str, more: &[&str]) -> Client {
        Client::start(&[&["--out", self.path(folder).to_str().unwrap(), magnet], more].concat())
    }

    fn metadata(&self) -> Vec<u8> {
        let file = fs::read(self.path("x.torrent")).unwrap();
        tracker_failover::Metainfo::parse(&file).unwrap().info_bytes().to_vec()
    }

    /// The metadata is here, from a seed of our own that is asked last.
    fn comes_whole(&self, bad: &Scripted, more: &[&str]) -> String {
        let mut seed = self.start("seed", &["--no-trackers"]);
        let (bad, good) = (bad.address.to_string(), format!("127.0.0.1:{}", seed.port()));
        let options = ["--no-trackers", "--exit-when-done", "--peer", &bad, "--peer", &good];
        let (code, said) = self.open(&self.magnet(""), "leech", &[&options, more].concat()).end();
        assert_eq!(code, Some(0), "{said}");
        assert!(self.is_whole("leech"));
        said
    }
}

/// A peer that says in its handshake how large the metadata is, and does this with each request for a piece of it.
fn metadata_peer(
    hash: InfoHash,
    size: u32,
    answer: impl Fn(u32) -> Option<MetadataMessage<'static>> + Send + 'static,
) -> Scripted {
    Scripted::new(1, 1, move |_, wire| {
        wire.greet(hash, b"-XX0001-abcdefghijkl");
        let offer = Offer { port: 1, pex: false, metadata_size: Some(size as usize) };
        wire.say(&Message::Extended(0, &extension::write(offer, Ipv4Addr::LOCALHOST.into())));
        let mut id = 0;
        wire.each(|wire, message| match message {
            Message::Extended(0, body) => id = extension::read(body).ut_metadata.unwrap_or(id),
            Message::Extended(UT_METADATA, body) => {
                if let Some(MetadataMessage::Request(piece)) = MetadataMessage::read(body)
                    && let Some(answer) = answer(piece)
                {
                    wire.say(&Message::Extended(id, &answer.write()));
                }
            }
            _ => {}
        });
    })
}

/// R160.
#[test]
fn a_magnet_is_downloaded_from_a_seed_of_our_own() {
    let shared = Shared::new(300_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers", "-v"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    for (folder, link, more) in [
        ("option", shared.magnet("&dn=x"), ["--peer", &peer].as_slice()),
        ("link", shared.magnet(&format!("&x.pe={peer}")), &[]),
        ("name", shared.magnet(&format!("&x.pe=localhost:{}", peer.rsplit(':').next().unwrap())), &[]),
    ] {
        let options = [&["--no-trackers", "--exit-when-done"], more].concat();
        let (code, said) = shared.open(&link, folder, &options).end();
        assert_eq!(code, Some(0), "{folder}: {said}");
        assert!(shared.is_whole(folder));
        let metadata = format!(
            "{{\"event\":\"metadata\",\"size\":{},\"info_hash\":\"{}\"}}\n",
            shared.metadata().len(),
            shared.torrent.info_hash
        );
        assert!(said.contains(&metadata), "{said}");
        // The connection on which the metadata came is the one of the download.
        let connections = said.matches("\"peer_connected\"").count();
        assert!(folder == "name" || connections == 1, "{said}");
    }
}

/// The link's peer finds us by our own port, as peers do that were named our address by a tracker.
#[test]
fn a_seed_that_connects_to_us_gives_the_metadata() {
    let shared = Shared::new(100_000, &[]);
    let mut leech = shared.open(&shared.magnet(""), "leech", &["--no-trackers", "--exit-when-done"]);
    let peer = format!("127.0.0.1:{}", leech.port());
    let _seed = shared.start("seed", &["--no-trackers", "--peer", &peer]);
    let (code, said) = leech.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("leech"));
}

#[test]
fn a_peer_that_lies_about_the_metadata_is_banned_and_another_asked() {
    let shared = Shared::new(100_000, &[]);
    let size = u32::try_from(shared.metadata().len()).unwrap();
    let liar = metadata_peer(shared.torrent.info_hash, size, move |piece| {
        let data = vec![b'x'; size as usize].leak();
        Some(MetadataMessage::Data { piece, total_size: Some(size), data })
    });
    let said = shared.comes_whole(&liar, &[]);
    assert!(!said.contains("\"error\""), "{said}");
    liar.join();
}

/// The only peer lies: that is said, and the program ends.
#[test]
fn wrong_metadata_from_the_only_peer_ends_it() {
    let shared = Shared::new(100_000, &[]);
    let size = u32::try_from(shared.metadata().len()).unwrap();
    let liar = metadata_peer(shared.torrent.info_hash, size, move |piece| {
        Some(MetadataMessage::Data { piece, total_size: Some(size), data: vec![b'x'; size as usize].leak() })
    });
    let peer = liar.address.to_string();
    let (code, said) = shared.open(&shared.magnet(""), "leech", &["--no-trackers", "--peer", &peer]).end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("{{\"event\":\"peer_banned\",\"peer\":\"{peer}\"}}")), "{said}");
    assert!(said.contains("\"why\":\"hash_fail\""), "{said}");
    liar.join();
}

#[test]
fn peers_that_refuse_are_silent_or_name_impossible_sizes_prevent_nothing() {
    let shared = Shared::new(100_000, &[]);
    let hash = shared.torrent.info_hash;
    let size = u32::try_from(shared.metadata().len()).unwrap();
    let rejects = || metadata_peer(hash, size, |piece| Some(MetadataMessage::Reject(piece)));
    let silent = || metadata_peer(hash, size, |_| None);
    let huge = || metadata_peer(hash, u32::MAX, |_| None);
    let large = || metadata_peer(hash, 30 << 20, |_| None);
    let contradicts = || {
        metadata_peer(hash, size + 1, move |piece| {
            Some(MetadataMessage::Data { piece, total_size: Some(u32::MAX), data: &[0; 100] })
        })
    };
    let rows: [(&str, &dyn Fn() -> Scripted); 5] = [
        ("rejects", &rejects),
        ("silent", &silent),
        ("huge", &huge),
        ("large", &large),
        ("contradicts", &contradicts),
    ];
    for (name, bad) in rows {
        println!("{name}");
        let _ = fs::remove_dir_all(shared.path("leech"));
        shared.comes_whole(&bad(), &[]);
    }
}

/// What comes before the metadata is taken later: here a bitfield, an unchoke and a `have`.
#[test]
fn messages_that_come_early_are_not_lost() {
    let shared = Shared::new(100_000, &[]);
    let (hash, pieces) = (shared.torrent.info_hash, shared.torrent.pieces());
    let (data, metadata) = (shared.data.clone(), shared.metadata());
    let seed = Scripted::new(pieces, 1, move |_, wire| {
        wire.greet(hash, b"-XX0001-abcdefghijkl");
        wire.say(&Message::Bitfield(&[0b1111_1100]));
        wire.say(&Message::Have(6));
        wire.say(&Message::Unchoke);
        let offer = Offer { port: 1, pex: false, metadata_size: Some(metadata.len()) };
        wire.say(&Message::Extended(0, &extension::write(offer, Ipv4Addr::LOCALHOST.into())));
        wire.each(|wire, message| match message {
            Message::Extended(UT_METADATA, body)
                if MetadataMessage::read(body) == Some(MetadataMessage::Request(0)) =>
            {
                let answer = MetadataMessage::Data { piece: 0, total_size: None, data: &metadata };
                wire.say(&Message::Extended(UT_METADATA, &answer.write()));
            }
            Message::Request(block) => {
                let start = (block.piece * 16_384 + block.begin) as usize;
                let data = &data[start..start + block.length as usize];
                wire.say(&Message::Piece { piece: block.piece, begin: block.begin, data });
            }
            _ => {}
        });
    });
    let peer = seed.address.to_string();
    let options = ["--no-trackers", "--exit-when-done", "--peer", &peer];
    let (code, said) = shared.open(&shared.magnet(""), "leech", &options).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("leech"));
    seed.join();
}

#[test]
fn a_magnet_goes_on_with_what_is_here() {
    let shared = Shared::new(100_000, &[]);
    fs::create_dir(shared.path("leech")).unwrap();
    let mut part = shared.data.clone();
    part[..40_000].fill(0);
    fs::write(shared.path("leech").join("x.bin"), part).unwrap();
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let options = ["--no-trackers", "--exit-when-done", "--peer", &peer];
    let (code, said) = shared.open(&shared.magnet(""), "leech", &options).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("\"piece_ok\"").count(), 3, "{said}");
    assert!(shared.is_whole("leech"));
}

#[test]
fn the_torrent_is_saved_beside_the_data_and_replaces_nothing() {
    let shared = Shared::new(100_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let options = ["--no-trackers", "--exit-when-done", "--save-torrent", "--peer", &peer];
    let saved = shared.path("leech").join("x.bin.torrent");
    fs::create_dir(shared.path("leech")).unwrap();
    fs::write(&saved, b"mine").unwrap();
    let link = shared.magnet("&tr=http://t.test/announce");
    let (code, said) = shared.open(&link, "leech", &options).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read(&saved).unwrap(), b"mine");
    assert!(said.contains("{\"event\":\"error\""), "{said}");
    let (code, _) = shared.open(&link, "leech", &[&options[..], &["--overwrite"]].concat()).end();
    assert_eq!(code, Some(0));
    let metainfo = tracker_failover::Metainfo::parse(&fs::read(&saved).unwrap()).unwrap();
    assert_eq!(metainfo.info_bytes(), shared.metadata());
    assert_eq!(metainfo.announce_tiers()[0][0].host(), "t.test");
}

#[test]
fn a_magnet_is_listed_and_files_are_selected() {
    let shared = Shared::new(100_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let options = ["--no-trackers", "--peer", &peer];
    let (code, said) = shared.open(&shared.magnet(""), "leech", &[&options[..], &["--list"]].concat()).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("{\"event\":\"file\",\"index\":1,\"length\":100000,\"path\":\"x.bin\"}"), "{said}");
    assert!(!shared.path("leech").exists());
    let (code, said) = shared.open(&shared.magnet("&so=1"), "leech", &options).end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is 1 file; got 2"), "{said}");
}

/// The tracker of the link is asked without knowing how much is missing, and hears of the rest later.
#[test]
fn the_trackers_of_a_link_name_the_seed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tracker = runtime.block_on(FakeTracker::start(Behaviour::ok()));
    let shared = Shared::new(100_000, &[tracker.announce_url()]);
    let mut seed = shared.start("seed", &["--allow-loopback"]);
    seed.port();
    runtime.block_on(tracker.wait_for_announces(1));
    let link = shared.magnet(&format!("&tr={}", tracker.announce_url()));
    let (code, said) = shared.open(&link, "leech", &["--allow-loopback", "--exit-when-done"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("leech"));
    let heard = tracker.announces();
    let events: Vec<_> = heard.iter().skip(1).map(|heard| (heard.event(), heard.left())).collect();
    assert_eq!(events.first().map(|(event, _)| *event), Some(Some("started")));
    assert_ne!(events.first().and_then(|(_, left)| *left), Some(0), "{events:?}");
    assert_eq!(events[1..], [(Some("completed"), Some(0)), (Some("stopped"), Some(0))], "{said}");
}

/// BEP 27: what the metadata says counts from then on. Peer exchange is withdrawn, and what peers name isn't dialled.
#[test]
fn a_torrent_that_turns_out_private_leaves_peer_exchange() {
    let shared = Shared::with(100_000, &[], true);
    assert!(shared.torrent.private);
    let (hash, pieces, metadata) = (shared.torrent.info_hash, shared.torrent.pieces(), shared.metadata());
    let named = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    named.set_nonblocking(true).unwrap();
    let address = named.local_addr().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let peer = Scripted::new(pieces, 1, move |_, wire| {
        wire.greet(hash, b"-XX0001-abcdefghijkl");
        let offer = Offer { port: 1, pex: true, metadata_size: Some(metadata.len()) };
        wire.say(&Message::Extended(0, &extension::write(offer, Ipv4Addr::LOCALHOST.into())));
        wire.each(|wire, message| match message {
            Message::Extended(0, body) => sender.send(extension::read(body).ut_pex).unwrap(),
            Message::Extended(UT_METADATA, body)
                if MetadataMessage::read(body) == Some(MetadataMessage::Request(0)) =>
            {
                let answer = MetadataMessage::Data { piece: 0, total_size: None, data: &metadata };
                wire.say(&Message::Extended(UT_METADATA, &answer.write()));
                let added = vec![ExchangedPeer { address, flags: 0 }];
                let named = PeerChanges { added, dropped: vec![] };
                wire.say(&Message::Extended(extension::UT_PEX, &named.write()));
            }
            _ => {}
        });
    });
    let peer_address = peer.address.to_string();
    let options = ["--no-trackers", "--deadline-s", "3", "--peer", &peer_address];
    let (code, said) = shared.open(&shared.magnet(""), "leech", &options).end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("\"metadata\""), "{said}");
    peer.join();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [Some(extension::UT_PEX), None]);
    assert!(named.accept().is_err(), "a peer of a private torrent that another peer has named was dialled");
}

/// R160: what is no magnet link is refused with a reason, and without metadata it ends by its options.
#[test]
fn a_magnet_ends_with_a_reason() {
    let shared = Shared::new(100_000, &[]);
    let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let v2 = format!("magnet:?xt=urn:btmh:1220{}", "a".repeat(64));
    let rows: [(&str, &[&str], i32, &str); 5] = [
        ("magnet:?dn=x", &[], 2, "expected xt=urn:btih:"),
        (&v2, &[], 2, "a v2-only magnet is not supported"),
        (&shared.magnet("&so=x"), &[], 2, "expected numbers of files such as 0,2-4"),
        (&shared.magnet(""), &["--deadline-s", "1"], 3, "\"incomplete\""),
        (&shared.magnet(""), &["--deadline-s", "1", "--peer", &dead], 3, "\"incomplete\""),
    ];
    for (link, more, expected, text) in rows {
        let (code, said) = shared.open(link, "leech", &[&["--no-trackers"], more].concat()).end();
        assert_eq!(code, Some(expected), "{link}: {said}");
        assert!(said.contains(text), "{link}: {said}");
    }
    #[cfg(unix)]
    {
        let mut leech = shared.open(&shared.magnet(""), "leech", &["--no-trackers"]);
        leech.port();
        leech.terminate();
        assert_eq!(leech.end().0, Some(130));
    }
}
