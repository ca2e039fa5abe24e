//! The scenarios of ALGORITHMS §4.2, by their numbers there.

mod start;

use crate::table::Row;

/// A scenario: a kind of world, and what is measured in it.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its number in ALGORITHMS §4.2.
    pub number: u64,
    /// What it is about.
    pub title: &'static str,
    /// Plays it with so many seeds per row, where it needs many.
    pub play: fn(Effort) -> Vec<Row>,
}

/// How thoroughly a scenario is played: the number of seeds where a row needs many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort(pub u64);

impl Effort {
    /// For tests: a minute for everything.
    pub const TEST: Self = Self(200);
    /// For the table.
    pub const FULL: Self = Self(2000);
}

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario { number: 1, title: "all healthy, cold", play: start::all_healthy },
    Scenario { number: 2, title: "refused, cold", play: start::refused },
    Scenario { number: 3, title: "silent, cold", play: start::silent },
];

/// The goals that today's engine doesn't reach, and what will change that. A row that is listed here and reaches
/// its goal fails the test: the list has to be true.
pub const EXPECTED_TO_FAIL: &[(&str, &str)] = &[];
