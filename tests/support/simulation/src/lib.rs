//! Worlds of scripted trackers in virtual time, and lives of clients in them.

pub mod clients;
pub mod life;
pub mod lives;
pub mod metrics;
pub mod network;
pub mod scenarios;
pub mod script;
#[cfg(feature = "shell")]
pub mod shell;
pub mod table;
pub mod time;
pub mod trace;
pub mod world;
