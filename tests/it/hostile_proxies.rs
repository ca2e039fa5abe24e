//! Proxies that misbehave, as bytes on a socket: what they send is bounded, ends in an error of this side's, and is
//! counted against no tracker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};
use tracker_failover::{
    AnnounceError, AnnounceRequest, AnnounceResponse, Announcer, InfoHash, PeerId, TrackerUrl, Transport,
};

use super::world::INFO_HASH;

/// What a proxy does when its client has sent something.
#[derive(Clone)]
enum Do {
    Send(Vec<u8>),
    /// Byte by byte.
    Drip(Vec<u8>),
    /// For ever.
    Repeat(Vec<u8>),
    Close,
    Hold,
}

/// A proxy that answers each message of its clients with the next step.
async fn scripted(steps: Vec<Do>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(play(stream, steps.clone()));
        }
    });
    address
}

async fn play(mut stream: TcpStream, steps: Vec<Do>) {
    let mut heard = vec![0; 4096];
    for step in steps {
        if !stream.read(&mut heard).await.is_ok_and(|length| length > 0) {
            return;
        }
        match step {
            Do::Send(bytes) => drop(stream.write_all(&bytes).await),
            Do::Drip(bytes) => {
                for byte in bytes {
                    let _ = stream.write_all(&[byte]).await;
                    sleep(Duration::from_millis(1)).await;
                }
            }
            Do::Repeat(bytes) => while stream.write_all(&bytes).await.is_ok() {},
            Do::Close => return,
            Do::Hold => sleep(Duration::from_secs(3600)).await,
        }
    }
    // Held until the client leaves.
    while stream.read(&mut heard).await.is_ok_and(|length| length > 0) {}
}

async fn announce(proxy: String, tracker: &str) -> Result<AnnounceResponse, AnnounceError> {
    let transports = Announcer::builder().proxy(&proxy).unwrap().transports().unwrap();
    let request = AnnounceRequest::new(InfoHash::new(INFO_HASH), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
    transports.open(&tracker.parse().unwrap()).await?.announce(&request).await
}

fn send(bytes: impl AsRef<[u8]>) -> Do {
    Do::Send(bytes.as_ref().to_vec())
}

const GRANTED: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\nd8:intervali60e5:peers0:ee";

#[tokio::test]
async fn answers_in_pieces_and_in_one_are_the_same() {
    let mut named = vec![5, 0, 0, 3, 255];
    named.extend([b'x'; 257]);
    for steps in [
        vec![send([5, 0]), send(GRANTED), send(REPLY)],
        vec![Do::Drip(vec![5, 0]), Do::Drip(GRANTED.to_vec()), Do::Drip(REPLY.to_vec())],
        vec![send([5, 0]), send(named), send(REPLY)],
    ] {
        let proxy = scripted(steps).await;
        let response = announce(format!("socks5://{proxy}"), "http://t.test/a").await.unwrap();
        assert_eq!(response.interval, Some(Duration::from_secs(60)));
    }
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        for first in [send(head), Do::Drip(head.into())] {
            let proxy = scripted(vec![first, send(REPLY)]).await;
            let response = announce(format!("http://{proxy}"), "http://t.test/a").await;
            assert!(response.is_ok(), "{head}: {response:?}");
        }
    }
}

/// Names have 253 bytes at most, and a proxy would take 255.
#[tokio::test]
async fn the_longest_names_are_passed_on() {
    let label = "x".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "x".repeat(61));
    let proxy = scripted(vec![send([5, 0]), send(GRANTED), send(REPLY)]).await;
    announce(format!("socks5://{proxy}"), &format!("http://{name}/a")).await.unwrap();
    assert!(format!("http://{name}x/a").parse::<TrackerUrl>().is_err());
}

/// Every code of refusal, for TCP and UDP.
#[tokio::test]
async fn each_refusal_is_the_hosts_or_the_proxys() {
    for code in 1..=u8::MAX {
        let proxy = scripted(vec![send([5, 0]), send([5, code, 0, 1, 0, 0, 0, 0, 0, 0])]).await;
        let error = announce(format!("socks5://{proxy}"), "http://t.test/a").await.unwrap_err();
        match error {
            AnnounceError::Connect(_) => assert!([1, 4, 5, 6].contains(&code), "{code}: {error}"),
            AnnounceError::Local(_) => assert!(![1, 4, 5, 6].contains(&code), "{code}: {error}"),
            _ => panic!("{code}: {error}"),
        }
        let error = announce(format!("socks5://{proxy}"), "udp://t.test:6969").await.unwrap_err();
        assert!(matches!(error, AnnounceError::ProxyWithoutUdp), "{code}: {error}");
    }
    for (status, is_the_hosts) in [
        (302, false),
        (400, false),
        (403, false),
        (404, false),
        (407, false),
        (429, false),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
        (599, true),
        (999, false),
    ] {
        let proxy =
            scripted(vec![send(format!("HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nno\n"))]).await;
        let error = announce(format!("http://{proxy}"), "http://t.test/a").await.unwrap_err();
        assert_eq!(matches!(error, AnnounceError::Connect(_)), is_the_hosts, "{status}: {error}");
        assert!(is_the_hosts || matches!(error, AnnounceError::Local(_)), "{status}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_proxy_of_the_kind_is_an_error_of_this_side() {
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Y: z\r\n".repeat(1000));
    let long_header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let rows: Vec<(&str, Vec<Do>)> = vec![
        ("socks5", vec![Do::Close]),
        ("socks5", vec![send([5])]),
        ("socks5", vec![send([4, 0])]),
        ("socks5", vec![send([5, 1])]),
        ("socks5", vec![send([5, 255])]),
        ("socks5", vec![send("HTTP/1.1 400 Bad Request\r\n\r\n")]),
        ("socks5", vec![send([5, 0]), Do::Close]),
        ("socks5", vec![send([5, 0]), send([4, 0, 0, 1])]),
        ("socks5", vec![send([5, 0]), send([5, 0, 0, 9, 1, 1])]),
        ("socks5", vec![send([5, 0]), Do::Repeat(vec![0; 4096])]),
        ("socks5", vec![Do::Repeat(vec![7; 4096])]),
        ("http", vec![Do::Close]),
        ("http", vec![send([5, 0])]),
        ("http", vec![send("HTTP/1.1 200")]),
        ("http", vec![send("SSH-2.0-OpenSSH_9.9\r\n\r\n")]),
        ("http", vec![send(&many_headers)]),
        ("http", vec![send(&long_header)]),
        ("http", vec![Do::Repeat(vec![b'x'; 4096])]),
        ("http", vec![Do::Repeat(b"X: y\r\n".repeat(100))]),
    ];
    for (number, (scheme, steps)) in rows.into_iter().enumerate() {
        // Where nothing more comes, the client would wait to its limit: the proxy hangs up.
        let proxy = scripted_to_the_end(steps).await;
        let announced = announce(format!("{scheme}://{proxy}"), "http://t.test/a");
        let error = timeout(Duration::from_secs(20), announced).await.expect("no end").unwrap_err();
        assert!(matches!(error, AnnounceError::Local(_)), "{number}: {error}");
        if scheme == "socks5" {
            let announced = announce(format!("socks5://{proxy}"), "udp://t.test:6969");
            let error = timeout(Duration::from_secs(20), announced).await.expect("no end").unwrap_err();
            let is_this_sides = matches!(error, AnnounceError::Local(_) | AnnounceError::ProxyWithoutUdp);
            assert!(is_this_sides, "{number}: {error}");
        }
    }
}

/// As [`scripted`], and hangs up after the last step.
async fn scripted_to_the_end(mut steps: Vec<Do>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let last = steps.pop();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (steps, last) = (steps.clone(), last.clone());
            tokio::spawn(async move { play_last(stream, steps, last).await });
        }
    });
    address
}

async fn play_last(mut stream: TcpStream, steps: Vec<Do>, last: Option<Do>) {
    let mut heard = vec![0; 4096];
    for step in steps.into_iter().chain(last) {
        let _ = stream.read(&mut heard).await;
        match step {
            Do::Send(bytes) => drop(stream.write_all(&bytes).await),
            Do::Repeat(bytes) => while stream.write_all(&bytes).await.is_ok() {},
            Do::Drip(_) | Do::Hold | Do::Close => return,
        }
    }
    let _ = stream.shutdown().await;
    while stream.read(&mut heard).await.is_ok_and(|length| length > 0) {}
}

/// A proxy that says nothing to a greeting is at fault; behind a request, the silence may be the tracker's, and the limit of
/// the attempt ends it.
#[tokio::test]
async fn a_silent_proxy_is_told_from_a_silent_tracker() {
    let silent = scripted(vec![Do::Hold]).await;
    let waiting = scripted(vec![send([5, 0]), Do::Hold]).await;
    let (http, udp, behind, association) = tokio::join!(
        announce(format!("socks5://{silent}"), "http://t.test/a"),
        announce(format!("socks5://{silent}"), "udp://t.test:6969"),
        timeout(Duration::from_secs(5), announce(format!("socks5://{waiting}"), "http://t.test/a")),
        announce(format!("socks5://{waiting}"), "udp://t.test:6969"),
    );
    for error in [http.unwrap_err(), udp.unwrap_err()] {
        let text = error.to_string();
        assert_eq!(text, "this machine could not connect: the proxy doesn't answer");
    }
    assert!(behind.is_err(), "the attempt's own limit counts");
    let error = association.unwrap_err();
    assert!(matches!(error, AnnounceError::Local(_)), "no tracker is asked before the association: {error}");
}

/// Datagrams that don't come from the relay, are fragments, have a wrong header or another source are dropped, and the
/// tracker's is taken.
#[tokio::test]
async fn datagrams_from_elsewhere_are_dropped() {
    let relay = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let mut granted = vec![5, 0, 0, 1, 203, 0, 113, 9];
    granted.extend(relay.local_addr().unwrap().port().to_be_bytes());
    let proxy = scripted(vec![send([5, 0]), Do::Send(granted)]).await;
    let answering = tokio::spawn({
        let relay = Arc::clone(&relay);
        async move {
            let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut heard = vec![0; 4096];
            loop {
                let (length, from) = relay.recv_from(&mut heard).await.unwrap();
                let question = &heard[10..length];
                assert_eq!(
                    heard[..10],
                    [0, 0, 0, 1, 192, 0, 2, 7, 27, 57],
                    "it goes to the proxy's own address"
                );
                let transaction = &question[12..16];
                let answer = if question.len() == 16 {
                    [&[0, 0, 0, 0], transaction, &[1; 8]].concat()
                } else {
                    [&[0, 0, 0, 1], transaction, &60_u32.to_be_bytes(), &[0; 8]].concat()
                };
                let wrong = [&[0, 0, 0, 3], transaction, b"wrong"].concat();
                let wrapped = |start: [u8; 10], body: &[u8]| [&start[..], body].concat();
                for start in [
                    [0, 0, 1, 1, 192, 0, 2, 7, 27, 57],
                    [0, 1, 0, 1, 192, 0, 2, 7, 27, 57],
                    [0, 0, 0, 1, 192, 0, 2, 8, 27, 57],
                    [0, 0, 0, 1, 192, 0, 2, 7, 27, 58],
                    [0, 0, 0, 3, 192, 0, 2, 7, 27, 57],
                    [0; 10],
                ] {
                    relay.send_to(&wrapped(start, &wrong), from).await.unwrap();
                }
                for short in 0..10 {
                    relay.send_to(&vec![0; short], from).await.unwrap();
                }
                let right = [0, 0, 0, 1, 192, 0, 2, 7, 27, 57];
                elsewhere.send_to(&wrapped(right, &wrong), from).await.unwrap();
                relay.send_to(&wrapped(right, &answer), from).await.unwrap();
            }
        }
    });
    let response = announce(format!("socks5://{proxy}"), "udp://192.0.2.7:6969").await.unwrap();
    assert_eq!(response.interval, Some(Duration::from_secs(60)));
    answering.abort();
    assert!(answering.await.unwrap_err().is_cancelled());
}
