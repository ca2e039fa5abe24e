//! Probes: what is measured, what counts as an answer, and the connection that is left for the announce.

use super::*;
use crate::error::AnnounceError;
use crate::net::http::HttpProber;
use crate::prober::{Measurement, Prober};

const AT: &str = "8.1.1.1:80";
const URL: &str = "http://user:pass@t.test/announce?passkey=own";
const MS: Duration = Duration::from_millis(1);

async fn probe(internet: &Internet) -> (Result<Measurement, AnnounceError>, HttpTransport) {
    let transport = internet.transport(HttpConfig::new());
    let measured = HttpProber::new(&transport).probe(&URL.parse().unwrap()).await;
    (measured, transport)
}

fn tracker(connections: &[&[Step]]) -> Internet {
    Internet::default().with("t.test", AT, connections).latency(MS * 20)
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_a_head_request_without_the_torrent() {
    let internet = tracker(&[&[answer("200 OK", "", b""), Step::Keep]]);
    let (measured, _) = probe(&internet).await;
    assert_eq!(measured.unwrap(), Measurement { connect: MS * 20, first_byte: MS * 40 });
    assert_eq!(internet.targets(), ["HEAD /announce?passkey=own"]);
    let head = &internet.asked()[0];
    assert!(head.contains("Host: t.test\r\n") && head.contains("Authorization: Basic"), "{head}");
    assert!(!head.contains("info_hash") && !head.contains("peer_id"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn any_status_answers_a_probe_and_redirects_are_not_followed() {
    for status in ["200 OK", "204 No Content", "302 Found", "400 Bad", "405 Not Allowed", "500 x", "501 x"] {
        let internet = tracker(&[&[answer(status, "Location: http://o.test/\r\n", b"")]]);
        let (measured, _) = probe(&internet).await;
        assert_eq!(measured.unwrap().first_byte, MS * 40, "{status}");
        assert_eq!(internet.asked().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn get_follows_where_head_brought_no_answer() {
    for head in [
        Step::ReadAndClose,
        Step::Close,
        raw(&[b"nonsense"]),
        raw(&[REPLY]),
        Step::Endless("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
    ] {
        let closes = matches!(head, Step::Close);
        let internet = tracker(&[&[head], &[raw(&[b"HTTP/1.0 400 Bad\r\n\r\nbad"])]]);
        let (measured, _) = probe(&internet).await;
        assert_eq!(measured.unwrap(), Measurement { connect: MS * 20, first_byte: MS * 40 });
        let targets = ["HEAD /announce?passkey=own", "GET /announce?passkey=own"];
        assert_eq!(internet.targets(), targets[usize::from(closes)..]);
        assert_eq!(internet.dialled(), 2, "a connection that was closed is opened again");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_head_leaves_time_for_get() {
    let internet = tracker(&[&[Step::Hang], &[answer("200 OK", "", REPLY)]]);
    let before = clock::now();
    let (measured, _) = probe(&internet).await;
    assert_eq!(measured.unwrap().first_byte, MS * 40, "what head cost is in no figure");
    // 20 ms to connect, half of the 2980 ms that are left, and the second connection with its answer.
    assert_eq!(before.elapsed(), MS * (20 + 1490 + 20 + 40));
}

#[tokio::test(start_paused = true)]
async fn a_whole_probe_takes_at_most_three_seconds() {
    for (connections, latency) in [
        (&[[Step::Hang].as_slice(), &[Step::Hang]].as_slice(), MS * 20),
        (&[[answer("200 OK", "", b"")].as_slice()].as_slice(), MS * 3000),
        (
            &[
                [Step::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), MS * 500)].as_slice(),
                &[Step::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), MS * 500)],
            ]
            .as_slice(),
            MS,
        ),
    ] {
        let internet = Internet::default().with("t.test", AT, connections).latency(latency);
        let before = clock::now();
        let (measured, _) = probe(&internet).await;
        assert_eq!(measured.unwrap_err().to_string(), "timed out while being probed");
        assert_eq!(before.elapsed(), HttpProber::PATIENCE);
        internet.all_closed().await;
    }
    let internet = tracker(&[&[Step::Hang], &[Step::Hang]]);
    let transport = internet.transport(HttpConfig::new());
    let before = clock::now();
    let prober = HttpProber::new(&transport).patience(MS * 500);
    prober.probe(&URL.parse().unwrap()).await.unwrap_err();
    assert_eq!(before.elapsed(), MS * 500);
}

#[tokio::test(start_paused = true)]
async fn a_slow_look_up_counts_against_the_patience_and_in_no_figure() {
    struct Slow(Duration);

    #[async_trait]
    impl crate::net::resolver::Resolver for Slow {
        async fn resolve(&self, _: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
            tokio::time::sleep(self.0).await;
            Ok(vec![([8, 1, 1, 1], port).into()])
        }
    }

    for (takes, alive) in [(MS * 1000, true), (MS * 4000, false)] {
        let internet = tracker(&[&[answer("200 OK", "", b"")]]);
        let transport =
            HttpTransport::with_connector(HttpConfig::new(), Arc::new(Slow(takes)), Arc::new(internet));
        let measured = HttpProber::new(&transport).probe(&URL.parse().unwrap()).await;
        assert_eq!(measured.ok().map(Measurement::latency), alive.then_some(MS * 60));
    }
}

/// G1.
#[tokio::test(start_paused = true)]
async fn the_announce_uses_the_connection_of_the_probe() {
    for probed in [
        answer("200 OK", "", b""),
        raw(&[b"HTTP/1.1 405 No\r\nContent-Length: 166\r\n\r\n"]),
        raw(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
    ] {
        let internet = tracker(&[&[probed, ok(REPLY)]]);
        let (measured, transport) = probe(&internet).await;
        measured.unwrap();
        let before = clock::now();
        announce(&transport, URL).await.unwrap();
        assert_eq!(before.elapsed(), MS * 40, "one round trip");
        assert_eq!(internet.dialled(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tracker_that_answers_head_with_a_body_gets_another_connection_for_the_announce() {
    let internet = tracker(&[&[ok(b"<html>"), Step::Keep], &[ok(REPLY)]]);
    let (measured, transport) = probe(&internet).await;
    measured.unwrap();
    announce(&transport, URL).await.unwrap();
    assert_eq!(internet.dialled(), 2);
}

/// R110: a body after the answer to `HEAD` isn't read as the answer to the announce, whenever it comes.
#[tokio::test(start_paused = true)]
async fn a_body_that_follows_head_later_costs_a_connection_and_no_announce() {
    let bodies: [&[u8]; 6] =
        [REPLY, b"<html>", b"21\r\nd8:", b"H", b"HTTP/1.1 is spoken here", b"HTTP trackers only\r\n"];
    for body in bodies {
        for after in 0..50 {
            let shown = format!("{} after {after} ms", body.escape_ascii());
            let head = raw(&[b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n"]);
            let late = Step::Late(body, MS * after);
            let internet = tracker(&[&[head, late, ok(REPLY), Step::Keep], &[ok(REPLY)]]);
            let (measured, transport) = probe(&internet).await;
            measured.unwrap();
            let response = announce(&transport, URL).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(response.peers.len(), 1, "{shown}");
            assert_eq!(internet.dialled(), 2, "{shown}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_get_is_not_downloaded() {
    let internet = tracker(&[&[Step::ReadAndClose], &[Step::Endless("HTTP/1.1 200 OK\r\n\r\n", "<html>")]]);
    let (measured, _) = probe(&internet).await;
    assert_eq!(measured.unwrap().first_byte, MS * 40);
    internet.all_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_measures_the_first_byte_of_the_answer() {
    let head = Step::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), MS * 10);
    let (measured, _) = probe(&tracker(&[&[head]])).await;
    assert_eq!(measured.unwrap().first_byte, MS * 40);
}

#[tokio::test(start_paused = true)]
async fn a_dead_tracker_fails_at_once_with_its_reason() {
    let internet = tracker(&[]);
    let transport = internet.transport(HttpConfig::new());
    let prober = HttpProber::new(&transport);
    let before = clock::now();
    for (url, expected) in [
        (URL, "could not connect: connection refused"),
        ("http://other.test/", "its name could not be resolved: no address is known"),
        ("udp://t.test:80", "it isn't measured"),
    ] {
        assert_eq!(prober.probe(&url.parse().unwrap()).await.unwrap_err().to_string(), expected);
    }
    assert_eq!(before.elapsed(), MS * 20);
    let (measured, _) = probe(&tracker(&[&[Step::ReadAndClose], &[Step::ReadAndClose]])).await;
    let expected = "the connection broke: connection closed before message completed";
    assert_eq!(measured.unwrap_err().to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_probe_opens_its_own_connection() {
    let internet = tracker(&[&[ok(REPLY), Step::Keep], &[answer("200 OK", "", b""), Step::Keep]]);
    let transport = internet.transport(HttpConfig::new());
    announce(&transport, URL).await.unwrap();
    let measured = HttpProber::new(&transport).probe(&URL.parse().unwrap()).await.unwrap();
    assert_eq!((measured.connect, internet.dialled()), (MS * 20, 2));
}
