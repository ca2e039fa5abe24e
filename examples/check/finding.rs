//! What was found out about a tracker, and about all of them: values, without a way to find anything out. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tracker_failover::Scheme;

use crate::ranking;

/// What was found out about one announce address. Holds scheme, host and port of it only, never a passkey.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// `scheme://host:port`, without a port where it is the default one.
    pub(crate) name: String,
    pub(crate) scheme: Scheme,
    /// Where it was tried.
    pub(crate) addresses: BTreeSet<SocketAddr>,
    pub(crate) v4: Reach,
    pub(crate) v6: Reach,
    /// Why it wasn't tried at all, if it wasn't.
    pub(crate) problem: Option<String>,
    /// When its certificate ends, in seconds since 1970.
    pub(crate) certificate_end: Option<i64>,
    /// Where its host's record in DNS says that trackers run (BEP 34); an empty list where it says that none does.
    pub(crate) record: Option<Vec<String>>,
    /// What an announce brought, where one was asked for.
    pub(crate) announced: Option<Announced>,
}

/// How a tracker is reached over one address family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It has no address of this family.
    #[default]
    NoAddress,
    /// This machine has no way to such addresses, which says nothing about the tracker.
    NoRoute,
    /// It was tried.
    Tried {
        /// What the answered tries took, in their order.
        latencies: Vec<Duration>,
        tried: u32,
        /// The last thing that went wrong.
        error: Option<String>,
    },
}

/// What the announce of a random torrent brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Announced {
    /// It is a tracker, and wants to be announced to at this interval.
    Accepted {
        interval: Option<Duration>,
        /// Whether `stopped` was answered as well.
        has_stopped: bool,
    },
    /// It is a tracker, and knows its torrents: this one was refused.
    Refused(String),
    /// No tracker's answer came.
    Failed(String),
}

/// A tracker under all its names.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) finding: Finding,
    /// Other names of it: announce addresses of the same protocol that lead to the same address and port.
    pub(crate) aliases: BTreeSet<String>,
}

impl Finding {
    /// What is known of an address before anything was tried.
    pub(crate) fn new(name: String, scheme: Scheme) -> Self {
        Self {
            name,
            scheme,
            addresses: BTreeSet::new(),
            v4: Reach::NoAddress,
            v6: Reach::NoAddress,
            problem: None,
            certificate_end: None,
            record: None,
            announced: None,
        }
    }

    /// Its place in the ranking: see [`ranking`].
    pub(crate) fn score(&self) -> Option<Duration> {
        [&self.v4, &self.v6].into_iter().filter_map(Reach::score).min()
    }

    /// The latency over the family with the better score.
    pub(crate) fn latency(&self) -> Option<Duration> {
        let reach = [&self.v4, &self.v6].into_iter().filter(|reach| reach.score().is_some());
        reach.min_by_key(|reach| reach.score()).and_then(Reach::latency)
    }

    /// Whether it answered.
    pub(crate) fn is_alive(&self) -> bool {
        self.score().is_some()
    }

    /// How many tries were made and how many of them were lost, over both families.
    pub(crate) fn losses(&self) -> (u32, u32) {
        let mut sums = (0_u32, 0_u32);
        for reach in [&self.v4, &self.v6] {
            if let Reach::Tried { latencies, tried, .. } = reach {
                let answered = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
                sums.0 = sums.0.saturating_add(*tried);
                sums.1 = sums.1.saturating_add(tried.saturating_sub(answered));
            }
        }
        sums
    }

    /// Why it is dead, if it is.
    pub(crate) fn reason(&self) -> Option<&str> {
        if self.is_alive() {
            return None;
        }
        self.problem.as_deref().or_else(|| [&self.v4, &self.v6].into_iter().find_map(Reach::reason))
    }

    fn is_joined_with(&self, other: &Self) -> bool {
        let protocol = |finding: &Self| match finding.scheme {
            Scheme::Http | Scheme::Https => Some(false),
            Scheme::Udp => Some(true),
            _ => None,
        };
        let share_address = !self.addresses.is_disjoint(&other.addresses);
        let same = share_address && protocol(self).is_some() && protocol(self) == protocol(other);
        // One web server has many names, and may serve a tracker under some of them only.
        self.name == other.name || same && self.is_alive() == other.is_alive()
    }
}

impl Reach {
    fn score(&self) -> Option<Duration> {
        match self {
            Self::Tried { latencies, tried, .. } => ranking::score(latencies, *tried),
            Self::NoAddress | Self::NoRoute => None,
        }
    }

    /// Why it isn't reached, if something is known about that.
    fn reason(&self) -> Option<&str> {
        match self {
            Self::Tried { error, .. } => error.as_deref(),
            Self::NoRoute => Some("this machine has no route to it"),
            Self::NoAddress => None,
        }
    }

    /// The median of the answered tries.
    pub(crate) fn latency(&self) -> Option<Duration> {
        match self {
            Self::Tried { latencies, .. } => ranking::median(latencies),
            Self::NoAddress | Self::NoRoute => None,
        }
    }
}

/// Ranks trackers, and joins those that are the same one under several names.
pub(crate) fn rank(mut findings: Vec<Finding>) -> Vec<Row> {
    findings.sort_by(|one, other| {
        ranking::compare(one.score(), other.score()).then_with(|| one.name.cmp(&other.name))
    });
    let mut rows: Vec<Row> = Vec::new();
    for finding in findings {
        match rows.iter_mut().find(|row| row.finding.is_joined_with(&finding)) {
            Some(row) if row.finding.name == finding.name => row.finding.addresses.extend(finding.addresses),
            Some(row) => {
                row.finding.addresses.extend(finding.addresses);
                row.aliases.insert(finding.name);
            }
            None => rows.push(Row { finding, aliases: BTreeSet::new() }),
        }
    }
    rows
}

/// The addresses of each family apart: IPv4 and IPv6. One that is mapped into IPv6 is of IPv4.
pub(crate) fn by_family(addresses: &BTreeSet<SocketAddr>) -> (Vec<IpAddr>, Vec<IpAddr>) {
    addresses.iter().map(|address| address.ip().to_canonical()).partition(IpAddr::is_ipv4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(url: &str, addresses: &[&str], latency: Option<u64>) -> Finding {
        let scheme = url.parse::<tracker_failover::TrackerUrl>().unwrap().scheme();
        let mut finding = Finding::new(url.to_owned(), scheme);
        finding.addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let latencies: Vec<_> = latency.into_iter().map(Duration::from_millis).collect();
        finding.v4 = Reach::Tried { latencies, tried: 1, error: Some("timed out".into()) };
        finding
    }

    fn shown(rows: &[Row]) -> Vec<(String, Vec<String>)> {
        let row = |row: &Row| (row.finding.name.clone(), row.aliases.iter().cloned().collect());
        rows.iter().map(row).collect()
    }

    #[test]
    fn names_of_one_address_and_port_are_one_tracker_and_the_fastest_gives_the_name() {
        let rows = rank(vec![
            finding("udp://a.test:1", &["192.0.2.1:1", "[2001:db8::1]:1"], Some(30)),
            finding("udp://b.test:1", &["[2001:db8::1]:1"], Some(10)),
            finding("udp://other-port.test:2", &["192.0.2.1:2"], Some(20)),
            finding("http://other-protocol.test:1", &["192.0.2.1:1"], Some(40)),
            finding("https://other-protocol.test:1", &["192.0.2.1:1"], Some(50)),
        ]);
        let expected = [
            ("udp://b.test:1".to_owned(), vec!["udp://a.test:1".to_owned()]),
            ("udp://other-port.test:2".to_owned(), vec![]),
            ("http://other-protocol.test:1".to_owned(), vec!["https://other-protocol.test:1".to_owned()]),
        ];
        assert_eq!(shown(&rows), expected);
    }

    #[test]
    fn a_name_that_is_dead_at_a_living_address_stays_apart() {
        let rows = rank(vec![
            finding("http://alive.test", &["192.0.2.1:80"], Some(30)),
            finding("http://gone.test", &["192.0.2.1:80"], None),
            finding("http://gone-too.test", &["192.0.2.1:80"], None),
        ]);
        assert_eq!(rows.len(), 2);
        assert_eq!(shown(&rows)[1].1, ["http://gone.test"]);
    }

    #[test]
    fn one_name_with_two_passkeys_is_one_row_without_aliases() {
        let twice = || finding("http://a.test", &[], None);
        assert_eq!(shown(&rank(vec![twice(), twice()])), [("http://a.test".to_owned(), vec![])]);
        // Names without addresses have nothing in common.
        assert_eq!(rank(vec![twice(), finding("http://b.test", &[], None)]).len(), 2);
    }

    #[test]
    fn the_faster_family_gives_the_place_and_the_latency() {
        let mut both = finding("udp://a.test:1", &[], Some(30));
        both.v6 = Reach::Tried { latencies: vec![Duration::from_millis(9)], tried: 2, error: None };
        // 9 ms and one lost of two: 9 + 83 ms.
        assert_eq!(both.latency(), Some(Duration::from_millis(30)));
        assert_eq!(both.losses(), (3, 1));
        both.v6 = Reach::Tried { latencies: vec![Duration::from_millis(9)], tried: 1, error: None };
        assert_eq!(both.latency(), Some(Duration::from_millis(9)));
    }

    #[test]
    fn mapped_addresses_are_of_ipv4() {
        let addresses = ["[::ffff:192.0.2.1]:1", "[::1]:1"].map(|address| address.parse().unwrap()).into();
        let (v4, v6) = by_family(&addresses);
        assert_eq!((v4, v6), (vec![[192, 0, 2, 1].into()], vec!["::1".parse().unwrap()]));
    }
}
