//! Every packet of the tables, byte for byte.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{
    ConnectionId, Family, MAX_SCRAPED, Reply, TransactionId, announce_request, connect_request,
    names_connection_id, scrape_request, scrape_response, transaction_of,
};
use super::{HASH, bytes, hex, info_hash, request, url};
use crate::announce::{AnnounceRequest, AnnounceResponse, Event, InfoHash, Transfer};
use crate::scrape::SwarmCounts;
use crate::wire::compact::MAX_PEERS;

const CONNECTION: ConnectionId = ConnectionId(0x1122_3344_5566_7788);
const TRANSACTION: TransactionId = TransactionId(0xdead_bef0);

fn announced(datagram: &str, family: Family) -> AnnounceResponse {
    match Reply::read(&bytes(datagram), family) {
        Some(Reply::Announced(response)) => *response,
        other => panic!("{datagram}: {other:?}"),
    }
}

fn peers(response: &AnnounceResponse) -> Vec<String> {
    response.peers.iter().map(|peer| peer.address.to_string()).collect()
}

/// TV-3.1, TV-3.3, TV-3.6.
#[test]
fn requests_as_bytes() {
    assert_eq!(hex(&connect_request(TransactionId(0xdead_beef))), "000004172710198000000000deadbeef");

    let mut request = request();
    request.transfer = Transfer { uploaded: 50, downloaded: 100, left: Some(900), ..Transfer::default() };
    request.event = Some(Event::Started);
    request.key = 0xcafe_babe;
    let packet = announce_request(CONNECTION, TRANSACTION, &url("udp://t.test:80"), &request, Family::V4);
    assert_eq!(
        hex(&packet),
        "112233445566778800000001deadbef0123456789abcdef123456789abcdef123456789a2d5858303030312d61626364656\
         66768696a6b6c0000000000000064000000000000038400000000000000320000000200000000cafebabeffffffff1ae1"
    );
    assert_eq!((packet.len(), &hex(&packet)[32..72]), (98, HASH));

    let packet =
        scrape_request(CONNECTION, TransactionId(0xdead_bef1), &[info_hash(), InfoHash::new([255; 20])]);
    assert_eq!(
        hex(&packet),
        "112233445566778800000002deadbef1123456789abcdef123456789abcdef123456789afffffffffffffffffffffffffff\
         fffffffffffff"
    );
}

/// R15-10, R25.
#[test]
fn the_event_has_the_codes_of_bep_15() {
    let codes = [
        (None, 0),
        (Some(Event::Completed), 1),
        (Some(Event::Started), 2),
        (Some(Event::Stopped), 3),
        (Some(Event::Paused), 0),
    ];
    for (event, code) in codes {
        let mut request = request();
        request.event = event;
        let packet = announce_request(CONNECTION, TRANSACTION, &url("udp://t.test:80"), &request, Family::V4);
        assert_eq!(packet[80..84], [0, 0, 0, code], "{event:?}");
    }
}

/// R15-10, POL-19.
#[test]
fn counters_and_wishes_fit_into_signed_fields() {
    let rows = [
        (None, None, [255; 4]),
        (None, Some(0), [0; 4]),
        (None, Some(80), [0, 0, 0, 80]),
        (None, Some(u32::MAX), [0x7f, 255, 255, 255]),
        (Some(Event::Stopped), None, [0; 4]),
        (Some(Event::Stopped), Some(80), [0; 4]),
    ];
    for (event, num_want, expected) in rows {
        let mut request = request();
        (request.event, request.num_want) = (event, num_want);
        request.transfer = Transfer { uploaded: u64::MAX, downloaded: 0, left: None, ..Transfer::default() };
        let packet = announce_request(CONNECTION, TRANSACTION, &url("udp://t.test:80"), &request, Family::V4);
        assert_eq!(packet[92..96], expected, "{event:?} {num_want:?}");
        assert_eq!(hex(&packet[56..80]), "00000000000000007fffffffffffffff7fffffffffffffff");
    }
}

///
#[test]
fn a_client_that_takes_no_connections_says_port_one() {
    for (port, sent) in [(0, 1), (6881, 6881_u16)] {
        let request = AnnounceRequest { port, ..request() };
        let packet = announce_request(CONNECTION, TRANSACTION, &url("udp://t.test:80"), &request, Family::V4);
        assert_eq!(packet[96..98], sent.to_be_bytes());
    }
}

/// R15-11.
#[test]
fn the_own_address_is_sent_over_ipv4_only() {
    let rows = [
        (Some("203.0.113.9"), Family::V4, [203, 0, 113, 9]),
        (Some("::ffff:203.0.113.9"), Family::V4, [203, 0, 113, 9]),
        (Some("203.0.113.9"), Family::V6, [0; 4]),
        (Some("2001:db8::1"), Family::V4, [0; 4]),
        (None, Family::V4, [0; 4]),
    ];
    for (ip, family, expected) in rows {
        let mut request = request();
        request.ip = ip.map(|ip| ip.parse().unwrap());
        let packet = announce_request(CONNECTION, TRANSACTION, &url("udp://t.test:80"), &request, family);
        assert_eq!(packet[84..88], expected, "{ip:?} {family:?}");
    }
}

/// TV-4, R41.
#[test]
fn path_and_query_travel_as_options() {
    let long = |path: &str, letter: &str, letters: usize| format!("{path}{}", letter.repeat(letters));
    let rows: [(String, Vec<usize>); 7] = [
        (String::new(), vec![]),
        ("/".into(), vec![1]),
        ("/announce".into(), vec![9]),
        ("/dir?a=b&c=d".into(), vec![12]),
        (long("/", "k", 254), vec![255]),
        (long("/", "k", 255), vec![255, 1]),
        (long("/?x=", "v", 600), vec![255, 255, 94]),
    ];
    for (target, lengths) in rows {
        let tracker = url(&format!("udp://t.test:80{target}"));
        let packet = announce_request(CONNECTION, TRANSACTION, &tracker, &request(), Family::V4);
        let (mut rest, mut joined, mut found) = (&packet[98..], Vec::new(), Vec::new());
        while let [2, length, after @ ..] = rest {
            let (part, after) = after.split_at(usize::from(*length));
            joined.extend_from_slice(part);
            found.push(part.len());
            rest = after;
        }
        assert!(rest.is_empty(), "R41-05, Q-57: nothing but options");
        assert_eq!((joined, found), (target.into_bytes(), lengths), "{tracker:?}");
    }
    let packet = announce_request(
        CONNECTION,
        TRANSACTION,
        &url("udp://t.test:80/dir?a=b&c=d"),
        &request(),
        Family::V4,
    );
    assert_eq!(hex(&packet[98..]), "020c2f6469723f613d6226633d64", "the sample of BEP 41");
}

/// TV-3.2, TV-3.11, TV-3.12.
#[test]
fn a_connection_id_is_read() {
    let rows = [
        ("00000000deadbeef1122334455667788", Some(CONNECTION)),
        ("00000000deadbeef11223344556677880000000000000000", Some(CONNECTION)),
        ("00000000deadbeef0000000000000000", Some(ConnectionId(0))),
        ("00000000deadbeef11223344556677", None),
        ("00000000deadbeef", None),
        ("00000000", None),
        ("", None),
    ];
    for (datagram, expected) in rows {
        let read = Reply::read(&bytes(datagram), Family::V4);
        assert_eq!(read, expected.map(Reply::Connected), "{datagram}");
    }
    assert_eq!(transaction_of(&bytes("00000000deadbeef")), Some(TransactionId(0xdead_beef)));
    assert_eq!(transaction_of(&bytes("00000000deadbe")), None);
}

/// TV-3.4, TV-3.5, TV-3.13 to 15.
#[test]
fn an_answer_to_an_announce_is_read() {
    let head = "00000001deadbef0000007080000000300000007";
    let rows: [(&str, Family, &[&str], usize); 6] = [
        ("cb00710a1ae1cb00710b1ae2", Family::V4, &["203.0.113.10:6881", "203.0.113.11:6882"], 0),
        ("20010db80000000000000000000000011ae1", Family::V6, &["[2001:db8::1]:6881"], 0),
        // The family decides, not the length, and what is mapped becomes what it means.
        ("00000000000000000000ffffc63364071ae1", Family::V6, &["198.51.100.7:6881"], 0),
        ("", Family::V4, &[], 0),
        ("cb00710a1ae1cb00710b", Family::V4, &["203.0.113.10:6881"], 1),
        ("cb00710a1ae1cb00710b1ae2", Family::V6, &[], 1),
    ];
    for (rest, family, expected, dropped) in rows {
        let response = announced(&format!("{head}{rest}"), family);
        assert_eq!(
            (peers(&response), response.dropped_peers),
            (expected.iter().map(ToString::to_string).collect(), dropped)
        );
        assert_eq!(response.interval, Some(Duration::from_secs(1800)));
        assert_eq!((response.incomplete, response.complete), (Some(3), Some(7)), "leechers come first");
    }
    assert_eq!(Reply::read(&bytes("00000001deadbef00000070800000003000000"), Family::V4), None, "TV-3.13");
    assert_eq!(announced("00000001deadbef0000000000000000000000000", Family::V4).interval, None, "POL-04");
    let longest = announced("00000001deadbef0ffffffffffffffffffffffff", Family::V4);
    assert_eq!(
        (longest.interval, longest.complete),
        (Some(Duration::from_secs(u32::MAX.into())), Some(u32::MAX.into()))
    );
}

/// TV-3.7, TV-3.18, R15-12.
#[test]
fn an_answer_to_a_scrape_is_read() {
    let read = |datagram: &str| match Reply::read(&bytes(datagram), Family::V4) {
        Some(Reply::Scraped(records)) => records,
        other => panic!("{other:?}"),
    };
    let records = read("00000002deadbef10000000b000000de00000021000000000000000000000000");
    let counts = |complete, downloaded, incomplete| SwarmCounts {
        complete: Some(complete),
        incomplete: Some(incomplete),
        downloaded: Some(downloaded),
        downloaders: None,
    };
    assert_eq!(records, [counts(11, 222, 33), counts(0, 0, 0)]);
    let torrents = [1, 2, 3].map(|byte| InfoHash::new([byte; 20]));
    let files = scrape_response(&torrents, &records).files;
    assert_eq!(files.keys().copied().collect::<Vec<_>>(), torrents[..2], "the rest is unknown, not zero");
    assert_eq!(read("00000002deadbef10000000b000000de000000"), [], "TV-3.18: a record is whole or none");
    assert_eq!(read("00000002deadbef1"), []);

    let many = vec![info_hash(); 200];
    assert_eq!(scrape_request(CONNECTION, TRANSACTION, &many).len(), 16 + 20 * MAX_SCRAPED);
}

/// TV-3.8, TV-3.16, TV-3.17, S-20, S-21.
#[test]
fn an_error_is_read() {
    let error = |datagram: &[u8]| match Reply::read(datagram, Family::V4) {
        Some(Reply::Error(text)) => Some(text),
        None => None,
        other => panic!("{other:?}"),
    };
    let text = error(&bytes("00000003deadbef0436f6e6e656374696f6e204944206d6973736d617463682e00")).unwrap();
    assert_eq!(text, "Connection ID missmatch.");
    assert!(names_connection_id(&text));
    assert_eq!(error(&bytes("00000003deadbef0")).as_deref(), Some(""));
    assert_eq!(error(&bytes("00000003dead")), None);
    assert_eq!(error(b"\0\0\0\x03abcdno\x1b[31m\ntorrent\0\0").as_deref(), Some("no\u{fffd}[31m torrent"));
    let flood = [b"\0\0\0\x03abcd".as_slice(), &vec![b'x'; 60_000]].concat();
    assert_eq!(error(&flood).unwrap().chars().count(), 1024);
}

/// R15-07, Q-52, R112: as trackers and those who wrote them by hand put it.
#[test]
fn errors_that_name_the_connection_id() {
    for text in [
        "Connection cookie error: cookie value is expired: 1734851837.1, expected > 1734851900.2",
        "Connection cookie error: cookie value is from future: 1",
        "cookie value is not normal: NaN",
        "Invalid connection_id",
        "unknown connection_id",
        "bad connectionId",
        "connectionid missing",
        "Connection-ID mismatch",
        "invalid connection\u{a0}ID",
        "expected another conn_id",
        "bad ConnID",
        "invalid conn id",
        "Connection expired",
        "invalid connection",
        "unknown connection, connect first",
        "no such connection",
        "stale connection",
        "connection not found",
        "your connection has expired",
        "not connected",
        "Connection ID missmatch.",
        "bad connection ID",
        "connection id could not be verified",
        "received packet with invalid connection id",
        "CONNECTION ID expired",
    ] {
        assert!(names_connection_id(text), "{text}");
    }
    for text in [
        "",
        "no such torrent",
        "too many connections",
        "identify yourself",
        "info hash not found",
        "connections from your network are not accepted",
        "invalid info hash",
        "your session has expired",
        "second identity",
        "passkey expired",
    ] {
        assert!(!names_connection_id(text), "{text}");
    }
}

///
#[test]
fn other_actions_are_no_replies() {
    for action in [4, 5, 255, u32::MAX] {
        let datagram = [&action.to_be_bytes(), [0; 40].as_slice()].concat();
        assert_eq!(Reply::read(&datagram, Family::V4), None, "{action}");
    }
}

/// S-16, S-18.
#[test]
fn a_flood_of_peers_is_cut() {
    let records = (0..10_900_u16).flat_map(|n| [[8, 8], n.to_be_bytes(), [1, 1]].concat());
    let datagram: Vec<u8> =
        bytes("00000001deadbef0000007080000000300000007").into_iter().chain(records).collect();
    let Some(Reply::Announced(response)) = Reply::read(&datagram, Family::V4) else { panic!() };
    assert_eq!((response.peers.len(), response.dropped_peers), (MAX_PEERS, 10_900 - MAX_PEERS));
}

proptest! {
    /// S-32.
    #[test]
    fn no_datagram_panics(datagram: Vec<u8>, action in 0u8..5) {
        for family in [Family::V4, Family::V6] {
            let _ = Reply::read(&datagram, family);
            let known = [&[0, 0, 0, action], datagram.as_slice()].concat();
            if let Some(Reply::Announced(response)) = Reply::read(&known, family) {
                prop_assert!(response.peers.len() * 6 <= datagram.len());
            }
            let _ = transaction_of(&known);
        }
    }
}
