//! What travels between client and tracker, as bytes.

pub mod http;
