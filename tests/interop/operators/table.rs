//! The figures as rows of a file for charts, and as a table for people.

use std::fmt::Write as _;

use crate::run::{Figures, Run};
use crate::trackers::TRACKERS;

/// The columns of the file. Those behind `seconds` say more of the same run.
pub(crate) const COLUMNS: [&str; 21] = [
    "protocol",
    "client",
    "torrents",
    "trackers",
    "packets_in",
    "packets_out",
    "handshakes",
    "announces",
    "other_requests",
    "cpu_s",
    "seconds",
    "peers",
    "announced",
    "started",
    "stopped",
    "connects",
    "probes",
    "scrapes",
    "resets",
    "announced_s",
    "peak",
];

/// The table, in Markdown.
pub(crate) fn markdown(rows: &[(Run, Figures)]) -> String {
    let mut text =
        "| protocol | peers | client | packets in, out | handshakes | announces: started, stopped, all | \
                    other requests | CPU s | all announced after | most requests in a second |\n\
                    |---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (run, figures) in rows {
        let tally = &figures.tally;
        let others: Vec<String> =
            tally.others.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let others = if others.is_empty() { "0".to_owned() } else { others.join(", ") };
        // Writing into a string can't fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {}, {} | {} | {}, {}, {} | {others} | {:.3} | {:.1} s | {} |",
            run.protocol,
            run.peers,
            run.client.name,
            tally.packets_in,
            tally.packets_out,
            tally.handshakes,
            tally.announces_with("started"),
            tally.announces_with("stopped"),
            tally.all_announces(),
            figures.cpu.as_secs_f64(),
            tally.all_announced.as_secs_f64(),
            tally.peak(),
        );
    }
    text
}

/// The fields of a row of the file.
pub(crate) fn cells(run: &Run, figures: &Figures) -> [String; COLUMNS.len()] {
    let tally = &figures.tally;
    let of = |name: &str| tally.others.get(name).copied().unwrap_or_default();
    let (connects, scrapes) = (of("connect"), of("scrape"));
    [
        run.protocol.to_owned(),
        run.client.name.to_owned(),
        run.torrents.to_string(),
        TRACKERS.to_string(),
        tally.packets_in.to_string(),
        tally.packets_out.to_string(),
        tally.handshakes.to_string(),
        tally.all_announces().to_string(),
        tally.all_others().to_string(),
        format!("{:.3}", figures.cpu.as_secs_f64()),
        format!("{:.1}", figures.time.as_secs_f64()),
        run.peers.to_string(),
        tally.torrents.len().to_string(),
        tally.announces_with("started").to_string(),
        tally.announces_with("stopped").to_string(),
        connects.to_string(),
        (tally.all_others() - connects - scrapes).to_string(),
        scrapes.to_string(),
        tally.resets.to_string(),
        format!("{:.1}", tally.all_announced.as_secs_f64()),
        tally.peak().to_string(),
    ]
}
