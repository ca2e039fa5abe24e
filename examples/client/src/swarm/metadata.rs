//! Metadata for peers that have none (BEP 9), as much as one may reasonably need.

use std::sync::Arc;
use std::time::Duration;

use crate::wire::metadata::{MetadataMessage, PIECE};

/// What peers are given.
#[derive(Debug)]
pub(super) struct MetadataServer(Arc<[u8]>);

/// How many pieces a peer was sent of late.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowance {
    sent: usize,
    since: Duration,
}

/// An answer to a peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The body of the message.
    pub(super) body: Vec<u8>,
    /// Whether it is a refusal.
    pub(super) is_reject: bool,
}

impl MetadataServer {
    /// Gives these bytes.
    pub(super) fn new(metadata: Arc<[u8]>) -> Self {
        Self(metadata)
    }

    /// Answers a peer: with the piece, or with a refusal if there is none or it had two whole copies within
    /// [`WINDOW`]. `None` if it hasn't asked for anything.
    pub(super) fn answer(&self, allowance: &mut Allowance, body: &[u8], now: Duration) -> Option<Answer> {
        let Some(MetadataMessage::Request(piece)) = MetadataMessage::read(body) else { return None };
        let size = u32::try_from(self.0.len()).ok();
        let data = self.0.chunks(PIECE as usize).nth(usize::try_from(piece).unwrap_or(usize::MAX));
        if now.saturating_sub(allowance.since) >= WINDOW {
            *allowance = Allowance { sent: 0, since: now };
        }
        let is_allowed = allowance.sent < COPIES * self.0.len().div_ceil(PIECE as usize);
        let Some(data) = data.filter(|_| is_allowed) else {
            return Some(Answer { body: MetadataMessage::Reject(piece).write(), is_reject: true });
        };
        allowance.sent += 1;
        let body = MetadataMessage::Data { piece, total_size: size, data }.write();
        Some(Answer { body, is_reject: false })
    }
}

/// Whole copies that a peer gets within [`WINDOW`], which bounds what waits to be written to it.
const COPIES: usize = 2;
const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &MetadataServer, allowance: &mut Allowance, piece: u32, second: u64) -> Option<Answer> {
        server.answer(allowance, &MetadataMessage::Request(piece).write(), Duration::from_secs(second))
    }

    #[test]
    fn pieces_are_given_and_others_refused() {
        let metadata: Vec<u8> = (0..40_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let server = MetadataServer::new(metadata.clone().into());
        let mut allowance = Allowance::default();
        for (piece, range) in [(0, 0..16_384), (2, 32_768..40_000)] {
            let expected = MetadataMessage::Data { piece, total_size: Some(40_000), data: &metadata[range] };
            let answer = ask(&server, &mut allowance, piece, 0);
            assert_eq!(answer, Some(Answer { body: expected.write(), is_reject: false }));
        }
        for piece in [3, u32::MAX] {
            let body = MetadataMessage::Reject(piece).write();
            assert_eq!(ask(&server, &mut allowance, piece, 0), Some(Answer { body, is_reject: true }));
        }
        for other in [MetadataMessage::Reject(0).write(), b"x".to_vec(), vec![]] {
            assert_eq!(server.answer(&mut allowance, &other, Duration::ZERO), None);
        }
    }

    #[test]
    fn a_peer_gets_two_copies_a_minute() {
        let server = MetadataServer::new(vec![7; 40_000].into());
        let mut allowance = Allowance::default();
        let mut given = |second| {
            let answers = (0..100).filter_map(|n| ask(&server, &mut allowance, n % 3, second));
            answers.filter(|answer| !answer.is_reject).count()
        };
        assert_eq!((given(1), given(59), given(61), given(62)), (6, 0, 6, 0));
    }
}
