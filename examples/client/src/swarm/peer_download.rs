//! What comes from one peer: whether it lets us ask, what it was asked for, and how fast it is.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::late::LateBlocks;
use super::queue;
use super::rate::Rate;
use super::window::Window;
use crate::wire::Why;
use crate::wire::message::Block;

/// Our requests to one peer, and its blocks.
#[derive(Debug)]
pub(super) struct PeerDownload {
    /// It doesn't let us ask.
    choking: bool,
    /// It has been silent with our requests, and gets one at a time until it answers.
    snubbed: bool,
    /// What it was asked for, in order.
    asked: VecDeque<Block>,
    /// The requests that it may still answer, though the blocks aren't needed any more: after a cancel, a choke or a time-out.
    late: LateBlocks,
    /// How much it may be asked for at a time.
    window: Window,
    /// Blocks that came from it.
    rate: Rate,
    /// Since when it owes us a block.
    waiting_since: Duration,
    /// Times it choked us without a block between, of late.
    chokes: u32,
    /// The pieces that it may be asked for though it chokes (BEP 6).
    allowed: BTreeSet<u32>,
    /// It has refused what it was asked for since the last tick, and is asked for nothing until the next one.
    refusing: bool,
}

/// How a block came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It was asked for.
    Asked,
    /// Its request had been given back, and was answered all the same.
    Late,
}

impl PeerDownload {
    /// The peer doesn't let us ask yet.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            choking: true,
            snubbed: false,
            asked: VecDeque::new(),
            late: LateBlocks::default(),
            window: Window::new(now),
            rate: Rate::new(now),
            waiting_since: now,
            chokes: 0,
            allowed: BTreeSet::new(),
            refusing: false,
        }
    }

    /// Time has passed: measures the speed, and forgives a choke.
    pub(super) fn tick(&mut self, now: Duration) {
        self.rate.tick(now);
        self.window.tick(now, self.rate.per_second());
        self.chokes = self.chokes.saturating_sub(1);
        self.refusing = false;
    }

    /// Bytes of blocks that come in a second.
    pub(super) fn speed(&self) -> u64 {
        self.rate.per_second()
    }

    /// All bytes of blocks that came.
    pub(super) fn total(&self) -> u64 {
        self.rate.total()
    }

    /// Whether it has been silent with our requests.
    pub(super) fn is_snubbed(&self) -> bool {
        self.snubbed
    }

    /// Takes the length of the peer's own queue (`reqq`, BEP 10).
    pub(super) fn set_reqq(&mut self, reqq: u32) {
        self.window.set_reqq(reqq);
    }

    /// How many more blocks it may be asked for.
    pub(super) fn room(&self) -> usize {
        if self.refusing || (self.choking && self.allowed.is_empty()) {
            return 0;
        }
        let window = if self.snubbed { 1 } else { self.window.size() };
        window.saturating_sub(self.asked.len())
    }

    /// The only pieces that it may be asked for, while it chokes.
    pub(super) fn limited_to(&self) -> Option<&BTreeSet<u32>> {
        self.choking.then_some(&self.allowed)
    }

    /// It may be asked for a piece though it chokes. `false` if that is nothing new, or one too many.
    pub(super) fn allow(&mut self, piece: u32) -> bool {
        self.allowed.len() < MAX_ALLOWED && self.allowed.insert(piece)
    }

    /// Whether it was asked for a block.
    pub(super) fn is_asked(&self, block: Block) -> bool {
        self.asked.contains(&block)
    }

    /// What it was asked for, in order.
    pub(super) fn asked(&self) -> impl Iterator<Item = Block> {
        self.asked.iter().copied()
    }

    /// It is asked for a block.
    pub(super) fn ask(&mut self, block: Block, now: Duration) {
        if self.asked.is_empty() {
            self.waiting_since = now;
        }
        self.asked.push_back(block);
    }

    /// It lets us ask. `false` if it did already.
    pub(super) fn unchoked(&mut self, now: Duration) -> bool {
        self.waiting_since = now;
        std::mem::replace(&mut self.choking, false)
    }

    /// It doesn't let us ask any more. `false` if it didn't before.
    ///
    /// # Errors
    /// When it has done so too often without a block between.
    pub(super) fn choked(&mut self) -> Result<bool, Why> {
        let was_choking = std::mem::replace(&mut self.choking, true);
        self.chokes += 1;
        if self.chokes > MAX_CHOKES { Err(Why::BadMessage) } else { Ok(!was_choking) }
    }

    /// A block came; `None` if it wasn't asked for.
    pub(super) fn received(&mut self, block: Block, now: Duration) -> Option<Arrival> {
        let arrival = if queue::take(&mut self.asked, block) {
            Arrival::Asked
        } else if self.late.take(block) {
            Arrival::Late
        } else {
            return None;
        };
        self.rate.add(u64::from(block.length));
        self.window.received();
        self.waiting_since = now;
        self.snubbed = false;
        self.chokes = 0;
        Some(arrival)
    }

    /// It doesn't send a block (BEP 6); `None` if it wasn't asked for it. It may be that it chokes in a moment, so it
    /// isn't asked for the same again at once.
    pub(super) fn rejected(&mut self, block: Block) -> Option<Arrival> {
        if queue::take(&mut self.asked, block) {
            self.refusing = true;
            self.allowed.remove(&block.piece);
            Some(Arrival::Asked)
        } else {
            self.late.take(block).then_some(Arrival::Late)
        }
    }

    /// A block isn't needed of it any more. `false` if it wasn't asked for it.
    pub(super) fn cancel(&mut self, block: Block) -> bool {
        let was_asked = queue::take(&mut self.asked, block);
        if was_asked {
            self.late.expect(block);
        }
        was_asked
    }

    /// Whether it owes us a block for too long; it counts as snubbed then.
    pub(super) fn is_silent(&mut self, now: Duration) -> bool {
        if self.asked.is_empty() || now.saturating_sub(self.waiting_since) < BLOCK_TIMEOUT {
            return false;
        }
        self.snubbed = true;
        self.waiting_since = now;
        true
    }

    /// Takes the requests back that it drops when it chokes.
    pub(super) fn take_back_choked(&mut self) -> VecDeque<Block> {
        let (kept, dropped) = self.asked.iter().partition(|block| self.allowed.contains(&block.piece));
        self.asked = dropped;
        let dropped = self.take_back();
        self.asked = kept;
        dropped
    }

    /// Takes all requests back, which the peer may still answer.
    pub(super) fn take_back(&mut self) -> VecDeque<Block> {
        for &block in &self.asked {
            self.late.expect(block);
        }
        std::mem::take(&mut self.asked)
    }
}

/// Within this time a block must come, or it is asked for elsewhere (P-07).
const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// Pieces that may be asked for while it chokes; BEP 6 has ten.
const MAX_ALLOWED: usize = 64;
/// Chokes without a block between them.
const MAX_CHOKES: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Block = Block { piece: 1, begin: 0, length: 16_384 };

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn a_request_is_answered_once_and_late_after_it_was_taken_back() {
        let mut download = PeerDownload::new(second(0));
        assert_eq!(
            (download.room(), download.unchoked(second(0)), download.unchoked(second(0))),
            (0, true, false)
        );
        download.ask(BLOCK, second(1));
        assert!(download.is_asked(BLOCK) && download.room() > 0);
        assert_eq!(download.received(BLOCK, second(2)), Some(Arrival::Asked));
        assert_eq!(download.received(BLOCK, second(2)), None);
        download.ask(BLOCK, second(3));
        assert_eq!(download.take_back(), [BLOCK]);
        assert_eq!(download.received(BLOCK, second(4)), Some(Arrival::Late));
        assert_eq!(download.total(), 2 * 16_384);
    }

    #[test]
    fn who_owes_a_block_for_thirty_seconds_is_asked_for_one_at_a_time() {
        let mut download = PeerDownload::new(second(0));
        download.unchoked(second(0));
        assert!(!download.is_silent(second(100)), "it owes nothing");
        download.ask(BLOCK, second(100));
        assert!(!download.is_silent(second(129)) && download.is_silent(second(130)));
        assert_eq!((download.is_snubbed(), download.room()), (true, 0));
        assert!(download.received(BLOCK, second(131)).is_some() && !download.is_snubbed());
    }

    #[test]
    fn while_it_chokes_it_may_be_asked_for_what_it_allows_until_it_rejects_that() {
        let mut download = PeerDownload::new(second(0));
        assert!(download.allow(1) && !download.allow(1) && download.room() > 0);
        assert_eq!(download.limited_to().map(BTreeSet::len), Some(1));
        download.unchoked(second(0));
        assert_eq!(download.limited_to(), None);
        let other = Block { piece: 2, ..BLOCK };
        download.ask(BLOCK, second(1));
        download.ask(other, second(1));
        assert_eq!(download.choked(), Ok(true));
        assert_eq!(download.take_back_choked(), [other]);
        assert_eq!(download.asked().collect::<Vec<_>>(), [BLOCK]);
        assert_eq!(download.rejected(other), Some(Arrival::Late));
        assert_eq!(download.rejected(other), None);
        assert!(download.room() > 0);
        assert_eq!(download.rejected(BLOCK), Some(Arrival::Asked));
        download.tick(second(2));
        assert_eq!(download.room(), 0, "it allows nothing any more");
    }

    #[test]
    fn what_it_allows_is_bounded() {
        let mut download = PeerDownload::new(second(0));
        assert_eq!((0..1000).filter(|&piece| download.allow(piece)).count(), MAX_ALLOWED);
    }

    #[test]
    fn a_peer_that_rejects_is_asked_again_after_the_next_tick() {
        let mut download = PeerDownload::new(second(0));
        download.unchoked(second(0));
        download.ask(BLOCK, second(0));
        assert_eq!((download.rejected(BLOCK), download.room()), (Some(Arrival::Asked), 0));
        download.tick(second(1));
        assert!(download.room() > 0);
    }

    #[test]
    fn a_hundred_chokes_are_forgiven_by_a_block() {
        let mut download = PeerDownload::new(second(0));
        download.unchoked(second(0));
        assert_eq!((download.choked(), download.choked()), (Ok(true), Ok(false)));
        for _ in 2..100 {
            assert_eq!(download.choked(), Ok(false));
        }
        assert_eq!(download.choked(), Err(Why::BadMessage));
        download.ask(BLOCK, second(0));
        download.received(BLOCK, second(0));
        assert_eq!(download.choked(), Ok(false));
    }
}
