//! The swarm as a state machine: it takes the time, the messages of peers and the results of the disk, and returns what to do
//! next. No sockets, no files, no clock; randomness is a seed.

pub(crate) mod bitfield;
pub(crate) mod choker;
pub(crate) mod dial;
pub(crate) mod late;
pub(crate) mod limit;
mod messages;
mod metadata;
mod nodes;
pub(crate) mod outgoing;
mod pace;
pub(crate) mod parts;
pub(crate) mod peer;
pub(crate) mod pex;
pub(crate) mod picker;
mod pieces;
pub(crate) mod rarity;
pub(crate) mod rate;
mod requests;
pub(crate) mod session;
mod tick;
mod uploads;
pub(crate) mod verdict;
pub(crate) mod window;

/// A connection's number; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerKey(pub(crate) u32);

#[cfg(test)]
mod tests;
