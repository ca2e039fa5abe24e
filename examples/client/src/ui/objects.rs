//! The JSON objects of a torrent, and of what happened to it.

use tracker_failover::SkippedTracker;

use super::event::Event;
use super::json::Object;
use crate::torrent::Torrent;
use crate::wire::mse::Method;

/// The `added` event.
pub(crate) fn added(torrent: &Torrent) -> Object {
    Object::event("added")
        .text("info_hash", &torrent.info_hash.to_string())
        .text("name", &torrent.name)
        .number("length", torrent.total)
        .number("files", files(torrent))
        .number("pieces", torrent.pieces().into())
        .flag("private", torrent.private)
}

/// The `skipped_tracker` event.
pub(crate) fn skipped(tracker: &SkippedTracker) -> Object {
    Object::event("skipped_tracker")
        .text("tracker", &tracker.shown)
        .text("reason", &tracker.reason.to_string())
}

/// How many files there are, without padding.
pub(crate) fn files(torrent: &Torrent) -> u64 {
    torrent.files.iter().filter(|file| !file.pad).count() as u64
}

/// One thing that happened.
pub(super) fn event(event: &Event) -> Object {
    match event {
        Event::Refused { kind, reason } => Object::event("refused").text("kind", kind).text("reason", reason),
        Event::Metadata { size, info_hash } => {
            Object::event("metadata").number("size", *size as u64).text("info_hash", &info_hash.to_string())
        }
        Event::PeerConnected { peer, encryption, fast } => {
            let object = Object::event("peer_connected").text("peer", &peer.to_string());
            object.text("encryption", Method::word(*encryption)).flag("fast", *fast)
        }
        Event::Checked { have, hashed, pieces } => Object::event("checked")
            .number("have", (*have).into())
            .number("hashed", (*hashed).into())
            .number("pieces", (*pieces).into()),
        Event::PeerClosed { peer, why } => {
            Object::event("peer_closed").text("peer", &peer.to_string()).text("why", why.word())
        }
        Event::PeerBanned { peer } => Object::event("peer_banned").text("peer", &peer.to_string()),
        Event::PieceOk { piece } => Object::event("piece_ok").number("piece", (*piece).into()),
        Event::PieceBad { piece, peer } => {
            let peer = peer.map(|peer| peer.to_string());
            Object::event("piece_bad").number("piece", (*piece).into()).maybe("peer", peer.as_deref())
        }
        Event::PiecesLost { count, reason } => {
            Object::event("pieces_lost").number("pieces", *count as u64).text("reason", reason)
        }
        Event::Complete => Object::event("complete"),
        Event::Incomplete { reason } => Object::event("incomplete").text("reason", reason),
    }
}
