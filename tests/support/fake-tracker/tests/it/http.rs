//! Each behaviour, as seen by a client that writes and reads bare bytes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use fake_tracker::{
    Answer, Asked, Behaviour, Failure, FakeTracker, Framing, Heard, PeerForm, Peers, Reply, RetryIn,
    SwarmCounts, SwarmPeer, compact, percent_encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{BARE, HASH, HEAD, announce, ask, started, to_the_end};

async fn connect(tracker: &FakeTracker) -> TcpStream {
    TcpStream::connect(tracker.address()).await.expect("the tracker accepts")
}

/// Asks once, without a further request, and gives all that comes until the connection ends.
async fn all_of(tracker: &FakeTracker, request: &str) -> Vec<u8> {
    let mut stream = connect(tracker).await;
    stream.write_all(request.as_bytes()).await.expect("the tracker listens");
    to_the_end(&mut stream).await
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

#[tokio::test]
async fn a_good_tracker_answers_and_keeps_the_connection() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let mut stream = connect(&tracker).await;
    let (head, body) = ask(&mut stream, &started(1)).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(text(body), "d8:completei0e10:incompletei1e8:intervali1800e5:peers0:e");
    ask(&mut stream, &announce(1, "&port=7001&left=0")).await;
    let requests = tracker.heard();
    assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1]);
    assert!(requests[0].sequence < requests[1].sequence);
    assert_eq!((tracker.connections(), tracker.open_connections()), (1, 1));
    drop(stream);
    tracker.wait_for(|counts| counts.open == 0).await;
}

#[tokio::test]
async fn what_announces_nothing_gets_a_well_formed_answer_and_is_no_announce() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let mut stream = connect(&tracker).await;
    let (head, _) = ask(&mut stream, HEAD).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let (_, body) = ask(&mut stream, BARE).await;
    assert_eq!(text(body), "d14:failure reason20:info_hash is missinge");
    assert!(tracker.announces().is_empty());
    assert_eq!(tracker.heard().iter().map(Heard::asked).collect::<Vec<_>>(), [Asked::Head, Asked::Other]);
}

#[tokio::test]
async fn an_announce_that_lacks_something_is_refused_and_logged() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let mut stream = connect(&tracker).await;
    for (query, reason) in [
        ("info_hash=short", "info_hash must be 20 bytes"),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=b", "peer_id must be 20 bytes"),
        (
            "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=aaaaaaaaaaaaaaaaaaaa&port=0",
            "port must be a number from 1 to 65535",
        ),
        (
            "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=aaaaaaaaaaaaaaaaaaaa&port=1&event=paused",
            "event must be started, completed or stopped",
        ),
    ] {
        let (_, body) = ask(&mut stream, &format!("GET /announce?{query} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(text(body), format!("d14:failure reason{}:{reason}e", reason.len()), "{query}");
    }
    assert_eq!(tracker.announces().len(), 4);
    assert!(tracker.peers_of(&[b'a'; 20]).is_empty());
}

#[tokio::test]
async fn a_reply_has_all_that_it_was_given() {
    let fixed: Vec<SocketAddr> =
        ["1.2.3.4:5", "[2001:db8::1]:6", "127.0.0.1:7001"].map(|peer| peer.parse().unwrap()).into();
    let mut reply = Reply {
        interval: Duration::from_secs(60),
        min_interval: Some(Duration::from_secs(30)),
        peers: Peers::Fixed(fixed),
        tracker_id: Some(b"id".to_vec()),
        warning: Some("mind".to_owned()),
        external_ip: true,
        ..Reply::default()
    };
    let tracker = FakeTracker::start(Behaviour::Ok(reply.clone())).await;
    let mut stream = connect(&tracker).await;
    let before =
        b"d8:completei0e11:external ip4:\x7f\0\0\x0110:incompletei1e8:intervali60e12:min intervali30e";
    let after = b"10:tracker id2:id15:warning message4:minde";
    // The third is the asking peer itself.
    let compact =
        b"5:peers6:\x01\x02\x03\x04\0\x056:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x06";
    let (_, body) = ask(&mut stream, &started(1)).await;
    assert_eq!(body, [&before[..], compact, after].concat());

    reply.form = PeerForm::Dictionaries;
    tracker.set_behaviour(Behaviour::Ok(reply));
    let dictionaries = b"5:peersld2:ip7:1.2.3.44:porti5eed2:ip11:2001:db8::14:porti6eee";
    let (_, body) = ask(&mut stream, &started(1)).await;
    assert_eq!(body, [&before[..], dictionaries, after].concat());
}

#[tokio::test]
async fn no_more_peers_than_wanted() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    for id in 0..60 {
        let address = SocketAddr::from(([10, 0, 0, id], 1000));
        tracker.add_peer(HASH, SwarmPeer { peer_id: [id; 20], address, left: Some(0) });
    }
    let mut stream = connect(&tracker).await;
    for (wanted, named) in
        [("", 50), ("&numwant=0", 0), ("&numwant=3", 3), ("&numwant=1000", 60), ("&numwant=-1", 50)]
    {
        let (_, body) = ask(&mut stream, &announce(99, &format!("&port=7001&left=1{wanted}"))).await;
        let prefix = format!("5:peers{}:", named * 6).into_bytes();
        assert!(body.windows(prefix.len()).any(|window| window == prefix), "{wanted}");
    }
}

#[tokio::test]
async fn a_scrape_returns_the_named_torrents_or_all() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let mut stream = connect(&tracker).await;
    ask(&mut stream, &started(1)).await;
    ask(&mut stream, &announce(2, "&port=7002&left=0&event=started")).await;
    ask(&mut stream, &announce(1, "&port=7001&left=0&event=completed")).await;
    ask(&mut stream, &announce(1, "&port=7001&left=0&event=completed")).await;
    ask(&mut stream, &announce(3, "&port=7003&left=5")).await;
    let file = b"d8:completei2e10:downloadedi1e10:incompletei1ee";
    let whole = [b"d5:filesd20:", &HASH[..], file, b"ee"].concat();
    let named = format!("?info_hash={}&info_hash={}", percent_encode(&[9; 20]), percent_encode(&HASH));
    for query in [named.as_str(), ""] {
        let (_, body) = ask(&mut stream, &format!("GET /scrape{query} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(body, whole, "{query}");
    }
    assert_eq!(tracker.announces().len(), 5);
}

#[tokio::test]
async fn a_stopped_peer_is_named_no_more() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let mut stream = connect(&tracker).await;
    ask(&mut stream, &started(1)).await;
    let (_, body) = ask(&mut stream, &started(2)).await;
    let own = compact(SocketAddr::from(([127, 0, 0, 1], 7001)));
    assert!(body.windows(6).any(|window| window == own));
    ask(&mut stream, &announce(1, "&port=7001&left=9&event=stopped")).await;
    let (_, body) = ask(&mut stream, &started(2)).await;
    assert!(!body.windows(6).any(|window| window == own));
    assert_eq!(tracker.peers_of(&HASH).len(), 1);
    assert_eq!(tracker.counts_of(&HASH), SwarmCounts { complete: 0, incomplete: 1, downloaded: 0 });
}

#[tokio::test]
async fn a_killed_tracker_refuses_and_comes_back_on_its_port() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let mut stream = connect(&tracker).await;
    ask(&mut stream, HEAD).await;
    for _ in 0..20 {
        tracker.kill().await;
        assert_eq!(tracker.open_connections(), 0);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0, "the connection is closed");
        let refused = TcpStream::connect(tracker.address()).await.map(drop).map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
        tracker.revive().await;
        stream = connect(&tracker).await;
        ask(&mut stream, HEAD).await;
    }
    let address = tracker.address();
    drop(tracker);
    assert_eq!(to_the_end(&mut stream).await, b"");
    let next = FakeTracker::start_at(address, Behaviour::ok()).await;
    assert_eq!(next.address(), address);
    ask(&mut connect(&next).await, HEAD).await;
}

#[tokio::test]
async fn refusing_is_a_behaviour_too() {
    let tracker = FakeTracker::start(Behaviour::Refused).await;
    let attempt =
        || async { TcpStream::connect(tracker.address()).await.map(drop).map_err(|error| error.kind()) };
    assert_eq!(attempt().await, Err(ErrorKind::ConnectionRefused));
    tracker.set_behaviour(Behaviour::ok());
    assert_eq!(attempt().await, Ok(()));
    tracker.set_behaviour(Behaviour::Refused);
    assert_eq!(attempt().await, Err(ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn a_sequence_can_end_in_death() {
    let tracker = FakeTracker::start(Behaviour::Sequence(vec![
        Behaviour::status(500),
        Behaviour::ok(),
        Behaviour::Refused,
    ]))
    .await;
    let mut stream = connect(&tracker).await;
    assert!(ask(&mut stream, &started(1)).await.0.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    assert!(ask(&mut stream, &started(1)).await.0.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(to_the_end(&mut stream).await, b"");
    let refused = TcpStream::connect(tracker.address()).await.map(drop).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dropped_syn_is_never_answered_and_open_connections_fall_silent() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let mut open = connect(&tracker).await;
    ask(&mut open, HEAD).await;
    tracker.set_behaviour(Behaviour::SynDropped);
    // Long for loopback, short for a second SYN.
    let a_while = Duration::from_millis(150);
    assert!(timeout(a_while, TcpStream::connect(tracker.address())).await.is_err(), "still connecting");
    open.write_all(HEAD.as_bytes()).await.unwrap();
    assert!(timeout(a_while, open.read_u8()).await.is_err(), "still silent");
    tracker.set_behaviour(Behaviour::ok());
    ask(&mut connect(&tracker).await, HEAD).await;
    assert_eq!(tracker.connections(), 2);
}

#[tokio::test]
async fn answers_are_laid_into_http_as_asked() {
    let head = |framing| async move {
        let tracker = FakeTracker::start(Behaviour::Answer(
            Answer::new(410).body("0123456789abcdefg").framing(framing),
        ))
        .await;
        text(
            all_of(
                &tracker,
                &HEAD.replace("HEAD", "GET").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
            )
            .await,
        )
    };
    let with_length = "HTTP/1.1 410 Gone\r\nContent-Length: 17\r\n";
    let body = "0123456789abcdefg";
    assert_eq!(head(Framing::KeepAlive).await, format!("{with_length}\r\n{body}"));
    assert_eq!(head(Framing::BrokenPromise).await, format!("{with_length}\r\n{body}"));
    assert_eq!(head(Framing::Close).await, format!("{with_length}Connection: close\r\n\r\n{body}"));
    assert_eq!(head(Framing::Http10).await, format!("HTTP/1.0 410 Gone\r\n\r\n{body}"));
    let chunks = "10\r\n0123456789abcdef\r\n1\r\ng\r\n0\r\n\r\n";
    assert_eq!(
        head(Framing::Chunked).await,
        format!("HTTP/1.1 410 Gone\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
    );
}

#[tokio::test]
async fn the_connection_ends_where_the_framing_says_so() {
    for (framing, ends) in [
        (Framing::KeepAlive, false),
        (Framing::Chunked, false),
        (Framing::Close, true),
        (Framing::BrokenPromise, true),
        (Framing::Http10, true),
    ] {
        let tracker = FakeTracker::start(Behaviour::ok_framed(framing)).await;
        let mut stream = connect(&tracker).await;
        // A connection that ends after the first answer never hears the second request.
        stream
            .write_all([HEAD, &HEAD.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")].concat().as_bytes())
            .await
            .unwrap();
        tracker.wait_for(|counts| counts.connections == 1 && counts.open == 0).await;
        assert_eq!(tracker.counts().requests, if ends { 1 } else { 2 }, "{framing:?}");
    }
}

#[tokio::test]
async fn opentracker_knows_no_head() {
    let tracker = FakeTracker::start(Behaviour::opentracker()).await;
    assert_eq!(text(all_of(&tracker, HEAD).await), "HTTP/1.0 400 Bad Request\r\n\r\n");
    let answer = text(all_of(&tracker, &started(1)).await);
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nd8:complete"), "{answer}");
}

#[tokio::test]
async fn failures_redirects_statuses_and_bodies() {
    let failure =
        Failure { reason: b"no".to_vec(), retry_in: Some(RetryIn::Minutes(5)), ..Failure::default() };
    for (behaviour, status, header, body) in [
        (Behaviour::failure("gone"), "200 OK", "", &b"d14:failure reason4:gonee"[..]),
        (
            Behaviour::retry_in("no", RetryIn::Never),
            "200 OK",
            "",
            b"d14:failure reason2:no8:retry in5:nevere",
        ),
        (
            Behaviour::Answer(Answer::new(403).body(failure.encode())),
            "403 Forbidden",
            "",
            b"d14:failure reason2:no8:retry ini5ee",
        ),
        (
            Behaviour::status(503).header("Retry-After", "120"),
            "503 Service Unavailable",
            "Retry-After: 120",
            b"no bencode here\n",
        ),
        (Behaviour::redirect(307, "http://x/y"), "307 Temporary Redirect", "Location: http://x/y", b""),
        (Behaviour::body("i1e"), "200 OK", "", b"i1e"),
    ] {
        let tracker = FakeTracker::start(behaviour).await;
        let (head, sent) = ask(&mut connect(&tracker).await, &started(1)).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        assert!(head.contains(header), "{head}");
        assert_eq!(sent, body, "{status}");
        assert!(tracker.peers_of(&HASH).is_empty());
    }
}

#[tokio::test]
async fn garbage_and_html_are_no_bencode() {
    for (behaviour, beginning) in
        [(Behaviour::garbage(), &b"\0\xff"[..]), (Behaviour::html(), b"<!DOCTYPE html>")]
    {
        let tracker = FakeTracker::start(behaviour).await;
        let (head, body) = ask(&mut connect(&tracker).await, &started(1)).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.starts_with(beginning));
    }
}

#[tokio::test]
async fn a_reset_is_a_reset_and_hanging_up_is_not() {
    let tracker = FakeTracker::start(Behaviour::Reset).await;
    let mut stream = connect(&tracker).await;
    stream.write_all(BARE.as_bytes()).await.unwrap();
    assert_eq!(stream.read_u8().await.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    tracker.set_behaviour(Behaviour::hang_up());
    assert_eq!(all_of(&tracker, BARE).await, b"");
}

#[tokio::test]
async fn an_endless_body_goes_on_until_the_client_goes() {
    let tracker = FakeTracker::start(Behaviour::EndlessBody).await;
    let mut stream = connect(&tracker).await;
    stream.write_all(BARE.as_bytes()).await.unwrap();
    let mut megabytes = vec![0; 8 << 20];
    stream.read_exact(&mut megabytes).await.unwrap();
    assert!(megabytes.starts_with(b"HTTP/1.0 200 OK\r\n") && megabytes.ends_with(&[b'0'; 1000]));
    drop(stream);
    tracker.wait_for(|counts| counts.open == 0).await;
    assert_eq!(text(all_of(&tracker, HEAD).await), "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n");
}

#[tokio::test]
async fn one_kind_of_request_can_fare_differently() {
    let tracker = FakeTracker::start(Behaviour::ok().when(Asked::Head, Behaviour::Reset)).await;
    let mut stream = connect(&tracker).await;
    ask(&mut stream, BARE).await;
    ask(&mut stream, &started(1)).await;
    stream.write_all(HEAD.as_bytes()).await.unwrap();
    assert_eq!(stream.read_u8().await.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn nonsense_and_endless_heads_are_answered_and_shown() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    assert!(all_of(&tracker, "hello\r\n\r\n").await.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(tracker.heard()[0].raw, b"hello\r\n\r\n");
    let head = vec![b'a'; 64 * 1024];
    let mut stream = connect(&tracker).await;
    stream.write_all(&head).await.unwrap();
    assert!(to_the_end(&mut stream).await.starts_with(b"HTTP/1.1 431 "));
}

#[tokio::test]
async fn waiting_for_announces_ends_when_they_come() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let (heard, ()) = tokio::join!(tracker.wait_for_announces(2), async {
        let mut stream = connect(&tracker).await;
        ask(&mut stream, HEAD).await;
        ask(&mut stream, &started(1)).await;
        ask(&mut stream, &announce(1, "&port=7001&left=9")).await;
    });
    assert_eq!(heard.iter().map(|request| request.event()).collect::<Vec<_>>(), [Some("started"), None]);
    tracker.forget();
    assert!(tracker.announces().is_empty());
    assert_eq!(tracker.counts().announces, 2);
}

#[tokio::test]
async fn one_torrent_may_be_served_otherwise_on_the_same_connection() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    tracker.set_behaviour_for([1; 20], Behaviour::status(500));
    let other = started(1).replace(&percent_encode(&HASH), &percent_encode(&[1; 20]));
    let mut stream = connect(&tracker).await;
    for (request, status) in [(started(1), "200"), (other, "500"), (started(1), "200")] {
        let (head, _) = ask(&mut stream, &request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[tokio::test]
async fn trackers_live_on_other_addresses_too() {
    for address in ["127.0.0.2:0", "[::1]:0"] {
        let tracker = FakeTracker::start_at(address.parse().unwrap(), Behaviour::ok()).await;
        let expected = format!("http://{}/announce", tracker.address());
        assert_eq!(tracker.announce_url(), expected);
        let mut stream = connect(&tracker).await;
        ask(&mut stream, &started(1)).await;
        let own = SocketAddr::new(stream.local_addr().unwrap().ip(), 7001);
        assert_eq!(tracker.peers_of(&HASH)[0].address, own);
    }
}
