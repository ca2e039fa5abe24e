//! Which hosts a session wants measured, at its start and later, and what it learns by it.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;

use super::config::{Order, Probing};
use super::hosts::Hosts;
use super::returning::SEEN;
use super::session::{Context, Session, TrackerFailure};
use super::stopping::Phase;
use super::verdict::{HostNews, TrackerNews, Verdict};
use crate::alert::Alert;
use crate::error::AnnounceError;
use crate::prober::Measurement;
use crate::time::Timestamp;
use crate::tracker::{TrackerHost, TrackerUrl};

impl Session {
    /// Whether latency decides, so that hosts are measured.
    pub(super) fn measures_hosts(&self) -> bool {
        self.trackers.order() == Order::Nearest && self.config.probing == Probing::Parallel
    }

    /// The trackers whose latency decides and isn't known: not even by what `known` tells of their hosts.
    pub(crate) fn unmeasured(&mut self, known: impl Fn(&TrackerHost) -> Option<Duration>) -> Vec<TrackerUrl> {
        let choice = self.trackers.supported_trackers().count() > 1;
        let asked_before = self.once.is_some() && self.trackers.is_known();
        if !choice || asked_before || !self.measures_hosts() {
            return Vec::new();
        }
        let probing = &self.probing;
        let idle = |tracker: &TrackerUrl| !probing.contains(tracker);
        self.trackers
            .recall_latencies(|tracker| if idle(tracker) { known(tracker.host_key()) } else { None });
        self.trackers.unknown_trackers().filter(|tracker| idle(tracker)).cloned().collect()
    }

    pub(crate) fn knows(&mut self, tracker: &TrackerUrl, latency: Duration) {
        self.trackers.record_latency(tracker, latency);
    }

    pub(crate) fn probe_asked(&mut self, tracker: &TrackerUrl) {
        self.probing.insert(tracker.clone());
    }

    pub(crate) fn probed(
        &mut self,
        tracker: &TrackerUrl,
        result: &Result<Measurement, AnnounceError>,
        context: &mut Context<'_>,
    ) {
        if self.checking.take_if(|checking| checking == tracker).is_some() {
            self.checked(tracker, result, context);
        }
        if !self.probing.remove(tracker) {
            return;
        }
        match result {
            Ok(measurement) => {
                self.knows(tracker, measurement.latency());
                let (tracker, measurement) = (tracker.clone(), *measurement);
                context.alert(self.id, Alert::Probed { tracker, measurement });
            }
            Err(error) => {
                if is_of_the_host(error) {
                    self.trackers.record_failure(tracker);
                    let failure = TrackerFailure { error: error.clone(), news: TrackerNews::OfTheHost };
                    self.failures.insert(tracker.clone(), failure);
                }
                context.alert(self.id, Alert::ProbeFailed { tracker: tracker.clone(), error: error.clone() });
            }
        }
        if self.probing.is_empty() {
            // One that has become empty keeps its room.
            self.probing = BTreeSet::new();
            self.tell_order(context);
        }
        if let Some(round) = &mut self.round
            && (result.is_ok() || self.probing.is_empty())
        {
            round.release();
        }
    }

    /// Tells the user in which order trackers are tried.
    pub(super) fn tell_order(&self, context: &mut Context<'_>) {
        let order = self.failover_order(context.hosts, context.now).into_iter();
        let trackers = order.map(|tracker| (tracker.clone(), self.trackers.latency(tracker))).collect();
        context.alert(self.id, Alert::FailoverOrder { trackers });
    }

    /// A host was measured again: it may be the one to return to.
    pub(super) fn checked(
        &mut self,
        tracker: &TrackerUrl,
        result: &Result<Measurement, AnnounceError>,
        context: &mut Context<'_>,
    ) {
        match result {
            Ok(measurement) => self.knows(tracker, measurement.latency()),
            Err(error) if is_of_the_host(error) => self.trackers.record_failure(tracker),
            Err(_) => {}
        }
        if let Some(home) = self.home.as_mut().filter(|home| home.tracker() == tracker) {
            home.seen(result.is_ok(), context.random.random(), context.now);
        }
    }

    /// The tracker whose host is to be measured again.
    pub(crate) fn take_wanted_check(&mut self) -> Option<TrackerUrl> {
        let tracker = self.wanted_check.take()?;
        self.checking = Some(tracker.clone());
        Some(tracker)
    }

    /// Looks after the tracker that was left, and after hosts that weren't heard for long.
    pub(super) fn check_hosts(&mut self, context: &mut Context<'_>) {
        if self.phase != Phase::Running
            || self.once.is_some()
            || !self.measures_hosts()
            || !self.is_automatic()
        {
            return;
        }
        if self.checking.is_some() || self.wanted_check.is_some() || self.schedule.is_troubled() {
            return;
        }
        let due = self.schedule.due();
        let Some(look_at) = self.home.as_ref().zip(due).and_then(|(home, due)| home.look_at(due)) else {
            return;
        };
        if look_at > context.now {
            return self.wake_at(Some(look_at));
        }
        let Some(home) = &mut self.home else { return };
        home.looks();
        let tracker = home.tracker().clone();
        match context.hosts.health().heard_since(tracker.host_key(), context.now.before(SEEN)) {
            Some(is_alive) => home.seen(is_alive, context.random.random(), context.now),
            None => self.wanted_check = Some(tracker),
        }
    }

    /// A tracker beside the one in use whose host wasn't heard for so long that its latency is a guess.
    pub(super) fn stale(&self, hosts: &Hosts, now: Timestamp) -> Option<TrackerUrl> {
        let stale = |tracker: &&TrackerUrl| {
            let heard = hosts.health().host(tracker.host_key()).filter(|known| !known.is_backed_off());
            let at = heard.and_then(|heard| heard.answered_at().max(heard.failed_at()));
            Some(*tracker) != self.trackers.in_use()
                && at.is_some_and(|at| now.since(at) > self.config.measurement_lifetime)
        };
        self.trackers.supported_trackers().find(stale).cloned()
    }
}

/// Whether a failed probe says that the host can't be reached. One that lives and answers no probe may well answer
/// announces, and one that couldn't be probed isn't failing.
fn is_of_the_host(error: &AnnounceError) -> bool {
    matches!(Verdict::of(error).host, HostNews::Unreachable { .. } | HostNews::Silent | HostNews::Local)
}
