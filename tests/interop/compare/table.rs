//! The table, in Markdown: medians, with the spread where luck decides.

use std::time::Duration;

use crate::cell::{Cell, Dead, Run};

const HEAD: &str = "| trackers | in the torrent | client | runs | s from first contact | s from start \
                    | announces to the dead | to the living | other requests |";

/// Prints a row for each cell.
pub(crate) fn print(rows: &[(Cell<'_>, Vec<Run>)], cap: Duration) {
    println!("\n{HEAD}\n{}", "|---".repeat(HEAD.matches(" | ").count() + 1) + "|");
    for (cell, runs) in rows {
        let contact = runs.iter().map(|run| run.from_contact).collect();
        let start = runs.iter().map(|run| run.from_start).collect();
        let dead = if cell.dead == Dead::Alive { 0 } else { 2 };
        let to_dead = runs.iter().map(|run| run.announces[..dead].iter().sum()).collect();
        let to_living = runs.iter().map(|run| run.announces[dead..].iter().sum()).collect();
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            cell.dead,
            cell.layout,
            cell.client.name(),
            runs.len(),
            seconds(contact, cap),
            seconds(start, cap),
            median(to_dead),
            median(to_living),
            median(runs.iter().map(|run| run.others).collect())
        );
    }
}

/// The median, and the extremes where they are far from it. No answer counts as longer than any.
fn seconds(times: Vec<Option<Duration>>, cap: Duration) -> String {
    let mut times: Vec<Duration> = times.into_iter().map(|time| time.unwrap_or(Duration::MAX)).collect();
    times.sort_unstable();
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return "not run".to_owned() };
    let shown = |time: &Duration| match *time {
        Duration::MAX => format!("none in {}", cap.as_secs()),
        time if time < Duration::from_secs(1) => format!("{:.3}", time.as_secs_f64()),
        time if time < Duration::from_secs(10) => format!("{:.2}", time.as_secs_f64()),
        time => format!("{:.0}", time.as_secs_f64()),
    };
    let middle = times[times.len() / 2];
    let spread = last.saturating_sub(*first);
    if spread > Duration::from_millis(200) && spread > middle / 10 {
        format!("{} ({} … {})", shown(&middle), shown(first), shown(last))
    } else {
        shown(&middle)
    }
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
