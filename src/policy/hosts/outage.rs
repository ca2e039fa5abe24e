//! Our own network being down, told from trackers being down: everything fails, and nothing has succeeded since.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::TrackerHost;

/// So many hosts have to fail within [`WINDOW`]; two where only two are known.
const HOSTS: usize = 3;

/// Failures further apart are the trackers' own.
const WINDOW: Duration = Duration::from_secs(30);

/// A host whose silence began so soon after a sign of life isn't silent because of us: networks seldom die in just
/// that moment, and lists of trackers are full of dead ones.
const PROVEN: Duration = Duration::from_secs(5);

/// How long after each look for life the next follows at one host; the last holds on.
const LOOKS: [u64; 4] = [5, 10, 20, 30];

/// A change of our own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutageNews {
    /// Everything fails.
    Began,
    /// A host has answered again.
    Ended,
}

/// Watches for the moment when every host fails at once: a cable pulled, a captive portal that answers for
/// everybody. Then failures are held against no host, until one of them answers. That is all it does: it keeps no
/// torrent from any tracker, because three dead trackers of one torrent look just like it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outage {
    /// The hosts that failed since the last success, and when.
    suspects: BTreeMap<TrackerHost, Timestamp>,
    /// When any host last showed life.
    alive_at: Option<Timestamp>,
    is_on: bool,
}

impl Outage {
    /// Whether everything seems to be down.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Notes a sign of life, and tells whether it ends an outage.
    pub(super) fn alive(&mut self, now: Timestamp) -> bool {
        self.alive_at = Some(now);
        self.suspects.clear();
        std::mem::take(&mut self.is_on)
    }

    /// Starts anew: the network has changed.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure that a dead network would bring as well, of an attempt that began at `started_at`. Where it shows
    /// that ours is dead, gives the hosts that have failed. `known` is how many hosts there are in all.
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

/// How long after a failure that isn't held against a host it is tried again. `withheld` is how many there were before,
/// `random` from [0, 1).
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

    fn suspect(outage: &mut Outage, number: u64, known: usize, secs: u64) -> Option<usize> {
        outage.suspect(&host(number), known, at(secs), at(secs)).map(Iterator::count)
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
        assert!(outage.alive(at(42)) && !outage.is_on());
        assert!(!outage.alive(at(43)));
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
