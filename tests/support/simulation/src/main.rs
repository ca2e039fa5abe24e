//! Plays simulations:
//!
//! - `cargo run --release -p simulation`: the table of all scenarios, every client beside ours;
//! - `cargo run --release -p simulation -- scenarios 3 7`: of these only;
//! - `cargo run --release -p simulation -- quick 3 7`: as the tests play them, with fewer seeds;
//! - `cargo run --release -p simulation -- lives 100000000`: so many random steps under the auditor's eyes.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

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
        _ => {
            eprintln!("expected nothing, `scenarios NUMBER..`, `quick NUMBER..` or `lives STEPS`");
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

/// Lives one random life after the other, on all cores, until so many steps are done.
fn campaign(steps: u64) -> ExitCode {
    let (done, seeds, announces) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let started = now();
    let work = || {
        let mut violations: Vec<Violation> = Vec::new();
        while done.load(Ordering::Relaxed) < steps {
            match lives::live(seeds.fetch_add(1, Ordering::Relaxed), LIFE) {
                Ok(lived) => {
                    done.fetch_add(lived.steps as u64, Ordering::Relaxed);
                    announces.fetch_add(lived.announces as u64, Ordering::Relaxed);
                }
                Err(violation) => {
                    done.fetch_add(violation.step as u64, Ordering::Relaxed);
                    violations.push(violation);
                }
            }
        }
        violations
    };
    let cores = thread::available_parallelism().map_or(1, Into::into);
    let violations: Vec<Violation> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let (done, lives) = (done.into_inner(), seeds.into_inner());
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = done as f64 / started.elapsed().as_secs_f64();
    println!("{done} steps in {lives} lives, {} announces, {rate:.0} steps/s", announces.into_inner());
    println!("{} violations", violations.len());
    for Violation { seed, step, rule } in violations.iter().take(20) {
        println!("seed {seed}, step {step}: {rule}");
    }
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::disallowed_methods, reason = "how long the campaign itself takes")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
