//! The engine with many torrents in a world, in virtual time, under the auditor's eyes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tracker_failover::policy::{AttemptId, Engine, Timestamp, TorrentId};
use tracker_failover::{AnnounceRequest, Config};
use virtual_net::{Driver, Step};

use super::facts::{HostFacts, Member, waits};
use super::network::Happening;
use super::tally::Tally;
use super::trace::Trace;
use super::world::World;

/// An engine, the world around it, and the auditor. A broken rule is a panic that names it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
pub struct Life {
    pub(super) driver: Driver<(AttemptId, Happening)>,
    pub(super) world: Arc<World>,
    pub(super) members: Vec<Member>,
    pub(super) hosts: Vec<HostFacts>,
    pub(super) attempts: HashMap<AttemptId, Attempt>,
    pub(super) well_since: Timestamp,
    /// How long our process stood still or slept in all.
    pub(super) gaps: Duration,
    pub(super) tally: Tally,
    /// What happened, if it is kept.
    pub trace: Trace,
    pub(super) ids: HashMap<TorrentId, usize>,
    pub(super) checks: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Whose tracker is opened next.
    pub(super) trying: Option<(usize, usize)>,
    pub(super) one_by_one: bool,
    /// Whether public torrents are registered at further trackers as needed.
    pub(super) as_needed: bool,
    pub(super) breaker: bool,
    pub(super) steps: u64,
    step_limit: u64,
    pub(super) tolerates_starvation: bool,
}

/// A probe or attempt under way.
#[derive(Debug)]
pub(super) struct Attempt {
    /// `None` for probes, and for `stopped` before its announce, which holds the info-hash.
    pub(super) torrent: Option<usize>,
    pub(super) tracker: usize,
    pub(super) began: Timestamp,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    Probing,
    Opening,
    Announcing(Box<AnnounceRequest>),
}

/// So many steps at one moment are no spin, and so many more for each torrent.
const STEPS_AT_ONCE: usize = 5000;
const STEPS_AT_ONCE_EACH: usize = 400;

impl Life {
    /// A life without torrents.
    pub fn new(world: World, config: Config, seed: u64) -> Self {
        let hosts = (0..world.hosts.len()).map(|host| {
            let first = world.trackers.iter().position(|tracker| tracker.host == host);
            let is_slow = first
                .is_some_and(|of| world.hosts[host].script.is_ever(|condition| waits(condition, &world, of)));
            HostFacts { is_slow, ..HostFacts::default() }
        });
        Self {
            hosts: hosts.collect(),
            breaker: config.has_back_off(),
            as_needed: false,
            one_by_one: config.is_sequential() || config.is_by_tiers(),
            driver: Driver::new(Engine::new(config, seed)),
            world: Arc::new(world),
            members: Vec::new(),
            attempts: HashMap::new(),
            well_since: Timestamp::ZERO,
            gaps: Duration::ZERO,
            tally: Tally::default(),
            trace: Trace::default(),
            ids: HashMap::new(),
            checks: BinaryHeap::new(),
            trying: None,
            steps: 0,
            step_limit: u64::MAX,
            tolerates_starvation: false,
        }
    }

    /// Allows as many steps at one moment as there are torrents for.
    pub(super) fn limit_steps_at_once(&mut self) {
        self.driver.limit_polls(STEPS_AT_ONCE + STEPS_AT_ONCE_EACH * self.members.len(), usize::MAX);
    }

    /// Ends [`run_until`](Self::run_until) after so many steps in all.
    pub fn limit_steps(&mut self, steps: u64) {
        self.step_limit = steps;
    }

    /// Tolerates too few and too many announces: a scene has its own expectation.
    pub fn tolerate_starvation(&mut self) {
        self.tolerates_starvation = true;
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether the limit is reached.
    pub fn is_over(&self) -> bool {
        self.steps >= self.step_limit
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.driver.now()
    }

    /// The counts of this life.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// When a torrent was answered, and by which tracker.
    pub fn answers(&self, torrent: usize) -> &[(Timestamp, usize)] {
        &self.members[torrent].answers
    }

    /// Whether a torrent failed at some tracker since its last answer there.
    pub fn has_failed(&self, torrent: usize) -> bool {
        self.members[torrent].listed.iter().any(|listed| listed.failed.is_some())
    }

    /// How many announces of a torrent a tracker has heard.
    pub fn announces(&self, torrent: usize, tracker: usize) -> usize {
        let member = &self.members[torrent];
        member.place(tracker).map_or(0, |place| member.listed[place].announces)
    }

    /// The torrents that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|torrent| self.members[*torrent].runs).collect()
    }

    /// Whether all torrents have ended.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The trackers of a torrent.
    pub fn listed(&self, torrent: usize) -> Vec<usize> {
        let listed = self.members[torrent].listed.iter().filter(|listed| listed.on_list);
        listed.map(|listed| listed.tracker).collect()
    }

    /// All trackers on the hosts of a torrent's trackers: back-off belongs to hosts.
    pub(super) fn siblings(&self, torrent: usize) -> Vec<usize> {
        let hosts: Vec<usize> =
            self.listed(torrent).iter().map(|tracker| self.world.trackers[*tracker].host).collect();
        let trackers = self.world.trackers.iter().enumerate();
        trackers.filter(|(_, tracker)| hosts.contains(&tracker.host)).map(|(number, _)| number).collect()
    }

    /// Lives on until this moment, or until the limit of steps.
    ///
    /// # Panics
    /// When a rule is broken.
    pub fn run_until(&mut self, until: Timestamp) {
        while !self.is_over() {
            let step = self.driver.step(Some(until));
            self.steps += 1;
            self.look_at_deadlines();
            match step {
                Step::Output(output) => self.act(output),
                Step::Event((attempt, happening)) => self.happens(attempt, happening),
                Step::Woken => {}
                Step::Idle => return,
            }
        }
    }

    /// Looks at the deadlines before the present moment: what happens now comes after them.
    pub(super) fn look_at_deadlines(&mut self) {
        let now = self.driver.now();
        while let Some(Reverse((at, torrent))) = self.checks.peek().copied()
            && at < now
        {
            self.checks.pop();
            if self.members[torrent].check_at == Some(at) {
                self.check(torrent, at);
            }
        }
    }
}
