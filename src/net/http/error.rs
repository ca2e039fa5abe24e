//! Why a setting of the HTTP transport is refused.

/// A setting was refused: what was expected in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a setting for HTTP trackers: {0}")]
pub struct HttpConfigError(&'static str);

impl HttpConfigError {
    pub(super) const fn new(expected: &'static str) -> Self {
        Self(expected)
    }
}
