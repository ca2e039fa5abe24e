//! Plays simulations:
//!
//! - `cargo run --release -p simulation`: the table of all scenarios, every client beside ours;
//! - `cargo run --release -p simulation -- scenarios 3 7`: of these only;
//! - `cargo run --release -p simulation -- quick 3 7`: as the tests play them, with fewer seeds;
//! - `cargo run --release -p simulation -- lives 100000000`: so many random steps under the auditor's eyes, of single
//!   torrents and of crowds, until a rule is broken;
//! - `cargo run --release -p simulation -- life 17`: the life of a crowd with this seed again, with its last events
//!   (`-- life 17 5000` with more of them).

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use simulation::crowd::{self, Tally};
use simulation::lives::{self, Violation};
use simulation::scenarios::{ALL, EXPECTED_TO_FAIL, Effort};
use simulation::table::markdown;

/// How long one life lasts at most, in steps.
const LIFE: usize = 3000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Result<Vec<u64>, _> = arguments.iter().skip(1).map(|number| number.parse()).collect();
    match (arguments.first().map(String::as_str), numbers.as_deref()) {
        (None, _) => scenarios(&[], Effort::FULL),
        (Some("scenarios"), Ok(numbers)) => scenarios(numbers, Effort::FULL),
        (Some("quick"), Ok(numbers)) => scenarios(numbers, Effort::TEST),
        (Some("lives"), Ok([steps])) => campaign(*steps),
        (Some("life"), Ok([seed])) => replay(*seed, LINES),
        (Some("life"), Ok([seed, lines])) => replay(*seed, usize::try_from(*lines).unwrap_or(usize::MAX)),
        _ => {
            eprintln!(
                "expected nothing, `scenarios NUMBER..`, `quick NUMBER..`, `lives STEPS` or `life SEED [LINES]`"
            );
            ExitCode::from(2)
        }
    }
}

fn scenarios(numbers: &[u64], effort: Effort) -> ExitCode {
    let mut rows = Vec::new();
    for scenario in ALL.iter().filter(|one| numbers.is_empty() || numbers.contains(&one.number)) {
        rows.extend((scenario.play)(effort));
    }
    println!("{}", markdown(&rows, EXPECTED_TO_FAIL));
    ExitCode::SUCCESS
}

/// How long one life of a crowd lasts at most, in steps.
const CROWD_LIFE: u64 = 60_000;

/// One life in so many is one of a single torrent; it is a twentieth as long.
const OF_ONE: u64 = 2;

/// How many lines of what happened before a violation are shown.
const LINES: usize = 120;

/// What all workers share.
#[derive(Default)]
struct Campaign {
    steps: AtomicU64,
    seeds: AtomicU64,
    announces: AtomicU64,
    tally: Mutex<Tally>,
    violation: Mutex<Option<(&'static str, Violation)>>,
}

impl Campaign {
    /// Lives one life after the other until so many steps are done, or a rule is broken.
    fn work(&self, steps: u64) {
        while self.steps.load(Ordering::Relaxed) < steps && lock(&self.violation).is_none() {
            let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
            let violation =
                if seed.is_multiple_of(OF_ONE) { self.alone(seed) } else { self.in_a_crowd(seed) };
            if violation.is_some() {
                let mut first = lock(&self.violation);
                *first = first.take().or(violation);
            }
        }
    }

    fn alone(&self, seed: u64) -> Option<(&'static str, Violation)> {
        match lives::live(seed, LIFE) {
            Ok(lived) => {
                self.steps.fetch_add(lived.steps as u64, Ordering::Relaxed);
                self.announces.fetch_add(lived.announces as u64, Ordering::Relaxed);
                None
            }
            Err(violation) => Some(("a single torrent", violation)),
        }
    }

    fn in_a_crowd(&self, seed: u64) -> Option<(&'static str, Violation)> {
        match crowd::live(seed, CROWD_LIFE) {
            Ok(lived) => {
                self.steps.fetch_add(lived.steps, Ordering::Relaxed);
                self.announces.fetch_add(lived.tally.announces, Ordering::Relaxed);
                lock(&self.tally).add(&lived.tally);
                None
            }
            Err(violation) => Some(("a crowd", violation)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lives one random life after the other, on all cores, until so many steps are done or a rule is broken.
fn campaign(steps: u64) -> ExitCode {
    let (campaign, started) = (Campaign::default(), now());
    let cores = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| campaign.work(steps));
        }
    });
    let (done, lives) = (campaign.steps.into_inner(), campaign.seeds.into_inner());
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = done as f64 / started.elapsed().as_secs_f64();
    println!(
        "{done} steps in {lives} lives, {} announces, {rate:.0} steps/s",
        campaign.announces.into_inner()
    );
    println!("of crowds: {}", campaign.tally.into_inner().unwrap_or_default());
    match campaign.violation.into_inner().unwrap_or_default() {
        None => {
            println!("0 violations");
            ExitCode::SUCCESS
        }
        Some((of, violation)) => {
            println!("a violation in the life of {of}, seed {}, step {}:", violation.seed, violation.step);
            println!("{}", violation.rule);
            if let Err((_, lines)) = crowd::replay(violation.seed, CROWD_LIFE, LINES)
                && of == "a crowd"
            {
                println!("{}", lines.join("\n"));
            }
            ExitCode::FAILURE
        }
    }
}

/// Lives the life of a crowd again, and shows what happened last.
fn replay(seed: u64, lines: usize) -> ExitCode {
    match crowd::replay(seed, CROWD_LIFE, lines) {
        Ok(lived) => {
            println!("{} steps, no violation; {}", lived.steps, lived.tally);
            ExitCode::SUCCESS
        }
        Err((violation, lines)) => {
            println!("{}\n\nseed {seed}, step {}: {}", lines.join("\n"), violation.step, violation.rule);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long the campaign itself takes")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
