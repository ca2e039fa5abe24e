//! How long an attempt is waited for before another host is tried beside it.

use std::time::Duration;

use super::health::{HealthBook, OPEN_PATIENCE};
use crate::tracker::TrackerHost;

/// With a host that was reached before: its smoothed time and four times its variation (RFC 6298), within these bounds. The
/// lower one is the minimum of RFC 8305, and holds for unknown hosts as well. With three of five known hosts silent at
/// once it gave 1.0 s in place of 1.8 s in 95 of 100 failovers.
pub(crate) const OPEN_PATIENCE_FLOOR: Duration = Duration::from_millis(100);
const OPEN_PATIENCE_CEILING: Duration = Duration::from_secs(2);

/// For a regular announce: outlasts one lost SYN packet, which is sent again after 1 s, and leaves 0.4 s of 2.6 s for the
/// next tracker. It caused no needless second announce; with the patience of an urgent one there were 3 in 100.
pub(crate) const RELAXED_OPEN_PATIENCE: Duration = Duration::from_millis(2200);

/// A tracker answers on an open connection within one round trip and its own work. With less, slow ones would get company
/// that they don't need.
pub(crate) const REPLY_PATIENCE: Duration = Duration::from_millis(1500);

/// The bounds if answers of the host were measured: the work of trackers varies, and one that takes longer than 3 s is
/// slower than asking another.
pub(crate) const REPLY_PATIENCE_FLOOR: Duration = Duration::from_millis(500);
const REPLY_PATIENCE_CEILING: Duration = Duration::from_secs(3);

/// For a regular announce: one in a hundred answers takes some seconds.
pub(crate) const RELAXED_REPLY_PATIENCE: Duration = Duration::from_secs(4);

/// How many samples it takes to know when an answer is late. With one, each lost packet passes for a stalled tracker,
/// and a second tracker gets an announce that wasn't needed.
const KNOWN_REPLIES: u32 = 3;

/// Whether a user waits for the result of an announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// `started`, an announce that the user asked for, or one of a torrent that wants peers.
    Urgent,
    /// A regular announce of a torrent that has its peers. Two seconds more cost it nothing, and an announce at a
    /// second tracker costs that tracker.
    Relaxed,
}

impl HealthBook {
    /// How long an opening may be silent before the next begins beside it, and the shortest time to which a race with
    /// many silent openings may reduce that.
    pub(super) fn open_patience(&self, host: &TrackerHost, urgency: Urgency) -> (Duration, Duration) {
        let connect = self.hosts.get(host).and_then(|health| health.connect);
        let (patience, least) = match connect {
            Some(connect) => {
                let learned = connect.patience().clamp(OPEN_PATIENCE_FLOOR, OPEN_PATIENCE_CEILING);
                (learned, connect.srtt().clamp(OPEN_PATIENCE_FLOOR, learned))
            }
            None => (OPEN_PATIENCE, OPEN_PATIENCE_FLOOR),
        };
        match urgency {
            Urgency::Urgent => (patience, least),
            Urgency::Relaxed => (patience.max(RELAXED_OPEN_PATIENCE), least),
        }
    }

    /// How long an answer may take before another tracker is tried beside it.
    pub(super) fn reply_patience(&self, host: &TrackerHost, urgency: Urgency) -> Duration {
        let reply = self.hosts.get(host).and_then(|health| health.reply);
        let known = reply.filter(|reply| reply.samples() >= KNOWN_REPLIES);
        let learned = known.map(|reply| reply.patience().clamp(REPLY_PATIENCE_FLOOR, REPLY_PATIENCE_CEILING));
        if self.hosts.get(host).is_some_and(|health| health.breaker.is_doubted()) {
            // Other torrents wait for the outcome, so the shortest patience applies; a host known to be slow gets the
            // time that it takes.
            return learned.unwrap_or(REPLY_PATIENCE_FLOOR);
        }
        match (urgency, learned) {
            (Urgency::Urgent, learned) => learned.unwrap_or(REPLY_PATIENCE),
            // As long as for an opening: the host's answers are known, and a longer one isn't just slow.
            (Urgency::Relaxed, Some(learned)) => learned.max(RELAXED_OPEN_PATIENCE),
            (Urgency::Relaxed, None) => REPLY_PATIENCE.max(RELAXED_REPLY_PATIENCE),
        }
    }
}
