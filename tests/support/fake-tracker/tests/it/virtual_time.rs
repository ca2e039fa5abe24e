//! Whatever takes time, over pipes and with a paused clock: exact, and at once.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use fake_tracker::{Asked, Behaviour, Cluster, FakeTracker, Step, SwarmCounts};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{BARE, HASH, HEAD, announce, ask, one, started, to_the_end};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(86_400);

async fn connect(tracker: &FakeTracker) -> DuplexStream {
    tracker.connect_in_memory().await.expect("the tracker accepts")
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused, and its moments are exact")]
fn now() -> Instant {
    Instant::now()
}

/// How long something takes on the paused clock.
async fn time_of(work: impl Future) -> Duration {
    let start = now();
    work.await;
    now() - start
}

#[tokio::test(start_paused = true)]
async fn the_same_script_runs_over_a_pipe() {
    let tracker = FakeTracker::in_memory(Behaviour::ok());
    let mut stream = connect(&tracker).await;
    let (head, body) = ask(&mut stream, &started(1)).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, b"d8:completei0e10:incompletei1e8:intervali1800e5:peers0:e");
    assert_eq!((tracker.connections(), tracker.open_connections()), (1, 1));
    drop(stream);
    tracker.wait_for(|counts| counts.open == 0).await;
}

#[tokio::test(start_paused = true)]
async fn delays_add_up_and_the_log_has_the_time_of_each_request() {
    let tracker = FakeTracker::in_memory(Behaviour::ok_after(SECOND).after(SECOND * 2));
    tracker.set_latency(SECOND * 4);
    let start = now();
    let mut stream = connect(&tracker).await;
    assert_eq!(now() - start, SECOND * 4);
    assert_eq!(time_of(ask(&mut stream, &started(1))).await, SECOND * 7);
    assert_eq!(tracker.announces()[0].at, start + SECOND * 4);
}

#[tokio::test(start_paused = true)]
async fn the_swarm_knows_a_peer_before_its_answer_is_due() {
    let tracker = FakeTracker::in_memory(Behaviour::ok_after(LONG));
    let mut stream = connect(&tracker).await;
    stream.write_all(started(1).as_bytes()).await.unwrap();
    tracker.wait_for_announces(1).await;
    drop(stream);
    assert_eq!(time_of(tracker.wait_for(|counts| counts.open == 0)).await, Duration::ZERO);
    assert_eq!(tracker.peers_of(&HASH).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusing_or_dead_tracker_refuses() {
    let tracker = FakeTracker::in_memory(Behaviour::Refused);
    let attempt = || async { tracker.connect_in_memory().await.map(drop).map_err(|error| error.kind()) };
    assert_eq!(attempt().await, Err(ErrorKind::ConnectionRefused));
    tracker.set_behaviour(Behaviour::ok());
    assert_eq!(attempt().await, Ok(()));
    let mut stream = connect(&tracker).await;
    ask(&mut stream, HEAD).await;
    tracker.kill().await;
    assert_eq!(tracker.open_connections(), 0);
    assert_eq!(to_the_end(&mut stream).await, b"");
    assert_eq!(attempt().await, Err(ErrorKind::ConnectionRefused));
    tracker.revive().await;
    assert_eq!(attempt().await, Ok(()));
    let late = tracker.connect_in_memory();
    drop(tracker);
    assert_eq!(late.await.map(drop).map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_syn_waits_until_the_tracker_is_back() {
    let tracker = FakeTracker::in_memory(Behaviour::SynDropped);
    let mut connecting = std::pin::pin!(tracker.connect_in_memory());
    assert!(timeout(LONG, &mut connecting).await.is_err(), "still connecting");
    assert_eq!(tracker.connections(), 0);
    tracker.set_behaviour(Behaviour::ok());
    ask(&mut connecting.await.unwrap(), HEAD).await;

    let mut stream = connect(&tracker).await;
    tracker.set_behaviour(Behaviour::SynDropped);
    stream.write_all(HEAD.as_bytes()).await.unwrap();
    assert!(timeout(LONG, stream.read_u8()).await.is_err(), "still silent");
}

#[tokio::test(start_paused = true)]
async fn a_silent_tracker_logs_an_announce_and_answers_nothing() {
    let tracker = FakeTracker::in_memory(Behaviour::ok().when(Asked::Announce, Behaviour::Silent));
    let mut stream = connect(&tracker).await;
    ask(&mut stream, HEAD).await;
    ask(&mut stream, BARE).await;
    stream.write_all(started(1).as_bytes()).await.unwrap();
    assert!(timeout(LONG, stream.read_u8()).await.is_err(), "still silent");
    assert_eq!(tracker.announces().len(), 1);
    assert!(tracker.peers_of(&HASH).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dripping_head_is_valid_and_takes_a_while_for_each_byte() {
    let tracker = FakeTracker::in_memory(Behaviour::HeadDrip(SECOND));
    let mut stream = connect(&tracker).await;
    let start = now();
    stream.write_all(started(1).as_bytes()).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    assert_eq!(now() - start, Duration::ZERO);
    assert_eq!(stream.read_u8().await.unwrap(), b'T');
    assert_eq!(now() - start, SECOND);
    let (head, body) = one(&mut stream, false).await;
    assert_eq!(now() - start, SECOND * u32::try_from(head.len() + 1).unwrap());
    assert!(head.starts_with("TP/1.1 200 OK\r\n") && body.starts_with(b"d8:complete"));
    // The connection is as good as any other.
    ask(&mut stream, HEAD).await;
}

#[tokio::test(start_paused = true)]
async fn a_stalling_body_stalls_after_so_many_bytes() {
    let tracker = FakeTracker::in_memory(Behaviour::BodyStall(10));
    let mut stream = connect(&tracker).await;
    ask(&mut stream, HEAD).await;
    stream.write_all(started(1).as_bytes()).await.unwrap();
    let mut sent = Vec::new();
    assert!(timeout(LONG, stream.read_to_end(&mut sent)).await.is_err(), "still waiting");
    let sent = String::from_utf8(sent).unwrap();
    assert!(sent.contains("Content-Length: 56\r\n") && sent.ends_with("\r\n\r\nd8:complet"), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn raw_steps_are_done_one_by_one() {
    let steps = vec![
        Step::Send(b"one".to_vec()),
        Step::Wait(SECOND),
        Step::Drip(b"two".to_vec(), SECOND),
        Step::Close,
        Step::Send(b"never".to_vec()),
    ];
    let tracker = FakeTracker::in_memory(Behaviour::Raw(steps));
    let mut stream = connect(&tracker).await;
    stream.write_all(BARE.as_bytes()).await.unwrap();
    let start = now();
    assert_eq!(to_the_end(&mut stream).await, b"onetwo");
    assert_eq!(now() - start, SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn any_stream_can_be_served() {
    let tracker = FakeTracker::in_memory(Behaviour::opentracker());
    let (mut client, server) = tokio::io::duplex(4);
    let from = SocketAddr::from(([10, 0, 0, 1], 5));
    let answer = async {
        client.write_all(started(1).as_bytes()).await.unwrap();
        to_the_end(&mut client).await
    };
    let (answer, ()) = tokio::join!(answer, tracker.serve_stream(server, from));
    assert!(answer.starts_with(b"HTTP/1.0 200 OK\r\n"));
    assert_eq!(tracker.heard()[0].from, from);
    assert_eq!(tracker.peers_of(&HASH)[0].address, SocketAddr::from(([10, 0, 0, 1], 7001)));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_gossips_with_delay() {
    let cluster = Cluster::in_memory(3, SECOND, Behaviour::ok());
    let [mut first, mut second] = [connect(&cluster[0]).await, connect(&cluster[1]).await];
    ask(&mut first, &started(1)).await;
    let known = || [0, 1, 2].map(|number| cluster[number].peers_of(&HASH).len());
    assert_eq!(known(), [1, 0, 0]);
    sleep(SECOND / 2).await;
    ask(&mut second, &started(2)).await;
    assert_eq!(known(), [1, 1, 0]);
    sleep(SECOND / 2).await;
    assert_eq!(known(), [1, 2, 1]);
    sleep(SECOND / 2).await;
    assert_eq!(known(), [2, 2, 2]);
    let sequence: Vec<_> = cluster.announces().iter().map(|heard| heard.tracker).collect();
    assert_eq!(sequence, [cluster[0].address(), cluster[1].address()]);
}

#[tokio::test(start_paused = true)]
async fn gossip_that_is_overtaken_changes_nothing() {
    let cluster = Cluster::in_memory(2, SECOND, Behaviour::ok());
    let [mut first, mut second] = [connect(&cluster[0]).await, connect(&cluster[1]).await];
    ask(&mut first, &started(1)).await;
    // The second knows nothing of the peer yet, and is sent its end.
    ask(&mut second, &announce(1, "&port=7001&left=9&event=stopped")).await;
    sleep(SECOND).await;
    for number in [0, 1] {
        assert!(cluster[number].peers_of(&HASH).is_empty(), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn completing_is_counted_once_everywhere() {
    let cluster = Cluster::in_memory(2, SECOND, Behaviour::ok());
    let mut stream = connect(&cluster[0]).await;
    ask(&mut stream, &started(1)).await;
    for _ in 0..2 {
        ask(&mut stream, &announce(1, "&port=7001&left=0&event=completed")).await;
    }
    // One that had everything from the start has downloaded nothing.
    ask(&mut stream, &announce(2, "&port=7002&left=0&event=started")).await;
    sleep(SECOND).await;
    for number in [0, 1] {
        let counts = SwarmCounts { complete: 2, incomplete: 0, downloaded: 1 };
        assert_eq!(cluster[number].counts_of(&HASH), counts, "{number}");
    }
}
