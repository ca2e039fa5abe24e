//! Failures: whether the host of a failed attempt is blamed for it, the torrent, or our own network.

use super::Hosts;
use super::outage::{self, OutageNews};
use super::slot::{Ended, Failed, Slot};
use crate::policy::verdict::HostNews;
use crate::time::Timestamp;
use crate::tracker::TrackerHost;

impl Hosts {
    /// Takes a failure of an attempt.
    pub(super) fn failed(&mut self, slot: &Slot, failed: &Failed<'_>, now: Timestamp) -> Ended {
        let (host, started_at, random) = (&slot.host, slot.started_at, failed.random);
        let news = failed.verdict.host;
        let HostNews::Doubtful { shows_life, .. } = news else {
            return self.host_failed(host, news, (started_at, random), now);
        };
        if let Some(ended) = self.withheld(host, news, (started_at, random), now) {
            return ended;
        }
        let health = self.health.entry(host);
        if health.is_old_news(started_at) {
            return Ended::default();
        }
        if health.breaker.is_lifeless() && !shows_life {
            // The trial of a host without a sign of life brought none again.
            health.failed(&self.config, random, now);
            return Ended::default();
        }
        self.doubt(slot, failed, now);
        Ended::default()
    }

    /// Notes that a torrent got no tracker's answer. If the host is doubted because of it, the torrents in its queue
    /// are taken out, since another tracker may serve them.
    pub(super) fn doubt(&mut self, slot: &Slot, failed: &Failed<'_>, now: Timestamp) {
        let by = (slot.torrent, failed.tracker);
        if self.health.entry(&slot.host).doubt(by, failed.before, &self.config, failed.random, now) {
            self.limiter.evict(&slot.host, &self.config, now);
        }
    }

    /// Takes a failure that is evidence about the host or our own machine, or none, and the same for every torrent.
    pub(super) fn host_failed(
        &mut self,
        host: &TrackerHost,
        news: HostNews,
        (started_at, random): (Timestamp, f64),
        now: Timestamp,
    ) -> Ended {
        match news {
            HostNews::Unreachable { .. } | HostNews::Silent => {}
            HostNews::Local => return self.withhold(host, (started_at, random), now),
            HostNews::Alive => {
                self.health.entry(host).succeeded(now);
                return self.alive(now);
            }
            HostNews::Doubtful { .. } | HostNews::Nothing => return Ended::default(),
        }
        if let Some(ended) = self.withheld(host, news, (started_at, random), now) {
            return ended;
        }
        let health = self.health.entry(host);
        if !health.is_old_news(started_at) {
            health.failed(&self.config, random, now);
        }
        Ended::default()
    }

    /// Withholds the blame for a failure that our own network may have caused; `None` if the host is to be blamed.
    fn withheld(
        &mut self,
        host: &TrackerHost,
        news: HostNews,
        (started_at, random): (Timestamp, f64),
        now: Timestamp,
    ) -> Option<Ended> {
        let is_answer = matches!(news, HostNews::Doubtful { .. });
        let could_be_local = news.could_be_local();
        if self.resumed_at.is_some_and(|resumed_at| started_at <= resumed_at) {
            // The process didn't run, so the time limits of this attempt passed unheard.
            return Some(Ended { withheld: true, outage: None });
        }
        let mut outage = None;
        // A machine without IPv6 reaches no tracker over it, and its network works all the same.
        if could_be_local && host.family().is_none() {
            let known = self.health.len();
            if let Some(suspects) = self.outage.suspect(host, known, started_at, now) {
                outage = Some(OutageNews::Began);
                for suspect in suspects.filter(|suspect| suspect != host) {
                    let health = self.health.entry(&suspect);
                    let is_lifeless = health.breaker.is_lifeless();
                    health.pardon();
                    if is_lifeless {
                        self.withhold(&suspect, (now, random), now);
                    }
                }
            }
        }
        // An answer of the server itself, such as a 502, needs a network that works.
        if !self.outage.is_on() || (is_answer && !could_be_local) {
            return None;
        }
        // An answer to one torrent backs the host off for no other, whatever the reason of it was.
        if !is_answer {
            self.withhold(host, (started_at, random), now);
        }
        Some(Ended { withheld: true, outage })
    }

    /// Withholds the blame from a host, which may be tried again within seconds.
    fn withhold(
        &mut self,
        host: &TrackerHost,
        (started_at, random): (Timestamp, f64),
        now: Timestamp,
    ) -> Ended {
        let breaker = self.config.back_off.of_hosts;
        let health = self.health.entry(host);
        if breaker && !health.is_old_news(started_at) {
            health.breaker.withhold(now + outage::next_look(health.withheld, random));
            health.withheld = health.withheld.saturating_add(1);
        }
        Ended { withheld: true, outage: None }
    }

    /// Notes that a host has shown life, so that our network works.
    pub(super) fn alive(&mut self, now: Timestamp) -> Ended {
        let ended = self.outage.alive(now);
        if ended {
            for health in self.health.hosts.values_mut() {
                health.breaker.end_withholding();
                health.withheld = 0;
            }
        }
        Ended { withheld: false, outage: ended.then_some(OutageNews::Ended) }
    }
}
