//! The messages of the fast extension (BEP 6), which peers send whose handshake says that they speak it.

use std::net::IpAddr;
use std::time::Duration;

use super::actions::Actions;
use super::bitfield::Bitfield;
use super::peer::Peer;
use super::pieces::Pieces;
use super::{PeerKey, Swarm};
use crate::wire::Why;
use crate::wire::allowed_fast::{MAX_ALLOWED, allowed_fast};
use crate::wire::message::Message;

impl Swarm {
    /// Takes a message of the extension. `is_first`: it is the first message of its peer, as one that says what a peer has is to
    /// be.
    ///
    /// # Errors
    /// When the peer broke the protocol and the connection is to be closed.
    pub(super) fn fast_message(
        &mut self,
        key: PeerKey,
        message: Message<'_>,
        is_first: bool,
        now: Duration,
    ) -> Result<(), Why> {
        let Self { actions, peers, pieces, requests, .. } = self;
        let Some(peer) = peers.get_mut(key) else { return Err(Why::Io) };
        if !peer.fast {
            return Err(Why::FastViolation);
        }
        match message {
            Message::HaveNone if !is_first => Err(Why::BadBitfield),
            Message::HaveAll if !is_first && !Pieces::had_time(peer, now) => Err(Why::BadBitfield),
            // aria2 says so when it has got the last piece, as it does with bitfields before.
            Message::HaveAll if !is_first => {
                let all = Bitfield::full(pieces.have().pieces());
                pieces.announced_late(peer, all.as_bytes(), now)?;
                peer.reconsider(pieces.is_complete(), actions);
                Ok(())
            }
            Message::HaveAll => {
                pieces.announced_all(peer);
                peer.reconsider(pieces.is_complete(), actions);
                Ok(())
            }
            Message::HaveNone => {
                self.allow_fast(key);
                Ok(())
            }
            Message::Reject(block) if !pieces.contains(block) => Err(Why::OutOfRange),
            Message::Reject(block) => requests.rejected(peer, block, pieces, actions),
            Message::AllowedFast(piece) | Message::Suggest(piece) if piece >= pieces.have().pieces() => {
                Err(Why::OutOfRange)
            }
            Message::AllowedFast(piece) => {
                let is_new = peer.download.allow(piece);
                peer.count_pointless(!is_new)
            }
            // Which piece is next is decided by how rare it is.
            _ => peer.count_pointless(true),
        }
    }

    /// Sends a peer that has said what it has, and that is next to nothing, what it may ask for though we choke it: with its first
    /// pieces it has something to give. The rule is for IPv4 only.
    pub(super) fn allow_fast(&mut self, key: PeerKey) {
        let Self { info_hash, actions, peers, pieces, .. } = self;
        let Some(peer) = peers.get_mut(key) else { return };
        let IpAddr::V4(address) = peer.address.ip() else { return };
        let has = peer.has.all();
        if !peer.fast || !peer.upload.is_choked() || has.is_full() || has.len() as usize >= MAX_ALLOWED {
            return;
        }
        let mut allowed = allowed_fast(address, *info_hash, has.pieces());
        allowed.retain(|&piece| pieces.have().get(piece));
        for &piece in &allowed {
            peer.out.push(&Message::AllowedFast(piece));
        }
        peer.upload.allow(allowed);
        actions.wake(key);
    }
}

/// The first message to a peer: what we have. Without the extension, that is nothing if we have nothing.
pub(super) fn announce(peer: &mut Peer, pieces: &Pieces, actions: &mut Actions) {
    let have = pieces.have();
    match have.len() {
        0 if peer.fast => peer.out.push(&Message::HaveNone),
        0 => return,
        _ if peer.fast && have.is_full() => peer.out.push(&Message::HaveAll),
        _ => peer.out.push(&Message::Bitfield(have.as_bytes())),
    }
    actions.wake(peer.key);
}
