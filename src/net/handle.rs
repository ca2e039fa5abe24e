//! The handle of one torrent's announces: the loop's face for that torrent.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::alerts::Alerts;
use super::driver::{DriverLink, PeerCounter, TorrentKey, Torrents};
use super::guarded::{Guarded, contained};
use super::scraper::Scraper;
use crate::alert::{Alert, Announced, StopResult};
use crate::announce::{InfoHash, PeerCounts, Transfer};
use crate::error::{AnnounceError, AnnouncerEnded, Cause, RoundError};
use crate::policy::{Status, TrackerSet};
use crate::scrape::ScrapeResponse;
use crate::tracker::TrackerUrl;

/// The announces of one torrent, from [`Announcer::add`](crate::Announcer::add) until [`stop`](Self::stop).
///
/// `started` goes to the first tracker that answers, regular announces follow at its interval, and each goes to another
/// tracker when one fails. Dropping the handle ends the torrent as [`stop`](Self::stop) does, without waiting.
pub struct AnnounceHandle {
    driver: DriverLink,
    scraper: Arc<Scraper>,
    key: TorrentKey,
    alerts: Alerts,
    info_hash: InfoHash,
}

impl AnnounceHandle {
    pub(super) fn new(
        driver: DriverLink,
        scraper: Arc<Scraper>,
        key: TorrentKey,
        alerts: Alerts,
        info_hash: InfoHash,
    ) -> Self {
        Self { driver, scraper, key, alerts, info_hash }
    }

    /// Has the loop run something, for tests of what it survives.
    #[cfg(test)]
    pub(super) fn run_in_loop(&self, action: impl FnOnce() + Send + 'static) {
        self.driver.act(&self.key, |_, _| action());
    }

    /// The next alert; `None` when the torrent has ended.
    ///
    /// # Cancel safety
    /// No alert is lost.
    pub async fn next_alert(&mut self) -> Option<Alert> {
        self.alerts.next().await
    }

    /// A further listener, which gets all alerts from now on.
    pub fn subscribe(&self) -> Alerts {
        self.alerts.subscribe()
    }

    /// Sets the counters that announces report; each announce sends the last ones that were set. `uploaded` and
    /// `downloaded` are totals in bytes since `started`, and never go back.
    ///
    /// Where `left` is 0 before the first announce, the download was complete from the start, and
    /// `completed` is never sent (BEP 3).
    pub fn update(&self, transfer: Transfer) {
        self.driver.act(&self.key, move |torrents, torrent| torrents.engine.update(torrent, transfer));
    }

    /// Sets how many peers announces ask for from now on, as in [`Torrent::num_want`](crate::Torrent::num_want).
    pub fn set_num_want(&self, num_want: Option<u32>) {
        self.driver.act(&self.key, move |torrents, torrent| torrents.engine.set_num_want(torrent, num_want));
    }

    /// Sets the port on which the client accepts connections, as in [`Torrent::port`](crate::Torrent::port). A changed one is
    /// announced soon, without an event, to each tracker that lists us.
    pub fn set_port(&self, port: u16) {
        self.driver.act(&self.key, move |torrents, torrent| {
            torrents.engine.set_port(torrent, port, torrents.clock.now());
        });
    }

    /// Sets the address to announce in place of the one that trackers see, as in [`Torrent::ip`](crate::Torrent::ip). A
    /// changed one is announced soon, without an event, to each tracker that lists us.
    pub fn set_ip(&self, ip: Option<IpAddr>) {
        self.driver.act(&self.key, move |torrents, torrent| {
            torrents.engine.set_ip(torrent, ip, torrents.clock.now());
        });
    }

    /// Sets how many peers the client has, which decides whether further trackers are asked
    /// ([`AnnounceTo::AsNeeded`](crate::AnnounceTo::AsNeeded)). Cheap; to be called as often as it changes.
    pub fn set_peers(&self, peers: PeerCounts) {
        self.driver.act(&self.key, move |torrents, torrent| {
            torrents.engine.set_peers(torrent, peers, torrents.clock.now());
        });
    }

    /// Has the peers counted by this closure, in place of calls of [`set_peers`](Self::set_peers): now, and whenever it is
    /// decided whether further trackers are asked. It runs inside the announcer's loop, which waits for it. Where it panics,
    /// the last counts stand. It is dropped when the torrent ends, or with the next call of this.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    /// # use tracker_failover::{AnnounceHandle, PeerCounts};
    /// # fn count(session: &AnnounceHandle, connected: &Arc<AtomicU32>) {
    /// let connected = Arc::clone(connected);
    /// session.count_peers_with(move || PeerCounts {
    ///     connected: connected.load(Ordering::Relaxed),
    ///     ..PeerCounts::default()
    /// });
    /// # }
    /// ```
    pub fn count_peers_with(&self, counter: impl FnMut() -> PeerCounts + Send + 'static) {
        let counter: Guarded<PeerCounter> = Guarded::new(Box::new(counter));
        self.driver.act(&self.key, move |torrents, torrent| torrents.count_peers_with(torrent, counter));
    }

    /// Reports that the download has become complete: sends `completed` to the tracker in use, once, and sets `left` to 0.
    pub fn complete(&self) {
        self.driver.act(&self.key, |torrents, torrent| {
            torrents.engine.complete(torrent, torrents.clock.now());
        });
    }

    /// Asks for more peers: announces as soon as the `min interval` of the tracker in use allows.
    pub fn want_peers(&self) {
        self.driver.act(&self.key, |torrents, torrent| {
            torrents.engine.want_peers(torrent, torrents.clock.now());
        });
    }

    /// Announces now, regardless of interval and back-off. Trackers that asked for a pause (`retry in`, `Retry-After`) are
    /// left out.
    pub fn reannounce(&self) {
        self.driver.act(&self.key, |torrents, torrent| {
            torrents.engine.reannounce(torrent, torrents.clock.now());
        });
    }

    /// As [`reannounce`](Self::reannounce), and gives the result.
    ///
    /// # Errors
    /// When every tracker failed, with the cause of each; or when the announcer has ended.
    ///
    /// # Cancel safety
    /// Dropping the future discards the result. The announce goes on.
    pub async fn announce_now(&self) -> Result<Arc<Announced>, Arc<RoundError>> {
        let result = self.driver.ask(&self.key, Torrents::announce_now).await;
        result.unwrap_or_else(|ended| Err(Arc::new(RoundError::Ended(ended))))
    }

    /// Announces at this interval in place of the trackers' own; `None` goes back to theirs.
    pub fn override_interval(&self, interval: Option<Duration>) {
        self.driver.act(&self.key, move |torrents, torrent| {
            torrents.engine.override_interval(torrent, interval, torrents.clock.now());
        });
    }

    /// Adds a tracker to a tier (counted from 0), or as a new last tier where there is none of that number.
    /// A private torrent takes none (BEP 27), see [`TrackerSet::add`].
    pub fn add_tracker(&self, tier: usize, tracker: TrackerUrl) {
        self.change_trackers(move |trackers| {
            trackers.add(tier, tracker);
        });
    }

    /// Removes a tracker. Nothing is sent to it: its entry for this torrent expires by itself.
    pub fn remove_tracker(&self, tracker: TrackerUrl) {
        self.change_trackers(move |trackers| {
            trackers.remove(&tracker);
        });
    }

    /// Replaces all trackers. Those that are in the new list too keep what is known of them.
    pub fn replace_trackers(&self, tiers: Vec<Vec<TrackerUrl>>) {
        self.change_trackers(move |trackers| trackers.replace(tiers));
    }

    /// Changes the trackers by a closure: tiers, [order](TrackerSet::with_order), or
    /// [how many are announced to](TrackerSet::with_announce_to). What is known of trackers that stay is kept. The closure runs
    /// inside the announcer's loop, which waits for it; where it panics, nothing is changed.
    ///
    /// ```
    /// # use tracker_failover::{AnnounceHandle, TrackerUrl};
    /// # fn add_last(session: &AnnounceHandle, tracker: TrackerUrl) {
    /// session.change_trackers(|trackers| {
    ///     trackers.add(trackers.tiers().count(), tracker);
    /// });
    /// # }
    /// ```
    pub fn change_trackers(&self, change: impl FnOnce(&mut TrackerSet) + Send + 'static) {
        self.driver.act(&self.key, move |torrents, torrent| {
            let Some(mut changed) = torrents.engine.trackers(torrent).cloned() else { return };
            // A panic in the closure leaves the trackers as they were (R93).
            if contained(|| change(&mut changed)).is_some() {
                let now = torrents.clock.now();
                torrents.engine.change_trackers(torrent, move |trackers| *trackers = changed, now);
            }
        });
    }

    /// Makes the torrent private for the rest of its session, as the metadata of a magnet link may say after its trackers
    /// were added (BEP 27): from now on no tracker is probed or raced, and one at a time is announced to. A private torrent
    /// doesn't become public again.
    pub fn set_private(&self) {
        self.change_trackers(|trackers| *trackers = std::mem::take(trackers).private());
    }

    /// The present state of the announces: each tracker, and what is due when.
    ///
    /// # Errors
    /// When the announcer has ended.
    pub async fn status(&self) -> Result<Status, AnnouncerEnded> {
        let status = self
            .driver
            .look(&self.key, |torrents, torrent| torrents.engine.status(torrent, torrents.clock.now()));
        status.await
    }

    /// Why this tracker, why now, and what comes next, in one line of English.
    ///
    /// # Errors
    /// When the announcer has ended.
    pub async fn explain(&self) -> Result<String, AnnouncerEnded> {
        let line = self
            .driver
            .look(&self.key, |torrents, torrent| torrents.engine.explain(torrent, torrents.clock.now()));
        line.await
    }

    /// The present trackers, with what is known of them.
    ///
    /// # Errors
    /// When the announcer has ended.
    pub async fn trackers(&self) -> Result<TrackerSet, AnnouncerEnded> {
        self.driver.look(&self.key, |torrents, torrent| torrents.engine.trackers(torrent).cloned()).await
    }

    /// Asks the tracker in use how large the swarm is. Whatever comes of it, announces go to the same tracker as before.
    ///
    /// A tracker may name a [`min_request_interval`](crate::ScrapeResponse::min_request_interval). Until that has passed,
    /// its last answer is given again, for all torrents of the announcer.
    ///
    /// The future doesn't borrow the handle, so it can be awaited beside [`next_alert`](Self::next_alert).
    ///
    /// # Errors
    /// When no good answer came; [`AnnounceError::Unsupported`] where the tracker doesn't scrape.
    ///
    /// # Cancel safety
    /// Dropping the future gives the scrape up.
    pub fn scrape(&self) -> impl Future<Output = Result<ScrapeResponse, AnnounceError>> + Send + use<> {
        self.scrape_all(&[self.info_hash])
    }

    /// As [`scrape`](Self::scrape), for these torrents in one request: a tracker that limits scrapes answers for several
    /// torrents at once.
    ///
    /// # Errors
    /// As [`scrape`](Self::scrape); and [`AnnounceError::Suspended`] where the tracker isn't to be asked yet, and wasn't
    /// asked for one of these the last time.
    ///
    /// # Cancel safety
    /// Dropping the future gives the scrape up.
    pub fn scrape_all(
        &self,
        torrents: &[InfoHash],
    ) -> impl Future<Output = Result<ScrapeResponse, AnnounceError>> + Send + use<> {
        let (driver, key, info_hashes) = (self.driver.clone(), self.key.clone(), torrents.to_vec());
        let scraper = Arc::clone(&self.scraper);
        async move {
            let trackers = driver.look(&key, |torrents, torrent| torrents.engine.trackers(torrent).cloned());
            let trackers = trackers.await.map_err(|ended| AnnounceError::Local(Cause::new(ended)))?;
            let tracker =
                trackers.in_use().or_else(|| trackers.current()).ok_or(AnnounceError::Unsupported)?;
            scraper.scrape(tracker.clone(), info_hashes).await
        }
    }

    /// Ends the torrent: sends `stopped` in parallel, once, to every tracker at which it is registered, within
    /// [`Config::stop_limit`](crate::Config::stop_limit). Gives what came of each.
    ///
    /// # Errors
    /// When the announcer has ended, and the torrent with it.
    ///
    /// # Cancel safety
    /// Dropping the future discards the result. The torrent ends all the same.
    pub async fn stop(self) -> Result<Vec<StopResult>, AnnouncerEnded> {
        self.driver.ask(&self.key, |torrents, torrent, sender| torrents.stop(torrent, Some(sender))).await
    }
}

impl Drop for AnnounceHandle {
    fn drop(&mut self) {
        self.driver.act(&self.key, |torrents, torrent| torrents.stop(torrent, None));
    }
}

impl fmt::Debug for AnnounceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnounceHandle").field("info_hash", &self.info_hash).finish_non_exhaustive()
    }
}
