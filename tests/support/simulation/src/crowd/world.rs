//! Hosts and trackers of a crowd's world: what becomes of an opening, an announce and a probe at any moment.

use std::collections::HashMap;
use std::time::Duration;

use tracker_failover::policy::Timestamp;
use tracker_failover::{
    AnnounceError, AnnounceResponse, Cause, Measurement, Rejection, ReplyError, Retry, Scheme, TrackerUrl,
};

/// What a host, one of its addresses, or a host towards one torrent does while a phase lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Answers.
    Well,
    /// Its name doesn't resolve.
    Unresolved,
    /// Refuses connections. Over UDP that is silence.
    Refused,
    /// Drops packets.
    Silent,
    /// Accepts connections, and TLS fails.
    BadCertificate,
    /// Opens, and never answers an announce.
    Mute,
    /// Answers with a page.
    Page,
    /// Answers with a status of HTTP.
    Status(u16, Retry),
    /// Closes the connection in place of an answer.
    HangsUp,
    /// Answers with a `failure reason`.
    Rejects(Retry),
}

/// Conditions in phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// When each phase begins, the first one at zero.
    phases: Vec<(Timestamp, Condition)>,
}

/// A tracker's host.
#[derive(Debug, Clone)]
pub struct Host {
    /// The scheme of its trackers.
    pub scheme: Scheme,
    /// The round trip to it.
    pub round_trip: Duration,
    /// How long it works on an announce.
    pub work: Duration,
    /// Its condition, for all addresses and torrents.
    pub script: Script,
}

/// One address on a host.
#[derive(Debug, Clone)]
pub struct Tracker {
    /// The number of its host.
    pub host: usize,
    /// Its address.
    pub url: TrackerUrl,
    /// How this address is, where its host is well.
    pub script: Script,
    /// The interval it asks for.
    pub interval: Option<Duration>,
    /// Its min interval.
    pub min_interval: Option<Duration>,
}

/// All hosts and trackers. Nothing in it hangs on chance or on how often it is asked.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The hosts.
    pub hosts: Vec<Host>,
    /// The trackers.
    pub trackers: Vec<Tracker>,
    numbers: HashMap<TrackerUrl, usize>,
}

/// How a tracker fares towards one torrent: well where its host, its address and it towards this torrent are.
#[derive(Debug, Clone, Copy)]
pub struct Fate<'a> {
    scripts: [Option<&'a Script>; 3],
}

/// A time without interruption in which a tracker is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// When it begins.
    pub start: Timestamp,
    /// When it ends; `None` where it doesn't.
    pub end: Option<Timestamp>,
}

/// When kernels send an unanswered SYN again.
const SYN: [u64; 6] = [0, 1, 3, 7, 15, 31];

/// How long a name server takes to answer that there is no such name.
const NO_SUCH_NAME: Duration = Duration::from_millis(20);

impl Condition {
    /// Whether a connection comes to be.
    pub fn is_reached(self) -> bool {
        !matches!(self, Self::Unresolved | Self::Refused | Self::Silent | Self::BadCertificate)
    }
}

impl Script {
    /// The same for ever.
    pub fn always(condition: Condition) -> Self {
        Self { phases: vec![(Timestamp::ZERO, condition)] }
    }

    /// Always well.
    pub fn well() -> Self {
        Self::always(Condition::Well)
    }

    /// The same script with another condition from a moment on; moments come in order.
    #[must_use]
    pub fn then(mut self, at: Timestamp, condition: Condition) -> Self {
        self.phases.push((at, condition));
        self
    }

    /// The condition at a moment.
    pub fn at(&self, at: Timestamp) -> Condition {
        self.phases[self.phase(at)].1
    }

    /// Whether it is ever so.
    pub fn is_ever(&self, is: impl Fn(Condition) -> bool) -> bool {
        self.phases.iter().any(|(_, condition)| is(*condition))
    }

    fn phase(&self, at: Timestamp) -> usize {
        self.phases.partition_point(|(begins, _)| *begins <= at).saturating_sub(1)
    }

    /// The first moment from this one on at which it is well.
    fn well_from(&self, at: Timestamp) -> Option<Timestamp> {
        let phase = self.phase(at);
        if self.phases[phase].1 == Condition::Well {
            return Some(at);
        }
        let next = self.phases[phase..].iter().find(|(_, condition)| *condition == Condition::Well);
        next.map(|(begins, _)| *begins)
    }

    /// The time around a moment at which it is well.
    fn run_at(&self, at: Timestamp) -> Run {
        let phase = self.phase(at);
        let is_well = |(_, condition): &&(Timestamp, Condition)| *condition == Condition::Well;
        let before = self.phases[..=phase].iter().rev().take_while(is_well).last();
        let after = self.phases[phase..].iter().find(|(_, condition)| *condition != Condition::Well);
        Run { start: before.map_or(at, |(begins, _)| *begins), end: after.map(|(begins, _)| *begins) }
    }
}

impl Fate<'_> {
    /// The condition at a moment.
    pub fn at(&self, at: Timestamp) -> Condition {
        let conditions = self.scripts.iter().flatten().map(|script| script.at(at));
        conditions.into_iter().find(|condition| *condition != Condition::Well).unwrap_or(Condition::Well)
    }

    /// The first time from this moment on in which it is well; the moment may lie within it.
    pub fn run_from(&self, at: Timestamp) -> Option<Run> {
        let mut from = at;
        loop {
            let before = from;
            for script in self.scripts.iter().flatten() {
                from = script.well_from(from)?;
            }
            if from == before {
                break;
            }
        }
        let runs = self.scripts.iter().flatten().map(|script| script.run_at(from));
        runs.reduce(|one, other| Run {
            start: one.start.max(other.start),
            end: [one.end, other.end].into_iter().flatten().min(),
        })
    }
}

impl World {
    /// Adds a host, and gives its number.
    pub fn host(&mut self, host: Host) -> usize {
        self.hosts.push(host);
        self.hosts.len() - 1
    }

    /// Adds a host that is 20 ms away.
    pub fn near(&mut self, scheme: Scheme, script: Script) -> usize {
        let (round_trip, work) = (Duration::from_millis(20), Duration::ZERO);
        self.host(Host { scheme, round_trip, work, script })
    }

    /// Adds an address to a host, and gives its number. Its interval is 30 minutes.
    ///
    /// # Panics
    /// Where there is no such host.
    pub fn tracker(&mut self, host: usize, script: Script) -> usize {
        let number = self.trackers.len();
        let scheme = match self.hosts[host].scheme {
            Scheme::Udp => "udp",
            Scheme::Https => "https",
            _ => "http",
        };
        let url: TrackerUrl =
            format!("{scheme}://h{host}.test:6969/{number}/announce").parse().expect("an address");
        self.numbers.insert(url.clone(), number);
        let interval = Some(Duration::from_secs(1800));
        self.trackers.push(Tracker { host, url, script, interval, min_interval: None });
        number
    }

    /// The number of an address.
    pub fn number(&self, url: &TrackerUrl) -> usize {
        self.numbers[url]
    }

    /// The host of a tracker.
    pub fn host_of(&self, tracker: usize) -> &Host {
        &self.hosts[self.trackers[tracker].host]
    }

    /// How a tracker fares towards a torrent with its own script there.
    pub fn fate<'a>(&'a self, tracker: usize, own: Option<&'a Script>) -> Fate<'a> {
        Fate { scripts: [Some(&self.host_of(tracker).script), Some(&self.trackers[tracker].script), own] }
    }

    /// What becomes of an opening, and when. `None` where nothing does.
    pub fn open(&self, tracker: usize, at: Timestamp) -> Option<(Timestamp, Result<(), AnnounceError>)> {
        let host = self.host_of(tracker);
        for resent in SYN {
            let sent = at + Duration::from_secs(resent);
            let condition = host.script.at(sent);
            return Some(match condition {
                Condition::Silent => continue,
                Condition::Refused if host.scheme == Scheme::Udp => continue,
                Condition::Unresolved => {
                    (sent + NO_SUCH_NAME, Err(AnnounceError::Resolve(Cause::new("no such name"))))
                }
                Condition::Refused => {
                    let refused = AnnounceError::Connect(Cause::new("connection refused"));
                    (sent + host.round_trip, Err(refused))
                }
                Condition::BadCertificate if host.scheme == Scheme::Https => {
                    let expired = AnnounceError::Tls(Cause::new("certificate expired"));
                    (sent + 2 * host.round_trip, Err(expired))
                }
                _ => (sent + host.round_trip, Ok(())),
            });
        }
        None
    }

    /// What becomes of an announce on an open channel, and when. `None` where nothing does.
    pub fn announce(
        &self,
        tracker: usize,
        own: Option<&Script>,
        at: Timestamp,
    ) -> Option<(Timestamp, Result<AnnounceResponse, AnnounceError>)> {
        let (of, host) = (&self.trackers[tracker], self.host_of(tracker));
        let broken = || AnnounceError::Broken(Cause::new("connection reset"));
        let reply = match self.fate(tracker, own).at(at + host.round_trip / 2) {
            Condition::Silent | Condition::Mute | Condition::Unresolved | Condition::BadCertificate => {
                return None;
            }
            Condition::Page | Condition::HangsUp | Condition::Refused if host.scheme == Scheme::Udp => {
                return None;
            }
            Condition::Refused | Condition::HangsUp => Err(broken()),
            Condition::Page => Err(AnnounceError::NotAReply(ReplyError::new("expected a dictionary", 0))),
            Condition::Status(status, retry) if host.scheme != Scheme::Udp => {
                Err(AnnounceError::Status { status, retry })
            }
            Condition::Status(_, retry) | Condition::Rejects(retry) => {
                let mut rejection = Rejection::new("no");
                rejection.retry = retry;
                Err(AnnounceError::Rejected(rejection))
            }
            Condition::Well => {
                let mut response = AnnounceResponse::default();
                response.interval = of.interval;
                response.min_interval = of.min_interval;
                Ok(response)
            }
        };
        Some((at + host.round_trip + host.work, reply))
    }

    /// What becomes of a probe, and when. Any answer is one.
    pub fn probe(
        &self,
        tracker: usize,
        at: Timestamp,
    ) -> Option<(Timestamp, Result<Measurement, AnnounceError>)> {
        let host = self.host_of(tracker);
        let opened = match self.open(tracker, at)? {
            (opened, Ok(())) => opened,
            (failed, Err(error)) => return Some((failed, Err(error))),
        };
        if host.script.at(opened) == Condition::Mute && host.scheme != Scheme::Udp {
            return None;
        }
        let connect = opened.since(at);
        let first_byte = if host.scheme == Scheme::Udp { connect } else { host.round_trip };
        let answered = if host.scheme == Scheme::Udp { opened } else { opened + host.round_trip };
        Some((answered, Ok(Measurement { connect, first_byte })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(secs))
    }

    #[test]
    fn a_tracker_is_well_where_host_address_and_torrent_are() {
        let mut world = World::default();
        let host = world.near(Scheme::Http, Script::always(Condition::Silent).then(at(10), Condition::Well));
        let tracker = world.tracker(host, Script::well().then(at(50), Condition::Page));
        let own = Script::always(Condition::Mute).then(at(20), Condition::Well);
        assert_eq!(world.fate(tracker, None).run_from(at(0)), Some(Run { start: at(10), end: Some(at(50)) }));
        let fate = world.fate(tracker, Some(&own));
        assert_eq!(fate.run_from(at(30)), Some(Run { start: at(20), end: Some(at(50)) }));
        assert_eq!(fate.run_from(at(50)), None);
        assert_eq!(
            [5, 15, 25, 60].map(|secs| fate.at(at(secs))),
            [Condition::Silent, Condition::Mute, Condition::Well, Condition::Page]
        );
    }

    #[test]
    fn phases_beside_each_other_in_which_all_is_well_are_one() {
        let script =
            Script::always(Condition::Page).then(at(5), Condition::Well).then(at(9), Condition::Well);
        assert_eq!(script.run_at(at(12)), Run { start: at(5), end: None });
    }
}
