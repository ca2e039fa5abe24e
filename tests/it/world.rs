//! A world of scripted trackers in memory, and an announcer that lives in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fake_tracker::{Asked, Behaviour, FakeTracker, Heard};
use tokio::time::Instant;
use tracker_failover::net::http::{Connected, Connector, HttpConfig, HttpProber, HttpTransport};
use tracker_failover::net::resolver::StaticResolver;
use tracker_failover::{
    Alert, Alerts, AnnounceError, AnnounceHandle, AnnounceTo, Announcer, AnnouncerBuilder, Cause, Config,
    InfoHash, PeerId, Torrent, TrackerSet, TrackerUrl, Transfer,
};

/// Trackers a test knows by number, in the order in which it made them.
pub(crate) struct World {
    trackers: Arc<BTreeMap<SocketAddr, FakeTracker>>,
    order: Vec<SocketAddr>,
    born: Instant,
}

struct Pipes(Arc<BTreeMap<SocketAddr, FakeTracker>>);

pub(crate) const INFO_HASH: [u8; 20] = *b"aaaaaaaaaaaaaaaaaaaa";

impl World {
    /// Trackers that behave like this.
    pub(crate) fn new(behaviours: impl IntoIterator<Item = Behaviour>) -> Self {
        Self::of(behaviours.into_iter().map(FakeTracker::in_memory).collect())
    }

    pub(crate) fn of(trackers: Vec<FakeTracker>) -> Self {
        let order = trackers.iter().map(FakeTracker::address).collect();
        let trackers = trackers.into_iter().map(|tracker| (tracker.address(), tracker)).collect();
        Self { trackers: Arc::new(trackers), order, born: now() }
    }

    pub(crate) fn tracker(&self, number: usize) -> &FakeTracker {
        &self.trackers[&self.order[number]]
    }

    pub(crate) fn url(&self, number: usize) -> TrackerUrl {
        self.tracker(number).announce_url().parse().unwrap()
    }

    /// The number of a tracker.
    pub(crate) fn number(&self, tracker: &TrackerUrl) -> usize {
        (0..self.order.len()).find(|number| self.url(*number) == *tracker).unwrap()
    }

    /// Each tracker in its own tier.
    pub(crate) fn in_tiers(&self) -> TrackerSet {
        TrackerSet::new((0..self.order.len()).map(|number| [self.url(number)]))
    }

    /// All trackers in one tier.
    pub(crate) fn in_one_tier(&self) -> TrackerSet {
        TrackerSet::new([(0..self.order.len()).map(|number| self.url(number))])
    }

    pub(crate) fn builder(&self) -> AnnouncerBuilder {
        let pipes = Arc::new(Pipes(Arc::clone(&self.trackers)));
        let transport =
            HttpTransport::with_connector(HttpConfig::default(), Arc::new(StaticResolver::new()), pipes);
        let prober = HttpProber::new(&transport);
        AnnouncerBuilder::new(transport).prober(prober).config(one_at_a_time()).seed(7)
    }

    pub(crate) fn announcer(&self, config: Config) -> Announcer {
        self.builder().config(config).spawn()
    }

    /// How long the world has existed.
    pub(crate) fn elapsed(&self) -> Duration {
        now() - self.born
    }

    /// The announces that every tracker received, in order: the number of the tracker and the event.
    pub(crate) fn received(&self) -> Vec<(usize, String)> {
        let mut heard: Vec<(u64, usize, String)> = Vec::new();
        for number in 0..self.order.len() {
            for announce in self.tracker(number).announces() {
                let event = announce.event().unwrap_or("none").to_owned();
                heard.push((announce.sequence, number, event));
            }
        }
        heard.sort();
        heard.into_iter().map(|(_, number, event)| (number, event)).collect()
    }

    /// [`received`](Self::received) as text: `0:started 1:none`.
    pub(crate) fn received_text(&self) -> String {
        let announces: Vec<_> =
            self.received().iter().map(|(number, event)| format!("{number}:{event}")).collect();
        announces.join(" ")
    }
}

/// The default settings, but for announces to one tracker at a time: what most tests count.
pub(crate) fn one_at_a_time() -> Config {
    Config::default().announce_to(AnnounceTo::One)
}

/// A torrent with something left to download.
pub(crate) fn torrent() -> Torrent {
    let mut torrent = Torrent::new(InfoHash::new(INFO_HASH), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
    torrent.transfer = Transfer { left: Some(1000), ..Transfer::default() };
    torrent
}

#[expect(clippy::disallowed_methods, reason = "tests read tokio's paused clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A torrent's handle, and its alerts.
pub(crate) struct Session {
    handle: AnnounceHandle,
    alerts: Alerts,
}

/// Adds torrents whose handle and alerts stay together.
pub(crate) trait AddSession {
    fn session(&self, trackers: TrackerSet, torrent: Torrent) -> Session;
}

impl AddSession for Announcer {
    fn session(&self, trackers: TrackerSet, torrent: Torrent) -> Session {
        let (handle, alerts) = self.add(trackers, torrent);
        Session { handle, alerts }
    }
}

impl Session {
    pub(crate) async fn next_alert(&mut self) -> Option<Alert> {
        self.alerts.next().await
    }
}

impl Deref for Session {
    type Target = AnnounceHandle;

    fn deref(&self) -> &AnnounceHandle {
        &self.handle
    }
}

/// Alerts until one is as wanted, with everything before it.
pub(crate) async fn alerts_until(session: &mut Session, wanted: impl Fn(&Alert) -> bool) -> Vec<Alert> {
    let mut alerts = Vec::new();
    while let Some(alert) = session.next_alert().await {
        let done = wanted(&alert);
        alerts.push(alert);
        if done {
            return alerts;
        }
    }
    panic!("the session ended before the alert came: {alerts:#?}");
}

pub(crate) fn is_announced(alert: &Alert) -> bool {
    matches!(alert, Alert::Announced(_))
}

/// The requests that weren't announces. Probes carry no info-hash.
pub(crate) fn probes(tracker: &FakeTracker) -> Vec<Heard> {
    tracker.heard().into_iter().filter(|heard| heard.asked() != Asked::Announce).collect()
}

#[async_trait]
impl Connector for Pipes {
    async fn connect(&self, _host: &str, addresses: &[SocketAddr]) -> Result<Connected, AnnounceError> {
        let address = addresses.first().ok_or_else(|| AnnounceError::Connect(Cause::new("no address")))?;
        let tracker =
            self.0.get(address).ok_or_else(|| AnnounceError::Connect(Cause::new("no tracker is there")))?;
        let stream =
            tracker.connect_in_memory().await.map_err(|error| AnnounceError::Connect(Cause::new(error)))?;
        Ok(Connected::new(stream, *address))
    }
}
