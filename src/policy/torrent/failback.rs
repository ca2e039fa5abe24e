//! When to go back to the tracker that was left: at a regular announce, and later each time it fails again.

use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

/// How long the tracker that was left isn't probed, the first time. Jittered by a quarter, so that the torrents that
/// left it together don't return together.
const COOL_OFF: Duration = Duration::from_secs(10 * 60);

/// How long before a regular announce the tracker is probed: long enough for a probe, and no longer.
const PROBE_AHEAD: Duration = Duration::from_secs(10);

/// A host that answered or failed for any torrent within this needs no probe.
pub(super) const RECENT: Duration = Duration::from_secs(60);

/// The cool-off becomes this many times as long each time the tracker fails again. Without that, a tracker that flaps
/// every 20 minutes causes 44 switches a day in place of 2 (simulation).
const GROWTH: u32 = 4;

/// The cool-off becomes at most this many times as long as the first.
const MAX_TIMES: u32 = 64;

/// A tracker that has worked for this long since we went back is trusted again.
const SETTLED: Duration = Duration::from_secs(6 * 3600);

/// The tracker a torrent had to leave, and whether it is time to go back.
///
/// Going back is worth it because the nearest tracker was chosen for a reason, and the one in use is second best. It
/// happens at a regular announce, after a probe has shown that the tracker is alive again, and after a cool-off: a
/// tracker that flaps would cause two failovers an hour otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Failback {
    /// The tracker to go back to.
    tracker: TrackerUrl,
    /// How far the return is.
    state: FailbackState,
    /// How many times as long as the first cool-off the present one is: 1, 4, 16 or 64.
    times: u32,
}

/// How far the return to a tracker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailbackState {
    /// The tracker was left, and may be probed from `probe_at` on.
    CoolingOff { probe_at: Timestamp },
    /// A probe is under way.
    Probing,
    /// The probe was answered: the next regular announce goes there.
    Ready,
    /// The torrent uses this tracker again, since `at`.
    Returned { at: Timestamp },
}

impl Failback {
    /// Notes that `tracker` was left because it failed or didn't respond. `random` is from [0, 1).
    pub(crate) fn left(before: Option<Self>, tracker: TrackerUrl, random: f64, now: Timestamp) -> Self {
        let times = match before {
            Some(Self { tracker: before, state: FailbackState::Returned { at }, times })
                if before == tracker && now.since(at) < SETTLED =>
            {
                (times * GROWTH).min(MAX_TIMES)
            }
            // Another tracker was left meanwhile, which was second best. The one to go back to stays the first.
            Some(before)
                if before.tracker != tracker && !matches!(before.state, FailbackState::Returned { .. }) =>
            {
                return before;
            }
            _ => 1,
        };
        Self { tracker, state: FailbackState::CoolingOff { probe_at: probe_at(times, random, now) }, times }
    }

    /// The tracker to go back to.
    pub(crate) fn tracker(&self) -> &TrackerUrl {
        &self.tracker
    }

    /// When to probe it if the next announce is at `due`; `None` if no probe is due before that announce.
    pub(crate) fn probe_at(&self, due: Timestamp) -> Option<Timestamp> {
        match self.state {
            FailbackState::CoolingOff { probe_at } => {
                Some(probe_at.max(due.before(PROBE_AHEAD))).filter(|at| *at < due)
            }
            _ => None,
        }
    }

    /// Notes that a probe begins.
    pub(crate) fn probing(&mut self) {
        self.state = FailbackState::Probing;
    }

    /// Whether a probe is under way.
    pub(crate) fn is_probing(&self) -> bool {
        self.state == FailbackState::Probing
    }

    /// Notes the result of the probe. `random` is from [0, 1).
    pub(crate) fn probed(&mut self, alive: bool, random: f64, now: Timestamp) {
        if !self.is_probing() {
            return;
        }
        if alive {
            self.state = FailbackState::Ready;
            return;
        }
        if self.times > 1 {
            // It failed soon after the last return, so it is flapping.
            self.times = (self.times * GROWTH).min(MAX_TIMES);
        }
        self.state = FailbackState::CoolingOff { probe_at: probe_at(self.times, random, now) };
    }

    /// Whether the next regular announce goes there.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == FailbackState::Ready
    }

    /// Notes that the torrent uses the tracker again.
    pub(crate) fn returned(&mut self, now: Timestamp) {
        self.state = FailbackState::Returned { at: now };
    }
}

/// When a tracker may be probed after a cool-off that begins now.
fn probe_at(times: u32, random: f64, now: Timestamp) -> Timestamp {
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

    /// For how many minutes from now it isn't probed, with an announce in each of them.
    fn wait(failback: &Failback, now: u64) -> u64 {
        let is_probed = |wait: &u64| failback.probe_at(minute(now + wait)).is_some();
        (0..1000).find(is_probed).unwrap() - 1
    }

    #[test]
    fn it_is_probed_before_each_announce_after_a_cool_off() {
        let mut failback = Failback::left(None, url("a"), 0.5, minute(0));
        assert_eq!(wait(&failback, 0), 10);
        assert_eq!(failback.probe_at(minute(30)), Some(minute(30).before(PROBE_AHEAD)));
        failback.probing();
        assert_eq!(failback.probe_at(minute(30)), None);
        failback.probed(false, 0.5, minute(30));
        assert_eq!((wait(&failback, 30), failback.is_ready()), (10, false));
        failback.probing();
        failback.probed(true, 0.5, minute(60));
        assert!(failback.is_ready());
    }

    #[test]
    fn the_cool_off_grows_each_time_it_fails_again() {
        let mut failback = Failback::left(None, url("a"), 0.5, minute(0));
        let mut waits = Vec::new();
        for _ in 0..6 {
            failback.returned(minute(0));
            failback = Failback::left(Some(failback), url("a"), 0.5, minute(30));
            waits.push(wait(&failback, 30));
        }
        assert_eq!(waits, [40, 160, 640, 640, 640, 640]);
        let mut failback = Failback::left(None, url("a"), 0.5, minute(0));
        failback.returned(minute(0));
        failback = Failback::left(Some(failback), url("a"), 0.5, minute(30));
        failback.probing();
        failback.probed(false, 0.5, minute(60));
        assert_eq!(wait(&failback, 60), 160, "and when the next probe fails");
    }

    #[test]
    fn one_that_fails_soon_after_the_return_waits_longer_and_one_that_settled_does_not() {
        let mut failback = Failback::left(None, url("a"), 0.5, minute(0));
        failback.returned(minute(20));
        let flapping = Failback::left(Some(failback.clone()), url("a"), 0.5, minute(60));
        assert_eq!(wait(&flapping, 60), 40);
        let settled = Failback::left(Some(failback), url("a"), 0.5, minute(20 + 6 * 60));
        assert_eq!(wait(&settled, 20 + 6 * 60), 10);
    }

    #[test]
    fn the_first_tracker_left_stays_the_one_to_go_back_to() {
        let failback = Failback::left(None, url("a"), 0.5, minute(0));
        let failback = Failback::left(Some(failback), url("b"), 0.5, minute(5));
        assert_eq!(failback.tracker(), &url("a"));
    }
}
