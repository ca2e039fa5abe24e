//! The requests that a peer may still answer, though the blocks aren't needed of it any more.
//!
//! A peer that chokes drops what it was asked for (BEP 3), or answers it all the same; a cancel may come too late. Such
//! blocks are no violation, however often a peer chokes and is asked for the same again.

use std::collections::{BTreeMap, VecDeque};

use crate::wire::message::Block;

/// The requests of one peer that were given back.
#[derive(Debug, Default)]
pub(crate) struct LateBlocks {
    /// How often each was asked for and given back.
    times: BTreeMap<Block, u32>,
    /// The same blocks, the first given back first.
    order: VecDeque<Block>,
}

impl LateBlocks {
    /// Remembers a request that was given back. Where there are too many, the oldest block is forgotten.
    pub(crate) fn expect(&mut self, block: Block) {
        let times = self.times.entry(block).or_default();
        *times = times.saturating_add(1);
        if *times > 1 {
            return;
        }
        self.order.push_back(block);
        if self.order.len() > MAX_BLOCKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.times.remove(&oldest);
        }
    }

    /// Whether a block that came answers such a request, which is over then.
    pub(crate) fn take(&mut self, block: Block) -> bool {
        let Some(times) = self.times.get_mut(&block) else { return false };
        *times -= 1;
        if *times == 0 {
            self.times.remove(&block);
            self.order.retain(|other| *other != block);
        }
        true
    }
}

/// Four times as many as can be outstanding.
const MAX_BLOCKS: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(piece: u32) -> Block {
        Block { piece, begin: 0, length: 1 }
    }

    #[test]
    fn each_request_is_answered_once() {
        let mut late = LateBlocks::default();
        for _ in 0..3 {
            late.expect(block(1));
        }
        late.expect(block(2));
        assert_eq!(
            [1, 2, 1, 1, 1, 2].map(|piece| late.take(block(piece))),
            [true, true, true, true, false, false]
        );
        assert!(late.times.is_empty() && late.order.is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let mut late = LateBlocks::default();
        (0..10_000).for_each(|piece| late.expect(block(piece)));
        assert_eq!((late.times.len(), late.order.len()), (MAX_BLOCKS, MAX_BLOCKS));
        assert!(!late.take(block(0)) && late.take(block(9999)));
    }
}
