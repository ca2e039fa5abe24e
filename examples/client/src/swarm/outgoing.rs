//! What waits to be written to a peer: small messages joined into one write, and blocks as the disk gave them.

use std::collections::VecDeque;

use crate::wire::message::Message;

/// The queue of one peer.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that were written already.
    written: usize,
    /// Bytes of the first chunk that are encrypted already, on connections that are.
    encrypted: usize,
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

    /// The same on an encrypted connection: what isn't encrypted yet goes through the cipher, in place.
    pub(crate) fn front_through(&mut self, mut cipher: impl FnMut(&mut [u8])) -> &[u8] {
        if let Some(Chunk::Control(bytes) | Chunk::Data(bytes, _)) = self.chunks.front_mut() {
            cipher(bytes.get_mut(self.encrypted..).unwrap_or_default());
            self.encrypted = bytes.len();
        }
        self.front()
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
        (self.written, self.encrypted) = (0, 0);
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

    /// However little is written at a time, and though messages are added to what is encrypted already.
    #[test]
    fn each_byte_is_encrypted_once_and_in_order() {
        let mut messages = Vec::new();
        for message in [Message::Choke, Message::Have(1), Message::Unchoke, Message::Have(2)] {
            message.write(&mut messages);
        }
        for step in 1..messages.len() {
            let (mut out, mut place, mut sent) = (Outgoing::default(), 0_u8, Vec::new());
            let mut count = |bytes: &mut [u8]| {
                for byte in bytes {
                    *byte ^= place;
                    place += 1;
                }
            };
            let mut later = [Message::Choke, Message::Have(1), Message::Unchoke, Message::Have(2)].iter();
            let mut has_data = false;
            loop {
                if let Some(message) = later.next() {
                    out.push(message);
                } else if !has_data {
                    out.push_data(vec![7; 20], 7);
                    has_data = true;
                }
                let front = out.front_through(&mut count);
                let taken = front.len().min(step);
                if taken == 0 {
                    break;
                }
                sent.extend_from_slice(&front[..taken]);
                out.advance(taken);
            }
            let clear: Vec<u8> = (0..).zip(&sent).map(|(place, byte)| byte ^ place).collect();
            assert_eq!(clear, [&messages[..], &[7; 20]].concat(), "{step} bytes at a time");
        }
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
