//! What the loop waits for, and in which order several events are handled.

use super::attempts::TaskEnd;
use super::command::Command;
use crate::net::store::StoreEvent;

/// What has ended a wait of the loop.
pub(super) enum DriverEvent {
    Command(Command),
    /// All links are gone.
    Unlinked,
    Task(TaskEnd),
    Store(StoreEvent),
    /// The time of the wait is over.
    Wake,
}

impl DriverEvent {
    /// Which of several is handled first: a success is news of the time before a limit passed.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Task(end) if end.is_success() => 0,
            Self::Task(_) | Self::Store(_) => 1,
            Self::Command(_) | Self::Unlinked | Self::Wake => 2,
        }
    }
}
