//! What can go wrong at a proxy, and whose fault it is: the proxy's and so this side's, or that of the host behind it.

use std::io;

use crate::error::{AnnounceError, Cause};

/// What went wrong at the proxy itself. It says nothing of a tracker, and holds no user name and no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyFault {
    #[error("the proxy can't be reached: {0}")]
    Unreachable(AnnounceError),
    #[error("the proxy doesn't answer")]
    Silent,
    #[error("the proxy closed the connection: {0}")]
    Closed(io::Error),
    #[error("what answers isn't a proxy of this kind")]
    OtherProtocol,
    #[error("the proxy asks for a user name and password")]
    NoCredentials,
    #[error("the proxy refuses the user name or password")]
    WrongCredentials,
    #[error("the proxy refuses: {0}")]
    Refuses(&'static str),
    #[error("the proxy refuses with HTTP status {0}")]
    RefusesWith(u16),
    #[error("the proxy ended the association")]
    AssociationEnded,
}

/// What a proxy reports of the host that it was to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reported {
    #[error("the proxy reports: {0}")]
    Text(&'static str),
    #[error("the proxy reports HTTP status {0}")]
    Status(u16),
}

impl From<ProxyFault> for AnnounceError {
    fn from(fault: ProxyFault) -> Self {
        Self::Local(Cause::new(fault))
    }
}

impl From<Reported> for AnnounceError {
    fn from(reported: Reported) -> Self {
        Self::Connect(Cause::new(reported))
    }
}
