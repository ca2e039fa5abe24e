//! When the DHT is joined and asked. Pure: the time is an argument.

use std::time::Duration;

/// The moments at which the DHT is asked for peers.
#[derive(Debug)]
pub(super) struct Rule {
    joins: Joins,
    /// Whether a node runs and is in contact with others.
    has_joined: bool,
    is_asking: bool,
    /// Since when there has been no peer, and since when there haven't been enough.
    none_since: Option<Duration>,
    short_since: Option<Duration>,
    /// The earliest moment of the next lookup, and the wait after that one.
    due: Duration,
    wait: Duration,
    /// When our address is to be announced again.
    announce_due: Duration,
}

/// When a client joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joins {
    /// At the start.
    AtOnce,
    /// When trackers don't bring enough peers.
    AsNeeded,
}

/// How many peers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Supply {
    /// None is connected, and none is known that could be dialled.
    None,
    /// Fewer than enough.
    Few,
    /// Enough.
    Enough,
}

/// One lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    /// Whether our address is announced after it.
    pub(super) announce: bool,
}

impl Supply {
    /// The supply of a seed or a leecher. `has_peers` says whether there is any peer, one that could be dialled included.
    /// Enough is what it is in the library's rule for further trackers, and as there, peers that are being dialled don't count.
    pub(super) fn of(connected: u32, has_peers: bool, is_seed: bool) -> Self {
        let enough = if is_seed { ENOUGH_FOR_SEED } else { ENOUGH };
        match connected {
            _ if !has_peers => Self::None,
            few if few < enough => Self::Few,
            _ => Self::Enough,
        }
    }
}

impl Rule {
    /// The rule at the start of a download.
    pub(super) fn new(joins: Joins, now: Duration) -> Self {
        Self {
            joins,
            has_joined: false,
            is_asking: false,
            none_since: Some(now),
            short_since: Some(now),
            due: now,
            wait: FIRST_WAIT,
            announce_due: now,
        }
    }

    /// Whether the DHT is to be asked now. After `Some` it counts as asked until [`answered`](Self::answered) or
    /// [`failed`](Self::failed).
    pub(super) fn tick(&mut self, supply: Supply, now: Duration) -> Option<Ask> {
        if supply != Supply::Enough && self.short_since.is_none() {
            self.wait = FIRST_WAIT;
        }
        let since = |before: Option<Duration>, holds: bool| holds.then(|| before.unwrap_or(now));
        self.none_since = since(self.none_since, supply == Supply::None);
        self.short_since = since(self.short_since, supply != Supply::Enough);
        if self.is_asking || now < self.due || !(self.wants_lookup(now) || self.wants_announce(now)) {
            return None;
        }
        self.is_asking = true;
        Some(Ask { announce: now >= self.announce_due })
    }

    /// A lookup is done, and other nodes have answered it.
    pub(super) fn answered(&mut self, announced: bool, now: Duration) {
        self.has_joined = true;
        if announced {
            self.announce_due = now + ANNOUNCE_EVERY;
        }
        self.back_off(now);
    }

    /// There is no node any more, or it reaches no other. Returns how long it is until the next attempt, at least.
    pub(super) fn failed(&mut self, now: Duration) -> Duration {
        self.has_joined = false;
        self.announce_due = now;
        self.back_off(now)
    }

    fn back_off(&mut self, now: Duration) -> Duration {
        let wait = self.wait;
        self.is_asking = false;
        self.due = now + wait;
        self.wait = (wait * 2).min(LAST_WAIT);
        wait
    }

    fn wants_lookup(&self, now: Duration) -> bool {
        let lasts =
            |since: Option<Duration>, least| since.is_some_and(|since| now.saturating_sub(since) >= least);
        match (self.joins, self.has_joined) {
            (_, true) => self.short_since.is_some(),
            (Joins::AtOnce, false) => true,
            (Joins::AsNeeded, false) => lasts(self.none_since, NONE_FOR) || lasts(self.short_since, FEW_FOR),
        }
    }

    fn wants_announce(&self, now: Duration) -> bool {
        self.has_joined && now >= self.announce_due
    }
}

/// Connections below which a leecher is short of peers, and a seed: as in the library, and in `BiglyBT`.
const ENOUGH: u32 = 10;
const ENOUGH_FOR_SEED: u32 = 3;
/// For how long trackers may bring no peer until the DHT is joined. The nearest of them answer within a second, and a dead
/// one is passed over within two.
const NONE_FOR: Duration = Duration::from_secs(3);
/// The same while there are few peers. The library looks for further trackers first, and those peers have to be dialled.
const FEW_FOR: Duration = Duration::from_secs(60);
/// The wait after a lookup; each further one is twice as long, up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(15);
const LAST_WAIT: Duration = Duration::from_secs(300);
/// Nodes keep an announced address for about 30 minutes (libtorrent's `announce_interval`, and BEP 5 has no number).
const ANNOUNCE_EVERY: Duration = Duration::from_secs(25 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The seconds at which the DHT is asked within so many, in ticks of 250 ms; each question is answered a second later.
    fn asked(joins: Joins, seconds: u64, supply: impl Fn(u64) -> Supply) -> Vec<(f64, bool)> {
        run(joins, seconds, supply, true)
    }

    fn run(joins: Joins, seconds: u64, supply: impl Fn(u64) -> Supply, answers: bool) -> Vec<(f64, bool)> {
        let mut rule = Rule::new(joins, at(0));
        let mut asked = Vec::new();
        let mut pending = None;
        for tick in 0..seconds * 4 {
            let now = at(tick * 250);
            if let Some((announced, _)) = pending.take_if(|(_, due)| *due <= now) {
                if answers {
                    rule.answered(announced, now);
                } else {
                    rule.failed(now);
                }
            }
            if let Some(ask) = rule.tick(supply(tick / 4), now) {
                assert!(pending.is_none(), "one at a time");
                pending = Some((ask.announce, now + at(1000)));
                asked.push((now.as_secs_f64(), ask.announce));
            }
        }
        asked
    }

    fn moments(asked: &[(f64, bool)]) -> Vec<f64> {
        asked.iter().map(|(at, _)| *at).collect()
    }

    #[test]
    fn without_a_peer_it_joins_after_three_seconds() {
        assert_eq!(asked(Joins::AsNeeded, 10, |_| Supply::None), [(3.0, true)]);
        assert_eq!(asked(Joins::AtOnce, 10, |_| Supply::None), [(0.0, true)]);
    }

    #[test]
    fn a_download_fed_by_trackers_never_joins() {
        let fed = |second| if second < 2 { Supply::None } else { Supply::Enough };
        assert_eq!(asked(Joins::AsNeeded, 36_000, fed), []);
        // A short dip is no shortage.
        let dips = |second| if second % 100 < 59 { Supply::Few } else { Supply::Enough };
        assert_eq!(asked(Joins::AsNeeded, 36_000, dips), []);
    }

    #[test]
    fn few_peers_are_a_reason_after_a_minute_and_their_loss_after_three_seconds() {
        let few = |second| if second < 100 { Supply::Enough } else { Supply::Few };
        assert_eq!(moments(&asked(Joins::AsNeeded, 170, few)), [160.0]);
        let lost = |second| if second < 100 { Supply::Few } else { Supply::None };
        assert_eq!(moments(&asked(Joins::AsNeeded, 61, lost)), [60.0]);
        let lost = |second| if second < 30 { Supply::Few } else { Supply::None };
        assert_eq!(moments(&asked(Joins::AsNeeded, 40, lost)), [33.0]);
    }

    /// A peer that is named, dialled in vain and named again.
    #[test]
    fn peers_that_come_and_go_are_no_supply() {
        let flaps = |second| if second % 2 == 0 { Supply::None } else { Supply::Few };
        assert_eq!(moments(&asked(Joins::AsNeeded, 70, flaps)), [60.0]);
    }

    #[test]
    fn lookups_become_rarer_while_peers_are_short() {
        let asked = asked(Joins::AtOnce, 1200, |_| Supply::Few);
        // A second for each answer, then 15, 30, 60, 120, 240, 300, 300 s.
        assert_eq!(moments(&asked), [0.0, 16.0, 47.0, 108.0, 229.0, 470.0, 771.0, 1072.0]);
        assert_eq!(asked.iter().filter(|(_, announce)| *announce).count(), 1);
    }

    #[test]
    fn a_supplied_client_asks_only_to_announce() {
        let supply = |second| if second < 5 { Supply::None } else { Supply::Enough };
        for (joins, first) in [(Joins::AtOnce, 0.0), (Joins::AsNeeded, 3.0)] {
            let asked = asked(joins, 3 * 1510, supply);
            let expected: Vec<_> = (0..4).map(|n| (first + f64::from(n) * 1501.0, true)).collect();
            assert_eq!(asked, expected, "every 25 minutes, and the second of the answer");
        }
    }

    /// The mode without trackers joins also where `--peer` names enough: others have to find us.
    #[test]
    fn without_trackers_it_joins_with_enough_peers_as_well() {
        assert_eq!(asked(Joins::AtOnce, 100, |_| Supply::Enough), [(0.0, true)]);
    }

    #[test]
    fn peers_that_become_short_again_are_looked_up_soon() {
        let supply = |second| if (600..900).contains(&second) { Supply::Enough } else { Supply::Few };
        let asked = moments(&asked(Joins::AtOnce, 1000, supply));
        let again: Vec<_> = asked.into_iter().filter(|&at| at >= 600.0).collect();
        assert_eq!(again, [900.0, 916.0, 947.0]);
    }

    #[test]
    fn failed_attempts_are_repeated_later_and_later_and_announce_again() {
        let asked = run(Joins::AsNeeded, 600, |_| Supply::None, false);
        assert_eq!(moments(&asked), [3.0, 19.0, 50.0, 111.0, 232.0, 473.0]);
        assert!(asked.iter().all(|(_, announce)| *announce));
        let mut rule = Rule::new(Joins::AtOnce, at(0));
        assert_eq!(rule.tick(Supply::None, at(0)), Some(Ask { announce: true }));
        rule.answered(true, at(0));
        assert_eq!(rule.tick(Supply::None, at(15_000)), Some(Ask { announce: false }));
        assert_eq!(rule.failed(at(16_000)), at(30_000));
        assert_eq!(rule.tick(Supply::None, at(45_750)), None);
        assert_eq!(rule.tick(Supply::None, at(46_000)), Some(Ask { announce: true }), "by another node");
    }

    #[test]
    fn an_announce_that_failed_is_repeated_with_the_same_waits() {
        let mut rule = Rule::new(Joins::AtOnce, at(0));
        let mut asked = Vec::new();
        for second in 0..200 {
            if let Some(ask) = rule.tick(Supply::Enough, at(second * 1000)) {
                assert!(ask.announce);
                asked.push(second);
                rule.answered(false, at(second * 1000));
            }
        }
        assert_eq!(asked, [0, 15, 45, 105]);
    }

    #[test]
    fn a_seed_needs_fewer_than_a_leecher() {
        assert_eq!(Supply::of(0, false, false), Supply::None);
        assert_eq!(Supply::of(0, true, false), Supply::Few);
        assert_eq!((Supply::of(9, true, false), Supply::of(10, true, false)), (Supply::Few, Supply::Enough));
        assert_eq!((Supply::of(2, true, true), Supply::of(3, true, true)), (Supply::Few, Supply::Enough));
    }
}
