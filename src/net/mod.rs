//! The shell: sockets, names and time. Everything here acts; nothing here decides.

pub mod resolver;

#[cfg(feature = "http")]
pub mod http;
