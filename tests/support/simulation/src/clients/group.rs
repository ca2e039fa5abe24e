//! How a client of the models looks after a group of trackers: which tracker it asks, and which after a failure.

use std::collections::{BTreeSet, HashMap};

use tracker_failover::{Event, Scheme};

use super::models::{Rules, Then};
use crate::life::{Accepted, Life, Plan, What};
use crate::network::{Contact, Network, Reply};
use crate::script::Retry;
use crate::time::{Millis, SECOND};

/// Trackers that are looked after together.
pub(super) struct Group<'a> {
    rules: &'a Rules,
    network: &'a mut Network,
    tiers: Vec<Vec<usize>>,
    /// Where sequential clients without BEP 12's order go on.
    cursor: usize,
    failures: HashMap<usize, u32>,
    not_before: HashMap<usize, Millis>,
    /// Until when a tracker asked for time, if the client minds that.
    hints: HashMap<usize, Millis>,
    tried: BTreeSet<usize>,
}

impl<'a> Group<'a> {
    pub(super) fn new(rules: &'a Rules, tiers: Vec<Vec<usize>>, network: &'a mut Network) -> Self {
        Self {
            rules,
            network,
            tiers,
            cursor: 0,
            failures: HashMap::new(),
            not_before: HashMap::new(),
            hints: HashMap::new(),
            tried: BTreeSet::new(),
        }
    }

    pub(super) fn play(&mut self, plan: &Plan, life: &mut Life) {
        let mut deeds = plan.deeds.iter().filter(|deed| deed.torrent == 0).peekable();
        let Some(mut at) = deeds.next().map(|deed| deed.at) else { return };
        life.needs.push(at);
        if self.rules.probes {
            at = self.probe_all(at);
        }
        let (mut event, mut tracker) = (Some(Event::Started), self.first(at));
        while at <= plan.until {
            let tried = tracker.map(|tracker| {
                let (ended, reply) = self.attempt(tracker, at, event);
                if let Reply::Good { interval, .. } = reply {
                    event = None;
                    life.answers.push(Accepted { at: ended, tracker });
                    self.succeeded(tracker);
                    return (ended, Some(ended + interval));
                }
                self.failed(tracker, reply, ended);
                (ended, None)
            });
            let (ended, due) = tried.unwrap_or((at, None));
            let (next, then) = match due {
                Some(due) => (None, due),
                None => self.next(ended),
            };
            let asked = deeds.next_if(|deed| deed.at <= then);
            if let Some(deed) = asked {
                if deed.what == What::Stop {
                    return;
                }
                // A client that is busy when the user asks does it right after.
                at = deed.at.max(ended);
                life.needs.push(deed.at);
                self.not_before.clear();
                tracker = self.first(at);
            } else {
                at = then;
                if due.is_some() {
                    life.needs.push(at);
                }
                tracker = next.or_else(|| self.first(at));
            }
        }
    }

    fn order(&self) -> Vec<usize> {
        self.tiers.iter().flatten().copied().collect()
    }

    /// Who is asked first in a round.
    fn first(&mut self, at: Millis) -> Option<usize> {
        self.tried.clear();
        let order = self.order();
        match self.rules.then {
            Then::OwnBackOff(_) => order.into_iter().find(|tracker| self.may_ask(*tracker, at)),
            Then::NextsBackOff(_) => Some(order[self.cursor]),
            Then::Lap(_) if self.rules.probes => Some(order[self.cursor]),
            Then::Lap(_) => order.first().copied(),
        }
    }

    /// The tracker to ask after a failure, and when. None means the first of a new round.
    fn next(&mut self, at: Millis) -> (Option<usize>, Millis) {
        let order = self.order();
        match self.rules.then {
            Then::OwnBackOff(_) => {
                let untried = order.iter().find(|t| !self.tried.contains(t) && self.may_ask(**t, at));
                if let Some(untried) = untried {
                    return (Some(*untried), at);
                }
                let soonest = order.iter().map(|tracker| self.allowed_from(*tracker));
                (None, soonest.min().unwrap_or(Millis::MAX).max(at))
            }
            Then::NextsBackOff(back_off) => {
                self.cursor = (self.cursor + 1) % order.len();
                let tracker = order[self.cursor];
                let wait = back_off(self.failures.get(&tracker).copied().unwrap_or(0));
                (Some(tracker), at + wait)
            }
            Then::Lap(wait) => {
                let from = if self.rules.probes { self.cursor } else { 0 };
                let lap = order.iter().cycle().skip(from).take(order.len());
                match lap.copied().find(|tracker| !self.tried.contains(tracker)) {
                    Some(untried) => (Some(untried), at),
                    None => (None, at + wait),
                }
            }
        }
    }

    fn may_ask(&self, tracker: usize, at: Millis) -> bool {
        self.allowed_from(tracker) <= at
    }

    fn allowed_from(&self, tracker: usize) -> Millis {
        let of = |map: &HashMap<usize, Millis>| map.get(&tracker).copied().unwrap_or(0);
        of(&self.not_before).max(of(&self.hints))
    }

    fn succeeded(&mut self, tracker: usize) {
        self.failures.remove(&tracker);
        self.not_before.remove(&tracker);
        if self.rules.probes {
            self.cursor = self.order().iter().position(|other| *other == tracker).unwrap_or(0);
        } else if !matches!(self.rules.then, Then::NextsBackOff(_)) {
            // BEP 12: to the front of its tier.
            for tier in &mut self.tiers {
                if let Some(place) = tier.iter().position(|other| *other == tracker) {
                    tier[..=place].rotate_right(1);
                }
            }
        }
    }

    fn failed(&mut self, tracker: usize, reply: Reply, at: Millis) {
        self.tried.insert(tracker);
        let failures = self.failures.entry(tracker).or_default();
        *failures += 1;
        let scheme = self.network.world.trackers[tracker].scheme;
        if let Then::OwnBackOff(back_off) = self.rules.then {
            let hint = match reply {
                Reply::Status(_, hint) | Reply::Failure(hint) if self.rules.minds_hints => hint,
                _ => Retry::Unsaid,
            };
            self.not_before.insert(tracker, at + back_off(scheme, *failures));
            match hint {
                Retry::Unsaid => {}
                Retry::After(wait) => drop(self.hints.insert(tracker, at + wait)),
                Retry::Never => drop(self.hints.insert(tracker, Millis::MAX)),
            }
        }
    }

    /// One announce to one tracker, with as many tries as the client makes. Silence is a broken connection here.
    fn attempt(&mut self, tracker: usize, at: Millis, event: Option<Event>) -> (Millis, Reply) {
        let udp = self.network.world.trackers[tracker].scheme == Scheme::Udp;
        let (limit, tries) = if udp { (self.rules.udp.1, 1) } else { self.rules.tcp };
        let (mut at, mut last) = (at, Reply::Broken);
        for _ in 0..tries {
            let (until, resends) = (at + limit, self.rules.udp.0);
            let reply = match self.network.open(tracker, at, resends) {
                Some((opened, Ok(()))) if opened < until => {
                    self.network.ask(tracker, opened, opened, Contact::Announce(event), resends)
                }
                Some((failed, Err(_))) => Some((failed, Reply::Broken)),
                _ => None,
            };
            (at, last) = reply.filter(|(answered, _)| *answered < until).unwrap_or((until, Reply::Broken));
            if last != Reply::Broken {
                break;
            }
        }
        (at, last)
    }

    /// Probes everybody, sorts by what came, and gives the end of the last probe.
    fn probe_all(&mut self, at: Millis) -> Millis {
        let limit = at + 3 * SECOND;
        let mut measured: Vec<(Millis, usize)> = Vec::new();
        for tracker in self.order() {
            let opened = self.network.open(tracker, at, &[0]);
            let udp = self.network.world.trackers[tracker].scheme == Scheme::Udp;
            let answered = match opened {
                Some((opened, Ok(()))) if opened < limit && !udp => {
                    self.network.ask(tracker, opened, opened, Contact::Probe, &[0]).map(|(at, _)| at)
                }
                Some((opened, Ok(()))) => Some(opened),
                Some((failed, Err(_))) => {
                    measured.push((Millis::MAX - limit + failed.min(limit), tracker));
                    continue;
                }
                None => None,
            };
            measured.push((answered.filter(|answered| *answered < limit).unwrap_or(Millis::MAX), tracker));
        }
        measured.sort_by_key(|(answered, _)| *answered);
        self.tiers = vec![measured.iter().map(|(_, tracker)| *tracker).collect()];
        measured.iter().map(|(at, _)| (*at).min(limit)).max().unwrap_or(at)
    }
}
