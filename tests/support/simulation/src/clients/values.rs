//! The crate's own values for what happens in a world.

use tracker_failover::{
    AnnounceError, AnnounceResponse, Cause, InfoHash, Peer, PeerAddress, PeerId, Rejection, ReplyError,
    Retry as RetryHint, Torrent,
};

use crate::network::{OpenError, Reply};
use crate::script::Retry;
use crate::time::span;

/// A torrent with something left to download.
pub(crate) fn torrent(number: usize) -> Torrent {
    let mut info_hash = [7; 20];
    info_hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let mut torrent = Torrent::new(InfoHash::new(info_hash), PeerId::new(*b"-XX0001-abcdefghijkl"), 6881);
    torrent.transfer.left = Some(1000);
    torrent.key = 1;
    torrent
}

pub(crate) fn open_error(error: OpenError) -> AnnounceError {
    match error {
        OpenError::Unresolved => AnnounceError::Resolve(Cause::new("no such name")),
        OpenError::Refused => AnnounceError::Connect(Cause::new("connection refused")),
        OpenError::Certificate => AnnounceError::Tls(Cause::new("certificate expired")),
    }
}

/// What the transport would make of a reply that names so many peers.
pub(super) fn response(reply: Reply, named: u16) -> Result<AnnounceResponse, AnnounceError> {
    match reply {
        Reply::Good { interval, min_interval } => {
            let mut response = AnnounceResponse::default();
            response.interval = Some(span(interval));
            response.min_interval = min_interval.map(span);
            if named > 1 {
                response.complete = Some(u64::from(named / 2));
                response.incomplete = Some(u64::from(named - named / 2));
            }
            let peer = |number| {
                let [a, b] = u16::to_be_bytes(number);
                Peer { address: PeerAddress::Ip(([8, 8, a, b], 7000).into()), id: None }
            };
            response.peers = (1..=named).map(peer).collect();
            Ok(response)
        }
        Reply::Status(status, retry) => Err(AnnounceError::Status { status, retry: hint(retry) }),
        Reply::Html => Err(AnnounceError::NotAReply(ReplyError::new("expected a dictionary", 0))),
        Reply::Failure(retry) => {
            let mut rejection = Rejection::new("no");
            rejection.retry = hint(retry);
            Err(AnnounceError::Rejected(rejection))
        }
        Reply::Broken => Err(AnnounceError::Broken(Cause::new("connection reset"))),
    }
}

fn hint(retry: Retry) -> RetryHint {
    match retry {
        Retry::Unsaid => RetryHint::Unsaid,
        Retry::After(wait) => RetryHint::After(span(wait)),
        Retry::Never => RetryHint::Never,
    }
}
