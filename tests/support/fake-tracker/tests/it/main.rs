//! Fake trackers do what they say.

mod client;
mod http;
mod virtual_time;
