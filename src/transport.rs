//! Transports that are made of a closure. The trait itself is at the root of the crate.

#[cfg(feature = "tokio")]
pub(crate) use crate::channel::{Channel, Transport};
pub use crate::channel::{FromFn, from_fn};
