//! The only user of the library's announcer: takes trackers, gives peers and lines for the user.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracker_failover::{
    AddressPolicy, Alert, Alerts, AnnounceHandle, AnnounceTo, Announcer, AnnouncerBuilder, Config, InfoHash,
    Order, PeerAddress, PeerCounts, Torrent, TrackerSet, TrackerUrl, Transfer,
};
use tracker_failover::{Status, TrackerState};

use super::news::News;
use crate::lines;
use crate::scrape::Swarm;
use crate::way_out;

/// The torrent's trackers.
#[derive(Debug)]
pub(crate) struct Trackers {
    announcer: Rc<Announcer>,
    handle: AnnounceHandle,
    alerts: Alerts,
    waiting: VecDeque<News>,
    /// News besides the alerts: the resolved addresses of named peers, and the scrape.
    beside: (Sender<News>, Receiver<News>),
    resolving: AddressPolicy,
    info_hash: InfoHash,
    private: bool,
    scraped: bool,
    /// The trackers that have answered an announce.
    answered: BTreeSet<String>,
    in_use: String,
    asked_for_peers: Duration,
    reported: ReportedPeers,
}

/// How many peers were reported to the library last, and when.
#[derive(Debug, Default)]
struct ReportedPeers(Option<(PeerCounts, Duration)>);

/// The user's settings for trackers.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) order: Order,
    /// How many trackers are announced to.
    pub(crate) announce_to: AnnounceTo,
    pub(crate) interval: Option<Duration>,
    /// The address to announce instead of the one that trackers see.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) allow_loopback: bool,
    /// The latency cache, which keeps what is known about trackers from one run to the next; needs the feature `cache`.
    pub(crate) latency_cache: Option<PathBuf>,
}

/// The announcer of all torrents, so that a dead tracker is found out once, and what is known of hosts is kept together.
#[derive(Debug, Default)]
pub(crate) struct SharedAnnouncer(RefCell<Weak<Announcer>>);

impl SharedAnnouncer {
    /// The announcer; the first torrent starts it, with its settings.
    fn get(&self, options: &Options) -> Rc<Announcer> {
        let mut shared = self.0.borrow_mut();
        shared.upgrade().unwrap_or_else(|| {
            let announcer = Rc::new(options.announcer());
            *shared = Rc::downgrade(&announcer);
            announcer
        })
    }
}

impl Options {
    fn announcer(&self) -> Announcer {
        let config = Config::default().order(self.order).announce_to(self.announce_to);
        let config = match self.interval {
            Some(interval) => config.interval_override(interval),
            None => config,
        };
        let transports = way_out::transports();
        let mut builder = AnnouncerBuilder::new(transports.clone()).prober(transports).config(config);
        if self.allow_loopback {
            builder = builder.peer_addresses(self.addresses());
        }
        with_cache(builder, self.latency_cache.as_deref()).spawn()
    }

    /// The addresses that peers may have.
    fn addresses(&self) -> AddressPolicy {
        if self.allow_loopback { AddressPolicy::ALLOW_LOOPBACK } else { AddressPolicy::PUBLIC_ONLY }
    }
}

impl Trackers {
    /// Starts announcing; `None` if the torrent has no trackers.
    pub(crate) fn start(
        announcer: &SharedAnnouncer,
        set: TrackerSet,
        mut torrent: Torrent,
        options: &Options,
    ) -> Option<Self> {
        if set.is_empty() {
            return None;
        }
        torrent.ip = options.ip;
        let resolving = options.addresses();
        let announcer = announcer.get(options);
        let (info_hash, private) = (torrent.info_hash, set.is_private());
        let (handle, alerts) = announcer.add(set, torrent);
        Some(Self {
            announcer,
            handle,
            alerts,
            waiting: VecDeque::new(),
            beside: channel(MAX_BESIDE),
            resolving,
            info_hash,
            private,
            scraped: false,
            answered: BTreeSet::new(),
            in_use: String::new(),
            asked_for_peers: Duration::ZERO,
            reported: ReportedPeers::default(),
        })
    }

    /// Updates the counters for announces, and returns a short description of the tracker in use.
    pub(crate) fn update(&mut self, transfer: Transfer) -> &str {
        self.handle.update(transfer);
        &self.in_use
    }

    /// Reports how many peers there are, where that has changed.
    pub(crate) fn set_peers(&mut self, peers: PeerCounts, now: Duration) {
        if self.reported.is_due(peers, now) {
            self.handle.set_peers(peers);
        }
    }

    /// Asks for more peers; the library announces when the tracker allows.
    pub(crate) fn want_peers(&mut self, now: Duration) {
        if now.saturating_sub(self.asked_for_peers) >= WANT_EVERY {
            self.asked_for_peers = now;
            self.handle.want_peers();
        }
    }

    /// How many trackers have answered an announce.
    pub(crate) fn answered(&self) -> usize {
        self.answered.len()
    }

    /// The download is complete.
    pub(crate) fn complete(&mut self, transfer: Transfer) {
        self.handle.update(transfer);
        self.handle.complete();
    }

    /// The torrent has turned out to be private.
    pub(super) fn set_private(&mut self) {
        self.private = true;
        self.handle.set_private();
    }

    /// Waits for the next news. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.waiting.pop_front() {
                return news;
            }
            tokio::select! {
                alert = self.alerts.next() => match alert {
                    Some(alert) => self.take(&alert),
                    None => std::future::pending().await,
                },
                Some(news) = self.beside.1.recv() => return news,
            }
            if let Some(status) = self.handle.status() {
                self.in_use = describe(&status);
            }
        }
    }

    /// From now on peers connect to us by this port.
    pub(super) fn set_port(&self, port: u16) {
        self.handle.set_port(port);
    }

    /// Announces `stopped` to every tracker at which we are registered, within three seconds, and passes the lines about it to
    /// `line`. With the last torrent the latency cache is written before this returns.
    pub(crate) async fn stop(self, mut line: impl FnMut(&str, &str)) {
        let mut alerts = self.handle.subscribe();
        let stopping = async {
            let (_, ()) = tokio::join!(self.handle.stop(), async {
                while let Some(alert) = alerts.next().await {
                    for (tag, text) in lines::of(&alert) {
                        line(tag, &text);
                    }
                }
            });
            // The last torrent takes it along.
            if let Some(announcer) = Rc::into_inner(self.announcer) {
                announcer.shutdown(STOP_LIMIT).await;
            }
        };
        // The library keeps its own limit; this one is for the case that it doesn't.
        let _ = tokio::time::timeout(STOP_LIMIT, stopping).await;
    }

    fn take(&mut self, alert: &Alert) {
        let news = if lines::is_detail(alert) { News::Detail } else { News::Line };
        self.waiting.extend(lines::of(alert).into_iter().map(|(tag, text)| news(tag, text)));
        match alert {
            Alert::Announced(announced) => {
                self.answered.insert(announced.tracker.to_string());
                if self.private && announced.moved_from.is_some() {
                    self.waiting.push_back(News::Moved);
                }
                if !std::mem::replace(&mut self.scraped, true) {
                    self.scrape(announced.tracker.clone());
                }
            }
            Alert::RoundFailed { retry_in: None, .. } => self.waiting.push_back(News::NoneLeft),
            _ => {}
        }
        let mut peers = Vec::new();
        let mut names = 0;
        for peer in alert.peers() {
            match &peer.address {
                PeerAddress::Ip(address) => peers.push(*address),
                PeerAddress::Name(name, port) if names < MAX_NAMES && way_out::looks_up() => {
                    names += 1;
                    let (policy, news) = (self.resolving.clone(), self.beside.0.clone());
                    tokio::spawn(resolve(name.clone(), *port, policy, news));
                }
                _ => {}
            }
        }
        if !peers.is_empty() {
            self.waiting.push_back(News::Peers(peers));
        }
    }

    /// Scrapes the tracker in use.
    fn scrape(&self, tracker: TrackerUrl) {
        let (answer, info_hash) = (self.handle.scrape(), self.info_hash);
        let news = self.beside.0.clone();
        tokio::spawn(async move {
            let scraped = match Swarm::of(info_hash, answer.await) {
                Ok(swarm) => News::Swarm(tracker, swarm),
                Err(reason) => {
                    News::Line("TRACKER", format!("{tracker} does not say how large the swarm is: {reason}"))
                }
            };
            // The download may have ended meanwhile.
            let _ = news.send(scraped).await;
        });
    }
}

impl ReportedPeers {
    /// Whether these counts are to be reported now, which then counts as done: when they differ from the last, and those
    /// were reported a second ago. A change that comes sooner is reported at a later call, unless it was taken back.
    fn is_due(&mut self, peers: PeerCounts, now: Duration) -> bool {
        let is_due = self.0.is_none_or(|(last, at)| last != peers && now.saturating_sub(at) >= REPORT_EVERY);
        if is_due {
            self.0 = Some((peers, now));
        }
        is_due
    }
}

/// Whether [`Options::latency_cache`] is available, which needs the feature.
pub(crate) const HAS_CACHE: bool = cfg!(feature = "cache");

#[cfg(feature = "cache")]
fn with_cache(builder: AnnouncerBuilder, path: Option<&Path>) -> AnnouncerBuilder {
    match path {
        Some(path) => builder.latency_cache(path),
        None => builder,
    }
}

#[cfg(not(feature = "cache"))]
fn with_cache(builder: AnnouncerBuilder, _: Option<&Path>) -> AnnouncerBuilder {
    builder
}

/// Resolves the name of a peer. The addresses are checked here, because the library can't check names.
async fn resolve(name: String, port: u16, policy: AddressPolicy, news: Sender<News>) {
    let look_up = tokio::net::lookup_host((name, port));
    if let Ok(Ok(addresses)) = tokio::time::timeout(RESOLVE_LIMIT, look_up).await {
        for address in addresses.filter(|&address| policy.allows(address)).take(MAX_ADDRESSES) {
            // If it is full there are enough peers; if it is closed the download has ended.
            let _ = news.try_send(News::Peers(vec![address]));
        }
    }
}

/// The tracker in use, its latency, and of several trackers how many we are registered at and how many are failing.
fn describe(status: &Status) -> String {
    let trackers = || status.tiers.iter().flatten();
    let count = trackers().count();
    let failing = trackers()
        .filter(|tracker| matches!(tracker.state, TrackerState::Failing(_) | TrackerState::Suspended))
        .count();
    let mut text = match &status.in_use {
        None => String::from("none yet"),
        Some(in_use) => {
            let latency =
                trackers().find(|tracker| tracker.tracker == *in_use).and_then(|found| found.latency);
            let shown = latency.map(|latency| format!(" {} ms", latency.as_millis().max(1)));
            format!("{in_use}{}", shown.unwrap_or_default())
        }
    };
    let registered = trackers().filter(|tracker| tracker.is_registered).count();
    // Writing to a string can't fail.
    if count > 1 && registered > 0 {
        let _ = write!(text, ", registered at {registered} of {count}");
    }
    if failing > 0 {
        let _ = write!(text, " ({failing} of {count} failing)");
    }
    text
}

/// How often more peers are asked for.
const WANT_EVERY: Duration = Duration::from_secs(30);
/// How often a change of the number of peers is reported, at most.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Names looked up of one answer, and addresses taken of each.
const MAX_NAMES: usize = 8;
const MAX_ADDRESSES: usize = 4;
const MAX_BESIDE: usize = 64;
const STOP_LIMIT: Duration = Duration::from_millis(3500);
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_peers_are_reported_when_they_change_and_at_most_once_a_second() {
        let mut reported = ReportedPeers::default();
        let mut due = |connected, millis| {
            let peers = PeerCounts { connected, ..PeerCounts::default() };
            reported.is_due(peers, Duration::from_millis(millis))
        };
        assert!(due(0, 0), "the first ones");
        assert!(!due(0, 5000), "no change");
        assert!(due(1, 5250));
        assert!(!due(2, 5500) && !due(3, 6000), "too soon");
        assert!(due(3, 6250), "later, with the last numbers");
        assert!(!due(4, 6500) && !due(3, 9000), "taken back");
    }
}
