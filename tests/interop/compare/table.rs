//! The results: a table in Markdown, and rows for a file.

use std::time::Duration;

use crate::cell::{Cell, Run};

const HEAD: &str = "| trackers | in the torrent | client | runs | s from contact | s from start \
                    | announces to the dead | to the living | other requests |";

/// The names of the columns of [`row`].
pub(crate) const COLUMNS: [&str; 10] = [
    "scenario",
    "tiers",
    "client",
    "runs",
    "seconds",
    "least",
    "most",
    "announces_dead",
    "announces_living",
    "other_requests",
];

/// Times of which some may be none, which counts as longer than any.
struct Times(Vec<Option<Duration>>);

/// Prints a row for each cell.
pub(crate) fn print(rows: &[(Cell, Vec<Run>)], cap: Duration) {
    println!("\n{HEAD}\n{}", "|---".repeat(HEAD.matches(" | ").count() + 1) + "|");
    for (cell, runs) in rows {
        let of = |count: fn(&Run) -> usize| median(runs.iter().map(count).collect());
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            cell.scenario,
            cell.layout,
            cell.client.name(),
            runs.len(),
            Times::of(runs, |run| run.from_contact).shown(cap),
            Times::of(runs, |run| run.from_start).shown(cap),
            of(|run| run.to_dead),
            of(|run| run.to_living),
            of(|run| run.others)
        );
    }
}

/// A cell as fields of a file. An empty one means that there was no answer.
pub(crate) fn row(cell: &Cell, runs: &[Run]) -> [String; 10] {
    let of = |count: fn(&Run) -> usize| median(runs.iter().map(count).collect()).to_string();
    let seconds =
        |time: Option<Duration>| time.map_or_else(String::new, |time| format!("{:.4}", time.as_secs_f64()));
    let times = Times::of(runs, |run| run.from_contact);
    [
        cell.scenario.name().to_owned(),
        cell.layout.name().to_owned(),
        cell.client.name().to_owned(),
        runs.len().to_string(),
        seconds(times.median()),
        seconds(times.least()),
        seconds(times.most()),
        of(|run| run.to_dead),
        of(|run| run.to_living),
        of(|run| run.others),
    ]
}

impl Times {
    fn of(runs: &[Run], time: fn(&Run) -> Option<Duration>) -> Self {
        Self::sorted(runs.iter().map(time).collect())
    }

    fn sorted(mut times: Vec<Option<Duration>>) -> Self {
        times.sort_unstable_by_key(|time| time.unwrap_or(Duration::MAX));
        Self(times)
    }

    fn median(&self) -> Option<Duration> {
        self.0.get(self.0.len() / 2).copied().flatten()
    }

    fn least(&self) -> Option<Duration> {
        self.0.first().copied().flatten()
    }

    fn most(&self) -> Option<Duration> {
        self.0.last().copied().flatten()
    }

    /// The median, and the extremes where they are far from it.
    fn shown(&self, cap: Duration) -> String {
        let shown = |time: Option<Duration>| match time {
            None => format!("none in {}", cap.as_secs()),
            Some(time) if time < Duration::from_secs(1) => format!("{:.3}", time.as_secs_f64()),
            Some(time) if time < Duration::from_secs(10) => format!("{:.2}", time.as_secs_f64()),
            Some(time) => format!("{:.0}", time.as_secs_f64()),
        };
        let middle = self.median().unwrap_or(Duration::MAX);
        let spread =
            self.most().unwrap_or(Duration::MAX).saturating_sub(self.least().unwrap_or(Duration::MAX));
        if spread > Duration::from_millis(200) && spread > middle / 10 {
            format!("{} ({} … {})", shown(self.median()), shown(self.least()), shown(self.most()))
        } else {
            shown(self.median())
        }
    }
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(75);

    fn times(seconds: &[f64]) -> Times {
        let time = |seconds: &f64| (*seconds > 0.0).then(|| Duration::from_secs_f64(*seconds));
        Times::sorted(seconds.iter().map(time).collect())
    }

    #[test]
    fn no_answer_is_longer_than_any() {
        let some = times(&[0.0, 30.0, 1.5]);
        assert_eq!(some.least(), Some(Duration::from_millis(1500)));
        assert_eq!(some.median(), Some(Duration::from_secs(30)));
        assert_eq!(some.most(), None);
        let most = times(&[0.0, 30.0, 0.0]);
        assert_eq!((most.least(), most.median()), (Some(Duration::from_secs(30)), None));
    }

    #[test]
    fn extremes_are_shown_where_they_are_far_from_the_median() {
        for (seconds, expected) in [
            (&[0.005, 0.006, 0.0071][..], "0.006"),
            (&[2.0, 2.011, 2.1], "2.01"),
            (&[60.0, 60.4, 61.0], "60"),
            (&[1.0, 0.005, 2.01], "1.00 (0.005 … 2.01)"),
            (&[0.0, 0.0, 0.0], "none in 75"),
            (&[0.0, 0.005, 0.0], "none in 75 (0.005 … none in 75)"),
            (&[0.0, 0.005, 0.005], "0.005 (0.005 … none in 75)"),
        ] {
            assert_eq!(times(seconds).shown(CAP), expected, "{seconds:?}");
        }
    }

    #[test]
    fn a_median_of_counts_is_the_one_in_the_middle() {
        assert_eq!(median(vec![9, 0, 2]), 2);
        assert_eq!(median(Vec::new()), 0);
    }
}
