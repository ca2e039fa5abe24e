//! Giving blocks to peers.
//!
//! What the disk has to read is bounded for each peer and in all. It is counted until the disk has answered, not until
//! the peer has left, or peers that ask and hang up would pile up work.

use std::sync::Arc;
use std::time::Duration;

use super::PeerKey;
use super::choker::Candidate;
use super::session::{Action, MAX_PEERS, Session};
use crate::wire::Why;
use crate::wire::extension::MAX_QUEUED_REQUESTS;
use crate::wire::message::{BLOCK, Block, MAX_REQUEST, Message};

impl Session {
    /// A peer asks for a block.
    pub(super) fn requested(&mut self, key: PeerKey, block: Block) -> Result<(), Why> {
        if !self.picker.contains(block) || block.length > MAX_REQUEST {
            return Err(Why::OutOfRange);
        }
        let here = self.have.get(block.piece);
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        if peer.choked && peer.crossing > 0 {
            peer.crossing -= 1;
            return Ok(());
        }
        if peer.choked || !here {
            return self.count_pointless(key, true);
        }
        if peer.wants.len() >= MAX_QUEUED_REQUESTS || peer.wants.contains(&block) {
            return self.count_pointless(key, true);
        }
        peer.wants.push_back(block);
        Ok(())
    }

    /// A peer takes a request back.
    pub(super) fn cancelled(&mut self, key: PeerKey, block: Block) -> Result<(), Why> {
        if !self.picker.contains(block) {
            return Err(Why::OutOfRange);
        }
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        let pointless = !super::peer::take(&mut peer.wants, block);
        self.count_pointless(key, pointless)
    }

    /// Has the next blocks for a peer read, so that one buffer is read while another is written to it. Under a limit
    /// it may have its share of what [`pace`](Self::pace) left over.
    pub(super) fn load(&mut self, key: PeerKey) {
        let most = self.up_limit.map_or(usize::MAX, |limit| limit.blocks() / self.peers.len().max(1));
        self.load_up_to(key, most);
    }

    /// Has up to `most` blocks for a peer read; gives how many it were.
    pub(super) fn load_up_to(&mut self, key: PeerKey, most: usize) -> usize {
        let Some(peer) = self.peers.get_mut(&key) else { return 0 };
        let mut count = 0;
        while peer.loading < MAX_LOADING && self.loads < MAX_LOADS && !peer.wants.is_empty() && count < most {
            let mut bytes = 0;
            let mut blocks = Vec::new();
            while let Some(&block) = peer.wants.front()
                && (blocks.is_empty() || bytes + block.length <= LOAD)
                && count < most
            {
                count += 1;
                if let Some(limit) = &mut self.up_limit {
                    limit.take(block.length.into());
                }
                bytes += block.length;
                blocks.push(block);
                peer.wants.pop_front();
            }
            peer.loading += 1;
            peer.granted += u64::from(bytes);
            self.loads += 1;
            let (connected, buffer) = (Arc::downgrade(&peer.connected), self.spare_loads.pop());
            let buffer = buffer.unwrap_or_default();
            self.actions.push(Action::Load { peer: key, connected, blocks, buffer });
        }
        count
    }

    /// Blocks for a peer have been read, framed as messages; `None` when they can't be read.
    pub(crate) fn loaded(&mut self, key: PeerKey, messages: Option<Vec<u8>>, payload: u64) {
        let was_full = self.loads >= MAX_LOADS;
        self.loads = self.loads.saturating_sub(1);
        match (self.peers.get_mut(&key), messages) {
            (Some(peer), Some(messages)) => {
                peer.out.push_data(messages, payload);
                self.wakes.insert(key);
            }
            // What it wants is gone: the file was taken away under us.
            (Some(_), None) => self.actions.push(Action::Close(key, Why::Io)),
            (None, Some(buffer)) => self.keep_buffer(buffer),
            (None, None) => {}
        }
        if was_full {
            // Other peers may have had to wait: the one after this peer continues first.
            for waiting in self.keys_after(key) {
                self.load(waiting);
            }
        }
    }

    fn keep_buffer(&mut self, buffer: Vec<u8>) {
        if self.spare_loads.len() < MAX_SPARE_LOADS {
            self.spare_loads.push(buffer);
        }
    }

    /// So many bytes were written to a peer.
    pub(crate) fn written(&mut self, key: PeerKey, bytes: usize, now: Duration) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.spoke = now;
        let sent = peer.out.advance(bytes);
        peer.up.add(sent.payload);
        self.up.add(sent.payload);
        let Some(buffer) = sent.buffer else { return };
        peer.loading = peer.loading.saturating_sub(1);
        self.keep_buffer(buffer);
        self.load(key);
    }

    /// Decides who may ask for blocks, when it is time or something has changed.
    pub(super) fn judge(&mut self, now: Duration) {
        self.judge_now = false;
        let complete = self.is_complete();
        let candidates: Vec<Candidate> = self
            .peers
            .iter()
            .map(|(&key, peer)| Candidate {
                key,
                interested: peer.interested,
                unchoked: !peer.choked,
                speed: if complete { peer.up.per_second() } else { peer.down.per_second() },
            })
            .collect();
        let Some(chosen) = self.choker.decide(now, &candidates, &mut self.rng) else { return };
        for (&key, peer) in &mut self.peers {
            let choked = !chosen.contains(&key);
            if choked == peer.choked {
                continue;
            }
            peer.choked = choked;
            if choked {
                peer.wants.clear();
                peer.crossing = MAX_QUEUED_REQUESTS;
            }
            peer.out.push(if choked { &Message::Choke } else { &Message::Unchoke });
            self.wakes.insert(key);
        }
    }
}

/// Bytes read for a peer at a time.
const LOAD: u32 = 16 * BLOCK;
/// Buffers per peer.
const MAX_LOADING: usize = 2;
/// Buffers that the disk has to fill, whether their peers are still here or not.
pub(super) const MAX_LOADS: usize = MAX_LOADING * MAX_PEERS;
const MAX_SPARE_LOADS: usize = 8;
