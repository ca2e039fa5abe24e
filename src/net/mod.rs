//! The shell: sockets, names and time. Everything here acts; nothing here decides.

mod announcer;
mod clock;
mod handle;
pub mod resolver;

#[cfg(feature = "http")]
pub mod http;

pub use announcer::{Announcer, AnnouncerBuilder};
pub use handle::{Alerts, AnnounceHandle};
