//! The health of a tracker host as it is kept from one run to the next and shared between processes.

use std::time::Duration;

use crate::tracker::TrackerHost;

/// What one run leaves to the next about a tracker host, or one process tells others.
///
/// Moments are those of the calendar, in seconds since 1970, because the engine's own time ends with the process.
/// Of an announce address it holds scheme, host and port only: no passkey, and nothing that shows which torrents there
/// were.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostSnapshot {
    /// The host.
    pub host: TrackerHost,
    /// How long it takes to connect.
    pub connect: Option<RttSnapshot>,
    /// How long it takes to answer.
    pub reply: Option<RttSnapshot>,
    /// When it last answered.
    pub answered_at: Option<u64>,
    /// When an attempt at it last failed.
    pub failed_at: Option<u64>,
    /// How many of its last attempts failed.
    pub consecutive_failures: u32,
    /// How many times in a row it was backed off: the back-off doubles each time.
    pub trips: u32,
    /// Whether it is backed off after failures.
    pub is_backed_off: bool,
}

/// A smoothed round-trip time (RFC 6298) in a snapshot.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttSnapshot {
    /// The smoothed time, to the microsecond.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds::micros"))]
    pub srtt: Duration,
    /// Its variation, to the microsecond.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds::micros"))]
    pub rttvar: Duration,
    /// When the last sample was taken, in seconds since 1970.
    pub at: u64,
    /// How many samples were taken.
    pub samples: u32,
}

impl HostSnapshot {
    /// A host of which nothing is known.
    pub fn new(host: TrackerHost) -> Self {
        Self {
            host,
            connect: None,
            reply: None,
            answered_at: None,
            failed_at: None,
            consecutive_failures: 0,
            trips: 0,
            is_backed_off: false,
        }
    }

    /// When it last answered, failed or was measured; `None` if nothing is known.
    pub fn heard_at(&self) -> Option<u64> {
        let sampled = [self.connect, self.reply].map(|time| time.map(|time| time.at));
        sampled.into_iter().chain([self.answered_at, self.failed_at]).flatten().max()
    }

    /// Whether it is later news of the host than `other`: the greater [`heard_at`](Self::heard_at) wins. Moments are whole
    /// seconds, so in the same second the one that knows of both an answer and a failure then wins, and after that the one
    /// that isn't backed off. Every process that compares two snapshots comes to the same result, in whichever order they
    /// arrive.
    ///
    /// ```
    /// use tracker_failover::{HostSnapshot, TrackerUrl};
    ///
    /// let host = "http://a.test/announce".parse::<TrackerUrl>()?.tracker_host();
    /// let mut answered = HostSnapshot::new(host.clone());
    /// answered.answered_at = Some(1_800_000_000);
    /// let mut failed = HostSnapshot::new(host);
    /// failed.failed_at = Some(1_800_000_001);
    /// assert!(failed.is_newer_than(&answered) && !answered.is_newer_than(&failed));
    /// # Ok::<(), tracker_failover::TrackerUrlError>(())
    /// ```
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    /// Its place among the snapshots of one host: the greatest is the newest.
    pub(crate) fn rank(&self) -> SnapshotRank {
        let both =
            self.answered_at.zip(self.failed_at).map(|(answered_at, failed_at)| answered_at.min(failed_at));
        SnapshotRank {
            heard_at: self.heard_at().unwrap_or_default(),
            both_at: both.unwrap_or_default(),
            is_well: !self.is_backed_off,
        }
    }
}

/// What decides which of two snapshots of one host is newer. The fields are compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct SnapshotRank {
    /// When the host was last heard from, in seconds since 1970.
    pub(crate) heard_at: u64,
    /// When it had last both answered and failed, in seconds since 1970.
    pub(crate) both_at: u64,
    /// Whether it isn't backed off.
    pub(crate) is_well: bool,
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;
    use crate::tracker::TrackerUrl;

    #[test]
    fn what_is_written_is_read_again() {
        let time = RttSnapshot {
            srtt: Duration::from_micros(31_007),
            rttvar: Duration::from_micros(2),
            at: 1_800_000_000,
            samples: 3,
        };
        let url: TrackerUrl = "udp://user:5ec2e7@t.test:6969/5ec2e7".parse().unwrap();
        let mut known = HostSnapshot::new(url.tracker_host());
        (known.connect, known.answered_at, known.trips) = (Some(time), Some(5), 2);
        for host in ["https://a.test/x", "http://[2001:db8::1]:81/x", "http://1.2.3.4/x"] {
            let other: TrackerUrl = host.parse().unwrap();
            for known in [known.clone(), HostSnapshot::new(other.tracker_host())] {
                let text = serde_json::to_string(&known).unwrap();
                assert!(!text.contains("5ec2e7"), "{text}");
                assert_eq!(serde_json::from_str::<HostSnapshot>(&text).unwrap(), known, "{text}");
            }
        }
        let restricted = HostSnapshot::new(url.over(crate::AddressFamily::Ipv6).tracker_host());
        let text = serde_json::to_string(&restricted).unwrap();
        assert_eq!(serde_json::from_str::<HostSnapshot>(&text).unwrap(), restricted, "{text}");
    }

    #[test]
    fn a_host_is_scheme_name_and_port() {
        let rest = r#""consecutive_failures":0,"trips":0,"is_backed_off":false}"#;
        let read = |host: &str| serde_json::from_str::<HostSnapshot>(&format!(r#"{{"host":{host},{rest}"#));
        assert!(read(r#""http://t.test:80""#).is_ok());
        for hostile in [
            "5",
            r#""""#,
            r#""http://t.test""#,
            r#""http://t.test:80/a""#,
            r#""HTTP://t.test:80""#,
            r#""http://u:p@t.test:80""#,
            r#""http://t.test:80 (IPv5)""#,
            r#"" (IPv6)""#,
            r#""wss://t.test:1""#,
            r#""http://t.test:0""#,
        ] {
            assert!(read(hostile).is_err(), "{hostile}");
        }
        let time = r#"{"srtt":18446744073709551616,"rttvar":0,"at":0,"samples":0}"#;
        let text = format!(r#"{{"host":"http://t.test:80","connect":{time},{rest}"#);
        assert!(serde_json::from_str::<HostSnapshot>(&text).is_err());
    }
}
