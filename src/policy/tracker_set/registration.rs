//! Whether one tracker lists this peer, as far as we know.

use std::fmt;
use std::time::Duration;

use crate::announce::Event;
use crate::time::Timestamp;

/// Trackers keep a peer 15 to 45 minutes beyond its last announce (torrust 15, opentracker 45). After the longer of
/// this and two intervals the tracker has dropped us, and needs no `stopped`.
const REMEMBERED: Duration = Duration::from_secs(45 * 60);

/// What one tracker was sent in this session and what it acknowledged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registration {
    /// It accepted an announce, and hasn't accepted `stopped` since.
    accepted: Option<Acceptance>,
    /// When the announce that is on its way was sent; `None` if none is.
    sent_at: Option<Timestamp>,
    /// When it was sent an announce that it never answered: it may list us because of that. A refusal of a later
    /// announce doesn't change this, an accepted one does.
    unanswered_since: Option<Timestamp>,
    /// Whether it accepted that the download is complete.
    knows_completed: bool,
    /// Its `tracker id`, to be sent back to it and to no other tracker (BEP 3).
    tracker_id: Option<TrackerId>,
}

/// An announce that the tracker accepted.
#[derive(Debug, Clone, Copy)]
struct Acceptance {
    /// When it accepted the announce.
    at: Timestamp,
    /// When it has dropped a peer that didn't announce again.
    expires: Timestamp,
}

/// A `tracker id`, which is a secret between client and tracker.
#[derive(Clone)]
struct TrackerId(Box<[u8]>);

impl fmt::Debug for TrackerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrackerId(..)")
    }
}

impl Registration {
    /// Whether the tracker accepted an announce of this session.
    pub(crate) fn is_registered(&self) -> bool {
        self.accepted.is_some()
    }

    /// Whether the tracker accepted an announce of this session and lists us still, as far as we know.
    pub(crate) fn lists_us(&self, now: Timestamp) -> bool {
        self.is_registered() && self.needs_stopped(now)
    }

    /// When it last accepted an announce.
    pub(crate) fn accepted_at(&self) -> Option<Timestamp> {
        self.accepted.map(|accepted| accepted.at)
    }

    /// When the announce that is on its way was sent; `None` if none is.
    pub(crate) fn sent_at(&self) -> Option<Timestamp> {
        self.sent_at
    }

    /// Whether the tracker was sent that the download is complete.
    pub(crate) fn knows_completed(&self) -> bool {
        self.knows_completed
    }

    /// Notes that the tracker was sent that the download is complete.
    pub(crate) fn keep_completed(&mut self) {
        self.knows_completed = true;
    }

    /// Whether an announce was accepted or is on its way. An old one that was never answered is less than that.
    pub(crate) fn is_current(&self) -> bool {
        self.accepted.is_some() || self.sent_at.is_some()
    }

    /// Whether the tracker may list us, so that it is sent `stopped`.
    pub(crate) fn needs_stopped(&self, now: Timestamp) -> bool {
        let sent_at = self.sent_at.max(self.unanswered_since);
        self.accepted.is_some_and(|accepted| now < accepted.expires)
            || sent_at.is_some_and(|sent_at| now.since(sent_at) < REMEMBERED)
    }

    /// Whether the tracker certainly doesn't list us, so that it is sent nothing more if it is removed from the list.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_current() && self.unanswered_since.is_none()
    }

    /// The `tracker id` to be sent back.
    pub(crate) fn tracker_id(&self) -> Option<&[u8]> {
        self.tracker_id.as_ref().map(|TrackerId(bytes)| &**bytes)
    }

    /// Notes that an announce other than `stopped` is on its way: from here on the tracker may list us.
    pub(crate) fn sent(&mut self, now: Timestamp) {
        self.unanswered_since = self.sent_at.replace(now).or(self.unanswered_since);
    }

    /// Leaves out of account a time in which this process stood still.
    pub(crate) fn extend(&mut self, gap: Duration) {
        self.sent_at = self.sent_at.map(|sent_at| sent_at + gap);
    }

    /// Notes that an announce with this event was accepted.
    pub(crate) fn accepted(&mut self, event: Option<Event>, interval: Duration, now: Timestamp) {
        (self.sent_at, self.unanswered_since) = (None, None);
        let expires = now + REMEMBERED.max(interval.saturating_mul(2));
        self.accepted = (event != Some(Event::Stopped)).then_some(Acceptance { at: now, expires });
    }

    /// Notes that an announce failed. After a refusal (`answered`) the tracker certainly doesn't list us because of
    /// this announce; after silence it may.
    pub(crate) fn failed(&mut self, answered: bool) {
        let sent_at = self.sent_at.take();
        if !answered {
            self.unanswered_since = sent_at.or(self.unanswered_since);
        }
    }

    /// Notes that `stopped` was sent: one try, whatever its result.
    pub(crate) fn stopped(&mut self) {
        (self.accepted, self.sent_at, self.unanswered_since) = (None, None, None);
    }

    /// Keeps the `tracker id` of an answer.
    pub(crate) fn keep_tracker_id(&mut self, tracker_id: &[u8]) {
        self.tracker_id = Some(TrackerId(tracker_id.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-22: what holds a registration is shown by `Debug`, and so would be its tracker id.
    #[test]
    fn a_tracker_id_stays_out_of_debug() {
        let mut registration = Registration::default();
        registration.keep_tracker_id(b"s3cret");
        let shown = format!("{registration:?}");
        assert!(shown.contains("TrackerId(..)") && !shown.contains("115, 51, 99"), "{shown}");
        assert_eq!(registration.tracker_id(), Some(&b"s3cret"[..]));
    }
}
