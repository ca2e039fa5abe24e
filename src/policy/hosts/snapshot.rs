//! Snapshots of the health of hosts: what one run leaves to the next.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::believed::Reported;
use super::breaker::Breaker;
use super::health::{HealthBook, HostHealth, MAX_HOSTS, MAX_LATENCY};
use super::rtt::RttEstimate;
use crate::host_snapshot::{HostSnapshot, RttSnapshot};
use crate::time::Timestamp;
use crate::tracker::TrackerHost;

/// How far ahead of the calendar a moment may be, in seconds: a clock may be adjusted by a little between two runs. One
/// further ahead was noted by a clock that was wrong.
const CLOCK_ERROR: u64 = 5 * 60;

impl HealthBook {
    /// How long a snapshot of a host counts after the last answer or failure. After a week
    /// without either its latency says little.
    pub const MEMORY: Duration = Duration::from_secs(7 * 24 * 3600);

    /// A number that grows with each change, to see whether there is something new to be kept.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What is worth keeping for the next run, the host with the latest answer or failure first. `calendar` is the
    /// present moment in seconds since 1970. Hosts over one address family only are left out: the next run may be in a
    /// network with other families.
    pub fn snapshot(&self, calendar: u64, now: Timestamp) -> Vec<HostSnapshot> {
        let hosts = self.hosts.iter().filter(|(host, _)| host.family().is_none());
        let hosts = hosts.map(|(host, health)| health.snapshot(host.clone(), calendar, now));
        Self::worth_keeping(hosts, calendar)
    }

    /// What this process has learned since [`changes`](Self::changes) was `since`, for other processes: as
    /// [`snapshot`](Self::snapshot), but a host counts as backed off only if it gave this process no sign of life. Neither a
    /// refusal to some of our torrents, nor an outage of our own network, nor the report of another process is evidence for
    /// others. With `None` everything that is known.
    pub fn changed_since(&self, since: Option<u64>, calendar: u64, now: Timestamp) -> Vec<HostSnapshot> {
        let is_changed = |health: &HostHealth| since.is_none_or(|since| health.changed > since);
        let hosts = self.hosts.iter().filter(|(host, health)| host.family().is_none() && is_changed(health));
        let hosts = hosts.map(|(host, health)| HostSnapshot {
            is_backed_off: health.breaker.is_lifeless() && !health.reported.is_reason,
            ..health.snapshot(host.clone(), calendar, now)
        });
        Self::worth_keeping(hosts, calendar)
    }

    /// Restores what an earlier run knew. Hosts that are known already stay as they are.
    ///
    /// What is older than [`MEMORY`](Self::MEMORY) is dropped. A host that was backed off may be tried
    /// at once, by one torrent, and its next back-off continues the earlier ones. Moments in the future come from a
    /// clock that was wrong: they count as the present, and failures in a row noted with them as none.
    ///
    /// A [`Timestamp`] can't express moments before [`Timestamp::ZERO`], and those are dropped as well: to restore
    /// everything, the engine's clock has to start at `MEMORY` or later.
    pub fn restore(&mut self, hosts: impl IntoIterator<Item = HostSnapshot>, calendar: u64, now: Timestamp) {
        for snapshot in Self::worth_keeping(hosts, calendar) {
            if self.hosts.len() >= MAX_HOSTS {
                return;
            }
            if let Some(health) = HostHealth::restored(&snapshot, calendar, now) {
                self.hosts.entry(snapshot.host).or_insert(health);
            }
        }
    }

    /// Merges the snapshots of several runs or processes: each host once, with its latest snapshot, the latest host
    /// first. Drops what is older than [`MEMORY`](Self::MEMORY), and hosts beyond 4096.
    pub fn worth_keeping(hosts: impl IntoIterator<Item = HostSnapshot>, calendar: u64) -> Vec<HostSnapshot> {
        let mut by_host: BTreeMap<TrackerHost, HostSnapshot> = BTreeMap::new();
        for host in hosts.into_iter().filter(|host| is_recent(host, calendar)) {
            match by_host.get(&host.host) {
                Some(known) if trusted_at(known, calendar) >= trusted_at(&host, calendar) => {}
                _ => {
                    by_host.insert(host.host.clone(), host);
                }
            }
        }
        let mut hosts: Vec<_> = by_host.into_values().collect();
        hosts.sort_by_key(|host| std::cmp::Reverse(trusted_at(host, calendar)));
        hosts.truncate(MAX_HOSTS);
        hosts
    }
}

impl HostHealth {
    fn snapshot(&self, host: TrackerHost, calendar: u64, now: Timestamp) -> HostSnapshot {
        let then = |moment| in_calendar(moment, calendar, now);
        let time = |estimate: RttEstimate| RttSnapshot {
            srtt: estimate.srtt(),
            rttvar: estimate.rttvar(),
            at: then(estimate.at()),
            samples: estimate.samples(),
        };
        HostSnapshot {
            host,
            connect: self.connect.map(time),
            reply: self.reply.map(time),
            answered_at: self.answered_at.map(then),
            failed_at: self.failed_at.map(then),
            consecutive_failures: self.consecutive_failures,
            trips: self.breaker.trips(),
            is_backed_off: self.is_backed_off(),
        }
    }

    /// `None` if none of its moments can be expressed in the engine's time.
    pub(super) fn restored(snapshot: &HostSnapshot, calendar: u64, now: Timestamp) -> Option<Self> {
        let moment = |at: u64| {
            let age = Duration::from_secs(calendar.saturating_sub(at));
            let is_expressible = age <= HealthBook::MEMORY && age <= now.since(Timestamp::ZERO);
            is_expressible.then(|| now.before(age))
        };
        let estimate = |time: RttSnapshot| {
            let (srtt, rttvar) = (time.srtt.min(MAX_LATENCY), time.rttvar.min(MAX_LATENCY));
            moment(time.at).map(|at| RttEstimate::restored(srtt, rttvar, at, time.samples))
        };
        let answered_at = snapshot.answered_at.and_then(moment);
        let mut failed_at = snapshot.failed_at.and_then(moment);
        let consecutive_failures =
            if is_ahead(snapshot, calendar) { 0 } else { snapshot.consecutive_failures };
        if consecutive_failures > 0 && failed_at.is_some() {
            // Snapshots are in whole seconds. Where both moments are in the same one the failure was later, or it would
            // not count in a row: a latency from before it isn't fresh.
            failed_at = failed_at.max(answered_at.map(|answered_at| answered_at + Duration::from_micros(1)));
        }
        // Whatever is known changes only with an answer or a failure.
        answered_at.max(failed_at)?;
        let health = Self {
            connect: snapshot.connect.and_then(estimate),
            reply: snapshot.reply.and_then(estimate),
            consecutive_failures,
            answered_at,
            failed_at,
            breaker: Breaker::restored(snapshot.trips, snapshot.is_backed_off, now),
            reported: Reported::of(snapshot.rank(), is_ahead(snapshot, calendar)),
            ..Self::default()
        };
        Some(health)
    }
}

/// A moment of the engine's time in seconds since 1970, rounded down: with a `now` at which a second of the calendar began,
/// a moment gets the same second whenever it is asked for.
pub(super) fn in_calendar(moment: Timestamp, calendar: u64, now: Timestamp) -> u64 {
    let age = now.since(moment);
    let seconds = age.as_secs() + u64::from(age.subsec_nanos() > 0);
    calendar.saturating_sub(seconds)
}

/// Whether any of it was noted by a clock that was wrong.
pub(super) fn is_ahead(host: &HostSnapshot, calendar: u64) -> bool {
    host.heard_at().is_some_and(|at| at > calendar.saturating_add(CLOCK_ERROR))
}

/// The latest answer or failure, unless the clock that noted it was wrong.
fn trusted_at(host: &HostSnapshot, calendar: u64) -> Option<u64> {
    host.heard_at().filter(|_| !is_ahead(host, calendar))
}

/// Whether a snapshot is young enough to be of use.
pub(super) fn is_recent(host: &HostSnapshot, calendar: u64) -> bool {
    host.heard_at().is_some_and(|at| calendar.saturating_sub(at) <= HealthBook::MEMORY.as_secs())
}
