//! The table of a terminal: one line for each tracker, the best one first, and what else is to be said below it. Pure.

use std::time::Duration;

use console::{Style, measure_text_width, truncate_str};

use crate::details::{cell, details, summary};
use crate::finding::Row;
use crate::history::History;

/// The narrowest table. Narrower terminals wrap its lines.
const MIN_WIDTH: usize = 40;

/// The widest one: longer bars show no more.
const MAX_WIDTH: usize = 160;

/// The columns of a rank, and of an address family.
const RANK: usize = 3;
const FAMILY: usize = 8;

/// How tables are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Whether colours are used.
    pub(crate) is_coloured: bool,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

impl Table {
    /// The lines of a table. No line is wider than the terminal.
    pub(crate) fn draw(self, rows: &[Row], history: Option<&History>) -> Vec<String> {
        let width = self.width.clamp(MIN_WIDTH, MAX_WIDTH);
        let bar_width = (width / 6).max("latency".len());
        let name_width = width - bar_width - RANK - 2 * FAMILY - 4;
        let slowest = rows.iter().filter_map(|row| row.finding.latency()).max().unwrap_or_default();
        let heading = format!(
            "{:>RANK$} {:name_width$} {:>FAMILY$} {:>FAMILY$} {}",
            "", "tracker", "IPv4", "IPv6", "latency"
        );
        let mut lines = vec![self.dim(&heading)];
        for (row, rank) in rows.iter().zip(1_usize..) {
            let finding = &row.finding;
            let is_alive = finding.is_alive();
            let name = pad(&finding.name, name_width);
            let rank = if is_alive { rank.to_string() } else { "✗".to_owned() };
            let families = [&finding.v4, &finding.v6].map(|reach| format!("{:>FAMILY$}", cell(reach)));
            let bar = finding.latency().map_or_else(String::new, |latency| bar(latency, slowest, bar_width));
            let line = format!("{rank:>RANK$} {name} {} {}", families[0], families[1]);
            lines.push(if is_alive {
                format!("{line} {}", self.style(Style::new().green(), &bar))
            } else {
                self.style(Style::new().red(), &line)
            });
            let past = history.and_then(|history| history.of(&finding.name));
            lines.extend(self.draw_details(row, past, width));
        }
        lines.push(truncate_str(&summary(rows), width, "…").into_owned());
        lines
    }

    /// The details, as many in a line as fit.
    fn draw_details(self, row: &Row, past: Option<&crate::history::Past>, width: usize) -> Vec<String> {
        let indent = " ".repeat(RANK + 1);
        let mut lines: Vec<(usize, String)> = Vec::new();
        for detail in details(row, past, self.now) {
            let text = truncate_str(&detail.text, width - indent.len(), "…");
            let text_width = measure_text_width(&text);
            let style = if detail.is_warning { Style::new().yellow() } else { Style::new().dim() };
            let text = self.style(style, &text);
            match lines.last_mut().filter(|(used, _)| used + 3 + text_width <= width) {
                Some((used, line)) => {
                    *used += 3 + text_width;
                    line.push_str(" · ");
                    line.push_str(&text);
                }
                None => lines.push((indent.len() + text_width, format!("{indent}{text}"))),
            }
        }
        lines.into_iter().map(|(_, line)| line).collect()
    }

    fn dim(self, text: &str) -> String {
        self.style(Style::new().dim(), text)
    }

    fn style(self, style: Style, text: &str) -> String {
        style.force_styling(self.is_coloured).apply_to(text).to_string()
    }
}

/// A name in so many columns.
fn pad(name: &str, width: usize) -> String {
    let name = truncate_str(name, width, "…");
    let missing = width.saturating_sub(measure_text_width(&name));
    format!("{name}{}", " ".repeat(missing))
}

/// A bar whose length is that of a latency, the slowest one taking all columns; in eighths of a column.
fn bar(latency: Duration, slowest: Duration, width: usize) -> String {
    const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let all = u128::try_from(width).unwrap_or(0) * 8;
    let share = latency.as_nanos().saturating_mul(all).div_ceil(slowest.as_nanos().max(1));
    let eighths = usize::try_from(share.clamp(1, all.max(1))).unwrap_or(1);
    let mut bar = "█".repeat(eighths / 8);
    if let Some(rest) = (eighths % 8).checked_sub(1) {
        bar.push(EIGHTHS[rest]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn drawn(width: usize, is_coloured: bool) -> Vec<String> {
        let (rows, history) = example::checked();
        Table { width, is_coloured, now: example::NOW }.draw(&rows, Some(&history))
    }

    #[test]
    fn the_pictures_are_as_kept() {
        for (width, kept) in [(60, include_str!("pictures/60.txt")), (80, include_str!("pictures/80.txt"))] {
            let drawn = drawn(width, false);
            let too_wide: Vec<_> = drawn.iter().filter(|line| measure_text_width(line) > width).collect();
            assert!(too_wide.is_empty(), "{width}: {too_wide:?}");
            let drawn = drawn.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n") + "\n";
            assert_eq!(drawn, kept, "\n{width} columns:\n{drawn}");
        }
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let coloured = drawn(80, true);
        assert!(coloured.iter().any(|line| line.contains('\x1b')));
        let bare: Vec<_> = coloured.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
        assert_eq!(bare, drawn(80, false));
    }

    #[test]
    fn any_width_can_be_drawn() {
        for width in [0, 1, 39, 40, 41, 1000] {
            let widest = drawn(width, false).iter().map(|line| measure_text_width(line)).max();
            assert!(widest <= Some(width.clamp(MIN_WIDTH, MAX_WIDTH)), "{width}: {widest:?}");
        }
    }

    #[test]
    fn a_bar_is_as_long_as_the_latency() {
        let millis = Duration::from_millis;
        for (latency, expected) in [(0, "▏"), (10, "█"), (50, "████▌"), (99, "█████████"), (100, "█████████")]
        {
            assert_eq!(bar(millis(latency), millis(100), 9), expected, "{latency}");
        }
        assert_eq!(bar(millis(0), millis(0), 9), "▏");
    }
}
