//! An engine among trackers that answer by a rule.

use std::collections::HashMap;
use std::time::Duration;

use tracker_failover::Config;
use tracker_failover::policy::{AttemptId, Engine, Input, Output, Timestamp};
use tracker_failover::{
    AddressFamily, AnnounceError, AnnounceRequest, AnnounceResponse, Measurement, TrackerUrl,
};

use crate::{Driver, Step};

/// What trackers do with what reaches them: after how long something comes back, and what. `None` is silence.
pub trait Trackers {
    /// A probe.
    fn probe(
        &mut self,
        _tracker: &TrackerUrl,
        _now: Timestamp,
    ) -> Option<(Duration, Result<Measurement, AnnounceError>)> {
        None
    }

    /// An opening.
    fn open(&mut self, tracker: &TrackerUrl, now: Timestamp)
    -> Option<(Duration, Result<(), AnnounceError>)>;

    /// The other address family over which a tracker can be reached, reported with each of its channels.
    fn other_family(&self, _tracker: &TrackerUrl) -> Option<AddressFamily> {
        None
    }

    /// An announce on an open channel.
    fn announce(
        &mut self,
        tracker: &TrackerUrl,
        request: &AnnounceRequest,
        now: Timestamp,
    ) -> Option<(Duration, Result<AnnounceResponse, AnnounceError>)>;

    /// The engine gives an opening or an announce up.
    fn close(&mut self, _tracker: &TrackerUrl, _now: Timestamp) {}

    /// Everything else that the engine reports, and what its user does about it.
    fn report(&mut self, _output: &Output, _engine: &mut Engine, _now: Timestamp) {}
}

/// An engine among trackers that answer by a rule.
#[derive(Debug)]
pub struct Scene<T> {
    /// The engine and its time.
    pub driver: Driver<Input>,
    /// The trackers.
    pub trackers: T,
    /// The tracker of each attempt.
    attempts: HashMap<AttemptId, TrackerUrl>,
}

impl<T: Trackers> Scene<T> {
    /// An engine without torrents.
    pub fn new(config: Config, seed: u64, trackers: T) -> Self {
        Self { driver: Driver::new(Engine::new(config, seed)), trackers, attempts: HashMap::new() }
    }

    /// Plays until this moment, of which nothing has happened yet.
    pub fn play_until(&mut self, until: Timestamp) {
        while self.step(Some(until)) {}
    }

    /// One step as that of [`Driver::step`]. Returns whether something has happened.
    pub fn step(&mut self, until: Option<Timestamp>) -> bool {
        match self.driver.step(until) {
            Step::Output(output) => self.act(output),
            Step::Event(input) => {
                if let Input::Opened(attempt) = input
                    && let Some(tracker) = self.attempts.get(&attempt)
                    && let Some(family) = self.trackers.other_family(tracker)
                {
                    let now = self.driver.now();
                    self.driver.engine.reachable_over(attempt, family, now);
                }
                self.driver.handle(input);
            }
            Step::Woken => {}
            Step::Idle => return false,
        }
        true
    }

    fn act(&mut self, output: Output) {
        let now = self.driver.now();
        match output {
            Output::Probe { attempt, tracker } => {
                if let Some((after, result)) = self.trackers.probe(&tracker, now) {
                    self.driver.schedule(now + after, Input::Probed(attempt, result));
                }
            }
            Output::Open { attempt, tracker } => {
                if let Some((after, result)) = self.trackers.open(&tracker, now) {
                    let input = match result {
                        Ok(()) => Input::Opened(attempt),
                        Err(error) => Input::Failed(attempt, error),
                    };
                    self.driver.schedule(now + after, input);
                }
                self.attempts.insert(attempt, tracker);
            }
            Output::Announce { attempt, request } => {
                let Some(tracker) = self.attempts.get(&attempt) else { panic!("an announce on no channel") };
                if let Some((after, result)) = self.trackers.announce(tracker, &request, now) {
                    let input = match result {
                        Ok(response) => Input::Replied(attempt, Box::new(response)),
                        Err(error) => Input::Failed(attempt, error),
                    };
                    self.driver.schedule(now + after, input);
                }
            }
            Output::Close { attempt } => {
                if let Some(tracker) = self.attempts.remove(&attempt) {
                    self.trackers.close(&tracker, now);
                }
            }
            output => self.trackers.report(&output, &mut self.driver.engine, now),
        }
    }
}
