//! Queues of blocks.

use std::collections::VecDeque;

use crate::wire::message::Block;

/// Takes a block out of a queue; answers mostly come in order, so it is mostly the first.
pub(super) fn take(queue: &mut VecDeque<Block>, block: Block) -> bool {
    let found = queue.iter().position(|&other| other == block);
    found.is_some_and(|at| queue.remove(at).is_some())
}
