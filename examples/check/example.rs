//! Trackers as a check may find them, for the tests of what is drawn of them.

use std::time::Duration;

use tracker_failover::Scheme;

use crate::finding::{Announced, Finding, Reach, Row, rank};
use crate::history::History;

/// 2026-11-29.
pub(crate) const NOW: i64 = 1_795_953_600;

const DAY: i64 = 24 * 60 * 60;

fn reach(latencies: &[u64], tried: u32, error: Option<&str>) -> Reach {
    let latencies = latencies.iter().map(|&millis| Duration::from_millis(millis)).collect();
    Reach::Tried { latencies, tried, error: error.map(str::to_owned) }
}

fn finding(name: &str, scheme: Scheme, addresses: &[&str], v4: Reach, v6: Reach) -> Finding {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Finding { addresses, v4, v6, ..Finding::new(name.into(), scheme) }
}

/// Six trackers of which three answer, one under two names, and what earlier checks found.
pub(crate) fn checked() -> (Vec<Row>, History) {
    let near = ["192.0.2.1:1337", "[2001:db8::1]:1337"];
    let mut fast = finding(
        "udp://near.example:1337",
        Scheme::Udp,
        &near,
        reach(&[12, 11, 14], 3, None),
        reach(&[9], 3, None),
    );
    fast.announced =
        Some(Announced::Accepted { interval: Some(Duration::from_secs(1800)), has_stopped: true });
    let alias = finding(
        "udp://the-same-tracker-with-a-long-name.example:1337",
        Scheme::Udp,
        &near[..1],
        reach(&[13, 13], 3, None),
        Reach::NoAddress,
    );
    let mut https = finding(
        "https://tls.example",
        Scheme::Https,
        &["192.0.2.2:443"],
        reach(&[120, 131, 127], 3, None),
        Reach::NoRoute,
    );
    https.certificate_end = Some(NOW + 5 * DAY);
    https.announced = Some(Announced::Refused("torrent not registered".into()));
    let mut moved = finding(
        "http://moved.example",
        Scheme::Udp,
        &["192.0.2.3:6969"],
        reach(&[61, 60], 2, None),
        Reach::NoAddress,
    );
    moved.record = Some(vec!["udp://moved.example:6969".into()]);
    let error = Some("could not connect: Connection refused (os error 111)");
    let dead = finding(
        "http://<dead&gone>.a-name-that-is-far-too-long-for-any-table.example:8080",
        Scheme::Http,
        &["192.0.2.4:8080"],
        reach(&[], 3, error),
        reach(&[], 3, error),
    );
    let mut foreign = Finding::new("wss://browser.example".into(), Scheme::Other);
    foreign.problem = Some("no transport supports its scheme".into());

    let mut history = History::default();
    for (answered, at) in [(true, NOW - 20 * DAY), (false, NOW - 10 * DAY), (true, NOW)] {
        history.add("udp://near.example:1337", answered.then_some(12), at);
        history.add("https://tls.example", Some(127), at);
    }
    (rank(vec![foreign, dead, https, alias, moved, fast]), history)
}
