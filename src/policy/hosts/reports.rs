//! What other processes report of hosts. A report is acted on as if it were our own evidence, within bounds: it may be
//! wrong, and our own evidence that is newer counts for more.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Hosts;
use super::health::{HostHealth, MAX_HOSTS};
use super::snapshot::{in_calendar, is_ahead, is_recent};
use crate::host_snapshot::{HostSnapshot, SnapshotRank};
use crate::policy::config::Config;
use crate::time::Timestamp;
use crate::tracker::{Scheme, TrackerHost};

/// How many reports that a host is dead are believed within [`PERIOD`], and as many that it answers again. The back-off after
/// each of the former ends within a minute, so that wrong reports without end cost less than a third of the time; each of the
/// latter costs one connection. A host that dies more often costs this process failed attempts of its own.
const MAX_BELIEVED: u32 = 3;

/// The time in which they are counted.
const PERIOD: Duration = Duration::from_secs(10 * 60);

/// What other processes reported of a host.
#[derive(Debug, Clone, Default)]
pub(super) struct Reported {
    /// The rank of the newest report, or of the snapshot from an earlier run.
    rank: SnapshotRank,
    /// The reports that it is dead which were believed.
    dead: Believed,
    /// The reports that it answers again which were believed.
    alive: Believed,
    /// Whether a report is the only reason for the present back-off.
    pub(super) is_reason: bool,
}

/// How many reports of one kind were believed.
#[derive(Debug, Clone, Copy, Default)]
struct Believed {
    /// When the first of them came.
    since: Timestamp,
    /// How many of them there were since then.
    count: u32,
}

/// What a report says of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It gives no sign of life.
    Dead,
    /// It has answered, and hasn't failed since.
    Alive,
}

impl Reported {
    /// What a snapshot of an earlier run leaves; one from a clock that was ahead leaves nothing, or it would outrank all
    /// reports to come.
    pub(super) fn of(rank: SnapshotRank, is_ahead: bool) -> Self {
        Self { rank: if is_ahead { SnapshotRank::default() } else { rank }, ..Self::default() }
    }
}

impl Believed {
    /// Whether one more is believed, which is counted.
    fn one_more(&mut self, now: Timestamp) -> bool {
        if self.count == 0 || now.since(self.since) >= PERIOD {
            *self = Self { since: now, count: 0 };
        }
        let is_believed = self.count < MAX_BELIEVED;
        self.count += u32::from(is_believed);
        is_believed
    }
}

impl Claim {
    fn of(report: &HostSnapshot) -> Option<Self> {
        if report.is_backed_off {
            return (report.failed_at.is_some() && report.failed_at >= report.answered_at)
                .then_some(Self::Dead);
        }
        (report.answered_at.is_some() && report.answered_at >= report.failed_at).then_some(Self::Alive)
    }
}

impl Hosts {
    /// Takes in reports of other processes. `random` is from [0, 1).
    pub(crate) fn merge(
        &mut self,
        reports: impl IntoIterator<Item = HostSnapshot>,
        calendar: u64,
        random: f64,
        now: Timestamp,
    ) {
        let usable = |report: &HostSnapshot| {
            let is_plain = report.host.scheme() != Scheme::Other && report.host.family().is_none();
            is_plain && is_recent(report, calendar) && !is_ahead(report, calendar)
        };
        let mut newest: BTreeMap<TrackerHost, HostSnapshot> = BTreeMap::new();
        for report in reports.into_iter().take(MAX_HOSTS).filter(usable) {
            match newest.get(&report.host) {
                Some(known) if !report.is_newer_than(known) => {}
                _ => {
                    newest.insert(report.host.clone(), report);
                }
            }
        }
        for report in newest.into_values() {
            self.reported(&report, calendar, random, now);
        }
    }

    /// Takes in the newest report of a host.
    fn reported(&mut self, report: &HostSnapshot, calendar: u64, random: f64, now: Timestamp) {
        // Counts of others say nothing about the next attempt from here, and may be of any size.
        let figures =
            HostSnapshot { trips: 0, consecutive_failures: 0, is_backed_off: false, ..report.clone() };
        let Some(figures) = HostHealth::restored(&figures, calendar, now) else { return };
        let is_known = self.health.hosts.contains_key(&report.host);
        if !is_known && self.health.hosts.len() >= MAX_HOSTS {
            return;
        }
        let health = self.health.hosts.entry(report.host.clone()).or_default();
        if report.rank() <= health.reported.rank || health.has_heard_since(report, calendar, now) {
            return;
        }
        health.reported.rank = report.rank();
        health.fill_in(&figures);
        let heard_at = figures.answered_at.max(figures.failed_at).unwrap_or(now);
        if health.claimed(Claim::of(report), &self.config, random, (heard_at, now)) {
            self.limiter.evict(&report.host, &self.config, now);
        }
    }
}

impl HostHealth {
    /// Whether this process has itself heard from the host in the second of a report or later.
    fn has_heard_since(&self, report: &HostSnapshot, calendar: u64, now: Timestamp) -> bool {
        let heard_at = self.answered_at.max(self.failed_at).filter(|_| self.is_own);
        heard_at.is_some_and(|at| Some(in_calendar(at, calendar, now)) >= report.heard_at())
    }

    /// Takes over the figures of a report where this process has none of its own.
    fn fill_in(&mut self, figures: &Self) {
        if !self.is_own {
            (self.answered_at, self.failed_at) = (figures.answered_at, figures.failed_at);
        }
        if self.successes == 0 {
            self.connect = figures.connect.or(self.connect);
            self.reply = figures.reply.or(self.reply);
        }
    }

    /// Acts on a claim of a report about this moment. Gives whether the host is backed off from now on.
    fn claimed(
        &mut self,
        claim: Option<Claim>,
        config: &Config,
        random: f64,
        (heard_at, now): (Timestamp, Timestamp),
    ) -> bool {
        match claim {
            // A back-off that stands isn't extended: its trial will show.
            Some(Claim::Dead)
                if config.back_off.of_hosts
                    && self.breaker.is_closed()
                    && self.reported.dead.one_more(now) =>
            {
                self.breaker.open(config, random, heard_at);
                self.reported.is_reason = true;
                true
            }
            Some(Claim::Alive) if self.breaker.is_lifeless() && self.reported.alive.one_more(now) => {
                if std::mem::take(&mut self.reported.is_reason) {
                    self.breaker.pardon();
                }
                self.breaker.forgive(now);
                false
            }
            _ => false,
        }
    }
}
