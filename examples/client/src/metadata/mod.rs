//! Fetching the metadata of a torrent of which only the info-hash is known (BEP 9): decisions only, no input or output.

mod exchange;
mod inbox;
mod swarm;
#[cfg(test)]
mod tests;

pub(crate) use exchange::{Exchange, MAX_SIZE, Request};
pub(crate) use inbox::Inbox;
pub(crate) use swarm::MetadataSwarm;
