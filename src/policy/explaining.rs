//! Why a session does what it does, in one line that a person understands.

use std::fmt::Write;
use std::time::Duration;

use super::config::Order;
use super::hosts::Hosts;
use super::session::Session;
use crate::time::Timestamp;
use crate::tracker::TrackerUrl;

impl Session {
    /// Which tracker, why it, why now, and what comes next.
    pub(crate) fn explain(&self, hosts: &Hosts, now: Timestamp) -> String {
        let mut line = self.whom(hosts, now);
        let trackers: Vec<&TrackerUrl> = self.trackers.supported_trackers().collect();
        let backed_off = trackers.iter().filter(|tracker| hosts.is_backed_off(tracker.host_key())).count();
        // Writing to a string doesn't fail.
        let _ = write!(line, "; {} of {} trackers backed off after failures", backed_off, trackers.len());
        let _ = match (self.round.as_ref(), self.schedule.due()) {
            (Some(round), _) => write!(line, "; announcing now, attempt {}", round.tried()),
            (None, Some(due)) if hosts.is_outage() => {
                write!(
                    line,
                    "; everything fails, so our own network seems to be down; next announce in {}",
                    Span(due.since(now))
                )
            }
            (None, Some(due)) if self.schedule.is_troubled() => {
                write!(line, "; the last round failed; next in {}", Span(due.since(now)))
            }
            (None, Some(due)) => write!(line, "; next announce in {}", Span(due.since(now))),
            (None, None) => write!(line, "; no tracker may be asked again"),
        };
        line
    }

    fn whom(&self, hosts: &Hosts, now: Timestamp) -> String {
        let order = self.failover_order(hosts, now);
        let first = order.first().copied();
        let why = |tracker: &TrackerUrl| match (self.trackers.order(), self.trackers.latency(tracker)) {
            (Order::Bep12, _) if self.trackers.is_private() => {
                "one tracker at a time, this one until it fails".to_owned()
            }
            (Order::Bep12, _) => "the tiers are asked in sequence".to_owned(),
            (Order::Nearest, Some(latency)) => format!("{} ms away", latency.as_millis()),
            (Order::Nearest, None) => self.why_unmeasured(tracker, hosts).to_owned(),
        };
        match (self.trackers.in_use(), first) {
            (Some(in_use), _) => {
                let reason = self.home.as_ref().filter(|home| home.tracker() != in_use);
                let left = reason.map_or(String::new(), |home| format!(", since {} failed", home.tracker()));
                format!("using {in_use}: it answered last, {}{left}", why(in_use))
            }
            (None, Some(first)) => format!("none has answered; {first} is asked first: {}", why(first)),
            (None, None) => "no tracker can be asked".to_owned(),
        }
    }
}

impl Session {
    /// Why a tracker that wasn't measured goes first.
    fn why_unmeasured(&self, tracker: &TrackerUrl, hosts: &Hosts) -> &'static str {
        let mut before = self.trackers.supported_trackers().take_while(|other| *other != tracker).peekable();
        if before.peek().is_none() {
            return "first of the list, not measured";
        }
        let has_failed =
            |other: &TrackerUrl| hosts.is_backed_off(other.host_key()) || self.failures.get(other).is_some();
        if before.all(has_failed) {
            "those before it in the list failed, not measured"
        } else {
            "not measured"
        }
    }
}

/// A duration as people say it.
struct Span(Duration);

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds @ 1..120 => write!(f, "{seconds} s"),
            seconds => write!(f, "{} min", seconds / 60),
        }
    }
}
