//! Announce replies as trackers send them.

use super::*;

fn good(body: impl AsRef<[u8]>) -> AnnounceResponse {
    let body = body.as_ref();
    read_announce(body).unwrap_or_else(|error| panic!("{}: {error}", body.escape_ascii()))
}

fn rejected(body: impl AsRef<[u8]>) -> Rejection {
    match read_announce(body.as_ref()) {
        Err(AnnounceError::Rejected(rejection)) => rejection,
        other => panic!("{}: {other:?}", body.as_ref().escape_ascii()),
    }
}

fn not_a_reply(body: impl AsRef<[u8]>) -> String {
    match read_announce(body.as_ref()) {
        Err(AnnounceError::NotAReply(error)) => error.to_string(),
        other => panic!("{}: {other:?}", body.as_ref().escape_ascii()),
    }
}

fn peers(response: &AnnounceResponse) -> Vec<String> {
    response.peers.iter().map(|peer| peer.address.to_string()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where an optional field is expected")]
fn secs(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn the_ordinary_reply() {
    let reply = good(b"d8:completei5e10:downloadedi9e10:incompletei7e8:intervali900e5:peers12:\xcb\0\x71\x0a\x1a\xe1\xcb\0\x71\x0b\x1a\xe2e");
    assert_eq!(peers(&reply), ["203.0.113.10:6881", "203.0.113.11:6882"]);
    assert_eq!((reply.complete, reply.incomplete, reply.downloaded), (Some(5), Some(7), Some(9)));
    assert_eq!((reply.interval, reply.min_interval, reply.dropped_peers), (secs(900), None, 0));
}

/// R3-17.
#[test]
fn peers_may_be_dictionaries() {
    let reply = good(
        "d8:intervali900e5:peersl\
         d2:ip12:203.0.113.107:peer id20:-XX0001-abcdefghijkl4:porti6881ee\
         d2:ip11:2001:db8::74:port4:6882e\
         d2:ip13:[2001:db8::8]4:porti6882ee\
         d2:ip19:::ffff:198.51.100.74:porti1ee\
         d2:ip6:T.test4:porti80ee\
         d2:ip6:t.test4:porti80ee\
         d2:ip12:203.0.113.107:peer id3:abc4:porti6881eeee",
    );
    let expected =
        ["203.0.113.10:6881", "[2001:db8::7]:6882", "[2001:db8::8]:6882", "198.51.100.7:1", "t.test:80"];
    assert_eq!((peers(&reply), reply.dropped_peers), (expected.map(String::from).to_vec(), 0));
    assert_eq!(reply.peers[0].id.unwrap().as_bytes(), b"-XX0001-abcdefghijkl");
}

/// POL-10.
#[test]
fn a_bad_peer_costs_itself_only() {
    let bad = [
        "0:",
        "i1e",
        "le",
        "de",
        "d2:ip7:1.2.3.4e",
        "d4:porti1ee",
        "d2:ip7:1.2.3.44:porti0ee",
        "d2:ip7:1.2.3.44:porti65536ee",
        "d2:ip7:1.2.3.44:porti-1ee",
        "d2:ip7:1.2.3.44:port2:+1e",
        "d2:ip7:1.2.3.44:porti99999999999999999999ee",
        "d2:ip7:1.2.3.44:portle e",
        "d2:ipi5e4:porti1ee",
        "d2:ip3:a b4:porti1ee",
        "d2:ip0:4:porti1ee",
        "d2:ip2:\u{e4}4:porti1ee",
    ];
    for bad in bad.into_iter().filter(|bad| !bad.contains(" e")) {
        let reply = good(format!("d5:peersl{bad}d2:ip7:1.2.3.54:porti7eeee"));
        assert_eq!((peers(&reply), reply.dropped_peers), (vec!["1.2.3.5:7".to_owned()], 1), "{bad}");
    }
}

/// R7-05, Q-16.
#[test]
fn both_families_are_joined() {
    let reply = good("d8:intervali1800e5:peers6:iiiipp6:peers618:iiiiiiiiiiiiiiiippe");
    assert_eq!(peers(&reply), ["105.105.105.105:28784", "[6969:6969:6969:6969:6969:6969:6969:6969]:28784"]);
    let reply = good("d6:peers618:iiiiiiiiiiiiiiiippe");
    assert_eq!(peers(&reply), ["[6969:6969:6969:6969:6969:6969:6969:6969]:28784"]);
    let reply = good(b"d5:peers6:iiiipp6:peers618:\0\0\0\0\0\0\0\0\0\0\xff\xffiiiippe");
    assert_eq!(peers(&reply), ["105.105.105.105:28784"]);
}

///
#[test]
fn peers_of_a_wrong_type_are_none() {
    for body in
        ["d8:intervali1800ee", "d5:peersdee", "d5:peers0:e", "d5:peersi0ee", "d5:peerslee", "d6:peers6i0ee"]
    {
        let reply = good(body);
        assert_eq!((reply.peers.len(), reply.dropped_peers), (0, 0), "{body}");
    }
    assert_eq!(good("d5:peers7:iiiippxe").dropped_peers, 1, "Q-17");
    assert_eq!(good("d8:intervali1800e5:peersl0:ee").dropped_peers, 1, "TV-5.24");
}

/// POL-04.
#[test]
fn intervals_are_as_they_were_sent() {
    let rows = [
        ("i900e", secs(900)),
        ("4:1800", secs(1800)),
        ("i1e", secs(1)),
        ("5:00060", secs(60)),
        ("i9223372036854775807e", secs(9_223_372_036_854_775_807)),
        ("i0e", None),
        ("i-1e", None),
        ("1:0", None),
        ("2:-5", None),
        ("2:+5", None),
        ("2:5s", None),
        ("0:", None),
        ("le", None),
        ("de", None),
        ("i99999999999999999999e", None),
        ("20:99999999999999999999", None),
        ("i-99999999999999999999e", None),
    ];
    for (value, expected) in rows {
        let reply = good(format!("d8:interval{value}12:min interval{value}5:peers0:e"));
        assert_eq!((reply.interval, reply.min_interval), (expected, expected), "{value}");
    }
}

#[test]
fn odds_and_ends() {
    let reply = good(b"d11:external ip4:\xcb\0\x71\x098:intervali1800e5:peers0:10:tracker id3:abc15:warning message6:slow\x1b\n7:x-thingli1eee");
    assert_eq!(reply.external_ip, Some("203.0.113.9".parse().unwrap()));
    assert_eq!(reply.tracker_id.as_deref(), Some(&b"abc"[..]));
    assert_eq!(reply.warning.as_deref(), Some("slow\u{fffd} "));
    let rows: [(&[u8], Option<&str>); 5] = [
        (b"16:iiiiiiiiiiiiiiii", Some("6969:6969:6969:6969:6969:6969:6969:6969")),
        (b"16:\0\0\0\0\0\0\0\0\0\0\xff\xffiiii", Some("105.105.105.105")),
        (b"7:1.2.3.4", None),
        (b"0:", None),
        (b"i5e", None),
    ];
    for (value, expected) in rows {
        let reply = good([b"d11:external ip", value, b"5:peers0:e"].concat());
        assert_eq!(reply.external_ip, expected.map(|ip| ip.parse().unwrap()), "R24-02");
    }
    for id in [b"0:".to_vec(), b"i1e".to_vec(), [b"1025:".to_vec(), vec![b'i'; 1025]].concat()] {
        assert_eq!(good([b"d10:tracker id", &id[..], b"e"].concat()).tracker_id, None);
    }
}

/// R3-15.
#[test]
fn a_failure_reason_of_any_kind_is_a_refusal() {
    let rows = [
        ("d14:failure reason17:torrent not founde", "torrent not found"),
        ("d14:failure reason0:e", ""),
        ("d14:failure reasoni5ee", "5"),
        ("d14:failure reasonlee", ""),
        ("d8:intervali900e14:failure reason1:x5:peers6:iiiippe", "x"),
        ("d14:failure reason3:a\x1bbe", "a\u{fffd}b"),
        ("d14:failure reason1:x14:failure reason1:ye", "x"),
    ];
    for (body, reason) in rows {
        let rejection = rejected(body);
        assert_eq!((rejection.reason.as_str(), rejection.retry), (reason, Retry::Unsaid), "{body}");
        assert_eq!(failure_in(body.as_bytes()), Some(rejection), "{body}");
    }
    for body in ["", "<html>", "d8:intervali1ee", "de", "l14:failure reason1:xe", "d15:warning message1:xe"] {
        assert_eq!(failure_in(body.as_bytes()), None, "{body}");
    }
}

/// POL-06, R43.
#[test]
fn retry_in_is_in_minutes() {
    let minutes = |minutes: u64| Retry::After(Duration::from_secs(60 * minutes));
    let rows = [
        ("1:5", minutes(5)),
        ("i5e", minutes(5)),
        ("2:05", minutes(5)),
        ("i1440e", minutes(1440)),
        ("i1441e", minutes(1440)),
        ("i99999999999999999999e", minutes(1440)),
        ("20:99999999999999999999", minutes(1440)),
        ("5:never", Retry::Never),
        ("5:Never", Retry::Never),
        ("i0e", Retry::Unsaid),
        ("i-5e", Retry::Unsaid),
        ("2:-5", Retry::Unsaid),
        ("2:+5", Retry::Unsaid),
        ("3:1.5", Retry::Unsaid),
        ("4:soon", Retry::Unsaid),
        ("0:", Retry::Unsaid),
        ("le", Retry::Unsaid),
    ];
    for (value, expected) in rows {
        assert_eq!(rejected(format!("d14:failure reason1:x8:retry in{value}e")).retry, expected, "{value}");
    }
    let rejection = rejected("d14:failure reason1:x8:intervali300e12:min intervali5400e8:retry in5:nevere");
    assert_eq!((rejection.interval, rejection.retry), (secs(5400), Retry::Never), "Q-62");
    assert_eq!(
        good("d8:intervali1800e8:retry in5:nevere").interval,
        secs(1800),
        "R31-01: only with a failure"
    );
}

/// POL-08.
#[test]
fn a_malformed_reply_is_refused_with_what_was_expected() {
    let rows = [
        ("", "expected a dictionary at byte 0"),
        ("i1e", "expected a dictionary at byte 0"),
        ("le", "expected a dictionary at byte 0"),
        ("4:spam", "expected a dictionary at byte 0"),
        ("hello", "expected a dictionary at byte 0"),
        ("\u{feff}de", "a key of a reply, such as interval or peers at byte 0"),
        ("<html></html>", "markup such as HTML at byte 0"),
        ("de", "a key of a reply, such as interval or peers at byte 0"),
        ("d10:downloadedi1ee", "a key of a reply, such as interval or peers at byte 0"),
        ("d8:retry in1:5e", "a key of a reply, such as interval or peers at byte 0"),
        ("d", "the end of the dictionary at byte 1"),
        ("d8:intervali1800e", "the end of the dictionary at byte 17"),
        ("d8:intervali-0e5:peers0:e", "without leading zero at byte 13"),
        ("d8:intervali0012e5:peers0:e", "without leading zero at byte 12"),
        ("d8:intervalie5:peers0:e", "the digits of an integer at byte 12"),
        ("di1ei2ee", "a key or the end of the dictionary at byte 1"),
        ("d8:interval", "expected a value at byte 11"),
        ("d8:intervale", "expected a value at byte 11"),
        ("d8:intervali1800e5:peers7:abc", "that ends within the input at byte 24"),
        ("d5:peers999999999:e", "that ends within the input at byte 8"),
        ("d5:peers99999999999999999999999999:e", "that ends within the input at byte 8"),
        ("d5:peers-1:e", "expected a value at byte 8"),
    ];
    for (body, expected) in rows {
        let error = not_a_reply(body);
        assert!(error.ends_with(expected), "{body}: {error}");
    }
    assert!(not_a_reply(b"\x1f\x8b\x08").contains("compressed"));
    for key in KEYS_OF_A_REPLY {
        good(format!("d{}:{key}lee", key.len()));
    }
}

#[test]
fn order_repeats_and_what_follows_dont_matter() {
    let reply = good("d10:incompletei1e8:intervali1800e8:completei0e12:min intervali900ee");
    assert_eq!(
        (reply.interval, reply.min_interval, reply.incomplete),
        (secs(1800), secs(900), Some(1)),
        "Q-01"
    );
    assert_eq!(good("d8:intervali1e8:intervali2ee").interval, secs(1), "Q-04");
    let rows = [("\r\n", 2), ("6:peers60:e", 11), ("<!-- -->", 8), ("", 0)];
    for (rest, count) in rows {
        for reply in ["d8:intervali1800ee", "d5:peers0:8:intervali1800ee", " \r\nd8:interval04:1800e"] {
            let reply = good(format!("{reply}{rest}"));
            assert_eq!((reply.interval, reply.trailing_bytes), (secs(1800), count), "Q-18");
        }
    }
}

/// S-03.
#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("d1:x{}{}5:peers0:e", "l".repeat(depth - 1), "e".repeat(depth - 1));
    good(nested(32));
    assert!(not_a_reply(nested(33)).contains("levels of nesting"));
    for kind in ["l", "d0:", "d1:a"] {
        not_a_reply(kind.repeat(1_000_000));
        not_a_reply(format!("d5:peers{}", kind.repeat(300_000)));
    }
}

/// TV-5.8.
#[test]
fn one_bad_number_costs_no_other_field() {
    let reply = good("d8:completei99999999999999999999e10:incompletei-1e8:intervali1800e5:peers6:iiiippe");
    assert_eq!((reply.complete, reply.incomplete, reply.interval), (None, None, secs(1800)));
    assert_eq!(peers(&reply).len(), 1);
    let digits = "9".repeat(100_000);
    assert_eq!(good(format!("d8:completei{digits}e8:intervali1800ee")).interval, secs(1800));
}
