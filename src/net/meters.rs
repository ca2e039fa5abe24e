//! Counts and times for the recorder of the `metrics` facade. The manual lists them; no label holds an address or a torrent.

use std::collections::BTreeMap;

use metrics::{counter, histogram};

use crate::alert::{Alert, AnnounceReason};
use crate::announce::Event;
use crate::error::AnnounceError;
use crate::policy::{AttemptId, Input, Output};
use crate::time::Timestamp;

/// The announces of all torrents that aren't answered yet, each with its event and when it was written.
#[derive(Default)]
pub(super) struct Meters(BTreeMap<AttemptId, (&'static str, Timestamp)>);

impl Meters {
    /// Counts what is done for the engine.
    pub(super) fn done(&mut self, output: &Output, now: Timestamp) {
        match output {
            Output::Announce { attempt, request } => {
                self.0.insert(*attempt, (request.event.map_or("none", Event::name), now));
            }
            // It took too long, or isn't needed any more.
            Output::Close { attempt } => {
                self.ended(*attempt, "given_up");
            }
            Output::Alert { alert, .. } => count(alert),
            _ => {}
        }
    }

    /// Counts what came of an attempt or a probe.
    pub(super) fn finished(&mut self, input: &Input, now: Timestamp) {
        match input {
            Input::Probed(_, Ok(measurement)) => {
                histogram!("tracker_failover_probe_seconds").record(measurement.latency().as_secs_f64());
            }
            Input::Replied(attempt, _) => {
                if let Some((event, at)) = self.ended(*attempt, "answered") {
                    let seconds = now.since(at).as_secs_f64();
                    histogram!("tracker_failover_reply_seconds", "event" => event).record(seconds);
                }
            }
            Input::Failed(attempt, AnnounceError::Rejected(_)) => {
                self.ended(*attempt, "rejected");
            }
            Input::Failed(attempt, _) => {
                self.ended(*attempt, "failed");
            }
            Input::Probed(_, Err(_)) | Input::Opened(_) => {}
        }
    }

    /// Counts an announce that has ended, if the attempt had come to one.
    fn ended(&mut self, attempt: AttemptId, outcome: &'static str) -> Option<(&'static str, Timestamp)> {
        let ended = self.0.remove(&attempt)?;
        counter!("tracker_failover_announces_total", "event" => ended.0, "outcome" => outcome).increment(1);
        Some(ended)
    }
}

/// Counts what an alert reports.
fn count(alert: &Alert) {
    match alert {
        Alert::Failed { error, .. } | Alert::Stopped { result: Err(error), .. } => failed("announce", error),
        Alert::ProbeFailed { error, .. } => failed("probe", error),
        Alert::Switching { .. } => counter!("tracker_failover_switches_total").increment(1),
        Alert::Announced(announced) if announced.reason == AnnounceReason::InUse => {
            histogram!("tracker_failover_wait_seconds").record(announced.took.as_secs_f64());
        }
        Alert::RoundFailed { .. } => counter!("tracker_failover_failed_rounds_total").increment(1),
        _ => {}
    }
}

fn failed(what: &'static str, error: &AnnounceError) {
    counter!("tracker_failover_failures_total", "of" => what, "kind" => error.kind()).increment(1);
}

#[cfg(test)]
mod tests;
