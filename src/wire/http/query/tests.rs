//! Announce and scrape queries as trackers must get them (TV-1).

use super::*;
use crate::announce::{PeerId, Transfer};

fn url(text: &str) -> TrackerUrl {
    text.parse().unwrap()
}

fn request() -> AnnounceRequest {
    let hash = InfoHash::new([0; 20]);
    let mut request = AnnounceRequest::new(hash, PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
    request.key = 0x00fe_babe;
    request
}

/// All that comes before the parameters of ours.
fn front(address: &str) -> String {
    let target = announce_target(&url(address), &request());
    target[..target.find("info_hash=").unwrap()].to_owned()
}

fn value<'t>(target: &'t str, name: &str) -> Vec<&'t str> {
    let query = target.split_once('?').unwrap().1;
    query.split('&').filter_map(|p| p.split_once('=').filter(|(n, _)| *n == name)).map(|(_, v)| v).collect()
}

/// TV-1.
#[test]
fn info_hashes_are_escaped() {
    let rows = [
        ("123456789abcdef123456789abcdef123456789a", "%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A"),
        ("415a617a30392d5f2e7e4142434445464748494a", "AZaz09-_.~ABCDEFGHIJ"),
        ("202b252f3f263d237e4142434445464748494a4b", "%20%2B%25%2F%3F%26%3D%23~ABCDEFGHIJK"),
        ("000a0d7f80ff3031323334353637383961626364", "%00%0A%0D%7F%80%FF0123456789abcd"),
        ("0000000000000000000000000000000000000000", &"%00".repeat(20)),
        ("ffffffffffffffffffffffffffffffffffffffff", &"%FF".repeat(20)),
        ("a2a15537542b22925ad10486bf7a8b2a9c42f0d1", "%A2%A1U7T%2B%22%92Z%D1%04%86%BFz%8B%2A%9CB%F0%D1"),
        ("2b760aa178932030c847dcdf8eaebf560a1bd16c", "%2Bv%0A%A1x%93%200%C8G%DC%DF%8E%AE%BFV%0A%1B%D1l"),
        ("2534312534322534332534342534352534362534", "%2541%2542%2543%2544%2545%2546%254"),
    ];
    for (hex, expected) in rows {
        let mut request = request();
        request.info_hash = hex.parse().unwrap();
        let target = announce_target(&url("http://t.test/announce"), &request);
        assert_eq!(value(&target, "info_hash"), [expected], "{hex}");
        let scrape = scrape_target(&url("http://t.test/announce"), &[request.info_hash]).unwrap();
        assert_eq!(value(&scrape, "info_hash"), [expected], "{hex}");
    }
}

/// POL-24, R3-06.
#[test]
fn parameters_come_once_in_order() {
    let mut request = request();
    request.transfer = Transfer { uploaded: 1, downloaded: 2, left: Some(777), ..Transfer::default() };
    request.num_want = Some(33);
    request.event = Some(Event::Started);
    request.tracker_id = Some(b"a b&".to_vec());
    request.ip = Some("2001:db8::7".parse().unwrap());
    assert_eq!(
        announce_target(&url("http://t.test/x/announce.php?passkey=abc"), &request),
        format!(
            "/x/announce.php?passkey=abc&info_hash={}&peer_id=-XX0001-abcdefghijkl&port=6881&uploaded=1\
             &downloaded=2&left=777&compact=1&numwant=33&key=00FEBABE&event=started&trackerid=a%20b%26\
             &ip=2001%3Adb8%3A%3A7",
            "%00".repeat(20)
        )
    );
}

/// POL-19, Q-46.
#[test]
fn no_parameter_is_sent_without_a_value() {
    let mut request = request();
    request.tracker_id = Some(Vec::new());
    let target = announce_target(&url("http://t.test/a"), &request);
    for absent in ["event", "trackerid", "ip", "no_peer_id", "supportcrypto", "corrupt"] {
        assert!(value(&target, absent).is_empty(), "{absent}");
    }
    assert_eq!(value(&target, "left"), ["9223372036854775807"], "Q-43");
    assert_eq!(value(&target, "numwant"), ["50"]);
    request.event = Some(Event::Paused);
    assert_eq!(value(&announce_target(&url("http://h/a"), &request), "event"), ["paused"], "BEP 21");
    request.event = Some(Event::Stopped);
    request.num_want = Some(80);
    request.transfer =
        Transfer { uploaded: u64::MAX, downloaded: 0, left: Some(u64::MAX), ..Transfer::default() };
    let target = announce_target(&url("http://t.test/a"), &request);
    assert_eq!((value(&target, "numwant"), value(&target, "event")), (vec!["0"], vec!["stopped"]), "Q-88");
    assert_eq!(
        (value(&target, "left"), value(&target, "uploaded")),
        (vec!["9223372036854775807"], vec!["9223372036854775807"])
    );
}

///
#[test]
fn a_client_that_accepts_no_connections_announces_port_one() {
    for (port, announced) in [(0, "1"), (1, "1"), (6881, "6881")] {
        let request = AnnounceRequest { port, ..request() };
        assert_eq!(value(&announce_target(&url("http://t.test/a"), &request), "port"), [announced]);
    }
}

/// R3-07.
#[test]
fn own_query_stays_in_front_byte_for_byte() {
    let rows = [
        ("http://h/a", "/a?"),
        ("http://h/a?k=1", "/a?k=1&"),
        ("http://h/a?", "/a?"),
        ("http://h/a?k=1&", "/a?k=1&"),
        ("http://h/a#f", "/a?"),
        ("http://h", "/?"),
        ("http://h?k=1", "/?k=1&"),
        ("http://h/a/", "/a/?"),
        ("http://h//a/../b?x=%zz&&y=+%2f", "//a/../b?x=%zz&&y=+%2f&"),
        ("http://h/a?b?c=d/announce", "/a?b?c=d/announce&"),
        ("http://h/a?b?", "/a?b?&"),
        ("http://h/a&", "/a&?"),
        ("http://h/a|{}\"?q=[1]'", "/a|{}\"?q=[1]'&"),
        ("http://h/\u{e4}?k=\u{e4}", "/%C3%A4?k=%C3%A4&"),
        ("http://u:p@h:81/announce", "/announce?"),
    ];
    for (address, expected) in rows {
        assert_eq!(front(address), expected, "{address}");
    }
}

#[test]
fn parameters_baked_into_the_address_dont_come_twice() {
    let rows = [
        ("http://h/a?info_hash=evil&k=1", "/a?k=1&"),
        ("http://h/a?k=1&event=started&port=1&", "/a?k=1&"),
        ("http://h/a?%69nfo_hash=x&left=0", "/a?"),
        ("http://h/a?info_hash", "/a?"),
        ("http://h/a?Event=x&myport=7&xport=1", "/a?Event=x&myport=7&xport=1&"),
    ];
    for (address, expected) in rows {
        assert_eq!(front(address), expected, "{address}");
    }
    // Several trackers call their passkey `key`.
    let target = announce_target(&url("http://h/a?key=passkey"), &request());
    assert_eq!(
        (front("http://h/a?key=passkey").as_str(), value(&target, "key")),
        ("/a?key=passkey&", vec!["passkey"])
    );
    let mut with_id = request();
    with_id.tracker_id = Some(b"new".to_vec());
    let target = announce_target(&url("http://h/a?trackerid=old"), &with_id);
    assert_eq!(value(&target, "trackerid"), ["new"]);
}

/// R48-01.
#[test]
fn a_scrape_address_follows_from_the_announce_address() {
    let rows = [
        ("http://t.test/announce", Some("http://t.test/scrape")),
        ("http://t.test/x/announce", Some("http://t.test/x/scrape")),
        ("http://t.test/x/announce.php", Some("http://t.test/x/scrape.php")),
        ("http://t.test/k/announce.php?key=1", Some("http://t.test/k/scrape.php?key=1")),
        ("http://t.test/announce?x2%0644", Some("http://t.test/scrape?x2%0644")),
        ("http://t.test/announce?x=2/4", Some("http://t.test/scrape?x=2/4")),
        (
            "http://announce.test/announce?announce=/announce",
            Some("http://announce.test/scrape?announce=/announce"),
        ),
        ("https://u:p@t.test:8443/announce#x", Some("https://u:p@t.test:8443/scrape")),
        ("udp://t.test:80/announce", Some("udp://t.test:80/announce")),
        ("udp://t.test:80", Some("udp://t.test:80")),
        ("http://t.test/a", None),
        ("http://t.test/x%064announce", None),
        ("http://t.test/Announce", None),
        ("http://t.test/announce/", None),
        ("http://t.test/announce/KEY", None),
        ("http://announce", None),
        ("http://t.test", None),
        ("http://t.test?announce", None),
        ("http://t.test/a?b=/announce", None),
        ("wss://t.test/announce", None),
    ];
    for (announce, expected) in rows {
        assert_eq!(scrape_address(&url(announce)).as_ref().map(TrackerUrl::as_str), expected, "{announce}");
    }
}

#[test]
fn a_whole_url_is_the_address_with_its_target() {
    let (request, torrents) = (request(), [InfoHash::new([0xff; 20])]);
    for (address, front, scrape) in [
        ("http://t.test/announce?k=1", "http://t.test/announce?k=1&info_hash=", "http://t.test/scrape?k=1&"),
        ("HTTP://T.test:80/announce#f", "http://t.test/announce?info_hash=", "http://t.test/scrape?"),
        (
            "https://u:p%40@t.test:8443/announce",
            "https://u:p%40@t.test:8443/announce?info_hash=",
            "https://u:p%40@t.test:8443/scrape?",
        ),
        (
            "http://[::1]:8080/x/announce.php",
            "http://[::1]:8080/x/announce.php?info_hash=",
            "http://[::1]:8080/x/scrape.php?",
        ),
    ] {
        let tracker = url(address);
        let announce = announce_url(&tracker, &request);
        assert!(
            announce.starts_with(front) && announce.ends_with(&announce_target(&tracker, &request)),
            "{announce}"
        );
        let scrape_url = scrape_url(&tracker, &torrents).unwrap();
        assert_eq!(scrape_url, format!("{scrape}info_hash={}", "%FF".repeat(20)));
        // What is added survives the libraries that parse it.
        let parsed = ::url::Url::parse(&announce).unwrap();
        assert_eq!(parsed.query(), announce.split_once('?').map(|(_, query)| query), "{announce}");
    }
    assert_eq!(scrape_url(&url("http://t.test/a"), &torrents), None);
    assert_eq!(scrape_url(&url("http://t.test/announce"), &[]), None);
}

/// R48-03.
#[test]
fn a_scrape_names_its_torrents() {
    let tracker = url("http://t.test/announce?passkey=abc&info_hash=evil");
    let target = scrape_target(&tracker, &[InfoHash::new([0xff; 20]), InfoHash::new([b'a'; 20])]);
    assert_eq!(
        target.unwrap(),
        format!("/scrape?passkey=abc&info_hash={}&info_hash={}", "%FF".repeat(20), "a".repeat(20))
    );
    assert_eq!(scrape_target(&tracker, &[]), None, "without a torrent it means all of them");
    assert_eq!(scrape_target(&url("udp://t.test:80/announce"), &[InfoHash::new([0; 20])]), None);
}

/// R48-03.
#[test]
fn a_scrape_is_cut_into_batches() {
    let torrents: Vec<InfoHash> = (0..=255).map(|n| InfoHash::new([n; 20])).collect();
    let long = format!("http://t.test/announce?k={}", "k".repeat(1900));
    for address in ["http://t.test/announce", "http://t.test/announce?k=1", &long] {
        let batches: Vec<_> = scrape_batches(&url(address), &torrents).collect();
        assert_eq!(batches.concat(), torrents);
        for batch in batches {
            let target = scrape_target(&url(address), batch).unwrap();
            assert!(batch.len() <= 50 && target.len() <= "/scrape?".len() + 2000, "{} bytes", target.len());
        }
    }
}
