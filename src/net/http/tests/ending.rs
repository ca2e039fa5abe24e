//! When an answer is complete: at its end by HTTP, or when its dictionary closes, whichever comes first.

use super::*;
use crate::error::TimeoutPhase;
use crate::net::http::HttpProber;
use crate::prober::Prober;

const AT: &str = "8.1.1.1:80";
const URL: &str = "http://t.test/announce";
const MS: Duration = Duration::from_millis(1);

/// The time that a missing end may cost.
const PATIENCE: Duration = Duration::from_millis(50);

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Announces to a tracker that sends this and then nothing, without closing, for at most ten seconds.
async fn after(parts: &[&[u8]]) -> (Result<AnnounceResponse, AnnounceError>, Duration) {
    let internet = Internet::default().with("t.test", AT, &[&[raw(parts), Step::Keep], &[ok(REPLY)]]);
    let transport = internet.transport(HttpConfig::new());
    let before = clock::now();
    let outcome = tokio::time::timeout(Duration::from_secs(10), announce(&transport, URL)).await;
    let took = before.elapsed();
    assert_eq!(internet.asked().len(), 1);
    (outcome.unwrap_or(Err(AnnounceError::TimedOut(TimeoutPhase::Reply))), took)
}

/// R116: some servers omit the length, the last chunk, or the closing.
#[tokio::test(start_paused = true)]
async fn a_reply_without_an_end_is_complete_when_its_dictionary_closes() {
    let cut = REPLY.len() - 1;
    let answers: &[(&str, &[&[u8]])] = &[
        ("neither length nor close", &[b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", REPLY]),
        ("keep-alive, no length", &[b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", REPLY]),
        ("http/1.0", &[b"HTTP/1.0 200 OK\r\n\r\n", REPLY]),
        ("http/1.0, keep-alive", &[b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", REPLY]),
        ("http/1.0, chunked", &[b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n21\r\n", REPLY]),
        ("said to be longer", &[b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n", REPLY]),
        ("identity", &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", REPLY]),
        ("no last chunk", &[CHUNKED, b"21\r\n", REPLY, b"\r\n"]),
        ("no end of the chunk", &[CHUNKED, b"21\r\n", REPLY]),
        ("a chunk that is longer", &[CHUNKED, b"ff\r\n", REPLY]),
        ("two chunks", &[CHUNKED, b"20\r\n", &REPLY[..cut], b"\r\n1\r\n", &REPLY[cut..]]),
        ("half a last chunk", &[CHUNKED, b"21\r\n", REPLY, b"\r\n0\r\n"]),
        ("a line end, and no more", &[b"HTTP/1.1 200 OK\r\n\r\n\r\n\xef\xbb\xbf", REPLY, b"\r\n"]),
    ];
    for (name, parts) in answers {
        let (outcome, took) = after(parts).await;
        assert_eq!(outcome.unwrap_or_else(|error| panic!("{name}: {error}")).peers.len(), 1, "{name}");
        assert!(took <= PATIENCE, "{name}: {took:?}");
    }
}

/// R116.
#[tokio::test(start_paused = true)]
async fn a_failure_without_an_end_is_complete_when_its_dictionary_closes() {
    for status in ["200 OK", "400 Bad", "404 Not Found", "500 x"] {
        let head = format!("HTTP/1.1 {status}\r\n\r\n");
        let (outcome, took) = after(&[head.as_bytes(), b"d14:failure reason2:noe"]).await;
        assert_eq!(outcome.unwrap_err().to_string(), "rejected: \"no\"", "{status}");
        assert!(took <= PATIENCE, "{status}: {took:?}");
    }
}

/// R116: also where the compressed data is flushed and not ended.
#[cfg(feature = "gzip")]
#[tokio::test(start_paused = true)]
async fn a_compressed_reply_without_an_end_is_complete_when_its_dictionary_closes() {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(REPLY).unwrap();
    zlib.write_all(REPLY).unwrap();
    bare.write_all(REPLY).unwrap();
    gzip.flush().unwrap();
    let packed =
        [gzip.get_ref().clone(), gzip.finish().unwrap(), zlib.finish().unwrap(), bare.finish().unwrap()];
    for (number, packed) in packed.iter().enumerate() {
        for encoding in ["", "Content-Encoding: gzip\r\n", "Content-Encoding: deflate\r\n"] {
            let head = format!("HTTP/1.1 200 OK\r\n{encoding}\r\n");
            let (outcome, took) = after(&[head.as_bytes(), packed]).await;
            let response = outcome.unwrap_or_else(|error| panic!("{number} {encoding}: {error}"));
            assert_eq!(response.peers.len(), 1, "{number} {encoding}");
            assert!(took <= PATIENCE, "{number} {encoding}: {took:?}");
        }
    }
}

/// The rest is waited for, up to the caller's limit.
#[tokio::test(start_paused = true)]
async fn half_a_dictionary_is_no_reply() {
    let cut = REPLY.len() - 1;
    for parts in [
        [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &REPLY[..cut]],
        [b"HTTP/1.1 200 OK\r\n\r\n", b"<html>"],
        [b"HTTP/1.1 200 OK\r\n\r\n", b""],
        [b"HTTP/1.1 200 OK\r\n\r\n", b"le"],
    ] {
        let (outcome, took) = after(&parts).await;
        assert!(matches!(outcome, Err(AnnounceError::TimedOut(_))), "{parts:?}");
        assert_eq!(took, Duration::from_secs(10));
    }
}

/// The last chunk often comes in a separate packet.
#[tokio::test(start_paused = true)]
async fn an_end_that_comes_a_moment_later_leaves_the_connection_usable() {
    let first = raw(&[CHUNKED, b"21\r\n", REPLY, b"\r\n"]);
    for (later, kept) in [(MS * 40, true), (MS * 60, false)] {
        let internet = Internet::default().with(
            "t.test",
            AT,
            &[&[first.clone(), Step::Late(b"0\r\n\r\n", later), ok(REPLY)], &[ok(REPLY)]],
        );
        let transport = internet.transport(HttpConfig::new());
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap();
        assert_eq!(internet.dialled(), if kept { 1 } else { 2 }, "{later:?}");
    }
}

/// It is bounded in time and in size.
#[tokio::test(start_paused = true)]
async fn bytes_after_a_complete_reply_do_not_delay_it() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let reply = "d8:intervali1800ee";
    let dripping = Step::Drip([head, reply, &"x".repeat(1000)].concat().into_bytes(), MS * 10);
    let endless =
        Step::Endless("HTTP/1.1 200 OK\r\n\r\nd8:intervali1800ee", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    for (step, most) in [(dripping, MS * 450), (endless, PATIENCE)] {
        let internet = Internet::default().with("t.test", AT, &[&[step]]);
        let before = clock::now();
        let response = announce(&internet.transport(HttpConfig::new()), URL).await.unwrap();
        assert_eq!(response.interval, Some(Duration::from_secs(1800)));
        assert!(before.elapsed() <= most, "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait_for_an_end() {
    let internet =
        Internet::default().with("t.test", AT, &[&[Step::ReadAndClose], &[raw(&[CHUNKED]), Step::Keep]]);
    let before = clock::now();
    HttpProber::new(&internet.transport(HttpConfig::new())).probe(&URL.parse().unwrap()).await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}
