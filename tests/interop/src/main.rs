//! The library against real trackers: opentracker and bittorrent-tracker, started, killed, frozen and brought back
//! on loopback. What they believe afterwards is read back over raw HTTP. And `examples/client` beside other clients
//! that have the same torrents.
//!
//! `cargo run -p interop` runs everything, and `cargo run -p interop -- WORD...` the scenarios whose names hold a
//! word. Not a test of `cargo test`, because it needs what `tests/interop/install` installs. `cargo run -p interop --
//! liveness` is another matter, which needs nothing and takes six minutes.

mod authority;
mod bencode;
mod clients;
mod liveness;
mod observer;
mod program;
mod report;
mod scenarios;
mod session;
mod swarm;
mod tools;
mod tracker;
mod transmission;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use clients::Clients;
use report::Report;
use tools::Tools;

/// The whole run; it takes about half of that.
const LIMIT: Duration = Duration::from_secs(720);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut report = Report::default();
    if let Some((liveness::WORD, names)) = words.split_first().map(|(word, names)| (word.as_str(), names)) {
        liveness::run(names, &mut report).await;
        return if report.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let tools = match Tools::find() {
        Ok(tools) => Arc::new(tools),
        Err(missing) => {
            eprintln!("{missing}");
            return ExitCode::FAILURE;
        }
    };
    let clients = match Clients::find() {
        Ok(clients) => clients,
        Err(missing) => {
            eprintln!("{missing}");
            return ExitCode::FAILURE;
        }
    };
    let versions = tools.versions().unwrap_or_else(|error| error.to_string());
    println!("against {versions}, {}", clients.versions());
    if timeout(LIMIT, scenarios::run(&tools, &words, &mut report)).await.is_err() {
        report.broken(format_args!("the run took longer than {} s", LIMIT.as_secs()));
    }
    if report.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The time, for what is shown and never judged.
#[expect(clippy::disallowed_methods, reason = "a program that measures, outside of the library")]
fn clock() -> Instant {
    Instant::now()
}
