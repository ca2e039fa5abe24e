//! Tells whether two paths lead to one file.

use std::fs::Metadata;

/// The identity of a file, if the system has one.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems don't say")]
pub(crate) fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub(crate) fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}
