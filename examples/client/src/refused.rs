//! Why a torrent isn't taken.

/// Why a torrent isn't taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refused {
    /// The kind, as the `refused` event has it.
    pub(crate) kind: &'static str,
    /// What was expected and what was found.
    pub(crate) reason: String,
}

impl Refused {
    /// A refusal of something that isn't as the BEPs have it.
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self { kind: "malformed", reason: reason.into() }
    }
}
