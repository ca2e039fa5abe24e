//! What is known of tracker hosts, shared by all torrents: one of them measures, the others profit.

use std::collections::BTreeMap;
use std::time::Duration;

use super::time::Timestamp;
use crate::prober::Measurement;
use crate::tracker::TrackerHost;

/// How many hosts are remembered; the one heard of longest ago makes room.
const MOST_HOSTS: usize = 4096;

/// Latency and the last failure of each tracker host.
///
/// Success rate, back-off and pacing per host will live here too.
#[derive(Debug, Clone, Default)]
pub struct HealthBook {
    hosts: BTreeMap<TrackerHost, HostHealth>,
}

/// What is known of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostHealth {
    /// How long it took, where it ever answered.
    pub measurement: Option<Measurement>,
    /// When it last answered.
    pub answered_at: Option<Timestamp>,
    /// When it last failed to.
    pub failed_at: Option<Timestamp>,
}

impl HealthBook {
    /// What is known of a host.
    pub fn host(&self, host: &TrackerHost) -> Option<&HostHealth> {
        self.hosts.get(host)
    }

    /// How many hosts are known.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The measurement of a host, where it is not older than `lifetime` and the host hasn't failed since.
    pub fn fresh(&self, host: &TrackerHost, lifetime: Duration, now: Timestamp) -> Option<Measurement> {
        let health = self.hosts.get(host)?;
        let answered_at = health.answered_at?;
        let failed_since = health.failed_at.is_some_and(|failed_at| failed_at > answered_at);
        if failed_since || now.since(answered_at) > lifetime { None } else { health.measurement }
    }

    /// Notes a probe's measurement.
    pub fn measured(&mut self, host: TrackerHost, measurement: Measurement, now: Timestamp) {
        let health = self.entry(host);
        health.measurement = Some(measurement);
        health.answered_at = Some(now);
    }

    /// Notes how long an announce took, as one sample beside the earlier ones: a gain of 1/8, as in RFC 6298.
    /// An opening that reused a connection says nothing about connecting, so only the reply is taken where
    /// there is a measurement already.
    pub fn answered(&mut self, host: TrackerHost, sample: Measurement, now: Timestamp) -> Measurement {
        let health = self.entry(host);
        let measurement = health.measurement.map_or(sample, |known| Measurement {
            first_byte: known.first_byte / 8 * 7 + sample.first_byte / 8,
            ..known
        });
        health.measurement = Some(measurement);
        health.answered_at = Some(now);
        measurement
    }

    /// Notes that a host couldn't be reached or didn't answer.
    pub fn failed(&mut self, host: TrackerHost, now: Timestamp) {
        self.entry(host).failed_at = Some(now);
    }

    fn entry(&mut self, host: TrackerHost) -> &mut HostHealth {
        if self.hosts.len() >= MOST_HOSTS && !self.hosts.contains_key(&host) {
            let oldest = self.hosts.iter().min_by_key(|(_, health)| health.answered_at.max(health.failed_at));
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                self.hosts.remove(&oldest);
            }
        }
        self.hosts.entry(host).or_insert(HostHealth { measurement: None, answered_at: None, failed_at: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::TrackerUrl;

    fn host(name: &str) -> TrackerHost {
        format!("http://{name}.test/a").parse::<TrackerUrl>().unwrap().tracker_host()
    }

    fn sample(connect: u64, first_byte: u64) -> Measurement {
        Measurement { connect: Duration::from_millis(connect), first_byte: Duration::from_millis(first_byte) }
    }

    #[test]
    fn a_measurement_is_fresh_until_it_is_old_or_the_host_fails() {
        let (mut book, lifetime) = (HealthBook::default(), Duration::from_secs(10));
        let at = |secs| Timestamp::from_start(Duration::from_secs(secs));
        book.measured(host("a"), sample(5, 7), at(1));
        assert_eq!(book.fresh(&host("a"), lifetime, at(11)), Some(sample(5, 7)));
        assert_eq!(book.fresh(&host("a"), lifetime, at(12)), None);
        book.failed(host("a"), at(2));
        assert_eq!(book.fresh(&host("a"), lifetime, at(3)), None);
        book.answered(host("a"), sample(0, 15), at(4));
        assert_eq!(book.fresh(&host("a"), lifetime, at(5)), Some(sample(5, 8)));
    }

    #[test]
    fn the_book_is_bounded() {
        let mut book = HealthBook::default();
        for n in 0..MOST_HOSTS + 10 {
            book.failed(host(&format!("h{n}")), Timestamp::from_micros(n as u64));
        }
        assert_eq!(book.len(), MOST_HOSTS);
        assert!(book.host(&host("h0")).is_none() && book.host(&host("h20")).is_some());
    }
}
