//! The handle of one torrent's announces: the loop's face for that torrent.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::alerts::{AlertSubscribers, Alerts};
use super::driver::{DriverLink, TorrentKey};
use super::guarded::{Guarded, contained};
use super::scraper::Scraper;
use super::torrents::{PeerCounter, StopReport, Torrents};
use crate::alert::Announced;
use crate::announce::{InfoHash, PeerCounts, Transfer};
use crate::counters::Counters;
use crate::error::{AnnounceError, AnnouncerEnded, Cause, RoundError};
use crate::policy::config::Order;
use crate::policy::{Status, TorrentId, TrackerSet};
use crate::scrape::ScrapeResponse;
use crate::tracker::TrackerUrl;
use crate::tracker_list::{DenyList, TrackerList};

/// The announces of one torrent, from [`Announcer::add`](crate::Announcer::add) until [`stop`](Self::stop).
///
/// `started` goes to the first tracker that answers, regular announces follow at its interval, and each goes to another
/// tracker when one fails. All methods take `&self`, and cloning is cheap and gives the same torrent, so any part of a program
/// can hold one. Dropping the last clone ends the torrent as [`stop`](Self::stop) does, without waiting.
#[derive(Clone)]
#[must_use = "dropping the last handle of a torrent ends its announces"]
pub struct AnnounceHandle(Arc<Session>);

/// What the clones of a handle share. Its end is the torrent's.
struct Session {
    driver: DriverLink,
    scraper: Arc<Scraper>,
    key: TorrentKey,
    subscribers: AlertSubscribers,
    info_hash: InfoHash,
}

impl AnnounceHandle {
    pub(super) fn new(
        driver: DriverLink,
        scraper: Arc<Scraper>,
        key: TorrentKey,
        subscribers: AlertSubscribers,
        info_hash: InfoHash,
    ) -> Self {
        Self(Arc::new(Session { driver, scraper, key, subscribers, info_hash }))
    }

    /// Has the loop run something, for tests of what it survives.
    #[cfg(test)]
    pub(super) fn run_in_loop(&self, action: impl FnOnce() + Send + 'static) {
        self.act(|_, _| action());
    }

    /// The torrent.
    pub fn info_hash(&self) -> InfoHash {
        self.0.info_hash
    }

    /// A further listener, which gets all alerts from now on.
    pub fn subscribe(&self) -> Alerts {
        self.0.subscribers.join()
    }

    /// Sets the counters that announces report; each announce sends the last ones that were set. `uploaded` and
    /// `downloaded` are totals in bytes since the session began, and never go back. A client with many torrents lets itself be
    /// asked instead, see [`count_with`](Self::count_with).
    ///
    /// When `left` goes from more than 0 to 0 the download has become complete, and `completed` is sent at once, as by
    /// [`complete`](Self::complete). Where it is 0 before the first announce, the download was complete from the start, and
    /// `completed` is never sent (BEP 3); nor is it where `left` was unknown before. Where files are checked after the torrent
    /// was added, see [`found_complete`](Self::found_complete).
    pub fn update(&self, transfer: Transfer) {
        self.act(move |torrents, torrent| torrents.engine.update(torrent, transfer, torrents.clock.now()));
    }

    /// Has the counters read from now on when an announce is written, in place of calls of [`update`](Self::update) and
    /// [`set_peers`](Self::set_peers), and when it is decided whether further trackers are asked. What
    /// [`update`](Self::update) says of `left` holds for them as well; a download that becomes complete between two announces
    /// is noticed at the next one, or at once by [`complete`](Self::complete).
    ///
    /// The counters are read inside the announcer's loop, which waits for them. Where they panic, the last ones stand, and the
    /// announce is delayed by a second. They are dropped when the torrent ends, or with the next call of this.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::sync::atomic::{AtomicU64, Ordering};
    /// # use tracker_failover::{AnnounceHandle, Transfer};
    /// # fn count(handle: &AnnounceHandle, left: &Arc<AtomicU64>) {
    /// let left = Arc::clone(left);
    /// handle.count_with(move || Transfer { left: Some(left.load(Ordering::Relaxed)), ..Transfer::default() });
    /// # }
    /// ```
    pub fn count_with(&self, counters: impl Counters) {
        let counters: Guarded<Box<dyn Counters>> = Guarded::new(Box::new(counters));
        self.0
            .driver
            .act_unlocked(&self.0.key, move |torrents, torrent| torrents.count_with(torrent, counters));
    }

    /// Sets how many peers announces ask for from now on, as in [`Torrent::num_want`](crate::Torrent::num_want).
    pub fn set_num_want(&self, num_want: Option<u32>) {
        self.act(move |torrents, torrent| torrents.engine.set_num_want(torrent, num_want));
    }

    /// Sets the port on which the client accepts connections, as in [`Torrent::port`](crate::Torrent::port). A changed one is
    /// announced soon, without an event, to each tracker that lists us.
    pub fn set_port(&self, port: u16) {
        self.act(move |torrents, torrent| {
            torrents.engine.set_port(torrent, port, torrents.clock.now());
        });
    }

    /// Sets the address to announce in place of the one that trackers see, as in [`Torrent::ip`](crate::Torrent::ip). A
    /// changed one is announced soon, without an event, to each tracker that lists us.
    pub fn set_ip(&self, ip: Option<IpAddr>) {
        self.act(move |torrents, torrent| {
            torrents.engine.set_ip(torrent, ip, torrents.clock.now());
        });
    }

    /// Sets how many peers the client has, which decides whether further trackers are asked
    /// ([`AnnounceTo::AsNeeded`](crate::AnnounceTo::AsNeeded)). Cheap; to be called as often as it changes.
    pub fn set_peers(&self, peers: PeerCounts) {
        self.act(move |torrents, torrent| {
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
        self.0.driver.act_unlocked(&self.0.key, move |torrents, torrent| {
            torrents.count_peers_with(torrent, counter);
        });
    }

    /// Reports that the download has become complete: sends `completed` to the tracker in use, once, and sets `left` to 0.
    pub fn complete(&self) {
        self.act(|torrents, torrent| {
            torrents.engine.complete(torrent, torrents.clock.now());
        });
    }

    /// Reports that the files were found to be complete, such as by a check after the torrent was added: sets `left` to 0,
    /// and `completed` is never sent, because nothing was downloaded (BEP 3).
    pub fn found_complete(&self) {
        self.act(|torrents, torrent| torrents.engine.found_complete(torrent, torrents.clock.now()));
    }

    /// Asks for more peers: announces as soon as the `min interval` of the tracker in use allows.
    pub fn want_peers(&self) {
        self.act(|torrents, torrent| {
            torrents.engine.want_peers(torrent, torrents.clock.now());
        });
    }

    /// Announces now, regardless of interval and back-off. Trackers that asked for a pause (`retry in`, `Retry-After`) are
    /// left out.
    pub fn reannounce(&self) {
        self.act(|torrents, torrent| {
            torrents.engine.reannounce(torrent, torrents.clock.now());
        });
    }

    /// As [`reannounce`](Self::reannounce), and gives the result.
    ///
    /// # Errors
    /// When every tracker failed, with the cause of each; when the torrent is [paused](Self::pause); or when it or the
    /// announcer has ended.
    ///
    /// # Cancel safety
    /// Dropping the future discards the result. The announce goes on.
    pub async fn announce_now(&self) -> Result<Arc<Announced>, Arc<RoundError>> {
        let result = self.0.driver.ask(&self.0.key, Torrents::announce_now).await;
        result.unwrap_or_else(|ended| Err(Arc::new(RoundError::Ended(ended))))
    }

    /// Announces at this interval in place of the trackers' own; `None` goes back to theirs.
    pub fn override_interval(&self, interval: Option<Duration>) {
        self.act(move |torrents, torrent| {
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

    /// Adds the trackers of a list for all public torrents behind the torrent's own. A private torrent takes none (BEP 27), and
    /// loses them when it turns private, see [`TrackerSet::add_list`].
    pub fn add_tracker_list(&self, list: TrackerList) {
        self.change_trackers(move |trackers| {
            trackers.add_list(&list);
        });
    }

    /// Removes the trackers that aren't wanted. Nothing is sent to them.
    pub fn remove_denied_trackers(&self, denied: DenyList) {
        self.change_trackers(move |trackers| {
            trackers.remove_denied(&denied);
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
        self.0.driver.act_unlocked(&self.0.key, move |torrents, torrent| {
            let known = torrents.lock().engine.trackers(torrent).cloned();
            let Some(mut changed) = known else { return };
            // A panic in the closure leaves the trackers as they were (R93).
            if contained(|| change(&mut changed)).is_some() {
                let mut torrents = torrents.lock();
                let now = torrents.clock.now();
                torrents.engine.change_trackers(torrent, move |trackers| *trackers = changed, now);
            }
        });
    }

    /// Sets the order in which trackers are tried from now on, in place of [`Config::order`](crate::Config::order). A private
    /// torrent keeps the order of its list (BEP 27).
    pub fn set_order(&self, order: Order) {
        self.change_trackers(move |trackers| *trackers = std::mem::take(trackers).with_order(order));
    }

    /// Makes the torrent private for the rest of its session, as the metadata of a magnet link may say after its trackers
    /// were added (BEP 27): from now on no tracker is probed or raced, and one at a time is announced to. A private torrent
    /// doesn't become public again.
    pub fn set_private(&self) {
        self.change_trackers(|trackers| *trackers = std::mem::take(trackers).private());
    }

    /// Pauses the announces: sends `stopped` as [`stop`](Self::stop) does, within
    /// [`Config::stop_limit`](crate::Config::stop_limit), and then nothing until [`resume`](Self::resume). Counters, key,
    /// settings, and what is known of trackers are kept, and can be changed meanwhile.
    pub fn pause(&self) {
        self.act(|torrents, torrent| torrents.engine.pause(torrent, torrents.clock.now()));
    }

    /// As [`pause`](Self::pause), but without `stopped`: for a short pause, in which trackers may go on to name us. What is
    /// under way is given up.
    pub fn pause_silently(&self) {
        self.act(|torrents, torrent| torrents.engine.pause_silently(torrent, torrents.clock.now()));
    }

    /// Ends a pause: announces at once, with `started` to a tracker that was sent `stopped`.
    pub fn resume(&self) {
        self.act(|torrents, torrent| torrents.engine.resume(torrent, torrents.clock.now()));
    }

    /// The present state of the announces: each tracker, and what is due when. `None` once the torrent or the announcer has
    /// ended, and while an announcer that has just been started reads its latency cache, at most a second.
    ///
    /// Takes about a microsecond for each tracker, during which no announce goes on.
    pub fn status(&self) -> Option<Status> {
        self.look(|torrents, torrent| torrents.engine.status(torrent, torrents.clock.now()))
    }

    /// Why this tracker, why now, and what comes next, in one line of English. `None` as for [`status`](Self::status).
    pub fn explain(&self) -> Option<String> {
        self.look(|torrents, torrent| torrents.engine.explain(torrent, torrents.clock.now()))
    }

    /// The present trackers, with what is known of them. `None` as for [`status`](Self::status).
    pub fn trackers(&self) -> Option<TrackerSet> {
        self.look(|torrents, torrent| torrents.engine.trackers(torrent).cloned())
    }

    /// Asks the tracker in use how large the swarm is. Whatever comes of it, announces go to the same tracker as before.
    ///
    /// A tracker may name a [`min_request_interval`](crate::ScrapeResponse::min_request_interval). Until that has passed,
    /// its last answer is given again, for all torrents of the announcer.
    ///
    /// The future doesn't borrow the handle, so it can be awaited in another task.
    ///
    /// # Errors
    /// When no good answer came; [`AnnounceError::NotScraped`] where the tracker doesn't scrape.
    ///
    /// # Cancel safety
    /// Dropping the future gives the scrape up.
    pub fn scrape(&self) -> impl Future<Output = Result<ScrapeResponse, AnnounceError>> + Send + use<> {
        self.scrape_all(&[self.0.info_hash])
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
        let (driver, key, info_hashes) = (self.0.driver.clone(), self.0.key.clone(), torrents.to_vec());
        let scraper = Arc::clone(&self.0.scraper);
        async move {
            // By way of the loop, which may not have added the torrent yet.
            let trackers = driver.ask(&key, |torrents, torrent, sender| {
                if let Some(trackers) = torrents.engine.trackers(torrent) {
                    // The caller may have left.
                    let _ = sender.send(trackers.clone());
                }
            });
            let trackers = trackers.await.map_err(|ended| AnnounceError::Local(Cause::new(ended)))?;
            let tracker =
                trackers.in_use().or_else(|| trackers.current()).ok_or(AnnounceError::Unsupported)?;
            scraper.scrape(tracker.clone(), info_hashes).await
        }
    }

    /// Ends the torrent: sends `stopped` in parallel, once, to every tracker at which it is registered, within
    /// [`Config::stop_limit`](crate::Config::stop_limit). Gives what came of each, and the trackers with what is known of
    /// them.
    ///
    /// # Errors
    /// When the torrent or the announcer had ended before.
    ///
    /// # Cancel safety
    /// Dropping the future discards the result. The torrent ends all the same, if the future was polled.
    pub async fn stop(&self) -> Result<StopReport, AnnouncerEnded> {
        let driver = &self.0.driver;
        driver.ask(&self.0.key, |torrents, torrent, sender| torrents.stop(torrent, Some(sender))).await
    }

    /// Ends the torrent at once, without `stopped`: trackers drop us when our registrations expire.
    pub fn forget(&self) {
        self.act(|torrents, torrent| torrents.engine.forget(torrent, torrents.clock.now()));
    }

    /// Has something done to the torrent inside the loop.
    fn act(&self, action: impl FnOnce(&mut Torrents, TorrentId) + Send + 'static) {
        self.0.driver.act(&self.0.key, action);
    }

    /// What is known of the torrent.
    fn look<T>(&self, read: impl FnOnce(&Torrents, TorrentId) -> Option<T>) -> Option<T> {
        self.0.driver.look(&self.0.key, read)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.act(&self.key, |torrents, torrent| torrents.stop(torrent, None));
    }
}

impl fmt::Debug for AnnounceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnounceHandle").field("info_hash", &self.0.info_hash).finish_non_exhaustive()
    }
}
