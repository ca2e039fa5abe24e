//! Going back to the tracker that was left when it failed: later, and ever later where it disappoints.

use std::time::Duration;

use super::time::Timestamp;
use crate::tracker::TrackerUrl;

/// How long a tracker that was left is not looked at, the first time.
const COOL_OFF: Duration = Duration::from_secs(10 * 60);

/// The cool-off doubles up to so many times as long.
const LONGEST: u32 = 32;

/// A tracker that has worked for so long since we returned is trusted again.
const SETTLED: Duration = Duration::from_secs(6 * 3600);

/// The tracker a torrent had to leave, and whether it is time to return.
///
/// Returning is worth something because the nearest tracker was chosen for a reason, and the one in use is only
/// second best. It is done at the boundary of a regular announce, when a probe has shown that the tracker is back,
/// and not for a while: one that flaps would be left and returned to all day.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    tracker: TrackerUrl,
    state: State,
    /// How many times as long as the first the cool-off is.
    times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Left; a probe may look from then on.
    Away { look_at: Timestamp },
    /// A probe is under way.
    Looking,
    /// It is back: the next regular announce goes there.
    Ready,
    /// We are there again, since then.
    Returned { at: Timestamp },
}

impl Home {
    /// Notes that `tracker` was left for another because it failed. `random` is from [0, 1).
    pub(crate) fn left(before: Option<Self>, tracker: TrackerUrl, random: f64, now: Timestamp) -> Self {
        let times = match before {
            Some(Self { tracker: home, state: State::Returned { at }, times })
                if home == tracker && now.since(at) < SETTLED =>
            {
                (times * 2).min(LONGEST)
            }
            // Left while away from home: that stays the place to return to.
            Some(home) if home.tracker != tracker && !matches!(home.state, State::Returned { .. }) => {
                return home;
            }
            _ => 1,
        };
        Self { tracker, state: State::Away { look_at: look_at(times, random, now) }, times }
    }

    /// The tracker.
    pub(crate) fn tracker(&self) -> &TrackerUrl {
        &self.tracker
    }

    /// When a probe may look whether it is back.
    pub(crate) fn look_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Away { look_at } => Some(look_at),
            _ => None,
        }
    }

    /// Notes that a probe looks.
    pub(crate) fn looks(&mut self) {
        self.state = State::Looking;
    }

    /// Notes what a probe saw. `random` is from [0, 1).
    pub(crate) fn seen(&mut self, alive: bool, random: f64, now: Timestamp) {
        if self.state == State::Looking {
            if alive {
                self.state = State::Ready;
            } else {
                self.times = (self.times * 2).min(LONGEST);
                self.state = State::Away { look_at: look_at(self.times, random, now) };
            }
        }
    }

    /// Whether the next regular announce goes there.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Notes that the announce that goes there has begun.
    pub(crate) fn returned(&mut self, now: Timestamp) {
        self.state = State::Returned { at: now };
    }
}

fn look_at(times: u32, random: f64, now: Timestamp) -> Timestamp {
    now + COOL_OFF.mul_f64(f64::from(times) * (0.75 + 0.5 * random))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(name: &str) -> TrackerUrl {
        format!("http://{name}.test/announce").parse().unwrap()
    }

    fn minute(minutes: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(minutes * 60))
    }

    fn wait(home: &Home, now: u64) -> u64 {
        home.look_at().unwrap().since(minute(now)).as_secs() / 60
    }

    #[test]
    fn it_is_looked_at_after_a_cool_off_that_doubles_when_it_disappoints() {
        let mut home = Home::left(None, url("a"), 0.5, minute(0));
        let mut waits = vec![wait(&home, 0)];
        for _ in 0..6 {
            home.looks();
            home.seen(false, 0.5, minute(0));
            waits.push(wait(&home, 0));
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 320]);
        home.looks();
        home.seen(true, 0.5, minute(0));
        assert!(home.is_ready());
    }

    #[test]
    fn one_that_fails_soon_after_the_return_waits_longer_and_one_that_settled_does_not() {
        let mut home = Home::left(None, url("a"), 0.5, minute(0));
        home.returned(minute(20));
        let flapping = Home::left(Some(home.clone()), url("a"), 0.5, minute(60));
        assert_eq!(wait(&flapping, 60), 20);
        let settled = Home::left(Some(home), url("a"), 0.5, minute(20 + 6 * 60));
        assert_eq!(wait(&settled, 20 + 6 * 60), 10);
    }

    #[test]
    fn home_stays_home_when_the_second_best_fails_too() {
        let home = Home::left(None, url("a"), 0.5, minute(0));
        let home = Home::left(Some(home), url("b"), 0.5, minute(5));
        assert_eq!(home.tracker(), &url("a"));
    }
}
