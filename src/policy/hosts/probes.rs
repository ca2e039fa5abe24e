//! Probes of hosts: which are under way, which wait, and which torrents asked for them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::policy::io::{AttemptId, TorrentId};
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// How many probes run at once, for all torrents together. Longer lists are measured one after the other, and the first
/// answer decides all the same.
const PLACES: usize = 16;

/// How long a probe may take: name look-up, connection, `HEAD` and the `GET` after it. A tracker that takes longer isn't
/// near.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// The probes under way and those that wait for a place. A host is probed once for all torrents that ask for it.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// A tracker of each host that waits for a place, first come first.
    waiting: VecDeque<TrackerUrl>,
    /// The probes under way.
    in_flight: BTreeMap<AttemptId, InFlight>,
    /// For each host that waits or is under way, the torrents that asked.
    asked_by: BTreeMap<TrackerHost, Askers>,
}

/// Torrents that asked for a host, each with its tracker there.
type Askers = Vec<(TorrentId, TrackerUrl)>;

/// A probe under way.
#[derive(Debug)]
struct InFlight {
    /// The host.
    host: TrackerHost,
    /// When it began.
    began: Timestamp,
    /// When its time limit ends.
    until: Timestamp,
}

impl Probes {
    /// Asks for a probe of a tracker's host.
    pub(crate) fn ask(&mut self, torrent: TorrentId, tracker: &TrackerUrl) {
        let askers = self.asked_by.entry(tracker.tracker_host()).or_default();
        if askers.is_empty() {
            self.waiting.push_back(tracker.clone());
        }
        askers.push((torrent, tracker.clone()));
    }

    /// The next tracker to probe, if fewer than `places` probes are under way.
    pub(crate) fn next(&mut self) -> Option<TrackerUrl> {
        if self.in_flight.len() >= PLACES { None } else { self.waiting.pop_front() }
    }

    /// Notes that a probe has begun.
    pub(crate) fn begun(&mut self, id: AttemptId, tracker: &TrackerUrl, now: Timestamp) {
        self.in_flight
            .insert(id, InFlight { host: tracker.tracker_host(), began: now, until: now + PROBE_LIMIT });
    }

    /// Ends a probe. Gives its host, when it began, and the torrents that asked for it.
    pub(crate) fn ended(&mut self, id: AttemptId) -> Option<(TrackerHost, Timestamp, Askers)> {
        let InFlight { host, began, .. } = self.in_flight.remove(&id)?;
        let askers = self.asked_by.remove(&host).unwrap_or_default();
        Some((host, began, askers))
    }

    /// A probe whose time limit has passed.
    pub(crate) fn expired(&self, now: Timestamp) -> Option<AttemptId> {
        self.in_flight.iter().find(|(_, probe)| probe.until <= now).map(|(id, _)| *id)
    }

    /// When the next time limit passes.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.in_flight.values().map(|probe| probe.until).min()
    }

    /// Extends all time limits by a gap in which this process didn't run.
    pub(crate) fn extend(&mut self, gap: Duration) {
        for probe in self.in_flight.values_mut() {
            probe.began = probe.began + gap;
            probe.until = probe.until + gap;
        }
    }

    /// Withdraws what a torrent asked for. Probes under way go on, because another torrent may ask for their hosts
    /// next.
    pub(crate) fn forget(&mut self, torrent: TorrentId) {
        let in_flight: Vec<_> = self.in_flight.values().map(|probe| probe.host.clone()).collect();
        self.asked_by.retain(|host, askers| {
            askers.retain(|(asker, _)| *asker != torrent);
            !askers.is_empty() || in_flight.contains(host)
        });
        let asked_by = &self.asked_by;
        self.waiting.retain(|tracker| asked_by.contains_key(&tracker.tracker_host()));
    }
}
