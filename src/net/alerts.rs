//! From a session to those who listen to it: bounded queues that take memory only for what waits in them.
//!
//! tokio's `broadcast` takes the room for a whole queue at once, 30 KB for each torrent.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use tokio::sync::Notify;

use crate::alert::Alert;

/// A listener to the alerts of one torrent.
///
/// The queue is bounded: a listener that sleeps never delays an announce, and hears how many alerts it missed.
pub struct Alerts {
    queue: Arc<Queue>,
    audience: Arc<Audience>,
}

/// The session's end: whoever listens hears what it says, and of its end when it is dropped.
pub(super) struct Speaker {
    audience: Arc<Audience>,
}

/// Who listens to one session.
struct Audience {
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
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    alerts: VecDeque<Alert>,
    missed: u64,
    ended: bool,
}

/// A session's end and its first listener, for whom so many alerts wait at most.
pub(super) fn alerts(limit: usize) -> (Speaker, Alerts) {
    let audience = Arc::new(Audience { limit: limit.max(1), listeners: Mutex::default() });
    let first = Alerts::joining(&audience);
    (Speaker { audience }, first)
}

impl Alerts {
    /// A further listener, which hears what is said from now on.
    pub(super) fn further(&self) -> Self {
        Self::joining(&self.audience)
    }

    fn joining(audience: &Arc<Audience>) -> Self {
        let queue = Arc::new(Queue::default());
        let mut listeners = lock(&audience.listeners);
        lock(&queue.waiting).ended = listeners.ended;
        listeners.queues.push(Arc::downgrade(&queue));
        drop(listeners);
        Self { queue, audience: Arc::clone(audience) }
    }

    /// The next alert; `None` when the session has ended. [`Alert::Missed`] where the listener was too slow.
    ///
    /// # Cancel safety
    /// No alert is lost.
    pub async fn next(&mut self) -> Option<Alert> {
        loop {
            // Keeps a word that is said between the look and the wait.
            let changed = self.queue.changed.notified();
            if let Poll::Ready(next) = lock(&self.queue.waiting).next() {
                return next;
            }
            changed.await;
        }
    }
}

impl Waiting {
    /// What there is to hear: `None` is the end.
    fn next(&mut self) -> Poll<Option<Alert>> {
        if self.missed > 0 {
            return Poll::Ready(Some(Alert::Missed(std::mem::take(&mut self.missed))));
        }
        let next = self.alerts.pop_front();
        if self.alerts.is_empty() {
            self.alerts = VecDeque::new();
        }
        if next.is_none() && !self.ended { Poll::Pending } else { Poll::Ready(next) }
    }
}

impl Speaker {
    /// Tells everybody who listens.
    pub(super) fn say(&self, alert: &Alert) {
        self.change(|waiting| {
            if waiting.alerts.len() >= self.audience.limit {
                waiting.alerts.pop_front();
                waiting.missed = waiting.missed.saturating_add(1);
            }
            waiting.alerts.push_back(alert.clone());
        });
    }

    fn change(&self, change: impl Fn(&mut Waiting)) {
        lock(&self.audience.listeners).queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            change(&mut lock(&queue.waiting));
            // There is one who waits, if any.
            queue.changed.notify_one();
            true
        });
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        lock(&self.audience.listeners).ended = true;
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
mod tests {
    use super::*;

    fn alert(count: usize) -> Alert {
        Alert::Stopping { trackers: count }
    }

    async fn all(listener: &mut Alerts) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(alert) = listener.next().await {
            heard.push(match alert {
                Alert::Stopping { trackers } => trackers.to_string(),
                Alert::Missed(count) => format!("missed {count}"),
                other => panic!("{other:?}"),
            });
        }
        heard
    }

    #[tokio::test]
    async fn each_listener_hears_all_from_when_it_came_to_the_end() {
        let (speaker, mut first) = alerts(10);
        speaker.say(&alert(1));
        let mut second = first.further();
        speaker.say(&alert(2));
        drop(speaker);
        let mut late = second.further();
        assert_eq!(
            (all(&mut first).await, all(&mut second).await),
            (vec!["1".into(), "2".into()], vec!["2".into()])
        );
        assert!(all(&mut late).await.is_empty() && first.next().await.is_none(), "and again");
    }

    #[tokio::test]
    async fn a_slow_listener_misses_the_oldest_and_is_told_how_many() {
        let (speaker, mut listener) = alerts(3);
        (1..=5).for_each(|count| speaker.say(&alert(count)));
        drop(speaker);
        assert_eq!(all(&mut listener).await, ["missed 2", "3", "4", "5"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_listener_is_woken_and_one_that_is_gone_is_forgotten() {
        let (speaker, mut listener) = alerts(3);
        drop(listener.further());
        let waits =
            tokio::spawn(async move { (listener.next().await.is_some(), listener.next().await.is_none()) });
        tokio::task::yield_now().await;
        speaker.say(&alert(1));
        assert_eq!(lock(&speaker.audience.listeners).queues.len(), 1);
        tokio::task::yield_now().await;
        drop(speaker);
        assert_eq!(waits.await.unwrap(), (true, true));
    }
}
