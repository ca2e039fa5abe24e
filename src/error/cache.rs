//! Why a latency cache or a host store isn't used.

use std::time::Duration;

use super::Cause;

/// Why a latency cache, or another [host store](crate::HostStore), wasn't used. It costs a cold start or news of other
/// processes, and never an announce. No variant holds a password: see [`Store`](Self::Store).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The file exists and can't be read.
    #[error("it could not be read: {0}")]
    Unreadable(Cause),
    /// The path is a directory, a device, or something else that must not be replaced.
    #[error("it is not a file")]
    NotAFile,
    /// The file isn't a latency cache.
    #[error("it is not a latency cache")]
    Foreign,
    /// The file has a version that this crate can't read.
    #[error("it is of version {0}, expected version 1")]
    Version(u64),
    /// The file is larger than any latency cache.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The file is damaged as a whole.
    #[error("it is damaged: expected {0}")]
    Damaged(&'static str),
    /// The record of a host is damaged.
    #[error("it is damaged: expected {expected} in host number {number}")]
    DamagedHost {
        /// What was expected.
        expected: &'static str,
        /// The number of the host in the file, from 1.
        number: usize,
    },
    /// The file couldn't be written.
    #[error("it could not be written: {0}")]
    Unwritable(Cause),
    /// A store other than a file couldn't be used. An implementation of a store makes it of its own error:
    /// `CacheError::Store(Cause::new(error))`. The text is shown, so leave out what is secret in an address.
    #[error("the store failed: {0}")]
    Store(Cause),
    /// A store didn't answer in time.
    #[error("the store did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}
