//! Announces: what is sent, and what counts as an answer.

use super::*;
use crate::announce::Event;
use crate::error::Retry;

const AT: &str = "8.1.1.1:80";
/// An announce URL in which every secret part is the same word.
const URL: &str = "http://s3cret:s3cret@t.test/s3cret/announce?passkey=s3cret";

/// Announces once to a tracker that does this and closes. Checks that an error shows no secret.
async fn after(step: Step, event: Option<Event>) -> Result<AnnounceResponse, AnnounceError> {
    let internet = Internet::default().with("t.test", AT, &[&[step], &[ok(REPLY)]]);
    let mut config = HttpConfig::new();
    config.max_body = 10_000;
    let transport = internet.transport(config);
    let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
    let mut asked = request();
    asked.event = event;
    let outcome = channel.announce(&asked).await;
    assert_eq!(internet.asked().len(), 1, "one attempt, one announce (R14)");
    if let Err(error) = &outcome {
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = source {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("info_hash"), "{shown}");
            source = error.source();
        }
    }
    outcome
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    // Stored blocks, so that the tests need no compressor: magic, one block, checksum, length.
    let length = u16::try_from(bytes.len()).unwrap();
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend_from_slice(bytes);
    packed.extend((!crc).to_le_bytes());
    packed.extend(u32::from(length).to_le_bytes());
    packed
}

/// POL-25, R3-10.
#[tokio::test]
async fn an_announce_is_one_request_with_few_headers() {
    let internet = Internet::default().with("t.test", "8.1.1.1:8080", &[&[ok(REPLY)]]);
    let config = HttpConfig::new().header("X-Own", "1").unwrap();
    let response = announce(&internet.transport(config), "http://T.test:8080/a?key=b|c").await.unwrap();
    assert_eq!(response.peers.len(), 1);
    assert_eq!(response.tracker_address, Some("8.1.1.1:8080".parse().unwrap()));
    let asked = internet.asked();
    assert_eq!(asked.len(), 1);
    let (line, headers) = asked[0].split_once("\r\n").unwrap();
    assert!(line.starts_with("GET /a?key=b|c&info_hash=%01%01") && line.ends_with(" HTTP/1.1"), "{line}");
    let encoding = if cfg!(feature = "gzip") { "gzip" } else { "identity" };
    let agent = env!("CARGO_PKG_VERSION");
    assert_eq!(
        headers,
        format!(
            "Host: t.test:8080\r\nUser-Agent: tracker-failover/{agent}\r\nAccept-Encoding: {encoding}\r\n\
             Connection: keep-alive\r\nX-Own: 1\r\n\r\n"
        )
    );
}

///
#[tokio::test]
async fn host_omits_the_default_port() {
    for (url, address, host) in [
        ("http://t.test:80/a", "8.1.1.1:80", "Host: t.test\r\n"),
        ("http://t.test:8080/a", "8.1.1.1:8080", "Host: t.test:8080\r\n"),
        ("http://[2606::1]:81/a", "[2606::1]:81", "Host: [2606::1]:81\r\n"),
        ("http://\u{431}.test/a", "8.1.1.1:80", "Host: xn--90a.test\r\n"),
    ] {
        let name = if url.contains("t.test") { "t.test" } else { "xn--90a.test" };
        let internet = Internet::default().with(name, address, &[&[ok(REPLY)]]);
        announce(&internet.transport(HttpConfig::new()), url).await.unwrap();
        assert!(internet.asked()[0].contains(host), "{url}: {}", internet.asked()[0]);
    }
}

#[tokio::test]
async fn a_user_name_in_the_url_is_sent_as_credentials() {
    let internet = Internet::default().with("t.test", AT, &[&[ok(REPLY)]]);
    announce(&internet.transport(HttpConfig::new()), "http://user:pa%40ss@t.test/a").await.unwrap();
    // user:pa@ss
    assert!(internet.asked()[0].contains("\r\nAuthorization: Basic dXNlcjpwYUBzcw==\r\n"));
    assert!(!internet.asked()[0].contains("user"));
}

///
#[tokio::test]
async fn unusual_heads_are_read() {
    let length = format!("Content-Length: {}\r\n", REPLY.len());
    let longer = format!("Content-Length: {}\r\n", REPLY.len() + 5);
    let (length, longer) = (length.as_bytes(), longer.as_bytes());
    let (first, second) = REPLY.split_at(10);
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(5);
    let many = "X-Header: x\r\n".repeat(90);
    let answers: &[(&str, &[&[u8]])] = &[
        ("http/1.0, to the end", &[b"HTTP/1.0 200 OK\r\n\r\n", REPLY]),
        ("http/1.1, to the end", &[b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", REPLY]),
        ("connection: Close", &[b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", length, b"\r\n", REPLY]),
        ("bare line feeds", &[b"HTTP/1.1 200 OK\nContent-Type: x\n\n", REPLY]),
        ("no reason, no blank", &[b"HTTP/1.1 200\r\n", length, b"\r\n", REPLY]),
        ("no reason", &[b"HTTP/1.1 200 \r\n", length, b"\r\n", REPLY]),
        ("a story for a reason", &[b"HTTP/1.1 200 Not Authorized, \xe4h\r\n", length, b"\r\n", REPLY]),
        ("another 2xx", &[b"HTTP/1.1 203 Non-Authoritative\r\n", length, b"\r\n", REPLY]),
        ("continue", &[b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", length, b"\r\n", REPLY]),
        ("five interim answers", &[interim.as_bytes(), b"HTTP/1.1 200 OK\r\n", length, b"\r\n", REPLY]),
        ("two equal lengths", &[b"HTTP/1.1 200 OK\r\n", length, length, b"\r\n", REPLY]),
        ("ninety headers", &[b"HTTP/1.1 200 OK\r\n", many.as_bytes(), length, b"\r\n", REPLY]),
        (
            "odd headers",
            &[
                b"HTTP/1.1 200 OK\r\nX-Space : a\r\nX Y: b\r\nno colon\r\nX-Folded: c\r\n  d\r\nX-High: \xff\r\n: e\r\n",
                length,
                b"\r\n",
                REPLY,
            ],
        ),
        (
            "chunks with extensions and trailers",
            &[
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\na;name=\"value\"\r\n",
                first,
                b"\r\n00017 ; x\r\n",
                second,
                b"\r\n0\r\nX-Trailer: 1\r\n\r\n",
            ],
        ),
        ("trailing bytes (R62)", &[b"HTTP/1.1 200 OK\r\n\r\n", REPLY, b"\r\n<!-- x -->"]),
        ("whole, though shorter than said (S-07)", &[b"HTTP/1.1 200 OK\r\n", longer, b"\r\n", REPLY]),
        (
            "whole, though the last chunk is missing (S-07)",
            &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n21\r\n", REPLY, b"\r\n"],
        ),
        ("a byte order mark (R116)", &[b"HTTP/1.1 200 OK\r\n\r\n\xef\xbb\xbf", REPLY]),
        (
            "identity as an encoding (R116)",
            &[b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n", length, b"\r\n", REPLY],
        ),
        (
            "identity as a transfer encoding (R116)",
            &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n", length, b"\r\n", REPLY],
        ),
        ("said to be packed, but isn't", &[b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", REPLY]),
    ];
    assert_eq!((first.len(), second.len(), REPLY.len()), (10, 0x17, 0x21), "as the chunks above say");
    for (name, parts) in answers {
        let response = after(raw(parts), None).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.interval, Some(Duration::from_secs(1800)), "{name}");
        assert_eq!(response.peers.len(), 1, "{name}");
    }
}

/// R113: by the standard HTTP/1.0 has no transfer encodings, but other clients decode them.
#[tokio::test]
async fn http_1_0_is_read_with_every_framing() {
    let chunks = [b"21\r\n".as_slice(), REPLY, b"\r\n0\r\n\r\n"].concat();
    let bytewise: Vec<u8> =
        REPLY.iter().flat_map(|byte| [b"1\r\n".as_slice(), &[*byte], b"\r\n"].concat()).collect();
    for (head, body) in [
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", &chunks),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks),
        ("HTTP/1.0 200 OK\r\nTRANSFER-ENCODING: Chunked\r\nConnection: Keep-Alive\r\n\r\n", &chunks),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks),
        ("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n", &chunks),
        ("\r\nHTTP/1.0 200\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytewise),
        ("HTTP/1.0 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", &REPLY.to_vec()),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 33\r\n\r\n", &REPLY.to_vec()),
    ] {
        for step in
            [raw(&[head.as_bytes(), body]), Step::Drip([head.as_bytes(), body].concat(), Duration::ZERO)]
        {
            let response = after(step, None).await.unwrap_or_else(|error| panic!("{head}: {error}"));
            assert_eq!(response.peers.len(), 1, "{head}");
        }
    }
    let failed = raw(&[
        b"HTTP/1.0 403 x\r\nTransfer-Encoding: chunked\r\n\r\n17\r\nd14:failure reason2:noe\r\n0\r\n\r\n",
    ]);
    assert_eq!(after(failed, None).await.unwrap_err().to_string(), "rejected: \"no\"");
}

/// Q-08, R65.
#[cfg(feature = "gzip")]
#[tokio::test]
async fn compressed_answers_are_read_with_and_without_a_header() {
    for header in ["Content-Encoding: gzip\r\n", "Content-Encoding: x-gzip\r\n", ""] {
        let response = after(answer("200 OK", header, &packed(REPLY)), None).await.unwrap();
        assert_eq!(response.peers.len(), 1, "{header}");
    }
    let refused = after(answer("400 Bad", "", &packed(b"d14:failure reason2:noe")), None).await.unwrap_err();
    assert_eq!(refused.to_string(), "rejected: \"no\"");
}

/// R60, R61, Q-02.
#[tokio::test]
async fn an_empty_swarm_is_a_success() {
    for body in ["d8:intervali1800e5:peers0:e", "d8:intervali1800ee"] {
        let response = after(ok(body.as_bytes()), None).await.unwrap();
        assert!(response.peers.is_empty());
    }
}

const NOT_HTTP: &str = "not a tracker's reply: expected an HTTP answer";
const NOT_BENCODE: &str = "not a tracker's reply: expected ";
const CUT: &str = "the connection broke: error reading a body from connection";

async fn each_is(rows: &[(&str, Step, &str)]) {
    for (name, step, expected) in rows {
        let error = after(step.clone(), None).await.map(|_| name).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{name}: {error}");
    }
}

/// S-07.
#[tokio::test]
async fn bytes_that_are_no_http_answer_are_an_error() {
    let broken = "the connection broke: connection closed before message completed";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
    let lengths = b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\nContent-Length: 32\r\n\r\n";
    each_is(&[
        ("closed", Step::ReadAndClose, broken),
        ("nothing but a line end", raw(&[b"\r\n"]), broken),
        ("head cut", raw(&[b"HTTP/1.1 200 OK\r\nContent-Le"]), broken),
        ("body cut (R13)", raw(&[b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\nd8:interval"]), CUT),
        ("chunk cut", raw(&[chunked, b"21\r\nd8:in"]), CUT),
        ("chunk of no size", raw(&[chunked, b"zz\r\nd8:in"]), CUT),
        ("bencode only", raw(&[REPLY]), NOT_HTTP),
        ("icy", raw(&[b"ICY 200 OK\r\n\r\n", REPLY]), NOT_HTTP),
        ("lower case", raw(&[b"http/1.1 200 OK\r\n\r\n", REPLY]), NOT_HTTP),
        ("a status of two digits", raw(&[b"HTTP/1.1 20 OK\r\n\r\n", REPLY]), NOT_HTTP),
        ("two lengths", raw(&[lengths, REPLY]), NOT_HTTP),
        ("a negative length", raw(&[b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", REPLY]), NOT_HTTP),
    ])
    .await;
}

/// S-01, S-06, R73.
#[tokio::test]
async fn an_endless_answer_is_cut_at_a_limit() {
    let head = "the answer is larger than 65536 bytes";
    let body = "the answer is larger than 10000 bytes";
    let interim = "not a tracker's reply: expected an answer after at most 5 interim ones";
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: x\r\n".repeat(101));
    let six = format!("{}HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n".repeat(6));
    let enormous = b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551613\r\n\r\n";
    each_is(&[
        ("too many headers", raw(&[many.as_bytes(), REPLY]), NOT_HTTP),
        ("a long head", raw(&[long.as_bytes(), REPLY]), head),
        ("an endless header", Step::Endless("HTTP/1.1 200 OK\r\nX: ", "x"), head),
        ("six interim answers", raw(&[six.as_bytes(), REPLY]), interim),
        ("endless interim answers", Step::Endless("", "HTTP/1.1 102 Processing\r\n\r\n"), interim),
        (
            "endless chunk extensions",
            Step::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", "x"),
            CUT,
        ),
        (
            "endless trailers",
            Step::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n0\r\n", "X: y\r\n"),
            CUT,
        ),
        ("said to be too large", raw(&[b"HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n"]), body),
        ("said to be enormous", raw(&[enormous]), body),
        ("endless", Step::Endless("HTTP/1.1 200 OK\r\n\r\n", "d8:intervali1800e"), body),
        (
            "endless chunks",
            Step::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
            body,
        ),
        ("endless, with a status", Step::Endless("HTTP/1.1 500 x\r\n\r\n", "<html>"), "HTTP status 500"),
    ])
    .await;
}

/// R72, POL-03.
#[tokio::test]
async fn the_status_counts_before_the_body() {
    let gzip = if cfg!(feature = "gzip") { "expected sound gzip" } else { "expected no compression" };
    let gzip = format!("not a tracker's reply: {gzip}");
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nd14:failure reason2:noe";
    each_is(&[
        ("html (R6, Q-07)", ok(b"<html>hello</html>"), NOT_BENCODE),
        ("empty (R6)", ok(b""), NOT_BENCODE),
        ("no content", raw(&[b"HTTP/1.1 204 No Content\r\n\r\n"]), NOT_BENCODE),
        ("sorry", ok(b"sorry"), NOT_BENCODE),
        ("500 with a valid body", answer("500 x", "", REPLY), "HTTP status 500"),
        ("404", answer("404 Not Found", "", b"<html>"), "HTTP status 404"),
        ("101", raw(&[b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", REPLY]), "HTTP status 101"),
        ("304", raw(&[b"HTTP/1.1 304 Not Modified\r\n\r\n"]), "HTTP status 304"),
        ("999", answer("999 x", "", b""), "HTTP status 999"),
        ("500, cut", raw(&[b"HTTP/1.1 500 x\r\nContent-Length: 9\r\n\r\nabc"]), "HTTP status 500"),
        ("a failure (R63)", ok(b"d14:failure reason12:unregisterede"), "rejected: \"unregistered\""),
        ("a failure in a 400 (Q-06)", answer("400 x", "", b"d14:failure reason2:noe"), "rejected: \"no\""),
        ("a failure, cut after it (S-07)", raw(&[cut]), "rejected: \"no\""),
        ("packed twice (S-02)", ok(&packed(&packed(REPLY))), NOT_BENCODE),
        ("packed, cut (S-02)", ok(&packed(REPLY)[..40]), &gzip),
    ])
    .await;
}

/// POL-07, Q-15.
#[tokio::test]
async fn the_time_to_retry_is_read_from_head_and_body() {
    let minutes = Retry::After(Duration::from_secs(120));
    let day = Duration::from_secs(86_400);
    let by_its_own_clock =
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:51:37 GMT\r\n";
    for (status, header, body, expected) in [
        ("410 Gone", "", "", Retry::Never),
        ("410 Gone", "", "d14:failure reason4:gonee", Retry::Never),
        ("404 Not Found", "Retry-After: 120\r\n", "", Retry::Unsaid),
        ("429 Too Many", "Retry-After: 120\r\n", "", minutes),
        ("503 Unavailable", "Retry-After: 120\r\n", "<html>", minutes),
        ("503 Unavailable", "Retry-After: 120\r\n", "d14:failure reason4:busye", minutes),
        ("503 Unavailable", "Retry-After: Sat, 06 Nov 2094 08:49:37 GMT\r\n", "", Retry::After(day)),
        ("503 Unavailable", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "", Retry::Unsaid),
        ("503 Unavailable", by_its_own_clock, "", minutes),
        ("503 Unavailable", "", "", Retry::Unsaid),
        ("503 Unavailable", "Retry-After: soon\r\n", "", Retry::Unsaid),
        ("503 Unavailable", "Retry-After: \u{e4}\r\n", "", Retry::Unsaid),
    ] {
        let error = after(answer(status, header, body.as_bytes()), None).await.unwrap_err();
        assert_eq!(error.retry(), expected, "{status} {header} {body}");
    }
}

/// POL-08, Q-82.
#[tokio::test]
async fn stopped_needs_no_reply() {
    for step in [
        ok(b""),
        ok(b"bye"),
        ok(REPLY),
        raw(&[b"HTTP/1.1 204 No Content\r\n\r\n"]),
        raw(&[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]),
        raw(&[b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nabc"]),
    ] {
        let response = after(step, Some(Event::Stopped)).await.unwrap();
        assert_eq!(response.tracker_address, Some(AT.parse().unwrap()));
    }
    for (step, expected) in [
        (ok(b"d14:failure reason2:noe"), "rejected: \"no\""),
        (answer("500 x", "", b""), "HTTP status 500"),
        (Step::ReadAndClose, "the connection broke: connection closed before message completed"),
        (raw(&[b"bye"]), "not a tracker's reply: expected an HTTP answer at byte 0"),
    ] {
        assert_eq!(after(step, Some(Event::Stopped)).await.unwrap_err().to_string(), expected);
    }
}

/// R7, S-05, Q-14.
#[tokio::test(start_paused = true)]
async fn a_dripping_answer_ends_with_the_callers_limit() {
    let slow = Duration::from_secs(1);
    let patience = Duration::from_secs(15);
    for step in [
        Step::Hang,
        Step::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n".to_vec(), slow),
        Step::Drip([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), REPLY].concat(), slow),
    ] {
        let internet = Internet::default().with("t.test", AT, &[&[step]]);
        let transport = internet.transport(HttpConfig::new());
        let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
        assert!(tokio::time::timeout(patience, channel.announce(&request())).await.is_err());
        internet.all_closed().await;
    }
    let internet = Internet::default().with(
        "t.test",
        AT,
        &[&[Step::Drip(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n".as_slice(), REPLY].concat(),
            Duration::from_millis(100),
        )]],
    );
    let response = announce(&internet.transport(HttpConfig::new()), URL).await.unwrap();
    assert_eq!(response.peers.len(), 1, "a slow tracker is no bad tracker");
}

/// C26, S-10.
#[tokio::test]
async fn a_forbidden_address_is_not_dialled() {
    let mut config = HttpConfig::new();
    config.addresses = crate::AddressPolicy::PUBLIC_ONLY;
    let internet = Internet::default().with("t.test", "127.0.0.1:80", &[&[ok(REPLY)]]);
    let transport = internet.transport(config);
    for url in [
        URL,
        "http://127.1/a",
        "http://2130706433/a",
        "http://0x7f.1/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://127.0.0.1./a",
    ] {
        let error = announce(&transport, url).await.unwrap_err();
        assert_eq!(error.to_string(), "its address is not allowed here", "{url}");
    }
    assert_eq!(internet.dialled(), 0);
}

/// R67.
#[tokio::test]
async fn an_error_of_opening_names_its_cause() {
    let internet = Internet::default().with("t.test", AT, &[]);
    let transport = internet.transport(HttpConfig::new());
    for (url, expected) in [
        ("http://t.test/a", "could not connect: connection refused"),
        ("http://other.test/a", "its name could not be resolved: no address is known"),
        ("udp://t.test:80/a", "no transport supports its scheme"),
        ("wss://t.test/a", "no transport supports its scheme"),
    ] {
        assert_eq!(announce(&transport, url).await.unwrap_err().to_string(), expected, "{url}");
    }
    assert!(transport.supports(crate::Scheme::Http) && !transport.supports(crate::Scheme::Udp));
}

/// POL-21.
#[tokio::test]
async fn peers_are_cut_at_max_peers() {
    let reply =
        b"d8:intervali1800e5:peers18:\x08\x08\x04\x04\0\x01\x08\x08\x04\x04\0\x02\x08\x08\x04\x04\0\x03e";
    let internet = Internet::default().with("t.test", AT, &[&[ok(reply)]]);
    let mut config = HttpConfig::new();
    config.max_peers = 1;
    let response = announce(&internet.transport(config), "http://t.test/a").await.unwrap();
    assert_eq!((response.peers.len(), response.dropped_peers), (1, 2));
}

#[tokio::test]
async fn a_scrape_is_sent_like_an_announce() {
    let files = b"d5:filesd20:\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01d8:completei1eeee";
    let script = [ok(files), answer("404 x", "", b""), Step::Keep];
    let internet = Internet::default().with("t.test", AT, &[&script]);
    let transport = internet.transport(HttpConfig::new());
    let tracker: TrackerUrl = "http://t.test/x/announce?key=a".parse().unwrap();
    let torrents = [InfoHash::new([1; 20])];
    let mut channel = transport.open(&tracker).await.unwrap();
    channel.scrape(&torrents).await.unwrap();
    assert_eq!(channel.scrape(&torrents).await.unwrap_err().to_string(), "HTTP status 404");
    assert_eq!(internet.targets(), ["GET /x/scrape?key=a&", "GET /x/scrape?key=a&"]);
    assert_eq!(internet.dialled(), 1);
    let mut channel = transport.open(&"http://t.test/x".parse().unwrap()).await.unwrap();
    let error = channel.scrape(&torrents).await.unwrap_err();
    assert_eq!(error.to_string(), "it can't be scraped", "an address that has no scrape address (BEP 48)");
}
