//! Sharing out what limits allow among the peers.
//!
//! A download is limited by asking for less: blocks that weren't asked for don't come, and nothing is thrown away or
//! piles up. An upload is limited by reading less from the disk. All other messages between peers aren't
//! held back.

use std::time::Duration;

use super::PeerKey;
use super::limit::Limit;
use super::session::Session;

impl Session {
    /// Asks for and gives as much as the limits allow by now; to be called often while something is limited.
    pub(crate) fn pace(&mut self, now: Duration) {
        for limit in [&mut self.down_limit, &mut self.up_limit].into_iter().flatten() {
            limit.tick(now);
        }
        self.share_out(|session| &session.down_limit, |session, key, most| session.ask(key, most, now));
        self.share_out(|session| &session.up_limit, Self::load_up_to);
    }

    /// All peers, beginning with the one after this.
    pub(super) fn keys_after(&self, turn: PeerKey) -> Vec<PeerKey> {
        let (first, then): (Vec<_>, Vec<_>) = self.peers.keys().copied().partition(|&key| key > turn);
        [first, then].concat()
    }

    /// Gives each peer its share, and what one leaves to the others. Each time another peer is the first.
    fn share_out(
        &mut self,
        limit: impl Fn(&Self) -> &Option<Limit>,
        mut serve: impl FnMut(&mut Self, PeerKey, usize) -> usize,
    ) {
        let blocks = |session: &Self| limit(session).as_ref().map_or(0, Limit::blocks);
        let mut waiting = self.keys_after(self.turn);
        while !waiting.is_empty() && blocks(self) > 0 {
            let share = (blocks(self) / waiting.len()).max(1);
            waiting.retain(|&key| {
                if blocks(self) == 0 {
                    return false;
                }
                let served = serve(self, key, share);
                if served > 0 {
                    self.turn = key;
                }
                served == share
            });
        }
    }
}
