//! The crate as its users see it: real HTTP over pipes in memory, scripted trackers, a paused clock.

#[cfg(feature = "cache")]
mod cache;
mod clusters;
mod crowd;
mod events;
mod extremes;
mod failover;
#[cfg(feature = "udp")]
mod families;
mod handles;
mod health;
#[cfg(feature = "proxy")]
mod hostile_proxies;
mod liveness;
#[cfg(feature = "proxy")]
mod proxies;
mod reach;
mod reported;
mod scenarios;
#[cfg(feature = "udp")]
mod settings;
mod shell;
mod simulation;
#[cfg(feature = "udp")]
mod standstill;
mod start;
mod world;
