//! Sharing out what limits allow among the peers.
//!
//! A download is limited by asking for less: blocks that weren't asked for don't come, and nothing is thrown away or
//! piles up. An upload is limited by reading less from the disk. All other messages between peers aren't
//! held back.

use std::collections::VecDeque;

use super::PeerKey;
use super::peers::Peers;

/// A sharing out: each peer gets its share, and what one leaves goes to the others.
#[derive(Debug)]
pub(super) struct Round<'a> {
    /// The peer that was served last: the next one is the first next time.
    turn: &'a mut PeerKey,
    /// Those that haven't had this share yet.
    waiting: VecDeque<PeerKey>,
    /// Those that have used up their share, and may take more.
    again: VecDeque<PeerKey>,
    share: usize,
}

impl<'a> Round<'a> {
    /// A round among all peers. It begins with the one after this, which it changes.
    pub(super) fn new(turn: &'a mut PeerKey, peers: &Peers) -> Self {
        let again = peers.keys_after(*turn).into();
        Self { turn, waiting: VecDeque::new(), again, share: 0 }
    }

    /// The next peer and how many blocks it may have, while so many are left; `None` at the end.
    pub(super) fn next(&mut self, blocks: usize) -> Option<(PeerKey, usize)> {
        if blocks == 0 {
            return None;
        }
        if self.waiting.is_empty() {
            std::mem::swap(&mut self.waiting, &mut self.again);
            self.share = (blocks / self.waiting.len().max(1)).max(1);
        }
        Some((self.waiting.pop_front()?, self.share))
    }

    /// The peer has got so many.
    pub(super) fn served(&mut self, key: PeerKey, blocks: usize) {
        if blocks > 0 {
            *self.turn = key;
        }
        if blocks == self.share {
            self.again.push_back(key);
        }
    }
}
