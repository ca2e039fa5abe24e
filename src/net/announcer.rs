//! The announcer of a process, as its users see it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::alerts;
use super::driver::{self, Command, Driver, Ended, HandleKey, Parts};
use super::handle::AnnounceHandle;
use super::scraped::Scraped;
use crate::alert::{Alert, Announced, ShutdownReport};
use crate::announce::{AnnounceRequest, Torrent};
use crate::error::{AnnouncerEnded, RoundError};
use crate::policy::{TorrentId, TrackerSet};
use crate::transport::Transport;

/// Announces torrents to their trackers, with failover: one for all torrents of a process.
///
/// One torrent finds a dead tracker host, and the others profit. Cloning is cheap and gives the same announcer.
/// Its task ends when all clones and all [`AnnounceHandle`]s are gone and everybody who knew us was told.
///
/// ```no_run
/// use tracker_failover::{Announcer, InfoHash, PeerId, Torrent, TrackerSet};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let trackers = TrackerSet::new([["http://a.test/announce".parse()?, "http://b.test/announce".parse()?]]);
/// let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
/// let mut session = Announcer::new().add(trackers, torrent);
/// while let Some(alert) = session.next_alert().await {
///     println!("{alert}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Announcer {
    commands: mpsc::UnboundedSender<Command>,
    ended: Ended,
    transport: Arc<dyn Transport>,
    scraped: Arc<Scraped>,
    scrape_limit: Duration,
    alert_queue: usize,
    runtime: Handle,
}

/// How long the report of a shutdown is waited for, even if it has to be over at once.
const SHORTEST_SHUTDOWN: Duration = Duration::from_millis(20);

impl Announcer {
    /// Starts the task of an announcer.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn start(parts: Parts) -> Self {
        let transport = Arc::clone(&parts.transport);
        let scrape_limit = parts.config.open_limit.saturating_add(parts.config.reply_limit);
        let alert_queue = parts.config.alert_queue.max(1);
        let (commands, ended) = driver::start(parts);
        let runtime = Handle::current();
        Self { commands, ended, transport, scraped: Arc::default(), scrape_limit, alert_queue, runtime }
    }

    /// Makes one announce, with failover: to the first tracker of `trackers` that answers. Unmeasured trackers
    /// are measured first where [`Config::probing`](crate::Config::probing) says so, and the first to answer is the one.
    ///
    /// `trackers` keeps what was learned: the cursor stands on the tracker that answered, so the next announce
    /// goes there. Which event is due is the caller's business; [`add`](Self::add) takes care of that too.
    ///
    /// # Errors
    /// When every tracker failed: each with its cause; or when the announcer has ended.
    ///
    /// # Cancel safety
    /// Dropping the future gives the announce up as soon as it has settled; `trackers` stays as it was.
    pub async fn announce(
        &self,
        trackers: &mut TrackerSet,
        request: AnnounceRequest,
    ) -> Result<Arc<Announced>, Arc<RoundError>> {
        let (done, ended) = oneshot::channel();
        let command =
            Command::Once { trackers: Box::new(trackers.clone()), request: Box::new(request), done };
        // Where there is no loop, the sender of the outcome is dropped.
        self.give(command);
        let once = ended.await.map_err(|_| Arc::new(RoundError::Ended(self.reason())))?;
        *trackers = once.trackers;
        once.result
    }

    /// Takes over the announces of a torrent for the whole of its life. A `key` of 0 is replaced by a random
    /// one.
    pub fn add(&self, trackers: TrackerSet, mut torrent: Torrent) -> AnnounceHandle {
        if torrent.key == 0 {
            torrent.key = rand::random();
        }
        let (alerts, receiver) = alerts::alerts(self.alert_queue);
        let key = HandleKey::default();
        let info_hash = torrent.info_hash;
        let (trackers, torrent) = (Box::new(trackers), Box::new(torrent));
        self.give(Command::Add { trackers, torrent, alerts, key: key.clone() });
        AnnounceHandle::new(self.clone(), key, receiver, info_hash)
    }

    /// The network has changed: another interface, another address, a tunnel. Hosts that couldn't be reached may be
    /// tried again, and sessions in trouble announce at once. To be called by whoever can tell.
    pub fn network_changed(&self) {
        self.give(Command::NetworkChanged);
    }

    /// Why this announcer announces nothing any more; `None` while it does.
    pub fn ended(&self) -> Option<AnnouncerEnded> {
        self.ended.get()
    }

    /// Ends all sessions, and this announcer: `stopped` goes in parallel to every tracker that knows us, until the
    /// deadline. All clones say afterwards that the announcer has ended. Gives who was told, who refused, and for whom
    /// there was no time.
    ///
    /// Whatever hangs (trackers, look-ups, the disk of the latency cache), it returns by the deadline.
    ///
    /// # Cancel safety
    /// The sessions end all the same.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let (waiter, report) = oneshot::channel();
        self.give(Command::Shutdown(deadline, waiter));
        match timeout(deadline.max(SHORTEST_SHUTDOWN), report).await {
            Ok(Ok(report)) => report,
            Ok(Err(_)) => ShutdownReport { ended: Some(self.reason()), ..ShutdownReport::default() },
            Err(_) => ShutdownReport::default(),
        }
    }

    pub(super) fn send(&self, key: &HandleKey, then: impl FnOnce(&mut Driver, TorrentId) + Send + 'static) {
        self.give(Command::To(key.clone(), Box::new(then)));
    }

    /// Why what was asked of the loop won't be answered: it has ended, or does so.
    pub(super) fn reason(&self) -> AnnouncerEnded {
        self.ended.get().unwrap_or(AnnouncerEnded::ShutDown)
    }

    /// Gives the loop something to do, or says that there is none any more.
    fn give(&self, command: Command) {
        if let Err(mpsc::error::SendError(command)) = self.commands.send(command) {
            command.refuse(&Alert::AnnouncerEnded { reason: self.reason() });
        }
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    pub(super) fn scraped(&self) -> &Scraped {
        &self.scraped
    }

    pub(super) fn scrape_limit(&self) -> Duration {
        self.scrape_limit
    }

    /// Where all that shares the transport runs.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Announcer")
    }
}
