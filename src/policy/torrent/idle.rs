//! The time between rounds: when the next one begins, and what may defer it.

use std::time::Duration;

use super::book::TorrentBook;
use super::candidates::Candidates;
use super::round_kind::RoundKind;
use super::shared::Shared;
use super::stragglers::Stragglers;
use crate::alert::Alert;
use crate::policy::io::TorrentId;
use crate::time::Timestamp;

/// How often a deferred announce checks whether another torrent has found one of its hosts alive. A torrent may be
/// without an announce at a host that works for a minute at most.
const RECHECK: Duration = Duration::from_secs(40);

/// A torrent between two rounds.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// What is left of the round before.
    pub(super) stragglers: Stragglers,
    /// Another session of the same torrent that is sending `stopped`, which `started` must not overtake.
    pub(super) waits_for: Option<TorrentId>,
    /// The user knows that the announce that is due is deferred.
    reported_deferral: bool,
}

impl Idle {
    pub(super) fn after_round(stragglers: Stragglers) -> Self {
        Self { stragglers, ..Self::default() }
    }

    /// The round that begins now, if one does.
    pub(super) fn next_round(
        &mut self,
        book: &mut TorrentBook,
        shared: &mut Shared<'_>,
    ) -> Option<RoundKind> {
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
        let recheck = book.schedule.is_deferred().then(|| now + RECHECK);
        [book.schedule.due(), recheck].into_iter().flatten().min()
    }

    fn is_due(&self, book: &TorrentBook, now: Timestamp) -> bool {
        let is_due = book.schedule.due().is_some_and(|due| due <= now) && self.waits_for.is_none();
        is_due && (book.is_automatic() || book.schedule.is_requested())
    }

    /// Defers the round that is due if no tracker may be announced to yet.
    fn is_deferred(&mut self, book: &mut TorrentBook, shared: &mut Shared<'_>) -> bool {
        if book.schedule.is_requested() {
            return false;
        }
        let now = shared.now;
        let first = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, now).first_earliest();
        let Some(first) = first.filter(|first| *first > now) else { return false };
        let first = defer(book, shared).unwrap_or(first);
        if !std::mem::replace(&mut self.reported_deferral, true) {
            let reason = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, now).deferral();
            shared.alert(Alert::Deferred { reason, retry_in: first.since(now) });
        }
        true
    }
}

/// Defers the announce until some tracker may be announced to. That depends on the torrent's place in line, which it
/// takes first.
pub(super) fn defer(book: &mut TorrentBook, shared: &mut Shared<'_>) -> Option<Timestamp> {
    wait_in_line(book, shared);
    let first = Candidates::new(book, &RoundKind::Scheduled, shared.hosts, shared.now).first_earliest();
    book.schedule.defer(first);
    first
}

/// Takes a place in line at each host that keeps the torrent waiting.
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
    if let Some(first) = first.filter(|first| *first < due) {
        book.schedule.defer(Some(first.max(shared.now)));
    }
}
