//! What is said about a tracker beside its figures, in words. Pure.

use std::time::Duration;

use time::OffsetDateTime;
use tracker_failover::wire::clean_text;

use crate::finding::{Announced, Finding, Reach, Row};
use crate::history::Past;

/// A certificate that ends within this time is marked. Those that are renewed by a program are renewed a month before.
const SOON: i64 = 14 * DAY;

const DAY: i64 = 24 * 60 * 60;

/// Something to say about a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) text: String,
    /// Whether its operator should act on it.
    pub(crate) is_warning: bool,
}

impl Detail {
    fn note(text: String) -> Self {
        Self { text, is_warning: false }
    }

    fn warning(text: String) -> Self {
        Self { text, is_warning: true }
    }
}

/// All that is to be said about a tracker. `now` is in seconds since 1970.
pub(crate) fn details(row: &Row, past: Option<&Past>, now: i64) -> Vec<Detail> {
    let finding = &row.finding;
    let mut details: Vec<Detail> =
        row.aliases.iter().map(|alias| Detail::note(format!("also {alias}"))).collect();
    details.extend(finding.reason().map(|reason| Detail::warning(fit(reason))));
    let (tried, lost) = finding.losses();
    if finding.is_alive() && lost > 0 {
        details.push(Detail::note(format!("{lost} of {tried} tries lost")));
    }
    details.extend(finding.certificate_end.map(|end| certificate(end, now)));
    details.extend(record(finding));
    details.extend(finding.announced.iter().map(announced));
    details.extend(past.map(|past| {
        let (uptime, checks, since) = (past.uptime(), past.checks(), date(past.since()));
        let checks = if checks == 1 { "1 check".to_owned() } else { format!("{checks} checks") };
        Detail::note(format!("answered {uptime} % of {checks} since {since}"))
    }));
    details
}

/// How a tracker does over an address family, in at most eight characters.
pub(crate) fn cell(reach: &Reach) -> String {
    match (reach, reach.latency()) {
        (_, Some(latency)) => millis(latency),
        (Reach::NoAddress, _) => "–".to_owned(),
        (Reach::NoRoute, _) => "no route".to_owned(),
        (Reach::Tried { .. }, _) => "✗".to_owned(),
    }
}

/// A latency, as it is shown.
pub(crate) fn millis(latency: Duration) -> String {
    match latency.as_micros() {
        micros @ 0..10_000 => format!("{}.{} ms", micros / 1000, micros / 100 % 10),
        micros => format!("{} ms", micros / 1000),
    }
}

/// How many trackers live.
pub(crate) fn summary(rows: &[Row]) -> String {
    let alive = rows.iter().filter(|row| row.finding.is_alive()).count();
    let names: usize = rows.iter().map(|row| row.aliases.len()).sum();
    match names {
        0 => format!("{alive} of {} trackers answer", rows.len()),
        1 => format!("{alive} of {} trackers answer; 1 is named twice", rows.len()),
        _ => format!("{alive} of {} trackers answer; {names} are further names of them", rows.len()),
    }
}

/// The day of a time in seconds since 1970.
pub(crate) fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| "a date beyond all calendars".to_owned(), |time| time.date().to_string())
}

/// A text of the network, fit for a line.
fn fit(text: &str) -> String {
    clean_text(text.as_bytes())
}

fn certificate(end: i64, now: i64) -> Detail {
    let left = end.saturating_sub(now);
    match left {
        ..0 => Detail::warning(format!("certificate ended on {}", date(end))),
        0..SOON => {
            let days = left / DAY;
            let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
            Detail::warning(format!("certificate until {}, {days} left", date(end)))
        }
        _ => Detail::note(format!("certificate until {}", date(end))),
    }
}

fn record(finding: &Finding) -> Option<Detail> {
    let urls = finding.record.as_ref()?;
    if urls.is_empty() {
        return Some(Detail::warning("its DNS names no tracker that could be used".into()));
    }
    Some(Detail::note(format!("its DNS names {}", urls.join(", "))))
}

fn announced(announced: &Announced) -> Detail {
    match announced {
        Announced::Accepted { interval, has_stopped } => {
            let interval = interval.map_or_else(
                || "is a tracker".to_owned(),
                |interval| format!("wants an announce every {}", minutes(interval)),
            );
            match has_stopped {
                true => Detail::note(interval),
                false => Detail::warning(format!("{interval}, didn't acknowledge stopped")),
            }
        }
        Announced::Refused(reason) => {
            Detail::note(format!("is a tracker, refused a random torrent: {}", fit(reason)))
        }
        Announced::Failed(error) => Detail::warning(format!("announce failed: {}", fit(error))),
    }
}

fn minutes(interval: Duration) -> String {
    match interval.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_953_600; // 2026-11-29

    #[test]
    fn a_certificate_that_ends_soon_is_marked() {
        for (end, text, is_warning) in [
            (NOW + 200 * DAY, "certificate until 2027-06-17", false),
            (NOW + SOON, "certificate until 2026-12-13", false),
            (NOW + SOON - 1, "certificate until 2026-12-13, 13 days left", true),
            (NOW + DAY, "certificate until 2026-11-30, 1 day left", true),
            (NOW - DAY, "certificate ended on 2026-11-28", true),
            (i64::MAX, "certificate until a date beyond all calendars", false),
            (i64::MIN, "certificate ended on a date beyond all calendars", true),
        ] {
            assert_eq!(certificate(end, NOW), Detail { text: text.into(), is_warning });
        }
    }

    #[test]
    fn an_announce_shows_the_interval_and_what_went_wrong() {
        let accepted = |seconds, has_stopped| {
            announced(&Announced::Accepted { interval: Some(Duration::from_secs(seconds)), has_stopped })
        };
        assert_eq!(accepted(1800, true), Detail::note("wants an announce every 30 min".into()));
        assert!(accepted(45, false).text.ends_with("every 45 s, didn't acknowledge stopped"));
        let refused = announced(&Announced::Refused("unregistered\x1b[2J".into()));
        assert!(refused.text.ends_with("unregistered\u{fffd}[2J") && !refused.is_warning, "{refused:?}");
    }

    #[test]
    fn latencies_fit_their_cells() {
        for (micros, text) in
            [(0, "0.0 ms"), (1_560, "1.5 ms"), (9_999, "9.9 ms"), (10_000, "10 ms"), (6_000_000, "6000 ms")]
        {
            assert_eq!(millis(Duration::from_micros(micros)), text);
        }
        assert_eq!(cell(&Reach::NoRoute), "no route");
    }
}
