//! The protocols as bytes: torrent files, announce queries and replies, UDP packets, compact peers, and the latency
//! cache. Pure: no socket, no clock, no entropy, and no input from the network that panics or grows memory beyond its
//! own size.

pub mod bencode;
pub mod cache;
pub mod compact;
pub mod http;
pub(crate) mod metainfo;
mod text;
pub mod udp;

pub use text::clean_text;
