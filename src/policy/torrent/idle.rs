//! The time between rounds: when the next one begins, and what may defer it.

use std::time::Duration;

use super::book::TorrentBook;
use super::candidates::Candidates;
use super::reach;
use super::round_kind::RoundKind;
use super::shared::Shared;
use crate::alert::Alert;
use crate::policy::config::AnnounceTo;
use crate::policy::io::{Output, TorrentId};
use crate::time::Timestamp;

/// How often a deferred announce checks whether another torrent has found one of its hosts alive: often enough that
/// the torrent announces within a minute at a host that works again.
const RECHECK: Duration = Duration::from_secs(40);

/// How long a client may take to count its peers on demand.
const COUNTING: Duration = Duration::from_secs(1);

/// When a round beside the tracker in use begins.
pub(super) enum Beside {
    /// Now.
    Due,
    /// Not before this moment; `None` if nothing is to come.
    At(Option<Timestamp>),
}

/// A torrent between two rounds.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// Another session of the same torrent that is sending `stopped`, which `started` must not overtake (R90).
    pub(super) waits_for: Option<TorrentId>,
    /// Whether the user was sent an alert that the announce that is due is deferred.
    reported_deferral: bool,
}

impl Idle {
    /// The round that begins now, if one does.
    pub(super) fn next_round(
        &mut self,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) -> Option<RoundKind> {
        // Another torrent may have found a host alive since the announce was deferred.
        bring_forward(book, shared);
        if !self.is_due(book, shared.now) || self.is_deferred(book, shared) {
            return None;
        }
        Some(if book.schedule.begun() { RoundKind::Requested } else { RoundKind::Scheduled })
    }

    /// When to check again whether a round begins.
    pub(super) fn wake(&self, book: &TorrentBook, now: Timestamp) -> Option<Timestamp> {
        if !book.is_automatic() || self.waits_for.is_some() {
            return None;
        }
        // An announce that isn't deferred has its time from its tracker, and no other torrent changes that.
        let recheck = book.schedule.is_deferred().then(|| now + RECHECK);
        [book.schedule.due(), recheck].into_iter().flatten().min()
    }

    /// Whether a round beside the tracker in use begins now; else when to ask again. None does while announces fail:
    /// their rounds try all trackers.
    pub(super) fn beside(&self, book: &mut TorrentBook, shared: &mut Shared<'_>) -> Beside {
        let now = shared.now;
        let is_well = book.trackers.in_use().is_some() && !book.schedule.is_failing();
        let may_begin =
            is_well && book.is_automatic() && !book.schedule.is_deferred() && self.waits_for.is_none();
        if !may_begin || book.announce_to() == AnnounceTo::One {
            return Beside::At(None);
        }
        if book.announce_to() == AnnounceTo::AsNeeded && book.supply.demand(now) {
            shared.outputs.push_back(Output::CountPeers { torrent: shared.torrent });
            return Beside::At(Some(now + COUNTING));
        }
        match Candidates::new(book, &RoundKind::Beside, shared.hosts, now).first_beside() {
            Some(at) if at <= now => Beside::Due,
            at => Beside::At([at, reach::look_at(book, now)].into_iter().flatten().min()),
        }
    }

    /// Whether an announce is due, and the torrent may make it.
    pub(super) fn is_due(&self, book: &TorrentBook, now: Timestamp) -> bool {
        book.is_due(now) && self.waits_for.is_none()
    }

    /// Defers the round that is due if no tracker may be announced to yet.
    fn is_deferred(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) -> bool {
        // The user may know better than our back-offs, and waits for a result in any case.
        if book.schedule.is_requested() {
            return false;
        }
        let now = shared.now;
        let first = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, now).first_earliest();
        let Some(first) = first.filter(|first| *first > now) else { return false };
        // Deferred, not failed: no tracker was tried, so no back-off grows.
        let first = defer(book, shared).unwrap_or(first);
        if !std::mem::replace(&mut self.reported_deferral, true) {
            let reason = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, now).deferral();
            shared.alert(Alert::Deferred { reason, retry_in: first.since(now) });
        }
        true
    }
}

/// Defers the announce until some tracker may be announced to. That depends on the torrent's place in the queues for
/// the trials of hosts in back-off, so it joins them first.
pub(super) fn defer(book: &mut TorrentBook, shared: &mut Shared<'_>) -> Option<Timestamp> {
    wait_in_line(book, shared);
    let first = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, shared.now).first_earliest();
    book.schedule.defer(first);
    first
}

/// Joins the queue for the trial of each host in back-off. If none did, all would have the first place, and the
/// torrent whose timer comes first would make every trial (R80).
pub(super) fn wait_in_line(book: &TorrentBook, shared: &mut Shared<'_>) {
    let demands = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, shared.now).demands();
    for (tracker, demand) in demands {
        shared.hosts.wait(tracker.host_key(), shared.torrent, demand);
    }
}

/// Brings a deferred announce forward if a tracker may be announced to sooner than was known when it was deferred.
fn bring_forward(book: &mut TorrentBook, shared: &Shared<'_>) {
    let Some(due) = book.schedule.due().filter(|_| book.schedule.is_deferred()) else { return };
    if due <= shared.now {
        return;
    }
    let first = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, shared.now).first_earliest();
    // Only ever sooner. A later moment is found when the announce is due.
    if let Some(first) = first.filter(|first| *first < due) {
        book.schedule.defer(Some(first.max(shared.now)));
    }
}
