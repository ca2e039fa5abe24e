//! Giving blocks to peers.
//!
//! What the disk has to read is bounded for each peer and in all. It is counted until the disk has answered, not until
//! the peer has left, or peers that ask and hang up would pile up work.

use std::time::Duration;

use rand::Rng;

use super::PeerKey;
use super::actions::{Action, Actions};
use super::choker::{Candidate, Choker};
use super::pace::Round;
use super::peer::Peer;
use super::peer_upload::{Answer, Load, MAX_LOADING};
use super::peers::{MAX_PEERS, Peers};
use super::pieces::Pieces;
use super::rate::Rate;
use super::shared_limit::SharedLimit;
use crate::wire::Why;
use crate::wire::message::{Block, MAX_REQUEST, Message};

/// What goes out to all peers as blocks.
#[derive(Debug)]
pub(super) struct Uploads {
    choker: Choker,
    /// A slot may have become free, or a peer needs one.
    judge_now: bool,
    /// How fast blocks may go.
    limit: Option<SharedLimit>,
    rate: Rate,
    /// Buffers that the disk has been asked to fill and hasn't given back, those for peers that have left among them.
    loads: usize,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
}

impl Uploads {
    /// Nothing was given. At most so many bytes a second go; `None` for any number.
    pub(super) fn new(limit: Option<SharedLimit>) -> Self {
        Self {
            choker: Choker::default(),
            judge_now: false,
            limit,
            rate: Rate::default(),
            loads: 0,
            spare: Vec::new(),
        }
    }

    /// Whether there is a limit, so that [`pace`](Self::pace) is to be called often.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Bytes of blocks that go in a second.
    pub(super) fn speed(&self) -> u64 {
        self.rate.per_second()
    }

    /// All bytes of blocks that went.
    pub(super) fn total(&self) -> u64 {
        self.rate.total()
    }

    /// Measures the speed.
    pub(super) fn tick(&mut self, now: Duration) {
        self.rate.tick(now);
    }

    /// A peer wants something of ours, or doesn't any more.
    ///
    /// # Errors
    /// When it has said so too often.
    pub(super) fn interested(&mut self, peer: &mut Peer, interested: bool) -> Result<(), Why> {
        let is_new = peer.upload.set_interested(interested);
        self.judge_now |= is_new;
        peer.count_pointless(!is_new)
    }

    /// A peer asks for a block.
    ///
    /// # Errors
    /// When there is no such block, or it asks too often for what it doesn't get.
    pub(super) fn requested(
        peer: &mut Peer,
        block: Block,
        pieces: &Pieces,
        actions: &mut Actions,
    ) -> Result<(), Why> {
        if !pieces.contains(block) || block.length > MAX_REQUEST {
            return Err(Why::OutOfRange);
        }
        let answer = peer.upload.request(block, pieces.have().get(block.piece));
        if answer != Answer::Queued {
            peer.reject(block, actions);
        }
        peer.count_pointless(answer == Answer::Refused)
    }

    /// A peer takes a request back.
    ///
    /// # Errors
    /// When there is no such block, or it takes back too often what it hasn't asked for.
    pub(super) fn cancelled(
        peer: &mut Peer,
        block: Block,
        pieces: &Pieces,
        actions: &mut Actions,
    ) -> Result<(), Why> {
        if !pieces.contains(block) {
            return Err(Why::OutOfRange);
        }
        let is_dropped = peer.upload.cancel(block);
        if is_dropped {
            peer.reject(block, actions);
        }
        peer.count_pointless(!is_dropped)
    }

    /// Has the next blocks for a peer read, so that one buffer is read while another is written to it. Under a limit
    /// it may have its share of what [`pace`](Self::pace) left over.
    pub(super) fn load(&mut self, key: PeerKey, peers: &mut Peers, actions: &mut Actions) {
        let most = self.limit.as_ref().map_or(usize::MAX, |limit| limit.share(peers.len()));
        if let Some(peer) = peers.get_mut(key) {
            self.load_up_to(peer, most, actions);
        }
    }

    /// Gives as much as the limit allows by now.
    pub(super) fn pace(
        &mut self,
        turn: &mut PeerKey,
        peers: &mut Peers,
        actions: &mut Actions,
        now: Duration,
    ) {
        let Some(limit) = &self.limit else { return };
        limit.tick(peers.iter().any(|peer| peer.upload.may_load()), now);
        let keys = peers.keys_after(*turn);
        let mut round = Round::new(turn, keys);
        while let Some((key, share)) = round.next(self.limit.as_ref().map_or(0, SharedLimit::blocks)) {
            let given = peers.get_mut(key).map_or(0, |peer| self.load_up_to(peer, share, actions));
            round.served(key, given);
        }
    }

    /// Has up to `most` blocks for a peer read; gives how many it were.
    fn load_up_to(&mut self, peer: &mut Peer, most: usize, actions: &mut Actions) -> usize {
        let mut count = 0;
        while self.loads < MAX_LOADS && count < most && peer.upload.may_load() {
            let Load { blocks, bytes, connected } = peer.upload.load(most - count);
            count += blocks.len();
            if let Some(limit) = &self.limit {
                limit.take(bytes.into());
            }
            self.loads += 1;
            let buffer = self.spare.pop().unwrap_or_default();
            actions.push(Action::Load { peer: peer.key, connected, blocks, buffer });
        }
        count
    }

    /// Blocks for a peer have been read, framed as messages; `None` when they can't be read.
    pub(super) fn loaded(
        &mut self,
        key: PeerKey,
        messages: Option<Vec<u8>>,
        payload: u64,
        peers: &mut Peers,
        actions: &mut Actions,
    ) {
        let was_full = self.loads >= MAX_LOADS;
        self.loads = self.loads.saturating_sub(1);
        match (peers.get_mut(key), messages) {
            (Some(peer), Some(messages)) => {
                peer.out.push_data(messages, payload);
                actions.wake(key);
            }
            // What it wants is gone: the file was taken away under us.
            (Some(_), None) => actions.close(key, Why::Io),
            (None, Some(buffer)) => self.keep_buffer(buffer),
            (None, None) => {}
        }
        if was_full {
            // Other peers may have had to wait: the one after this peer continues first.
            for waiting in peers.keys_after(key) {
                self.load(waiting, peers, actions);
            }
        }
    }

    /// So many bytes were written to a peer.
    pub(super) fn written(
        &mut self,
        key: PeerKey,
        bytes: usize,
        peers: &mut Peers,
        actions: &mut Actions,
        now: Duration,
    ) {
        let Some(peer) = peers.get_mut(key) else { return };
        peer.spoke = now;
        let sent = peer.out.advance(bytes);
        peer.upload.sent(sent.payload);
        self.rate.add(sent.payload);
        let Some(buffer) = sent.buffer else { return };
        peer.upload.buffer_sent();
        self.keep_buffer(buffer);
        self.load(key, peers, actions);
    }

    /// A peer has left: what was read for it doesn't go.
    pub(super) fn left(&mut self, peer: &Peer) {
        if let Some(limit) = &self.limit {
            limit.give_back(peer.upload.unsent());
        }
        self.judge_now = true;
    }

    /// Whether a slot may have become free, or a peer needs one.
    pub(super) fn may_judge(&self) -> bool {
        self.judge_now
    }

    /// Decides who may ask for blocks, when it is time or something has changed. Once we have everything, those are
    /// preferred that receive fastest.
    pub(super) fn judge(
        &mut self,
        peers: &mut Peers,
        is_complete: bool,
        rng: &mut impl Rng,
        actions: &mut Actions,
        now: Duration,
    ) {
        self.judge_now = false;
        let candidate = |peer: &Peer| Candidate {
            key: peer.key,
            interested: peer.upload.is_interested(),
            unchoked: !peer.upload.is_choked(),
            speed: if is_complete { peer.upload.speed() } else { peer.download.speed() },
        };
        let candidates: Vec<Candidate> = peers.iter().map(candidate).collect();
        let Some(chosen) = self.choker.decide(now, &candidates, rng) else { return };
        for peer in peers.iter_mut() {
            let choked = !chosen.contains(&peer.key);
            let Some(dropped) = peer.upload.set_choked(choked) else { continue };
            peer.out.push(if choked { &Message::Choke } else { &Message::Unchoke });
            for block in dropped {
                peer.reject(block, actions);
            }
            actions.wake(peer.key);
        }
    }

    fn keep_buffer(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(buffer);
        }
    }

    /// Buffers that the disk has been asked to fill.
    #[cfg(test)]
    pub(super) fn loads(&self) -> usize {
        self.loads
    }

    /// Changes the limit.
    #[cfg(test)]
    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = Some(SharedLimit::new(limit));
    }
}

/// Buffers that the disk has to fill, whether their peers are still here or not.
pub(super) const MAX_LOADS: usize = MAX_LOADING * MAX_PEERS;
const MAX_SPARE: usize = 8;
