//! The same models in a plain loop, for as many steps as there is time for.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use crate::{cursor, events};

/// How long one sequence lasts.
const SEQUENCE: usize = 1000;

/// Steps of each subject where `STEPS` in the environment says no other number.
const STEPS: u64 = 1_000_000;

fn draw<T: std::fmt::Debug>(strategy: &BoxedStrategy<T>, runner: &mut TestRunner) -> T {
    strategy.new_tree(runner).expect("strategies without filters always give something").current()
}

/// One sequence of random steps; the same seed gives the same one. What has been done is in `done`.
fn play<Test: StateMachineTest>(
    seed: u64,
    done: &mut Vec<<Test::Reference as ReferenceStateMachine>::Transition>,
) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(crate::config(), random);
    let mut rules = draw(&Test::Reference::init_state(), &mut runner);
    let mut real = Test::init_test(&rules);
    // What may come next depends on the rules by its preconditions alone.
    let steps = Test::Reference::transitions(&rules);
    while done.len() < SEQUENCE {
        let step = draw(&steps, &mut runner);
        if Test::Reference::preconditions(&rules, &step) {
            done.push(step.clone());
            rules = Test::Reference::apply(rules, &step);
            real = Test::apply(real, &rules, step);
            Test::check_invariants(&real, &rules);
        }
    }
}

/// Plays sequence after sequence on all cores until so many steps are done.
fn campaign<Test: StateMachineTest>(subject: &str, steps: u64) {
    let seeds = AtomicU64::new(0);
    let wanted = steps.div_ceil(SEQUENCE as u64);
    let work = || loop {
        let seed = seeds.fetch_add(1, Ordering::Relaxed);
        if seed >= wanted {
            return;
        }
        let mut done = Vec::with_capacity(SEQUENCE);
        let played = catch_unwind(AssertUnwindSafe(|| play::<Test>(seed, &mut done)));
        let (steps, last) = (done.len(), done.last());
        assert!(played.is_ok(), "{subject}, seed {seed}: step {steps}, {last:?}");
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    println!("{subject}: {} steps, no difference", wanted * SEQUENCE as u64);
}

#[test]
#[ignore = "as long as one likes: STEPS says how many"]
fn campaign_of_all_subjects() {
    let steps = env::var("STEPS").map_or(STEPS, |steps| steps.parse().expect("STEPS is a number"));
    campaign::<events::Real>("events", steps);
    campaign::<cursor::Real>("cursor", steps);
}
