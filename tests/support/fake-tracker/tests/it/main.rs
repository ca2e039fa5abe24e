//! Fake trackers behave as they are set.

mod client;
mod http;
mod virtual_time;
