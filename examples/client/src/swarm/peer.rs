//! What we know of one connected peer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracker_failover::PeerId;

use super::PeerKey;
use super::actions::Actions;
use super::bitfield::Bitfield;
use super::late::LateBlocks;
use super::metadata::Allowance;
use super::outgoing::Outgoing;
use super::rate::Rate;
use super::window::Window;
use crate::wire::Why;
use crate::wire::message::{Block, Message};

/// One peer.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four of them are the protocol's own state (BEP 3)")]
pub(crate) struct Peer {
    /// Its number.
    pub(crate) key: PeerKey,
    /// The other end of the connection.
    pub(crate) address: SocketAddr,
    /// Whether we made the connection.
    pub(crate) dialled: bool,
    /// The address at which it listens: the one that we dialled, or the one it sent (`p`, BEP 10).
    pub(crate) listens: Option<SocketAddr>,
    /// What it calls itself in its handshake.
    pub(crate) id: PeerId,
    /// The pieces that it has announced.
    pub(crate) has: Bitfield,
    /// How many of its pieces we want and lack.
    pub(crate) of_interest: u32,
    /// Whether its pieces are counted as [`Rarity`](super::rarity::Rarity) counts; those of a peer that had everything from the
    /// start make no piece rarer than another.
    pub(crate) counted: bool,
    /// Whether its first message has come, after which a bitfield is late.
    pub(crate) begun: bool,
    /// It doesn't let us ask.
    pub(crate) choking: bool,
    /// It wants something of ours.
    pub(crate) interested: bool,
    /// We don't let it ask.
    pub(crate) choked: bool,
    /// Whether we have sent `interested`.
    pub(crate) wanted: bool,
    /// It has been silent with our requests, and gets one at a time until it answers.
    pub(crate) snubbed: bool,
    /// What it was asked for, in order.
    pub(crate) asked: VecDeque<Block>,
    /// The requests that it may still answer, though the blocks aren't needed any more: after a cancel, a choke or a time-out.
    pub(crate) late: LateBlocks,
    /// How much it may be asked for at a time.
    pub(crate) window: Window,
    /// What it wants of us, in order.
    pub(crate) wants: VecDeque<Block>,
    /// Buffers of blocks for it that are being read or written.
    pub(crate) loading: usize,
    /// Bytes of blocks that were taken from the disk for it, or will be.
    pub(crate) granted: u64,
    /// Lives as long as the connection, so that the disk knows whether a block is still wanted.
    pub(crate) connected: Arc<()>,
    /// What waits to be written to it.
    pub(crate) out: Outgoing,
    /// Blocks that came from it.
    pub(crate) down: Rate,
    /// Blocks that went to it.
    pub(crate) up: Rate,
    /// When it came.
    pub(crate) since: Duration,
    /// When anything last came from it.
    pub(crate) heard: Duration,
    /// When anything was last sent to it.
    pub(crate) spoke: Duration,
    /// Since when it owes us a block.
    pub(crate) waiting_since: Duration,
    /// Requests that may still arrive after we choked it, because they were sent before it received that.
    pub(crate) crossing: usize,
    /// The id under which it takes messages about metadata (BEP 9).
    pub(crate) ut_metadata: Option<u8>,
    /// How much metadata it was sent.
    pub(crate) metadata_sent: Allowance,
    /// Messages of it that changed nothing, of late.
    pub(crate) pointless: u32,
    /// Times it choked us without a block between, of late.
    pub(crate) chokes: u32,
}

impl Peer {
    /// A peer after its handshake, without any announced pieces.
    pub(crate) fn new(
        key: PeerKey,
        address: SocketAddr,
        dialled: bool,
        id: PeerId,
        pieces: u32,
        now: Duration,
    ) -> Self {
        Self {
            key,
            address,
            dialled,
            listens: dialled.then_some(address),
            id,
            has: Bitfield::empty(pieces),
            of_interest: 0,
            counted: true,
            begun: false,
            choking: true,
            interested: false,
            choked: true,
            wanted: false,
            snubbed: false,
            asked: VecDeque::new(),
            late: LateBlocks::default(),
            window: Window::new(now),
            wants: VecDeque::new(),
            loading: 0,
            granted: 0,
            connected: Arc::new(()),
            out: Outgoing::default(),
            down: Rate::new(now),
            up: Rate::new(now),
            since: now,
            heard: now,
            spoke: now,
            waiting_since: now,
            crossing: 0,
            ut_metadata: None,
            metadata_sent: Allowance::default(),
            pointless: 0,
            chokes: 0,
        }
    }

    /// How many more blocks it may be asked for.
    pub(crate) fn room(&self) -> usize {
        if self.choking || self.of_interest == 0 {
            return 0;
        }
        let window = if self.snubbed { 1 } else { self.window.size() };
        window.saturating_sub(self.asked.len())
    }

    /// Forgives a few pointless messages, a few times a second: in a long life even an honest peer sends some,
    /// such as requests that cross our choke.
    pub(crate) fn pardon(&mut self) {
        self.pointless = self.pointless.saturating_sub(PARDONED);
        self.chokes = self.chokes.saturating_sub(1);
    }

    /// Counts a message that may have changed nothing.
    ///
    /// # Errors
    /// When there were too many of them, which is an attack (P-07, P-12).
    pub(super) fn count_pointless(&mut self, pointless: bool) -> Result<(), Why> {
        self.pointless += u32::from(pointless);
        if self.pointless > MAX_POINTLESS { Err(Why::BadMessage) } else { Ok(()) }
    }

    /// What it has or what we lack has changed: sends it whether it has something we want, and parts from it if both
    /// have everything.
    pub(super) fn reconsider(&mut self, is_complete: bool, actions: &mut Actions) {
        self.tell_interest(actions);
        if is_complete && self.has.is_full() {
            actions.close(self.key, Why::Redundant);
        }
    }

    /// Sends it whether it has something we want, when that has changed.
    pub(super) fn tell_interest(&mut self, actions: &mut Actions) {
        let wanted = self.of_interest > 0;
        if wanted != self.wanted {
            self.wanted = wanted;
            self.out.push(if wanted { &Message::Interested } else { &Message::NotInterested });
            actions.wake(self.key);
        }
    }
}

/// Takes a block out of a queue; answers mostly come in order, so it is mostly the first.
pub(crate) fn take(queue: &mut VecDeque<Block>, block: Block) -> bool {
    let found = queue.iter().position(|&other| other == block);
    found.is_some_and(|at| queue.remove(at).is_some())
}

const PARDONED: u32 = 5;
/// Messages that change nothing, beyond those that are forgiven in time.
const MAX_POINTLESS: u32 = 1000;
