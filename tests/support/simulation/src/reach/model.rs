//! A client that isn't ours, by its [`Rules`].

use std::collections::{BTreeSet, HashMap};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tracker_failover::{Event, PeerCounts, Scheme};

use super::agent::{Action, Agent, Answer, Attempt, News, PeerNumber};
use super::rules::{Activation, Groups, Rules, of};
use super::world::World;
use crate::time::{MINUTE, Millis, SECOND};

pub(super) struct Model {
    rules: Rules,
    is_seed: bool,
    schemes: Vec<Scheme>,
    groups: Vec<Group>,
    /// How many groups, from the first on, are announced to.
    active: usize,
    /// When the next group may become active.
    next_check: Option<Millis>,
    last_activation: Millis,
    peers: PeerCounts,
    known: BTreeSet<PeerNumber>,
    attempts: Attempt,
    /// Opened channels, whose announces go out next.
    opened: Vec<Attempt>,
    wake: Option<Millis>,
}

/// Trackers of which one is announced to.
struct Group {
    tiers: Vec<Vec<usize>>,
    /// The tracker that is being announced to, and until when.
    asking: Option<(Attempt, usize, Millis)>,
    due: Millis,
    has_answer: bool,
    /// How often each tracker has failed in a row, and until when it is left out.
    failures: HashMap<usize, (u32, Millis)>,
}

/// Below this many connections that stand or are under way, BiglyBT activates the next group every 2.5 s.
const SMART_LEAST: u32 = 10;
const SMART_CHECK: Millis = 2500;
const SMART_INTERIM: Millis = 10 * SECOND;
/// rTorrent's `throttle.min_peers.normal`.
const REQUESTING_LEAST: usize = 100;
/// When rTorrent was measured to ask further tiers, how often it looks, and the least time between two announces.
const REQUESTING_AFTER: Millis = 9500;
const REQUESTING_CHECK: Millis = 30 * SECOND;
const REQUESTING_INTERVAL: Millis = 5 * MINUTE;

impl Model {
    pub(super) fn new(world: &World, member: usize) -> Self {
        let of_world = &world.members[member];
        let rules = of(of_world.kind);
        let mut random = StdRng::seed_from_u64(world.seed ^ (member as u64) << 32);
        let mut tiers = world.tiers.clone();
        if rules.shuffles {
            for tier in &mut tiers {
                tier.shuffle(&mut random);
            }
        }
        let orders: Vec<Vec<Vec<usize>>> = match rules.groups {
            Groups::One => vec![tiers],
            Groups::PerTier => tiers.into_iter().map(|tier| vec![tier]).collect(),
            Groups::PerTracker => tiers.concat().into_iter().map(|tracker| vec![vec![tracker]]).collect(),
        };
        Self {
            active: if rules.activation == Activation::AtOnce { orders.len() } else { 1 },
            rules,
            is_seed: of_world.is_seed,
            schemes: world.trackers.iter().map(|tracker| tracker.scheme).collect(),
            groups: orders.into_iter().map(Group::new).collect(),
            next_check: None,
            last_activation: 0,
            peers: PeerCounts::default(),
            known: BTreeSet::new(),
            attempts: 0,
            opened: Vec::new(),
            wake: None,
        }
    }

    fn start(&mut self, now: Millis) {
        for group in &mut self.groups {
            group.due = now;
        }
        self.last_activation = now;
        self.next_check = match self.rules.activation {
            Activation::AtOnce => None,
            Activation::Smart => Some(now + SMART_CHECK),
            Activation::Requesting => Some(now + 3 * SECOND),
        };
    }

    /// Activates further groups where the client's rules want that.
    fn check(&mut self, now: Millis) {
        let has_answer = self.groups[..self.active].iter().any(|group| group.has_answer);
        let connections = self.peers.connected + self.peers.connecting;
        self.next_check = match self.rules.activation {
            Activation::AtOnce => None,
            // Seeds: only without any connection, a minute after the last; checked each minute, or every three.
            Activation::Smart if self.is_seed => {
                let wait = match self.peers.connected {
                    0 if now - self.last_activation >= MINUTE => self.activate_next(now, MINUTE),
                    0 => Some(MINUTE),
                    1 | 2 => Some(3 * MINUTE),
                    _ => None,
                };
                wait.map(|wait| now + wait)
            }
            Activation::Smart if !has_answer || connections < SMART_LEAST => {
                self.activate_next(now, SMART_CHECK).map(|wait| now + wait)
            }
            // The number of connections isn't limited here, so more could always be used.
            Activation::Smart => self.activate_next(now, SMART_INTERIM).map(|wait| now + wait),
            Activation::Requesting => Some(now + self.request(has_answer)),
        };
    }

    fn activate_next(&mut self, now: Millis, again: Millis) -> Option<Millis> {
        if self.active < self.groups.len() {
            self.groups[self.active].due = now;
            self.active += 1;
            self.last_activation = now;
        }
        (self.active < self.groups.len()).then_some(again)
    }

    /// rTorrent: one tracker of each group where none has answered, or while peers are few.
    fn request(&mut self, has_answer: bool) -> Millis {
        if !has_answer {
            self.active = self.groups.len();
            return REQUESTING_AFTER - 3 * SECOND;
        }
        let spare = self.known.len().saturating_sub(self.peers.connected as usize);
        if self.peers.connected as usize + spare / 2 < REQUESTING_LEAST {
            self.active = self.groups.len();
        }
        REQUESTING_CHECK
    }

    fn answered(&mut self, group: usize, answer: &Answer, now: Millis) {
        self.known.extend(&answer.peers);
        let requests = self.rules.activation == Activation::Requesting
            && (self.peers.connected as usize) < REQUESTING_LEAST;
        let interval = if requests { answer.interval.min(REQUESTING_INTERVAL) } else { answer.interval };
        self.groups[group].succeeded(now + interval);
    }

    fn asker(&self, attempt: Attempt) -> Option<usize> {
        self.groups.iter().position(|group| group.asking.is_some_and(|(asking, ..)| asking == attempt))
    }

    fn failed(&mut self, group: usize, now: Millis) {
        self.groups[group].failed(now, self.rules.back_off, &self.schemes);
    }
}

impl Group {
    fn new(tiers: Vec<Vec<usize>>) -> Self {
        Self { tiers, asking: None, due: Millis::MAX, has_answer: false, failures: HashMap::new() }
    }

    /// The first tracker that isn't left out, or the moment at which the first is back.
    fn next(&self, now: Millis) -> Result<usize, Millis> {
        let from = |tracker: &usize| self.failures.get(tracker).map_or(0, |(_, until)| *until);
        let order = || self.tiers.iter().flatten();
        let ready = order().find(|tracker| from(tracker) <= now);
        ready.copied().ok_or_else(|| order().map(from).min().unwrap_or(Millis::MAX))
    }

    fn succeeded(&mut self, due: Millis) {
        let Some((_, tracker, _)) = self.asking.take() else { return };
        self.failures.remove(&tracker);
        self.has_answer = true;
        self.due = due;
        // BEP 12: to the front of its tier.
        for tier in &mut self.tiers {
            if let Some(place) = tier.iter().position(|other| *other == tracker) {
                tier[..=place].rotate_right(1);
            }
        }
    }

    fn failed(&mut self, now: Millis, back_off: fn(Scheme, u32) -> Millis, schemes: &[Scheme]) {
        let Some((_, tracker, _)) = self.asking.take() else { return };
        let (failures, until) = self.failures.entry(tracker).or_default();
        *failures += 1;
        *until = now + back_off(schemes[tracker], *failures);
        self.due = self.next(now).err().unwrap_or(now);
    }
}

impl Agent for Model {
    fn take(&mut self, news: News, now: Millis) {
        match news {
            News::Started => self.start(now),
            News::Opened(attempt) => self.opened.push(attempt),
            News::Failed(attempt, _) => {
                if let Some(group) = self.asker(attempt) {
                    self.failed(group, now);
                }
            }
            News::Answered(attempt, answer) => {
                if let Some(group) = self.asker(attempt) {
                    self.answered(group, &answer, now);
                }
            }
            News::Peers(peers) => self.peers = peers,
            News::Woken | News::Probed(..) | News::WantsPeers => {}
        }
    }

    fn act(&mut self, now: Millis) -> Option<Action> {
        while let Some(attempt) = self.opened.pop() {
            if let Some(group) = self.asker(attempt)
                && let Some((_, tracker, _)) = self.groups[group].asking
            {
                let event = (!self.groups[group].has_answer).then_some(Event::Started);
                return Some(Action::Announce(attempt, tracker, event));
            }
        }
        if self.next_check.is_some_and(|check| check <= now) {
            self.check(now);
        }
        for group in 0..self.active {
            if self.groups[group].asking.is_some_and(|(_, _, until)| until <= now) {
                self.failed(group, now);
            }
            let of = &mut self.groups[group];
            if of.asking.is_none() && of.due <= now {
                match of.next(now) {
                    Ok(tracker) => {
                        let (tcp, udp) = self.rules.patience;
                        let patience = if self.schemes[tracker] == Scheme::Udp { udp } else { tcp };
                        self.attempts += 1;
                        of.asking = Some((self.attempts, tracker, now + patience));
                        return Some(Action::Open(self.attempts, tracker));
                    }
                    Err(back) => of.due = back,
                }
            }
        }
        let groups = self.groups[..self.active].iter();
        let wakes = groups.map(|group| group.asking.map_or(group.due, |(_, _, until)| until));
        self.wake = wakes.chain(self.next_check).min();
        None
    }

    fn wake(&self) -> Option<Millis> {
        self.wake.filter(|wake| *wake < Millis::MAX)
    }
}
