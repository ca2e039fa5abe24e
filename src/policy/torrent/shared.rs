//! What a torrent uses of the engine while it handles one input: the shared hosts, ids, random numbers and outputs.

use std::collections::VecDeque;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::alert::Alert;
use crate::announce::AnnounceRequest;
use crate::policy::attempts::Attempts;
use crate::policy::hosts::{Ended, Hosts, OutageNews, Outcome, Probes, Slot};
use crate::policy::io::{AttemptId, Output, TorrentId};
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// The engine's parts that all torrents share, in the hands of one torrent at one moment.
pub(crate) struct Shared<'a> {
    /// The torrent that handles the input.
    pub(crate) torrent: TorrentId,
    /// When the input arrived.
    pub(crate) now: Timestamp,
    /// The engine's source of random numbers.
    pub(crate) rng: &'a mut StdRng,
    /// The tracker hosts of all torrents.
    pub(crate) hosts: &'a mut Hosts,
    /// The probes of all torrents.
    pub(crate) probes: &'a mut Probes,
    /// The attempts of all torrents.
    pub(crate) attempts: &'a mut Attempts,
    /// What the engine gives out next.
    pub(crate) outputs: &'a mut VecDeque<Output>,
}

impl Shared<'_> {
    /// A random number from [0, 1).
    pub(super) fn random(&mut self) -> f64 {
        self.rng.random()
    }

    /// Sends an alert to the torrent's user.
    pub(super) fn alert(&mut self, alert: Alert) {
        self.outputs.push_back(Output::Alert { torrent: self.torrent, alert });
    }

    /// Gives an id to a new attempt of this torrent.
    pub(super) fn begin_attempt(&mut self) -> AttemptId {
        self.attempts.begin(self.torrent)
    }

    /// Opens the channel of an attempt.
    pub(super) fn open(&mut self, attempt: AttemptId, tracker: TrackerUrl) {
        self.outputs.push_back(Output::Open { attempt, tracker });
    }

    /// Sends an announce on the open channel of an attempt.
    pub(super) fn announce(&mut self, attempt: AttemptId, request: AnnounceRequest) {
        self.outputs.push_back(Output::Announce { attempt, request: Box::new(request) });
    }

    /// Closes what an attempt has opened.
    pub(super) fn close(&mut self, attempt: AttemptId) {
        self.outputs.push_back(Output::Close { attempt });
    }

    /// Ends an attempt and returns its slot. Gives whether the blame for its failure is withheld from host and
    /// tracker, because our own network or machine is the reason.
    pub(super) fn finish(&mut self, id: AttemptId, slot: Slot, outcome: Outcome<'_>) -> bool {
        self.attempts.end(id);
        let ended = self.hosts.finished(slot, outcome, self.now);
        self.alert_outage(ended);
        ended.withheld
    }

    /// Gives up an attempt. That is our decision, and no evidence about its host.
    pub(super) fn give_up(&mut self, id: AttemptId, slot: Slot) {
        self.close(id);
        let _ = self.finish(id, slot, Outcome::GaveUp);
    }

    /// Alerts the user if our own network has failed or recovered.
    pub(crate) fn alert_outage(&mut self, ended: Ended) {
        match ended.outage {
            Some(OutageNews::Began) => self.alert(Alert::NetworkDown),
            Some(OutageNews::Ended) => self.alert(Alert::NetworkUp),
            None => {}
        }
    }
}
