//! The whole check: in simulated worlds, and against scripted trackers on loopback.

mod loopback;
#[cfg(feature = "tls-ring")]
mod tls;
mod worlds;
