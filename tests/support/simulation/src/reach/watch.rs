//! What an onlooker sees of a world: every packet on its way, and what our clients say.

use super::log::Log;
use crate::time::Millis;

/// What happened in a world, with everything that was on its way.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// What came of it.
    pub log: Log,
    /// The packets, by the time at which they were sent.
    pub packets: Vec<Packet>,
    /// The lines that our clients print, by time: those of the example client.
    pub lines: Vec<Line>,
}

/// A packet between a client and a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// When it was sent.
    pub sent: Millis,
    /// When it arrives; where it vanishes, the time at which it would have.
    pub arrives: Millis,
    /// The number of the client.
    pub member: usize,
    /// The number of the tracker.
    pub tracker: usize,
    /// What it carries.
    pub carries: Carries,
    /// Whether it is on its way to the tracker.
    pub is_outward: bool,
    /// Whether it vanishes.
    pub vanishes: bool,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// A connection that is opened, for an announce.
    Opening,
    /// One that is opened to measure the distance.
    Probe,
    /// An announce, or its answer with so many peers.
    Announce(usize),
    /// A refusal, or an error in place of an answer.
    Refusal,
}

/// A line that a client printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Millis,
    /// The number of the client.
    pub member: usize,
    /// The line, with its tag.
    pub text: String,
}
