//! The events that are reported to the user.

use std::net::SocketAddr;

use tracker_failover::InfoHash;

use crate::wire::Why;
use crate::wire::mse::Method;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The torrent is none that we take; nothing was begun.
    Refused { kind: &'static str, reason: String },
    /// What was there at the start has been looked at: pieces that are here, those that were hashed for it, and all of them.
    Checked { have: u32, hashed: u32, pieces: u32 },
    /// The metadata of a magnet link is here; its bytes, and the info-hash.
    Metadata { size: usize, info_hash: InfoHash },
    /// A peer's handshake is done; how the connection is encrypted, and whether both speak the fast extension.
    PeerConnected { peer: SocketAddr, encryption: Option<Method>, fast: bool },
    /// A connection has ended or never stood.
    PeerClosed { peer: SocketAddr, why: Why },
    /// A peer sent data that failed its hash, and is dealt with no more.
    PeerBanned { peer: SocketAddr },
    /// A piece is verified and on the disk.
    PieceOk { piece: u32 },
    /// A piece failed its hash. Holds the peer if all of the piece came from one.
    PieceBad { piece: u32, peer: Option<SocketAddr> },
    /// Pieces that were here can't be read any more, and aren't here then.
    PiecesLost { count: usize, reason: String },
    /// Everything is here.
    Complete,
    /// The end, and not everything is here.
    Incomplete { reason: String },
}
