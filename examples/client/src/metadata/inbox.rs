//! What comes on a connection while the metadata is unknown: messages about it are taken, the others kept for the download.

use crate::torrent::MAX_PIECES;
use crate::wire::Why;
use crate::wire::extension::{UT_METADATA, UT_PEX};
use crate::wire::message::{Limits, Message, next_frame};

/// The bytes of one connection.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Whether the peer speaks the fast extension (BEP 6).
    fast: bool,
    /// Whole messages for the download.
    kept: Vec<u8>,
    /// The start of a message.
    rest: Vec<u8>,
}

impl Inbox {
    /// Nothing has come.
    pub(crate) fn new(fast: bool) -> Self {
        Self { fast, kept: Vec::new(), rest: Vec::new() }
    }

    /// Takes bytes, and passes on each message that matters now. Those that matter to the download are kept.
    ///
    /// # Errors
    /// When the peer breaks the protocol, sends more than is kept, or the message isn't accepted.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        mut accept: impl FnMut(Message<'_>) -> Result<(), Why>,
    ) -> Result<(), Why> {
        self.rest.extend_from_slice(bytes);
        let most = u32::try_from(MAX_PIECES).unwrap_or(u32::MAX);
        let limits = Limits::without_metadata(most);
        let mut at = 0;
        while let Some((message, length)) = next_frame(self.rest.get(at..).unwrap_or_default(), limits)? {
            let is_kept = match message {
                Message::KeepAlive | Message::Extended(UT_METADATA | UT_PEX, _) => false,
                // Nothing was asked for.
                Message::Piece { .. } => return Err(Why::Unrequested),
                _ if message.is_fast() && !self.fast => return Err(Why::FastViolation),
                _ => true,
            };
            accept(message)?;
            let end = at + length;
            if is_kept {
                self.kept.extend_from_slice(self.rest.get(at..end).unwrap_or_default());
                if self.kept.len() > MAX_KEPT {
                    return Err(Why::BadMessage);
                }
            }
            at = end;
        }
        self.rest.drain(..at);
        Ok(())
    }

    /// What the download has still to take.
    pub(crate) fn into_unread(mut self) -> Vec<u8> {
        self.kept.append(&mut self.rest);
        self.kept
    }
}

/// Bytes kept of a connection, 1 MiB: a bitfield of the largest torrent has a quarter of that.
const MAX_KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(messages: &[Message<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            message.write(&mut bytes);
        }
        bytes
    }

    /// However the bytes are cut.
    #[test]
    fn what_the_download_needs_is_kept_in_order() {
        let kept =
            [Message::Bitfield(&[0xf0]), Message::Extended(0, b"de"), Message::Have(5), Message::Unchoke];
        let [bitfield, handshake, have, unchoke] = kept;
        let metadata = Message::Extended(UT_METADATA, b"d8:msg_typei2e5:piecei0ee");
        let all = [
            bitfield,
            Message::KeepAlive,
            handshake,
            metadata,
            have,
            Message::Extended(UT_PEX, b"de"),
            unchoke,
        ];
        let all = bytes(&all);
        for chunk in 1..all.len() {
            let mut inbox = Inbox::new(false);
            let mut count = 0;
            for part in all.chunks(chunk) {
                let accept = |_: Message<'_>| {
                    count += 1;
                    Ok(())
                };
                inbox.take(part, accept).unwrap();
            }
            assert_eq!(count, 7);
            assert_eq!(inbox.into_unread(), bytes(&kept), "{chunk} bytes at a time");
        }
    }

    #[test]
    fn half_a_message_is_kept_too() {
        let all = bytes(&[Message::Have(1), Message::Have(2)]);
        let mut inbox = Inbox::new(false);
        inbox.take(&all[..13], |_| Ok(())).unwrap();
        assert_eq!(inbox.into_unread(), all[..13]);
    }

    #[test]
    fn nothing_is_kept_without_bound() {
        let have = bytes(&[Message::Have(1)]);
        let mut inbox = Inbox::new(false);
        let refused = (0..1_000_000).find_map(|_| inbox.take(&have, |_| Ok(())).err());
        assert_eq!(refused, Some(Why::BadMessage));
        assert!(inbox.kept.len() <= MAX_KEPT + have.len());
        let rows: [(&[u8], Why); 3] = [
            (&[0xff, 0xff, 0xff, 0xff], Why::Oversize),
            (&[0, 0, 0, 1, 14], Why::FastViolation),
            (&[0, 0, 0, 9, 7, 0, 0, 0, 0, 0, 0, 0, 0], Why::Unrequested),
        ];
        for (bytes, why) in rows {
            assert_eq!(Inbox::new(false).take(bytes, |_| Ok(())), Err(why));
        }
    }
}
