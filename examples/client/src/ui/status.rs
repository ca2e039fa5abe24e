//! The progress of a download as text: two lines of a terminal's width, one plain line, or one JSON object.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::json::Object;
use super::units;
use crate::swarm::Stats;

/// How a download stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status<'a> {
    /// The name of the torrent.
    pub(crate) name: &'a str,
    /// Its counters.
    pub(crate) stats: &'a Stats,
    /// The tracker in use, empty if there is none.
    pub(crate) tracker: &'a str,
}

impl Status<'_> {
    /// The lines below the log of a terminal with this many columns. The first begins with what changes, and what finds no room
    /// is left out from its end; the second has the tracker. Neither reaches the last column, where some terminals wrap.
    pub(crate) fn lines(self, columns: usize) -> [String; 2] {
        let room = columns.saturating_sub(1);
        let mut first = String::new();
        for part in self.figures() {
            let gap = usize::from(!first.is_empty());
            if first.width() + gap + part.width() > room {
                break;
            }
            first += if gap == 1 { " " } else { "" };
            first += &part;
        }
        let left = room.saturating_sub(first.width() + 2);
        if left >= MIN_NAME {
            first += "  ";
            first += &cut(self.name, left.min(MAX_NAME));
        }
        let second =
            if self.tracker.is_empty() { String::new() } else { format!("tracker {}", self.tracker) };
        [first, cut(&second, room)]
    }

    /// One line of several torrents on a terminal with this many columns: the name first, then what changes.
    pub(crate) fn line(self, columns: usize) -> String {
        let room = columns.saturating_sub(1);
        let name = cut(self.name, (room / 3).clamp(MIN_NAME.min(room), MAX_NAME));
        let mut line = name;
        for part in self.figures() {
            if line.width() + 1 + part.width() > room {
                break;
            }
            line += " ";
            line += &part;
        }
        line
    }

    /// One line for where there is no terminal.
    pub(crate) fn plain(self) -> String {
        let figures = self.figures().join(" ");
        if self.tracker.is_empty() { figures } else { format!("{figures} · tracker {}", self.tracker) }
    }

    /// The `progress` event.
    pub(crate) fn json(self) -> Object {
        let stats = self.stats;
        Object::event("progress")
            .number("percent", self.percent())
            .number("left", stats.left)
            .number("total", stats.total)
            .number("down", stats.down_speed)
            .number("up", stats.up_speed)
            .number("peers", stats.connected as u64)
            .number("known_peers", stats.known as u64)
            .maybe("tracker", Some(self.tracker).filter(|tracker| !tracker.is_empty()))
    }

    /// How much is here, 100 only when nothing is missing.
    pub(crate) fn percent(self) -> u64 {
        if self.stats.left == 0 {
            return 100;
        }
        let done = u128::from(self.stats.total.saturating_sub(self.stats.left));
        u64::try_from(done * 100 / u128::from(self.stats.total.max(1))).unwrap_or(100).min(99)
    }

    /// The figures, the most wanted ones first.
    fn figures(self) -> Vec<String> {
        let stats = self.stats;
        let mut parts = vec![format!("{}%", self.percent())];
        if stats.left > 0 {
            parts.push(format!("↓{}/s", units::bytes(stats.down_speed)));
        }
        parts.push(format!("↑{}/s", units::bytes(stats.up_speed)));
        if let Some(seconds) = stats.left.checked_div(stats.down_speed).filter(|_| stats.left > 0) {
            parts.push(format!("eta {}", units::time(Duration::from_secs(seconds))));
        }
        parts.push(format!("peers {}/{}", stats.connected, stats.known));
        let done = units::bytes(stats.total.saturating_sub(stats.left));
        parts.push(format!("{done}/{}", units::bytes(stats.total)));
        parts
    }
}

/// The beginning of a text in so many columns, with `…` at its end if some of it finds no room.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let mut short = String::new();
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if width > room {
            break;
        }
        room -= width;
        short.push(c);
    }
    if columns > 0 {
        short.push('…');
    }
    short
}

/// Columns for the torrent's name: with less it says nothing, and more is not needed to know it again.
const MIN_NAME: usize = 8;
const MAX_NAME: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "進撃の巨人 完全版 第一話「二千年後の君へ」[1080p].mkv";
    const TRACKER: &str =
        "http://a-tracker-with-a-long-name.example:6969 38 ms, registered at 2 of 5 (1 of 5 failing)";

    fn stats(left: u64, down_speed: u64) -> Stats {
        let (connected, known, total) = (12, 40, 2 << 30);
        Stats { connected, known, down_speed, up_speed: 1 << 20, left, total, wants_peers: false }
    }

    /// Where a download begins, is half-way, and seeds.
    fn picture(columns: usize) -> String {
        let mut text = String::new();
        for (left, down_speed, tracker) in [
            (2 << 30, 0, "none yet"),
            (7 << 27, 50 << 20, TRACKER),
            (0, 0, "udp://トラッカー.example:1337 5 ms"),
        ] {
            let stats = stats(left, down_speed);
            for line in (Status { name: NAME, stats: &stats, tracker }).lines(columns) {
                text += line.trim_end();
                text += "\n";
            }
        }
        text
    }

    /// R155
    #[test]
    fn the_pictures_of_the_terminal_are_as_kept() {
        for (columns, kept) in [
            (60, include_str!("pictures/60.txt")),
            (80, include_str!("pictures/80.txt")),
            (120, include_str!("pictures/120.txt")),
        ] {
            assert_eq!(picture(columns), kept, "{columns} columns");
        }
    }

    /// R155
    #[test]
    fn no_line_is_as_wide_as_the_terminal() {
        for columns in 1..200 {
            for line in picture(columns).lines() {
                assert!(line.width() < columns, "{columns} columns: {line}");
            }
        }
    }

    #[test]
    fn a_line_of_several_torrents_begins_with_its_name_and_keeps_to_its_columns() {
        let half = stats(7 << 27, 50 << 20);
        let status = Status { name: NAME, stats: &half, tracker: TRACKER };
        assert_eq!(status.line(60), "進撃の巨人 完全版 … 56% ↓50.0 MiB/s ↑1.0 MiB/s eta 17s");
        for columns in 1..200 {
            assert!(status.line(columns).width() < columns, "{columns} columns: {}", status.line(columns));
        }
    }

    /// R155
    #[test]
    fn speed_time_and_peers_are_shown_in_60_columns() {
        let half = stats(7 << 27, 50 << 20);
        let [first, _] = Status { name: NAME, stats: &half, tracker: TRACKER }.lines(60);
        assert!(first.starts_with("56% ↓50.0 MiB/s ↑1.0 MiB/s eta 17s peers 12/40"), "{first}");
    }

    #[test]
    fn a_cut_text_keeps_to_its_columns() {
        for (columns, expected) in
            [(0, ""), (1, "…"), (2, "…"), (3, "進…"), (4, "進…"), (5, "進撃…"), (6, "進撃の")]
        {
            assert_eq!(cut("進撃の", columns), expected, "{columns}");
        }
    }

    #[test]
    fn a_hundred_percent_means_that_nothing_is_missing() {
        let percent = |left| Status { name: "", stats: &stats(left, 0), tracker: "" }.percent();
        assert_eq!([percent(0), percent(1), percent(1 << 30), percent(2 << 30)], [100, 99, 50, 0]);
    }
}
