//! Asking peers for blocks, within what they allow and the limit does.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;

use super::PeerKey;
use super::actions::Actions;
use super::pace::Round;
use super::peer::Peer;
use super::peer_download::Arrival;
use super::peers::Peers;
use super::pieces::Pieces;
use super::rate::Rate;
use super::shared_limit::SharedLimit;
use crate::wire::Why;
use crate::wire::message::{Block, Message};

/// What goes out to all peers as requests, and comes in as blocks.
#[derive(Debug)]
pub(super) struct Requests {
    /// How fast blocks may come.
    limit: Option<SharedLimit>,
    rate: Rate,
    /// Blocks or memory may have come free, so peers that had nothing to do may have.
    stirred: bool,
}

impl Requests {
    /// Nothing was asked for. At most so many bytes a second come; `None` for any number.
    pub(super) fn new(limit: Option<SharedLimit>) -> Self {
        Self { limit, rate: Rate::default(), stirred: false }
    }

    /// Whether there is a limit, so that [`pace`](Self::pace) is to be called often.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Bytes of blocks that come in a second.
    pub(super) fn speed(&self) -> u64 {
        self.rate.per_second()
    }

    /// Measures the speed.
    pub(super) fn tick(&mut self, now: Duration) {
        self.rate.tick(now);
    }

    /// Blocks or memory may have come free: [`refill_all`](Self::refill_all) may have something to do.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Whether they may have since the last time.
    pub(super) fn take_stirred(&mut self) -> bool {
        std::mem::take(&mut self.stirred)
    }

    /// Fills a peer's requests up to its window. Under a limit it may have its share of what [`pace`](Self::pace)
    /// left over.
    pub(super) fn refill(
        &mut self,
        key: PeerKey,
        peers: &mut Peers,
        pieces: &mut Pieces,
        rng: &mut impl Rng,
        actions: &mut Actions,
        now: Duration,
    ) {
        let most = self.share(peers.len());
        if let Some(peer) = peers.get_mut(key) {
            self.ask(peer, most, pieces, rng, actions, now);
        }
    }

    /// Everybody with room is asked for more.
    pub(super) fn refill_all(
        &mut self,
        peers: &mut Peers,
        pieces: &mut Pieces,
        rng: &mut impl Rng,
        actions: &mut Actions,
        now: Duration,
    ) {
        let count = peers.len();
        for peer in peers.iter_mut() {
            let most = self.share(count);
            self.ask(peer, most, pieces, rng, actions, now);
        }
    }

    /// Asks for as much as the limit allows by now.
    pub(super) fn pace(
        &mut self,
        turn: &mut PeerKey,
        peers: &mut Peers,
        pieces: &mut Pieces,
        rng: &mut impl Rng,
        actions: &mut Actions,
        now: Duration,
    ) {
        let Some(limit) = &self.limit else { return };
        limit.tick(peers.iter().any(|peer| peer.room() > 0), now);
        let keys = peers.keys_after(*turn);
        let mut round = Round::new(turn, keys);
        while let Some((key, share)) = round.next(self.limit.as_ref().map_or(0, SharedLimit::blocks)) {
            let peer = peers.get_mut(key);
            let asked = peer.map_or(0, |peer| self.ask(peer, share, pieces, rng, actions, now));
            round.served(key, asked);
        }
    }

    /// How many blocks one of so many peers may be asked for.
    fn share(&self, peers: usize) -> usize {
        self.limit.as_ref().map_or(usize::MAX, |limit| limit.share(peers))
    }

    /// Asks a peer for up to `most` blocks as far as its window allows; gives for how many it was.
    fn ask(
        &mut self,
        peer: &mut Peer,
        most: usize,
        pieces: &mut Pieces,
        rng: &mut impl Rng,
        actions: &mut Actions,
        now: Duration,
    ) -> usize {
        let room = peer.room().min(most);
        if room == 0 {
            return 0;
        }
        let picked = pieces.pick(peer, room, rng, actions);
        let count = picked.len();
        if count == 0 {
            return 0;
        }
        for block in picked {
            peer.download.ask(block, now);
            peer.out.push(&Message::Request(block));
            if let Some(limit) = &self.limit {
                limit.take(block.length.into());
            }
        }
        actions.wake(peer.key);
        count
    }

    /// A peer lets us ask.
    ///
    /// # Errors
    /// When it has said so too often.
    pub(super) fn unchoked(peer: &mut Peer, now: Duration) -> Result<(), Why> {
        let pointless = !peer.download.unchoked(now);
        peer.count_pointless(pointless)
    }

    /// A peer doesn't let us ask any more. It drops everything that it was asked for (BEP 3), though some may be on its way.
    ///
    /// # Errors
    /// When it chokes again and again and gives nothing.
    pub(super) fn choked(
        &mut self,
        peer: &mut Peer,
        pieces: &mut Pieces,
        actions: &mut Actions,
    ) -> Result<(), Why> {
        let pointless = !peer.download.choked()?;
        let dropped = peer.download.take_back_choked();
        self.release(peer.key, dropped, pieces, actions);
        peer.count_pointless(pointless)
    }

    /// A peer doesn't send a block within the torrent (BEP 6), which is given to others at once.
    ///
    /// # Errors
    /// When it rejects too often what it wasn't asked for.
    pub(super) fn rejected(
        &mut self,
        peer: &mut Peer,
        block: Block,
        pieces: &mut Pieces,
        actions: &mut Actions,
    ) -> Result<(), Why> {
        match peer.download.rejected(block) {
            Some(Arrival::Asked) if pieces.is_of_alone(block.piece, peer.key) => {
                let mut dropped = peer.download.take_back();
                dropped.push_back(block);
                self.release(peer.key, dropped, pieces, actions);
            }
            Some(Arrival::Asked) => {
                pieces.release(block);
                self.give_back(block);
                self.stirred = true;
            }
            Some(Arrival::Late) => {}
            None => return peer.count_pointless(true),
        }
        Ok(())
    }

    /// A block within the torrent has come.
    ///
    /// # Errors
    /// When the peer wasn't asked for it.
    pub(super) fn received(&mut self, peer: &mut Peer, block: Block, now: Duration) -> Result<(), Why> {
        let arrival = peer.download.received(block, now).ok_or(Why::Unrequested)?;
        if arrival == Arrival::Late
            && let Some(limit) = &self.limit
        {
            limit.take(block.length.into());
        }
        self.rate.add(u64::from(block.length));
        Ok(())
    }

    /// Cancels a block that has arrived at all other peers it was requested from (end-game).
    pub(super) fn cancel_elsewhere(
        &mut self,
        from: PeerKey,
        block: Block,
        peers: &mut Peers,
        actions: &mut Actions,
    ) {
        for peer in peers.iter_mut() {
            if peer.key != from && peer.download.cancel(block) {
                self.give_back(block);
                peer.out.push(&Message::Cancel(block));
                actions.wake(peer.key);
            }
        }
    }

    /// Takes requests back from peers that don't answer them (P-07).
    pub(super) fn look_for_silence(
        &mut self,
        peers: &mut Peers,
        pieces: &mut Pieces,
        actions: &mut Actions,
        now: Duration,
    ) {
        for peer in peers.iter_mut() {
            if !peer.download.is_silent(now) {
                continue;
            }
            for block in peer.download.asked() {
                peer.out.push(&Message::Cancel(block));
            }
            actions.wake(peer.key);
            let dropped = peer.download.take_back();
            self.release(peer.key, dropped, pieces, actions);
        }
    }

    /// A peer has left: what it was asked for won't come.
    pub(super) fn left(&mut self, peer: &Peer, pieces: &mut Pieces) {
        for block in peer.download.asked() {
            pieces.release(block);
            self.give_back(block);
        }
        self.stirred = true;
    }

    /// What a peer was asked for is given to others; the peer may still send it.
    fn release(
        &mut self,
        from: PeerKey,
        blocks: VecDeque<Block>,
        pieces: &mut Pieces,
        actions: &mut Actions,
    ) {
        for block in blocks {
            pieces.release(block);
            self.give_back(block);
        }
        pieces.abandon(from, actions);
        self.stirred = true;
    }

    /// A block that was asked for won't come.
    fn give_back(&mut self, block: Block) {
        if let Some(limit) = &self.limit {
            limit.give_back(block.length.into());
        }
    }

    /// Changes the limit.
    #[cfg(test)]
    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = Some(SharedLimit::new(limit));
    }
}
