//! Reference models beside the real thing: which event a tracker is owed, and whose turn it is. (When a failing host may
//! be tried again has its model beside the code, in `src/policy/hosts/tests/model.rs`.) Each model is a page long and written from the rules (BEP 3, BEP 12, the manual); random steps
//! are taken by both, after each of them both have to give the same answers, and what fails shrinks to a readable sequence.
//!
//! `cargo test` plays a fixed number of sequences. Nothing is kept in
//! files: a failing sequence is printed, and is then written into a test. More steps than that:
//!
//! ```text
//! STEPS=100000000 cargo test --release --test model -- --ignored --nocapture
//! ```

mod campaign;
mod cursor;
mod events;

use proptest::test_runner::Config;

/// How many sequences `cargo test` plays of each subject, other ones each time.
fn config() -> Config {
    Config { cases: 250, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() }
}
