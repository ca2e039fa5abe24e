//! How long an attempt is waited for before another host is tried beside it.

use std::time::Duration;

use super::health::HealthBook;
use crate::policy::config::Config;
use crate::tracker::TrackerHost;

/// How many samples it takes to know when an answer is late. With one, each lost packet passes for a stalled tracker,
/// and a second tracker gets an announce that wasn't needed.
const KNOWN_REPLIES: u32 = 3;

/// Whether somebody waits for an announce.
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
    pub(super) fn open_patience(
        &self,
        host: &TrackerHost,
        urgency: Urgency,
        config: &Config,
    ) -> (Duration, Duration) {
        let connect = self.hosts.get(host).and_then(|health| health.connect);
        let (patience, least) = match connect {
            Some(connect) => {
                let learned =
                    connect.patience().clamp(config.open_patience_floor, config.open_patience_ceiling);
                (learned, connect.srtt().clamp(config.open_patience_floor, learned))
            }
            None => (config.open_patience, config.open_patience_floor),
        };
        match urgency {
            Urgency::Urgent => (patience, least),
            Urgency::Relaxed => (patience.max(config.relaxed_open_patience), least),
        }
    }

    /// How long an answer may take before another tracker is tried beside it.
    pub(super) fn reply_patience(&self, host: &TrackerHost, urgency: Urgency, config: &Config) -> Duration {
        let reply = self.hosts.get(host).and_then(|health| health.reply);
        let known = reply.filter(|reply| reply.samples() >= KNOWN_REPLIES);
        let learned = known
            .map(|reply| reply.patience().clamp(config.reply_patience_floor, config.reply_patience_ceiling));
        if self.hosts.get(host).is_some_and(|health| health.breaker.is_doubted()) {
            // Other torrents wait for the outcome, so the shortest patience applies; a host known to be slow gets the
            // time that it takes.
            return learned.unwrap_or(config.reply_patience_floor);
        }
        match (urgency, learned) {
            (Urgency::Urgent, learned) => learned.unwrap_or(config.reply_patience),
            // As long as for an opening: the host's answers are known, and a longer one isn't just slow.
            (Urgency::Relaxed, Some(learned)) => learned.max(config.relaxed_open_patience),
            (Urgency::Relaxed, None) => config.reply_patience.max(config.relaxed_reply_patience),
        }
    }
}
