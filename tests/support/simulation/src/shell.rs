//! The same worlds through the whole crate: `Announcer`, HTTP in memory, and tokio's paused clock.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fake_tracker::bencode::Dictionary;
use fake_tracker::{Failure, RetryIn};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep_until};
use tracker_failover::net::http::{Connected, Connector, HttpConfig, HttpProber, HttpTransport};
use tracker_failover::net::resolver::Resolver;
use tracker_failover::{
    Alert, Alerts, AnnounceError, AnnounceRequest, AnnounceResponse, AnnouncerBuilder, Channel, Measurement,
    Prober, Scheme, TrackerSet, TrackerUrl, Transport,
};

use crate::clients::values::{open_error, torrent};
use crate::life::{Plan, What};
use crate::network::{Contact, Network, Reply, UDP_RESENDS};
use crate::script::Retry;
use crate::time::{MINUTE, Millis, SECOND};
use crate::trace::{Step, Trace};

/// Plays a plan with an announcer over HTTP. The seed is the announcer's.
///
/// # Panics
/// Where a tracker of the world isn't an HTTP tracker.
pub fn play(plan: &Plan, seed: u64) -> Trace {
    assert!(plan.world.trackers.iter().all(|tracker| tracker.scheme == Scheme::Http), "HTTP trackers only");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without IO can always be made").block_on(live(plan, seed))
}

async fn live(plan: &Plan, seed: u64) -> Trace {
    let ether = Ether(Arc::new(Shared {
        start: now(),
        network: Mutex::new(Network::new(Arc::clone(&plan.world))),
        trace: Mutex::default(),
    }));
    let http = HttpTransport::with_connector(
        HttpConfig::default(),
        Arc::new(ether.clone()),
        Arc::new(ether.clone()),
    );
    let prober = HttpProber::new(&http);
    let announcer = AnnouncerBuilder::new(Noted { inner: http, ether: ether.clone() })
        .prober(Noted { inner: prober, ether: ether.clone() })
        .config(plan.config.clone())
        .seed(seed)
        .spawn();
    let tiers = plan.tiers.iter().map(|tier| tier.iter().map(|tracker| plan.world.url(*tracker)));
    let trackers = TrackerSet::new(tiers);
    let mut handles = BTreeMap::new();
    for deed in &plan.deeds {
        ether.until(deed.at).await;
        if deed.what == What::Add {
            let (handle, alerts) = announcer.add(trackers.clone(), torrent(deed.torrent));
            tokio::spawn(listen(ether.clone(), alerts));
            handles.insert(deed.torrent, handle);
        } else if deed.what == What::Stop {
            let Some(handle) = handles.remove(&deed.torrent) else {
                unreachable!("a torrent is added before it is stopped")
            };
            tokio::spawn(async move { handle.stop().await });
        } else if let Some(handle) = handles.get(&deed.torrent) {
            match deed.what {
                What::Reannounce => handle.reannounce(),
                What::WantPeers => handle.want_peers(),
                What::Complete => handle.complete(),
                What::ChangeNetwork => announcer.network_changed(),
                what => unreachable!("{what:?} of a running torrent"),
            }
        }
    }
    ether.until(plan.until).await;
    // What is dropped now sends `stopped` after the end.
    let trace = std::mem::take(&mut *lock(&ether.0.trace));
    drop(handles);
    trace
}

async fn listen(ether: Ether, mut alerts: Alerts) {
    while let Some(alert) = alerts.next().await {
        match alert {
            Alert::Announced(announced) => ether.note(Step::Accepted(number(announced.tracker.host()))),
            Alert::RoundFailed { .. } => ether.note(Step::Failed),
            _ => {}
        }
    }
}

/// Between the announcer and the trackers of a world.
#[derive(Clone)]
struct Ether(Arc<Shared>);

struct Shared {
    start: Instant,
    network: Mutex<Network>,
    trace: Mutex<Trace>,
}

impl Ether {
    fn now(&self) -> Millis {
        u64::try_from((now() - self.0.start).as_millis()).unwrap_or(u64::MAX)
    }

    async fn until(&self, at: Millis) {
        sleep_until(self.0.start + Duration::from_millis(at)).await;
    }

    fn note(&self, step: Step) {
        let now = self.now();
        lock(&self.0.trace).note(now, step);
    }

    /// Answers one request after the other over a pipe, by the world's scripts.
    async fn serve(self, tracker: usize, opened: Millis, mut pipe: DuplexStream) {
        let reset = lock(&self.0.network).world.trackers[tracker].script.next_refusal(opened);
        loop {
            let request = tokio::select! {
                biased;
                request = read_head(&mut pipe) => request,
                () = self.until(reset.unwrap_or_default()), if reset.is_some() => return,
            };
            let Some(request) = request else { return };
            let now = self.now();
            let what = contact(&request);
            let answer = lock(&self.0.network).ask(tracker, opened, now, what, UDP_RESENDS);
            let Some((at, reply)) = answer else {
                // Sends nothing until the client closes.
                while read_head(&mut pipe).await.is_some() {}
                return;
            };
            tokio::select! {
                biased;
                () = self.until(at) => {}
                _ = read_head(&mut pipe) => return,
            }
            let Some(bytes) = written(reply, what) else { return };
            if pipe.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}

#[async_trait]
impl Resolver for Ether {
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnnounceError> {
        let tracker = number(host);
        let found = lock(&self.0.network).resolve(tracker, self.now());
        let Some((at, found)) = found else { return std::future::pending().await };
        self.until(at).await;
        found.map_err(open_error)?;
        let [.., high, low] = tracker.to_be_bytes();
        Ok(vec![SocketAddr::new(IpAddr::from([10, 0, high, low]), port)])
    }
}

#[async_trait]
impl Connector for Ether {
    async fn connect(&self, host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError> {
        let tracker = number(host);
        let opened = lock(&self.0.network).connect(tracker, self.now(), UDP_RESENDS);
        let Some((at, opened)) = opened else { return std::future::pending().await };
        self.until(at).await;
        opened.map_err(open_error)?;
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(self.clone().serve(tracker, at, theirs));
        Ok(Connected::new(ours, addresses[0]))
    }
}

/// A transport or prober whose work is noted.
struct Noted<T> {
    inner: T,
    ether: Ether,
}

struct NotedChannel {
    channel: Box<dyn Channel>,
    tracker: usize,
    ether: Ether,
}

#[async_trait]
impl Prober for Noted<HttpProber> {
    async fn probe(&self, tracker: &TrackerUrl) -> Result<Measurement, AnnounceError> {
        self.ether.note(Step::Probe(number(tracker.host())));
        self.inner.probe(tracker).await
    }
}

#[async_trait]
impl Transport for Noted<HttpTransport> {
    async fn open(&self, tracker: &TrackerUrl) -> Result<Box<dyn Channel>, AnnounceError> {
        let number = number(tracker.host());
        self.ether.note(Step::Open(number));
        let channel = self.inner.open(tracker).await?;
        Ok(Box::new(NotedChannel { channel, tracker: number, ether: self.ether.clone() }))
    }

    fn supports(&self, scheme: Scheme) -> bool {
        self.inner.supports(scheme)
    }
}

#[async_trait]
impl Channel for NotedChannel {
    async fn announce(&mut self, request: &AnnounceRequest) -> Result<AnnounceResponse, AnnounceError> {
        self.ether.note(Step::Announce(self.tracker, request.event));
        self.channel.announce(request).await
    }
}

/// The number of a tracker by its host name.
fn number(host: &str) -> usize {
    let digits = host.strip_prefix('t').and_then(|host| host.strip_suffix(".test"));
    digits.and_then(|digits| digits.parse().ok()).expect("a host of a simulated tracker")
}

/// Reads one request's head; `None` where the client has gone.
async fn read_head(pipe: &mut DuplexStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(pipe.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn contact(request: &str) -> Contact {
    use tracker_failover::Event;
    if !request.contains("info_hash=") {
        return Contact::Probe;
    }
    let events = [Event::Started, Event::Completed, Event::Stopped];
    let event = events.into_iter().find(|event| request.contains(&format!("event={}", event.name())));
    Contact::Announce(event)
}

/// A reply as HTTP; `None` where the connection ends instead.
fn written(reply: Reply, what: Contact) -> Option<Vec<u8>> {
    let (status, header, body) = match reply {
        Reply::Good { interval, min_interval } => {
            let mut body = Dictionary::new();
            body.integer("interval", interval / SECOND);
            if let Some(min_interval) = min_interval {
                body.integer("min interval", min_interval / SECOND);
            }
            body.string("peers", [8, 8, 8, 8, 0x1a, 0xe1]);
            (200, String::new(), body.encode())
        }
        Reply::Status(status, retry) => {
            let header = match retry {
                Retry::After(wait) => format!("Retry-After: {}\r\n", wait / SECOND),
                Retry::Unsaid | Retry::Never => String::new(),
            };
            (status, header, b"no".to_vec())
        }
        Reply::Html => (200, String::new(), b"<html></html>".to_vec()),
        Reply::Failure(retry) => {
            let retry_in = match retry {
                Retry::Unsaid => None,
                Retry::After(wait) => Some(RetryIn::Minutes(wait / MINUTE)),
                Retry::Never => Some(RetryIn::Never),
            };
            let failure = Failure { reason: b"no".to_vec(), retry_in, ..Failure::default() };
            (200, String::new(), failure.encode())
        }
        Reply::Broken => return None,
    };
    let mut bytes =
        format!("HTTP/1.1 {status} -\r\n{header}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    if what != Contact::Probe {
        bytes.extend(body);
    }
    Some(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "the paused clock is the world's")]
fn now() -> Instant {
    Instant::now()
}
