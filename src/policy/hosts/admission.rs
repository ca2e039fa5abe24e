//! How many attempts a host gets at once and how fast, and which torrent goes first when it gets no more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::policy::config::Config;
use crate::policy::io::TorrentId;
use crate::time::Timestamp;
use crate::tracker::{Scheme, TrackerHost};

/// A limit for each host: so many attempts at once, so many in a second. A torrent that finds a host busy queues, and is
/// admitted in its turn; a host that stalls holds up those that want that host, and no others.
#[derive(Debug, Default)]
pub(super) struct HostLimiter {
    by_host: BTreeMap<TrackerHost, Gate>,
    /// Gates with a queue whose first may come in by the passing of time.
    due: BTreeSet<(Timestamp, TrackerHost)>,
    arrivals: u64,
    /// Torrents that queued at a host, which has fallen silent or is doubted.
    evicted: VecDeque<(TorrentId, TrackerHost)>,
    /// At so many hosts those that nobody uses any more are dropped.
    sweep_at: usize,
}

/// Fewer hosts than this aren't looked through.
const FEW: usize = 64;

/// In which order those that queue are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// The session ends: it isn't paced, and goes before all others.
    Stopped,
    /// A first announce of a torrent that wants peers, or one the user waits for.
    WantsPeers,
    /// `completed`.
    Completed,
    /// A regular announce.
    Regular,
    /// The torrent failed at this tracker since it was last answered there.
    Retry,
}

impl Priority {
    /// How long ago another may have come and still go behind this one. Bounded, so that a stream of urgent announces
    /// delays a regular one and never keeps it out.
    fn slack(self) -> Duration {
        Duration::from_secs(match self {
            Self::Stopped | Self::WantsPeers => 0,
            Self::Completed => 2,
            Self::Regular => 10,
            Self::Retry => 120,
        })
    }
}

/// A torrent in a queue: the least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    paced: bool,
    turn: Timestamp,
    arrival: u64,
    torrent: TorrentId,
}

/// How many attempts at one host that nothing answers are held beside its places. A host that answers none of them has no
/// work with them, and each ends after half a minute.
const MAX_YIELDED: usize = 32;

#[derive(Debug, Default)]
struct Gate {
    inside: usize,
    /// Attempts that have given their places to others and are still under way.
    yielded: usize,
    /// When the allowance would be used up to the last if nobody came any more (generic cell rate algorithm).
    allowance_until: Timestamp,
    queue: BTreeSet<Queued>,
    due: Option<Timestamp>,
}

impl HostLimiter {
    /// Lets an attempt in, or puts its torrent into the queue.
    pub(super) fn admit(
        &mut self,
        host: &TrackerHost,
        torrent: TorrentId,
        priority: Priority,
        config: &Config,
        now: Timestamp,
    ) -> bool {
        let paced = priority != Priority::Stopped;
        let arrival = self.arrivals;
        let queued = Queued { paced, turn: now + priority.slack(), arrival, torrent };
        self.sweep(now);
        let gate = self.by_host.entry(host.clone()).or_default();
        let first = gate.queue.first().is_none_or(|first| *first > queued);
        let admitted = first && gate.opens_at(paced, host.scheme(), config, now).is_some_and(|at| at <= now);
        if admitted {
            gate.let_in(paced, config, now);
        } else {
            self.arrivals += 1;
            gate.queue.insert(queued);
        }
        self.look_again(host, config, now);
        admitted
    }

    /// Takes a torrent out of a queue.
    pub(super) fn leave(&mut self, host: &TrackerHost, torrent: TorrentId, config: &Config, now: Timestamp) {
        if let Some(gate) = self.by_host.get_mut(host) {
            gate.queue.retain(|queued| queued.torrent != torrent);
            self.look_again(host, config, now);
        }
    }

    /// Lets an attempt that nothing answers give its place to another, and tells whether it did.
    pub(super) fn yield_place(&mut self, host: &TrackerHost, config: &Config, now: Timestamp) -> bool {
        let Some(gate) = self.by_host.get_mut(host).filter(|gate| gate.yielded < MAX_YIELDED) else {
            return false;
        };
        gate.inside = gate.inside.saturating_sub(1);
        gate.yielded += 1;
        self.look_again(host, config, now);
        true
    }

    /// Notes that an attempt has ended, which may have `yielded` its place before.
    pub(super) fn release(&mut self, host: &TrackerHost, yielded: bool, config: &Config, now: Timestamp) {
        if let Some(gate) = self.by_host.get_mut(host) {
            let count = if yielded { &mut gate.yielded } else { &mut gate.inside };
            *count = count.saturating_sub(1);
            if gate.is_idle(now) {
                self.by_host.remove(host);
            } else {
                self.look_again(host, config, now);
            }
        }
    }

    /// The torrent whose turn it is: let in already.
    pub(super) fn next_admitted(
        &mut self,
        config: &Config,
        now: Timestamp,
    ) -> Option<(TorrentId, TrackerHost)> {
        while let Some((at, host)) = self.due.first().cloned()
            && at <= now
        {
            self.due.pop_first();
            let Some(gate) = self.by_host.get_mut(&host) else { continue };
            gate.due = None;
            let next = gate.queue.first().copied();
            let admitted = next.filter(|next| {
                gate.opens_at(next.paced, host.scheme(), config, now).is_some_and(|at| at <= now)
            });
            if let Some(next) = admitted {
                gate.queue.pop_first();
                gate.let_in(next.paced, config, now);
            }
            self.look_again(&host, config, now);
            if let Some(next) = admitted {
                return Some((next.torrent, host));
            }
        }
        None
    }

    /// Sends off those that queue for anything but `stopped`: they may be better served elsewhere.
    pub(super) fn evict(&mut self, host: &TrackerHost, config: &Config, now: Timestamp) {
        if let Some(gate) = self.by_host.get_mut(host) {
            let (go, stay): (BTreeSet<_>, BTreeSet<_>) =
                std::mem::take(&mut gate.queue).into_iter().partition(|queued| queued.paced);
            gate.queue = stay;
            self.evicted.extend(go.into_iter().map(|queued| (queued.torrent, host.clone())));
            self.look_again(host, config, now);
        }
    }

    /// The next torrent that was sent off, and from where.
    pub(super) fn next_evicted(&mut self) -> Option<(TorrentId, TrackerHost)> {
        self.evicted.pop_front()
    }

    /// How long an announce that came now would have to wait for the pace of a host.
    pub(super) fn expected_wait(&self, host: &TrackerHost, config: &Config, now: Timestamp) -> Duration {
        let Some(gate) = self.by_host.get(host) else { return Duration::ZERO };
        let queued = interval(config).saturating_mul(u32::try_from(gate.queue.len()).unwrap_or(u32::MAX));
        gate.wait(config, now).saturating_add(queued)
    }

    /// When a torrent may be admitted next.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Drops hosts that nobody uses, when as many have come as stayed the last time.
    fn sweep(&mut self, now: Timestamp) {
        if self.by_host.len() >= self.sweep_at.max(FEW) {
            self.by_host.retain(|_, gate| !gate.is_idle(now));
            self.sweep_at = self.by_host.len() * 2;
        }
    }

    /// Keeps in mind when the first in a queue can be let in. A host that is full lets it in when an attempt ends.
    fn look_again(&mut self, host: &TrackerHost, config: &Config, now: Timestamp) {
        let Some(gate) = self.by_host.get_mut(host) else { return };
        let first = gate.queue.first();
        let next = first.and_then(|first| gate.opens_at(first.paced, host.scheme(), config, now));
        if let Some(due) = gate.due {
            self.due.remove(&(due, host.clone()));
        }
        gate.due = next;
        if let Some(next) = next {
            self.due.insert((next, host.clone()));
        }
    }
}

impl Gate {
    /// Whether there is nothing to remember.
    fn is_idle(&self, now: Timestamp) -> bool {
        self.inside + self.yielded == 0 && self.queue.is_empty() && self.allowance_until <= now
    }

    /// When the next may come in; `None` where an attempt has to end first.
    fn opens_at(&self, paced: bool, scheme: Scheme, config: &Config, now: Timestamp) -> Option<Timestamp> {
        let most =
            if scheme == Scheme::Udp { config.exchanges_per_host } else { config.connections_per_host };
        if self.inside >= most.max(1) {
            return None;
        }
        Some(if paced { now + self.wait(config, now) } else { now })
    }

    /// How long until the pace allows another.
    fn wait(&self, config: &Config, now: Timestamp) -> Duration {
        let burst = interval(config).saturating_mul(config.announces_burst.saturating_sub(1));
        self.allowance_until.since(now).saturating_sub(burst)
    }

    fn let_in(&mut self, paced: bool, config: &Config, now: Timestamp) {
        self.inside += 1;
        // `stopped` is bound by connections only: nothing comes after it.
        if paced {
            self.allowance_until = self.allowance_until.max(now) + interval(config);
        }
    }
}

fn interval(config: &Config) -> Duration {
    Duration::from_secs(1) / config.announces_per_second.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::TrackerUrl;

    fn host(url: &str) -> TrackerHost {
        url.parse::<TrackerUrl>().unwrap().tracker_host()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn id(number: u64) -> TorrentId {
        TorrentId::new(number)
    }

    fn roomy() -> Config {
        Config { connections_per_host: 1000, ..Config::default() }
    }

    #[test]
    fn so_many_at_once_and_the_rest_when_one_leaves() {
        let (mut limiter, config, host) = (HostLimiter::default(), Config::default(), host("http://a.test/"));
        let admitted: Vec<bool> =
            (0..6).map(|n| limiter.admit(&host, id(n), Priority::Regular, &config, at(0))).collect();
        assert_eq!(admitted, [true, true, true, true, false, false]);
        assert_eq!((limiter.next_admitted(&config, at(0)), limiter.wake()), (None, None));
        limiter.release(&host, false, &config, at(7));
        assert_eq!(limiter.next_admitted(&config, at(7)), Some((id(4), host.clone())));
        assert_eq!(limiter.next_admitted(&config, at(7)), None);
        limiter.leave(&host, id(5), &config, at(7));
        limiter.release(&host, false, &config, at(8));
        assert_eq!(limiter.next_admitted(&config, at(8)), None, "it has gone");
    }

    #[test]
    fn a_burst_and_then_twenty_a_second() {
        let (mut limiter, config, host) = (HostLimiter::default(), roomy(), host("http://a.test/"));
        let admit = |n| limiter.admit(&host, id(n), Priority::Regular, &config, at(0));
        assert_eq!((0..100).map(admit).filter(|admitted| *admitted).count(), 20);
        assert_eq!(limiter.expected_wait(&host, &config, at(0)), Duration::from_millis(50 * 81));
        let mut admitted = Vec::new();
        while let Some(wake) = limiter.wake()
            && let Some((torrent, _)) = limiter.next_admitted(&config, wake)
        {
            admitted.push((wake.as_micros() / 1000, torrent));
        }
        assert_eq!(admitted.len(), 80);
        assert_eq!((admitted[0], admitted[1], admitted[79]), ((50, id(20)), (100, id(21)), (4000, id(99))));
    }

    #[test]
    fn those_that_want_peers_are_admitted_first() {
        let (mut limiter, host) = (HostLimiter::default(), host("http://a.test/"));
        let config = Config { connections_per_host: 1, ..Config::default() };
        assert!(limiter.admit(&host, id(0), Priority::Regular, &config, at(0)));
        let priorities = [
            Priority::Retry,
            Priority::Regular,
            Priority::Completed,
            Priority::WantsPeers,
            Priority::Stopped,
        ];
        for (number, priority) in (1..).zip(priorities) {
            assert!(!limiter.admit(&host, id(number), priority, &config, at(0)));
        }
        let mut order = Vec::new();
        for _ in 0..5 {
            limiter.release(&host, false, &config, at(1000));
            order.extend(limiter.next_admitted(&config, at(1000)).map(|(torrent, _)| torrent));
        }
        assert_eq!(order, [id(5), id(4), id(3), id(2), id(1)]);
    }

    /// A stream of torrents that want peers, as fast as the host takes them, keeps no regular announce out.
    #[test]
    fn a_regular_announce_waits_for_a_bounded_time_beside_urgent_ones() {
        let (mut limiter, config, host) = (HostLimiter::default(), roomy(), host("http://a.test/"));
        for number in 0..30 {
            limiter.admit(&host, id(number), Priority::WantsPeers, &config, at(0));
        }
        limiter.admit(&host, id(1000), Priority::Regular, &config, at(0));
        let admitted = (1..600_u64).find(|turn| {
            let now = at(turn * 50);
            limiter.admit(&host, id(1000 + turn), Priority::WantsPeers, &config, now);
            limiter.next_admitted(&config, now).is_some_and(|(torrent, _)| torrent == id(1000))
        });
        assert!(admitted.is_some_and(|turn| (200..240).contains(&turn)), "{admitted:?}");
    }

    #[test]
    fn a_full_host_holds_up_nobody_at_another() {
        let (mut limiter, config) = (HostLimiter::default(), Config::default());
        for number in 0..60 {
            limiter.admit(&host("http://stalled.test/"), id(number), Priority::WantsPeers, &config, at(0));
        }
        assert!(limiter.admit(&host("http://well.test/"), id(60), Priority::Regular, &config, at(0)));
        limiter.release(&host("http://well.test/"), false, &config, at(60_000));
        assert_eq!(limiter.wake(), None, "nothing happens at the stalled one by the passing of time");
    }

    /// R88: a host that nobody uses any more is forgotten, also where its last attempt ended before its pace allowed
    /// another.
    #[test]
    fn what_is_not_used_is_forgotten() {
        for left_at in [0, 49, 60_000] {
            let (mut limiter, config) = (HostLimiter::default(), Config::default());
            for number in 0..50_000 {
                let host = host(&format!("http://h{number}.test/"));
                limiter.admit(&host, id(number), Priority::Regular, &config, at(number * 100));
                limiter.release(&host, false, &config, at(number * 100 + left_at));
            }
            assert!(limiter.by_host.len() <= FEW && limiter.due.is_empty(), "{left_at}");
        }
    }

    /// Announces that nothing answers don't keep the others out, and don't pile up without bound.
    #[test]
    fn a_place_is_given_to_another_while_nothing_answers() {
        let (mut limiter, config, host) = (HostLimiter::default(), Config::default(), host("http://a.test/"));
        let mut admitted = 0;
        for number in 0..100 {
            if limiter.admit(&host, id(number), Priority::Stopped, &config, at(0)) {
                admitted += 1;
                limiter.yield_place(&host, &config, at(0));
            }
        }
        assert_eq!(admitted, MAX_YIELDED + 4);
        limiter.release(&host, true, &config, at(1));
        assert_eq!(limiter.next_admitted(&config, at(1)), None, "its place was given away");
        assert!(limiter.yield_place(&host, &config, at(1)));
        assert!(limiter.next_admitted(&config, at(1)).is_some());
    }
}
