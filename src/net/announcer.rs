//! The announcer of a process: the face of the loop that all torrents share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::alerts::{AlertSender, Alerts, AllAlerts};
use super::driver::{self, AnnouncerParts, Command, DriverLink, TorrentKey};
use super::handle::AnnounceHandle;
use super::scraper::Scraper;
use crate::alert::{Announced, ShutdownReport};
use crate::announce::{AnnounceRequest, Torrent};
use crate::error::{AnnouncerEnded, RoundError};
use crate::policy::TrackerSet;
use crate::policy::hosts::HostStatus;

/// How long [`Announcer::shutdown`] waits for the report, even if the deadline is now.
const MIN_SHUTDOWN: Duration = Duration::from_millis(20);

/// Announces torrents to their trackers, with failover: one for all torrents of a process.
///
/// All torrents share what is known of tracker hosts, so a dead one is found once. Cloning is cheap and gives the same
/// announcer. Its task ends when all clones and all [`AnnounceHandle`]s are gone and `stopped` has been sent to every
/// tracker at which a torrent is registered.
///
/// ```no_run
/// use tracker_failover::{Announcer, InfoHash, PeerId, Torrent, TrackerSet};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let trackers = TrackerSet::new([["http://a.test/announce".parse()?, "http://b.test/announce".parse()?]]);
/// let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// let (handle, mut alerts) = Announcer::new().add(trackers, torrent);
/// while let Some(alert) = alerts.next().await {
///     println!("{alert}");
/// }
/// # drop(handle);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Announcer {
    driver: DriverLink,
    scraper: Arc<Scraper>,
    /// How many alerts wait for one listener, at most.
    alert_queue: usize,
}

impl Announcer {
    /// Starts the task of an announcer.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn start(parts: AnnouncerParts) -> Self {
        let scrape_limit = parts.config.limits.open_limit.saturating_add(parts.config.limits.reply_limit);
        let scraper = Arc::new(Scraper::new(Arc::clone(&parts.transport), scrape_limit));
        let alert_queue = parts.config.alert_queue.max(1);
        Self { driver: driver::start(parts), scraper, alert_queue }
    }

    /// Makes one announce, with failover: to the first tracker of `trackers` that answers. Unmeasured trackers
    /// are measured first, unless [`Config::probing`](crate::Config::probing) is off, and the first to answer is announced
    /// to.
    ///
    /// `trackers` keeps what was learned: its cursor is on the tracker that answered, so the next announce
    /// goes there. Which event is due is up to the caller; [`add`](Self::add) keeps track of that too.
    ///
    /// # Errors
    /// When every tracker failed, with the cause of each; or when the announcer has ended.
    ///
    /// # Cancel safety
    /// Dropping the future discards the result. The announce itself goes on to its end, and `trackers` stays as it was.
    pub async fn announce(
        &self,
        trackers: &mut TrackerSet,
        request: AnnounceRequest,
    ) -> Result<Arc<Announced>, Arc<RoundError>> {
        let (sender, result) = oneshot::channel();
        let (of, request) = (Box::new(trackers.clone()), Box::new(request));
        self.driver.send(Command::AnnounceOnce { trackers: of, request, result: sender });
        // Where the loop has ended, the sender is dropped with the command.
        let result = result.await.map_err(|_| Arc::new(RoundError::Ended(self.driver.end_reason())))?;
        *trackers = result.trackers;
        result.round
    }

    /// Takes over the announces of a torrent, from `started` to `stopped`. A `key` of 0 is replaced by a random one.
    ///
    /// The handle controls the torrent, and the alerts say what happens to it and name its peers. They are apart, so that one
    /// task can read alerts while others hold the handle. The torrent ends with the last clone of its handle; alerts that
    /// aren't read can be dropped.
    #[must_use = "dropping the handle ends the announces"]
    pub fn add(&self, trackers: TrackerSet, mut torrent: Torrent) -> (AnnounceHandle, Alerts) {
        if torrent.key == 0 {
            torrent.key = rand::random();
        }
        let alerts = AlertSender::of_torrent(self.alert_queue);
        let subscribers = alerts.subscribers();
        let listener = subscribers.join();
        let key = TorrentKey::default();
        let info_hash = torrent.info_hash;
        self.driver.add(trackers, torrent, alerts, &key);
        let (driver, scraper) = (self.driver.clone(), Arc::clone(&self.scraper));
        (AnnounceHandle::new(driver, scraper, key, subscribers, info_hash), listener)
    }

    /// The alerts of all torrents from now on, each with its torrent: for a log, a metrics page, or one task that serves all
    /// peers.
    pub fn alerts(&self) -> AllAlerts {
        self.driver.torrents().lock().all_alerts().join_all()
    }

    /// What is known of each tracker host, ordered by host: a view of all torrents together, for a status page.
    pub fn hosts(&self) -> Vec<HostStatus> {
        let torrents = self.driver.torrents().lock();
        torrents.engine.hosts(torrents.clock.now())
    }

    /// Reports that the network has changed: another interface, another address, a tunnel. Hosts that couldn't be reached
    /// may be tried again, and torrents whose trackers all failed announce at once. The announcer doesn't watch interfaces
    /// itself.
    pub fn network_changed(&self) {
        self.driver.send(Command::NetworkChanged);
    }

    /// Why this announcer has ended; `None` while it runs.
    pub fn ended(&self) -> Option<AnnouncerEnded> {
        self.driver.ended()
    }

    /// Ends all torrents, and this announcer with all its clones: sends `stopped` in parallel to every tracker at which a
    /// torrent is registered, until the deadline. Gives which trackers acknowledged it, which refused it, and for which the
    /// time was too short.
    ///
    /// It returns by the deadline, even if trackers, look-ups, or the disk of the latency cache hang.
    ///
    /// # Cancel safety
    /// Dropping the future discards the report. The shutdown goes on.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let (sender, report) = oneshot::channel();
        self.driver.send(Command::Shutdown { limit: deadline, report: sender });
        match timeout(deadline.max(MIN_SHUTDOWN), report).await {
            Ok(Ok(report)) => report,
            Ok(Err(_)) => {
                ShutdownReport { ended: Some(self.driver.end_reason()), ..ShutdownReport::default() }
            }
            Err(_) => ShutdownReport::default(),
        }
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Announcer")
    }
}
