//! How many attempts a host gets at once and how fast, and in which order torrents wait where it gets no more.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::policy::config::{Config, HostLoad};
use crate::policy::io::TorrentId;
use crate::time::Timestamp;
use crate::tracker::{Scheme, TrackerHost};

/// The limits of each host: attempts at once, and announces in a second. A torrent that finds a host busy queues, and
/// is admitted in its turn. Each host has its own queue, so a host that stalls delays no torrent at another.
#[derive(Debug, Default)]
pub(super) struct HostLimiter {
    /// The hosts in use.
    by_host: BTreeMap<TrackerHost, HostLimit>,
    /// When the first in the queue of a host is admitted by its pace. A host without a free place isn't in here: it
    /// waits for the end of an attempt.
    due: BTreeSet<(Timestamp, TrackerHost)>,
    /// How many torrents have queued so far: the order of arrival.
    arrivals: u64,
    /// Torrents that were taken out of the queue of a host that has fallen silent or is doubted.
    evicted: VecDeque<(TorrentId, TrackerHost)>,
    /// The number of hosts at which those that aren't in use are dropped. Twice what was left the last time, so that a
    /// sweep costs each host a constant.
    sweep_at: usize,
}

/// Below this many hosts none is dropped: a sweep isn't worth it.
const FEW: usize = 64;

/// The order in which torrents that queue are admitted, the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// `stopped`. It isn't paced, and goes before all others: the process may end in three seconds.
    Stopped,
    /// An announce of a torrent that wants peers, or one that the user asked for.
    WantsPeers,
    /// `completed`.
    Completed,
    /// A regular announce.
    Regular,
    /// The torrent failed at this tracker since it was last answered there.
    Retry,
    /// An announce beside the tracker in use.
    Beside,
}

impl Priority {
    /// How much later an announce of the first priority may come and still go before this one. Bounded, so that a
    /// stream of urgent announces delays a regular one and never keeps it out.
    fn slack(self) -> Duration {
        Duration::from_secs(match self {
            Self::Stopped | Self::WantsPeers => 0,
            Self::Completed => 2,
            Self::Regular => 10,
            Self::Retry | Self::Beside => 120,
        })
    }

    /// Whether those of the other priorities hardly ever wait for it.
    fn gives_way(self) -> bool {
        matches!(self, Self::Retry | Self::Beside)
    }
}

/// A torrent in a queue: the least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    /// Whether the pace of the host applies: to all but `stopped`.
    paced: bool,
    /// Its arrival and the slack of its priority.
    turn: Timestamp,
    /// Its number in the order of arrival, among those with the same turn.
    arrival: u64,
    /// The torrent that waits.
    torrent: TorrentId,
    /// Whether it gives way to others.
    gives_way: bool,
}

/// How many attempts that got no answer are held at one host beside its places. A host that answers none of them has no
/// work with them, and each ends after half a minute.
const MAX_YIELDED: usize = 32;

/// The torrents that wait at one host.
#[derive(Debug, Default)]
struct Queue {
    /// In the order in which they are admitted.
    in_turn: BTreeSet<Queued>,
    /// The same by torrent and arrival: thousands leave because another host has admitted them, and a search for each
    /// would take seconds.
    by_torrent: BTreeMap<(TorrentId, u64), Queued>,
    /// How many of them give way to others.
    giving_way: usize,
}

/// The limits of one host.
#[derive(Debug, Default)]
struct HostLimit {
    /// Attempts that hold a place.
    inside: usize,
    /// Attempts under way that have given their places to others.
    yielded: usize,
    /// The theoretical arrival time of the generic cell rate algorithm: the next paced announce conforms from a burst
    /// before this on.
    allowance_until: Timestamp,
    /// The torrents that wait.
    queue: Queue,
    /// Its moment in [`HostLimiter::due`].
    due: Option<Timestamp>,
}

impl HostLimiter {
    /// Admits an attempt, or puts its torrent into the queue. Gives whether it was admitted.
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
        let (turn, gives_way) = (now + priority.slack(), priority.gives_way());
        let queued = Queued { paced, turn, arrival, torrent, gives_way };
        self.sweep(now);
        let limit = self.by_host.entry(host.clone()).or_default();
        let first = limit.queue.first().is_none_or(|first| first > queued);
        let admitted = first && limit.next_at(paced, host.scheme(), config, now).is_some_and(|at| at <= now);
        if admitted {
            limit.take_place(paced, config, now);
        } else {
            self.arrivals += 1;
            limit.queue.insert(queued);
        }
        self.reschedule(host, config, now);
        admitted
    }

    /// Takes a torrent out of a queue.
    pub(super) fn leave(&mut self, host: &TrackerHost, torrent: TorrentId, config: &Config, now: Timestamp) {
        if let Some(limit) = self.by_host.get_mut(host) {
            limit.queue.remove_torrent(torrent);
            self.reschedule(host, config, now);
        }
    }

    /// Frees the place of an attempt that got no answer, which goes on. Gives whether it did: at most
    /// [`MAX_YIELDED`] do at one host.
    pub(super) fn yield_place(&mut self, host: &TrackerHost, config: &Config, now: Timestamp) -> bool {
        let Some(limit) = self.by_host.get_mut(host).filter(|limit| limit.yielded < MAX_YIELDED) else {
            return false;
        };
        limit.inside = limit.inside.saturating_sub(1);
        limit.yielded += 1;
        self.reschedule(host, config, now);
        true
    }

    /// Notes that an attempt has ended, which may have `yielded` its place before.
    pub(super) fn release(&mut self, host: &TrackerHost, yielded: bool, config: &Config, now: Timestamp) {
        if let Some(limit) = self.by_host.get_mut(host) {
            let count = if yielded { &mut limit.yielded } else { &mut limit.inside };
            *count = count.saturating_sub(1);
            if limit.is_idle(now) {
                self.by_host.remove(host);
            } else {
                self.reschedule(host, config, now);
            }
        }
    }

    /// The next torrent whose turn has come. It holds a place from now on.
    pub(super) fn next_admitted(
        &mut self,
        config: &Config,
        now: Timestamp,
    ) -> Option<(TorrentId, TrackerHost)> {
        while let Some((at, host)) = self.due.first().cloned()
            && at <= now
        {
            self.due.pop_first();
            let Some(limit) = self.by_host.get_mut(&host) else { continue };
            limit.due = None;
            let next = limit.queue.first();
            let admitted = next.filter(|next| {
                limit.next_at(next.paced, host.scheme(), config, now).is_some_and(|at| at <= now)
            });
            if let Some(next) = admitted {
                limit.queue.remove(next);
                limit.take_place(next.paced, config, now);
            }
            self.reschedule(&host, config, now);
            if let Some(next) = admitted {
                return Some((next.torrent, host));
            }
        }
        None
    }

    /// Empties the queue of a host but for `stopped`: the torrents in it may be served by another tracker at once, and
    /// `stopped` has no other to go to.
    pub(super) fn evict(&mut self, host: &TrackerHost, config: &Config, now: Timestamp) {
        if let Some(limit) = self.by_host.get_mut(host) {
            for queued in std::mem::take(&mut limit.queue).in_turn {
                if queued.paced {
                    self.evicted.push_back((queued.torrent, host.clone()));
                } else {
                    limit.queue.insert(queued);
                }
            }
            self.reschedule(host, config, now);
        }
    }

    /// The next torrent that was taken out of a queue, and its host.
    pub(super) fn next_evicted(&mut self) -> Option<(TorrentId, TrackerHost)> {
        self.evicted.pop_front()
    }

    /// How long an announce that came now would wait for the pace and the places of a host, if each holds its place
    /// for as long as an `exchange` takes. Those that would give way to it aren't counted.
    pub(super) fn expected_wait(
        &self,
        host: &TrackerHost,
        exchange: Duration,
        config: &Config,
        now: Timestamp,
    ) -> Duration {
        let Some(limit) = self.by_host.get(host) else { return Duration::ZERO };
        let before = limit.queue.len() - limit.queue.giving_way;
        let times = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let pace = limit.wait_behind(times(before), config, now);
        let places = places(host.scheme(), config);
        let ends = (limit.inside + before + 1).saturating_sub(places);
        pace.max(exchange.saturating_mul(times(ends)) / times(places))
    }

    /// How many attempts are under way at a host, and how many torrents queue.
    pub(super) fn load(&self, host: &TrackerHost) -> (usize, usize) {
        self.by_host.get(host).map_or((0, 0), |limit| (limit.inside + limit.yielded, limit.queue.len()))
    }

    /// When a torrent may be admitted next.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Drops hosts that aren't in use, once their number has doubled since the last time.
    fn sweep(&mut self, now: Timestamp) {
        if self.by_host.len() >= self.sweep_at.max(FEW) {
            self.by_host.retain(|_, limit| !limit.is_idle(now));
            self.sweep_at = self.by_host.len() * 2;
        }
    }

    /// Notes when the first in the queue of a host can be admitted, after any change.
    fn reschedule(&mut self, host: &TrackerHost, config: &Config, now: Timestamp) {
        let Some(limit) = self.by_host.get_mut(host) else { return };
        let first = limit.queue.first();
        let next = first.and_then(|first| limit.next_at(first.paced, host.scheme(), config, now));
        if let Some(due) = limit.due {
            self.due.remove(&(due, host.clone()));
        }
        limit.due = next;
        if let Some(next) = next {
            self.due.insert((next, host.clone()));
        }
    }
}

impl Queue {
    /// How many wait.
    fn len(&self) -> usize {
        self.in_turn.len()
    }

    /// The next to be admitted.
    fn first(&self) -> Option<Queued> {
        self.in_turn.first().copied()
    }

    /// Adds one.
    fn insert(&mut self, queued: Queued) {
        self.in_turn.insert(queued);
        self.by_torrent.insert((queued.torrent, queued.arrival), queued);
        self.giving_way += usize::from(queued.gives_way);
    }

    /// Removes one that waits.
    fn remove(&mut self, queued: Queued) {
        self.in_turn.remove(&queued);
        self.by_torrent.remove(&(queued.torrent, queued.arrival));
        self.giving_way -= usize::from(queued.gives_way);
    }

    /// Removes all of a torrent: it may list several trackers at the host.
    fn remove_torrent(&mut self, torrent: TorrentId) {
        let all = (torrent, 0)..=(torrent, u64::MAX);
        while let Some(queued) = self.by_torrent.range(all.clone()).next().map(|(_, queued)| *queued) {
            self.remove(queued);
        }
    }
}

impl HostLimit {
    /// Whether nothing is lost by dropping it.
    fn is_idle(&self, now: Timestamp) -> bool {
        self.inside + self.yielded == 0 && self.queue.len() == 0 && self.allowance_until <= now
    }

    /// When the next attempt can be admitted; `None` if another has to end first.
    fn next_at(&self, paced: bool, scheme: Scheme, config: &Config, now: Timestamp) -> Option<Timestamp> {
        if self.inside >= places(scheme, config) {
            return None;
        }
        Some(if paced { now + self.wait(config, now) } else { now })
    }

    /// How long until the pace allows another announce.
    fn wait(&self, config: &Config, now: Timestamp) -> Duration {
        self.wait_behind(0, config, now)
    }

    /// The same behind so many others.
    fn wait_behind(&self, others: u32, config: &Config, now: Timestamp) -> Duration {
        let burst = interval(config).saturating_mul(config.load.announces_burst.saturating_sub(1));
        let others = interval(config).saturating_mul(others);
        self.allowance_until.since(now).saturating_add(others).saturating_sub(burst)
    }

    /// Takes a place, and its part of the allowance.
    fn take_place(&mut self, paced: bool, config: &Config, now: Timestamp) {
        self.inside += 1;
        // `stopped` is limited by connections only: the host gets nothing from this torrent after it.
        if paced {
            self.allowance_until = self.allowance_until.max(now) + interval(config);
        }
    }
}

/// How many attempts a host of a scheme gets at once.
fn places(scheme: Scheme, config: &Config) -> usize {
    let HostLoad { connections_per_host, exchanges_per_host, .. } = config.load;
    let places = if scheme == Scheme::Udp { exchanges_per_host } else { connections_per_host };
    places.max(1)
}

/// The time between two announces at the pace of a host.
fn interval(config: &Config) -> Duration {
    Duration::from_secs(1) / config.load.announces_per_second.max(1)
}
