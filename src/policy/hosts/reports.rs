//! What other processes report of hosts. A report is acted on as if it were our own evidence, within bounds: it may be
//! wrong, and our own evidence that is newer counts for more.

use std::collections::BTreeMap;

use super::Hosts;
use super::health::{HostHealth, MAX_HOSTS};
use super::snapshot::{in_calendar, is_ahead, is_recent};
use crate::host_snapshot::HostSnapshot;
use crate::policy::config::Config;
use crate::time::Timestamp;
use crate::tracker::{Scheme, TrackerHost};

/// What a report says of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It gives no sign of life.
    Dead,
    /// It has answered, and hasn't failed since.
    Alive,
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
    /// Whether this process has itself heard from the host later than a report. In the same second a report that it is dead
    /// counts as the later news: where many processes announce, one was mostly answered in the second in which another
    /// found it dead, and hosts rarely come back within it.
    fn has_heard_since(&self, report: &HostSnapshot, calendar: u64, now: Timestamp) -> bool {
        let heard_at = self.answered_at.max(self.failed_at).filter(|_| self.is_own);
        let heard_at = heard_at.map(|at| in_calendar(at, calendar, now));
        match Claim::of(report) {
            Some(Claim::Dead) => heard_at > report.heard_at(),
            _ => heard_at.is_some() && heard_at >= report.heard_at(),
        }
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
