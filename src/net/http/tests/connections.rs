//! Connections: which are kept, reused, and closed.

use super::*;
use crate::net::http::connection::{HttpConnection, SendError};
use crate::net::http::request::TrackerRequest;
use crate::tracker::TrackerUrl;

const AT: &str = "8.1.1.1:80";
const URL: &str = "http://t.test/announce";
const BROKEN: &str = "the connection broke: connection closed before message completed";

fn tracker(connections: &[&[Step]]) -> (Internet, HttpTransport) {
    let internet = Internet::default().with("t.test", AT, connections);
    let transport = internet.transport(HttpConfig::new());
    (internet, transport)
}

#[tokio::test]
async fn successive_announces_share_a_connection() {
    let (internet, transport) = tracker(&[&[ok(REPLY), ok(REPLY), ok(REPLY)]]);
    for _ in 0..3 {
        announce(&transport, URL).await.unwrap();
    }
    assert_eq!((internet.asked().len(), internet.dialled()), (3, 1));
}

#[tokio::test]
async fn chunked_and_failed_answers_leave_the_connection_usable() {
    let chunked =
        raw(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n21\r\n", REPLY, b"\r\n0\r\n\r\n"]);
    let (internet, transport) = tracker(&[&[chunked, answer("500 x", "", b"sorry"), ok(REPLY)]]);
    announce(&transport, URL).await.unwrap();
    announce(&transport, URL).await.unwrap_err();
    announce(&transport, URL).await.unwrap();
    assert_eq!(internet.dialled(), 1);
}

/// R113: without `keep-alive` a server of HTTP/1.0 closes, and it always does after chunks.
#[tokio::test]
async fn a_connection_of_http_1_0_is_kept_with_keep_alive_only() {
    let sized = "Content-Length: 33\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n21\r\n";
    for (version, connection, framing, kept) in [
        ("1.0", "", sized, false),
        ("1.0", "Connection: close\r\n", sized, false),
        ("1.0", "Connection: keep-alive, close\r\n", sized, false),
        ("1.0", "Connection: Keep-Alive\r\n", sized, true),
        ("1.0", "Connection: x, keep-alive\r\n", sized, true),
        ("1.0", "Connection: keep-alive\r\n", chunked, false),
        ("1.1", "", sized, true),
        ("1.1", "", chunked, true),
        ("1.1", "Connection: close\r\n", chunked, false),
    ] {
        let head = format!("HTTP/{version} 200 OK\r\n{connection}{framing}");
        let end = if framing == chunked { "\r\n0\r\n\r\n" } else { "" };
        let first = raw(&[head.as_bytes(), REPLY, end.as_bytes()]);
        let (internet, transport) = tracker(&[&[first, ok(REPLY), Step::Keep], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap();
        assert_eq!(internet.dialled(), if kept { 1 } else { 2 }, "{head}");
    }
}

/// S-28.
#[tokio::test]
async fn simultaneous_announces_have_a_connection_each_and_two_are_kept() {
    let (internet, transport) =
        tracker(&[&[ok(REPLY), Step::Keep], &[ok(REPLY), Step::Keep], &[ok(REPLY), Step::Keep]]);
    let url: TrackerUrl = URL.parse().unwrap();
    let mut channels = Vec::new();
    for _ in 0..3 {
        channels.push(transport.open(&url).await.unwrap());
    }
    for channel in &mut channels {
        channel.announce(&request()).await.unwrap();
    }
    assert_eq!(internet.dialled(), 3);
    assert!(transport.0.pool.take(&url.tracker_host()).is_some());
    assert!(transport.0.pool.take(&url.tracker_host()).is_some());
    assert!(transport.0.pool.take(&url.tracker_host()).is_none());
}

///
#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_once() {
    for closing in [Step::Close, Step::ReadAndClose] {
        // Closed before the second announce, or after it was sent; the next connection works.
        let (internet, transport) = tracker(&[&[ok(REPLY), closing.clone()], &[ok(REPLY), Step::Keep]]);
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap();
        assert_eq!(internet.dialled(), 2);

        // The next connection closes as well: that is the result.
        let (internet, transport) = tracker(&[&[ok(REPLY), closing], &[Step::ReadAndClose], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        assert_eq!(announce(&transport, URL).await.unwrap_err().to_string(), BROKEN);
        assert_eq!(internet.dialled(), 2);
    }
}

/// R14.
#[tokio::test]
async fn a_request_without_a_stale_connection_is_sent_once() {
    // A new connection that brings nothing.
    let (internet, transport) = tracker(&[&[Step::ReadAndClose], &[ok(REPLY)]]);
    assert_eq!(announce(&transport, URL).await.unwrap_err().to_string(), BROKEN);
    assert_eq!(internet.asked().len(), 1);
    // A kept one with half an answer: the tracker has read the announce.
    for half in [b"H".as_slice(), b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nd8"] {
        let (internet, transport) = tracker(&[&[ok(REPLY), raw(&[half])], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap_err();
        assert_eq!(internet.asked().len(), 2);
    }
}

/// R110: a connection that was kept may bring the rest of something else.
#[tokio::test]
async fn a_kept_connection_with_bytes_that_are_no_answer_is_replaced() {
    for stray in [b"<html>".as_slice(), REPLY, b"0\r\n\r\n", b"\0", b"HTTP/1.1 OK\r\n\r\n", b"\r\n"] {
        let (internet, transport) = tracker(&[&[ok(REPLY), raw(&[stray])], &[ok(REPLY)], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        let response = announce(&transport, URL).await;
        let response = response.unwrap_or_else(|error| panic!("{}: {error}", stray.escape_ascii()));
        assert_eq!((response.peers.len(), internet.dialled()), (1, 2), "{}", stray.escape_ascii());
        // Once: on a new connection the same bytes are the result.
        let (internet, transport) = tracker(&[&[ok(REPLY), raw(&[stray])], &[raw(&[stray])], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap_err();
        assert_eq!((internet.asked().len(), internet.dialled()), (3, 2), "{}", stray.escape_ascii());
    }
}

/// R110: `hyper` cancels a request when it finds bytes that arrived before it.
#[tokio::test]
async fn a_request_that_stray_bytes_cancel_is_stale() {
    let url: TrackerUrl = URL.parse().unwrap();
    let asked = TrackerRequest::new(url.clone(), "/a", &url).unwrap();
    let config = HttpConfig::new();
    let request = || asked.to_http(hyper::Method::HEAD, &config);
    for stray in [b"<html>".as_slice(), b"HTTP/1.1 200 OK\r\n\r\n"] {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        let mut connection =
            HttpConnection::open(Connected::new(ours, AT.parse().unwrap()), &config).await.unwrap();
        let (answer, ()) = tokio::join!(connection.send(request()), async {
            read_head(&mut theirs).await.unwrap();
            theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        });
        assert!(answer.is_ok());
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        // Nothing is polled between these two.
        theirs.write_all(stray).await.unwrap();
        let answer = connection.send(request()).await;
        assert!(matches!(answer, Err(SendError::Stale(_))), "{}", stray.escape_ascii());
    }
}

/// R115: the server's idle timer ran out before the announce arrived, so it wasn't read (RFC 9110, 15.5.9).
#[tokio::test]
async fn a_408_on_a_kept_connection_is_retried_once() {
    let idle: [Step; 3] = [
        answer("408 Request Time-out", "Connection: close\r\n", b""),
        answer("408 REQUEST_TIMEOUT", "", b"<html><body><h1>408 Request Time-out</h1>"),
        raw(&[b"HTTP/1.0 408 Request Time-out\r\nCache-Control: no-cache\r\n\r\n<html>"]),
    ];
    for idle in idle {
        let (internet, transport) = tracker(&[&[ok(REPLY), idle.clone()], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        assert_eq!(announce(&transport, URL).await.unwrap().peers.len(), 1);
        assert_eq!((internet.asked().len(), internet.dialled()), (3, 2));
        // A new connection wasn't idle.
        let (internet, transport) =
            tracker(&[&[ok(REPLY), idle.clone()], std::slice::from_ref(&idle), &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        assert_eq!(announce(&transport, URL).await.unwrap_err().to_string(), "HTTP status 408");
        assert_eq!((internet.asked().len(), internet.dialled()), (3, 2));
        let (internet, transport) = tracker(&[&[idle], &[ok(REPLY)]]);
        assert_eq!(announce(&transport, URL).await.unwrap_err().to_string(), "HTTP status 408");
        assert_eq!(internet.asked().len(), 1);
    }
}

/// R115: for scrapes too.
#[tokio::test]
async fn no_other_status_than_408_is_retried() {
    let idle = answer("408 Request Time-out", "", b"");
    let files = ok(b"d5:filesdee");
    let (internet, transport) = tracker(&[&[ok(REPLY), idle], &[files]]);
    announce(&transport, URL).await.unwrap();
    let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
    channel.scrape(&[InfoHash::new([1; 20])]).await.unwrap();
    assert_eq!(internet.dialled(), 2);
    for status in ["400 x", "409 x", "425 x", "429 x", "500 x", "502 x", "503 x", "504 x"] {
        let (internet, transport) = tracker(&[&[ok(REPLY), answer(status, "", b"")], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap_err();
        assert_eq!(internet.asked().len(), 2, "{status}");
    }
}

/// S-34.
#[tokio::test]
async fn unrequested_bytes_end_a_connection() {
    // Together with the answer, and some time later.
    let doubled =
        raw(&[b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n", REPLY, b"HTTP/1.1 200 OK\r\n\r\nd8"]);
    for script in
        [vec![doubled, Step::Keep], vec![ok(REPLY), Step::Unasked(b"HTTP/1.1 500 x\r\n\r\n"), Step::Keep]]
    {
        let (internet, transport) = tracker(&[&script, &[ok(REPLY), Step::Keep]]);
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap();
        assert_eq!(internet.dialled(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_a_minute() {
    let (internet, transport) = tracker(&[&[ok(REPLY), Step::Keep], &[ok(REPLY), Step::Keep]]);
    announce(&transport, URL).await.unwrap();
    let before = clock::now();
    internet.all_closed().await;
    assert_eq!(before.elapsed().as_secs(), 60, "the clock of this test is virtual");
    announce(&transport, URL).await.unwrap();
    internet.all_closed().await;
    assert_eq!(internet.dialled(), 2);
}

#[tokio::test]
async fn no_connection_is_kept_with_a_keep_idle_of_zero() {
    let internet =
        Internet::default().with("t.test", AT, &[&[ok(REPLY), Step::Keep], &[ok(REPLY), Step::Keep]]);
    let mut config = HttpConfig::new();
    config.keep_idle = Duration::ZERO;
    let transport = internet.transport(config);
    announce(&transport, URL).await.unwrap();
    internet.all_closed().await;
    announce(&transport, URL).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_pool_is_bounded() {
    let mut internet = Internet::default();
    for host in 0..200 {
        internet =
            internet.with(&format!("t{host}.test"), &format!("8.1.1.{host}:80"), &[&[ok(REPLY), Step::Keep]]);
    }
    let mut config = HttpConfig::new();
    config.keep_idle = Duration::MAX;
    let transport = internet.transport(config);
    for host in 0..200 {
        announce(&transport, &format!("http://t{host}.test/a")).await.unwrap();
    }
    let kept = |host: usize| {
        let url: TrackerUrl = format!("http://t{host}.test/a").parse().unwrap();
        transport.0.pool.take(&url.tracker_host()).is_some()
    };
    let kept: Vec<usize> = (0..200).filter(|host| kept(*host)).collect();
    assert_eq!(kept, (72..200).collect::<Vec<_>>(), "the latest ones");
}

/// S-31.
#[tokio::test]
async fn dropping_closes_connections_at_every_stage() {
    // The transport: its idle connections.
    let (internet, transport) = tracker(&[&[ok(REPLY), Step::Keep]]);
    announce(&transport, URL).await.unwrap();
    drop(transport);
    internet.all_closed().await;
    // A channel that was never used, as a race leaves many of them.
    let (internet, transport) = tracker(&[&[Step::Keep]]);
    drop(transport.open(&URL.parse().unwrap()).await.unwrap());
    internet.all_closed().await;
    // An announce that waits for its answer. Nothing of it is left for the next one.
    let (internet, transport) = tracker(&[&[Step::Hang], &[ok(REPLY)]]);
    let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
    let asked = request();
    let given_up = tokio::select! {
        biased;
        _ = channel.announce(&asked) => false,
        () = internet.until_asked(1) => true,
    };
    assert!(given_up);
    internet.all_closed().await;
    channel.announce(&asked).await.unwrap();
    assert_eq!(internet.dialled(), 2);
}

#[tokio::test]
async fn a_channel_opens_a_new_connection_for_a_second_announce() {
    let (internet, transport) = tracker(&[&[answer("200 OK", "Connection: close\r\n", REPLY)], &[ok(REPLY)]]);
    let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
    channel.announce(&request()).await.unwrap();
    channel.announce(&request()).await.unwrap();
    assert_eq!(internet.dialled(), 2);
}

/// R103: a kept connection needed none.
#[tokio::test(start_paused = true)]
async fn the_look_up_time_is_separate_from_the_opening() {
    const TAKES: Duration = Duration::from_secs(4);
    struct SlowResolver;

    #[async_trait]
    impl crate::net::resolver::Resolver for SlowResolver {
        async fn resolve(&self, _: &str, _: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
            tokio::time::sleep(TAKES).await;
            Ok(vec![AT.parse().unwrap()])
        }
    }

    let internet = Internet::default().with("t.test", AT, &[&[ok(REPLY), Step::Keep]]);
    let connector = Arc::new(internet.latency(Duration::from_millis(40)));
    let transport = HttpTransport::with_connector(HttpConfig::new(), Arc::new(SlowResolver), connector);
    let url: TrackerUrl = URL.parse().unwrap();
    let mut channel = transport.open(&url).await.unwrap();
    assert_eq!(channel.lookup_time(), TAKES);
    channel.announce(&request()).await.unwrap();
    assert_eq!(transport.open(&url).await.unwrap().lookup_time(), Duration::ZERO);
}
