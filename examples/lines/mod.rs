//! The lines that the examples print for an alert, so that all of them print the same.

use tracker_failover::Alert;

/// The lines of one alert, in order: the tag and the text of each.
pub(crate) fn of(alert: &Alert) -> Vec<(&'static str, String)> {
    let mut lines = vec![(alert.tag(), alert.to_string())];
    if let Alert::Announced(announced) = alert
        && announced.event.is_none()
    {
        lines.push(("INFO", format!("periodic announce sent to {}", announced.tracker)));
    }
    lines
}
