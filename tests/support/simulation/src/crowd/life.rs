//! The engine with many torrents in a world, in virtual time, under the auditor's eyes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tracker_failover::policy::{
    AttemptId, Config, Engine, Input, Order, Output, Timestamp, TorrentId, TrackerSet,
};
use tracker_failover::{
    Alert, AnnounceError, AnnounceRequest, AnnounceResponse, InfoHash, Measurement, PeerId, Torrent, Transfer,
};

use super::facts::{Failing, HostFacts, Listed, Member, waits};
use super::liveness::{Outlook, outlook};
use super::tally::Tally;
use super::trace::Trace;
use super::world::{Script, World};

/// A torrent to be added.
#[derive(Debug, Clone, Default)]
pub struct Newcomer {
    /// Its tiers.
    pub tiers: Vec<Vec<Listing>>,
    /// Whether it is private.
    pub private: bool,
    /// Whether it is complete from the start.
    pub seed: bool,
}

/// A tracker of a torrent.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Its number in the world.
    pub tracker: usize,
    /// How it is towards this torrent, if not as towards all.
    pub own: Option<Script>,
}

/// An engine, the world around it, and the auditor. A broken rule is a panic that says which.
#[derive(Debug)]
pub struct Life {
    pub(super) engine: Engine,
    pub(super) world: Arc<World>,
    pub(super) now: Timestamp,
    pub(super) members: Vec<Member>,
    pub(super) hosts: Vec<HostFacts>,
    pub(super) attempts: HashMap<AttemptId, Attempt>,
    pub(super) well_since: Timestamp,
    /// How long our process stood still or slept in all.
    pub(super) gaps: Duration,
    pub(super) tally: Tally,
    /// What happened, where somebody wants to read it.
    pub trace: Trace,
    pub(super) ids: HashMap<TorrentId, usize>,
    queue: BinaryHeap<Reverse<(Timestamp, u64, AttemptId)>>,
    pending: HashMap<u64, Happening>,
    queued: u64,
    checks: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Whose tracker is opened next.
    pub(super) trying: Option<(usize, usize)>,
    one_by_one: bool,
    steps: u64,
    steps_at_once: usize,
    step_limit: u64,
    pub(super) tolerates_starvation: bool,
}

/// A probe or attempt under way.
#[derive(Debug)]
pub(super) struct Attempt {
    /// `None` for probes, and for the farewells of which only the announce says whose they are.
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

#[derive(Debug)]
enum Happening {
    Probed(Result<Measurement, AnnounceError>),
    Opened(Result<(), AnnounceError>),
    Replied(Result<AnnounceResponse, AnnounceError>),
}

/// So many steps at one moment are no spin, and so many more for each torrent.
const STEPS_AT_ONCE: usize = 5000;
const STEPS_AT_ONCE_EACH: usize = 400;

/// How long after a sleep the engine lets the network come up, and over how long it spreads what is due at most.
const SETTLE: Duration = Duration::from_secs(2);
const SPREAD: Duration = Duration::from_secs(60);

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
            one_by_one: !config.race || config.order == Order::Bep12,
            engine: Engine::new(config, seed),
            world: Arc::new(world),
            now: Timestamp::ZERO,
            members: Vec::new(),
            attempts: HashMap::new(),
            well_since: Timestamp::ZERO,
            gaps: Duration::ZERO,
            tally: Tally::default(),
            trace: Trace::default(),
            ids: HashMap::new(),
            queue: BinaryHeap::new(),
            pending: HashMap::new(),
            queued: 0,
            checks: BinaryHeap::new(),
            trying: None,
            steps: 0,
            steps_at_once: 0,
            step_limit: u64::MAX,
            tolerates_starvation: false,
        }
    }

    /// Ends [`run_until`](Self::run_until) after so many steps in all.
    pub fn limit_steps(&mut self, steps: u64) {
        self.step_limit = steps;
    }

    /// Counts answers only: a scene has an expectation of its own.
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
        self.now
    }

    /// What was counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// When a torrent was answered, and by whom.
    pub fn answers(&self, torrent: usize) -> &[(Timestamp, usize)] {
        &self.members[torrent].answers
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
        let listed = self.members[torrent].listed.iter().filter(|listed| listed.is_listed);
        listed.map(|listed| listed.tracker).collect()
    }

    /// Adds a torrent, and gives its number.
    pub fn add(&mut self, newcomer: Newcomer) -> usize {
        let number = self.members.len();
        let urls = newcomer.tiers.iter().map(|tier| {
            tier.iter().map(|listing| self.world.trackers[listing.tracker].url.clone()).collect::<Vec<_>>()
        });
        let set = TrackerSet::new(urls.collect::<Vec<_>>()).with_private(newcomer.private);
        let mut info_hash = [0; 20];
        info_hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let mut torrent = Torrent::new(InfoHash::new(info_hash), PeerId::new([2; 20]), 6881);
        torrent.transfer.left = Some(if newcomer.seed { 0 } else { 1000 });
        let id = self.engine.add(set, torrent, self.now);
        self.ids.insert(id, number);
        let now = self.now;
        let listings = newcomer.tiers.into_iter().flatten();
        self.members.push(Member {
            id,
            runs: true,
            stopping_since: None,
            private: newcomer.private,
            races: !newcomer.private && !self.one_by_one,
            complete: newcomer.seed,
            complete_from_start: newcomer.seed,
            owes_since: None,
            completed_accepted: false,
            in_use: None,
            unused_since: now,
            answered_at: Timestamp::ZERO,
            due: now,
            listed: listings.map(|listing| Listed::new(listing.tracker, listing.own, now)).collect(),
            forced_until: 0,
            rounds_ended: 0,
            uploaded: 0,
            check_at: None,
            answers: Vec::new(),
        });
        self.trace.note(now, Some(number), None, || "added".to_owned());
        for place in 0..self.members[number].listed.len() {
            self.count_listed(number, place, true);
        }
        self.look_out(number);
        number
    }

    /// Adds a tracker to a torrent's list, in a tier of its own at the end.
    pub fn list(&mut self, torrent: usize, listing: Listing) {
        let (now, id) = (self.now, self.members[torrent].id);
        let url = self.world.trackers[listing.tracker].url.clone();
        let tracker = listing.tracker;
        self.trace.note(now, Some(torrent), Some(tracker), || "added to the list".to_owned());
        let mut is_new = false;
        self.engine.change_trackers(id, |set| is_new = set.add(usize::MAX, url), now);
        if !is_new {
            return; // Private torrents keep the trackers of their file.
        }
        let member = &mut self.members[torrent];
        let place = member.place(tracker).unwrap_or_else(|| {
            member.listed.push(Listed::new(tracker, listing.own, now));
            member.listed.len() - 1
        });
        let listed = &mut member.listed[place];
        (listed.is_listed, listed.since) = (true, now);
        self.count_listed(torrent, place, true);
        self.look_out(torrent);
    }

    /// Takes a tracker from a torrent's list.
    pub fn unlist(&mut self, torrent: usize, tracker: usize) {
        let (now, id) = (self.now, self.members[torrent].id);
        let url = self.world.trackers[tracker].url.clone();
        self.trace.note(now, Some(torrent), Some(tracker), || "taken from the list".to_owned());
        self.engine.change_trackers(id, |set| _ = set.remove(&url), now);
        let member = &mut self.members[torrent];
        let Some(place) = member.place(tracker) else { return };
        if member.in_use == Some(tracker) {
            (member.in_use, member.unused_since) = (None, now);
        }
        let listed = &mut member.listed[place];
        listed.is_listed = false;
        (listed.not_before, listed.no_regular_before, listed.not_again) =
            (Timestamp::ZERO, Timestamp::ZERO, false);
        self.count_listed(torrent, place, false);
        self.look_out(torrent);
    }

    /// The download is complete.
    pub fn complete(&mut self, torrent: usize) {
        let (now, member) = (self.now, &mut self.members[torrent]);
        if !member.complete {
            member.complete = true;
            member.owes_since = Some(now);
        }
        member.forced_until = member.forced_until.max(member.rounds_ended + 2);
        self.engine.complete(member.id, now);
        self.trace.note(now, Some(torrent), None, || "complete".to_owned());
        self.look_out(torrent);
    }

    /// The user wants an announce.
    pub fn reannounce(&mut self, torrent: usize) {
        let member = &mut self.members[torrent];
        let round = self.engine.reannounce(member.id, self.now);
        member.forced_until = member.forced_until.max(round.unwrap_or_default());
        self.trace.note(self.now, Some(torrent), None, || "reannounce".to_owned());
    }

    /// More peers are wanted.
    pub fn want_peers(&mut self, torrent: usize) {
        self.engine.want_peers(self.members[torrent].id, self.now);
        self.trace.note(self.now, Some(torrent), None, || "wants peers".to_owned());
    }

    /// The counters go on.
    pub fn update(&mut self, torrent: usize, uploaded: u64) {
        let member = &self.members[torrent];
        let left = if member.complete { 0 } else { 500 };
        self.engine.update(member.id, Transfer { uploaded, downloaded: uploaded, left: Some(left) });
    }

    /// Ends a torrent.
    pub fn stop(&mut self, torrent: usize) {
        if self.leave(torrent) {
            self.engine.stop(self.members[torrent].id, self.now);
            self.trace.note(self.now, Some(torrent), None, || "stop".to_owned());
        }
    }

    /// Drops a torrent without `stopped`.
    pub fn forget(&mut self, torrent: usize) {
        if self.leave(torrent) {
            self.engine.forget(self.members[torrent].id, self.now);
            self.members[torrent].listed.clear();
        }
    }

    fn leave(&mut self, torrent: usize) -> bool {
        let member = &mut self.members[torrent];
        if !std::mem::replace(&mut member.runs, false) {
            return false;
        }
        (member.stopping_since, member.check_at) = (Some(self.now), None);
        for place in 0..member.listed.len() {
            if self.members[torrent].listed[place].is_listed {
                self.count_listed(torrent, place, false);
            }
        }
        true
    }

    /// Another network, as good as this one.
    pub fn change_network(&mut self) {
        self.engine.network_changed(self.now);
    }

    /// Our process stands still; what arrives meanwhile is read afterwards.
    pub fn stand_still(&mut self, gap: Duration) {
        self.lose(gap);
        while let Some(Reverse((at, number, attempt))) = self.queue.peek().copied()
            && at <= self.now
        {
            self.queue.pop();
            self.happens(number, attempt);
        }
    }

    /// The machine sleeps; answers on their way are lost.
    pub fn sleep(&mut self, gap: Duration) {
        self.queue.clear();
        self.pending.clear();
        self.lose(gap);
    }

    fn lose(&mut self, gap: Duration) {
        let running = self.engine.torrents().count() as u64;
        let now = self.now + gap;
        self.well_since = now + SETTLE + SPREAD.min(Duration::from_secs(running / 20));
        self.gaps += gap;
        self.advance(now);
        self.trace.note(now, None, None, || format!("{gap:?} were lost"));
        self.engine.resumed(gap, now);
    }

    /// Lives on until this moment, or until the limit of steps.
    pub fn run_until(&mut self, until: Timestamp) {
        while !self.is_over() {
            let output = self.engine.poll(self.now);
            self.steps += 1;
            self.steps_at_once += 1;
            assert!(
                self.steps_at_once < STEPS_AT_ONCE + STEPS_AT_ONCE_EACH * self.members.len(),
                "it spins at {:?}: {output:?}",
                self.now
            );
            let Output::Wait(wake) = output else {
                self.act(output);
                continue;
            };
            assert!(
                wake.is_none_or(|wake| wake >= self.now),
                "woken in the past: {wake:?}, now {:?}",
                self.now
            );
            let next = self.queue.peek().map(|Reverse((at, ..))| *at);
            let at = [wake, next].into_iter().flatten().min().unwrap_or(until).max(self.now);
            if at >= until {
                self.advance(until);
                return;
            }
            self.advance(at);
            if next.is_some_and(|next| next <= at)
                && let Some(Reverse((_, number, attempt))) = self.queue.pop()
            {
                self.happens(number, attempt);
            }
        }
    }

    fn advance(&mut self, to: Timestamp) {
        while let Some(Reverse((at, torrent))) = self.checks.peek().copied()
            && at < to
        {
            self.checks.pop();
            if self.members[torrent].check_at == Some(at) {
                self.check(torrent, at);
            }
        }
        if to > self.now {
            (self.now, self.steps_at_once) = (to, 0);
        }
    }

    pub(super) fn outlook(&self, torrent: usize, now: Timestamp) -> Outlook {
        outlook(&self.world, &self.hosts, &self.members[torrent], self.well_since, now)
    }

    /// Looks for a torrent's deadline, which may have come nearer.
    fn look_out(&mut self, torrent: usize) {
        let check_at = self.outlook(torrent, self.now).check_at();
        self.members[torrent].check_at = check_at;
        self.checks.extend(check_at.map(|at| Reverse((at, torrent))));
    }

    /// A moment has come at which a torrent was to have an answer, as far as was known then.
    fn check(&mut self, torrent: usize, at: Timestamp) {
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
            "torrent {torrent} has no answer at {now:?}: {} could serve it since {:?} ({:?}, by {:?}); due {:?}, last \
             answer {:?}, failed there {:?}; of the host: lifeless {}, failed {}, cleared {:?}, listed {}",
            self.world.trackers[deadline.tracker].url,
            deadline.since,
            deadline.class,
            deadline.at,
            member.due(),
            member.answers.last(),
            listed.failed,
            facts.is_lifeless,
            facts.failed.len(),
            facts.cleared_at,
            facts.listed,
        )
    }

    fn count_listed(&mut self, torrent: usize, place: usize, more: bool) {
        let listed = &self.members[torrent].listed[place];
        let host = &mut self.hosts[self.world.trackers[listed.tracker].host];
        let slow = usize::from(listed.is_slow(&self.world));
        if more {
            (host.listed, host.slow) = (host.listed + 1, host.slow + slow);
        } else {
            (host.listed, host.slow) = (host.listed - 1, host.slow - slow);
            host.failed_torrents.remove(&torrent);
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Probe { attempt, tracker } => {
                let tracker = self.world.number(&tracker);
                self.trace.note(self.now, None, Some(tracker), || "probe".to_owned());
                self.begin(attempt, None, tracker, Stage::Probing);
                if let Some((at, result)) = self.world.probe(tracker, self.now) {
                    self.later(at, attempt, Happening::Probed(result));
                }
            }
            Output::Open { attempt, tracker } => {
                let tracker = self.world.number(&tracker);
                let torrent = self.trying.take().filter(|(_, trying)| *trying == tracker).map(|(of, _)| of);
                self.trace.note(self.now, torrent, Some(tracker), || "open".to_owned());
                self.judge_opening(torrent, tracker);
                self.begin(attempt, torrent, tracker, Stage::Opening);
                if let Some((at, result)) = self.world.open(tracker, self.now) {
                    self.later(at, attempt, Happening::Opened(result));
                }
            }
            Output::Announce { attempt, request } => self.announce(attempt, request),
            Output::Close { attempt } => self.closed(attempt),
            Output::Alert { torrent, alert } => {
                let torrent = self.ids.get(&torrent).copied();
                if let (Alert::Trying { tracker, .. }, Some(torrent)) = (&alert, torrent) {
                    self.trying = Some((torrent, self.world.number(tracker)));
                }
                self.trace.note(self.now, torrent, None, || format!("{alert}"));
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
            _ => {}
        }
    }

    fn begin(&mut self, id: AttemptId, torrent: Option<usize>, tracker: usize, stage: Stage) {
        self.attempts.insert(id, Attempt { torrent, tracker, began: self.now, stage });
    }

    fn later(&mut self, at: Timestamp, attempt: AttemptId, happening: Happening) {
        self.queued += 1;
        self.queue.push(Reverse((at, self.queued, attempt)));
        self.pending.insert(self.queued, happening);
    }

    fn announce(&mut self, id: AttemptId, request: Box<AnnounceRequest>) {
        let Some(attempt) = self.attempts.get_mut(&id) else { panic!("an announce on no channel") };
        let mut number = [0; 8];
        number.copy_from_slice(&request.info_hash.as_bytes()[..8]);
        let torrent = usize::try_from(u64::from_be_bytes(number)).unwrap_or(usize::MAX);
        attempt.torrent = Some(torrent);
        let tracker = attempt.tracker;
        self.trace.note(self.now, Some(torrent), Some(tracker), || format!("announce {:?}", request.event));
        self.judge_announce(torrent, tracker, &request);
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.stage = Stage::Announcing(request);
        }
        let member = &self.members[torrent];
        let own = member.place(tracker).and_then(|place| member.listed[place].own.as_ref());
        if let Some((at, reply)) = self.world.announce(tracker, own, self.now) {
            self.later(at, id, Happening::Replied(reply));
        }
    }

    /// An attempt was given up by the engine.
    fn closed(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.remove(&id) else { return };
        self.trace.note(self.now, attempt.torrent, Some(attempt.tracker), || "close".to_owned());
        let failing = match attempt.stage {
            Stage::Announcing(_) => Failing::Answer,
            // Whoever loses a race isn't silent for long.
            Stage::Opening if self.now.since(attempt.began) < Duration::from_secs(1) => return,
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

    fn happens(&mut self, number: u64, id: AttemptId) {
        let Some(happening) = self.pending.remove(&number) else { return };
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
                Input::Probed(id, result.map_err(Into::into))
            }
            Happening::Replied(result) => {
                self.replied(&attempt, &result);
                match result {
                    Ok(response) => Input::Replied(id, Box::new(response)),
                    Err(error) => Input::Failed(id, error),
                }
            }
        };
        self.trace.note(self.now, torrent, Some(tracker), || format!("{input:?}"));
        self.engine.handle(input, self.now);
    }
}
