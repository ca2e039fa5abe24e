//! What becomes of connections: kept, used again, given up.

use super::*;
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
async fn announces_one_after_the_other_share_a_connection() {
    let (internet, transport) = tracker(&[&[ok(REPLY), ok(REPLY), ok(REPLY)]]);
    for _ in 0..3 {
        announce(&transport, URL).await.unwrap();
    }
    assert_eq!((internet.asked().len(), internet.dialled()), (3, 1));
}

#[tokio::test]
async fn chunked_and_failed_answers_leave_it_usable_too() {
    let chunked =
        raw(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n21\r\n", REPLY, b"\r\n0\r\n\r\n"]);
    let (internet, transport) = tracker(&[&[chunked, answer("500 x", "", b"sorry"), ok(REPLY)]]);
    announce(&transport, URL).await.unwrap();
    announce(&transport, URL).await.unwrap_err();
    announce(&transport, URL).await.unwrap();
    assert_eq!(internet.dialled(), 1);
}

#[tokio::test]
async fn announces_at_the_same_time_do_not_share_and_two_are_kept_s28() {
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

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_once_q13() {
    for closing in [Step::Close, Step::ReadAndClose] {
        // Closed before the second announce, or when it had been sent; the connection after it works.
        let (internet, transport) = tracker(&[&[ok(REPLY), closing.clone()], &[ok(REPLY), Step::Keep]]);
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap();
        assert_eq!(internet.dialled(), 2);

        // The one after it closes as well: that is an answer of its own kind.
        let (internet, transport) = tracker(&[&[ok(REPLY), closing], &[Step::ReadAndClose], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        assert_eq!(announce(&transport, URL).await.unwrap_err().to_string(), BROKEN);
        assert_eq!(internet.dialled(), 2);
    }
}

#[tokio::test]
async fn nothing_else_is_sent_twice_r14() {
    // A new connection that brings nothing.
    let (internet, transport) = tracker(&[&[Step::ReadAndClose], &[ok(REPLY)]]);
    assert_eq!(announce(&transport, URL).await.unwrap_err().to_string(), BROKEN);
    assert_eq!(internet.asked().len(), 1);
    // A kept one that brings half an answer: whoever wrote that has read the announce.
    for half in [b"H".as_slice(), b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nd8"] {
        let (internet, transport) = tracker(&[&[ok(REPLY), raw(&[half])], &[ok(REPLY)]]);
        announce(&transport, URL).await.unwrap();
        announce(&transport, URL).await.unwrap_err();
        assert_eq!(internet.asked().len(), 2);
    }
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_a_connection_s34() {
    // Behind the answer in one go, and some time later.
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
async fn none_is_kept_where_none_shall_be() {
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
async fn the_pool_as_a_whole_is_bounded() {
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

#[tokio::test]
async fn dropping_ends_everything_s31() {
    // The transport: its idle connections.
    let (internet, transport) = tracker(&[&[ok(REPLY), Step::Keep]]);
    announce(&transport, URL).await.unwrap();
    drop(transport);
    internet.all_closed().await;
    // A channel that was never used, as a race leaves many of them.
    let (internet, transport) = tracker(&[&[Step::Keep]]);
    drop(transport.open(&URL.parse().unwrap()).await.unwrap());
    internet.all_closed().await;
    // An announce while it waits, which also leaves nothing behind for the next one.
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
async fn a_channel_opens_anew_for_a_second_announce() {
    let (internet, transport) = tracker(&[&[answer("200 OK", "Connection: close\r\n", REPLY)], &[ok(REPLY)]]);
    let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
    channel.announce(&request()).await.unwrap();
    channel.announce(&request()).await.unwrap();
    assert_eq!(internet.dialled(), 2);
}

/// R103: the policy is told how much of an opening was spent on the name; a kept connection needed none.
#[tokio::test(start_paused = true)]
async fn the_look_up_is_told_from_the_opening() {
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
