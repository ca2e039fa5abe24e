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
    /// The pieces that it may ask for though we choke it (BEP 6), and how many bytes of them.
    allowed: BTreeSet<u32>,
    allowance: u32,
    /// Lives as long as the connection, so that the disk knows whether a block is still wanted.
    connected: Arc<()>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The block goes when its turn has come.
    Queued,
    /// It doesn't go: the request was sent before our choke had arrived.
    Crossed,
    /// It doesn't go, and the peer should have known that.
    Refused,
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
            allowed: BTreeSet::new(),
            allowance: ALLOWANCE,
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

    /// Lets it ask, or doesn't any more and drops what it asked for, which is given. `None` if that is nothing new.
    pub(super) fn set_choked(&mut self, choked: bool) -> Option<VecDeque<Block>> {
        if choked == self.choked {
            return None;
        }
        self.choked = choked;
        if !choked {
            return Some(VecDeque::new());
        }
        self.crossing = MAX_QUEUED_REQUESTS;
        Some(std::mem::take(&mut self.wants))
    }

    /// It may ask for these pieces though we choke it.
    pub(super) fn allow(&mut self, pieces: BTreeSet<u32>) {
        self.allowed = pieces;
    }

    /// It asks for a block, which may be here.
    pub(super) fn request(&mut self, block: Block, is_here: bool) -> Answer {
        let has_room = self.wants.len() < MAX_QUEUED_REQUESTS && !self.wants.contains(&block);
        let is_free = self.choked && self.allowed.contains(&block.piece) && self.allowance >= block.length;
        if is_here && has_room && (is_free || !self.choked) {
            if is_free {
                self.allowance -= block.length;
            }
            self.wants.push_back(block);
            return Answer::Queued;
        }
        if self.choked && self.crossing > 0 {
            self.crossing -= 1;
            return Answer::Crossed;
        }
        Answer::Refused
    }

    /// It takes a request back. `false` if there is none.
    pub(super) fn cancel(&mut self, block: Block) -> bool {
        queue::take(&mut self.wants, block)
    }

    /// These pieces are gone: what it asked for of them is dropped, and given.
    pub(super) fn drop_pieces(&mut self, gone: &BTreeSet<u32>) -> VecDeque<Block> {
        let (dropped, wants) = self.wants.iter().partition(|block| gone.contains(&block.piece));
        self.wants = wants;
        dropped
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

/// Bytes that a peer may have while we choke it (BEP 6), 4 MiB: its first pieces, if they aren't large. One that comes again and
/// again gets the same pieces.
const ALLOWANCE: u32 = 4 << 20;
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
        assert!(upload.set_choked(false).is_some() && !upload.may_load());
        for number in 0..50 {
            let answers = [1, 2].map(|_| upload.request(block(number), true));
            assert_eq!(answers, [Answer::Queued, Answer::Refused]);
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
        assert_eq!(upload.request(block(0), true), Answer::Refused, "it was never let ask");
        upload.set_choked(false);
        assert_eq!(
            [false, true].map(|is_here| upload.request(block(0), is_here)),
            [Answer::Refused, Answer::Queued]
        );
        assert_eq!(upload.set_choked(true), Some([block(0)].into()));
        assert!(upload.set_choked(true).is_none() && !upload.may_load());
        let forgiven = (0..3000).filter(|_| upload.request(block(0), true) == Answer::Crossed).count();
        assert_eq!((forgiven, upload.may_load()), (MAX_QUEUED_REQUESTS, false));
    }

    #[test]
    fn what_is_allowed_goes_to_a_choked_peer_up_to_a_bound() {
        let mut upload = PeerUpload::new(Duration::ZERO);
        upload.allow([0].into());
        assert_eq!(upload.request(Block { piece: 1, ..block(0) }, true), Answer::Refused);
        assert_eq!(upload.request(block(0), false), Answer::Refused, "it isn't here");
        let given = (0..1000).filter(|&number| upload.request(block(number), true) == Answer::Queued).count();
        assert_eq!(given, (ALLOWANCE / BLOCK) as usize);
        assert!(upload.may_load());
        // Let ask, it has no such bound.
        upload.set_choked(false);
        assert_eq!(upload.request(block(2000), true), Answer::Queued);
    }
}
