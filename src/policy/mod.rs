//! Every decision, as pure state machines: which tracker is announced to next, how long each is waited for, when the
//! next announce is due, and which event each tracker is sent.
//!
//! Nothing in here does IO, reads a clock, or draws randomness: time is a [`Timestamp`] argument and a seed is
//! given to [`Engine::new`]. So years of failures can be played in milliseconds, and the same seed gives the
//! same run.
//!
//! `engine → torrent → hosts → io → tracker_set → {verdict, config, url_interner}`: each part uses those to its right
//! and never those to its left, and a torrent never asks another torrent. The page
//! [*architecture*](crate::manual::architecture) of the manual lists which file decides what.

mod attempts;
pub(crate) mod config;
mod engine;
pub(crate) mod hosts;
mod io;
pub(crate) mod torrent;
pub(crate) mod tracker_set;
mod url_interner;
mod verdict;

#[cfg(test)]
mod tests;

pub use crate::time::Timestamp;
#[cfg(feature = "tokio")]
pub(crate) use config::{Config, Probing, Schemes};
pub use engine::Engine;
pub use hosts::{HealthBook, HostHealth};
pub use io::{AttemptId, Input, Output, RoundNumber, TorrentId};
#[cfg(feature = "tokio")]
pub(crate) use torrent::Status;
#[cfg(any(test, feature = "metainfo", feature = "tokio"))]
pub(crate) use tracker_set::TrackerSet;
