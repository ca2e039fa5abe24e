//! Every decision, as pure state machines: who is asked next, how long each is waited for, when the next
//! announce is due, and what each tracker is owed.
//!
//! Nothing in here does IO, reads a clock, or draws randomness: time is a [`Timestamp`] argument and a seed is
//! given to [`Engine::new`]. So years of failures can be played in milliseconds, and the same seed gives the
//! same run.

mod addresses;
mod attempts;
mod by_tracker;
mod candidates;
mod checking;
mod config;
mod engine;
mod explaining;
mod hosts;
mod io;
mod ledger;
mod outcomes;
mod returning;
mod round;
mod running;
mod schedule;
mod session;
mod status;
mod stopping;
mod tracker_set;
mod verdict;

#[cfg(test)]
mod tests;

pub use crate::time::Timestamp;
pub use config::{Config, Order, Probing, Scheduling, Schemes};
pub use engine::Engine;
pub use hosts::{HealthBook, HostHealth, RttEstimate, Urgency};
pub use io::{AttemptId, Input, Output, RoundNumber, TorrentId};
pub use ledger::Ledger;
pub use schedule::Schedule;
pub use status::{Status, TrackerState, TrackerStatus};
pub use tracker_set::TrackerSet;
