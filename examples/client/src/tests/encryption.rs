//! Encrypted connections (MSE) on real sockets: between clients of ours, and beside peers that can't do it.

use super::*;

/// How a client of ours says that it is connected.
fn encryption_of(line: &str) -> &str {
    line.split_once("\"encryption\":\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(word, _)| word)
}

#[test]
fn each_policy_downloads_from_each_that_it_meets() {
    let shared = Shared::new(300_000, &[]);
    for (seeds, leeches, expected) in [
        ("prefer", "prefer", "none"),
        ("require", "prefer", "rc4"),
        ("prefer", "require", "rc4"),
        ("off", "prefer", "none"),
        ("prefer", "off", "none"),
    ] {
        let mut seed = shared.start("seed", &["--no-trackers", "--encryption", seeds]);
        let peer = format!("127.0.0.1:{}", seed.port());
        let folder = format!("{seeds} {leeches}");
        let options = ["--no-trackers", "--exit-when-done", "--encryption", leeches, "--peer", &peer];
        let (code, said) = shared.start(&folder, &options).end();
        assert_eq!(code, Some(0), "{folder}: {said}");
        assert!(shared.is_whole(&folder));
        let connected = said.lines().find(|line| line.contains("peer_connected")).unwrap();
        assert_eq!(encryption_of(connected), expected, "{folder}");
        assert_eq!(encryption_of(&seed.wait_for("peer_connected")), expected, "{folder}");
    }
}

#[test]
fn who_requires_encryption_neither_makes_nor_takes_a_plain_connection() {
    let shared = Shared::new(100_000, &[]);
    for (seeds, leeches) in [("require", "off"), ("off", "require")] {
        let mut seed = shared.start("seed", &["--no-trackers", "--encryption", seeds]);
        let peer = format!("127.0.0.1:{}", seed.port());
        let options = ["--no-trackers", "--deadline-s", "2", "--encryption", leeches, "--peer", &peer];
        let (code, said) = shared.start("leech", &options).end();
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("peer_closed") && !said.contains("peer_connected"), "{said}");
        let word = if seeds == "require" { "encryption" } else { "handshake" };
        assert!(seed.wait_for("peer_closed").contains(&format!("\"why\":\"{word}\"")));
    }
}

/// The metadata, and then the download on the same connection.
#[test]
fn a_magnet_link_goes_through_encrypted_connections_alone() {
    let shared = Shared::new(300_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers", "--encryption", "require"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let link = format!("magnet:?xt=urn:btih:{}", shared.torrent.info_hash);
    let (folder, options) = (shared.path("leech"), ["--no-trackers", "--exit-when-done"]);
    let own = ["--encryption", "require", "--out", folder.to_str().unwrap(), "--peer", &peer, &link];
    let (code, said) = Client::start(&[&options[..], &own].concat()).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(shared.is_whole("leech") && said.contains("\"event\":\"metadata\""), "{said}");
    assert_eq!(said.matches("\"encryption\":\"rc4\"").count(), 1, "one connection: {said}");
}

/// A peer that dials us and breaks off in the middle is closed, and keeps no place.
#[test]
fn who_breaks_off_in_the_exchange_is_closed() {
    let shared = Shared::new(100_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let port = seed.port();
    for (length, why) in [(50, "eof"), (96, "eof"), (300, "eof"), (628, "handshake")] {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(&vec![1; length]).unwrap();
        if length < 628 {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let closed = seed.wait_for("peer_closed");
        assert!(closed.contains(&format!("\"why\":\"{why}\"")), "{length}: {closed}");
    }
}
