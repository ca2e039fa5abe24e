//! Every decision, as pure state machines: who is asked next, how long each is waited for, when the next
//! announce is due, and what each tracker is owed.
//!
//! Nothing in here does IO, reads a clock, or draws randomness: time is a [`Timestamp`] argument and a seed is
//! given to [`Engine::new`]. So years of failures can be played in milliseconds, and the same seed gives the
//! same run.

mod attempts;
mod config;
mod engine;
mod hosts;
mod io;
mod torrent;
mod tracker_set;
mod url_interner;
mod verdict;

#[cfg(test)]
mod tests;

pub use crate::time::Timestamp;
pub use config::{Config, Order, Probing, Scheduling, Schemes};
pub use engine::Engine;
pub use hosts::{HealthBook, HostHealth};
pub use io::{AttemptId, Input, Output, RoundNumber, TorrentId};
pub use torrent::{Status, TrackerState, TrackerStatus};
pub use tracker_set::TrackerSet;

/// What the reference models in `tests` are compared with. Not part of the public interface.
#[doc(hidden)]
pub mod internals {
    pub use super::torrent::Ledger;
}
