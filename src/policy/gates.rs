//! How many announces a host gets at once and how fast, and who goes first when it gets no more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::config::Config;
use super::engine::TorrentId;
use super::time::Timestamp;
use crate::tracker::{Scheme, TrackerHost};

/// A gate at each host: so many attempts at once, so many in a second. Whoever finds it shut queues, and is
/// called when it is their turn; a host that stalls holds up those who want that host, and nobody else.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    by_host: BTreeMap<TrackerHost, Gate>,
    /// Gates with a queue that may open by the passing of time or by somebody's leaving.
    due: BTreeSet<(Timestamp, TrackerHost)>,
    arrivals: u64,
    /// Torrents that queued at a host which has fallen silent.
    sent_off: VecDeque<TorrentId>,
}

/// In which order those who queue are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Stopped,
    /// A first announce of a torrent that wants peers, or one the user waits for.
    WantsPeers,
    Completed,
    Regular,
}

#[derive(Debug, Default)]
struct Gate {
    inside: usize,
    /// When the allowance would be used up to the last if nobody came any more (generic cell rate algorithm).
    allowance_until: Timestamp,
    queue: BTreeSet<(Class, u64, TorrentId)>,
    due: Option<Timestamp>,
}

impl Gates {
    /// Lets an attempt in, or puts its torrent into the queue.
    pub(crate) fn enter(
        &mut self,
        host: &TrackerHost,
        torrent: TorrentId,
        class: Class,
        config: &Config,
        now: Timestamp,
    ) -> bool {
        let gate = self.by_host.entry(host.clone()).or_default();
        let first = gate.queue.first().is_none_or(|(queued, ..)| *queued > class);
        if first && gate.opens_at(class, host.scheme(), config, now).is_some_and(|at| at <= now) {
            gate.let_in(class, config, now);
            return true;
        }
        self.arrivals += 1;
        gate.queue.insert((class, self.arrivals, torrent));
        self.look_again(host, config, now);
        false
    }

    /// Takes a torrent out of a queue.
    pub(crate) fn give_up(&mut self, host: &TrackerHost, torrent: TorrentId) {
        if let Some(gate) = self.by_host.get_mut(host) {
            gate.queue.retain(|(.., queued)| *queued != torrent);
        }
    }

    /// Notes that an attempt has ended.
    pub(crate) fn leave(&mut self, host: &TrackerHost, config: &Config, now: Timestamp) {
        let Some(gate) = self.by_host.get_mut(host) else { return };
        gate.inside = gate.inside.saturating_sub(1);
        if gate.inside == 0 && gate.queue.is_empty() && gate.allowance_until <= now {
            self.by_host.remove(host);
        } else {
            self.look_again(host, config, now);
        }
    }

    /// Whose turn it is: let in already.
    pub(crate) fn call(&mut self, config: &Config, now: Timestamp) -> Option<(TorrentId, TrackerHost)> {
        while let Some((at, host)) = self.due.first().cloned()
            && at <= now
        {
            self.due.pop_first();
            let Some(gate) = self.by_host.get_mut(&host) else { continue };
            gate.due = None;
            let Some((class, _, torrent)) = gate.queue.first().copied() else { continue };
            let called = gate.opens_at(class, host.scheme(), config, now).is_some_and(|at| at <= now);
            if called {
                gate.queue.pop_first();
                gate.let_in(class, config, now);
            }
            self.look_again(&host, config, now);
            if called {
                return Some((torrent, host));
            }
        }
        None
    }

    /// Sends off those who want to open connections to a host that is silent: they may be better served elsewhere.
    pub(crate) fn send_off(&mut self, host: &TrackerHost) {
        if let Some(gate) = self.by_host.get_mut(host) {
            let (stay, go): (BTreeSet<_>, BTreeSet<_>) =
                std::mem::take(&mut gate.queue).into_iter().partition(|(class, ..)| *class == Class::Stopped);
            gate.queue = stay;
            self.sent_off.extend(go.into_iter().map(|(.., torrent)| torrent));
        }
    }

    /// The next who was sent off.
    pub(crate) fn next_sent_off(&mut self) -> Option<TorrentId> {
        self.sent_off.pop_front()
    }

    /// When somebody may be called next.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Keeps in mind when the first in a queue can be called; a host that is full calls when somebody leaves.
    fn look_again(&mut self, host: &TrackerHost, config: &Config, now: Timestamp) {
        let Some(gate) = self.by_host.get_mut(host) else { return };
        let next =
            gate.queue.first().and_then(|(class, ..)| gate.opens_at(*class, host.scheme(), config, now));
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
    /// When the next may come in; `None` where somebody has to leave first.
    fn opens_at(&self, class: Class, scheme: Scheme, config: &Config, now: Timestamp) -> Option<Timestamp> {
        let most =
            if scheme == Scheme::Udp { config.exchanges_per_host } else { config.connections_per_host };
        if self.inside >= most.max(1) {
            return None;
        }
        // `stopped` is bound by connections only: nobody comes back after it.
        let burst = interval(config) * config.announces_burst.saturating_sub(1);
        let paced = class != Class::Stopped && self.allowance_until.since(now) > burst;
        Some(if paced { now + self.allowance_until.since(now).saturating_sub(burst) } else { now })
    }

    fn let_in(&mut self, class: Class, config: &Config, now: Timestamp) {
        self.inside += 1;
        if class != Class::Stopped {
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
        let (mut gates, config, host) = (Gates::default(), Config::default(), host("http://a.test/"));
        let entered: Vec<bool> =
            (0..6).map(|n| gates.enter(&host, id(n), Class::Regular, &config, at(0))).collect();
        assert_eq!(entered, [true, true, true, true, false, false]);
        assert_eq!((gates.call(&config, at(0)), gates.wake()), (None, None));
        gates.leave(&host, &config, at(7));
        assert_eq!(gates.call(&config, at(7)), Some((id(4), host.clone())));
        assert_eq!(gates.call(&config, at(7)), None);
        gates.give_up(&host, id(5));
        gates.leave(&host, &config, at(8));
        assert_eq!(gates.call(&config, at(8)), None, "it has gone");
    }

    #[test]
    fn a_burst_and_then_twenty_a_second() {
        let (mut gates, config, host) = (Gates::default(), roomy(), host("http://a.test/"));
        let entered = (0..100).filter(|n| gates.enter(&host, id(*n), Class::Regular, &config, at(0))).count();
        assert_eq!(entered, 20);
        let mut called = Vec::new();
        while let Some(wake) = gates.wake() {
            let (torrent, _) = gates.call(&config, wake).unwrap();
            called.push((wake.as_micros() / 1000, torrent));
        }
        assert_eq!(called.len(), 80);
        assert_eq!((called[0], called[1], called[79]), ((50, id(20)), (100, id(21)), (4000, id(99))));
    }

    #[test]
    fn those_who_want_peers_are_called_first() {
        let (mut gates, host) = (Gates::default(), host("http://a.test/"));
        let config = Config { connections_per_host: 1, ..Config::default() };
        assert!(gates.enter(&host, id(0), Class::Regular, &config, at(0)));
        for (number, class) in
            [(1, Class::Regular), (2, Class::Completed), (3, Class::WantsPeers), (4, Class::Stopped)]
        {
            assert!(!gates.enter(&host, id(number), class, &config, at(0)));
        }
        let mut order = Vec::new();
        for _ in 0..4 {
            gates.leave(&host, &config, at(1000));
            order.extend(gates.call(&config, at(1000)).map(|(torrent, _)| torrent));
        }
        assert_eq!(order, [id(4), id(3), id(2), id(1)]);
    }

    #[test]
    fn a_full_host_holds_up_nobody_at_another() {
        let (mut gates, config) = (Gates::default(), Config::default());
        for number in 0..60 {
            gates.enter(&host("http://stalled.test/"), id(number), Class::WantsPeers, &config, at(0));
        }
        assert!(gates.enter(&host("http://well.test/"), id(60), Class::Regular, &config, at(0)));
        assert_eq!(gates.wake(), None, "nothing happens at the stalled one by the passing of time");
    }

    #[test]
    fn what_is_not_used_is_forgotten() {
        let (mut gates, config) = (Gates::default(), Config::default());
        gates.enter(&host("http://a.test/"), id(1), Class::Regular, &config, at(0));
        gates.leave(&host("http://a.test/"), &config, at(60_000));
        assert!(gates.by_host.is_empty() && gates.due.is_empty());
    }
}
