//! The ways to the tasks of connections: to wake them, and to have them close.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tokio::sync::Notify;

use crate::swarm::PeerKey;
use crate::wire::Why;

/// The way to a connection's task.
#[derive(Debug, Default)]
pub(super) struct Link {
    wake: Notify,
    closing: Cell<Option<Why>>,
}

impl Link {
    /// Why the connection is to be closed, if it is.
    pub(super) fn closing(&self) -> Option<Why> {
        self.closing.get()
    }

    /// Waits until there is something to write, or the connection is to be closed.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// The ways to all connections.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: RefCell<BTreeMap<PeerKey, Rc<Link>>>,
    /// Why each new one is closed at once, if it is.
    closed: Cell<Option<Why>>,
}

impl Links {
    /// Registers a connection under its key.
    pub(super) fn add(&self, key: PeerKey) -> Rc<Link> {
        let link = Rc::new(Link { wake: Notify::new(), closing: self.closed.clone() });
        self.links.borrow_mut().insert(key, Rc::clone(&link));
        link
    }

    /// A connection has ended.
    pub(super) fn remove(&self, key: PeerKey) {
        self.links.borrow_mut().remove(&key);
    }

    /// Has a connection close. The first reason stays.
    pub(super) fn close(&self, key: PeerKey, why: Why) {
        if let Some(link) = self.links.borrow().get(&key) {
            link.closing.set(link.closing.get().or(Some(why)));
            link.wake.notify_one();
        }
    }

    /// Has all connections close, and those that come later as well.
    pub(super) fn close_all(&self, why: Why) {
        self.closed.set(Some(why));
        let keys: Vec<PeerKey> = self.links.borrow().keys().copied().collect();
        for key in keys {
            self.close(key, why);
        }
    }

    /// Wakes these connections.
    pub(super) fn wake(&self, keys: &BTreeSet<PeerKey>) {
        let links = self.links.borrow();
        for link in keys.iter().filter_map(|key| links.get(key)) {
            link.wake.notify_one();
        }
    }

    /// Wakes all connections.
    pub(super) fn wake_all(&self) {
        for link in self.links.borrow().values() {
            link.wake.notify_one();
        }
    }

    /// Whether there is no connection.
    pub(super) fn is_empty(&self) -> bool {
        self.links.borrow().is_empty()
    }
}
