//! What is written to trackers and read from them, and torrent files.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tracker_failover::wire::http::{announce_target, read_announce};
use tracker_failover::wire::udp::{ConnectionId, Family, Reply, TransactionId, announce_request};
use tracker_failover::{AnnounceRequest, Event, InfoHash, Metainfo, PeerId, TrackerUrl};

fn tracker() -> TrackerUrl {
    "http://tracker.test:6969/0123456789abcdef/announce?user=1".parse().unwrap()
}

fn request() -> AnnounceRequest {
    let hash = InfoHash::new(std::array::from_fn(|i| u8::try_from(i * 13).unwrap()));
    let mut request = AnnounceRequest::new(hash, PeerId::with_prefix(*b"-XX0001-", [7; 12]), 6881);
    request.event = Some(Event::Started);
    request.transfer.left = Some(64 << 20);
    request.ip = Some(IpAddr::from([192, 0, 2, 1]));
    request
}

/// So many peers of six bytes.
fn peers(count: u8) -> Vec<u8> {
    (0..count).flat_map(|i| [192, 0, 2, i, 0x1a, 0xe1]).collect()
}

fn http(criterion: &mut Criterion) {
    let (tracker, request) = (tracker(), request());
    criterion.bench_function("http: write an announce", |bencher| {
        bencher.iter(|| announce_target(black_box(&tracker), black_box(&request)));
    });
    let mut reply =
        b"d8:completei12e10:incompletei3e8:intervali1800e12:min intervali900e5:peers300:".to_vec();
    reply.extend(peers(50));
    reply.push(b'e');
    assert_eq!(read_announce(&reply).unwrap().peers.len(), 50);
    criterion.bench_function("http: read a reply with 50 peers", |bencher| {
        bencher.iter(|| read_announce(black_box(&reply)));
    });
}

fn udp(criterion: &mut Criterion) {
    let (tracker, request) = (tracker(), request());
    criterion.bench_function("udp: write an announce", |bencher| {
        let (connection, transaction) = (ConnectionId(7), TransactionId(8));
        bencher.iter(|| {
            announce_request(connection, transaction, black_box(&tracker), black_box(&request), Family::V4)
        });
    });
    let mut reply = [1_u32, 8, 1800, 3, 12].map(u32::to_be_bytes).concat();
    reply.extend(peers(50));
    assert!(
        matches!(Reply::read(&reply, Family::V4), Some(Reply::Announced(read)) if read.peers.len() == 50)
    );
    criterion.bench_function("udp: read a reply with 50 peers", |bencher| {
        bencher.iter(|| Reply::read(black_box(&reply), Family::V4));
    });
}

/// A torrent of so many files and pieces, with three trackers.
fn torrent(files: usize, pieces: usize) -> Vec<u8> {
    let tiers: String =
        ["a", "b", "c"].map(|name| format!("l{}e", text(&format!("http://{name}.test/announce")))).concat();
    let files: Vec<String> = (0..files)
        .map(|i| format!("d6:lengthi{}e4:pathl{}ee", pieces * 16_384 / files, text(&format!("file {i}"))))
        .collect();
    let mut torrent = format!(
        "d8:announce{}13:announce-listl{tiers}e4:infod5:filesl{}e4:name4:film12:piece lengthi16384e6:pieces{}:",
        text("http://a.test/announce"),
        files.concat(),
        pieces * 20
    )
    .into_bytes();
    torrent.extend(std::iter::repeat_n(7, pieces * 20));
    torrent.extend(b"ee");
    torrent
}

fn text(text: &str) -> String {
    format!("{}:{text}", text.len())
}

fn metainfo(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("metainfo");
    for (files, pieces) in [(1, 1024), (1024, 65_536)] {
        let torrent = torrent(files, pieces);
        Metainfo::parse(&torrent).unwrap();
        group.throughput(Throughput::Bytes(torrent.len() as u64));
        group.bench_function(format!("parse, {files} files and {pieces} pieces"), |bencher| {
            bencher.iter(|| Metainfo::parse(black_box(&torrent)));
        });
    }
}

criterion_group!(wire, http, udp, metainfo);
criterion_main!(wire);
