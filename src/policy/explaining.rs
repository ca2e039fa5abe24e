//! Why a session does what it does, in one line that a person understands.

use std::fmt::Write;
use std::time::Duration;

use super::health::{HealthBook, HostHealth};
use super::session::Session;
use super::time::Timestamp;
use super::tracker_set::Order;
use crate::tracker::TrackerUrl;

impl Session {
    /// Which tracker, why it, why now, and what comes next.
    pub(crate) fn explain(&self, health: &HealthBook, now: Timestamp) -> String {
        let mut line = self.whom(health, now);
        let trackers: Vec<&TrackerUrl> = self.trackers.supported_trackers().collect();
        let left_alone = trackers
            .iter()
            .filter(|tracker| health.host(&tracker.tracker_host()).is_some_and(HostHealth::is_left_alone));
        let left_alone = left_alone.count();
        // Writing to a string doesn't fail.
        let _ = write!(line, "; {} of {} trackers left alone after failures", left_alone, trackers.len());
        let _ = match (self.round.as_ref(), self.schedule.due()) {
            (Some(round), _) => write!(line, "; announcing now, attempt {}", round.tried()),
            (None, Some(due)) if health.is_outage() => {
                write!(
                    line,
                    "; everything fails, so our own network is to blame; next look in {}",
                    Span(due.since(now))
                )
            }
            (None, Some(due)) if self.schedule.is_troubled() => {
                write!(line, "; the last round failed; next in {}", Span(due.since(now)))
            }
            (None, Some(due)) => write!(line, "; next announce in {}", Span(due.since(now))),
            (None, None) => write!(line, "; nobody may be asked again"),
        };
        line
    }

    fn whom(&self, health: &HealthBook, now: Timestamp) -> String {
        let order = self.asking_order(health, now);
        let first = order.first().copied();
        let why = |tracker: &TrackerUrl| match (self.trackers.order(), self.trackers.latency(tracker)) {
            (Order::Bep12, _) if self.trackers.is_private() => {
                "one tracker at a time, this one until it fails".to_owned()
            }
            (Order::Bep12, _) => "the tiers are asked in sequence".to_owned(),
            (Order::Nearest, Some(latency)) => format!("{} ms away", latency.as_millis()),
            (Order::Nearest, None) => "first of the list, none was measured".to_owned(),
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
