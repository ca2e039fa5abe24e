//! Our own network being down, told from trackers being down: everything fails, and nothing has succeeded since.

use std::collections::BTreeMap;
use std::time::Duration;

use super::health::HostHealth;
use super::time::Timestamp;
use crate::tracker::TrackerHost;

/// So many hosts have to fail within [`WINDOW`]; two where only two are known.
const HOSTS: usize = 3;

/// Failures further apart are the trackers' own.
const WINDOW: Duration = Duration::from_secs(30);

/// A host whose silence began so soon after a sign of life isn't silent because of us: networks seldom die in just
/// that moment, and lists of trackers are full of dead ones.
const PROVEN: Duration = Duration::from_secs(5);

/// How long after each look for life the next follows; the last holds on.
const LOOKS: [u64; 5] = [5, 10, 20, 40, 60];

/// Watches for the moment when every host fails at once: a cable pulled, a captive portal that answers for
/// everybody. Then no host is to blame: what they were blamed for is taken back, and until one of them answers a
/// single round looks for life at growing intervals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outage {
    /// The hosts that failed since the last success, with their health before that.
    suspects: BTreeMap<TrackerHost, (Timestamp, HostHealth)>,
    /// When somebody last showed life.
    alive_at: Option<Timestamp>,
    looking: Option<Looking>,
}

#[derive(Debug, Clone, Copy)]
struct Looking {
    next: Timestamp,
    looks: usize,
}

impl Outage {
    /// Whether everything seems to be down.
    pub(crate) fn is_on(&self) -> bool {
        self.looking.is_some()
    }

    /// Notes a sign of life.
    pub(crate) fn alive(&mut self, now: Timestamp) {
        self.alive_at = Some(now);
        self.suspects.clear();
        self.looking = None;
    }

    /// Starts anew: the network has changed.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Counts a sleep during which the clock stood still as time that has passed.
    pub(crate) fn slept(&mut self, gap: Duration) {
        self.alive_at = self.alive_at.map(|alive_at| alive_at.before(gap));
        for (failed_at, before) in self.suspects.values_mut() {
            *failed_at = failed_at.before(gap);
            before.slept(gap);
        }
        if let Some(looking) = &mut self.looking {
            looking.next = looking.next.before(gap);
        }
    }

    /// Notes a failure that a dead network would bring as well, of an attempt that began at `started_at`. Gives the
    /// health to be restored where it shows that it is ours that is dead. `known` is how many hosts there are in all.
    pub(crate) fn suspect(
        &mut self,
        host: TrackerHost,
        before: HostHealth,
        known: usize,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Option<BTreeMap<TrackerHost, HostHealth>> {
        let works = self.alive_at.is_some_and(|alive_at| alive_at + PROVEN > started_at);
        if self.is_on() || works {
            return None;
        }
        self.suspects.retain(|_, (failed_at, _)| now.since(*failed_at) <= WINDOW);
        self.suspects.entry(host).or_insert((now, before)).0 = now;
        if self.suspects.len() < HOSTS.min(known.max(2)) {
            return None;
        }
        self.looking = Some(Looking { next: now + Duration::from_secs(LOOKS[0]), looks: 0 });
        let suspects = std::mem::take(&mut self.suspects);
        Some(suspects.into_iter().map(|(host, (_, before))| (host, before)).collect())
    }

    /// When a round may look for life; `None` where nothing is down.
    pub(crate) fn next_look(&self) -> Option<Timestamp> {
        self.looking.map(|looking| looking.next)
    }

    /// Notes that a round looks. `random` is from [0, 1).
    pub(crate) fn look(&mut self, random: f64, now: Timestamp) {
        if let Some(looking) = &mut self.looking {
            looking.looks += 1;
            let step = LOOKS[looking.looks.min(LOOKS.len() - 1)];
            looking.next = now + Duration::from_secs(step).mul_f64(0.75 + 0.25 * random);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::TrackerUrl;

    fn host(number: u64) -> TrackerHost {
        format!("http://h{number}.test/a").parse::<TrackerUrl>().unwrap().tracker_host()
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(secs))
    }

    fn suspect(outage: &mut Outage, number: u64, known: usize, secs: u64) -> Option<usize> {
        let restored = outage.suspect(host(number), HostHealth::default(), known, at(secs), at(secs));
        restored.map(|restored| restored.len())
    }

    #[test]
    fn three_hosts_within_half_a_minute_are_an_outage_of_ours() {
        let mut outage = Outage::default();
        assert_eq!(suspect(&mut outage, 1, 9, 0), None);
        assert_eq!(suspect(&mut outage, 1, 9, 1), None, "the same host counts once");
        assert_eq!(suspect(&mut outage, 2, 9, 20), None);
        assert_eq!(suspect(&mut outage, 3, 9, 40), None, "the first is too long ago");
        assert_eq!(suspect(&mut outage, 4, 9, 41), Some(3));
        assert!(outage.is_on());
        outage.alive(at(42));
        assert!(!outage.is_on());
    }

    #[test]
    fn two_are_enough_where_there_are_two_and_one_never_is() {
        let mut outage = Outage::default();
        assert_eq!(suspect(&mut outage, 1, 1, 0), None);
        assert_eq!(suspect(&mut outage, 2, 2, 1), Some(2));
    }

    #[test]
    fn a_success_between_them_clears_the_network() {
        let mut outage = Outage::default();
        suspect(&mut outage, 1, 9, 0);
        suspect(&mut outage, 2, 9, 1);
        outage.alive(at(2));
        assert_eq!(suspect(&mut outage, 3, 9, 8), None);
    }

    #[test]
    fn hosts_that_were_silent_while_another_answered_are_dead_themselves() {
        for (began, is_ours) in [(0, false), (4, false), (5, true)] {
            let mut outage = Outage::default();
            outage.alive(at(0));
            let restored = (1..=3).filter_map(|number| {
                outage.suspect(host(number), HostHealth::default(), 4, at(began), at(began + 10))
            });
            assert_eq!(restored.count() > 0, is_ours, "{began}");
        }
    }

    #[test]
    fn looks_become_rarer_up_to_a_minute() {
        let mut outage = Outage::default();
        suspect(&mut outage, 1, 2, 0);
        suspect(&mut outage, 2, 2, 0);
        let mut gaps = Vec::new();
        for _ in 0..7 {
            let now = outage.next_look().unwrap();
            outage.look(0.999_999, now);
            gaps.push((outage.next_look().unwrap().since(now) + Duration::from_millis(1)).as_secs());
        }
        assert_eq!(gaps, [10, 20, 40, 60, 60, 60, 60]);
    }
}
