//! The crate as its users see it: real HTTP over pipes in memory, scripted trackers, a paused clock.

mod crowd;
mod events;
mod failover;
mod health;
mod scenarios;
mod shell;
mod simulation;
mod world;
