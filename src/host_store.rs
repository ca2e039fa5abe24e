//! Where what is known of tracker hosts is kept and shared: the [`HostStore`], which a client can implement itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::CacheError;
use crate::host_snapshot::HostSnapshot;

/// Keeps what is known of tracker hosts from one run to the next, and shares it between processes: one finds a host dead,
/// and the others skip it within a second.
///
/// An announcer loads the store once when it starts, publishes what it learns, and takes in what others have published at any
/// time. Of each host the newest word counts ([`HostSnapshot::is_newer_than`]); what a process heard later itself stays. A
/// store that is gone, slow or full of nonsense costs its news and nothing else: each call runs in a task of its own, one
/// publish at a time, within [`StoreTimes::limit`], and is made again after a pause that grows to a minute. The first of
/// several failures in a row is reported as [`Alert::CacheFailed`](crate::Alert::CacheFailed).
///
/// A snapshot holds scheme, host and port of a tracker, its times and its counts: no path, no query, and nothing of the
/// torrents. A party that can write to a store can make its readers try trackers in another order and leave one out for a minute
/// at a time, and nothing worse.
///
/// `AnnouncerBuilder::latency_cache` is the store of a file, and `RedisStore` that of Redis. Implementing another takes
/// `async-trait = "0.1"` among the dependencies:
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use tokio::sync::broadcast;
/// use tracker_failover::{CacheError, Cause, HostSnapshot, HostStore, TrackerHost};
///
/// /// Shared by the announcers of one process.
/// struct InMemory {
///     hosts: Mutex<BTreeMap<TrackerHost, HostSnapshot>>,
///     news: broadcast::Sender<HostSnapshot>,
///     /// One receiver for each announcer.
///     unread: tokio::sync::Mutex<broadcast::Receiver<HostSnapshot>>,
/// }
///
/// #[async_trait]
/// impl HostStore for InMemory {
///     async fn load(&self) -> Result<Vec<HostSnapshot>, CacheError> {
///         Ok(self.hosts.lock().map_err(|_| failed("poisoned"))?.values().cloned().collect())
///     }
///
///     async fn publish(&self, hosts: Vec<HostSnapshot>) -> Result<(), CacheError> {
///         let mut known = self.hosts.lock().map_err(|_| failed("poisoned"))?;
///         for host in hosts {
///             if known.get(&host.host).is_none_or(|known| host.is_newer_than(known)) {
///                 known.insert(host.host.clone(), host.clone());
///                 let _ = self.news.send(host);
///             }
///         }
///         Ok(())
///     }
///
///     async fn changes(&self) -> Result<Vec<HostSnapshot>, CacheError> {
///         match self.unread.lock().await.recv().await {
///             Ok(host) => Ok(vec![host]),
///             Err(broadcast::error::RecvError::Lagged(_)) => self.load().await,
///             Err(error) => Err(CacheError::Store(Cause::new(error))),
///         }
///     }
/// }
///
/// fn failed(why: &'static str) -> CacheError {
///     CacheError::Store(Cause::new(why))
/// }
/// ```
///
/// # Cancel safety
/// Dropping a future of any method has to give the operation up.
#[async_trait]
pub trait HostStore: Send + Sync {
    /// Everything in the store, at the start of an announcer. The first announce waits for it for
    /// [`StoreTimes::first_announce`] at most; what comes later is used from then on.
    ///
    /// # Errors
    /// When the store can't be read.
    ///
    /// # Cancel safety
    /// Dropping the future gives the operation up.
    async fn load(&self) -> Result<Vec<HostSnapshot>, CacheError>;

    /// Keeps these hosts, each unless the store has a newer snapshot of it, and lets other processes hear of them. They are
    /// what has changed since the last publish that succeeded; the first time everything that is known.
    ///
    /// # Errors
    /// When the store can't be written to. All of them are published again later, with what has changed meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future gives the operation up; part of it may have been done.
    async fn publish(&self, hosts: Vec<HostSnapshot>) -> Result<(), CacheError>;

    /// Waits until other processes have published something, and gives it: what was published since the last call, or
    /// everything where that isn't known. What this process published may be among it. By default it waits for ever: a store
    /// without news.
    ///
    /// # Errors
    /// When the store can't be listened to. It is called again after a pause.
    ///
    /// # Cancel safety
    /// Dropping the future may lose what it was about to give.
    async fn changes(&self) -> Result<Vec<HostSnapshot>, CacheError> {
        std::future::pending().await
    }

    /// When the store is published to, and how long it is waited for.
    fn times(&self) -> StoreTimes {
        StoreTimes::default()
    }
}

/// When a [`HostStore`] is published to, and how long it is waited for.
///
/// ```
/// use std::time::Duration;
/// use tracker_failover::StoreTimes;
///
/// let times = StoreTimes::default().figures(Duration::from_secs(30)).limit(Duration::from_secs(2));
/// assert_eq!(times, times.state(Duration::from_millis(100)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreTimes {
    /// How long a host that was found dead, or alive again, waits for further news.
    pub(crate) state: Duration,
    /// How long other changes wait for further ones.
    pub(crate) figures: Duration,
    /// How long the first announce waits for what is loaded.
    pub(crate) first_announce: Duration,
    /// How long loading or publishing may take.
    pub(crate) limit: Duration,
}

impl Default for StoreTimes {
    fn default() -> Self {
        Self {
            state: Duration::from_millis(100),
            figures: Duration::from_secs(5),
            first_announce: Duration::from_millis(250),
            limit: Duration::from_secs(5),
        }
    }
}

impl StoreTimes {
    /// The time after which it is published that a host was found dead, or alive again. Others are to hear of it within a
    /// second, and hosts that die together are to make one publish. Default: 100 ms.
    #[must_use]
    pub fn state(mut self, delay: Duration) -> Self {
        self.state = delay;
        self
    }

    /// The time after which latencies and moments are published: they only order trackers. Default: 5 s.
    #[must_use]
    pub fn figures(mut self, delay: Duration) -> Self {
        self.figures = delay;
        self
    }

    /// How long the first announce waits for what is loaded: a store nearby answers within milliseconds. Default: 250 ms.
    #[must_use]
    pub fn first_announce(mut self, wait: Duration) -> Self {
        self.first_announce = wait;
        self
    }

    /// How long loading or publishing may take. What takes longer is given up and tried again later. Default: 5 s.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

#[async_trait]
impl<T: HostStore + ?Sized> HostStore for Arc<T> {
    async fn load(&self) -> Result<Vec<HostSnapshot>, CacheError> {
        (**self).load().await
    }

    async fn publish(&self, hosts: Vec<HostSnapshot>) -> Result<(), CacheError> {
        (**self).publish(hosts).await
    }

    async fn changes(&self) -> Result<Vec<HostSnapshot>, CacheError> {
        (**self).changes().await
    }

    fn times(&self) -> StoreTimes {
        (**self).times()
    }
}
