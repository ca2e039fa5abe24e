//! The queues of busy hosts in which a round waits to be admitted.

use crate::policy::hosts::{Outcome, Priority, Slot};
use crate::time::Timestamp;
use crate::tracker::TrackerHost;

use super::shared::Shared;

/// The hosts in whose queues a round waits, and the slot that one of them has just granted. A round may wait at
/// several: the one that admits it first gets the announce (R85).
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The hosts in whose queues it waits.
    hosts: Vec<TrackerHost>,
    /// When it joined the last of these queues.
    joined_at: Timestamp,
    /// The slot that a host has just granted.
    granted: Option<Slot>,
}

impl Queue {
    /// A slot at a host: the granted one, or a new one. If the host is busy the round joins its queue.
    pub(super) fn admit(
        &mut self,
        host: &TrackerHost,
        priority: Priority,
        shared: &mut Shared<'_>,
    ) -> Option<Slot> {
        if let Some(slot) = self.granted.take_if(|slot| slot.host() == host) {
            return Some(slot);
        }
        if self.hosts.contains(host) {
            return None;
        }
        let slot = shared.hosts.admit(host, shared.torrent, priority, shared.now);
        if slot.is_none() {
            self.hosts.push(host.clone());
            self.joined_at = shared.now;
        }
        slot
    }

    /// When it joined the last queue; `None` if it is in none.
    pub(super) fn joined_at(&self) -> Option<Timestamp> {
        (!self.hosts.is_empty()).then_some(self.joined_at)
    }

    /// The host that has just granted a slot.
    pub(super) fn granted_by(&self) -> Option<&TrackerHost> {
        self.granted.as_ref().map(Slot::host)
    }

    /// Notes that a host has granted a slot.
    pub(super) fn granted(&mut self, slot: Slot) {
        self.evicted(slot.host());
        self.granted = Some(slot);
    }

    /// Notes that a host has removed the round from its queue.
    pub(super) fn evicted(&mut self, host: &TrackerHost) {
        self.hosts.retain(|other| other != host);
    }

    /// Returns a granted slot that no attempt uses.
    pub(super) fn give_back(&mut self, shared: &mut Shared<'_>) {
        if let Some(slot) = self.granted.take() {
            let _ = shared.hosts.finished(slot, Outcome::Unused, shared.now);
        }
    }

    /// Returns a granted slot and leaves all queues, because the round is over: a slot that isn't returned would hold a
    /// place at its host for ever.
    pub(super) fn end(&mut self, shared: &mut Shared<'_>) {
        self.give_back(shared);
        self.leave(shared);
    }

    /// Leaves all queues.
    pub(super) fn leave(&mut self, shared: &mut Shared<'_>) {
        for host in self.hosts.drain(..) {
            shared.hosts.leave_queue(&host, shared.torrent, shared.now);
        }
    }
}
