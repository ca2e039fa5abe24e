//! Going back to the tracker that was left when it failed: later, and ever later where it disappoints.

use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// How long a tracker that was left is not looked at, the first time.
const COOL_OFF: Duration = Duration::from_secs(10 * 60);

/// So long before a regular announce is due it is looked at: time enough for a probe, and for no more.
pub(crate) const LOOK_AHEAD: Duration = Duration::from_secs(10);

/// A host that was heard of within this, by whomever, needs no look.
pub(crate) const SEEN: Duration = Duration::from_secs(60);

/// The cool-off becomes so many times as long with each disappointment,
const GROWTH: u32 = 4;

/// and in all up to so many times as long as the first.
const LONGEST: u32 = 64;

/// A tracker that has worked for so long since we returned is trusted again.
const SETTLED: Duration = Duration::from_secs(6 * 3600);

/// The tracker a torrent had to leave, and whether it is time to return.
///
/// Returning is worth something because the nearest tracker was chosen for a reason, and the one in use is only
/// second best. It is done at the boundary of a regular announce, when a probe just before has shown that the tracker
/// is back, and not for a while: one that flaps would be left and returned to all day.
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
    /// Notes that `tracker` was left for another because it failed or was silent. `random` is from [0, 1).
    pub(crate) fn left(before: Option<Self>, tracker: TrackerUrl, random: f64, now: Timestamp) -> Self {
        let times = match before {
            Some(Self { tracker: home, state: State::Returned { at }, times })
                if home == tracker && now.since(at) < SETTLED =>
            {
                (times * GROWTH).min(LONGEST)
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

    /// When a probe looks whether it is back, where the next announce is due then; `None` where none does before
    /// that announce.
    pub(crate) fn look_at(&self, due: Timestamp) -> Option<Timestamp> {
        match self.state {
            State::Away { look_at } => Some(look_at.max(due.before(LOOK_AHEAD))).filter(|at| *at < due),
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
                if self.times > 1 {
                    // One that has disappointed us before is flapping.
                    self.times = (self.times * GROWTH).min(LONGEST);
                }
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

    /// How many minutes from now it isn't looked at, with an announce in each of them.
    fn wait(home: &Home, now: u64) -> u64 {
        let looked_at = |wait: &u64| home.look_at(minute(now + wait)).is_some();
        (0..1000).find(looked_at).unwrap() - 1
    }

    #[test]
    fn it_is_looked_at_before_each_announce_after_a_cool_off() {
        let mut home = Home::left(None, url("a"), 0.5, minute(0));
        assert_eq!(wait(&home, 0), 10);
        assert_eq!(home.look_at(minute(30)), Some(minute(30).before(LOOK_AHEAD)));
        home.looks();
        assert_eq!(home.look_at(minute(30)), None);
        home.seen(false, 0.5, minute(30));
        assert_eq!((wait(&home, 30), home.is_ready()), (10, false));
        home.looks();
        home.seen(true, 0.5, minute(60));
        assert!(home.is_ready());
    }

    #[test]
    fn the_cool_off_grows_while_it_disappoints() {
        let mut home = Home::left(None, url("a"), 0.5, minute(0));
        let mut waits = Vec::new();
        for _ in 0..6 {
            home.returned(minute(0));
            home = Home::left(Some(home), url("a"), 0.5, minute(30));
            waits.push(wait(&home, 30));
        }
        assert_eq!(waits, [40, 160, 640, 640, 640, 640]);
        let mut home = Home::left(None, url("a"), 0.5, minute(0));
        home.returned(minute(0));
        home = Home::left(Some(home), url("a"), 0.5, minute(30));
        home.looks();
        home.seen(false, 0.5, minute(60));
        assert_eq!(wait(&home, 60), 160, "and when it is gone at the next look");
    }

    #[test]
    fn one_that_fails_soon_after_the_return_waits_longer_and_one_that_settled_does_not() {
        let mut home = Home::left(None, url("a"), 0.5, minute(0));
        home.returned(minute(20));
        let flapping = Home::left(Some(home.clone()), url("a"), 0.5, minute(60));
        assert_eq!(wait(&flapping, 60), 40);
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
