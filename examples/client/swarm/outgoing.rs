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

/// A buffer of blocks that has been written out.
#[derive(Debug)]
pub(crate) struct Sent {
    /// To be used again.
    pub(crate) buffer: Vec<u8>,
    /// Bytes of blocks that were in it.
    pub(crate) payload: u64,
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

    /// So many bytes of [`front`](Self::front) were written; gives a buffer of blocks that is through.
    pub(crate) fn advance(&mut self, bytes: usize) -> Option<Sent> {
        self.written += bytes;
        if !self.front().is_empty() {
            return None;
        }
        self.written = 0;
        match self.chunks.pop_front()? {
            Chunk::Control(bytes) => {
                self.control -= bytes.len();
                None
            }
            Chunk::Data(buffer, payload) => Some(Sent { buffer, payload }),
        }
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
        assert!(out.advance(10).is_none());
        assert_eq!(out.front().len(), 4);
        assert!(out.advance(4).is_none());
        assert_eq!(out.front(), [7; 20]);
        let sent = out.advance(20).unwrap();
        assert_eq!((sent.buffer.len(), sent.payload), (20, 7));
        assert!(!out.is_empty());
        assert!(out.advance(5).is_none() && out.is_empty() && out.front().is_empty());
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
