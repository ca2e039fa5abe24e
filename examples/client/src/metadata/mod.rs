//! Fetching the metadata of a torrent of which only the info-hash is known (BEP 9): decisions only, no input or output.

mod exchange;
#[cfg(test)]
mod tests;

pub(crate) use exchange::{Exchange, Request};
