//! Which trackers other clients announce to, and when: their rules as read from their sources and measured.

use tracker_failover::Scheme;

use super::world::Kind;
use crate::clients::transmission_back_off;
use crate::time::{MINUTE, Millis, SECOND};

/// What a client of the models does.
pub(super) struct Rules {
    pub(super) groups: Groups,
    /// Whether a tier is shuffled first (BEP 12).
    pub(super) shuffles: bool,
    pub(super) activation: Activation,
    /// How long an announce over TCP may take, and one over UDP.
    pub(super) patience: (Millis, Millis),
    /// How long a tracker that failed is left out, by the number of its failures.
    pub(super) back_off: fn(Scheme, u32) -> Millis,
}

/// Trackers of one group stand in for each other; groups are announced to independently.
pub(super) enum Groups {
    One,
    PerTier,
    PerTracker,
}

/// When groups after the first are announced to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// At once.
    AtOnce,
    /// BiglyBT's smart activation.
    Smart,
    /// rTorrent's promiscuous and requesting modes.
    Requesting,
}

/// The rules of a client that isn't ours.
pub(super) fn of(kind: Kind) -> Rules {
    let libtorrent = Rules {
        groups: Groups::One,
        shuffles: false,
        activation: Activation::AtOnce,
        // tracker_completion_timeout 30 s; udp_tracker receive timeout 10 s. `tracker_backoff` 250 %.
        patience: (30 * SECOND, 10 * SECOND),
        back_off: |_, failures| {
            let n = u64::from(failures);
            (5 * SECOND + 12_500 * n * n).min(60 * MINUTE)
        },
    };
    match kind {
        // `announce_to_all_trackers` and `announce_to_all_tiers` are off: the first working tracker of all tiers.
        Kind::Ours(_) | Kind::Libtorrent => libtorrent,
        // Sets `announce_to_all_tiers`: the first working tracker of each tier. Tiers are shuffled (measured).
        Kind::QBittorrent => Rules { groups: Groups::PerTier, shuffles: true, ..libtorrent },
        // TRTrackerAnnouncerMuxer: a group for each tier; the first at once, others by `Activation::Smart`.
        Kind::BiglyBt => Rules {
            groups: Groups::PerTier,
            shuffles: true,
            activation: Activation::Smart,
            patience: (60 * SECOND, 60 * SECOND),
            back_off: |_, _| MINUTE,
        },
        // TrackerController: the first tracker; 3 s later one of each group if none has answered; and while the swarm
        // is small one of each group every 5 min (`Activation::Requesting`).
        Kind::Rtorrent => Rules {
            groups: Groups::PerTier,
            shuffles: true,
            activation: Activation::Requesting,
            patience: (60 * SECOND, 59 * SECOND),
            back_off: |_, failures| ((5 * SECOND) << failures.min(6)).min(300 * SECOND),
        },
        // tracker_comms: a task for each tracker.
        Kind::Rqbit => Rules {
            groups: Groups::PerTracker,
            shuffles: false,
            activation: Activation::AtOnce,
            patience: (60 * SECOND, 60 * SECOND),
            back_off: |scheme, failures| match scheme {
                Scheme::Udp => MINUTE,
                _ => ((10 * SECOND) << (failures - 1).min(6)).min(10 * MINUTE),
            },
        },
        // announcer.cc: each tier for itself, not shuffled (measured), the next of a tier after a failure.
        Kind::Transmission => Rules {
            groups: Groups::PerTier,
            shuffles: false,
            activation: Activation::AtOnce,
            patience: (45 * SECOND, 30 * SECOND),
            back_off: |_, failures| transmission_back_off(failures),
        },
        // As `clients::models` has it: the next tracker at once, 60 s twice for a silent HTTP tracker, and two minutes after
        // the last one.
        Kind::Aria2 => Rules {
            groups: Groups::One,
            shuffles: true,
            activation: Activation::AtOnce,
            patience: (120 * SECOND, 15 * SECOND),
            back_off: |_, _| 2 * MINUTE,
        },
    }
}
