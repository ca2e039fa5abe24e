//! Exchanges of packets: what is sent, what torrents share, and what counts as an answer.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::announce::Event;
use crate::tracker::Scheme;

const AT: &str = "8.1.1.1:6969";
const URL: &str = "udp://t.test:6969/announce";

fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// C27, C31.
#[tokio::test(start_paused = true)]
async fn an_announce_is_a_connect_and_a_request() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    let mut channel = transport.open(&url("udp://t.test:6969/dir?a=b&c=d")).await.unwrap();
    let mut request = request();
    request.event = Some(Event::Started);
    let response = channel.announce(&request).await.unwrap();
    assert_eq!(response.interval, Some(Duration::from_secs(1800)));
    assert_eq!((response.complete, response.incomplete), (Some(2), Some(1)));
    assert_eq!(peers(&response), ["8.8.4.4:6881"]);
    assert_eq!(response.tracker_address, Some(AT.parse().unwrap()));
    assert_eq!(heard(&tracker), "ca");
    let packets = tracker.heard();
    assert_eq!(packets[0].bytes.len(), 16, "R41-04: no options there");
    assert_eq!(packets[1].info_hash(), Some(*HASH.as_bytes()));
    assert_eq!((packets[1].event(), packets[1].left()), (Some(2), Some(1000)));
    assert_eq!((packets[1].num_want(), packets[1].port()), (Some(-1), Some(6881)));
    assert_eq!(packets[1].url_data(), b"/dir?a=b&c=d");
    assert_ne!(packets[0].transaction(), packets[1].transaction());
}

/// R15-02, S-14: from a secure source, neither counted nor seeded, and a new one for each packet.
#[tokio::test(start_paused = true)]
async fn transaction_ids_are_random() {
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let internet = Internet::new();
        let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
        let transport = internet.transport(UdpConfig::new());
        for _ in 0..4 {
            announce(&transport, URL).await.unwrap();
        }
        numbers.extend(tracker.heard().iter().map(|packet| packet.transaction().unwrap()));
    }
    assert_eq!(numbers.len(), 10, "a connect and four announces, twice");
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 10, "{numbers:x?}");
    let steps: BTreeSet<u32> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.len() > 5, "they are counted: {numbers:x?}");
}

/// C33.
#[tokio::test(start_paused = true)]
async fn an_announce_costs_two_round_trips_and_the_next_one_costs_one() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    let (first, took) = timed(announce(&transport, URL)).await;
    assert!(first.is_ok() && took == 4 * WAY, "{took:?}");
    let (second, took) = timed(announce(&transport, URL)).await;
    assert!(second.is_ok() && took == 2 * WAY, "{took:?}");
    assert_eq!((heard(&tracker).as_str(), internet.sockets().opened), ("caa", 1));
}

/// R71.
#[tokio::test(start_paused = true)]
async fn a_connection_id_belongs_to_an_address_and_port() {
    let internet = Internet::new();
    let one = internet.host("t.test", AT, UdpBehaviour::Ok);
    let other = internet.host("t.test", "8.1.1.1:7070", UdpBehaviour::Ok);
    internet.name("alias.test", AT.parse().unwrap());
    let transport = internet.transport(UdpConfig::new());
    for tracker in
        [URL, "udp://t.test:6969/other", "udp://alias.test:6969", "udp://t.test:7070", "udp://8.1.1.1:6969"]
    {
        announce(&transport, tracker).await.unwrap();
    }
    assert_eq!((heard(&one).as_str(), heard(&other).as_str()), ("caaaa", "ca"));
    assert_eq!(internet.sockets().opened, 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_minute_the_socket_is_closed_and_the_connection_id_forgotten() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    announce(&transport, URL).await.unwrap();
    sleep(Duration::from_secs(59)).await;
    announce(&transport, URL).await.unwrap();
    assert_eq!(heard(&tracker), "caa");
    sleep(Duration::from_secs(61)).await;
    assert_eq!(internet.sockets(), Sockets { opened: 1, open: 0 });
    announce(&transport, URL).await.unwrap();
    assert_eq!((heard(&tracker).as_str(), internet.sockets().opened), ("caaca", 2));
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_kept_for_long_still_works() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    let mut channel = transport.open(&url(URL)).await.unwrap();
    drop(transport);
    sleep(Duration::from_secs(3600)).await;
    assert!(channel.announce(&request()).await.is_ok());
    assert!(channel.announce(&request()).await.is_ok());
    assert_eq!(heard(&tracker), "ccaa");
    drop(channel);
    tokio::task::yield_now().await;
    assert_eq!(internet.sockets().open, 0, "S-31: nothing outlives transport and channels");
}

///
#[tokio::test(start_paused = true)]
async fn a_tracker_that_was_restarted_gets_a_fresh_connect() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    announce(&transport, URL).await.unwrap();
    tracker.forget_connections();
    let (response, took) = timed(announce(&transport, URL)).await;
    assert!(response.is_ok() && took == 6 * WAY, "{took:?}");
    assert_eq!(heard(&tracker), "caaca");
}

///
#[tokio::test(start_paused = true)]
async fn a_tracker_that_accepts_no_connection_id_is_asked_twice() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::AlwaysStale);
    let error = announce(&internet.transport(UdpConfig::new()), URL).await.unwrap_err();
    assert_eq!(error.to_string(), "rejected: \"Connection ID missmatch.\"");
    assert_eq!(heard(&tracker), "caca");
}

/// C30.
#[tokio::test(start_paused = true)]
async fn silence_ends_either_phase() {
    let internet = Internet::new();
    let silent = internet.host("t.test", AT, UdpBehaviour::Silent);
    let mute = internet.host("mute.test", "8.1.1.2:1", UdpBehaviour::ConnectsOnly);
    let transport = internet.transport(UdpConfig::new());
    let (error, took) = timed(announce(&transport, URL)).await;
    assert_eq!(error.unwrap_err().to_string(), "timed out while connecting");
    assert_eq!((took, heard(&silent).as_str()), (Duration::from_secs(10), "ccc"));
    let (error, took) = timed(announce(&transport, "udp://mute.test:1")).await;
    assert_eq!(error.unwrap_err().to_string(), "timed out waiting for the reply");
    assert_eq!((took, heard(&mute).as_str()), (Duration::from_secs(10) + 2 * WAY, "caaa"));
    assert_eq!(internet.sockets().open, 0, "from where nothing comes, a new socket is a new chance");
    announce(&transport, URL).await.unwrap_err();
    let numbers: BTreeSet<_> = silent.heard().iter().map(fake_tracker::UdpHeard::transaction).collect();
    assert_eq!(numbers.len(), 6, "R15-02: each packet has its own number");
}

/// C30.
#[tokio::test(start_paused = true)]
async fn the_times_of_packets_are_a_setting() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Silent);
    let mut config = UdpConfig::new();
    config.times.sends = vec![Duration::ZERO, milliseconds(150)];
    config.times.limit = milliseconds(450);
    let (result, took) = timed(announce(&internet.transport(config), URL)).await;
    assert!(matches!(result, Err(AnnounceError::TimedOut(_))));
    assert_eq!((took, heard(&tracker).as_str()), (milliseconds(450), "cc"));
}

/// C34, R70.
#[tokio::test(start_paused = true)]
async fn lost_datagrams_are_repeated_after_a_second() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::LosesFirst(1));
    let (response, took) = timed(announce(&internet.transport(UdpConfig::new()), URL)).await;
    assert!(response.is_ok());
    assert_eq!((took, heard(&tracker).as_str()), (Duration::from_secs(2) + 4 * WAY, "ccaa"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_counts_whichever_packet_it_is_for() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    tracker.set_delay(Duration::from_secs(8));
    let (response, took) = timed(announce(&internet.transport(UdpConfig::new()), URL)).await;
    assert!(response.is_ok());
    assert_eq!(took, Duration::from_secs(16) + 4 * WAY, "by the answer to the first packet of each phase");
}

#[tokio::test(start_paused = true)]
async fn a_closed_port_fails_in_one_round_trip() {
    let internet = Internet::new();
    internet.name("t.test", AT.parse().unwrap());
    let transport = internet.transport(UdpConfig::new());
    // Windows calls it a reset.
    for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset] {
        internet.refuses_with(kind);
        let (error, took) = timed(open_error(&transport, URL)).await;
        assert!(matches!(error, AnnounceError::Connect(_)), "{error}");
        assert_eq!(took, 2 * WAY);
    }
}

/// C29, R68, S-15.
#[tokio::test(start_paused = true)]
async fn foreign_answers_are_ignored_and_the_right_one_is_awaited() {
    let internet = Internet::new();
    internet.host("t.test", AT, UdpBehaviour::WrongThenRight);
    internet.host("wrong.test", "8.1.1.2:1", UdpBehaviour::WrongTransaction);
    internet.host("elsewhere.test", "8.1.1.3:1", UdpBehaviour::FromAnotherPort);
    let transport = internet.transport(UdpConfig::new());
    let (response, took) = timed(announce(&transport, URL)).await;
    assert!(response.is_ok() && took == 4 * WAY, "{took:?}");
    for tracker in ["udp://wrong.test:1", "udp://elsewhere.test:1"] {
        assert!(matches!(open_error(&transport, tracker).await, AnnounceError::TimedOut(_)), "{tracker}");
    }
}

/// C28.
#[tokio::test(start_paused = true)]
async fn an_error_ends_the_attempt_with_its_text() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Error("no such \x1b[1mtorrent".into()));
    internet.host("no.test", "8.1.1.2:1", UdpBehaviour::RefusesConnects("go away".into()));
    let transport = internet.transport(UdpConfig::new());
    let error = announce(&transport, URL).await.unwrap_err();
    assert_eq!(error.to_string(), "rejected: \"no such \u{fffd}[1mtorrent\"");
    assert_eq!(heard(&tracker), "ca");
    assert_eq!(open_error(&transport, "udp://no.test:1").await.to_string(), "rejected: \"go away\"");
}

///
#[tokio::test(start_paused = true)]
async fn at_most_sixteen_announces_are_outstanding() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    let mut announces = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let transport = transport.clone();
        announces.spawn(async move { announce(&transport, URL).await.map(drop) });
    }
    let after = |round_trips: u32| (2 * round_trips - 1) * WAY + milliseconds(1);
    let start = now();
    for (round_trips, expected) in [(1, 1), (2, 1 + 16), (3, 1 + 32), (4, 1 + 40)] {
        tokio::time::sleep_until(start + after(round_trips)).await;
        assert_eq!(tracker.heard().len(), expected, "after {round_trips} round trips");
    }
    let results = announces.join_all().await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!((tracker.heard_of(UdpAsked::Connect).len(), internet.sockets().opened), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn given_up_announces_make_room_and_leave_nothing() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::ConnectsOnly);
    let transport = internet.transport(UdpConfig::new());
    let mut given_up = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let transport = transport.clone();
        given_up.spawn(async move { announce(&transport, URL).await.map(drop) });
    }
    sleep(milliseconds(500)).await;
    tracker.set_behaviour(UdpBehaviour::Ok);
    let waiting = tokio::spawn(async move { announce(&transport, URL).await.map(drop) });
    sleep(milliseconds(100)).await;
    assert_eq!(tracker.heard_of(UdpAsked::Announce).len(), 16, "there is no room");
    given_up.shutdown().await;
    let (result, took) = timed(waiting).await;
    assert!(result.unwrap().is_ok() && took == 2 * WAY, "{took:?}");
}

/// C32, R15-12.
#[tokio::test(start_paused = true)]
async fn scrapes_go_in_batches_of_74() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let transport = internet.transport(UdpConfig::new());
    let mut channel = transport.open(&url(URL)).await.unwrap();
    let torrents: Vec<_> = (0..100).map(|byte| InfoHash::new([byte; 20])).collect();
    let response = channel.scrape(&torrents).await.unwrap();
    let sizes: Vec<_> =
        tracker.heard_of(UdpAsked::Scrape).iter().map(|packet| packet.scraped().len()).collect();
    assert_eq!((sizes, response.files.len()), (vec![74, 26], 100));
    let counts = response.files[&torrents[74 + 3]];
    assert_eq!((counts.complete, counts.downloaded, counts.incomplete), (Some(3), Some(103), Some(203)));
    assert!(channel.scrape(&[]).await.unwrap().files.is_empty());
    assert_eq!(tracker.heard_of(UdpAsked::Scrape).len(), 2, "none at all would mean everything");
    tracker.set_behaviour(UdpBehaviour::Error("no".into()));
    assert!(matches!(channel.scrape(&torrents).await, Err(AnnounceError::Rejected(_))));
}

/// S-18.
#[tokio::test(start_paused = true)]
async fn peers_are_bounded() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    tracker.set_peers(["8.8.8.8:1", "8.8.8.9:1", "8.8.8.10:1"].map(|peer| peer.parse().unwrap()));
    let mut config = UdpConfig::new();
    config.max_peers = 2;
    let response = announce(&internet.transport(config), URL).await.unwrap();
    assert_eq!((peers(&response), response.dropped_peers), (vec!["8.8.8.8:1".into(), "8.8.8.9:1".into()], 1));
}

#[tokio::test(start_paused = true)]
async fn other_schemes_are_not_spoken() {
    let transport = Internet::new().transport(UdpConfig::new());
    assert!(transport.supports(Scheme::Udp) && !transport.supports(Scheme::Http));
    assert!(matches!(open_error(&transport, "http://t.test/a").await, AnnounceError::Unsupported));
}

/// POL-20.
#[tokio::test(start_paused = true)]
async fn no_secret_is_shown() {
    let internet = Internet::new();
    internet.host("t.test", AT, UdpBehaviour::Silent);
    let transport = internet.transport(UdpConfig::new());
    let error = open_error(&transport, "udp://user:hidden@t.test:6969/hidden?key=hidden").await;
    let shown = format!("{error} {error:?} {transport:?}");
    assert!(!shown.contains("hidden"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_given_up_opening_sends_nothing_more() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Silent);
    let transport = internet.transport(UdpConfig::new());
    assert!(tokio::time::timeout(milliseconds(500), transport.open(&url(URL))).await.is_err());
    sleep(Duration::from_secs(20)).await;
    assert_eq!(heard(&tracker), "c");
}

/// Its sockets report the refusal of an earlier datagram when the next one is sent, as the kernel may.
struct Grumbling(Internet);

struct GrumblingSocket(Box<dyn DatagramSocket>, std::sync::atomic::AtomicUsize);

impl DatagramConnector for Grumbling {
    fn connect(&self, remote: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        Ok(Box::new(GrumblingSocket(self.0.connect(remote)?, std::sync::atomic::AtomicUsize::new(0))))
    }
}

#[async_trait]
impl DatagramSocket for GrumblingSocket {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        if self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(2) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.0.send(datagram).await
    }

    async fn receive(&self) -> io::Result<Vec<u8>> {
        self.0.receive().await
    }
}

#[tokio::test(start_paused = true)]
async fn the_refusal_of_an_earlier_datagram_keeps_none_from_being_sent() {
    let internet = Internet::new();
    let tracker = internet.host("t.test", AT, UdpBehaviour::Ok);
    let connector = Arc::new(Grumbling(internet.clone()));
    let transport =
        UdpTransport::with_connector(UdpConfig::new(), Arc::new(StaticResolver::new()), connector);
    assert!(announce(&transport, &format!("udp://{AT}")).await.is_ok());
    assert_eq!(heard(&tracker), "ca");
}

/// A socket with the answer to an announce after five seconds, which is reported a few turns later than timers of the same
/// moment fire.
struct Unseen {
    arrived: mpsc::UnboundedSender<Vec<u8>>,
    datagrams: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
}

struct Unseeing;

#[async_trait]
impl DatagramSocket for Unseen {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let (action, transaction) = (datagram[8..12].to_vec(), datagram[12..16].to_vec());
        let announces = action == [0, 0, 0, 1];
        let rest: &[u8] = if announces { &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 1] } else { &[7; 8] };
        let answer = [&action, &transaction, rest].concat();
        let arrived = self.arrived.clone();
        tokio::spawn(async move {
            if announces {
                sleep(Duration::from_secs(5)).await;
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }
            let _ = arrived.send(answer);
        });
        Ok(())
    }

    async fn receive(&self) -> io::Result<Vec<u8>> {
        Ok(self.datagrams.lock().await.recv().await.unwrap())
    }
}

impl DatagramConnector for Unseeing {
    fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        let (arrived, datagrams) = mpsc::unbounded_channel();
        Ok(Box::new(Unseen { arrived, datagrams: tokio::sync::Mutex::new(datagrams) }))
    }
}

/// R100: when a process is continued after a stop, its timers fire before its sockets are read.
#[tokio::test(start_paused = true)]
async fn what_arrived_while_nothing_ran_is_read_before_the_limit_counts() {
    let transport =
        UdpTransport::with_connector(UdpConfig::new(), Arc::new(StaticResolver::new()), Arc::new(Unseeing));
    let mut channel = transport.open(&url("udp://8.1.1.1:6969/announce")).await.unwrap();
    let answer = tokio::spawn(async move { channel.announce(&request()).await });
    sleep(Duration::from_millis(500)).await;
    tokio::time::advance(Duration::from_secs(42)).await;
    assert_eq!(answer.await.unwrap().unwrap().interval, Some(Duration::from_secs(1800)));
}
