//! Sockets and time: the thin shell around the swarm, all on one thread.

pub(crate) mod adopted;
pub(crate) mod clock;
pub(crate) mod connection;
mod greetings;
mod handshake;
mod incoming;
mod link;
pub(crate) mod listen;
pub(crate) mod metadata;
pub(crate) mod port_mapping;
pub(crate) mod registry;
pub(crate) mod run;
pub(crate) mod shell;
