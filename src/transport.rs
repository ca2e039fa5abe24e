//! Transports that are made of a closure. The trait itself is at the root of the crate.

pub use crate::channel::from_fn;
#[cfg(feature = "tokio")]
pub(crate) use crate::channel::{Channel, Transport};
