//! What a tracker's operator pays for the torrents of one client: packets, TCP handshakes and processor time of opentracker.
//!
//! `cargo run --release -p interop --bin operators -- --results benches/results` measures our library, libtorrent and
//! rqbit in under six minutes, prints a table, and writes `operators.tsv`. Each client has three opentracker processes of
//! its own on loopback, all alive, and torrents that list all three, each in a tier of its own. It starts all its torrents
//! at once, runs for a fixed time, and is asked to end, so that it sends `stopped`. That is done over HTTP and over UDP,
//! with torrents of which the trackers know no other peer, and with such as have many, a seed among them. The three clients
//! run at the same time.
//!
//! Needs root, since packets are counted on the wire, and what `tests/interop/install` and `tests/interop/install-compare
//! --with-rqbit` install.
//!
//! Options: `--results FOLDER`, `--torrents N` (1000), `--peers N` (50), `--time SECONDS` (60), `--only WORD` for the runs
//! whose names (`http, 50 peers, libtorrent`) hold it.

mod clients;
mod ours;
mod packets;
#[path = "../compare/results.rs"]
mod results;
mod run;
mod swarm;
mod table;
mod torrents;
mod trackers;
mod wire;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use clients::Client;
use results::Results;
use run::{Figures, Run};
use wire::Wire;

/// The number of the trackers that no client comes to.
const IDLE: u8 = 250;

/// What the command line says.
struct Options {
    results: Option<PathBuf>,
    torrents: usize,
    peers: u8,
    time: Duration,
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [client, folder, port] if client == clients::CLIENT => match port.parse() {
            Ok(port) => ours::run(Path::new(folder), port),
            Err(_) => Err(format!("{port} is no port")),
        },
        arguments => options(arguments).and_then(|options| measure(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let mut options =
        Options { results: None, torrents: 1000, peers: 50, time: Duration::from_secs(60), only: None };
    let known = "options are --results FOLDER, --torrents N, --peers N, --time SECONDS, --only WORD";
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a value; {known}", pair[0])) };
        let wrong = |_| format!("{name} needs a number; {known}");
        match name.as_str() {
            "--results" => options.results = Some(value.into()),
            "--torrents" => options.torrents = value.parse().map_err(wrong)?,
            "--peers" => options.peers = value.parse().map_err(wrong)?,
            "--time" => options.time = Duration::from_secs(value.parse().map_err(wrong)?),
            "--only" => options.only = Some(value.clone()),
            _ => return Err(format!("unknown option {name}; {known}")),
        }
    }
    Ok(options)
}

fn measure(options: &Options) -> Result<(), String> {
    let clients = Client::all()?;
    let opentracker = clients::in_path("opentracker")
        .ok_or("opentracker is missing; it is installed by: bash tests/interop/install")?;
    let wire =
        Wire::watch().map_err(|error| format!("packets can't be watched, which needs root: {error}"))?;
    let mut about = about(&clients)?;
    for (key, value) in &about {
        println!("{key}: {value}");
    }
    let rounds = [("http", 0), ("http", options.peers), ("udp", 0), ("udp", options.peers)];
    let idle = {
        let (time, opentracker) = (options.time, opentracker.clone());
        thread::spawn(move || run::idle(IDLE, time, &opentracker))
    };
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (round, (protocol, peers)) in (0_u8..).zip(rounds) {
        let runs: Vec<Run> = (1_u8..)
            .zip(&clients)
            .map(|(place, client)| Run {
                number: round * 10 + place,
                client: client.clone(),
                protocol,
                torrents: options.torrents,
                peers,
                time: options.time,
            })
            .filter(|run| options.only.as_ref().is_none_or(|word| run.to_string().contains(word.as_str())))
            .collect();
        let (measured, broken) = side_by_side(runs, &wire, &opentracker);
        rows.extend(measured);
        failed.extend(broken);
    }
    let idle = idle.join().map_err(|_| "the thread that measures idle trackers panicked")??;
    let (cpu, time) = (idle.as_secs_f64(), options.time.as_secs());
    about.push(("idle".to_owned(), format!("{cpu:.3} CPU s of three trackers in {time} s without a client")));
    println!("\n{}\nidle: {}", table::markdown(&rows), about[about.len() - 1].1);
    if let Some(folder) = &options.results {
        let mut results = Results::new(&about, &table::COLUMNS);
        for (run, figures) in &rows {
            results.row(&table::cells(run, figures));
        }
        results.write(folder, "operators.tsv")?;
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Measures several clients at once, and prints what has come of each. Gives the rows, and why others are missing.
fn side_by_side(runs: Vec<Run>, wire: &Wire, opentracker: &Path) -> (Vec<(Run, Figures)>, Vec<String>) {
    let measured: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = runs.iter().map(|run| scope.spawn(|| run.measure(wire, opentracker))).collect();
        let panicked = |_| Err("a thread that measures panicked".to_owned());
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (run, figures) in runs.into_iter().zip(measured) {
        let figures = match figures {
            Ok(figures) => figures,
            Err(why) => {
                println!("{run}: {why}");
                failed.push(format!("{run}: {why}"));
                continue;
            }
        };
        println!("{run}: {:?}, {:?}", figures.tally.announces, figures.tally.others);
        for doubt in run.doubts(&figures) {
            println!("{run}: {doubt}");
        }
        if !figures.last_words.is_empty() {
            println!("{run} last said:\n{}", figures.last_words);
        }
        rows.push((run, figures));
    }
    (rows, failed)
}

/// What was measured, when and on what.
fn about(clients: &[Client]) -> Result<Vec<(String, String)>, String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("cargo run --release -p interop --bin operators -- {}", arguments.join(" "));
    let mut about = results::circumstances(command.trim_end_matches(" -- "))?;
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Version}", "opentracker"]);
    let opentracker = clients::first_line(&mut query).unwrap_or_else(|| "of unknown version".to_owned());
    about.push(("opentracker".to_owned(), opentracker));
    about.extend(clients.iter().map(|client| (client.name.to_owned(), client.version.clone())));
    Ok(about)
}
