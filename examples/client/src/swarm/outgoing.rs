//! What waits to be written to a peer: small messages joined into one write, and blocks as the disk gave them.

use std::collections::VecDeque;

use crate::wire::message::Message;

/// The queue of one peer.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that were written already.
    written: usize,
    control: usize,
}

#[derive(Debug)]
enum Chunk {
    Control(Vec<u8>),
    /// Whole `piece` messages, and how many bytes of blocks are in them.
    Data(Vec<u8>, u64),
}

/// What has been written out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Bytes of blocks among it.
    pub(crate) payload: u64,
    /// A buffer of blocks that is through, to be used again.
    pub(crate) buffer: Option<Vec<u8>>,
}

impl Outgoing {
    /// Queues a message.
    pub(crate) fn push(&mut self, message: &Message<'_>) {
        if !matches!(self.chunks.back(), Some(Chunk::Control(_))) {
            self.chunks.push_back(Chunk::Control(Vec::new()));
        }
        if let Some(Chunk::Control(bytes)) = self.chunks.back_mut() {
            let before = bytes.len();
            message.write(bytes);
            self.control += bytes.len() - before;
        }
    }

    /// Queues blocks that are framed already.
    pub(crate) fn push_data(&mut self, messages: Vec<u8>, payload: u64) {
        self.chunks.push_back(Chunk::Data(messages, payload));
    }

    /// What is to be written next; empty when there is nothing.
    pub(crate) fn front(&self) -> &[u8] {
        match self.chunks.front() {
            Some(Chunk::Control(bytes) | Chunk::Data(bytes, _)) => {
                bytes.get(self.written..).unwrap_or_default()
            }
            None => &[],
        }
    }

    /// So many bytes of [`front`](Self::front) were written. Of a buffer of blocks that is not through the blocks
    /// count by the share that is.
    pub(crate) fn advance(&mut self, bytes: usize) -> Sent {
        let before = self.written;
        self.written += bytes;
        let mut sent = Sent::default();
        if let Some(Chunk::Data(buffer, payload)) = self.chunks.front() {
            let until = |written: usize| *payload * written as u64 / buffer.len().max(1) as u64;
            sent.payload = until(self.written.min(buffer.len())) - until(before);
        }
        if !self.front().is_empty() {
            return sent;
        }
        self.written = 0;
        match self.chunks.pop_front() {
            Some(Chunk::Control(bytes)) => self.control -= bytes.len(),
            Some(Chunk::Data(buffer, _)) => sent.buffer = Some(buffer),
            None => {}
        }
        sent
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether a peer that reads nothing has let too many messages pile up (P-15).
    pub(crate) fn is_stuck(&self) -> bool {
        self.control > MAX_CONTROL
    }
}

/// A `have` for each of 100 000 pieces fits.
const MAX_CONTROL: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_joined_and_blocks_kept_apart() {
        let mut out = Outgoing::default();
        out.push(&Message::Choke);
        out.push(&Message::Have(1));
        out.push_data(vec![7; 20], 7);
        out.push(&Message::Unchoke);
        assert_eq!(out.front().len(), 14);
        assert_eq!(out.advance(10), Sent::default());
        assert_eq!(out.front().len(), 4);
        assert_eq!(out.advance(4), Sent::default());
        assert_eq!(out.front(), [7; 20]);
        let payloads: Vec<u64> = [1, 8, 2].map(|bytes| out.advance(bytes).payload).into();
        assert_eq!(payloads, [0, 3, 0], "7 bytes of blocks by their share of 20");
        assert_eq!(out.advance(9), Sent { payload: 4, buffer: Some(vec![7; 20]) });
        assert!(!out.is_empty());
        assert_eq!(out.advance(5), Sent::default());
        assert!(out.is_empty() && out.front().is_empty());
    }

    /// P-15.
    #[test]
    fn a_peer_that_never_reads_is_noticed() {
        let mut out = Outgoing::default();
        (0..100_000).for_each(|piece| out.push(&Message::Have(piece)));
        assert!(!out.is_stuck());
        (0..100_000).for_each(|piece| out.push(&Message::Have(piece)));
        assert!(out.is_stuck());
    }
}
