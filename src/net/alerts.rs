//! The alerts of a torrent, and a queue for each listener, bounded by number and by bytes.
//!
//! A listener that lags loses alerts, but few peers: the newest peers of lost alerts are kept, each once. This isn't
//! tokio's `broadcast`, which allocates a whole queue at once: 30 KB for each torrent.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use tokio::sync::Notify;

use crate::alert::Alert;
use crate::announce::{Peer, PeerAddress};

/// The queue of a listener that reads: room for a few answers of 200 peers, or for the whole start of a torrent with
/// fifty trackers.
const READING: Bounds = Bounds { alerts: usize::MAX, bytes: 32 << 10, peers: 12 << 10 };

/// The queue of a listener that hasn't read anything yet, and may never.
const NOT_YET_READING: Bounds = Bounds { alerts: usize::MAX, bytes: 8 << 10, peers: 12 << 10 };

/// The queue of a listener that has let it overflow, until it reads again. Seedboxes hold ten thousand handles without
/// reading their alerts.
const OVERFLOWED: Bounds = Bounds { alerts: 4, bytes: 1 << 10, peers: 1200 };

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

/// A listener to the alerts of one torrent.
///
/// Its queue is bounded, so that a listener that doesn't read neither delays an announce nor takes memory without limit.
/// It gets the number of alerts that it lost, with the newest peers of those ([`Alert::Lagged`]).
pub struct Alerts {
    queue: Arc<Queue>,
    subscribers: Arc<Subscribers>,
}

/// The sending end of a torrent's alerts. Dropping it ends the alerts of all listeners.
pub(super) struct AlertSender {
    subscribers: Arc<Subscribers>,
}

/// The listeners of one torrent.
struct Subscribers {
    /// How many alerts wait for one listener, at most.
    limit: usize,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    queues: Vec<Weak<Queue>>,
    /// Whether the sender is gone.
    ended: bool,
}

/// The queue of one listener.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Backlog>,
    changed: Notify,
}

#[derive(Default)]
struct Backlog {
    alerts: VecDeque<Alert>,
    /// The memory that the alerts take.
    bytes: usize,
    lost: LostAlerts,
    /// Whether the listener has ever asked for an alert.
    has_read: bool,
    /// Whether the queue has overflowed since the listener last asked.
    has_overflowed: bool,
    /// Whether the sender is gone.
    ended: bool,
}

/// What is kept of alerts that were lost.
#[derive(Default)]
struct LostAlerts {
    count: u64,
    /// Apart from the others, because nearly all peers are of IPv4, and take 6 bytes here in place of 32.
    v4: Box<[SocketAddrV4]>,
    others: Box<[PeerAddress]>,
}

/// The sender of a torrent's alerts and its first listener. At most `limit` alerts wait for each listener.
pub(super) fn alerts(limit: usize) -> (AlertSender, Alerts) {
    let subscribers = Arc::new(Subscribers { limit: limit.max(1), listeners: Mutex::default() });
    let first = Alerts::joining(&subscribers);
    (AlertSender { subscribers }, first)
}

impl Alerts {
    /// A further listener, which gets all alerts from now on.
    pub(super) fn subscribe(&self) -> Self {
        Self::joining(&self.subscribers)
    }

    fn joining(subscribers: &Arc<Subscribers>) -> Self {
        let queue = Arc::new(Queue::default());
        let mut listeners = lock(&subscribers.listeners);
        lock(&queue.waiting).ended = listeners.ended;
        listeners.queues.push(Arc::downgrade(&queue));
        drop(listeners);
        Self { queue, subscribers: Arc::clone(subscribers) }
    }

    /// The next alert; `None` when the torrent has ended. [`Alert::Lagged`] comes first where the queue has overflowed.
    ///
    /// # Cancel safety
    /// No alert is lost.
    pub async fn next(&mut self) -> Option<Alert> {
        loop {
            // Taken before the look, so that an alert that comes between the look and the wait isn't slept through.
            let changed = self.queue.changed.notified();
            if let Poll::Ready(next) = lock(&self.queue.waiting).read() {
                return next;
            }
            changed.await;
        }
    }
}

impl Backlog {
    /// The next alert, or `None` at the end.
    fn read(&mut self) -> Poll<Option<Alert>> {
        self.has_read = true;
        self.has_overflowed = false;
        if self.lost.count > 0 {
            return Poll::Ready(Some(std::mem::take(&mut self.lost).into_alert()));
        }
        let next = self.alerts.pop_front();
        self.bytes = self.bytes.saturating_sub(next.as_ref().map_or(0, Alert::weight));
        if self.alerts.is_empty() {
            self.alerts = VecDeque::new();
        }
        if next.is_none() && !self.ended { Poll::Pending } else { Poll::Ready(next) }
    }

    fn bounds(&self) -> Bounds {
        if self.has_overflowed {
            OVERFLOWED
        } else if self.has_read {
            READING
        } else {
            NOT_YET_READING
        }
    }

    /// Adds an alert. Where there is no room for it, the oldest ones are lost, but for their peers.
    fn push(&mut self, alert: &Alert, limit: usize) {
        let weight = alert.weight();
        let fits = |of: &Self| of.bytes.saturating_add(weight) <= of.bounds().bytes;
        let overflows = !self.has_overflowed && !fits(self) && !self.alerts.is_empty();
        self.has_overflowed |= overflows;
        let bounds = self.bounds();
        let max_alerts = bounds.alerts.min(limit);
        while (!fits(self) || self.alerts.len() >= max_alerts)
            && let Some(oldest) = self.alerts.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.weight());
            self.lost.add(&oldest, bounds.peers);
        }
        if overflows {
            self.alerts.shrink_to(bounds.alerts);
        }
        if self.has_overflowed && !fits(self) {
            self.lost.add(alert, bounds.peers);
        } else {
            self.alerts.push_back(alert.clone());
            self.bytes = self.bytes.saturating_add(weight);
        }
    }
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
            bytes += match &peer {
                PeerAddress::Ip(SocketAddr::V4(_)) => size_of::<SocketAddrV4>(),
                PeerAddress::Ip(_) => size_of::<PeerAddress>(),
                PeerAddress::Name(name, _) => size_of::<PeerAddress>() + name.len(),
            };
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

    fn into_alert(self) -> Alert {
        let peers = self.addresses().map(|address| Peer { address, id: None }).collect();
        Alert::Lagged { count: self.count, peers }
    }
}

impl AlertSender {
    /// Sends an alert to all listeners.
    pub(super) fn send(&self, alert: &Alert) {
        self.change(|waiting| waiting.push(alert, self.subscribers.limit));
    }

    fn change(&self, change: impl Fn(&mut Backlog)) {
        lock(&self.subscribers.listeners).queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            change(&mut lock(&queue.waiting));
            // A queue has one listener.
            queue.changed.notify_one();
            true
        });
    }
}

impl Drop for AlertSender {
    fn drop(&mut self) {
        lock(&self.subscribers.listeners).ended = true;
        self.change(|waiting| waiting.ended = true);
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

#[cfg(test)]
mod tests;
