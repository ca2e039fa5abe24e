//! The lines that the examples print for an alert, so that all of them print the same.

use tracker_failover::Alert;

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
