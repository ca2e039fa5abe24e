//! From a session to those who listen to it: queues that are bounded by number and by bytes.
//!
//! A listener that lags loses lines, and no peers: those of the lines it lost are kept, each once, as far as they are
//! new. tokio's `broadcast` takes the room for a whole queue at once, 30 KB for each torrent.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use tokio::sync::Notify;

use crate::alert::Alert;
use crate::announce::{Peer, PeerAddress};

/// How much waits for a listener that reads: a few answers of 200 peers, or the whole start of a torrent with fifty
/// trackers.
const READING: Bounds = Bounds { lines: usize::MAX, bytes: 32 << 10, peers: 12 << 10 };

/// How much waits for one that hasn't read anything yet, and may never.
const NOT_YET_READING: Bounds = Bounds { lines: usize::MAX, bytes: 8 << 10, peers: 12 << 10 };

/// How much is kept for one that has let its queue overflow, until it reads again. Seedboxes hold ten thousand handles
/// whose alerts nobody reads.
const ASLEEP: Bounds = Bounds { lines: 4, bytes: 1 << 10, peers: 1200 };

/// How much waits for a listener.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    lines: usize,
    /// Of the lines.
    bytes: usize,
    /// Bytes of the peers of lines that were lost: 200 IPv4 addresses are 1200 bytes.
    peers: usize,
}

/// A listener to the alerts of one torrent.
///
/// The queue is bounded: a listener that sleeps never delays an announce, and hears how many alerts it missed, with the
/// newest peers of those ([`Alert::Lagged`]).
pub struct Alerts {
    queue: Arc<Queue>,
    subscribers: Arc<Subscribers>,
}

/// The session's end: whoever listens hears what it says, and of its end when it is dropped.
pub(super) struct AlertSender {
    subscribers: Arc<Subscribers>,
}

/// Who listens to one session.
struct Subscribers {
    /// How many alerts wait for one listener at most.
    limit: usize,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    queues: Vec<Weak<Queue>>,
    ended: bool,
}

/// What waits for one listener.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Backlog>,
    changed: Notify,
}

#[derive(Default)]
struct Backlog {
    alerts: VecDeque<Alert>,
    /// What the alerts take.
    bytes: usize,
    missed: Missed,
    /// Whether anything was ever asked for.
    has_read: bool,
    /// Whether the queue has overflowed since something was asked for.
    is_asleep: bool,
    ended: bool,
}

/// What is left of alerts that were lost.
#[derive(Default)]
struct Missed {
    count: u64,
    /// Most peers by far have such addresses, in 6 bytes in place of 32.
    v4: Box<[SocketAddrV4]>,
    others: Box<[PeerAddress]>,
}

/// A session's end and its first listener, for whom so many alerts wait at most.
pub(super) fn alerts(limit: usize) -> (AlertSender, Alerts) {
    let subscribers = Arc::new(Subscribers { limit: limit.max(1), listeners: Mutex::default() });
    let first = Alerts::joining(&subscribers);
    (AlertSender { subscribers }, first)
}

impl Alerts {
    /// A further listener, which hears what is said from now on.
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

    /// The next alert; `None` when the session has ended. [`Alert::Lagged`] where the listener was too slow.
    ///
    /// # Cancel safety
    /// No alert is lost.
    pub async fn next(&mut self) -> Option<Alert> {
        loop {
            // Keeps a word that is said between the look and the wait.
            let changed = self.queue.changed.notified();
            if let Poll::Ready(next) = lock(&self.queue.waiting).read() {
                return next;
            }
            changed.await;
        }
    }
}

impl Backlog {
    /// What there is to hear: `None` is the end.
    fn read(&mut self) -> Poll<Option<Alert>> {
        self.has_read = true;
        self.is_asleep = false;
        if self.missed.count > 0 {
            return Poll::Ready(Some(std::mem::take(&mut self.missed).into_alert()));
        }
        let next = self.alerts.pop_front();
        self.bytes = self.bytes.saturating_sub(next.as_ref().map_or(0, Alert::weight));
        if self.alerts.is_empty() {
            self.alerts = VecDeque::new();
        }
        if next.is_none() && !self.ended { Poll::Pending } else { Poll::Ready(next) }
    }

    fn bounds(&self) -> Bounds {
        if self.is_asleep {
            ASLEEP
        } else if self.has_read {
            READING
        } else {
            NOT_YET_READING
        }
    }

    /// Takes a line in. What has no room any more is lost, but for its peers; the oldest first.
    fn push(&mut self, alert: &Alert, most_lines: usize) {
        let weight = alert.weight();
        let fits = |of: &Self| of.bytes.saturating_add(weight) <= of.bounds().bytes;
        let falls_asleep = !self.is_asleep && !fits(self) && !self.alerts.is_empty();
        self.is_asleep |= falls_asleep;
        let bounds = self.bounds();
        let most_lines = bounds.lines.min(most_lines);
        while (!fits(self) || self.alerts.len() >= most_lines)
            && let Some(oldest) = self.alerts.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.weight());
            self.missed.add(&oldest, bounds.peers);
        }
        if falls_asleep {
            self.alerts.shrink_to(bounds.lines);
        }
        if self.is_asleep && !fits(self) {
            self.missed.add(alert, bounds.peers);
        } else {
            self.alerts.push_back(alert.clone());
            self.bytes = self.bytes.saturating_add(weight);
        }
    }
}

impl Missed {
    /// Loses an alert. Its peers are newer than all before it.
    fn add(&mut self, alert: &Alert, most_bytes: usize) {
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
            if bytes > most_bytes {
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
    /// Tells everybody who listens.
    pub(super) fn send(&self, alert: &Alert) {
        self.change(|waiting| waiting.push(alert, self.subscribers.limit));
    }

    fn change(&self, change: impl Fn(&mut Backlog)) {
        lock(&self.subscribers.listeners).queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            change(&mut lock(&queue.waiting));
            // There is one who waits, if any.
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

/// Nothing in here panics while it holds a lock.
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
