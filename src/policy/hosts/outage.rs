//! Outages of our own network, as opposed to those of trackers: everything fails, and no host has answered since.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::TrackerHost;

/// How many hosts have to fail within [`WINDOW`]. Two, if only two are known.
const HOSTS: usize = 3;

/// The time in which they have to fail. Failures further apart have reasons of the trackers.
const WINDOW: Duration = Duration::from_secs(30);

/// How long a sign of life proves that our network works. Lists hold many dead trackers, and at a start three of them
/// that are tried within these seconds of an answer would pass for a dead network.
const PROVEN: Duration = Duration::from_secs(5);

/// The seconds after which a host that wasn't blamed is tried again, for each failure in a row; the last one repeats.
/// Short, because the outage ends with the first answer; growing, because it may last for days.
const LOOKS: [u64; 4] = [5, 10, 20, 30];

/// A change of the state of our own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutageNews {
    /// Everything fails from now on.
    Began,
    /// A host has answered.
    Ended,
}

/// Detects that every host fails at once: a cable was pulled, or a captive portal answers for all hosts. Then no host
/// is blamed for failures until one answers. It does nothing else: it keeps no torrent from any tracker, because three
/// dead trackers of one torrent look the same. When it did, they silenced all torrents of the process (R80).
#[derive(Debug, Clone, Default)]
pub(super) struct OutageDetector {
    /// The hosts that failed since the last answer of any host, and when.
    suspects: BTreeMap<TrackerHost, Timestamp>,
    /// When any host last showed life.
    alive_at: Option<Timestamp>,
    /// Whether an outage was detected and no host has answered since.
    is_on: bool,
}

impl OutageDetector {
    /// Whether our own network is down.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Notes a sign of life. Gives whether it ends an outage.
    pub(super) fn alive(&mut self, now: Timestamp) -> bool {
        self.alive_at = Some(now);
        self.suspects.clear();
        std::mem::take(&mut self.is_on)
    }

    /// Starts anew, because the network has changed.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure that a dead network of ours could have caused, of an attempt that began at `started_at`. If it
    /// completes the evidence, gives the hosts that have failed, which were blamed for it so far. `known` is the number
    /// of hosts in all.
    pub(super) fn suspect(
        &mut self,
        host: &TrackerHost,
        known: usize,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Option<impl Iterator<Item = TrackerHost> + use<>> {
        let works = self.alive_at.is_some_and(|alive_at| alive_at + PROVEN > started_at);
        if self.is_on || works {
            return None;
        }
        self.suspects.retain(|_, failed_at| now.since(*failed_at) <= WINDOW);
        self.suspects.insert(host.clone(), now);
        if self.suspects.len() < HOSTS.min(known.max(2)) {
            return None;
        }
        self.is_on = true;
        Some(std::mem::take(&mut self.suspects).into_keys())
    }
}

/// How long after a failure a host that wasn't blamed for it is tried again. `withheld` is the number of such failures
/// in a row before, `random` is from [0, 1).
pub(super) fn next_look(withheld: u32, random: f64) -> Duration {
    let step = LOOKS[LOOKS.len().min(withheld as usize + 1) - 1];
    Duration::from_secs(step).mul_f64(0.75 + 0.25 * random)
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

    fn suspect(outage: &mut OutageDetector, number: u64, known: usize, secs: u64) -> Option<usize> {
        outage.suspect(&host(number), known, at(secs), at(secs)).map(Iterator::count)
    }

    #[test]
    fn failures_of_three_hosts_within_half_a_minute_are_an_outage() {
        let mut outage = OutageDetector::default();
        assert_eq!(suspect(&mut outage, 1, 9, 0), None);
        assert_eq!(suspect(&mut outage, 1, 9, 1), None, "the same host counts once");
        assert_eq!(suspect(&mut outage, 2, 9, 20), None);
        assert_eq!(suspect(&mut outage, 3, 9, 40), None, "the first is too long ago");
        assert_eq!(suspect(&mut outage, 4, 9, 41), Some(3));
        assert!(outage.is_on());
        assert!(outage.alive(at(42)) && !outage.is_on());
        assert!(!outage.alive(at(43)));
    }

    #[test]
    fn two_hosts_are_enough_if_only_two_are_known_and_one_never_is() {
        let mut outage = OutageDetector::default();
        assert_eq!(suspect(&mut outage, 1, 1, 0), None);
        assert_eq!(suspect(&mut outage, 2, 2, 1), Some(2));
    }

    #[test]
    fn an_answer_between_failures_proves_that_the_network_works() {
        let mut outage = OutageDetector::default();
        suspect(&mut outage, 1, 9, 0);
        suspect(&mut outage, 2, 9, 1);
        outage.alive(at(2));
        assert_eq!(suspect(&mut outage, 3, 9, 8), None);
    }

    #[test]
    fn a_silence_that_began_within_five_seconds_of_an_answer_is_no_outage() {
        for (began, is_ours) in [(0, false), (4, false), (5, true)] {
            let mut outage = OutageDetector::default();
            outage.alive(at(0));
            let outages = (1..=3).filter_map(|number| {
                outage.suspect(&host(number), 4, at(began), at(began + 10)).map(Iterator::count)
            });
            assert_eq!(outages.count() > 0, is_ours, "{began}");
        }
    }

    #[test]
    fn looks_become_rarer_up_to_half_a_minute() {
        let gaps = [0, 1, 2, 3, 4, u32::MAX - 1].map(|withheld| next_look(withheld, 1.0).as_secs());
        assert_eq!(gaps, [5, 10, 20, 30, 30, 30]);
        assert_eq!(next_look(0, 0.0), Duration::from_millis(3750));
    }
}
