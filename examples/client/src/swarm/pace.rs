//! Sharing out what limits allow among the peers.
//!
//! A download is limited by asking for less: blocks that weren't asked for don't come, and nothing is thrown away or
//! piles up. An upload is limited by reading less from the disk. All other messages between peers aren't
//! held back.

use std::collections::VecDeque;

use super::PeerKey;

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
    /// A round among these peers, in this order. Notes who is served last.
    pub(super) fn new(turn: &'a mut PeerKey, peers: Vec<PeerKey>) -> Self {
        Self { turn, waiting: VecDeque::new(), again: peers.into(), share: 0 }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares out so many blocks among peers that take up to so many each; gives what each got, and whose turn it was last.
    fn share_out(mut blocks: usize, takes: [usize; 3]) -> ([usize; 3], PeerKey) {
        let mut turn = PeerKey(7);
        let mut round = Round::new(&mut turn, (0..3).map(PeerKey).collect());
        let mut got = [0; 3];
        while let Some((key, share)) = round.next(blocks) {
            let peer = key.0 as usize;
            let served = share.min(takes[peer] - got[peer]);
            got[peer] += served;
            blocks = blocks.saturating_sub(served);
            round.served(key, served);
        }
        (got, turn)
    }

    #[test]
    fn what_one_leaves_goes_to_the_others() {
        assert_eq!(share_out(30, [100; 3]), ([10; 3], PeerKey(2)));
        assert_eq!(share_out(30, [2, 100, 100]), ([2, 14, 14], PeerKey(2)));
        assert_eq!(share_out(30, [0, 3, 100]), ([0, 3, 27], PeerKey(2)));
        assert_eq!(share_out(30, [1, 2, 3]), ([1, 2, 3], PeerKey(2)), "there is more than they take");
    }

    #[test]
    fn the_last_that_was_served_is_noted() {
        assert_eq!(share_out(2, [100; 3]), ([1, 1, 0], PeerKey(1)));
        assert_eq!(share_out(0, [100; 3]), ([0; 3], PeerKey(7)));
        assert_eq!(share_out(30, [0; 3]), ([0; 3], PeerKey(7)));
    }
}
