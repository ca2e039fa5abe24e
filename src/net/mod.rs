//! The shell: sockets, names and time. Everything here acts; what is to be done is decided in `policy`.

pub(crate) mod alerts;
pub(crate) mod announcer;
pub(crate) mod builder;
mod clock;
mod driver;
#[cfg(any(feature = "http", feature = "udp"))]
mod families;
mod found_addresses;
mod guarded;
pub(crate) mod handle;
#[cfg(any(feature = "http", feature = "udp"))]
mod happy_eyeballs;
#[cfg(feature = "hickory")]
mod hickory;
mod look_ups;
#[cfg(feature = "metrics")]
mod meters;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod resolver;
pub mod scheme_router;
mod scraper;
#[cfg(any(feature = "http", feature = "udp"))]
pub(crate) mod settings;
#[cfg(any(feature = "http", feature = "udp"))]
pub mod sockets;
#[cfg(feature = "tracing")]
mod spans;
mod store;
#[cfg(test)]
mod testing;
pub(crate) mod torrents;
#[cfg(any(feature = "http", feature = "udp"))]
mod tracker_records;

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "udp")]
pub mod udp;
