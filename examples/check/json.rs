//! One JSON object a tracker, for programs; `--help` lists its fields. Pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::finding::{Announced, Reach, Row};
use crate::history::Past;

/// The fields, for `--help`.
pub(crate) const FIELDS: &str = "\
Fields of --json, one object a line, the best tracker first:
  time         when the check ended, in seconds since 1970
  rank         1 is the best; null if the tracker never answered
  tracker      scheme://host:port, without path and query, which hold passkeys
  aliases      further names of it: the same protocol, address and port
  addresses    where it was tried
  alive        whether it answered
  score_ms     what it is ranked by; null if it never answered
  ipv4, ipv6   null without an address of the family, else an object:
    route        false if this machine has no way to such addresses
    tried        how often it was tried
    latency_ms   what each answered try took
    error        the last thing that went wrong, or null
  problem      why it wasn't tried, or null
  certificate  when its certificate ends, in seconds since 1970, or null
  dns          where the host's DNS record says that trackers run (BEP 34): a list,
               empty if there are none; null without a record, and without the feature hickory
  announce     null without --deep, else an object:
    result       accepted, refused or failed
    interval     seconds between announces, or null
    stopped      whether stopped was acknowledged, or null
    reason       why it was refused or failed, or null
  history      null without --watch and --history, else an object:
    since        when the first check was, in seconds since 1970
    checks       how many checks there were
    uptime       how many percent of them were answered, rounded down";

#[derive(Serialize)]
struct Line<'a> {
    time: i64,
    rank: Option<usize>,
    tracker: &'a str,
    aliases: &'a BTreeSet<String>,
    addresses: &'a BTreeSet<SocketAddr>,
    alive: bool,
    score_ms: Option<f64>,
    ipv4: Option<Family<'a>>,
    ipv6: Option<Family<'a>>,
    problem: Option<&'a str>,
    certificate: Option<i64>,
    dns: Option<&'a [String]>,
    announce: Option<Announce<'a>>,
    history: Option<Answered>,
}

#[derive(Serialize)]
struct Family<'a> {
    route: bool,
    tried: u32,
    latency_ms: Vec<f64>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Announce<'a> {
    result: &'static str,
    interval: Option<u64>,
    stopped: Option<bool>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Answered {
    since: i64,
    checks: u64,
    uptime: u64,
}

/// The line of a tracker with its place in the ranking, from 1.
///
/// # Errors
/// None that is known: everything in it has a form.
pub(crate) fn line(place: usize, row: &Row, past: Option<&Past>, now: i64) -> serde_json::Result<String> {
    let finding = &row.finding;
    serde_json::to_string(&Line {
        time: now,
        rank: finding.is_alive().then_some(place),
        tracker: &finding.name,
        aliases: &row.aliases,
        addresses: &finding.addresses,
        alive: finding.is_alive(),
        score_ms: finding.score().map(millis),
        ipv4: family(&finding.v4),
        ipv6: family(&finding.v6),
        problem: finding.problem.as_deref(),
        certificate: finding.certificate_end,
        dns: finding.record.as_deref(),
        announce: finding.announced.as_ref().map(announce),
        history: past.map(|past| Answered {
            since: past.since(),
            checks: past.checks(),
            uptime: past.uptime(),
        }),
    })
}

fn family(reach: &Reach) -> Option<Family<'_>> {
    match reach {
        Reach::NoAddress => None,
        Reach::NoRoute => Some(Family { route: false, tried: 0, latency_ms: Vec::new(), error: None }),
        Reach::Tried { latencies, tried, error } => Some(Family {
            route: true,
            tried: *tried,
            latency_ms: latencies.iter().copied().map(millis).collect(),
            error: error.as_deref(),
        }),
    }
}

fn announce(announced: &Announced) -> Announce<'_> {
    match announced {
        Announced::Accepted { interval, has_stopped } => Announce {
            result: "accepted",
            interval: interval.map(|interval| interval.as_secs()),
            stopped: Some(*has_stopped),
            reason: None,
        },
        Announced::Refused(reason) => failed("refused", reason),
        Announced::Failed(reason) => failed("failed", reason),
    }
}

fn failed<'a>(result: &'static str, reason: &'a str) -> Announce<'a> {
    Announce { result, interval: None, stopped: None, reason: Some(reason) }
}

/// Milliseconds with three decimals.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::example;

    #[test]
    fn each_tracker_is_an_object_with_the_fields_that_help_lists() {
        let (rows, history) = example::checked();
        let listed: BTreeSet<&str> = FIELDS
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| !line.starts_with(' '))
            .flat_map(|line| line.split("  ").next().unwrap_or_default().split(", "))
            .collect();
        for (row, place) in rows.iter().zip(1..) {
            let past = history.of(&row.finding.name);
            let line = line(place, row, past, example::NOW).unwrap();
            let object: Value = serde_json::from_str(&line).unwrap();
            let fields: BTreeSet<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, listed);
        }
    }

    #[test]
    fn what_was_found_is_in_it() {
        let (rows, history) = example::checked();
        let text = line(1, &rows[0], history.of(&rows[0].finding.name), example::NOW).unwrap();
        let expected = json!({
            "time": example::NOW,
            "rank": 1,
            "tracker": "udp://near.example:1337",
            "aliases": ["udp://the-same-tracker-with-a-long-name.example:1337"],
            "addresses": ["192.0.2.1:1337", "[2001:db8::1]:1337"],
            "alive": true,
            "score_ms": 12.0,
            "ipv4": {"route": true, "tried": 3, "latency_ms": [12.0, 11.0, 14.0], "error": null},
            "ipv6": {"route": true, "tried": 3, "latency_ms": [9.0], "error": null},
            "problem": null,
            "certificate": null,
            "dns": null,
            "announce": {"result": "accepted", "interval": 1800, "stopped": true, "reason": null},
            "history": {"since": example::NOW - 20 * 86_400, "checks": 3, "uptime": 66},
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
