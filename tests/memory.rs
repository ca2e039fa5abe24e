//! What a torrent with unread alerts costs in memory, measured in a process without other tests.

#![cfg(all(target_os = "linux", feature = "tokio"))]

use std::time::Duration;

use tracker_failover::{
    AnnounceResponse, AnnouncerBuilder, Config, InfoHash, Peer, PeerAddress, PeerId, Torrent, TrackerSet,
    transport,
};

const TORRENTS: u32 = 100;

/// What the process takes, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// R98: a hundred answers of 200 peers each took 400 KB a torrent.
#[tokio::test(start_paused = true)]
async fn a_torrent_with_unread_alerts_takes_little() {
    let answers = std::sync::atomic::AtomicU32::new(0);
    let transport = transport::from_fn(move |_, _| {
        let number = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let peer = move |of: u32| {
            let ip = std::net::Ipv4Addr::from(0x0800_0000 + number.wrapping_mul(200) % 0x00ff_ff00 + of);
            Peer { address: PeerAddress::Ip((ip, 1).into()), id: None }
        };
        let mut response = AnnounceResponse::default();
        response.peers = (0..200).map(peer).collect();
        async move { Ok(response) }
    });
    let config = Config::default().interval_override(Duration::from_secs(600));
    let announcer = AnnouncerBuilder::new(transport).config(config).seed(1).spawn();
    let add = |number: u32| {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        let torrent = Torrent::new(InfoHash::new(hash), PeerId::new([1; 20]), 6881);
        announcer.add(TrackerSet::new([["http://t.test/announce".parse().unwrap()]]), torrent)
    };
    let warm = add(0);
    tokio::time::sleep(Duration::from_secs(7200)).await;
    let before = resident();
    let mut handles: Vec<_> = (1..=TORRENTS).map(add).collect();
    tokio::time::sleep(Duration::from_secs(100 * 600)).await;
    let each = resident().saturating_sub(before) / u64::from(TORRENTS);
    println!("{each} bytes a torrent");
    assert!(each < 24 << 10, "{each} bytes a torrent");
    let heard = handles[7].1.next().await.unwrap();
    assert_eq!(heard.peers().len(), 200, "the newest peers are there: {heard}");
    drop(warm);
}
