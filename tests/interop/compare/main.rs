//! Our announcer beside other clients, with two dead trackers before a living one.
//!
//! `cargo build --release --example announce`, then `cargo run --release -p interop --bin compare` measures and
//! prints a table. Every cell is a fresh client process
//! and fresh trackers on loopback: how long it takes from the client's first packet to any tracker, and from its
//! start, until the living tracker gives it a good answer, and who heard an announce by then and in the second
//! after. Needs root, since the first packet to a tracker that refuses is seen only on the wire, and what
//! `tests/interop/install-compare` installs.
//!
//! Options: `--runs N` (3; three times as many for a client that shuffles the one tier), `--cap SECONDS` (75), `--only WORD` for the cells whose names hold it.

mod cell;
mod clients;
mod table;
mod torrent;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use cell::{Cell, Dead, Layout};
use clients::Client;
use wire::Wire;

/// What the command line says.
struct Options {
    runs: usize,
    cap: Duration,
    only: Vec<String>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let measured = match options() {
        Ok(options) => measure(&options).await,
        Err(wrong) => Err(format!("{wrong}; options are --runs N, --cap SECONDS, --only WORD")),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options { runs: 3, cap: Duration::from_secs(75), only: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} needs a number"));
        match name.as_str() {
            "--runs" => options.runs = usize::try_from(number()?.max(1)).unwrap_or(usize::MAX),
            "--cap" => options.cap = Duration::from_secs(number()?),
            "--only" => options.only.push(value),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}

async fn measure(options: &Options) -> Result<(), String> {
    let clients = Client::all()?;
    let wire =
        Wire::watch().map_err(|error| format!("packets can't be watched, which needs root: {error}"))?;
    for client in &clients {
        println!("{}", client.version());
    }
    let mut rows = Vec::new();
    for dead in Dead::ALL {
        for layout in Layout::ALL {
            let wanted = |name: &str| {
                options.only.is_empty() || options.only.iter().any(|word| name.contains(word.as_str()))
            };
            let mut runs: Vec<(Cell, Vec<cell::Run>)> = clients
                .iter()
                .map(|client| Cell { client, dead, layout })
                .filter(Cell::makes_a_difference)
                .filter(|cell| wanted(&cell.to_string()))
                .map(|cell| (cell, Vec::new()))
                .collect();
            // Clients take turns, so that a busy minute of the machine meets all of them.
            for turn in 0..options.runs * 3 {
                for (cell, runs) in &mut runs {
                    if turn >= options.runs * cell.repeated() {
                        continue;
                    }
                    let run =
                        cell.run(&wire, options.cap).await.map_err(|error| format!("{cell}: {error}"))?;
                    println!("{cell}: {run}");
                    runs.push(run);
                }
            }
            rows.extend(runs);
        }
    }
    table::print(&rows, options.cap);
    Ok(())
}
