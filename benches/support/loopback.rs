//! A tracker that refuses connections and one that answers, on loopback: by this crate, and by hyper alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_tracker::{Behaviour, FakeTracker, Framing};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracker_failover::net::http::{HttpConfig, HttpTransport};
use tracker_failover::net::resolver::SystemResolver;
use tracker_failover::wire::http::{announce_target, read_announce};
use tracker_failover::{
    AnnounceRequest, AnnounceResponse, AnnouncerBuilder, InfoHash, PeerId, TrackerSet, TrackerUrl,
};

/// The two trackers.
pub(crate) struct Loopback {
    refused: FakeTracker,
    ok: FakeTracker,
    request: AnnounceRequest,
}

impl Loopback {
    /// Starts them.
    pub(crate) async fn start() -> Self {
        let refused = FakeTracker::start(Behaviour::Refused).await;
        // No connection is kept, so that each time costs the same.
        let ok = FakeTracker::start(Behaviour::ok_framed(Framing::Close)).await;
        let mut request = AnnounceRequest::new(InfoHash::new([1; 20]), PeerId::new([2; 20]), 6881);
        request.key = 1;
        request.transfer.left = Some(1);
        Self { refused, ok, request }
    }

    /// One announce with failover by an announcer that knows nothing yet: the time until it is answered.
    pub(crate) async fn ours(&self) -> Duration {
        let transport = HttpTransport::new(HttpConfig::new(), Arc::new(SystemResolver::new()));
        let announcer = AnnouncerBuilder::new(transport).seed(7).spawn();
        let mut trackers = TrackerSet::new([&self.refused, &self.ok].map(|tracker| [url(tracker)]));
        let request = self.request.clone();
        self.ok.forget();
        let began = now();
        let answer = announcer.announce(&mut trackers, request).await.expect("the second tracker answers");
        let took = now() - began;
        assert_eq!(answer.attempts, 2);
        took
    }

    /// The same two requests on hyper, one after the other: the time until the second is answered.
    pub(crate) async fn hyper(&self) -> Duration {
        let targets = [&self.refused, &self.ok].map(|tracker| announce_target(&url(tracker), &self.request));
        self.ok.forget();
        let began = now();
        let [refused, ok] = &targets;
        assert!(get(self.refused.address(), refused).await.is_none(), "the first tracker refuses");
        let answer = get(self.ok.address(), ok).await;
        let took = now() - began;
        assert!(answer.is_some(), "the second tracker answers");
        took
    }
}

/// One announce over its own connection; `None` where there is none to be had.
async fn get(address: SocketAddr, target: &str) -> Option<AnnounceResponse> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = hyper::Request::get(target)
        .header("Host", address.to_string())
        .header("User-Agent", "bench")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let body = sender.send_request(request).await.ok()?.collect().await.ok()?.to_bytes();
    read_announce(&body).ok()
}

fn url(tracker: &FakeTracker) -> TrackerUrl {
    tracker.announce_url().parse().expect("a fake tracker has a proper address")
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
