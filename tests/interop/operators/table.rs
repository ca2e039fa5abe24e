//! The figures as a file for charts, and as a table for people.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::clients::first_line;
use crate::run::{Figures, Run};
use crate::trackers::TRACKERS;

/// The columns of the file. Those behind `seconds` say more of the same run.
const COLUMNS: [&str; 21] = [
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

/// The file: lines that say how it was made, the names of the columns, and the rows.
pub(crate) fn file(about: &[(String, String)], rows: &[(Run, Figures)]) -> String {
    let lines = about.iter().map(|(key, value)| format!("# {key}: {value}"));
    let rows = rows.iter().map(|(run, figures)| cells(run, figures).join("\t"));
    let lines: Vec<String> = lines.chain([COLUMNS.join("\t")]).chain(rows).collect();
    lines.join("\n") + "\n"
}

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

/// The commit, the day and the machine.
pub(crate) fn circumstances() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let git = |arguments: &[&str]| first_line(Command::new("git").args(arguments).current_dir(&root));
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // What commands like this one have written doesn't change what is measured.
    let is_changed = git(&["status", "--porcelain", "-uno", "--", ".", ":!benches/results"]).is_some();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<&str> = kernel.trim().split('.').take(2).collect();
    let machine = format!("{cores} cores, {}, Linux {}", std::env::consts::ARCH, kernel.join("."));
    let date = first_line(Command::new("date").arg("+%F")).unwrap_or_default();
    let pairs =
        [("commit", commit + if is_changed { "-dirty" } else { "" }), ("date", date), ("machine", machine)];
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

fn cells(run: &Run, figures: &Figures) -> [String; COLUMNS.len()] {
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
