//! What goes to one peer: whether it may ask, what it asks for, and what is on its way.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::queue;
use super::rate::Rate;
use crate::wire::extension::MAX_QUEUED_REQUESTS;
use crate::wire::message::{BLOCK, Block};

/// The requests of one peer, and our blocks.
#[derive(Debug)]
pub(super) struct PeerUpload {
    /// It wants something of ours.
    interested: bool,
    /// We don't let it ask.
    choked: bool,
    /// Requests that may still arrive after we choked it, because they were sent before it received that.
    crossing: usize,
    /// What it wants of us, in order.
    wants: VecDeque<Block>,
    /// Buffers of blocks for it that are being read or written.
    loading: usize,
    /// Bytes of blocks that were taken from the disk for it, or will be.
    granted: u64,
    /// Blocks that went to it.
    rate: Rate,
    /// Lives as long as the connection, so that the disk knows whether a block is still wanted.
    connected: Arc<()>,
}

/// Blocks that are read for a peer at a time.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) blocks: Vec<Block>,
    pub(super) bytes: u32,
    /// Dead when the peer has left.
    pub(super) connected: Weak<()>,
}

impl PeerUpload {
    /// We don't let the peer ask yet.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            interested: false,
            choked: true,
            crossing: 0,
            wants: VecDeque::new(),
            loading: 0,
            granted: 0,
            rate: Rate::new(now),
            connected: Arc::new(()),
        }
    }

    /// Time has passed: measures the speed.
    pub(super) fn tick(&mut self, now: Duration) {
        self.rate.tick(now);
    }

    /// Bytes of blocks that go in a second.
    pub(super) fn speed(&self) -> u64 {
        self.rate.per_second()
    }

    /// All bytes of blocks that went.
    pub(super) fn total(&self) -> u64 {
        self.rate.total()
    }

    /// Whether it wants something of ours.
    pub(super) fn is_interested(&self) -> bool {
        self.interested
    }

    /// It wants something of ours, or nothing any more. `false` if that is nothing new.
    pub(super) fn set_interested(&mut self, interested: bool) -> bool {
        std::mem::replace(&mut self.interested, interested) != interested
    }

    /// Whether we don't let it ask.
    pub(super) fn is_choked(&self) -> bool {
        self.choked
    }

    /// Lets it ask, or doesn't any more and drops what it asked for. `false` if that is nothing new.
    pub(super) fn set_choked(&mut self, choked: bool) -> bool {
        if choked == self.choked {
            return false;
        }
        self.choked = choked;
        if choked {
            self.wants.clear();
            self.crossing = MAX_QUEUED_REQUESTS;
        }
        true
    }

    /// It asks for a block, which may be here. `false` if it doesn't get it and should have known that.
    pub(super) fn request(&mut self, block: Block, is_here: bool) -> bool {
        if self.choked && self.crossing > 0 {
            self.crossing -= 1;
            return true;
        }
        let is_refused = self.choked || !is_here;
        if is_refused || self.wants.len() >= MAX_QUEUED_REQUESTS || self.wants.contains(&block) {
            return false;
        }
        self.wants.push_back(block);
        true
    }

    /// It takes a request back. `false` if there is none.
    pub(super) fn cancel(&mut self, block: Block) -> bool {
        queue::take(&mut self.wants, block)
    }

    /// These pieces are gone: what it asked for of them is dropped.
    pub(super) fn drop_pieces(&mut self, gone: &BTreeSet<u32>) {
        self.wants.retain(|block| !gone.contains(&block.piece));
    }

    /// Whether it asked for something and may have it read: one buffer is read while another is written.
    pub(super) fn may_load(&self) -> bool {
        self.loading < MAX_LOADING && !self.wants.is_empty()
    }

    /// Takes up to `most` of the blocks that it wants, as many as are read at a time.
    pub(super) fn load(&mut self, most: usize) -> Load {
        let mut bytes = 0;
        let mut blocks = Vec::new();
        while let Some(&block) = self.wants.front()
            && (blocks.is_empty() || bytes + block.length <= LOAD)
            && blocks.len() < most
        {
            bytes += block.length;
            blocks.push(block);
            self.wants.pop_front();
        }
        self.loading += 1;
        self.granted += u64::from(bytes);
        Load { blocks, bytes, connected: Arc::downgrade(&self.connected) }
    }

    /// So many bytes of blocks went.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.rate.add(bytes);
    }

    /// A buffer is through.
    pub(super) fn buffer_sent(&mut self) {
        self.loading = self.loading.saturating_sub(1);
    }

    /// Bytes of blocks that were or will be read for it and haven't gone.
    pub(super) fn unsent(&self) -> u64 {
        self.granted.saturating_sub(self.rate.total())
    }

    /// What it wants, in order.
    #[cfg(test)]
    pub(super) fn wants(&self) -> &VecDeque<Block> {
        &self.wants
    }

    /// How many buffers are on their way.
    #[cfg(test)]
    pub(super) fn loading(&self) -> usize {
        self.loading
    }
}

/// Bytes read for a peer at a time.
const LOAD: u32 = 16 * BLOCK;
/// Buffers per peer.
pub(super) const MAX_LOADING: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u32) -> Block {
        Block { piece: 0, begin: number * BLOCK, length: BLOCK }
    }

    #[test]
    fn sixteen_blocks_are_read_at_a_time_and_two_such_buffers() {
        let mut upload = PeerUpload::new(Duration::ZERO);
        assert!(upload.set_choked(false) && !upload.may_load());
        for number in 0..50 {
            assert!(upload.request(block(number), true) && !upload.request(block(number), true));
        }
        assert!(upload.cancel(block(0)) && !upload.cancel(block(0)));
        let load = upload.load(usize::MAX);
        assert_eq!((load.blocks[0], load.blocks.len(), load.bytes), (block(1), 16, 16 * BLOCK));
        assert_eq!(upload.load(3).blocks, [17, 18, 19].map(block));
        assert!(!upload.may_load());
        upload.sent(16 * u64::from(BLOCK));
        upload.buffer_sent();
        assert_eq!((upload.may_load(), upload.unsent()), (true, 3 * u64::from(BLOCK)));
        drop(upload);
        assert_eq!(load.connected.strong_count(), 0);
    }

    #[test]
    fn requests_that_cross_a_choke_are_forgiven() {
        let mut upload = PeerUpload::new(Duration::ZERO);
        assert!(!upload.request(block(0), true), "it was never let ask");
        upload.set_choked(false);
        assert!(!upload.request(block(0), false) && upload.request(block(0), true));
        assert!(upload.set_choked(true) && !upload.set_choked(true) && !upload.may_load());
        let forgiven = (0..3000).filter(|_| upload.request(block(0), true)).count();
        assert_eq!((forgiven, upload.may_load()), (MAX_QUEUED_REQUESTS, false));
    }
}
