//! A line for each check, and the count of them.

use std::fmt::{Debug, Display};

/// What was checked so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    scenario: &'static str,
    passed: usize,
    failed: usize,
}

impl Report {
    /// Begins a scenario.
    pub(crate) fn scenario(&mut self, name: &'static str) {
        self.scenario = name;
        println!("\n{name}");
    }

    /// A check that holds or doesn't; `seen` is shown where it doesn't.
    pub(crate) fn check(&mut self, holds: bool, what: impl Display, seen: impl Debug) -> bool {
        if holds {
            self.passed += 1;
            println!("  ok    {what}");
        } else {
            self.failed += 1;
            println!("  FAIL  {what} [{}]: {seen:?}", self.scenario);
        }
        holds
    }

    /// Checks that what was seen is what was expected.
    pub(crate) fn same<T: PartialEq + Debug>(&mut self, seen: T, expected: T, what: impl Display) -> bool {
        let holds = seen == expected;
        self.check(holds, what, Difference { seen, expected })
    }

    /// Something worth knowing that isn't judged, such as a time.
    #[expect(clippy::unused_self, reason = "everything that is shown goes through the report")]
    pub(crate) fn note(&self, text: impl Display) {
        println!("        {text}");
    }

    /// A scenario that could not go on.
    pub(crate) fn broken(&mut self, why: impl Display) {
        self.failed += 1;
        println!("  FAIL  {}: {why}", self.scenario);
    }

    /// Prints the count, and says whether all is well.
    pub(crate) fn close(&self) -> bool {
        println!("\n{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}

struct Difference<T> {
    seen: T,
    expected: T,
}

impl<T: Debug> Debug for Difference<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "saw {:?}, expected {:?}", self.seen, self.expected)
    }
}
