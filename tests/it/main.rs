//! The crate as its users see it: real HTTP over pipes in memory, scripted trackers, a paused clock.

mod events;
mod failover;
mod scenarios;
mod shell;
mod simulation;
mod world;
