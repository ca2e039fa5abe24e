//! The lines that the examples print for an alert, so that all of them print the same.

use tracker_failover::{Alert, AnnounceReason, Event};

/// The lines of one alert, in order: the tag and the text of each, with ✓ before a success and ✗ before a failure.
pub(crate) fn of(alert: &Alert) -> Vec<(&'static str, String)> {
    let mark = match alert {
        Alert::Announced(_) | Alert::Stopped { result: Ok(()), .. } => "✓ ",
        Alert::NoResponse { .. }
        | Alert::Failed { .. }
        | Alert::Stopped { result: Err(_), .. }
        | Alert::RoundFailed { .. } => "✗ ",
        _ => "",
    };
    let mut lines = vec![(alert.tag(), format!("{mark}{alert}"))];
    if let Alert::Announced(announced) = alert
        && announced.event.is_none()
    {
        lines.push(("INFO", format!("periodic announce sent to {}", announced.tracker)));
    }
    lines
}

/// Whether an alert is of interest to those only who look for a fault: what is measured, tried and announced while all
/// goes well. A tracker that is selected or answers the first announce is none, nor is a failure or what follows from it.
#[allow(dead_code, reason = "an example that prints every line has no use for it")]
pub(crate) fn is_detail(alert: &Alert) -> bool {
    match alert {
        Alert::Probed { .. }
        | Alert::ProbeFailed { .. }
        | Alert::FailoverOrder { .. }
        | Alert::TrackersFound { .. }
        | Alert::Announcing { .. }
        | Alert::AttemptStarted { .. }
        | Alert::AttemptBeside { .. }
        | Alert::LateResponse { .. } => true,
        Alert::Announced(announced) => {
            let is_first =
                announced.event == Some(Event::Started) && announced.reason == AnnounceReason::InUse;
            !is_first && announced.attempts <= 1 && announced.moved_from.is_none()
        }
        _ => false,
    }
}
