//! Which hosts are being measured, for whom, and how many at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::policy::io::{AttemptId, TorrentId};
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

/// The probes under way and those that wait for a place. A host is measured once, for all who ask for it.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    waiting: VecDeque<TrackerUrl>,
    in_flight: BTreeMap<AttemptId, InFlight>,
    asked_by: BTreeMap<TrackerHost, Askers>,
}

type Askers = Vec<(TorrentId, TrackerUrl)>;

#[derive(Debug)]
struct InFlight {
    host: TrackerHost,
    began: Timestamp,
    until: Timestamp,
}

impl Probes {
    /// Asks for a tracker's host to be measured.
    pub(crate) fn ask(&mut self, torrent: TorrentId, tracker: &TrackerUrl) {
        let askers = self.asked_by.entry(tracker.tracker_host()).or_default();
        if askers.is_empty() {
            self.waiting.push_back(tracker.clone());
        }
        askers.push((torrent, tracker.clone()));
    }

    /// The next tracker to be probed, if there is a place.
    pub(crate) fn next(&mut self, places: usize) -> Option<TrackerUrl> {
        if self.in_flight.len() >= places.max(1) { None } else { self.waiting.pop_front() }
    }

    /// Notes that a probe has begun.
    pub(crate) fn begun(&mut self, id: AttemptId, tracker: &TrackerUrl, limit: Duration, now: Timestamp) {
        self.in_flight.insert(id, InFlight { host: tracker.tracker_host(), began: now, until: now + limit });
    }

    /// Ends a probe: its host, when it began, and who asked for it with which of their trackers.
    pub(crate) fn ended(&mut self, id: AttemptId) -> Option<(TrackerHost, Timestamp, Askers)> {
        let InFlight { host, began, .. } = self.in_flight.remove(&id)?;
        let askers = self.asked_by.remove(&host).unwrap_or_default();
        Some((host, began, askers))
    }

    /// A probe whose time is up.
    pub(crate) fn expired(&self, now: Timestamp) -> Option<AttemptId> {
        self.in_flight.iter().find(|(_, probe)| probe.until <= now).map(|(id, _)| *id)
    }

    /// When the next probe's time is up.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.in_flight.values().map(|probe| probe.until).min()
    }

    /// Counts a time in which this process stood still as none.
    pub(crate) fn extend(&mut self, gap: Duration) {
        for probe in self.in_flight.values_mut() {
            probe.began = probe.began + gap;
            probe.until = probe.until + gap;
        }
    }

    /// Forgets what a torrent asked for; probes under way go on, for whoever asks next.
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
