//! The same packets read and written by another implementation, in both directions.

use aquatic_udp_protocol as aquatic;
use proptest::option;
use proptest::prelude::*;

use super::super::{
    ConnectionId, Family, Reply, TransactionId, announce_request, connect_request, scrape_request,
    transaction_of,
};
use super::url;
use crate::announce::{AnnounceRequest, Event, InfoHash, PeerId, Transfer};
use crate::scrape::SwarmCounts;
use crate::wire::compact::PeerList;

fn theirs(packet: &[u8]) -> aquatic::Request {
    aquatic::Request::parse_bytes(packet, 255).unwrap()
}

fn written(response: impl Into<aquatic::Response>) -> Vec<u8> {
    let mut packet = Vec::new();
    response.into().write_bytes(&mut packet).unwrap();
    packet
}

fn event(number: u8) -> (Option<Event>, aquatic::AnnounceEvent) {
    match number {
        0 => (None, aquatic::AnnounceEvent::None),
        1 => (Some(Event::Completed), aquatic::AnnounceEvent::Completed),
        2 => (Some(Event::Started), aquatic::AnnounceEvent::Started),
        _ => (Some(Event::Stopped), aquatic::AnnounceEvent::Stopped),
    }
}

proptest! {
    #[test]
    fn they_read_what_we_write(
        connection: u64,
        transaction: u32,
        info_hash: [u8; 20],
        peer_id: [u8; 20],
        port in 1..=u16::MAX,
        counters: [u32; 3],
        number in 0u8..4,
        key: u32,
        num_want in option::of(0..i32::MAX.cast_unsigned()),
        ip in option::of(any::<[u8; 4]>()),
        path in "(/[a-z?=&]{0,600})?",
    ) {
        let (ours, their_event) = event(number);
        let mut request = AnnounceRequest::new(InfoHash::new(info_hash), PeerId::new(peer_id), port);
        let [downloaded, left, uploaded] = counters.map(u64::from);
        request.transfer = Transfer { uploaded, downloaded, left: Some(left), ..Transfer::default() };
        (request.event, request.key, request.num_want) = (ours, key, num_want);
        request.ip = ip.map(Into::into);
        let packet = announce_request(
            ConnectionId(connection),
            TransactionId(transaction),
            &url(&format!("udp://t.test:80{path}")),
            &request,
            Family::V4,
        );
        let aquatic::Request::Announce(read) = theirs(&packet) else { panic!("{packet:?}") };
        let wanted = if number == 3 { 0 } else { num_want.map_or(-1, u32::cast_signed) };
        let expected = aquatic::AnnounceRequest {
            connection_id: aquatic::ConnectionId::new(connection.cast_signed()),
            action_placeholder: aquatic::AnnounceActionPlaceholder::default(),
            transaction_id: aquatic::TransactionId::new(transaction.cast_signed()),
            info_hash: aquatic::InfoHash(info_hash),
            peer_id: aquatic::PeerId(peer_id),
            bytes_downloaded: aquatic::NumberOfBytes::new(counters[0].into()),
            bytes_left: aquatic::NumberOfBytes::new(counters[1].into()),
            bytes_uploaded: aquatic::NumberOfBytes::new(counters[2].into()),
            event: their_event.into(),
            ip_address: aquatic::Ipv4AddrBytes(ip.unwrap_or_default()),
            key: aquatic::PeerKey::new(key.cast_signed()),
            peers_wanted: aquatic::NumberOfPeers::new(wanted),
            port: aquatic::Port::new(port.try_into().unwrap()),
        };
        prop_assert_eq!(read, expected);

        let connect = theirs(&connect_request(TransactionId(transaction)));
        prop_assert_eq!(connect, aquatic::Request::Connect(aquatic::ConnectRequest {
            transaction_id: aquatic::TransactionId::new(transaction.cast_signed()),
        }));
    }

    #[test]
    fn they_read_our_scrapes(hashes in prop::collection::vec(any::<[u8; 20]>(), 1..74)) {
        let torrents: Vec<_> = hashes.iter().copied().map(InfoHash::new).collect();
        let read = theirs(&scrape_request(ConnectionId(1), TransactionId(2), &torrents));
        prop_assert_eq!(read, aquatic::Request::Scrape(aquatic::ScrapeRequest {
            connection_id: aquatic::ConnectionId::new(1),
            transaction_id: aquatic::TransactionId::new(2),
            info_hashes: hashes.into_iter().map(aquatic::InfoHash).collect(),
        }));
    }

    #[test]
    fn we_read_what_they_write(
        transaction: u32,
        connection: u64,
        numbers in [1..i32::MAX, 0..i32::MAX, 0..i32::MAX],
        v4 in prop::collection::vec(any::<([u8; 4], u16)>(), 0..80),
        v6 in prop::collection::vec(any::<([u8; 16], u16)>(), 0..80),
        text in "[ -~]{0,80}",
    ) {
        let id = aquatic::TransactionId::new(transaction.cast_signed());
        let packet = written(aquatic::ConnectResponse {
            transaction_id: id,
            connection_id: aquatic::ConnectionId::new(connection.cast_signed()),
        });
        prop_assert_eq!(Reply::read(&packet, Family::V4), Some(Reply::Connected(ConnectionId(connection))));
        prop_assert_eq!(transaction_of(&packet), Some(TransactionId(transaction)));

        let [interval, leechers, seeders] = numbers;
        let fixed = aquatic::AnnounceResponseFixedData {
            transaction_id: id,
            announce_interval: aquatic::AnnounceInterval::new(interval),
            leechers: aquatic::NumberOfPeers::new(leechers),
            seeders: aquatic::NumberOfPeers::new(seeders),
        };
        let (mut list, mut peers) = (PeerList::new(), Vec::new());
        for (ip, port) in v4 {
            list.add_v4(&[ip.as_slice(), &port.to_be_bytes()].concat());
            peers.push(aquatic::ResponsePeer { ip_address: aquatic::Ipv4AddrBytes(ip), port: aquatic::Port(port.into()) });
        }
        let packet = written(aquatic::AnnounceResponse { fixed, peers });
        let Some(Reply::Announced(read)) = Reply::read(&packet, Family::V4) else { panic!() };
        prop_assert_eq!(&read.peers, list.peers());
        prop_assert_eq!(read.interval.map(|i| i.as_secs()), Some(u64::from(interval.cast_unsigned())));
        prop_assert_eq!(read.incomplete, Some(u64::from(leechers.cast_unsigned())));
        prop_assert_eq!(read.complete, Some(u64::from(seeders.cast_unsigned())));

        let (mut list, mut peers) = (PeerList::new(), Vec::new());
        for (ip, port) in v6 {
            list.add_v6(&[ip.as_slice(), &port.to_be_bytes()].concat());
            peers.push(aquatic::ResponsePeer { ip_address: aquatic::Ipv6AddrBytes(ip), port: aquatic::Port(port.into()) });
        }
        let packet = written(aquatic::AnnounceResponse { fixed, peers });
        let Some(Reply::Announced(read)) = Reply::read(&packet, Family::V6) else { panic!() };
        prop_assert_eq!(&read.peers, list.peers());

        let packet = written(aquatic::ScrapeResponse {
            transaction_id: id,
            torrent_stats: vec![aquatic::TorrentScrapeStatistics {
                seeders: aquatic::NumberOfPeers::new(seeders),
                completed: aquatic::NumberOfDownloads::new(interval),
                leechers: aquatic::NumberOfPeers::new(leechers),
            }],
        });
        let counted = |number: i32| Some(u64::from(number.cast_unsigned()));
        prop_assert_eq!(Reply::read(&packet, Family::V4), Some(Reply::Scraped(vec![SwarmCounts {
            complete: counted(seeders),
            incomplete: counted(leechers),
            downloaded: counted(interval),
            downloaders: None,
        }])));

        let packet = written(aquatic::Response::Error(aquatic::ErrorResponse {
            transaction_id: id,
            message: text.clone().into(),
        }));
        prop_assert_eq!(Reply::read(&packet, Family::V4), Some(Reply::Error(text)));
    }
}
