//! Real sockets on loopback, for what scripted connections can't show.

use std::time::Duration;

use fake_tracker::{Behaviour, FakeTracker};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::net::http::{HttpProber, TcpConnector};
use crate::net::resolver::SystemResolver;
use crate::prober::Prober;

async fn serve(listener: TcpListener) -> SocketAddr {
    let (mut stream, client) = listener.accept().await.unwrap();
    read_head(&mut stream).await.unwrap();
    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
    stream.write_all(REPLY).await.unwrap();
    client
}

#[tokio::test]
async fn an_announce_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(serve(listener));
    let mut config = HttpConfig::new();
    config = config.local_address("127.0.0.1".parse().unwrap());
    let transport = HttpTransport::new(config, Arc::new(SystemResolver::new()));
    let response = announce(&transport, &format!("http://localhost:{}/a", address.port())).await.unwrap();
    assert_eq!((response.tracker_address, response.peers.len()), (Some(address), 1));
    assert!(served.await.unwrap().ip().is_loopback());
}

/// With a new connection and with a kept one.
#[tokio::test]
async fn a_channel_has_the_address_of_its_tracker_unless_a_connector_may_be_a_proxy() {
    let tracker = FakeTracker::start(Behaviour::ok()).await;
    let resolver = StaticResolver::new().with("t.test", [tracker.address().ip()]);
    let transport = HttpTransport::new(HttpConfig::new(), Arc::new(resolver));
    let url = format!("http://t.test:{}/a", tracker.address().port());
    for connection in ["new", "kept"] {
        let mut channel = transport.open(&url.parse().unwrap()).await.unwrap();
        assert_eq!(channel.address(), Some(tracker.address()), "{connection}");
        channel.announce(&request()).await.unwrap();
    }
    assert_eq!(tracker.counts().connections, 1);

    let scripted = Internet::default().with("t.test", "8.1.1.1:80", &[&[ok(REPLY)]]);
    let channel = scripted.transport(HttpConfig::new()).open(&"http://t.test/a".parse().unwrap()).await;
    assert_eq!(channel.unwrap().address(), None);
}

/// R8, R75.
#[tokio::test]
async fn all_addresses_of_a_name_are_one_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(serve(listener));
    // The port is closed at the first address, or the machine doesn't have that address.
    let resolver = StaticResolver::new().with("t.test", ["::1".parse().unwrap(), address.ip()]);
    let transport = HttpTransport::new(HttpConfig::new(), Arc::new(resolver));
    let response = announce(&transport, &format!("http://t.test:{}/a", address.port())).await.unwrap();
    assert_eq!(response.tracker_address, Some(address));
    served.await.unwrap();
}

/// Q-13, R14.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracker_that_closes_after_every_answer_gets_each_announce_once() {
    const ROUNDS: usize = 50;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut served = 0;
        while served < ROUNDS {
            let (mut stream, _) = listener.accept().await.unwrap();
            if read_head(&mut stream).await.is_some() {
                served += 1;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n").await.unwrap();
                stream.write_all(REPLY).await.unwrap();
            }
        }
    });
    let transport = HttpTransport::new(HttpConfig::new(), Arc::new(SystemResolver::new()));
    for round in 0..ROUNDS {
        announce(&transport, &format!("http://{address}/a"))
            .await
            .unwrap_or_else(|error| panic!("{round}: {error}"));
    }
    served.await.unwrap();
}

/// R110: over real sockets the body may arrive before, during and after the sending of the announce.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracker_that_answers_head_as_it_answers_get_is_announced_to() {
    const ROUNDS: u64 = 60;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        for connection in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                while read_head(&mut stream).await.is_some() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n").await?;
                    tokio::time::sleep(Duration::from_micros(connection % 10 * 100)).await;
                    stream.write_all(REPLY).await?;
                }
                io::Result::Ok(())
            });
        }
    });
    for round in 0..ROUNDS {
        let transport = HttpTransport::new(HttpConfig::new(), Arc::new(SystemResolver::new()));
        let url = format!("http://{address}/a");
        HttpProber::new(&transport).probe(&url.parse().unwrap()).await.unwrap();
        let response = announce(&transport, &url).await.unwrap_or_else(|error| panic!("{round}: {error}"));
        assert_eq!(response.peers.len(), 1, "{round}");
    }
    served.abort();
}

#[tokio::test]
async fn a_refused_connection_is_an_error_that_says_so() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let transport = HttpTransport::new(HttpConfig::new(), Arc::new(SystemResolver::new()));
    let error = announce(&transport, &format!("http://{address}/s3cret")).await.unwrap_err();
    let AnnounceError::Connect(cause) = &error else { panic!("{error}") };
    assert!(cause.to_string().to_lowercase().contains("refused"), "{cause}");
    let error = announce(&transport, "http://no-such-host.invalid/a").await.unwrap_err();
    assert!(matches!(error, AnnounceError::Resolve(_)), "{error}");
}

/// R111: the limit is that of a private torrent's opening.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_silent_address_in_front_leaves_time_for_the_living_one() {
    let dead = FakeTracker::start(Behaviour::SynDropped).await;
    let listener = TcpListener::bind(("127.0.0.2", dead.address().port())).await.unwrap();
    let alive = listener.local_addr().unwrap();
    let (connector, addresses) = (TcpConnector::new(), [dead.address(), alive]);
    let connected = timeout(Duration::from_secs(4), connector.connect("t.test", &addresses)).await;
    assert_eq!(connected.unwrap().unwrap().remote.address(), Some(alive));
}

/// R102.
#[tokio::test]
async fn an_address_that_cannot_be_connected_from_is_a_local_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // One of the other family, and one that no machine has.
    for own in ["::1", "192.0.2.1"] {
        let connector = TcpConnector::from_address(own.parse().unwrap());
        let error = connector.connect("t.test", &[address]).await.unwrap_err();
        assert!(matches!(error, AnnounceError::Local(_)), "{own}: {error}");
    }
}

#[tokio::test]
async fn a_connector_with_a_local_address_stays_in_its_family() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = TcpConnector::from_address("::1".parse().unwrap());
    assert!(connector.connect("t.test", &[address]).await.is_err());
    let connected = TcpConnector::new().connect("t.test", &[address]).await.unwrap();
    assert_eq!(connected.remote.address(), Some(address));
    let (stream, _): (TcpStream, _) = listener.accept().await.unwrap();
    drop(stream);
}

/// R105: the other runtime may stand still or have ended.
#[test]
fn a_runtime_that_stands_still_holds_up_no_other() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (of_the_tracker, own, foreign) =
        (tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(), runtime(), runtime());
    let tracker = of_the_tracker.block_on(FakeTracker::start(Behaviour::ok()));
    let transport = HttpTransport::new(HttpConfig::new(), Arc::new(SystemResolver::new()));
    let announces = |runtime: &tokio::runtime::Runtime| {
        let url = tracker.announce_url();
        let announce = async { timeout(Duration::from_secs(5), announce(&transport, &url)).await };
        runtime.block_on(announce).expect("within five seconds").unwrap();
    };
    announces(&foreign);
    announces(&own);
    drop(foreign);
    announces(&own);
}
