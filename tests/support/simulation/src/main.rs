//! Plays simulations:
//!
//! - `cargo run --release -p simulation`: the table of all scenarios, every client beside ours;
//! - `cargo run --release -p simulation -- scenarios 3 7`: of these only;
//! - `cargo run --release -p simulation -- quick 3 7`: as the tests play them, with fewer seeds;
//! - `cargo run --release -p simulation -- lives 100000000`: so many random steps under the auditor's eyes, of single
//!   torrents and of crowds, until a rule is broken;
//! - `cargo run --release -p simulation -- life 17`: the life of a crowd with this seed again, with its last events
//!   (`-- life 17 5000` with more of them);
//! - `cargo run --release -p simulation -- worlds 10000`: so many worlds of 200 torrents on 40 hosts of which 30 are
//!   sick, and `-- world 17` one of them again;
//! - `cargo run --release -p simulation -- swarm 10 3 20 8 6 17`: a swarm of ten clients, three of them seeds, among 20
//!   trackers of which 8 are dead and 6 come and go, with this seed: what every tracker heard, and who met when.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use simulation::crowd::{self, Size, Tally};
use simulation::lives::{self, Violation};
use simulation::reach::{Draw, play};
use simulation::scenarios::{ALL, EXPECTED_TO_FAIL, Effort, SWARMS};
use simulation::table::markdown;
use simulation::time::seconds;

/// How long one life lasts at most, in steps.
const LIFE: usize = 3000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Result<Vec<u64>, _> = arguments.iter().skip(1).map(|number| number.parse()).collect();
    match (arguments.first().map(String::as_str), numbers.as_deref()) {
        (None, _) => scenarios(&[], Effort::FULL),
        (Some("scenarios"), Ok(numbers)) => scenarios(numbers, Effort::FULL),
        (Some("quick"), Ok(numbers)) => scenarios(numbers, Effort::TEST),
        (Some("lives"), Ok([steps])) => Campaign { steps: *steps, ..Campaign::default() }.play(),
        (Some("worlds"), Ok([lives])) => Campaign { worlds: *lives, ..Campaign::default() }.play(),
        (Some("life"), Ok([seed])) => replay(*seed, Size::Drawn, LINES),
        (Some("life"), Ok([seed, lines])) => replay(*seed, Size::Drawn, size(*lines)),
        (Some("world"), Ok([seed])) => replay(*seed, Size::Full, LINES),
        (Some("world"), Ok([seed, lines])) => replay(*seed, Size::Full, size(*lines)),
        (Some("swarm"), Ok([peers, seeds, trackers, dead, flapping, seed])) => {
            let sick = (size(*dead), size(*flapping));
            let draw = Draw::new((size(*peers), size(*seeds)), size(*trackers));
            swarm(&Draw { sick, in_tiers: true, ..draw }, *seed)
        }
        _ => {
            eprintln!(
                "expected nothing, `scenarios NUMBER..`, `quick NUMBER..`, `lives STEPS`, `worlds NUMBER`, \
                 `life SEED [LINES]`, `world SEED [LINES]` or `swarm PEERS SEEDS TRACKERS DEAD FLAPPING SEED`"
            );
            ExitCode::from(2)
        }
    }
}

fn scenarios(numbers: &[u64], effort: Effort) -> ExitCode {
    // Swarms have other clients, and so another table.
    let (mut alone, mut in_swarms) = (Vec::new(), Vec::new());
    for scenario in ALL.iter().filter(|one| numbers.is_empty() || numbers.contains(&one.number)) {
        let table = if SWARMS.contains(&scenario.number) { &mut in_swarms } else { &mut alone };
        table.extend((scenario.play)(effort));
    }
    for rows in [alone, in_swarms].into_iter().filter(|rows| !rows.is_empty()) {
        println!("{}", markdown(&rows, EXPECTED_TO_FAIL));
    }
    ExitCode::SUCCESS
}

/// Plays one swarm, and shows what happened.
fn swarm(draw: &Draw, seed: u64) -> ExitCode {
    let world = draw.world(seed);
    for (number, member) in world.members.iter().enumerate() {
        let role = if member.is_seed { "seed" } else { "leecher" };
        println!("client {number}: {}, {role}, from {:.3} s on", member.kind, seconds(member.starts));
    }
    for (number, tracker) in world.trackers.iter().enumerate() {
        let lives = if world.lives(number, world.until) { "lives" } else { "is down" };
        println!("tracker {number}: {:?}, {:.0?} ms, {lives} at the end", tracker.scheme, tracker.distances);
    }
    print!("{}", play(&world));
    ExitCode::SUCCESS
}

/// How long one life of a crowd lasts at most, in steps.
const CROWD_LIFE: u64 = 60_000;

/// How long one life in a full world does.
const WORLD_LIFE: u64 = 200_000;

/// What the two are called.
const CROWD: &str = "a crowd";
const WORLD: &str = "a full world";

/// One life in so many is one of a single torrent; it is a twentieth as long.
const OF_ONE: u64 = 2;

/// How many lines of what happened before a violation are shown.
const LINES: usize = 120;

/// What is to be played, and what all workers share.
#[derive(Default)]
struct Campaign {
    /// So many steps in lives of all kinds, or so many full worlds.
    steps: u64,
    worlds: u64,
    done: AtomicU64,
    seeds: AtomicU64,
    announces: AtomicU64,
    tally: Mutex<Tally>,
    violation: Mutex<Option<(&'static str, Violation)>>,
}

impl Campaign {
    /// Lives one life after the other until enough are lived, or a rule is broken.
    fn work(&self) {
        while lock(&self.violation).is_none() {
            let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
            let violation = if self.worlds > 0 {
                if seed >= self.worlds {
                    return;
                }
                self.in_a_crowd(seed, Size::Full)
            } else if self.done.load(Ordering::Relaxed) >= self.steps {
                return;
            } else if seed.is_multiple_of(OF_ONE) {
                self.alone(seed)
            } else {
                self.in_a_crowd(seed, Size::Drawn)
            };
            if violation.is_some() {
                let mut first = lock(&self.violation);
                *first = first.take().or(violation);
            }
        }
    }

    fn alone(&self, seed: u64) -> Option<(&'static str, Violation)> {
        match lives::live(seed, LIFE) {
            Ok(lived) => {
                self.done.fetch_add(lived.steps as u64, Ordering::Relaxed);
                self.announces.fetch_add(lived.announces as u64, Ordering::Relaxed);
                None
            }
            Err(violation) => Some(("a single torrent", violation)),
        }
    }

    fn in_a_crowd(&self, seed: u64, size: Size) -> Option<(&'static str, Violation)> {
        let (steps, name) = match size {
            Size::Drawn => (CROWD_LIFE, CROWD),
            Size::Full => (WORLD_LIFE, WORLD),
        };
        match crowd::live(seed, size, steps) {
            Ok(lived) => {
                self.done.fetch_add(lived.steps, Ordering::Relaxed);
                self.announces.fetch_add(lived.tally.announces, Ordering::Relaxed);
                lock(&self.tally).add(&lived.tally);
                None
            }
            Err(violation) => Some((name, violation)),
        }
    }

    /// Plays on all cores, and prints what came of it.
    fn play(self) -> ExitCode {
        let started = now();
        let cores = thread::available_parallelism().map_or(1, Into::into);
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| self.work());
            }
        });
        // Each worker asked for one more at the end.
        let lives = self.seeds.into_inner().saturating_sub(cores as u64);
        let done = self.done.into_inner();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = done as f64 / started.elapsed().as_secs_f64();
        println!(
            "{done} steps in {lives} lives, {} announces, {rate:.0} steps/s",
            self.announces.into_inner()
        );
        println!("of crowds: {}", self.tally.into_inner().unwrap_or_default());
        let Some((of, violation)) = self.violation.into_inner().unwrap_or_default() else {
            println!("0 violations");
            return ExitCode::SUCCESS;
        };
        println!("a violation in the life of {of}, seed {}, step {}:", violation.seed, violation.step);
        match of {
            CROWD => replay(violation.seed, Size::Drawn, LINES),
            WORLD => replay(violation.seed, Size::Full, LINES),
            _ => {
                println!("{}", violation.rule);
                ExitCode::FAILURE
            }
        }
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lives the life of a crowd again, and shows what happened last.
fn replay(seed: u64, size: Size, lines: usize) -> ExitCode {
    let steps = if size == Size::Full { WORLD_LIFE } else { CROWD_LIFE };
    match crowd::replay(seed, size, steps, lines) {
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
