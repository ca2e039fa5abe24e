//! Alerts for listeners: of one torrent, or of all, each with a queue that is bounded by number and by bytes.
//!
//! A listener that lags loses alerts, but few peers: the newest peers of lost alerts are kept, each once. This isn't
//! tokio's `broadcast`, which allocates a whole queue at once: 30 KB for each torrent.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::net::{SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::alert::Alert;
use crate::announce::{InfoHash, Peer, PeerAddress};

/// The queue of a listener that reads: room for a few answers of 200 peers, or for the whole start of a torrent with
/// fifty trackers.
const READING: Bounds = Bounds { alerts: usize::MAX, bytes: 32 << 10, peers: 12 << 10 };

/// The queue of a listener that hasn't read anything yet, and may never.
const NOT_YET_READING: Bounds = Bounds { alerts: usize::MAX, bytes: 8 << 10, peers: 12 << 10 };

/// The queue of a listener that has let it overflow, until it reads again. A seedbox may keep ten thousand listeners
/// without reading their alerts.
const OVERFLOWED: Bounds = Bounds { alerts: 4, bytes: 1 << 10, peers: 1200 };

/// The queue of a listener to all torrents, of which a process has few: room for some hundred answers.
const ALL_TORRENTS: Bounds = Bounds { alerts: usize::MAX, bytes: 4 << 20, peers: 1 << 20 };

/// How many torrents' lost alerts are counted apart, at most.
const MAX_LOST_TORRENTS: usize = 100_000;

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// How many alerts it holds.
    alerts: usize,
    /// How much memory they take, in bytes.
    bytes: usize,
    /// How much memory the peers of lost alerts take, in bytes: 200 IPv4 addresses take 1200.
    peers: usize,
}

/// The alerts of one torrent, from [`Announcer::add`](crate::Announcer::add) or
/// [`AnnounceHandle::subscribe`](crate::AnnounceHandle::subscribe); also a [`Stream`].
///
/// The queue is bounded, so that a listener that doesn't read neither delays an announce nor takes memory without limit.
/// It gets the number of alerts that it lost, with the newest peers of those ([`Alert::Lagged`]). Without listeners nothing is
/// kept: drop this where alerts aren't read.
pub struct Alerts(Listener);

/// The alerts of all torrents of an announcer, each with its torrent, from
/// [`Announcer::alerts`](crate::Announcer::alerts); also a [`Stream`].
///
/// One task can log or serve all torrents with it. Its queue is bounded as that of [`Alerts`] is. Peers of lost alerts are
/// given torrent by torrent.
pub struct AllAlerts(Listener);

/// The sending end of alerts. Dropping it ends the alerts of all listeners.
pub(super) struct AlertSender {
    subscribers: AlertSubscribers,
}

/// The listeners to one torrent, or to all.
#[derive(Clone)]
pub(super) struct AlertSubscribers(Arc<Mutex<Listeners>>);

#[derive(Default)]
struct Listeners {
    queues: Vec<Weak<Mutex<Backlog>>>,
    /// How many alerts wait for one listener, at most.
    limit: usize,
    /// Whether they listen to all torrents.
    to_all: bool,
    /// Whether the sender is gone.
    ended: bool,
}

/// The receiving end of a queue.
struct Listener(Arc<Mutex<Backlog>>);

/// The queue of one listener.
#[derive(Default)]
struct Backlog {
    alerts: VecDeque<(InfoHash, Alert)>,
    /// The memory that the alerts take.
    bytes: usize,
    /// What is kept of lost alerts, by torrent, in order.
    lost: Vec<(InfoHash, LostAlerts)>,
    /// The memory that their peers take.
    lost_bytes: usize,
    /// The listener's task, while that waits.
    waits: Option<Waker>,
    /// Whether it listens to all torrents.
    to_all: bool,
    /// How its listener has read so far.
    reader: Reader,
    /// Whether the sender is gone.
    ended: bool,
}

/// How a listener reads.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Reader {
    /// It has never asked for an alert.
    #[default]
    Unknown,
    /// It reads.
    Reads,
    /// It has let its queue overflow since it last asked.
    Lags,
}

/// What is kept of alerts that were lost.
#[derive(Default)]
struct LostAlerts {
    count: u64,
    /// Apart from the others, because nearly all peers are of IPv4, and take 6 bytes here in place of 32.
    v4: Box<[SocketAddrV4]>,
    others: Box<[PeerAddress]>,
}

impl Alerts {
    /// The next alert; `None` when the torrent has ended. [`Alert::Lagged`] comes first where the queue has overflowed.
    ///
    /// # Cancel safety
    /// No alert is lost.
    pub async fn next(&mut self) -> Option<Alert> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl AllAlerts {
    /// The next alert with its torrent; `None` when the announcer has ended. [`Alert::Lagged`] comes first, for each torrent
    /// that lost alerts, where the queue has overflowed.
    ///
    /// # Cancel safety
    /// No alert is lost.
    pub async fn next(&mut self) -> Option<(InfoHash, Alert)> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Alerts {
    type Item = Alert;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Alert>> {
        self.0.poll_next(context).map(|next| next.map(|(_, alert)| alert))
    }
}

impl Stream for AllAlerts {
    type Item = (InfoHash, Alert);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context)
    }
}

impl AlertSender {
    /// A sender of one torrent's alerts. At most `limit` alerts wait for each listener.
    pub(super) fn of_torrent(limit: usize) -> Self {
        Self::new(Listeners { limit: limit.max(1), ..Listeners::default() })
    }

    /// A sender of all torrents' alerts.
    pub(super) fn of_all() -> Self {
        Self::new(Listeners { limit: usize::MAX, to_all: true, ..Listeners::default() })
    }

    fn new(listeners: Listeners) -> Self {
        Self { subscribers: AlertSubscribers(Arc::new(Mutex::new(listeners))) }
    }

    /// The listeners, to which further ones can be added.
    pub(super) fn subscribers(&self) -> AlertSubscribers {
        self.subscribers.clone()
    }

    /// Sends an alert of a torrent to all listeners.
    pub(super) fn send(&self, torrent: InfoHash, alert: &Alert) {
        self.change(|waiting, limit| waiting.push(torrent, alert, limit));
    }

    /// Changes all queues, and wakes their listeners.
    fn change(&self, change: impl Fn(&mut Backlog, usize)) {
        let mut woken = Vec::new();
        let mut listeners = lock(&self.subscribers.0);
        let limit = listeners.limit;
        listeners.queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            let mut waiting = lock(&queue);
            change(&mut waiting, limit);
            woken.extend(waiting.waits.take());
            true
        });
        if listeners.queues.is_empty() {
            listeners.queues = Vec::new();
        }
        drop(listeners);
        // Without a lock, because a waker is foreign code.
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Drop for AlertSender {
    fn drop(&mut self) {
        lock(&self.subscribers.0).ended = true;
        self.change(|waiting, _| waiting.ended = true);
    }
}

impl AlertSubscribers {
    /// A further listener to one torrent, which gets all alerts from now on.
    pub(super) fn join(&self) -> Alerts {
        Alerts(self.listen())
    }

    /// A further listener to all torrents, which gets all alerts from now on.
    pub(super) fn join_all(&self) -> AllAlerts {
        AllAlerts(self.listen())
    }

    fn listen(&self) -> Listener {
        let mut listeners = lock(&self.0);
        let backlog = Backlog { ended: listeners.ended, to_all: listeners.to_all, ..Backlog::default() };
        let queue = Arc::new(Mutex::new(backlog));
        listeners.queues.push(Arc::downgrade(&queue));
        Listener(queue)
    }
}

impl Listener {
    fn poll_next(&self, context: &Context<'_>) -> Poll<Option<(InfoHash, Alert)>> {
        let mut waiting = lock(&self.0);
        let next = waiting.read();
        waiting.waits = next.is_pending().then(|| context.waker().clone());
        next
    }
}

impl Backlog {
    /// The next alert, or `None` at the end.
    fn read(&mut self) -> Poll<Option<(InfoHash, Alert)>> {
        self.reader = Reader::Reads;
        if let Some((torrent, lost)) = self.lost.pop() {
            self.lost_bytes = self.lost_bytes.saturating_sub(lost.bytes());
            if self.lost.is_empty() {
                self.lost = Vec::new();
            }
            return Poll::Ready(Some((torrent, lost.into_alert())));
        }
        let next = self.alerts.pop_front();
        self.bytes = self.bytes.saturating_sub(next.as_ref().map_or(0, |(_, alert)| weight(alert)));
        if self.alerts.is_empty() {
            self.alerts = VecDeque::new();
        }
        if next.is_none() && !self.ended { Poll::Pending } else { Poll::Ready(next) }
    }

    fn bounds(&self) -> Bounds {
        match self.reader {
            _ if self.to_all => ALL_TORRENTS,
            Reader::Lags => OVERFLOWED,
            Reader::Reads => READING,
            Reader::Unknown => NOT_YET_READING,
        }
    }

    /// Adds an alert. Where there is no room for it, the oldest ones are lost, but for their peers.
    fn push(&mut self, torrent: InfoHash, alert: &Alert, limit: usize) {
        let added = weight(alert);
        let fits = |of: &Self| of.bytes.saturating_add(added) <= of.bounds().bytes;
        let overflows = self.reader != Reader::Lags && !fits(self) && !self.alerts.is_empty();
        if overflows {
            self.reader = Reader::Lags;
        }
        let bounds = self.bounds();
        let max_alerts = bounds.alerts.min(limit);
        while (!fits(self) || self.alerts.len() >= max_alerts)
            && let Some((of, oldest)) = self.alerts.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(weight(&oldest));
            self.lose(of, &oldest, bounds.peers);
        }
        if overflows {
            self.alerts.shrink_to(bounds.alerts);
        }
        if self.reader == Reader::Lags && !fits(self) {
            self.lose(torrent, alert, bounds.peers);
        } else {
            self.alerts.push_back((torrent, alert.clone()));
            self.bytes = self.bytes.saturating_add(added);
        }
    }

    /// Counts a lost alert and keeps its peers: those of one torrent take as much as one listener to it keeps, and those of
    /// all torrents `max_bytes`.
    fn lose(&mut self, torrent: InfoHash, alert: &Alert, max_bytes: usize) {
        let place = self.lost.binary_search_by_key(&torrent, |(lost, _)| *lost).unwrap_or_else(|place| {
            self.lost.insert(place, (torrent, LostAlerts::default()));
            place
        });
        if let Some((_, lost)) = self.lost.get_mut(place) {
            self.lost_bytes = self.lost_bytes.saturating_sub(lost.bytes());
            lost.add(alert, max_bytes.min(READING.peers));
            self.lost_bytes = self.lost_bytes.saturating_add(lost.bytes());
        }
        if self.lost.len() > MAX_LOST_TORRENTS
            && let Some((_, lost)) = self.lost.pop()
        {
            self.lost_bytes = self.lost_bytes.saturating_sub(lost.bytes());
        }
        if self.lost_bytes > max_bytes {
            // Half of them at a time, so that not every further alert goes through all torrents.
            for (_, lost) in self.lost.iter_mut().filter(|(of, _)| *of != torrent) {
                if self.lost_bytes <= max_bytes / 2 {
                    break;
                }
                self.lost_bytes = self.lost_bytes.saturating_sub(lost.bytes());
                lost.drop_peers();
            }
        }
    }
}

/// Roughly the memory that an alert takes in a queue, in bytes.
fn weight(alert: &Alert) -> usize {
    size_of::<InfoHash>() + alert.weight()
}

impl LostAlerts {
    /// Adds a lost alert. Its peers are newer than those of all alerts that were lost before, which make room for them.
    fn add(&mut self, alert: &Alert, max_bytes: usize) {
        self.count = self.count.saturating_add(1);
        if alert.peers().is_empty() {
            return;
        }
        let before = std::mem::take(self);
        let (mut v4, mut others) = (Vec::new(), Vec::new());
        let (mut seen, mut bytes) = (HashSet::new(), 0);
        let newer = alert.peers().iter().map(|peer| peer.address.clone());
        for peer in newer.chain(before.addresses()) {
            if !seen.insert(peer.clone()) {
                continue;
            }
            bytes += bytes_of(&peer);
            if bytes > max_bytes {
                break;
            }
            match peer {
                PeerAddress::Ip(SocketAddr::V4(address)) => v4.push(address),
                other => others.push(other),
            }
        }
        *self = Self { count: before.count, v4: v4.into(), others: others.into() };
    }

    fn addresses(&self) -> impl Iterator<Item = PeerAddress> {
        let v4 = self.v4.iter().map(|address| PeerAddress::Ip(SocketAddr::V4(*address)));
        v4.chain(self.others.iter().cloned())
    }

    /// How much memory its peers take, in bytes.
    fn bytes(&self) -> usize {
        size_of_val(&*self.v4) + self.others.iter().map(bytes_of).sum::<usize>()
    }

    /// Drops the peers, but not the count.
    fn drop_peers(&mut self) {
        *self = Self { count: self.count, ..Self::default() };
    }

    fn into_alert(self) -> Alert {
        let peers = self.addresses().map(|address| Peer { address, id: None }).collect();
        Alert::Lagged { count: self.count, peers }
    }
}

/// How much memory a peer of a lost alert takes, in bytes.
fn bytes_of(peer: &PeerAddress) -> usize {
    match peer {
        PeerAddress::Ip(SocketAddr::V4(_)) => size_of::<SocketAddrV4>(),
        PeerAddress::Ip(_) => size_of::<PeerAddress>(),
        PeerAddress::Name(name, _) => size_of::<PeerAddress>() + name.len(),
    }
}

/// A poisoned lock is taken all the same: nothing in this file panics while it holds one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alerts")
    }
}

impl fmt::Debug for AllAlerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AllAlerts")
    }
}

#[cfg(test)]
mod tests;
