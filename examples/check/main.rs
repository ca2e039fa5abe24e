//! Checks trackers of lists, torrents, magnet links and addresses, and ranks those that answer.
//!
//! ```text
//! cargo run --example check -- LIST|TORRENT|MAGNET|URL… [--deep] [--json] [--html FILE]
//!     [--watch[=SECONDS]] [--history FILE] [--ca FILE]
//! cargo run --example check --features hickory -- …          also with the records of trackers in DNS (BEP 34)
//! ```
//!
//! Each tracker is tried over IPv4 and IPv6 apart, three times each, by the library's probers, which register no peer.
//! `--deep` announces a random torrent and takes it back at once. The formula of the ranking is in [`ranking`]; `--help` has it
//! too, with the fields of `--json` and the exit codes.
//!
//! What is decided and drawn is pure: [`input`] reads trackers, [`finding`] joins names of one tracker and ranks,
//! [`table`], [`json`] and [`html`] draw, and [`history`] keeps what earlier checks found. [`probing`], [`announcing`],
//! [`certificates`] and [`history_file`] act.

mod announcing;
mod args;
mod certificates;
mod details;
#[cfg(test)]
mod example;
mod finding;
mod history;
mod history_file;
mod html;
mod input;
mod json;
mod probing;
mod ranking;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use tracker_failover::TrackerUrl;
use tracker_failover::net::resolver::{Resolver, SystemResolver};

use crate::args::Args;
use crate::finding::Row;
use crate::history::History;
use crate::input::{Input, Kind};
use crate::probing::Checker;
use crate::table::Table;

/// The largest list or torrent that is read, in bytes.
const MAX_FILE_LEN: u64 = 16 << 20;

/// The width of a table that goes to no terminal.
const COLUMNS: u16 = 80;

const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(USAGE);
            // Where nothing can be printed, the exit code still says it.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("check: {error}");
            ExitCode::from(USAGE)
        }
    }
}

/// Gives whether a tracker answered in the last check.
async fn run(args: &Args) -> Result<bool, String> {
    let (trackers, notes) = read(&args.sources)?;
    for note in notes {
        eprintln!("check: {note}");
    }
    if trackers.is_empty() {
        return Err("no tracker to check".into());
    }
    let checker = checker(args)?;
    let mut history = match &args.history {
        Some(path) => Some(history_file::read(path)?),
        None => args.watch.map(|_| History::default()),
    };
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut is_any_alive = false;
    loop {
        let rows = tokio::select! {
            findings = checker.check(&trackers) => finding::rank(findings),
            _ = &mut interrupted => return Ok(is_any_alive),
        };
        is_any_alive = rows.iter().any(|row| row.finding.is_alive());
        let now = now();
        if let Some(history) = &mut history {
            remember(history, &rows, now);
        }
        let shown = show(args, &rows, history.as_ref(), now);
        let Some(seconds) = args.watch else { return shown.map(|_| is_any_alive) };
        match shown {
            Ok(true) => {}
            Ok(false) => return Ok(is_any_alive),
            // A full disk may have room again at the next check.
            Err(error) => eprintln!("check: {error}"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            _ = &mut interrupted => return Ok(is_any_alive),
        }
    }
}

/// Reads the trackers that the arguments name, and the notes on what couldn't be used.
fn read(sources: &[String]) -> Result<(Vec<TrackerUrl>, Vec<String>), String> {
    let mut input = Input::default();
    for (source, number) in sources.iter().zip(1_usize..) {
        let of = format!("argument {number}");
        match Kind::of(source) {
            Kind::Url => input.add_url(&of, source),
            Kind::Magnet => input.add_magnet(&of, source),
            Kind::Stdin => {
                input.add_content("standard input", &limited(io::stdin().lock(), "standard input")?);
            }
            Kind::File => {
                let file = std::fs::File::open(source).map_err(|error| format!("{source}: {error}"))?;
                input.add_content(source, &limited(file, source)?);
            }
        }
    }
    Ok(input.into_parts())
}

fn limited(reader: impl io::Read, name: &str) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    reader.take(MAX_FILE_LEN + 1).read_to_end(&mut content).map_err(|error| format!("{name}: {error}"))?;
    if content.len() as u64 > MAX_FILE_LEN {
        return Err(format!("{name}: expected at most {MAX_FILE_LEN} bytes"));
    }
    Ok(content)
}

fn checker(args: &Args) -> Result<Checker, String> {
    let pem = match &args.ca {
        Some(path) => Some(std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?),
        None => None,
    };
    #[cfg(feature = "tls")]
    let certificates = match (certificates::Certificates::new(pem.as_deref()), pem) {
        (Ok(certificates), _) => Some(certificates),
        // Trackers over HTTPS then say what is missing.
        (Err(_), None) => None,
        (Err(error), Some(_)) => return Err(format!("--ca: {error}")),
    };
    #[cfg(not(feature = "tls"))]
    if pem.is_some() {
        return Err("--ca: built without the feature tls".into());
    }
    Ok(Checker {
        resolver: resolver(),
        #[cfg(feature = "tls")]
        certificates,
        announces: args.deep,
    })
}

/// With the feature `hickory` a resolver that knows records of trackers; the system's where its name servers aren't known.
fn resolver() -> Arc<dyn Resolver> {
    #[cfg(feature = "hickory")]
    {
        use tracker_failover::net::resolver::HickoryResolver;
        use tracker_failover::net::sockets::Sockets;

        if let Ok(resolver) = HickoryResolver::from_system(Sockets::new()) {
            return Arc::new(resolver);
        }
    }
    Arc::new(SystemResolver::new())
}

/// Adds a check to the history.
fn remember(history: &mut History, rows: &[Row], now: i64) {
    for row in rows {
        let latency = row.finding.latency().map(|latency| u64::try_from(latency.as_millis()));
        let latency = latency.map(|millis| millis.unwrap_or(u64::MAX));
        // Another of its names may stand first in the next check.
        for name in std::iter::once(&row.finding.name).chain(&row.aliases) {
            history.add(name, latency, now);
        }
    }
    history.shorten();
}

/// Writes the files that were asked for, and prints a check. Gives whether what is printed still has a reader.
fn show(args: &Args, rows: &[Row], history: Option<&History>, now: i64) -> Result<bool, String> {
    if let (Some(path), Some(history)) = (&args.history, history) {
        write(path, &history.encode().map_err(|error| error.to_string())?)?;
    }
    if let Some(path) = &args.html {
        write(path, html::page(rows, history, now).as_bytes())?;
    }
    let lines = lines(args, rows, history, now)?;
    print(&lines, io::stdout().lock()).map_err(|error| format!("standard output: {error}"))
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    history_file::write(path, content)
}

fn lines(args: &Args, rows: &[Row], history: Option<&History>, now: i64) -> Result<Vec<String>, String> {
    if !args.json {
        let terminal = console::Term::stdout();
        let (_, width) = terminal.size_checked().unwrap_or((0, COLUMNS));
        let is_coloured = io::stdout().is_terminal() && console::colors_enabled();
        return Ok(Table { width: width.into(), is_coloured, now }.draw(rows, history));
    }
    let line = |(row, place): (&Row, usize)| {
        json::line(place, row, history.and_then(|history| history.of(&row.finding.name)), now)
    };
    rows.iter().zip(1..).map(line).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Gives whether there is still a reader.
fn print(lines: &[String], mut output: impl io::Write) -> io::Result<bool> {
    let mut print = || {
        for line in lines {
            writeln!(output, "{line}")?;
        }
        output.flush()
    };
    match print() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        printed => printed.map(|()| true),
    }
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
