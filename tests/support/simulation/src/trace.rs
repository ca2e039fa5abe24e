//! The decisions of a life, one line each: by these two ways of playing a world are compared.

use std::fmt;

use tracker_failover::Event;

use crate::time::Millis;

/// What was decided when, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// The decisions.
    pub lines: Vec<(Millis, Step)>,
    /// The first moment at which two things happened in the same millisecond, so that a scheduler decides
    /// which of them comes first.
    pub tie: Option<Millis>,
}

/// One decision, or the end of a round. Trackers by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A probe begins.
    Probe(usize),
    /// An opening begins.
    Open(usize),
    /// An announce goes out.
    Announce(usize, Option<Event>),
    /// A round ends with an accepted announce.
    Accepted(usize),
    /// A round ends, and every tracker has failed.
    Failed,
}

impl Trace {
    pub(crate) fn note(&mut self, at: Millis, step: Step) {
        self.lines.push((at, step));
    }

    pub(crate) fn tied(&mut self, at: Millis) {
        self.tie.get_or_insert(at);
    }
}

/// For a test that fails: the first lines that differ.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|(at, step)| writeln!(f, "{at:>12} {step:?}"))
    }
}
