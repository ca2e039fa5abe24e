//! Why a round is made, and what that allows it.

use crate::announce::AnnounceRequest;

/// Why a round is made.
#[derive(Debug)]
pub(crate) enum RoundKind {
    /// The schedule made it due: an event, the interval, or the back-off after a failed round.
    Scheduled,
    /// The user requested it, whatever the intervals are.
    Requested,
    /// Further trackers are announced to beside the one in use, see `reach`.
    Beside,
    /// It is the one announce of [`Engine::announce_once`](crate::policy::Engine::announce_once), sent as it is.
    OneShot(Box<AnnounceRequest>),
}

impl RoundKind {
    /// Whether the round ignores intervals and back-offs. Only a tracker that asked for no announce at all is left
    /// out then.
    pub(crate) fn ignores_intervals(&self) -> bool {
        matches!(self, Self::Requested | Self::OneShot(_))
    }

    /// The announce to send as it is; `None` if the torrent makes its own.
    pub(crate) fn one_shot(&self) -> Option<&AnnounceRequest> {
        match self {
            Self::OneShot(request) => Some(request),
            Self::Scheduled | Self::Requested | Self::Beside => None,
        }
    }

    /// Whether it is beside the tracker in use, which stays the one in use whatever comes of it.
    pub(crate) fn is_beside(&self) -> bool {
        matches!(self, Self::Beside)
    }
}
