//! The page of a check: one file with its own styles, bars and history, which loads nothing from elsewhere. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use crate::details::{cell, date, details, summary};
use crate::finding::Row;
use crate::history::{History, Past};

/// Light or dark as the reader's system is.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--dim:#57606a;--line:#d8dee4;--good:#1a7f37;--bad:#cf222e;--warn:#9a6700}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--dim:#8d96a0;--line:#30363d;--good:#3fb950;--bad:#f85149;--warn:#d29922}}\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:var(--ink);background:var(--paper)}\
h1{font-size:1.3rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid var(--line)}\
th{color:var(--dim);font-weight:500}.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
.t{overflow-wrap:anywhere}.p{width:35%;min-width:8rem}.d{display:block;color:var(--dim);font-size:.85rem}\
.w{color:var(--warn)}.x{color:var(--bad)}svg{display:block}.b{fill:var(--good)}.o{fill:var(--bad)}";

/// The sizes of the pictures, in their own units.
const BAR_WIDTH: u128 = 1000;
const HISTORY_HEIGHT: u64 = 16;

/// The page. `now` is in seconds since 1970.
pub(crate) fn page(rows: &[Row], history: Option<&History>, now: i64) -> String {
    let slowest = rows.iter().filter_map(|row| row.finding.latency()).max().unwrap_or_default();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\">\n\
         <title>BitTorrent trackers</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>BitTorrent trackers on {}</h1>\n<p>{}</p>\n\
         <table>\n<tr><th class=\"n\">#</th><th>Tracker</th><th class=\"n\">IPv4</th><th class=\"n\">IPv6</th>\
         <th class=\"p\">Latency</th></tr>\n",
        date(now),
        escape(&summary(rows)),
    );
    for (row, rank) in rows.iter().zip(1_usize..) {
        let past = history.and_then(|history| history.of(&row.finding.name));
        // Writing to a string can't fail.
        let _ = writeln!(page, "{}", table_row(rank, row, past, slowest, now));
    }
    page.push_str("</table>\n</body>\n</html>\n");
    page
}

fn table_row(rank: usize, row: &Row, past: Option<&Past>, slowest: Duration, now: i64) -> String {
    let finding = &row.finding;
    let (class, rank) =
        if finding.is_alive() { ("", rank.to_string()) } else { (" class=\"x\"", "✗".to_owned()) };
    let mut text = format!("<tr{class}><td class=\"n\">{rank}</td><td class=\"t\">{}", escape(&finding.name));
    for detail in details(row, past, now) {
        let class = if detail.is_warning { "d w" } else { "d" };
        let _ = write!(text, "<span class=\"{class}\">{}</span>", escape(&detail.text));
    }
    let _ = write!(
        text,
        "</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"p\">",
        escape(&cell(&finding.v4)),
        escape(&cell(&finding.v6)),
    );
    if let Some(latency) = finding.latency() {
        text.push_str(&bar(latency, slowest));
    }
    if let Some(past) = past {
        text.push_str(&past_checks(past));
    }
    text.push_str("</td></tr>");
    text
}

/// A bar whose length is that of a latency.
fn bar(latency: Duration, slowest: Duration) -> String {
    let share = latency.as_nanos().saturating_mul(BAR_WIDTH) / slowest.as_nanos().max(1);
    let width = share.clamp(4, BAR_WIDTH);
    format!(
        "<svg viewBox=\"0 0 {BAR_WIDTH} 40\" width=\"100%\" height=\"14\" preserveAspectRatio=\"none\" \
         role=\"img\" aria-label=\"{} ms\"><rect class=\"b\" width=\"{width}\" height=\"40\"/></svg>",
        latency.as_millis()
    )
}

/// The last checks, the newest on the right: the higher the slower, and red where no answer came.
fn past_checks(past: &Past) -> String {
    let recent = past.recent();
    let slowest = recent.iter().flatten().max().copied().unwrap_or(0).max(1);
    let mut picture = format!(
        "<svg width=\"{}\" height=\"{HISTORY_HEIGHT}\" role=\"img\" aria-label=\"answered {} % of {}\">",
        recent.len() * 4,
        past.uptime(),
        past.checks(),
    );
    for (check, place) in recent.iter().zip(0_usize..) {
        let (class, height) = match check {
            Some(latency) => {
                let height = latency.saturating_mul(HISTORY_HEIGHT) / slowest;
                ("b", height.clamp(2, HISTORY_HEIGHT))
            }
            None => ("o", HISTORY_HEIGHT),
        };
        let _ = write!(
            picture,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"3\" height=\"{height}\"/>",
            place * 4,
            HISTORY_HEIGHT - height,
        );
    }
    picture.push_str("</svg>");
    picture
}

/// A text without anything that means something in HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn drawn() -> String {
        let (rows, history) = example::checked();
        page(&rows, Some(&history), example::NOW)
    }

    #[test]
    fn the_page_loads_nothing_and_runs_nothing() {
        let page = drawn();
        for tag in ["<script", "<link", "<img", "<iframe", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(tag), "{tag}");
        }
        assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn names_are_escaped() {
        let page = drawn();
        assert!(page.contains("http://&lt;dead&amp;gone&gt;.") && !page.contains("<dead"));
        assert_eq!(escape("<\"a\" & 'b'>"), "&lt;&quot;a&quot; &amp; &#39;b&#39;&gt;");
    }

    #[test]
    fn every_tag_is_closed() {
        let page = drawn();
        for tag in ["html", "head", "body", "table", "tr", "th", "td", "span", "svg", "h1", "p", "style"] {
            let opened =
                page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn bars_are_as_long_as_latencies_and_missed_checks_are_red() {
        let millis = Duration::from_millis;
        assert!(bar(millis(30), millis(60)).contains("width=\"500\""));
        assert!(bar(millis(0), millis(0)).contains("width=\"4\""));
        let page = drawn();
        // Of the checks of the fastest tracker, one wasn't answered.
        assert_eq!(page.matches("class=\"o\"").count(), 1);
        assert_eq!(page.matches("class=\"b\"").count(), 3 + 2 + 3);
    }
}
