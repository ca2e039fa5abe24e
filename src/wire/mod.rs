//! The wire formats: torrent files, announce queries and replies, UDP packets, compact peers, tracker records of DNS, the
//! latency cache, and hosts in a shared store.
//!
//! Pure: no socket, no clock, no entropy. No input from the network makes it panic or take more memory than a small multiple
//! of the input.

pub mod bencode;
pub mod cache;
pub mod compact;
pub mod host_record;
pub mod http;
#[cfg(feature = "metainfo")]
pub(crate) mod metainfo;
mod text;
pub mod tracker_record;
pub mod udp;

pub use text::clean_text;
