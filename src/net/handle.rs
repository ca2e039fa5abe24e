//! The handle of one torrent's announces.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::alerts::Alerts;
use super::announcer::Announcer;
use super::clock::timeout;
use super::driver::{Driver, HandleKey};
use super::guarded::contained;
use crate::alert::{Alert, Announced, StopResult};
use crate::announce::{InfoHash, Transfer};
use crate::error::{AnnounceError, AnnouncerEnded, Cause, RoundError, TimeoutPhase};
use crate::policy::{Status, TorrentId, TrackerSet};
use crate::scrape::ScrapeResponse;
use crate::tracker::TrackerUrl;

/// The announces of one torrent, from [`Announcer::add`] until [`stop`](Self::stop).
///
/// `started` goes to the first tracker that answers, regular announces follow at its interval, and each moves
/// on when a tracker fails. Dropping the handle ends the session as [`stop`](Self::stop) does, without waiting.
pub struct AnnounceHandle {
    announcer: Announcer,
    key: HandleKey,
    alerts: Alerts,
    info_hash: InfoHash,
}

impl AnnounceHandle {
    pub(super) fn new(announcer: Announcer, key: HandleKey, alerts: Alerts, info_hash: InfoHash) -> Self {
        Self { announcer, key, alerts, info_hash }
    }

    #[cfg(test)]
    pub(super) fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    #[cfg(test)]
    pub(super) fn key(&self) -> &HandleKey {
        &self.key
    }

    /// The next alert; `None` when the session has ended.
    ///
    /// # Cancel safety
    /// No alert is lost.
    pub async fn next_alert(&mut self) -> Option<Alert> {
        self.alerts.next().await
    }

    /// A further listener, which hears what happens from now on.
    pub fn subscribe(&self) -> Alerts {
        self.alerts.subscribe()
    }

    /// The counters as they are now; announces tell the last ones given. `uploaded` and `downloaded` are totals
    /// of the session and never go back.
    ///
    /// Where `left` is found to be 0 before the first announce, the download was complete from the start, and
    /// `completed` is never sent (BEP 3).
    pub fn update(&self, transfer: Transfer) {
        self.announcer.send(&self.key, move |state, torrent| state.engine.update(torrent, transfer));
    }

    /// How many peers the announces from now on ask for, as in [`Torrent::num_want`](crate::Torrent::num_want).
    pub fn set_num_want(&self, num_want: Option<u32>) {
        self.announcer.send(&self.key, move |state, torrent| state.engine.set_num_want(torrent, num_want));
    }

    /// The download has become complete: tells the tracker in use, once. Sets `left` to 0.
    pub fn complete(&self) {
        self.announcer.send(&self.key, |state, torrent| state.engine.complete(torrent, state.clock.now()));
    }

    /// More peers are wanted: announces as soon as the tracker in use allows.
    pub fn want_peers(&self) {
        self.announcer.send(&self.key, |state, torrent| state.engine.want_peers(torrent, state.clock.now()));
    }

    /// Announces now, whatever interval and back-off say; trackers that asked not to be asked are left out.
    pub fn reannounce(&self) {
        self.announcer.send(&self.key, |state, torrent| {
            state.engine.reannounce(torrent, state.clock.now());
        });
    }

    /// As [`reannounce`](Self::reannounce), and waits for what comes of it.
    ///
    /// # Errors
    /// When every tracker failed: each with its cause; or when the announcer has ended.
    ///
    /// # Cancel safety
    /// The announce goes on all the same.
    pub async fn announce_now(&self) -> Result<Arc<Announced>, Arc<RoundError>> {
        self.ask(Driver::announce_now).await.unwrap_or_else(|ended| Err(Arc::new(RoundError::Ended(ended))))
    }

    /// Replaces the trackers' interval, or gives it back to them.
    pub fn override_interval(&self, interval: Option<Duration>) {
        self.announcer.send(&self.key, move |state, torrent| {
            state.engine.override_interval(torrent, interval, state.clock.now());
        });
    }

    /// Adds a tracker to a tier, or as a new last tier where there is none of that number (counted from 0).
    /// A private torrent takes none (BEP 27), see [`TrackerSet::add`].
    pub fn add_tracker(&self, tier: usize, tracker: TrackerUrl) {
        self.change_trackers(move |trackers| {
            trackers.add(tier, tracker);
        });
    }

    /// Removes a tracker. It isn't told: the entry it holds of us expires by itself.
    pub fn remove_tracker(&self, tracker: TrackerUrl) {
        self.change_trackers(move |trackers| {
            trackers.remove(&tracker);
        });
    }

    /// Replaces all trackers. Those that stay keep what is known of them.
    pub fn replace_trackers(&self, tiers: Vec<Vec<TrackerUrl>>) {
        self.change_trackers(move |trackers| trackers.replace(tiers));
    }

    /// How the announces stand.
    ///
    /// # Errors
    /// When the announcer has ended.
    pub async fn status(&self) -> Result<Status, AnnouncerEnded> {
        self.look(|state, torrent| state.engine.status(torrent, state.clock.now())).await
    }

    /// Why this tracker, why now, and what comes next: one line that a person understands.
    ///
    /// # Errors
    /// When the announcer has ended.
    pub async fn explain(&self) -> Result<String, AnnouncerEnded> {
        self.look(|state, torrent| state.engine.explain(torrent, state.clock.now())).await
    }

    /// The trackers as they stand, with what is known of them.
    ///
    /// # Errors
    /// When the announcer has ended.
    pub async fn trackers(&self) -> Result<TrackerSet, AnnouncerEnded> {
        look(&self.announcer, &self.key, |state, torrent| state.engine.trackers(torrent).cloned()).await
    }

    /// Asks the tracker in use how large the swarm is. Never moves the announce cursor, whatever comes of it.
    ///
    /// Where that tracker has named a
    /// [`min_request_interval`](crate::ScrapeResponse::min_request_interval) that hasn't passed, it isn't asked, by
    /// whichever torrent: its last answer is given once more.
    ///
    /// The future doesn't borrow the handle, so it can be awaited beside [`next_alert`](Self::next_alert).
    ///
    /// # Errors
    /// When no good answer came, or the tracker doesn't scrape.
    pub fn scrape(&self) -> impl Future<Output = Result<ScrapeResponse, AnnounceError>> + Send + use<> {
        self.scrape_all(&[self.info_hash])
    }

    /// As [`scrape`](Self::scrape), of these torrents: a tracker answers for all it has in one go. Whoever has
    /// several torrents on a tracker that limits scrapes asks for all of them at once.
    ///
    /// # Errors
    /// When no good answer came, or the tracker doesn't scrape. [`AnnounceError::Suspended`] where the tracker isn't
    /// to be asked yet, and wasn't asked about one of them the last time.
    pub fn scrape_all(
        &self,
        torrents: &[InfoHash],
    ) -> impl Future<Output = Result<ScrapeResponse, AnnounceError>> + Send + use<> {
        let (announcer, key, torrents) = (self.announcer.clone(), self.key.clone(), torrents.to_vec());
        async move {
            let trackers = look(&announcer, &key, |state, torrent| state.engine.trackers(torrent).cloned());
            let trackers = trackers.await.map_err(|ended| AnnounceError::Local(Cause::new(ended)))?;
            let tracker =
                trackers.in_use().or_else(|| trackers.current()).ok_or(AnnounceError::Unsupported)?;
            let host = tracker.tracker_host();
            if let Some(known) = announcer.scraped().instead(&host, &torrents) {
                return known;
            }
            let (tracker, runtime) = (tracker.clone(), announcer.runtime().clone());
            let limited = async move {
                let scrape = async {
                    let mut channel = announcer.transport().open(&tracker).await?;
                    let response = channel.scrape(&torrents).await?;
                    announcer.scraped().note(host, &torrents, &response);
                    Ok(response)
                };
                let limited = timeout(announcer.scrape_limit(), scrape).await;
                limited.unwrap_or(Err(AnnounceError::TimedOut(TimeoutPhase::Reply)))
            };
            // On the announcer's runtime, whose connections it shares (R105). Dropping the set gives the scrape up.
            let mut scraping = JoinSet::new();
            scraping.spawn_on(limited, &runtime);
            match scraping.join_next().await {
                Some(Ok(scraped)) => scraped,
                _ => Err(AnnounceError::Cancelled),
            }
        }
    }

    /// Ends the session: `stopped` goes in parallel, once, to every tracker that knows us, within
    /// [`Config::stop_limit`](crate::Config::stop_limit). Gives who was told, and what came of it.
    ///
    /// # Errors
    /// When the announcer has ended, and the session with it.
    ///
    /// # Cancel safety
    /// The session ends all the same.
    pub async fn stop(self) -> Result<Vec<StopResult>, AnnouncerEnded> {
        self.ask(|state, torrent, ended| state.stop(torrent, Some(ended))).await
    }

    pub(super) fn change_trackers(&self, change: impl FnOnce(&mut TrackerSet) + Send + 'static) {
        self.announcer.send(&self.key, move |state, torrent| {
            let Some(mut changed) = state.engine.trackers(torrent).cloned() else { return };
            // A panic in the closure leaves the trackers as they were.
            if contained(|| change(&mut changed)).is_some() {
                let now = state.clock.now();
                state.engine.change_trackers(torrent, move |trackers| *trackers = changed, now);
            }
        });
    }

    /// Has the loop do something that is answered sooner or later.
    async fn ask<T: Send + 'static>(
        &self,
        then: impl FnOnce(&mut Driver, TorrentId, oneshot::Sender<T>) + Send + 'static,
    ) -> Result<T, AnnouncerEnded> {
        ask(&self.announcer, &self.key, then).await
    }

    async fn look<T: Send + 'static>(
        &self,
        then: impl FnOnce(&Driver, TorrentId) -> Option<T> + Send + 'static,
    ) -> Result<T, AnnouncerEnded> {
        look(&self.announcer, &self.key, then).await
    }
}

impl Drop for AnnounceHandle {
    fn drop(&mut self) {
        self.announcer.send(&self.key, |state, torrent| state.stop(torrent, None));
    }
}

/// What the loop knows of a torrent. It knows nothing of one whose session has ended, and while there is a handle that
/// is the announcer's end.
async fn look<T: Send + 'static>(
    announcer: &Announcer,
    key: &HandleKey,
    then: impl FnOnce(&Driver, TorrentId) -> Option<T> + Send + 'static,
) -> Result<T, AnnouncerEnded> {
    let known = ask(announcer, key, |state, torrent, waiter| {
        // Whoever asked may have gone.
        let _ = waiter.send(then(state, torrent));
    });
    known.await?.ok_or_else(|| announcer.reason())
}

async fn ask<T: Send + 'static>(
    announcer: &Announcer,
    key: &HandleKey,
    then: impl FnOnce(&mut Driver, TorrentId, oneshot::Sender<T>) + Send + 'static,
) -> Result<T, AnnouncerEnded> {
    let (waiter, answer) = oneshot::channel();
    announcer.send(key, move |state, torrent| then(state, torrent, waiter));
    answer.await.map_err(|_| announcer.reason())
}

impl fmt::Debug for AnnounceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnounceHandle").field("info_hash", &self.info_hash).finish_non_exhaustive()
    }
}
