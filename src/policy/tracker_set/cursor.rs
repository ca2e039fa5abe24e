//! Where a torrent is among its trackers: the one in use, and how far a lap has come.

use crate::policy::url_interner::UrlInterner;
use crate::tracker::TrackerUrl;

/// The tracker in use, and the one that an announce goes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cursor {
    /// The tracker that answered last.
    in_use: Option<TrackerUrl>,
    /// The tracker that an announce goes to; `None` for the first of the order.
    at: Option<TrackerUrl>,
    /// The trackers that it has left in this lap.
    visited: Vec<TrackerUrl>,
}

impl Cursor {
    pub(super) fn in_use(&self) -> Option<&TrackerUrl> {
        self.in_use.as_ref()
    }

    /// The tracker that it is on, if it was moved in this round.
    pub(super) fn at(&self) -> Option<&TrackerUrl> {
        self.at.as_ref()
    }

    /// Leaves a tracker behind in this lap.
    pub(super) fn leave(&mut self, tracker: Option<TrackerUrl>) {
        self.visited.extend(tracker);
    }

    /// Whether it has left this tracker in this lap.
    pub(super) fn has_left(&self, tracker: &TrackerUrl) -> bool {
        self.visited.contains(tracker)
    }

    /// Goes on to the next tracker of the lap, or to the start, because the lap is over.
    pub(super) fn go_on(&mut self, next: Option<TrackerUrl>) {
        self.at = next;
        if self.at.is_none() {
            self.visited.clear();
        }
    }

    /// Moves to a tracker.
    pub(super) fn point_at(&mut self, tracker: &TrackerUrl) {
        self.at = Some(tracker.clone());
    }

    /// Makes a tracker the one in use, and stays where it is.
    pub(super) fn use_again(&mut self, tracker: &TrackerUrl) {
        self.in_use = Some(tracker.clone());
    }

    /// A tracker has answered: it is the one in use, and the lap is over.
    pub(super) fn stay_at(&mut self, tracker: &TrackerUrl) {
        self.use_again(tracker);
        self.point_at(tracker);
        self.visited.clear();
    }

    /// Moves to where a round begins.
    pub(super) fn begin_round(&mut self) {
        self.go_on(None);
    }

    /// Takes it off trackers that aren't in the list any more.
    pub(super) fn keep(&mut self, is_listed: impl Fn(&TrackerUrl) -> bool) {
        self.in_use.take_if(|tracker| !is_listed(tracker));
        self.at.take_if(|tracker| !is_listed(tracker));
    }

    /// Replaces each URL by the copy that all torrents share.
    pub(super) fn share(&mut self, urls: &mut UrlInterner) {
        for pointer in [&mut self.in_use, &mut self.at].into_iter().flatten() {
            *pointer = urls.shared(pointer);
        }
    }
}
