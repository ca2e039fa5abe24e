//! Drives an [`Engine`] in virtual time: a [`Driver`] keeps the clock and what is still to come, and a [`Scene`] adds
//! trackers that answer by a rule.
//!
//! Time moves only where the engine has nothing left to do, and then to the next moment at which something is due. Events
//! of one moment are delivered one at a time, in the order in which they were scheduled, and the engine is polled between
//! them. The same engine among the same trackers gives the same run.

mod scene;
mod spin;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use tracker_failover::Torrent;
use tracker_failover::TrackerSet;
use tracker_failover::policy::{Engine, Input, Output, Timestamp, TorrentId};

pub use scene::{Scene, Trackers};
use spin::Spin;

/// An engine, its clock, and the events that are still to come.
#[derive(Debug)]
pub struct Driver<Event> {
    /// The engine.
    pub engine: Engine,
    now: Timestamp,
    coming: BinaryHeap<Coming<Event>>,
    /// How many events were scheduled: it orders those of one moment.
    scheduled: u64,
    /// When the engine wants to be woken, as of its last [`Output::Wait`].
    wake: Option<Timestamp>,
    timers: Timers,
    spin: Spin,
}

/// What one poll of the engine led to.
#[derive(Debug)]
pub enum Step<Event> {
    /// The engine wants this; never [`Output::Wait`].
    Output(Output),
    /// This event happens now.
    Event(Event),
    /// It is the moment at which the engine wanted to be woken.
    Woken,
    /// Nothing happens before the given moment, which it is now. Without one, nothing is left to happen at all, and the
    /// clock stands.
    Idle,
}

/// When the engine's timers fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timers {
    /// At their moment, or with the first event of that moment.
    Exact,
    /// As tokio's do: at whole milliseconds, and before the events of that moment.
    Tokio,
}

#[derive(Debug)]
struct Coming<Event> {
    at: Timestamp,
    number: u64,
    event: Event,
}

impl<Event> Driver<Event> {
    /// Drives this engine from time zero on.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            now: Timestamp::ZERO,
            coming: BinaryHeap::new(),
            scheduled: 0,
            wake: None,
            timers: Timers::Exact,
            spin: Spin::default(),
        }
    }

    /// Sets when timers fire.
    #[must_use]
    pub fn with_timers(mut self, timers: Timers) -> Self {
        self.timers = timers;
        self
    }

    /// Sets how many polls are no spin: at one moment, and within one second.
    pub fn limit_polls(&mut self, at_once: usize, a_second: usize) {
        self.spin.limit(at_once, a_second);
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// When the engine wants to be woken, as of the last step that wasn't an output.
    pub fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    /// When the next event is due.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.coming.peek().map(|coming| coming.at)
    }

    /// Adds a torrent now.
    pub fn add(&mut self, trackers: TrackerSet, torrent: Torrent) -> TorrentId {
        self.engine.add(trackers, torrent, self.now)
    }

    /// Reports something to the engine now.
    pub fn handle(&mut self, input: Input) {
        self.engine.handle(input, self.now);
    }

    /// Schedules an event.
    pub fn schedule(&mut self, at: Timestamp, event: Event) {
        self.scheduled += 1;
        self.coming.push(Coming { at, number: self.scheduled, event });
    }

    /// Polls the engine once. If it has nothing to do, the clock goes on to what is due next before `until`.
    ///
    /// # Panics
    /// If the engine wants to be woken in the past, or is polled more often than the limits allow.
    pub fn step(&mut self, until: Option<Timestamp>) -> Step<Event> {
        let output = self.engine.poll(self.now);
        self.spin.polled(self.now, &output);
        let Output::Wait(wake) = output else { return Step::Output(output) };
        assert!(
            wake.is_none_or(|wake| wake >= self.now),
            "the engine wants to be woken in the past: at {wake:?}, and it is {:?}",
            self.now
        );
        self.wake = wake.map(|wake| self.timers.fire_at(wake));
        let event = self.next_event().map(|at| at.max(self.now));
        let next = [self.wake, event].into_iter().flatten().min();
        let Some(next) = next.filter(|next| until.is_none_or(|until| *next < until)) else {
            self.advance(until.unwrap_or(self.now));
            return Step::Idle;
        };
        self.advance(next);
        let timer_is_first = self.timers == Timers::Tokio && self.wake == Some(next);
        if timer_is_first {
            return Step::Woken;
        }
        self.take_due().map_or(Step::Woken, Step::Event)
    }

    /// Moves the clock to a later moment without polling the engine, as when the process stands still.
    pub fn advance(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
    }

    /// Moves the clock as [`advance`](Self::advance) does, and reports the gap to the engine.
    pub fn sleep(&mut self, gap: Duration) {
        self.advance(self.now + gap);
        self.engine.resumed(gap, self.now);
    }

    /// Takes the first event that is due already.
    pub fn take_due(&mut self) -> Option<Event> {
        let is_due = self.next_event().is_some_and(|at| at <= self.now);
        if is_due { self.coming.pop().map(|coming| coming.event) } else { None }
    }

    /// Drops all events that are still to come, as when the machine sleeps and answers on their way are lost.
    pub fn lose_events(&mut self) {
        self.coming.clear();
    }
}

impl Timers {
    fn fire_at(self, wake: Timestamp) -> Timestamp {
        match self {
            Self::Exact => wake,
            Self::Tokio => Timestamp::from_micros(wake.as_micros().div_ceil(1000).saturating_mul(1000)),
        }
    }
}

/// The earliest is the greatest, because a binary heap gives its greatest first.
impl<Event> Ord for Coming<Event> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<Event> PartialOrd for Coming<Event> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<Event> PartialEq for Coming<Event> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<Event> Eq for Coming<Event> {}

#[cfg(test)]
mod tests {
    use tracker_failover::Config;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn driver() -> Driver<char> {
        Driver::new(Engine::new(Config::default(), 7))
    }

    #[test]
    fn events_of_one_moment_come_in_the_order_in_which_they_were_scheduled() {
        let mut driver = driver();
        for (millis, event) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b')] {
            driver.schedule(at(millis), event);
        }
        let mut seen = Vec::new();
        while let Step::Event(event) = driver.step(None) {
            seen.push((driver.now(), event));
        }
        assert_eq!(seen, [(at(3), 'a'), (at(3), 'b'), (at(5), 'c'), (at(5), 'd')]);
    }

    #[test]
    fn the_clock_stops_before_what_happens_at_the_given_moment() {
        let mut driver = driver();
        driver.schedule(at(10), 'a');
        assert!(matches!(driver.step(Some(at(10))), Step::Idle));
        assert_eq!((driver.now(), driver.next_event()), (at(10), Some(at(10))));
        assert!(matches!(driver.step(Some(at(11))), Step::Event('a')));
        assert!(matches!(driver.step(None), Step::Idle));
        assert_eq!(driver.now(), at(10), "nothing is left to happen");
    }

    #[test]
    fn what_was_due_while_the_process_stood_still_happens_afterwards() {
        let mut driver = driver();
        driver.schedule(at(10), 'a');
        driver.schedule(at(30), 'b');
        driver.sleep(Duration::from_millis(20));
        assert_eq!((driver.take_due(), driver.take_due(), driver.now()), (Some('a'), None, at(20)));
        driver.lose_events();
        assert!(matches!(driver.step(None), Step::Idle));
    }

    #[test]
    fn a_timer_of_tokio_fires_at_the_next_whole_millisecond() {
        assert_eq!(Timers::Tokio.fire_at(Timestamp::from_micros(1001)), at(2));
        assert_eq!(Timers::Tokio.fire_at(at(2)), at(2));
        assert_eq!(Timers::Exact.fire_at(Timestamp::from_micros(1001)), Timestamp::from_micros(1001));
    }
}
