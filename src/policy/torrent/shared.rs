//! What a torrent uses of the engine while it handles one input.

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
    pub(crate) now: Timestamp,
    pub(crate) rng: &'a mut StdRng,
    pub(crate) hosts: &'a mut Hosts,
    pub(crate) probes: &'a mut Probes,
    pub(crate) attempts: &'a mut Attempts,
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

    /// Begins an attempt.
    pub(super) fn begin_attempt(&mut self) -> AttemptId {
        self.attempts.begin(self.torrent)
    }

    /// Has the channel of an attempt opened.
    pub(super) fn open(&mut self, attempt: AttemptId, tracker: TrackerUrl) {
        self.outputs.push_back(Output::Open { attempt, tracker });
    }

    /// Has an announce sent on the open channel of an attempt.
    pub(super) fn announce(&mut self, attempt: AttemptId, request: AnnounceRequest) {
        self.outputs.push_back(Output::Announce { attempt, request: Box::new(request) });
    }

    /// Has what an attempt opened closed.
    pub(super) fn close(&mut self, attempt: AttemptId) {
        self.outputs.push_back(Output::Close { attempt });
    }

    /// Ends an attempt and gives its place at the host back. Gives whether its failure is withheld: not held against host
    /// and tracker, because our own network or machine is to blame.
    pub(super) fn finish(&mut self, id: AttemptId, slot: Slot, outcome: Outcome<'_>) -> bool {
        self.attempts.end(id);
        let ended = self.hosts.finished(slot, outcome, self.now);
        self.alert_outage(ended);
        ended.withheld
    }

    /// Gives up an attempt, from which nothing is learned about its host.
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
