//! What the engine wants done, and what the world makes of it.

use std::time::Duration;

use tracker_failover::policy::{AttemptId, Input, Output};
use tracker_failover::{Alert, AnnounceError, AnnounceRequest, AnnounceResponse, Measurement};

use super::facts::{Failing, Listed};
use super::life::{Attempt, Life, Stage};

#[derive(Debug)]
pub(super) enum Happening {
    Probed(Result<Measurement, AnnounceError>),
    Opened(Result<(), AnnounceError>),
    Replied(Result<AnnounceResponse, AnnounceError>),
}

impl Life {
    pub(super) fn act(&mut self, output: Output) {
        match output {
            Output::Probe { attempt, tracker } => {
                let tracker = self.world.number(&tracker);
                self.trace.note(self.driver.now(), None, Some(tracker), || "probe".to_owned());
                self.begin(attempt, None, tracker, Stage::Probing);
                if let Some((at, result)) = self.world.probe(tracker, self.driver.now()) {
                    self.driver.schedule(at, (attempt, Happening::Probed(result)));
                }
            }
            Output::Open { attempt, tracker } => {
                let tracker = self.world.number(&tracker);
                let torrent = self.trying.take().filter(|(_, trying)| *trying == tracker).map(|(of, _)| of);
                self.trace.note(self.driver.now(), torrent, Some(tracker), || "open".to_owned());
                self.judge_opening(torrent, tracker);
                self.begin(attempt, torrent, tracker, Stage::Opening);
                if let Some((at, result)) = self.world.open(tracker, self.driver.now()) {
                    self.driver.schedule(at, (attempt, Happening::Opened(result)));
                }
            }
            Output::Announce { attempt, request } => self.announce(attempt, request),
            Output::Close { attempt } => self.closed(attempt),
            Output::Alert { torrent, alert } => {
                let torrent = self.ids.get(&torrent).copied();
                if let (Alert::AttemptStarted { tracker, .. }, Some(torrent)) = (&alert, torrent) {
                    self.trying = Some((torrent, self.world.number(tracker)));
                }
                self.trace.note(self.driver.now(), torrent, None, || format!("{alert}"));
            }
            Output::RoundEnded { torrent, result, .. } => {
                if let Some(torrent) = self.ids.get(&torrent).copied() {
                    self.round_ended(torrent, result.ok().as_deref());
                }
            }
            Output::Ended { torrent, stopped, .. } => {
                if let Some(torrent) = self.ids.remove(&torrent) {
                    self.judge_end(torrent, &stopped);
                }
            }
            Output::Wait(_) | Output::CountPeers { .. } | Output::CountTransfer { .. } => {}
        }
    }

    fn begin(&mut self, id: AttemptId, torrent: Option<usize>, tracker: usize, stage: Stage) {
        self.attempts.insert(id, Attempt { torrent, tracker, began: self.driver.now(), stage });
    }

    fn announce(&mut self, id: AttemptId, request: Box<AnnounceRequest>) {
        let Some(attempt) = self.attempts.get_mut(&id) else { panic!("an announce on no channel") };
        let mut number = [0; 8];
        number.copy_from_slice(&request.info_hash.as_bytes()[..8]);
        let torrent = usize::try_from(u64::from_be_bytes(number)).unwrap_or(usize::MAX);
        attempt.torrent = Some(torrent);
        let tracker = attempt.tracker;
        self.trace.note(self.driver.now(), Some(torrent), Some(tracker), || {
            format!("announce {:?}", request.event)
        });
        self.judge_announce(torrent, tracker, &request);
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.stage = Stage::Announcing(request);
        }
        let member = &self.members[torrent];
        let own = member.place(tracker).and_then(|place| member.listed[place].own.as_ref());
        if let Some((at, reply)) = self.world.announce(tracker, own, self.driver.now()) {
            self.driver.schedule(at, (id, Happening::Replied(reply)));
        }
    }

    /// An attempt was given up by the engine.
    fn closed(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.remove(&id) else { return };
        self.trace.note(self.driver.now(), attempt.torrent, Some(attempt.tracker), || "close".to_owned());
        let failing = match attempt.stage {
            Stage::Announcing(_) => Failing::Answer,
            // An opening that lost a race was closed for that, and not for silence.
            Stage::Opening if self.driver.now().since(attempt.began) < Duration::from_secs(1) => return,
            Stage::Opening | Stage::Probing => Failing::NoLife,
        };
        self.failed(&attempt, failing);
        if let Stage::Announcing(request) = &attempt.stage {
            self.unanswered(&attempt, request);
        }
    }

    pub(super) fn failed(&mut self, attempt: &Attempt, failing: Failing) {
        let host = self.world.trackers[attempt.tracker].host;
        let running = attempt.torrent.filter(|torrent| self.members[*torrent].runs);
        self.hosts[host].failed(running, attempt.tracker, failing);
        if let Some(listed) = attempt.torrent.and_then(|torrent| self.listed_mut(torrent, attempt.tracker)) {
            listed.failed = listed.failed.max(Some(failing));
        }
    }

    pub(super) fn listed_mut(&mut self, torrent: usize, tracker: usize) -> Option<&mut Listed> {
        let member = &mut self.members[torrent];
        let place = member.place(tracker)?;
        Some(&mut member.listed[place])
    }

    pub(super) fn happens(&mut self, id: AttemptId, happening: Happening) {
        let Some(attempt) = self.attempts.remove(&id) else { return };
        let (torrent, tracker) = (attempt.torrent, attempt.tracker);
        let input = match happening {
            Happening::Opened(Ok(())) => {
                self.attempts.insert(id, attempt);
                Input::Opened(id)
            }
            Happening::Opened(Err(error)) => {
                self.failed(&attempt, Failing::NoLife);
                Input::Failed(id, error)
            }
            Happening::Probed(result) => {
                if result.is_err() {
                    self.failed(&attempt, Failing::NoLife);
                }
                Input::Probed(id, result)
            }
            Happening::Replied(result) => {
                self.replied(&attempt, &result);
                match result {
                    Ok(response) => Input::Replied(id, Box::new(response)),
                    Err(error) => Input::Failed(id, error),
                }
            }
        };
        self.trace.note(self.driver.now(), torrent, Some(tracker), || format!("{input:?}"));
        self.driver.handle(input);
    }
}
