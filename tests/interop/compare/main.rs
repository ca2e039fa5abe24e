//! Our announcer beside other clients: at a start with two trackers that are no use before a third, and when the
//! tracker in use dies.
//!
//! `cargo build --release --example announce`, then `cargo run --release -p interop --bin compare` measures and
//! prints a table. Every run is a fresh client process and fresh trackers at loopback addresses of their own: how long
//! it takes from the client's first packet to any tracker, and from its start, until one that is of use gives it a good
//! answer, and who heard an announce by then and in the second after. A run starts alone, and when it has taken five
//! seconds, the next ones start beside it. Needs root, since the first packet to a tracker that refuses is seen only
//! on the wire, and what `tests/interop/install-compare --with-rqbit` installs.
//!
//! Options: `--runs N` (3; three times as many where luck decides), `--cap SECONDS` (250), `--only WORD` for the cells whose
//! names hold it, `--results FOLDER` to write `clients.tsv` there.

mod cell;
mod clients;
mod results;
mod scenario;
mod table;
mod torrent;
mod wire;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use cell::{Cell, Run};
use clients::Client;
use results::Results;
use scenario::Scenario;
use wire::Wire;

const USAGE: &str = "options are --runs N, --cap SECONDS, --only WORD, --results FOLDER";

/// How many runs may fail and be made again.
const FAILURES: usize = 3;

/// What the command line says.
struct Options {
    runs: usize,
    cap: Duration,
    only: Vec<String>,
    results: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let measured = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => measure(&options).await,
        Err(wrong) => Err(format!("{wrong}; {USAGE}")),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { runs: 3, cap: Duration::from_secs(250), only: Vec::new(), results: None };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{name} needs a number"));
            match name.as_str() {
                "--runs" => options.runs = usize::try_from(number()?.max(1)).unwrap_or(usize::MAX),
                "--cap" => options.cap = Duration::from_secs(number()?),
                "--only" => options.only.push(value),
                "--results" => options.results = Some(value.into()),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        Ok(options)
    }

    fn wants(&self, cell: &Cell) -> bool {
        let name = cell.to_string();
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }
}

async fn measure(options: &Options) -> Result<(), String> {
    let clients: Vec<Arc<Client>> = Client::all()?.into_iter().map(Arc::new).collect();
    let wire =
        Wire::open().map_err(|error| format!("packets can't be watched, which needs root: {error}"))?;
    for client in &clients {
        println!("{}", client.version());
    }
    let mut cells = cells(&clients);
    cells.retain(|cell| options.wants(cell));
    if cells.is_empty() {
        return Err(format!("no name of a cell holds any of {:?}", options.only));
    }
    let rows = run_all(&cells, &wire, options).await?;
    table::print(&rows, options.cap);
    if let Some(folder) = &options.results {
        let command = "cargo run --release -p interop --bin compare --".to_owned();
        let command = std::env::args().skip(1).fold(command, |command, argument| command + " " + &argument);
        let versions: Vec<&str> = clients.iter().map(|client| client.version()).collect();
        let mut about = results::circumstances(&command)?;
        about.push(("cap".to_owned(), format!("{} s", options.cap.as_secs())));
        about.push(("clients".to_owned(), versions.join("; ")));
        let mut results = Results::new(&about, &table::COLUMNS);
        for (cell, runs) in &rows {
            results.row(&table::row(cell, runs));
        }
        results.write(folder, "clients.tsv")?;
    }
    Ok(())
}

fn cells(clients: &[Arc<Client>]) -> Vec<Cell> {
    let places = Scenario::ALL
        .into_iter()
        .flat_map(|scenario| scenario.layouts().iter().map(move |layout| (scenario, *layout)));
    places
        .flat_map(|(scenario, layout)| {
            clients.iter().map(move |client| Cell { client: Arc::clone(client), scenario, layout })
        })
        .filter(Cell::makes_a_difference)
        .collect()
}

/// All runs, one starting after the other. Clients take turns within the same trackers, so that a busy minute of the
/// machine meets all of them.
async fn run_all(cells: &[Cell], wire: &Wire, options: &Options) -> Result<Vec<(Cell, Vec<Run>)>, String> {
    let turns = Arc::new(Mutex::new(()));
    let mut running = JoinSet::new();
    let mut rows: Vec<(Cell, Vec<Run>)> = cells.iter().map(|cell| (cell.clone(), Vec::new())).collect();
    let mut due = VecDeque::from(plan(cells, options.runs));
    let (mut numbers, mut failures) = (0.., 0);
    loop {
        // What has ended is looked at first, so that a failure ends everything soon.
        let ended = match running.try_join_next() {
            Some(ended) => Some(ended),
            None => match due.pop_front().zip(numbers.next()) {
                Some((index, number)) => {
                    let turn = Arc::clone(&turns).lock_owned().await;
                    let (cell, wire, cap) = (cells[index].clone(), wire.clone(), options.cap);
                    running.spawn(async move { (index, cell.run(&wire, cap, number, turn).await) });
                    continue;
                }
                None => running.join_next().await,
            },
        };
        let Some(ended) = ended else { return Ok(rows) };
        let (index, run) = ended.map_err(|error| error.to_string())?;
        let (cell, runs) = &mut rows[index];
        match run {
            Ok(run) => {
                println!("{cell}: {run}");
                runs.push(run);
            }
            // Such as a client whose port another process took meanwhile: that is no result, and no reason to lose all.
            Err(error) if failures < FAILURES => {
                println!("{cell}: {error}; once more");
                failures += 1;
                due.push_back(index);
            }
            Err(error) => return Err(format!("{cell}: {error}")),
        }
    }
}

/// The order of runs, as indices of cells. The last trackers come first: with them some clients wait in vain, which is
/// best begun early.
fn plan(cells: &[Cell], runs: usize) -> Vec<usize> {
    let place = |index: &usize| (cells[*index].scenario, cells[*index].layout);
    let indices: Vec<usize> = (0..cells.len()).collect();
    let mut plan = Vec::new();
    for place in indices.chunk_by(|one, next| place(one) == place(next)).rev() {
        let times = |index: &usize| runs * cells[*index].repeated();
        for turn in 0..place.iter().map(times).max().unwrap_or_default() {
            plan.extend(place.iter().filter(|index| turn < times(index)));
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let read = options("--runs 5 --cap 9 --only mute --only html --results some/folder").unwrap();
        assert_eq!((read.runs, read.cap), (5, Duration::from_secs(9)));
        assert_eq!(read.only, ["mute", "html"]);
        assert_eq!(read.results, Some("some/folder".into()));
        for wrong in ["--runs", "--runs many", "--fast yes"] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn clients_take_turns_and_luck_is_measured_more_often() {
        let clients = Client::for_plans().map(Arc::new);
        let cells: Vec<Cell> =
            cells(&clients).into_iter().filter(|cell| cell.scenario == Scenario::Refuse).collect();
        let names: Vec<String> = cells.iter().map(Cell::to_string).collect();
        assert_eq!(
            names,
            [
                "refuse, three tiers, Transmission",
                "refuse, three tiers, aria2",
                "refuse, one tier, Transmission",
                "refuse, one tier, aria2"
            ]
        );
        assert_eq!(plan(&cells, 2), [2, 3, 2, 3, 3, 3, 3, 3, 0, 1, 0, 1]);
    }
}
