//! Deadlines of torrents: set when something changes for them, looked at when they pass.

use std::cmp::Reverse;

use tracker_failover::policy::Timestamp;

use super::life::Life;
use super::liveness::{Outlook, outlook};

impl Life {
    pub(super) fn outlook(&self, torrent: usize, now: Timestamp) -> Outlook {
        outlook(&self.world, &self.hosts, &self.members[torrent], self.well_since, now)
    }

    /// Looks for a torrent's deadline, which may have come nearer.
    pub(super) fn look_out(&mut self, torrent: usize) {
        let check_at = self.outlook(torrent, self.driver.now()).check_at();
        self.members[torrent].check_at = check_at;
        self.checks.extend(check_at.map(|at| Reverse((at, torrent))));
    }

    /// A moment has come at which a torrent was to have an answer, as far as was known then.
    pub(super) fn check(&mut self, torrent: usize, at: Timestamp) {
        let outlook = self.outlook(torrent, at);
        if outlook.deadline.is_some_and(|deadline| deadline.at <= at) {
            if self.tolerates_starvation {
                return;
            }
            self.starved(torrent, &outlook, at);
        }
        let check_at = outlook.check_at();
        self.members[torrent].check_at = check_at;
        self.checks.extend(check_at.map(|at| Reverse((at, torrent))));
    }

    pub(super) fn starved(&mut self, torrent: usize, outlook: &Outlook, now: Timestamp) -> ! {
        self.trace.accused = Some(torrent);
        let member = &self.members[torrent];
        let Some(deadline) = outlook.deadline else { panic!("torrent {torrent} starves") };
        let place = member.place(deadline.tracker).unwrap_or_default();
        let listed = &member.listed[place];
        let host = self.world.trackers[deadline.tracker].host;
        let facts = &self.hosts[host];
        panic!(
            "torrent {torrent} has no answer at {now:?}: {} could serve it since {:?} ({:?}, by {:?}); due {:?} {}, last \
             answer {:?}, failed there {:?}; of the host: lifeless {}, failed {}, cleared {:?}, listed {}",
            self.world.trackers[deadline.tracker].url,
            deadline.since,
            deadline.class,
            deadline.at,
            member.due(),
            member.due_because(),
            member.answers.last(),
            listed.failed,
            facts.is_lifeless,
            facts.failed.len(),
            facts.cleared_at,
            facts.listed,
        )
    }
}
